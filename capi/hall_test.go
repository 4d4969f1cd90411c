package capi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// hall is some agents.
type hall struct {
	t      testing.TB
	dir    string
	stage  *bench.Stage // nil: on loopback
	agents []*testenv.Process
}

// agents starts agents with nodes 1 to n on loopback, and more sections of their
// configuration, and waits until they are one ring.
func agents(t testing.TB, n int, sections ...string) *hall {
	t.Helper()
	h := emptyHall(t, n, sections...)
	h.begin()
	return h
}

// emptyHall has agents with nodes 1 to n on loopback, none of them started.
func emptyHall(t testing.TB, n int, sections ...string) *hall {
	t.Helper()
	dir, err := os.MkdirTemp("", "gs") // names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &hall{t: t, dir: dir, agents: make([]*testenv.Process, n)}
	var hosts []netip.Addr
	for i := range n {
		hosts = append(hosts, netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}))
	}
	port, err := link.FreePorts(hosts)
	if err != nil {
		t.Fatal(err)
	}
	h.configure(hosts, port, sections)
	return h
}

// agentsOnStage is agents on machines of their own, between which the network can be
// cut.
func agentsOnStage(t testing.TB, s *bench.Stage, sections ...string) *hall {
	t.Helper()
	h := emptyStage(t, s, sections...)
	h.begin()
	return h
}

// emptyStage is agentsOnStage with no agent started.
func emptyStage(t testing.TB, s *bench.Stage, sections ...string) *hall {
	t.Helper()
	h := &hall{t: t, dir: s.Dir, stage: s, agents: make([]*testenv.Process, len(s.Nodes))}
	var hosts []netip.Addr
	for _, m := range s.Nodes {
		hosts = append(hosts, m.Addr)
	}
	h.configure(hosts, 5405, sections)
	return h
}

// configure writes what the agents read.
func (h *hall) configure(hosts []netip.Addr, port uint16, sections []string) {
	h.t.Helper()
	var b strings.Builder
	token, ping := 10_000, 2000 // on loopback a node is lost with its process only, of which the kernel tells
	if h.stage != nil {
		token, ping = 3000, 600 // a busy machine may hold an agent up for a second
	}
	fmt.Fprintf(&b, "totem {\nversion: 2\ncluster_name: capi\ntoken: %d\ninterface {\nlinknumber: 0\nmcastport: %d\nknet_ping_interval: %d\n}\n}\n", token, port, ping)
	b.WriteString("logging {\nto_syslog: no\n}\nquorum {\nprovider: corosync_votequorum\n}\nnodelist {\n")
	for i, host := range hosts {
		fmt.Fprintf(&b, "node {\nnodeid: %[1]d\nname: node%[1]d\nring0_addr: %[2]s\n}\n", i+1, host)
	}
	if err := os.WriteFile(h.configuration(), []byte(b.String()+"}\n"+strings.Join(sections, "")), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) configuration() string { return filepath.Join(h.dir, "corosync.conf") }

// begin starts all agents and waits until they are one ring.
func (h *hall) begin() {
	h.t.Helper()
	for i := range h.agents {
		h.start(i + 1)
	}
	for i := range h.agents {
		h.formed(i + 1)
	}
}

// command is a command on the machine of a node.
func (h *hall) command(node int, name string, args ...string) *exec.Cmd {
	if h.stage == nil {
		return exec.Command(name, args...)
	}
	return h.stage.Nodes[node-1].Command(name, args...)
}

func (h *hall) start(node int) {
	h.t.Helper()
	h.agents[node-1] = testenv.Start(h.t, h.command(node, testenv.Binary(h.t), "agent", "-c", h.configuration(), "--node", fmt.Sprint(node),
		"--state", filepath.Join(h.dir, fmt.Sprint("state", node)), "--run", h.runDir(node), "--no-corosync-door"))
}

// stop has the agent of a node leave the cluster.
func (h *hall) stop(node int) {
	h.t.Helper()
	h.agents[node-1].Signal(syscall.SIGTERM)
	h.agents[node-1].Wait(patience)
}

// kill ends agents without a word.
func (h *hall) kill(nodes ...int) {
	h.t.Helper()
	for _, n := range nodes {
		h.agents[n-1].Signal(os.Kill)
	}
	for _, n := range nodes {
		h.agents[n-1].Wait(patience)
	}
}

// formed waits until a node sees one ring of all.
func (h *hall) formed(node int) {
	h.t.Helper()
	testenv.Eventually(h.t, patience, "one ring", func() (bool, any) {
		st, err := h.status(node)
		return err == nil && st.State == "operational" && st.Ring != nil && len(st.Ring.Members) == len(h.agents), err
	})
}

// ring waits until nodes see a ring of them.
func (h *hall) ring(nodes ...int) {
	h.t.Helper()
	var want []proto.NodeID
	for _, node := range nodes {
		want = append(want, proto.NodeID(node))
	}
	for _, node := range nodes {
		testenv.Eventually(h.t, patience, fmt.Sprintf("a ring of %v at node %d", nodes, node), func() (bool, any) {
			st, err := h.status(node)
			return err == nil && st.State == "operational" && st.Ring != nil && slices.Equal(st.Ring.Members, want), errors.Join(err, fmt.Errorf("%+v", st))
		})
	}
}

func (h *hall) status(node int) (admin.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return admin.New(h.runDir(node)).Status(ctx)
}

// split has nodes reach each other within a block only, and waits for their rings.
func (h *hall) split(blocks ...[]int) {
	h.t.Helper()
	h.cut(blocks...)
	for _, block := range blocks {
		h.ring(block...)
	}
}

// cut has nodes reach each other within a block only; without blocks, all.
func (h *hall) cut(blocks ...[]int) {
	h.t.Helper()
	if err := testenv.Split(h.stage, blocks...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) runDir(node int) string { return filepath.Join(h.dir, fmt.Sprint("run", node)) }

// client starts a program beside the agent of a node.
func (h *hall) client(node int, binary string, args ...string) (*testenv.Process, io.WriteCloser) {
	h.t.Helper()
	cmd := h.command(node, binary, args...)
	cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+h.runDir(node))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	return testenv.Start(h.t, cmd), stdin
}

// say writes a line to a program.
func say(t *testing.T, w io.Writer, line string) {
	t.Helper()
	if _, err := io.WriteString(w, line+"\n"); err != nil {
		t.Fatal(err)
	}
}
