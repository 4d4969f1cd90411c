package qb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const backlogConns = 128 // connections that wait for accept

// listener is the setup socket of one service.
type listener struct {
	service string
	fd      int
	file    string // of a file-system socket
}

// abstractLen is the length of an abstract name: libqb pads it with NULs to
// the whole address, and a shorter one is another name (corosync-ipc 1.1).
const abstractLen = 108

func abstractName(svc string) string {
	return "@" + svc + strings.Repeat("\x00", max(0, abstractLen-1-len(svc)))
}

// bind opens the setup socket of a service where the client libraries of this
// machine look for it.
func bind(svc string, cfg Config) (listener, error) {
	l := listener{service: svc}
	addr, shown := &syscall.SockaddrUnix{Name: abstractName(svc)}, "@"+svc
	if _, err := os.Stat(cfg.ForceFile); err == nil {
		l.file = filepath.Join(cfg.SocketDir, svc)
		addr, shown = &syscall.SockaddrUnix{Name: l.file}, l.file
		if pid, alive := holder(addr); alive {
			return listener{}, inUse(shown, pid)
		}
		_ = unix.Unlink(l.file) // a file without a listener is from an earlier run
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return listener{}, fmt.Errorf("qb: socket: %w", err)
	}
	l.fd = fd
	if err := l.listen(addr); err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			pid, _ := holder(addr)
			return listener{}, inUse(shown, pid)
		}
		return listener{}, fmt.Errorf("qb: listen on %s: %w", shown, err)
	}
	return l, nil
}

func (l listener) listen(addr syscall.Sockaddr) error {
	if err := syscall.Bind(l.fd, addr); err != nil {
		return err
	}
	if l.file != "" {
		// Who may go on is decided by credentials, not by the file's mode.
		if err := unix.Chmod(l.file, 0o777); err != nil {
			return err
		}
	}
	return unix.Listen(l.fd, backlogConns)
}

func (l listener) close() {
	_ = unix.Close(l.fd)
	if l.file != "" {
		_ = unix.Unlink(l.file)
	}
}

// holder finds out who listens on an address, by connecting to it.
func holder(addr syscall.Sockaddr) (pid int32, alive bool) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	if err := syscall.Connect(fd, addr); err != nil {
		return 0, errors.Is(err, unix.EAGAIN) // its backlog is full
	}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, true
	}
	return cred.Pid, true
}

func inUse(address string, pid int32) error {
	e := &InUseError{Address: address, PID: pid}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		e.Command = strings.TrimSpace(string(comm))
	}
	return e
}
