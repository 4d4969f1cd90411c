package sim

import (
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/executive"
)

// The scenarios of ordering 5.6 that are about quarantine, step by step.
// internal/sim/timing has them again, with many seeds.

func TestScenario_62_QuarantineNewcomer(t *testing.T) {
	s := newScene(t, 5, func(p *Plan) { p.Nodes[4].Boot = -1 })
	s.must(20*sec, "a ring of four", s.together(1, 2, 3, 4))
	s.cut(1, 4)
	s.must(5*sec, "a ring without node 4", s.together(1, 2, 3))
	was := s.installed(4)
	s.start(5)
	s.must(3*sec, "the newcomer is in", s.together(1, 2, 3, 5))
	if s.count(5, "keeps node 4 out") == 0 {
		t.Error("the newcomer does not know who is kept out")
	}
	s.pass(30 * sec)
	if !s.together(1, 2, 3, 5)() {
		t.Error("the ring did not last")
	}
	s.atMost(1, s.installed(1)-1, 1)
	s.atMost(4, was, 3) // the newcomer, who does not know yet, may ask it
	s.heal()
	s.must(6*sec, "node 4 comes back", s.together(1, 2, 3, 4, 5))
	if s.count(1, "lets node 4 in") > 1 {
		t.Error("it is let in more than once")
	}
	s.end()
}

func TestScenario_62_WhereNobodyIsRefused(t *testing.T) {
	t.Run("two nodes", func(t *testing.T) {
		s := newScene(t, 2, nil).boot().cut(1, 2).pass(6 * sec).heal()
		s.must(4*sec, "one ring", s.together(1, 2))
		if n := s.count(0, "out for"); n != 0 {
			t.Errorf("somebody is kept out %d times", n)
		}
		s.end()
	})
	t.Run("a minority", func(t *testing.T) {
		s := newScene(t, 5, nil).boot()
		s.do(Action{Do: DoSplit, Groups: [][]NodeID{{1, 2, 3}, {4, 5}}}).cut(4, 5).pass(10 * sec).heal()
		s.must(4*sec, "one ring", s.together(1, 2, 3, 4, 5))
		s.end()
	})
}

func TestScenario_75_FlapBeforeVote(t *testing.T) {
	s := newScene(t, 4, func(p *Plan) {
		for i := range p.Nodes {
			p.Nodes[i].Release = 5 * sec
		}
	}).boot().pass(6 * sec)
	// Its Joins come again and again.
	s.do(Action{Do: DoDup, A: 4, Types: []string{"join"}, P: 1, N: 40, D: 1500 * ms}).cut(1, 4)
	s.must(5*sec, "a ring without node 4", s.together(1, 2, 3))
	was := s.installed(1)
	s.pass(1700 * ms)
	s.atMost(1, was, 0)
	s.heal()
	s.must(12*sec, "one ring", s.together(1, 2, 3, 4))
	s.end()
}

func TestHalfLinks(t *testing.T) {
	for seed := range uint64(15) {
		p, err := Aim("half", seed)
		if err != nil {
			t.Fatal(err)
		}
		if r := Run(p, Options{}); r.Failed() {
			t.Errorf("seed %d: %v", seed, r.Findings[0])
		}
	}
}

// Both sides tell people, in the decision log and the status.
func TestQuarantine_IsTold(t *testing.T) {
	s := newScene(t, 4, whole).boot().pass(3*sec).cut(3, 4)
	s.must(8*sec, "a ring without node 4", s.together(1, 2, 3))
	s.pass(1500 * ms)
	told := func(n NodeID, text string) bool {
		for _, d := range s.node(n).proc.(*full).core.Decisions(0) {
			if d.Kind == executive.DecisionQuarantine && strings.Contains(d.Text, text) {
				return true
			}
		}
		return false
	}
	if !told(2, "node 4 is kept out of the ring for 2s") {
		t.Error("node 2 does not say that it keeps node 4 out")
	}
	if !told(4, "keeps this node out") {
		t.Error("node 4 does not know that it is kept out")
	}
	if k := s.node(3).proc.keptOut(); len(k) != 1 || k[0].Node != 4 || k[0].Void {
		t.Errorf("status %+v", k)
	}
	s.pass(sec).heal()
	s.must(8*sec, "one ring", s.together(1, 2, 3, 4))
	s.end()
}
