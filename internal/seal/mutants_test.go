//go:build mutants

package seal

import (
	"testing"

	"github.com/moothall/moothall/internal/bug"
)

// TestMutants plants each fault and demands that its scenario finds it.
func TestMutants(t *testing.T) {
	found := map[string]string{
		"salt-left-out":              "64-key-reuse",
		"window-from-zero":           "65-live-replay",
		"window-moved-back":          "73-second-link-window",
		"earlier-epoch-open":         "74-rotation-restart",
		"equal-incarnation-accepted": "72-same-incarnation",
		"silent-lower-incarnation":   "59-lost-identity",
	}
	for name, scenario := range found {
		t.Run(name, func(t *testing.T) {
			bug.Plant(name)
			defer bug.Plant("")
			err := scenarios[scenario](t)
			if err == nil {
				t.Errorf("scenario %s does not notice it", scenario)
			}
			t.Log(err)
		})
	}
}
