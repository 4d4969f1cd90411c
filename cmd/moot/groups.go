package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newGroupsCommand() *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:   "groups",
		Short: "List the process groups of the cluster",
		Long: `List the process groups that have members, with how many processes are in each and
on which nodes. The list is the same on all nodes of a ring.

EXIT STATUS
  0  the agent answered
  1  no agent answered, or its work does not go on
  2  wrong flag`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			groups, err := ask(cmd.Context(), &a, (*admin.Client).Groups)
			if err != nil {
				return err
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), groups)
			}
			return writeGroups(newTable(cmd.OutOrStdout()), groups)
		},
	}
	a.flags(cmd)
	return cmd
}

func writeGroups(t *table, groups admin.Groups) error {
	if len(groups.Groups) == 0 {
		t.row("No process is in a group.")
		return t.flush()
	}
	t.head("GROUP", "MEMBERS", "NODES")
	for _, g := range groups.Groups {
		var nodes []admin.NodeID
		for _, p := range g.Members {
			nodes = append(nodes, p.Node)
		}
		t.row(printable(g.Name), fmt.Sprint(len(g.Members)), ids(slices.Compact(nodes)))
	}
	return t.flush()
}

// printable quotes a name that a terminal would not show as it is.
func printable(name string) string {
	if q := fmt.Sprintf("%q", name); q != `"`+name+`"` || name == "" {
		return q
	}
	return name
}
