package executive

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// world is a cluster of Cores with real engines and sessions, a network with a
// fixed delay and disks that answer late; one thread, virtual time.
type world struct {
	t      *testing.T
	now    proto.Tick
	nodes  map[NodeID]*member
	order  []NodeID
	wires  []packet // by time, then by order of sending
	cut    func(from, to NodeID) bool
	links  int                   // one, if it is zero
	silent func(link uint8) bool // if set, nothing gets through on such a link
	make   []func() service.Service
	// syncKill is Config.SyncKill of all.
	syncKill bool
	wrong    func(at, of NodeID) bool // if set, tells where a file has a wrong address
	// observe, if set, watches a member from its start.
	observe func(NodeID) Observer
}

type packet struct {
	due  proto.Tick
	from NodeID
	to   NodeID
	d    seal.Datagram
}

// member is one node of a world.
type member struct {
	w        *world
	id       NodeID
	core     *Core
	disk     store.Record
	pending  *saved
	services []*counter
	down     bool
	starts   uint64
	seed     uint64
	clock    uint64 // 1; 0: it stands still or is behind, and the record is no help
}

type saved struct {
	due proto.Tick
	tag totem.Tag
	r   store.Record
}

const (
	wireDelay = 100 * proto.Microsecond
	diskDelay = proto.Millisecond
)

func newWorld(t *testing.T, n int) *world {
	w := &world{t: t, nodes: map[NodeID]*member{}, cut: func(_, _ NodeID) bool { return false }}
	for i := range n {
		id := NodeID(i + 1)
		w.order = append(w.order, id)
		w.nodes[id] = &member{w: w, id: id, clock: 1}
	}
	return w
}

// start starts all nodes, each with one counter service and those of extra.
func (w *world) start(extra ...func() service.Service) *world {
	w.make = extra
	for _, id := range w.order {
		w.nodes[id].start()
	}
	return w
}

// Uint64 is the member's source of random numbers.
func (m *member) Uint64() uint64 {
	m.seed = m.seed*6364136223846793005 + 1442695040888963407 + uint64(m.id)
	return m.seed ^ m.seed>>29
}

func address(id NodeID) netip.AddrPort { return addressOn(0, id) }

func addressOn(link int, id NodeID) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(link), byte(id)}), 5405)
}

func (m *member) config() Config {
	w := m.w
	c := Config{
		Seal:   seal.Config{Self: m.id, Inc: m.disk.Inc, Salt: m.Uint64(), Cluster: "test", Key: make([]byte, 64), Links: max(1, w.links), Rand: m},
		Totem:  totem.Config{Self: m.id, Inc: m.disk.Inc, SeqBound: m.disk.SeqBound, Cluster: 7, Rand: m},
		Record: m.disk, HadRecord: m.starts > 1, NewSalt: m.Uint64, Wall: time.Unix(1_700_000_000, 0),
		Log: slog.New(slog.DiscardHandler), SyncKill: w.syncKill,
	}
	for _, id := range w.order {
		c.Totem.Nodes = append(c.Totem.Nodes, totem.Node{ID: id, Votes: 1})
		if id != m.id {
			p := seal.Peer{ID: id}
			for i := range c.Seal.Links {
				a := addressOn(i, id)
				if w.wrong != nil && w.wrong(m.id, id) {
					a = addressOn(i, 99)
				}
				p.Addrs = append(p.Addrs, a)
			}
			c.Seal.Peers = append(c.Seal.Peers, p)
		}
	}
	if w.observe != nil {
		c.Observer = w.observe(m.id)
	}
	c.Services = append(c.Services, func() service.Service {
		s := &counter{m: m}
		m.services = append(m.services, s)
		return s
	})
	c.Services = append(c.Services, w.make...)
	return c
}

func (m *member) start() {
	m.starts++
	m.disk.Node = m.id
	m.disk.Inc += 1000 * m.clock
	m.clock = 1
	m.down, m.pending = false, nil
	core, err := New(m.w.now, m.config(), m)
	if err != nil {
		m.w.t.Fatal(err)
	}
	m.core = core
	core.Flush(m.w.now)
}

func (m *member) crash() { m.down, m.pending = true, nil }

// service is the newest life of the node's counter.
func (m *member) service() *counter { return m.services[len(m.services)-1] }

func (m *member) Send(batch []seal.Datagram) {
	w := m.w
	for _, d := range batch {
		if d.Addr.Addr() != addressOn(int(d.Link), d.Node).Addr() {
			continue
		}
		if w.nodes[d.Node] == nil || w.cut(m.id, d.Node) || w.silent != nil && w.silent(d.Link) {
			continue
		}
		port := uint16(5405)
		if d.Control {
			port++
		}
		in := seal.Datagram{Link: d.Link, Control: d.Control, Addr: netip.AddrPortFrom(addressOn(int(d.Link), m.id).Addr(), port), Data: slices.Clone(d.Data)}
		w.wires = append(w.wires, packet{w.now + wireDelay, m.id, d.Node, in})
	}
}

func (m *member) Save(tag totem.Tag, r store.Record) {
	if m.pending != nil {
		m.w.t.Errorf("node %d saves while a save is under way", m.id)
	}
	m.pending = &saved{m.w.now + diskDelay, tag, r}
}

// step carries the world on to its next event, not beyond the limit.
func (w *world) step(limit proto.Tick) bool {
	next := proto.Tick(1 << 62)
	if len(w.wires) > 0 {
		next = w.wires[0].due
	}
	for _, id := range w.order {
		m := w.nodes[id]
		if m.down {
			continue
		}
		if m.pending != nil {
			next = min(next, m.pending.due)
		}
		if t := m.core.Wake(); t != 0 {
			next = min(next, t)
		}
	}
	if next > limit {
		w.now = max(w.now, limit)
		return false
	}
	w.now = max(w.now, next)
	for len(w.wires) > 0 && w.wires[0].due <= w.now {
		p := w.wires[0]
		w.wires = w.wires[1:]
		if m := w.nodes[p.to]; !m.down {
			m.core.Datagrams(w.now, []seal.Datagram{p.d})
		}
	}
	for _, id := range w.order {
		m := w.nodes[id]
		if m.down {
			continue
		}
		if s := m.pending; s != nil && s.due <= w.now {
			m.pending = nil
			m.disk = s.r
			m.core.Persisted(w.now, s.tag, nil)
		}
		if t := m.core.Wake(); t != 0 && t <= w.now {
			m.core.Advance(w.now)
		}
		m.core.Flush(w.now)
	}
	return true
}

// run lets time pass.
func (w *world) run(d proto.Tick) {
	for limit := w.now + d; w.step(limit); {
	}
}

// until lets time pass until the condition holds.
func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	for limit := w.now + 30*proto.Second; !cond(); {
		if !w.step(limit) {
			for _, id := range w.order {
				s := w.nodes[id].core.Status()
				w.t.Logf("node %d: engine %v ring %v members %v round %+v ready %v", id, s.Engine.State, s.Ring, s.Members, s.Round, s.Ready)
			}
			w.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// together reports whether the nodes are in one ring and ready.
func (w *world) together(ids ...NodeID) bool {
	for _, id := range ids {
		c := w.nodes[id].core
		if !slices.Equal(c.members, ids) || !c.round.ready || c.ring != w.nodes[ids[0]].core.ring {
			return false
		}
	}
	return true
}

// split cuts the network into parts.
func (w *world) split(parts ...[]NodeID) {
	w.cut = func(from, to NodeID) bool {
		return !slices.ContainsFunc(parts, func(p []NodeID) bool { return slices.Contains(p, from) && slices.Contains(p, to) })
	}
}

func (w *world) heal() { w.cut = func(_, _ NodeID) bool { return false } }

// counter is a service whose state is the list of all texts that were ever
// multicast: a digest of it, and the last ones. One member tells all.
type counter struct {
	m      *member
	id     uint16
	needs  bool // quorum
	x      service.Executive
	log    []string
	staged []string
	got    bool
	round  service.Round
	calls  []string // what the executive did
	conns  map[uint64]service.Conn
	reply  map[uint64]func(service.Code, []byte)
	stop   bool
}

const (
	counterID = 5
	fnAdd     = 1
	fnState   = 2
)

func (s *counter) Info() service.Info {
	id := s.id
	if id == 0 {
		id = counterID
	}
	return service.Info{Name: fmt.Sprint("counter", id), ID: id, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: !s.needs,
		Calls: []service.Call{{Name: "add", Flow: true}, {Name: "length", Local: true}}}
}

func (s *counter) note(format string, args ...any) {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func (s *counter) Start(x service.Executive) error {
	s.x, s.conns, s.reply = x, map[uint64]service.Conn{}, map[uint64]func(service.Code, []byte){}
	return nil
}

func (s *counter) Stop() { s.stop = true }

func (s *counter) Deliver(m service.Message) {
	if m.Class == service.Sync {
		s.got, s.staged = true, strings.Fields(string(m.Body))
		return
	}
	s.log = append(s.log, string(m.Body))
	if c, ok := s.x.Local(m.Src); ok {
		if f := s.reply[m.Src.Tag]; f != nil {
			delete(s.reply, m.Src.Tag)
			f(service.OK, nil)
		}
		_ = c
	}
	for _, c := range s.conns {
		_ = c.Push(1, m.Body)
	}
}

func (s *counter) ConfigChange(c service.ConfigChange) {
	kind := "regular"
	if c.Kind == service.Transitional {
		kind = "transitional"
	}
	s.note("%s %v left %v joined %v", kind, c.Members, c.Left, c.Joined)
}

func (s *counter) SyncDigest() service.Digest { return sha256.Sum256([]byte(strings.Join(s.log, " "))) }

func (s *counter) SyncInit(r service.Round) {
	s.note("init from %d", r.Sender)
	s.round, s.got, s.staged = r, false, nil
}

func (s *counter) SyncProcess(int) (bool, error) {
	if s.round.Sender != s.x.Self() {
		return true, nil
	}
	err := s.x.Multicast(fnState, service.Sync, service.Agreed, service.Source{}, []byte(strings.Join(s.log, " ")))
	return err == nil, nil
}

func (s *counter) SyncActivate() {
	s.note("activate")
	if s.got {
		s.log = s.staged
	}
}

func (s *counter) SyncAbort(error) { s.note("abort") }

func (s *counter) Open(c service.Conn) (service.Client, error) {
	s.conns[c.ID()] = c
	return &counterClient{s, c}, nil
}

type counterClient struct {
	s *counter
	c service.Conn
}

func (x *counterClient) Call(r service.Request) {
	if r.Func == 1 {
		r.Reply(service.OK, []byte(fmt.Sprint(len(x.s.log))))
		return
	}
	src := service.Source{Node: x.s.x.Self(), Conn: x.c.ID(), Tag: r.Tag}
	if err := x.s.x.Multicast(fnAdd, service.Normal, service.Agreed, src, r.Body); err != nil {
		r.Reply(service.CodeOf(err), nil)
		return
	}
	x.s.reply[r.Tag] = r.Reply
}

func (x *counterClient) Closed() {
	x.s.note("closed %d", x.c.ID())
	delete(x.s.conns, x.c.ID())
}

// sink collects what a client gets.
type sink struct {
	h      *Handle
	events []string
	flow   []bool
	closed error
	lazy   bool // does not take its events
}

func (k *sink) Push(_ uint16, body []byte) {
	k.events = append(k.events, string(body))
	if !k.lazy && k.h != nil {
		k.h.Taken(1)
	}
}

func (k *sink) Flow(b bool) { k.flow = append(k.flow, b) }

func (k *sink) Closed(err error) { k.closed = err }

// client opens a connection to the node's counter.
func (m *member) client() *sink {
	m.w.t.Helper()
	return m.open(m.core)
}

func (m *member) open(c *Core) *sink {
	m.w.t.Helper()
	k := &sink{}
	h, code := c.Open(counterID, service.Cred{PID: 42}, k)
	if code != service.OK {
		m.w.t.Fatalf("open: %v", code)
	}
	k.h = h
	return k
}

// add calls and returns where the answer will be.
func (k *sink) add(tag uint64, text string) *service.Code {
	code := new(service.Code)
	if err := k.h.Call(0, tag, []byte(text), func(c service.Code, _ []byte) { *code = c }); err != nil {
		*code = service.CodeOf(err)
	}
	return code
}
