package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/events"
)

func newTopicCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topic",
		Short: "Create, delete and list topics of events, publish on them and listen",
		Long: `Create, delete and list topics of events, which programs publish on and subscribe
to, as the commands publish and listen do. Topics are the same on all nodes; root
and the agent's own user administer them. docs/events.md is a guide.` + "\n\n" + topicStatus,
		Args: subcommand,
		RunE: func(*cobra.Command, []string) error {
			return failed(exitUsage, errors.New("say what to do: moot topic create, delete, list, describe, publish or listen; moot topic --help tells more"))
		},
	}
	cmd.AddCommand(newTopicCreateCommand(), newTopicDeleteCommand(), newTopicListCommand(), newTopicDescribeCommand(),
		newTopicPublishCommand(), newTopicListenCommand())
	return cmd
}

const topicStatus = `EXIT STATUS
  0  done, or interrupted (listen)
  1  no agent answered, or it ended; it may not be done, or this node is not quorate;
     or a file cannot be read (publish)
  2  wrong flag or argument, as a name that is reserved, or --durable without --keep
  3  there is such a topic already (create), or none (delete)
  4  there is no such topic (describe, publish, listen)`

// onTopics does something with the topics of an agent.
func onTopics(cmd *cobra.Command, d *dialling, do func(context.Context, *events.Client) error) error {
	conn, err := d.dial(cmd.Context())
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), answerWait)
	defer cancel()
	c := events.New(conn)
	defer c.Close()
	return topicsProblem(do(ctx, c))
}

// topicsProblem is why something could not be done with topics.
func topicsProblem(err error) error {
	switch {
	case errors.Is(err, events.ErrAgain): // in time or not
		return errors.New("nothing was done: this node is not quorate, or the nodes find out who is here; moot status tells more")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the agent did not answer in %v, and what was asked for may be done yet: moot topic list tells, and moot status what goes on", answerWait)
	case errors.Is(err, events.ErrClosed):
		return lost(err)
	case errors.Is(err, events.ErrTimeout):
		return fmt.Errorf("%w; moot topic list tells", err)
	case errors.Is(err, events.ErrInvalid):
		return failed(exitUsage, err)
	}
	return err
}

func newTopicCreateCommand() *cobra.Command {
	var d dialling
	var o events.TopicOptions
	cmd := &cobra.Command{
		Use: "create NAME",
		Example: `  moot topic create orders
  moot topic create --keep 1000 --durable audit`,
		Short: "Create a topic on all nodes",
		Long: `Create a topic on all nodes. With --keep its last events are there for programs that
subscribe later, and with --durable also after all agents were stopped: each has
them in its state directory. While this node is not quorate it waits for some seconds.` + "\n\n" + topicStatus,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := onTopics(cmd, &d, func(ctx context.Context, c *events.Client) error { return c.CreateTopic(ctx, args[0], o) })
			if errors.Is(err, events.ErrExist) {
				return failed(exitTopic, fmt.Errorf("there is a topic %q already", args[0]))
			}
			return topicDone(cmd.OutOrStdout(), &d, err, args[0], "created")
		},
	}
	d.flags(cmd)
	cmd.Flags().IntVar(&o.Keep, "keep", 0, "how many of its last events are kept, 16384 at most")
	cmd.Flags().BoolVar(&o.Durable, "durable", false, "keep them on the disks of all nodes; needs --keep")
	return cmd
}

func newTopicDeleteCommand() *cobra.Command {
	var d dialling
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a topic on all nodes",
		Long: `Delete a topic on all nodes, with the events that it keeps. Programs that subscribe
to it get what waits for them, then the end. While this node is not quorate it waits
for some seconds.` + "\n\n" + topicStatus,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := onTopics(cmd, &d, func(ctx context.Context, c *events.Client) error { return c.DeleteTopic(ctx, args[0]) })
			if errors.Is(err, events.ErrNoTopic) {
				return failed(exitTopic, fmt.Errorf("there is no topic %q; moot topic list tells which there are", args[0]))
			}
			return topicDone(cmd.OutOrStdout(), &d, err, args[0], "deleted")
		},
		ValidArgsFunction: d.completeTopics,
	}
	d.flags(cmd)
	return cmd
}

// topicDone says that it worked.
func topicDone(w io.Writer, d *dialling, err error, name, what string) error {
	switch {
	case err != nil:
		return err
	case d.json:
		return writeJSON(w, map[string]string{what: name})
	}
	_, err = fmt.Fprintf(w, "Topic %s is %s.\n", printable(name), what)
	return err
}

func newTopicListCommand() *cobra.Command {
	var d dialling
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List topics, and groups in which somebody is",
		Long: `List the topics, and the groups of events in which a program is, with how many events
each has had and how many of them it keeps.` + "\n\n" + topicStatus,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onTopics(cmd, &d, func(ctx context.Context, c *events.Client) error {
				list, err := c.Topics(ctx)
				if err != nil {
					return err
				}
				docs := make([]topicDocument, 0, len(list))
				for _, t := range list {
					docs = append(docs, newTopicDocument(&t))
				}
				if d.json {
					return writeJSON(cmd.OutOrStdout(), docs)
				}
				return writeTopics(newTable(cmd.OutOrStdout()), docs)
			})
		},
	}
	d.flags(cmd)
	return cmd
}

func newTopicDescribeCommand() *cobra.Command {
	var d dialling
	cmd := &cobra.Command{
		Use:   "describe NAME",
		Short: "Print what is known of one topic",
		Long: `Print what is known of one topic, or of a group in which somebody is: what it keeps,
its events, the processes that are in the group, and what became of the events at
programs of this node: how many they got, do not take, and missed, and why.` + "\n\n" + topicStatus,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onTopics(cmd, &d, func(ctx context.Context, c *events.Client) error {
				t, err := c.Topic(ctx, args[0])
				doc := newTopicDocument(&t)
				switch {
				case errors.Is(err, events.ErrNoTopic):
					return failed(exitNotFound, fmt.Errorf("there is no topic %q; moot topic list tells which there are", args[0]))
				case err != nil:
					return err
				case d.json:
					return writeJSON(cmd.OutOrStdout(), doc)
				}
				here, _ := admin.New(d.run).Topic(ctx, args[0]) // of an agent without that door there is less to say
				return writeTopic(newTable(cmd.OutOrStdout()), doc, here)
			})
		},
		ValidArgsFunction: d.completeTopics,
	}
	d.flags(cmd)
	return cmd
}

// completeTopics offers the topics that the agent knows.
func (d *dialling) completeTopics(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var out []cobra.Completion
	if len(args) == 0 {
		_ = onTopics(cmd, d, func(ctx context.Context, c *events.Client) error { // without an agent there is nothing to offer
			ctx, cancel := context.WithTimeout(ctx, completionWait)
			defer cancel()
			list, err := c.Topics(ctx)
			for _, t := range list {
				out = append(out, cobra.CompletionWithDesc(t.Name, fmt.Sprint(t.Last, " events")))
			}
			return err
		})
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// topicDocument is what moot topic prints with --json.
type topicDocument struct {
	Name    string          `json:"name"`
	Created bool            `json:"created"`
	Keep    int             `json:"keep"`
	Durable bool            `json:"durable"`
	Last    uint64          `json:"last"`
	First   uint64          `json:"first"`
	Kept    int             `json:"kept"`
	Members []topicsProcess `json:"members"`
	Opens   int             `json:"opens"`
}

// topicsProcess is one in the group of a topic's name.
type topicsProcess struct {
	Node events.NodeID `json:"node"`
	PID  uint32        `json:"pid"`
}

func newTopicDocument(t *events.TopicInfo) topicDocument {
	d := topicDocument{t.Name, t.Created, t.Keep, t.Durable, t.Last, t.First, t.Kept, []topicsProcess{}, t.Opens}
	for _, p := range t.Members {
		d.Members = append(d.Members, topicsProcess(p))
	}
	return d
}

// kind is what there is by that name.
func (d *topicDocument) kind() string {
	switch {
	case d.Name == events.MembershipClass || d.Name == events.ConnectivityClass:
		return "reserved"
	case !d.Created:
		return "group"
	case d.Durable:
		return "durable topic"
	}
	return "topic"
}

func writeTopics(t *table, docs []topicDocument) error {
	if len(docs) == 0 {
		t.row("There are no topics.")
		return t.flush()
	}
	t.head("NAME", "KIND", "EVENTS", "KEPT", "MEMBERS")
	for _, d := range docs {
		kept := fmt.Sprint(d.Kept)
		if d.Kept <= d.Keep && d.Keep > 0 { // what publishers want is kept besides
			kept = fmt.Sprintf("%d of %d", d.Kept, d.Keep)
		}
		t.row(printable(d.Name), d.kind(), fmt.Sprint(d.Last), kept, fmt.Sprint(len(d.Members)))
	}
	return t.flush()
}

func writeTopic(t *table, d topicDocument, here admin.Topic) error {
	keeps, kept := "what publishers want", "none"
	if d.Keep > 0 {
		keeps = fmt.Sprintf("the last %d, and %s", d.Keep, keeps)
	}
	if d.Kept > 0 {
		kept = fmt.Sprintf("%d, from %d on", d.Kept, d.First)
	}
	t.row("Name", printable(d.Name))
	t.row("Kind", d.kind())
	t.row("Keeps", keeps)
	t.row("Events", fmt.Sprint(d.Last))
	t.row("Kept", kept)
	t.row("Open", count(d.Opens, "time")+" by programs of the AIS")
	members := ""
	for _, p := range d.Members {
		members += fmt.Sprintf(" %d/%d", p.Node, p.PID)
	}
	t.row("Members", cmp.Or(strings.TrimSpace(members), "none"))
	for i, u := range here.Subscribers {
		title := ""
		if i == 0 {
			title = "On this node"
		}
		t.row(title, fmt.Sprintf("process %d: %d got, %d wait, %d missed", u.PID, u.Told, u.Waiting, u.Missed))
	}
	for _, why := range here.Why {
		t.row("", why)
	}
	return t.flush()
}
