package cfg

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
)

// ID is the service's id, behind those with a state to synchronise: they do not
// wait for it.
const ID = 10

// The client calls, the Func of a service.Request; calls and replies without a
// type have an empty body.
const (
	CallRings       uint16 = iota // answers Rings
	CallNode                      // NodeRequest; answers NodeStatus; ErrFailedOp for an unknown node
	CallKill                      // KillRequest; ErrNotExist unless the node is a member
	CallTryShutdown               // ShutdownRequest; answered when it is decided: OK, ErrBusyCode, or ErrExist while another one is
	CallVote                      // VoteRequest; ErrAccess if nobody asked
	CallTrackStart
	CallTrackStop
	CallReload // answered when it is done everywhere: OK, ErrInvalidParam, or ErrBusyCode while another one is; with lines of who refuses and why
	CallReopen // of log files
	numCalls
)

// EventShutdown asks a client that tracks, or tells it that time is up: Shutdown.
const EventShutdown uint16 = 1

// Flags of ShutdownRequest; the values are libcfg's.
const (
	Ask        uint32 = 0 // a no is a no
	Regardless uint32 = 1 // trackers are asked, and their answers make no difference
	Immediate  uint32 = 2 // nobody is asked
)

// MaxReason is the longest reason of a kill in bytes.
const MaxReason = 255

// NodeRequest is the body of CallNode; zero is this node.
type NodeRequest struct{ Node proto.NodeID }

// KillRequest is the body of CallKill.
type KillRequest struct {
	Node   proto.NodeID
	Reason string
}

// ShutdownRequest is the body of CallTryShutdown.
type ShutdownRequest struct{ Flags uint32 }

// VoteRequest is the body of CallVote.
type VoteRequest struct{ Yes bool }

// Shutdown is the body of EventShutdown.
type Shutdown struct {
	Flags    uint32
	TimedOut bool // no answer is wanted any more
}

// Link is the way to a node over one link.
type Link struct {
	Number    uint8
	Connected bool
	MTU       uint32 // bytes of payload
	Source    string // addresses, as text
	Dest      string
}

// NodeStatus answers CallNode.
type NodeStatus struct {
	Node      proto.NodeID
	Reachable bool
	Links     []Link
}

// Ring is one link in the answer to CallRings.
type Ring struct {
	Number uint8
	Addr   string // own
	// Status has one letter a node, by ascending id: n for this one, 3 for one that
	// is connected, 1 for one that is not, d for one that is not on the link. Where
	// the transport has no such knowledge it is the word OK.
	Status string
}

// Rings answers CallRings.
type Rings struct{ Rings []Ring }

func appendText(b []byte, s string) []byte { return body.AppendShort(b, s) }

func takeText(r *body.Reader) string { return string(r.Short()) }

// AppendTo appends the body of CallNode.
func (q NodeRequest) AppendTo(b []byte) []byte { return body.AppendNode(b, q.Node) }

// ParseNodeRequest reads the body of CallNode.
func ParseNodeRequest(b []byte) (NodeRequest, error) {
	r := body.NewReader(b)
	q := NodeRequest{r.Node()}
	return q, r.Close()
}

// AppendTo appends the body of CallKill.
func (q KillRequest) AppendTo(b []byte) []byte {
	return appendText(body.AppendNode(b, q.Node), q.Reason)
}

// ParseKill reads the body of CallKill.
func ParseKill(b []byte) (KillRequest, error) {
	r := body.NewReader(b)
	q := KillRequest{r.Node(), takeText(&r)}
	return q, r.Close()
}

// AppendTo appends the body of CallTryShutdown.
func (q ShutdownRequest) AppendTo(b []byte) []byte { return body.AppendU32(b, q.Flags) }

// ParseShutdownRequest reads the body of CallTryShutdown.
func ParseShutdownRequest(b []byte) (ShutdownRequest, error) {
	r := body.NewReader(b)
	q := ShutdownRequest{r.U32()}
	return q, r.Close()
}

// AppendTo appends the body of CallVote.
func (q VoteRequest) AppendTo(b []byte) []byte { return body.AppendBool(b, q.Yes) }

// ParseVote reads the body of CallVote.
func ParseVote(b []byte) (VoteRequest, error) {
	r := body.NewReader(b)
	q := VoteRequest{r.Bool()}
	return q, r.Close()
}

// AppendTo appends the body of EventShutdown.
func (e Shutdown) AppendTo(b []byte) []byte {
	return body.AppendBool(body.AppendU32(b, e.Flags), e.TimedOut)
}

// ParseShutdown reads the body of EventShutdown.
func ParseShutdown(b []byte) (Shutdown, error) {
	r := body.NewReader(b)
	e := Shutdown{r.U32(), r.Bool()}
	return e, r.Close()
}

const minLink = 1 + 1 + 4 + 1 + 1 // encoded Link

// AppendTo appends the answer to CallNode.
func (p NodeStatus) AppendTo(b []byte) []byte {
	b = body.AppendBool(body.AppendNode(b, p.Node), p.Reachable)
	b = body.AppendU32(b, uint32(len(p.Links)))
	for _, l := range p.Links {
		b = body.AppendBool(append(b, l.Number), l.Connected)
		b = body.AppendU32(b, l.MTU)
		b = appendText(appendText(b, l.Source), l.Dest)
	}
	return b
}

// ParseNode reads the answer to CallNode.
func ParseNode(b []byte) (NodeStatus, error) {
	r := body.NewReader(b)
	p := NodeStatus{Node: r.Node(), Reachable: r.Bool()}
	for range r.Count(minLink) {
		p.Links = append(p.Links, Link{Number: r.U8(), Connected: r.Bool(), MTU: r.U32(), Source: takeText(&r), Dest: takeText(&r)})
	}
	return p, r.Close()
}

const minRing = 1 + 1 + 2 // encoded Ring

// AppendTo appends the answer to CallRings.
func (p Rings) AppendTo(b []byte) []byte {
	b = body.AppendU32(b, uint32(len(p.Rings)))
	for _, x := range p.Rings {
		b = appendText(append(b, x.Number), x.Addr)
		b = append(body.AppendU16(b, uint16(len(x.Status))), x.Status...)
	}
	return b
}

// ParseRings reads the answer to CallRings.
func ParseRings(b []byte) (Rings, error) {
	r := body.NewReader(b)
	var p Rings
	for range r.Count(minRing) {
		p.Rings = append(p.Rings, Ring{Number: r.U8(), Addr: takeText(&r), Status: string(r.Bytes(int(r.U16())))})
	}
	return p, r.Close()
}
