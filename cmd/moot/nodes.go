package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newNodesCommand() *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use: "nodes [NODE...]",
		Example: `  moot nodes
  moot nodes anna 3 --json`,
		Short: "List the nodes of the cluster and the ways to them",
		Long: `List the configured nodes as the agent on this machine sees them: whether each is
in the ring, its votes, and for each link its state, round trip and loss. With
names or ids only those.

EXIT STATUS
  0  the agent answered
  1  no agent answered, or its work does not go on
  2  wrong flag
  4  there is no such node`,
		ValidArgsFunction: a.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			nodes, err := ask(cmd.Context(), &a, (*admin.Client).Nodes)
			if err != nil {
				return err
			}
			if nodes.Nodes, err = only(nodes.Nodes, args); err != nil {
				return failed(exitNotFound, err)
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

// only picks nodes by name or id; no words: all of them.
func only(nodes []admin.Member, words []string) ([]admin.Member, error) {
	if len(words) == 0 {
		return nodes, nil
	}
	var out []admin.Member
	for _, word := range words {
		i := slices.IndexFunc(nodes, func(m admin.Member) bool { return m.Name == word || fmt.Sprint(m.ID) == word })
		if i < 0 {
			return nil, fmt.Errorf("no node %q is configured", word)
		}
		out = append(out, nodes[i])
	}
	return out, nil
}

func writeNodes(t *table, nodes admin.Nodes) error {
	memberRows(t, nodes.Nodes)
	if r := nodes.Ring; r != nil {
		t.section()
		t.row(fmt.Sprintf("Ring %s has %s.", r.ID, count(len(r.Members), "member")))
	}
	return t.flush()
}
