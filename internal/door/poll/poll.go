// Package poll waits for many sockets with one goroutine.
package poll

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Event says what happened to the socket that was added under an id.
type Event struct {
	ID     uint64
	Events uint32 // unix.EPOLLIN and so on
}

// Poller has an epoll of its own, which the runtime's poller watches as a whole:
// the runtime would ask for writability of every socket all the time, and so be
// woken for every event that a client reads. Any goroutine may use it.
type Poller struct {
	fd   int
	file *os.File
	raw  syscall.RawConn
}

// New makes a poller.
func New() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile takes it for pollable then
		_ = unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p := &Poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return p, nil
}

// Close lets Run return.
func (p *Poller) Close() { _ = p.file.Close() }

// Add watches a socket. The events are those of epoll, EPOLLET or EPOLLONESHOT
// among them: others would be reported for ever.
func (p *Poller) Add(fd int, id uint64, events uint32) error {
	if err := p.control(unix.EPOLL_CTL_ADD, fd, id, events); err != nil {
		return fmt.Errorf("watch a socket: %w", err)
	}
	return nil
}

// Modify watches a socket for other events, or again.
func (p *Poller) Modify(fd int, id uint64, events uint32) {
	_ = p.control(unix.EPOLL_CTL_MOD, fd, id, events)
}

// Remove ends that.
func (p *Poller) Remove(fd int) { _ = p.control(unix.EPOLL_CTL_DEL, fd, 0, 0) }

func (p *Poller) control(op, fd int, id uint64, events uint32) error {
	return unix.EpollCtl(p.fd, op, fd, &unix.EpollEvent{Events: events, Fd: int32(id), Pad: int32(id >> 32)})
}

// Run calls f for what happens, until Close.
func (p *Poller) Run(f func([]Event)) {
	var raw [64]unix.EpollEvent
	var events [len(raw)]Event
	_ = p.raw.Read(func(uintptr) (done bool) {
		// What happens after a wait is an edge of its own, so a wait that had room for
		// more need not be repeated.
		for n := len(raw); n == len(raw); {
			n = p.wait(raw[:])
			for i, ev := range raw[:n] {
				events[i] = Event{ID: uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32, Events: ev.Events}
			}
			if n > 0 {
				f(events[:n])
			}
		}
		return false
	})
}

// wait collects what is there without blocking; the runtime does the waiting.
func (p *Poller) wait(events []unix.EpollEvent) int {
	n, _, no := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), 0, 0, 0)
	if no != 0 {
		return 0
	}
	return int(n)
}
