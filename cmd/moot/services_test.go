package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// Three agents run examples/syslog in processes of its own: all logs get all
// lines in one order, a process that is killed is started again, and one whose
// agent is killed ends.
func TestServiceOfOthers(t *testing.T) {
	h := newHall(t)
	program := filepath.Join(h.dir, "syslog")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/moothall/moothall/examples/syslog").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := fmt.Sprintf("[totem]\ncluster_name = \"hall\"\nkeyfile = %q\n[[totem.interface]]\nmcastport = %d\n[logging]\nto_syslog = false\n[quorum]\nprovider = \"corosync_votequorum\"\n",
		filepath.Join(h.dir, "key"), freePort(t))
	for i, name := range []string{"anna", "bert", "cora"} {
		text += fmt.Sprintf("[[nodelist.node]]\nnodeid = %d\nname = %q\nring0_addr = \"127.0.0.%d\"\n", i+1, name, i+1)
	}
	text += fmt.Sprintf("[[service]]\nname = \"syslog\"\nid = 41\ncommand = [%q]\n", program)
	h.conf = filepath.Join(h.dir, "moot.toml")
	if err := os.WriteFile(h.conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	h.startAll()
	together := func(a *agent) { a.process.WaitOutput(patience, "says: -- anna, bert, cora write") }
	for _, a := range h.agents {
		together(a)
	}
	for i, a := range h.agents {
		a.log(t, fmt.Sprint("line ", i))
	}
	line := regexp.MustCompile(`says: (\w+: "line \d+")`)
	lines := func(a *agent) (list []string) {
		for _, m := range line.FindAllStringSubmatch(a.process.Output(), -1) {
			list = append(list, m[1])
		}
		return list
	}
	testenv.Eventually(t, patience, "the same lines in all logs", func() (bool, any) {
		first := lines(h.agents[0])
		return len(first) == 3 && slices.Equal(first, lines(h.agents[1])) && slices.Equal(first, lines(h.agents[2])), first
	})

	bert := h.agents[1]
	pid := bert.servicePID(t)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	bert.process.WaitOutput(patience, "is started again")
	testenv.Eventually(t, patience, "another process", func() (bool, any) {
		return bert.servicePID(t) != pid && strings.Count(bert.process.Output(), "-- anna, bert, cora write") == 2, bert.servicePID(t)
	})
	bert.log(t, "line 99")
	h.agents[2].process.WaitOutput(patience, `bert: "line 99"`)

	bert.process.Signal(syscall.SIGUSR2)
	bert.process.WaitOutput(patience, "processes on nodes [1 2 3]")

	pid = bert.servicePID(t)
	bert.process.Signal(syscall.SIGKILL)
	bert.process.Wait(patience)
	h.agents[0].process.WaitOutput(patience, "-- anna, cora write")
	testenv.Eventually(t, patience, "the end of the process", func() (bool, any) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z "), pid // a zombie is nobody's child any more, and waits for init
	})
}

// log gives a line to the agent's syslog service.
func (a *agent) log(t *testing.T, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.Dial(ctx, client.Config{Socket: filepath.Join(a.run, node.AgentSocket)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.OpenNamed(ctx, "syslog")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Call(ctx, 0, []byte(line)); err != nil {
		t.Fatal(err)
	}
}

// servicePID is the process that the agent has started last, by its log.
func (a *agent) servicePID(t *testing.T) int {
	t.Helper()
	all := regexp.MustCompile(`The process of a service started \(.*process=(\d+)\)`).FindAllStringSubmatch(a.process.Output(), -1)
	if len(all) == 0 {
		t.Fatal("no process was started")
	}
	pid, err := strconv.Atoi(all[len(all)-1][1])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
