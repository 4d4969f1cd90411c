package groups_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/groups"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/node"
)

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

// soon ends after everything else of the test.
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

func cluster(t *testing.T, n int) *node.Cluster {
	t.Helper()
	c, err := node.StartCluster(t.Context(), n)
	must(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// embedded leads to the members of a cluster from within.
func embedded(_ *testing.T, c *node.Cluster) (list []session.Session) {
	for _, n := range c.Nodes() {
		list = append(list, n)
	}
	return list
}

// dialled leads to them through their sockets.
func dialled(t *testing.T, c *node.Cluster) (list []session.Session) {
	t.Helper()
	for _, n := range c.Nodes() {
		agent, err := client.Dial(t.Context(), client.Config{Socket: filepath.Join(c.RunDir(n.Self().ID), node.AgentSocket)})
		must(t, err)
		t.Cleanup(func() { agent.Close() })
		list = append(list, agent)
	}
	return list
}

func clientsOf(sessions []session.Session) (list []*groups.Client) {
	for _, s := range sessions {
		list = append(list, groups.New(s))
	}
	return list
}

// both runs a test on a cluster of three, used from within and through sockets.
func both(t *testing.T, test func(t *testing.T, c *node.Cluster, clients []*groups.Client)) {
	for name, carry := range map[string]func(*testing.T, *node.Cluster) []session.Session{"embedded": embedded, "dialled": dialled} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, 3)
			test(t, c, clientsOf(carry(t, c)))
		})
	}
}

// within is a cluster used from within.
func within(t *testing.T, n int) (*node.Cluster, []*groups.Client) {
	t.Helper()
	c := cluster(t, n)
	return c, clientsOf(embedded(t, c))
}
