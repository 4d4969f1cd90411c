package testenv

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/bench"
)

// OnStage runs a test on network namespaces of its own: nodes on a bridge, each
// with empty /run, /dev/shm and /var/lib. The test is run again in a child
// process, where body is called; root or user namespaces are needed, else it is
// skipped.
func OnStage(t *testing.T, nodes int, body func(t *testing.T, s *bench.Stage)) {
	t.Helper()
	for _, tool := range []string{"ip", "unshare", "nsenter", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs iproute2, mount and util-linux: %v", err)
		}
	}
	args := []string{"-test.run=^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$", "-test.count=1", "-test.v"}
	if *update {
		args = append(args, "-update")
	}
	inside, status, err := bench.Enter(t.Context(), args...)
	switch {
	case err != nil:
		t.Skipf("no namespaces here: %v", err)
	case !inside:
		if status != 0 {
			t.Errorf("failed on the stage, exit status %d: see above", status)
		}
		return
	}
	s, err := bench.NewStage(nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	body(t, s)
}
