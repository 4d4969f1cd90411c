//go:build mutants

package sim

import (
	"testing"

	"github.com/moothall/moothall/internal/bug"
)

// mutants are the faults planted in the engine, and how many seeds may pass
// before the simulator finds each.
var mutants = []struct {
	name  string
	seeds uint64
}{
	{"accept-any-members", 200},
	{"accept-old-commit", 200},
	{"ack-discarded-token", 200},
	{"ack-is-progress", 200},
	{"bound-sent-as-promise", 200},
	{"buffer-by-flag", 200},
	{"count-client-slots-in-recovery", 200},
	{"cut-through", 200},
	{"d-replaced-by-t", 200},
	{"deliver-behind-holes", 200},
	{"deliver-encapsulated", 200},
	{"done-before-k", 200},
	{"fail-mark-carried-over", 200},
	{"fail-set-adopted-unheard", 200},
	{"forget-to-persist", 200},
	{"half-message-not-restarted", 200},
	{"incarnation-by-own-word", 200},
	{"install-limit-from-token-seq", 200},
	{"join-row-2-removed", 200},
	{"kept-token-stable", 200},
	{"one-bad-nic", 200},
	{"release-at-delivered", 200},
	{"request-without-limit", 200},
	{"row-6-blind-to-restart", 200},
	{"safe-at-aru", 200},
	{"safe-in-the-old-regular", 200},
	{"save-old-ring-twice", 200},
	{"skip-aru-owner", 200},
	{"skip-aru-rule", 200},
	{"stable-at-aru", 200},
	{"stop-at-the-hole", 200},
	{"t-by-id-only", 200},
	{"token-seq-restarted", 200},
	{"unchanged-kept-over-release", 200},
	{"use-late-old-frames", 200},
}

func TestMutants(t *testing.T) {
	defer bug.Plant("")
	for _, m := range mutants {
		bug.Plant(m.name)
		found := false
		for s := *seed; s < *seed+m.seeds && !found; s++ {
			if r := Run(DrawBare(s), Options{}); r.Failed() {
				t.Logf("%-32s found by seed %d: %v", m.name, s, r.Findings[0])
				found = true
			}
		}
		if !found {
			t.Errorf("%-32s not found by %d seeds", m.name, m.seeds)
		}
	}
}
