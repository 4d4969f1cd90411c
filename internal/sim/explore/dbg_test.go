package explore

import (
	"fmt"
	"sort"
	"testing"
	"time"
)

func hist(t *testing.T, sc Scenario) {
	x := newExplorer(sc)
	s, fault := x.begin(sc)
	if fault != "" {
		t.Fatal(fault)
	}
	cnt := map[string]int{}
	nets := map[int]int{}
	kinds := map[string]int{}
	x.onNew = func(s *state) {
		k := ""
		for i := range x.nodes {
			if s.nodes[i].at == down {
				k += " down"
				continue
			}
			f := x.locals[s.nodes[i].at].facts
			k += fmt.Sprintf(" %v/%d", f.State, f.Committed)
		}
		cnt[k]++
		nets[len(s.net)]++
		for _, f := range s.net {
			kinds[typeNames[x.frames[f.frame].kind]]++
		}
	}
	at := time.Now()
	x.frontier.walk = sc.Walk
	x.offer(&s, -1, action{}, 0)
	x.walk()
	x.res.Engine, x.res.Locals = x.steps, len(x.locals)
	t.Log(x.res, time.Since(at))
	for _, p := range x.res.Path {
		t.Log(p)
	}
	var ks []string
	for k := range cnt {
		ks = append(ks, k)
	}
	sort.Slice(ks, func(i, j int) bool { return cnt[ks[i]] > cnt[ks[j]] })
	for i, k := range ks {
		if i < 8 {
			t.Log(cnt[k], k)
		}
	}
	t.Log(nets, kinds)
}

func TestDbg(t *testing.T) {
	for _, b := range []Bounds{
		{Visits: 30, Promises: 4, Joins: 1, Resends: 1, Crashes: 1, Restarts: 1, Partitions: 1},
		{Visits: 30, Promises: 3, Joins: 1, Resends: 0, Safe: 1, Crashes: 1},
	} {
		b.States = 1000000
		hist(t, Scenario{Name: "two", Nodes: 2, Bounds: b})
	}
	for _, b := range []Bounds{
		{Visits: 30, Promises: 4, Crashes: 2, Restarts: 1, Partitions: 1, Agreed: 1, Safe: 1, TokenLosses: 1, Consensus: 2, Joins: 2, Resends: 1, Merges: 2},
	} {
		b.States = 3000000
		hist(t, Scenario{Name: "three", Nodes: 3, Bounds: b, Walk: Spread, Lead: func(l *Lead) { l.Form() }})
	}
}
