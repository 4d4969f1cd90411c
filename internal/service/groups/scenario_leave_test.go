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

// goodbye is over when the call returns.
func (l *lib) goodbye(token int32) {
	l.w.t.Helper()
	l.wants(l.Call(CallGoodbye, TokenRequest{token}.AppendTo(nil)), OK)
}

func TestScenario_24_LeaveOnePhase(t *testing.T) {
	_, a, b, c := three(t, g1)
	b.leaves(OnePhase, 42)
	all([]*lib{a, b, c}, "AP leave 1 EA UM cur=1/1,1/3 chg=1/2 voluntary:42")
	b.wants(b.state(OnePhase, 0, "x"), BadMemberToken)
}

func TestScenario_25_LeaveRejected(t *testing.T) {
	w, a, b, c := three(t, g1)
	a.plan(0, Reject)
	b.leaves(NPhase, 1)
	all([]*lib{a, b, c}, "NP leave 1 0 PM cur=1/1,1/2,1/3 chg=1/2 voluntary:1", "RJ leave 1 ER RM cur=1/1,1/2,1/3 chg=1/2 voluntary:1")
	b.wants(b.state(OnePhase, 0, "x"), OK)
	w.settle()
	b.saw(`AP state 1 EA US cur=1/1,1/2,1/3 "x" prop="x"`)
}

func TestScenario_26_LastProviderLeaves(t *testing.T) {
	w := start(t, 3)
	a, s := w.joined(1, "g", 1, g1), w.client(2)
	a.state(OnePhase, 0, "x")
	w.settle()
	s.subscribe(0, "g", WantMembership|WantDeltaJoins|WantDeltaLeaves)
	w.forget()
	a.leaves(OnePhase, 0)
	a.saw(`AP leave 1 EA UM cur= chg=1/1 voluntary "x"`)
	s.saw("SU DL|M full= chg=1/1", "SU DISSOLVED end")
	a.join(0, "g", 1, g1)
	w.settle()
	a.saw("AP join 1 EA UM cur=1/1 chg=1/1")
	s.saw()
}

func TestScenario_27_ProcessDies(t *testing.T) {
	w, a, b, c := three(t, g1)
	b.Leave()
	w.settle()
	all([]*lib{a, c}, "AP failure-leave 1 EA UM cur=1/1,1/3 chg=1/2 failure")
	n, err := ParseNotification(a.Events[len(a.Events)-1].Body)
	if err != nil || n.ProposedBy != Nobody {
		t.Errorf("proposed by %v, %v", n.ProposedBy, err)
	}
}

func TestScenario_28_29_NodeDies(t *testing.T) {
	for _, batch := range []uint32{0, BatchLeaves} {
		attrs := g1.with(batched(batch))
		w, a, _, c := three(t, attrs)
		w.joined(2, "g", 2, attrs)
		w.Crash(2)
		w.Split([]servicetest.NodeID{1, 3})
		w.settle()
		if batch == 0 {
			all([]*lib{a, c}, "AP failure-leave 1 EA UM cur=1/1,1/3,2/2 chg=1/2 host", "AP failure-leave 1 EA UM cur=1/1,1/3 chg=2/2 host")
		} else {
			all([]*lib{a, c}, "AP failure-leave 1 EA UM cur=1/1,1/3 chg=1/2,2/2 host host")
		}
	}
}

func TestScenario_30_Goodbye(t *testing.T) {
	w, a, b, c := three(t, g1)
	b.goodbye(0)
	w.settle()
	b.saw()
	all([]*lib{a, c}, "AP failure-leave 1 EA UM cur=1/1,1/3 chg=1/2 goodbye")
	b.wants(b.join(0, "g", 1, g1), OK)
}

func TestScenario_31_GoodbyeInAVote(t *testing.T) {
	w, a, b, c := three(t, gN.with(rejects))
	b.quiet = true
	a.state(NPhase, 0, "x")
	w.settle()
	b.forget()
	b.goodbye(0)
	w.settle()
	b.saw()
	all([]*lib{a, c}, `NP state 1 0 PS cur=1/1,1/2,1/3 prop="x"`, `RJ state 1 DR|PF RS cur=1/1,1/2,1/3 prop="x"`,
		"NP failure-leave 1 0 PM cur=1/1,1/2,1/3 chg=1/2 goodbye", "AP failure-leave 1 EA UM cur=1/1,1/3 chg=1/2 goodbye")
}

func (l *lib) forget() { l.log = nil }

func TestScenario_32_FailureLeaveRejected(t *testing.T) {
	w, a, b, c := three(t, gN)
	a.plan(0, Reject)
	b.Leave()
	w.settle()
	all([]*lib{a, c}, "NP failure-leave 1 0 PM cur=1/1,1/2,1/3 chg=1/2 failure", "RJ failure-leave 1 ER UM cur=1/1,1/3 chg=1/2 failure")
}

func TestScenario_33_AnotherFailureMeanwhile(t *testing.T) {
	w, a, b, c := three(t, gN)
	c.dead = true
	b.Leave()
	w.settle()
	c.Leave()
	w.settle()
	a.saw("NP failure-leave 1 0 PM cur=1/1,1/2,1/3 chg=1/2 failure", "AP failure-leave 1 DA|PF UM cur=1/1,1/3 chg=1/2 failure",
		"NP failure-leave 1 0 PM cur=1/1,1/3 chg=1/3 failure", "AP failure-leave 1 EA UM cur=1/1 chg=1/3 failure")
}

func TestScenario_34_QuitLeavesAllGroups(t *testing.T) {
	w, a, b := two(t, g1)
	a.wants(a.join(1, "h", 1, g1), OK)
	b.wants(b.join(1, "h", 1, g1), OK)
	w.settle()
	w.forget()
	b.Call(CallQuit, nil)
	w.settle()
	b.saw()
	a.saw("AP failure-leave 1 EA UM cur=1/1 chg=1/2 failure", "AP failure-leave 1 EA UM cur=1/1 chg=1/2 failure")
}

func TestScenario_35_SeniorityIsLost(t *testing.T) {
	w, a, b, _ := three(t, g1)
	a.Leave()
	w.settle()
	b.saw("AP failure-leave 1 EA UM cur=1/2,1/3 chg=1/1 failure")
	a = w.client(1)
	a.join(0, "g", 1, g1)
	w.settle()
	b.saw("AP join 1 EA UM cur=1/2,1/3,1/1 chg=1/1")
}

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
