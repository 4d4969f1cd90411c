package testenv

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// A process with many threads, each of which counts in a file.
func TestStop(t *testing.T) {
	const threads, file = 8, "MOOTHALL_TEST_COUNTS"
	if path := os.Getenv(file); path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range threads {
			go func() {
				runtime.LockOSThread()
				for n := uint64(1); ; n++ {
					f.WriteAt(binary.BigEndian.AppendUint64(nil, n), int64(8*i))
				}
			}()
		}
		select {}
	}
	path := filepath.Join(t.TempDir(), "counts")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	counts := func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStop$")
	cmd.Env = append(os.Environ(), file+"="+path)
	p := Start(t, cmd)
	for range 10 {
		last := counts()
		Eventually(t, time.Minute, "the process counts", func() (bool, any) { return counts() > last, nil })
		p.Stop()
		if before, after := counts(), counts(); before != after {
			t.Errorf("it counts on after Stop: %x, %x", before, after)
		}
		p.Continue()
	}
	p.Signal(syscall.SIGKILL)
	p.Wait(time.Minute)
	p.Stop() // it has ended
	p.Continue()
}
