package resync

import (
	"errors"

	"github.com/moothall/moothall/internal/proto"
)

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Tick   = proto.Tick
	Epoch  = proto.Epoch
)

// Range is an inclusive range of versions.
type Range struct{ Min, Max uint16 }

// Digest identifies a replicated state. The zero Digest never counts as equal.
type Digest [32]byte

// Service is one service of this node.
type Service struct {
	ID          uint16 // below MaxServices; the order of the services
	Name        string
	Versions    Range
	Independent bool // its process phase may run beside others'
	NeedsQuorum bool // takes part in rounds of primary components only
	Quorum      bool // it decides whether the ring is quorate: handled before all others, its process phase is never skipped
}

// Round is what a service learns of the round at its start.
type Round struct {
	Ring    RingID
	Members []NodeID // ascending
	Trans   []NodeID // those that came along since this service was activated here last
	Sender  NodeID   // who tells all, by the general rule
	Version uint16   // highest that all members speak
	Same    bool     // all digests are equal: there is no process phase
	Peers   []Peer   // one a member, in the order of Members
}

// Peer is what one member's Hello said about a service.
type Peer struct {
	Node     NodeID
	Has      bool // false: the member does not run it, the rest is zero
	Versions Range
	Digest   Digest
	Epoch    Epoch
	Weight   uint32
	Trans    []NodeID
}

// Host does what a Machine decides. Its methods must not call the Machine back,
// except for what they say.
type Host interface {
	// Weight is the number of votes of this node, for its Hello.
	Weight() uint32
	// Digest is that of the service's state now.
	Digest(service uint16) Digest
	// Choose may override the sender of r. It sees nothing but r.
	Choose(service uint16, r *Round) NodeID
	// Init starts the service's part; r is not to be changed.
	Init(service uint16, r *Round)
	// Process lets the service multicast up to budget messages. An error ends this
	// node's membership: the Machine does not go on.
	Process(service uint16, budget int) (done bool, err error)
	// Activate makes the new state valid. After the quorum service's, Primary tells
	// the decision about this ring.
	Activate(service uint16)
	// Abort throws away what was collected since Init.
	Abort(service uint16, cause error)
	// Primary reports whether this node takes the present ring for quorate.
	Primary() bool
	// Send multicasts a message of the Machine in the control class. The body is
	// copied. An error leaves nothing behind, the Machine tries again.
	Send(body []byte) error
	// Note reports what people want to know; it must not block.
	Note(n Note)
}

// NoteKind tells what a Note reports.
type NoteKind uint8

const (
	NoteStarted   NoteKind = iota + 1 // this member's Hello is on its way
	NoteAgreed                        // all Hellos are in
	NotePassed                        // Service is passed by: Text says why
	NoteActivated                     // Service
	NoteAborted                       // Text says why
	NoteReady                         // the last service was handled
	NoteStalled                       // no progress for a while: Missing hold Service up
	NoteStuck                         // none for so long that another ring should be tried
	NoteFailed                        // Service cannot go on here: Text
)

// Note is one step of a round.
type Note struct {
	Kind    NoteKind
	At      Tick
	Ring    RingID
	Round   uint32 // within the ring, from 0
	Service uint16 // none: NoService
	Missing []NodeID
	Text    string
}

// NoService stands for "no service in particular".
const NoService = 0xFFFF

// ErrReconfigured is the cause of an abort by a configuration change.
var ErrReconfigured = errors.New("resync: the configuration changed")

// ErrNotPrimary is the cause of an abort because a member is not in the primary
// component.
var ErrNotPrimary = errors.New("resync: not every member takes the ring for quorate")

// ErrRenewed is the cause of an abort by a newer round in the same ring.
var ErrRenewed = errors.New("resync: a newer round began")
