// Package agents runs agents for tests of libraries: processes of the moot command that
// are one cluster. On the loopback addresses of this machine they need no root, and have
// no networks that could be cut; on a stage they have.
package agents

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/link"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/testenv"
)

// patience is how long a ring may take on a busy machine.
const patience = 60 * time.Second

// Hall is a cluster. Its methods are for the goroutine of the test.
type Hall struct {
	t       testing.TB
	dir     string
	stage   *bench.Stage // nil: on loopback
	process []*testenv.Process
}

// Start starts agents with nodes 1 to n on loopback, and more sections of their
// corosync.conf, and waits until they are one ring. They end with the test.
func Start(t testing.TB, n int, sections ...string) *Hall {
	t.Helper()
	h := New(t, n, sections...)
	h.Begin()
	return h
}

// New is Start that starts none of them.
func New(t testing.TB, n int, sections ...string) *Hall {
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
	// A node is lost with its process only, of which the kernel tells, however busy the
	// machine is: hence the times.
	h.configure(hosts, port, 10_000, 2000, sections)
	return h
}

// OnStage is New on machines of their own, between which the network can be cut.
func OnStage(t testing.TB, s *bench.Stage, sections ...string) *Hall {
	t.Helper()
	h := &Hall{t: t, dir: s.Dir, stage: s, process: make([]*testenv.Process, len(s.Nodes))}
	var hosts []netip.Addr
	for _, m := range s.Nodes {
		hosts = append(hosts, m.Addr)
	}
	h.configure(hosts, 5405, 3000, 600, sections) // a busy machine may hold an agent up for a second
	return h
}

// configure writes what the agents read; times are in milliseconds.
func (h *Hall) configure(hosts []netip.Addr, port uint16, token, ping int, sections []string) {
	h.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "totem {\nversion: 2\ncluster_name: hall\ntoken: %d\ninterface {\nlinknumber: 0\nmcastport: %d\nknet_ping_interval: %d\n}\n}\n", token, port, ping)
	b.WriteString("logging {\nto_syslog: no\n}\nquorum {\nprovider: corosync_votequorum\n}\nnodelist {\n")
	for i, host := range hosts {
		fmt.Fprintf(&b, "node {\nnodeid: %[1]d\nname: node%[1]d\nring0_addr: %[2]s\n}\n", i+1, host)
	}
	b.WriteString("}\n" + strings.Join(sections, ""))
	if err := os.WriteFile(h.Config(), []byte(b.String()), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// Begin starts all agents and waits until they are one ring.
func (h *Hall) Begin() {
	h.t.Helper()
	for i := range h.process {
		h.Start(i + 1)
	}
	h.Formed()
}

// Size is how many nodes there are, whether their agents run or not.
func (h *Hall) Size() int { return len(h.process) }

// Agent is the process of a node's agent.
func (h *Hall) Agent(node int) *testenv.Process { return h.process[node-1] }

// Stage is what the agents are on; nil: loopback.
func (h *Hall) Stage() *bench.Stage { return h.stage }

// Command is a command on the machine of a node.
func (h *Hall) Command(node int, name string, args ...string) *exec.Cmd {
	if h.stage == nil {
		return exec.Command(name, args...)
	}
	return h.stage.Nodes[node-1].Command(name, args...)
}

// Dir is the directory of the cluster.
func (h *Hall) Dir() string { return h.dir }

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
	h.process[node-1] = testenv.Start(h.t, h.Command(node, testenv.Binary(h.t), "agent", "-c", h.Config(), "--node", fmt.Sprint(node),
		"--state", filepath.Join(h.dir, fmt.Sprint("state", node)), "--run", h.Run(node), "--no-corosync-door"))
}

// Stop has the agent of a node leave the cluster.
func (h *Hall) Stop(node int) {
	h.t.Helper()
	h.process[node-1].Signal(syscall.SIGTERM)
	h.process[node-1].Wait(patience)
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
	var running []int
	for i, p := range h.process {
		if p != nil && p.Running() {
			running = append(running, i+1)
		}
	}
	h.Ring(running...)
}

// Ring waits until nodes see a ring of them.
func (h *Hall) Ring(nodes ...int) {
	h.t.Helper()
	var want []proto.NodeID
	for _, node := range nodes {
		want = append(want, proto.NodeID(node))
	}
	for _, node := range nodes {
		testenv.Eventually(h.t, patience, fmt.Sprintf("a ring of %v at node %d", nodes, node), func() (bool, any) {
			st, err := h.Status(node)
			return err == nil && st.State == "operational" && st.Ring != nil && slices.Equal(st.Ring.Members, want), errors.Join(err, fmt.Errorf("%+v", st))
		})
	}
}

// Status is what the agent of a node says of itself.
func (h *Hall) Status(node int) (admin.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return admin.New(h.Run(node)).Status(ctx)
}

// Split has nodes on a stage reach each other within a block only, and waits for their
// rings.
func (h *Hall) Split(blocks ...[]int) {
	h.t.Helper()
	h.Cut(blocks...)
	for _, block := range blocks {
		h.Ring(block...)
	}
}

// Cut has nodes on a stage reach each other within a block only; without blocks, all.
func (h *Hall) Cut(blocks ...[]int) {
	h.t.Helper()
	if err := testenv.Split(h.stage, blocks...); err != nil {
		h.t.Fatal(err)
	}
}

// Moot runs the moot command beside the agent of a node to its end, and returns what it
// said and its exit status.
func (h *Hall) Moot(node int, args ...string) (output string, status int) {
	h.t.Helper()
	cmd := h.Command(node, testenv.Binary(h.t), args...)
	cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+h.Run(node))
	b, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		h.t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}
