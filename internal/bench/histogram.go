package bench

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"time"
)

// A Histogram counts times in nanoseconds with an error below 1/64. The C
// client has the same layout: below 64 one bucket a nanosecond, above 64
// buckets for each power of two.
type Histogram struct {
	counts []uint64 // by bucket, as long as the largest one needs
	total  uint64
}

const (
	subBits    = 6
	maxBuckets = (64 - subBits + 1) << subBits
)

func bucketOf(v uint64) int {
	if v < 1<<subBits {
		return int(v)
	}
	exponent := bits.Len64(v) - subBits
	return exponent<<subBits + int(v>>(exponent-1)&(1<<subBits-1))
}

// upperBound is the largest value of a bucket.
func upperBound(bucket int) uint64 {
	if bucket < 1<<subBits {
		return uint64(bucket)
	}
	exponent := bucket >> subBits
	mantissa := uint64(1<<subBits | bucket&(1<<subBits-1))
	return mantissa<<(exponent-1) + 1<<(exponent-1) - 1
}

// Record counts one time.
func (h *Histogram) Record(d time.Duration) { h.add(bucketOf(uint64(max(d, 0))), 1) }

func (h *Histogram) add(bucket int, n uint64) {
	if bucket >= len(h.counts) {
		h.counts = append(h.counts, make([]uint64, bucket+1-len(h.counts))...)
	}
	h.counts[bucket] += n
	h.total += n
}

// Merge adds what o counted.
func (h *Histogram) Merge(o *Histogram) {
	for bucket, n := range o.counts {
		if n != 0 {
			h.add(bucket, n)
		}
	}
}

// Count is how many times were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile is the time that the share q of all times does not exceed; zero if
// there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for bucket, n := range h.counts {
		seen += n
		if n != 0 && (seen > rank || seen == h.total) {
			return time.Duration(upperBound(bucket))
		}
	}
	return 0
}

// Max is the largest time.
func (h *Histogram) Max() time.Duration { return h.Quantile(1) }

// MarshalJSON writes that form.
func (h Histogram) MarshalJSON() ([]byte, error) {
	pairs := [][2]uint64{}
	for bucket, n := range h.counts {
		if n != 0 {
			pairs = append(pairs, [2]uint64{uint64(bucket), n})
		}
	}
	return json.Marshal(pairs)
}

// UnmarshalJSON reads the client's form, a list of [bucket, count].
func (h *Histogram) UnmarshalJSON(text []byte) error {
	var pairs [][2]uint64
	if err := json.Unmarshal(text, &pairs); err != nil {
		return err
	}
	*h = Histogram{}
	for _, p := range pairs {
		if p[0] >= maxBuckets {
			return fmt.Errorf("histogram bucket %d of %d", p[0], maxBuckets)
		}
		h.add(int(p[0]), p[1])
	}
	return nil
}

// Latency is what tables and JSON show of a histogram; all zero without times.
type Latency struct {
	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`
}

// Latency summarises the histogram.
func (h *Histogram) Latency() Latency {
	return Latency{P50: h.Quantile(0.5), P90: h.Quantile(0.9), P99: h.Quantile(0.99), P999: h.Quantile(0.999), Max: h.Max()}
}

// median is the middle value; the mean of the two middle ones of an even count.
func median[T int64 | float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	if len(v)%2 == 1 {
		return v[mid]
	}
	return (v[mid-1] + v[mid]) / 2
}
