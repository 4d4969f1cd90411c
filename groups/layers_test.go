package groups_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/moothall/moothall/groups"
	"github.com/moothall/moothall/node"
)

// served has providers on all nodes that check what is proposed.
func served(t *testing.T, ctx context.Context, clients []*groups.Client, check func(groups.ProviderID, groups.NPhase) error) (list []*groups.Provider) {
	t.Helper()
	for _, c := range clients {
		p, err := c.Join(ctx, "agree", groups.Attributes{})
		must(t, err)
		list = append(list, p)
		done := make(chan error, 1)
		go func() {
			done <- p.Serve(ctx, groups.Handler{Vote: func(n groups.NPhase) error { return check(p.ID(), n) }})
		}()
		t.Cleanup(func() {
			must(t, p.Close())
			if err := <-done; !errors.Is(err, groups.ErrClosed) {
				t.Errorf("%v: %v", p.ID(), err)
			}
		})
	}
	return list
}

func TestAgreeOn(t *testing.T) {
	both(t, func(t *testing.T, _ *node.Cluster, clients []*groups.Client) {
		ctx := soon(t)
		list := served(t, ctx, clients, func(id groups.ProviderID, n groups.NPhase) error {
			if string(n.Proposed) == "odd" && id.Node == 2 {
				return fmt.Errorf("%s is not even", n.Proposed)
			}
			return nil
		})
		got, err := list[0].AgreeOn(ctx, []byte("even"))
		must(t, err)
		if string(got.State) != "even" || got.Phase != 1 {
			t.Errorf("agreed on %+v", got)
		}
		_, err = list[2].AgreeOn(ctx, []byte("odd"))
		rejected, ok := errors.AsType[*groups.RejectedError](err)
		if !ok || rejected.By != (groups.ProviderID{Instance: 1, Node: 2}) || rejected.Reason != "odd is not even" {
			t.Errorf("got %v", err)
		}
		if s := list[2].State(); string(s) != "even" {
			t.Errorf("state %q", s)
		}

		// All at once, several times: each proposal gets its turn.
		var all sync.WaitGroup
		for i, p := range list {
			for j := range 3 {
				all.Go(func() {
					if _, err := p.AgreeOn(ctx, fmt.Append(nil, i, j)); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
	})
}

// A provider that ends during the vote does not decide.
func TestAgreeOn_VoterEnds(t *testing.T) {
	ctx := soon(t)
	_, clients := within(t, 2)
	a := served(t, ctx, clients[:1], func(groups.ProviderID, groups.NPhase) error { return nil })[0]
	b, err := clients[1].Join(ctx, "agree", groups.Attributes{})
	must(t, err)
	go func() {
		for ev, err := range b.All(ctx) {
			if _, ok := ev.(groups.NPhase); ok || err != nil {
				b.Close()
				return
			}
		}
	}()
	got, err := a.AgreeOn(ctx, []byte("x"))
	must(t, err)
	if !slices.Equal(got.Members, []groups.ProviderID{a.ID()}) {
		t.Errorf("agreed by %v", got.Members)
	}
}

// Join returns with what its first event says, and an agreement waits for the vote on
// the join.
func TestJoin_KnowsAtOnce(t *testing.T) {
	ctx := soon(t)
	_, clients := within(t, 1)
	p, err := clients[0].Join(ctx, "one", groups.Attributes{})
	must(t, err)
	if got := p.Members(); !slices.Equal(got, []groups.ProviderID{p.ID()}) {
		t.Errorf("members %v", got)
	}
	must(t, p.Send(ctx, []byte("x")))
	for _, want := range []groups.Kind{groups.KindJoin, groups.KindMessage} {
		ev, err := p.Recv(ctx)
		must(t, err)
		if got, ok := ev.(groups.Approved); !ok || got.Kind != want {
			t.Errorf("got %v, want %v", ev, want)
		}
	}

	q, err := clients[0].Join(ctx, "n", groups.Attributes{Phases: groups.NPhases})
	must(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := q.AgreeOn(ctx, []byte("x"))
		done <- errors.Join(err, q.Goodbye(ctx))
	}()
	err = q.Serve(ctx, groups.Handler{Vote: func(groups.NPhase) error { return nil }})
	if !errors.Is(err, groups.ErrClosed) {
		t.Error(err)
	}
	must(t, <-done)
}

func TestServe_NobodyDecides(t *testing.T) {
	ctx := soon(t)
	_, clients := within(t, 1)
	p, err := clients[0].Join(ctx, "g", groups.Attributes{})
	must(t, err)
	if err := p.Serve(ctx, groups.Handler{}); err == nil {
		t.Error("served without a vote")
	}
}

func TestBarrier(t *testing.T) {
	both(t, func(t *testing.T, _ *node.Cluster, clients []*groups.Client) {
		ctx := soon(t)
		const rounds = 20
		var mu sync.Mutex
		arrived := map[uint64]int{} // before a crossing
		var all sync.WaitGroup
		for _, c := range clients {
			all.Go(func() {
				b, err := c.Barrier(ctx, "start", 3)
				if err != nil {
					t.Error(err)
					return
				}
				defer b.Leave(ctx)
				for k := uint64(1); k <= rounds; k++ {
					mu.Lock()
					arrived[k]++
					mu.Unlock()
					got, err := b.Wait(ctx)
					mu.Lock()
					if err != nil || got != k || arrived[k] != 3 {
						t.Errorf("crossing %d, want %d, with %d: %v", got, k, arrived[k], err)
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
	})
}

// Nobody waits for who has failed, unless too few are left.
func TestBarrier_OneEnds(t *testing.T) {
	ctx := soon(t)
	_, clients := within(t, 3)
	bs := make([]*groups.Barrier, 3)
	for i, c := range clients {
		var err error
		bs[i], err = c.Barrier(ctx, "b", 2)
		must(t, err)
	}
	crossed := make(chan error, 2)
	for _, b := range bs[:2] {
		go func() {
			k, err := b.Wait(ctx)
			if err == nil && k != 1 {
				err = fmt.Errorf("crossing %d", k)
			}
			crossed <- err
		}()
	}
	must(t, bs[2].Leave(ctx))
	must(t, errors.Join(<-crossed, <-crossed))

	must(t, bs[1].Leave(ctx))
	go func() { // too few: it waits for somebody new
		k, err := bs[0].Wait(ctx)
		if err == nil && k != 2 {
			err = fmt.Errorf("crossing %d", k)
		}
		crossed <- err
	}()
	b, err := clients[2].Barrier(ctx, "b", 2)
	must(t, err)
	k, err := b.Wait(ctx)
	must(t, errors.Join(err, <-crossed))
	if k != 2 {
		t.Errorf("crossing %d", k)
	}
}

// term waits for who leads.
func term(t *testing.T, ctx context.Context, l *groups.Leader, leader groups.NodeID) groups.Term {
	t.Helper()
	for {
		got, err := l.Recv(ctx)
		must(t, err)
		if got.Leader.Node == leader {
			return got
		}
	}
}

func TestLeader(t *testing.T) {
	both(t, func(t *testing.T, c *node.Cluster, clients []*groups.Client) {
		ctx := soon(t)
		ls := make([]*groups.Leader, 3)
		for i, c := range clients {
			var err error
			ls[i], err = c.Lead(ctx, "boss")
			must(t, err)
			defer ls[i].Resign(ctx)
			term(t, ctx, ls[i], 1)
		}
		first := ls[0].Now()
		if !first.Mine || first.Fence == 0 || ls[2].Now().Mine {
			t.Errorf("first term %+v", first)
		}
		c.Split([]groups.NodeID{2, 3}, []groups.NodeID{1})
		if got := term(t, ctx, ls[0], 0); got.Mine {
			t.Errorf("cut off: %+v", got)
		}
		second := term(t, ctx, ls[1], 2)
		if !second.Mine || second.Fence <= first.Fence {
			t.Errorf("second term %+v after %+v", second, first)
		}
		if got := term(t, ctx, ls[2], 2); got.Mine || got.Fence != 0 && got.Fence < first.Fence {
			t.Errorf("seen by another: %+v", got)
		}
		c.Heal()
		term(t, ctx, ls[0], 2) // a candidate anew
		must(t, ls[1].Resign(ctx))
		third := term(t, ctx, ls[2], 3)
		if !third.Mine || third.Fence <= second.Fence {
			t.Errorf("third term %+v after %+v", third, second)
		}
		for got, err := range ls[1].All(ctx) {
			if got.Mine || err != nil && !errors.Is(err, groups.ErrClosed) {
				t.Errorf("after resigning: %+v, %v", got, err)
			}
		}
	})
}

// Each side of a divided cluster has a leader, for those who want that.
func TestLeader_WithoutQuorum(t *testing.T) {
	ctx := soon(t)
	c, clients := within(t, 3)
	var ls []*groups.Leader
	for i := range 2 {
		l, err := clients[i].Lead(ctx, "boss", groups.WithoutQuorum())
		must(t, err)
		defer l.Resign(ctx)
		term(t, ctx, l, 1)
		ls = append(ls, l)
	}
	c.Split([]groups.NodeID{2}, []groups.NodeID{1})
	term(t, ctx, ls[1], 2)
	if got := ls[0].Now(); !got.Mine {
		t.Errorf("the other side: %+v", got)
	}
}

// Run works while this program leads, and no longer.
func TestLeader_Run(t *testing.T) {
	ctx := soon(t)
	c, clients := within(t, 3)
	leads := make(chan groups.NodeID, 100)
	ended := make(chan error, 3)
	finish := make(chan bool)
	for i, client := range clients {
		l, err := client.Lead(ctx, "boss")
		must(t, err)
		id := groups.NodeID(i + 1)
		go func() {
			ended <- l.Run(ctx, func(ctx context.Context, fence uint64) error {
				leads <- id
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-finish:
					return nil
				}
			})
		}()
	}
	until := func(id groups.NodeID) {
		t.Helper()
		for {
			select {
			case got := <-leads:
				if got == id {
					return
				}
			case <-ctx.Done():
				t.Fatalf("%d does not lead", id)
			}
		}
	}
	until(1)
	c.Split([]groups.NodeID{2, 3}, []groups.NodeID{1})
	until(2)
	c.Kill(1)
	if err := <-ended; !errors.Is(err, groups.ErrClosed) {
		t.Errorf("node 1: %v", err)
	}
	finish <- true
	must(t, <-ended)
	until(3)
	finish <- true
	must(t, <-ended)
}
