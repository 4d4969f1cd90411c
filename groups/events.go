package groups

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	gs "github.com/moothall/moothall/internal/service/groups"
)

// An Event is an NPhase, an Approved, a Rejected, an Announcement or a DelayedError.
// All providers of a group are told the same protocols in the same order. Events
// belong to their receiver.
type Event interface{ isEvent() }

func (NPhase) isEvent()       {}
func (Approved) isEvent()     {}
func (Rejected) isEvent()     {}
func (Announcement) isEvent() {}
func (DelayedError) isEvent() {}

// NPhase is a phase of a protocol on which this provider has to vote.
type NPhase struct {
	Protocol
	Limit time.Duration // for the vote; zero: none
	// Objection is what another voter has against the protocol; it ends with this
	// phase. Nil: nobody objected.
	Objection *Objection
}

// Approved is the end of a protocol whose change is made. What is done in one phase
// is told by it alone.
type Approved struct{ Protocol }

// Rejected is the end of a protocol that changes nothing, but that providers who
// failed or were cast out have left all the same.
type Rejected struct {
	Protocol
	Objection *Objection // nil: nobody said why
}

// Objection is who voted against a protocol with Provider.Object, and why.
type Objection struct {
	By     ProviderID
	Reason string
}

// Protocol is one change of a group, or a message in it, as far as it has come
// (group services 5.5). What is nil is not there.
type Protocol struct {
	Kind       Kind
	Seq        uint64 // names the protocol; later ones have higher numbers
	Phases     Phases
	Phase      int // from 1 on; of the end: the last one that was voted upon
	Summary    Summary
	Changed    Changes
	ProposedBy ProviderID // the first joiner of a join; nobody: the service itself

	Members  []ProviderID // oldest first; of an approved protocol with its change, else without
	Changing []ProviderID // who joins or leaves
	Leaves   []Leave      // why, one for each that leaves

	State       []byte // the group's; of an approved protocol with its change, else without
	Proposed    []byte // state value under discussion
	SourceState []byte // new state value of the source group
	Message     []byte // for this very notification
	Attributes  *Attributes

	DeactivatePhase int    // of an expel: in which scripts run
	Flag            []byte // of an expel, for the scripts
}

// about is a protocol in words.
func (p *Protocol) about() string {
	s := p.Kind.String()
	if p.ProposedBy != (ProviderID{}) {
		s += fmt.Sprint(" proposed by ", p.ProposedBy)
	}
	if p.Changing != nil {
		s += fmt.Sprint(", changing ", p.Changing)
	}
	for _, l := range p.Leaves {
		s += fmt.Sprintf(" (%v)", l.Reason)
	}
	if p.Proposed != nil {
		s += fmt.Sprintf(", value %q", p.Proposed)
	}
	if p.Message != nil {
		s += fmt.Sprintf(", message %q", p.Message)
	}
	return s + fmt.Sprintf(", members %v, phase %d", p.Members, p.Phase)
}

// String is the event for logs.
func (n NPhase) String() string { return "vote on " + n.about() }

// String is the event for logs.
func (a Approved) String() string { return "approved: " + a.about() + ", " + a.Summary.String() }

// String is the event for logs.
func (r Rejected) String() string {
	s := "rejected: " + r.about() + ", " + r.Summary.String()
	if r.Objection != nil {
		s += fmt.Sprintf(", %v objected: %s", r.Objection.By, r.Objection.Reason)
	}
	return s
}

// Leave is why one provider leaves.
type Leave struct {
	Reason Reason
	Code   uint32 // of a voluntary leave: what the provider said
}

// Announcement tells of what is no protocol: providers that were late, programs that
// do not answer checks, the end of the group after a merge.
type Announcement struct {
	Summary   Summary
	Providers []ProviderID // that it is about
}

// String is the event for logs.
func (a Announcement) String() string {
	return fmt.Sprintf("announced: %v, providers %v", a.Summary, a.Providers)
}

// DelayedError tells that a request of this provider failed after it was accepted.
type DelayedError struct {
	Kind      Kind // of the request
	Err       Code
	Providers []ProviderID // that are in the way
}

// Change is what a subscriber is told of: what holds at first, then one change after
// the other. What is nil was not wanted, or has not changed.
type Change struct {
	State   []byte       // the group's
	Members []ProviderID // all that are there now, oldest first
	Joined  []ProviderID
	Left    []ProviderID
	Removed []ProviderID // of Left, adapters that are not configured any more; the others failed
	Ended   bool         // the group is gone; the stream ends
}

// String is the event for logs.
func (e DelayedError) String() string {
	s := fmt.Sprintf("%v not done: %v", e.Kind, e.Err)
	if len(e.Providers) > 0 {
		s += fmt.Sprintf(", because of %v", e.Providers)
	}
	return s
}

// String is the change for logs.
func (c Change) String() string {
	var parts []string
	for _, who := range []struct {
		what string
		list []ProviderID
	}{{"members", c.Members}, {"joined", c.Joined}, {"left", c.Left}, {"removed", c.Removed}} {
		if who.list != nil {
			parts = append(parts, fmt.Sprintf("%s %v", who.what, who.list))
		}
	}
	if c.State != nil {
		parts = append(parts, fmt.Sprintf("state %q", c.State))
	}
	if c.Ended {
		parts = append(parts, "ended")
	}
	return "change: " + strings.Join(parts, ", ")
}

// protocol takes over a notification.
func protocol(n *gs.Notification) Protocol {
	p := Protocol{Kind: Kind(n.Kind), Seq: n.Seq, Phases: Phases(n.Phases), Phase: int(n.Phase), Summary: Summary(n.Summary), Changed: Changes(n.Changed),
		ProposedBy: providerID(n.ProposedBy), Members: providerIDs(n.Current), Changing: providerIDs(n.Changing),
		State: bytes.Clone(n.State), Proposed: bytes.Clone(n.Proposed), SourceState: bytes.Clone(n.Source), Message: bytes.Clone(n.Message),
		Attributes: attributes(n.Attrs), DeactivatePhase: int(n.Deactivate), Flag: bytes.Clone(n.Flag)}
	for _, l := range n.Leaves {
		p.Leaves = append(p.Leaves, Leave{Reason(l.Reason), l.Code})
	}
	return p
}

func change(s *gs.Subscription) Change {
	c := Change{State: bytes.Clone(s.State), Ended: s.Ends}
	if s.Has&gs.GotMembership != 0 {
		c.Members = append([]ProviderID{}, providerIDs(s.Full)...)
	}
	if s.Has&gs.GotDeltaJoin != 0 {
		c.Joined = providerIDs(s.Changing)
	}
	if s.Has&gs.GotDeltaLeave != 0 {
		c.Left = providerIDs(s.Changing)
		c.Removed = removed(c.Left, s.Special)
	}
	return c
}

// removed picks the adapters that were taken out of the configuration.
func removed(left []ProviderID, blocks []gs.Special) (list []ProviderID) {
	for _, b := range blocks {
		if b.Flag != gs.AdapterDeath || b.Size != 4 || len(b.Data) != 4*len(left) {
			continue
		}
		for i, p := range left {
			if binary.LittleEndian.Uint32(b.Data[4*i:]) == gs.AdapterRemoved {
				list = append(list, p)
			}
		}
	}
	return list
}

// wire is the objection as the service carries it.
func (o Objection) wire() gs.Objection {
	return gs.Objection{By: gs.Provider{Instance: o.By.Instance, Node: int16(o.By.Node)}, Reason: o.Reason}
}

// objection reads what a voter has against a protocol out of a message that came
// with a phase; nil: it is another message.
func objection(message []byte) *Objection {
	o, ok := gs.ParseObjection(message)
	if !ok {
		return nil
	}
	return &Objection{providerID(o.By), o.Reason}
}
