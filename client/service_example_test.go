package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/service"
)

// A program uses a service of other people, here examples/lockservice: it asks for
// a lock and waits until it is its own.
func ExampleClient_OpenNamed() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	agent, err := client.Dial(ctx, client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer agent.Close()

	locks, err := agent.OpenNamed(ctx, "locks")
	if errors.Is(err, service.ErrNotExist) {
		log.Fatal("this machine's agent runs no lock service")
	}
	if err != nil {
		log.Fatal(err)
	}
	const lock = 0
	if _, err := locks.Call(ctx, lock, []byte("disk")); err != nil {
		log.Fatal(err)
	}
	events := make([]service.Event, 1)
	if _, err := locks.Recv(ctx, events); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s is ours\n", events[0].Body)
}
