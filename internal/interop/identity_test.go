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

const (
	statusRing  = 15 // exit statuses of the agent
	statusState = 16
)

// ordering 2.18: a machine that was cloned with its disk, while the original
// runs. The clone is turned away with both addresses; the ring goes on.
func TestIdentity_ClonedMachine(t *testing.T) {
	testenv.OnStage(t, 4, func(t *testing.T, stage *bench.Stage) {
		three := *stage
		three.Nodes = stage.Nodes[:3]
		s := newSite(t, &three, "token: 1000", "", "")
		s.startAll()
		before := s.formed(1, 2, 3)
		original, machine := s.agents[2], stage.Nodes[3]

		// Its disk, and its configuration but for the address.
		b, err := os.ReadFile(s.conf)
		if err != nil {
			t.Fatal(err)
		}
		conf := filepath.Join(machine.Dir, "corosync.conf")
		text := strings.Replace(string(b), fmt.Sprint("ring0_addr: ", original.node.Addr), fmt.Sprint("ring0_addr: ", machine.Addr), 1)
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		clone := &agent{s: s, id: 3, node: machine, state: filepath.Join(machine.Dir, "state"), run: filepath.Join(machine.Dir, "run"), trace: filepath.Join(machine.Dir, "trace")}
		if err := os.CopyFS(clone.state, os.DirFS(original.state)); err != nil {
			t.Fatal(err)
		}
		clone.start("-c", conf)
		if code := clone.process.Wait(patience); code != statusRing {
			t.Errorf("exit status %d, want %d", code, statusRing)
		}
		for _, addr := range []string{original.node.Addr.String(), machine.Addr.String()} {
			if !strings.Contains(clone.process.Output(), addr) {
				t.Errorf("the clone does not name %s:\n%s", addr, clone.process.Output())
			}
		}
		if after := s.formed(1, 2, 3); after.Ring.Seq != before.Ring.Seq {
			t.Errorf("the ring went from %s to %s", before.Ring.ID, after.Ring.ID)
		}
		if !original.process.Running() {
			t.Error("the original has ended")
		}
	})
}

// A node that finds no room to write its record stops before it says anything
// that the record should hold (ordering 2.2), and the others go on; a disk that
// is full of other things does no harm to one that runs.
func TestDisk_Full(t *testing.T) {
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, "token: 1000", "", "")
		s.binary = testenv.Binary(t, "faults")
		a, b, c := s.agents[0], s.agents[1], s.agents[2]

		// A small file system of its own, in the sight of that node alone.
		if err := os.Mkdir(c.state, 0o755); err != nil {
			t.Fatal(err)
		}
		c.output("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", c.state)
		full := filepath.Join(c.state, "full")
		fill := func() { c.output("sh", "-c", "dd if=/dev/zero of="+full+" bs=4k 2>/dev/null || :") }

		fill()
		c.start()
		if code := c.process.Wait(patience); code != statusState || !strings.Contains(c.process.Output(), "no space left") {
			t.Errorf("first start on a full disk: exit status %d, want %d and why:\n%s", code, statusState, c.process.Output())
		}
		c.output("rm", full)
		s.startAll()
		fill()
		b.kill() // the record has to be written again
		s.formed(1, 3)
		b.start()
		s.formed(1, 2, 3)
		c.kill()
		c.start() // the record is there
		s.formed(1, 2, 3)

		// No room for the record itself.
		control := filepath.Join(stage.Dir, "fault")
		a.process.Signal(syscall.SIGTERM)
		a.process.Wait(patience)
		cmd := a.command()
		cmd.Env = append(os.Environ(), "MOOTHALL_TEST_DISK="+control)
		a.process = testenv.Start(t, cmd)
		s.formed(1, 2, 3)
		for _, fault := range []struct{ name, text string }{{"enospc", "no space left"}, {"torn=100", "torn"}} {
			if err := os.WriteFile(control, []byte(fault.name), 0o600); err != nil {
				t.Fatal(err)
			}
			b.kill()
			if code := a.process.Wait(patience); code != statusRing || !strings.Contains(a.process.Output(), fault.text) {
				t.Errorf("%s: exit status %d, want %d and why:\n%s", fault.name, code, statusRing, a.process.Output())
			}
			s.formed(3)
			if err := os.Remove(control); err != nil {
				t.Fatal(err)
			}
			cmd := a.command()
			cmd.Env = append(os.Environ(), "MOOTHALL_TEST_DISK="+control)
			a.process = testenv.Start(t, cmd)
			b.start()
			s.formed(1, 2, 3)
		}
	})
}
