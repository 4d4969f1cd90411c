package bench

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The C client has these numbers built in.
func TestBuckets(t *testing.T) {
	for _, c := range []struct {
		value  uint64
		bucket int
	}{
		{0, 0}, {63, 63}, {64, 64}, {127, 127}, {128, 128}, {129, 128}, {130, 129}, {255, 191}, {256, 192},
		{1 << 20, 15 << 6}, {1<<64 - 1, maxBuckets - 1},
	} {
		if got := bucketOf(c.value); got != c.bucket {
			t.Errorf("bucketOf(%d) = %d, want %d", c.value, got, c.bucket)
		}
	}
}

func TestBucketsHoldTheirValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64().Draw(t, "value")
		b := bucketOf(v)
		upper := upperBound(b)
		if upper < v || upper-v > v/(1<<subBits) {
			t.Errorf("%d is in bucket %d, whose upper bound is %d", v, b, upper)
		}
		if b > 0 && upperBound(b-1) >= v {
			t.Errorf("%d is in bucket %d, but fits the one before", v, b)
		}
	})
}

func TestQuantiles(t *testing.T) {
	var h Histogram
	if got := h.Latency(); got != (Latency{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for i := 1; i <= 1000; i++ {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	near := func(name string, got, want time.Duration) {
		if got < want || got > want+want/32 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	l := h.Latency()
	near("p50", l.P50, 500*time.Microsecond)
	near("p99", l.P99, 990*time.Microsecond)
	near("p99.9", l.P999, 999*time.Microsecond)
	near("max", l.Max, 1000*time.Microsecond)
}

func TestHistogramReadsTheClient(t *testing.T) {
	var h, sum Histogram
	if err := json.Unmarshal([]byte("[[3,2],[500,1]]"), &h); err != nil {
		t.Fatal(err)
	}
	sum.Merge(&h)
	sum.Merge(&h)
	if sum.Count() != 6 || sum.Quantile(0.5) != 3 {
		t.Errorf("got %d values, median %d", sum.Count(), sum.Quantile(0.5))
	}
	if err := json.Unmarshal([]byte("[[4000000,1]]"), &h); err == nil {
		t.Error("an absurd bucket was accepted")
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}
