package sim

import (
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
)

// engine is what the simulator asks of an ordering engine.
type engine interface {
	Step(now Tick, p totem.Packet) error
	Submit(now Tick, body []byte, class totem.Class, safe bool, tag uint64) (uint64, error)
	Advance(now Tick)
	Persisted(now Tick, tag totem.Tag, err error)
	Take() totem.Output
	Release(now Tick, ring RingID)
	Heard(now Tick, n NodeID, inc uint64)
	LinkState(now Tick, s totem.LinkState)
	Consumed(now Tick, bytes int)
	Dropped(now Tick, packets int)
	Leave(now Tick)
	Conflict(now Tick, r totem.StopReason)
	Quorum(now Tick, s totem.QuorumState)
	Status() totem.Status
}

// inspector is what an engine may offer to be checked from inside.
type inspector interface{ CheckInvariants() error }

// bare drives one engine the way an executive does, without sealing and
// services.
type bare struct {
	m       *member
	life    Life
	e       engine
	s       *sessions
	rnd     stream
	wakeAt  Tick
	first   bool
	writes  []pending
	eaten   int // Cost of what clients have not taken
	eating  bool
	stopped bool
	state   totem.State
	why     totem.Reason
	serial  uint64
}

// pending is a write of the disk that the engine waits for.
type pending struct {
	n uint64
	p totem.Persist
}

// newBare starts an engine. On an error of its constructor the node stays down.
func newBare(m *member, bound uint64) *bare {
	b := &bare{m: m, life: m.life, s: newSessions(m), rnd: newStream(m.w.plan.Seed, "jitter", uint64(m.id), uint64(m.starts))}
	e, err := m.w.opt.Engine(m.now(), m.w.engineConfig(m, bound, &b.rnd))
	if err != nil {
		m.w.fail("start", fmt.Sprintf("node %d: %v", m.id, err))
		return b
	}
	b.e = e
	b.flush()
	return b
}

func (w *world) engineConfig(m *member, bound uint64, r *stream) totem.Config {
	k := w.plan.Engine
	c := totem.Config{
		Self: m.id, Inc: m.inc, SeqBound: bound, Cluster: 0x6d6f6f74, Table: 1, MTU: k.MTU, Rand: r, Trace: true,
		FirstSlot: Slot(k.FirstSlot), NoAcceleration: k.Plain, QuorumFollows: w.plan.Quorum.LastMan || w.plan.Quorum.Downscale,
		Timers: w.timers(),
		Limits: totem.Limits{Window: k.Window, WndMax: k.WndMax, ReceiveWnd: k.ReceiveWnd, QueueBytes: k.QueueBytes,
			QueueCount: k.QueueCount, Undelivered: k.Undelivered, RingBytes: k.RingBytes, MaxMessage: k.MaxMessage},
	}
	for _, n := range w.plan.Nodes {
		if n.As == 0 {
			c.Nodes = append(c.Nodes, totem.Node{ID: n.ID, Votes: n.votes()})
		}
	}
	return c
}

// timers are those of the plan.
func (w *world) timers() totem.Timers {
	k := w.plan.Engine
	return totem.Timers{Token: k.Token, Hold: k.Hold, Join: k.Join, Settle: k.Settle, SuspectGrace: k.Grace, Merge: k.Merge}
}

func (b *bare) receive(p *packet) {
	now := b.m.now()
	if p.kind == ftPing {
		if p.ping.stale {
			b.stale(p)
			return
		}
		q := &b.s.peers[p.from]
		was, half := q.life, q.half
		if b.s.onPing(p) {
			b.e.Heard(now, b.m.w.nodes[p.from].id, p.inc)
			if !q.up || was != q.life || half != q.half {
				b.link(p.from, true)
			}
		}
		b.flush()
		return
	}
	if !b.s.knows(p) && !(b.m.w.replays && b.s.dead(p)) {
		b.m.w.net.counts.Lost++
		b.m.w.tracePacket(p, fateUnknown)
		return
	}
	_ = b.e.Step(now, totem.Packet{From: b.m.w.nodes[p.from].id, Inc: p.inc, Arrived: p.arrived, Frame: p.data.b})
	b.flush()
}

// stale starts the software again above an incarnation that a peer knows
// (ordering 2.2).
func (b *bare) stale(p *packet) {
	if p.ping.echo != b.m.life || p.ping.known < b.m.inc {
		return
	}
	known, bound := p.ping.known, p.ping.commit
	m := b.m
	m.end(check.KindStop)
	rec := m.disk.load("")
	rec.Inc, rec.SeqBound = known+1, max(rec.SeqBound, bound)
	m.begin(rec)
}

func (b *bare) link(peer int, up bool) {
	q := &b.s.peers[peer]
	q.up = up
	if b.m.lies>>peer&1 != 0 {
		up = false
	}
	b.e.LinkState(b.m.now(), totem.LinkState{Node: b.m.w.nodes[peer].id, Up: up, Half: q.half, RTT: 2 * b.m.w.plan.Net.Delay})
}

func (b *bare) lie(peer int, on bool) {
	b.link(peer, b.s.peers[peer].up)
	b.flush()
}

func (b *bare) tick() {
	now := b.m.now()
	b.s.tick()
	for i := range b.s.peers {
		if q := &b.s.peers[i]; q.up && now-q.heard >= 3*b.s.every {
			b.link(i, false)
		}
	}
	b.flush()
	if !b.stopped {
		w := b.m.w
		d := b.s.every*9/10 + b.rnd.between(0, b.s.every/5)
		w.queue.push(event{at: w.now + d, kind: evPing, a: int32(b.m.i), b: int32(b.m.starts)})
	}
}

func (b *bare) advance() {
	b.wakeAt = 0
	b.e.Advance(b.m.now())
	b.flush()
}

func (b *bare) diskDone(n uint64, err error) {
	i := slices.IndexFunc(b.writes, func(x pending) bool { return x.n == n })
	if i < 0 {
		return
	}
	p := b.writes[i].p
	b.writes = slices.Delete(b.writes, i, i+1)
	if err == nil {
		b.m.w.record(check.Event{Kind: check.KindPersist, Life: b.m.life, Bound: p.Record.SeqBound})
	}
	b.e.Persisted(b.m.now(), p.Tag, err)
	b.flush()
}

func (b *bare) consume() {
	b.eating = false
	if !b.m.client {
		b.eat()
		return
	}
	n := b.eaten
	b.eaten = 0
	b.e.Consumed(b.m.now(), n)
	b.flush()
}

// eat schedules that clients take what was delivered.
func (b *bare) eat() {
	if b.eaten > 0 && !b.eating {
		b.eating = true
		b.m.w.queue.push(event{at: b.m.w.now + b.m.appetite(), kind: evConsume, a: int32(b.m.i), b: int32(b.m.starts)})
	}
}

// release is the end of the services' synchronisation: there are none, but a
// majority of the votes is quorate.
func (b *bare) release() {
	b.decide()
	b.flush()
}

func (b *bare) decide() {
	b.e.Quorum(b.m.now(), totem.QuorumState{Ring: b.m.ring, Quorate: b.m.w.majority(b.m.members)})
	b.e.Release(b.m.now(), b.m.ring)
}

func (b *bare) keptOut() []totem.KeptOut { return b.e.Status().KeptOut }

func (b *bare) submit(body []byte, class uint8, safe bool) (accepted, retry bool) {
	b.serial++
	k, err := b.e.Submit(b.m.now(), body, totem.Class(class), safe, b.serial)
	if err != nil {
		return false, err == totem.ErrBusy
	}
	b.m.w.record(check.Event{Kind: check.KindSubmit, Life: b.m.life, K: k, Class: class, Safe: safe, Size: len(body), Hash: sum(body)})
	b.m.open++
	b.m.openBytes += len(body)
	b.flush()
	return true, false
}

func (b *bare) leave() {
	b.e.Leave(b.m.now())
	b.flush()
}

func (b *bare) dropped(n int) {
	b.e.Dropped(b.m.now(), n)
	b.flush()
}

func (b *bare) wake() Tick       { return b.wakeAt }
func (b *bare) tokenFirst() bool { return b.first }

func (b *bare) describe() string { return fmt.Sprintf("%v (%v)", b.state, b.why) }

func (b *bare) settled() bool                  { return true }
func (b *bare) waiting() (messages, bytes int) { return b.m.open, b.m.openBytes }
func (b *bare) processes(*Action)              {}

// flush does what the engine wants done, in the order of its contract.
func (b *bare) flush() {
	if b.e == nil || b.stopped || b.m.w.ended(b.life) {
		return
	}
	out := b.e.Take()
	w := b.m.w
	b.wakeAt, b.first = out.Wake, out.TokenFirst
	if p := out.Persist; p != nil {
		n := b.m.disk.begin(record{Record: store.Record{Node: b.m.id, Inc: p.Record.Inc, SeqBound: p.Record.SeqBound}})
		b.writes = append(b.writes, pending{n, *p})
		w.write(b.m, n)
	}
	for i := range out.Trace {
		b.trace(&out.Trace[i])
	}
	for i := range out.Send {
		b.send(&out.Send[i])
		if w.ended(b.life) {
			return // died in the middle of this
		}
	}
	installed := false
	for _, ev := range out.Events {
		switch ev := ev.(type) {
		case *totem.Delivery:
			b.deliver(ev)
		case *totem.Configuration:
			b.configure(ev)
			installed = installed || ev.Kind == totem.Regular
		}
	}
	b.eat()
	if i, ok := b.e.(inspector); ok && !w.opt.Fast {
		if err := i.CheckInvariants(); err != nil {
			w.fail("I", fmt.Sprintf("node %d: %v", b.m.id, err))
		}
	}
	if out.Stop != totem.Running {
		b.stopped = true
		w.stopped(b.m, out.Stop.String())
		return
	}
	if installed {
		b.installed()
	}
}

func (b *bare) installed() {
	w := b.m.w
	if d := b.m.plan.Release; d > 0 {
		w.queue.push(event{at: w.now + d, kind: evRelease, a: int32(b.m.i), b: int32(b.m.starts)})
	} else {
		b.decide()
	}
	if w.phase == phaseChaos {
		for range b.m.plan.Burst {
			w.client(b.m, b.m.plan.BurstLen, uint8(totem.Normal), w.workload.chance(0.5))
		}
	}
	b.flush()
}

func (b *bare) deliver(d *totem.Delivery) {
	b.m.w.net.counts.Delivered++
	if d.From == b.m.id {
		b.m.open--
		b.m.openBytes -= len(d.Body)
	}
	b.eaten += d.Cost()
	b.m.w.record(check.Event{Kind: check.KindDeliver, Life: b.m.life, Ring: d.Ring, Slot: d.Slot, From: d.From, FromInc: d.Inc,
		K: d.K, Class: uint8(d.Class), Safe: d.Safe, Size: len(d.Body), Hash: sum(d.Body)})
}

func (b *bare) configure(c *totem.Configuration) {
	b.m.w.record(check.Event{Kind: check.KindConf, Life: b.m.life, Transitional: c.Kind == totem.Transitional, Ring: c.Ring,
		Prev: c.Prev, Members: c.Members, Incs: c.Incs, Trans: c.Trans, Text: c.Reason.String()})
	if c.Kind == totem.Regular {
		b.m.ring, b.m.members = c.Ring, c.Members
	}
}

func (b *bare) trace(t *totem.TraceEvent) {
	w := b.m.w
	switch t.Kind {
	case totem.TraceOrig:
		w.record(check.Event{Kind: check.KindOrig, Life: b.m.life, Ring: t.Ring, Slot: t.Slot, K: t.K, No: t.No, Last: t.Last,
			Class: uint8(t.Class)})
	case totem.TraceHeld:
		w.record(check.Event{Kind: check.KindHeld, Life: b.m.life, Ring: t.Ring, Slot: t.Slot, Hash: t.Hash})
	case totem.TraceStable:
		w.record(check.Event{Kind: check.KindStable, Life: b.m.life, Ring: t.Ring, Slot: t.Slot})
	case totem.TraceState:
		b.state, b.why = t.To, t.Reason
		if t.To == totem.Recovery {
			w.record(check.Event{Kind: check.KindRecovery, Life: b.m.life, Ring: t.Ring})
		}
		w.note(b.m, t)
	default:
		w.note(b.m, t)
	}
}

// send puts one frame on the wire, once for each receiver.
func (b *bare) send(o *totem.Outgoing) {
	w := b.m.w
	kind := typeOf(o.Frame)
	w.sniff(b.m, kind, o.Frame)
	copies := w.trigger(b.m, kind)
	buf := w.net.frame(o.Frame)
	one := func(n NodeID) {
		to, ok := w.index[n]
		if !ok || to == b.m.i {
			w.fail("wire", fmt.Sprintf("node %d sends a %v to node %d", b.m.id, kind, n))
			return
		}
		if copies == 0 {
			return
		}
		copies--
		buf.refs++
		p := w.net.packet()
		*p = packet{from: b.m.i, to: to, life: b.m.life, inc: b.m.inc, kind: kind, small: o.Small, data: buf,
			control: o.Kind == totem.TrafficToken || o.Kind == totem.TrafficControl}
		w.net.send(p)
	}
	if o.To.Scope == totem.ToNode {
		one(o.To.Node)
	}
	for _, n := range o.To.Nodes {
		one(n)
	}
	w.net.unref(buf)
	w.fire(b.m)
}
