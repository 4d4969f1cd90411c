//go:build mutants

package groups

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/groups/groupstest"
	"github.com/moothall/moothall/internal/service/servicetest"
)

// seeded draws without a rapid test around it.
type seeded struct{ *rand.Rand }

func (s seeded) n(n int, _ string) int { return s.IntN(n) }

// random is up to a thousand random runs, the first failure of them.
func random() error {
	for seed := range uint64(1000) {
		err := try(func(t servicetest.T) { runRandom(t, seeded{rand.New(rand.NewPCG(seed, 1))}) })
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

// council is the same for the nodes' own group.
func council() error {
	for seed := range uint64(1000) {
		err := try(func(t servicetest.T) { runCouncil(t, seeded{rand.New(rand.NewPCG(seed, 1))}) })
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

func finds(f func(servicetest.T)) func() error { return func() error { return try(f) } }

// scenario is a scenario of the table, in all its forms, as a check.
func scenario(number int) func(servicetest.T) {
	all := slices.DeleteFunc(groupstest.Scenarios(), func(s groupstest.Scenario) bool { return s.Number != number })
	return func(t servicetest.T) {
		for _, s := range all {
			play(t, s)
		}
	}
}

// TestMutants_AreFound plants each fault of this package and demands that the
// tests find it.
func TestMutants_AreFound(t *testing.T) {
	if err := errors.Join(random(), council()); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	for fault, finders := range map[string][]func() error{
		"groups-early-phase":       {random},
		"groups-failed-awaited":    {random},
		"groups-two-at-once":       {random},
		"groups-joins-first":       {finds(failuresFirst)},
		"groups-votes-not-sent":    {random},
		"groups-void-counts":       {finds(losersAreVoid), random},
		"groups-rejected-stay":     {random},
		"groups-junior-state":      {finds(scenario(44))},
		"groups-target-first":      {finds(scenario(67))},
		"groups-merge-silent":      {random},
		"groups-late-by-own-clock": {random},

		"groups-council-ends-twice": {council},
		"groups-council-first-no":   {finds(allAreHeard)},
		"groups-council-goes-on":    {council},
	} {
		for i, find := range finders {
			bug.Plant(fault)
			err := find()
			bug.Plant("")
			if err == nil {
				t.Errorf("%s: test %d does not find it", fault, i)
				continue
			}
			first, _, _ := strings.Cut(err.Error(), "\n")
			t.Logf("%s: %s", fault, first)
		}
	}
}
