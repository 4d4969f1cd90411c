package qb

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/door/poll"
)

// What is watched for on a connection. Edges are enough, because each event is
// handled to its end.
const connEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET

// firstConn separates the ids of connections from those of listeners, which are
// their indexes.
const firstConn = 1 << 16

// acceptRetry is the pause after the process ran out of descriptors.
const acceptRetry = 100 * time.Millisecond

// poller waits for all sockets of a server.
type poller struct {
	*poll.Poller
	s *Server

	complained atomic.Int64 // when it was, of clients that cannot be taken; ns
}

func newPoller(s *Server) (*poller, error) {
	p, err := poll.New()
	if err != nil {
		return nil, fmt.Errorf("qb: %w", err)
	}
	return &poller{Poller: p, s: s}, nil
}

// modify switches the interest in requests and writability of a connection.
func (s *Server) modify(fd int, id uint64, requests, writable bool) {
	events := uint32(connEvents)
	if !requests {
		events &^= unix.EPOLLIN
	}
	if writable {
		events |= unix.EPOLLOUT
	}
	s.poller.Modify(fd, id, events)
}

// run is the poller's goroutine, until Close.
func (p *poller) run() {
	p.Run(func(events []poll.Event) {
		for _, ev := range events {
			p.dispatch(ev.ID, ev.Events)
		}
	})
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
