package sim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/tracefile"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// full is one whole member: the executive with sessions, engine,
// synchronisation, quorum and process groups. The simulator is its sockets,
// clock, disk and clients.
type full struct {
	m     *member
	proc  int // which process of the node this is
	core  *executive.Core
	rnd   stream
	state totem.State
	why   totem.Reason
	ready bool // the synchronisation of the present ring is complete
	saves []saving
	buf   []byte

	quorum   *quorum.Service
	quorate  bool // as it shows
	clients  []*client
	device   device
	next     int // client that sends next
	eating   bool
	voters   []*voter
	opening  int    // number of the connection to Group Services that is being opened
	scripts  []duty // ends of scripts
	readers  []*reader
	syncs    uint32 // round of the event service
	tracking bool   // that is one of a client that is told views
	reading  int    // number of the connection to the event service that is being opened
	burst    bool   // a ring is ready: the schedule wants messages at once

	programs *programs // nil: there are none
}

// saving is a write of the disk that the Core waits for.
type saving struct {
	n   uint64
	tag totem.Tag
}

const basePort = 5405

// newFull starts a member. On an error of its constructor the node stays down.
func newFull(m *member, r record) *full {
	f := &full{m: m, proc: m.starts, rnd: newStream(m.w.plan.Seed, "jitter", uint64(m.id), uint64(m.starts))}
	core, err := executive.New(m.now(), f.config(r), f)
	if err != nil {
		m.w.fail("start", fmt.Sprintf("node %d: %v", m.id, err))
		return f
	}
	f.core = core
	f.device.f = f
	if m.w.opt.Programs != nil {
		f.programs = newPrograms(f)
	}
	for i := range m.plan.Procs {
		f.clients = append(f.clients, &client{f: f, number: i})
	}
	for range m.plan.Seats {
		f.voters = append(f.voters, &voter{f: f})
	}
	for i := range m.plan.Readers + m.plan.Channels {
		f.readers = append(f.readers, &reader{f: f, channel: i >= m.plan.Readers})
	}
	f.flush()
	return f
}

// gone reports whether the process is dead, and what it still does on the stack
// has no effect.
func (f *full) gone() bool { return f.m.starts != f.proc || f.m.w.ended(f.m.life) }

// address is that of a machine.
func address(id NodeID) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(id >> 16), byte(id >> 8), byte(id)}), basePort)
}

// machine is the one that has an address.
func machine(a netip.AddrPort) NodeID {
	b := a.Addr().As4()
	return NodeID(b[1])<<16 | NodeID(b[2])<<8 | NodeID(b[3])
}

func (f *full) config(r record) executive.Config {
	w, m := f.m.w, f.m
	t := w.engineConfig(m, r.SeqBound, &f.rnd)
	c := executive.Config{
		Totem: t,
		Seal: seal.Config{Self: m.id, Inc: m.inc, Salt: f.rnd.Uint64(), Cluster: "simulated", Key: make([]byte, 64), Links: 1,
			Ping: w.plan.Engine.Ping, MTU: w.plan.Engine.LinkMTU, Rand: &f.rnd, AEAD: newChecksum},
		Record: r.Record, HadRecord: r.found, NewSalt: f.rnd.Uint64, Wall: time.Unix(int64(m.unixNano()/1e9), 0),
		Observer: f.observer(),
	}
	expected := uint32(0)
	for _, n := range w.plan.Nodes {
		if n.As != 0 {
			continue
		}
		expected += n.votes()
		if n.ID != m.id {
			c.Seal.Peers = append(c.Seal.Peers, seal.Peer{ID: n.ID, Addrs: []netip.AddrPort{address(n.ID)}})
		}
	}
	if w.plan.reloads() {
		r := w.reconfig(m, m.list)
		c.Totem.Nodes, c.Totem.Table, c.Seal.Peers, c.Seal.Table = r.Totem.Nodes, r.Totem.Table, r.Peers, r.Totem.Table
		expected = w.settings(m.list).Expected
	}
	c.Services = []func() service.Service{
		func() service.Service {
			if w.plan.reloads() {
				expected = w.settings(m.list).Expected
			}
			f.quorum = quorum.New(w.votes(m.plan.votes(), expected))
			return f.quorum
		},
		func() service.Service { return cpg.New() },
	}
	if w.plan.reloads() {
		var members *cfg.Service
		c.Services = append(c.Services, func() service.Service {
			members = cfg.New(&host{f: f})
			return members
		}, func() service.Service { return members.Groups(groups.Config{}) })
	}
	if w.plan.domains() {
		c.Services = append(c.Services, func() service.Service { return newWitness(f) })
	}
	if w.plan.news() {
		c.Services = append(c.Services, func() service.Service { return newHerald(f) })
	}
	return c
}

// votes is the configuration of the quorum service.
func (w *world) votes(own, expected uint32) quorum.Config {
	q := &w.plan.Quorum
	c := quorum.Config{Provider: !q.None, Window: time.Duration(q.Window), Vote: vote.Config{Votes: own, Expected: cmp.Or(q.Expected, expected+q.Device),
		TwoNode: q.TwoNode, WaitForAll: q.WaitForAll, LastMan: q.LastMan, Downscale: q.Downscale, Tracking: q.Tracking, Device: q.Device}}
	if q.Tie != "" {
		c.Vote.Tie, _ = vote.ParseTie(q.Tie) // the plan is valid
	}
	c.Device = quorum.DeviceConfig{Timeout: deviceTimeout, SyncTimeout: deviceSync, MasterWins: q.MasterWins}
	return c
}

// observer writes the trace.
func (f *full) observer() executive.Observer {
	w, m := f.m.w, f.m
	record := func(e check.Event) {
		if !f.gone() {
			e.Life = m.life
			w.record(e)
		}
	}
	return executive.Observer{
		Start: func(_ proto.Tick, inc uint64) {
			if inc != m.inc && !f.gone() { // it started anew inside of this process
				f.anew(inc)
			}
		},
		Submit: func(_ proto.Tick, k uint64, class totem.Class, safe bool, body []byte) {
			record(check.Event{Kind: check.KindSubmit, K: k, Class: uint8(class), Safe: safe, Size: len(body), Hash: sum(body)})
			m.open++
			m.openBytes += len(body)
		},
		Deliver: func(_ proto.Tick, d *totem.Delivery) {
			w.net.counts.Delivered++
			if d.From == m.id {
				m.open--
				m.openBytes -= len(d.Body)
			}
			record(check.Event{Kind: check.KindDeliver, Ring: d.Ring, Slot: d.Slot, From: d.From, FromInc: d.Inc,
				K: d.K, Class: uint8(d.Class), Safe: d.Safe, Size: len(d.Body), Hash: sum(d.Body)})
		},
		Configuration: func(_ proto.Tick, c *totem.Configuration) {
			f.ready = false
			record(check.Event{Kind: check.KindConf, Transitional: c.Kind == totem.Transitional, Ring: c.Ring,
				Prev: c.Prev, Members: c.Members, Incs: c.Incs, Trans: c.Trans, Text: c.Reason.String()})
			if c.Kind == totem.Regular && !f.gone() {
				m.ring, m.members = c.Ring, slices.Clone(c.Members)
			}
		},
		Service: func(_ proto.Tick, s executive.ServiceStep) {
			if s.Service == events.ID {
				f.syncs = s.Round
			}
			record(check.Event{Kind: tracefile.StepKind(s.Step), Ring: s.Ring, Round: s.Round, Service: s.Service})
		},
		Round: func(n resync.Note) {
			if n.Kind == resync.NoteReady {
				f.ready, f.burst = true, true
				record(check.Event{Kind: check.KindSynced, Ring: n.Ring, Round: n.Round})
			}
		},
		QuorumShown: func(_ proto.Tick, s service.QuorumState) {
			f.quorate = s.Quorate
			record(*tracefile.QuorumEvent(s))
		},
		PersistDone: func(_ proto.Tick, _ totem.Tag, err error) {
			if err == nil {
				record(check.Event{Kind: check.KindPersist, Bound: m.disk.last().SeqBound})
			}
		},
		Trace: func(t *totem.TraceEvent) { f.trace(t, record) },
	}
}

// trace writes what the engine says of its inside.
func (f *full) trace(t *totem.TraceEvent, record func(check.Event)) {
	switch t.Kind {
	case totem.TraceOrig:
		record(check.Event{Kind: check.KindOrig, Ring: t.Ring, Slot: t.Slot, K: t.K, No: t.No, Last: t.Last, Class: uint8(t.Class)})
		return
	case totem.TraceHeld:
		record(check.Event{Kind: check.KindHeld, Ring: t.Ring, Slot: t.Slot, Hash: t.Hash})
		return
	case totem.TraceStable:
		record(check.Event{Kind: check.KindStable, Ring: t.Ring, Slot: t.Slot})
		return
	case totem.TraceState:
		f.state, f.why = t.To, t.Reason
		if t.To == totem.Recovery {
			record(check.Event{Kind: check.KindRecovery, Ring: t.Ring})
		}
	}
	if !f.gone() {
		f.m.w.note(f.m, t)
	}
}

// anew ends the life and begins one with a higher incarnation in this process.
func (f *full) anew(inc uint64) {
	m := f.m
	m.w.record(check.Event{Kind: check.KindStop, Life: m.life})
	m.w.over[m.life-1] = true
	m.live(inc, m.disk.last().SeqBound)
	m.promised = RingID{}
}

// Send implements executive.Env: datagrams go onto the virtual wire.
func (f *full) Send(batch []seal.Datagram) {
	w, m := f.m.w, f.m
	var (
		last   *byte
		buf    *buffer
		copies int
		kind   frameType
	)
	for i := range batch {
		d := &batch[i]
		if f.gone() {
			break
		}
		if buf == nil || last != &d.Data[0] {
			if buf != nil {
				w.net.unref(buf)
				w.fire(m)
				if f.gone() {
					buf = nil
					break
				}
			}
			last, buf = &d.Data[0], w.net.frame(d.Data)
			var inner []byte
			kind, inner = opened(d.Data)
			if inner != nil {
				w.sniff(m, kind, inner)
			}
			copies = w.trigger(m, kind)
		}
		to, ok := w.index[machine(d.Addr)]
		if !ok || to == m.i || w.nodes[to].id != d.Node {
			w.fail("wire", fmt.Sprintf("node %d sends a %v to node %d", m.id, kind, d.Node))
			break
		}
		if copies == 0 {
			continue
		}
		copies--
		buf.refs++
		p := w.net.packet()
		*p = packet{from: m.i, to: to, life: m.life, inc: m.inc, kind: kind, data: buf, control: d.Control}
		w.net.send(p)
	}
	if buf != nil {
		w.net.unref(buf)
		w.fire(m)
	}
}

// Save implements executive.Env.
func (f *full) Save(tag totem.Tag, r store.Record) {
	if f.gone() {
		return
	}
	n := f.m.disk.begin(record{Record: r})
	f.saves = append(f.saves, saving{n, tag})
	f.m.w.write(f.m, n)
}

func (f *full) diskDone(n uint64, err error) {
	i := slices.IndexFunc(f.saves, func(s saving) bool { return s.n == n })
	if i < 0 {
		return
	}
	tag := f.saves[i].tag
	f.saves = slices.Delete(f.saves, i, i+1)
	f.core.Persisted(f.m.now(), tag, err)
	f.flush()
}

func (f *full) receive(p *packet) {
	f.buf = append(f.buf[:0], p.data.b...) // it is opened in place
	port := uint16(basePort)
	if p.control {
		port++
	}
	from := netip.AddrPortFrom(address(f.m.w.nodes[p.from].plan.ID).Addr(), port)
	f.core.Datagrams(f.m.now(), []seal.Datagram{{Control: p.control, Addr: from, Arrived: p.arrived, Data: f.buf}})
	f.flush()
}

func (f *full) advance() {
	f.core.Advance(f.m.now())
	f.flush()
}

// flush does what the Core wants done, lets clients act, and so on until nobody
// does anything.
func (f *full) flush() {
	for again := true; again && f.core != nil && !f.gone(); {
		f.core.Flush(f.m.now())
		if f.gone() {
			return
		}
		if r := f.core.Stopped(); r != totem.Running {
			f.m.w.stopped(f.m, r.String())
			return
		}
		again = f.bursts()
		again = f.device.act() || again
		for _, c := range f.clients {
			again = c.act() || again
		}
		for _, v := range f.voters {
			again = v.act() || again
		}
		for _, r := range f.readers {
			again = r.act() || again
		}
		if f.programs != nil {
			f.programs.began()
		}
	}
	f.eat()
}

// bursts submits what the schedule wants at each ring.
func (f *full) bursts() bool {
	w := f.m.w
	if !f.burst {
		return false
	}
	f.burst = false
	if w.phase != phaseChaos {
		return false
	}
	for range f.m.plan.Burst {
		if c := f.sender(); c != nil && c.send(w.body(f.m, f.m.plan.BurstLen), w.workload.chance(0.5)) {
			w.net.counts.Submitted++
		}
	}
	return f.m.plan.Burst > 0
}

func (f *full) tick()    { f.device.poll() }
func (f *full) release() {}

func (f *full) leave() {
	f.core.Leave(f.m.now())
	f.flush()
}

func (f *full) keptOut() []totem.KeptOut { return f.core.Status().Engine.KeptOut }

func (f *full) lie(int, bool) {} // links are judged by real sessions

func (f *full) dropped(n int) {
	f.core.Dropped(f.m.now(), n)
	f.flush()
}

func (f *full) wake() Tick {
	if f.core == nil {
		return 0
	}
	return f.core.Wake()
}

func (f *full) tokenFirst() bool { return f.core.TokenFirst() }
func (f *full) settled() bool    { return f.ready }

func (f *full) describe() string {
	return fmt.Sprintf("%v (%v) synchronised %v", f.state, f.why, f.ready)
}

// opened finds the frame in a datagram that the simulator's cipher left
// readable, and its type. Fragments have the type of data.
func opened(d []byte) (frameType, []byte) {
	const clear, hint, flagSession = 32, 8, 2
	if len(d) < clear+1+16 {
		return 0, nil
	}
	if d[2]&flagSession != 0 {
		return ftPing, nil
	}
	text := d[clear : len(d)-16]
	switch text[0] {
	case 1:
		return typeOf(text[1:]), text[1:]
	case 2, 3, 5:
		return ftPing, nil
	}
	if len(text) > 9+frameHead && text[5] == 0 && text[6] == 0 { // the first part
		return typeOf(text[9:]), nil
	}
	return ftData, nil
}
