// Package mutants measures the tests: it plants known faults, one at a time, and
// demands that the simulator's properties notice each (ordering 5.4).
//
// A fault is one line of code in a core behind bug.Planted; it exists only with
// the build tag mutants. The table says what rule it breaks and which plans are
// expected to show it: drawn ones, those that aim at a part of the protocol, a
// situation with a known outcome, or the tests of the fault's own package. What
// finds it is never an assertion made for it: properties of ordering 1.3,
// invariants of 1.4, bounds of 1.5. Every plan that finds a fault runs again
// without it and has to pass.
//
// Some rules are second walls: without them nothing goes wrong as long as the
// others hold. Faults that take such a rule away are in the table with the reason
// why they survive, and the run fails if one does not.
//
//	make mutants
//	go test -tags mutants ./internal/sim/mutants -run TestMutants -v -args -only safe-at-aru
package mutants
