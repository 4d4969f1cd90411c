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
	Ping    Tick   // interval, zero: 200ms; link_dead is 3 pings and 2 srtt
	MTU     int    // largest datagram payload of a link, zero: 1472
	Table   uint32 // version of the node table
	MinVer  uint8  // protocol versions that this program speaks, zero: wire.Version
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
	Addr    netip.AddrPort // in: source; out: where it goes
	Arrived Tick           // in: the kernel's time stamp, zero if there is none
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
	EventHeard       EventKind = iota + 1 // authenticated datagrams of an established session come; at most one per node and 10ms
	EventSession                          // established with (Node, Inc)
	EventLinkUp                           // Node on Link; State is the node's sum over links
	EventLinkDown                         // Text says why
	EventLinkState                        // State changed otherwise (rtt, half, mtu)
	EventStale                            // a peer knows a later start of this node: Inc = known incarnation, Value = its committed_seq
	EventConflict                         // two machines with one id: Node = the id, Addr and Addr2 the two; Self says whether this node must stop
	EventSnapshot                         // this process is a restored memory image: stop
	EventMismatch                         // a peer speaks another version, cluster, configuration or key: Text, Value is the Drop; at most one per source and minute
	EventPeerRefused                      // a peer told us so with a Notice: Text, Value is its code
	EventPathMTU                          // what gets through to Node on Link changed: Value is the size that was tried << 32 | the largest that does; equal: all does
	EventForged                           // a datagram that says it is Node's does not fit its seal: Text; at most one per source and minute
)

// Why a link went down: Value of EventLinkDown.
const (
	DownSilent     uint64 = iota + 1 // nothing came for too long
	DownRefused                      // the kernel of the other machine refuses the port
	DownRestarted                    // the node has a new session, over another link
	DownConfigured                   // the configuration was changed
)

// Event is what the owner must know, in order. Up, Half, RTT and MTU are set in
// the events of links and sessions and describe the node over all its links.
type Event struct {
	Kind  EventKind
	At    Tick
	Node  NodeID // zero: the sender is not known
	Inc   uint64
	Link  uint8
	Up    bool // node reachable on any link
	Half  bool // heard, but not known to hear us, on every link
	Self  bool
	RTT   Tick // smoothed, of the link that Route takes; zero: not measured
	MTU   int  // largest frame in one datagram to Node
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

// LinkStatus describes the way to one node over one link, for people.
type LinkStatus struct {
	Node    NodeID
	Link    uint8
	Addr    netip.AddrPort // configured, data socket
	From    netip.AddrPort // where its control datagrams come from; invalid: none came
	Inc     uint64         // of the session, zero: none
	Up      bool
	Half    bool
	RTT     Tick
	Jitter  Tick
	Loss    float64 // of pings on their way here, 0 to 1
	MTU     int     // largest datagram payload both sides allow
	Flaps   int     // times it went down in the last minute
	Heard   Tick    // last authenticated datagram of the session, zero: none
	Feature uint64  // of the node
	MinVer  uint8
	MaxVer  uint8
	Table   uint32
}
