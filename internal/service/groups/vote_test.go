package groups

import (
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/service/servicetest"
)

func (l *lib) message(phases uint8, text string) *servicetest.Answer {
	return l.Call(CallMessage, Proposal{Phases: phases, Data: []byte(text)}.AppendTo(nil))
}

func TestPropose_AmidstAnothersProtocol(t *testing.T) {
	w, a, b := two(t, g1)
	b.quiet = true
	a.state(NPhase, 0, "a")
	w.settle()
	b.state(OnePhase, 0, "b") // a library knows that, and does not send it
	w.settle()
	b.saw(`NP state 1 0 PS cur=1/1,1/2 prop="a"`, "DE state 16")
}

func TestVote_WhenItCounts(t *testing.T) {
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

func TestTimeLimit_ToTheMillisecond(t *testing.T) {
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

func TestSilent_WhoseVoteIsMissing(t *testing.T) {
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
