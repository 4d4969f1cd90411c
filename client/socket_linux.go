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

	in, out transfer
}

// transfer is one direction. What it hands to the runtime is made once, for a closure
// of each system call would be allocated.
type transfer struct {
	s           *socket
	call, flags uintptr
	b           []byte // what is moved now, and what became of it
	n           int
	errno       syscall.Errno
	once        func(fd uintptr)
	unlessFull  func(fd uintptr) bool // or empty
}

func (t *transfer) begin(s *socket, call, flags uintptr) {
	*t = transfer{s: s, call: call, flags: flags | unix.MSG_DONTWAIT}
	t.once = func(fd uintptr) {
		for {
			r, _, errno := syscall.RawSyscall6(t.call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(t.b))), uintptr(len(t.b)), t.flags, 0, 0)
			if t.n, t.errno = int(r), errno; errno != unix.EINTR {
				return
			}
		}
	}
	t.unlessFull = func(uintptr) bool { return t.try() != unix.EAGAIN }
}

// try moves b by one system call that does not wait.
func (t *transfer) try() syscall.Errno {
	if err := t.s.raw.Control(t.once); err != nil {
		t.n, t.errno = 0, unix.EBADF
	}
	return t.errno
}

// wait moves b as soon as a watch says that it can be.
func (t *transfer) wait(w watch) error { return w.raw.Read(t.unlessFull) }

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
	s.in.begin(s, unix.SYS_RECVFROM, 0)
	s.out.begin(s, unix.SYS_SENDTO, unix.MSG_NOSIGNAL)
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

// read waits for one packet; io.EOF: the agent has closed.
func (s *socket) read(b []byte) (n int, err error) {
	s.in.b = b
	err = s.in.wait(s.readable)
	s.in.b = nil
	switch errno := s.in.errno; {
	case err != nil || errno == unix.EBADF:
		return 0, net.ErrClosed
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case s.in.n == 0:
		return 0, io.EOF
	}
	return s.in.n, nil
}

// tryWrite writes a packet; false: it can not be written at once.
func (s *socket) tryWrite(b []byte) bool {
	s.out.b = b
	errno := s.out.try()
	s.out.b = nil
	return errno == 0
}

// write writes a packet, and waits for room until the deadline.
func (s *socket) write(b []byte) error {
	s.out.b = b
	defer func() { s.out.b = nil }()
	errno := s.out.try()
	if errno == unix.EAGAIN {
		return s.waitWrite()
	}
	return writeError(errno)
}

func (s *socket) waitWrite() error {
	err := s.raw.Control(func(fd uintptr) {
		_ = unix.EpollCtl(s.writable.fd, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLOUT})
	})
	if err != nil {
		return net.ErrClosed
	}
	err = s.out.wait(s.writable)
	_ = s.raw.Control(func(fd uintptr) {
		_ = unix.EpollCtl(s.writable.fd, unix.EPOLL_CTL_DEL, int(fd), nil)
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case err != nil:
		return net.ErrClosed
	}
	return writeError(s.out.errno)
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
