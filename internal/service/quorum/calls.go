package quorum

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// ID is the service's id, the lowest: it synchronises before all others.
const ID = 1

// The client calls, the Func of a service.Request. Those of libvotequorum from
// CallVotesStart on are refused with ErrNotSupported without a provider. All are
// answered from local state before Call returns, but for CallSetExpected,
// CallSetVotes, CallAllSeen and CallRegister, which are answered when their
// message comes out of the order: after the round, if one is in work. Calls and
// replies without a type have an empty body.
const (
	CallGetQuorate  uint16 = iota // answers QuorateReply
	CallTrackStart                // TrackRequest; the present state goes out before the answer; ErrExist if tracking already
	CallTrackStop                 // always OK
	CallGetType                   // TypeRequest; answers TypeReply; ErrInvalidParam for an unknown model
	CallStatus                    // answers Status
	CallVotesStart                // TrackRequest, as CallTrackStart, for the events of votes
	CallVotesStop                 // ErrNotExist if not tracking
	CallNodeInfo                  // NodeRequest; answers NodeInfo; ErrNotExist for a node that was never a member
	CallSetExpected               // NumberRequest, Node is ignored; ErrInvalidParam if it is too low, or would end quorum; ErrNoResources without room
	CallSetVotes                  // NumberRequest; ErrNameNotFound for an unknown node; else as CallSetExpected
	CallAllSeen                   // ends wait_for_all at all members
	CallRegister                  // DeviceRequest; ErrExist under another name, here or in the ring; ErrAccess if a device can not go with the settings
	CallUnregister                // DeviceRequest; this and all below: ErrNotExist if none is registered, ErrInvalidParam for another name
	CallRename                    // DeviceRequest, Other is the new name
	CallPoll                      // PollRequest; ErrMessageError for another ring than the one of the last EventNodelist
	CallMaster                    // DeviceRequest, Allow: whoever the device votes for may act
	numCalls
)

var callNames = [numCalls]string{
	CallGetQuorate: "get quorate", CallTrackStart: "track start", CallTrackStop: "track stop", CallGetType: "get type", CallStatus: "status",
	CallVotesStart: "votes track start", CallVotesStop: "votes track stop", CallNodeInfo: "node info", CallSetExpected: "set expected",
	CallSetVotes: "set votes", CallAllSeen: "all seen", CallRegister: "device register", CallUnregister: "device unregister",
	CallRename: "device rename", CallPoll: "device poll", CallMaster: "device master wins",
}

// The events, the kind of a service.Conn's Push. On a change of the ring
// EventNodelist comes first, when the membership is known, and EventQuorum when
// the decision may be shown. A change of quorum alone is EventQuorum alone. A
// client of libquorum's model 0 gets EventQuorum only; the door leaves the
// other out.
//
// Who tracks votes gets EventNodelist, EventExpected and EventVotes: the first as
// above, which is when a quorum device has to say what it thinks of the new
// ring; then EventExpected if the number changed; then EventVotes. Without a
// change of the ring EventVotes comes when anything in it changed.
const (
	EventNodelist uint16 = iota + 1 // Nodelist
	EventQuorum                     // Quorum
	EventCurrency                   // Currency; no compatible library knows it, a door to one leaves it out
	EventExpected                   // Expected
	EventVotes                      // VotesEvent
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
	b = body.AppendU32(b, v.Quorum)
	return body.AppendU32(b, v.Device)
}

func takeVotes(r *body.Reader) Votes {
	return Votes{Expected: r.U32(), Total: r.U32(), Quorum: r.U32(), Device: r.U32()}
}
