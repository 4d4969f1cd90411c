package interop

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

// The calls that sbd makes, with its order of them.
func TestDropIn_Sbd(t *testing.T) {
	needDropIn(t)
	needHeader(t, "cmap.h")
	onEach(t, 2, settings{quorum: "two_node: 1"}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "sbd")
		fencer := compile(t, c.stage, "testdata/c/fencer.c", "-lcmap")
		c.startAll()
		a, b := c.machine(1), c.machine(2)
		p := a.program(fencer)
		p.until(0, "members 1")
		q := b.program(fencer)
		p.until(0, "members 2")
		// The key that a tracker of one key is told of, and its neighbours.
		a.must("corosync-cmapctl", "-s", "quorum.two_node", "u8", "0")
		a.must("corosync-cmapctl", "-s", "quorum.two_node_not", "u8", "0")
		a.must("corosync-cmapctl", "-d", "quorum.two_node")
		a.must("corosync-cmapctl", "-s", "quorum.two_node", "u8", "1")
		_, n := p.until(0, "added ")
		b.kill()
		q.exit()
		_, n = p.until(n, "members 1")
		b.start()
		c.together(1, 2)
		q2 := b.program(fencer)
		_, n = p.until(n, "members 2")
		q2.order("end")
		status := q2.exit()
		p.until(n, "members 1")
		a.process.Signal(syscall.SIGTERM)
		ended := p.exit()
		r.in("sbd's calls")
		r.compare(a, []string{"fencer"}, r.clean(strings.Join(p.said(), "\n")+"\n", ended))
		r.compare(b, []string{"fencer", "while", "its", "daemon", "is", "killed"}, r.clean(strings.Join(q.said(), "\n")+"\n", q.exit()))
		r.compare(b, []string{"fencer", "that", "ends"}, r.clean(strings.Join(q2.said(), "\n")+"\n", status))
	})
}

// corosync-notifyd prints what happens to nodes and quorum.
func TestDropIn_Notifyd(t *testing.T) {
	needDropIn(t)
	needTool(t, "corosync-notifyd")
	onEach(t, 3, settings{}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "notifyd")
		a := c.machine(1)
		r.in("no daemon")
		r.do(a, "corosync-notifyd", "-h")
		c.startAll()
		args := []string{"corosync-notifyd", "-f", "-o", "-n"}
		p := a.program("sh", "-c", "exec "+strings.Join(args, " ")+" 2>&1")
		says := func(notices ...string) {
			t.Helper()
			testenv.Eventually(t, patience, fmt.Sprintf("notices of corosync-notifyd: %q", notices), func() (bool, any) {
				said := p.said()
				for _, n := range notices {
					if !slices.ContainsFunc(said, func(l string) bool { return strings.HasSuffix(l, n) }) && r.missing(args) == "" {
						return false, said
					}
				}
				return true, nil
			})
		}
		says("n1[1] is now quorate") // the last thing that it asks for at its start
		q := a.program(c.tracker, "0")
		says(".tracker is now connected to corosync")
		q.kill()
		says(".tracker is now disconnected from corosync")
		c.machine(3).kill()
		c.formed(true, 1, 2)
		says("[3] ip:10.77.0.3 left", "link 0 to node 3 is now disconnected")
		c.machine(2).kill()
		c.formed(false, 1)
		says("n1[1] has lost quorum", "[2] ip:10.77.0.2 left", "link 0 to node 2 is now disconnected")
		c.machine(2).start()
		c.machine(3).start()
		c.formed(true, 1, 2, 3)
		says("[2] ip:10.77.0.2 joined", "link 0 to node 2 is now operational", "[3] ip:10.77.0.3 joined", "link 0 to node 3 is now operational")
		ends := func() {
			t.Helper()
			p.cmd.Process.Signal(syscall.SIGTERM)
			status := p.exit()
			var notices []string // quorum and nodes are told by two connections
			for _, l := range p.said() {
				if _, notice, ok := strings.Cut(l, "[notice] "); ok {
					notices = append(notices, connection.ReplaceAllString(notice, "CONNECTION of "))
				}
			}
			slices.Sort(notices)
			r.compare(a, args, r.clean(strings.Join(slices.Compact(notices), "\n")+"\n", status))
		}
		r.in("three nodes, two, one, three")
		ends()

		// In the log too, and with names of addresses.
		args = []string{"corosync-notifyd", "-f", "-l", "-o"}
		p = a.program("sh", "-c", "exec "+strings.Join(args, " ")+" 2>&1")
		says("n1[1] is now quorate")
		c.machine(3).kill()
		c.formed(true, 1, 2)
		says("[3] ip:10.77.0.3 left", "link 0 to node 3 is now disconnected")
		r.in("three nodes, two")
		ends()
	})
}

// connection is how corosync-notifyd names one of the daemon, before the name of
// the program.
var connection = regexp.MustCompile(`0x[0-9a-f]+\.\d+\.`)
