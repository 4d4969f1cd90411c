// Package agents runs agents for tests of libraries: processes of the moot command that
// are one cluster on the loopback addresses of this machine. They need no root, and have
// no networks that could be cut; package interop has stages for that.
package agents

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/internal/link"
	"github.com/moothall/moothall/internal/testenv"
)

// patience is how long a ring may take on a busy machine.
const patience = 60 * time.Second

// Hall is a cluster. Its methods are for the goroutine of the test.
type Hall struct {
	t       testing.TB
	dir     string
	process []*testenv.Process
}

// Start starts agents with nodes 1 to n, and more sections of their corosync.conf, and
// waits until they are one ring. They end with the test.
func Start(t testing.TB, n int, sections ...string) *Hall {
	t.Helper()
	dir, err := os.MkdirTemp("", "hall") // names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &Hall{t: t, dir: dir, process: make([]*testenv.Process, n)}
	var hosts []netip.Addr
	for i := range n {
		hosts = append(hosts, netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}))
	}
	port, err := link.FreePorts(hosts)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	// A node is lost with its process only, of which the kernel tells, however busy the
	// machine is: hence the times.
	fmt.Fprintf(&b, "totem {\nversion: 2\ncluster_name: hall\ntoken: 10000\ninterface {\nlinknumber: 0\nmcastport: %d\nknet_ping_interval: 2000\n}\n}\n", port)
	b.WriteString("logging {\nto_syslog: no\n}\nquorum {\nprovider: corosync_votequorum\n}\nnodelist {\n")
	for i, host := range hosts {
		fmt.Fprintf(&b, "node {\nnodeid: %d\nname: node%d\nring0_addr: %s\n}\n", i+1, i+1, host)
	}
	b.WriteString("}\n" + strings.Join(sections, ""))
	if err := os.WriteFile(h.Config(), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		h.Start(i + 1)
	}
	h.Formed()
	return h
}

// Config is the configuration of all nodes.
func (h *Hall) Config() string { return filepath.Join(h.dir, "corosync.conf") }

// Edit replaces a text of the configuration.
func (h *Hall) Edit(old, new string) {
	h.t.Helper()
	b, err := os.ReadFile(h.Config())
	if err == nil && !strings.Contains(string(b), old) {
		h.t.Fatalf("%q is not in\n%s", old, b)
	}
	if err == nil {
		err = os.WriteFile(h.Config(), []byte(strings.Replace(string(b), old, new, 1)), 0o600)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// Run is the directory with the sockets of a node's agent.
func (h *Hall) Run(node int) string { return filepath.Join(h.dir, fmt.Sprint("run", node)) }

// Start starts the agent of a node that has none.
func (h *Hall) Start(node int) {
	h.t.Helper()
	h.process[node-1] = testenv.Start(h.t, exec.Command(testenv.Binary(h.t), "agent", "-c", h.Config(), "--node", fmt.Sprint(node),
		"--state", filepath.Join(h.dir, fmt.Sprint("state", node)), "--run", h.Run(node), "--no-corosync-door"))
}

// Kill ends the agents of nodes as a power cut would.
func (h *Hall) Kill(nodes ...int) {
	h.t.Helper()
	for _, node := range nodes {
		h.process[node-1].Signal(syscall.SIGKILL)
	}
	for _, node := range nodes {
		h.process[node-1].Wait(patience)
	}
}

// Formed waits until those that run are one ring.
func (h *Hall) Formed() {
	h.t.Helper()
	running := 0
	for _, p := range h.process {
		if p.Running() {
			running++
		}
	}
	for i, p := range h.process {
		if !p.Running() {
			continue
		}
		testenv.Eventually(h.t, patience, fmt.Sprintf("node %d is in a ring of %d", i+1, running), func() (bool, any) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			st, err := admin.New(h.Run(i + 1)).Status(ctx)
			return err == nil && st.State == "operational" && st.Ring != nil && len(st.Ring.Members) == running, err
		})
	}
}

// Moot runs the moot command beside the agent of a node to its end, and returns what it
// said and its exit status.
func (h *Hall) Moot(node int, args ...string) (output string, status int) {
	h.t.Helper()
	cmd := exec.Command(testenv.Binary(h.t), args...)
	cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+h.Run(node))
	b, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		h.t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}
