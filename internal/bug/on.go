//go:build mutants

package bug

var planted string

// Plant plants one fault, or none with "". Call it before anything runs.
func Plant(name string) { planted = name }

// Planted reports whether the named fault is planted in this build.
func Planted(name string) bool { return planted == name }
