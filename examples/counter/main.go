// Command counter counts on all nodes together: numbers that it reads are added
// to one sum, which is the same everywhere. Who comes later gets the sum from
// those who have it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/cpg"
)

func main() {
	socket := flag.String("socket", "", "socket of the agent (default: MOOTHALL_SOCKET, or agent.sock in MOOTHALL_RUN_DIR, or "+client.DefaultSocket+")")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), `usage: counter [options]
Type numbers, one a line, such as 5 or -2; all who run it add them to one sum.`)
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx := context.Background()
	agent, err := client.Dial(ctx, client.Config{Socket: *socket})
	if err != nil {
		log.Fatal(err)
	}
	if err := count(ctx, cpg.New(agent), os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// counter is a machine: a state that changes by messages alone.
type counter struct {
	sum int64
	out io.Writer
}

// Apply adds.
func (c *counter) Apply(m cpg.Message) {
	var n int64
	if json.Unmarshal(m.Body, &n) == nil {
		c.sum += n
		fmt.Fprintf(c.out, "%+d makes %d\n", n, c.sum)
	}
}

// SetView tells who counts.
func (c *counter) SetView(v cpg.View) { fmt.Fprintf(c.out, "%d counters\n", len(v.Members)) }

// Snapshot gives the sum.
func (c *counter) Snapshot() (io.ReadCloser, error) { return cpg.JSON(c.sum) }

// Restore takes another one.
func (c *counter) Restore(r io.Reader) error {
	c.sum = 0
	err := cpg.FromJSON(r, &c.sum)
	fmt.Fprintf(c.out, "the sum so far is %d\n", c.sum)
	return err
}

// count takes part until ctx ends.
func count(ctx context.Context, c *cpg.Client, in io.Reader, out io.Writer) error {
	m, err := c.Join(ctx, "counter", cpg.JoinConfig{Stateful: true})
	if err != nil {
		return err
	}
	defer m.Leave(context.WithoutCancel(ctx))
	go func() {
		for lines := bufio.NewScanner(in); lines.Scan(); {
			n, err := strconv.ParseInt(strings.TrimSpace(lines.Text()), 10, 64)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%q is no number\n", lines.Text())
				continue
			}
			m.Send(ctx, strconv.AppendInt(nil, n, 10)) // an error ends Run too
		}
	}()
	return m.Run(ctx, &counter{out: out})
}
