package admin

import "time"

// GroupServices answers GET /v1/groupservices: Group Services as one node sees
// them.
type GroupServices struct {
	Time       time.Time             `json:"time"`
	Version    string                `json:"version"`
	Node       Self                  `json:"node"`
	Domain     string                `json:"domain"`               // name of the cluster
	State      string                `json:"state"`                // "not established" before anybody uses it, "established", or "recovering" while the nodes find out who is here
	ID         string                `json:"id,omitempty"`         // of the domain, as in "6.14": number of a ring and the nameserver, which took office in it
	Nameserver NodeID                `json:"nameserver,omitempty"` // the node that has been in the domain longest
	Nodes      []GroupServicesNode   `json:"nodes"`                // in the order in which they came
	Clients    []GroupServicesClient `json:"clients"`              // of this node
	Groups     []VotingGroup         `json:"groups"`               // the oldest first, those of the service itself last
	Unsent     int                   `json:"unsent"`               // messages of this node that found no room yet
	Recent     []VotingOutcome       `json:"recent"`               // of all groups, newest last
}

// GroupServicesNode is one node of the domain.
type GroupServicesNode struct {
	Node     NodeID `json:"node"`
	Name     string `json:"name,omitempty"`
	Instance string `json:"instance"` // as in "1.16": number of the ring in which it came, zero for those that were there from the start, and the node
}

// GroupServicesClient is a program that is connected here.
type GroupServicesClient struct {
	PID         int32  `json:"pid"`
	UID         uint32 `json:"uid"`
	Providers   int    `json:"providers"`
	Subscribers int    `json:"subscribers"`
	Script      string `json:"script,omitempty"` // its deactivate script
	Silent      bool   `json:"silent,omitempty"` // it does not answer its checks
}

// VotingGroup is a group whose providers vote. It answers
// GET /v1/groupservices/NAME, too.
type VotingGroup struct {
	Name        string            `json:"name"`
	Bytes       []byte            `json:"name_bytes,omitempty"` // the name, when it is no UTF-8 text
	System      bool              `json:"system,omitempty"`     // of the service itself: nodes or adapters
	Leader      NodeID            `json:"leader,omitempty"`     // node of the provider that came first
	Providers   []VotingProvider  `json:"providers"`            // the oldest first
	Waiting     []VotingProvider  `json:"waiting"`              // to be let in, in their order
	Subscribers int               `json:"subscribers"`          // of this node
	StateValue  []byte            `json:"state_value"`
	Attributes  *VotingAttributes `json:"attributes,omitempty"`
	Protocol    *VotingProtocol   `json:"protocol"`         // in work; null: none
	Recent      []VotingOutcome   `json:"recent,omitempty"` // newest last; only when one group was asked for
}

// VotingProvider is a provider of a group.
type VotingProvider struct {
	Instance int    `json:"instance"`
	Node     NodeID `json:"node"`
	NodeName string `json:"node_name,omitempty"`
	Local    bool   `json:"local,omitempty"` // on the node that answers
	PID      int32  `json:"pid,omitempty"`   // of a local one
	State    string `json:"state,omitempty"` // "failed", or "cast-out" when the source group has no provider on its node; both wait for the protocol that takes it out
}

// VotingAttributes are what the providers of a group agree on.
type VotingAttributes struct {
	Version             uint32 `json:"version"` // of the application
	BatchJoins          bool   `json:"batch_joins,omitempty"`
	BatchLeaves         bool   `json:"batch_leaves,omitempty"`
	DeactivateOnFailure bool   `json:"deactivate_on_failure,omitempty"`
	Phases              string `json:"phases"` // of joins, failures and cast-outs: "one" or "n"
	DefaultVote         string `json:"default_vote"`
	LimitS              int32  `json:"limit_s"` // of a phase; zero: none
	Source              string `json:"source,omitempty"`
	ReflectionPhases    string `json:"reflection_phases,omitempty"`
	ReflectionLimitS    int32  `json:"reflection_limit_s,omitempty"`
}

// VotingProtocol is a protocol in work.
type VotingProtocol struct {
	Number      string           `json:"number"`
	Kind        string           `json:"kind"` // join, leave, failure-leave, cast-out, expel, state, message, attributes or reflection
	Phase       uint32           `json:"phase"`
	LimitS      int32            `json:"limit_s"`            // of each phase; zero: none
	ForMS       *int64           `json:"for_ms,omitempty"`   // since the present phase began, as this node sees it; none: that was before this node came
	LeftMS      *int64           `json:"left_ms,omitempty"`  // of the present phase, as this node sees it; none: there is no limit, or the phase began before this node came
	Proposer    *VotingProvider  `json:"proposer,omitempty"` // none: the service itself
	DefaultVote string           `json:"default_vote"`       // for voters that fail or are late
	Joining     []VotingProvider `json:"joining,omitempty"`
	Leaving     []VotingProvider `json:"leaving,omitempty"`
	StateValue  []byte           `json:"state_value,omitempty"` // proposed
	Votes       []VotingVote     `json:"votes"`                 // one for each voter of the phase
	Scripts     []VotingProvider `json:"scripts,omitempty"`     // whose deactivate scripts run
}

// VotingVote is the vote of one voter.
type VotingVote struct {
	Provider VotingProvider `json:"provider"`
	Vote     string         `json:"vote"`              // approve, continue or reject; empty: it is awaited
	Default  string         `json:"default,omitempty"` // why it is the default vote: "failed" or "late"
	Phase    uint32         `json:"phase,omitempty"`   // of a protocol that is over
}

// VotingOutcome is a protocol that is over.
type VotingOutcome struct {
	Time    time.Time    `json:"time"`
	Group   string       `json:"group"`
	Bytes   []byte       `json:"group_bytes,omitempty"` // its name, when it is no UTF-8 text
	Number  string       `json:"number"`
	Kind    string       `json:"kind"`    // as in VotingProtocol
	Outcome string       `json:"outcome"` // approved, rejected, default-approved or default-rejected
	Phase   uint32       `json:"phase"`   // the last one
	Text    string       `json:"text"`    // who wanted what, who voted what or was late, and what came of it
	Votes   []VotingVote `json:"votes"`   // those of the last phase, and default votes of all
}
