package explore

import (
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	f := (*Lead).Form
	for _, sc := range []Scenario{
		{Name: "cold faults", Bounds: Bounds{Crashes: 1, Restarts: 1, Partitions: 1, Promises: 3}},
		{Name: "cold msgs", Bounds: Bounds{Agreed: 1, Safe: 1, Promises: 2}},
		{Name: "cold safe crash", Bounds: Bounds{Safe: 1, Crashes: 1, Promises: 2}},
		{Name: "formed msgs", Lead: f, Bounds: Bounds{Agreed: 1, Safe: 1, Promises: 2}},
		{Name: "formed msgs resend", Lead: f, Bounds: Bounds{Agreed: 1, Safe: 1, Resends: 1, Promises: 2}},
		{Name: "formed msgs crash restart", Lead: f, Bounds: Bounds{Agreed: 1, Safe: 1, Crashes: 1, Restarts: 1, Promises: 2}},
		{Name: "formed msgs crash restart tok", Lead: f, Bounds: Bounds{Agreed: 1, Safe: 1, Crashes: 1, Restarts: 1, TokenLosses: 1, Promises: 2}},
		{Name: "formed msgs cut tok", Lead: f, Bounds: Bounds{Agreed: 1, Safe: 1, Partitions: 1, TokenLosses: 1, Promises: 2}},
		{Name: "formed full", Lead: f, Bounds: Bounds{Agreed: 1, Safe: 1, Crashes: 2, Restarts: 1, Partitions: 1, TokenLosses: 1, Consensus: 1, Promises: 2}},
	} {
		sc.Nodes = 2
		sc.Visits = 20
		sc.States = 12000000
		at := time.Now()
		r := Explore(sc)
		t.Log(time.Since(at), r)
	}
}

func TestReplayDbg(t *testing.T) {
	for _, sc := range []Scenario{
		{Name: "two", Nodes: 2, Bounds: Bounds{Visits: 30, Promises: 4, Joins: 1, Resends: 1, Crashes: 1, Restarts: 1, Partitions: 1, Agreed: 1, Safe: 1, States: 300000}, Walk: Spread},
		{Name: "three", Nodes: 3, Lead: (*Lead).Form, Walk: Spread, Bounds: Bounds{Visits: 30, Promises: 4, Crashes: 2, Restarts: 1, Partitions: 1, Agreed: 1, Safe: 1, TokenLosses: 1, Consensus: 2, Joins: 2, Resends: 1, Merges: 2, States: 300000}},
	} {
		x := newExplorer(sc)
		s, fault := x.begin(sc)
		if fault != "" {
			t.Fatal(fault)
		}
		x.frontier.walk = sc.Walk
		x.offer(&s, -1, action{}, 0)
		x.walk()
		bad := 0
		for n := int32(0); n < int32(len(x.from)); n += 97 {
			r, err := x.replay(x.path(n))
			if err != nil {
				bad++
				if bad < 5 {
					t.Error(n, err)
				}
				continue
			}
			for _, f := range r.findings() {
				t.Error(f)
			}
		}
		t.Log(bad, len(x.from)/97)
	}
}
