package clm_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/ais/clm"
	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/internal/testenv/agents"
	"github.com/moothall/moothall/node"
)

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

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

// bench is a cluster of three and a handle on each node.
type bench struct {
	*testing.T
	ctx     context.Context
	cluster *node.Cluster
	handles []*clm.Handle
}

func TestMain(m *testing.M) { testenv.Main(m) }

// both runs a test from within and through sockets.
func both(t *testing.T, test func(b *bench)) {
	for _, carry := range []string{"embedded", "dialled"} {
		t.Run(carry, func(t *testing.T) { test(setUp(t, carry == "dialled")) })
	}
}

func setUp(t *testing.T, dial bool) *bench {
	t.Helper()
	t.Parallel() // most of it is waiting for rings
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	c, err := node.StartCluster(t.Context(), 3)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	b := &bench{T: t, ctx: ctx, cluster: c}
	for _, n := range c.Nodes() {
		if dial {
			b.dial(c.RunDir(n.Self().ID))
		} else {
			b.begin(n)
		}
	}
	b.settled()
	return b
}

// all runs a test as both does, and on three agents.
func all(t *testing.T, test func(b *bench)) {
	both(t, test)
	t.Run("agents", func(t *testing.T) {
		b, _ := onAgents(t)
		test(b)
	})
}

// onAgents has processes for the nodes, and no cluster within this one.
func onAgents(t *testing.T) (*bench, *agents.Hall) {
	t.Helper()
	t.Parallel()
	h := agents.Start(t, 3) // which may build them
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	b := &bench{T: t, ctx: ctx}
	for n := range 3 {
		b.dial(h.Run(n + 1))
	}
	b.settled()
	return b, h
}

func (b *bench) begin(s session.Session) {
	b.Helper()
	var h *clm.Handle
	must(b.T, ais.Retry(b.ctx, func() (err error) {
		h, err = clm.Initialize(b.ctx, s, clm.Version)
		return err
	}))
	b.Cleanup(func() { h.Finalize() })
	b.handles = append(b.handles, h)
}

// dial begins at an agent.
func (b *bench) dial(run string) {
	b.Helper()
	agent, err := client.Dial(b.ctx, client.Config{Socket: filepath.Join(run, node.AgentSocket)})
	must(b.T, err)
	b.Cleanup(func() { agent.Close() })
	b.begin(agent)
}

// settled waits until all see the view of three.
func (b *bench) settled() {
	b.Helper()
	for _, h := range b.handles {
		testenv.Eventually(b.T, patience, "three members", func() (bool, any) {
			n, err := h.Members(b.ctx)
			return err == nil && n.Members == 3, n
		})
	}
}

// told waits for the next view.
func (b *bench) told(h *clm.Handle) clm.Notification {
	b.Helper()
	ev, err := h.Recv(b.ctx)
	must(b.T, err)
	n, ok := ev.(clm.Notification)
	if !ok {
		b.Fatalf("%+v", ev)
	}
	return n
}

// is compares nodes and what became of them, by node.
func (b *bench) is(n clm.Notification, members int, want ...clm.Item) {
	b.Helper()
	var got []clm.Item
	for _, i := range n.Items {
		if i.Node.Member == (i.Change == clm.Left) {
			b.Errorf("%+v", i)
		}
		got = append(got, item(i.Node.ID, i.Change))
	}
	slices.SortFunc(got, func(x, y clm.Item) int { return int(x.Node.ID) - int(y.Node.ID) })
	if n.Members != members || !slices.Equal(got, want) {
		b.Errorf("%+v, want %d members and %+v", n, members, want)
	}
}

func item(id ais.NodeID, c clm.Change) clm.Item { return clm.Item{Node: clm.Node{ID: id}, Change: c} }

// A node is known by its name, its address and the time at which its machine was started
// (openais-executive 6.1, L2).
func TestNode(t *testing.T) {
	all(t, func(b *bench) {
		for _, h := range b.handles {
			v, err := h.Members(b.ctx)
			must(b.T, err)
			for _, i := range v.Items {
				n := i.Node
				if n.Name == "" || !n.Address.IsLoopback() || !n.Boot.Before(time.Now()) || n.Boot.Before(time.Now().AddDate(-20, 0, 0)) || n.InitialView == 0 {
					b.Errorf("%+v", n)
				}
				one, err := b.handles[0].NodeGet(b.ctx, n.ID)
				if err != nil || one != n {
					b.Errorf("%+v %v, in a view %+v", one, err, n)
				}
			}
		}
	})
}

func TestScenario_17_Current(t *testing.T) {
	all(t, func(b *bench) {
		var views []uint64
		for _, h := range b.handles {
			must(b.T, h.Track(b.ctx, clm.Current))
			n := b.told(h)
			b.is(n, 3, item(1, clm.NoChange), item(2, clm.NoChange), item(3, clm.NoChange))
			views = append(views, n.View)
			fails(b.T, h.TrackStop(b.ctx), ais.ErrNotExist)
		}
		if views[0] == 0 || views[1] != views[0] || views[2] != views[0] {
			b.Errorf("views %v", views)
		}
	})
}

func TestScenario_19_20_Changes(t *testing.T) {
	both(t, func(b *bench) {
		every, only, away := b.handles[0], b.handles[1], b.handles[2]
		must(b.T, every.Track(b.ctx, clm.Current|clm.Changes))
		first := b.told(every)
		must(b.T, only.Track(b.ctx, clm.Changes))
		must(b.T, only.Track(b.ctx, clm.ChangesOnly))
		must(b.T, away.Track(b.ctx, clm.Changes))
		b.cluster.Split([]ais.NodeID{1, 2}, []ais.NodeID{3})
		n := b.told(every)
		b.is(n, 2, item(1, clm.NoChange), item(2, clm.NoChange), item(3, clm.Left))
		if n.View <= first.View {
			b.Errorf("view %d after %d", n.View, first.View)
		}
		b.is(b.told(only), 2, item(3, clm.Left))
		testenv.Eventually(b.T, patience, "the other side is not primary", func() (bool, any) {
			_, err := away.NodeGet(b.ctx, ais.LocalNode)
			return errors.Is(err, ais.ErrTryAgain), err
		})
		fails(b.T, away.Track(b.ctx, clm.Current), ais.ErrTryAgain)
		early, cancel := context.WithDeadline(b.ctx, time.Now().Add(-time.Second))
		defer cancel()
		if _, err := away.Recv(early); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ais.ErrTimeout) { // nothing was asked for
			b.Error(err)
		}
		b.cluster.Heal()
		n = b.told(only)
		b.is(n, 3, item(3, clm.Joined))
		if n.Items[0].Node.InitialView != n.View {
			b.Errorf("%+v", n)
		}
		b.is(b.told(every), 3, item(1, clm.NoChange), item(2, clm.NoChange), item(3, clm.Joined))
		back := b.told(away)
		b.is(back, 3, item(1, clm.Joined), item(2, clm.Joined), item(3, clm.NoChange))
		if back.View != n.View {
			b.Errorf("view %d, and %d at the others", back.View, n.View)
		}
	})
}

// interrupted has something happen before the second registration of a handle.
type interrupted struct {
	session.Session
	do func()
}

func (s interrupted) Open(ctx context.Context, id uint16) (session.Conn, error) {
	c, err := s.Session.Open(ctx, id)
	return &interruptedConn{Conn: c, do: s.do}, err
}

type interruptedConn struct {
	session.Conn
	registered int
	do         func()
}

func (c *interruptedConn) Call(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
	if fn == events.CallRegister {
		if c.registered++; c.registered == 2 {
			c.do()
		}
	}
	return c.Conn.Call(ctx, fn, body)
}

// No view is missing between the members of now and what changes.
func TestTrack_CurrentAndChanges(t *testing.T) {
	b := setUp(t, false)
	leave := func() {
		b.cluster.Kill(3)
		testenv.Eventually(t, patience, "the view without it", func() (bool, any) {
			n, err := b.handles[0].Members(b.ctx)
			return err == nil && n.Members == 2, err
		})
	}
	h, err := clm.Initialize(b.ctx, interrupted{b.cluster.Nodes()[0], leave}, clm.Version)
	must(t, err)
	defer h.Finalize()
	must(t, h.Track(b.ctx, clm.Current|clm.Changes))
	b.is(b.told(h), 2, item(1, clm.NoChange), item(2, clm.NoChange), item(3, clm.Left))
	b.is(b.told(h), 2, item(1, clm.NoChange), item(2, clm.NoChange))
}

// A stop ends what is told at once, and a node that goes away is told to who still
// tracks.
func TestTrackStop(t *testing.T) {
	b := setUp(t, false)
	h, other := b.handles[0], b.handles[1]
	must(t, h.Track(b.ctx, clm.Changes))
	must(t, other.Track(b.ctx, clm.ChangesOnly))
	b.cluster.Kill(3)
	b.is(b.told(other), 2, item(3, clm.Left))
	testenv.Eventually(t, patience, "the view is here, too", func() (bool, any) {
		n, err := h.Members(b.ctx)
		return err == nil && n.Members == 2, err
	})
	must(t, h.TrackStop(b.ctx))
	fails(t, h.TrackStop(b.ctx), ais.ErrNotExist)
	must(t, h.NodeGetAsync(b.ctx, 1, ais.LocalNode))
	if ev, err := h.Recv(b.ctx); err != nil || ev.(clm.NodeInfo).Invocation != 1 {
		t.Error(ev, err)
	}
	must(t, h.Track(b.ctx, clm.Current))
	b.is(b.told(h), 2, item(1, clm.NoChange), item(2, clm.NoChange))
}

// On three agents, one of which is ended and started again.
func TestScenario_19_20_Agents(t *testing.T) {
	b, hall := onAgents(t)
	every, only := b.handles[0], b.handles[1]
	must(t, every.Track(b.ctx, clm.Current|clm.Changes))
	first := b.told(every)
	must(t, only.Track(b.ctx, clm.ChangesOnly))
	hall.Kill(3)
	n := b.told(every)
	b.is(n, 2, item(1, clm.NoChange), item(2, clm.NoChange), item(3, clm.Left))
	if n.View <= first.View {
		t.Errorf("view %d after %d", n.View, first.View)
	}
	b.is(b.told(only), 2, item(3, clm.Left))
	hall.Start(3)
	n = b.told(only)
	b.is(n, 3, item(3, clm.Joined))
	if node := n.Items[0].Node; node.InitialView != n.View || node.Name != "node3" {
		t.Errorf("%+v", n)
	}
	if same := b.told(every); same.View != n.View || same.Members != 3 || len(same.Items) != 3 {
		t.Errorf("%+v and %+v", same, n)
	}
	// However quickly it comes back, both are told (L7).
	hall.Kill(3)
	hall.Start(3)
	left, back := b.told(only), b.told(only)
	b.is(left, 2, item(3, clm.Left))
	b.is(back, 3, item(3, clm.Joined))
	if left.View <= n.View || back.View <= left.View || back.Items[0].Node.InitialView != back.View || left.Items[0].Node.InitialView != n.View {
		t.Errorf("%+v and %+v", left, back)
	}
	b.is(b.told(every), 2, item(1, clm.NoChange), item(2, clm.NoChange), item(3, clm.Left))
	b.is(b.told(every), 3, item(1, clm.NoChange), item(2, clm.NoChange), item(3, clm.Joined))
}

// script is the event service of node 1, which tells who registers the same facts.
type script struct {
	session.Session
	session.Conn
	facts []events.Fact
	told  chan session.Event
}

func (s *script) Open(context.Context, uint16) (session.Conn, error) { return s, nil }

func (s *script) Close() error { return nil }

func (s *script) TryCast(uint16, uint64, []byte) error { return nil }

func (s *script) Call(_ context.Context, fn uint16, body []byte) ([]byte, error) {
	switch fn {
	case events.CallOpen:
		return events.OpenReply{Self: 1, Configured: 3}.AppendTo(nil), nil
	case events.CallStatus:
		return events.StatusReply{State: events.Primary, Fact: s.facts[0]}.AppendTo(nil), nil
	case events.CallRegister:
		q, err := events.ParseRegister(body)
		for _, f := range s.facts {
			s.told <- session.Event{Kind: events.EventFact, Body: events.MemberEvent{Sub: q.Sub, Fact: f}.AppendTo(nil)}
		}
		return nil, err
	}
	return nil, nil
}

func (s *script) Recv(ctx context.Context, dst []session.Event) (int, error) {
	select {
	case dst[0] = <-s.told:
		return 1, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// A node that left and is back in one fact is told twice, with who left for good and
// before who came, as long as somebody tracks (openais-executive L7).
func TestTrack_LeftAndBack(t *testing.T) {
	m := func(id ais.NodeID, born uint32) events.Member {
		return events.Member{ID: id, Born: born, Since: born, Name: "node"}
	}
	fact := func(seq uint32, list ...events.Member) events.Fact {
		return events.Fact{Kind: events.NewMembership, Seq: seq, Trans: seq, Quorate: true, Members: list}
	}
	s := &script{told: make(chan session.Event, 16), facts: []events.Fact{fact(3, m(1, 1), m(2, 1), m(3, 1)), fact(4, m(1, 1), m(2, 4), m(4, 4)), fact(5, m(1, 1), m(2, 5), m(4, 4))}}
	b := &bench{T: t, ctx: t.Context()}
	h, err := clm.Initialize(b.ctx, s, clm.Version)
	must(t, err)
	must(t, h.Track(b.ctx, clm.Changes))
	left, back := b.told(h), b.told(h)
	b.is(left, 1, item(1, clm.NoChange), item(2, clm.Left), item(3, clm.Left))
	b.is(back, 3, item(1, clm.NoChange), item(2, clm.Joined), item(4, clm.Joined))
	if left.View != 7 || back.View != 8 || back.Items[1].Node.InitialView != 8 || back.Items[0].Node.InitialView != 2 {
		t.Errorf("%+v and %+v", left, back)
	}
	must(t, h.Track(b.ctx, clm.ChangesOnly))
	b.is(b.told(h), 2, item(2, clm.Left))
	must(t, h.TrackStop(b.ctx))
	must(t, h.NodeGetAsync(b.ctx, 1, ais.LocalNode))
	if ev, err := h.Recv(b.ctx); err != nil || ev.(clm.NodeInfo).Invocation != 1 {
		t.Error(ev, err)
	}
	early, cancel := context.WithCancel(b.ctx)
	cancel()
	if ev, err := h.Recv(early); !errors.Is(err, context.Canceled) { // the other half of the view is not told any more
		t.Error(ev, err)
	}
}

func TestScenario_21_Flags(t *testing.T) { all(t, flags) }

func flags(b *bench) {
	t := b.T
	h := b.handles[0]
	for _, f := range []clm.Flags{0, 8, clm.Changes | clm.ChangesOnly} {
		fails(t, h.Track(b.ctx, f), ais.ErrBadFlags)
	}
	must(t, h.Track(b.ctx, clm.Changes))
	must(t, h.TrackStop(b.ctx))
	fails(t, h.TrackStop(b.ctx), ais.ErrNotExist)
	must(t, h.Finalize())
	fails(t, h.TrackStop(b.ctx), ais.ErrBadHandle)
	_, err := h.Recv(b.ctx)
	fails(t, err, ais.ErrBadHandle)
	_, err = h.Members(b.ctx)
	fails(t, err, ais.ErrBadHandle)
}

func TestScenario_22_NodeGet(t *testing.T) {
	all(t, func(b *bench) {
		h := b.handles[1]
		n, err := h.NodeGet(b.ctx, ais.LocalNode)
		must(b.T, err)
		if n.ID != 2 || !n.Member || n.InitialView == 0 {
			b.Errorf("%+v", n)
		}
		_, err = h.NodeGet(b.ctx, 99)
		fails(b.T, err, ais.ErrInvalidParam)
		received := make(chan clm.Event)
		go func() { // it waits before anything is asked for
			ev, _ := h.Recv(b.ctx)
			received <- ev
			ev, _ = h.Recv(b.ctx)
			received <- ev
		}()
		must(b.T, h.NodeGetAsync(b.ctx, 7, 99))
		must(b.T, h.NodeGetAsync(b.ctx, 8, 3))
		if info, ok := (<-received).(clm.NodeInfo); !ok || info.Invocation != 7 || !errors.Is(info.Err, ais.ErrInvalidParam) {
			b.Errorf("%+v", info)
		}
		if info, ok := (<-received).(clm.NodeInfo); !ok || info.Invocation != 8 || info.Err != nil || info.Node.ID != 3 {
			b.Errorf("%+v", info)
		}
	})
}

func TestScenario_23_Version(t *testing.T) {
	for _, want := range []ais.Version{{Release: 'B', Major: 9, Minor: 9}, {Release: 'Z', Major: 1, Minor: 1}} {
		_, err := clm.Initialize(t.Context(), nil, want)
		fails(t, err, ais.ErrVersion)
		if v, ok := errors.AsType[*ais.VersionError](err); !ok || v.Supported != clm.Version {
			t.Error(err)
		}
	}
}
