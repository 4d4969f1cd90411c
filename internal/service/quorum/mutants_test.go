//go:build mutants

package quorum

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/moothall/moothall/internal/bug"
)

// recorder is a servicetest.T that panics with the first failure.
type recorder struct{}

func (recorder) Helper()                           {}
func (recorder) Fatalf(format string, args ...any) { panic(fmt.Errorf(format, args...)) }

func try(seed uint64) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("seed %d: %v", seed, r)
		}
	}()
	runRandom(recorder{}, rand.New(rand.NewPCG(seed, 2)).IntN)
	return nil
}

// TestMutants_AreFound plants each fault that this service can show.
func TestMutants_AreFound(t *testing.T) {
	const seeds = 2000
	for _, fault := range []string{"", "quorum-shown-before-barriers", "vote-majority-off-by-one", "quorum-old-device-word",
		"quorum-device-not-awaited", "quorum-stale-poll", "quorum-tie-not-stored"} {
		bug.Plant(fault)
		var err error
		for seed := uint64(0); seed < seeds && err == nil; seed++ {
			err = try(seed)
		}
		bug.Plant("")
		if found := err != nil; found != (fault != "") {
			t.Errorf("fault %q: %v", fault, err)
		}
		t.Logf("fault %q: %v", fault, err)
	}
}
