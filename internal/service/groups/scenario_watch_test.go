package groups

import (
	"testing"
	"time"

	"github.com/moothall/moothall/internal/service/servicetest"
)

func TestScenario_71_UnknownGroup(t *testing.T) {
	w := start(t, 1)
	s := w.client(1)
	s.subscribe(0, "g", WantState)
	s.saw("DE subscription 10 end")
}

func TestScenario_72_EverythingWanted(t *testing.T) {
	w, a, _ := two(t, g1)
	a.state(OnePhase, 0, "x")
	w.settle()
	s := w.client(3)
	s.subscribe(0, "g", wantBits)
	s.saw(`SU S|M full=1/1,1/2 "x"`)
	w.joined2(3, "g")
	s.saw("SU DJ|M full=1/1,1/2,1/3 chg=1/3")
}

// joined2 joins and leaves what the others saw.
func (w *world) joined2(node servicetest.NodeID, group string) *lib {
	l := w.client(node)
	l.join(0, group, 1, g1)
	w.settle()
	return l
}

func TestScenario_73_DeltasOnly(t *testing.T) {
	w, _, b := two(t, g1)
	s := w.client(3)
	s.subscribe(0, "g", WantDeltaLeaves)
	s.saw()
	w.joined2(3, "g")
	s.saw()
	b.leaves(OnePhase, 0)
	s.saw("SU DL chg=1/2")
}

func TestScenario_74_Hosts(t *testing.T) {
	w := start(t, 3)
	s := w.client(1)
	s.subscribe(0, HostMembership, wantBits)
	s.saw(`SU S|M full=0/1,0/2,0/3 ""`)
	w.Crash(3)
	w.Split([]servicetest.NodeID{1, 2})
	w.settle()
	s.saw("SU DL|M full=0/1,0/2 chg=0/3")
	w.Restart(3)
	w.Split(w.All())
	w.settle()
	s.saw("SU DJ|M full=0/1,0/2,0/3 chg=0/3")
	w.Crash(1)
	w.Split([]servicetest.NodeID{2, 3})
	w.settle()
	s = w.client(3)
	w.Restart(1)
	w.Split(w.All())
	w.settle()
	s.subscribe(0, HostMembership, WantMembership)
	s.saw("SU M full=0/2,0/3,0/1")
}

func TestScenario_75_Unsubscribe(t *testing.T) {
	w, _, b := two(t, g1)
	s := w.client(3)
	s.subscribe(0, "g", wantBits)
	s.forget()
	s.wants(s.Call(CallUnsubscribe, TokenRequest{0}.AppendTo(nil)), OK)
	b.leaves(OnePhase, 0)
	s.saw()
}

// checked has A, with a check of its responsiveness, B and C in g.
func checked(t *testing.T) (w *world, a, b, c *lib) {
	w = start(t, 3)
	a = w.clientWith(1, HelloRequest{Check: PingCheck, Interval: 1, Limit: 1})
	a.join(0, "g", 1, g1)
	w.settle()
	return w, a, w.joined(2, "g", 1, g1), w.joined(3, "g", 1, g1)
}

func TestScenario_76_Unresponsive(t *testing.T) {
	w, a, b, c := checked(t)
	w.later(time.Second)
	a.saw("RN")
	a.quiet = true
	for range 4 {
		w.later(time.Second)
	}
	all([]*lib{b, c}, "AN NR [1/1]")
	a.saw("RN", "AN NR [1/1]", "RN")
	a.quiet = false
	for range 2 {
		w.later(time.Second)
	}
	all([]*lib{b, c}, "AN RS [1/1]")
}

func TestScenario_77_NotWell(t *testing.T) {
	w, a, b, _ := checked(t)
	a.quiet = true
	w.later(time.Second)
	a.saw("RN")
	a.wants(a.Call(CallResponse, ResponseRequest{1, false}.AppendTo(nil)), OK)
	w.settle()
	b.saw("AN NR [1/1]")
}

func TestScenario_79_DaemonDies(t *testing.T) {
	w, _, b, c := three(t, g1)
	w.Crash(1)
	w.Split([]servicetest.NodeID{2, 3})
	w.settle()
	all([]*lib{b, c}, "AP failure-leave 1 EA UM cur=1/2,1/3 chg=1/1 host")
	w.Restart(1)
	w.Split(w.All())
	w.settle()
	a := w.joined2(1, "g")
	a.saw("AP join 1 EA UM cur=1/2,1/3,1/1 chg=1/1")
}

type nodes = []servicetest.NodeID

// five has a provider on each of five nodes, and a subscriber on node 5.
func five(t servicetest.T, a Attributes) (w *world, p []*lib, s *lib) {
	w = start(t, 5)
	for id := range servicetest.NodeID(5) {
		p = append(p, w.joined(id+1, "g", 1, a))
	}
	s = w.client(5)
	s.subscribe(0, "g", WantMembership)
	s.subscribe(1, HostMembership, WantDeltaJoins|WantDeltaLeaves)
	w.forget()
	return w, p, s
}

func TestScenario_80_81_SplitAndHeal(t *testing.T) {
	w, p, s := five(t, g1.with(batched(BatchLeaves)))
	w.Split(nodes{1, 2, 3}, nodes{4, 5})
	w.settle()
	all(p[:3], "AP failure-leave 1 EA UM cur=1/1,1/2,1/3 chg=1/4,1/5 host host")
	all(p[3:], "AP failure-leave 1 EA UM cur=1/4,1/5 chg=1/1,1/2,1/3 host host host")
	s.saw("SU DL chg=0/1,0/2,0/3", "SU M full=1/4,1/5")
	p[3].state(OnePhase, 0, "minority")
	p[0].state(OnePhase, 0, "majority")
	w.settle()
	w.forget()

	w.Split(w.All())
	w.settle()
	all(p[:3])
	all(p[3:], "AN GD [1/4,1/5] end")
	s.saw("SU DISSOLVED end", "SU DJ chg=0/1,0/2,0/3")
	p[4].wants(p[4].state(OnePhase, 0, "x"), BadMemberToken)
	p[4].join(0, "g", 1, g1.with(batched(BatchLeaves)))
	w.settle()
	p[4].saw(`AP join 1 EA UM cur=1/1,1/2,1/3,1/5 chg=1/5 "majority"`)
}

// What was on its way in a dissolved part is void, and the calls are answered.
func TestMerge_MessagesOfTheLosersAreVoid(t *testing.T) { losersAreVoid(t) }

func losersAreVoid(t servicetest.T) {
	w, p, _ := five(t, g1)
	w.Split(nodes{1, 2, 3}, nodes{4, 5})
	w.settle()
	late := w.client(4)
	w.forget()
	p[3].state(OnePhase, 0, "x")
	late.join(0, "other", 1, g1)
	bye := p[4].Call(CallGoodbye, TokenRequest{0}.AppendTo(nil))
	w.Cut = func(int) int { return 0 }
	w.Split(w.All())
	w.settle()
	p[3].saw("AN GD [1/4,1/5] end")
	late.saw("DE join 1 end")
	if !bye.Done {
		t.Fatalf("the goodbye is not answered")
	}
	if got := w.Node(1).Service(ID).(*Service).d.group("other"); got != nil {
		t.Fatalf("a void join made %+v", got)
	}
	all(p[:3])
}

// A node that comes amidst a phase gets the votes with the snapshot.
func TestSync_AmidstAPhase(t *testing.T) {
	w, p, _ := five(t, g1)
	w.Split(nodes{1, 2, 3, 4})
	w.settle()
	p[1].quiet = true
	p[0].state(NPhase, 3, "x")
	w.settle()
	w.forget()
	w.Split(w.All())
	w.settle()
	p[4].saw("AN GD [1/5] end")
	w.later(3 * time.Second)
	all(p[:4], `AP state 1 DA|TL US cur=1/1,1/2,1/3,1/4 "x" prop="x"`, "AN TL [1/2]")
}

func TestScenario_83_FirstNodeDiesAmidstAProtocol(t *testing.T) {
	w, p, _ := five(t, gN)
	p[1].quiet = true
	p[0].state(NPhase, 0, "x")
	w.settle()
	np := `NP state 1 0 PS cur=1/1,1/2,1/3,1/4,1/5 prop="x"`
	all(p[1:], np)
	w.Crash(1)
	w.Split(nodes{2, 3, 4, 5})
	w.settle()
	p[1].vote(0, VoteRequest{Vote: Approve})
	p[1].quiet = false
	w.settle()
	all(p[1:], `AP state 1 EA US cur=1/1,1/2,1/3,1/4,1/5 "x" prop="x"`,
		`NP failure-leave 1 0 PM cur=1/1,1/2,1/3,1/4,1/5 chg=1/1 host "x"`, `AP failure-leave 1 EA UM cur=1/2,1/3,1/4,1/5 chg=1/1 host "x"`)
}
