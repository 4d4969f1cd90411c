// Command chat is a room: whoever runs it, on whichever node, sees the same lines
// in the same order, and who comes and goes.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/cpg"
)

func main() {
	socket := flag.String("socket", "", "socket of the agent (default: MOOTHALL_SOCKET, or agent.sock in MOOTHALL_RUN_DIR, or "+client.DefaultSocket+")")
	name := flag.String("name", os.Getenv("USER"), "your name")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), `usage: chat [options]
Type lines; all who run it see them in one order. The end of input leaves.`)
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx := context.Background()
	agent, err := client.Dial(ctx, client.Config{Socket: *socket})
	if err != nil {
		log.Fatal(err)
	}
	if err := chat(ctx, cpg.New(agent), *name, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// chat takes part until in ends.
func chat(ctx context.Context, c *cpg.Client, name string, in io.Reader, out io.Writer) error {
	room, err := c.Join(ctx, "chat", cpg.JoinConfig{Meta: []byte(name)})
	if err != nil {
		return err
	}
	leaving, said := make(chan struct{}), make(chan error, 1)
	go func() {
		err := say(ctx, room, in)
		close(leaving) // from here on the stream may end
		said <- errors.Join(err, room.Leave(ctx))
	}()
	names := map[cpg.MemberID]string{}
	for ev, err := range room.All(ctx) {
		if err != nil {
			select {
			case <-leaving:
				return <-said
			default:
				return err
			}
		}
		switch ev := ev.(type) {
		case cpg.Message:
			fmt.Fprintf(out, "%s: %s\n", names[ev.From], ev.Body)
		case cpg.View:
			for _, p := range ev.Members {
				names[p.ID] = string(p.Meta)
			}
			for _, j := range ev.Joined {
				fmt.Fprintf(out, "* %s came (%v)\n", names[j.ID], j.Reason)
			}
			for _, l := range ev.Left {
				fmt.Fprintf(out, "* %s went (%v)\n", names[l.ID], l.Reason)
				delete(names, l.ID)
			}
		}
	}
	return nil
}

// say sends lines until there are no more.
func say(ctx context.Context, room *cpg.Member, in io.Reader) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if _, err := room.Send(ctx, lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}
