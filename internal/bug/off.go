//go:build !mutants

// Package bug lets a test build plant named faults in the code under test. In
// every other build Planted is false at compile time and costs nothing.
package bug

// Planted reports whether the named fault is planted in this build.
func Planted(string) bool { return false }
