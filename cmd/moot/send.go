package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/cpg"
)

func newSendCommand() *cobra.Command {
	var d dialling
	var safe bool
	cmd := &cobra.Command{
		Use: "send GROUP [TEXT | -]",
		Example: `  moot send chat hello
  journalctl -f | moot send log -
  moot send --safe chat "all of you have this"`,
		Short: "Send a message to a process group",
		Long: `Send a message to all members of a process group: TEXT, or with - or without TEXT
each line of the standard input. It returns when the agent has taken them all, and
orders them. moot send does not join the group.

With --safe it joins for the time being, and prints the nodes that had each message
before any of them delivered it.

EXIT STATUS
  0  the messages were sent
  1  no agent answered, or a message could not be sent
  2  wrong argument or flag
  4  no process is in the group`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			texts := lines(cmd.InOrStdin())
			if len(args) == 2 && args[1] != "-" {
				texts = func(yield func(string, error) bool) { yield(args[1], nil) }
			}
			c, err := d.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			if safe {
				return sendSafe(cmd.Context(), cpg.New(c), args[0], texts, cmd.OutOrStdout(), d.json)
			}
			return post(cmd.Context(), cpg.New(c), args[0], texts)
		},
		ValidArgsFunction: d.completeGroups,
	}
	d.flags(cmd)
	cmd.Flags().BoolVar(&safe, "safe", false, "wait until all nodes have the message, and print them")
	return cmd
}

// lines are those of a stream.
func lines(r io.Reader) func(func(string, error) bool) {
	return func(yield func(string, error) bool) {
		scan := bufio.NewScanner(r)
		scan.Buffer(nil, cpg.MaxMessage)
		for scan.Scan() {
			if !yield(scan.Text(), nil) {
				return
			}
		}
		switch err := scan.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield("", fmt.Errorf("a line of more than %d bytes: %w", cpg.MaxMessage, cpg.ErrTooBig))
		case err != nil:
			yield("", err)
		}
	}
}

func post(ctx context.Context, c *cpg.Client, group string, texts func(func(string, error) bool)) error {
	groups, err := c.Groups(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(groups, func(g cpg.Group) bool { return strings.TrimRight(g.Name, "\x00") == group }) {
		return errNobody(group)
	}
	for text, err := range texts {
		if err == nil {
			err = c.Post(ctx, group, []byte(text))
		}
		if err != nil {
			return fmt.Errorf("send to %s: %w", printable(group), lost(err))
		}
	}
	if _, err := c.Groups(ctx); err != nil { // it is answered behind the messages
		return fmt.Errorf("send to %s: %w", printable(group), lost(err))
	}
	return nil
}

func sendSafe(ctx context.Context, c *cpg.Client, group string, texts func(func(string, error) bool), w io.Writer, asJSON bool) error {
	m, err := c.Join(ctx, group, cpg.JoinConfig{Meta: []byte("moot send")})
	if err != nil {
		return fmt.Errorf("join %s: %w", printable(group), err)
	}
	received := make(chan struct{})
	go func() { // nobody may fall behind
		defer close(received)
		for range m.All(context.WithoutCancel(ctx)) {
		}
	}()
	defer func() {
		m.Leave(context.WithoutCancel(ctx))
		<-received
	}()
	for text, err := range texts {
		var where cpg.Safe
		if err == nil {
			where, err = m.SendSafe(ctx, []byte(text))
		}
		if err != nil {
			return fmt.Errorf("send to %s: %w", printable(group), lost(err))
		}
		if asJSON {
			err = writeLine(w, safeDocument{Ring: where.Ring.String(), Members: where.Members, Transitional: where.Transitional})
		} else {
			_, err = fmt.Fprintf(w, "safe at %s in ring %v\n", ids(where.Members), where.Ring)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// safeDocument is what moot send --safe --json prints for a message.
type safeDocument struct {
	Ring         string       `json:"ring"`
	Members      []cpg.NodeID `json:"members"`
	Transitional bool         `json:"transitional,omitempty"`
}
