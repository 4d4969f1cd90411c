package groups

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/servicetest"
)

// told has the minutes of node 1 as text, without what all have in front.
func (w *world) told() []string {
	var list []string
	for _, m := range w.minutes {
		_, text, _ := strings.Cut(m.Text(func(n proto.NodeID) string { return fmt.Sprint("n", n) }), ": ")
		list = append(list, m.Outcome()+": "+text)
	}
	w.minutes = nil
	return list
}

func (w *world) toldThat(want ...string) {
	w.t.Helper()
	if got := w.told(); !slices.Equal(got, want) {
		w.t.Fatalf("the minutes say\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestMinutes_Texts(t *testing.T) {
	w, a, b := two(t, gN.with(limited(5)))
	w.toldThat("approved: provider 1/1 of n1 wanted to join; approved in phase 1 by provider 1/1 of n1; the group has 1 provider now.",
		"approved: provider 1/2 of n2 wanted to join; approved in phase 1 by provider 1/1 of n1 and provider 1/2 of n2; the group has 2 providers now.")
	a.state(NPhase, 0, "x")
	w.settle()
	a.message(OnePhase, "hello")
	w.settle()
	w.toldThat(`approved: provider 1/1 of n1 proposed the state value "x"; approved in phase 1 by provider 1/1 of n1 and provider 1/2 of n2.`,
		"approved: provider 1/1 of n1 sent a message of 5 bytes; with one phase there is no vote, and it was done at once.")
	a.plan(0, Continue)
	b.plan(0, Approve, Reject)
	a.state(NPhase, 0, "y")
	w.settle()
	w.toldThat(`rejected: provider 1/1 of n1 proposed the state value "y"; rejected in phase 2 by provider 1/2 of n2.`)
	b.quiet = true
	a.state(NPhase, 7, "z")
	w.settle()
	w.later(7 * time.Second)
	w.toldThat(`default-approved: provider 1/1 of n1 proposed the state value "z"; approved in phase 1, with the default vote for provider 1/2 of n2, which did not vote within 7 s.`)
	a.plans[0] = []VoteRequest{{Vote: Approve, Default: Reject}}
	a.state(NPhase, 7, "z")
	w.settle()
	b.Leave()
	w.settle()
	w.toldThat(`default-rejected: provider 1/1 of n1 proposed the state value "z"; rejected in phase 1 by default: provider 1/2 of n2 failed, and the default vote is reject.`,
		"approved: provider 1/2 of n2 failed: its process ended, or its connection; approved in phase 1 by provider 1/1 of n1; the group has 1 provider now.")
}

// Who voted against it and said why is quoted, and who objected is blamed, not those
// who rejected because of that.
func TestMinutes_Objections(t *testing.T) {
	w, a, b := two(t, gN.with(limited(5)))
	w.told()
	b.plans[0] = []VoteRequest{{Vote: Reject, Message: []byte("too\nlate")}}
	a.state(NPhase, 0, "x")
	w.settle()
	w.toldThat(`rejected: provider 1/1 of n1 proposed the state value "x"; rejected in phase 1 by provider 1/2 of n2 with the words "too\nlate".`)
	b.plans[0] = []VoteRequest{{Vote: Continue, Message: Objection{Provider{1, 2}, "too long"}.Message()}, {Vote: Approve}}
	a.plan(0, Approve, Reject)
	a.state(NPhase, 0, "y")
	w.settle()
	w.toldThat(`rejected: provider 1/1 of n1 proposed the state value "y"; rejected in phase 2: provider 1/2 of n2 objected: "too long".`)
	b.plans[0] = []VoteRequest{{Vote: Reject, Message: []byte(strings.Repeat("ü", MaxMessage/2))}}
	a.state(NPhase, 0, "z")
	w.settle()
	if told := w.told(); len(told) != 1 || len(told[0]) > 600 || !strings.HasSuffix(told[0], `üü"....`) {
		t.Errorf("%q", told)
	}
}

func TestMinutes_Membership(t *testing.T) {
	w, p := scripted(t, gN.with(batched(BatchLeaves)))
	w.told()
	w.fails = true
	p[0].expel(NPhase, 0, 1, "now", Provider{1, 2})
	w.settle()
	w.toldThat("approved: provider 1/1 of n1 proposed to expel provider 1/2 of n2; approved in phase 1 by provider 1/1 of n1 and provider 1/3 of n3; the group has 2 providers now. A deactivate script was not successful.")
	p[0].plan(0, Reject)
	w.Crash(3)
	w.Split([]servicetest.NodeID{1, 2})
	w.settle()
	w.toldThat("rejected: provider 1/3 of n3 failed: its node is gone; rejected in phase 1 by provider 1/1 of n1; who is gone stays gone; the group has 1 provider now.")
	p[0].leaves(OnePhase, 42)
	w.settle()
	w.toldThat("approved: provider 1/1 of n1 wanted to leave, with code 42; with one phase there is no vote, and it was done at once; the group has no provider now.")
}

// A voter for whom the default vote counts in many phases is named once.
func TestMinutes_ManyPhases(t *testing.T) {
	w, a, b := two(t, gN)
	b.dead = true
	for range 100 {
		a.plan(0, Continue)
	}
	a.state(NPhase, 2, "x")
	for range 101 {
		w.settle()
		w.later(2 * time.Second)
	}
	m := w.minutes[len(w.minutes)-1]
	if m.Kind != StateValueChange || m.Phase != 101 || len(m.Casts) != 2 {
		t.Fatalf("%+v", m)
	}
	w.minutes = w.minutes[len(w.minutes)-1:]
	w.toldThat(`default-approved: provider 1/1 of n1 proposed the state value "x"; approved in phase 101, with the default vote for provider 1/2 of n2, which did not vote within 2 s.`)
}

// A merge tells which groups were dissolved.
func TestMinutes_Merge(t *testing.T) {
	w := start(t, 3)
	w.joined(1, "g", 1, g1)
	w.Split(nodes{1}, nodes{2, 3})
	w.settle()
	w.Split(w.All())
	w.settle()
	if want := "1: [g] by [2 3]"; !slices.Contains(w.merged, want) || len(w.merged) != 1 {
		t.Errorf("told %q", w.merged)
	}
}

func TestView(t *testing.T) {
	w, a, b := two(t, gN)
	s := w.client(1)
	s.subscribe(0, "g", WantState)
	b.quiet = true
	a.state(NPhase, 9, "x")
	w.settle()
	w.Advance(4 * time.Second)
	w.client(1).join(0, "g", 7, gN)
	w.Run()
	v := w.Node(1).Service(ID).(*Service).View()
	if len(v.Clients) != 3 || v.Clients[0].Providers != 1 || v.Clients[1].Subscribers != 1 || !v.Clients[0].Responsive || len(v.Hosts) != 3 || !v.Formed {
		t.Errorf("%+v", v)
	}
	g := v.Groups[0]
	p := g.Protocol
	if g.Name != "g" || len(g.Providers) != 2 || !g.Providers[0].Local || g.Providers[0].PID == 0 || g.Providers[1].Local || g.Subscribers != 1 || !slices.Equal(g.Waiting, []Provider{{7, 1}}) || p == nil {
		t.Fatalf("%+v", g)
	}
	if p.Kind != StateValueChange || p.Phase != 1 || p.For != 4*time.Second || p.Left != 5*time.Second || string(p.Proposed) != "x" || p.Voters[0].Vote != Approve || p.Voters[1].Vote != NullVote || p.Voters[1].On != 2 {
		t.Errorf("%+v", p)
	}
	if last := v.Groups[len(v.Groups)-1]; last.Name != HostMembership || !last.System || len(last.Providers) != 3 {
		t.Errorf("%+v", last)
	}
}
