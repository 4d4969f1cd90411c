//go:build mutants

package vote

import (
	"testing"

	"github.com/moothall/moothall/internal/bug"
)

// TestMutants_AreFound plants each fault of this package and demands that the
// table or the enumeration finds it.
func TestMutants_AreFound(t *testing.T) {
	finders := map[string]func() error{
		"table":       checkTruth,
		"enumeration": func() error { _, err := enumerate(4); return err },
		"restarts":    func() error { return tieHistories(20_000) },
	}
	for fault, by := range map[string][]string{
		"vote-majority-off-by-one":  {"table", "enumeration"},
		"vote-wfa-ignored":          {"table", "enumeration"},
		"vote-two-node-always":      {"table"},
		"vote-tie-after-leaves":     {"table"},
		"vote-tie-attempts-ignored": {"table", "enumeration"},
		"vote-tie-without-record":   {"table", "restarts"},
		"vote-tie-by-own-memory":    {"restarts"},
		"vote-attempt-grants-tie":   {"restarts"},
	} {
		for _, finder := range by {
			bug.Plant(fault)
			err := finders[finder]()
			bug.Plant("")
			if err == nil {
				t.Errorf("%s: the %s does not find it", fault, finder)
				continue
			}
			t.Logf("%s: %v", fault, err)
		}
	}
}
