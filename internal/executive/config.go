package executive

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// Env is the world outside of a Core.
type Env interface {
	// Send sends the datagrams now, in their order. Buffers are free for reuse
	// when it returns.
	Send(d []seal.Datagram)
	// Save makes r durable. It returns at once and never calls the Core; the answer
	// comes through Core.Persisted with the same tag. There is one Save at a time.
	Save(tag totem.Tag, r store.Record)
}

// Config is what a Core needs before its first input.
type Config struct {
	Seal  seal.Config  // with incarnation and salt of this start
	Totem totem.Config // with the same incarnation, and the seq bound of the record

	// Services makes the services, one function each. They are called at the start,
	// and again when the engine starts anew inside of this process (ordering 2.2).
	Services []func() service.Service

	Record    store.Record // what is durable when New is called, with the incarnation of this start
	HadRecord bool         // false: a first start, nothing but the incarnation is from before
	NewSalt   func() uint64

	// Wall is the wall clock at Tick zero. It only dates entries of the decision
	// log and serves service.Executive.Now.
	Wall time.Time
	Name func(proto.NodeID) string // of configured nodes; nil: "node 3"

	// NetFaults, if not nil, counts what could not be sent, since the start.
	NetFaults func() []NetFault

	// SyncKill ends this member when a service of it holds a synchronisation up for
	// Limits.Stall (ordering 4.1, timeout).
	SyncKill bool

	Log      *slog.Logger // nil discards
	Observer Observer
	Limits   Limits

	// For tests: other implementations of the parts. Nil: the real ones.
	newEngine   func(now proto.Tick, c totem.Config) (engine, error)
	newSessions func(now proto.Tick, c seal.Config) (sessions, error)
}

// Limits bound what a Core keeps. Zero values are replaced by the defaults.
type Limits struct {
	ClientCalls int        // calls of one client that wait for room; 64
	ClientBytes int        // events of one client that its door has not taken, in bytes; 64 MiB
	SlowClient  proto.Tick // how long a client may hold half of the delivery budget; 30 s
	Stall       proto.Tick // silence in a synchronisation round before it is reported; 30 s
	Decisions   int        // entries of the decision log; 1024
	SyncBudget  int        // messages of one service in one turn of its process phase; 64
}

func (l Limits) withDefaults() Limits {
	l.ClientCalls = cmp.Or(l.ClientCalls, 64)
	l.ClientBytes = cmp.Or(l.ClientBytes, 64<<20)
	l.SlowClient = cmp.Or(l.SlowClient, 30*proto.Second)
	l.Stall = cmp.Or(l.Stall, 30*proto.Second)
	l.Decisions = cmp.Or(l.Decisions, 1024)
	l.SyncBudget = cmp.Or(l.SyncBudget, 64)
	return l
}

func (c Config) withDefaults() (Config, error) {
	if c.Seal.Self != c.Totem.Self || c.Seal.Inc != c.Totem.Inc || c.Record.Node != c.Totem.Self {
		return c, fmt.Errorf("executive: sessions are of node %d start %d, the engine of node %d start %d, the record of node %d",
			c.Seal.Self, c.Seal.Inc, c.Totem.Self, c.Totem.Inc, c.Record.Node)
	}
	if c.NewSalt == nil {
		return c, errors.New("executive: no source of salts")
	}
	c.Limits = c.Limits.withDefaults()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Name == nil {
		c.Name = func(n proto.NodeID) string { return fmt.Sprint("node ", n) }
	}
	// A client may send messages of the size that is configured; what services and
	// this package put before them comes on top.
	const headroom = 4096
	c.Totem.Limits.MaxMessage = cmp.Or(c.Totem.Limits.MaxMessage, 1<<20) + headroom
	c.Totem.Limits.Undelivered = cmp.Or(c.Totem.Limits.Undelivered, 16<<20)
	c.Totem.Limits.QueueBytes = cmp.Or(c.Totem.Limits.QueueBytes, 16<<20)
	c.Totem.Limits.QueueCount = cmp.Or(c.Totem.Limits.QueueCount, 65536)
	if c.newEngine == nil {
		c.newEngine = newMachine
	}
	if c.newSessions == nil {
		c.newSessions = newSealCore
	}
	return c, nil
}

// votes are those of this node: its weight where state is chosen.
func (c Config) votes() uint32 {
	for _, n := range c.Totem.Nodes {
		if n.ID == c.Totem.Self {
			return n.Votes
		}
	}
	return 0
}

// kinds describes the services to package resync.
func kinds(hosts []*host) []resync.Service {
	out := make([]resync.Service, len(hosts))
	for i, h := range hosts {
		out[i] = resync.Service{
			ID: h.info.ID, Name: h.info.Name, Versions: resync.Range(h.info.Versions),
			Independent: h.info.Independent, NeedsQuorum: !h.info.RunsWithoutQuorum, Quorum: h.quorum != nil,
		}
	}
	return out
}

// The parts as a Core sees them.
type engine interface {
	Step(now proto.Tick, p totem.Packet) error
	Submit(now proto.Tick, body []byte, class totem.Class, safe bool, tag uint64) (k uint64, err error)
	Advance(now proto.Tick)
	Persisted(now proto.Tick, tag totem.Tag, err error)
	Take() totem.Output
	Release(now proto.Tick, ring proto.RingID)
	Heard(now proto.Tick, n proto.NodeID, inc uint64)
	LinkState(now proto.Tick, s totem.LinkState)
	Consumed(now proto.Tick, bytes int)
	Dropped(now proto.Tick, packets int)
	Reconfig(now proto.Tick, r totem.Reconfig) error
	Leave(now proto.Tick)
	Conflict(now proto.Tick, r totem.StopReason)
	Distrust(now proto.Tick, ring proto.RingID)
	Quorum(now proto.Tick, s totem.QuorumState)
	Readmit(now proto.Tick, n proto.NodeID) error
	Status() totem.Status
	CommittedSeq() uint64
	TokenFirst() bool
}

type sessions interface {
	Open(now proto.Tick, d seal.Datagram) (seal.Opened, bool)
	SealFrame(link uint8, control bool, max int, frame []byte, dst [][]byte) [][]byte
	Reset()
	Route(to proto.NodeID, every bool) []uint8
	Addr(to proto.NodeID, link uint8, control bool) netip.AddrPort
	Unreachable(now proto.Tick, to proto.NodeID, link uint8)
	SetCommitted(seq uint64)
	SetMTU(now proto.Tick, link uint8, payload int)
	SetPeers(now proto.Tick, peers []seal.Peer, table uint32) error
	SetPing(now proto.Tick, interval proto.Tick)
	Advance(now proto.Tick)
	Take() seal.Output
	Counters() []seal.Counter
	Status() []seal.LinkStatus
}

func newMachine(now proto.Tick, c totem.Config) (engine, error) { return totem.New(now, c) }

func newSealCore(now proto.Tick, c seal.Config) (sessions, error) { return seal.New(now, c) }

// minus returns the members of a that are not in b; both ascend.
func minus(a, b []proto.NodeID) []proto.NodeID {
	var out []proto.NodeID
	for _, id := range a {
		if _, ok := slices.BinarySearch(b, id); !ok {
			out = append(out, id)
		}
	}
	return out
}
