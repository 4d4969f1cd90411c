package sim

import (
	"fmt"
	"runtime/debug"

	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/totem"
)

// Result is what a run ended with.
type Result struct {
	Findings []check.Finding // empty: no violation
	Hash     uint64          // of the whole trace
	Time     Tick            // virtual
	Events   uint64
	Counts   Counts
	Liveness Liveness
	Stack    string // of a panic
}

// Failed reports whether the run violated anything.
func (r *Result) Failed() bool { return len(r.Findings) > 0 }

// Run executes a plan. A panic of the code under test is a finding.
func Run(p *Plan, o Options) (res *Result) {
	w := newWorld(p, o)
	res = new(Result)
	defer func() {
		if x := recover(); x != nil {
			w.fail("panic", fmt.Sprint(x))
			res.Stack = string(debug.Stack())
		}
		res.Findings, res.Hash, res.Time, res.Events = w.findings, w.hash, w.now, w.events
		res.Counts, res.Liveness = w.net.counts, w.liveness
		res.Counts.Rings = w.check.Rings()
	}()
	w.run()
	return res
}

func defaultEngine(now Tick, c totem.Config) (engine, error) { return totem.New(now, c) }
