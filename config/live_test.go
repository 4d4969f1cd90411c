package config_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// The keys of a running Corosync with the same file: names, types and values
// (corosync-ipc 3.2, 3.3).
func TestSameKeysAsCorosync(t *testing.T) {
	for _, tool := range []string{"corosync", "corosync-cmapctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed, so there is nothing to compare with", tool)
		}
	}
	testenv.OnStage(t, 1, func(t *testing.T, s *bench.Stage) {
		name, err := filepath.Abs("testdata/keys.conf")
		if err != nil {
			t.Fatal(err)
		}
		c, problems := config.Load(name)
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		want := corosyncKeys(t, s.Nodes[0], name)
		got := cmapctl(append(c.Keys(), c.RuntimeKeys(1)...))
		if d := gocmp.Diff(want, got); d != "" {
			t.Errorf("Corosync's keys (-) and ours (+):\n%s", d)
		}
	})
}

// corosyncKeys starts a corosync and asks it for all keys of its configuration.
func corosyncKeys(t *testing.T, n *bench.Node, name string) []string {
	daemon := n.Command("corosync", "-f", "-c", name)
	var log bytes.Buffer
	daemon.Stdout, daemon.Stderr = &log, &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(daemon.Process.Signal(os.Interrupt), daemon.Wait()); err != nil {
			t.Error(err)
		}
	}()
	var out []byte
	testenv.Eventually(t, 20*time.Second, "keys of corosync", func() (bool, any) {
		var err error
		out, err = n.Command("corosync-cmapctl").CombinedOutput()
		return err == nil && bytes.Contains(out, []byte("runtime.members.1.status")), fmt.Sprintf("%s\n%s", out, log.Bytes())
	})
	of := regexp.MustCompile(`^(totem|nodelist|quorum|logging|system|uidgid|nozzle|mine|topkey|runtime\.config)\b`)
	var keys []string
	for line := range strings.Lines(string(out)) {
		if of.MatchString(line) {
			keys = append(keys, strings.TrimSuffix(line, "\n"))
		}
	}
	return keys
}

// cmapctl prints keys as corosync-cmapctl does. Later ones count.
func cmapctl(keys []config.Key) []string {
	last := map[string]config.Key{}
	for _, k := range keys {
		last[k.Name] = k
	}
	var lines []string
	for _, k := range last {
		lines = append(lines, fmt.Sprintf("%s (%v) = %s", k.Name, k.Type, k.Value))
	}
	slices.SortFunc(lines, func(a, b string) int { // by the name alone
		a, _, _ = strings.Cut(a, " ")
		b, _, _ = strings.Cut(b, " ")
		return cmp.Compare(a, b)
	})
	return lines
}
