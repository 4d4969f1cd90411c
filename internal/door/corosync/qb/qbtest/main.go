package qbtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const inNamespace = "MOOTHALL_QBTEST_NETNS"

// Main runs the tests of a package in a network namespace of its own, because
// the names of the setup sockets are one per namespace. Call it from TestMain;
// run runs the tests and exits. Where namespaces are not to be had, tests that
// call Private are skipped.
func Main(run func()) {
	worker := slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzzworker") })
	here := "yes"
	if worker {
		here = "yes, as a fuzz worker" // one more namespace: workers run side by side
	}
	if os.Getenv(inNamespace) == here {
		loopbackUp()
		run()
	}
	err := again(here, worker)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		os.Setenv(inNamespace, "no: "+err.Error())
		run()
	}
	os.Exit(0)
}

// again runs this program in a namespace.
func again(state string, worker bool) error {
	runtime.LockOSThread() // the death signal comes when the thread that forked ends
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespace+"="+state)
	if worker { // package testing talks to its workers over these
		for fd := range uintptr(3) {
			cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(3+fd, "fuzz"))
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	return cmd.Wait()
}

// loopbackUp switches the namespace's loopback interface on, as far as that is
// permitted.
func loopbackUp() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if lo, err := unix.NewIfreq("lo"); err == nil {
		lo.SetUint16(unix.IFF_UP)
		_ = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
	}
}

// Private skips the test unless it runs in a namespace of its own.
func Private(t testing.TB) {
	t.Helper()
	if state := os.Getenv(inNamespace); !strings.HasPrefix(state, "yes") {
		t.Skipf("setup sockets need a network namespace of their own (%s)", state)
	}
}

// Shm makes a directory for the shared files of one test.
func Shm(t testing.TB) string {
	t.Helper()
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(base, "moothall-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
