package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newNodesCommand() *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "List the nodes of the cluster and the ways to them",
		Long: `List the configured nodes as the agent on this machine sees them: whether each is
in the ring, its votes, and for each link its state, round trip and loss.

EXIT STATUS
  0  the agent answered
  1  no agent answered, or its work does not go on
  2  wrong flag`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := ask(cmd.Context(), &a, (*admin.Client).Nodes)
			if err != nil {
				return err
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), nodes)
			}
			return writeNodes(newTable(cmd.OutOrStdout()), nodes)
		},
	}
	a.flags(cmd)
	return cmd
}

func writeNodes(t *table, nodes admin.Nodes) error {
	memberRows(t, nodes.Nodes)
	if r := nodes.Ring; r != nil {
		t.section()
		t.row(fmt.Sprintf("Ring %s has %d of %s.", r.ID, len(r.Members), count(len(nodes.Nodes), "node")))
	}
	return t.flush()
}
