package testenv

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const module = "github.com/moothall/moothall"

var (
	buildMu sync.Mutex // guards builds and atExit
	builds  = map[string]*build{}
	atExit  []func()
)

type build struct {
	once sync.Once
	path string
	err  error
}

// Binary builds the moot command with the given build tags, once in a test
// process, and returns its path. With MOOT_RACE=1 in the environment it has the
// race detector inside, whose reports stand in its output.
func Binary(t testing.TB, tags ...string) string {
	t.Helper()
	key := strings.Join(tags, ",")
	buildMu.Lock()
	b := builds[key]
	if b == nil {
		b = new(build)
		builds[key] = b
	}
	buildMu.Unlock()
	b.once.Do(func() { b.path, b.err = compile(key) })
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

func compile(tags string) (string, error) {
	dir, err := os.MkdirTemp("", "moot-testenv-")
	if err != nil {
		return "", err
	}
	AtExit(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "moot")
	args := []string{"build", "-tags", tags, "-o", path}
	if os.Getenv("MOOT_RACE") != "" {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, module+"/cmd/moot")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build moot: %w\n%s", err, out)
	}
	return path, nil
}

// AtExit has f called when Main has run the tests.
func AtExit(f func()) {
	buildMu.Lock()
	defer buildMu.Unlock()
	atExit = append(atExit, f)
}

// Main runs the tests of a package and removes what Binary built. Packages that
// use Binary call it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	for _, f := range atExit {
		f()
	}
	os.Exit(code)
}

// Process is a running program.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of Wait, valid after done

	out lockedBuffer
}

// Start runs a command. Its output is logged if the test fails, except what the
// command has a place for already; if it still runs at the end of the test, it
// is killed.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.out
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("output of %s:\n%s", strings.Join(cmd.Args, " "), p.Output())
		}
	})
	return p
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to a process that may have ended.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	tell(p.t, p.cmd.Process, s)
}

// Wait waits for the end and returns the exit status, -1 for a signal.
func (p *Process) Wait(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.t.Fatalf("%s still runs after %v", p.cmd.Args[0], within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Running reports whether it has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Output is what was printed so far.
func (p *Process) Output() string { return p.out.String() }

// WaitOutput waits until a text was printed.
func (p *Process) WaitOutput(within time.Duration, text string) {
	p.t.Helper()
	Eventually(p.t, within, fmt.Sprintf("%q in the output", text), func() (bool, any) {
		out := p.Output()
		return strings.Contains(out, text), out
	})
}

type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
