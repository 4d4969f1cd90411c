// Package supervise keeps a command running: it starts it again when it ends,
// after a pause that doubles from Config.Min to Config.Max, and starts at Min again
// when the command ran longer than Max.
//
// Each run gets one end of a new socket of type SOCK_SEQPACKET as its descriptor 3;
// the other end is Config.Started's. A run has a process group of its own, which
// ends with it, ordinary scheduling, and no capabilities of this process. What it
// prints goes to the log, line by line.
//
// A Keeper's methods may be called by several goroutines; its own one calls the
// functions of its Config.
package supervise

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/script"
)

// Config is what to run.
type Config struct {
	Command []string // path and arguments
	Env     []string
	Cred    *syscall.Credential // nil: this process's
	// Started is told of each run, and owns the socket.
	Started func(pid int32, socket int)
	// Ended is told that a run ended, or could not begin, and is followed by another
	// one. Optional.
	Ended    func(Status)
	Log      *slog.Logger
	Min, Max time.Duration // of the pauses; 100 ms and 30 s
	Patience time.Duration // of Close, before it kills; 3 s
}

// Status is how a command does.
type Status struct {
	PID   int32     // of the present run; zero: there is none
	Since time.Time // when that began or, if there is none, when the last one ended
	Next  time.Time // when the next one begins; zero while there is one
	Ended uint64    // runs that ended, and attempts that failed
	Last  string    // how the last one of these ended
	Why   string    // why Kill ended it; empty: it did not
}

// Keeper keeps one command running.
type Keeper struct {
	cfg    Config
	closed chan struct{} // closed by Retire
	done   chan struct{} // closed when nothing runs any more
	end    sync.Once

	mu      sync.Mutex // guards what follows
	process *os.Process
	status  Status
	killed  string // why Kill ended the present run
}

// Start starts the command. That it cannot be started is logged, and tried again.
func Start(c Config) *Keeper {
	c.Min, c.Max = cmp.Or(c.Min, 100*time.Millisecond), cmp.Or(c.Max, 30*time.Second)
	c.Patience = cmp.Or(c.Patience, 3*time.Second)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	k := &Keeper{cfg: c, closed: make(chan struct{}), done: make(chan struct{}), status: Status{Since: time.Now()}}
	go k.run()
	return k
}

// Kill ends the run with that process id, if it is the present one, and Status tells
// why. It does not wait.
func (k *Keeper) Kill(pid int32, why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.status.PID == pid && pid != 0 {
		k.killed = why
		_ = k.process.Kill()
	}
}

// Retire ends the command for good. It does not wait.
func (k *Keeper) Retire() { k.end.Do(func() { close(k.closed) }) }

// Close ends the command for good and waits for that.
func (k *Keeper) Close() {
	k.Retire()
	<-k.done
}

// Status is how the command does now.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

func (k *Keeper) run() {
	defer close(k.done)
	pause := k.cfg.Min
	for {
		began := time.Now()
		err := k.once()
		select {
		case <-k.closed:
			return
		default:
		}
		if time.Since(began) > k.cfg.Max {
			pause = k.cfg.Min
		}
		k.ended(err, pause)
		k.cfg.Log.Warn("The process of a service ended and is started again", "how", how(err), "in", pause)
		select {
		case <-time.After(pause):
		case <-k.closed:
			return
		}
		pause = min(2*pause, k.cfg.Max)
	}
}

// ended notes that a run is over, and that another one follows.
func (k *Keeper) ended(err error, pause time.Duration) {
	now := time.Now()
	k.mu.Lock()
	st := Status{Since: now, Next: now.Add(pause), Ended: k.status.Ended + 1, Last: how(err)}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		st.Why = k.killed // else it was faster than Kill
	}
	k.status, k.killed = st, ""
	k.mu.Unlock()
	if k.cfg.Ended != nil {
		k.cfg.Ended(st)
	}
}

// how says how a run ended.
func how(err error) string {
	if err == nil {
		return "it exited with status 0"
	}
	return err.Error()
}

// once is one run.
func (k *Keeper) once() error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "agent")
	out := &lines{log: k.cfg.Log}
	cmd := exec.Command(k.cfg.Command[0], k.cfg.Command[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = k.cfg.Env, "/", out, out
	cmd.ExtraFiles = []*os.File{theirs} // the first one is descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: k.cfg.Cred}
	cmd.WaitDelay = time.Second
	err = script.Start(cmd)
	_ = theirs.Close()
	if err != nil {
		_ = unix.Close(fds[0])
		return err
	}
	pid := int32(cmd.Process.Pid)
	k.mu.Lock()
	k.process = cmd.Process
	k.status.PID, k.status.Since, k.status.Next = pid, time.Now(), time.Time{}
	k.mu.Unlock()
	k.cfg.Log.Info("The process of a service started", "process", pid)
	k.cfg.Started(pid, fds[0])
	err = k.wait(cmd)
	_ = syscall.Kill(-int(pid), syscall.SIGKILL) // what it left behind
	out.flush()
	return err
}

// wait waits for the end of a run, and brings it about after Close.
func (k *Keeper) wait(cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		k.mu.Lock()
		k.process, k.status.PID = nil, 0
		k.mu.Unlock()
	}()
	select {
	case err := <-ended:
		return given(err)
	case <-k.closed:
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		return given(err)
	case <-time.After(k.cfg.Patience):
	}
	_ = cmd.Process.Kill()
	return <-ended
}

// given is the error of a run; something that it left behind and that prints is
// none.
func given(err error) error {
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

// lines logs what is written, line by line. It is used by one goroutine at a time.
type lines struct {
	log *slog.Logger
	mu  sync.Mutex
	b   []byte
}

const maxLine = 4 << 10

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	for {
		i := bytes.IndexByte(l.b, '\n')
		if i < 0 && len(l.b) < maxLine {
			return len(b), nil
		}
		if i < 0 || i > maxLine {
			i = maxLine - 1
			l.say(l.b[:i+1])
		} else {
			l.say(l.b[:i])
		}
		l.b = append(l.b[:0], l.b[i+1:]...)
	}
}

func (l *lines) say(b []byte) {
	if b = bytes.TrimRight(b, "\r"); len(b) > 0 {
		l.log.Info("The process of a service says: " + string(b))
	}
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say(l.b)
	l.b = nil
}
