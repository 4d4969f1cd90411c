package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/internal/sim"
)

// simFlags are the flags of "moot sim".
type simFlags struct {
	seed, from, seeds uint64
	bare, quorum      bool
	reload, groups    bool
	events            bool
	shrink            bool
	trace, schedule   string
	save, results     string
	workers, rows     int
	budget            int
}

func newSimCommand() *cobra.Command {
	var f simFlags
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run simulated clusters under faults and check what they promise",
		Long: `Run clusters in virtual time, break them on purpose, and check every safety and
liveness property that the ordering engine and the services promise.

A seed decides everything: nodes, constants, faults, messages. The same seed
gives the same trace with the same program. One seed:

  moot sim --seed 42 --trace trace.txt

Many seeds, two at a time, totals added to a file:

  moot sim --from 1 --seeds 1000 --results results.jsonl

Plans of one kind, here about Group Services:

  moot sim --groups --from 1 --seeds 1000

A seed that fails, made small, and the result run again:

  moot sim --seed 42 --shrink --save small.json
  moot sim --schedule small.json

EXIT STATUS
  0  nothing was violated
  1  a property was violated; the message says which, and how to run it again
  2  wrong flags`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			many := cmd.Flags().Changed("seeds") || cmd.Flags().Changed("from")
			if err := f.check(many); err != nil {
				return failed(exitUsage, err)
			}
			if many {
				return runSoak(ctx, cmd.OutOrStdout(), f)
			}
			return runSim(cmd.OutOrStdout(), f)
		},
	}
	fl := cmd.Flags()
	fl.Uint64Var(&f.seed, "seed", 0, "run this seed")
	fl.Uint64Var(&f.from, "from", 0, "first of several seeds")
	fl.Uint64Var(&f.seeds, "seeds", 100, "number of seeds from --from on")
	fl.BoolVar(&f.bare, "bare", false, "engines only, without sealing and services")
	fl.BoolVar(&f.quorum, "quorum", false, "plans about quorum: its options, and the faults that matter to them")
	fl.BoolVar(&f.reload, "reload", false, "plans about nodes that come and go by reloads")
	fl.BoolVar(&f.groups, "groups", false, "plans about Group Services: clients that join, vote and die in the phases of protocols")
	fl.BoolVar(&f.events, "events", false, "plans about cluster events: clients that register, publish, read slowly and die while memberships come and go")
	fl.StringVar(&f.trace, "trace", "", "write the trace to this file: JSON lines, or text if it ends in .txt; - is standard output")
	fl.StringVar(&f.schedule, "schedule", "", "run this schedule file instead of a seed")
	fl.StringVar(&f.save, "save", "", "write the schedule, with --shrink the small one, to this file")
	fl.BoolVar(&f.shrink, "shrink", false, "make a failing run small and draw what happens in it")
	fl.IntVar(&f.budget, "budget", 3000, "runs that --shrink may use")
	fl.IntVar(&f.rows, "rows", 120, "rows of the drawing of --shrink")
	fl.StringVar(&f.results, "results", "", "add the totals of several seeds to this file")
	fl.IntVar(&f.workers, "workers", 2, "seeds that run at the same time")
	cmd.MarkFlagsMutuallyExclusive("seed", "schedule", "from")
	cmd.MarkFlagsMutuallyExclusive("seed", "schedule", "seeds")
	cmd.MarkFlagsMutuallyExclusive("bare", "quorum", "reload", "groups", "events", "schedule")
	return cmd
}

// check refuses flags that would run nothing or be ignored.
func (f simFlags) check(many bool) error {
	switch {
	case f.seeds == 0:
		return errors.New("--seeds 0 runs nothing: write 1 or more")
	case f.workers < 1:
		return fmt.Errorf("--workers %d runs nothing: write 1 or more", f.workers)
	case f.results != "" && !many:
		return errors.New("--results is for several seeds: write --seeds too")
	}
	return nil
}

// planOf draws the plan of a seed or reads a schedule.
func planOf(f simFlags) (*sim.Plan, error) {
	if f.schedule != "" {
		return sim.ReadPlan(f.schedule)
	}
	return f.draw(f.seed), nil
}

// draw makes the plan of a seed, of the kind that was asked for.
func (f simFlags) draw(seed uint64) *sim.Plan {
	switch {
	case f.bare:
		return sim.DrawBare(seed)
	case f.quorum:
		return sim.DrawQuorum(seed)
	case f.reload:
		return sim.DrawReload(seed)
	case f.groups:
		return sim.DrawGroups(seed)
	case f.events:
		return sim.DrawEvents(seed)
	}
	return sim.Draw(seed)
}

// again is the command that repeats a run.
func again(f simFlags) string {
	if f.schedule != "" {
		return "moot sim --schedule " + f.schedule
	}
	return f.againSeed(f.seed)
}

func (f simFlags) againSeed(seed uint64) string {
	s := fmt.Sprintf("moot sim --seed %d", seed)
	switch {
	case f.bare:
		s += " --bare"
	case f.quorum:
		s += " --quorum"
	case f.reload:
		s += " --reload"
	case f.groups:
		s += " --groups"
	case f.events:
		s += " --events"
	}
	return s
}

func runSim(w io.Writer, f simFlags) error {
	p, err := planOf(f)
	if err != nil {
		return err
	}
	r, err := traced(w, p, f.trace)
	if err != nil {
		return err
	}
	if f.shrink && r.Failed() {
		p, r = sim.Shrink(p, sim.Options{}, f.budget, func(s string) { fmt.Fprintln(w, s) })
		fmt.Fprintln(w)
		if err := sim.WriteDiagram(w, p, sim.Options{}, f.rows); err != nil {
			return err
		}
	}
	if f.shrink && !r.Failed() {
		fmt.Fprintln(w, "Nothing was violated: there is nothing to shrink.")
	}
	if f.save != "" {
		if err := writeFile(f.save, p.Write); err != nil {
			return err
		}
	}
	c := r.Counts
	fmt.Fprintf(w, "seed %d: %d nodes, %.3f s: %d messages accepted, %d deliveries, %d rings, %d packets (%d lost), one ring %.3f s after healing, trace %016x\n",
		p.Seed, len(p.Nodes), seconds(r.Time), c.Submitted, c.Delivered, c.Rings, c.Packets, c.Lost, seconds(r.Liveness.Formed), r.Hash)
	if !r.Failed() {
		return nil
	}
	return violated(r, again(f))
}

// violated is the error of a run that violated something.
func violated(r *sim.Result, command string) error {
	text := r.Findings[0].String()
	if r.Stack != "" {
		text += "\n" + strings.TrimSpace(r.Stack)
	}
	return fmt.Errorf("%s\nrun it again with: %s", text, command)
}

// traced runs a plan and writes its trace.
func traced(w io.Writer, p *sim.Plan, file string) (r *sim.Result, err error) {
	if file == "" {
		return sim.Run(p, sim.Options{}), nil
	}
	run := func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<20)
		var line []byte
		r = sim.Run(p, sim.Options{Trace: func(l *sim.Line) {
			if strings.HasSuffix(file, ".txt") || file == "-" {
				line = append(line[:0], l.String()...)
			} else {
				line = l.AppendJSON(line[:0])
			}
			_, _ = b.Write(append(line, '\n')) // Flush tells the error
		}})
		return b.Flush()
	}
	if file == "-" {
		return r, run(w)
	}
	err = writeFile(file, run)
	return r, err
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// soakLine is one line of a results file.
type soakLine struct {
	Commit string    `json:"commit"`
	Time   time.Time `json:"time"`
	Bare   bool      `json:"bare"`
	Quorum bool      `json:"quorum,omitempty"`
	Groups bool      `json:"groups,omitempty"`
	Events bool      `json:"events,omitempty"`
	From   uint64    `json:"from"`
	sim.Totals
}

func runSoak(ctx context.Context, w io.Writer, f simFlags) error {
	s := sim.Soak{From: f.from, Seeds: f.seeds, Workers: f.workers,
		Plan: f.draw,
		Each: func(seed uint64, r *sim.Result) {
			fmt.Fprintf(w, "seed %d: %v\n  %s\n", seed, r.Findings[0], f.againSeed(seed))
		}}
	total := s.Run(ctx.Done())
	fmt.Fprintln(w, "this run:", sumUp(total))
	v := readVersion()
	if v.Modified {
		v.Commit += "+"
	}
	if f.results != "" {
		all, err := addResults(f.results, soakLine{v.Commit, time.Now().UTC().Truncate(time.Second), f.bare, f.quorum, f.groups, f.events, f.from, total})
		if err != nil {
			return err
		}
		fmt.Fprintln(w, "at this commit:", sumUp(all))
	}
	if n := len(total.Violations); n > 0 {
		return fmt.Errorf("%d of %d seeds violated a property", n, total.Seeds)
	}
	return nil
}

// addResults adds a line to a results file, and sums up the lines of the same
// commit and kind.
func addResults(name string, line soakLine) (all sim.Totals, err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return all, err
	}
	defer f.Close()
	b, err := json.Marshal(line)
	if err != nil {
		return all, err
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		return all, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return all, err
	}
	d := json.NewDecoder(bufio.NewReader(f))
	for n := 1; ; n++ {
		var l soakLine
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return all, fmt.Errorf("%s, result %d: %w", name, n, err)
		case l.Commit == line.Commit && l.Bare == line.Bare && l.Quorum == line.Quorum && l.Groups == line.Groups && l.Events == line.Events:
			all.Add(l.Totals)
		}
	}
}

func sumUp(t sim.Totals) string {
	return fmt.Sprintf("%d seeds, %.2f virtual hours, %d violations, %d messages, %d deliveries, %d rings, median %.0f ms a seed, slowest %.0f ms, one ring at most %.2f s after healing",
		t.Seeds, seconds(t.Virtual)/3600, len(t.Violations), t.Messages, t.Delivered, t.Rings, t.MedianMS, t.SlowestMS, seconds(t.Formed))
}

func seconds(t sim.Tick) float64 { return float64(t) / 1e9 }
