package admin

import "time"

// Why is one explained change, the answer to GET /v1/why. Fields are added over
// time, never renamed. Reason, Text, Left, Joined, Members and Nodes are equal at
// all members that were there, once Awaited is empty; docs/explanations.md lists
// the reasons.
type Why struct {
	Cluster string    `json:"cluster"`
	Asked   NodeID    `json:"asked"`           // the node that answers
	State   string    `json:"state"`           // of the ordering engine there, now
	Found   bool      `json:"found"`           // false: nothing that was asked for is on record; Text says so
	Kind    string    `json:"kind,omitempty"`  // "membership", "quorum" within a ring, or "node": news of one that is not here or in trouble
	About   *WhyAbout `json:"about,omitempty"` // the node that was asked about
	Reason  string    `json:"reason"`          // a dashed word
	Text    string    `json:"text"`            // one sentence, or one a reason

	Time     time.Time  `json:"time,omitzero"` // by the clock of the node that answers
	Ring     string     `json:"ring,omitempty"`
	Previous string     `json:"previous_ring,omitempty"`
	Members  []NodeID   `json:"members"`
	Joined   []NodeID   `json:"joined"`
	Left     []NodeID   `json:"left"`
	Told     []NodeID   `json:"told"`             // members whose testimony is in it
	Awaited  []NodeID   `json:"awaited"`          // members that have not told yet what they saw
	Quorum   *WhyQuorum `json:"quorum,omitempty"` // the first decision in that ring
	Nodes    []WhyNode  `json:"nodes"`
}

// WhyAbout is the node that was asked about, as it is now.
type WhyAbout struct {
	Node NodeID `json:"node"`
	Name string `json:"name,omitempty"`
	Here bool   `json:"here"`
}

// WhyQuorum is what a change meant for quorum.
type WhyQuorum struct {
	Quorate bool   `json:"quorate"`
	Changed bool   `json:"changed"` // it was the other way before
	Row     string `json:"row"`
	Text    string `json:"text"`
}

// WhyNode is one node's part in a change.
type WhyNode struct {
	Node     NodeID        `json:"node"`
	Name     string        `json:"name,omitempty"`
	What     string        `json:"what"` // "left", "joined", "replaced" (both at once), "absent" or "trouble"
	Reason   string        `json:"reason"`
	Text     string        `json:"text"`
	Remedy   string        `json:"remedy,omitempty"`
	Away     string        `json:"away_reason,omitempty"` // of one that joined: why it had been away
	AwayMS   uint32        `json:"away_ms,omitempty"`
	Evidence []WhyEvidence `json:"evidence"`
}

// WhyEvidence is one fact and who saw it.
type WhyEvidence struct {
	Witness NodeID `json:"witness"`
	Link    uint8  `json:"link"`
	Text    string `json:"text"`
}

// WhatIf is the answer to what would become of quorum and groups; nothing is
// done.
type WhatIf struct {
	Cluster  string       `json:"cluster"`
	Asked    NodeID       `json:"asked"`    // the node that answers
	Question string       `json:"question"` // in words
	Ring     string       `json:"ring"`     // whose decision it starts from
	Allowed  bool         `json:"allowed"`  // false: such a change would be refused
	Notes    []string     `json:"notes"`    // what the answer takes for granted, and the rule that refuses a change
	Now      WhatIfSide   `json:"now"`
	Sides    []WhatIfSide `json:"sides"` // one for each ring that there would be; none: nobody stays
}

// WhatIfSide is one ring as it would be.
type WhatIfSide struct {
	Members  []NodeID      `json:"members"`
	Names    []string      `json:"names"`
	Quorate  bool          `json:"quorate"`
	Votes    uint32        `json:"votes"`
	Expected uint32        `json:"expected_votes"`
	Needed   uint32        `json:"needed"`
	Row      string        `json:"row"` // of the decision table
	Text     string        `json:"text"`
	Fencing  bool          `json:"relies_on_fencing,omitempty"` // two sides may decide like this at once
	Later    string        `json:"later,omitempty"`             // what last_man_standing makes of it after its window
	Groups   []WhatIfGroup `json:"groups"`                      // those that would lose their last member or their majority
}

// WhatIfGroup is a process group that loses.
type WhatIfGroup struct {
	Name  string `json:"name"`
	Nodes int    `json:"nodes"` // that have a process in it now
	Stay  int    `json:"stay"`  // that still would
	Loses string `json:"loses"` // "last-member" or "majority"
}
