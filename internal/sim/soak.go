package sim

import (
	"slices"
	"sync"
	"time"

	"github.com/moothall/moothall/internal/sim/check"
)

// Soak says which seeds to run.
type Soak struct {
	From, Seeds uint64
	Workers     int
	Plan        func(seed uint64) *Plan
	Opt         Options
	// Each is told of every run that violated something, one at a time.
	Each func(seed uint64, r *Result)
}

// Violation is one failed seed.
type Violation struct {
	Seed     uint64 `json:"seed"`
	Property string `json:"property"`
	Text     string `json:"text"`
}

// Totals sum up a soak; those of several add up.
type Totals struct {
	Seeds      uint64      `json:"seeds"`
	Virtual    Tick        `json:"virtual"` // nanoseconds
	Messages   uint64      `json:"messages"`
	Delivered  uint64      `json:"delivered"`
	Packets    uint64      `json:"packets"`
	Steps      uint64      `json:"steps"`
	Rings      uint64      `json:"rings"`
	MedianMS   float64     `json:"medianMS"` // real time of a seed
	SlowestMS  float64     `json:"slowestMS"`
	Formed     Tick        `json:"formed"` // longest time from heal to one ring
	Violations []Violation `json:"violations"`
}

// Add sums up. The median becomes the larger one, for medians do not add.
func (t *Totals) Add(o Totals) {
	t.Seeds += o.Seeds
	t.Virtual += o.Virtual
	t.Messages += o.Messages
	t.Delivered += o.Delivered
	t.Packets += o.Packets
	t.Steps += o.Steps
	t.Rings += o.Rings
	t.MedianMS = max(t.MedianMS, o.MedianMS)
	t.SlowestMS = max(t.SlowestMS, o.SlowestMS)
	t.Formed = max(t.Formed, o.Formed)
	t.Violations = append(t.Violations, o.Violations...)
}

// Run runs the seeds, some at a time; every hundredth runs twice and has to give
// the same trace. done ends it early.
func (s Soak) Run(done <-chan struct{}) Totals {
	var (
		mu    sync.Mutex
		total Totals
		times []float64
		wg    sync.WaitGroup
		next  = s.From
	)
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		select {
		case <-done:
			return 0, false
		default:
		}
		n := next
		next++
		return n, n < s.From+s.Seeds
	}
	for range max(1, s.Workers) {
		wg.Go(func() {
			for {
				seed, ok := take()
				if !ok {
					return
				}
				at := time.Now()
				r := s.one(seed)
				spent := float64(time.Since(at).Microseconds()) / 1000
				mu.Lock()
				times = append(times, spent)
				total.add(seed, r)
				if r.Failed() && s.Each != nil {
					s.Each(seed, r)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(times)
	if len(times) > 0 {
		total.MedianMS, total.SlowestMS = times[len(times)/2], times[len(times)-1]
	}
	slices.SortFunc(total.Violations, func(a, b Violation) int { return int(a.Seed) - int(b.Seed) })
	return total
}

func (s Soak) one(seed uint64) *Result {
	r := Run(s.Plan(seed), s.Opt)
	if seed%100 == 0 {
		if again := Run(s.Plan(seed), s.Opt); again.Hash != r.Hash {
			r.Findings = append(r.Findings, check.Finding{Property: "hash", At: again.Time, Text: "the same seed gave another trace"})
		}
	}
	return r
}

func (t *Totals) add(seed uint64, r *Result) {
	t.Seeds++
	t.Virtual += r.Time
	t.Messages += r.Counts.Submitted
	t.Delivered += r.Counts.Delivered
	t.Packets += r.Counts.Packets
	t.Steps += r.Counts.Steps
	t.Rings += uint64(r.Counts.Rings)
	t.Formed = max(t.Formed, r.Liveness.Formed)
	if r.Failed() {
		f := r.Findings[0]
		t.Violations = append(t.Violations, Violation{seed, f.Property, f.Text})
	}
}
