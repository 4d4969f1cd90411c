package events_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/events"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// soon ends after everything else of the test.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}

func cluster(t *testing.T, n int) *node.Cluster {
	t.Helper()
	c, err := node.StartCluster(t.Context(), n)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func embedded(_ *testing.T, c *node.Cluster, id config.NodeID) session.Session { return c.Node(id) }

func dialled(t *testing.T, c *node.Cluster, id config.NodeID) session.Session {
	t.Helper()
	agent, err := client.Dial(t.Context(), client.Config{Socket: filepath.Join(c.RunDir(id), node.AgentSocket)})
	must(t, err)
	t.Cleanup(func() { agent.Close() })
	return agent
}

func register(t *testing.T, c *events.Client, class string, opts ...events.Option) *events.Registration {
	t.Helper()
	r, err := c.Register(soon(t), class, opts...)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func subscribe(t *testing.T, c *events.Client, topic string, opts ...events.Option) *events.Subscription {
	t.Helper()
	s, err := c.Subscribe(soon(t), topic, opts...)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// known waits until a node knows a topic: it creates it before it tells.
func known(t *testing.T, c *events.Client, topic string) {
	t.Helper()
	testenv.Eventually(t, time.Minute, "the node knows topic "+topic, func() (bool, any) {
		_, err := c.Topic(t.Context(), topic)
		return err == nil, err
	})
}

// created makes a topic that all clients know.
func created(t *testing.T, topic string, o events.TopicOptions, clients ...*events.Client) {
	t.Helper()
	must(t, clients[0].CreateTopic(soon(t), topic, o))
	for _, c := range clients {
		known(t, c, topic)
	}
}

// show writes an event as the scenarios do.
func show(ev events.Event) string {
	list := func(nodes []events.Node) string {
		var out []string
		for _, n := range nodes {
			out = append(out, fmt.Sprintf("%d@%d", n.ID, n.BornOn))
		}
		return strings.Join(out, " ")
	}
	switch ev := ev.(type) {
	case events.Membership:
		if ev.Kind == events.Evicted {
			return "evicted"
		}
		return fmt.Sprintf("%v %d; %s; %s; %s", ev.Kind, ev.Seq, list(ev.Members), list(ev.In), list(ev.Out))
	case events.Join:
		return fmt.Sprint("join ", ev.Process.Node)
	case events.Leave:
		return fmt.Sprint("leave ", ev.Process.Node)
	case events.Cast:
		return fmt.Sprintf("cast %d %s re %d", ev.Number, ev.Data, ev.Re)
	}
	return fmt.Sprintf("%+v", ev)
}

// expect receives events and compares.
func expect(t *testing.T, r *events.Registration, want ...string) {
	t.Helper()
	for _, w := range want {
		ev, err := r.Recv(soon(t))
		must(t, err)
		if got := show(ev); got != w {
			t.Fatalf("%s, want %s", got, w)
		}
	}
}

// Scenarios 1, 2, 4, 6, 7, 14: what a client that registers sees, and what it may do.
func TestRegister(t *testing.T) {
	c := cluster(t, 1)
	for name, carry := range map[string]func(*testing.T, *node.Cluster, config.NodeID) session.Session{"embedded": embedded, "dialled": dialled} {
		t.Run(name, func(t *testing.T) {
			a := events.New(carry(t, c, 1))
			defer a.Close()
			r := register(t, a, events.MembershipClass, events.WithAck())
			ev, err := r.Recv(soon(t))
			must(t, err)
			if show(ev) != "new 1; 1@1; 1@1; " || ev.ID() != 0x00800001 {
				t.Errorf("%s %x", show(ev), ev.ID())
			}
			must(t, r.Done(ev))
			is(t, r.Done(ev), syscall.EINVAL)
			is(t, r.Done(nil), events.ErrInvalid)
			is(t, r.Done(events.Membership{}), events.ErrInvalid)
			for _, bad := range []string{"", "__OTHER", strings.Repeat("x", 200), "a\x00b"} {
				_, err := a.Register(t.Context(), bad)
				is(t, err, syscall.EINVAL)
				_, err = a.Subscribe(t.Context(), bad)
				is(t, err, syscall.EINVAL)
				is(t, a.CreateTopic(t.Context(), bad, events.TopicOptions{}), syscall.EINVAL)
			}
			_, err = a.Register(t.Context(), "g", events.FromFirst())
			is(t, err, events.ErrInvalid)
			_, err = a.Subscribe(t.Context(), "t", events.WithAck())
			is(t, err, events.ErrInvalid)
			_, err = a.Subscribe(t.Context(), "unknown")
			is(t, err, events.ErrNoTopic)
			is(t, err, syscall.EINVAL)
			must(t, r.Close())
			_, err = r.Recv(t.Context())
			is(t, err, events.ErrClosed)
		})
	}
}

// The next event comes when the one before is done, and no earlier (M7).
func TestWithAck(t *testing.T) {
	a := events.New(cluster(t, 1).Node(1))
	r := register(t, a, "g", events.WithAck())
	join, err := r.Recv(soon(t))
	must(t, err)
	_, err = a.Publish(soon(t), "g", 0, []byte("x"))
	must(t, err)
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Recv(now); !errors.Is(err, context.Canceled) {
		t.Errorf("an event before Done: %v", err)
	}
	must(t, r.Done(join))
	cast, err := r.Recv(soon(t))
	must(t, err)
	is(t, r.Done(join), events.ErrInvalid)
	must(t, r.Done(cast))
}

// Scenarios 2, 3, 5, 8, 9, 32a: changes, and partitions.
func TestMembership(t *testing.T) {
	c := cluster(t, 3)
	must(t, c.Formed(t.Context()))
	a, b, x := events.New(c.Node(1)), events.New(embedded(t, c, 2)), events.New(dialled(t, c, 3))
	all := []*events.Registration{register(t, a, events.MembershipClass), register(t, b, events.MembershipClass), register(t, x, events.MembershipClass)}

	// All meet at some Seq; the lists are the same everywhere.
	var s uint32
	var now string
	for i, r := range all {
		for {
			ev, err := r.Recv(soon(t))
			must(t, err)
			if m := ev.(events.Membership); len(m.Members) == 3 && m.Kind == events.NewMembership {
				if i > 0 && (m.Seq != s || show(m) != now) {
					t.Fatalf("%s at one, %s at another", now, show(m))
				}
				s, now = m.Seq, show(m)
				break
			}
		}
	}
	created(t, "t", events.TopicOptions{}, a, b, x)
	_, err := a.Publish(soon(t), "t", 0, nil)
	must(t, err)

	// The third is cut off: the others go on, it waits, and is evicted when they meet.
	c.Split([]config.NodeID{1, 2}, []config.NodeID{3})
	for _, r := range all[:2] {
		ev, err := r.Recv(soon(t))
		must(t, err)
		if m := ev.(events.Membership); m.Seq != s+1 || len(m.Members) != 2 || len(m.In) != 0 || len(m.Out) != 1 || m.Out[0].ID != 3 {
			t.Errorf("%s", show(ev))
		}
	}
	ev, err := all[2].Recv(soon(t))
	must(t, err)
	if got := strings.Replace(show(ev), "not-primary", "new", 1); got != now {
		t.Errorf("%s, want %s", got, now)
	}
	_, err = x.Publish(soon(t), "t", 0, nil)
	is(t, err, syscall.EAGAIN)
	id, err := a.Publish(soon(t), "t", 0, nil)
	if err != nil || id != 2 {
		t.Errorf("%d %v", id, err)
	}
	c.Heal()
	expect(t, all[2], "evicted")
	_, err = all[2].Recv(soon(t))
	is(t, err, events.ErrEvicted)
	for _, r := range all[:2] {
		ev, err := r.Recv(soon(t))
		must(t, err)
		if m := ev.(events.Membership); m.Seq != s+2 || len(m.In) != 1 || m.In[0].ID != 3 || m.In[0].BornOn != s+2 || m.Members[2].ID != 3 {
			t.Errorf("%s", show(ev))
		}
	}

	// The program that was thrown out may register anew.
	again := register(t, x, events.MembershipClass)
	ev, err = again.Recv(soon(t))
	must(t, err)
	if m := ev.(events.Membership); m.Seq != s+2 {
		t.Errorf("%s", show(ev))
	}
}

// Scenario 20: a group needs no administrator; all in it see one interleaving, from
// their own entry on.
func TestGroup(t *testing.T) {
	c := cluster(t, 2)
	a, b := events.New(c.Node(1)), events.New(dialled(t, c, 2))
	ra := register(t, a, "g")
	expect(t, ra, "join 1")
	rb := register(t, b, "g")
	expect(t, rb, "join 2")
	known(t, a, "g")
	watch := subscribe(t, a, "g")
	first, err := b.Publish(soon(t), "g", 0, []byte("x"))
	must(t, err)
	_, err = b.Publish(soon(t), "g", first, []byte("y"))
	must(t, err)
	want := []string{fmt.Sprintf("cast %d x re 0", first), fmt.Sprintf("cast %d y re %d", first+1, first)}
	expect(t, ra, append([]string{"join 2"}, want...)...)
	expect(t, rb, want...)
	if m, err := watch.Recv(soon(t)); err != nil || string(m.Data) != "x" || m.From.Node != 2 {
		t.Errorf("%+v %v", m, err)
	}
	info, err := a.Topic(soon(t), "g")
	if err != nil || info.Created || len(info.Members) != 2 {
		t.Errorf("%+v %v", info, err)
	}
	must(t, rb.Close())
	expect(t, ra, "leave 2")
}

// Also makes one stream of several classes.
func TestAlso(t *testing.T) {
	c := cluster(t, 1)
	a := events.New(c.Node(1))
	r := register(t, a, events.MembershipClass, events.Also("g", "h", events.ConnectivityClass))
	expect(t, r, "new 1; 1@1; 1@1; ", "join 1", "join 1")
	_, err := a.Publish(soon(t), "h", 0, []byte("x"))
	must(t, err)
	expect(t, r, "cast 1 x re 0")
}

// Scenarios 24, 25, 32: several publish at once, all see one order.
func TestTopic(t *testing.T) {
	c := cluster(t, 3)
	clients := []*events.Client{events.New(c.Node(1)), events.New(dialled(t, c, 2)), events.New(c.Node(3))}
	created(t, "t", events.TopicOptions{}, clients...)
	var subs []*events.Subscription
	for _, c := range clients {
		subs = append(subs, subscribe(t, c, "t"))
	}
	const each = 50
	var all sync.WaitGroup
	ctx := soon(t)
	for i, c := range clients {
		all.Go(func() {
			for range each {
				if _, err := c.Publish(ctx, "t", 7, fmt.Append(nil, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var orders []string
	for _, s := range subs {
		var order []byte
		for n := range int32(len(clients) * each) {
			m, err := s.Recv(ctx)
			must(t, err)
			if m.Seq != n+1 || m.ID != m.Seq || m.Re != 7 || m.Missed != 0 {
				t.Fatalf("%+v", m)
			}
			order = append(order, m.Data...)
		}
		orders = append(orders, string(order))
	}
	all.Wait()
	if orders[0] != orders[1] || orders[0] != orders[2] {
		t.Errorf("orders differ: %s", orders)
	}
	_, err := clients[0].Publish(ctx, "t", 0, make([]byte, 64<<10+1))
	is(t, err, syscall.EMSGSIZE)
}

// Scenario 32b: what was queued comes, then the end.
func TestTopicIsDeleted(t *testing.T) {
	a := events.New(cluster(t, 1).Node(1))
	created(t, "t", events.TopicOptions{Keep: 1}, a)
	is(t, a.CreateTopic(soon(t), "t", events.TopicOptions{}), events.ErrExist)
	list, err := a.Topics(soon(t))
	if err != nil || len(list) != 1 || list[0].Name != "t" || list[0].Keep != 1 || !list[0].Created {
		t.Errorf("%+v %v", list, err)
	}
	s := subscribe(t, a, "t")
	for range 2 {
		_, err := a.Publish(soon(t), "t", 0, nil)
		must(t, err)
	}
	must(t, a.DeleteTopic(soon(t), "t"))
	n := 0
	for _, err := range s.All(soon(t)) {
		if err != nil {
			is(t, err, events.ErrDeleted)
			is(t, err, syscall.ESHUTDOWN)
			break
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d messages", n)
	}
	is(t, a.DeleteTopic(soon(t), "t"), events.ErrNoTopic)
	_, err = a.Publish(soon(t), "t", 0, nil)
	is(t, err, events.ErrNoTopic)
}

// Subscriptions begin where they are told, and filters look at patterns.
func TestStartsAndFilters(t *testing.T) {
	a := events.New(cluster(t, 1).Node(1))
	created(t, "t", events.TopicOptions{Keep: 2}, a)
	for i := range 4 {
		_, err := a.Publish(soon(t), "t", 0, fmt.Append(nil, i), events.Tagged(fmt.Append(nil, "tag", i)), events.Retained(time.Duration(i%2)*time.Hour))
		must(t, err)
	}
	for name, c := range map[string]struct {
		opts []events.Option
		want string
	}{
		"first":    {[]events.Option{events.FromFirst()}, "0+1 0+2 0+3"},
		"offset":   {[]events.Option{events.FromOffset(4)}, "0+3"},
		"retained": {[]events.Option{events.FromRetained()}, "0+1 0+3"},
		"filters":  {[]events.Option{events.FromFirst(), events.Matching(events.HasSuffix([]byte("2")))}, "0+2"},
	} {
		s := subscribe(t, a, "t", c.opts...)
		var got []string
		for range strings.Count(c.want, " ") + 1 {
			m, err := s.Recv(soon(t))
			must(t, err)
			got = append(got, fmt.Sprintf("%d+%s", m.Missed, m.Data))
		}
		if name == "filters" {
			got[0] = got[0][strings.Index(got[0], "+")-1:]
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Scenario 29: who does not take its messages loses some, and is told so as it wishes.
func TestOverflow(t *testing.T) {
	a := events.New(cluster(t, 1).Node(1))
	created(t, "t", events.TopicOptions{}, a)
	newest, oldest, gone := subscribe(t, a, "t"), subscribe(t, a, "t", events.Overflow(events.DropOldest), events.Buffer(10)), subscribe(t, a, "t", events.Overflow(events.Disconnect))
	last := uint64(0)
	publish := func(n int) {
		t.Helper()
		var all sync.WaitGroup
		ctx := soon(t)
		for range 50 {
			all.Go(func() {
				for range n / 50 {
					if _, err := a.Publish(ctx, "t", 0, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		last += uint64(n)
	}
	all := func(s *events.Subscription, counted uint64) {
		t.Helper()
		for counted < last {
			m, err := s.Recv(soon(t))
			must(t, err)
			if counted += uint64(m.Missed) + 1; counted != m.Offset {
				t.Fatalf("%d told, %d is the offset", counted, m.Offset)
			}
		}
	}
	publish(200)
	all(oldest, 0)
	must(t, oldest.Close())
	publish(1000)
	for _, s := range []*events.Subscription{newest, gone} {
		for range 1024 + 64 {
			_, err := s.Recv(soon(t))
			must(t, err)
		}
	}
	publish(50) // the first of these says what was missed
	all(newest, 1024+64)
	for range 2 {
		_, err := gone.Recv(soon(t))
		is(t, err, events.ErrSlow)
	}
}

// A value that can not be read does not end the stream.
func TestTyped(t *testing.T) {
	a := events.New(cluster(t, 1).Node(1))
	created(t, "t", events.TopicOptions{}, a)
	topic := events.NewTopic(a, "t", events.JSON[int]())
	s, err := topic.Subscribe(soon(t))
	must(t, err)
	_, err = a.Publish(soon(t), "t", 0, []byte("no number"))
	must(t, err)
	_, err = topic.Publish(soon(t), 7)
	must(t, err)
	for item, err := range s.All(soon(t)) {
		if e, ok := errors.AsType[*events.ValueError](err); ok {
			if e.Offset != 1 {
				t.Error(e)
			}
			continue
		}
		must(t, err)
		if item.Value != 7 || item.Offset != 2 {
			t.Errorf("%+v", item)
		}
		break
	}
	must(t, s.Close())
}

// Scenario 21: the stream of a node that leaves ends with the reason.
func TestStop(t *testing.T) {
	c := cluster(t, 2)
	r := register(t, events.New(c.Node(1)), events.MembershipClass)
	dead := register(t, events.New(c.Node(2)), events.MembershipClass)
	if _, err := r.Recv(soon(t)); err != nil { // the node is in a membership
		t.Fatal(err)
	}
	must(t, c.Node(1).Leave(soon(t)))
	var last string
	for ev, err := range r.All(soon(t)) {
		if err != nil {
			if !errors.Is(err, events.ErrStopped) && !errors.Is(err, events.ErrClosed) {
				t.Error(err)
			}
			break
		}
		last = show(ev)
	}
	if last != "evicted" {
		t.Errorf("the last event is %s", last)
	}
	c.Kill(2)
	for _, err := range dead.All(soon(t)) {
		if err != nil {
			is(t, err, events.ErrClosed)
		}
	}
}
