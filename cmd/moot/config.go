package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration",
		Long: `Check a configuration.

EXIT STATUS
  0  done
  2  wrong command or flag`,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheckCommand())
	return cmd
}

// checkResult is what "moot config check --json" prints.
type checkResult struct {
	File     string         `json:"file"`
	OK       bool           `json:"ok"`
	Problems []checkProblem `json:"problems"`
}

type checkProblem struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Severity string `json:"severity"`
	What     string `json:"what"`
	Fix      string `json:"fix,omitempty"`
}

func newConfigCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Read a configuration as the agent does, and more strictly",
		Long: fmt.Sprintf(`Read a configuration as the agent does and print every problem with its place and
what to write instead. Unknown keys and an unknown quorum provider, of
which the agent only warns, are errors here, and so is a key file that no agent
takes; one that is not on this machine is a warning, and so is a command of a
[[service]] that could not be started here. FILE is
%s unless given, or
%s where there is none.

EXIT STATUS
  0  no errors; there may be warnings
  2  wrong flag or argument
  8  errors`, config.DefaultTOML, config.DefaultFile),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := env("MOOTHALL_CONFIG", config.DefaultPath())
			if len(args) == 1 {
				name = args[0]
			}
			return checkConfig(cmd.Context(), cmd.OutOrStdout(), name, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func checkConfig(ctx context.Context, w io.Writer, name string, asJSON bool) error {
	c, problems := config.Load(name)
	problems = problems.Strict()
	err := problems.Err()
	if err == nil {
		if unresolved := c.Resolve(ctx, net.DefaultResolver); unresolved != nil {
			problems = append(problems, config.ProblemsOf(unresolved)...)
			err = unresolved
		}
	}
	if err == nil {
		key := c.CheckKey(os.Getenv("MOOTHALL_KEY"))
		problems, err = append(append(problems, key...), c.CheckServices()...), key.Err()
	}
	if asJSON {
		if err := writeJSON(w, checkDocument(name, problems)); err != nil {
			return err
		}
	} else {
		fmt.Fprint(w, problems)
	}
	if err != nil {
		return failed(exitBadConfig, fmt.Errorf("%s would not be served as it stands", name))
	}
	if !asJSON {
		token, source := c.TokenTimeout()
		fmt.Fprintf(w, "%s is good: cluster %q with %s, token timeout %d ms (%s).\n", name, c.Totem.ClusterName, count(len(c.Nodes), "node"), token.Milliseconds(), source)
		writeLinks(w, c)
	}
	return nil
}

// writeLinks shows how a configuration was understood where it can surprise:
// which address of which node is on which link.
func writeLinks(w io.Writer, c *config.Config) {
	for l := range c.LinkCount() {
		port := c.Interface(l).Port
		var nodes []string
		for _, n := range c.Nodes {
			nodes = append(nodes, fmt.Sprintf("%v %v", n, c.Addr(n, l).Addr()))
		}
		fmt.Fprintf(w, "Link %d, UDP ports %d and %d: %s.\n", l, port, port+1, strings.Join(nodes, ", "))
	}
}

func checkDocument(name string, problems config.Problems) checkResult {
	out := checkResult{File: name, OK: problems.Err() == nil, Problems: []checkProblem{}}
	for _, p := range problems {
		out.Problems = append(out.Problems, checkProblem{p.File, p.Line, p.Col, p.Severity.String(), p.What, p.Fix})
	}
	return out
}
