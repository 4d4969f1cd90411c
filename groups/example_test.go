package groups_test

import (
	"context"
	"fmt"
	"log"

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
