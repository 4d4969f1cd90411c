//go:build mutants

package bug

import (
	"os"
	"slices"
	"strings"
)

// planted begins with the faults that the environment names, with commas, so
// that any test can run with one: MOOT_PLANT=safe-at-aru go test -tags mutants.
var planted = strings.Split(os.Getenv("MOOT_PLANT"), ",")

// Plant plants these faults and takes out those planted before; an empty name
// stands for none. Call it before anything runs.
func Plant(names ...string) { planted = names }

// Planted reports whether the named fault is planted in this build.
func Planted(name string) bool { return slices.Contains(planted, name) }
