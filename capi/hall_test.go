package capi_test

import (
	"io"
	"os"
	"testing"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
	halls "github.com/moothall/moothall/internal/testenv/agents"
)

// hall is some agents, and programs beside them.
type hall struct {
	*halls.Hall
	t testing.TB
}

// agents starts agents with nodes 1 to n on loopback, and more sections of their
// configuration, and waits until they are one ring.
func agents(t testing.TB, n int, sections ...string) *hall {
	t.Helper()
	return &hall{halls.Start(t, n, sections...), t}
}

// emptyHall is agents with none of them started.
func emptyHall(t testing.TB, n int, sections ...string) *hall {
	t.Helper()
	return &hall{halls.New(t, n, sections...), t}
}

// agentsOnStage is agents on machines of their own, between which the network can be
// cut.
func agentsOnStage(t testing.TB, s *bench.Stage, sections ...string) *hall {
	t.Helper()
	h := emptyStage(t, s, sections...)
	h.Begin()
	return h
}

// emptyStage is agentsOnStage with no agent started.
func emptyStage(t testing.TB, s *bench.Stage, sections ...string) *hall {
	t.Helper()
	return &hall{halls.OnStage(t, s, sections...), t}
}

// client starts a program beside the agent of a node.
func (h *hall) client(node int, binary string, args ...string) (*testenv.Process, io.WriteCloser) {
	h.t.Helper()
	cmd := h.Command(node, binary, args...)
	cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+h.Run(node))
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
