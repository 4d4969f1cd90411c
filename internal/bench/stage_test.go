package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestStage runs itself again inside the namespaces.
func TestStage(t *testing.T) {
	onStage, status, err := Enter(t.Context(), "-test.run=^TestStage$", "-test.v")
	if err != nil {
		t.Skipf("no namespaces here: %v", err)
	}
	if !onStage {
		if status != 0 {
			t.Errorf("the stage ended with status %d", status)
		}
		return
	}
	stage, err := NewStage(3)
	if err != nil {
		if os.Geteuid() == 0 && strings.Contains(err.Error(), "not permitted") {
			t.Skipf("root without the right to mount: %v", err)
		}
		t.Fatal(err)
	}
	defer func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(stage.Dir); !os.IsNotExist(err) {
			t.Errorf("the scratch directory is still there: %v", err)
		}
	}()
	out, err := stage.Nodes[1].Command("sh", "-c", "hostname; ls /var/lib /run /dev/shm").Output()
	if err != nil || !strings.HasPrefix(string(out), "n2\n") || !strings.Contains(string(out), "/var/lib:\ncorosync\nmoothall\n") {
		t.Errorf("node 2 is %q, %v", out, err)
	}
	// A busy machine may let no frame through in a short time, so it gets longer ones.
	for span := 20 * time.Millisecond; ; span *= 4 {
		ceiling, err := MeasureCeiling(t.Context(), stage, span)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(ceiling, func(c Ceiling) bool { return c.FramesPerSec == 0 })
		if i < 0 {
			break
		}
		if span > time.Second {
			t.Fatalf("no frames in %+v", ceiling[i])
		}
	}
}

func TestClientCompiles(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no C compiler")
	}
	if _, err := os.Stat("/usr/include/corosync/cpg.h"); err != nil {
		t.Skip("no libcpg-dev")
	}
	out, err := exec.Command("cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror",
		"-o", filepath.Join(t.TempDir(), "cpgbench"), "client/cpgbench.c", "-lcpg").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
