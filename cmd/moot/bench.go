package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/node"
)

// benchFlags are the flags of "moot bench" that need translation.
type benchFlags struct {
	full, corosync, noAgent, json, realtime bool
	sizes, windows                          []int
	senders, door                           string
	repeats                                 int
	seconds                                 float64
	corosyncPath                            string
}

func newBenchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure three agents on this machine, beside raw UDP and Debian's corosync",
		Long: `Measure throughput, latency, CPU and memory of a cluster of three agents.

Each agent runs in a network and mount namespace of its own; root is not needed
where the kernel allows user namespaces. One C program on libcpg, compiled for
the run, is the client of every daemon. --corosync measures an installed
corosync the same way, plain and with aes256/sha256, in alternating order.

Needs iproute2, util-linux, a C compiler and libcpg-dev.

EXIT STATUS
  0  measured
  1  a daemon failed, or its nodes delivered different orders
  2  wrong flags`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options()
			if err != nil {
				return failed(exitUsage, err)
			}
			o.Progress = progressTo(cmd.ErrOrStderr())
			return onStage(cmd, func(ctx context.Context, stage *bench.Stage) error {
				report, err := bench.Run(ctx, stage, o)
				if report == nil {
					return err
				}
				return errors.Join(err, printReport(cmd.OutOrStdout(), report, f.json))
			})
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.full, "full", false, "all sizes, five repeats of two seconds")
	fl.BoolVar(&f.corosync, "corosync", false, "measure an installed corosync too, plain and encrypted")
	fl.StringVar(&f.corosyncPath, "corosync-path", "corosync", "the corosync daemon")
	fl.BoolVar(&f.noAgent, "no-agent", false, "leave our agent out")
	fl.IntSliceVar(&f.sizes, "sizes", nil, "message sizes in bytes (default 64,1024,65536; with --full 64,1024,8192,65536,1048576)")
	fl.IntSliceVar(&f.windows, "windows", []int{1, 256}, "messages that a sender has on the way")
	fl.StringVar(&f.senders, "senders", "both", "one, all or both")
	fl.IntVar(&f.repeats, "repeats", 0, "fresh starts of each daemon (default 1, with --full 5)")
	fl.Float64Var(&f.seconds, "seconds", 0, "measured time of one case (default 1, with --full 2)")
	fl.StringVar(&f.door, "door", "corosync", "what clients use: corosync (libcpg) or native (package client)")
	fl.BoolVar(&f.realtime, "realtime", false, "let each daemon choose real-time scheduling as it does by default")
	fl.BoolVar(&f.json, "json", false, "print every measurement as JSON")
	cmd.AddCommand(newBenchFailoverCommand(), newBenchTransferCommand(), newBenchGroupsCommand(), newBenchEventsCommand(), newBenchClientCommand(), newBenchProgramCommand())
	return cmd
}

func newBenchFailoverCommand() *cobra.Command {
	var corosync, asJSON bool
	var trials int
	cmd := &cobra.Command{
		Use:   "failover",
		Short: "Measure how long the survivors take to agree that a node is gone",
		Long: `Kill agents and cut interfaces, and measure how long it takes until the clients
of all survivors get the new configuration: SIGKILL of the ring's representative
and of another agent, idle and under load, and an interface taken down. The
largest time stands beside the longest time that a thread was not run meanwhile.

EXIT STATUS
  0  measured
  1  a daemon failed, or did not notice a fault within 30 seconds
  2  wrong flags`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onStage(cmd, func(ctx context.Context, stage *bench.Stage) error {
				d, err := ownAgent(false)
				if corosync {
					d, err = bench.Corosync{Label: "corosync", Argv: []string{"corosync", "-f", "-c"}}, nil
				}
				if err != nil {
					return err
				}
				say := progressTo(cmd.ErrOrStderr())
				report, err := bench.RunFailover(ctx, stage, d, bench.Faults(), trials, say)
				if report == nil {
					return err
				}
				return errors.Join(err, printReport(cmd.OutOrStdout(), report, asJSON))
			})
		},
	}
	cmd.Flags().IntVar(&trials, "trials", 20, "how often to do each fault")
	cmd.Flags().BoolVar(&corosync, "corosync", false, "measure an installed corosync instead of our agent")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print every trial as JSON")
	return cmd
}

func newBenchTransferCommand() *cobra.Command {
	var size string
	var asJSON bool
	var rate int
	var idle time.Duration
	cmd := &cobra.Command{
		Use:   "transfer",
		Short: "Measure how fast a newcomer gets a group's state",
		Long: `A member of a group gives its state to one that joins, through three agents, while
1000 messages of 64 bytes go through the same group each second. Prints how long
that takes, how late the messages are before and meanwhile, and what memory the
processes needed.

EXIT STATUS
  0  measured
  1  an agent or a program failed, or the state arrived damaged
  2  wrong flags`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bytes, err := parseSize(size)
			if err != nil || rate < 3 || idle < time.Second {
				return failed(exitUsage, errors.Join(err, errors.New("--rate is 3 at least, --idle 1s")))
			}
			return onStage(cmd, func(ctx context.Context, stage *bench.Stage) error {
				d, err := ownAgent(false)
				if err != nil {
					return err
				}
				self, err := os.Executable()
				if err != nil {
					return err
				}
				report, err := bench.RunTransfer(ctx, stage, d, []string{self, "bench", "program"}, bytes, rate, idle, progressTo(cmd.ErrOrStderr()))
				if err != nil {
					return err
				}
				return printReport(cmd.OutOrStdout(), report, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&size, "size", "1GiB", "of the state, in bytes or with KiB, MiB or GiB")
	cmd.Flags().IntVar(&rate, "rate", 1000, "messages each second, from all nodes together")
	cmd.Flags().DurationVar(&idle, "idle", 10*time.Second, "how long to measure without the transfer before")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// parseSize reads a number of bytes, with a binary unit or without.
func parseSize(text string) (int64, error) {
	number, shift := text, 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if n, ok := strings.CutSuffix(text, unit); ok {
			number, shift = n, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > 1<<40>>shift {
		return 0, fmt.Errorf("--size %q: want a number of bytes up to 1024GiB, for instance 512MiB", text)
	}
	return n << shift, nil
}

func newBenchGroupsCommand() *cobra.Command {
	c := bench.VoteConfig{Warm: 300 * time.Millisecond}
	var asJSON bool
	var seconds float64
	cmd := &cobra.Command{
		Use:   "groups",
		Short: "Measure how fast Group Services vote",
		Long: `Measure Group Services on three agents: how many changes of state of one phase,
and how many votes of two phases, all groups together complete each second, and how
late each is. Before that, in a group of three providers and with nothing else to do,
how late a vote of two phases is beside an agreed message.

EXIT STATUS
  0  measured
  1  an agent or a program failed
  2  wrong flags`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Groups < 1 || c.Groups > 512 || c.Providers < 3 || c.Groups*c.Providers > 1500 || c.Trials < 10 || seconds <= 0 {
				return failed(exitUsage, errors.New("--groups is 1 to 512, --providers 3 at least, 1500 in all groups at most, --trials 10 at least, --seconds above 0"))
			}
			c.Measure = time.Duration(seconds * float64(time.Second))
			return onStage(cmd, func(ctx context.Context, stage *bench.Stage) error {
				d, err := ownAgent(false)
				if err != nil {
					return err
				}
				self, err := os.Executable()
				if err != nil {
					return err
				}
				report, err := bench.RunVotes(ctx, stage, d, []string{self, "bench", "program"}, c, progressTo(cmd.ErrOrStderr()))
				if err != nil {
					return err
				}
				return printReport(cmd.OutOrStdout(), report, asJSON)
			})
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&c.Groups, "groups", 64, "how many groups")
	fl.IntVar(&c.Providers, "providers", 16, "providers of each group, spread over the nodes; 1500 in all groups at most")
	fl.Float64Var(&seconds, "seconds", 2, "measured time of all groups together, for each kind of change")
	fl.IntVar(&c.Trials, "trials", 300, "changes in the group that has nothing else to do")
	fl.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newBenchEventsCommand() *cobra.Command {
	c := bench.EventConfig{Warm: 300 * time.Millisecond}
	var asJSON bool
	var state string
	var seconds, phase float64
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Measure how fast events come to their subscriptions",
		Long: `Measure cluster events on three agents: how many events of 256 bytes one program
publishes each second, and how many all subscriptions get, which belong to one program
on each node; how late they are, from the call that publishes on, and when that call is
answered. This on a plain topic and on a durable one, with one event on the way and
with many.

Then events come at a steady rate, and at times a program that has subscriptions, too,
is stopped with SIGSTOP. Phases with and without it alternate, and the times of the
other subscriptions are compared.

EXIT STATUS
  0  measured
  1  an agent or a program failed
  2  wrong flags`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Window < 1 || c.Window > bench.MaxEventWindow || c.Rate < 1 || c.Rate > 100_000 || c.Pairs < 0 || c.Pairs > 100 || seconds <= 0 || phase <= 0 {
				return failed(exitUsage, errors.New("--window is 1 to 1000, --rate 1 to 100000, --pairs 0 to 100, --seconds and --phase above 0"))
			}
			for _, n := range c.Subscriptions {
				if n < 1 || n > 3000 {
					return failed(exitUsage, fmt.Errorf("--subscriptions %d: 1 to 3000", n))
				}
			}
			c.Measure, c.PhaseMeasure = time.Duration(seconds*float64(time.Second)), time.Duration(phase*float64(time.Second))
			return onStage(cmd, func(ctx context.Context, stage *bench.Stage) error {
				self, err := os.Executable()
				if err != nil {
					return err
				}
				d := bench.NewMoot(self, false)
				if state != "" {
					if d.State, err = os.MkdirTemp(state, "moot-bench-"); err != nil {
						return err
					}
					defer os.RemoveAll(d.State)
				}
				report, err := bench.RunEvents(ctx, stage, d, []string{self, "bench", "program"}, c, progressTo(cmd.ErrOrStderr()))
				if err != nil {
					return err
				}
				return printReport(cmd.OutOrStdout(), report, asJSON)
			})
		},
	}
	fl := cmd.Flags()
	fl.IntSliceVar(&c.Subscriptions, "subscriptions", []int{1, 10, 1000}, "how many subscriptions there are, one case each")
	fl.IntVar(&c.Window, "window", 64, "events that are on the way at most, beside cases with one")
	fl.Float64Var(&seconds, "seconds", 2, "measured time of one case")
	fl.IntVar(&c.Pairs, "pairs", 8, "phases with a stopped subscriber, and as many without")
	fl.Float64Var(&phase, "phase", 2, "measured time of a phase, in seconds")
	fl.IntVar(&c.Rate, "rate", 1000, "events each second in these phases")
	fl.StringVar(&state, "state", "", "directory below which the agents keep their states; without it they are in memory")
	fl.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// newBenchProgramCommand is the programs of bench transfer, groups and events.
func newBenchProgramCommand() *cobra.Command {
	roles := map[string]func(context.Context, session.Session, int64, io.Reader, io.Writer) error{
		"hold": bench.RunHolder, "take": bench.RunTaker, "talk": bench.RunTalker, "vote": bench.RunVoters,
		"subscribe": bench.RunSubscribers,
	}
	return &cobra.Command{
		Use: "program ROLE NUMBER", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			role, number := roles[args[0]], int64(0)
			if _, err := fmt.Sscan(args[1], &number); err != nil || role == nil {
				return failed(exitUsage, fmt.Errorf("%q: %w", args, err))
			}
			ctx := cmd.Context()
			c, err := dialWhenUp(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			return role(ctx, c, number, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// newBenchClientCommand is the client of --door native.
func newBenchClientCommand() *cobra.Command {
	return &cobra.Command{
		Use: "client GROUP MEMBERS", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			members, err := strconv.Atoi(args[1])
			if err != nil {
				return failed(exitUsage, err)
			}
			ctx := cmd.Context()
			c, err := dialWhenUp(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			return bench.RunProgram(ctx, c, c.Node(), args[0], members, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// dialWhenUp waits for an agent that is being started.
func dialWhenUp(ctx context.Context) (*client.Client, error) {
	for tries := 0; ; tries++ {
		c, err := client.Dial(ctx, client.Config{})
		if err == nil || tries == 1500 {
			return c, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func progressTo(w io.Writer) func(string, ...any) {
	return func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
}

// ownAgent is this program as the daemon under test.
func ownAgent(realtime bool) (bench.Daemon, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return bench.NewMoot(self, realtime), nil
}

// onStage runs f in namespaces of its own.
func onStage(cmd *cobra.Command, f func(context.Context, *bench.Stage) error) error {
	ctx, cancel := bench.Interrupted(cmd.Context())
	defer cancel()
	inside, status, err := bench.Enter(ctx, os.Args[1:]...)
	if err != nil {
		return err
	}
	if !inside {
		if status != 0 {
			return failed(status, errors.New("")) // the stage has said why
		}
		return nil
	}
	stage, err := bench.NewStage(3)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, stage), stage.Close())
}

// printReport writes a report for people or for programs.
func printReport(w io.Writer, report interface {
	WriteTable(io.Writer) error
	WriteJSON(io.Writer) error
}, asJSON bool) error {
	if asJSON {
		return report.WriteJSON(w)
	}
	return report.WriteTable(w)
}

func (f benchFlags) options() (bench.Options, error) {
	o := bench.Options{Repeats: 1, Warm: 300 * time.Millisecond, Measure: time.Second, Idle: 3 * time.Second, Ceiling: true}
	sizes := []int{64, 1 << 10, 64 << 10}
	if f.full {
		sizes = []int{64, 1 << 10, 8 << 10, 64 << 10, 1 << 20}
		o.Repeats, o.Measure, o.Idle = 5, 2*time.Second, 10*time.Second
	}
	if len(f.sizes) > 0 {
		sizes = f.sizes
	}
	if f.repeats > 0 {
		o.Repeats = f.repeats
	}
	if f.seconds > 0 {
		o.Measure = time.Duration(f.seconds * float64(time.Second))
	}
	senders, ok := map[string][]bool{"one": {false}, "all": {true}, "both": {false, true}}[f.senders]
	if !ok {
		return o, fmt.Errorf("--senders %q: want one, all or both", f.senders)
	}
	for _, s := range sizes {
		if s < 64 || s > 16<<20 {
			return o, fmt.Errorf("--sizes %d: want 64 to %d bytes", s, 16<<20)
		}
	}
	o.Cases = bench.Cases(sizes, f.windows, senders)
	switch f.door {
	case "corosync":
	case "native":
		self, err := os.Executable()
		if err != nil {
			return o, err
		}
		if f.corosync {
			return o, errors.New("--corosync: it has no native door")
		}
		o.Client, o.Ceiling = []string{self, "bench", "client"}, false
	default:
		return o, fmt.Errorf("--door %q: want corosync or native", f.door)
	}
	if f.corosync {
		if _, err := exec.LookPath(f.corosyncPath); err != nil {
			return o, fmt.Errorf("--corosync: %w: install corosync or name it with --corosync-path", err)
		}
		argv := []string{f.corosyncPath, "-f", "-c"}
		o.Daemons = append(o.Daemons,
			bench.Corosync{Label: "corosync", Argv: argv, Realtime: f.realtime},
			bench.Corosync{Label: "corosync+crypto", Argv: argv, Encrypt: true, Realtime: f.realtime})
	}
	if !f.noAgent {
		agent, err := ownAgent(f.realtime)
		if err != nil {
			return o, err
		}
		o.Daemons = append(o.Daemons, agent)
		if f.door != "native" {
			o.Embed = startEmbedded
		}
	}
	return o, nil
}

// startEmbedded starts a member inside this process.
func startEmbedded(ctx context.Context, c bench.EmbeddedConfig) (bench.EmbeddedNode, error) {
	n, err := node.Start(ctx, node.Config{Cluster: c.Cluster, Self: c.Self, Key: c.Key, StateDir: c.StateDir})
	if err != nil {
		return nil, err // not a typed nil
	}
	return n, nil
}
