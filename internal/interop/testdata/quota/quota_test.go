package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/servicetest"
)

func services(servicetest.NodeID) []service.Service { return []service.Service{newQuotas()} }

// Two sides take on; only one of them gets anything.
func TestSplit(t *testing.T) {
	c := servicetest.New(t, 3, func(id servicetest.NodeID) []service.Service {
		return append(services(id), servicetest.Quorum(3))
	})
	c.Split(c.All())
	c.Run()
	a, b := c.Node(1).Open(50), c.Node(3).Open(50)
	one := func(k *servicetest.Conn, program string, number uint64) *servicetest.Answer {
		body, err := json.Marshal(take{program, number, "disk", 600_000})
		if err != nil {
			t.Fatal(err)
		}
		answer := k.Call(callTake, body)
		c.Run()
		return answer
	}
	c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	c.Run()
	if r := one(a, "anna", 1); r.Code != service.OK || string(r.Body) != `{"Granted":true,"Used":600000}` {
		t.Errorf("%v %s", r.Code, r.Body)
	}
	if r := one(b, "bert", 1); r.Code != service.ErrAgain {
		t.Errorf("%v %s", r.Code, r.Body)
	}
	c.Split(c.All())
	c.Run()
	c.Check()
	if r := one(b, "bert", 1); r.Code != service.OK || string(r.Body) != `{"Granted":false,"Used":600000}` {
		t.Errorf("%v %s", r.Code, r.Body)
	}
	if r := one(a, "anna", 1); string(r.Body) != `{"Granted":true,"Used":600000}` {
		t.Errorf("asked again: %s", r.Body)
	}
}

func TestSwarm(t *testing.T) {
	number := map[*servicetest.Conn]uint64{}
	programs := map[*servicetest.Conn]string{}
	servicetest.Swarm(t, 200, servicetest.Plan{Service: 50, Services: services, Quorum: true,
		Call: func(rng *rand.Rand, c *servicetest.Conn) {
			if programs[c] == "" {
				programs[c] = fmt.Sprint("program ", rng.Uint64())
			}
			number[c]++
			body, err := json.Marshal(take{programs[c], number[c], "disk", 1 + rng.IntN(limit/10)})
			if err != nil {
				t.Fatal(err)
			}
			c.Call(callTake, body)
		},
		Check: func(c *servicetest.Cluster) error {
			for _, n := range c.Nodes() {
				for name, used := range n.Service(50).(*quotas).Used {
					if used > limit {
						return fmt.Errorf("node %d: %d units of %s", n.ID(), used, name)
					}
				}
			}
			return nil
		},
	})
}
