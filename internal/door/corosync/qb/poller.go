package qb

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is watched for on a connection. Edges are enough, because each event is
// handled to its end.
const connEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET

// firstConn separates the ids of connections from those of listeners, which are
// their indexes.
const firstConn = 1 << 16

// acceptRetry is the pause after the process ran out of descriptors.
const acceptRetry = 100 * time.Millisecond

// poller waits for all sockets of a server. It has an epoll of its own, which
// the runtime's poller watches as a whole: the runtime would ask for
// writability of every socket all the time, and so be woken for every event
// that a client reads.
type poller struct {
	s    *Server
	fd   int
	file *os.File
	raw  syscall.RawConn

	complained atomic.Int64 // when it was, of clients that cannot be taken; ns
}

func newPoller(s *Server) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("qb: epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile takes it for pollable then
		_ = unix.Close(fd)
		return nil, fmt.Errorf("qb: epoll: %w", err)
	}
	p := &poller{s: s, fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("qb: epoll: %w", err)
	}
	return p, nil
}

func (p *poller) close() { _ = p.file.Close() }

func event(id uint64, events uint32) *unix.EpollEvent {
	return &unix.EpollEvent{Events: events, Fd: int32(id), Pad: int32(id >> 32)}
}

func (p *poller) add(fd int, id uint64, events uint32) error {
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, event(id, events)); err != nil {
		return fmt.Errorf("qb: watch a socket: %w", err)
	}
	return nil
}

func (p *poller) remove(fd int) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) }

// modify switches the interest in requests and writability of a connection.
func (s *Server) modify(fd int, id uint64, requests, writable bool) {
	events := uint32(connEvents)
	if !requests {
		events &^= unix.EPOLLIN
	}
	if writable {
		events |= unix.EPOLLOUT
	}
	_ = unix.EpollCtl(s.poller.fd, unix.EPOLL_CTL_MOD, fd, event(id, events))
}

// run is the poller's goroutine, until close.
func (p *poller) run() {
	var events [64]unix.EpollEvent
	_ = p.raw.Read(func(uintptr) (done bool) {
		// What arrives after a wait is an edge of its own, so a wait that had room for
		// more need not be repeated.
		for n := len(events); n == len(events); {
			n = p.wait(events[:])
			for _, ev := range events[:n] {
				p.dispatch(uint64(uint32(ev.Fd))|uint64(uint32(ev.Pad))<<32, ev.Events)
			}
		}
		return false
	})
}

// wait collects what is there without blocking; the runtime does the waiting.
func (p *poller) wait(events []unix.EpollEvent) int {
	n, _, no := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), 0, 0, 0)
	if no != 0 {
		return 0
	}
	return int(n)
}

func (p *poller) dispatch(id uint64, events uint32) {
	if id < firstConn {
		p.accept(int(id))
		return
	}
	c := p.s.conn(id)
	if c == nil {
		return
	}
	if events&unix.EPOLLOUT != 0 {
		c.writable()
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	hup := events&(unix.EPOLLHUP|unix.EPOLLRDHUP|unix.EPOLLERR) != 0
	switch requests, ended := c.readable(hup); {
	case ended:
		p.s.hangUp(c)
	case requests:
		p.s.enqueue(c)
	}
}

// accept takes all that wait on a listener.
func (p *poller) accept(i int) {
	for {
		fd, l, err := p.s.acceptOne(i)
		switch {
		case err == nil:
			p.s.accepted(l, fd)
		case errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM):
			p.complain(l.service, err)
			time.AfterFunc(acceptRetry, func() { p.accept(i) })
			return
		default:
			return
		}
	}
}

// complain says that clients cannot be taken, once a minute.
func (p *poller) complain(service string, err error) {
	last, now := p.complained.Load(), time.Now().UnixNano()
	if now-last >= int64(time.Minute) && p.complained.CompareAndSwap(last, now) {
		p.s.cfg.Log.Error("cannot take a client", "service", service, "err", err)
	}
}

// acceptOne holds the lock so that the listener is not closed, and its number
// not reused, meanwhile.
func (s *Server) acceptOne(i int) (int, listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i >= len(s.listeners) {
		return -1, listener{}, unix.EBADF
	}
	l := s.listeners[i]
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return fd, l, err
}
