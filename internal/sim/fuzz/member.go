package fuzz

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/internal/wire"
	"github.com/moothall/moothall/service"
)

const (
	clusterName = "fuzzed"
	wallBase    = 1_800_000_000 * sec // unix time of the start of a run
	basePort    = 5405
	tableNo     = 1 // version of the node table
)

// member is one node: its disk, and the process that runs there.
type member struct {
	w       *world
	id      NodeID
	core    *executive.Core // nil: down
	disk    store.Record
	starts  int
	pending *saving
	startAt Tick          // when it is started again, zero: it runs
	absurd  uint64        // incarnation of the next start, zero: as the clock has it
	honest  *store.Record // the record before the first absurd start
	dirty   bool
	program *program

	groups *cpg.Service
	quorum *quorum.Service
	voice  cipher.AEAD // what it sealed with last

	// As the outside sees it.
	state    totem.State
	making   RingID // the ring in the making, in commit and recovery
	ring     RingID
	members  []NodeID
	ready    bool
	quorate  bool
	order    uint64 // hash of what was delivered in the present ring
	orderLen uint64
	changes  int      // of state
	log      []string // last changes of state, for failures
}

type saving struct {
	due Tick
	tag totem.Tag
	r   store.Record
}

func address(id NodeID, control bool) netip.AddrPort {
	port := uint16(basePort)
	if control {
		port++
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(id)}), port)
}

// start begins a life, with an incarnation as the agent makes it.
func (m *member) start() {
	m.starts++
	m.disk.Node = m.id
	m.disk.Inc = max(m.disk.Inc+1, uint64(wallBase+m.w.now))
	if m.absurd != 0 {
		m.disk.Inc, m.absurd = m.absurd, 0
	}
	m.startAt, m.pending, m.dirty = 0, nil, true
	m.state, m.ring, m.members, m.ready, m.quorate = totem.Idle, RingID{}, nil, false, false
	core, err := executive.New(m.w.now, m.config(), m)
	if err != nil {
		m.w.fail("node %d does not start: %w", m.id, err)
		return
	}
	m.core = core
	m.program.reset()
	m.flush()
}

// crash ends the process; it is started again after d.
func (m *member) crash(d Tick) {
	if m.core == nil {
		return
	}
	m.core, m.pending = nil, nil
	m.program.reset()
	m.startAt = m.w.now + d
}

// lieAboutStart starts the member anew with any incarnation and a record of its
// own; comeClean starts it with the record it had before.
func (m *member) lieAboutStart(inc uint64, d Tick) {
	if m.honest == nil {
		r := m.disk
		m.honest = &r
	}
	m.absurd = inc
	m.crash(d)
}

func (m *member) comeClean() {
	m.crash(restartDelay)
	if m.honest != nil {
		m.disk, m.honest, m.absurd = *m.honest, nil, 0
	}
}

// Uint64 is the member's random source.
func (m *member) Uint64() uint64 { return m.w.rng.Uint64() }

func (m *member) config() executive.Config {
	w := m.w
	c := executive.Config{
		Seal: seal.Config{Self: m.id, Inc: m.disk.Inc, Salt: m.Uint64(), Cluster: clusterName, Key: make([]byte, 64), Links: 1,
			Table: tableNo, Rand: m, AEAD: m.cipher},
		Totem: totem.Config{Self: m.id, Inc: m.disk.Inc, SeqBound: m.disk.SeqBound, Cluster: seal.ClusterTag(clusterName),
			Table: tableNo, Rand: m},
		Record: m.disk, HadRecord: m.starts > 1, NewSalt: m.Uint64, Wall: time.Unix(0, int64(wallBase)), Observer: m.observer(),
	}
	for _, o := range w.nodes {
		c.Totem.Nodes = append(c.Totem.Nodes, totem.Node{ID: o.id, Votes: 1})
		if o != m {
			c.Seal.Peers = append(c.Seal.Peers, seal.Peer{ID: o.id, Addrs: []netip.AddrPort{address(o.id, false)}})
		}
	}
	v := vote.Config{Votes: 1, Expected: uint32(len(w.nodes))}
	c.Services = []func() service.Service{
		func() service.Service { m.quorum = quorum.New(quorum.Config{Provider: true, Vote: v}); return m.quorum },
		func() service.Service { m.groups = cpg.New(); return m.groups },
	}
	return c
}

// tap is AES-256-GCM that remembers whose voice it is.
type tap struct {
	cipher.AEAD
	m *member
}

func (t tap) Seal(dst, nonce, text, clear []byte) []byte {
	t.m.voice = t.AEAD
	return t.AEAD.Seal(dst, nonce, text, clear)
}

func (m *member) cipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	return tap{gcm, m}, err
}

func (m *member) observer() executive.Observer {
	return executive.Observer{
		Packet: func(p totem.Packet) {
			m.w.corpus.frame(p.Frame, m.w.forging)
			if m.w.forging {
				m.w.total.frame(m.state, wire.FrameType(p.Frame))
			}
		},
		Deliver: func(_ proto.Tick, d *totem.Delivery) {
			m.order = mix(m.order ^ uint64(d.Slot)<<32 ^ uint64(d.From)<<56 ^ sum(d.Body))
			m.orderLen++
			m.w.corpus.body(d.Body)
			if d.From == m.w.insider.m.id && m != m.w.insider.m {
				m.w.total.ordered(d.Body)
			}
		},
		Configuration: func(_ proto.Tick, c *totem.Configuration) {
			m.ready = false
			if c.Kind == totem.Regular {
				m.ring, m.members = c.Ring, slices.Clone(c.Members)
				m.order, m.orderLen = 0, 0
				m.w.total.Rings++
			}
		},
		Round: func(n resync.Note) {
			if n.Kind == resync.NoteReady {
				m.ready = true
			}
		},
		QuorumShown: func(_ proto.Tick, s service.QuorumState) { m.quorate = s.Quorate },
		Trace: func(e *totem.TraceEvent) {
			if e.Kind == totem.TraceState {
				m.state, m.making = e.To, e.Ring
				m.changes++
				m.note("%v -> %v: %v (node %d, ring %v)", e.From, e.To, e.Reason, e.Node, e.Ring)
			}
		},
	}
}

func (m *member) note(format string, args ...any) {
	if len(m.log) == 24 {
		m.log = slices.Delete(m.log, 0, 1)
	}
	m.log = append(m.log, fmt.Sprintf("%v ", m.w.now)+fmt.Sprintf(format, args...))
}

// due is when the member has something to do.
func (m *member) due() Tick {
	if m.core == nil {
		if m.startAt != 0 {
			return m.startAt
		}
		return 1 << 62
	}
	next := Tick(1 << 62)
	if m.dirty {
		next = m.w.now
	}
	if m.pending != nil {
		next = min(next, m.pending.due)
	}
	if t := m.core.Wake(); t != 0 {
		next = min(next, t)
	}
	return next
}

// work does what is due.
func (m *member) work() {
	now := m.w.now
	if m.core == nil {
		if m.startAt != 0 && m.startAt <= now {
			m.start()
		}
		return
	}
	if s := m.pending; s != nil && s.due <= now {
		m.pending, m.disk, m.dirty = nil, s.r, true
		m.core.Persisted(now, s.tag, nil)
	}
	if t := m.core.Wake(); t != 0 && t <= now {
		m.core.Advance(now)
		m.dirty = true
	}
	if m.dirty {
		m.flush()
	}
}

// receive takes datagrams; the caller flushes later.
func (m *member) receive(d *seal.Datagram) {
	m.dirty = true
	m.core.Datagrams(m.w.now, []seal.Datagram{*d})
}

// flush does what the Core wants done, and sees whether it stopped.
func (m *member) flush() {
	m.dirty = false
	m.core.Flush(m.w.now)
	if r := m.core.Stopped(); r != totem.Running {
		m.note("stopped: %v", r)
		m.w.total.stop(r)
		m.crash(restartDelay)
	}
}

// Send implements executive.Env.
func (m *member) Send(batch []seal.Datagram) {
	m.w.insider.last = nil // buffers are used again
	for i := range batch {
		d := &batch[i]
		if d.Node < 1 || int(d.Node) > len(m.w.nodes) {
			m.w.fail("node %d sends to node %d", m.id, d.Node)
			return
		}
		if d.Data[2]&flagSession == 0 {
			m.w.sent++
		}
		to := m.w.nodes[d.Node-1]
		if x := m.w.insider; m == x.m && x.on {
			x.intercept(d, to)
			continue
		}
		m.w.launch(m, to, d, d.Data, 0)
	}
}

// Save implements executive.Env.
func (m *member) Save(tag totem.Tag, r store.Record) {
	if m.pending != nil {
		m.w.fail("node %d saves while a save is under way", m.id)
	}
	m.pending = &saving{m.w.now + diskDelay, tag, r}
}

// dump is the replicated state of the services.
func (m *member) dump() string {
	var b bytes.Buffer
	m.groups.Dump(&b)
	return b.String()
}

func (m *member) describe() string {
	if m.core == nil {
		return fmt.Sprintf("node %d is down", m.id)
	}
	s := m.core.Status()
	e := s.Engine
	text := fmt.Sprintf("node %d: %v ring %v %v ready %v round %+v program %s committed %d seq %d aru %d stable %d delivered %d token %d wnd %d",
		m.id, m.state, m.ring, m.members, m.ready, s.Round, m.program.describe(), e.CommittedSeq, e.Seq, e.Aru, e.Stable, e.Delivered, e.TokenSeq, e.Wnd)
	text += fmt.Sprintf("\n  engine %+v\n  drops", e.Stats)
	for _, c := range s.Sessions {
		if c.Value > 0 {
			text += fmt.Sprintf(" %s%s %d", c.Cause, c.Name[5:], c.Value)
		}
	}
	for _, l := range s.Links {
		text += fmt.Sprintf("\n  link to %d: up %v half %v inc %d heard %v", l.Node, l.Up, l.Half, l.Inc, l.Heard)
	}
	for _, l := range m.log {
		text += "\n  " + l
	}
	return text
}

// mix and sum are a hash that nobody attacks here.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func sum(b []byte) uint64 {
	h := uint64(len(b))
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
