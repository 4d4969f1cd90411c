package timing

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/moothall/moothall/internal/sim"
)

var (
	seed  = flag.Uint64("seed", 0, "first seed")
	seeds = flag.Uint64("seeds", 6, "seeds of each situation")
	show  = flag.Bool("show", false, "print the traces")
	long  = flag.Bool("long", false, "print how long each took")
	plan  = flag.Bool("plan", false, "print the plans, for moot sim")
)

// TestTiming runs some seeds of each.
func TestTiming(t *testing.T) {
	for _, s := range All {
		t.Run(s.Name, func(t *testing.T) {
			var trace func(*sim.Line)
			if *show {
				trace = func(l *sim.Line) { fmt.Println(l) }
			}
			for n := *seed; n < *seed+*seeds; n++ {
				if *plan {
					p, _ := s.Plan(n)
					if err := p.Write(os.Stdout); err != nil {
						t.Fatal(err)
					}
				}
				o := s.Run(n, trace)
				if *long {
					t.Logf("seed %d: formed %v, %d rings, slowest %v, resent %.2f %%", n, o.Formed, o.Rings, o.Slowest, 100*o.Resent)
				}
				for _, f := range o.Findings {
					t.Errorf("seed %d: %v", n, f)
				}
			}
		})
	}
}
