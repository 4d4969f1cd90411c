package cpg_test

import (
	"testing"

	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/cpg/cpgtest"
	"github.com/moothall/moothall/node"
)

// embedded is a cluster in this process.
func embedded(t *testing.T) *cpgtest.Cluster {
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
	for _, n := range c.Nodes() {
		out.Clients = append(out.Clients, cpg.New(n))
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance_Embedded(t *testing.T) { cpgtest.Run(t, embedded) }

