package sim

import (
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/sim/check"
)

// whole makes the nodes of a scene whole ones, each with two programs.
func whole(p *Plan) {
	p.Bare = false
	for i := range p.Nodes {
		p.Nodes[i].Procs = 2
	}
}

func TestScenario_29_SubmitBetweenTransitionAndReady(t *testing.T) {
	s := newScene(t, 4, func(p *Plan) {
		whole(p)
		for i := range p.Nodes {
			p.Nodes[i].Burst, p.Nodes[i].BurstLen = 5, 200
		}
	})
	ready := map[NodeID]RingID{}
	early, late := 0, 0
	s.onLine = func(l *Line) {
		e := l.Event
		switch {
		case e == nil:
		case e.Kind == check.KindSynced:
			ready[l.Node] = e.Ring
		case e.Kind == check.KindConf:
			if e.Transitional {
				ready[l.Node] = e.Prev // what is left of the old ring may come
			}
		case e.Kind == check.KindDeliver && e.Class != 0:
			if ready[l.Node] != e.Ring {
				early++
			} else {
				late++
			}
		}
	}
	s.do(Action{Do: DoSend, N: 3000, Size: 80, D: ms, Safe: 0.3})
	s.boot()
	for range 5 {
		s.crash(4).pass(800 * ms).start(4).pass(800 * ms)
	}
	if early > 0 || late == 0 {
		t.Errorf("%d messages of programs were delivered before the synchronisation was complete, %d after", early, late)
	}
	s.end()
}

// TestWholeNodes_QuorumFollowsTheMajority is the plain way of a partition.
func TestWholeNodes_QuorumFollowsTheMajority(t *testing.T) {
	s := newScene(t, 5, whole).boot().pass(sec)
	quorate := map[NodeID]bool{}
	s.onLine = func(l *Line) {
		if e := l.Event; e != nil && e.Kind == check.KindQuorum {
			quorate[l.Node] = e.Quorate
		}
	}
	s.do(Action{Do: DoSplit, Groups: [][]NodeID{{1, 2}, {3, 4, 5}}})
	s.must(5*sec, "two rings", func() bool { return s.together(1, 2)() && s.together(3, 4, 5)() })
	s.pass(sec)
	for n := range NodeID(5) {
		if want := n+1 >= 3; quorate[n+1] != want {
			t.Errorf("node %d shows quorate %v", n+1, quorate[n+1])
		}
	}
	s.undo(DoSplit)
	s.end()
}

func TestScenario_36_TwoMachinesWithOneID(t *testing.T) {
	s := newScene(t, 3, func(p *Plan) {
		whole(p)
		p.Nodes = append(p.Nodes, NodePlan{ID: 9, As: 2, Boot: -1, Disk: ms})
	})
	s.must(20*sec, "first ring", s.together(1, 2, 3))
	s.pass(sec)
	was, known := s.installed(1), s.node(2).life
	second := s.node(9)
	for round, loud := range []NodeID{2, 9, 2, 9} {
		quiet := 11 - loud
		s.do(Action{Do: DoLoss, A: quiet, P: 0.3}).do(Action{Do: DoSend, A: loud, N: 50, Size: 200, D: ms})
		s.start(9)
		if second.inc <= s.node(2).inc {
			t.Fatal("the second machine has no higher incarnation")
		}
		core := second.proc.(*full).core
		s.must(3*sec, "the second machine stops", func() bool { return second.proc == nil })
		said := ""
		for _, d := range core.Decisions(0) {
			if d.Reason == "id-conflict" {
				said = d.Text
			}
		}
		for _, id := range []NodeID{2, 9} {
			if !strings.Contains(said, address(id).Addr().String()) {
				t.Errorf("round %d: the second machine says %q, which does not name the address of machine %d", round, said, id)
			}
		}
		s.pass(sec).undo(DoLoss)
	}
	s.atMost(1, was, 0)
	if s.node(2).life != known || !s.together(1, 2, 3)() {
		t.Error("the machine that was there first was let go of")
	}
	s.end()
}
