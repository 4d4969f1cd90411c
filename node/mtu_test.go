package node

import (
	"net/netip"
	"testing"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/testenv"
)

// What an interface refused once is tried again with the next ring.
func TestPacketsGrowAgain(t *testing.T) {
	c := config.New("test", config.Node{ID: 1, Name: "n1", Addrs: []string{"127.0.3.1"}}, config.Node{ID: 2, Name: "n2", Addrs: []string{"127.0.3.2"}})
	start := func(id config.NodeID) *Node {
		n, err := Start(t.Context(), Config{Cluster: c, Self: id, Key: make([]byte, 32), StateDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Halt)
		return n
	}
	mtu := func(n *Node) int {
		for _, m := range n.Status().Members {
			if !m.Self && m.InRing {
				return m.Links[0].MTU
			}
		}
		return 0
	}
	wait := func(n *Node, what string, ok func(int) bool) (got int) {
		testenv.Eventually(t, 30*time.Second, what, func() (bool, any) {
			got = mtu(n)
			return ok(got), got
		})
		return got
	}
	a, b := start(1), start(2)
	usual := wait(a, "a ring of two", func(m int) bool { return m > 0 })
	a.tooBig(0, netip.AddrPort{}, 0) // the kernel did not say how much it takes
	a.tooBig(0, netip.AddrPort{}, 1000)
	wait(a, "smaller packets", func(m int) bool { return m > 0 && m < usual })
	b.Halt()
	wait(a, "to be alone", func(m int) bool { return m == 0 })
	start(2)
	wait(a, "packets of the usual size", func(m int) bool { return m == usual })
}
