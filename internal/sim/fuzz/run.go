package fuzz

import (
	"fmt"
	"math/bits"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// Options say how large a run is.
type Options struct {
	Cycles  int // of attack and peace; 8
	Packets int // of each attack, about; 10 000
	Note    func(string)
}

// Result is what a run ended with.
type Result struct {
	Seed   uint64 `json:"seed"`
	Totals Totals `json:"totals"`
	Failed string `json:"failed,omitempty"`
	Stack  string `json:"stack,omitempty"` // of a panic
}

const (
	settleTime   = 3 * sec  // one ring has to last before it is believed in
	progressTime = 10 * sec // for the messages of L2
	idleTime     = 2 * sec  // over which L4 counts
	perProgram   = 10       // messages of each program in peace
	maxChanges   = 2000     // of a member's state in peace
	growthLimit  = 32 << 20 // of the heap from the second cycle on
)

// Run attacks one cluster. A panic of the code under test is a failure. The same
// seed and options do the same, but for what the heap says.
func Run(seed uint64, o Options) (res Result) {
	res.Seed = seed
	if o.Cycles == 0 {
		o.Cycles = 8
	}
	if o.Packets == 0 {
		o.Packets = 10_000
	}
	cycle := 0
	var w *world
	defer func() {
		if x := recover(); x != nil {
			res.Failed = fmt.Sprintf("panic in cycle %d: %v", cycle, x)
			res.Stack = string(debug.Stack())
		} else if w != nil && w.trouble != nil {
			res.Failed = fmt.Sprintf("cycle %d, at %v: %v", cycle, w.now, w.trouble)
		}
	}()
	w = newWorld(seed, 3+int(seed%3), &res.Totals)
	res.Totals.Runs = 1
	w.peace(0)
	base := uint64(0)
	for range o.Cycles {
		if w.trouble != nil {
			break
		}
		cycle++
		w.attack(o.Packets)
		w.peace(uint32(cycle))
		res.Totals.Cycles++
		heap := heapInUse()
		if o.Note != nil {
			o.Note(fmt.Sprintf("seed %d cycle %d: %d packets, %v virtual, heap %d KiB", seed, cycle, res.Totals.Packets(), w.now, heap>>10))
		}
		switch {
		case cycle < 2:
		case base == 0:
			base = heap
		default:
			res.Totals.Growth = max(res.Totals.Growth, int64(heap)-int64(base))
			if heap > base+growthLimit {
				w.fail("the heap grew from %d to %d KiB", base>>10, heap>>10)
			}
		}
	}
	w.countDrops()
	res.Totals.Virtual = w.now
	return res
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// attack lets the attackers loose until members got that many packets.
func (w *world) attack(packets int) {
	w.insider.draw()
	w.insider.on = true
	strangers := 0.1 + 0.3*w.rng.Float64()
	calm := Tick(50+w.rng.IntN(2000)) * ms // between two changes of the network
	disturb := w.now + w.until1(calm)
	traffic := w.now
	deadline := w.now + 300*sec
	next := w.now
	end := w.total.Packets() + uint64(packets)
	for w.trouble == nil && w.total.Packets() < end && w.now < deadline {
		w.step(min(next, disturb, traffic))
		if w.now >= disturb {
			w.disturb()
			disturb = w.now + w.until1(calm)
		}
		if w.now >= traffic {
			w.traffic()
			traffic = w.now + w.until1(20*ms)
		}
		w.press(strangers)
		if w.now >= next {
			next = w.now + w.until1(4*ms)
			if to := w.victim(); to != nil && (to.state != totem.Gather || w.chance(0.2)) {
				w.burst(to, 1+w.rng.IntN(8), strangers)
			}
		}
		w.checkQueues()
	}
	w.insider.on = false
}

// until1 is a random time with that mean.
func (w *world) until1(mean Tick) Tick { return max(1, Tick(w.rng.ExpFloat64()*float64(mean))) }

// press attacks members that are in a state which does not last.
func (w *world) press(strangers float64) {
	for _, m := range w.nodes {
		if m.core == nil || m == w.insider.m {
			continue
		}
		p := 0.0
		switch m.state {
		case totem.Commit, totem.Recovery:
			p = 0.5
		case totem.Gather:
			p = 0.02
		}
		if w.chance(p) {
			w.burst(m, 1+w.rng.IntN(6), strangers)
		}
	}
}

// burst attacks one member.
func (w *world) burst(to *member, n int, strangers float64) {
	for range n {
		if to.core == nil {
			return
		}
		if w.chance(strangers) {
			w.stranger.throw(to)
		} else {
			w.insider.whisper(to)
		}
	}
	to.work()
}

// traffic lets a program send something.
func (w *world) traffic() {
	p := w.nodes[w.rng.IntN(len(w.nodes))].program
	p.act()
	if p.h == nil || !p.joined {
		return
	}
	size := 20 + w.rng.IntN(200)
	if w.chance(0.05) {
		size = w.rng.IntN(8000)
	}
	for range 1 + w.rng.IntN(3) {
		if p.h != nil {
			p.send(size, w.chance(0.3), func(service.Code) {})
		}
	}
	if w.chance(0.02) {
		p.hangUp()
	}
}

// disturb changes the network or a process, for view changes.
func (w *world) disturb() {
	m := w.nodes[w.rng.IntN(len(w.nodes))]
	switch w.rng.IntN(8) {
	case 0:
		w.isolate(m, true)
	case 1:
		w.isolate(m, false)
	case 2:
		m.crash(w.until1(500 * ms))
	case 3:
		if w.insider.liar {
			w.insider.m.lieAboutStart(max(1, w.insider.gen.u64(w.insider.m.disk.Inc)), w.until1(100*ms))
		} else {
			w.insider.m.crash(w.until1(100 * ms))
		}
	default:
		w.heal()
	}
}

// checkQueues demands that no queue is beyond its bound, now and then.
func (w *world) checkQueues() {
	if w.rng.IntN(500) != 0 {
		return
	}
	m := w.nodes[w.rng.IntN(len(w.nodes))]
	if m.core == nil {
		return
	}
	for _, q := range m.core.Status().Queues {
		if q.Used > q.Bound+q.Bound/4 || q.Used < 0 {
			w.fail("node %d: queue %s holds %d of at most %d %s", m.id, q.Name, q.Used, q.Bound, q.Unit)
		}
	}
}

// longestQuarantine is Z of L1: a liar can have a member kept out for as long as
// one that flaps (ordering 2.14.4).
const longestQuarantine = 64 * sec

// bound is the time of L1 (ordering 1.5) with the default constants.
func (w *world) bound() Tick {
	token := sec + 10*ms*Tick(len(w.nodes)-2)
	return (token+token*6/5+4*token+500*ms)*Tick(1+2*bits.Len(uint(len(w.nodes)))+2) + longestQuarantine
}

// peace ends all faults and demands what must hold then.
func (w *world) peace(phase uint32) {
	if w.trouble != nil {
		return
	}
	w.heal()
	if w.insider.m.honest != nil || w.chance(0.3) {
		w.insider.m.comeClean()
	}
	w.oneRing()
	w.messages(phase)
	w.sameState()
	w.idle()
}

// oneRing waits for a ring of all that lasts.
func (w *world) oneRing() {
	began := w.now
	for _, m := range w.nodes {
		m.changes = 0
	}
	for limit := w.now + w.bound() + restartDelay; w.trouble == nil; {
		if !w.until(limit, func() bool { return w.formed() || w.restless() }) || !w.formed() {
			w.fail("L1: no ring of all nodes that lasts within %v\n%s", w.now-began, w.describe())
			return
		}
		formed, ring := w.now, w.nodes[0].ring
		w.until(w.now+settleTime, func() bool { return !w.formed() || w.nodes[0].ring != ring })
		if w.now-formed >= settleTime {
			w.total.Formed = max(w.total.Formed, formed-began)
			return
		}
	}
}

// restless reports a member that changes its state all the time.
func (w *world) restless() bool {
	return slices.ContainsFunc(w.nodes, func(m *member) bool { return m.changes > maxChanges })
}

// messages lets all programs join anew and multicast, and demands that all get
// everything in one order.
func (w *world) messages(phase uint32) {
	if w.trouble != nil {
		return
	}
	ring := w.nodes[0].ring
	for _, m := range w.nodes {
		m.program.hangUp()
		m.program.phase, m.program.got, m.program.broken = phase, nil, ""
		m.program.pid++
	}
	w.run(100 * ms)
	asked := Tick(-1)
	joined := func() bool {
		all, again := true, w.now > asked // a join that is refused at once must let time pass
		asked = w.now
		for _, m := range w.nodes {
			if again {
				m.program.act()
			}
			all = all && m.program.joined
		}
		return all
	}
	if !w.until(w.now+progressTime, joined) {
		w.fail("L2: clients cannot join\n%s", w.describe())
		return
	}
	for i := range perProgram {
		for _, m := range w.nodes {
			m.program.send(20+300*i, i%2 == 0, func(code service.Code) {
				if code != service.OK {
					w.fail("node %d refuses a message in peace: %v", m.id, code)
				}
			})
		}
		w.run(2 * ms)
	}
	want := perProgram * len(w.nodes)
	all := func() bool {
		return !slices.ContainsFunc(w.nodes, func(m *member) bool { return len(m.program.got) < want })
	}
	if !w.until(w.now+progressTime, all) {
		w.fail("L2: not all messages of the peace came\n%s", w.describe())
		return
	}
	for _, m := range w.nodes {
		if !slices.Equal(m.program.got, w.nodes[0].program.got) {
			w.fail("order: node %d got %x, node 1 %x", m.id, m.program.got, w.nodes[0].program.got)
		}
	}
	if !w.formed() || w.nodes[0].ring != ring {
		w.fail("L1: the ring of the peace broke\n%s", w.describe())
	}
}

// sameState compares what the nodes hold once it is quiet.
func (w *world) sameState() {
	w.run(500 * ms)
	if w.trouble != nil {
		return
	}
	first := w.nodes[0]
	for _, m := range w.nodes {
		if got, want := m.dump(), first.dump(); got != want {
			w.fail("services differ\nnode %d:\n%s\nnode 1:\n%s", m.id, got, want)
		}
		if m.quorate != first.quorate {
			w.fail("node %d quorate %v, node 1 %v", m.id, m.quorate, first.quorate)
		}
	}
}

// idle demands that an idle ring sends little (L4).
func (w *world) idle() {
	if w.trouble != nil {
		return
	}
	before := w.sent
	w.run(idleTime)
	n := len(w.nodes)
	if got, limit := w.sent-before, uint64(3*n*int(idleTime/(200*ms)+2)+4*n); got > limit {
		w.fail("L4: an idle ring of %d sent %d datagrams in %v, at most %d are in order\n%s", n, got, idleTime, limit, w.describe())
	}
}

// countDrops adds up what the session layers threw away.
func (w *world) countDrops() {
	for _, m := range w.nodes {
		if m.core == nil {
			continue
		}
		for _, c := range m.core.Status().Sessions {
			if c.Cause != "" {
				count(&w.total.Drops, c.Cause, c.Value)
			}
		}
	}
}
