package fuzz

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var (
	seed    = flag.Uint64("seed", 1, "first seed of TestPackets and TestSoak")
	seeds   = flag.Int("seeds", 4, "number of seeds of TestPackets")
	packets = flag.Uint64("packets", 0, "packets of TestSoak; zero leaves it out")
	workers = flag.Int("workers", runtime.NumCPU(), "processes of TestSoak")
	sumFile = flag.String("sum", "", "file of TestSoak: results of all its runs add up there, and the next run goes on behind them")
)

const workerEnv = "MOOTHALL_FUZZ_SEED"

// TestMain is a worker of TestSoak if the environment says so.
func TestMain(m *testing.M) {
	text := os.Getenv(workerEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	var seed uint64
	if _, err := fmt.Sscan(text, &seed); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	b, err := json.Marshal(Run(seed, options(seed)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(ResultMark + string(b))
}

// options makes one run in sixteen of a soak a long one: what grows slowly shows
// there.
func options(seed uint64) Options {
	if seed%16 == 0 {
		return Options{Cycles: 64}
	}
	return Options{}
}

// TestPackets attacks a few clusters.
func TestPackets(t *testing.T) {
	var total Totals
	for s := *seed; s < *seed+uint64(*seeds); s++ {
		r := Run(s, Options{Note: func(s string) { t.Log(s) }})
		if r.Failed != "" {
			t.Errorf("seed %d: %s\n%s", s, r.Failed, r.Stack)
		}
		total.Add(&r.Totals)
	}
	var b strings.Builder
	total.Print(&b)
	t.Log("\n" + b.String())
}

// TestSoak attacks clusters in several processes until there were -packets.
func TestSoak(t *testing.T) {
	if *packets == 0 {
		t.Skip("only with -packets, see make fuzz-soak")
	}
	sum, err := LoadSum(*sumFile, *seed)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	k := Soak{
		Packets: *packets, Workers: *workers, Limit: 10 * time.Minute,
		Command: func(ctx context.Context, seed uint64) *exec.Cmd {
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", workerEnv, seed), "GOMAXPROCS=1")
			return cmd
		},
		Each: func(r *Result) {
			if sum.Totals.Runs%20 == 0 {
				fmt.Printf("%v: %d packets, %d came to engines, next seed %d, %d failures\n", time.Since(at).Round(time.Second),
					sum.Totals.Packets(), sum.Totals.Sealed(), sum.Next, len(sum.Failures))
			}
			if r.Failed != "" {
				fmt.Printf("seed %d: %s\n%s\nagain: go test ./internal/sim/fuzz -run TestPackets -seed %d -seeds 1 -v\n", r.Seed, r.Failed, r.Stack, r.Seed)
				t.Errorf("seed %d failed", r.Seed)
			}
		},
	}
	k.Run(t.Context(), sum)
	if err := sum.Save(*sumFile); err != nil {
		t.Error(err)
	}
	sum.Totals.Print(os.Stdout)
	fmt.Printf("%d runs failed in all; this part took %v with %d processes\n", len(sum.Failures), time.Since(at).Round(time.Second), *workers)
}

// The parent must take a worker that dies, hangs or answers for what it is.
func TestSoak_Workers(t *testing.T) {
	shell := func(script string) Soak {
		return Soak{Packets: 1, Workers: 1, Limit: time.Second, Command: func(ctx context.Context, _ uint64) *exec.Cmd {
			return exec.CommandContext(ctx, "sh", "-c", script)
		}}
	}
	for _, tt := range []struct{ name, script, want string }{
		{"answers", `echo '` + ResultMark + `{"seed":7,"totals":{"strange":5}}'`, ""},
		{"dies", "echo panic: no >&2; exit 2", "ended without a result: exit status 2"},
		{"hangs", "exec sleep 60", "did not end within"},
		{"babbles", "echo " + ResultMark + "x", "ended without a result"},
	} {
		r := shell(tt.script).one(t.Context(), 7)
		if r.Seed != 7 || !strings.Contains(r.Failed, tt.want) || tt.want == "" && (r.Failed != "" || r.Totals.Packets() != 5) {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
}

// Results of several parts add up in a file.
func TestSum_AddsUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sum.json")
	for part := range uint64(2) {
		s, err := LoadSum(file, 100)
		if err != nil {
			t.Fatal(err)
		}
		if s.Next != 100+part || s.Totals.Runs != part {
			t.Fatalf("part %d begins with %+v", part, s)
		}
		s.Next++
		s.Totals.Add(&Totals{Runs: 1, Strange: 3, Ordered: map[string]uint64{"x": 2}})
		if err := s.Save(file); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := LoadSum(file, 1); err != nil || s.Totals.Strange != 6 || s.Totals.Ordered["x"] != 4 {
		t.Errorf("%+v, %v", s, err)
	}
}

// The same seed does the same, so that a failure can be looked at again.
func TestRun_Repeats(t *testing.T) {
	one := Run(2, Options{Cycles: 1, Packets: 3000})
	two := Run(2, Options{Cycles: 1, Packets: 3000})
	if one.Failed != two.Failed || one.Totals.Frames != two.Totals.Frames || one.Totals.Virtual != two.Totals.Virtual {
		t.Errorf("%+v\n%+v", one, two)
	}
}
