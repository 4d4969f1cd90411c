package sim

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("seed", 0, "first seed of TestSeeds")
	seeds = flag.Int("seeds", 3, "number of seeds of TestSeeds")
)

// TestSeeds runs drawn plans against the real engine.
func TestSeeds(t *testing.T) {
	for s := *seed; s < *seed+uint64(*seeds); s++ {
		p := planFor(s)
		at := time.Now()
		o := Options{}
		if *show {
			o.Trace = func(l *Line) { fmt.Println(l) }
		}
		r := Run(p, o)
		t.Logf("seed %d: %d nodes, %v virtual, %d events, %+v, formed %v, took %v", s, len(p.Nodes), r.Time, r.Events, r.Counts,
			r.Liveness, time.Since(at).Round(time.Millisecond))
		for _, f := range r.Findings {
			t.Errorf("seed %d: %v\n%s", s, f, r.Stack)
		}
	}
}

var (
	show    = flag.Bool("show", false, "TestSeeds prints the traces")
	engines = flag.Bool("bare", false, "TestSeeds runs engines only")
)

func planFor(seed uint64) *Plan {
	if *engines {
		return DrawBare(seed)
	}
	return Draw(seed)
}

// TestPlan prints the plan of -seed.
func TestPlan(t *testing.T) {
	if !*show {
		t.Skip("only with -show")
	}
	p := planFor(*seed)
	p.Actions = p.Actions[:min(len(p.Actions), 100)]
	_ = p.Write(os.Stdout)
}
