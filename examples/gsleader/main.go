// Command gsleader elects a leader with Group Services: the oldest provider of the
// group demo, which writes itself into the group's state value, for whoever subscribes
// to that. examples/gsleader-c/leader.c takes part in the same election.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/groups"
)

func main() {
	ctx := context.Background()
	agent, err := client.Dial(ctx, client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(elect(ctx, groups.New(agent), os.Stdout))
}

// elect takes part until ctx ends, and prints each new record of who leads.
func elect(ctx context.Context, c *groups.Client, out io.Writer) error {
	p, err := c.Join(ctx, "demo", groups.Attributes{Phases: groups.NPhases, Batch: groups.BatchBoth, DefaultVote: groups.Approve, TimeLimit: 10 * time.Second})
	if err != nil {
		return err
	}
	defer p.Goodbye(context.WithoutCancel(ctx))
	record := ""
	for ev, err := range p.All(ctx) {
		if err != nil {
			return err
		}
		if _, ok := ev.(groups.NPhase); ok { // somebody wants to come, or is gone
			err = p.Vote(ctx, groups.Approve)
		}
		if s := string(p.State()); s != record {
			record = s
			fmt.Fprintf(out, "%s leads\n", record)
		}
		if m := p.Members(); err == nil && len(m) > 0 && m[0] == p.ID() && record != p.ID().String() {
			err = p.ProposeState(ctx, []byte(p.ID().String()))
		}
		if err != nil && !errors.Is(err, groups.Collide) { // that is tried again after the next event
			return err
		}
	}
	return nil
}
