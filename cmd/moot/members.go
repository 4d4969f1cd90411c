package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newMembersCommand() *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:     "members GROUP",
		Example: `  moot members chat`,
		Short:   "List the processes in a process group",
		Long: `List the processes in a process group, by node and process id. Programs on the Go
packages have an instance, which tells several members of one process apart, what
they say about themselves, and whether they have the group's state.

EXIT STATUS
  0  the agent answered
  1  no agent answered, or its work does not go on
  2  wrong flag
  4  no process is in the group`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			group, err := ask(cmd.Context(), &a, func(c *admin.Client, ctx context.Context) (admin.Group, error) {
				return c.Group(ctx, args[0])
			})
			if err != nil {
				return notFound(err)
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), group)
			}
			return writeMembers(newTable(cmd.OutOrStdout()), group)
		},
		ValidArgsFunction: a.completeGroups,
	}
	a.flags(cmd)
	return cmd
}

func writeMembers(t *table, g admin.Group) error {
	t.head("NODE", "NAME", "PROCESS", "INSTANCE", "STATE", "ABOUT ITSELF")
	for _, p := range g.Members {
		instance, state, about := "-", "-", ""
		if p.Instance != 0 {
			instance = fmt.Sprint(p.Instance)
		}
		if p.Stateful {
			state = map[bool]string{true: "has it", false: "waits for it"}[p.HasState]
		}
		if len(p.Meta) > 0 {
			about = printable(string(p.Meta))
		}
		t.row(fmt.Sprint(p.Node), p.NodeName, fmt.Sprint(p.PID), instance, state, about)
	}
	return t.flush()
}
