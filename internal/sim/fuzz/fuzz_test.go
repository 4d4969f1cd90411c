package fuzz

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// TestPackets attacks a few clusters.
func TestPackets(t *testing.T) {
	seeds, from := 3, uint64(1)
	if s := os.Getenv("SEED"); s != "" {
		from, _ = strconv.ParseUint(s, 10, 64)
		seeds = 1
	}
	if s := os.Getenv("SEEDS"); s != "" {
		seeds, _ = strconv.Atoi(s)
	}
	var total Totals
	at := time.Now()
	for seed := from; seed < from+uint64(seeds); seed++ {
		o := Options{}
		if testing.Verbose() {
			o.Note = func(s string) { t.Log(s) }
		}
		r := Run(seed, o)
		if r.Failed != "" {
			t.Errorf("seed %d: %s\n%s", seed, r.Failed, r.Stack)
		}
		total.Add(&r.Totals)
	}
	t.Log(time.Since(at))
	total.Print(os.Stdout)
}
