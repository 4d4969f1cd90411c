package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/sim/check"
)

// scene is a run that a test drives step by step. All properties are checked as
// in any other run; the test adds what its situation is about.
type scene struct {
	t      *testing.T
	w      *world
	rings  map[NodeID][]RingID // installed, by node
	confs  map[NodeID][]conf
	got    map[NodeID][]delivery
	notes  []string
	onLine func(*Line)
	onSend func(p *packet) (drop bool, late Tick)
}

type conf struct {
	at      Tick
	ring    RingID
	prev    RingID
	trans   bool
	members []NodeID
	came    []NodeID
}

type delivery struct {
	at    Tick
	ring  RingID
	slot  Slot
	from  NodeID
	k     uint64
	safe  bool
	trans bool // in a transitional configuration
}

// newScene makes n engines on a plain network; change alters the plan.
func newScene(t *testing.T, n int, change func(*Plan)) *scene {
	t.Helper()
	p := &Plan{Seed: 1, Bare: true, Heal: 1000 * 3600 * sec, Restart: true, Net: Network{Delay: 200 * us}}
	for i := range n {
		p.Nodes = append(p.Nodes, NodePlan{ID: NodeID(i + 1), Offset: Tick(i+1) * sec, Disk: ms, Votes: 1})
	}
	if change != nil {
		change(p)
	}
	if err := p.validate(); err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, rings: map[NodeID][]RingID{}, confs: map[NodeID][]conf{}, got: map[NodeID][]delivery{}}
	s.w = newWorld(p, Options{Trace: s.line, filter: s.filter})
	return s
}

func (s *scene) filter(p *packet) (bool, Tick) {
	if s.onSend != nil {
		return s.onSend(p)
	}
	return false, 0
}

func (s *scene) line(l *Line) {
	if *show {
		fmt.Println(l)
	}
	if s.onLine != nil {
		s.onLine(l)
	}
	e := l.Event
	switch {
	case e == nil:
		if l.Kind == "" {
			s.notes = append(s.notes, fmt.Sprintf("%d %s", l.Node, l.Text))
		}
	case e.Kind == check.KindConf:
		c := conf{l.At, e.Ring, e.Prev, e.Transitional, slices.Clone(e.Members), slices.Clone(e.Trans)}
		s.confs[l.Node] = append(s.confs[l.Node], c)
		if !e.Transitional {
			s.rings[l.Node] = append(s.rings[l.Node], e.Ring)
		}
	case e.Kind == check.KindDeliver:
		c := s.confs[l.Node]
		s.got[l.Node] = append(s.got[l.Node], delivery{l.At, e.Ring, e.Slot, e.From, e.K, e.Safe, c[len(c)-1].trans})
	}
}

// to carries the run on to a moment.
func (s *scene) to(at Tick) *scene {
	s.t.Helper()
	s.until(at, func() bool { return false })
	return s
}

// pass lets time go by.
func (s *scene) pass(d Tick) *scene {
	s.t.Helper()
	return s.to(s.w.now + d)
}

// until carries the run on until cond holds, not beyond at; it reports cond.
func (s *scene) until(at Tick, cond func() bool) bool {
	s.t.Helper()
	w := s.w
	for !cond() {
		if len(w.queue.h) == 0 || w.queue.h[0].at > at {
			w.now = max(w.now, at)
			return false
		}
		e := w.queue.pop()
		w.now = e.at
		w.handle(&e)
		if len(w.findings) > 0 {
			s.t.Fatalf("%v", w.findings[0])
		}
	}
	return true
}

// must carries the run on until cond holds, for at most a time.
func (s *scene) must(within Tick, what string, cond func() bool) {
	s.t.Helper()
	if !s.until(s.w.now+within, cond) {
		s.t.Fatalf("waited %v in vain for: %s\n%s", within, what, s.w.describe())
	}
}

func (s *scene) node(n NodeID) *member { return s.w.nodes[s.w.index[n]] }

// together reports whether the nodes are in a ring of just them.
func (s *scene) together(ids ...NodeID) func() bool {
	return func() bool {
		for _, n := range ids {
			if m := s.node(n); m.proc == nil || m.ring != s.node(ids[0]).ring || !slices.Equal(m.members, ids) {
				return false
			}
		}
		return true
	}
}

// boot waits for the first ring of all nodes.
func (s *scene) boot() *scene {
	s.t.Helper()
	var ids []NodeID
	for _, m := range s.w.nodes {
		ids = append(ids, m.id)
	}
	s.must(20*sec, "first ring of all", s.together(ids...))
	return s
}

// do carries out an action now.
func (s *scene) do(a Action) *scene {
	w := s.w
	a.At = w.now
	w.plan.Actions = append(w.plan.Actions, a)
	w.flows = append(w.flows, 0)
	w.begin(len(w.plan.Actions) - 1)
	return s
}

// undo ends the newest action of a kind.
func (s *scene) undo(do Do) *scene {
	for i := len(s.w.active) - 1; i >= 0; i-- {
		if s.w.plan.Actions[s.w.active[i]].Do == do {
			s.w.finish(s.w.active[i])
			return s
		}
	}
	s.t.Fatalf("no action %q is in force", do)
	return s
}

func (s *scene) crash(ids ...NodeID) *scene {
	for _, n := range ids {
		s.do(Action{Do: DoCrash, A: n})
	}
	return s
}

func (s *scene) start(ids ...NodeID) *scene {
	for _, n := range ids {
		s.do(Action{Do: DoStart, A: n})
	}
	return s
}

// cut cuts one direction.
func (s *scene) cut(a, b NodeID) *scene { return s.do(Action{Do: DoCut, A: a, B: b}) }

// part cuts both directions between nodes.
func (s *scene) part(a, b NodeID) *scene { return s.cut(a, b).cut(b, a) }

// heal takes all cuts and other conditions away.
func (s *scene) heal() *scene {
	for len(s.w.active) > 0 {
		s.w.finish(s.w.active[len(s.w.active)-1])
	}
	return s
}

// send lets clients of a node submit.
func (s *scene) send(n NodeID, count, size int, safe bool) *scene {
	s.t.Helper()
	for range count {
		if ok, _ := s.w.client(s.node(n), size, 2, safe); !ok {
			s.t.Fatalf("node %d accepts no message", n)
		}
	}
	return s
}

// end heals, checks the bounds of liveness, and what only the whole trace shows.
func (s *scene) end() {
	s.t.Helper()
	w := s.w
	s.onSend = nil
	w.queue.push(event{at: w.now, kind: evPhase})
	w.run()
	for _, f := range w.findings {
		s.t.Errorf("%v", f)
	}
}

// safety ends the scene without healing: only what may never happen is checked.
func (s *scene) safety() {
	s.t.Helper()
	s.w.finishRun(false)
	for _, f := range s.w.findings {
		s.t.Errorf("%v", f)
	}
}

// count counts the notes of a node (zero: of all) that contain text.
func (s *scene) count(n NodeID, text string) int {
	c := 0
	for _, l := range s.notes {
		if (n == 0 || strings.HasPrefix(l, fmt.Sprint(n)+" ")) && strings.Contains(l, text) {
			c++
		}
	}
	return c
}

// installed is the number of rings a node installed so far.
func (s *scene) installed(n NodeID) int { return len(s.rings[n]) }

// atMost fails if a node installed more rings than allowed since was.
func (s *scene) atMost(n NodeID, was, allowed int) {
	s.t.Helper()
	if got := s.installed(n) - was; got > allowed {
		s.t.Errorf("node %d installed %d rings, at most %d are in order: %v", n, got, allowed, s.rings[n][was:])
	}
}

// state is what a node's engine said last.
func (s *scene) state(n NodeID) string {
	if b, ok := s.node(n).proc.(*bare); ok {
		return b.state.String()
	}
	return "down"
}

// body is the frame of a packet.
func (p *packet) frame() []byte {
	if p.data == nil {
		return nil
	}
	return p.data.b
}
