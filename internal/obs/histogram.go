package obs

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The bounds of the buckets are the powers of two from 2^first nanoseconds on:
// one microsecond to a quarter of a minute, each twice the one before.
const (
	first   = 10
	buckets = 25
)

// Histogram counts durations. The zero value is ready.
type Histogram struct {
	counts [buckets + 1]atomic.Uint64 // the last has no bound
	sum    atomic.Uint64              // nanoseconds
}

// Observe counts one duration; one below zero counts as zero.
func (h *Histogram) Observe(d time.Duration) {
	ns := uint64(max(d, 0))
	i := 0
	if ns > 1<<first {
		i = min(bits.Len64(ns-1)-first, buckets)
	}
	h.counts[i].Add(1)
	h.sum.Add(ns)
}

// bound is the upper bound of a bucket in seconds.
func bound(i int) float64 { return float64(uint64(1)<<(first+i)) / 1e9 }

// Count is how many durations were counted.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}
