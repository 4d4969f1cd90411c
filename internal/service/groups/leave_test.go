package groups

import (
	"testing"

	"github.com/moothall/moothall/internal/service/servicetest"
)

func (l *lib) leaves(phases uint8, code uint32) {
	l.w.t.Helper()
	l.wants(l.Call(CallLeave, Proposal{Phases: phases, Code: code}.AppendTo(nil)), OK)
	l.w.settle()
}

func (l *lib) forget() { l.log = nil }

// Who failed leaves before anybody joins (group services 8.2).
func TestSelect_FailuresFirst(t *testing.T) { failuresFirst(t) }

func failuresFirst(t servicetest.T) {
	w, a, b := two(t, g1)
	c := w.client(3)
	a.quiet, b.dead = true, true
	a.message(NPhase, "m")
	w.settle()
	c.join(0, "g", 1, g1)
	w.settle()
	b.Leave()
	w.settle()
	a.forget()
	a.vote(0, VoteRequest{Vote: Approve})
	w.settle()
	a.saw("AP message 1 DA|PF 0 cur=1/1,1/2", "AP failure-leave 1 EA UM cur=1/1 chg=1/2 failure", "AP join 1 EA UM cur=1/1,1/3 chg=1/3")
}
