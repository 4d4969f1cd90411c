//go:build mutants

package bug

import "slices"

var planted []string

// Plant plants these faults and takes out those planted before; an empty name
// stands for none. Call it before anything runs.
func Plant(names ...string) { planted = names }

// Planted reports whether the named fault is planted in this build.
func Planted(name string) bool { return slices.Contains(planted, name) }
