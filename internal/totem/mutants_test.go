//go:build mutants

package totem

import (
	"testing"

	"github.com/moothall/moothall/internal/bug"
)

// TestMutants plants faults that only a situation of its own shows.
func TestMutants(t *testing.T) {
	for name, situation := range map[string]string{
		"quarantine-notice-ignored": "calm while it is told",
		"quarantine-in-any-ring":    "only by a quorate ring",
	} {
		t.Run(name, func(t *testing.T) {
			bug.Plant(name)
			defer bug.Plant("")
			err := kept[situation](t)
			if err == nil {
				t.Errorf("situation %q does not notice it", situation)
			}
			t.Log(err)
		})
	}
}
