package cpg_test

import (
	"context"
	"fmt"
	"log"

	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/node"
)

// Two members of one process group, on two nodes of a cluster inside of this
// process, get the same messages in the same order.
func Example() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	var members []*cpg.Member
	for _, n := range cluster.Nodes() {
		m, err := cpg.New(n).Join(ctx, "greetings", cpg.JoinConfig{})
		if err != nil {
			log.Fatal(err)
		}
		defer m.Leave(ctx)
		members = append(members, m)
	}
	members[0].Send(ctx, []byte("hello"))
	for ev, err := range members[1].All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		switch ev := ev.(type) {
		case cpg.View:
			fmt.Printf("%d members, quorate: %v\n", len(ev.Members), ev.Quorate)
		case cpg.Message:
			fmt.Printf("node %d says %s\n", ev.From.Node, ev.Body)
			return
		}
	}
	// Output:
	// 2 members, quorate: true
	// node 1 says hello
}

// A message is safe when all nodes of its configuration have it.
func ExampleMember_SendSafe() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 3)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	m, err := cpg.New(cluster.Node(1)).Join(ctx, "orders", cpg.JoinConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Leave(ctx)

	where, err := m.SendSafe(ctx, []byte("pay"))
	if err != nil {
		log.Fatal(err) // it may be delivered all the same
	}
	fmt.Println("safe at", where.Members, "before any of them went away:", !where.Transitional)
	// Output: safe at [1 2 3] before any of them went away: true
}
