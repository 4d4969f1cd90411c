package qb

import (
	"bytes"
	"runtime/debug"
)

// Budget of one connection's turn on the owner goroutine.
const (
	turnRequests = 512
	turnBytes    = 2 << 20
)

// roundRequests bounds the turns that follow each other without a break, in which
// the owner does nothing else: a token may wait.
const roundRequests = 8 * turnRequests

// maxUnread is when the bytes of requests are thrown away. With 256 requests on
// their way as well the socket is not full, where the client would spin.
const maxUnread = 16

// turn is the connection's turn on the owner goroutine.
func (c *Conn) turn() {
	c.queued.Store(false)
	if c.ended || c.handler == nil {
		return
	}
	before := c.took
	more, err := c.serve()
	if err == nil && (c.took == before || c.unread+c.waiting >= maxUnread) {
		c.discard()
		// The poller does not see the socket of a request whose byte is gone.
		more, err = c.pending()
	}
	if err != nil {
		c.broken = true
		c.Close(err)
	}
	c.report()
	if c.gone.Load() {
		if more, err = c.leftover(); err != nil || !more {
			c.finish()
			return
		}
	}
	if more {
		c.s.enqueue(c)
	}
}

// leftover reports whether a client that went has sent requests before that wait
// still. What it goes on writing does not count.
func (c *Conn) leftover() (more bool, err error) {
	defer c.caught(debug.SetPanicOnFault(true), &err)
	if c.last == 0 {
		c.last = c.took + uint64(c.request.count())
	}
	return c.serving() && c.took-uint64(c.units) < c.last, nil
}

// pending reports whether there are requests to serve.
func (c *Conn) pending() (more bool, err error) {
	if c.ended || !c.serving() {
		return false, nil
	}
	defer c.caught(debug.SetPanicOnFault(true), &err)
	return c.units > 0 || c.request.count() > 0, nil
}

// serve handles what is in the request ring, within the budget of a turn. It
// reports whether there may be more.
func (c *Conn) serve() (more bool, err error) {
	defer c.caught(debug.SetPanicOnFault(true), &err)
	if !c.serving() {
		c.waiting = int(c.request.count())
		return false, nil
	}
	c.waiting = 0
	if msg := c.stash; msg != nil {
		c.stash = nil
		if taken, err := c.handle(msg); !taken {
			return false, err
		}
	}
	n := c.request.take(c.request.words - c.units)
	c.units += n
	c.unread += int(n)
	c.took += uint64(n)
	defer c.request.publishRead()
	unpublished := 0
	for n, size := 0, 0; c.units > 0 && n < turnRequests && size < turnBytes; n++ {
		c.units--
		c.s.spent++
		msg, err := c.request.next(c.s.scratch[:0], c.size)
		if err != nil {
			return false, err
		}
		c.s.scratch = msg
		size += len(msg)
		// A client that has its answer may send at once and needs the room.
		if unpublished += len(msg); unpublished > c.size/16 {
			c.request.publishRead()
			unpublished = 0
		}
		if taken, err := c.handle(msg); !taken || !c.serving() {
			return false, err
		}
	}
	return c.units > 0, nil
}

// handle gives one request to the handler and keeps a copy of it if the handler
// has no room.
func (c *Conn) handle(chunk []byte) (taken bool, err error) {
	id, msg, err := splitRequest(chunk)
	if err != nil {
		return false, err
	}
	if id == idDisconnect {
		return false, errHungUp
	}
	if c.handler.Request(id, msg) {
		return true, nil
	}
	c.stash, c.stalled = bytes.Clone(msg), true
	return false, nil
}

// discard throws the bytes away that announced requests. The socket takes some
// 278 of them, so now and then is often enough (corosync-ipc 1.4.5).
func (c *Conn) discard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != open {
		return
	}
	var buf [2048]byte
	for n, full := len(buf), 64; n == len(buf) && full > 0; full-- {
		n, _ = recvBytes(c.fd, buf[:])
		c.unread -= n
	}
}
