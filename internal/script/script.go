// Package script runs deactivate scripts (group services 12.2): programs that a
// client of Group Services named, each as the user whose process is to be
// deactivated, with a limit of time for it and all that it started.
//
// Run blocks, so it belongs on a goroutine of its own; a Runner may be used by
// many. What scripts print goes to one log, bounded in size.
package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Job is one run.
type Job struct {
	Path     string // of the program
	Args     []string
	Env      []string      // all of it
	UID, GID uint32        // whose rights it has
	Limit    time.Duration // zero: none
	About    string        // for the log: what it is run for
}

// Result says how a job ended. It was successful if Err is nil.
type Result struct {
	Late bool // it was killed at its limit
	Err  error
	Took time.Duration
}

// Runner runs jobs, a bounded number at a time; the others wait, and their limits
// run.
type Runner struct {
	log   *Log
	slots chan struct{}
}

// atOnce is how many scripts run at the same time.
const atOnce = 32

// lastWords is how long something that a script left behind may still print.
const lastWords = 500 * time.Millisecond

// NewRunner makes a runner that logs into a file; nil keeps no log.
func NewRunner(log *Log) *Runner { return &Runner{log: log, slots: make(chan struct{}, atOnce)} }

// Run runs a job and waits for its end. A job that meets its limit is killed with
// its whole process group.
func (r *Runner) Run(j Job) Result {
	began := time.Now()
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if j.Limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, j.Limit)
	}
	defer cancel()
	out := &output{}
	err := r.run(ctx, &j, out)
	res := Result{Late: ctx.Err() != nil && err != nil, Err: err, Took: time.Since(began)}
	if res.Late {
		res.Err = fmt.Errorf("it did not end within %v", j.Limit)
	}
	if r.log != nil {
		r.log.add(began, &j, &res, out)
	}
	return res
}

func (r *Runner) run(ctx context.Context, j *Job, out *output) error {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	cred, err := credential(j.UID, j.GID, os.Geteuid(), os.Getegid())
	if err != nil {
		return err
	}
	cmd := j.command(ctx, cred, out)
	err = start(cmd)
	if errors.Is(err, syscall.ENOEXEC) { // a shell script without a first line that says so
		shell := *j
		shell.Path, shell.Args = "/bin/sh", append([]string{j.Path}, j.Args...)
		cmd = shell.command(ctx, cred, out)
		err = start(cmd)
	}
	if err != nil {
		return err
	}
	ordinary(cmd.Process.Pid)
	if err = cmd.Wait(); errors.Is(err, exec.ErrWaitDelay) {
		return nil // it ended well, and left something behind that prints
	}
	return err
}

func (j *Job) command(ctx context.Context, cred *syscall.Credential, out *output) *exec.Cmd {
	cmd := exec.CommandContext(ctx, j.Path, j.Args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = slices.Clone(j.Env), "/", out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: cred}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = lastWords
	return cmd
}

// credential are the rights to give a process; nil: those of this one will do.
func credential(uid, gid uint32, euid, egid int) (*syscall.Credential, error) {
	switch {
	case euid == 0 && (uid != 0 || gid != 0):
		return &syscall.Credential{Uid: uid, Gid: gid}, nil
	case int(uid) != euid || int(gid) != egid:
		return nil, fmt.Errorf("it is of user %d and group %d, and the agent, which is not root, of user %d and group %d", uid, gid, euid, egid)
	}
	return nil, nil
}

// ordinary takes the agent's place before the kernel's out-of-memory killer from a
// process, as far as it has it by inheritance.
func ordinary(pid int) {
	path := fmt.Sprintf("/proc/%d/oom_score_adj", pid)
	if score, err := os.ReadFile(path); err == nil && len(score) > 0 && score[0] == '-' {
		_ = os.WriteFile(path, []byte("0"), 0)
	}
}

// Start starts a command as an ordinary process, whatever the agent is.
func Start(cmd *exec.Cmd) error {
	err := start(cmd)
	if err == nil {
		ordinary(cmd.Process.Pid)
	}
	return err
}

// start starts a command from a thread with the scheduling of an ordinary
// process, and without the capabilities that a service manager gave the agent:
// its children would have both. The thread ends with the goroutine that made it
// so.
func start(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		a := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
		_ = unix.SchedSetAttr(0, &a, 0) // not permitted: then the agent has no better one either
		_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
		started <- cmd.Start()
	}()
	return <-started
}

// Args are those of a deactivate script (group services 12.2).
func Args(pid int32, limit time.Duration, flag, group string, instance int16, reason string) []string {
	return []string{strconv.Itoa(int(pid)), strconv.Itoa(int(limit / time.Second)), flag, group, strconv.Itoa(int(instance)), reason}
}
