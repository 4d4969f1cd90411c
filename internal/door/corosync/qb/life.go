package qb

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The life of a connection: the poller collects the first message, a goroutine
// makes the shared files and asks the owner for a handler, the poller sees the
// socket's end, and the owner closes the handler.

// readable runs on the poller. Requests are counted by the ring's semaphore, so
// the bytes that announce them are left for the owner to throw away.
func (c *Conn) readable(hup bool) (requests, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == authenticating {
		return false, c.authenticate() || hup
	}
	return c.phase == open, hup
}

// authenticate collects the first message.
func (c *Conn) authenticate() (ended bool) {
	for len(c.auth) < authRequestLen {
		var buf [authRequestLen]byte
		n, err := recvBytes(c.fd, buf[:authRequestLen-len(c.auth)])
		if err == unix.EAGAIN {
			return false
		}
		if err != nil || n == 0 {
			return true
		}
		c.auth = append(c.auth, buf[:n]...)
	}
	c.phase = preparing
	c.s.prepare(c)
	return false
}

// prepare goes on with a connection whose first message is there.
func (s *Server) prepare(c *Conn) { s.wg.Go(func() { c.prepare() }) }

func (c *Conn) prepare() {
	c.deadline.Stop()
	err := c.build()
	if err == nil {
		err = c.openHandler()
	}
	if err != nil {
		c.refuse(err)
		return
	}
	c.accept()
}

// build makes the shared files, if the client may have them.
func (c *Conn) build() error {
	want, err := parseAuth(c.auth)
	if err != nil {
		return err
	}
	if c.denied != nil {
		return c.denied
	}
	if c.s.Conns() > c.s.cfg.MaxConns {
		return unix.EMFILE
	}
	if c.size, err = agreeSize(want, c.s.cfg.MaxMessage); err != nil {
		return err
	}
	if c.dir, err = createDir(c.s.cfg.Shm, c.service, c.cred.PID, c.fd); err != nil {
		return err
	}
	for i, r := range []*ring{&c.request, &c.response, &c.event} {
		if *r, err = c.dir.createRing(ringNames[i], c.size, c.cred); err != nil {
			return err
		}
	}
	return c.dir.handOver(c.cred)
}

// openHandler asks the owner for a handler, unless the server closes first.
func (c *Conn) openHandler() error {
	var claimed atomic.Bool
	result := make(chan error, 1)
	ok := c.s.cfg.Do(func() {
		if claimed.Swap(true) {
			return
		}
		h, err := c.s.cfg.Open(c)
		if err == nil {
			c.handler = h
		}
		result <- err
	})
	if !ok {
		return errShutdown
	}
	select {
	case err := <-result:
		return err
	case <-c.s.done:
		if claimed.Swap(true) {
			return <-result
		}
		return errShutdown
	}
}

// refuse answers with an errno and ends. A client that did not even
// authenticate gets no answer.
func (c *Conn) refuse(err error) {
	level := slog.LevelWarn
	if c.denied != nil || errors.Is(err, unix.EAGAIN) {
		level = slog.LevelDebug // anybody can cause these, again and again
	}
	c.s.cfg.Log.Log(context.Background(), level, "client refused",
		"service", c.service, "pid", c.cred.PID, "uid", c.cred.UID, "gid", c.cred.GID, "err", err)
	c.mu.Lock()
	if !errors.Is(err, ErrProtocol) {
		_, _ = sendBytes(c.fd, appendRefuse(nil, refusal(err)))
	}
	c.phase = closed
	c.mu.Unlock()
	c.release()
}

// accept answers with the names of the rings; from here on the connection
// belongs to poller and owner.
func (c *Conn) accept() {
	var names [3]string
	for i, r := range ringNames {
		names[i] = c.dir.ringPath(r)
	}
	answer := appendAccept(nil, c.size, c.id, names)
	c.mu.Lock()
	if c.phase != preparing { // the owner was first to see the client's end
		c.mu.Unlock()
		return
	}
	if n, err := sendBytes(c.fd, answer); n != len(answer) {
		c.fail(cmp.Or(err, protocolError("client does not take the handshake")))
	}
	c.phase = open
	c.move()
	gone := c.gone.Load()
	c.mu.Unlock()
	if gone {
		c.s.enqueue(c)
	}
}

// hangUp runs on the poller at the end of a connection's socket.
func (s *Server) hangUp(c *Conn) {
	c.mu.Lock()
	at := c.phase
	if at != closed { // else the descriptor may be another connection's already
		s.poller.Remove(c.fd)
		c.why = cmp.Or(c.why, errHungUp)
		c.gone.Store(true)
	}
	if at == authenticating {
		c.phase = closed
	}
	c.mu.Unlock()
	switch at {
	case authenticating:
		c.deadline.Stop()
		s.wg.Go(c.release)
	case open:
		s.enqueue(c)
	case preparing, closed: // prepare and release see to it
	}
}

// finish is the end of a connection that had a handler: on the owner goroutine,
// or on any other once the owner has stopped.
func (c *Conn) finish() {
	if c.ended {
		return
	}
	c.ended = true
	c.mu.Lock()
	c.phase = closed
	why := c.why
	c.mu.Unlock()
	c.handler.Closed(why)
	c.s.wg.Go(c.release)
}

// release gives back what the connection holds. The phase is closed, so nobody
// else touches it any more.
func (c *Conn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A socket closed with bytes unread gives the client an error instead of the
	// plain end.
	var buf [2048]byte
	for n, few := 1, 128; n > 0 && few > 0; few-- {
		n, _ = recvBytes(c.fd, buf[:])
	}
	_ = unix.Close(c.fd)
	c.request.unmap()
	c.response.unmap()
	c.event.unmap()
	c.backlog = backlog{}
	if c.dir != nil {
		c.dir.remove()
	}
	c.s.forget(c)
}
