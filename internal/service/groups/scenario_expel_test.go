package groups

import (
	"testing"
	"time"

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

func TestScenario_59_ExpelOnePhase(t *testing.T) {
	w, p := scripted(t, g1)
	p[0].expel(OnePhase, 0, 0, "now", Provider{1, 2})
	w.settle()
	all(p[:], `AP expel 1 EA UM|EX cur=1/1,1/3 chg=1/2 expelled flag="now"@0`)
	if len(w.scripts) != 1 || w.scripts[0].PID != p[1].Cred().PID || w.scripts[0].Flag != "now" || w.scripts[0].Reason != "expel" || w.scripts[0].Path != "/s" {
		t.Errorf("ran %+v", w.scripts)
	}
	p[1].wants(p[1].state(OnePhase, 0, "x"), BadMemberToken)
	p[0].expel(OnePhase, 0, 0, "", Provider{1, 3})
	w.settle()
	if len(w.scripts) != 1 {
		t.Errorf("phase 0 without a flag ran %+v", w.scripts)
	}
}

func TestScenario_60_DeactivateInPhaseTwo(t *testing.T) {
	w, p := scripted(t, g1)
	w.fails, w.held = true, true
	p[0].plan(0, Continue)
	p[2].plan(0, Continue)
	p[0].expel(NPhase, 0, 2, "f", Provider{1, 2})
	w.settle()
	np := []string{`NP expel 1 0 PM|EX cur=1/1,1/2,1/3 chg=1/2 expelled flag="f"@2`, `NP expel 2 0 OM|EX cur=1/1,1/2,1/3 chg=1/2 expelled flag="f"@2`}
	all([]*lib{p[0], p[2]}, np...)
	w.ends[0](false, false)
	w.settle()
	all(p[:], `AP expel 2 EA|DU UM|EX cur=1/1,1/3 chg=1/2 expelled flag="f"@2`)
}

func TestScenario_61_ScriptIsLate(t *testing.T) {
	w, p := scripted(t, g1)
	w.held = true
	p[0].expel(NPhase, 3, 1, "f", Provider{1, 2})
	w.settle()
	if len(w.scripts) != 1 || w.scripts[0].Limit != 3*time.Second {
		t.Fatalf("ran %+v", w.scripts)
	}
	w.forget()
	w.ends[0](false, true) // who runs scripts ends them
	w.settle()
	all(p[:], `AP expel 1 EA|DU|DT UM|EX cur=1/1,1/3 chg=1/2 expelled flag="f"@1`)
}

func TestScenario_62_ExpelRejected(t *testing.T) {
	w, p := scripted(t, g1)
	p[2].plan(0, Reject)
	p[0].expel(NPhase, 0, 2, "f", Provider{1, 2})
	w.settle()
	rj := `RJ expel 1 ER RM|EX cur=1/1,1/2,1/3 chg=1/2 expelled flag="f"@2`
	p[1].saw(rj)
	if p[0].log[1] != rj || p[2].log[1] != rj || len(w.scripts) != 0 {
		t.Errorf("A saw %q, C saw %q, ran %v", p[0].log, p[2].log, w.scripts)
	}
	p[1].wants(p[1].state(OnePhase, 0, "x"), OK)
}

func TestScenario_63_BadExpels(t *testing.T) {
	w, p := scripted(t, g1)
	p[0].wants(p[0].expel(OnePhase, 0, 0, "", Provider{1, 2}, Provider{1, 3}, Provider{1, 2}), ProviderAppearsTwice)
	p[0].wants(p[0].expel(OnePhase, 0, 3, "", Provider{1, 2}), InvalidDeactivatePhase)
	p[0].wants(p[0].expel(OnePhase, 0, 0, ""), BadParameter)
	p[0].wants(p[0].expel(OnePhase, 0, 0, "", Provider{9, 9}), OK)
	w.settle()
	p[0].saw("DE expel 23")
	p[1].saw()
}

func TestScenario_64_DeactivateOnFailure(t *testing.T) {
	for _, attrs := range []Attributes{g1, gN} {
		w, p := scripted(t, attrs.with(batched(DeactivateOnFailure)))
		p[1].Leave()
		w.settle()
		if len(w.scripts) != 1 || w.scripts[0].Reason != "failure" || w.scripts[0].PID != p[1].Cred().PID || w.scripts[0].Flag != "" {
			t.Errorf("ran %+v", w.scripts)
		}
		if got := p[0].log[len(p[0].log)-1]; got != "AP failure-leave 1 EA UM cur=1/1,1/3 chg=1/2 failure" {
			t.Errorf("A saw %q", got)
		}
		p[2].goodbye(0)
		w.settle()
		if len(w.scripts) != 1 {
			t.Errorf("after a goodbye ran %+v", w.scripts)
		}
	}
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
