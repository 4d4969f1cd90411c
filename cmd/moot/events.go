package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newEventsCommand() *cobra.Command {
	var a asking
	var since string
	var follow bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print what happens to ring, quorum, process groups and services",
		Long: `Print what happened to ring, quorum, process groups and processes of services, one
event a line, as the agent on this machine saw it: all that it keeps, which are the
last 4096 events, or those after --since. With --follow it goes on with what happens,
without --since from now on, until it is interrupted or the agent ends.

Events have numbers, which the agent counts from 1 on in each of its lives. When
events are missing that were asked for, a line in their place says so.

EXIT STATUS
  0  done, or interrupted
  1  no agent answered, or it ended
  2  wrong flag
  4  there is no event of that number yet`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show := eventPrinter(cmd.OutOrStdout(), a.json)
			if !follow {
				return printEvents(cmd.Context(), &a, since, show)
			}
			if since == "" {
				since = "now"
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return followEvents(ctx, &a, since, show)
		},
	}
	a.flags(cmd)
	cmd.Flags().StringVar(&since, "since", "", "number of the last event that you have seen, or now")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens")
	return cmd
}

func printEvents(ctx context.Context, a *asking, since string, show func(admin.Event) error) error {
	list, err := ask(ctx, a, func(c *admin.Client, ctx context.Context) (admin.Events, error) { return c.Events(ctx, since) })
	if err != nil {
		return notFound(err)
	}
	for _, e := range list.Events {
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}

func followEvents(ctx context.Context, a *asking, since string, show func(admin.Event) error) error {
	for e, err := range a.agent().Follow(ctx, since) {
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the agent ended")
		case err != nil:
			return notFound(noAnswer(a.run, err))
		}
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}

// eventPrinter prints an event a line.
func eventPrinter(w io.Writer, asJSON bool) func(admin.Event) error {
	if asJSON {
		return func(e admin.Event) error { return writeLine(w, e) }
	}
	t := newTable(w)
	colours := map[string]int{admin.EventQuorum: yellow, admin.EventView: green, admin.EventGap: red}
	return func(e admin.Event) error {
		if e.Type == admin.EventHello {
			return nil
		}
		no := "-"
		if e.No != 0 {
			no = fmt.Sprint(e.No)
		}
		_, err := fmt.Fprintf(w, "%5s  %s  %s  %s\n", no, clock(e.Time), t.paint(colours[e.Type], fmt.Sprintf("%-8s", e.Type)), visible(e.Text))
		return err
	}
}
