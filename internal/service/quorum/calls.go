package quorum

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// ID is the service's id, the lowest: it synchronises before all others.
const ID = 1

// The client calls, the Func of a service.Request. All are answered from local
// state before Call returns; calls and replies without a type have an empty
// body.
const (
	CallGetQuorate uint16 = iota // answers QuorateReply
	CallTrackStart               // TrackRequest; the present state goes out before the answer; ErrExist if tracking already
	CallTrackStop                // always OK
	CallGetType                  // TypeRequest; answers TypeReply; ErrInvalidParam for an unknown model
	CallStatus                   // answers Status
	numCalls
)

// The events, the kind of a service.Conn's Push. On a change of the ring
// EventNodelist comes first, when the membership is known, and EventQuorum when
// the decision may be shown. A change of quorum alone is EventQuorum alone. A
// client of libquorum's model 0 gets EventQuorum only; the door leaves the
// other out.
const (
	EventNodelist uint16 = iota + 1 // Nodelist
	EventQuorum                     // Quorum
	EventCurrency                   // Currency; no compatible library knows it, a door to one leaves it out
)

// Flags of TrackRequest; the values are libquorum's. Without TrackChanges or
// TrackChangesOnly nothing follows the present state.
const (
	TrackCurrent     uint32 = 1
	TrackChanges     uint32 = 2
	TrackChangesOnly uint32 = 4
)

// Models of libquorum.
const (
	ModelV0 uint32 = 0
	ModelV1 uint32 = 1
)

// Type says where the decision comes from; the values are libquorum's.
type Type uint32

const (
	TypeFree Type = 0 // no provider: always quorate
	TypeSet  Type = 1 // a provider decides
)

// QuorateReply answers CallGetQuorate.
type QuorateReply struct{ Quorate bool }

// TrackRequest is the body of CallTrackStart.
type TrackRequest struct{ Flags uint32 }

// TypeRequest is the body of CallGetType.
type TypeRequest struct{ Model uint32 }

// TypeReply answers CallGetType.
type TypeReply struct{ Type Type }

// Nodelist tells which nodes are in the ring. Left are members of the list
// before that did not come along; Joined are new or came back, a node that
// restarted in between is in both. All lists ascend. As the present state of
// CallTrackStart both are empty.
type Nodelist struct {
	Ring    proto.RingID
	Members []proto.NodeID
	Joined  []proto.NodeID
	Left    []proto.NodeID
}

// Quorum tells the decision and the membership in which it was made. Without a
// provider Ring is zero and Members empty.
type Quorum struct {
	Quorate bool
	Ring    proto.RingID
	Members []proto.NodeID
	Votes   Votes
	Row     uint16 // vote.Row that decided
}

// Votes is the arithmetic behind a decision.
type Votes = vote.Votes

// Currency tells how much the last decision is worth from now on (ordering
// 4.6). While it is unknown the node counts as not quorate, and an EventQuorum
// says so besides; while it is reconfiguring, EventQuorum and CallGetQuorate
// keep what was shown last, as the compatible interface promises.
type Currency struct{ Currency service.Currency }

// AppendTo appends the answer to CallGetQuorate.
func (p QuorateReply) AppendTo(b []byte) []byte { return body.AppendBool(b, p.Quorate) }

// ParseQuorate reads the answer to CallGetQuorate.
func ParseQuorate(b []byte) (QuorateReply, error) {
	r := body.NewReader(b)
	p := QuorateReply{Quorate: r.Bool()}
	return p, r.Close()
}

// AppendTo appends the body of CallTrackStart.
func (q TrackRequest) AppendTo(b []byte) []byte { return body.AppendU32(b, q.Flags) }

// ParseTrack reads the body of CallTrackStart.
func ParseTrack(b []byte) (TrackRequest, error) {
	r := body.NewReader(b)
	q := TrackRequest{Flags: r.U32()}
	return q, r.Close()
}

// AppendTo appends the body of CallGetType.
func (q TypeRequest) AppendTo(b []byte) []byte { return body.AppendU32(b, q.Model) }

// ParseTypeRequest reads the body of CallGetType.
func ParseTypeRequest(b []byte) (TypeRequest, error) {
	r := body.NewReader(b)
	q := TypeRequest{Model: r.U32()}
	return q, r.Close()
}

// AppendTo appends the answer to CallGetType.
func (p TypeReply) AppendTo(b []byte) []byte { return body.AppendU32(b, uint32(p.Type)) }

// ParseType reads the answer to CallGetType.
func ParseType(b []byte) (TypeReply, error) {
	r := body.NewReader(b)
	p := TypeReply{Type: Type(r.U32())}
	return p, r.Close()
}

// AppendTo appends the body of EventNodelist.
func (e Nodelist) AppendTo(b []byte) []byte {
	b = body.AppendRing(b, e.Ring)
	b = body.AppendNodes(b, e.Members)
	b = body.AppendNodes(b, e.Joined)
	return body.AppendNodes(b, e.Left)
}

// ParseNodelist reads the body of EventNodelist.
func ParseNodelist(b []byte) (Nodelist, error) {
	r := body.NewReader(b)
	e := Nodelist{Ring: r.Ring(), Members: r.Nodes(), Joined: r.Nodes(), Left: r.Nodes()}
	return e, r.Close()
}

// AppendTo appends the body of EventQuorum.
func (e Quorum) AppendTo(b []byte) []byte {
	b = body.AppendBool(b, e.Quorate)
	b = body.AppendRing(b, e.Ring)
	b = appendVotes(b, e.Votes)
	b = body.AppendU16(b, e.Row)
	return body.AppendNodes(b, e.Members)
}

// ParseQuorum reads the body of EventQuorum.
func ParseQuorum(b []byte) (Quorum, error) {
	r := body.NewReader(b)
	e := Quorum{Quorate: r.Bool(), Ring: r.Ring(), Votes: takeVotes(&r), Row: r.U16(), Members: r.Nodes()}
	return e, r.Close()
}

// AppendTo appends the body of EventCurrency.
func (e Currency) AppendTo(b []byte) []byte { return append(b, byte(e.Currency)) }

// ParseCurrency reads the body of EventCurrency.
func ParseCurrency(b []byte) (Currency, error) {
	r := body.NewReader(b)
	e := Currency{takeCurrency(&r)}
	return e, r.Close()
}

func takeCurrency(r *body.Reader) service.Currency {
	c := service.Currency(r.U8())
	if c > service.CurrencyUnknown {
		r.Fail("currency")
	}
	return c
}

func appendVotes(b []byte, v Votes) []byte {
	b = body.AppendU32(b, v.Expected)
	b = body.AppendU32(b, v.Total)
	return body.AppendU32(b, v.Quorum)
}

func takeVotes(r *body.Reader) Votes {
	return Votes{Expected: r.U32(), Total: r.U32(), Quorum: r.U32()}
}

// Status answers CallStatus: the last shown decision with all that led to it.
type Status struct {
	Type       Type
	Quorate    bool // not while Currency is unknown
	Currency   service.Currency
	Ring       proto.RingID // in which the decision was made
	Epoch      proto.Epoch  // primary epoch
	Votes      Votes
	Row        uint16 // vote.Row that decided
	TwoNode    bool   // configured here
	WaitForAll bool   // configured here
	Waiting    bool   // wait_for_all holds quorum back
	Fencing    bool   // two sides may decide like this at once: safe only with fencing
	Why        string // the row as a sentence, at most maxWhy bytes
	Nodes      []NodeStatus
}

// NodeStatus is one known node in Status.
type NodeStatus struct {
	Node     proto.NodeID
	Member   bool
	Votes    uint32
	Expected uint32
}

const (
	maxWhy     = 512
	nodeStatus = 4 + 1 + 4 + 4 // encoded NodeStatus
)

// AppendTo appends the answer to CallStatus.
func (p Status) AppendTo(b []byte) []byte {
	b = body.AppendU32(b, uint32(p.Type))
	b = append(b, byte(p.Currency))
	for _, f := range []bool{p.Quorate, p.TwoNode, p.WaitForAll, p.Waiting, p.Fencing} {
		b = body.AppendBool(b, f)
	}
	b = body.AppendRing(b, p.Ring)
	b = body.AppendU64(b, uint64(p.Epoch))
	b = appendVotes(b, p.Votes)
	b = body.AppendU16(b, p.Row)
	why := p.Why[:min(len(p.Why), maxWhy)]
	b = append(body.AppendU16(b, uint16(len(why))), why...)
	b = body.AppendU32(b, uint32(len(p.Nodes)))
	for _, n := range p.Nodes {
		b = body.AppendNode(b, n.Node)
		b = body.AppendBool(b, n.Member)
		b = body.AppendU32(b, n.Votes)
		b = body.AppendU32(b, n.Expected)
	}
	return b
}

// ParseStatus reads the answer to CallStatus.
func ParseStatus(b []byte) (Status, error) {
	r := body.NewReader(b)
	p := Status{Type: Type(r.U32()), Currency: takeCurrency(&r), Quorate: r.Bool(), TwoNode: r.Bool(), WaitForAll: r.Bool(),
		Waiting: r.Bool(), Fencing: r.Bool(), Ring: r.Ring(), Epoch: proto.Epoch(r.U64()), Votes: takeVotes(&r), Row: r.U16()}
	n := int(r.U16())
	if n > maxWhy {
		r.Fail("sentence")
	}
	p.Why = string(r.Bytes(n))
	if n := r.Count(nodeStatus); n > 0 {
		p.Nodes = make([]NodeStatus, n)
	}
	for i := range p.Nodes {
		p.Nodes[i] = NodeStatus{Node: r.Node(), Member: r.Bool(), Votes: r.U32(), Expected: r.U32()}
	}
	return p, r.Close()
}
