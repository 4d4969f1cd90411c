package groups

import (
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/service/servicetest"
)

func TestScenario_36_StateOnePhase(t *testing.T) {
	w, a, b := two(t, g1)
	s := w.client(3)
	s.subscribe(0, "g", WantState)
	s.saw(`SU S ""`)
	a.state(OnePhase, 0, "x")
	w.settle()
	all([]*lib{a, b}, `AP state 1 EA US cur=1/1,1/2 "x" prop="x"`)
	s.saw(`SU S "x"`)
}

func TestScenario_37_38_StateNPhase(t *testing.T) {
	w, a, b := two(t, g1)
	s := w.client(3)
	s.subscribe(0, "g", WantState)
	b.plan(0, Reject)
	w.forget()
	a.state(NPhase, 0, "x")
	w.settle()
	all([]*lib{a, b}, `NP state 1 0 PS cur=1/1,1/2 prop="x"`, `RJ state 1 ER RS cur=1/1,1/2 prop="x"`)
	s.saw()
	a.state(NPhase, 0, "x")
	w.settle()
	all([]*lib{a, b}, `NP state 1 0 PS cur=1/1,1/2 prop="x"`, `AP state 1 EA US cur=1/1,1/2 "x" prop="x"`)
	s.saw(`SU S "x"`)
}

func TestScenario_39_Sizes(t *testing.T) {
	w := start(t, 1)
	a := w.joined(1, "g", 1, g1)
	a.wants(a.state(OnePhase, 0, strings.Repeat("x", MaxState+1)), BadParameter)
	for _, n := range []int{0, MaxMessage + 1} {
		a.wants(a.Call(CallMessage, Proposal{Phases: OnePhase, Data: make([]byte, n)}.AppendTo(nil)), BadParameter)
	}
}

func (l *lib) message(phases uint8, text string) *servicetest.Answer {
	return l.Call(CallMessage, Proposal{Phases: phases, Data: []byte(text)}.AppendTo(nil))
}

func TestScenario_40_41_Messages(t *testing.T) {
	w, a, b := two(t, g1)
	a.message(OnePhase, "m")
	w.settle()
	all([]*lib{a, b}, `AP message 1 EA UPM cur=1/1,1/2 msg="m"`)
	b.plan(0, Continue)
	a.message(NPhase, "m")
	w.settle()
	all([]*lib{a, b}, `NP message 1 0 UPM cur=1/1,1/2 msg="m"`, "NP message 2 0 0 cur=1/1,1/2", "AP message 2 EA 0 cur=1/1,1/2")
}

func TestScenario_42_StateAndMessageWithAVote(t *testing.T) {
	w, a, b := two(t, gN)
	c, s := w.client(3), w.client(1)
	s.subscribe(0, "g", WantState|WantMembership)
	w.forget()
	a.plans[0] = []VoteRequest{{Vote: Continue, State: []byte("s"), Message: []byte("m")}}
	c.join(0, "g", 1, gN)
	w.settle()
	all([]*lib{a, b, c}, "NP join 1 0 PM cur=1/1,1/2 chg=1/3", `NP join 2 0 OM|PS|UPM cur=1/1,1/2 chg=1/3 prop="s" msg="m"`,
		`AP join 2 EA UM|US cur=1/1,1/2,1/3 chg=1/3 "s" prop="s"`)
	s.saw(`SU S|M full=1/1,1/2,1/3 "s"`)
}

func TestScenario_43_StateWithTheLastVote(t *testing.T) {
	w, a, b := two(t, gN)
	c := w.client(3)
	a.plans[0] = []VoteRequest{{Vote: Approve, State: []byte("s")}}
	c.join(0, "g", 1, gN)
	w.settle()
	all([]*lib{a, b, c}, "NP join 1 0 PM cur=1/1,1/2 chg=1/3", `AP join 1 EA UM|US cur=1/1,1/2,1/3 chg=1/3 "s" prop="s"`)
}

func TestScenario_44_TheMostSeniorVotersState(t *testing.T) { seniorState(t) }

func seniorState(t servicetest.T) {
	w, a, b := two(t, g1)
	a.quiet = true
	b.plans[0] = []VoteRequest{{Vote: Continue, State: []byte("b"), Message: []byte("mb")}}
	a.message(NPhase, "m")
	w.settle()
	a.vote(0, VoteRequest{Vote: Approve, State: []byte("a")})
	a.quiet = false
	w.settle()
	all([]*lib{a, b}, `NP message 1 0 UPM cur=1/1,1/2 msg="m"`, `NP message 2 0 PS|UPM cur=1/1,1/2 prop="a" msg="mb"`,
		`AP message 2 EA US cur=1/1,1/2 "a" prop="a"`)
}

func TestScenario_45_TwoProposalsAtOnce(t *testing.T) {
	w, a, b := two(t, g1)
	a.quiet, b.quiet = true, true
	a.state(NPhase, 0, "a")
	b.state(NPhase, 0, "b")
	w.settle()
	np := `NP state 1 0 PS cur=1/1,1/2 prop="a"`
	a.saw(np)
	b.saw(np, "DE state 16")
}

func TestScenario_46_ProposalDuringAnothersProtocol(t *testing.T) {
	w, a, b := two(t, g1)
	b.quiet = true
	a.state(NPhase, 0, "a")
	w.settle()
	b.state(OnePhase, 0, "b") // a library knows that, and does not send it
	w.settle()
	b.saw(`NP state 1 0 PS cur=1/1,1/2 prop="a"`, "DE state 16")
}

func TestScenario_47_JoinsComeFirst(t *testing.T) {
	w, a, b := two(t, gN)
	c := w.client(3)
	b.quiet = true
	a.message(NPhase, "m")
	w.settle()
	c.join(0, "g", 1, gN)
	w.settle()
	w.forget()
	b.vote(0, VoteRequest{Vote: Approve})
	w.Run()
	a.work() // the end, and the phase of the join
	a.state(OnePhase, 0, "x")
	w.settle()
	a.saw("AP message 1 EA 0 cur=1/1,1/2", "NP join 1 0 PM cur=1/1,1/2 chg=1/3", "DE state 16")
}

func TestScenario_48_AttributesChange(t *testing.T) {
	w, a, b := two(t, g1)
	next := g1.with(limited(5))
	a.wants(a.Call(CallAttributes, Proposal{Phases: NPhase, Attrs: &next}.AppendTo(nil)), OK)
	w.settle()
	all([]*lib{a, b}, "NP attributes 1 0 PA cur=1/1,1/2 limit=5", "AP attributes 1 EA UA cur=1/1,1/2 limit=5")
	c := w.client(3)
	c.join(0, "g", 1, g1)
	w.settle()
	c.saw("DE join 13 end")
	c.join(0, "g", 1, next)
	w.settle()
	c.saw("AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/3")
}

func TestScenario_49_SourceGroupDoesNotChange(t *testing.T) {
	w, a, b := two(t, g1)
	next := g1.with(sourced("s"))
	a.Call(CallAttributes, Proposal{Phases: NPhase, Attrs: &next}.AppendTo(nil))
	w.settle()
	a.saw("DE attributes 13")
	b.saw()
}

func TestScenario_50_51_52_WhenAVoteCounts(t *testing.T) {
	w, a, b := two(t, g1)
	a.quiet = true
	a.wants(a.Call(CallVote, VoteRequest{Vote: Approve, Seq: 1, Phase: 1}.AppendTo(nil)), VoteNotExpected)
	b.state(NPhase, 0, "x")
	w.settle()
	a.wants(a.vote(0, VoteRequest{}), BadParameter)
	a.wants(a.vote(0, VoteRequest{Vote: Approve, Default: Continue}), BadParameter)
	b.w.forget()
	last := a.last[0]
	a.wants(a.vote(0, VoteRequest{Vote: Approve}), OK)
	again := VoteRequest{Vote: Approve, Seq: last.Seq, Phase: last.Phase}
	a.wants(a.Call(CallVote, again.AppendTo(nil)), VoteNotExpected)
	w.settle()
	a.saw(`AP state 1 EA US cur=1/1,1/2 "x" prop="x"`)
	a.wants(a.Call(CallVote, again.AppendTo(nil)), VoteNotExpected)
}

func TestScenario_53_54_55_TimeLimit(t *testing.T) {
	for _, c := range []struct {
		attrs Attributes
		vote  VoteRequest
		end   string
	}{
		{g1, VoteRequest{Vote: Approve}, `AP state 1 DA|TL US cur=1/1,1/2 "x" prop="x"`},
		{g1.with(rejects), VoteRequest{Vote: Approve}, `RJ state 1 DR|TL RS cur=1/1,1/2 prop="x"`},
		{g1.with(rejects), VoteRequest{Vote: Approve, Default: Approve}, `AP state 1 DA|TL US cur=1/1,1/2 "x" prop="x"`},
	} {
		w, a, b := two(t, c.attrs)
		b.quiet = true
		a.plans[0] = []VoteRequest{c.vote}
		a.state(NPhase, 2, "x")
		w.settle()
		w.later(1999 * time.Millisecond)
		all([]*lib{a, b}, `NP state 1 0 PS cur=1/1,1/2 prop="x"`)
		w.later(time.Millisecond)
		all([]*lib{a, b}, c.end, "AN TL [1/2]")
		b.quiet = false
		b.message(OnePhase, "still here")
		w.settle()
		a.saw(strings.Replace(`AP message 1 EA UPM cur=1/1,1/2 msg="still here"`, "cur=1/1,1/2", "cur=1/1,1/2"+map[bool]string{true: ` "x"`}[c.end[0] == 'A'], 1))
	}
}

func TestScenario_56_TardyOnce(t *testing.T) {
	w, a, b := two(t, g1)
	a.plan(0, Continue)
	b.plan(0, NullVote)
	a.state(NPhase, 2, "x")
	w.settle()
	w.later(2 * time.Second)
	all([]*lib{a, b}, `NP state 1 0 PS cur=1/1,1/2 prop="x"`, `NP state 2 DA|TL OS cur=1/1,1/2 prop="x"`,
		`AP state 2 DA|TL US cur=1/1,1/2 "x" prop="x"`, "AN TL [1/2]")
}

func TestScenario_57_NoLimit(t *testing.T) {
	w, a, b := two(t, g1)
	b.quiet = true
	a.state(NPhase, 0, "x")
	w.settle()
	w.later(time.Minute)
	all([]*lib{a, b}, `NP state 1 0 PS cur=1/1,1/2 prop="x"`)
	s := w.Node(2).Service(ID).(*Service)
	if got := s.silent(s.d.group("g")); len(got) != 1 || got[0] != 1 {
		t.Errorf("votes of %d are missing", got)
	}
}

func TestScenario_58_RejectAtOnce(t *testing.T) {
	w, a, b := two(t, g1)
	b.quiet = true
	a.plan(0, Reject)
	a.state(NPhase, 0, "x")
	w.Run()
	a.work()
	w.Run()
	b.take(b.Events[b.next]) // B knows of the phase, not yet of the end
	b.next++
	b.wants(b.vote(0, VoteRequest{Vote: Approve}), OK)
	w.settle()
	all([]*lib{a, b}, `NP state 1 0 PS cur=1/1,1/2 prop="x"`, `RJ state 1 ER RS cur=1/1,1/2 prop="x"`)
}
