package groups

import (
	"strings"
	"testing"
	"time"
)

// The scenarios of group services, appendix A, by their numbers. What a library
// does alone is left to the libraries.

func TestScenario_05_TokensOfTheLibraryAreFreeAgain(t *testing.T) {
	w := start(t, 1)
	a := w.client(1)
	a.wants(a.join(0, "g", 1, g1), OK)
	a.wants(a.join(1, "h", 1, g1), OK)
	w.settle()
	a.wants(a.Call(CallLeave, Proposal{Token: 0, Phases: OnePhase}.AppendTo(nil)), OK)
	w.settle()
	a.wants(a.join(1, "k", 1, g1), BadParameter)
	a.wants(a.join(0, "k", 1, g1), OK)
}

func TestScenario_06_BadTokens(t *testing.T) {
	w := start(t, 1)
	a := w.joined(1, "g", 1, g1)
	a.subscribe(1, "g", WantState)
	for _, token := range []int32{77, 1, -1} {
		a.wants(a.Call(CallLeave, Proposal{Token: token, Phases: OnePhase}.AppendTo(nil)), BadMemberToken)
		a.wants(a.Call(CallVote, VoteRequest{Token: token, Vote: Approve}.AppendTo(nil)), BadMemberToken)
	}
	a.wants(a.Call(CallUnsubscribe, TokenRequest{77}.AppendTo(nil)), BadMemberToken)
	a.wants(a.Call(CallUnsubscribe, TokenRequest{0}.AppendTo(nil)), BadMemberToken)
}

func TestScenario_07_Names(t *testing.T) {
	w := start(t, 1)
	a := w.client(1)
	a.wants(a.join(0, strings.Repeat("x", 33), 1, g1), NameTooLong)
	a.wants(a.join(0, "", 1, g1), BadParameter)
	a.wants(a.join(0, HostMembership, 1, g1), InvalidGroup)
	a.wants(a.join(0, strings.Repeat("x", 32), 1, g1), OK)
}

func TestScenario_08_IllegalAttributes(t *testing.T) {
	w := start(t, 1)
	a := w.client(1)
	for _, f := range []func(*Attributes){
		func(a *Attributes) { a.DefaultVote = Continue },
		func(a *Attributes) { a.TimeLimit = -1 },
		func(a *Attributes) { a.Phases = 3 },
		func(a *Attributes) { a.Batch = 4 },
	} {
		a.wants(a.join(0, "g", 1, g1.with(f)), BadGroupAttributes)
	}
	a.wants(a.join(0, "g", -1, g1), BadParameter)
}

func TestScenario_10_11_JoinOnePhase(t *testing.T) {
	w := start(t, 3)
	a, b := w.client(1), w.client(2)
	a.join(0, "g", 1, g1)
	w.settle()
	a.saw("AP join 1 EA UM cur=1/1 chg=1/1")
	b.join(0, "g", 1, g1)
	w.settle()
	all([]*lib{a, b}, "AP join 1 EA UM cur=1/1,1/2 chg=1/2")
}

func TestScenario_12_FirstJoinNPhase(t *testing.T) {
	w := start(t, 3)
	a := w.client(1)
	a.join(0, "g", 1, gN)
	w.settle()
	a.saw("NP join 1 0 PM cur= chg=1/1", "AP join 1 EA UM cur=1/1 chg=1/1")
}

func TestScenario_13_ThreePhases(t *testing.T) {
	w := start(t, 3)
	a, b := w.joined(1, "g", 1, gN), w.client(2)
	a.plan(0, Continue, Continue, Approve)
	b.plan(0, Continue, Continue, Approve)
	a.dead = true
	b.join(0, "g", 1, gN)
	w.settle()
	b.saw("NP join 1 0 PM cur=1/1 chg=1/2") // and no more, before A has voted
	a.dead = false
	w.settle()
	rest := []string{"NP join 2 0 OM cur=1/1 chg=1/2", "NP join 3 0 OM cur=1/1 chg=1/2", "AP join 3 EA UM cur=1/1,1/2 chg=1/2"}
	a.saw(append([]string{"NP join 1 0 PM cur=1/1 chg=1/2"}, rest...)...)
	b.saw(rest...)
}

func TestScenario_14_15_JoinRejected(t *testing.T) {
	for _, who := range []int{0, 1} {
		w := start(t, 3)
		a, b := w.joined(1, "g", 1, gN), w.client(2)
		[]*lib{a, b}[who].plan(0, Reject)
		b.join(0, "g", 1, gN)
		w.settle()
		all([]*lib{a, b}, "NP join 1 0 PM cur=1/1 chg=1/2", "RJ join 1 ER RM cur=1/1 chg=1/2")
		b.wants(b.state(OnePhase, 0, "x"), BadMemberToken)
		a.wants(a.state(OnePhase, 0, "x"), OK)
		w.settle()
		a.saw(`AP state 1 EA US cur=1/1 "x" prop="x"`)
		b.saw()
	}
}

func TestScenario_16_AttributesDoNotMatch(t *testing.T) {
	w := start(t, 3)
	a, b := w.joined(1, "g", 1, g1), w.client(2)
	b.join(0, "g", 1, g1.with(rejects))
	w.settle()
	a.saw()
	b.saw("DE join 13 end")
	b.wants(b.join(0, "g", 1, g1), OK)
}

func TestScenario_17_InstanceNumbers(t *testing.T) {
	w := start(t, 3)
	w.joined(1, "g", 1, g1)
	b := w.client(1)
	b.join(0, "g", 1, g1)
	w.settle()
	b.saw("DE join 15 end")
	b.join(0, "g", 2, g1)
	w.settle()
	b.saw("AP join 1 EA UM cur=1/1,2/1 chg=2/1")
}

func TestScenario_18_19_JoinsBehindAProtocol(t *testing.T) {
	for _, batch := range []uint32{0, BatchJoins} {
		attrs := g1.with(batched(batch))
		w := start(t, 3)
		a, b, c := w.joined(1, "g", 1, attrs), w.client(2), w.client(3)
		a.quiet = true
		a.Call(CallMessage, Proposal{Phases: NPhase, Data: []byte("m")}.AppendTo(nil))
		w.settle()
		b.join(0, "g", 1, attrs)
		w.settle()
		c.join(0, "g", 1, attrs)
		w.settle()
		b.saw()
		c.saw()
		a.vote(0, VoteRequest{Vote: Approve})
		w.settle()
		before := []string{`NP message 1 0 UPM cur=1/1 msg="m"`, "AP message 1 EA 0 cur=1/1"}
		if batch == 0 {
			a.saw(append(before, "AP join 1 EA UM cur=1/1,1/2 chg=1/2", "AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/3")...)
			b.saw("AP join 1 EA UM cur=1/1,1/2 chg=1/2", "AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/3")
			c.saw("AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/3")
		} else {
			a.saw(append(before, "AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/2,1/3")...)
			all([]*lib{b, c}, "AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/2,1/3")
		}
	}
}

func TestScenario_20_JoinerDiesDefaultApprove(t *testing.T) {
	w := start(t, 3)
	a, b := w.joined(1, "g", 1, gN), w.client(2)
	b.dead = true
	b.join(0, "g", 1, gN)
	w.settle()
	b.Leave()
	w.settle()
	a.saw("NP join 1 0 PM cur=1/1 chg=1/2", "AP join 1 DA|PF UM cur=1/1,1/2 chg=1/2",
		"NP failure-leave 1 0 PM cur=1/1,1/2 chg=1/2 failure", "AP failure-leave 1 EA UM cur=1/1 chg=1/2 failure")
}

func TestScenario_21_JoinerDiesDefaultReject(t *testing.T) {
	w := start(t, 3)
	attrs := gN.with(rejects)
	a, b := w.joined(1, "g", 1, attrs), w.client(2)
	b.dead = true
	b.join(0, "g", 1, attrs)
	w.settle()
	b.Leave()
	w.settle()
	a.saw("NP join 1 0 PM cur=1/1 chg=1/2", "RJ join 1 DR|PF RM cur=1/1 chg=1/2")
}

func TestScenario_22_JoinerWithoutCallbackIsLate(t *testing.T) {
	w := start(t, 3)
	attrs := gN.with(limited(2))
	a, b := w.joined(1, "g", 1, attrs), w.client(2)
	b.quiet = true
	b.join(0, "g", 1, attrs)
	w.settle()
	w.later(time.Second)
	a.saw("NP join 1 0 PM cur=1/1 chg=1/2")
	w.later(time.Second)
	a.saw("AP join 1 DA|TL UM cur=1/1,1/2 chg=1/2", "AN TL [1/2]")
	b.saw("NP join 1 0 PM cur=1/1 chg=1/2", "AP join 1 DA|TL UM cur=1/1,1/2 chg=1/2", "AN TL [1/2]")
}

func TestScenario_23_PendingJoinIsNoMember(t *testing.T) {
	w := start(t, 3)
	a, b := w.joined(1, "g", 1, gN), w.client(2)
	a.quiet = true
	b.join(0, "g", 1, gN)
	w.settle()
	b.wants(b.Call(CallLeave, Proposal{Phases: OnePhase}.AppendTo(nil)), NotAMember)
}
