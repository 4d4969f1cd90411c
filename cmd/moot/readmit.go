package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newReadmitCommand() *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		ValidArgsFunction: a.completeNodes,

		Use:     "readmit NODE",
		Example: `  moot readmit bert`,
		Short:   "Let a node in that the ring keeps out for a while",
		Long: `Let a node in that the ring keeps out for a while (moot status says whom and why),
before its time is over. NODE is an id or a name. Ask the agent of any member of
that ring; what was held against the node is forgotten. If its links are still bad,
the ring will leave it out again.

EXIT STATUS
  0  it may come back
  1  no agent answered, or the ring does not keep that node out
  2  wrong flag or argument
  4  there is no such node`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			nodes, err := ask(cmd.Context(), &a, (*admin.Client).Nodes)
			if err != nil {
				return err
			}
			named, err := only(nodes.Nodes, args)
			if err != nil {
				return failed(exitNotFound, err)
			}
			r, err := ask(cmd.Context(), &a, func(c *admin.Client, ctx context.Context) (admin.Readmitted, error) {
				return c.Readmit(ctx, named[0].ID)
			})
			switch {
			case err != nil:
				return err
			case a.json:
				return writeJSON(cmd.OutOrStdout(), r)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Node %d may come back.\n", r.Node)
			return nil
		},
	}
	a.flags(cmd)
	return cmd
}
