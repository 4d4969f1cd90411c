package explore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"

	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/wire"
)

// Names of the house, for short.
type (
	NodeID = totem.NodeID
	RingID = totem.RingID
	Slot   = totem.Slot
)

const (
	now     = totem.Tick(1_000_000_000) // for ever
	cluster = 7
)

// local is one state of one engine. It is shared by all cluster states in which
// it occurs, so its machine is cloned before it runs.
type local struct {
	machine *totem.Machine
	form    int32 // number of the canonical encoding
	facts   totem.Facts
	timers  uint32
	pending []totem.Persist // asked for and not answered, oldest first
}

// frame is one frame, whoever it is on its way to.
type frame struct {
	from   uint8 // index of the sender
	inc    uint64
	kind   wire.Type
	ring   RingID
	slot   Slot   // of a data frame
	seq    uint64 // token number
	form   int32  // number of the canonical form, sender included
	packet totem.Packet
}

// inputKind is what can happen to one engine.
type inputKind uint8

const (
	inFrame     inputKind = iota // arg: frame
	inTimer                      // arg: kind
	inPersisted                  // the oldest record is durable
	inSubmit                     // arg: what
	inLinkDown                   // arg: index of the other node
	inLinkUp                     // arg: index of the other node
)

type input struct {
	kind inputKind
	arg  int32
}

// claim says that all members of ring have all slots up to slot (S4).
type claim struct {
	ring RingID
	slot Slot
}

// move is the outcome of an input.
type move struct {
	to      int32
	noop    bool // nothing changed and nothing came out
	outs    []flight
	events  []int32 // what clients saw and which slots were filled, for records
	claims  []claim
	promise uint64 // highest ring seq that became visible to others
	fault   string // a broken invariant or a panic
}

// engines keeps engine states, frames and outcomes.
type engines struct {
	nodes  int
	table  wire.Table
	conf   []totem.Node
	limits totem.Limits

	locals   []local
	localIDs map[localKey]int32
	frames   []frame
	frameIDs map[frameKey]int32
	forms    map[string]int32
	moves    []move
	moveIDs  map[moveKey]int32
	starts   map[startKey]int32
	events   eventStore
	scratch  []byte
	steps    int // inputs that the engine really took
}

type localKey struct {
	form int32
	seq  uint64
}

type frameKey struct {
	form int32
	seq  uint64
}

type moveKey struct {
	local int32
	input
}

type startKey struct {
	node       uint8
	inc, bound uint64
}

// steady is the jitter of an engine without time.
type steady struct{}

func (steady) Uint64() uint64 { return 0 }

func newEngines(nodes int) *engines {
	e := &engines{nodes: nodes, localIDs: map[localKey]int32{}, frameIDs: map[frameKey]int32{}, forms: map[string]int32{},
		moveIDs: map[moveKey]int32{}, starts: map[startKey]int32{}, table: wire.Table{Version: 1}}
	for i := range nodes {
		e.conf = append(e.conf, totem.Node{ID: id(uint8(i)), Votes: 1})
		e.table.IDs = append(e.table.IDs, id(uint8(i)))
	}
	window := 16
	for window < 16*nodes {
		window *= 2
	}
	e.limits = totem.Limits{Window: window, WndMax: min(2*nodes, window/8), QueueCount: 8, QueueBytes: 1 << 16,
		MaxMessage: 8192, Undelivered: 1 << 20, RingBytes: 1 << 22}
	e.events.init()
	return e
}

// What can be submitted.
const (
	agreed = iota
	safe
	large // agreed, more frames than fit one visit
)

var bodies = [...][]byte{agreed: []byte("a"), safe: []byte("s"), large: bytes.Repeat([]byte("l"), 8000)}

// id is the node id of a node's index.
func id(i uint8) NodeID { return NodeID(i) + 1 }

func (e *engines) config(node uint8, inc, bound uint64) totem.Config {
	return totem.Config{Self: id(node), Inc: inc, SeqBound: bound, Cluster: cluster, Table: 1, Nodes: e.conf, MTU: 1200,
		Limits: e.limits, Rand: steady{}, Trace: true, QuorumFollows: true} // nobody is quarantined: that is a matter of time
}

// start returns the move of a new life. It knows links to all others.
func (e *engines) start(node uint8, inc, bound uint64) *move {
	k := startKey{node, inc, bound}
	if i, ok := e.starts[k]; ok {
		return &e.moves[i]
	}
	var mv move
	e.steps++
	m, err := totem.New(now, e.config(node, inc, bound))
	if err != nil {
		mv.fault = err.Error()
	} else {
		for i := range e.nodes {
			if uint8(i) != node {
				m.LinkState(now, totem.LinkState{Node: id(uint8(i)), Up: true})
			}
		}
		mv = e.finish(m, node, inc, nil, -1)
	}
	e.starts[k] = int32(len(e.moves))
	e.moves = append(e.moves, mv)
	return &e.moves[len(e.moves)-1]
}

// move returns the outcome of an input to a local state of a node.
func (e *engines) move(node uint8, inc uint64, at int32, in input) *move {
	k := moveKey{at, in}
	if i, ok := e.moveIDs[k]; ok {
		return &e.moves[i]
	}
	e.steps++
	mv := e.run(node, inc, at, in)
	e.moveIDs[k] = int32(len(e.moves))
	e.moves = append(e.moves, mv)
	return &e.moves[len(e.moves)-1]
}

func (e *engines) run(node uint8, inc uint64, at int32, in input) (mv move) {
	defer func() {
		if r := recover(); r != nil {
			mv = move{to: at, fault: fmt.Sprintf("panic: %v\n%s", r, debug.Stack())}
		}
	}()
	l := &e.locals[at]
	m := l.machine.Clone()
	pending := l.pending
	if in.kind == inPersisted {
		pending = pending[1:]
	}
	if err := apply(m, in, e.packet(in), l.pending); err != nil {
		return move{to: at, fault: fmt.Sprintf("%v: %v", in.kind, err)}
	}
	return e.finish(m, node, inc, pending, at)
}

func (e *engines) packet(in input) totem.Packet {
	if in.kind != inFrame {
		return totem.Packet{}
	}
	return e.frames[in.arg].packet
}

// apply gives one input to a machine.
func apply(m *totem.Machine, in input, p totem.Packet, pending []totem.Persist) error {
	switch in.kind {
	case inFrame:
		return m.Step(now, p)
	case inTimer:
		m.FireTimer(now, totem.Timer(in.arg))
	case inPersisted:
		m.Persisted(now, pending[0].Tag, nil)
	case inSubmit:
		_, err := m.Submit(now, bodies[in.arg], totem.Normal, in.arg == safe, 0)
		return err
	case inLinkDown:
		m.LinkDown(now, id(uint8(in.arg)))
	case inLinkUp:
		m.LinkState(now, totem.LinkState{Node: id(uint8(in.arg)), Up: true})
	}
	return nil
}

// finish is the driver: it takes what comes out until nothing more comes. The
// clients take deliveries at once, and services are synchronised at once.
func (e *engines) finish(m *totem.Machine, node uint8, inc uint64, pending []totem.Persist, before int32) move {
	var mv move
	for {
		o := m.Take()
		if o.Persist != nil {
			pending = append(pending[:len(pending):len(pending)], *o.Persist)
		}
		for i := range o.Send {
			e.send(&mv, node, inc, &o.Send[i])
		}
		for i := range o.Trace {
			e.note(&mv, node, inc, &o.Trace[i])
		}
		for _, ev := range o.Events {
			e.show(&mv, m, ev)
		}
		if o.Stop != totem.Running {
			mv.fault = "stopped: " + o.Stop.String()
		}
		if len(o.Events) == 0 && len(o.Send) == 0 {
			break
		}
	}
	if err := m.CheckInvariants(); err != nil {
		mv.fault = "invariant " + err.Error()
	}
	mv.to = e.keep(m, pending)
	if l := &e.locals[mv.to]; mv.fault == "" && l.stuck() {
		mv.fault = fmt.Sprintf("L1 node %d waits in %v for nothing", id(node), l.facts.State)
	}
	mv.noop = mv.to == before && len(mv.outs) == 0 && len(mv.events) == 0
	return mv
}

// keep returns the number of an engine state.
func (e *engines) keep(m *totem.Machine, pending []totem.Persist) int32 {
	facts := m.Facts()
	e.scratch = m.AppendState(append(e.scratch[:0], 'm'))
	k := localKey{e.form(e.scratch), facts.TokenSeq}
	if i, ok := e.localIDs[k]; ok {
		return i
	}
	i := int32(len(e.locals))
	e.localIDs[k] = i
	e.locals = append(e.locals, local{machine: m.Clone(), form: k.form, facts: facts, timers: m.ArmedTimers(), pending: pending})
	return i
}

// stuck reports an engine that nothing but others can bring on: no timer is armed
// that ends its state, and no disk will answer.
func (l *local) stuck() bool {
	armed := func(ks ...totem.Timer) bool {
		for _, k := range ks {
			if l.timers>>k&1 == 1 {
				return true
			}
		}
		return false
	}
	switch l.facts.State {
	case totem.Gather:
		return !armed(totem.TimerConsensus) || !armed(totem.TimerJoin)
	case totem.Commit, totem.Recovery:
		return !armed(totem.TimerToken)
	case totem.Operational:
		return l.facts.Members > 1 && !armed(totem.TimerToken, totem.TimerHold)
	}
	return len(l.pending) == 0
}

func (e *engines) form(b []byte) int32 {
	if i, ok := e.forms[string(b)]; ok {
		return i
	}
	i := int32(len(e.forms))
	e.forms[string(b)] = i
	return i
}

// send notes a frame for each of its receivers.
func (e *engines) send(mv *move, node uint8, inc uint64, o *totem.Outgoing) {
	f := e.frame(node, inc, o.Frame)
	if p := e.frames[f].promises(); p > mv.promise {
		mv.promise = p
	}
	to := o.To.Nodes
	if o.To.Scope == totem.ToNode {
		to = []NodeID{o.To.Node}
	}
	for _, n := range to {
		mv.outs = append(mv.outs, flight{uint8(n - 1), f})
	}
}

// promises is the ring seq that the sender of the frame commits to by it.
func (f *frame) promises() uint64 {
	switch f.kind {
	case wire.TypeCommit, wire.TypeToken, wire.TypeData:
		return f.ring.Seq
	}
	return 0
}

// frame returns the number of a frame.
func (e *engines) frame(node uint8, inc uint64, b []byte) int32 {
	head := binary.LittleEndian.AppendUint64(append(e.scratch[:0], 'f', node), inc)
	canon, seq, _ := totem.CanonicalFrame(head, b, e.table)
	e.scratch = canon
	k := frameKey{e.form(canon), seq}
	if i, ok := e.frameIDs[k]; ok {
		return i
	}
	f := frame{from: node, inc: inc, seq: seq, form: k.form,
		packet: totem.Packet{From: id(node), Inc: inc, Frame: append([]byte(nil), b...)}}
	if h, body, err := wire.ParseHeader(b); err == nil {
		f.kind, f.ring = h.Type, h.Ring
		if d, err := wire.ParseData(body); err == nil && h.Type == wire.TypeData {
			f.slot = d.Slot
		}
		if n, err := wire.ParseNotice(body); err == nil && h.Type == wire.TypeNotice && len(n.Values) == 1 {
			f.ring = RingID{Seq: n.Values[0]} // it says that this ring was refused
		}
	}
	i := int32(len(e.frames))
	e.frameIDs[k] = i
	e.frames = append(e.frames, f)
	return i
}

// note keeps the trace events that properties speak of.
func (e *engines) note(mv *move, node uint8, inc uint64, t *totem.TraceEvent) {
	switch t.Kind {
	case totem.TraceOrig:
		mv.events = append(mv.events, e.events.keep(event{kind: evOrig, ring: t.Ring, slot: t.Slot, from: id(node), inc: inc,
			k: t.K, no: t.No, last: t.Last}))
	case totem.TraceState:
		if t.To == totem.Recovery {
			mv.events = append(mv.events, e.events.keep(event{kind: evRecovery, ring: t.Ring}))
		}
	case totem.TraceStable:
		mv.claims = append(mv.claims, claim{t.Ring, t.Slot})
	}
}

// show is the client side of a node.
func (e *engines) show(mv *move, m *totem.Machine, ev totem.Event) {
	switch ev := ev.(type) {
	case *totem.Delivery:
		mv.events = append(mv.events, e.events.keep(event{kind: evDeliver, ring: ev.Ring, slot: ev.Slot, from: ev.From, inc: ev.Inc,
			k: ev.K, safe: ev.Safe, body: string(ev.Body)}))
		m.Consumed(now, ev.Cost())
	case *totem.Configuration:
		x := event{kind: evRegular, ring: ev.Ring, prev: ev.Prev, members: lives(ev)}
		if ev.Kind == totem.Transitional {
			x.kind = evTransitional
		} else {
			mv.promise = max(mv.promise, ev.Ring.Seq)
			m.Release(now, ev.Ring)
		}
		mv.events = append(mv.events, e.events.keep(x))
	}
}

func lives(c *totem.Configuration) []member {
	ms := make([]member, len(c.Members))
	for i, n := range c.Members {
		ms[i] = member{n, c.Incs[i]}
	}
	return ms
}
