// Command leader says whether this node leads. At most one does that has not been
// told otherwise: the first member in a view whose nodes are a majority. One that
// was cut off learns it when its agent does; what must never happen twice needs a
// lock with fencing, or safe messages, besides.
package main

import (
	"context"
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
		fmt.Fprintln(flag.CommandLine.Output(), `usage: leader [options]
Prints who leads, whenever that changes; it reads nothing.`)
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx := context.Background()
	agent, err := client.Dial(ctx, client.Config{Socket: *socket})
	if err != nil {
		log.Fatal(err)
	}
	if err := follow(ctx, cpg.New(agent), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// follow prints who leads, whenever that changes, until ctx ends.
func follow(ctx context.Context, c *cpg.Client, out io.Writer) error {
	m, err := c.Join(ctx, "leader", cpg.JoinConfig{})
	if err != nil {
		return err
	}
	defer m.Leave(context.WithoutCancel(ctx))
	var last cpg.MemberID
	began := false
	for ev, err := range m.All(ctx) {
		if err != nil {
			return err
		}
		v, ok := ev.(cpg.View)
		if !ok {
			continue
		}
		now := leader(v)
		if began && now == last {
			continue
		}
		last, began = now, true
		switch now {
		case cpg.MemberID{}:
			fmt.Fprintln(out, "nobody leads: these nodes are no majority")
		case m.ID():
			fmt.Fprintf(out, "I lead, in ring %v\n", v.Ring)
		default:
			fmt.Fprintf(out, "node %d leads\n", now.Node)
		}
	}
	return nil
}

// leader is who leads in a view; the zero value: nobody.
func leader(v cpg.View) cpg.MemberID {
	if !v.Majority {
		return cpg.MemberID{}
	}
	return v.Members[0].ID
}
