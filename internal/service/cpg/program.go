package cpg

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// Our own programs use the service by calls and events of their own, beside
// those of libcpg, in the same groups. A connection is in at most one group. It
// gets views, which carry in one event what libcpg spreads over three libraries,
// and takes part in the transfer of state if it wants to.

// Limits of the interface.
const (
	MaxMeta  = 4096     // bytes that a member says about itself
	MaxPiece = 64 << 10 // bytes of state in one piece
)

// EnterRequest is the body of CallEnter. The process is the one at the other end
// of the connection.
type EnterRequest struct {
	Group    []byte
	Meta     []byte
	Rank     uint64 // sides of a merge with a higher one win, before epochs count
	Stateful bool   // it gives and takes the group's state
}

// IdentityReply answers CallEnter.
type IdentityReply struct {
	Node     proto.NodeID
	PID      uint32
	Instance uint64
}

// SafeReply answers CallSafe: each of Members delivers the message in this
// configuration unless it crashes.
type SafeReply struct {
	Ring         proto.RingID
	Transitional bool
	Members      []proto.NodeID
}

// DirectRequest is the body of CallDirect: a message for one member, in the
// order of all.
type DirectRequest struct {
	Node     proto.NodeID
	PID      uint32
	Instance uint64
	Message  []byte
}

// PostRequest is the body of CallPost.
type PostRequest struct {
	Group   []byte
	Message []byte
}

// RankRequest is the body of CallRank.
type RankRequest struct{ Rank uint64 }

// Place names a transfer of state by where in the order it began.
type Place struct {
	Ring   proto.RingID
	Number uint64 // of the transfers of the group that began in the ring
}

// Piece is a part of a state on its way, the body of EventPiece and of
// CallPiece. Pieces of one transfer come in order and
// without gaps. The first one has no data but the digest of the state, if its
// giver knows one; the last one has the checksum, of all data before.
type Piece struct {
	Place  Place
	Kind   PieceKind
	Offset uint64
	Data   []byte
}

// PieceKind is what the data of a Piece are.
type PieceKind uint8

const (
	PieceDigest PieceKind = iota // of the state as its programs see it; may be empty
	PieceData
	PieceEnd // the SHA-256 of all data
	numPieces
)

// GotRequest is the body of CallGot: the receiver has the state, or could not
// use it and wants it anew.
type GotRequest struct {
	Place Place
	Whole bool
}

// Transfer is the body of EventGive and EventAwait.
type Transfer struct {
	Place Place
	From  Process
}

// Received is the body of EventMessage. The ring is that of the last view.
type Received struct {
	From         Process // Reason is not used
	Slot         proto.Slot
	Seq          uint64 // the sender's, as given with the cast
	Safe         bool
	Transitional bool // the ring broke before all its members were known to have it
	Direct       bool // for this member alone
	Post         bool // the sender is not in the group
	Message      []byte
}

// ViewMember is a member of a group in a View.
type ViewMember struct {
	Process
	Meta     []byte
	Rank     uint64
	Stateful bool
	HasState bool
}

// View is the body of EventView: who is in the group and what that is worth, as
// of one place in the order. Lists are ascending.
type View struct {
	Ring       proto.RingID
	Slot       proto.Slot     // zero: the beginning of the ring
	Nodes      []proto.NodeID // members of the ring
	Came       []proto.NodeID // those of them that came along from this node's view before: they delivered the same
	Quorate    bool
	Currency   service.Currency
	Votes      uint32 // present
	Expected   uint32
	GroupVotes uint32 // of the nodes with a member of the group that does not wait for its state
	Majority   bool   // quorate, and more than half of the expected ones are of nodes with a member whose state is certain; of any, if the group has no state
	Members    []ViewMember
	Joined     []Process // of Members, with reasons
	Left       []Process
}

// GroupInfo is one group with its processes.
type GroupInfo struct {
	Group   []byte
	Members []ViewMember
}

// GroupsReply answers CallGroups: all groups of the ring by name.
type GroupsReply struct{ Groups []GroupInfo }

func appendIdentity(b []byte, p Process) []byte {
	return body.AppendU64(body.AppendU32(body.AppendNode(b, p.Node), p.PID), p.Instance)
}

func takeIdentity(r *body.Reader) Process {
	return Process{Node: r.Node(), PID: r.U32(), Instance: r.U64()}
}

func appendPlace(b []byte, p Place) []byte {
	return body.AppendU64(body.AppendRing(b, p.Ring), p.Number)
}

func takePlace(r *body.Reader) Place { return Place{Ring: r.Ring(), Number: r.U64()} }

// appendChanges encodes processes with their reasons.
func appendChanges(b []byte, list []Process) []byte {
	b = body.AppendU32(b, uint32(len(list)))
	for _, p := range list {
		b = append(appendIdentity(b, p), byte(p.Reason))
	}
	return b
}

func takeChanges(r *body.Reader) []Process {
	n := r.Count(4 + 4 + 8 + 1)
	if n == 0 {
		return nil
	}
	list := make([]Process, n)
	for i := range list {
		list[i] = takeIdentity(r)
		if list[i].Reason = Reason(r.U8()); list[i].Reason >= numReasons {
			r.Fail("reason")
		}
	}
	return list
}

func appendMembers(b []byte, list []ViewMember) []byte {
	b = body.AppendU32(b, uint32(len(list)))
	for _, m := range list {
		b = body.AppendNode(b, m.Node)
		b = appendEntry(b, &entry{Process: m.Process, meta: m.Meta, rank: m.Rank, stateful: m.Stateful, has: m.HasState})
	}
	return b
}

func takeMembers(r *body.Reader) []ViewMember {
	n := r.Count(4 + entrySize)
	if n == 0 {
		return nil
	}
	list := make([]ViewMember, n)
	for i := range list {
		node := r.Node()
		e := takeEntry(r)
		e.Node = node
		list[i] = e.shown()
	}
	return list
}

// shown is the entry as programs see it; the meta data is shared.
func (e *entry) shown() ViewMember {
	return ViewMember{Process: e.Process, Meta: e.meta, Rank: e.rank, Stateful: e.stateful, HasState: e.has}
}

// AppendTo appends the body of CallEnter.
func (q EnterRequest) AppendTo(b []byte) []byte {
	b = appendName(b, q.Group)
	b = body.AppendBool(b, q.Stateful)
	return appendMeta(body.AppendU64(b, q.Rank), q.Meta)
}

// ParseEnter reads the body of CallEnter; Group is a view.
func ParseEnter(b []byte) (EnterRequest, error) {
	r := body.NewReader(b)
	q := EnterRequest{Group: takeName(&r), Stateful: r.Bool(), Rank: r.U64(), Meta: takeMeta(&r)}
	return q, r.Close()
}

// AppendTo appends the answer to CallEnter.
func (p IdentityReply) AppendTo(b []byte) []byte {
	return appendIdentity(b, Process{Node: p.Node, PID: p.PID, Instance: p.Instance})
}

// ParseIdentity reads the answer to CallEnter.
func ParseIdentity(b []byte) (IdentityReply, error) {
	r := body.NewReader(b)
	p := takeIdentity(&r)
	return IdentityReply{p.Node, p.PID, p.Instance}, r.Close()
}

// AppendTo appends the answer to CallSafe.
func (p SafeReply) AppendTo(b []byte) []byte {
	return body.AppendNodes(body.AppendBool(body.AppendRing(b, p.Ring), p.Transitional), p.Members)
}

// ParseSafe reads the answer to CallSafe.
func ParseSafe(b []byte) (SafeReply, error) {
	r := body.NewReader(b)
	p := SafeReply{Ring: r.Ring(), Transitional: r.Bool(), Members: r.Nodes()}
	return p, r.Close()
}

// AppendTo appends the body of CallDirect.
func (q DirectRequest) AppendTo(b []byte) []byte {
	return append(appendIdentity(b, Process{Node: q.Node, PID: q.PID, Instance: q.Instance}), q.Message...)
}

// ParseDirect reads the body of CallDirect; Message is a view.
func ParseDirect(b []byte) (DirectRequest, error) {
	r := body.NewReader(b)
	p := takeIdentity(&r)
	q := DirectRequest{p.Node, p.PID, p.Instance, r.Rest()}
	return q, r.Close()
}

// AppendTo appends the body of CallPost.
func (q PostRequest) AppendTo(b []byte) []byte { return append(appendName(b, q.Group), q.Message...) }

// ParsePost reads the body of CallPost; Group and Message are views.
func ParsePost(b []byte) (PostRequest, error) {
	r := body.NewReader(b)
	q := PostRequest{Group: takeName(&r), Message: r.Rest()}
	return q, r.Close()
}

// AppendTo appends the body of CallRank.
func (q RankRequest) AppendTo(b []byte) []byte { return body.AppendU64(b, q.Rank) }

// ParseRank reads the body of CallRank.
func ParseRank(b []byte) (RankRequest, error) {
	r := body.NewReader(b)
	q := RankRequest{r.U64()}
	return q, r.Close()
}

// AppendTo appends a piece.
func (p Piece) AppendTo(b []byte) []byte {
	b = append(appendPlace(b, p.Place), byte(p.Kind))
	return append(body.AppendU64(b, p.Offset), p.Data...)
}

// ParsePiece reads a piece; Data is a view.
func ParsePiece(b []byte) (Piece, error) {
	r := body.NewReader(b)
	p := takePiece(&r)
	return p, r.Close()
}

func takePiece(r *body.Reader) Piece {
	p := Piece{Place: takePlace(r), Kind: PieceKind(r.U8()), Offset: r.U64(), Data: r.Rest()}
	if p.Kind >= numPieces {
		r.Fail("kind of piece")
	}
	if len(p.Data) > MaxPiece {
		r.Fail("piece of state")
	}
	return p
}

// AppendTo appends the body of CallGot.
func (q GotRequest) AppendTo(b []byte) []byte {
	return body.AppendBool(appendPlace(b, q.Place), q.Whole)
}

// ParseGot reads the body of CallGot.
func ParseGot(b []byte) (GotRequest, error) {
	r := body.NewReader(b)
	q := GotRequest{Place: takePlace(&r), Whole: r.Bool()}
	return q, r.Close()
}

// AppendTo appends the body of EventGive and EventAwait.
func (e Transfer) AppendTo(b []byte) []byte { return appendIdentity(appendPlace(b, e.Place), e.From) }

// ParseTransfer reads the body of EventGive and EventAwait.
func ParseTransfer(b []byte) (Transfer, error) {
	r := body.NewReader(b)
	e := Transfer{Place: takePlace(&r), From: takeIdentity(&r)}
	return e, r.Close()
}

// Flags of EventMessage.
const (
	flagSafe = 1 << iota
	flagTransitional
	flagDirect
	flagPost
	numReceivedFlags = iota
)

// AppendTo appends the body of EventMessage.
func (e Received) AppendTo(b []byte) []byte {
	var f uint8
	for i, set := range []bool{e.Safe, e.Transitional, e.Direct, e.Post} {
		if set {
			f |= 1 << i
		}
	}
	b = appendIdentity(append(b, f), e.From)
	b = body.AppendU64(body.AppendU64(b, uint64(e.Slot)), e.Seq)
	return append(b, e.Message...)
}

// ParseReceived reads the body of EventMessage; Message is a view.
func ParseReceived(b []byte) (Received, error) {
	r := body.NewReader(b)
	f := r.U8()
	if f >= 1<<numReceivedFlags {
		r.Fail("flags")
	}
	e := Received{Safe: f&flagSafe != 0, Transitional: f&flagTransitional != 0, Direct: f&flagDirect != 0, Post: f&flagPost != 0,
		From: takeIdentity(&r), Slot: proto.Slot(r.U64()), Seq: r.U64(), Message: r.Rest()}
	return e, r.Close()
}

// AppendTo appends the body of EventView.
func (e View) AppendTo(b []byte) []byte {
	b = body.AppendU64(body.AppendRing(b, e.Ring), uint64(e.Slot))
	b = body.AppendNodes(body.AppendNodes(b, e.Nodes), e.Came)
	b = append(body.AppendBool(b, e.Quorate), byte(e.Currency))
	for _, v := range []uint32{e.Votes, e.Expected, e.GroupVotes} {
		b = body.AppendU32(b, v)
	}
	b = body.AppendBool(b, e.Majority)
	b = appendMembers(b, e.Members)
	return appendChanges(appendChanges(b, e.Joined), e.Left)
}

// ParseView reads the body of EventView.
func ParseView(b []byte) (View, error) {
	r := body.NewReader(b)
	e := View{Ring: r.Ring(), Slot: proto.Slot(r.U64()), Nodes: r.Nodes(), Came: r.Nodes(), Quorate: r.Bool(), Currency: service.Currency(r.U8()),
		Votes: r.U32(), Expected: r.U32(), GroupVotes: r.U32(), Majority: r.Bool(),
		Members: takeMembers(&r), Joined: takeChanges(&r), Left: takeChanges(&r)}
	if e.Currency > service.CurrencyUnknown {
		r.Fail("currency")
	}
	return e, r.Close()
}

// AppendTo appends the answer to CallGroups.
func (p GroupsReply) AppendTo(b []byte) []byte {
	b = body.AppendU32(b, uint32(len(p.Groups)))
	for _, g := range p.Groups {
		b = appendMembers(appendName(b, g.Group), g.Members)
	}
	return b
}

// ParseGroups reads the answer to CallGroups.
func ParseGroups(b []byte) (GroupsReply, error) {
	r := body.NewReader(b)
	n := r.Count(1 + 4)
	var p GroupsReply
	for range n {
		p.Groups = append(p.Groups, GroupInfo{Group: takeName(&r), Members: takeMembers(&r)})
	}
	return p, r.Close()
}
