package timing

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/sim"
	"github.com/moothall/moothall/internal/sim/check"
)

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Tick   = proto.Tick
)

const (
	us  = proto.Microsecond
	ms  = proto.Millisecond
	sec = proto.Second
)

// Situation is one situation. Its seeds differ in delays, jitter and the moment at
// which things happen.
type Situation struct {
	Name string
	Plan func(seed uint64) (*sim.Plan, Want)
}

// Want is the right outcome of the time before Plan.Heal. What is zero is not
// asked for.
type Want struct {
	From Tick // what comes before is not looked at

	// Ring is in one ring of its own no later than Within after From or after the
	// last start, crash or stop of a node, and stays there until the heal. With
	// Again it may leave and come back, but not for longer than Within.
	Ring   []NodeID
	Within Tick
	Again  bool

	// Rings are installed at most, counted once whoever installs them; PerMinute is
	// the most of them within any minute (L7).
	Rings     int
	PerMinute int

	// Latency is the longest time from a submit to the last delivery in Ring.
	Latency Tick

	// Resent is the largest share of data frames that go to one node twice.
	Resent float64
}

// Outcome is what became of a situation.
type Outcome struct {
	Findings []check.Finding // none: all is in order; else the first one is to be read
	Formed   Tick            // until Ring was together, as Want.Within has it
	Rings    int
	Densest  int  // most rings within a minute
	Slowest  Tick // latency
	Resent   float64
}

// Run executes the situation. Besides what it wants, the trace has to hold every
// property of the checker.
func (s Situation) Run(seed uint64, trace func(*sim.Line)) Outcome {
	p, want := s.Plan(seed)
	w := newWatch(p, want)
	r := sim.Run(p, sim.Options{Trace: func(l *sim.Line) {
		w.line(l)
		if trace != nil {
			trace(l)
		}
	}})
	o := w.outcome()
	if r.Failed() {
		o.Findings = r.Findings
	}
	return o
}

// watch notes what a situation asks about.
type watch struct {
	plan  *sim.Plan
	want  Want
	base  Tick // last start, crash or stop since From
	nodes map[NodeID]*node
	rings []RingID // since From
	made  []Tick   // when each of them was first installed
	since Tick     // since when Ring is together; zero: it is not
	apart Tick     // since when it is not
	long  Tick     // the longest time apart that ended
	open  map[message]Tick
	left  map[message]int
	slow  Tick
	worst message
	sent  map[frame]bool
	data  int
	again int
}

type node struct {
	life    check.Life
	ring    RingID
	members []NodeID
}

type message struct {
	from NodeID
	k    uint64
}

type frame struct {
	ring RingID
	slot proto.Slot
	to   NodeID
}

func newWatch(p *sim.Plan, want Want) *watch {
	return &watch{plan: p, want: want, base: want.From, nodes: make(map[NodeID]*node), open: make(map[message]Tick),
		left: make(map[message]int), sent: make(map[frame]bool)}
}

func (w *watch) line(l *sim.Line) {
	if l.At >= w.plan.Heal {
		return
	}
	if l.Kind == "data" && l.At >= w.want.From {
		w.packet(l)
	}
	if l.Event != nil {
		w.event(l)
	}
}

// packet counts data frames that go to the same node again.
func (w *watch) packet(l *sim.Line) {
	if w.want.Resent == 0 {
		return
	}
	f := frame{l.Ring, l.Slot, l.To}
	w.data++
	if w.sent[f] {
		w.again++
	}
	w.sent[f] = true
}

func (w *watch) event(l *sim.Line) {
	e := l.Event
	switch e.Kind {
	case check.KindStart, check.KindCrash, check.KindStop:
		w.nodes[l.Node] = &node{life: e.Life}
		if l.At >= w.want.From {
			w.base, w.long = l.At, 0
		}
	case check.KindConf:
		if e.Transitional {
			return
		}
		n := w.nodes[l.Node]
		n.ring, n.members = e.Ring, slices.Clone(e.Members)
		if l.At >= w.want.From && !slices.Contains(w.rings, e.Ring) {
			w.rings, w.made = append(w.rings, e.Ring), append(w.made, l.At)
		}
	case check.KindSubmit:
		if l.At >= w.want.From && slices.Contains(w.want.Ring, l.Node) {
			m := message{l.Node, e.K}
			w.open[m], w.left[m] = l.At, len(w.want.Ring)
		}
		return
	case check.KindDeliver:
		w.delivered(l.At, message{e.From, e.K})
		return
	default:
		return
	}
	w.together(l.At)
}

func (w *watch) delivered(at Tick, m message) {
	if w.left[m]--; w.left[m] == 0 {
		if d := at - w.open[m]; d > w.slow {
			w.slow, w.worst = d, m
		}
		delete(w.open, m)
	}
}

// together notes since when Ring is in one ring.
func (w *watch) together(at Tick) {
	if len(w.want.Ring) == 0 {
		return
	}
	first := w.nodes[w.want.Ring[0]]
	for _, id := range w.want.Ring {
		n := w.nodes[id]
		if n == nil || n.ring != first.ring || !slices.Equal(n.members, w.want.Ring) {
			if w.since != 0 {
				w.since, w.apart = 0, at
			}
			return
		}
	}
	if w.since == 0 {
		w.since = at
		w.long = max(w.long, at-max(w.apart, w.base))
	}
}

// outcome compares what happened with what was wanted.
func (w *watch) outcome() Outcome {
	o := Outcome{Formed: w.since - w.base, Rings: len(w.rings), Densest: w.densest(), Slowest: w.slow, Resent: float64(w.again) / float64(max(w.data, 1))}
	if w.want.Again {
		if w.since == 0 {
			w.long = max(w.long, w.plan.Heal-max(w.apart, w.base))
		}
		o.Formed = w.long
	}
	fail := func(what, format string, args ...any) {
		o.Findings = append(o.Findings, check.Finding{Property: what, At: w.plan.Heal, Text: fmt.Sprintf(format, args...)})
	}
	want := w.want
	if len(want.Ring) > 0 && w.since == 0 && !want.Again {
		fail("L1", "%v are not in a ring of their own at the end: %s", want.Ring, w.describe())
	} else if want.Within > 0 && o.Formed > want.Within {
		fail("L1", "%v are in a ring of their own after %v, %v is in order", want.Ring, o.Formed, want.Within)
	}
	if want.Rings > 0 && o.Rings > want.Rings {
		fail("L3", "%d rings were installed, %d are in order", o.Rings, want.Rings)
	}
	if want.PerMinute > 0 && o.Densest > want.PerMinute {
		fail("L7", "%d rings were installed within a minute, %d are in order", o.Densest, want.PerMinute)
	}
	if want.Latency > 0 && w.slow > want.Latency {
		fail("L2", "message %d of node %d took %v until all had it, %v is in order", w.worst.k, w.worst.from, w.slow, want.Latency)
	}
	if n := len(w.open); want.Latency > 0 && n > 0 {
		fail("L2", "%d messages were not delivered everywhere", n)
	}
	if want.Resent > 0 && o.Resent > want.Resent {
		fail("L2", "%d of %d data frames went to the same node again, %.1f %% are in order", w.again, w.data, 100*want.Resent)
	}
	return o
}

// densest is the largest number of rings that were installed within a minute.
func (w *watch) densest() int {
	most, first := 0, 0
	for i, at := range w.made {
		for at-w.made[first] >= 60*sec {
			first++
		}
		most = max(most, i+1-first)
	}
	return most
}

func (w *watch) describe() string {
	var ids []NodeID
	for id := range w.nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	s := ""
	for _, id := range ids {
		s += fmt.Sprintf("%d in %v; ", id, w.nodes[id].members)
	}
	return s
}

// rnd draws the small differences between the seeds of a situation (splitmix64).
type rnd uint64

func (r *rnd) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *rnd) between(a, b Tick) Tick { return a + Tick(r.next()%uint64(b-a)) }

func (r *rnd) intn(n int) int { return int(r.next() % uint64(n)) }

// cluster is a plan of n nodes on a local network that all start at once, and
// the end of the time that is judged.
func cluster(seed uint64, n int, end Tick) (*sim.Plan, *rnd) {
	r := rnd(seed)
	r.next()
	p := &sim.Plan{Seed: seed, Bare: true, Heal: end, Restart: true, Net: sim.Network{Delay: r.between(50*us, 200*us), Sigma: 0.3}}
	p.Engine.MaxMessage = 1 << 20
	for i := range n {
		p.Nodes = append(p.Nodes, sim.NodePlan{ID: NodeID(i + 1), Votes: 1, Offset: r.between(sec, 100*sec), Disk: ms})
	}
	return p, &r
}

// ids are the first n node ids without some of them.
func ids(n int, without ...NodeID) []NodeID {
	var l []NodeID
	for i := range n {
		if id := NodeID(i + 1); !slices.Contains(without, id) {
			l = append(l, id)
		}
	}
	return l
}

func add(p *sim.Plan, a ...sim.Action) {
	p.Actions = append(p.Actions, a...)
	slices.SortStableFunc(p.Actions, func(a, b sim.Action) int { return cmp.Compare(a.At, b.At) })
}

// Find returns the situation of that name.
func Find(name string) (Situation, bool) {
	i := slices.IndexFunc(All, func(s Situation) bool { return s.Name == name })
	if i < 0 {
		return Situation{}, false
	}
	return All[i], true
}
