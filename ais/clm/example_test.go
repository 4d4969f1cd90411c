package clm_test

import (
	"context"
	"fmt"
	"log"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/ais/clm"
	"github.com/moothall/moothall/node"
)

// A program follows the members of a cluster inside of this process, until one of them
// goes away.
func Example() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 3)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	var h *clm.Handle
	err = ais.Retry(ctx, func() (err error) { // until the cluster has begun
		h, err = clm.Initialize(ctx, cluster.Node(1), clm.Version)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Finalize()

	if err := h.Track(ctx, clm.Current|clm.ChangesOnly); err != nil {
		log.Fatal(err)
	}
	for ev, err := range h.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		n := ev.(clm.Notification)
		if n.Members == 3 {
			cluster.Kill(3)
		}
		for _, i := range n.Items {
			if i.Change == clm.Left {
				fmt.Printf("node %d %v\n", i.Node.ID, i.Change)
				return
			}
		}
	}
	// Output: node 3 left
}
