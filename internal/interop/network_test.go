package interop

import (
	"fmt"
	"testing"
)

// A network that works one way only or loses packets, in the eyes of programs of
// libquorum and libcpg.
func TestDropIn_Network(t *testing.T) {
	onEach(t, 3, settings{}, func(t *testing.T, c *cluster) {
		member := compile(t, c.stage, "testdata/c/member.c")
		c.startAll()
		var programs []*program
		for i, m := range c.machines {
			p := m.program(member, "network")
			programs = append(programs, p)
			for _, o := range programs {
				o.until(0, "change members"+all(programs[:i+1]))
			}
		}
		// Node 3 hears nobody, or nobody hears node 3: it is not in the ring of the
		// others, and not quorate.
		for _, deaf := range [][]int{{3}, {1, 2}} {
			c.cut(true, deaf...)
			c.formed(true, 1, 2)
			c.formed(false, 3)
			c.heal()
			c.formed(true, 1, 2, 3)
		}
		// While packets are lost, rings may come and go, but whoever sends gets
		// through; afterwards all hear all.
		c.lossy(5)
		const each = 500
		for _, p := range programs {
			p.order("send %d 500", each)
		}
		for _, p := range programs {
			p.until(0, fmt.Sprint("accepted ", each))
		}
		c.heal()
		c.formed(true, 1, 2, 3)
		for _, p := range programs {
			p.order("finish %d", len(programs))
		}
		for _, p := range programs {
			p.until(0, "done")
		}
	})
}
