package explore

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/wire"
)

// replayer drives a path with fresh engines. Nothing is kept between steps but
// the engines themselves, so it shows whether what the explorer keeps is right,
// and its trace goes to the simulator's checker, which shares nothing with the
// explorer's judge.
type replayer struct {
	x      *explorer
	nodes  [maxNodes]replayed
	net    []sent
	cut    state // only its cut and whom reach asks about
	events []check.Event
	lives  check.Life
	tick   totem.Tick
}

type replayed struct {
	machine *totem.Machine // nil: down
	inc     uint64
	starts  int
	life    check.Life
	pending []totem.Persist
	disk    uint64
	deaf    uint8
}

// sent is one frame in flight.
type sent struct {
	to, from uint8
	inc      uint64
	form     []byte
	seq      uint64
	bytes    []byte
}

// replay drives the boot of all nodes and a path. It fails if a step cannot be
// done, which means that the explorer merged states that are not equal.
func (x *explorer) replay(acts []action) (r *replayer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	r = &replayer{x: x}
	for i := range uint8(x.nodes) {
		r.boot(i)
	}
	for i, a := range acts {
		if err := r.do(a); err != nil {
			return r, fmt.Errorf("step %d, %s: %w", i+1, x.describe(a), err)
		}
	}
	return r, nil
}

// findings are those of the simulator's checker.
func (r *replayer) findings() []check.Finding {
	c := check.New(check.Options{})
	for i := range r.events {
		c.Add(&r.events[i])
	}
	c.End(r.tick, false)
	return c.Findings()
}

func (r *replayer) note(n *replayed, e check.Event) {
	r.tick++
	e.At, e.Life = r.tick, n.life
	r.events = append(r.events, e)
}

func (r *replayer) boot(i uint8) {
	n := &r.nodes[i]
	n.inc = uint64(100*(int(i)+1) + n.starts)
	n.starts++
	n.pending, n.deaf = nil, 0
	r.lives++
	n.life = r.lives
	r.note(n, check.Event{Kind: check.KindStart, Node: id(i), Inc: n.inc, Bound: n.disk})
	m, err := totem.New(now, r.x.config(i, n.inc, n.disk))
	if err != nil {
		panic(err)
	}
	n.machine = m
	for j := range uint8(r.x.nodes) {
		if j != i {
			m.LinkState(now, totem.LinkState{Node: id(j), Up: true})
		}
	}
	r.flush(i)
	r.linksUp()
}

func (r *replayer) linksUp() {
	for i := range uint8(r.x.nodes) {
		for j := range uint8(r.x.nodes) {
			n := &r.nodes[i]
			if n.machine != nil && n.deaf>>j&1 == 1 && r.nodes[j].machine != nil && r.cut.reach(i, j) {
				n.deaf &^= 1 << j
				n.machine.LinkState(now, totem.LinkState{Node: id(j), Up: true})
				r.flush(i)
			}
		}
	}
}

func (r *replayer) do(a action) error {
	n := &r.nodes[a.node]
	if n.machine == nil && a.kind != actRestart && a.kind != actCut && a.kind != actHeal {
		return fmt.Errorf("node %d is down", id(a.node))
	}
	switch a.kind {
	case actCrash:
		if a.arg == 1 {
			r.written(n)
		}
		r.note(n, check.Event{Kind: check.KindCrash})
		n.machine = nil
		r.drop(func(f *sent) bool { return f.to == a.node })
	case actRestart:
		r.boot(a.node)
	case actCut:
		r.cut.cut = uint8(a.arg)
		r.drop(func(f *sent) bool { return !r.cut.reach(f.from, f.to) })
	case actHeal:
		r.cut.cut = 0
		r.linksUp()
	default:
		return r.input(a)
	}
	return nil
}

func (r *replayer) drop(gone func(*sent) bool) {
	kept := r.net[:0]
	for _, f := range r.net {
		if !gone(&f) {
			kept = append(kept, f)
		}
	}
	r.net = kept
}

func (r *replayer) written(n *replayed) {
	n.disk = n.pending[0].Record.SeqBound
	r.note(n, check.Event{Kind: check.KindPersist, Bound: n.disk})
}

// input does the actions that an engine takes.
func (r *replayer) input(a action) error {
	n := &r.nodes[a.node]
	in := input{arg: a.arg}
	var p totem.Packet
	pending := n.pending
	switch a.kind {
	case actDeliver:
		f, ok := r.find(a)
		if !ok {
			return fmt.Errorf("the frame is not in flight")
		}
		in.kind, p = inFrame, totem.Packet{From: id(f.from), Inc: f.inc, Frame: f.bytes}
	case actTimer:
		in.kind = inTimer
		if n.machine.ArmedTimers()>>a.arg&1 == 0 {
			return fmt.Errorf("the timer is not armed")
		}
	case actPersisted:
		in.kind = inPersisted
		if len(n.pending) == 0 {
			return fmt.Errorf("the disk has nothing to answer")
		}
		r.written(n)
		n.pending = n.pending[1:]
	case actSubmit:
		in.kind = inSubmit
	case actLinkDown:
		in.kind = inLinkDown
		n.deaf |= 1 << a.arg
	}
	if err := apply(n.machine, in, p, pending); err != nil {
		return err
	}
	if a.kind == actSubmit {
		r.submitted(n, a.arg)
	}
	r.flush(a.node)
	return nil
}

func (r *replayer) submitted(n *replayed, what int32) {
	k := uint64(1)
	for i := range r.events {
		if e := &r.events[i]; e.Kind == check.KindSubmit && e.Life == n.life {
			k++
		}
	}
	r.note(n, check.Event{Kind: check.KindSubmit, K: k, Class: uint8(totem.Normal), Safe: what == safe, Size: len(bodies[what]),
		Hash: wire.FrameHash(bodies[what])})
}

// find takes the frame that an action delivers out of the network. Token numbers
// may differ by whole rotations from those of the explorer's path; the newest
// frame of the same form is meant then.
func (r *replayer) find(a action) (sent, bool) {
	fr := &r.x.frames[a.arg]
	head := binary.LittleEndian.AppendUint64([]byte{'f', fr.from}, fr.inc)
	form, seq, _ := totem.CanonicalFrame(head, fr.packet.Frame, r.x.table)
	best := -1
	for i := range r.net {
		f := &r.net[i]
		if f.to == a.node && bytes.Equal(f.form, form) {
			best = i
			if f.seq == seq {
				break
			}
		}
	}
	if best < 0 {
		return sent{}, false
	}
	f := r.net[best]
	r.drop(func(g *sent) bool { return g.to == f.to && g.seq == f.seq && bytes.Equal(g.form, f.form) })
	return f, true
}

func (r *replayer) flush(i uint8) {
	n := &r.nodes[i]
	for {
		o := n.machine.Take()
		if o.Persist != nil {
			n.pending = append(n.pending[:len(n.pending):len(n.pending)], *o.Persist)
		}
		for _, t := range o.Trace {
			r.trace(n, &t)
		}
		for j := range o.Send {
			r.send(i, &o.Send[j])
		}
		for _, e := range o.Events {
			r.event(n, e)
		}
		if len(o.Events) == 0 && len(o.Send) == 0 {
			return
		}
	}
}

func (r *replayer) trace(n *replayed, t *totem.TraceEvent) {
	e := check.Event{Ring: t.Ring, Slot: t.Slot}
	switch {
	case t.Kind == totem.TraceOrig:
		e.Kind, e.K, e.No, e.Last, e.Class = check.KindOrig, t.K, t.No, t.Last, uint8(t.Class)
	case t.Kind == totem.TraceHeld:
		e.Kind, e.Hash = check.KindHeld, t.Hash
	case t.Kind == totem.TraceStable:
		e.Kind = check.KindStable
	case t.Kind == totem.TraceState && t.To == totem.Recovery:
		e.Kind = check.KindRecovery
	default:
		return
	}
	r.note(n, e)
}

func (r *replayer) event(n *replayed, ev totem.Event) {
	switch ev := ev.(type) {
	case *totem.Delivery:
		r.note(n, check.Event{Kind: check.KindDeliver, Ring: ev.Ring, Slot: ev.Slot, From: ev.From, FromInc: ev.Inc, K: ev.K,
			Class: uint8(ev.Class), Safe: ev.Safe, Size: len(ev.Body), Hash: wire.FrameHash(ev.Body)})
		n.machine.Consumed(now, ev.Cost())
	case *totem.Configuration:
		r.note(n, check.Event{Kind: check.KindConf, Transitional: ev.Kind == totem.Transitional, Ring: ev.Ring, Prev: ev.Prev,
			Members: ev.Members, Incs: ev.Incs, Trans: ev.Trans})
		if ev.Kind == totem.Regular {
			n.machine.Release(now, ev.Ring)
		}
	}
}

func (r *replayer) send(from uint8, o *totem.Outgoing) {
	n := &r.nodes[from]
	h, body, err := wire.ParseHeader(o.Frame)
	if err == nil && (h.Type == wire.TypeData || h.Type == wire.TypeToken || h.Type == wire.TypeCommit) {
		r.note(n, check.Event{Kind: check.KindPromise, Ring: h.Ring})
	}
	if d, err := wire.ParseData(body); err == nil && h.Type == wire.TypeData {
		r.note(n, check.Event{Kind: check.KindFrame, Ring: h.Ring, Slot: d.Slot, Hash: wire.FrameHash(o.Frame)})
	}
	to := o.To.Nodes
	if o.To.Scope == totem.ToNode {
		to = []NodeID{o.To.Node}
	}
	head := binary.LittleEndian.AppendUint64([]byte{'f', from}, n.inc)
	form, seq, _ := totem.CanonicalFrame(head, o.Frame, r.x.table)
	for _, t := range to {
		if t := uint8(t - 1); r.nodes[t].machine != nil && r.cut.reach(from, t) {
			r.net = append(r.net, sent{to: t, from: from, inc: n.inc, form: form, seq: seq, bytes: bytes.Clone(o.Frame)})
		}
	}
}
