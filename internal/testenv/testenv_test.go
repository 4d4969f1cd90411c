package testenv

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/bench"
)

func TestProcess(t *testing.T) {
	p := Start(t, exec.Command("sh", "-c", "echo ready; read line"))
	p.cmd.Stdin = nil
	p.WaitOutput(5*time.Second, "ready")
	p.Signal(syscall.SIGTERM)
	p.Wait(5 * time.Second)
	if p.Running() {
		t.Error("still running after Wait")
	}
	p.Signal(syscall.SIGTERM)
}

func TestStageHasItsNodes(t *testing.T) {
	OnStage(t, 2, func(t *testing.T, s *bench.Stage) {
		for _, n := range s.Nodes {
			out, err := n.Command("ip", "-4", "-br", "addr").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if len(s.Nodes) != 2 {
			t.Errorf("%d nodes", len(s.Nodes))
		}
	})
}
