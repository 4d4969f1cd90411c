package interop

import "testing"

// quorumtool are all ways to look with corosync-quorumtool.
var quorumtool = [][]string{
	{"corosync-quorumtool"},
	{"corosync-quorumtool", "-s"},
	{"corosync-quorumtool", "-s", "-p"},
	{"corosync-quorumtool", "-s", "-i"},
	{"corosync-quorumtool", "-s", "-H"},
	{"corosync-quorumtool", "-l"},
	{"corosync-quorumtool", "-l", "-p"},
	{"corosync-quorumtool", "-l", "-i"},
	{"corosync-quorumtool", "-l", "-a"},
	{"corosync-quorumtool", "-l", "-i", "-a"},
	{"corosync-quorumtool", "-l", "-H"},
	{"corosync-quorumtool", "-l", "-o", "a"},
	{"corosync-quorumtool", "-l", "-o", "n"},
	{"corosync-quorumtool", "-l", "-o", "i"},
}

// Items 28 and 38 and what else Corosync's tools show of three nodes.
func TestDropIn_Quorumtool(t *testing.T) {
	onEach(t, 3, settings{}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "quorumtool")
		look := func(m *machine) {
			for _, args := range quorumtool {
				r.show(m, args...)
			}
		}
		a, b, d := c.machine(1), c.machine(2), c.machine(3)
		r.in("no daemon")
		r.do(a, "corosync-quorumtool", "-s")
		c.startAll()
		r.in("three nodes")
		look(a)
		r.show(d, "corosync-quorumtool", "-s")
		r.do(a, "corosync-quorumtool", "-h")
		r.do(a, "corosync-quorumtool", "-V")
		r.do(a, "corosync-quorumtool", "-x")
		d.kill()
		c.formed(true, 1, 2)
		r.in("one node gone")
		look(a)
		b.kill()
		c.formed(false, 1)
		r.in("no quorum")
		look(a)
		b.start()
		d.start()
		c.formed(true, 1, 2, 3)
		r.in("back")
		look(b)
	})
}
