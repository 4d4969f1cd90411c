package totem

import "github.com/moothall/moothall/internal/proto"

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Slot   = proto.Slot
	Tick   = proto.Tick
)

// Class is the priority of a message; lower goes first. Each class of a sender
// is FIFO on its own.
type Class uint8

const (
	Control Class = iota // synchronisation and configuration; passes while others are held
	Urgent
	Normal
	Bulk
	numClasses
)

// String names the class as in logs.
func (c Class) String() string {
	return [...]string{"control", "urgent", "normal", "bulk"}[c&3]
}

// Tag numbers the records of one run, rising from 1.
type Tag uint64

// Record is what must survive a restart. A record replaces all earlier ones.
type Record struct {
	Inc      uint64 // incarnation of this start
	SeqBound uint64 // no ring seq above it was promised or installed
}

// Persist asks for one durable record; the answer to its tag answers every
// lower tag too.
type Persist struct {
	Tag    Tag
	Record Record
}

// Scope says who gets a frame.
type Scope uint8

const (
	ToNode       Scope = iota // Dest.Node alone
	ToRing                    // every other member of the ring, listed in Dest.Nodes
	ToConfigured              // every other configured node, listed in Dest.Nodes
)

// Dest names the receivers of one frame.
type Dest struct {
	Scope Scope
	Node  NodeID   // ToNode
	Nodes []NodeID // ToRing, ToConfigured; never self; shared, not to be changed
}

// Traffic is the kind of a frame; it chooses socket and links.
type Traffic uint8

const (
	TrafficToken Traffic = iota
	TrafficData
	TrafficRetransmit
	TrafficControl
)

// Outgoing is one frame; it leaves at once, in the order of the list. A frame
// that promises a ring number is not in the list before Persisted reported the
// record that holds it, so a driver never has to keep one back. Frame is valid
// until the next Take.
type Outgoing struct {
	To    Dest
	Kind  Traffic
	Try   uint8 // 0 first; what is sent again later uses all links
	Small bool  // send in pieces of at most 1200 bytes (ordering 2.10)
	Frame []byte
}

// Packet is one opened datagram's frame: who sealed it, where and when it came.
type Packet struct {
	From    NodeID
	Inc     uint64
	Link    uint8
	Arrived Tick   // the kernel's time stamp where there is one, else now
	Frame   []byte // the machine copies what it keeps
}

// An Event is a *Delivery or a *Configuration (pointers, so that the list costs
// no allocation; they are valid until the next Take). Their relative order is the whole
// promise of extended virtual synchrony, hence one list: deliveries of the old
// ring, the transitional configuration, what is left for its members, the
// regular configuration, deliveries of the new ring, all in one Take if need be.
type Event interface{ isEvent() }

// Delivery is one message at its place in the order of Ring.
type Delivery struct {
	Ring  RingID
	Slot  Slot
	From  NodeID
	Inc   uint64 // incarnation of From
	K     uint64 // number of the message within (From, Inc)
	Class Class
	Safe  bool   // asked for safe delivery and is safe in the configuration the list stands in
	Tag   uint64 // what Submit was given; only at the sender, else zero
	Body  []byte // valid until the next Take
}

// Cost is what the delivery counts for in Limits.Undelivered: its body and, since
// whoever keeps a message keeps more than its body, a fixed part.
func (d *Delivery) Cost() int { return len(d.Body) + deliveryOverhead }

const deliveryOverhead = 128

// ConfKind tells regular from transitional configurations.
type ConfKind uint8

const (
	Regular ConfKind = iota
	Transitional
)

// String names the kind as in logs and traces.
func (k ConfKind) String() string { return [...]string{"regular", "transitional"}[k&1] }

// Configuration starts a configuration; deliveries after it belong to it. The
// slices are fresh and belong to the receiver.
type Configuration struct {
	Kind    ConfKind
	Ring    RingID   // the regular configuration that is reached
	Prev    RingID   // the regular configuration that is left; zero in the first one
	Members []NodeID // ascending: who takes part in this configuration
	Incs    []uint64 // incarnations of Members
	Trans   []NodeID // ascending: members that came along from Prev
	Reason  Reason   // why the ring before was left
	Suspect NodeID   // whom the reason names, or zero
}

func (*Delivery) isEvent()      {}
func (*Configuration) isEvent() {}

// Level says how full the submit queue is, with hysteresis.
type Level uint8

const (
	RoomLow      Level = iota // below 30 %
	RoomGood                  // from 40 %
	RoomHigh                  // from 60 %
	RoomCritical              // from 75 %
)

// Output is everything the machine wants done since the last Take. The driver
// starts Persist, sends, and then hands on Events; the order of the fields is
// the order of work. The slices are valid until the next Take.
type Output struct {
	Persist    *Persist
	Send       []Outgoing
	Events     []Event
	Trace      []TraceEvent
	Wake       Tick  // call Advance no later than this; zero: nothing is due
	Room       Level // of the submit queue now
	TokenFirst bool  // read the control socket before the data socket (ordering 2.8 A5)
	Stop       StopReason
}

// StopReason says why the machine came to its end. Zero: it runs.
type StopReason uint8

const (
	Running StopReason = iota
	StopPersistFailed
	StopIDConflict
	StopStaleIncarnation
	StopLeft
	StopSnapshotRestored
	StopServiceFailed // the executive's alone: to the engine it is a Leave
)

// String is the reason as a clause.
func (r StopReason) String() string {
	return [...]string{"running", "the ring record could not be stored", "another node uses this node id",
		"peers know a later start of this node", "left the cluster", "an old memory image was restored",
		"a service could not be synchronised"}[r]
}

// LinkState is what the session layer knows of the way to one node. It is a
// hint, never a proof.
type LinkState struct {
	Node NodeID
	Up   bool // any link up
	Half bool // they are heard but do not hear us
	RTT  Tick // smoothed, zero if unknown
	MTU  int  // path MTU in bytes of UDP payload for one frame, envelope taken off; zero if unknown
}

// Rand is the seeded source of jitter.
type Rand interface{ Uint64() uint64 }

// Timers are the time constants of ordering 2.23. Zero values are replaced by
// the defaults of DefaultTimers.
type Timers struct {
	Token         Tick // token loss
	Consensus     Tick // 1.2 token
	Join          Tick // between two Joins in gather
	Settle        Tick // before evidence decides in gather
	SuspectGrace  Tick // from links down to gather
	Merge         Tick // between two probes
	Hold          Tick // between two rotations of an idle ring; min(token/5, 500ms)
	Linger        Tick // cold start only, at most
	FailToReceive Tick // 2.10; max(2 token, 2s)
	HopMin        Tick // smallest hop resend time, 2ms
	SlowNodeWarn  Tick // 2s
}

// Limits bound memory and the frames of a visit.
type Limits struct {
	Window      int // slots, a power of two, at least 16 times the number of nodes; 16384
	WndMax      int // frames per rotation, at most Window/8; 2048
	ReceiveWnd  int // frames that the receive buffer takes, zero: no limit
	QueueBytes  int // submitted, not yet ordered, per class; 16 MiB
	QueueCount  int // the same in messages; 65536
	Undelivered int // delivered and not Consumed, as Delivery.Cost counts; 16 MiB; each ring change may add up to Window frames on top (ordering 2.16 R6)
	MaxMessage  int // 1 MiB
	RingBytes   int // slot buffer, 64 MiB
	HopTries    int // 6
}

// Config is everything a machine needs to know before its first input.
type Config struct {
	Self     NodeID
	Inc      uint64 // of this start, larger than any earlier one (ordering 2.2)
	SeqBound uint64 // from the record, zero at a first start
	Cluster  uint32 // first four bytes of the cluster id
	Table    uint32 // version of the node table
	Nodes    []Node // configured nodes, self included
	MTU      int    // largest frame for one datagram on the own links; zero: 1423
	Features uint64
	Timers   Timers
	Limits   Limits
	Rand     Rand
	Trace    bool // record Orig and Stable events too, which cost one record a frame

	// QuorumFollows says that what is needed for quorum follows the membership down
	// (last_man_standing, allow_downscale): then nobody is quarantined.
	QuorumFollows bool

	// FirstSlot starts the slot numbers of each ring above it, and
	// NoAcceleration sends every frame before the token. Both are for tests.
	FirstSlot      Slot
	NoAcceleration bool
}

// Node is a configured node.
type Node struct {
	ID    NodeID
	Votes uint32
}
