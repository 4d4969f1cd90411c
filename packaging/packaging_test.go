// Package packaging holds files for packages: units of the service manager.
package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// unit writes the unit with the moot of this tree, and the name to give it.
func unit(t *testing.T) (path string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed, so nobody checks the unit")
	}
	b, err := os.ReadFile("systemd/moothall.service")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "moothall.service")
	text := strings.ReplaceAll(string(b), "/usr/bin/moot", testenv.Binary(t))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// systemd takes the unit without a word.
func TestUnitIsGood(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit(t)).CombinedOutput()
	var about []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "moothall") { // and not about other units of the machine
			about = append(about, line)
		}
	}
	if len(about) > 0 || err != nil && len(out) == 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// The unit gives away little: the exposure that systemd computes stays low.
func TestUnitIsHardened(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", unit(t)).CombinedOutput()
	m := regexp.MustCompile(`exposure level for .*: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Skipf("this systemd does not judge units: %v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > 4.5 {
		t.Errorf("exposure level %s (%v)\n%s", m[1], err, out)
	}
}

// Exit statuses that starting again does not mend are those of the agent's help.
func TestUnitStopsAtHopelessExits(t *testing.T) {
	b, err := os.ReadFile("systemd/moothall.service")
	if err != nil {
		t.Fatal(err)
	}
	help, err := exec.Command(testenv.Binary(t), "agent", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^RestartPreventExitStatus=(.*)$`).FindSubmatch(b)
	if m == nil {
		t.Fatal("the unit starts again whatever happened")
	}
	for code := range strings.FieldsSeq(string(m[1])) {
		if !regexp.MustCompile(`(?m)^ +` + code + `  `).Match(help) {
			t.Errorf("exit status %s is not in the help of moot agent", code)
		}
	}
}
