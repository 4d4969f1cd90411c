package events

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

// The numbers are those of cluster events 8.

func TestScenario_01_Alone(t *testing.T) {
	w := start(t, 1, Config{})
	a := w.client(1, 9).watch()
	a.expect("NM(1; 1; 1; )")
	e, _ := ParseMember(a.Events[0].Body)
	if e.Fact.Members[0].Born != 1 || e.Fact.Members[0].Name != "node1" {
		t.Errorf("%+v", e.Fact.Members[0])
	}
}

func TestScenario_02_03_05_JoinAndLeave(t *testing.T) { test(t, joinAndLeave) }

func joinAndLeave(t servicetest.T) {
	w := start(t, 3, Config{})
	a, a2, b, c := w.client(1, 99).watch(), w.client(1, 99).watch(), w.client(2, 99).watch(), w.client(3, 99).watch()
	w.form(ids{1, 2}, ids{3})
	for _, l := range []*lib{a, a2, b} {
		l.expect("NM(1; 1,2; 1,2; )")
	}
	c.expect()
	w.form(ids{1, 2, 3})
	for _, l := range []*lib{a, a2, b, c} {
		l.expect("NM(2; 1,2,3; 3; )")
	}
	e, _ := ParseMember(c.Events[0].Body)
	if e.Fact.Members[2].Born != 2 {
		t.Fatalf("%+v", e.Fact)
	}
	w.Crash(2)
	w.form(ids{1, 3})
	for _, l := range []*lib{a, a2, c} {
		l.expect("NM(3; 1,3; ; 2)")
	}
	w.Restart(2)
	w.form(ids{1, 2, 3})
	for _, l := range []*lib{a, a2, c} {
		l.expect("NM(4; 1,3,2; 2; )")
	}
}

// What is known of a member is the same at all, be it agreed upon with messages or
// without, and is that of the present life (openais-executive 6.1).
func TestAttributesOfMembers(t *testing.T) {
	w := start(t, 3, Config{})
	w.form(ids{1, 2}, ids{3})
	w.form(w.All())
	w.Crash(2)
	w.Restart(2)
	w.form(ids{1, 3}, ids{2}) // nothing changed: the next ring has no offers
	w.form(w.All())
	w.form(ids{1}, ids{2}, ids{3})
	w.form(w.All())
	for _, n := range w.All() {
		p, err := ParseStatusReply(w.client(n, 0).must(CallStatus, nothing{}))
		if err != nil || p.State != Primary || len(p.Fact.Members) != 3 {
			t.Fatalf("node %d: %+v %v", n, p, err)
		}
		for _, m := range p.Fact.Members {
			boot := int64(1000 + m.ID)
			if m.ID == 2 {
				boot += 1000
			}
			if m.Addr != netip.AddrFrom4([4]byte{192, 0, 2, byte(m.ID)}) || m.Boot != boot {
				t.Errorf("node %d has of node %d: %v %d", n, m.ID, m.Addr, m.Boot)
			}
		}
	}
}

// nothing is a body without fields.
type nothing struct{}

func (nothing) AppendTo(b []byte) []byte { return b }

// A node that was away for less than a ring is another one all the same.
func TestScenario_03_QuickRestart(t *testing.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	a := w.client(1, 9).watch()
	a.expect("NM(1; 1,2,3; 1,2,3; )")
	w.Crash(2)
	w.Restart(2)
	w.form(w.All())
	a.expect("NM(2; 1,3,2; 2; 2)")
}

func TestScenario_04_LateRegistration(t *testing.T) {
	w := start(t, 3, Config{})
	w.form(ids{1, 2})
	w.form(ids{1, 2, 3})
	w.client(1, 9).watch().expect("NM(2; 1,2,3; 3; )")
	for n := range servicetest.NodeID(3) {
		l := w.client(n+1, 9)
		l.must(CallSubscribe, SubscribeRequest{Sub: 5, Topic: []byte(MembTopic)}) // 30
		l.expect("NM(2; 1,2,3; 3; )")
	}
	w.form(ids{1, 2}, ids{3})
	w.client(3, 9).watch().expect("NM(2; 1,2,3; 3; )", "not-primary(2; 1,2,3; 3; )")
}

// With a window of one the next event comes when the one before is done.
func TestScenario_06_HoldBack(t *testing.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	a := w.client(1, 1).watch()
	a.expect("NM(1; 1,2,3; 1,2,3; )")
	w.form(ids{1, 2}, ids{3})
	w.form(w.All())
	a.expect()
	a.grant(1)
	a.expect("NM(2; 1,2; ; 3)")
	a.grant(1)
	a.expect("NM(3; 1,2,3; 3; )")
}

func TestScenario_08_09_Evicted(t *testing.T) { test(t, evicted) }

func evicted(t servicetest.T) {
	w := start(t, 5, Config{})
	w.form(w.All())
	var libs []*lib
	for _, n := range w.All() {
		libs = append(libs, w.client(n, 99).watch())
		libs[n-1].expect("NM(1; 1,2,3,4,5; 1,2,3,4,5; )")
	}
	w.form(ids{1, 2, 3}, ids{4, 5})
	for _, l := range libs[:3] {
		l.expect("NM(2; 1,2,3; ; 4,5)")
	}
	for _, l := range libs[3:] {
		l.expect("not-primary(1; 1,2,3,4,5; 1,2,3,4,5; )")
	}
	w.form(w.All())
	for _, l := range libs[:3] {
		l.expect("NM(3; 1,2,3,4,5; 4,5; )")
	}
	for _, l := range libs[3:] {
		l.expect("evicted", "end thrown")
		l.watch().expect("NM(3; 1,2,3,4,5; 4,5; )")
	}
	e, err := ParseMember(libs[4].Events[len(libs[4].Events)-1].Body)
	if err != nil || e.Fact.Members[4].Born != 3 {
		t.Fatalf("%+v, %v", e, err)
	}
}

// Rings that end before they are agreed leave no trace.
func TestScenario_12_NothingFormed(t *testing.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	a, c := w.client(1, 9).watch(), w.client(3, 9).watch()
	w.Split(ids{1, 2}, ids{3})
	for range 4 {
		w.Step(func(int) int { return 0 })
	}
	w.form(w.All())
	a.expect("NM(1; 1,2,3; 1,2,3; )")
	c.expect("NM(1; 1,2,3; 1,2,3; )")
}

func TestScenario_10_Restored(t *testing.T) { test(t, restored) }

func restored(t servicetest.T) {
	w := start(t, 5, Config{})
	w.form(w.All())
	var libs []*lib
	for _, n := range w.All() {
		libs = append(libs, w.client(n, 99).watch())
		libs[n-1].expect("NM(1; 1,2,3,4,5; 1,2,3,4,5; )")
	}
	w.form(ids{1, 2}, ids{3, 4}, ids{5})
	for _, l := range libs {
		l.expect("not-primary(1; 1,2,3,4,5; 1,2,3,4,5; )")
	}
	w.form(w.All())
	for _, l := range libs {
		l.expect("restored(1; 1,2,3,4,5; 1,2,3,4,5; )")
	}
	trans := func(l *lib, i int) uint32 {
		e, _ := ParseMember(l.Events[i].Body)
		return e.Fact.Trans
	}
	for _, l := range libs { // 36
		if !(trans(l, 0) < trans(l, 1) && trans(l, 1) < trans(l, 2) && trans(l, 2) == trans(libs[0], 2)) {
			t.Fatalf("trans %d, %d, %d", trans(l, 0), trans(l, 1), trans(l, 2))
		}
	}
}

func TestScenario_11_DescendsFromLimbo(t *testing.T) {
	w := start(t, 5, Config{})
	w.form(w.All())
	a, e := w.client(1, 9).watch(), w.client(5, 9).watch()
	w.form(ids{1, 2}, ids{3, 4}, ids{5})
	w.form(ids{1, 2, 3, 4}, ids{5})
	a.expect("NM(1; 1,2,3,4,5; 1,2,3,4,5; )", "not-primary(1; 1,2,3,4,5; 1,2,3,4,5; )", "NM(2; 1,2,3,4; ; 5)")
	e.expect("NM(1; 1,2,3,4,5; 1,2,3,4,5; )", "not-primary(1; 1,2,3,4,5; 1,2,3,4,5; )")
	w.form(w.All())
	e.expect("evicted", "end thrown")
}

func TestScenario_12_FailedFormation(t *testing.T) {
	w := start(t, 5, Config{})
	w.form(w.All())
	a := w.client(1, 9).watch()
	a.expect("NM(1; 1,2,3,4,5; 1,2,3,4,5; )")
	w.Split(ids{1, 2, 3, 4}) // 5 goes, and before that is agreed 4 dies
	for range 3 {
		w.Step(func(n int) int { return n - 1 })
	}
	w.Crash(4)
	w.form(ids{1, 2, 3}, ids{5})
	a.expect("NM(2; 1,2,3; ; 4,5)")
}

func TestScenario_13_JoinTogether(t *testing.T) {
	w := start(t, 5, Config{})
	w.form(ids{1, 2, 3})
	w.form(w.All())
	for _, n := range w.All() {
		l := w.client(n, 9).watch()
		l.expect("NM(2; 1,2,3,4,5; 4,5; )")
		e, _ := ParseMember(l.Events[0].Body)
		if e.Fact.Members[3].Born != 2 || e.Fact.Members[4].Born != 2 {
			t.Errorf("%+v", e.Fact)
		}
	}
}

func TestScenario_14_Register(t *testing.T) {
	denied := false
	w := start(t, 1, Config{Allow: func(service.Cred, Action, string) bool { return !denied }})
	l := w.client(1, 9)
	reg := func(c Class, name string) RegisterRequest {
		return RegisterRequest{Sub: 1, Class: c, Group: []byte(name)}
	}
	l.want(service.ErrInvalidParam, CallRegister, reg(Group, ""))
	l.want(service.ErrNameTooLong, CallRegister, reg(Group, strings.Repeat("x", 200)))
	l.want(service.ErrInvalidParam, CallRegister, reg(Group, "__OTHER"))
	l.want(service.ErrInvalidParam, CallRegister, reg(Topic, "t"))
	l.want(service.OK, CallRegister, reg(Group, "anything else"))
	l.want(service.ErrExist, CallRegister, reg(Group, "other"))
	denied = true
	l.want(service.ErrAccess, CallRegister, RegisterRequest{Sub: 2, Class: Memb})
	l.want(service.ErrAccess, CallPublish, say("anything else", "x"))
	l.want(service.ErrAccess, CallCreate, CreateRequest{Name: []byte("t")})
	early := &lib{Conn: w.Node(1).Open(ID), w: w}
	early.want(service.ErrInit, CallRegister, RegisterRequest{Sub: 1, Class: Memb})
}

// After the end of a registration nothing of it follows.
func TestScenario_15_16_Unregister(t *testing.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	l := w.client(1, 0).watch()
	l.must(CallEnd, SubRequest{1})
	l.grant(9)
	w.form(ids{1, 2}, ids{3})
	l.expect()
	l.want(service.ErrNotExist, CallEnd, SubRequest{1})
}

func TestScenario_21_Stop(t *testing.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	l := w.client(2, 9).watch()
	l.expect("NM(1; 1,2,3; 1,2,3; )")
	w.service(2).Leaving()
	l.expect("evicted", "end stopped")
	l.want(service.ErrAgain, CallRegister, RegisterRequest{Sub: 2, Class: Memb})
	l.expect()
}

// Two of five go on without quorum; who wants that is told of whom there are.
func TestScenario_35_Special(t *testing.T) {
	w := start(t, 5, Config{})
	w.form(w.All())
	plain, special := w.client(1, 9).watch(), w.client(1, 9)
	special.must(CallRegister, RegisterRequest{Sub: 1, Class: Memb, Special: true})
	w.form(ids{1, 2})
	plain.expect("NM(1; 1,2,3,4,5; 1,2,3,4,5; )", "not-primary(1; 1,2,3,4,5; 1,2,3,4,5; )")
	special.expect("NM(1; 1,2,3,4,5; 1,2,3,4,5; )", "not-primary(1; 1,2,3,4,5; 1,2,3,4,5; )", "no-quorum(1; 1,2; ; )")
	w.form(ids{1, 3})
	plain.expect()
	special.expect("no-quorum(1; 1,3; ; )")
}

func TestConnectivity(t *testing.T) {
	w := start(t, 2, Config{})
	w.form(w.All())
	l := w.client(1, 9)
	l.must(CallRegister, RegisterRequest{Sub: 1, Class: Conn})
	w.service(1).Link(Link{Kind: Connect, Node: 2})
	w.service(1).changeEligible(ids{1, 3})
	l.expect("link 3 up false node 2 invalid IP", "link 2 up false node 2 invalid IP", "link 2 up true node 3 invalid IP")
	w.service(2).Configured()
	w.Run()
	l.expect("link 2 up false node 3 invalid IP", "link 2 up true node 2 invalid IP")
}

func TestStatus(t *testing.T) {
	w := start(t, 3, Config{})
	l := w.client(1, 9)
	state := func() State {
		p, err := ParseStatusReply(l.must(CallStatus, none{}))
		if err != nil {
			t.Fatal(err)
		}
		return p.State
	}
	got := []State{state()}
	w.form(ids{1, 2})
	got = append(got, state())
	w.form(ids{1})
	got = append(got, state())
	if want := [3]State{None, Primary, Limbo}; [3]State(got) != want {
		t.Errorf("%v", got)
	}
}

// none is an empty body.
type none struct{}

func (none) AppendTo(b []byte) []byte { return b }
