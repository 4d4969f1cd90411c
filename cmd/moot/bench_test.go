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
