//go:build mutants

package explore

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/bug"
)

func TestMutDbg(t *testing.T) {
	names := strings.Fields(os.Getenv("MUT"))
	for _, n := range names {
		bug.Plant(n)
		for _, sc := range []Scenario{
			{Name: "two", Nodes: 2, Bounds: Bounds{Visits: 30, Promises: 4, Joins: 1, Resends: 1, Safe: 1, Agreed: 1, Crashes: 1, Consensus: 1, TokenLosses: 1, States: 300000}, Walk: Spread},
			{Name: "three", Nodes: 3, Lead: (*Lead).Form, Walk: Spread, Bounds: Bounds{Visits: 30, Promises: 3, Crashes: 1, Agreed: 1, Safe: 1, TokenLosses: 1, Consensus: 2, Joins: 2, Resends: 1, States: 1000000}},
		} {
			at := time.Now()
			r := Explore(sc)
			f, _, _ := strings.Cut(r.Fault, "\n")
			t.Logf("%-30s %s %v states %d path %d: %s", n, sc.Name, time.Since(at), r.States, len(r.Path), f)
			if r.Fault != "" {
				break
			}
		}
	}
	bug.Plant("")
}
