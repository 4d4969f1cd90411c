package groups

import (
	"errors"
	"fmt"

	"github.com/moothall/moothall/internal/service/servicetest"
)

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

// invariants are those of group services C.8 that a domain shows by itself.
func (d *domain) invariants() error {
	var number uint64
	for _, g := range d.groups {
		if g.number <= number || g.number > d.created {
			return fmt.Errorf("group %q has number %d after %d", g.name, g.number, number)
		}
		number = g.number
		seen := map[Provider]bool{}
		for m := range g.everybody() {
			if seen[m.Provider] {
				return fmt.Errorf("group %q has %v twice", g.name, m.Provider)
			}
			seen[m.Provider] = true
		}
		if g.alive != (len(g.members) > 0) {
			return fmt.Errorf("group %q lives: %v, with %d members", g.name, g.alive, len(g.members))
		}
		if err := g.protocolInvariants(); err != nil {
			return fmt.Errorf("group %q: %w", g.name, err)
		}
	}
	return nil
}

func (g *group) protocolInvariants() error {
	p := g.active
	if p == nil {
		if g.alive && g.busy() && g.attrs.Source == "" {
			return errors.New("something waits, and nothing runs")
		}
		return nil
	}
	if p.phases == OnePhase {
		return fmt.Errorf("%v of one phase is in work", p.kind)
	}
	waits := len(p.running) > 0
	for _, v := range p.voters {
		m := g.person(v.Provider)
		if m == nil {
			return fmt.Errorf("voter %v is gone", v.Provider)
		}
		if m.failed != 0 && v.vote == NullVote {
			return fmt.Errorf("failed voter %v is awaited", v.Provider)
		}
		waits = waits || v.vote == NullVote
	}
	if !waits {
		return fmt.Errorf("%v waits for nobody", p.kind)
	}
	return nil
}
