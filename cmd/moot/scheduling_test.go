package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/testenv"
)

// All threads of an agent get the scheduling that its file asks for.
func TestAgentScheduling(t *testing.T) {
	own, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		system, says string
		policy       uint32
		nice         int32
	}{
		{"", "Node started", unix.SCHED_NORMAL, own.Nice},
		{"priority: min", "nice=19", unix.SCHED_NORMAL, lowest},
		{"sched_rr: no\npriority: -5", "nice=-5", unix.SCHED_NORMAL, -5},
		{"priority: max", "nice=-20", unix.SCHED_NORMAL, highest},
		{"sched_rr: yes", "real-time, round robin", unix.SCHED_RR, 0},
	} {
		if c.says != "Node started" && c.nice != lowest && os.Geteuid() != 0 {
			t.Logf("%q is left out: only root is sure to be permitted", c.system)
			continue
		}
		anna := startScheduled(t, c.system, nil)
		if !strings.Contains(anna.process.Output(), c.says) {
			t.Errorf("%q: it does not say %q:\n%s", c.system, c.says, anna.process.Output())
		}
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", anna.process.PID()))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			a, err := unix.SchedGetAttr(tid, 0)
			if errors.Is(err, unix.ESRCH) {
				continue // it has ended
			}
			if err != nil || a.Policy != c.policy || a.Policy == unix.SCHED_NORMAL && a.Nice != c.nice {
				t.Errorf("%q: thread %d: %+v, %v", c.system, tid, a, err)
			}
		}
	}
}

// Who is not permitted to have it runs all the same, and says so once.
func TestAgentSchedulingNotPermitted(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and setpriv, to have less than root has")
	}
	anna := startScheduled(t, "sched_rr: yes", []string{"setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice"})
	if n := strings.Count(anna.process.Output(), "No real-time scheduling"); n != 1 {
		t.Errorf("said %d times:\n%s", n, anna.process.Output())
	}
}

// An agent that may lock its memory does.
func TestAgentLocksItsMemory(t *testing.T) {
	if !mayLockAll() {
		t.Skip("needs CAP_IPC_LOCK or an unlimited RLIMIT_MEMLOCK")
	}
	anna := startScheduled(t, "", nil)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", anna.process.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "VmLck:") || strings.Contains(string(status), "VmLck:\t       0 kB") {
		t.Errorf("nothing is locked:\n%s", status)
	}
}

// startScheduled starts an agent with a system section, through a command.
func startScheduled(t *testing.T, system string, through []string) *agent {
	t.Helper()
	h := newHall(t)
	conf, err := os.ReadFile(h.conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.conf, fmt.Appendf(conf, "system {\n%s\n}\n", system), 0o644); err != nil {
		t.Fatal(err)
	}
	a := h.agents[0]
	cmd := a.command()
	if through != nil {
		cmd = exec.Command(through[0], append(through[1:], cmd.Args...)...)
	}
	a.process = testenv.Start(t, cmd)
	a.process.WaitOutput(patience, "Node started")
	return a
}
