package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/servicetest"
)

func newLocks(servicetest.NodeID) []service.Service {
	return []service.Service{&locks{lease: time.Second}}
}

func together(t *testing.T) *servicetest.Cluster {
	c := servicetest.New(t, 3, newLocks)
	c.Split(c.All())
	c.Run()
	return c
}

func events(c *servicetest.Conn) (list []string) {
	for _, e := range c.Events {
		list = append(list, [...]string{"yours: ", "lost: "}[e.Kind]+string(e.Body))
	}
	return list
}

func want(t *testing.T, c *servicetest.Conn, list ...string) {
	t.Helper()
	if got := events(c); !slices.Equal(got, list) {
		t.Errorf("got %q, want %q", got, list)
	}
}

func TestLocksAreHandedOn(t *testing.T) {
	c := together(t)
	a, b, d := c.Node(1).Open(40), c.Node(2).Open(40), c.Node(3).Open(40)
	for _, client := range []*servicetest.Conn{a, b, d} {
		client.Call(callLock, []byte("disk"))
		c.Run()
	}
	want(t, a, "yours: disk")
	want(t, b)
	a.Call(callUnlock, []byte("disk"))
	c.Run()
	want(t, b, "yours: disk")
	b.Leave() // its locks go with it
	c.Run()
	want(t, d, "yours: disk")
	c.Check()
}

func TestLocksOfANodeThatCrashed(t *testing.T) {
	c := together(t)
	a, b := c.Node(1).Open(40), c.Node(2).Open(40)
	a.Call(callLock, []byte("disk"))
	c.Run()
	b.Call(callLock, []byte("disk"))
	c.Run()
	c.Crash(1)
	c.Split(c.All())
	c.Run()
	want(t, b, "yours: disk")
}

// The timers of all nodes expire; one lease ends.
func TestLease(t *testing.T) {
	c := together(t)
	a, b, d := c.Node(1).Open(40), c.Node(2).Open(40), c.Node(3).Open(40)
	for _, client := range []*servicetest.Conn{a, b, d} {
		client.Call(callLock, []byte("disk"))
		c.Run()
	}
	c.Advance(time.Second)
	c.Run()
	want(t, a, "yours: disk", "lost: disk")
	want(t, b, "yours: disk")
	want(t, d)
	c.Check()
}

func TestShow(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out strings.Builder
	if err := show(ctx, &out); err != nil {
		t.Fatal(err)
	}
	for id := range 3 {
		if line := fmt.Sprintf("disk is locked by node %d\n", id+1); !strings.Contains(out.String(), line) {
			t.Errorf("no %q in %q", line, out.String())
		}
	}
}

func TestSwarm(t *testing.T) {
	names := []string{"disk", "network", "door"}
	servicetest.Swarm(t, 300, servicetest.Plan{Service: 40, Services: newLocks, Quorum: true,
		Call: func(rng *rand.Rand, c *servicetest.Conn) {
			c.Call(uint16(rng.IntN(2)), []byte(names[rng.IntN(len(names))]))
		},
		Check: atMostOne,
	})
}

// atMostOne wants every lock of a ring to have one holder who knows of it, at
// most.
func atMostOne(c *servicetest.Cluster) error {
	for _, n := range c.Nodes() {
		for name, k := range n.Service(40).(*locks).Lines {
			if k.Turn == 0 || len(k.Holders) == 0 {
				return fmt.Errorf("node %d: nobody's turn it is: %q %+v", n.ID(), name, k)
			}
			for i, h := range k.Holders {
				if !n.Quorum().Quorate {
					break // it holds what it held
				}
				if slices.Contains(k.Holders[:i], h) || !slices.Contains(n.Members(), h.Node) {
					return fmt.Errorf("node %d: %q %+v, members %v", n.ID(), name, k, n.Members())
				}
			}
		}
	}
	return nil
}
