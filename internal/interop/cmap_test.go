package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// keyed runs a test on three agents in one ring, with Corosync's tools.
func keyed(t *testing.T, quorum string, body func(t *testing.T, s *site)) {
	needTool(t, "corosync-cmapctl")
	needTool(t, "corosync-cfgtool")
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, "token: 1000", quorum, "")
		s.startAll()
		body(t, s)
	})
}

// key is the value of a key as corosync-cmapctl prints it.
func (a *agent) key(name string) string {
	a.s.t.Helper()
	_, value, _ := strings.Cut(strings.TrimSuffix(a.output("corosync-cmapctl", "-g", name), "\n"), " = ")
	return value
}

// keyed waits until a key has a value.
func (a *agent) keyed(name, want string) {
	a.s.t.Helper()
	testenv.Eventually(a.s.t, patience, fmt.Sprintf("%s = %s on node %d", name, want, a.id), func() (bool, any) {
		out, err := a.node.Command("corosync-cmapctl", "-g", name).CombinedOutput()
		return err == nil && strings.HasSuffix(string(out), " = "+want+"\n"), string(out)
	})
}

// Items 32 to 34 and 36, with Corosync's own tool.
func TestCmap_Tool(t *testing.T) {
	keyed(t, "", func(t *testing.T, s *site) {
		a, c := s.agents[0], s.agents[2]
		all := a.output("corosync-cmapctl")
		for _, line := range []string{
			"nodelist.local_node_pos (u32) = 0",
			"nodelist.node.2.name (str) = " + c.node.Name,
			"quorum.provider (str) = corosync_votequorum",
			"runtime.config.totem.token (u32) = 1650", // and 650 ms for the third node
			"runtime.services.votequorum.service_id (u16) = 5",
			"runtime.votequorum.this_node_id (u32) = 1",
			"totem.cluster_name (str) = interop",
			fmt.Sprintf("runtime.members.3.ip (str) = r(0) ip(%s) ", c.node.Addr),
		} {
			if !strings.Contains(all, line+"\n") {
				t.Errorf("no %q in\n%s", line, all)
			}
		}

		watch := a.program("stdbuf", "-oL", "corosync-cmapctl", "-T", "runtime.members.")
		_, seen := watch.until(0, "Type")
		saw := func(line string) {
			t.Helper()
			_, seen = watch.until(seen, line)
		}
		a.keyed("runtime.members.3.status", "joined")
		c.kill()
		s.formed(1, 2)
		saw("modify> runtime.members.3.status")
		a.keyed("runtime.members.3.status", "left")
		a.keyed("runtime.members.3.join_count", "1")
		c.start()
		s.formed(1, 2, 3)
		saw("modify> runtime.members.3.status")
		a.keyed("runtime.members.3.status", "joined")
		a.keyed("runtime.members.3.join_count", "2")
		c.keyed("runtime.members.3.join_count", "1")

		a.output("corosync-cmapctl", "-s", "interop.key", "u32", "7")
		if v := a.key("interop.key"); v != "7" {
			t.Errorf("interop.key is %s", v)
		}
		if out, err := s.agents[1].node.Command("corosync-cmapctl", "-g", "interop.key").CombinedOutput(); err == nil {
			t.Errorf("the map is the node's own, yet another one has the key: %s", out)
		}
		for _, args := range [][]string{{"-s", "totem.cluster_name", "str", "other"}, {"-D", "nodelist."}, {"-g", "no.such.key"}} {
			if out, err := a.node.Command("corosync-cmapctl", args...).CombinedOutput(); err == nil && args[0] != "-D" {
				t.Errorf("%q: no error: %s", args, out)
			}
		}
		if v := a.key("nodelist.node.0.nodeid"); v != "1" {
			t.Errorf("a read-only key is gone: %q", v)
		}

		stats := a.output("corosync-cmapctl", "-m", "stats")
		for _, line := range []string{"stats.knet.node2.link0.connected (u8) = 1\n", "stats.srp.operational_entered (u64) = ", "stats.ipcs.global.active (u64) = "} {
			if !strings.Contains(stats, line) {
				t.Errorf("no %q in\n%s", line, stats)
			}
		}
		a.output("corosync-cmapctl", "-m", "stats", "-s", "stats.clear.totem", "u8", "1")
		if v := a.output("corosync-cmapctl", "-m", "stats", "-g", "stats.srp.operational_entered"); !strings.HasSuffix(v, " = 0\n") {
			t.Errorf("not cleared: %s", v)
		}
	})
}

// quorum.expected_votes and quorum.cancel_wait_for_all do what they say.
func TestCmap_QuorumKeys(t *testing.T) {
	keyed(t, "wait_for_all: 1", func(t *testing.T, s *site) {
		a, b, c := s.agents[0], s.agents[1], s.agents[2]
		a.keyed("runtime.votequorum.wait_for_all_status", "0")
		for _, o := range s.agents {
			o.kill()
		}
		a.start()
		b.start()
		s.formed(1, 2)
		a.keyed("runtime.votequorum.wait_for_all_status", "1")
		quorate := func(want bool) {
			t.Helper()
			testenv.Eventually(t, patience, fmt.Sprintf("quorate %v", want), func() (bool, any) {
				st, err := a.status()
				return err == nil && st.Quorum.Quorate == want, fmt.Sprintf("%+v %v", st.Quorum, err)
			})
		}
		quorate(false)
		b.output("corosync-cmapctl", "-s", "quorum.cancel_wait_for_all", "u8", "1")
		quorate(true)
		b.keyed("quorum.cancel_wait_for_all", "0")
		a.keyed("runtime.votequorum.wait_for_all_status", "0")
		c.start()
		s.formed(1, 2, 3)
		a.output("corosync-cmapctl", "-s", "quorum.expected_votes", "u32", "5")
		testenv.Eventually(t, patience, "five votes expected", func() (bool, any) {
			st, err := c.status()
			return err == nil && st.Quorum.Expected == 5, fmt.Sprintf("%+v %v", st.Quorum, err)
		})
	})
}
