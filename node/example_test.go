package node_test

import (
	"context"
	"fmt"
	"log"

	"github.com/moothall/moothall/node"
)

// A whole cluster inside of this process, for tests and to try things out.
func ExampleStartCluster() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 3)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	st := cluster.Node(1).Status()
	fmt.Println("ring of", st.Ring.Members, "quorate:", st.Quorum.Quorate)
	fmt.Println(st.Quorum.Votes, "of", st.Quorum.Expected, "votes,", st.Quorum.Needed, "are needed")
	// Output:
	// ring of [1 2 3] quorate: true
	// 3 of 3 votes, 2 are needed
}
