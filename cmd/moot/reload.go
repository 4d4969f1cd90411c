package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/node"
)

// reloadWait bounds how long the command waits for all members.
const reloadWait = 4 * time.Minute

func newReloadCommand() *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have all agents of the cluster read their configuration anew",
		Long: `Have all agents of the cluster read their configuration anew, each its own file,
as corosync-cfgtool -R and SIGHUP to one agent do. Copy the new file to all nodes
first. All of them take it or none does: when a file has errors, or changes what
cannot change at run time, nothing changes anywhere, and the answer says where
and why.

It prints what changed on this node, and warnings about its file, such as keys
that nobody knows. What only a start reads stays as it is until the agents are
restarted; the line says so.

EXIT STATUS
  0  all agents use the new configuration
  1  no agent answered here
  2  wrong flag
  8  the new configuration was refused; nothing changed`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), reloadWait)
			defer cancel()
			return reload(ctx, cmd.OutOrStdout(), &a)
		},
	}
	a.flags(cmd)
	return cmd
}

// reloadOnHangup does on SIGHUP what the command does.
func reloadOnHangup(ctx context.Context, n *node.Node, log *slog.Logger) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		trying, cancel := context.WithTimeout(ctx, reloadWait)
		if _, _, err := n.Reload(trying); err != nil {
			log.Error("The configuration stays as it is", "why", err)
		}
		cancel()
	}
}

func reload(ctx context.Context, w io.Writer, a *asking) error {
	r, err := a.agent().Reload(ctx)
	if err != nil {
		return noAnswer(a.run, err)
	}
	if a.json {
		if err := writeJSON(w, r); err != nil {
			return err
		}
	}
	if r.Error != "" {
		return failed(exitBadConfig, errors.New(r.Error))
	}
	if a.json {
		return nil
	}
	for _, c := range r.Changes {
		fmt.Fprintln(w, c.Text)
	}
	for _, text := range r.Warnings {
		fmt.Fprintln(w, "warning:", text)
	}
	switch len(r.Changes) {
	case 0:
		fmt.Fprintln(w, "All agents have read their configuration; nothing is different here.")
	default:
		fmt.Fprintln(w, "All agents use the new configuration.")
	}
	return nil
}
