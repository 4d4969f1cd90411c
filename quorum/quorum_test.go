package quorum_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/quorum"
)

const patience = 60 * time.Second

func TestWatch(t *testing.T) {
	for name, dial := range map[string]func(*testing.T, *node.Cluster, quorum.NodeID) session.Session{
		"embedded": func(_ *testing.T, c *node.Cluster, id quorum.NodeID) session.Session { return c.Node(id) },
		"dialled": func(t *testing.T, c *node.Cluster, id quorum.NodeID) session.Session {
			agent, err := client.Dial(t.Context(), client.Config{Socket: filepath.Join(c.RunDir(id), node.AgentSocket)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { agent.Close() })
			return agent
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c, err := node.StartCluster(ctx, 3)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			watchAll(t, ctx, c, quorum.New(dial(t, c, 3)))
		})
	}
}

// watchAll follows node 3 through a partition to its end.
func watchAll(t *testing.T, ctx context.Context, c *node.Cluster, q *quorum.Client) {
	step := 0
	var first, last quorum.Decision
	for d, err := range q.Watch(ctx) {
		if step == 3 {
			if err == nil {
				continue // what comes before the end
			}
			if !errors.Is(err, quorum.ErrClosed) {
				t.Errorf("the watch ends with %v", err)
			}
			step++
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if d.Quorate && d.Currency != quorum.Current {
			t.Errorf("quorate although %v: %+v", d.Currency, d)
		}
		switch {
		case step == 0:
			first = d
			if !d.Quorate || d.Votes != 3 || d.Expected != 3 || d.Needed != 2 || d.Row != "majority" || !slices.Equal(d.Members, []quorum.NodeID{1, 2, 3}) ||
				!d.Provider || d.Why == "" {
				t.Errorf("at first %+v", d)
			}
			if now, err := q.Get(ctx); err != nil || now.Ring != d.Ring || now.Why != d.Why {
				t.Errorf("get: %+v, %v", now, err)
			}
			c.Split([]quorum.NodeID{1, 2}, []quorum.NodeID{3})
			step++
		case step == 1 && d.Row == "minority":
			if d.Quorate || d.Votes != 1 || !slices.Equal(d.Members, []quorum.NodeID{3}) || d.Ring == first.Ring {
				t.Errorf("alone %+v", d)
			}
			c.Heal()
			step++
		case step == 2 && d.Quorate && len(d.Members) == 3: // nodes may come one after the other
			if d.Ring == first.Ring {
				t.Errorf("together again %+v", d)
			}
			last = d
			c.Kill(3)
			step++
		}
	}
	if step != 4 {
		t.Errorf("the watch ended in step %d after %+v", step, last)
	}
	if _, err := q.Get(ctx); err == nil {
		t.Error("get from a dead member: no error")
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	c, err := node.StartCluster(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	for d, err := range quorum.New(c.Node(1)).Watch(ctx) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			break
		}
		if seen++; !d.Quorate || seen > 1 {
			t.Errorf("decision %d: %+v", seen, d)
		}
		cancel()
	}
}
