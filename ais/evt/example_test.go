package evt_test

import (
	"context"
	"fmt"
	"log"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/ais/evt"
	"github.com/moothall/moothall/node"
)

// One program publishes on a channel, another on a second node of a cluster inside of
// this process gets what matches.
func Example() {
	ctx := context.Background()
	cluster, err := node.StartCluster(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	var channels []*evt.Channel
	var subscriber *evt.Handle
	for _, n := range cluster.Nodes() {
		var h *evt.Handle
		err := ais.Retry(ctx, func() (err error) { // until the cluster has begun
			h, err = evt.Initialize(ctx, n, evt.Version)
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
		defer h.Finalize()
		var c *evt.Channel
		err = ais.Retry(ctx, func() (err error) {
			c, err = h.Open(ctx, "alarms", evt.Create|evt.Publisher|evt.Subscriber)
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
		channels, subscriber = append(channels, c), h
	}
	if err := channels[1].Subscribe(ctx, 7, evt.HasPrefix("disk")); err != nil {
		log.Fatal(err)
	}
	for _, what := range []string{"fan 2", "disk 5"} {
		a := evt.Attributes{Patterns: [][]byte{[]byte(what)}, Publisher: []byte("watcher")}
		if _, err := channels[0].Publish(ctx, a, []byte(what+" is broken")); err != nil {
			log.Fatal(err)
		}
	}
	d, err := subscriber.Recv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d: %s says that %s\n", d.Subscription, d.Event.Attributes().Publisher, d.Event.Data())
	// Output: 7: watcher says that disk 5 is broken
}
