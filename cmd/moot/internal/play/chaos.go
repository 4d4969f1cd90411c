package play

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// chaos breaks the cluster at random while everybody speaks.
type chaos struct {
	*Cluster
	rnd *rand.Rand
}

// Chaos breaks a cluster at random for a while, then heals it and compares what
// all programs saw. The seed decides what is done; what comes of it depends on
// the machine too, so a run cannot be repeated exactly.
func Chaos(ctx context.Context, w io.Writer, colour bool, o Options, seed uint64, d time.Duration) (err error) {
	tell := newNarrator(w, style{colour})
	c, err := New(o, tell)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	tell.say("Chaos for %v with seed %d: %s speak all the time.\n", d, seed, nameList(idsOf(c.nodes)))
	x := &chaos{c, rand.New(rand.NewPCG(seed, 0))}
	if err := c.startAll(ctx); err != nil {
		return err
	}
	speaking, quiet := context.WithCancel(ctx)
	defer quiet()
	var speakers sync.WaitGroup
	speakers.Go(func() { x.speak(speaking) })
	end := time.After(d)
	for running := true; running; {
		if err := x.act(ctx); err != nil {
			return err
		}
		select {
		case <-end:
			running = false
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(50+x.rnd.IntN(1500)) * time.Millisecond):
		}
	}
	err = x.recover(ctx)
	quiet()
	speakers.Wait()
	tell.flush()
	return errors.Join(err, report(tell, c.Check(ctx)))
}

// speak lets every program that runs send a message every few milliseconds. A
// program that has to wait for room does not keep the others.
func (x *chaos) speak(ctx context.Context) {
	var busy sync.Map
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	var sending sync.WaitGroup
	defer sending.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		x.mu.Lock()
		var programs []*program
		for _, m := range x.nodes {
			if m.program != nil {
				programs = append(programs, m.program)
			}
		}
		x.mu.Unlock()
		for _, p := range programs {
			if _, waits := busy.LoadOrStore(p, true); waits {
				continue
			}
			sending.Go(func() {
				defer busy.Delete(p)
				// A program that is killed meanwhile cannot send; the check knows.
				_ = p.send(ctx, "")
			})
		}
	}
}

// act does one thing to the cluster.
func (x *chaos) act(ctx context.Context) error {
	m := x.nodes[x.rnd.IntN(len(x.nodes))]
	other := x.nodes[x.rnd.IntN(len(x.nodes))]
	switch n := x.rnd.IntN(10); {
	case m.node == nil:
		x.tell.act("start %s", m.name)
		return x.Start(ctx, m)
	case m.resume != nil:
		x.tell.act("resume %s", m.name)
		return x.Resume(m)
	case n < 2:
		x.tell.act("kill %s", m.name)
		return x.Kill(m)
	case n < 3:
		x.tell.act("stop %s in its place", m.name)
		return x.Pause(m)
	case n < 4:
		x.tell.act("%s leaves", m.name)
		leaving, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return x.Leave(leaving, m)
	case n < 6 && other != m:
		x.tell.act("cut between %s and %s", m.name, other.name)
		x.faults.between(m.id, other.id)
	case n < 7:
		x.tell.act("cut %s off", m.name)
		for _, o := range x.nodes {
			if o != m {
				x.faults.between(m.id, o.id)
			}
		}
	case x.faults.any():
		x.tell.act("heal the network")
		x.faults.heal()
	}
	return nil
}

// recover repairs everything and waits for one ring.
func (x *chaos) recover(ctx context.Context) error {
	x.tell.act("repair everything")
	x.faults.heal()
	for _, m := range x.nodes {
		if m.resume != nil {
			if err := x.Resume(m); err != nil {
				return err
			}
		}
		if m.node == nil {
			if err := x.Start(ctx, m); err != nil {
				return err
			}
		}
	}
	if err := x.wait(ctx, 2*patience, fmt.Sprintf("a ring of %s", nameList(idsOf(x.nodes))), x.settled(x.nodes)); err != nil {
		return err
	}
	x.tell.flush()
	return nil
}
