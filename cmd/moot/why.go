package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newWhyCommand() *cobra.Command {
	var a asking
	var group, topic string
	cmd := &cobra.Command{
		Use:   "why [NODE|RING]",
		Short: "Explain the last change of members or quorum",
		Long: `Explain the last change of members or quorum: one sentence, then who saw what.
With NODE, an id or a name, explain the last thing that happened to that node:
why it left, why it is not here, where it had been before it came back, or what
is wrong with it. With RING, as moot status prints it (1/42), explain the change
that led to that ring. With --group, explain how the last vote of a group of Group
Services ended; moot gs why tells of those before. With --topic, explain why programs
of this node missed events of a topic, why what they registered ended, and why
nothing can be published there.

All members tell each other what they saw, so the answer is the same at each of
them. A cause is named only where there is evidence; what a node alone can know,
such as that its process was stopped, it tells when it is back.
docs/explanations.md lists the reasons and what to do about them.

EXIT STATUS
  0  explained; that no cause is known is an explanation too
  1  no agent answered, or its work does not go on
  2  wrong flag or argument
  4  there is no such node, group or topic, or nothing of the kind is on record`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, ring := "", ""
			switch {
			case group != "" && len(args) > 0:
				return failed(exitUsage, errors.New("--group explains a vote: leave NODE or RING out"))
			case topic != "" && (len(args) > 0 || group != ""):
				return failed(exitUsage, errors.New("--topic explains what became of events: leave the rest out"))
			case topic != "":
				return a.whyTopic(cmd, topic)
			case group != "":
				return a.whyGroup(cmd, group)
			case len(args) > 0:
				about = args[0]
			}
			if strings.Contains(about, "/") {
				about, ring = "", about
			}
			why, err := ask(cmd.Context(), &a, func(c *admin.Client, ctx context.Context) (admin.Why, error) { return c.Why(ctx, about, ring) })
			switch {
			case err != nil:
				return notFound(err)
			case !why.Found && !a.json:
				return failed(exitNotFound, errors.New(why.Text))
			case a.json:
				err = writeJSON(cmd.OutOrStdout(), why)
			default:
				err = writeWhy(cmd.OutOrStdout(), why)
			}
			if err == nil && !why.Found {
				err = failed(exitNotFound, errors.New(why.Text))
			}
			return err
		},
	}
	a.flags(cmd)
	cmd.Flags().StringVar(&group, "group", "", "explain the last vote of this `GROUP` of Group Services")
	cmd.Flags().StringVar(&topic, "topic", "", "explain what became of events of this `TOPIC` on this node")
	_ = cmd.RegisterFlagCompletionFunc("topic", func(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.completeEventTopics(cmd, nil, word)
	})
	_ = cmd.RegisterFlagCompletionFunc("group", func(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.completeVotingGroups(cmd, nil, word)
	})
	return cmd
}

// whyGroup explains how the last protocol of a group ended.
func (a *asking) whyGroup(cmd *cobra.Command, group string) error {
	g, err := ask(cmd.Context(), a, func(c *admin.Client, ctx context.Context) (admin.VotingGroup, error) {
		return c.VotingGroup(ctx, group)
	})
	if err != nil {
		return notFound(err)
	}
	last := g.Recent[max(0, len(g.Recent)-1):]
	if a.json {
		return writeJSON(cmd.OutOrStdout(), append([]admin.VotingOutcome{}, last...))
	}
	return writeGSWhy(cmd.OutOrStdout(), last, fmt.Sprintf("no protocol of group %q", group))
}

// whyTopic explains what became of the events of a topic on this node.
func (a *asking) whyTopic(cmd *cobra.Command, topic string) error {
	t, err := ask(cmd.Context(), a, func(c *admin.Client, ctx context.Context) (admin.Topic, error) { return c.Topic(ctx, topic) })
	if err != nil {
		return notFound(err)
	}
	if a.json {
		return writeJSON(cmd.OutOrStdout(), t)
	}
	if len(t.Why) == 0 {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "On this node nothing of %s was lost by who is subscribed now, and nothing ended or was refused; %s.\n", printable(topic), count(len(t.Subscribers), "subscriber"))
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.Join(t.Why, "\n"))
	return err
}

// completeEventTopics offers topics of events.
func (a *asking) completeEventTopics(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionWait)
	defer cancel()
	all, err := a.agent().Topics(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []cobra.Completion
	for _, t := range all.Topics {
		if t.Bytes == nil && !t.Unlinked {
			out = append(out, t.Name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// notFound gives the answer that there is no such thing its exit status.
func notFound(err error) error {
	if refused, ok := errors.AsType[*admin.Error](err); ok && refused.Code == http.StatusNotFound {
		return failed(exitNotFound, err)
	}
	return err
}

// writeWhy prints the sentence first and the evidence below it.
func writeWhy(w io.Writer, y admin.Why) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s", y.Text)
	if q := y.Quorum; q != nil && y.Kind != "quorum" {
		text := "Quorum is as before: " + q.Text + "."
		if q.Changed {
			text = "Quorum changed: " + q.Text + "."
		}
		line("%s", text)
	}
	line("")
	if y.Previous != "" {
		line("%s  ring %s (%s), before it %s", y.Time.Local().Format("2006-01-02 15:04:05.000"), y.Ring, ids(y.Members), y.Previous)
	} else {
		line("%s  ring %s (%s)", y.Time.Local().Format("2006-01-02 15:04:05.000"), y.Ring, ids(y.Members))
	}
	if a := y.About; a != nil {
		here := "is not here now"
		if a.Here {
			here = "is here now"
		}
		line("%s %s", a.Name, here)
	}
	for _, n := range y.Nodes {
		reason := n.Reason
		if n.Away != "" && n.Away != n.Reason {
			reason += ", had been away: " + n.Away
		}
		line("")
		line("%s %s (%s)", n.Name, n.What, reason)
		for _, e := range n.Evidence {
			line("  - %s", e.Text)
		}
		if n.Remedy != "" {
			line("  what to do: %s", n.Remedy)
		}
	}
	switch {
	case len(y.Awaited) > 1:
		line("\nNot complete: nodes %s have not told yet what they saw.", ids(y.Awaited))
	case len(y.Awaited) > 0:
		line("\nNot complete: node %s has not told yet what it saw.", ids(y.Awaited))
	case len(y.Told) > 1:
		line("\nTold by nodes %s.", ids(y.Told))
	case len(y.Told) > 0:
		line("\nTold by node %s.", ids(y.Told))
	}
	if y.State != "operational" {
		line("A new membership is being sought now (%s).", y.State)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
