package qb

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// maxNotify bounds the notification bytes of one write. The client's end frees
// the bytes of one write together, and that is what tells the poller that the
// client reads.
const maxNotify = 256

var notifyBytes [maxNotify]byte

// Event sends one event, given in two parts, behind all events before. What the
// ring has no room for waits in the backlog; a full backlog ends the connection
// with ErrOverflow. The weight comes back with Handler.Consumed. The client is
// told of its events when the present batch of the owner goroutine is done.
func (c *Conn) Event(head, body []byte, weight int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == closed {
		return ErrClosed
	}
	if len(head)+len(body) > c.size {
		return ErrTooBig
	}
	err := c.append(head, body, weight)
	if err != nil {
		c.fail(err)
		return err
	}
	c.soil()
	return nil
}

// Credit reports a weight as consumed although no event was sent.
func (c *Conn) Credit(weight int) {
	c.consumed.Add(int64(weight))
	c.soil()
}

// soil has the connection flushed at the end of the batch.
func (c *Conn) soil() {
	if !c.dirty {
		c.dirty = true
		c.s.markDirty(c)
	}
}

func (c *Conn) append(head, body []byte, weight int) (err error) {
	defer c.caught(debug.SetPanicOnFault(true), &err)
	n := len(head) + len(body)
	if c.backlog.count == 0 {
		ok, err := c.event.room(n, 0)
		if err != nil {
			return err
		}
		if ok {
			c.event.write(head, body)
			c.owed++
			c.consumed.Add(int64(weight))
			return nil
		}
	}
	if c.backlog.bytes+n > c.s.cfg.Backlog {
		return ErrOverflow
	}
	c.backlog.push(head, body, weight)
	return nil
}

// Backlog is the number of bytes of events that the ring had no room for. Any
// goroutine.
func (c *Conn) Backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.backlog.bytes
}

// flush tells the client of its new events.
func (c *Conn) flush() {
	c.dirty = false
	if c.ended || c.handler == nil {
		return
	}
	c.mu.Lock()
	c.move()
	c.mu.Unlock()
	c.report()
}

// move brings events from the backlog into the ring, sends the bytes owed, and
// has the poller watch for the client to read while something is left. Holds mu.
func (c *Conn) move() {
	if c.phase != open {
		return
	}
	if err := c.refill(); err != nil {
		c.fail(err)
		return
	}
	blocked := c.notify()
	c.watch(blocked || c.backlog.count > 0)
}

// refill moves the backlog in large steps: unless the ring has half its room,
// the client is still busy and will be heard of again.
func (c *Conn) refill() (err error) {
	defer c.caught(debug.SetPanicOnFault(true), &err)
	if c.backlog.count == 0 {
		return nil
	}
	if ok, err := c.event.room(0, c.event.words/2); !ok || err != nil {
		return err
	}
	for c.backlog.count > 0 {
		msg, weight := c.backlog.front()
		if ok, err := c.event.room(len(msg), 0); !ok || err != nil {
			return err
		}
		c.event.write(msg, nil)
		c.owed++
		c.consumed.Add(int64(weight))
		c.backlog.pop()
	}
	return nil
}

// notify sends the bytes owed and reports whether the socket is full.
func (c *Conn) notify() (blocked bool) {
	for c.owed > 0 {
		n, err := sendBytes(c.fd, notifyBytes[:min(c.owed, maxNotify)])
		if err == unix.EAGAIN {
			return true
		}
		if err != nil {
			return false // the poller sees the same end
		}
		c.owed -= n
	}
	return false
}

// watch switches the poller's interest in writability.
func (c *Conn) watch(on bool) {
	if c.armed == on {
		return
	}
	c.armed = on
	c.s.modify(c.fd, c.id, !c.unwatched, on)
}

// writable runs on the poller when the client has read.
func (c *Conn) writable() {
	c.mu.Lock()
	if c.armed {
		c.move()
	}
	c.mu.Unlock()
	if c.consumed.Load() > 0 {
		c.s.enqueue(c)
	}
}

// report tells the handler what is in the ring.
func (c *Conn) report() {
	if n := c.consumed.Swap(0); n > 0 {
		c.handler.Consumed(int(n))
	}
}
