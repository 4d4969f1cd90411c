package script

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/testenv"
)

const patience = 60 * time.Second

// shell writes an executable shell script.
func shell(t *testing.T, text string) string {
	t.Helper()
	dir := open(t)
	path := filepath.Join(dir, "script")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// open is a directory that everybody may use.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// own is a job of the user who tests.
func own(path string, args ...string) Job {
	return Job{Path: path, Args: args, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), About: "group g, provider 1/2, expel",
		Env: []string{"PATH=/usr/bin:/bin", "HA_GS_GROUP=g"}}
}

func ran(t *testing.T, j Job) (Result, string) {
	t.Helper()
	log := NewLog(filepath.Join(t.TempDir(), "log"))
	r := NewRunner(log).Run(j)
	text, err := os.ReadFile(log.path)
	if err != nil || log.Err() != nil {
		t.Fatal(err, log.Err())
	}
	return r, string(text)
}

func TestRun_ArgumentsAndSurroundings(t *testing.T) {
	path := shell(t, "#!/bin/sh\npwd; env | sort | grep -v -e ^PWD= -e ^_= -e ^SHLVL=; for a; do echo \"[$a]\"; done; echo err >&2; wc -c\n")
	r, log := ran(t, own(path, Args(7, 1500*time.Millisecond, "", "g", 1, "expel")...))
	_, text, _ := strings.Cut(log, "\n")
	want := "\t/\n\tHA_GS_GROUP=g\n\tPATH=/usr/bin:/bin\n\t[7]\n\t[1]\n\t[]\n\t[g]\n\t[1]\n\t[expel]\n\terr\n\t0\n"
	if r.Err != nil || r.Late || text != want {
		t.Errorf("%+v\n%s", r, log)
	}
	if head := "group g, provider 1/2, expel: " + path + ": done, after"; !strings.Contains(log, head) {
		t.Errorf("the log says %q", log)
	}
}

func TestRun_Failures(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	plain := shell(t, "exit 0\n")
	if err := os.Chmod(plain, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		want string
	}{
		"status":         {shell(t, "#!/bin/sh\nexit 3\n"), "exit status 3"},
		"signal":         {shell(t, "#!/bin/sh\nkill -9 $$\n"), "signal: killed"},
		"not there":      {missing, "no such file"},
		"not executable": {plain, "permission denied"},
	} {
		r, log := ran(t, own(c.path))
		if r.Err == nil || r.Late || !strings.Contains(r.Err.Error(), c.want) || !strings.Contains(log, c.want) {
			t.Errorf("%s: %+v\n%s", name, r, log)
		}
	}
}

// Any executable file will do: one without a first line is for the shell.
func TestRun_NoInterpreterLine(t *testing.T) {
	r, log := ran(t, own(shell(t, "echo \"$0 $1\"\n"), "x"))
	if r.Err != nil || !strings.Contains(log, "script x\n") {
		t.Errorf("%+v\n%s", r, log)
	}
}

// At the limit everything that the script started is killed.
func TestRun_LimitKillsTheGroup(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	j := own(shell(t, "#!/bin/sh\nsleep 600 & echo $! > "+pids+".new; mv "+pids+".new "+pids+"; wait\n"))
	j.Limit = 2 * time.Second
	r, log := ran(t, j)
	if !r.Late || r.Err == nil || !strings.Contains(log, "did not end within 2s") {
		t.Fatalf("%+v\n%s", r, log)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Skip("the script did not come to start its child in time: ", err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "the child's end", func() (bool, any) {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		return errors.Is(err, fs.ErrNotExist) || strings.Contains(string(state), ") Z "), string(state)
	})
}

// Who is left behind holds nobody up, and is left alone.
func TestRun_BackgroundProcesses(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	r, _ := ran(t, own(shell(t, "#!/bin/sh\nsleep 600 & echo $! > "+pids+"\n")))
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child, syscall.SIGKILL); r.Err != nil || err != nil {
		t.Errorf("%+v, child: %v", r, err)
	}
}

func TestRun_MuchOutput(t *testing.T) {
	r, log := ran(t, own(shell(t, "#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' x\n")))
	if r.Err != nil || len(log) > maxOutput+1000 || !strings.Contains(log, fmt.Sprintf("(%d more bytes were printed)", 200000-maxOutput)) {
		t.Errorf("%+v, %d bytes of log", r, len(log))
	}
}

func TestLog_GivesWay(t *testing.T) {
	l := NewLog(filepath.Join(t.TempDir(), "log"))
	if err := os.WriteFile(l.path, make([]byte, maxLog+1), 0o600); err != nil {
		t.Fatal(err)
	}
	NewRunner(l).Run(own("/bin/true"))
	old, err := os.Stat(l.path + ".1")
	if err != nil || old.Size() != maxLog+1 {
		t.Errorf("%v, %v", old, err)
	}
	if now, err := os.Stat(l.path); err != nil || now.Size() > 1000 {
		t.Errorf("%v, %v", now, err)
	}
	l.path = filepath.Join(l.path, "nowhere")
	if NewRunner(l).Run(own("/bin/true")); l.Err() == nil {
		t.Error("the log cannot be written, and does not say so")
	}
}

// A script has the rights of the process that it is run for, and no others.
func TestRun_AsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	j := own(shell(t, "#!/bin/sh\nid -u; id -g; id -G\n"))
	j.UID, j.GID = 65534, 65533
	r, log := ran(t, j)
	if _, text, _ := strings.Cut(log, "\n"); r.Err != nil || text != "\t65534\n\t65533\n\t65533\n" {
		t.Errorf("%+v\n%s", r, log)
	}
}

func TestCredential(t *testing.T) {
	for _, c := range []struct {
		uid, gid   uint32
		euid, egid int
		want       *syscall.Credential
		ok         bool
	}{
		{0, 0, 0, 0, nil, true},
		{7, 8, 0, 0, &syscall.Credential{Uid: 7, Gid: 8}, true},
		{0, 8, 0, 0, &syscall.Credential{Gid: 8}, true},
		{7, 8, 7, 8, nil, true},
		{0, 0, 7, 8, nil, false},
		{7, 9, 7, 8, nil, false},
	} {
		got, err := credential(c.uid, c.gid, c.euid, c.egid)
		if (err == nil) != c.ok || (got == nil) != (c.want == nil) || got != nil && (got.Uid != c.want.Uid || got.Gid != c.want.Gid) {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
}

// A script does not run with the scheduling of the agent.
func TestStart_OrdinaryScheduling(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := shell(t, "#!/bin/sh\ncut -d' ' -f19 /proc/self/stat\n")
	result, log := make(chan Result), NewLog(filepath.Join(t.TempDir(), "log"))
	go func() {
		if err := niceThread(); err != nil {
			result <- Result{Err: err}
			return
		}
		result <- NewRunner(log).Run(own(path))
	}()
	r := <-result
	text, err := os.ReadFile(log.path)
	if err != nil || r.Err != nil || !strings.HasSuffix(string(text), "\n\t0\n") {
		t.Errorf("%+v, %v\n%s", r, err, text)
	}
}

// niceThread gives this goroutine a thread of its own, which others inherit from.
func niceThread() error {
	runtime.LockOSThread()
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Nice: -5}, 0)
}

// A script is no safer from the out-of-memory killer than other processes.
func TestOrdinary_OutOfMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	path := fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid)
	if err := os.WriteFile(path, []byte("-900"), 0); err != nil {
		t.Skip("the score cannot be lowered here: ", err)
	}
	ordinary(cmd.Process.Pid)
	if got, err := os.ReadFile(path); err != nil || string(got) != "0\n" {
		t.Errorf("the score is %q, %v", got, err)
	}
}
