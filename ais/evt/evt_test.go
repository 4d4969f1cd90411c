package evt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/ais/evt"
	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/internal/testenv/agents"
	"github.com/moothall/moothall/node"
)

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

func TestMain(m *testing.M) { testenv.Main(m) }

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fails(t *testing.T, err error, want ais.Error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}

// bench is a cluster and sessions of its nodes.
type bench struct {
	*testing.T
	ctx      context.Context
	cluster  *node.Cluster
	sessions []session.Session
}

// all runs a test on a cluster of three, used from within and through sockets, and on
// three agents.
func all(t *testing.T, test func(b *bench)) {
	for _, carry := range []string{"embedded", "dialled"} {
		t.Run(carry, func(t *testing.T) { test(setUp(t, carry == "dialled")) })
	}
	t.Run("agents", func(t *testing.T) {
		t.Parallel()
		b, _ := onAgents(t)
		test(b)
	})
}

// onAgents has processes for the nodes, and no cluster within this one.
func onAgents(t *testing.T, sections ...string) (*bench, *agents.Hall) {
	t.Helper()
	h := agents.Start(t, 3, sections...)
	b := &bench{T: t, ctx: soon(t), sessions: make([]session.Session, 3)}
	for n := range b.sessions {
		b.dial(n+1, h.Run(n+1))
	}
	return b, h
}

// dial connects with the agent of a node.
func (b *bench) dial(n int, run string) {
	b.Helper()
	agent, err := client.Dial(b.ctx, client.Config{Socket: filepath.Join(run, node.AgentSocket)})
	must(b.T, err)
	b.Cleanup(func() { agent.Close() })
	b.sessions[n-1] = agent
}

func setUp(t *testing.T, dial bool) *bench {
	t.Helper()
	t.Parallel() // most of it is waiting for rings
	c, err := node.StartCluster(t.Context(), 3)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	b := &bench{T: t, ctx: soon(t), cluster: c}
	for _, n := range c.Nodes() {
		b.sessions = append(b.sessions, n)
		if dial {
			b.dial(int(n.Self().ID), c.RunDir(n.Self().ID))
		}
	}
	return b
}

// handle begins at a node, when that is in the primary part.
func (b *bench) handle(n int) *evt.Handle {
	b.Helper()
	var h *evt.Handle
	b.again(func() (err error) {
		h, err = evt.Initialize(b.ctx, b.sessions[n-1], evt.Version)
		return err
	})
	b.Cleanup(func() { h.Finalize() })
	return h
}

func (b *bench) open(h *evt.Handle, name string, flags evt.Flags) *evt.Channel {
	b.Helper()
	var c *evt.Channel
	b.again(func() (err error) {
		c, err = h.Open(b.ctx, name, flags)
		return err
	})
	return c
}

// again tries until the cluster can.
func (b *bench) again(do func() error) {
	b.Helper()
	must(b.T, ais.Retry(b.ctx, do))
}

func patterns(list ...string) (out [][]byte) {
	for _, p := range list {
		out = append(out, []byte(p))
	}
	return out
}

func (b *bench) publish(c *evt.Channel, a evt.Attributes, data string) evt.EventID {
	b.Helper()
	id, err := c.Publish(b.ctx, a, []byte(data))
	must(b.T, err)
	return id
}

// say publishes with the lowest priority.
func (b *bench) say(c *evt.Channel, data string, pattern ...string) evt.EventID {
	b.Helper()
	return b.publish(c, evt.Attributes{Patterns: patterns(pattern...), Priority: evt.Lowest}, data)
}

// hears receives these data.
func (b *bench) hears(h *evt.Handle, want ...string) (last evt.Delivery) {
	b.Helper()
	for _, w := range want {
		d, err := h.Recv(b.ctx)
		must(b.T, err)
		if got := string(d.Event.Data()); got != w {
			b.Errorf("%q, want %q", got, w)
		}
		last = d
	}
	return last
}

// silent finds nothing that waits; who published waited until it was ordered.
func (b *bench) silent(h *evt.Handle) {
	b.Helper()
	if d, ok, err := h.Poll(b.ctx); ok || err != nil {
		b.Errorf("%+v, %v, want nothing", d, err)
	}
}

const everything = evt.Create | evt.Publisher | evt.Subscriber

func TestScenario_24_Open(t *testing.T) {
	all(t, func(b *bench) {
		h, other := b.handle(1), b.handle(2)
		b.open(h, "first", everything)
		_, err := h.Open(b.ctx, "c", evt.Subscriber)
		fails(b.T, err, ais.ErrNotExist)
		b.open(h, "c", everything)
		b.open(other, "c", evt.Subscriber)
		_, err = h.Open(b.ctx, "c", 8)
		fails(b.T, err, ais.ErrBadFlags)
		_, err = h.Open(b.ctx, strings.Repeat("n", evt.MaxName+1), everything)
		fails(b.T, err, ais.ErrInvalidParam)
		_, err = h.Open(b.ctx, "__OC_EV_MEMB_CLASS", everything)
		fails(b.T, err, ais.ErrInvalidParam)
		_, err = h.Open(b.ctx, "", everything)
		fails(b.T, err, ais.ErrInvalidParam)
		over, cancel := context.WithDeadline(b.ctx, time.Now())
		defer cancel()
		_, err = h.Open(over, "c", everything)
		fails(b.T, err, ais.ErrTimeout)
		must(b.T, h.Finalize())
		_, err = h.Open(b.ctx, "c", everything)
		fails(b.T, err, ais.ErrBadHandle)
		_, err = h.Recv(b.ctx)
		fails(b.T, err, ais.ErrBadHandle)
		fails(b.T, h.Finalize(), ais.ErrBadHandle)
	})
}

// Names are bytes, up to 256 of them (openais-executive 5.1).
func TestNames(t *testing.T) {
	all(t, func(b *bench) {
		for _, name := range []string{strings.Repeat("\xff", evt.MaxName), "__n", "a\x00b", strings.Repeat("n", 255)} {
			h := b.handle(1)
			c := b.open(h, name, everything)
			must(b.T, c.Subscribe(b.ctx, 1))
			_, err := c.Publish(b.ctx, evt.Attributes{}, []byte("x"))
			must(b.T, err)
			d, err := h.Recv(b.ctx)
			must(b.T, err)
			if d.Channel.Name() != name || string(d.Event.Data()) != "x" {
				b.Errorf("on %q came %q of %q", name, d.Event.Data(), d.Channel.Name())
			}
			must(b.T, h.Unlink(b.ctx, name))
			_, err = h.Open(b.ctx, name, evt.Publisher)
			fails(b.T, err, ais.ErrNotExist)
		}
	})
}

func TestScenario_25_26_27_Filters(t *testing.T) {
	all(t, func(b *bench) {
		h, a := b.handle(2), b.handle(1)
		p := b.open(a, "c", everything)
		c := b.open(h, "c", evt.Subscriber)
		must(b.T, c.Subscribe(b.ctx, 1, evt.HasPrefix("ab")))
		for _, pattern := range []string{"abc", "ab", "a", "xab"} {
			b.say(p, pattern, pattern)
		}
		b.say(p, "end", "ab")
		b.hears(h, "abc", "ab", "end")
		must(b.T, c.Unsubscribe(b.ctx, 1))
		must(b.T, c.Subscribe(b.ctx, 2, evt.HasPrefix("a"), evt.Any()))
		must(b.T, c.Subscribe(b.ctx, 3, evt.HasPrefix("a"), evt.Equals("x")))
		must(b.T, c.Subscribe(b.ctx, 4, evt.Equals("b\x00cd")))
		b.say(p, "one", "a1")
		b.say(p, "other", "b\x00xy")
		b.say(p, "same", "b\x00cd")
		if d := b.hears(h, "one"); d.Subscription != 2 {
			b.Errorf("by subscription %d", d.Subscription)
		}
		if d := b.hears(h, "same"); d.Subscription != 4 || d.Channel != c {
			b.Errorf("by subscription %d", d.Subscription)
		}
	})
}

func TestScenario_28_37_TwoOpens(t *testing.T) {
	all(t, func(b *bench) {
		h := b.handle(1)
		one, two := b.open(h, "c", everything), b.open(h, "c", everything)
		for i, c := range []*evt.Channel{one, one, two, two} {
			must(b.T, c.Subscribe(b.ctx, evt.SubscriptionID(i), evt.HasPrefix("x")))
		}
		fails(b.T, two.Subscribe(b.ctx, 1), ais.ErrExist)
		fails(b.T, two.Unsubscribe(b.ctx, 9), ais.ErrNotExist)
		must(b.T, b.open(b.handle(1), "c", evt.Subscriber).Subscribe(b.ctx, 1))
		b.say(one, "x", "x")
		b.say(one, "y", "y")
		b.hears(h, "x", "x")
		b.silent(h)

		b.say(one, "again", "x") // it waits for 0 and 2, and is theirs whose turn it is then
		must(b.T, one.Unsubscribe(b.ctx, 0))
		must(b.T, two.Close(b.ctx))
		if d := b.hears(h, "again"); d.Subscription != 1 {
			b.Errorf("by subscription %d", d.Subscription)
		}
		b.silent(h)
		fails(b.T, two.Subscribe(b.ctx, 5), ais.ErrBadHandle)
		fails(b.T, two.Close(b.ctx), ais.ErrBadHandle)
	})
}

func TestScenario_29_Priorities(t *testing.T) {
	all(t, func(b *bench) {
		h := b.handle(1)
		c := b.open(h, "c", everything)
		must(b.T, c.Subscribe(b.ctx, 1))
		early, cancel := context.WithCancel(b.ctx)
		cancel()
		_, err := h.Recv(early) // it takes nothing
		if !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
		b.silent(h)
		for i := range 3 {
			b.say(c, fmt.Sprint(i))
		}
		b.publish(c, evt.Attributes{}, "urgent")
		b.hears(h, "urgent", "0", "1", "2")
		b.silent(h)
	})
}

// The queue takes 1000 events.
func TestScenario_30_31_Lost(t *testing.T) {
	b := setUp(t, false)
	h := b.handle(1)
	c := b.open(h, "c", everything)
	must(t, c.Subscribe(b.ctx, 7))
	errs := make(chan error)
	for range 20 {
		go func() {
			var err error
			for range 51 {
				if err == nil {
					_, err = c.Publish(b.ctx, evt.Attributes{Priority: evt.Lowest, Patterns: patterns("x")}, []byte("old"))
				}
			}
			errs <- err
		}()
	}
	for range 20 {
		must(t, <-errs)
	}
	b.publish(c, evt.Attributes{}, "urgent")
	lost, err := h.Recv(b.ctx)
	must(t, err)
	if a := lost.Event.Attributes(); !lost.Event.Lost() || lost.Subscription != 7 || a.Priority != evt.Highest || len(a.Patterns) != 1 || string(a.Patterns[0]) != evt.LostPattern {
		t.Errorf("%+v", lost)
	}
	b.hears(h, "urgent")
	for range 999 {
		b.hears(h, "old")
	}
	b.silent(h)
	b.say(c, "new")
	b.hears(h, "new")
}

// The same with a bound that the configuration gives, on three agents: what comes after
// the bound is lost until half of it is taken, and what is urgent takes the place of the
// newest.
func TestScenario_30_31_Configured(t *testing.T) {
	t.Parallel()
	b, _ := onAgents(t, "events {\nevt_queue: 10\n}\n")
	p, h := b.open(b.handle(2), "c", everything), b.handle(1)
	c := b.open(h, "c", everything)
	must(t, c.Subscribe(b.ctx, 7))
	burst := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint(i))
			b.say(p, list[i], "x")
		}
		b.say(c, "at the end, lost", "x") // it is answered here, behind the others
		return list[:min(n, 10)]
	}
	loss := func() {
		t.Helper()
		d, err := h.Recv(b.ctx)
		must(t, err)
		if a := d.Event.Attributes(); a.ID != evt.LostEvent || len(a.Patterns) != 1 || string(a.Patterns[0]) != evt.LostPattern || d.Subscription != 7 {
			t.Errorf("%+v %+v", d, a)
		}
	}
	sent := burst(25)
	loss()
	b.hears(h, sent[:5]...)
	b.say(c, "lost: five are left", "x")
	b.hears(h, sent[5])
	b.say(c, "new", "x")
	b.hears(h, append(sent[6:], "new")...)
	b.silent(h)

	sent = burst(25)
	b.publish(p, evt.Attributes{Patterns: patterns("x"), Priority: evt.Highest}, "urgent")
	b.say(c, "lost, too", "x")
	loss()
	b.hears(h, append([]string{"urgent"}, sent[:9]...)...)
	b.silent(h)
}

func TestScenario_32_33_Retention(t *testing.T) {
	all(t, func(b *bench) {
		a, h := b.handle(1), b.handle(3)
		p, c := b.open(a, "c", everything), b.open(h, "c", everything)
		id := b.publish(p, evt.Attributes{Retention: time.Hour, Priority: evt.Lowest, Publisher: []byte("me")}, "kept")
		must(b.T, c.Subscribe(b.ctx, 1))
		d := b.hears(h, "kept")
		if got := d.Event.Attributes(); got.ID != id || string(got.Publisher) != "me" || got.Retention != time.Hour || got.Published.IsZero() {
			b.Errorf("%+v", got)
		}
		must(b.T, c.Unsubscribe(b.ctx, 1))
		must(b.T, c.Subscribe(b.ctx, 1))
		b.silent(h)
		again := b.open(h, "c", evt.Subscriber)
		must(b.T, again.Subscribe(b.ctx, 2))
		b.hears(h, "kept")
		must(b.T, p.ClearRetention(b.ctx, id))
		fails(b.T, p.ClearRetention(b.ctx, id), ais.ErrNotExist)
		fails(b.T, p.ClearRetention(b.ctx, 1), ais.ErrInvalidParam)
		must(b.T, b.open(a, "c", evt.Subscriber).Subscribe(b.ctx, 3))
		b.silent(a)
	})
}

// When the time of an event is over, nobody gets it any more.
func TestScenario_32_Expired(t *testing.T) {
	all(t, func(b *bench) {
		h := b.handle(1)
		p := b.open(h, "c", everything)
		b.publish(p, evt.Attributes{Retention: 50 * time.Millisecond}, "short")
		testenv.Eventually(b.T, patience, "it is gone", func() (bool, any) {
			c := b.open(h, "c", evt.Subscriber)
			must(b.T, c.Subscribe(b.ctx, 1))
			_, ok, err := h.Poll(b.ctx)
			must(b.T, err)
			must(b.T, c.Close(b.ctx))
			return !ok, nil
		})
	})
}

// A node that comes anew gets what is kept, and numbers what it publishes on from
// where it was.
func TestScenario_34_39_40_Restart(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		b := setUp(t, false)
		restarted(b, func() {
			b.cluster.Kill(1)
			again, err := b.cluster.Start(b.ctx, 1)
			must(t, err)
			must(t, b.cluster.Formed(b.ctx))
			b.sessions[0] = again
		})
	})
	t.Run("agents", func(t *testing.T) {
		t.Parallel()
		b, h := onAgents(t)
		restarted(b, func() {
			h.Kill(1)
			h.Start(1)
			h.Formed()
			b.dial(1, h.Run(1))
		})
	})
}

func restarted(b *bench, restart func()) {
	h := b.handle(2)
	c := b.open(h, "c", everything)
	must(b.T, c.Subscribe(b.ctx, 1))
	p := b.open(b.handle(1), "c", evt.Publisher)
	ids := map[evt.EventID]bool{b.publish(c, evt.Attributes{Retention: time.Hour}, "kept"): true}
	b.hears(h, "kept")
	given := make(chan evt.EventID)
	for _, from := range []*evt.Channel{p, c} {
		go func() {
			for range 20 {
				id, err := from.Publish(b.ctx, evt.Attributes{}, []byte("x"))
				if err != nil {
					b.Error(err)
				}
				given <- id
			}
		}()
	}
	for range 40 {
		ids[<-given] = true
		b.hears(h, "x")
	}
	restart()
	came := b.handle(1)
	p = b.open(came, "c", evt.Publisher|evt.Subscriber)
	must(b.T, p.Subscribe(b.ctx, 1))
	b.hears(came, "kept")
	for range 3 {
		ids[b.say(p, "new")] = true
		b.hears(h, "new")
		b.hears(came, "new")
	}
	if len(ids) != 1+40+3 {
		b.Errorf("%d ids of 44 events", len(ids))
	}
}

func TestScenario_35_Unlink(t *testing.T) {
	all(t, func(b *bench) {
		a, h := b.handle(1), b.handle(2)
		old, same := b.open(h, "c", everything), b.open(h, "c", evt.Subscriber)
		must(b.T, old.Subscribe(b.ctx, 1))
		must(b.T, same.Subscribe(b.ctx, 2))
		must(b.T, a.Unlink(b.ctx, "c"))
		fails(b.T, a.Unlink(b.ctx, "c"), ais.ErrNotExist)
		_, err := a.Open(b.ctx, "c", evt.Publisher)
		fails(b.T, err, ais.ErrNotExist)
		b.say(b.open(a, "c", everything), "new")
		b.say(old, "old")
		b.hears(h, "old", "old")
		b.silent(h)
	})
}

func TestScenario_36_38_40_Events(t *testing.T) {
	all(t, func(b *bench) {
		h := b.handle(1)
		in, out := b.open(h, "c", evt.Create|evt.Subscriber), b.open(h, "c", evt.Publisher)
		_, err := in.Publish(b.ctx, evt.Attributes{}, nil)
		fails(b.T, err, ais.ErrAccess)
		fails(b.T, out.Subscribe(b.ctx, 1), ais.ErrAccess)
		must(b.T, in.Subscribe(b.ctx, 1))
		e, err := out.Allocate()
		must(b.T, err)
		if a := e.Attributes(); a.Priority != evt.Lowest || a.ID != evt.NoEvent || !a.Published.IsZero() || len(a.Patterns) != 0 {
			b.Errorf("%+v", a)
		}
		_, err = e.CopyData(nil)
		fails(b.T, err, ais.ErrBadHandle)
		fails(b.T, e.SetAttributes(evt.Attributes{Priority: 4}), ais.ErrInvalidParam)
		must(b.T, e.SetAttributes(evt.Attributes{Priority: 2, Patterns: patterns("p"), Publisher: []byte("who")}))
		must(b.T, e.SetAttributes(evt.Attributes{Priority: 1}))
		if a := e.Attributes(); a.Priority != 1 || len(a.Patterns) != 1 || string(a.Publisher) != "who" {
			b.Errorf("%+v", a)
		}
		_, err = e.Publish(b.ctx, make([]byte, evt.MaxData+1))
		fails(b.T, err, ais.ErrTooBig)
		one, err := e.Publish(b.ctx, []byte("data"))
		must(b.T, err)
		two, err := e.Publish(b.ctx, []byte("more"))
		must(b.T, err)
		if one == two {
			b.Errorf("both are %x", one)
		}
		got := b.hears(h, "data").Event
		fails(b.T, got.SetAttributes(evt.Attributes{}), ais.ErrAccess)
		short, exact := make([]byte, 2), make([]byte, 4)
		for _, dst := range [][]byte{nil, short} {
			n, err := got.CopyData(dst)
			fails(b.T, err, ais.ErrNoSpace)
			if n != 4 {
				b.Errorf("%d bytes", n)
			}
		}
		n, err := got.CopyData(exact)
		must(b.T, err)
		if n != 4 || string(exact) != "data" || !bytes.Equal(short, exact[:2]) {
			b.Errorf("%d bytes, %q, %q", n, exact, short)
		}
		must(b.T, got.Free())
		fails(b.T, got.Free(), ais.ErrBadHandle)
	})
}

// A part without quorum takes no calls, and nothing gets lost of what is open there.
func TestScenario_15_Partition(t *testing.T) {
	b := setUp(t, false)
	a, h := b.handle(1), b.handle(3)
	p, c := b.open(a, "c", everything), b.open(h, "c", everything)
	must(t, c.Subscribe(b.ctx, 1))
	b.say(p, "before")
	got, own := b.hears(h, "before").Event, allocated(t, c)
	b.cluster.Split([]ais.NodeID{1, 2}, []ais.NodeID{3})
	must(t, b.cluster.Node(3).AwaitRing(b.ctx, []ais.NodeID{3}))
	testenv.Eventually(t, patience, "the membership is not certain", func() (bool, any) {
		err := c.Subscribe(b.ctx, 2)
		if err == nil {
			must(t, c.Unsubscribe(b.ctx, 2))
		}
		return errors.Is(err, ais.ErrTryAgain), err
	})
	for what, call := range map[string]func() error{
		"initialize":     func() error { _, err := evt.Initialize(b.ctx, b.sessions[2], evt.Version); return err },
		"open":           func() error { _, err := h.Open(b.ctx, "c", everything); return err },
		"unlink":         func() error { return h.Unlink(b.ctx, "c") },
		"close":          func() error { return c.Close(b.ctx) },
		"unsubscribe":    func() error { return c.Unsubscribe(b.ctx, 1) },
		"clear":          func() error { return c.ClearRetention(b.ctx, 1<<32|2000) },
		"allocate":       func() error { _, err := c.Allocate(); return err },
		"publish":        func() error { _, err := c.Publish(b.ctx, evt.Attributes{}, nil); return err },
		"publish again":  func() error { _, err := own.Publish(b.ctx, nil); return err },
		"set attributes": func() error { return own.SetAttributes(evt.Attributes{}) },
		"copy data":      func() error { _, err := got.CopyData(make([]byte, 9)); return err },
		"free":           func() error { return got.Free() },
	} {
		if err := call(); !errors.Is(err, ais.ErrTryAgain) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// What the library sees by itself comes first, and what has no error answers.
	fails(t, got.SetAttributes(evt.Attributes{}), ais.ErrAccess)
	fails(t, own.SetAttributes(evt.Attributes{Priority: 9}), ais.ErrInvalidParam)
	fails(t, c.Unsubscribe(b.ctx, 7), ais.ErrNotExist)
	if string(got.Data()) != "before" || got.Attributes().ID == evt.NoEvent {
		t.Errorf("%q, %+v", got.Data(), got.Attributes())
	}
	b.silent(h)
	b.cluster.Heal()
	must(t, b.cluster.Formed(b.ctx))
	b.again(func() error {
		_, err := p.Publish(b.ctx, evt.Attributes{Priority: evt.Lowest}, []byte("together"))
		return err
	})
	b.hears(h, "together")
}

func allocated(t *testing.T, c *evt.Channel) *evt.Event {
	t.Helper()
	e, err := c.Allocate()
	must(t, err)
	return e
}

// Who waits up to a deadline asked for nothing that may have happened.
func TestRecv_Deadline(t *testing.T) {
	b := setUp(t, false)
	h := b.handle(1)
	for range 2 {
		early, cancel := context.WithDeadline(b.ctx, time.Now().Add(-time.Second))
		defer cancel()
		if _, err := h.Recv(early); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ais.ErrTimeout) {
			t.Error(err)
		}
		if _, _, err := h.Poll(early); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ais.ErrTimeout) {
			t.Error(err)
		}
	}
	b.silent(h)
}

func TestScenario_23_Version(t *testing.T) {
	for _, want := range []ais.Version{{Release: 'B', Major: 9, Minor: 9}, {Release: 'Z', Major: 1, Minor: 1}} {
		_, err := evt.Initialize(t.Context(), nil, want)
		fails(t, err, ais.ErrVersion)
		if v, ok := errors.AsType[*ais.VersionError](err); !ok || v.Supported != evt.Version {
			t.Error(err)
		}
	}
}
