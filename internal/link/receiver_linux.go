//go:build linux && !portable

package link

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/proto"
)

// sysLink is what all sockets of a Link share.
type sysLink struct {
	receiver *receiver // nil: receiving did not start
}

// startReceiving starts the receiver.
func (l *Link) startReceiving() error {
	r, err := newReceiver(l)
	if err != nil {
		return err
	}
	l.receiver = r
	l.wg.Go(r.run)
	return nil
}

// stop ends what startReceiving began, if it did.
func (l *Link) stop() {
	if l.receiver != nil {
		l.receiver.close()
	}
	l.wg.Wait()
	for _, s := range l.sockets {
		s.close()
	}
}

// receiver reads all sockets of a Link with one goroutine, so that one order
// holds among them: data that arrived before a control datagram was read is
// handed over before it. Two goroutines would let the token overtake the data in
// the socket beside it, and the engine ask for what lies there.
//
// It has an epoll of its own, which the runtime's poller watches as a whole. A
// socket that cannot be read now, for want of a batch or for an error, is taken
// out of it until that is over; the others go on.
type receiver struct {
	l      *Link
	fd     int
	file   *os.File // has fd
	raw    syscall.RawConn
	poll   func(fd uintptr) bool // wait, made once
	events []unix.EpollEvent     // as wait found them, told is their number
	told   int
	kept   []*Batch // of control sockets, until the data before them is handed over

	mu     sync.Mutex // guards closed, what is watched, and writing starved
	closed bool       // fd may be another file
}

func newReceiver(l *Link) (*receiver, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile takes it for pollable then
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	r := &receiver{l: l, fd: fd, file: os.NewFile(uintptr(fd), "epoll"), events: make([]unix.EpollEvent, len(l.sockets))}
	r.poll = r.wait
	r.kept = make([]*Batch, 0, len(l.sockets)/2*l.cfg.Batches)
	if r.raw, err = r.file.SyscallConn(); err == nil {
		for _, s := range l.sockets {
			err = errors.Join(err, r.watch(s))
		}
	}
	if err != nil {
		r.file.Close()
		return nil, err
	}
	return r, nil
}

func (r *receiver) watch(s *socket) error {
	err := unix.EpollCtl(r.fd, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.index())})
	return os.NewSyscallError("epoll_ctl", err)
}

// close ends run. What is read and not handed over is gone.
func (r *receiver) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.file.Close()
}

func (r *receiver) run() {
	for {
		if err := r.raw.Read(r.poll); err != nil {
			r.mu.Lock()
			closed := r.closed
			r.mu.Unlock()
			if !closed {
				r.l.cfg.Log.Error("receiving ended", "err", err)
			}
			return
		}
		r.serve(r.events[:r.told])
	}
}

// wait is one look at what there is; false: nothing, the runtime waits for it.
func (r *receiver) wait(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd,
			uintptr(unsafe.Pointer(&r.events[0])), uintptr(len(r.events)), 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		r.told = 0
		if errno == 0 {
			r.told = int(n)
		}
		return r.told > 0
	}
}

// serve reads the sockets that have something: control first, and hands it over
// last.
func (r *receiver) serve(events []unix.EpollEvent) {
	for _, ev := range events {
		s := r.l.sockets[ev.Fd]
		s.failing = false
		if ev.Events&unix.EPOLLERR != 0 {
			s.drainErrors()
		}
		if s.control {
			if b := r.read(s); b != nil {
				r.kept = append(r.kept, b)
			}
		}
	}
	for _, ev := range events {
		if s := r.l.sockets[ev.Fd]; !s.control {
			if b := r.read(s); b != nil {
				r.l.cfg.Handler(b)
			}
		}
	}
	if len(r.kept) == 0 {
		return
	}
	// Data may have come to any socket since the wait.
	last := r.kept[len(r.kept)-1].read
	for _, s := range r.l.sockets {
		if !s.control {
			r.drain(s, last)
		}
	}
	r.release()
}

// drain hands over all that arrived at a data socket before t. More may come all
// the time, and is not waited for.
func (r *receiver) drain(s *socket, t proto.Tick) {
	for !s.failing && s.upTo < t {
		b := r.read(s)
		if b == nil {
			return
		}
		r.l.cfg.Handler(b)
	}
}

// release hands over the control batches that no data is missing before. The
// rest waits until the handler gives back a batch of the data socket that is in
// the way.
func (r *receiver) release() {
	upTo := proto.Tick(1<<63 - 1)
	for _, s := range r.l.sockets {
		if !s.control && !s.failing {
			upTo = min(upTo, s.upTo)
		}
	}
	n := 0
	for n < len(r.kept) && r.kept[n].read <= upTo {
		r.l.cfg.Handler(r.kept[n])
		n++
	}
	rest := copy(r.kept, r.kept[n:])
	clear(r.kept[rest:])
	r.kept = r.kept[:rest]
}

// read fills a batch with what a socket has; nil: nothing, or it cannot be read
// now.
func (r *receiver) read(s *socket) *Batch {
	b := r.batch(s)
	if b == nil {
		return nil
	}
	now := s.owner.cfg.Now
	for try := range 16 {
		before := now()
		n, errno := s.fill(b)
		switch {
		case errno == unix.EAGAIN:
			s.upTo = before
			s.free <- b
			return nil
		case errno == unix.EINTR:
			continue
		case errno != 0:
			if async, _ := s.drainErrors(); genuine(errno, async, try) {
				s.free <- b
				r.rest(s, errno)
				return nil
			}
			continue
		}
		s.patience = leastPatience
		k := len(b.Datagrams)
		if n < len(b.msgs) {
			s.upTo = before
		} else if k > 0 {
			s.upTo = max(s.upTo, b.Datagrams[k-1].Arrived)
		}
		if k > 0 {
			return b
		}
	}
	// Useless datagrams or reports without end; others have their turn.
	s.upTo = now()
	s.free <- b
	return nil
}

// batch is a free batch. If there is none and something to read, the socket is
// not watched until one is released.
func (r *receiver) batch(s *socket) *Batch {
	select {
	case b := <-s.free:
		return b
	default:
	}
	before := s.owner.cfg.Now()
	if !s.waiting() {
		s.upTo = before
		return nil
	}
	r.ignore(s, true)
	select {
	case b := <-s.free: // released before it could know
		r.resume(s)
		return b
	default:
		return nil
	}
}

// released follows the return of a batch.
func (s *socket) released() {
	if s.starved.Load() {
		s.owner.receiver.resume(s)
	}
}

// rest leaves a socket alone for a while, longer each time.
func (r *receiver) rest(s *socket, errno syscall.Errno) {
	s.fails(errno)
	s.failing = true
	r.ignore(s, false)
	time.AfterFunc(s.patience, func() { r.resume(s) })
	s.patience = min(2*s.patience, mostPatience)
}

// ignore does not watch a socket until it is resumed. Mere lack of interest would
// not do: errors are always told, and the receiver would turn in circles.
func (r *receiver) ignore(s *socket, starved bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.starved.Store(starved)
	if !r.closed {
		unix.EpollCtl(r.fd, unix.EPOLL_CTL_DEL, s.fd, nil)
	}
}

// resume watches a socket again. Any goroutine may call it.
func (r *receiver) resume(s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.starved.Store(false)
	if r.closed {
		return
	}
	if err := r.watch(s); err != nil && !errors.Is(err, unix.EEXIST) {
		s.fails(err)
		time.AfterFunc(mostPatience, func() { r.resume(s) })
	}
}

// index is its place among the sockets of the Link.
func (s *socket) index() int {
	i := 2 * int(s.link)
	if s.control {
		i++
	}
	return i
}
