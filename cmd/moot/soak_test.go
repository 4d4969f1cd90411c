package main

import (
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/cmd/moot/internal/play"
)

// TestSoak breaks five members under load, for MOOT_SOAK_SECONDS (5 unless
// set), and compares what their programs saw.
func TestSoak(t *testing.T) {
	seconds, err := strconv.Atoi(env("MOOT_SOAK_SECONDS", "5"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(env("MOOT_SOAK_SEED", strconv.FormatUint(rand.Uint64N(1e6), 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("what was done can be done again with MOOT_SOAK_SEED=%d", seed)
	var story strings.Builder
	var out io.Writer = &story
	if seconds > 60 {
		out = os.Stdout // too long to keep
	}
	if err := play.Chaos(t.Context(), out, false, play.Options{Nodes: 5}, seed, time.Duration(seconds)*time.Second); err != nil {
		t.Errorf("%v\n%s", err, story.String())
	}
}
