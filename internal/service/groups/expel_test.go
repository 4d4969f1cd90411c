package groups

import (
	"testing"

	"github.com/moothall/moothall/internal/service/servicetest"
)

func (l *lib) expel(phases uint8, limit int32, phase uint32, flag string, targets ...Provider) *servicetest.Answer {
	return l.Call(CallExpel, Proposal{Phases: phases, Limit: limit, Phase: phase, Data: []byte(flag), Targets: targets}.AppendTo(nil))
}

// scripted has A, B and C in g, each with a script.
func scripted(t *testing.T, a Attributes) (w *world, libs [3]*lib) {
	w = start(t, 3)
	for i := range libs {
		l := w.clientWith(servicetest.NodeID(i+1), HelloRequest{Script: "/s"})
		l.wants(l.join(0, "g", 1, a), OK)
		w.settle()
		libs[i] = l
	}
	w.forget()
	return w, libs
}

func TestExpel_AllTargetedRunsTheDeactivatePhaseOnly(t *testing.T) {
	w, p := scripted(t, g1)
	p[0].expel(NPhase, 0, 3, "f", Provider{1, 1}, Provider{1, 2}, Provider{1, 3})
	w.settle()
	for _, l := range p {
		if len(l.log) != 1 || l.log[0][:12] != "AP expel 3 E" {
			t.Errorf("%s saw %q", l.name, l.log)
		}
	}
	if len(w.scripts) != 3 {
		t.Errorf("ran %+v", w.scripts)
	}
}

// The node of a script goes: that is an unsuccessful result.
func TestExpel_NodeOfTheScriptDies(t *testing.T) {
	w, p := scripted(t, g1)
	w.held = true
	p[0].expel(NPhase, 0, 1, "f", Provider{1, 2})
	w.settle()
	w.forget()
	w.Crash(2)
	w.Split([]servicetest.NodeID{1, 3})
	w.settle()
	all([]*lib{p[0], p[2]}, `AP expel 1 EA|DU UM|EX cur=1/1,1/3 chg=1/2 expelled flag="f"@1`)
}

// A node that went and came back runs nothing for a provider of before: another
// process may have its connection number there.
func TestExpel_NodeOfTheScriptCameBack(t *testing.T) {
	w, p := scripted(t, g1)
	p[0].quiet, p[1].quiet = true, true
	p[0].expel(NPhase, 0, 2, "f", Provider{1, 3})
	w.settle()
	w.returns(3, p[2].ID())
	for _, v := range []Vote{Continue, Approve} {
		p[0].vote(0, VoteRequest{Vote: v})
		p[1].vote(0, VoteRequest{Vote: v})
		w.settle()
	}
	if len(w.scripts) != 0 {
		t.Errorf("ran %+v", w.scripts)
	}
	p[1].saw(`NP expel 1 0 PM|EX cur=1/1,1/2,1/3 chg=1/3 expelled flag="f"@2`,
		`NP expel 2 0 OM|EX cur=1/1,1/2,1/3 chg=1/3 expelled flag="f"@2`,
		`AP expel 2 EA|DU UM|EX cur=1/1,1/2 chg=1/3 expelled flag="f"@2`)
}

// The same for one that failed before its node went.
func TestFailure_NodeOfTheScriptCameBack(t *testing.T) {
	w, p := scripted(t, g1.with(batched(DeactivateOnFailure)))
	p[0].quiet = true
	p[0].message(NPhase, "m")
	w.settle()
	p[2].Leave()
	w.settle()
	w.returns(3, p[2].ID())
	w.forget()
	p[0].vote(0, VoteRequest{Vote: Approve})
	w.settle()
	if len(w.scripts) != 0 {
		t.Errorf("ran %+v", w.scripts)
	}
	p[1].saw("AP message 1 EA 0 cur=1/1,1/2,1/3", "AP failure-leave 1 EA UM cur=1/1,1/2 chg=1/3 failure")
}

// returns has the agent of a node end and come back with a client that has the number
// of one of before.
func (w *world) returns(node servicetest.NodeID, conn uint64) {
	w.t.Helper()
	var others []servicetest.NodeID
	for _, n := range w.All() {
		if n != node {
			others = append(others, n)
		}
	}
	w.Crash(node)
	w.Split(others)
	w.settle()
	w.Restart(node)
	w.Split(w.All())
	w.settle()
	w.hello(w.Node(node).OpenAs(ID, conn), HelloRequest{Level: Level, Script: "/other"})
}

func TestBacklevel(t *testing.T) {
	w, a, b := two(t, g1)
	old := w.clientWith(3, HelloRequest{Level: 99})
	old.join(0, "g", 1, g1)
	w.settle()
	w.forget()
	next := g1.with(limited(5))
	a.Call(CallAttributes, Proposal{Phases: OnePhase, Attrs: &next}.AppendTo(nil))
	w.settle()
	a.expel(OnePhase, 0, 0, "", Provider{1, 2})
	w.settle()
	a.saw("DE attributes 26", "DE expel 26")
	b.saw()
	a.wants(a.Call(CallGoodbye, TokenRequest{0}.AppendTo(nil)), BacklevelProviders)
}
