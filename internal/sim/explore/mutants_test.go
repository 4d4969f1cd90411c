//go:build mutants

package explore

import (
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/wire"
)

// mutants are the planted faults that the explorer finds alone, and where.
var mutants = []struct {
	fault    string
	scenario Scenario
}{
	{"cut-through", messages},
	{"d-forgotten", scenario("three nodes, an interrupted recovery")},
	{"d-replaced-by-t", scenario("three nodes, an interrupted recovery")},
	{"deliver-behind-holes", scenario("three nodes, a hole")},
	{"dup-token-accepted", messages},
	{"forget-to-persist", messages},
	{"half-message-not-restarted", Scenario{Name: "a large message", Nodes: 2, Lead: halved, Bounds: Bounds{TokenLosses: 1, Promises: 2, Visits: 20}}},
	{"kept-token-stable", messages},
	{"own-stable-in-recovery", scenario("two nodes, a partition")},
	{"release-at-delivered", messages},
	{"safe-at-aru", messages},
	{"safe-in-the-old-regular", messages},
	{"safe-of-first-piece", messages},
	{"save-old-ring-twice", messages},
	{"skip-aru-owner", scenario("three nodes, a safe message")},
	{"skip-aru-rule", messages},
	{"stable-at-aru", messages},
	{"stop-at-the-hole", messages},
	{"t-by-id-only", messages},
	{"use-late-old-frames", scenario("three nodes, a late frame")},
}

// messages finds what shows within two nodes.
var messages = Scenario{Name: "two nodes", Nodes: 2, Lead: formed, Walk: Spread, Bounds: Bounds{Agreed: 1, Safe: 1, Crashes: 1, TokenLosses: 1, Consensus: 1,
	Resends: 1, Joins: 1, Promises: 4, Visits: 30}}

// halved: node 2 put half of a large message into the ring, and all that was in
// flight was lost.
func halved(l *Lead) {
	l.Form()
	l.Submit(2, large)
	l.Until(l.Filled(2, 1))
	l.Lose(func(_, _ int, _ wire.Type) bool { return true })
}

func TestMutants_AreFound(t *testing.T) {
	defer bug.Plant("")
	for _, m := range mutants {
		bug.Plant(m.fault)
		sc := m.scenario
		sc.States = 1_000_000
		r := Explore(sc)
		fault, _, _ := strings.Cut(r.Fault, "\n")
		if fault == "" || strings.HasPrefix(fault, "lead") {
			t.Errorf("%-28s not found in %d states of %s: %s", m.fault, r.States, sc.Name, fault)
			continue
		}
		t.Logf("%-28s %8d states of %s, %d actions: %s; fresh engines: %s", m.fault, r.States, sc.Name, len(r.Path), fault, r.Replay)
	}
}
