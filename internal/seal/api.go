package seal

import (
	"crypto/cipher"
	"net/netip"

	"github.com/moothall/moothall/internal/proto"
)

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	Tick   = proto.Tick
)

// Rand gives the session nonces. In the agent it is the system's random source,
// in the simulator a seeded one.
type Rand interface{ Uint64() uint64 }

// Peer is a configured node and its address on each link.
type Peer struct {
	ID    NodeID
	Addrs []netip.AddrPort // data address by link; invalid: not on that link. Control is the next port
}

// Config is what a Core needs before its first input.
type Config struct {
	Self    NodeID
	Inc     uint64 // incarnation of this start
	Salt    uint64 // boot salt: random, new at each start of the engine, never stored
	Cluster string
	Key     []byte // file key, 32 to 4096 bytes; empty: derived from Cluster, authentication "none"
	Epoch   uint8
	Peers   []Peer // without self
	Links   int
	Ping    Tick // interval, zero: 200ms; link_dead is 3 pings and 2 srtt
	MTU     int  // largest datagram payload of a link, zero: 1472
	Table   uint32
	MinVer  uint8
	MaxVer  uint8
	Feature uint64
	Rand    Rand

	// AEAD builds the cipher from a 32-byte key. Nil: AES-256-GCM. The simulator
	// puts a cheap keyed checksum here. Overhead must be 16, nonce size 12.
	AEAD func(key []byte) (cipher.AEAD, error)
}

// Datagram is one packet on its way.
type Datagram struct {
	Node    NodeID // out: receiver; in: unused
	Link    uint8
	Control bool           // socket
	Addr    netip.AddrPort // in: source; out: set for answers to an address that is not the configured one
	Arrived Tick
	Data    []byte
}

// Opened is one authenticated frame for the engine.
type Opened struct {
	From  NodeID
	Inc   uint64
	Link  uint8
	Frame []byte // a view into the datagram, or a reassembled frame valid until the next Open
}

// EventKind tells what an Event reports.
type EventKind uint8

const (
	EventHeard       EventKind = iota + 1 // an authenticated datagram of an established session came
	EventSession                          // established with (Node, Inc)
	EventLinkUp                           // Node on Link; State is the node's sum over links
	EventLinkDown                         // Text says why
	EventLinkState                        // State changed otherwise (rtt, half, mtu)
	EventStale                            // a peer knows a later start of this node: Inc = known incarnation, Value = its committed_seq
	EventConflict                         // two machines with one id: Node = the id, Addr and Addr2 the two; Self says whether this node must stop
	EventSnapshot                         // this process is a restored memory image: stop
	EventMismatch                         // a peer speaks another version, cluster, configuration or key: Text
	EventPeerRefused                      // a peer told us so with a Notice: Text
)

// Event is what the owner must know, in order.
type Event struct {
	Kind  EventKind
	At    Tick
	Node  NodeID
	Inc   uint64
	Link  uint8
	Up    bool // node reachable on any link
	Half  bool
	Self  bool
	RTT   Tick
	MTU   int // largest frame in one datagram to Node
	Value uint64
	Addr  netip.AddrPort
	Addr2 netip.AddrPort
	Text  string
}

// Output is everything to do since the last Take, valid until the next.
type Output struct {
	Send   []Datagram // pings, pongs, notices: already sealed
	Events []Event
	Wake   Tick
}

// Drop is why a datagram was thrown away; each cause has a counter.
type Drop uint8

// The methods of Core, in one place:
//
//	func New(now Tick, c Config) (*Core, error)
//
//	// SealFrame appends the datagrams that carry one frame on one link to dst:
//	// one, or several fragments when it is larger than the link takes (or than
//	// max, if max is not zero). All receivers get the same bytes. The buffers
//	// belong to the core and are valid until the Reset after next.
//	func (c *Core) SealFrame(link uint8, control bool, max int, frame []byte, dst [][]byte) [][]byte
//	func (c *Core) Reset()
//
//	// Route says over which links a frame to a node goes now: the best usable
//	// one, or all of them when every is set. No link up: the first configured.
//	func (c *Core) Route(to NodeID, every bool) []uint8
//
//	// Open authenticates one datagram in place. ok is false when there is no frame
//	// for the engine in it (a ping, a fragment of an incomplete frame, a drop).
//	func (c *Core) Open(now Tick, d Datagram) (o Opened, ok bool)
//
//	// Unreachable says that the kernel reported a refused port (3.2 fast path).
//	func (c *Core) Unreachable(now Tick, to NodeID, link uint8)
//
//	// SetCommitted tells the ring seq that stale-incarnation notices carry.
//	func (c *Core) SetCommitted(seq uint64)
//
//	func (c *Core) Advance(now Tick)
//	func (c *Core) Take() Output
//	func (c *Core) Counters() []Counter // a copy; every drop by cause, packets, bytes
