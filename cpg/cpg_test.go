package cpg_test

import (
	"path/filepath"
	"testing"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/cpg/cpgtest"
	"github.com/moothall/moothall/node"
)

// embedded is a cluster in this process, used from within.
func embedded(t *testing.T) *cpgtest.Cluster {
	out, c := cluster(t)
	for _, n := range c.Nodes() {
		out.Clients = append(out.Clients, cpg.New(n))
	}
	return out
}

// dialled is a cluster whose members are reached through their sockets.
func dialled(t *testing.T) *cpgtest.Cluster {
	out, c := cluster(t)
	for _, n := range c.Nodes() {
		agent, err := client.Dial(t.Context(), client.Config{Socket: filepath.Join(c.RunDir(n.Self().ID), node.AgentSocket)})
		must(t, err)
		t.Cleanup(func() { agent.Close() })
		out.Clients = append(out.Clients, cpg.New(agent))
	}
	return out
}

func cluster(t *testing.T) (*cpgtest.Cluster, *node.Cluster) {
	c, err := node.StartCluster(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	out := &cpgtest.Cluster{
		Split: func(sides ...[]cpg.NodeID) {
			c.Split(sides...)
			for _, side := range sides {
				for _, id := range side {
					must(t, c.Node(id).AwaitRing(t.Context(), side))
				}
			}
		},
		Heal: func() {
			c.Heal()
			must(t, c.Formed(t.Context()))
		},
		Kill: c.Kill,
	}
	return out, c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance_Embedded(t *testing.T) { cpgtest.Run(t, embedded) }

func TestConformance_Dialled(t *testing.T) { cpgtest.Run(t, dialled) }
