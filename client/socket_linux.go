package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is the agent's socket, outside of the runtime's poller: that asks for
// writability all the time, and so would wake this process whenever the agent has
// read something. No call here can block in the kernel, so none is announced to the
// scheduler, which would wake a thread to watch over it.
//
// One goroutine reads and one writes at a time; close may be called by any.
type socket struct {
	file     *os.File // counts who uses the descriptor
	raw      syscall.RawConn
	readable watch
	writable watch // holds the socket only while write waits
}

// watch is an epoll that the runtime's poller watches as a whole.
type watch struct {
	fd   int
	file *os.File
	raw  syscall.RawConn
}

func newWatch() (watch, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return watch{}, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile takes it for pollable then
		_ = unix.Close(fd)
		return watch{}, os.NewSyscallError("fcntl", err)
	}
	w := watch{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		_ = w.file.Close()
	}
	return w, err
}

// newSocket takes the socket out of conn, which it closes in any case.
func newSocket(conn *net.UnixConn) (*socket, error) {
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(old uintptr) {
		if fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); dupErr == nil {
			dupErr = unix.SetNonblock(fd, false) // so that os.NewFile keeps the poller out
		}
	})
	if err := errors.Join(err, os.NewSyscallError("fcntl", dupErr)); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	s := &socket{file: os.NewFile(uintptr(fd), "agent")}
	s.readable, err = newWatch()
	if err == nil {
		if s.writable, err = newWatch(); err == nil {
			err = s.add(s.readable, unix.EPOLLIN)
		}
	}
	if err == nil {
		s.raw, err = s.file.SyscallConn()
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("watch the socket: %w", err)
	}
	return s, nil
}

func (s *socket) add(w watch, events uint32) error {
	fd := int(s.file.Fd())
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events}))
}

// close ends what waits, and the connection as soon as nobody uses it.
func (s *socket) close() {
	for _, f := range []*os.File{s.readable.file, s.writable.file, s.file} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// try is one system call on the socket that does not wait.
func (s *socket) try(call uintptr, b []byte, flags uintptr) (n int, errno syscall.Errno) {
	err := s.raw.Control(func(fd uintptr) {
		for {
			var r uintptr
			r, _, errno = syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags|unix.MSG_DONTWAIT, 0, 0)
			if n = int(r); errno != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return 0, unix.EBADF
	}
	return n, errno
}

// read waits for one packet; io.EOF: the agent has closed.
func (s *socket) read(b []byte) (n int, err error) {
	var errno syscall.Errno
	err = s.readable.raw.Read(func(uintptr) bool {
		n, errno = s.try(unix.SYS_RECVFROM, b, 0)
		return errno != unix.EAGAIN
	})
	switch {
	case err != nil || errno == unix.EBADF:
		return 0, net.ErrClosed
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// tryWrite writes a packet; false: it can not be written at once.
func (s *socket) tryWrite(b []byte) bool {
	_, errno := s.try(unix.SYS_SENDTO, b, unix.MSG_NOSIGNAL)
	return errno == 0
}

// write writes a packet, and waits for room until the deadline.
func (s *socket) write(b []byte) error {
	_, errno := s.try(unix.SYS_SENDTO, b, unix.MSG_NOSIGNAL)
	if errno == unix.EAGAIN {
		return s.waitWrite(b)
	}
	return writeError(errno)
}

func (s *socket) waitWrite(b []byte) error {
	err := s.raw.Control(func(fd uintptr) {
		_ = unix.EpollCtl(s.writable.fd, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLOUT})
	})
	if err != nil {
		return net.ErrClosed
	}
	var errno syscall.Errno
	err = s.writable.raw.Read(func(uintptr) bool {
		_, errno = s.try(unix.SYS_SENDTO, b, unix.MSG_NOSIGNAL)
		return errno != unix.EAGAIN
	})
	_ = s.raw.Control(func(fd uintptr) {
		_ = unix.EpollCtl(s.writable.fd, unix.EPOLL_CTL_DEL, int(fd), nil)
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case err != nil:
		return net.ErrClosed
	}
	return writeError(errno)
}

func writeError(errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case unix.EBADF:
		return net.ErrClosed
	}
	return os.NewSyscallError("write", errno)
}

// setWriteDeadline bounds how long write waits.
func (s *socket) setWriteDeadline(t time.Time) { _ = s.writable.file.SetReadDeadline(t) }
