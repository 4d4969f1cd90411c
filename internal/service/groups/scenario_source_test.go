package groups

import (
	"testing"

	"github.com/moothall/moothall/internal/service/servicetest"
)

// sourceAndTarget has A and B in s, TA on 1 and TB on 2 in its target t.
func sourceAndTarget(t servicetest.T, a Attributes) (w *world, sa, sb, ta, tb *lib) {
	w = start(t, 3)
	target := a.with(sourced("s"))
	return w, w.joined(1, "s", 1, a), w.joined(2, "s", 1, a), w.joined(1, "t", 1, target), w.joined(2, "t", 1, target)
}

func TestScenario_65_NoSourceProvider(t *testing.T) {
	w := start(t, 3)
	w.joined(1, "s", 1, g1)
	b := w.client(2)
	b.join(0, "t", 1, g1.with(sourced("s")))
	w.settle()
	b.saw("DE join 12 end")
}

func TestScenario_66_CastOut(t *testing.T) {
	w, sa, sb, ta, tb := sourceAndTarget(t, g1)
	sb.leaves(OnePhase, 0)
	w.settle()
	all([]*lib{sa, sb}, "AP leave 1 EA UM cur=1/1 chg=1/2 voluntary")
	all([]*lib{ta, tb}, "AP cast-out 1 EA UM cur=1/1 chg=1/2 source")
	tb.wants(tb.state(OnePhase, 0, "x"), BadMemberToken)
}

func TestScenario_67_SourceFirst(t *testing.T) { sourceFirst(t) }

func sourceFirst(t servicetest.T) {
	w := start(t, 3)
	sa := w.joined(1, "s", 1, gN)
	w.joined(2, "s", 1, gN)
	ta := w.joined(1, "t", 1, g1.with(sourced("s")))
	w.joined(2, "t", 1, g1.with(sourced("s")))
	sa.quiet = true
	w.Crash(2)
	w.Split([]servicetest.NodeID{1, 3})
	w.settle()
	sa.saw("NP failure-leave 1 0 PM cur=1/1,1/2 chg=1/2 host")
	ta.state(OnePhase, 0, "x")
	w.settle()
	ta.saw("DE state 16") // it waits for the source's protocol, and counts as busy
	sa.vote(0, VoteRequest{Vote: Approve})
	w.settle()
	sa.saw("AP failure-leave 1 EA UM cur=1/1 chg=1/2 host")
	ta.saw("AP failure-leave 1 EA UM cur=1/1 chg=1/2 host")
}

func TestScenario_68_69_Reflection(t *testing.T) {
	w, sa, sb, ta, tb := sourceAndTarget(t, g1)
	sa.state(OnePhase, 0, "v")
	w.settle()
	all([]*lib{sa, sb}, `AP state 1 EA US cur=1/1,1/2 "v" prop="v"`)
	all([]*lib{ta, tb}, `AP reflection 1 EA REFL cur=1/1,1/2 src="v"`)
	sb.plan(0, Reject)
	sa.state(NPhase, 0, "w")
	w.settle()
	if len(ta.log)+len(tb.log) > 0 {
		t.Errorf("the target saw %q", ta.log)
	}
}

func TestReflection_OnlyTheLastValue(t *testing.T) {
	w, sa, _, ta, tb := sourceAndTarget(t, g1)
	tb.quiet = true
	ta.message(NPhase, "m")
	w.settle()
	w.forget()
	for _, v := range []string{"1", "2", "3"} {
		sa.state(OnePhase, 0, v)
		w.settle()
	}
	tb.vote(0, VoteRequest{Vote: Approve})
	w.settle()
	ta.saw("AP message 1 EA 0 cur=1/1,1/2", `AP reflection 1 EA REFL cur=1/1,1/2 src="3"`)
}

func TestScenario_70_Cycles(t *testing.T) {
	w := start(t, 1)
	a := w.client(1)
	a.wants(a.join(0, "t", 1, g1.with(sourced("t"))), InvalidSourceGroup)
	a.join(0, "s", 1, g1)
	w.settle()
	a.join(1, "t", 1, g1.with(sourced("s")))
	w.settle()
	a.join(2, "u", 1, g1.with(sourced("t")))
	w.settle()
	w.forget()
	a.leaves(OnePhase, 0) // s ends, t and u are cast out
	a.saw("AP leave 1 EA UM cur= chg=1/1 voluntary", "AP cast-out 1 EA UM cur= chg=1/1 source", "AP cast-out 1 EA UM cur= chg=1/1 source")
}

// A source's end while a target still votes lets somebody try to close a circle.
func TestScenario_70_CycleOfLiveGroups(t *testing.T) {
	w := start(t, 1)
	a := w.joined(1, "s", 1, g1)
	b := w.joined(1, "t", 1, g1.with(sourced("s")))
	b.quiet = true
	b.message(NPhase, "m") // keeps t busy
	w.settle()
	a.leaves(OnePhase, 0)
	a.forget()
	a.join(0, "s", 1, g1.with(sourced("t")))
	w.settle()
	a.saw("DE join 22 end")
}

func TestSource_GoneWhenTheJoinCommits(t *testing.T) {
	w := start(t, 3)
	s := w.joined(1, "s", 1, g1)
	w.joined(2, "s", 1, g1)
	target := gN.with(sourced("s"))
	old := w.joined(2, "t", 1, target)
	b := w.client(1)
	old.quiet = true
	b.join(0, "t", 1, target)
	w.settle()
	s.leaves(OnePhase, 0)
	w.forget()
	old.vote(0, VoteRequest{Vote: Approve})
	w.settle()
	b.saw("DE join 12 end")
	old.saw("RJ join 1 ER RM cur=1/2 chg=1/1")
}
