package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newReadmitCommand() *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:   "readmit NODE",
		Short: "Let a node in that the ring keeps out for a while",
		Long: `Let a node in that the ring keeps out for a while (moot status says whom and why),
before its time is over. Ask the agent of any member of that ring; what was held
against the node is forgotten. If its links are still bad, the ring will leave it
out again.

EXIT STATUS
  0  it may come back
  1  no agent answered, or the ring does not keep that node out
  2  wrong usage`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 32)
			if err != nil || id == 0 {
				return failed(exitUsage, fmt.Errorf("%q is not a node id; moot nodes lists them", args[0]))
			}
			r, err := ask(cmd.Context(), &a, func(c *admin.Client, ctx context.Context) (admin.Readmitted, error) {
				return c.Readmit(ctx, admin.NodeID(id))
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
