package explore

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"
)

// The scenarios of the ordinary run. Each is exhausted.
var exhausted = []Scenario{
	{Name: "two nodes start", Nodes: 2, Bounds: Bounds{Agreed: 1, Safe: 1, Promises: 2, Visits: 20}},
	{Name: "two nodes start, faults", Nodes: 2, Bounds: Bounds{Crashes: 1, Restarts: 1, Partitions: 1, Promises: 2, Visits: 20}},
	{Name: "two nodes, a crash", Nodes: 2, Lead: formed, Bounds: Bounds{Crashes: 1, Restarts: 1, Safe: 1, Resends: 1, Promises: 2, Visits: 20}},
	{Name: "two nodes, a partition", Nodes: 2, Lead: formed, Bounds: Bounds{Partitions: 1, Safe: 1, Promises: 1, Visits: 20}},
	{Name: "two nodes, a merge", Nodes: 2, Lead: healed, Bounds: Bounds{Safe: 1, Merges: 2, Promises: 1, Visits: 20}},
	{Name: "three nodes, a late frame", Nodes: 3, Lead: late, Bounds: Bounds{Promises: 2, Visits: 20}},
	{Name: "three nodes, a hole", Nodes: 3, Lead: behind, Bounds: Bounds{Promises: 2, Visits: 20}},
	{Name: "three nodes, frames to exchange", Nodes: 3, Lead: wrapped, Bounds: Bounds{Promises: 2, Visits: 20}},
	{Name: "three nodes, an interrupted recovery", Nodes: 3, Lead: interrupted, Bounds: Bounds{Restarts: 1, Promises: 2, Visits: 20}},
	{Name: "three nodes, a safe message", Nodes: 3, Lead: formed, Bounds: Bounds{Safe: 1, Promises: 1, Visits: 20}},
}

// twoNodes are exhausted too, in minutes. The first has the faults and messages of
// ordering 5.1 and the most rings that can be exhausted with them: one more in
// each node's lives.
var twoNodes = []Scenario{
	{Name: "two nodes, all faults", Nodes: 2, Lead: formed, Bounds: Bounds{Crashes: 2, Restarts: 1, Partitions: 1, Agreed: 1, Safe: 1, Promises: 1, Visits: 20}},
	{Name: "two nodes, two rings", Nodes: 2, Lead: formed, Bounds: Bounds{Crashes: 1, Restarts: 1, Partitions: 1, Safe: 1, Promises: 2, Visits: 20}},
	{Name: "two nodes, two messages", Nodes: 2, Lead: formed, Bounds: Bounds{Crashes: 1, Restarts: 1, Agreed: 1, Safe: 1, Promises: 2, Visits: 20}},
	{Name: "two nodes, late Joins", Nodes: 2, Bounds: Bounds{Safe: 1, LateJoins: true, Promises: 3, Visits: 20}},
	{Name: "two nodes, a merge and a crash", Nodes: 2, Lead: healed, Bounds: Bounds{Crashes: 1, Restarts: 1, Safe: 1, Merges: 2, Promises: 2, Visits: 20}},
}

// threeNodes has the bounds of ordering 5.1. It is endless.
var threeNodes = Scenario{Name: "three nodes", Nodes: 3, Lead: formed, Walk: Spread, Bounds: Bounds{Crashes: 2, Restarts: 1, Partitions: 1,
	Agreed: 1, Safe: 1, TokenLosses: 1, Consensus: 2, Merges: 2, Resends: 1, Joins: 1, Promises: 4, Visits: 30}}

// further leads three nodes into the middle of something and goes on with faults.
// They are endless.
func further() []Scenario {
	var list []Scenario
	for _, name := range []string{"three nodes, a late frame", "three nodes, a hole", "three nodes, frames to exchange", "three nodes, an interrupted recovery"} {
		sc := scenario(name)
		sc.Name, sc.Walk = name+", further faults", Spread
		sc.Bounds = Bounds{Crashes: 1, Restarts: 1, Partitions: 1, Safe: 1, TokenLosses: 1, Consensus: 1, Resends: 1, Joins: 1, Promises: 3, Visits: 30}
		list = append(list, sc)
	}
	return append(list, Scenario{Name: "three nodes, a merge", Nodes: 3, Lead: healed, Walk: Spread,
		Bounds: Bounds{Crashes: 1, Safe: 1, TokenLosses: 1, Consensus: 1, Merges: 3, Promises: 3, Visits: 30}})
}

// scenario is one of the ordinary run.
func scenario(name string) Scenario {
	for _, sc := range exhausted {
		if sc.Name == name {
			return sc
		}
	}
	panic("no scenario " + name)
}

// explore runs a scenario, prints what it covered and fails on a fault.
func explore(t *testing.T, sc Scenario) Result {
	t.Helper()
	began := time.Now()
	r := Explore(sc)
	t.Logf("%v; %v", r, time.Since(began).Round(time.Millisecond))
	if r.Fault != "" {
		for _, p := range r.Path {
			t.Log(p)
		}
		t.Errorf("%s: %s", sc.Name, r.Fault)
	}
	return r
}

func TestExplore_Exhausted(t *testing.T) {
	for _, sc := range exhausted {
		if r := explore(t, sc); r.Fault == "" && !r.Whole {
			t.Errorf("%s: not exhausted", sc.Name)
		}
	}
}

// wanted is how many states the open-ended scenarios are walked for: make explore
// asks for more than the ordinary run.
func wanted(t *testing.T) (states int, long bool) {
	v, long := os.LookupEnv("MOOT_EXPLORE_STATES")
	if !long {
		return 100_000, false
	}
	states, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("MOOT_EXPLORE_STATES=%q is not a number of states", v)
	}
	return states, true
}

func TestExplore_ThreeNodes(t *testing.T) {
	sc := threeNodes
	sc.States, _ = wanted(t)
	if r := explore(t, sc); r.Fault == "" && r.States < sc.States {
		t.Errorf("%d states, want %d", r.States, sc.States)
	}
}

func TestExplore_Long(t *testing.T) {
	states, long := wanted(t)
	if !long {
		t.Skip("minutes; make explore runs it")
	}
	for _, sc := range twoNodes {
		if r := explore(t, sc); r.Fault == "" && !r.Whole {
			t.Errorf("%s: not exhausted", sc.Name)
		}
	}
	for _, sc := range further() {
		sc.States = states
		if r := explore(t, sc); r.Fault == "" && r.States < sc.States && !r.Whole {
			t.Errorf("%s: %d states, want %d", sc.Name, r.States, sc.States)
		}
	}
}

// TestReplay drives paths again with fresh engines: nothing that the explorer
// keeps, and no states that it takes for equal, may change what happens. The
// simulator's checker judges them too.
func TestReplay(t *testing.T) {
	two := scenario("two nodes, a crash")
	two.States, two.Walk = 60_000, Spread
	three := threeNodes
	three.States = 60_000
	for _, sc := range []Scenario{two, three} {
		x := newExplorer(sc)
		kept := map[int32]state{}
		x.onNew = func(s *state) {
			if n := int32(len(x.from)); n%150 == 0 {
				kept[n] = s.clone()
			}
		}
		s, fault := x.begin(sc)
		if fault != "" {
			t.Fatal(fault)
		}
		x.frontier.walk = sc.Walk
		x.offer(&s, -1, action{}, 0)
		x.walk()
		for number, s := range kept {
			r, err := x.replay(x.path(number))
			if err != nil {
				t.Fatalf("%s, state %d: %v", sc.Name, number, err)
			}
			for i := range x.nodes {
				at := s.nodes[i].at
				switch m := r.nodes[i].machine; {
				case (m == nil) != (at == down):
					t.Fatalf("%s, state %d: node %d runs in one and not in the other", sc.Name, number, i+1)
				case m != nil && !bytes.Equal(m.AppendState(nil), x.locals[at].machine.AppendState(nil)):
					t.Fatalf("%s, state %d: node %d differs", sc.Name, number, i+1)
				}
			}
			for _, f := range r.findings() {
				t.Errorf("%s, state %d: %v", sc.Name, number, f)
			}
		}
		t.Logf("%s: %d paths", sc.Name, len(kept))
	}
}
