package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// stopping is how long a process may take to stop on a busy machine.
const stopping = 60 * time.Second

// Stop has the process do nothing until Continue: when it returns, each thread
// stands still. One that has ended is left as it is.
func (p *Process) Stop() {
	p.t.Helper()
	Stop(p.t, p.cmd.Process)
}

// Continue lets a process that was stopped go on.
func (p *Process) Continue() {
	p.t.Helper()
	Continue(p.t, p.cmd.Process)
}

// Stop is Process.Stop for a process that the test has started otherwise. kill(2)
// with SIGSTOP returns before other threads of the process have seen the signal:
// they may answer a call in the meantime.
func Stop(t testing.TB, p *os.Process) {
	t.Helper()
	tell(t, p, syscall.SIGSTOP)
	Eventually(t, stopping, fmt.Sprintf("all threads of process %d stand still", p.Pid), func() (bool, any) {
		moving, err := moves(p.Pid)
		return moving == "" && err == nil, fmt.Sprintf("%s %v", moving, err)
	})
}

// Continue is Process.Continue for a process that the test has started otherwise.
func Continue(t testing.TB, p *os.Process) {
	t.Helper()
	tell(t, p, syscall.SIGCONT)
}

func tell(t testing.TB, p *os.Process, s os.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("signal %v to process %d: %v", s, p.Pid, err)
	}
}

// moves names a thread of the process that has not stopped, "" if there is none.
// No thread starts others once the signal is there.
func moves(pid int) (string, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return "", err
	}
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it ended
		}
		if err != nil {
			return "", err
		}
		// The state follows the name, which may hold any character.
		i := bytes.LastIndexByte(stat, ')')
		if i < 0 || i+2 >= len(stat) {
			return "", fmt.Errorf("%s: %q", file, stat)
		}
		if !bytes.ContainsRune([]byte("TtZX"), rune(stat[i+2])) {
			return string(stat[:i+3]), nil
		}
	}
	return "", nil
}
