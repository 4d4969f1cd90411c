package check

import "github.com/moothall/moothall/internal/proto"

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Slot   = proto.Slot
	Tick   = proto.Tick
)

// Kind tells what an Event records (ordering 1.2).
type Kind uint8

const (
	KindStart     Kind = iota + 1 // a life begins: Node, Inc, Waived
	KindCrash                     // a life ends by fault
	KindStop                      // a life ends by request
	KindSubmit                    // a client message was accepted: K, Class, Safe, Size, Hash
	KindOrig                      // a piece went into ring order: Ring, Slot, K, No, Last
	KindDeliver                   // a message came out: Ring, Slot, From, FromInc, K, Class, Safe, Size, Hash
	KindConf                      // a configuration came out: Transitional, Ring, Prev, Members, Incs, Trans
	KindHeld                      // the life stored the frame of a slot: Ring, Slot, Hash
	KindStable                    // the engine says that every member of Ring has all up to Slot
	KindFrame                     // a data frame left: Ring, Slot, Hash of its bytes without the flags
	KindPersist                   // a record became durable: Bound
	KindPromise                   // a packet left that commits to Ring
	KindRecovery                  // the life entered recovery for Ring
	KindQuorum                    // a decision was shown for Ring: Quorate, Expected, Votes, Device, Needed, Text (the row that decided)
	KindProcessed                 // the life finished the process phase of Service: Ring, Round
	KindActivate                  // Service of the life was activated: Ring, Round
	KindSynced                    // a whole round finished at the life: Ring, Round
	KindPhase                     // a phase of the run begins: Text
	KindInit                      // the life began a round of Service: Ring, Round
	KindAbort                     // Service of the life was told that its round will not finish: Ring, Round
	KindKnows                     // the life said that it knows of rings up to the seq of Ring
	numKinds
)

var kindNames = [numKinds]string{"", "start", "crash", "stop", "submit", "orig", "dlv", "conf", "held", "stable", "frame", "persist",
	"promise", "recovery", "quorum", "processed", "activate", "synced", "phase", "init", "abort", "knows"}

// String is the word used in trace files.
func (k Kind) String() string { return kindNames[k%numKinds] }

// Life numbers the lives of a trace in the order of their starts, from 1. Two
// starts of a node are two lives even if they carry the same incarnation.
type Life int32

// Event is one thing that happened. Which fields count depends on the kind; all
// others are zero. The checker keeps the slices.
type Event struct {
	At   Tick
	Kind Kind
	Life Life

	Node   NodeID // start
	Inc    uint64 // start
	Waived bool   // start: the record was lost or old; ordering 2.2 waives the order of C2

	Ring RingID
	Slot Slot

	From    NodeID // sender of a delivered message
	FromInc uint64
	K       uint64
	No      uint64
	Last    bool
	Class   uint8
	Safe    bool
	Size    int
	Hash    uint64

	Transitional bool
	Prev         RingID
	Members      []NodeID
	Incs         []uint64
	Trans        []NodeID

	Bound    uint64
	Service  uint16
	Round    uint32 // rounds of one ring count from zero
	Late     bool   // of a round: the life's engine had left Ring when it happened, only a recorded trace has that
	Quorate  bool
	Expected uint32
	Votes    uint32
	Device   uint32 // how many of Votes are a quorum device's
	Needed   uint32
	Text     string
}
