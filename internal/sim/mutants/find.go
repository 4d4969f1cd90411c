package mutants

import (
	"fmt"

	"github.com/moothall/moothall/internal/sim"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/sim/timing"
)

// maxEvents ends the runs of faults that never come to rest.
const maxEvents = 3_000_000

// run executes one seed of a finder and returns the first finding.
func run(finder string, seed uint64) (*check.Finding, error) {
	if s, ok := timing.Find(finder); ok {
		return first(s.Run(seed, nil).Findings), nil
	}
	p, err := plan(finder, seed)
	if err != nil {
		return nil, err
	}
	return first(sim.Run(p, sim.Options{MaxEvents: maxEvents}).Findings), nil
}

func first(f []check.Finding) *check.Finding {
	if len(f) == 0 {
		return nil
	}
	return &f[0]
}

// plan makes the plan of a finder that is not a situation.
func plan(finder string, seed uint64) (*sim.Plan, error) {
	switch finder {
	case "drawn":
		return sim.DrawBare(seed), nil
	case "whole":
		return sim.Draw(seed), nil
	case "quorum":
		return sim.DrawQuorum(seed), nil
	case "groups":
		return sim.DrawGroups(seed), nil
	case "events":
		return sim.DrawEvents(seed), nil
	case "apart":
		return sim.DrawApart(seed), nil
	}
	p, err := sim.Aim(finder, seed)
	if err != nil {
		return nil, fmt.Errorf("finder %q is neither a situation nor a kind of plans: %w", finder, err)
	}
	return p, nil
}
