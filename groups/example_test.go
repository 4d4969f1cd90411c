package groups_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"

	"github.com/moothall/moothall/groups"
	"github.com/moothall/moothall/node"
)

// Two providers on two nodes of a cluster inside of this process vote on a state
// value.
func Example() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	var providers []*groups.Provider
	for _, n := range cluster.Nodes() {
		p, err := groups.New(n).Join(ctx, "orders", groups.Attributes{})
		if err != nil {
			log.Fatal(err)
		}
		defer p.Goodbye(ctx)
		providers = append(providers, p)
	}
	go approve(ctx, providers[0])

	b := providers[1]
	for ev, err := range b.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		switch ev := ev.(type) {
		case groups.NPhase:
			fmt.Printf("%v proposes %s\n", ev.ProposedBy, ev.Proposed)
			err = b.Vote(ctx, groups.Approve)
		case groups.Approved:
			fmt.Printf("%v approved, members %v, state %q\n", ev.Kind, ev.Members, ev.State)
			if ev.Kind == groups.KindState {
				return
			}
			err = b.ProposeState(ctx, []byte("v2"), groups.Voted(0))
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// join approved, members [1/1 1/2], state ""
	// 1/2 proposes v2
	// state approved, members [1/1 1/2], state "v2"
}

// approve votes for whatever is proposed.
func approve(ctx context.Context, p *groups.Provider) {
	for ev, err := range p.All(ctx) {
		if err != nil {
			return
		}
		if _, ok := ev.(groups.NPhase); ok {
			if err := p.Vote(ctx, groups.Approve); err != nil {
				log.Print(err)
			}
		}
	}
}

// The providers check a value before it is the group's; who is against it says why.
func ExampleProvider_AgreeOn() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	var providers []*groups.Provider
	for _, n := range cluster.Nodes() {
		p, err := groups.New(n).Join(ctx, "settings", groups.Attributes{})
		if err != nil {
			log.Fatal(err)
		}
		defer p.Close()
		go p.Serve(ctx, groups.Handler{Vote: func(n groups.NPhase) error {
			if len(n.Proposed) > 4 && p.ID().Node == 2 {
				return fmt.Errorf("%d bytes are too many for me", len(n.Proposed))
			}
			return nil
		}})
		providers = append(providers, p)
	}
	for _, value := range []string{"blue", "crimson"} {
		got, err := providers[0].AgreeOn(ctx, []byte(value))
		if no, ok := errors.AsType[*groups.RejectedError](err); ok {
			fmt.Printf("%v rejects %s: %s\n", no.By, value, no.Reason)
		} else if err != nil {
			log.Fatal(err)
		} else {
			fmt.Printf("%v agree on %s\n", got.Members, got.State)
		}
	}
	// Output:
	// [1/1 1/2] agree on blue
	// 1/2 rejects crimson: 7 bytes are too many for me
}

// Programs on three nodes begin each round together.
func ExampleClient_Barrier() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 3)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	var all sync.WaitGroup
	for _, n := range cluster.Nodes() {
		all.Go(func() {
			b, err := groups.New(n).Barrier(ctx, "rounds", 3)
			if err != nil {
				log.Fatal(err)
			}
			defer b.Leave(ctx)
			for range 2 {
				round, err := b.Wait(ctx)
				if err != nil {
					log.Fatal(err)
				}
				if n.Self().ID == 1 {
					fmt.Printf("round %d with %d programs\n", round, len(b.Members()))
				}
			}
		})
	}
	all.Wait()
	// Output:
	// round 1 with 3 programs
	// round 2 with 3 programs
}

// The oldest candidate leads; when it has done its work, the next one does.
func ExampleClient_Lead() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	for _, n := range cluster.Nodes() {
		l, err := groups.New(n).Lead(ctx, "scheduler")
		if err != nil {
			log.Fatal(err)
		}
		defer l.Resign(ctx)
		err = l.Run(ctx, func(ctx context.Context, fence uint64) error {
			fmt.Printf("node %d leads, with a fence: %v\n", n.Self().ID, fence > 0)
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// node 1 leads, with a fence: true
	// node 2 leads, with a fence: true
}

// A subscriber sees who is in a group and what its state value is.
func ExampleClient_Subscribe() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	c := groups.New(cluster.Node(1))
	p, err := c.Join(ctx, "orders", groups.Attributes{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := c.Subscribe(ctx, "orders")
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Goodbye(ctx); err != nil {
		log.Fatal(err)
	}
	for ch, err := range s.All(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("members %v, left %v, ended %v\n", ch.Members, ch.Left, ch.Ended)
	}
	// Output:
	// members [1/1], left [], ended false
	// members [], left [1/1], ended false
	// members [], left [], ended true
	// groups: "orders": not in the group any more: the group has ended
}
