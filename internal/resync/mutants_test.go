//go:build mutants

package resync_test

import (
	"testing"

	"github.com/moothall/moothall/internal/bug"
)

// TestMutantsAreNoticed plants each fault of this package and demands that some
// scenario or the random walk fails.
func TestMutantsAreNoticed(t *testing.T) {
	for _, name := range []string{"state-by-weight", "state-epoch-from-own-quorate", "one-state-epoch",
		"sync-accept-late-barrier", "sync-no-abort-in-waiting"} {
		bug.Plant(name)
		found := false
		for s, run := range scenarios {
			if err := run(); err != nil {
				t.Logf("%s: %s: %v", name, s, err)
				found = true
			}
		}
		bug.Plant("")
		if !found {
			t.Errorf("nobody notices %s", name)
		}
	}
}
