//go:build mutants

package events

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/servicetest"
)

// failure ends a check that runs outside of a test.
type failure struct{ error }

// recorder is a servicetest.T that turns the first failure into an error.
type recorder struct{}

func (recorder) Helper() {}

func (recorder) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// try runs a check and returns what it found: planted faults must be found.
func try(check func(servicetest.T)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = f.error
		}
	}()
	check(recorder{})
	return nil
}

// seeded draws without a rapid test around it.
type seeded struct{ *rand.Rand }

func (s seeded) n(n int, _ string) int { return s.IntN(n) }

// random is up to two thousand random runs, the first failure of them.
func random() error {
	for seed := range uint64(2000) {
		err := try(func(t servicetest.T) { runRandom(t, seeded{rand.New(rand.NewPCG(seed, 1))}) })
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

func finds(f func(servicetest.T)) func() error { return func() error { return try(f) } }

// TestMutants_AreFound plants each fault of this package and demands that the
// tests find it.
func TestMutants_AreFound(t *testing.T) {
	if err := random(); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	for fault, finders := range map[string][]func() error{
		"events-agreed":              {random},
		"events-commit-unheard":      {finds(unheard)},
		"events-durable-at-once":     {finds(durable)},
		"events-other-life":          {finds(otherLife)},
		"events-stays-blocked":       {finds(endUnblocks)},
		"events-evicted-silent":      {finds(evicted), random},
		"events-gap-untold":          {finds(joinersGetKept), finds(backFromAway)},
		"events-ghost":               {random},
		"events-held-counts":         {finds(heldAndThrownOut)},
		"events-limbo-forgets":       {finds(safeOverLimbo), random},
		"events-limbo-without-lists": {finds(restored), random},
		"events-open-for-nobody":     {finds(openForNobody)},
		"events-oldest-wins":         {random},
		"events-queue-unbounded":     {finds(slowSubscriber)},
		"events-slots-are-unique":    {random},
		"events-surplus-filters":     {finds(surplusFilters)},
		"events-one-life":            {finds(forgotten)},
		"events-brings-forgotten":    {finds(broughtInTheEnd)},
		"events-numbers-again":       {finds(numbersAgain)},
		"events-time-begins-anew":    {finds(joinerKeeps)},
		"events-transitional-counts": {random},
		"events-union-twice":         {finds(union)},
		"events-void-counts":         {finds(voidAfterEviction)},
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
