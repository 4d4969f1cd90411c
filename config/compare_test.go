package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/testenv"
)

// Each case of testdata/compare.txt gives edits of a file; the answer is what a reload on node 1 would do with them.
func TestCompare(t *testing.T) {
	const before = prelude + `quorum {
  provider: corosync_votequorum
}
mine {
  colour: blue
}
uidgid {
  uid: 33
}
`
	datadriven.RunTest(t, "testdata/compare.txt", func(t *testing.T, d *datadriven.TestData) string {
		text, err := testenv.Edit(before, d.Input)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		old, new := mustDecode(t, before), mustDecode(t, text)
		for _, c := range []*config.Config{old, new} {
			if err := c.Resolve(t.Context(), names{}); err != nil {
				t.Fatal(err)
			}
		}
		var live func(config.Area) bool
		if d.HasArg("fixed") {
			live = func(a config.Area) bool { return a == config.AreaPrograms || a == config.AreaVotes }
		}
		changes := config.Compare(old, new, 1, live)
		var b strings.Builder
		for _, c := range changes {
			fmt.Fprintln(&b, c)
		}
		if err := changes.Refused(); err != nil {
			fmt.Fprintf(&b, "reload refused:\n%v\n", err)
		}
		if b.Len() == 0 {
			return "nothing\n"
		}
		return b.String()
	})
}
