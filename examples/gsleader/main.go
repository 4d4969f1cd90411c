// Command gsleader elects a leader with Group Services: the oldest provider of the
// group demo.elect, which writes its node and instance into the group's state value,
// for whoever subscribes to that. Programs in C may be in the same election.
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
	p, err := c.Join(ctx, "demo.elect", groups.Attributes{Version: 1, Phases: groups.NPhases, Batch: groups.BatchBoth,
		DefaultVote: groups.Approve, TimeLimit: 10 * time.Second})
	if err != nil {
		return err
	}
	defer p.Goodbye(context.WithoutCancel(ctx))
	own := fmt.Sprintf("%d/%d", p.ID().Node, p.ID().Instance)
	for ev, err := range p.All(ctx) {
		switch ev := ev.(type) {
		case nil:
			return err
		case groups.NPhase:
			err = p.Vote(ctx, groups.Approve) // whoever wants to come, and whoever is gone
		case groups.Approved:
			if ev.Changed&groups.UpdatedState != 0 {
				fmt.Fprintf(out, "%s leads\n", ev.State)
			}
		}
		if m := p.Members(); err == nil && len(m) > 0 && m[0] == p.ID() && string(p.State()) != own {
			err = p.ProposeState(ctx, []byte(own))
		}
		if err != nil && !errors.Is(err, groups.Collide) { // that is tried again after the next event
			return err
		}
	}
	return nil
}
