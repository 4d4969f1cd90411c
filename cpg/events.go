package cpg

import (
	"fmt"

	cpgs "github.com/moothall/moothall/internal/service/cpg"
)

// An Event is a Message, a View, a Snapshot or a State. Events come in one order,
// which all members share; a View separates the messages of two views.
type Event interface{ isEvent() }

func (Message) isEvent()  {}
func (View) isEvent()     {}
func (Snapshot) isEvent() {}
func (*State) isEvent()   {}

// MemberID names a member of a group.
type MemberID struct {
	Node     NodeID
	PID      uint32 // as the member's own machine counts
	Instance uint64 // tells members of one process apart; zero for libcpg programs
}

// String is node, process and instance with slashes between.
func (id MemberID) String() string {
	if id.Instance == 0 {
		return fmt.Sprintf("%d/%d", id.Node, id.PID)
	}
	return fmt.Sprintf("%d/%d/%d", id.Node, id.PID, id.Instance)
}

// Message is one delivered message.
type Message struct {
	From MemberID
	Seq  uint64 // as Send returned it to the sender; zero: not sent by Send
	Body []byte // valid until the next event is received

	Own          bool // this member sent it
	Safe         bool // delivered when all members of its configuration had it
	Transitional bool // its ring broke; only those that come along are known to have it
	Direct       bool // for this member alone
	Outside      bool // the sender is not in the group
}

// View says who is in the group, and what that is worth.
type View struct {
	Ring    RingID
	Nodes   []NodeID // of the ring, ascending
	Came    []NodeID // those of them that got the same messages as this node since the view before
	Members []Peer   // of the group, by node, process and instance
	Joined  []Change // who of them is new
	Left    []Change // who is not there any more

	Quorate    bool   // the nodes of the ring are enough to act
	Votes      uint32 // that they have
	Expected   uint32 // votes of all configured nodes
	GroupVotes uint32 // of the nodes that have a member of this group which does not wait for its state

	// Majority: the cluster is quorate, and the nodes with a member of this very
	// group have more than half of Expected. In a group with a state only members
	// that hold it count, and only when it is certain to hold all that any majority
	// acted upon before (docs/decisions/0070), which takes a member with the state on
	// every configured node once. Who merely listens to such a group does not count.
	Majority bool
}

// Member looks for a member of the view.
func (v View) Member(id MemberID) (Peer, bool) {
	for _, p := range v.Members {
		if p.ID == id {
			return p, true
		}
	}
	return Peer{}, false
}

// Peer is a member of a group as the others see it.
type Peer struct {
	ID       MemberID
	Meta     []byte
	Rank     uint64
	Stateful bool
	HasState bool // false: it waits for it
}

// Change is a member that came or went.
type Change struct {
	ID     MemberID
	Reason Reason
}

// Reason says why a member came or went.
type Reason = cpgs.Reason

// Reasons of a Change.
const (
	ReasonJoin     = cpgs.ReasonJoin     // it joined
	ReasonLeave    = cpgs.ReasonLeave    // it left
	ReasonNodeDown = cpgs.ReasonNodeDown // its node is not in the ring any more
	ReasonNodeUp   = cpgs.ReasonNodeUp   // its node came into the ring
	ReasonProcDown = cpgs.ReasonProcDown // its process ended, or its connection did
)

func memberID(p cpgs.Process) MemberID { return MemberID{p.Node, p.PID, p.Instance} }

func peers(list []cpgs.ViewMember) []Peer {
	out := make([]Peer, 0, len(list))
	for _, m := range list {
		out = append(out, Peer{ID: memberID(m.Process), Meta: m.Meta, Rank: m.Rank, Stateful: m.Stateful, HasState: m.HasState})
	}
	return out
}

func changes(list []cpgs.Process) []Change {
	var out []Change
	for _, p := range list {
		out = append(out, Change{memberID(p), p.Reason})
	}
	return out
}

// unnumbered is set in tags of messages that were not sent by Send.
const unnumbered = 1 << 63

func (m *Member) message(body []byte) (Message, error) {
	e, err := cpgs.ParseReceived(body)
	if err != nil {
		return Message{}, err
	}
	out := Message{From: memberID(e.From), Seq: e.Seq, Body: e.Message, Safe: e.Safe, Transitional: e.Transitional, Direct: e.Direct, Outside: e.Post}
	out.Own = out.From == m.id
	if e.Seq&unnumbered != 0 || out.From.Instance == 0 {
		out.Seq = 0
	}
	return out, nil
}

func view(body []byte) (View, error) {
	e, err := cpgs.ParseView(body)
	return View{Ring: e.Ring, Nodes: e.Nodes, Came: e.Came, Members: peers(e.Members), Joined: changes(e.Joined), Left: changes(e.Left),
		Quorate: e.Quorate, Votes: e.Votes, Expected: e.Expected, GroupVotes: e.GroupVotes, Majority: e.Majority}, err
}
