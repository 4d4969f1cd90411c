package cpg

import (
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/service/servicetest"
)

func sortProcs(g *group) { slices.SortFunc(g.procs, compareEntry) }

// failure ends a check that runs outside of a test.
type failure struct{ error }

// recorder is a servicetest.T that turns the first failure into an error.
type recorder struct{}

func (recorder) Helper() {}

func (recorder) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// try runs a check and returns what it found: planted faults must be found.
func try(check func(servicetest.T)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = f.error
		}
	}()
	check(recorder{})
	return nil
}
