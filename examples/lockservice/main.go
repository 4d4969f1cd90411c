// Command lockservice is a service of its own: named locks that clients on all
// nodes wait for in one line. docs/tutorial-service.md builds it. An agent runs it
// by its [[service]] in moot.toml; started by hand it shows itself on three nodes
// in this process.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
	"time"

	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/remote"
)

func main() {
	if os.Getenv(remote.FDEnv) != "" { // an agent started us
		remote.Main(&locks{lease: time.Minute})
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := show(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// show has a client on each of three nodes hold one lock in turn.
func show(ctx context.Context, w io.Writer) error {
	cluster, err := node.StartCluster(ctx, 3, func() service.Service { return &locks{} })
	if err != nil {
		return err
	}
	defer cluster.Close()
	ended, out := make(chan error), log.New(w, "", 0)
	for _, n := range cluster.Nodes() {
		go func() { ended <- hold(ctx, n, out) }()
	}
	for range cluster.Nodes() {
		err = errors.Join(err, <-ended)
	}
	return err
}

// hold waits for the lock, says so, and lets it go.
func hold(ctx context.Context, n *node.Node, out *log.Logger) error {
	c, err := n.OpenNamed(ctx, "locks")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Call(ctx, callLock, []byte("disk")); err != nil {
		return err
	}
	var ev [1]service.Event
	if _, err := c.Recv(ctx, ev[:]); err != nil {
		return err
	}
	out.Printf("%s is locked by node %d", ev[0].Body, n.Self().ID)
	_, err = c.Call(ctx, callUnlock, ev[0].Body)
	return err
}
