package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// A fourth node is added to three, and taken away again, as pcs does it: by new
// files and corosync-cfgtool -R (item 40 of corosync-ipc 6).
func TestReload_NodeComesAndGoes(t *testing.T) {
	needTool(t, "corosync-cfgtool")
	needTool(t, "corosync-quorumtool")
	testenv.OnStage(t, 4, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, "token: 1000", "", "")
		four, err := os.ReadFile(s.conf)
		if err != nil {
			t.Fatal(err)
		}
		text := string(four)
		three := []byte(strings.Replace(text, text[strings.Index(text, "node {\nnodeid: 4\n"):], "}\n", 1))
		files := make([]string, 4)
		write := func(b []byte, nodes ...int) {
			t.Helper()
			for _, i := range nodes {
				if err := os.WriteFile(files[i], b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, n := range stage.Nodes {
			files[i] = filepath.Join(n.Dir, "corosync.conf")
		}
		write(three, 0, 1, 2)
		write(four, 3)
		for i, a := range s.agents[:3] {
			a.start("-c", files[i])
		}
		s.formed(1, 2, 3)
		a, c, d := s.agents[0], s.agents[2], s.agents[3]
		reload := func(want int) {
			t.Helper()
			cmd := a.node.Command("corosync-cfgtool", "-R")
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != want {
				t.Fatalf("reload: exit status %d, want %d\n%s", code, want, out)
			}
		}
		counts := func(expected, total, quorum int) {
			t.Helper()
			for _, n := range s.agents[:3] {
				testenv.Eventually(t, patience, fmt.Sprintf("%d of %d votes", total, expected), func() (bool, any) {
					out, err := n.node.Command("corosync-quorumtool", "-s").CombinedOutput()
					text := strings.Join(strings.Fields(string(out)), " ")
					return strings.Contains(text, fmt.Sprintf("Expected votes: %d Highest expected: %d Total votes: %d Quorum: %d Flags: Quorate", expected, expected, total, quorum)), fmt.Sprintf("%s %v", out, err)
				})
			}
		}
		counts(3, 3, 2)

		write(four, 0, 1)
		reload(7)
		a.process.WaitOutput(patience, "refused by "+c.node.Name+": its file has other nodes, or other addresses, than that of "+a.node.Name)
		counts(3, 3, 2)
		write(four, 2)
		reload(0)
		counts(4, 3, 3)
		for _, n := range s.agents[:3] {
			n.keyed("nodelist.node.3.nodeid", "4")
			n.keyed("runtime.config.totem.token", "2300") // and 650 ms for each node beyond two
		}
		d.start("-c", files[3])
		s.formed(1, 2, 3, 4)
		counts(4, 4, 3)
		if out := a.output("corosync-cfgtool", "-s"); !strings.Contains(out, "nodeid:          4:\tconnected") {
			t.Errorf("the new node is not shown:\n%s", out)
		}

		write(three, 0, 1, 2)
		reload(7)
		a.process.WaitOutput(patience, "refused by "+d.node.Name+": it is a member now")
		d.process.Signal(syscall.SIGTERM)
		d.process.Wait(patience)
		s.formed(1, 2, 3)
		reload(0)
		counts(3, 3, 2)
		if out, err := a.node.Command("corosync-cmapctl", "-g", "nodelist.node.3.nodeid").CombinedOutput(); err == nil {
			t.Errorf("still there: %s", out)
		}
		c.kill()
		s.formed(1, 2)
		c.start("-c", files[2])
		s.formed(1, 2, 3)
	})
}
