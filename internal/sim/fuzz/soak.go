package fuzz

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Failure is a run that found something.
type Failure struct {
	Seed uint64 `json:"seed"`
	Text string `json:"text"`
}

// Sum is the state of a soak: what all its runs did, and where it goes on.
type Sum struct {
	Next     uint64    `json:"next"` // seed
	Totals   Totals    `json:"totals"`
	Failures []Failure `json:"failures"`
}

// Soak runs seeds, each in a process of its own: one that dies or hangs is a
// failure like others, and the heap of a process belongs to one run.
type Soak struct {
	Packets uint64 // goes on until that many were sent, and half as many came to engines
	Workers int
	Limit   time.Duration // of one run
	// Command makes the process of one seed. It writes the Result as one line that
	// begins with ResultMark.
	Command func(ctx context.Context, seed uint64) *exec.Cmd
	Each    func(r *Result) // told of each run, one at a time; may be nil
}

// ResultMark begins the line with the Result of a worker.
const ResultMark = "fuzz-result "

// Run goes on from s until there are enough packets.
func (k Soak) Run(ctx context.Context, s *Sum) {
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		enough := s.Totals.Packets() >= k.Packets && s.Totals.Sealed() >= k.Packets/2
		if ctx.Err() != nil || enough {
			return 0, false
		}
		s.Next++
		return s.Next - 1, true
	}
	for range max(1, k.Workers) {
		wg.Go(func() {
			for seed, more := take(); more; seed, more = take() {
				r := k.one(ctx, seed)
				mu.Lock()
				if ctx.Err() == nil {
					s.Totals.Add(&r.Totals)
					if r.Failed != "" {
						s.Failures = append(s.Failures, Failure{seed, r.Failed + "\n" + r.Stack})
					}
					if k.Each != nil {
						k.Each(&r)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// one runs one seed.
func (k Soak) one(ctx context.Context, seed uint64) Result {
	ctx, cancel := context.WithTimeout(ctx, k.Limit)
	defer cancel()
	cmd := k.Command(ctx, seed)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	err := cmd.Run()
	if r, ok := findResult(&out); ok {
		return r
	}
	r := Result{Seed: seed, Failed: fmt.Sprintf("the process ended without a result: %v", err), Stack: tail(trouble.String()+out.String(), 40)}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		r.Failed = fmt.Sprintf("the run did not end within %v", k.Limit)
	}
	return r
}

func findResult(out *bytes.Buffer) (r Result, ok bool) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text, found := strings.CutPrefix(lines.Text(), ResultMark); found {
			return r, json.Unmarshal([]byte(text), &r) == nil
		}
	}
	return r, false
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// LoadSum reads the state of an earlier soak; a file that does not exist is one
// that has not begun and starts at seed from.
func LoadSum(file string, from uint64) (*Sum, error) {
	s := &Sum{Next: from}
	if file == "" {
		return s, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, s)
	}
	if err != nil {
		return nil, fmt.Errorf("read the sum of earlier runs: %w", err)
	}
	return s, nil
}

// Save writes the state for a later soak; no file, no state.
func (s *Sum) Save(file string) error {
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
