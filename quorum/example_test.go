package quorum_test

import (
	"context"
	"fmt"
	"log"

	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/quorum"
)

// A node of a cluster inside of this process loses the others.
func ExampleClient_Watch() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 3)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	for d, err := range quorum.New(cluster.Node(1)).Watch(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		switch {
		case len(d.Members) == 3:
			fmt.Println(d.Why)
			cluster.Kill(2)
			cluster.Kill(3)
		case len(d.Members) == 1:
			fmt.Println(d.Why)
			return
		}
	}
	// Output:
	// quorate: 3 votes are here of 3 expected, 2 needed
	// not quorate: 1 vote is here of 3 expected, 2 needed
}
