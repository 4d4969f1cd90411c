package groups_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/groups"
	"github.com/moothall/moothall/node"
)

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cluster(t *testing.T, n int) *node.Cluster {
	c, err := node.StartCluster(t.Context(), n)
	must(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func dial(t *testing.T, c *node.Cluster, id groups.NodeID) *groups.Client {
	agent, err := client.Dial(t.Context(), client.Config{Socket: filepath.Join(c.RunDir(id), node.AgentSocket)})
	must(t, err)
	t.Cleanup(func() { agent.Close() })
	return groups.New(agent)
}

func TestSmoke(t *testing.T) {
	ctx := soon(t)
	c := cluster(t, 2)
	for name, clients := range map[string][]*groups.Client{
		"embedded": {groups.New(c.Node(1)), groups.New(c.Node(2))},
		"dialled":  {dial(t, c, 1), dial(t, c, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := clients[0].Join(ctx, name, groups.Attributes{})
			must(t, err)
			b, err := clients[1].Join(ctx, name, groups.Attributes{})
			must(t, err)
			s, err := clients[1].Subscribe(ctx, name)
			must(t, err)
			for ev, err := range a.All(ctx) {
				must(t, err)
				t.Log(ev)
				if len(a.Members()) == 2 {
					break
				}
			}
			must(t, a.ProposeState(ctx, []byte("x"), groups.Voted(0)))
			must(t, errors.Join(recv(t, ctx, b), recv(t, ctx, b), recv(t, ctx, a)))
			must(t, a.Vote(ctx, groups.Approve))
			must(t, b.Object(ctx, "no x here"))
			must(t, errors.Join(recv(t, ctx, a), recv(t, ctx, b), recv(t, ctx, a), recv(t, ctx, b)))
			must(t, b.Goodbye(ctx))
			must(t, recv(t, ctx, a))
			must(t, a.Leave(ctx, 3))
			must(t, recv(t, ctx, a))
			if err := recv(t, ctx, a); !errors.Is(err, groups.ErrOut) {
				t.Error(err)
			}
			for ch, err := range s.All(ctx) {
				t.Log(ch, err)
			}
			if !slices.Equal(a.Members(), nil) {
				t.Error(a.Members())
			}
		})
	}
}

func recv(t *testing.T, ctx context.Context, p *groups.Provider) error {
	ev, err := p.Recv(ctx)
	t.Logf("%v %T %+v %v", p.ID(), ev, ev, err)
	return err
}
