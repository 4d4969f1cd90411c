package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/moothall/moothall/internal/testenv"
)

// An agent with a bad file ends at once with Corosync's exit status and the
// texts of package config, and leaves nothing behind: no socket, no record.
func TestMistakesStartNothing(t *testing.T) {
	binary := testenv.Binary(t)
	good, err := os.ReadFile("../../config/testdata/good.conf")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	datadriven.RunTest(t, "../../config/testdata/mistakes.txt", func(t *testing.T, d *datadriven.TestData) string {
		text, err := testenv.Edit(string(good), d.Input)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		var errs []string
		logging := true
		for line := range strings.Lines(d.Expected) {
			if place, what, ok := strings.Cut(line, ": error: "); ok {
				errs = append(errs, strings.TrimSuffix(place+": "+what, "\n"))
				logging = logging && (strings.Contains(what, "logging.") || strings.Contains(what, "logger_"))
			}
		}
		if errs == nil {
			return d.Expected
		}
		refused++
		want := exitBadConfig
		if logging {
			want = exitBadLogging
		}
		startNothing(t, d.Pos, binary, text, want, errs)
		return d.Expected
	})
	if refused < 30 {
		t.Errorf("only %d files were refused", refused)
	}
}

// What only the machine can tell.
func TestUnservableStartsNothing(t *testing.T) {
	binary := testenv.Binary(t)
	b, err := os.ReadFile("../../config/testdata/good.conf")
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.LocalAddr().(*net.UDPAddr).Port
	short := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(short, []byte("short"), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, edits string
		node        string
		code        int
		errs        []string
	}{
		{"an unknown node", "", "dora", exitBadConfig, []string{`corosync.conf:6:1: there is no node "dora"; the nodelist has anna (node 1), bert (node 2)`}},
		{"a name that cannot be resolved", "127.0.0.2 => no-such-host.invalid", "1", exitBadConfig,
			[]string{"corosync.conf:15:5: no-such-host.invalid: the name cannot be resolved", "write an address, or make the name known in /etc/hosts"}},
		{"no key", "token: 1000 => keyfile: /nowhere/key", "1", exitBadConfig, []string{"corosync.conf:4:3: key file /nowhere/key is not there: copy it from another node, or make one with moot key generate"}},
		{"a short key", "token: 1000 => keyfile: " + short, "1", exitBadConfig, []string{"corosync.conf:4:3: key file " + short + " has 5 bytes, at least 32 are needed"}},
		{"a port in use", fmt.Sprintf("token: 1000 => interface {|mcastport: %d|}", port), "1", exitRing, []string{fmt.Sprint(port), "in use"}},
		{"a log file that cannot be written", "to_syslog: no => to_logfile: yes|logfile: /nowhere/x.log", "1", exitBadLogging, []string{"logging.logfile: open /nowhere/x.log"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := testenv.Edit(good, c.edits)
			if err != nil {
				t.Fatal(err)
			}
			startNothing(t, c.name, binary, text, c.code, c.errs, "--node", c.node)
		})
	}
}

// startNothing runs an agent with a file and holds it to an exit status and to
// texts, and to leaving nothing behind that a later start or client would find.
func startNothing(t *testing.T, where, binary, text string, code int, errs []string, args ...string) {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "corosync.conf")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if args == nil {
		args = []string{"--node", "1"}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience) // an agent that starts would run on
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"agent", "-c", name, "--state", filepath.Join(dir, "state"), "--run", filepath.Join(dir, "run"), "--no-corosync-door"}, args...)...)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%s: exit status %d, want %d\n%s", where, got, code, out)
	}
	said := strings.ReplaceAll(string(out), name, "corosync.conf")
	for _, want := range errs {
		if !strings.Contains(said, want) {
			t.Errorf("%s: it does not say %q:\n%s", where, want, said)
		}
	}
	if strings.Contains(said, "Node started") {
		t.Errorf("%s: it started:\n%s", where, said)
	}
	if _, err := os.Stat(filepath.Join(dir, "run", "admin.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: a socket is left: %v", where, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil && code != exitRing {
		t.Errorf("%s: a record is left", where)
	}
}

// A run directory that cannot be used is another thing than one in use.
func TestAgentRunDirectory(t *testing.T) {
	h := newHall(t)
	anna, bert := h.agents[0], h.agents[1]
	anna.start()
	anna.process.WaitOutput(patience, "Node started")
	file := filepath.Join(h.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		run, want string
		code      int
	}{
		{anna.run, "another agent serves " + anna.run, exitRunning},
		{filepath.Join(file, "run"), "run directory: mkdir " + file + ": not a directory; create it", exitRunDir},
	} {
		bert.run = c.run
		bert.start()
		if code := bert.process.Wait(patience); code != c.code || !strings.Contains(bert.process.Output(), c.want) {
			t.Errorf("exit status %d, want %d with %q:\n%s", code, c.code, c.want, bert.process.Output())
		}
	}
}
