// Command lockd hands out locks by name: "lock NAME" waits in a line that is the
// same on all nodes, "unlock NAME" gives the lock to the next one. Who dies or is
// cut off from the majority loses its locks.
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
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), `usage: lockd [options]
Type commands, one a line: lock NAME, or unlock NAME. The end of input leaves.`)
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx := context.Background()
	agent, err := client.Dial(ctx, client.Config{Socket: *socket})
	if err != nil {
		log.Fatal(err)
	}
	if err := lockd(ctx, cpg.New(agent), os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// lockd takes part until ctx ends, and leaves when there are no more commands.
func lockd(ctx context.Context, c *cpg.Client, in io.Reader, out io.Writer) error {
	m, err := c.Join(ctx, "locks", cpg.JoinConfig{Stateful: true})
	if err != nil {
		return err
	}
	defer m.Leave(context.WithoutCancel(ctx))
	go func() {
		for commands := bufio.NewScanner(in); commands.Scan(); {
			m.Send(ctx, commands.Bytes()) // an error ends Run too
		}
		m.Leave(ctx)
	}()
	err = m.Run(ctx, &locks{self: m.ID(), lines: map[string][]cpg.MemberID{}, out: out})
	if errors.Is(err, cpg.ErrClosed) {
		err = nil
	}
	return err
}
