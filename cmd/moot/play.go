package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/cmd/moot/internal/play"
)

func newPlayCommand() *cobra.Command {
	var tour, plain, logs bool
	var chaos time.Duration
	var seed uint64
	nodes := 3
	cmd := &cobra.Command{
		Use: "play",
		Example: `  moot play --tour
  moot play --chaos 30s --seed 7
  printf 'kill bert\nstatus\n' | moot play --plain`,
		Short: "Try a whole cluster inside this one process",
		Long: `Try a whole cluster inside this one process: real sockets on loopback, real
sealing, real disk records in a temporary directory; no configuration, no root.

On a terminal it shows what each node sees and what happens, and takes keys: kill,
start, cut, heal, talk and others. With --plain it prints lines and takes commands
instead, from a terminal or another standard input; type help. With --tour, or
without --plain and a terminal, it plays a script that forms, breaks and heals
the cluster and compares what all programs saw.
With --chaos it breaks the cluster at random for so long, under load.

EXIT STATUS
  0  all programs saw what was promised
  1  they did not, or the cluster could not be started
  2  wrong flag
130  interrupted with ctrl-c or another signal, or nobody reads the output any more`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPlay(cmd, nodes, tour, chaos); err != nil {
				return failed(exitUsage, err)
			}
			// Nobody may be left to read, as in moot play | head: that is no reason to leave
			// the nodes' directories behind.
			signal.Ignore(syscall.SIGPIPE)
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			o := play.Options{Nodes: nodes}
			if logs {
				o.Log = slog.New(newSentences(cmd.ErrOrStderr(), slog.LevelInfo, stamper("hires")))
			}
			to := cmd.OutOrStdout()
			terminal := isTerminal(to)
			out, colour := &readOutput{to, cancel}, terminal && os.Getenv("NO_COLOR") == ""
			if chaos > 0 {
				if seed == 0 {
					seed = rand.Uint64N(1e6) + 1
				}
				return played(ctx, play.Chaos(ctx, out, colour, o, seed, chaos))
			}
			commands := plain || logs && isTerminal(os.Stdin) && terminal
			if tour || !commands && (!isTerminal(os.Stdin) || !terminal) {
				if nodes != 3 {
					return failed(exitUsage, fmt.Errorf("the tour has three nodes; --nodes %d is for playing on a terminal, and for --chaos", nodes))
				}
				return played(ctx, play.Tour(ctx, out, colour, o))
			}
			if commands {
				return played(ctx, play.Shell(ctx, os.Stdin, out, colour, o))
			}
			return played(ctx, play.Live(ctx, os.Stdin, to, colour, o))
		},
	}
	cmd.Flags().BoolVar(&tour, "tour", false, "play the script even on a terminal")
	cmd.Flags().BoolVar(&plain, "plain", false, "print lines and read commands from standard input")
	cmd.Flags().DurationVar(&chaos, "chaos", 0, "break the cluster at random for so long, for example 30s")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "what --chaos does (default: any)")
	cmd.Flags().IntVarP(&nodes, "nodes", "n", nodes, fmt.Sprintf("number of nodes, 1 to %d", play.MaxNodes))
	cmd.Flags().BoolVar(&logs, "log", false, "print the nodes' own logs to standard error; implies --plain")
	return cmd
}

// checkPlay refuses flags that make no sense.
func checkPlay(cmd *cobra.Command, nodes int, tour bool, chaos time.Duration) error {
	switch {
	case nodes < 1 || nodes > play.MaxNodes:
		return fmt.Errorf("--nodes %d: a playground has 1 to %d nodes", nodes, play.MaxNodes)
	case cmd.Flags().Changed("chaos") && chaos <= 0:
		return fmt.Errorf("--chaos %v: say for how long, for example --chaos 30s", chaos)
	case tour && chaos > 0:
		return errors.New("--tour plays a script, --chaos does anything: give one of them")
	case cmd.Flags().Changed("seed") && chaos == 0:
		return errors.New("--seed says what --chaos does: give both")
	}
	return nil
}

// played tells an interrupted play from one that ended.
func played(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, play.ErrViolation) {
		return failed(exitInterrupted, errors.New("interrupted"))
	}
	return err
}

// readOutput is an output that somebody reads; it ends the play when nobody does
// any more.
type readOutput struct {
	io.Writer
	end func()
}

func (o *readOutput) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err != nil {
		o.end()
	}
	return n, err
}

// isTerminal reports whether a person is at the other end.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
