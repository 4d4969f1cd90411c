package wire

import "github.com/moothall/moothall/internal/proto"

// Type says what a frame is.
type Type uint8

const (
	TypeData Type = 1 + iota
	TypeToken
	TypeTokenAck
	TypeJoin
	TypeCommit
	TypeProbe
	TypeWake
	TypeNotice
)

// Flags of the common header.
const (
	FlagRetransmit   uint16 = 1 << iota // sent again on request
	FlagPostToken                       // sent after the token of its visit (ordering 2.8)
	FlagEncapsulated                    // carries one frame of an old ring (ordering 2.16 R2)
	FlagLastOfVisit                     // nothing of this visit follows
)

const (
	Magic         = 0x4D48
	Version       = 1
	HeaderLen     = 28
	DataHeadLen   = 24             // after the header
	WrapLen       = HeaderLen + 24 // what encapsulation adds to a frame
	FlagsOffset   = 4              // of the header's flags, the only bytes a retransmission may change
	MaxNodes      = 1024           // largest list of nodes that is decoded
	MaxRtr        = 54             // retransmit items that fit a token of the floor size
	MaxFrame      = 1 << 20        // largest frame before fragments: a commit token
	MaxRuns       = 1 << 16        // bounds a have set
	FloorMTU      = 1200           // smallest usable path MTU (ordering 2.22)
	MaxNoticeText = 512
)

// Header starts every frame, 28 bytes.
type Header struct {
	Type    Type
	Flags   uint16
	Cluster uint32       // first four bytes of the cluster id
	Ring    proto.RingID // Data, Token, TokenAck, Wake: theirs; Join, Probe, Notice: the sender's last operational; Commit: the new one
}

// Data carries pieces of messages in one slot of the ring's order.
type Data struct {
	Slot      proto.Slot
	Origin    proto.NodeID
	OriginInc uint32 // low 32 bits
	Round     uint32 // tokens the originator had passed on this ring
	Count     uint16 // pieces; with FlagEncapsulated 1
	Pieces    []byte // encoded pieces, read with NextPiece; with FlagEncapsulated the inner frame verbatim
}

// Piece flags. Bits 4-5 hold the class.
const (
	PieceLast   uint8 = 1 << iota // the message ends here
	PieceSafe                     // the message asks for safe delivery
	PieceEngine                   // an ordered control message of the representative
)

// Piece is a part of a message.
type Piece struct {
	K     uint64 // number of the message at its sender's incarnation
	No    uint64 // number of the piece within the message, from 0
	Flags uint8
	Body  []byte
}

// Class returns the priority class, 0 to 3.
func (p Piece) Class() uint8 { return p.Flags >> 4 & 3 }

// Token flags.
const (
	TokenRecovery uint8 = 1 << iota
	TokenHold
	TokenLimited // somebody still has a backlog after its visit
)

// RtrItem asks for up to 64 slots.
type RtrItem struct {
	Base      proto.Slot   // a multiple of 64
	Miss      uint64       // bit i: slot Base+i is missed
	Requester proto.NodeID // zero: several
}

// Token is the token of a ring.
type Token struct {
	TokenSeq uint64
	Seq      proto.Slot // highest slot in use
	Aru      proto.Slot // all received up to
	AruOwner proto.NodeID
	Fcc      int32 // frames sent in the last rotation
	Backlog  int32 // frames waiting at all members
	Wnd      uint32
	Stable   proto.Slot
	RtrMade  uint32
	Flags    uint8
	Rtr      []RtrItem // decoding reuses the capacity
	Stamp    uint64    // the representative's clock, echoed by nobody
}

// TokenAck acknowledges a token or commit token by its number.
type TokenAck struct {
	TokenSeq uint64
	Aru      proto.Slot
}

// Table is the configured node table that bitmaps index. Nodes with other IDs
// must have another Version.
type Table struct {
	Version uint32
	IDs     []proto.NodeID // ascending
}

// Member is a node in one of its lives.
type Member struct {
	ID  proto.NodeID
	Inc uint64
}

// Join flags.
const (
	JoinLeaving   uint8 = 1 << iota
	JoinUndecided       // the sender knows of a dead edge in the set and does not agree yet
	JoinApart           // the sender goes on alone, because it does not reach all others
)

// Join tells what the sender takes the membership to be.
type Join struct {
	Attempt    uint32
	RingSeq    uint64 // committed_seq: the highest that was really promised
	MaxSeen    uint64
	Proc       []Member       // ascending by id
	Fail       []proto.NodeID // ascending
	Heard      []proto.NodeID // ascending
	Quarantine []proto.NodeID // ascending
	Digest     uint64         // of Proc and Fail
	State      uint8
	Reason     uint8
	Flags      uint8
}

// Run is a stretch of slots that a member holds.
type Run struct {
	First proto.Slot
	Len   uint32
}

// Quarantined is one entry of a quarantine list.
type Quarantined struct {
	Node        proto.NodeID
	K           uint8
	RemainingMS uint32
	Reason      uint8
}

// CommitEntry is what one member brings into a new ring.
type CommitEntry struct {
	Member     Member
	Filled     bool
	Quorate    bool
	OldRing    proto.RingID
	Aru        proto.Slot
	High       proto.Slot
	Stable     proto.Slot
	Deliver    []proto.NodeID // D of ordering 2.16, ascending
	Have       []Run          // held slots in (Aru, High], ascending, complete; two runs never touch
	MTU        uint16
	Features   uint64
	Quarantine []Quarantined
}

// Commit is the commit token. Its new ring id stands in the header.
type Commit struct {
	TokenSeq uint64
	Phase    uint8         // 1 or 2
	Entries  []CommitEntry // ascending by id
}

// Probe looks for other rings.
type Probe struct {
	Members []proto.NodeID // ascending
	Reach   []proto.NodeID // ascending: with whom the asker exchanges packets both ways
	Flags   uint8
}

// ProbeForwarded marks a probe that a member passed on to its representative.
// The header's ring still names the asker's ring, its Rep the asker.
const ProbeForwarded uint8 = 1

// ProbeKept marks a probe of a node that is kept out and is not the
// representative of its ring: it tells Reach of its sender and asks for nothing
// else.
const ProbeKept uint8 = 2

// Wake asks the representative to let a held token go.
type Wake struct{ Hint proto.Slot }

// NoticeCode says why a peer is told something.
type NoticeCode uint8

const (
	NoticeIDConflict NoticeCode = 1 + iota
	NoticeStaleIncarnation
	NoticeVersionMismatch
	NoticeConfigMismatch
	NoticeQuarantine
	NoticeRefused
	NoticeKeyEpoch
	NoticeLeavingAck
)

// Notice tells one node something that it could not learn otherwise. The
// session layer sends the same body outside of any ring.
type Notice struct {
	Code   NoticeCode
	Nonce  [16]byte // echoes the asker's
	Values []uint64 // at most 8, meaning by code
	Text   string   // at most MaxNoticeText bytes
}
