package sim

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/tracefile"
)

// Options say how to run a plan; they change nothing in the run itself.
type Options struct {
	// Engine makes the engines of bare runs; nil is totem.New.
	Engine func(now Tick, c totem.Config) (engine, error)
	// Trace gets every line of the trace if it is not nil.
	Trace func(*Line)
	// Fast leaves the engine's own invariants out.
	Fast bool
	// MaxEvents ends a run that does not end by itself; zero is 50 million.
	MaxEvents uint64
	// Programs run beside the simulator's clients; nil: none.
	Programs *Programs

	lost func(Drop) // gets each packet that chance lost
	// filter sees each packet before the network does; drop loses it, late delays it
	filter func(p *packet) (drop bool, late Tick)
}

// Line is one line of a trace.
type Line = tracefile.Line

// phase of a run (ordering 5.3).
type phase uint8

const (
	phaseChaos phase = iota
	phaseLiveness
	phaseProgress
	phaseDrain
	phaseFinal
)

var phaseNames = [...]string{"chaos", "liveness", "progress", "drain", "final"}

// String is the word used in traces.
func (p phase) String() string { return phaseNames[p] }

// world is one run.
type world struct {
	plan     *Plan
	opt      Options
	now      Tick
	queue    queue
	net      *network
	nodes    []*member
	index    map[NodeID]int
	check    *check.Checker
	groups   *check.Groups // nil in bare runs
	domain   *check.Domain // nil without Group Services
	news     *check.News   // nil without the event service
	lives    []*member     // by Life-1
	over     []bool        // by Life-1: ended
	events   uint64
	hash     uint64
	scratch  check.Event
	line     Line
	findings []check.Finding

	workload stream
	faults   stream
	noise    []byte
	buf      []byte
	serial   uint64

	pids        uint32 // given to client processes so far
	connections int
	voters      int                          // connections of clients of Group Services so far
	calls       uint64                       // of them
	attrs       map[string]groups.Attributes // of groups, as clients saw them last
	scripts     stream
	readers     int    // connections of clients of the event service so far
	texts       uint64 // that they published
	replays     bool
	arbiter     arbiter
	operator    operator
	active      []int // actions in force, in the order of their begin
	armed       []int // triggers that wait
	pending     []int // triggers whose consequence is due
	flows       []int // messages left, by action

	stirred bool // programs have something to do

	phase       phase
	phaseAt     Tick
	progressEnd Tick
	formed      Tick // since when everybody is in one ring
	shut        Tick // when the longest quarantine is over that ran at the heal, counted from then
	kept        int  // nodes that were kept out then
	liveness    Liveness
	idleFrom    uint64
	done        bool
}

func newWorld(p *Plan, o Options) *world {
	if o.Engine == nil {
		o.Engine = defaultEngine
	}
	if o.MaxEvents == 0 {
		o.MaxEvents = 50_000_000
	}
	w := &world{plan: p, opt: o, index: make(map[NodeID]int), flows: make([]int, len(p.Actions)), hash: p.Seed,
		workload: newStream(p.Seed, "workload"), faults: newStream(p.Seed, "faults")}
	w.check = check.New(p.rules())
	if !p.Bare {
		w.groups = check.NewGroups(cpg.ID, 1)
	}
	if p.domains() {
		w.domain, w.attrs, w.scripts = check.NewDomain(groups.ID, 1), make(map[string]groups.Attributes), newStream(p.Seed, "scripts")
	}
	if p.news() {
		w.news = check.NewNews(p.Events.Queue, p.Events.Ranked, 1)
		if p.Quorum.None {
			w.news.Loose()
		}
	}
	w.noise = make([]byte, 64<<10)
	r := newStream(0, "noise")
	for i := range w.noise {
		w.noise[i] = byte(r.Uint64())
	}
	for i, n := range p.Nodes {
		w.index[n.ID] = i
		w.nodes = append(w.nodes, &member{w: w, i: i, id: n.self(), plan: n, clock: clock{n.Offset, n.PPM},
			rnd: newStream(p.Seed, "node", uint64(n.ID)), client: true})
		w.nodes[i].vault.m = w.nodes[i]
		if slices.Contains(p.Listed, n.ID) {
			w.nodes[i].file = p.Listed
		}
		if n.Boot >= 0 {
			w.queue.push(event{at: n.Boot, kind: evStart, a: int32(i)})
		}
	}
	w.operator.list = p.Listed
	w.net = newNetwork(w)
	for i, a := range p.Actions {
		w.replays = w.replays || a.Do == DoReplay
		if a.At < p.Heal || a.Do == DoSend {
			w.queue.push(event{at: a.At, kind: evBegin, a: int32(i)})
		}
	}
	w.queue.push(event{at: p.Heal, kind: evPhase})
	if o.Programs != nil {
		w.queue.push(event{at: o.Programs.Every, kind: evTick})
	}
	return w
}

// software makes what runs in one life of a node.
func (w *world) software(m *member, r record) proc {
	if w.plan.Bare {
		return newBare(m, r.SeqBound)
	}
	return newFull(m, r)
}

func (w *world) newLife(m *member, bound uint64) Life {
	w.lives = append(w.lives, m)
	w.over = append(w.over, false)
	l := Life(len(w.lives))
	w.record(check.Event{Kind: check.KindStart, Life: l, Node: m.id, Inc: m.inc, Bound: bound, Waived: bound < m.installed || m.plan.As != 0})
	return l
}

func (w *world) ended(l Life) bool { return w.over[l-1] }

// run works on events until the run is over.
func (w *world) run() {
	for !w.done && len(w.queue.h) > 0 && len(w.findings) == 0 {
		e := w.queue.pop()
		w.now = e.at
		w.events++
		if w.events > w.opt.MaxEvents {
			w.fail("budget", fmt.Sprintf("the run did not end within %d events", w.opt.MaxEvents))
			return
		}
		w.handle(&e)
		if w.opt.Programs != nil {
			w.serve()
		}
	}
}

func (w *world) handle(e *event) {
	switch e.kind {
	case evArrive:
		w.nodes[e.a].arrive(e.p)
		return
	case evStart:
		w.nodes[e.a].start()
		return
	case evBegin:
		w.begin(int(e.a))
		return
	case evEnd:
		w.finish(int(e.a))
		return
	case evFlow:
		w.flow(int(e.a))
		return
	case evPhase:
		w.nextPhase()
		return
	case evTick:
		w.tick()
		return
	}
	m := w.nodes[e.a]
	if m.proc == nil || m.starts != int(e.b) {
		return
	}
	switch e.kind {
	case evWake:
		if m.wakeEv != Tick(e.x) {
			return
		}
		m.wakeEv = 0
		m.run()
	case evResume:
		m.resume = 0
		m.run()
	case evDisk:
		m.later(e, func() { w.written(m, e.x) })
	case evVault:
		m.later(e, m.vault.written)
	case evDuty:
		if f, ok := m.proc.(*full); ok {
			m.later(e, f.duties)
		}
	case evPing:
		m.later(e, m.proc.tick)
	case evConsume:
		m.later(e, m.proc.consume)
	case evRelease:
		m.later(e, m.proc.release)
	}
}

// later runs f now, or puts the event off while the process does not run.
func (m *member) later(e *event, f func()) {
	if m.paused || m.w.now < m.busy {
		o := *e
		o.at = max(m.busy, m.w.now+10*ms)
		m.w.queue.push(o)
		return
	}
	f()
	m.run()
}

// write starts the wait for a write of a member's disk.
func (w *world) write(m *member, n uint64) {
	d := m.rnd.lognormal(m.plan.Disk, 0.5)
	if m.disk.delay > 0 {
		d = m.disk.delay
	}
	w.queue.push(event{at: w.now + d, kind: evDisk, a: int32(m.i), b: int32(m.starts), x: n})
}

func (w *world) written(m *member, n uint64) {
	if m.disk.failing {
		m.disk.abort(n)
		m.proc.diskDone(n, errDisk)
		return
	}
	if _, ok := m.disk.finish(n); ok {
		m.proc.diskDone(n, nil)
	}
}

// stopped ends a life whose software stopped by itself.
func (w *world) stopped(m *member, why string) {
	w.noteText(m.id, "stopped: "+why)
	m.end(check.KindStop)
}

// record adds one event to the trace and has it checked.
func (w *world) record(e check.Event) {
	e.At = w.now
	w.scratch = e
	h := mix(w.hash ^ uint64(e.At))
	h = mix(h ^ uint64(e.Kind) ^ uint64(e.Life)<<8 ^ e.K<<24)
	h = mix(h ^ uint64(e.Slot) ^ e.Ring.Seq<<20 ^ uint64(e.Ring.Rep)<<50 ^ e.Hash)
	w.hash = h
	w.check.Add(&w.scratch)
	if w.groups != nil {
		w.groups.Follow(&w.scratch)
	}
	if w.domain != nil {
		w.domain.Follow(&w.scratch)
	}
	if w.news != nil {
		w.news.Follow(&w.scratch)
	}
	if f := w.check.Findings(); len(f) > 0 && len(w.findings) == 0 {
		w.findings = append(w.findings, f...)
	}
	if e.Kind == check.KindConf && !e.Transitional {
		m := w.lives[e.Life-1]
		m.installed = max(m.installed, e.Ring.Seq)
		m.installs++
	}
	if w.opt.Trace != nil {
		w.line = Line{At: e.At, Event: &w.scratch}
		if e.Life > 0 {
			w.line.Node = w.lives[e.Life-1].id
		}
		w.opt.Trace(&w.line)
	}
}

// recordGroup adds what a client did or got.
func (w *world) recordGroup(e *check.GroupEvent) {
	e.At = w.now
	h := mix(w.hash ^ uint64(e.At))
	w.hash = mix(h ^ uint64(e.Kind) ^ uint64(e.Client)<<8 ^ e.Tag<<24 ^ e.Hash ^ e.Ring.Seq<<16 ^ uint64(len(e.Members))<<56)
	w.groups.Add(e)
	if f := w.groups.Findings(); len(f) > 0 && len(w.findings) == 0 {
		w.findings = append(w.findings, f...)
	}
	if w.opt.Trace != nil {
		w.line = Line{At: e.At, Node: w.lives[e.Life-1].id, Group: e}
		w.opt.Trace(&w.line)
	}
}

// recordDomain adds what happened in Group Services.
func (w *world) recordDomain(e *check.DomainEvent) {
	e.At = w.now
	h := mix(w.hash ^ uint64(e.At))
	h = mix(h ^ uint64(e.Kind) ^ uint64(e.Client)<<8 ^ e.Tag<<24 ^ e.Ring.Seq<<16 ^ binary.LittleEndian.Uint64(e.Digest[:]))
	if e.Notice != nil {
		h = mix(h ^ uint64(e.Notice.Kind) ^ uint64(e.Notice.Token)<<8 ^ e.Notice.Seq<<16 ^ uint64(e.Notice.Phase)<<48)
	}
	if e.Message != nil {
		h = mix(h ^ e.Message.Hash)
	}
	w.hash = h
	if w.opt.Trace != nil {
		w.line = Line{At: e.At, Node: w.lives[e.Life-1].id, Domain: e}
		w.opt.Trace(&w.line)
	}
	w.domain.Add(e)
	if f := w.domain.Findings(); len(f) > 0 && len(w.findings) == 0 {
		w.findings = append(w.findings, f...)
	}
}

// fail adds a finding of the simulator's own.
func (w *world) fail(property, text string) {
	w.findings = append(w.findings, check.Finding{Property: property, At: w.now, Text: text})
}

func (w *world) tracePacket(p *packet, f fate) {
	w.hash = mix(w.hash ^ uint64(w.now) ^ uint64(p.kind)<<56 ^ uint64(f)<<48 ^ uint64(p.from)<<40 ^ uint64(p.to)<<32 ^ uint64(p.size()))
	if w.opt.Trace == nil {
		return
	}
	w.line = Line{At: w.now, Node: w.nodes[p.from].plan.ID, To: w.nodes[p.to].plan.ID, Kind: p.kind.String(), Size: p.size(), Fate: f.String()}
	if p.data != nil && len(p.data.b) >= frameHead {
		w.line.Ring = ringOf(p.data.b)
		if p.kind == ftData {
			w.line.Slot, _ = dataSlot(p.data.b)
		}
	}
	w.opt.Trace(&w.line)
}

func (w *world) note(m *member, t *totem.TraceEvent) {
	w.hash = mix(w.hash ^ uint64(w.now) ^ uint64(t.Kind)<<32 ^ uint64(t.To)<<40 ^ uint64(t.Reason)<<48)
	if w.opt.Trace == nil {
		return
	}
	var s string
	switch t.Kind {
	case totem.TraceState:
		s = fmt.Sprintf("%v -> %v because of %v", t.From, t.To, t.Reason)
	case totem.TraceSuspect:
		s = fmt.Sprintf("suspects node %d: %v", t.Node, t.Reason)
	case totem.TraceFail:
		s = fmt.Sprintf("fails node %d: %v", t.Node, t.Reason)
	case totem.TraceBlocked:
		s = fmt.Sprintf("blocked by node %d for %v", t.Node, Tick(t.Value))
	case totem.TraceRequest:
		s = fmt.Sprintf("requests %d slots", t.Value)
	case totem.TraceResend:
		s = fmt.Sprintf("resends slot %d", t.Slot)
	case totem.TraceQuarantine:
		s = fmt.Sprintf("keeps node %d out for %v: %v", t.Node, Tick(t.Value), t.Reason)
	case totem.TraceRelease:
		s = fmt.Sprintf("lets node %d in %v early: %v", t.Node, Tick(t.Value), t.Reason)
	case totem.TraceKeptOut:
		s = fmt.Sprintf("is kept out by node %d for %v: %v", t.Node, Tick(t.Value), t.Reason)
	case totem.TraceStaleView:
		s = fmt.Sprintf("was paused for %v", Tick(t.Value))
	default:
		s = fmt.Sprintf("trace %d: %s", t.Kind, t.Text)
	}
	if !t.Ring.IsZero() {
		s += fmt.Sprintf(" (ring %v)", t.Ring)
	}
	if t.Kind == totem.TraceState && t.Node != 0 {
		s += fmt.Sprintf(" (node %d)", t.Node)
	}
	w.noteText(m.id, s)
}

func (w *world) noteText(n NodeID, s string) {
	if w.opt.Trace == nil {
		return
	}
	w.line = Line{At: w.now, Node: n, Text: s}
	w.opt.Trace(&w.line)
}

// sniff looks at a frame that leaves a node: the bytes of a slot never change
// (B6), what commits to a ring leaves after its record (M1), and a Join tells
// what its sender knows (C2).
func (w *world) sniff(m *member, kind frameType, f []byte) {
	switch kind {
	case ftJoin:
		if seq := seenOf(f); seq > m.knows {
			m.knows = seq
			w.record(check.Event{Kind: check.KindKnows, Life: m.life, Ring: RingID{Seq: seq}})
		}
	case ftData, ftToken, ftCommit:
		if r := ringOf(f); r != m.promised {
			m.promised = r
			w.record(check.Event{Kind: check.KindPromise, Life: m.life, Ring: r})
		}
	}
	if kind != ftData {
		return
	}
	w.frame(m, f)
	if flagsOf(f)&flagWrapped != 0 && len(f) > frameHead+dataHead+frameHead {
		w.frame(m, f[frameHead+dataHead:])
	}
}

func (w *world) frame(m *member, f []byte) {
	if s, ok := dataSlot(f); ok {
		w.record(check.Event{Kind: check.KindFrame, Life: m.life, Ring: ringOf(f), Slot: s, Hash: frameSum(f)})
	}
}

// client submits one message with a body of its own.
func (w *world) client(m *member, size int, class uint8, safe bool) (accepted, retry bool) {
	if m.proc == nil || m.paused {
		return false, false
	}
	accepted, retry = m.proc.submit(w.body(m, size), class, safe)
	if accepted {
		w.net.counts.Submitted++
	}
	return accepted, retry
}

// body makes bytes that no other message of the run has, as far as they fit.
func (w *world) body(m *member, size int) []byte {
	w.serial++
	if cap(w.buf) < size {
		w.buf = make([]byte, size)
	}
	b := w.buf[:size]
	off := int(mix(w.serial) % uint64(len(w.noise)/2))
	for n := 0; n < size; {
		n += copy(b[n:], w.noise[off:])
		off = 0
	}
	for i := range min(size, 8) {
		b[i] = byte(w.serial >> (8 * i))
	}
	if size > 12 {
		b[8], b[9], b[10], b[11] = byte(m.id), byte(m.life), byte(m.life>>8), byte(size)
	}
	return b
}
