package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/events"
)

func newTopicPublishCommand() *cobra.Command {
	var d dialling
	var p publication
	cmd := &cobra.Command{
		Use: "publish TOPIC [TEXT | -]",
		Example: `  moot topic publish orders "three pears"
  journalctl -f | moot topic publish audit -
  moot topic publish photos --file pear.png --retain 1h --pattern fruit`,
		Short: "Publish events on a topic",
		Long: `Publish an event on a topic or a group: TEXT, a file, or with - or without TEXT each
line of the standard input as an event of its own. It prints the number of each event
in the topic when the event is ordered, and on a durable topic also on the disk of
this node. Who publishes again after exit status 1 may be told twice.` + "\n\n" + topicStatus,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			texts, err := p.texts(cmd.InOrStdin(), args[1:])
			if err != nil {
				return err
			}
			conn, err := d.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			c := events.New(conn)
			defer c.Close()
			return p.publish(cmd.Context(), c, args[0], texts, cmd.OutOrStdout(), d.json)
		},
		ValidArgsFunction: d.completeTopics,
	}
	d.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&p.file, "file", "", "file that is the event; - is all of the standard input")
	f.Uint8Var(&p.priority, "priority", 3, "0, the highest, to 3, for programs of the AIS")
	f.DurationVar(&p.retain, "retain", 0, "keep the event so long for subscribers that begin with those")
	f.StringArrayVar(&p.patterns, "pattern", nil, "pattern that filters look at; may be given more than once")
	return cmd
}

// publication is how moot topic publish publishes.
type publication struct {
	file     string
	priority uint8
	retain   time.Duration
	patterns []string
}

// texts are what becomes events.
func (p *publication) texts(stdin io.Reader, args []string) (func(func(string, error) bool), error) {
	one := func(text string, err error) func(func(string, error) bool) {
		return func(yield func(string, error) bool) { yield(text, err) }
	}
	switch {
	case p.file != "" && len(args) > 0:
		return nil, failed(exitUsage, errors.New("write a text or --file, not both"))
	case p.file == "-":
		return one(contents(stdin)), nil
	case p.file != "":
		f, err := os.Open(p.file)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		defer f.Close()
		return one(contents(f)), nil
	case len(args) == 1 && args[0] != "-":
		return one(args[0], nil), nil
	}
	return lines(stdin), nil
}

// contents reads as much as could be an event.
func contents(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, cpg.MaxMessage))
	return string(b), err
}

// raw are events as they are.
type raw struct{}

func (raw) Encode(text string) ([]byte, error) { return []byte(text), nil }
func (raw) Decode(data []byte) (string, error) { return string(data), nil }

func (p *publication) publish(ctx context.Context, c *events.Client, topic string, texts func(func(string, error) bool), w io.Writer, asJSON bool) error {
	options := []events.PublishOption{events.Priority(p.priority), events.Retained(p.retain)}
	if len(p.patterns) > 0 {
		var list [][]byte
		for _, pattern := range p.patterns {
			list = append(list, []byte(pattern))
		}
		options = append(options, events.Tagged(list...))
	}
	t := events.NewTopic[string](c, topic, raw{})
	for text, err := range texts {
		if err != nil {
			return err
		}
		offset, err := publishOne(ctx, t, text, options)
		if err != nil {
			return topicProblem(topic, err)
		}
		if asJSON {
			err = writeLine(w, map[string]any{"topic": topic, "offset": offset})
		} else {
			_, err = fmt.Fprintf(w, "Event %d of %s is published.\n", offset, printable(topic))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func publishOne(ctx context.Context, t *events.Topic[string], text string, options []events.PublishOption) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	return t.Publish(ctx, text, options...)
}

// topicProblem is why nothing can be published or heard.
func topicProblem(topic string, err error) error {
	switch {
	case errors.Is(err, events.ErrNoTopic):
		return failed(exitNotFound, fmt.Errorf("there is no topic %q; moot topic list tells which there are, moot topic create makes one", topic))
	case errors.Is(err, events.ErrDeleted):
		return failed(exitNotFound, fmt.Errorf("the topic %q was deleted", topic))
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, events.ErrAgain):
		return fmt.Errorf("the agent did not answer in %v, and an event may be published yet; moot status tells what goes on", answerWait)
	case errors.Is(err, events.ErrTimeout): // it tells enough
		return err
	}
	return topicsProblem(err)
}

func newTopicListenCommand() *cobra.Command {
	var d dialling
	var from string
	var most int
	cmd := &cobra.Command{
		Use: "listen TOPIC",
		Example: `  moot topic listen orders
  moot topic listen audit --from beginning --json
  moot topic listen audit --from 4013 --count 10`,
		Short: "Print the events of a topic as they come",
		Long: `Subscribe to a topic and print its events, one a line, in the order in which all
subscribers get them, with the time at which they are printed and their numbers:
those that are published from now on, or with --from those that the topic keeps, too:
from the beginning, from an event with a number, or those that are retained for a
time. When events were missed, because the topic does not keep them any more or they
were not taken in time, a line in their place says how many. It ends when it is
interrupted, after --count events, or when the topic or the agent ends.

For a group it prints what is published on its name, without being in it.` + "\n\n" + topicStatus,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			start, err := startOf(from)
			if err != nil {
				return failed(exitUsage, err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return listenTopic(ctx, &d, args[0], start, most, cmd.OutOrStdout())
		},
		ValidArgsFunction: d.completeTopics,
	}
	d.flags(cmd)
	cmd.Flags().StringVar(&from, "from", "new", "new, beginning, retained, or the number of an event")
	cmd.Flags().IntVarP(&most, "count", "c", 0, "end after so many events (default: never)")
	return cmd
}

// startOf is where a subscription begins.
func startOf(from string) ([]events.Option, error) {
	switch from {
	case "new":
		return nil, nil
	case "beginning":
		return []events.Option{events.FromFirst()}, nil
	case "retained":
		return []events.Option{events.FromRetained()}, nil
	}
	offset, err := strconv.ParseUint(from, 10, 64)
	if err != nil || offset == 0 {
		return nil, fmt.Errorf("--from: write new, beginning, retained, or the number of an event, not %q", from)
	}
	return []events.Option{events.FromOffset(offset)}, nil
}

func listenTopic(ctx context.Context, d *dialling, topic string, start []events.Option, most int, w io.Writer) error {
	conn, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	names := d.names(ctx)
	c := events.New(conn)
	defer c.Close()
	s, err := subscribe(ctx, c, topic, start)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the agent did not answer in %v; moot status tells what goes on", answerWait)
	case err != nil:
		return topicProblem(topic, err)
	}
	defer s.Close()
	show := topicPrinter(newTable(w), d.json)
	n := 0
	for m, err := range s.All(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return topicProblem(topic, err)
		}
		if m.Missed > 0 {
			if err := show(topicLine{Time: time.Now(), Missed: m.Missed}); err != nil {
				return err
			}
		}
		if err := show(newTopicLine(&m, names)); err != nil {
			return err
		}
		if n++; n == most {
			return nil
		}
	}
	return nil
}

func subscribe(ctx context.Context, c *events.Client, topic string, start []events.Option) (*events.Subscription, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	return c.Subscribe(ctx, topic, start...)
}

// topicLine is one line of moot topic listen --json: an event, or how many were missed
// before the next one.
type topicLine struct {
	Time   time.Time   `json:"time"`
	Missed int32       `json:"missed,omitempty"`
	Event  *topicEvent `json:"event,omitempty"`
}

type topicEvent struct {
	Offset   uint64        `json:"offset"`
	Re       int32         `json:"re,omitempty"`
	From     admin.Process `json:"from"`
	Patterns []string      `json:"patterns,omitempty"`
	Text     string        `json:"text"`
	Body     []byte        `json:"body,omitempty"` // when it is no text
}

func newTopicLine(m *events.Message, names map[events.NodeID]string) topicLine {
	e := &topicEvent{Offset: m.Offset, Re: m.Re, From: admin.Process{Node: m.From.Node, NodeName: names[m.From.Node], PID: m.From.PID}, Text: string(m.Data)}
	if !utf8.Valid(m.Data) {
		e.Text, e.Body = strings.ToValidUTF8(e.Text, "?"), append([]byte(nil), m.Data...)
	}
	for _, p := range m.Patterns {
		e.Patterns = append(e.Patterns, strings.ToValidUTF8(string(p), "?"))
	}
	return topicLine{Time: time.Now(), Event: e}
}

// topicPrinter prints an event a line.
func topicPrinter(t *table, asJSON bool) func(topicLine) error {
	return func(l topicLine) error {
		if asJSON {
			return writeLine(t.w, l)
		}
		var text string
		if e := l.Event; e != nil {
			text = e.Text
			if e.Body != nil {
				text = fmt.Sprintf("%q", e.Body)
			}
			var tags strings.Builder
			for _, p := range e.Patterns {
				fmt.Fprintf(&tags, " [%s]", visible(p))
			}
			text = fmt.Sprintf("%5d  %s%s %s", e.Offset, t.paint(bold, process(e.From)+":"), tags.String(), visible(text))
		} else {
			text = t.paint(red, fmt.Sprintf("    -  %s missed", count(int(l.Missed), "event")))
		}
		_, err := fmt.Fprintf(t.w, "%s  %s\n", clock(l.Time), text)
		return err
	}
}
