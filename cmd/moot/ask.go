package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/config"
)

// asking is what all commands have that ask the agent on this machine.
type asking struct {
	run  string
	json bool
}

// flags adds the options to a command.
func (a *asking) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.run, "run", env("MOOTHALL_RUN_DIR", config.DefaultRunDir), "directory of the agent's sockets, or MOOTHALL_RUN_DIR")
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON, as docs/json.md describes it")
}

// agent is whom the command asks.
func (a *asking) agent() *admin.Client { return admin.New(a.run) }

// answerWait is longer than an agent waits for its own busy parts before it
// answers without them.
const answerWait = 7 * time.Second

// ask gets one document from an agent.
func ask[T any](ctx context.Context, a *asking, get func(*admin.Client, context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	doc, err := get(a.agent(), ctx)
	if err != nil {
		err = noAnswer(a.run, err)
	}
	return doc, err
}

// noAnswer says why the agent of a run directory could not be asked, and what to
// try.
func noAnswer(runDir string, err error) error {
	return noAnswerAt(filepath.Join(runDir, admin.Socket), err)
}

// noAnswerAt is noAnswer for one of the agent's sockets.
func noAnswerAt(socket string, err error) error {
	refused, _ := errors.AsType[*admin.Error](err)
	switch {
	case refused != nil:
		return refused
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the agent at %s is there but does not answer: its log says more, or its machine is overloaded", socket)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("the path %s is too long for a socket: an agent has a shorter run directory", socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("only root or the agent's user may ask the agent at %s: try with sudo", socket)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no agent runs here (%s); start it with systemctl start moothall or moot agent, or name its directory with --run or %s", socket, client.RunDirEnv)
	}
	return fmt.Errorf("the agent at %s cannot be asked: %w", socket, err)
}

// completionWait is how long somebody who presses a key waits for an agent.
const completionWait = time.Second

// completeGroups offers the process groups that the agent knows, for the first
// argument.
func (a *asking) completeGroups(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var out []cobra.Completion
	if len(args) == 0 {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionWait)
		defer cancel()
		groups, _ := a.agent().Groups(ctx) // without an agent there is nothing to offer
		for _, g := range groups.Groups {
			out = append(out, cobra.CompletionWithDesc(g.Name, count(len(g.Members), "member")))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeNodes offers the configured nodes that the agent knows.
func (a *asking) completeNodes(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionWait)
	defer cancel()
	var out []cobra.Completion
	nodes, _ := a.agent().Nodes(ctx)
	for _, n := range nodes.Nodes {
		out = append(out, completedNode(n.ID, n.Name))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completedNode offers a node by its name, else by its id.
func completedNode(id config.NodeID, name string) cobra.Completion {
	if name == "" {
		return fmt.Sprint(id)
	}
	return cobra.CompletionWithDesc(name, fmt.Sprintf("node %d", id))
}

// count writes 1 member, 2 members.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
