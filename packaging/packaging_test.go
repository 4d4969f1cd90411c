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

// What make install puts into a directory is complete, and works from there.
func TestInstall(t *testing.T) {
	for _, tool := range []string{"make", "install", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("nothing is installed without %s", tool)
		}
	}
	root := t.TempDir()
	run := func(target string) {
		if out, err := exec.Command("make", "-C", "..", target, "DESTDIR="+root, "PREFIX=/opt/moot").CombinedOutput(); err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	run("install")
	options := filepath.Join(root, "etc/default/moothall")
	if err := os.WriteFile(options, []byte("MOOTHALL_OPTIONS=mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run("install")
	if out, err := exec.Command(filepath.Join(root, "opt/moot/bin/moot"), "version").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if unit := read("opt/moot/lib/systemd/system/moothall.service"); !strings.Contains(unit, "ExecStart=/opt/moot/bin/moot agent") || strings.Contains(unit, "/usr/bin/moot") {
		t.Errorf("the unit starts another moot:\n%s", unit)
	}
	if read("etc/default/moothall") != "MOOTHALL_OPTIONS=mine\n" {
		t.Error("settings were overwritten")
	}
	for _, name := range []string{"bash-completion/completions/moot", "zsh/site-functions/_moot", "fish/vendor_completions.d/moot.fish"} {
		if !strings.Contains(read("opt/moot/share/"+name), "moot") {
			t.Errorf("%s is no completion", name)
		}
	}
	for _, name := range []string{"man1/moot-status.1", "man7/moot-exit-codes.7", "man8/moot-agent.8"} {
		if !strings.Contains(read("opt/moot/share/man/"+name), ".SH NAME") {
			t.Errorf("%s is no manual page", name)
		}
	}
	run("uninstall")
	var left []string
	filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, path)
		}
		return err
	})
	if len(left) != 1 || left[0] != options {
		t.Errorf("left after uninstall: %q", left)
	}
}
