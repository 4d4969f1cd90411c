package main

import (
	"testing"
	"time"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

func TestBench_MembersInOneProcess(t *testing.T) {
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		list, err := bench.MeasureEmbedded(t.Context(), stage, startEmbedded, 0, 20*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.MsgPerSec == 0 || e.Own.Max == 0 || e.Peers.Max == 0 {
				t.Errorf("nothing delivered in %+v", e)
			}
		}
	})
}

func TestBench_Transfer(t *testing.T) {
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		moot := testenv.Binary(t)
		r, err := bench.RunTransfer(t.Context(), stage, bench.NewMoot(moot, false), []string{moot, "bench", "program"}, 4<<20, 300, time.Second, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		if r.Took == 0 || r.Sent[0] < 100 || r.During.Max == 0 || r.Agents[2] == 0 || r.Taker == 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestBench_Groups(t *testing.T) {
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		moot := testenv.Binary(t)
		r, err := bench.RunVotes(t.Context(), stage, bench.NewMoot(moot, false), []string{moot, "bench", "program"},
			bench.VoteConfig{Groups: 3, Providers: 4, Measure: 200 * time.Millisecond, Trials: 20}, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		if r.OnePhase.PerSec == 0 || r.TwoPhase.Latency.Max == 0 || r.Idle.Trials != 18 || r.Idle.Agreed.P50 == 0 || r.Idle.Ratio == 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestBench_Events(t *testing.T) {
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		moot := testenv.Binary(t)
		d := bench.NewMoot(moot, false)
		d.State = t.TempDir()
		r, err := bench.RunEvents(t.Context(), stage, d, []string{moot, "bench", "program"}, bench.EventConfig{
			Subscriptions: []int{1, 7}, Window: 4, Measure: 200 * time.Millisecond, Rate: 200, Pairs: 2, PhaseMeasure: 200 * time.Millisecond,
		}, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Cases) != 8 || len(r.Stopped.With.P99) != 2 || len(r.Stopped.Without.P99) != 2 || r.Stopped.With.Latency.Max == 0 {
			t.Errorf("%+v", r)
		}
		for _, c := range r.Cases {
			if c.Published == 0 || c.Delivered == 0 || c.Latency.P50 == 0 || c.Answered.P50 == 0 {
				t.Errorf("%+v", c)
			}
		}
	})
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "64KiB": 64 << 10, "3MiB": 3 << 20, "1024GiB": 1 << 40, "": 0, "0": 0, "-1GiB": 0, "1GB": 0, "1025GiB": 0, "99999999999999999999": 0} {
		if n, err := parseSize(text); n != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}
