package quorum

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
)

// NodeState says what became of a node; the values are libvotequorum's.
type NodeState uint32

const (
	NodeMember  NodeState = 1
	NodeDead    NodeState = 2
	NodeLeaving NodeState = 3
)

// Flags of NodeInfo; the values are libvotequorum's. The first six tell of the
// node that answers, the others of the one that was asked for.
const (
	FlagTwoNode          uint32 = 1
	FlagQuorate          uint32 = 2
	FlagWaitForAll       uint32 = 4
	FlagLastManStanding  uint32 = 8
	FlagTieBreaker       uint32 = 16
	FlagDownscale        uint32 = 32
	FlagDeviceRegistered uint32 = 64
	FlagDeviceAlive      uint32 = 128
	FlagDeviceCast       uint32 = 256
	FlagDeviceMaster     uint32 = 512
)

// MaxDeviceName is the longest name of a quorum device, in bytes.
const MaxDeviceName = 254

// NodeRequest is the body of CallNodeInfo. Node zero is the own one.
type NodeRequest struct{ Node proto.NodeID }

// NodeInfo answers CallNodeInfo.
type NodeInfo struct {
	Node        proto.NodeID
	State       NodeState
	Votes       uint32
	Expected    uint32 // by that node
	Highest     uint32 // expected votes as they count
	Total       uint32 // of all members, and the device's if it votes for that node
	Quorum      uint32
	Flags       uint32
	DeviceVotes uint32 // that a device has to give
	DeviceName  string // of devices in this ring, empty if none is registered
}

// NumberRequest is the body of CallSetExpected and CallSetVotes. Node zero is
// the own one.
type NumberRequest struct {
	Node  proto.NodeID
	Value uint32
}

// DeviceRequest is the body of the calls about a quorum device.
type DeviceRequest struct {
	Name  string
	Other string // CallRename
	Allow bool   // CallMaster
}

// PollRequest is the body of CallPoll. Inc of Ring is not looked at.
type PollRequest struct {
	Name string
	Cast bool
	Ring proto.RingID
}

// Expected is the body of EventExpected.
type Expected struct{ Votes uint32 }

// VotesEvent tells the decision and all nodes that were ever members since this
// one started, ascending. Device is the state of the quorum device that is
// registered here, zero without one.
type VotesEvent struct {
	Quorate bool
	Device  NodeState
	Nodes   []VoterState
}

// VoterState is one node of VotesEvent.
type VoterState struct {
	Node  proto.NodeID
	State NodeState
}

const voterState = 4 + 4 // encoded VoterState

// AppendTo appends the body of CallNodeInfo.
func (q NodeRequest) AppendTo(b []byte) []byte { return body.AppendNode(b, q.Node) }

// ParseNodeRequest reads the body of CallNodeInfo.
func ParseNodeRequest(b []byte) (NodeRequest, error) {
	r := body.NewReader(b)
	q := NodeRequest{Node: r.Node()}
	return q, r.Close()
}

// AppendTo appends the answer to CallNodeInfo.
func (p NodeInfo) AppendTo(b []byte) []byte {
	b = body.AppendNode(b, p.Node)
	for _, n := range []uint32{uint32(p.State), p.Votes, p.Expected, p.Highest, p.Total, p.Quorum, p.Flags, p.DeviceVotes} {
		b = body.AppendU32(b, n)
	}
	return body.AppendShort(b, p.DeviceName)
}

// ParseNodeInfo reads the answer to CallNodeInfo.
func ParseNodeInfo(b []byte) (NodeInfo, error) {
	r := body.NewReader(b)
	p := NodeInfo{Node: r.Node(), State: NodeState(r.U32()), Votes: r.U32(), Expected: r.U32(), Highest: r.U32(), Total: r.U32(),
		Quorum: r.U32(), Flags: r.U32(), DeviceVotes: r.U32(), DeviceName: string(r.Short())}
	return p, r.Close()
}

// AppendTo appends the body of CallSetExpected and CallSetVotes.
func (q NumberRequest) AppendTo(b []byte) []byte {
	return body.AppendU32(body.AppendNode(b, q.Node), q.Value)
}

// ParseNumber reads the body of CallSetExpected and CallSetVotes.
func ParseNumber(b []byte) (NumberRequest, error) {
	r := body.NewReader(b)
	q := NumberRequest{Node: r.Node(), Value: r.U32()}
	return q, r.Close()
}

// AppendTo appends the body of a call about a device.
func (q DeviceRequest) AppendTo(b []byte) []byte {
	b = body.AppendShort(b, q.Name)
	b = body.AppendShort(b, q.Other)
	return body.AppendBool(b, q.Allow)
}

// ParseDeviceRequest reads the body of a call about a device.
func ParseDeviceRequest(b []byte) (DeviceRequest, error) {
	r := body.NewReader(b)
	q := DeviceRequest{Name: string(r.Short()), Other: string(r.Short()), Allow: r.Bool()}
	return q, r.Close()
}

// AppendTo appends the body of CallPoll.
func (q PollRequest) AppendTo(b []byte) []byte {
	b = body.AppendShort(b, q.Name)
	b = body.AppendBool(b, q.Cast)
	return body.AppendRing(b, q.Ring)
}

// ParsePoll reads the body of CallPoll.
func ParsePoll(b []byte) (PollRequest, error) {
	r := body.NewReader(b)
	q := PollRequest{Name: string(r.Short()), Cast: r.Bool(), Ring: r.Ring()}
	return q, r.Close()
}

// AppendTo appends the body of EventExpected.
func (e Expected) AppendTo(b []byte) []byte { return body.AppendU32(b, e.Votes) }

// ParseExpected reads the body of EventExpected.
func ParseExpected(b []byte) (Expected, error) {
	r := body.NewReader(b)
	e := Expected{Votes: r.U32()}
	return e, r.Close()
}

// AppendTo appends the body of EventVotes.
func (e VotesEvent) AppendTo(b []byte) []byte {
	b = body.AppendBool(b, e.Quorate)
	b = body.AppendU32(b, uint32(e.Device))
	b = body.AppendU32(b, uint32(len(e.Nodes)))
	for _, n := range e.Nodes {
		b = body.AppendNode(b, n.Node)
		b = body.AppendU32(b, uint32(n.State))
	}
	return b
}

// ParseVotes reads the body of EventVotes.
func ParseVotes(b []byte) (VotesEvent, error) {
	r := body.NewReader(b)
	e := VotesEvent{Quorate: r.Bool(), Device: NodeState(r.U32())}
	for range r.Count(voterState) {
		e.Nodes = append(e.Nodes, VoterState{Node: r.Node(), State: NodeState(r.U32())})
	}
	return e, r.Close()
}
