package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/cpg"
)

// A program on a machine that runs an agent joins a process group.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	agent, err := client.Dial(ctx, client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer agent.Close()

	m, err := cpg.New(agent).Join(ctx, "greetings", cpg.JoinConfig{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := m.Send(ctx, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	for ev, err := range m.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if msg, ok := ev.(cpg.Message); ok {
			fmt.Printf("%d: %s\n", msg.From.Node, msg.Body)
		}
	}
}
