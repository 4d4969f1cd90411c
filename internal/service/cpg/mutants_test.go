//go:build mutants

package cpg

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/servicetest"
)

// seeded draws without a rapid test around it.
type seeded struct{ *rand.Rand }

func (s seeded) n(n int, _ string) int { return s.IntN(n) }

// randomRuns is up to a thousand random runs, the first failure of them.
func randomRuns(seeds uint64) func() error {
	return func() error {
		for seed := range seeds {
			err := try(func(t servicetest.T) { runRandom(t, seeded{rand.New(rand.NewPCG(seed, 1))}) })
			if err != nil {
				return fmt.Errorf("seed %d: %w", seed, err)
			}
		}
		return nil
	}
}

// TestMutants_AreFound plants each fault of this package and demands that the
// tests find it.
func TestMutants_AreFound(t *testing.T) {
	if err := randomRuns(1000)(); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	random := randomRuns(1000)
	for fault, finders := range map[string][]func() error{
		"cpg-ghost-member":        {func() error { return try(ghostMember) }, random},
		"cpg-confchg-order":       {func() error { return try(ringChangeOrder) }, random},
		"cpg-deliver-before-join": {random},
		"cpg-state-not-synced":    {random},
		"cpg-always-certain":      {func() error { return try(whoForgot) }},
		"cpg-votes-before-state":  {func() error { return try(whoForgot) }},
		"cpg-begins-anew":         {func() error { return try(whoWaits) }},
		"cpg-merge-keeps-both":    {func() error { return try(whoForgot) }, randomProgramRuns(300)},
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

func randomProgramRuns(seeds uint64) func() error {
	return func() error {
		for seed := range seeds {
			err := try(func(t servicetest.T) { randomPrograms(t, seeded{rand.New(rand.NewPCG(seed, 2))}) })
			if err != nil {
				return fmt.Errorf("seed %d: %w", seed, err)
			}
		}
		return nil
	}
}
