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
