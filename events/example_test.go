package events_test

import (
	"context"
	"fmt"
	"log"

	"github.com/moothall/moothall/events"
	"github.com/moothall/moothall/node"
)

// A program on one node of a cluster inside of this process hears what one on the
// other publishes.
func Example() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	a, b := events.New(cluster.Node(1)), events.New(cluster.Node(2))
	if err := a.CreateTopic(ctx, "orders.created", events.TopicOptions{Keep: 100}); err != nil {
		log.Fatal(err)
	}
	if _, err := a.Publish(ctx, "orders.created", 0, []byte("order 7")); err != nil {
		log.Fatal(err)
	}
	sub, err := b.Subscribe(ctx, "orders.created", events.FromFirst())
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	for m, err := range sub.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d: %s\n", m.ID, m.Data)
		break
	}
	// Output: 1: order 7
}

// Values of a type travel as JSON.
func ExampleTopic() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	c := events.New(cluster.Node(1))
	if err := c.CreateTopic(ctx, "orders", events.TopicOptions{Keep: 10}); err != nil {
		log.Fatal(err)
	}

	type order struct{ ID, Items int }
	orders := events.NewTopic(c, "orders", events.JSON[order]())
	offset, err := orders.Publish(ctx, order{ID: 7, Items: 2})
	if err != nil {
		log.Fatal(err)
	}
	sub, err := orders.Subscribe(ctx, events.FromOffset(offset))
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	item, err := sub.Recv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v, %d missed\n", item.Value, item.Missed)
	// Output: {ID:7 Items:2}, 0 missed
}
