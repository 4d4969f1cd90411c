package executive

import (
	"slices"
	"time"

	"github.com/moothall/moothall/service"
)

// DecisionKind says what was decided.
type DecisionKind uint8

const (
	DecisionView       DecisionKind = iota + 1 // a configuration was installed
	DecisionQuorum                             // the ring may act, or may not
	DecisionRound                              // services were synchronised, or not
	DecisionStall                              // something does not go on, and who holds it up
	DecisionSuspect                            // a node is suspected, failed or held back
	DecisionRefused                            // a peer is not heard
	DecisionStaleView                          // this process was not running
	DecisionClient                             // a client was disconnected
	DecisionRestart                            // this member starts anew
	DecisionStop                               // this member came to its end
	DecisionWhy                                // the members told each other why nodes came or went
	DecisionQuarantine                         // a node is kept out for a while, or let in again
	DecisionVote                               // providers of a group decided something, or may not any more
)

// String is the dashed word of logs and JSON.
func (k DecisionKind) String() string {
	return [...]string{"none", "view", "quorum", "round", "stall", "suspect", "refused", "stale-view", "client", "restart", "stop", "why", "quarantine", "vote"}[k]
}

// MarshalText makes JSON documents print a kind as String does.
func (k DecisionKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Decision is one entry of the decision log: what happened, why as far as it is
// known, and what was seen before. A cause stands in it only where there is
// evidence.
type Decision struct {
	No       uint64       `json:"no"` // rising from 1; a gap means that older entries gave way
	At       Tick         `json:"at"` // the member's clock
	Time     time.Time    `json:"time"`
	Kind     DecisionKind `json:"kind"`
	Ring     RingID       `json:"ring"`
	Node     NodeID       `json:"node,omitempty"`   // whom it is about
	Reason   string       `json:"reason,omitempty"` // a dashed word
	Text     string       `json:"text"`             // one sentence, or a few
	Evidence []string     `json:"evidence,omitempty"`

	View   *View                `json:"view,omitempty"`   // with DecisionView
	Quorum *service.QuorumState `json:"quorum,omitempty"` // with DecisionQuorum

	about uint64 // with DecisionWhy: number of the explanation
}

// View is a change of the configuration.
type View struct {
	Ring    RingID   `json:"ring"`
	Prev    RingID   `json:"prev"`
	Members []NodeID `json:"members"`
	Joined  []NodeID `json:"joined,omitempty"`
	Left    []NodeID `json:"left,omitempty"`
	Suspect NodeID   `json:"suspect,omitempty"` // whom the engine's reason names
	Reason  string   `json:"reason"`
}

// decisions is the log, bounded.
type decisions struct {
	max  int
	made uint64
	list []Decision // oldest first
}

// decide appends an entry.
func (c *Core) decide(d Decision) {
	l := &c.decisions
	l.made++
	d.No, d.At, d.Time = l.made, c.now, c.wall()
	if d.Ring.IsZero() {
		d.Ring = c.ring
	}
	if len(l.list) >= l.max {
		l.list = slices.Delete(l.list, 0, max(1, l.max/8))
	}
	l.list = append(l.list, d)
	if f := c.obs.Decision; f != nil {
		f(&d)
	}
}

// Note adds an entry for what a service decided and its node has words for. The
// number and the time are filled in.
func (c *Core) Note(d Decision) { c.decide(d) }

// Decisions returns the entries with a number above since, oldest first. The
// slice is a copy; what entries point to is not to be changed.
func (c *Core) Decisions(since uint64) []Decision {
	i, _ := slices.BinarySearchFunc(c.decisions.list, since, func(d Decision, no uint64) int {
		if d.No <= no {
			return -1
		}
		return 1
	})
	return slices.Clone(c.decisions.list[i:])
}

// maxEvidence bounds what is remembered for the next view.
const maxEvidence = 32

// witness remembers a fact that may explain the next view.
func (c *Core) witness(fact string) {
	if len(c.evidence) == maxEvidence {
		c.evidence = slices.Delete(c.evidence, 0, 1)
	}
	c.evidence = append(c.evidence, fact)
}
