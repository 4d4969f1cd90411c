package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newWhatIfCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "whatif",
		Short: "Tell what would become of quorum and groups, without doing it",
		Long: `Tell what would become of quorum and of process groups when nodes stop, the
network breaks, or an operator changes votes. The agent answers by the arithmetic
that decides in earnest, from the decision that stands; nothing is done.

For each ring that there would be, its members, votes and decision are printed,
and the groups that would lose their last member or the majority of their nodes.`,
		Args: subcommand,
		RunE: func(*cobra.Command, []string) error {
			return failed(exitUsage, errors.New("say what is to happen: moot whatif stop, cut, votes or expected; moot whatif --help tells more"))
		},
	}
	cmd.Long += "\n\n" + whatIfStatus
	cmd.AddCommand(
		newQuestion("stop NODE...", "When nodes are stopped in order, one after the other", cobra.MinimumNArgs(1),
			func(args []string) url.Values { return url.Values{"stop": args} }),
		newQuestion("cut A B", "When the network breaks between A and B, each a list with commas", cobra.ExactArgs(2),
			func(args []string) url.Values { return url.Values{"cut": args} }),
		newQuestion("votes NODE=N...", "When an operator gives nodes other votes", cobra.MinimumNArgs(1),
			func(args []string) url.Values { return url.Values{"votes": args} }),
		newQuestion("expected N", "When an operator expects N votes in the cluster", cobra.ExactArgs(1),
			func(args []string) url.Values { return url.Values{"expected": args} }),
	)
	return cmd
}

const whatIfStatus = `EXIT STATUS
  0  some ring would be quorate
  1  no agent answered, or the question makes no sense
  2  wrong flag or argument
  3  no ring would be quorate, or the change would be refused
  4  there is no such node, it is no member, or nothing was decided yet`

// newQuestion is one kind of question.
func newQuestion(use, short string, args cobra.PositionalArgs, question func([]string) url.Values) *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:               use,
		Short:             short,
		Long:              short + "; nothing is done.\n\n" + whatIfStatus,
		Args:              args,
		ValidArgsFunction: a.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := ask(cmd.Context(), &a, func(c *admin.Client, ctx context.Context) (admin.WhatIf, error) {
				return c.WhatIf(ctx, question(args))
			})
			switch {
			case err != nil:
				return notFound(err)
			case a.json:
				err = writeJSON(cmd.OutOrStdout(), answer)
			default:
				err = writeWhatIf(cmd.OutOrStdout(), answer)
			}
			if err != nil {
				return err
			}
			if !answer.Allowed {
				return failed(exitNotQuorate, errors.New("such a change would be refused"))
			}
			if !slices.ContainsFunc(answer.Sides, func(s admin.WhatIfSide) bool { return s.Quorate }) {
				return failed(exitNotQuorate, errors.New("nobody would be quorate"))
			}
			return nil
		},
	}
	a.flags(cmd)
	return cmd
}

func writeWhatIf(w io.Writer, x admin.WhatIf) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("If %s:", x.Question)
	if x.Allowed && len(x.Sides) == 0 {
		line("  nobody stays")
	}
	for _, s := range x.Sides {
		text := s.Text
		if s.Fencing {
			text += "; two sides may decide like this at once"
		}
		line("  %s: %s", strings.Join(s.Names, ", "), text)
		if s.Later != "" {
			line("    after the window of last_man_standing: %s", s.Later)
		}
		for _, g := range s.Groups {
			switch g.Loses {
			case "last-member":
				line("    group %s has nobody left there", g.Name)
			default:
				line("    group %s keeps %d of %d nodes there, no majority", g.Name, g.Stay, g.Nodes)
			}
		}
	}
	if !x.Allowed {
		line("  refused")
	}
	line("Now %s: %s.", strings.Join(x.Now.Names, ", "), x.Now.Text)
	for _, n := range x.Notes {
		line("%s", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
