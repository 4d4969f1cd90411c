package main

import (
	"fmt"
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
	var tour, logs bool
	var chaos time.Duration
	var seed uint64
	nodes := 3
	cmd := &cobra.Command{
		Use:   "play",
		Short: "Try a whole cluster inside this one process",
		Long: `Try a whole cluster inside this one process: real sockets on loopback, real
sealing, real disk records in a temporary directory; no configuration, no root.

On a terminal it takes commands: send, kill, start, cut, partition, heal and
others; type help. With --tour, or without a terminal, it plays a script instead
that forms, breaks and heals the cluster and compares what all programs saw.
With --chaos it breaks the cluster at random for so long, under load.

EXIT STATUS
  0  all programs saw what was promised
  1  they did not, or the cluster could not be started
  2  wrong flag`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			var o play.Options
			o.Nodes = nodes
			if logs {
				o.Log = slog.New(newSentences(cmd.ErrOrStderr(), slog.LevelInfo, stamper("hires")))
			}
			out := cmd.OutOrStdout()
			colour := isTerminal(out) && os.Getenv("NO_COLOR") == ""
			if chaos > 0 {
				if seed == 0 {
					seed = rand.Uint64N(1e6) + 1
				}
				return play.Chaos(ctx, out, colour, o, seed, chaos)
			}
			if tour || !isTerminal(os.Stdin) || !isTerminal(out) {
				if cmd.Flags().Changed("nodes") && nodes != 3 {
					return fmt.Errorf("the tour has three nodes; --nodes %d is for playing on a terminal", nodes)
				}
				return play.Tour(ctx, out, colour, o)
			}
			return play.Shell(ctx, os.Stdin, out, colour, o)
		},
	}
	cmd.Flags().BoolVar(&tour, "tour", false, "play the script even on a terminal")
	cmd.Flags().DurationVar(&chaos, "chaos", 0, "break the cluster at random for so long, for example 30s")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "what --chaos does (default: any)")
	cmd.Flags().IntVarP(&nodes, "nodes", "n", nodes, fmt.Sprintf("number of nodes, 1 to %d", play.MaxNodes))
	cmd.Flags().BoolVar(&logs, "log", false, "print the nodes' own logs to standard error")
	return cmd
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
