package servicetest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"time"

	"github.com/moothall/moothall/service"
)

// Plan says what a Swarm does with a service.
type Plan struct {
	// Nodes is the largest number of nodes of a cluster; 4 if zero.
	Nodes int
	// Steps is how many things happen in one plan; 80 if zero.
	Steps int
	// Seed is the first one; the next ones follow.
	Seed uint64
	// Service is the service that clients open.
	Service uint16
	// Services makes those of a node, anew at each of its starts.
	Services func(NodeID) []service.Service
	// Quorum gives each node a vote: a ring without a majority of the nodes is not the
	// primary component. Without it every ring is.
	Quorum bool
	// Call makes one call or more on a connection; it draws all that is random from
	// rng.
	Call func(rng *rand.Rand, c *Conn)
	// Check, if not nil, looks at a cluster in which nothing moves any more and whose
	// replicas agree; an error ends the test.
	Check func(c *Cluster) error
}

// Swarm runs that many plans, one a seed. At the end of each one, and at times in
// between, the services of the members of a ring must dump the same
// (service.Dumper), and a second run of the plan must come to the same events and
// dumps. A failure names the seed: with Plan.Seed it comes again.
func Swarm(t T, plans int, p Plan) {
	t.Helper()
	p.Nodes, p.Steps = cmp.Or(p.Nodes, 4), cmp.Or(p.Steps, 80)
	for i := range uint64(plans) {
		seed := p.Seed + i
		st := seeded{t, seed}
		first, second := p.run(st, seed), p.run(st, seed)
		if !bytes.Equal(first, second) {
			st.Fatalf("two runs of one plan came to different events or states: the service looks at the clock, at random numbers or at the order of a map")
		}
	}
}

// seeded says which plan failed.
type seeded struct {
	T
	seed uint64
}

func (s seeded) Fatalf(format string, args ...any) {
	s.Helper()
	s.T.Fatalf("plan of seed %d: %s", s.seed, fmt.Sprintf(format, args...))
}

// plan is one run.
type plan struct {
	*Plan
	t     T
	rng   *rand.Rand
	c     *Cluster
	conns []*Conn
	sum   hash.Hash
}

// run is one plan; the result stands for all that clients and people saw.
func (p *Plan) run(t T, seed uint64) []byte {
	t.Helper()
	r := plan{Plan: p, t: t, rng: rand.New(rand.NewPCG(seed, 0x5eed)), sum: sha256.New()}
	n := 1 + r.rng.IntN(p.Nodes)
	r.c = New(t, n, func(id NodeID) []service.Service {
		list := p.Services(id)
		if p.Quorum {
			list = append(list, Quorum(n))
		}
		return list
	})
	r.c.Cut = r.rng.IntN
	for range p.Steps {
		r.act()
		for range r.rng.IntN(30) {
			r.c.Step(r.rng.IntN)
		}
	}
	for id := range r.c.Size() {
		if n := r.c.Node(NodeID(id + 1)); !n.Up() {
			r.c.Restart(n.ID())
		} else {
			n.Full = false
		}
	}
	r.c.Split(r.c.All())
	r.quiet()
	return r.sum.Sum(nil)
}

// act does one thing to the cluster.
func (r *plan) act() {
	n := r.c.Node(NodeID(1 + r.rng.IntN(r.c.Size())))
	switch r.rng.IntN(16) {
	case 0, 1:
		r.split()
	case 2:
		r.c.Split(r.c.All())
	case 3:
		r.crash(n)
	case 4:
		if n.Up() {
			n.Full = !n.Full
		}
	case 5:
		r.c.Advance(time.Duration(r.rng.IntN(5000)) * time.Millisecond)
	case 6:
		if len(r.conns) > 0 {
			if c := r.conns[r.rng.IntN(len(r.conns))]; c.Open() {
				c.Leave()
			}
		}
	case 7:
		for _, n := range r.c.Nodes() {
			n.Full = false
		}
		r.quiet()
	case 8, 9:
		if n.Up() {
			r.conns = append(r.conns, n.Open(r.Service))
		}
	default:
		if len(r.conns) > 0 {
			if c := r.conns[r.rng.IntN(len(r.conns))]; c.Open() {
				r.Call(r.rng, c)
			}
		}
	}
}

// split makes two rings, at random.
func (r *plan) split() {
	var a, b []NodeID
	for _, id := range r.c.All() {
		if r.rng.IntN(2) == 0 {
			a = append(a, id)
		} else {
			b = append(b, id)
		}
	}
	r.c.Split(a, b)
}

// crash ends a node, and the others go on without it; or starts it again.
func (r *plan) crash(n *Node) {
	if !n.Up() {
		r.c.Restart(n.ID())
		return
	}
	if len(r.c.All()) > 1 {
		r.c.Crash(n.ID())
		r.c.Split(r.c.All())
	}
}

// quiet waits until nothing moves and looks.
func (r *plan) quiet() {
	r.t.Helper()
	r.c.Run()
	r.c.Check()
	if r.Check != nil {
		if err := r.Check(r.c); err != nil {
			r.t.Fatalf("%v", err)
		}
	}
	for _, n := range r.c.Nodes() {
		fmt.Fprintf(r.sum, "node %d\n", n.ID())
		d, ok := n.Service(r.Service).(service.Dumper)
		if !ok {
			r.t.Fatalf("service %d dumps nothing, so there is nothing to compare: give it a method Dump", r.Service)
		}
		d.Dump(r.sum)
	}
	for i, c := range r.conns {
		for _, e := range c.Events {
			fmt.Fprintf(r.sum, "client %d: %d %q\n", i, e.Kind, e.Body)
		}
	}
}
