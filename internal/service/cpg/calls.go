package cpg

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
)

// ID is the service's id.
const ID = 8

// The client calls, the Func of a service.Request. Bodies are those of the
// types below; calls and replies without a type have an empty body.
//
// CallMcast, CallLocal, CallMembership and the iteration calls answer before
// Call returns, and so does every refusal. The Reply of CallMcast may be nil:
// libcpg's plain multicast has no answer. All calls answer Code OK on success.
const (
	CallJoin         uint16 = iota // JoinRequest; answers when the join is on its way, its effect is an event
	CallLeave                      // LeaveRequest; likewise
	CallMcast                      // McastRequest; ErrNotExist if not joined
	CallPartial                    // PartialRequest; ErrNotExist if not joined, ErrInterrupt
	CallMembership                 // GroupRequest; answers MembershipReply
	CallLocal                      // answers LocalReply
	CallIterInit                   // IterInitRequest; answers HandleReply
	CallIterNext                   // HandleRequest; answers EntryReply, at the end ErrNoSections, for an unknown handle ErrLibrary
	CallIterFinalise               // HandleRequest; for an unknown handle ErrLibrary
	CallFinalise                   // ends event delivery and leaves the group; the connection stays open for the answer

	// Those of our own programs, see program.go.
	CallEnter  // EnterRequest; answers IdentityReply when the join is delivered
	CallExit   // answers when the leave is delivered
	CallSend   // the message; a cast
	CallSafe   // the message; answers SafeReply when it is safe
	CallDirect // DirectRequest; a cast; ErrNotExist if not in the group
	CallPost   // PostRequest; a cast; needs no membership
	CallRank   // RankRequest; a cast
	CallPiece  // Piece; a cast
	CallPaced  // Piece; answers when it is delivered, ErrNotExist if nobody waits for it any more
	CallGot    // GotRequest; a cast
	CallGroups // answers GroupsReply
	numCalls
)

// The events, the kind of a service.Conn's Push.
const (
	EventConfchg uint16 = iota + 1 // Confchg
	EventDeliver                   // Deliver
	EventTotem                     // TotemConf
	EventPartial                   // PartialDeliver

	// Those of our own programs, see program.go.
	EventView    // View
	EventMessage // Received
	EventGive    // Transfer: the program is to give its state as of this place
	EventAwait   // Transfer: the group's state as of this place comes
	EventPiece   // Piece
	EventAnew    // without a body: nobody has the state any more, this program begins anew
)

// Limits of the interface (corosync-ipc 2.1).
const (
	MaxGroup  = 128               // bytes of a group name; any bytes
	MaxAtomic = 1<<20 - 1024      // bytes of a message that needs no fragments, and of one fragment
	MaxTotal  = 1<<31 - 1 - 1<<20 // bytes of a message in fragments
	MaxListed = 128               // entries that a libcpg client takes in one list, see Listed
	processes = 4 + 4 + 1         // encoded Process
	tooLong   = MaxGroup + 1      // encoded length of any longer name
)

// JoinInitialTotem asks for one TotemConf right after the first Confchg.
const JoinInitialTotem uint32 = 1

// Listed cuts a list to what a libcpg client's arrays hold: the library copies
// without looking. Events and replies of this package are never cut; a door to
// libcpg calls Listed on every list it hands on.
func Listed[T any](list []T) []T { return list[:min(len(list), MaxListed)] }

// Reason says why a process is in the joined or left list of a Confchg. The
// values are libcpg's.
type Reason uint8

const (
	ReasonNone     Reason = iota // in member lists
	ReasonJoin                   // it called join
	ReasonLeave                  // it called leave
	ReasonNodeDown               // its node is not in the ring any more
	ReasonNodeUp                 // its node came into the ring
	ReasonProcDown               // it ended, or its connection did
	numReasons
)

// String is the word used in logs and documents.
func (r Reason) String() string {
	if r >= numReasons {
		return "unknown"
	}
	return [...]string{"none", "join", "leave", "node-down", "node-up", "process-down"}[r]
}

// Process is one member of a group. The pid is the one given with the join.
type Process struct {
	Node     proto.NodeID
	PID      uint32
	Instance uint64 // tells members of one process apart: their connection; zero for libcpg, whose lists do not have it
	Reason   Reason
}

// JoinRequest is the body of CallJoin. Encoding keeps a name that is too long
// too long, cut to MaxGroup+1 bytes; the service refuses it in its turn.
type JoinRequest struct {
	Group []byte
	PID   uint32
	Flags uint32
}

// LeaveRequest is the body of CallLeave.
type LeaveRequest struct {
	Group []byte
	PID   uint32
}

// McastRequest is the body of CallMcast: McastHead bytes, then the message. A
// door that has the message behind enough room writes the head with
// AppendMcastHead and saves a copy.
type McastRequest struct {
	Safe    bool // deliver when all members have it, else in agreed order
	Message []byte
}

// McastHead is the length of what stands before a message in CallMcast.
const McastHead = 1

// FragmentKind is the place of a fragment in its message; the values are libcpg's.
type FragmentKind uint8

const (
	FragmentFirst     FragmentKind = 1
	FragmentContinued FragmentKind = 2
	FragmentLast      FragmentKind = 3
)

// PartialRequest is the body of CallPartial.
type PartialRequest struct {
	Kind     FragmentKind
	Safe     bool
	Total    uint32 // length of the whole message
	Fragment []byte
}

// PartialHead is the length of what stands before a fragment in CallPartial.
const PartialHead = 6

// GroupRequest is the body of CallMembership.
type GroupRequest struct{ Group []byte }

// IterKind chooses what an iteration lists; the values are libcpg's.
type IterKind uint8

const (
	IterNames    IterKind = 1 // each group once, node and pid zero
	IterOneGroup IterKind = 2 // the processes of one group
	IterAll      IterKind = 3 // the processes of all groups, those of one group side by side
)

// IterInitRequest is the body of CallIterInit. Group counts with IterOneGroup only.
type IterInitRequest struct {
	Kind  IterKind
	Group []byte
}

// HandleRequest is the body of CallIterNext and CallIterFinalise, and as
// HandleReply the answer to CallIterInit. Handles belong to their connection.
type HandleRequest struct{ Handle uint64 }

// HandleReply answers CallIterInit.
type HandleReply = HandleRequest

// MembershipReply answers CallMembership: ascending by node, then pid.
type MembershipReply struct{ Members []Process }

// LocalReply answers CallLocal.
type LocalReply struct{ Node proto.NodeID }

// EntryReply answers CallIterNext.
type EntryReply struct {
	Group []byte
	Node  proto.NodeID
	PID   uint32
}

// Confchg tells the members of a group that it changed. Members is the list
// after the change, ascending by node, then pid, so leavers are not in it.
type Confchg struct {
	Group   []byte
	Members []Process
	Left    []Process
	Joined  []Process
}

// Deliver is one message in the order of the ring, which is the one of the last
// TotemConf. Conn and Tag name the call that sent it: for the sender's
// connection to know its own.
type Deliver struct {
	Group   []byte
	Node    proto.NodeID
	PID     uint32
	Safe    bool
	Slot    proto.Slot
	Conn    uint64
	Tag     uint64
	Message []byte
}

// PartialDeliver is one fragment. Fragments of one sender come in order, those
// of several may interleave.
type PartialDeliver struct {
	Group    []byte
	Node     proto.NodeID
	PID      uint32
	Safe     bool
	Slot     proto.Slot
	Conn     uint64
	Tag      uint64
	Kind     FragmentKind
	Total    uint32
	Fragment []byte
}

// TotemConf tells every connection, joined or not, which nodes are in the ring.
type TotemConf struct {
	Ring    proto.RingID
	Members []proto.NodeID // ascending
}

func appendName(b, group []byte) []byte {
	return body.AppendShort(b, group[:min(len(group), tooLong)])
}

func takeName(r *body.Reader) []byte {
	name := r.Short()
	if len(name) > tooLong {
		r.Fail("group name")
	}
	return name
}

func appendProcesses(b []byte, list []Process) []byte {
	b = body.AppendU32(b, uint32(len(list)))
	for _, p := range list {
		b = body.AppendNode(b, p.Node)
		b = body.AppendU32(b, p.PID)
		b = append(b, byte(p.Reason))
	}
	return b
}

func takeProcesses(r *body.Reader) []Process {
	n := r.Count(processes)
	if n == 0 {
		return nil
	}
	list := make([]Process, n)
	for i := range list {
		list[i] = Process{Node: r.Node(), PID: r.U32(), Reason: Reason(r.U8())}
		if list[i].Reason >= numReasons {
			r.Fail("reason")
		}
	}
	return list
}

// AppendTo appends the body of CallJoin.
func (q JoinRequest) AppendTo(b []byte) []byte {
	b = body.AppendU32(b, q.PID)
	b = body.AppendU32(b, q.Flags)
	return appendName(b, q.Group)
}

// ParseJoin reads the body of CallJoin; Group is a view.
func ParseJoin(b []byte) (JoinRequest, error) {
	r := body.NewReader(b)
	q := JoinRequest{PID: r.U32(), Flags: r.U32(), Group: takeName(&r)}
	return q, r.Close()
}

// AppendTo appends the body of CallLeave.
func (q LeaveRequest) AppendTo(b []byte) []byte {
	return appendName(body.AppendU32(b, q.PID), q.Group)
}

// ParseLeave reads the body of CallLeave; Group is a view.
func ParseLeave(b []byte) (LeaveRequest, error) {
	r := body.NewReader(b)
	q := LeaveRequest{PID: r.U32(), Group: takeName(&r)}
	return q, r.Close()
}

// AppendMcastHead appends the McastHead bytes that stand before a message.
func AppendMcastHead(b []byte, safe bool) []byte { return body.AppendBool(b, safe) }

// AppendTo appends the body of CallMcast.
func (q McastRequest) AppendTo(b []byte) []byte {
	return append(AppendMcastHead(b, q.Safe), q.Message...)
}

// ParseMcast reads the body of CallMcast; Message is a view.
func ParseMcast(b []byte) (McastRequest, error) {
	r := body.NewReader(b)
	q := McastRequest{Safe: r.Bool(), Message: r.Rest()}
	return q, r.Close()
}

// AppendPartialHead appends the PartialHead bytes that stand before a fragment.
func AppendPartialHead(b []byte, k FragmentKind, safe bool, total uint32) []byte {
	return body.AppendU32(body.AppendBool(append(b, byte(k)), safe), total)
}

// AppendTo appends the body of CallPartial.
func (q PartialRequest) AppendTo(b []byte) []byte {
	return append(AppendPartialHead(b, q.Kind, q.Safe, q.Total), q.Fragment...)
}

// ParsePartial reads the body of CallPartial; Fragment is a view.
func ParsePartial(b []byte) (PartialRequest, error) {
	r := body.NewReader(b)
	q := PartialRequest{Kind: takeKind(&r), Safe: r.Bool(), Total: r.U32(), Fragment: r.Rest()}
	return q, r.Close()
}

func takeKind(r *body.Reader) FragmentKind {
	k := FragmentKind(r.U8())
	if k < FragmentFirst || k > FragmentLast {
		r.Fail("fragment kind")
	}
	return k
}

// AppendTo appends the body of CallMembership.
func (q GroupRequest) AppendTo(b []byte) []byte { return appendName(b, q.Group) }

// ParseGroup reads the body of CallMembership; Group is a view.
func ParseGroup(b []byte) (GroupRequest, error) {
	r := body.NewReader(b)
	q := GroupRequest{Group: takeName(&r)}
	return q, r.Close()
}

// AppendTo appends the body of CallIterInit.
func (q IterInitRequest) AppendTo(b []byte) []byte {
	return appendName(append(b, byte(q.Kind)), q.Group)
}

// ParseIterInit reads the body of CallIterInit; Group is a view. An unknown
// kind passes: the service answers it.
func ParseIterInit(b []byte) (IterInitRequest, error) {
	r := body.NewReader(b)
	q := IterInitRequest{Kind: IterKind(r.U8()), Group: takeName(&r)}
	return q, r.Close()
}

// AppendTo appends the body that carries a handle.
func (q HandleRequest) AppendTo(b []byte) []byte { return body.AppendU64(b, q.Handle) }

// ParseHandle reads a body that carries a handle.
func ParseHandle(b []byte) (HandleRequest, error) {
	r := body.NewReader(b)
	q := HandleRequest{Handle: r.U64()}
	return q, r.Close()
}

// AppendTo appends the answer to CallMembership.
func (p MembershipReply) AppendTo(b []byte) []byte { return appendProcesses(b, p.Members) }

// ParseMembership reads the answer to CallMembership.
func ParseMembership(b []byte) (MembershipReply, error) {
	r := body.NewReader(b)
	p := MembershipReply{Members: takeProcesses(&r)}
	return p, r.Close()
}

// AppendTo appends the answer to CallLocal.
func (p LocalReply) AppendTo(b []byte) []byte { return body.AppendNode(b, p.Node) }

// ParseLocal reads the answer to CallLocal.
func ParseLocal(b []byte) (LocalReply, error) {
	r := body.NewReader(b)
	p := LocalReply{Node: r.Node()}
	return p, r.Close()
}

// AppendTo appends the answer to CallIterNext.
func (p EntryReply) AppendTo(b []byte) []byte {
	return appendName(body.AppendU32(body.AppendNode(b, p.Node), p.PID), p.Group)
}

// ParseEntry reads the answer to CallIterNext; Group is a view.
func ParseEntry(b []byte) (EntryReply, error) {
	r := body.NewReader(b)
	p := EntryReply{Node: r.Node(), PID: r.U32(), Group: takeName(&r)}
	return p, r.Close()
}

// AppendTo appends the body of EventConfchg.
func (e Confchg) AppendTo(b []byte) []byte {
	b = appendName(b, e.Group)
	b = appendProcesses(b, e.Members)
	b = appendProcesses(b, e.Left)
	return appendProcesses(b, e.Joined)
}

// ParseConfchg reads the body of EventConfchg; Group is a view.
func ParseConfchg(b []byte) (Confchg, error) {
	r := body.NewReader(b)
	e := Confchg{Group: takeName(&r), Members: takeProcesses(&r), Left: takeProcesses(&r), Joined: takeProcesses(&r)}
	return e, r.Close()
}

// AppendTo appends the body of EventDeliver.
func (e Deliver) AppendTo(b []byte) []byte {
	b = appendDeliverHead(b, &e)
	return append(b, e.Message...)
}

func appendDeliverHead(b []byte, e *Deliver) []byte {
	b = body.AppendNode(b, e.Node)
	b = body.AppendU32(b, e.PID)
	b = body.AppendU64(b, uint64(e.Slot))
	b = body.AppendU64(b, e.Conn)
	b = body.AppendU64(b, e.Tag)
	b = body.AppendBool(b, e.Safe)
	return appendName(b, e.Group)
}

func takeDeliverHead(r *body.Reader) Deliver {
	return Deliver{Node: r.Node(), PID: r.U32(), Slot: proto.Slot(r.U64()), Conn: r.U64(), Tag: r.U64(),
		Safe: r.Bool(), Group: takeName(r)}
}

// ParseDeliver reads the body of EventDeliver; Group and Message are views.
func ParseDeliver(b []byte) (Deliver, error) {
	r := body.NewReader(b)
	e := takeDeliverHead(&r)
	e.Message = r.Rest()
	return e, r.Close()
}

// AppendTo appends the body of EventPartial.
func (e PartialDeliver) AppendTo(b []byte) []byte {
	b = appendDeliverHead(b, &Deliver{Group: e.Group, Node: e.Node, PID: e.PID, Safe: e.Safe, Slot: e.Slot,
		Conn: e.Conn, Tag: e.Tag})
	b = append(b, byte(e.Kind))
	b = body.AppendU32(b, e.Total)
	return append(b, e.Fragment...)
}

// ParsePartialDeliver reads the body of EventPartial; Group and Fragment are views.
func ParsePartialDeliver(b []byte) (PartialDeliver, error) {
	r := body.NewReader(b)
	h := takeDeliverHead(&r)
	e := PartialDeliver{Group: h.Group, Node: h.Node, PID: h.PID, Safe: h.Safe, Slot: h.Slot, Conn: h.Conn, Tag: h.Tag,
		Kind: takeKind(&r), Total: r.U32(), Fragment: r.Rest()}
	return e, r.Close()
}

// AppendTo appends the body of EventTotem.
func (e TotemConf) AppendTo(b []byte) []byte {
	return body.AppendNodes(body.AppendRing(b, e.Ring), e.Members)
}

// ParseTotem reads the body of EventTotem.
func ParseTotem(b []byte) (TotemConf, error) {
	r := body.NewReader(b)
	e := TotemConf{Ring: r.Ring(), Members: r.Nodes()}
	return e, r.Close()
}
