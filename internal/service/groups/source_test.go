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

func TestSource_EndsWithItsTargets(t *testing.T) {
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
