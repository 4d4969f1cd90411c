package interop

import (
	"os"
	"regexp"
	"syscall"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

// quorumDevice is a device on a third machine that gives its vote to the half
// with the lowest node. Its timeouts are short.
const quorumDevice = `device {
model: net
votes: 1
timeout: 3000
sync_timeout: 6000
net {
host: 10.77.0.3
tls: off
algorithm: ffsplit
tie_breaker: lowest
}
}`

// Items 29 and 30: two nodes with corosync-qdevice and a corosync-qnetd on a
// third machine. Whoever is left, and one half of a split, stay quorate.
func TestDropIn_Qdevice(t *testing.T) {
	needDropIn(t)
	needTool(t, "corosync-qdevice")
	needTool(t, "corosync-qnetd")
	onEach(t, 3, settings{quorum: quorumDevice, spare: 1}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "qdevice",
			rule{regexp.MustCompile(`\b1\.[0-9a-f]+\b`), "1.SEQ"},
			rule{regexp.MustCompile(`10\.77\.0\.(\d):\d{5}`), "10.77.0.$1:PORT"},
			rule{regexp.MustCompile(`(Vote:\s+)[\w ]+ \(`), "${1}LAST ("}, // by who came first
			rule{regexp.MustCompile(`(timer running:\s+).*`), "${1}WHETHER"},
			rule{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`), "TIME"},
		)
		arbiter := c.spare[0]
		mkdir(t, arbiter, "/run/corosync-qnetd")
		server := testenv.Start(t, arbiter.node.Command("corosync-qnetd", "-f", "-s", "off"))
		devices := map[int]*testenv.Process{}
		join := func(m *machine) {
			mkdir(t, m, "/run/corosync-qdevice")
			devices[m.id] = testenv.Start(t, m.node.Command("corosync-qdevice", "-f"))
		}
		look := func(state string, ms ...*machine) {
			t.Helper()
			r.in(state)
			for _, m := range ms {
				r.show(m, "corosync-quorumtool", "-s")
			}
		}
		a, b := c.machine(1), c.machine(2)
		both := func() {
			t.Helper()
			for _, m := range c.machines {
				m.start()
			}
			c.together(1, 2)
			for _, m := range c.machines {
				join(m)
			}
		}
		both()
		look("registered", a, b)
		r.show(a, "corosync-quorumtool", "-l", "-p")
		c.formed(true, 1, 2)
		for _, args := range [][]string{{"-s"}, {"-s", "-v"}, {"-s", "-p", "/run/corosync-qdevice/corosync-qdevice.sock"}, {"-h"}, {"-x"}} {
			r.show(a, append([]string{"corosync-qdevice-tool"}, args...)...)
		}
		for _, args := range [][]string{{"-s"}, {"-s", "-v"}, {"-s", "-p", "/run/corosync-qnetd/corosync-qnetd.sock"}, {"-l"}, {"-l", "-v"},
			{"-l", "-c", "interop"}, {"-l", "-c", "other"}, {"-h"}, {"-x"}} {
			r.show(arbiter, append([]string{"corosync-qnetd-tool"}, args...)...)
		}

		b.process.Signal(syscall.SIGKILL)
		b.process.Wait(patience)
		b.silence()
		c.formed(true, 1)
		look("one node killed", a)
		b.start()
		c.formed(true, 1, 2)
		join(b)
		look("it is back", a, b)

		a.deaf, b.deaf = []string{"ip saddr 10.77.0.2 drop"}, []string{"ip saddr 10.77.0.1 drop"}
		a.filter()
		b.filter()
		c.formed(true, 1)
		c.formed(false, 2)
		look("split", a, b)
		c.heal()
		c.formed(true, 1, 2)
		look("healed", a, b)
		r.in("one device is told to end")
		r.do(b, "corosync-qdevice-tool", "-H")
		devices[2].Wait(patience)
		r.do(b, "corosync-qdevice-tool", "-s")
		look("one device has ended", a, b)
		join(b)
		look("and is back", a, b)

		r.in("the arbiter is told to end")
		r.do(arbiter, "corosync-qnetd-tool", "-H")
		server.Wait(patience)
		r.do(arbiter, "corosync-qnetd-tool", "-s")
		look("no arbiter", a, b)
		b.kill()
		b.silence()
		c.formed(false, 1)
		look("no arbiter and one node killed", a)

		r.in("another device")
		r.do(a, "corosync-quorumtool", "-f")
		look("the device was removed by force", a)
		devices[1].Wait(patience) // it ends by itself then
	})
}

func mkdir(t *testing.T, m *machine, dir string) {
	t.Helper()
	if err := os.MkdirAll(m.node.Path(dir), 0o770); err != nil {
		t.Fatal(err)
	}
}
