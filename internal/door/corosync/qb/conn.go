package qb

import (
	"bytes"
	"cmp"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/service"
)

// Handler takes what comes in on one connection. Its methods run on the owner
// goroutine.
type Handler interface {
	// Request handles one request; msg is the whole message with its header, its
	// length the one the header tells, and is valid until the return. False means
	// not now: the same request comes again after Resume, and those behind it wait.
	Request(id int32, msg []byte) bool
	// Consumed says that events of that weight in all went into the client's ring.
	// It comes once for every weight given to Event, in sums, and not any more when
	// the connection has ended.
	Consumed(weight int)
	// Closed comes exactly once, after everything else.
	Closed(err error)
}

// Values of SetFlow (corosync-ipc 1.4.8).
const (
	FlowFree  = 0 // requests are taken
	FlowHold  = 1 // every request fails at the client with "try again"
	FlowMcast = 2 // multicasts fail with "try again", other requests wait in the ring
)

// Budget of one connection's turn on the owner goroutine.
const (
	turnRequests = 512
	turnBytes    = 2 << 20
)

// maxNotify bounds the notification bytes of one write. The client's end frees
// the bytes of one write together, and that is what tells the poller that the
// client reads.
const maxNotify = 256

// phase is how far a connection has come.
type phase uint8

const (
	authenticating phase = iota // the first message is awaited
	preparing                   // files and handler are being made
	open
	closed
)

// A Conn is one client's connection to one service. Except for those that say
// otherwise, its methods are for the owner goroutine.
type Conn struct {
	s       *Server
	id      uint64
	service string
	cred    service.Cred
	size    int   // largest message in each direction
	denied  error // by Config.Admit

	// Of the owner goroutine.
	handler Handler
	request ring   // mapped before the handler exists, unmapped after Closed
	units   uint32 // taken from the request ring's semaphore, not yet read
	stash   []byte // request that the handler did not take
	stalled bool   // until Resume
	flow    int32
	dirty   bool // in Server.dirty
	broken  bool // serves no more, its end is on the way
	ended   bool // Closed was called

	queued   atomic.Bool  // in Server.ready
	gone     atomic.Bool  // the socket came to its end
	consumed atomic.Int64 // weight of events in the ring, not yet reported

	mu       sync.Mutex // guards all below
	phase    phase
	fd       int
	auth     []byte // what came of the first message
	deadline *time.Timer
	why      error
	dir      *dir
	response ring
	event    ring
	backlog  backlog
	owed     int  // events in the ring whose byte is not sent yet
	armed    bool // the poller watches for writability
}

// Service is the name of the service that the client asked for. Any goroutine.
func (c *Conn) Service() string { return c.service }

// Cred says who the client is. Any goroutine.
func (c *Conn) Cred() service.Cred { return c.cred }

// Size is the largest message in bytes, header included. Any goroutine.
func (c *Conn) Size() int { return c.size }

// Respond sends one response, given in two parts. The client reads a response
// before it sends the next request, so one without room ends the connection.
func (c *Conn) Respond(head, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == closed {
		return ErrClosed
	}
	if len(head)+len(body) > c.size {
		return ErrTooBig
	}
	err := c.respond(head, body)
	if err != nil {
		c.fail(err)
	}
	return err
}

func (c *Conn) respond(head, body []byte) (err error) {
	defer c.caught(debug.SetPanicOnFault(true), &err)
	ok, err := c.response.room(len(head)+len(body), 0)
	if err != nil {
		return err
	}
	if !ok {
		return errNoAnswers
	}
	c.response.write(head, body)
	return nil
}

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

// Resume goes on with a request that the handler did not take, and those behind
// it.
func (c *Conn) Resume() {
	if c.stalled && !c.ended {
		c.stalled = false
		c.s.enqueue(c)
	}
}

// serving reports whether requests are handled.
func (c *Conn) serving() bool { return c.flow == FlowFree && !c.stalled && !c.broken }

// SetFlow tells the client which requests to send (corosync-ipc 1.4.8). Unless
// it is FlowFree no request is handled; they wait in the ring.
func (c *Conn) SetFlow(v int32) {
	if c.flow == v || c.ended {
		return
	}
	c.flow = v
	if err := c.storeFlow(); err != nil {
		c.Close(err)
		return
	}
	if v == FlowFree {
		c.s.enqueue(c)
	}
}

func (c *Conn) storeFlow() (err error) {
	defer c.caught(debug.SetPanicOnFault(true), &err)
	c.request.setFlow(c.flow)
	return nil
}

// Flow is the value last set.
func (c *Conn) Flow() int32 { return c.flow }

// Close ends the connection. It returns at once, the handler's Closed follows.
// Any goroutine.
func (c *Conn) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(err)
}

// fail starts the end: the poller sees the socket's and does the rest. Holds mu.
func (c *Conn) fail(err error) {
	if c.phase == closed {
		return
	}
	if c.why == nil {
		c.why = cmp.Or(err, ErrClosed)
	}
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
}

// turn is the connection's turn on the owner goroutine.
func (c *Conn) turn() {
	c.queued.Store(false)
	if c.ended {
		return
	}
	more, err := c.serve()
	if err != nil {
		c.broken = true
		c.Close(err)
	}
	c.report()
	if c.gone.Load() {
		c.drain()
		c.finish()
	} else if more {
		c.s.enqueue(c)
	}
}

// report tells the handler what is in the ring.
func (c *Conn) report() {
	if n := c.consumed.Swap(0); n > 0 {
		c.handler.Consumed(int(n))
	}
}

// serve handles what is in the request ring, within the budget of a turn. It
// reports whether there may be more.
func (c *Conn) serve() (more bool, err error) {
	defer c.caught(debug.SetPanicOnFault(true), &err)
	if !c.serving() {
		return false, nil
	}
	if msg := c.stash; msg != nil {
		c.stash = nil
		if taken, err := c.handle(msg); !taken {
			return false, err
		}
	}
	c.units += c.request.take(c.request.words - c.units)
	defer c.request.publishRead()
	unpublished := 0
	for n, size := 0, 0; c.units > 0 && n < turnRequests && size < turnBytes; n++ {
		c.units--
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

var notifyBytes [maxNotify]byte

// watch switches the poller's interest in writability.
func (c *Conn) watch(on bool) {
	if c.armed == on {
		return
	}
	c.armed = on
	c.s.modify(c.fd, c.id, on)
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

// readable runs on the poller: it throws the bytes away that announce requests
// and reports the end of the socket. Requests are counted by the ring's
// semaphore, so reading these bytes early does no harm.
func (c *Conn) readable(hup bool) (requests, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == authenticating {
		return false, c.authenticate() || hup
	}
	var buf [2048]byte
	for c.phase != closed {
		n, err := recvBytes(c.fd, buf[:])
		switch {
		case err == unix.EAGAIN:
			return c.phase == open, hup
		case err != nil || n == 0:
			return false, true
		case n < len(buf) && !hup:
			return c.phase == open, false
		}
	}
	return false, false
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

// drain handles the requests that a client had sent completely before it went.
// It might still write, so there is an end to it.
func (c *Conn) drain() {
	for range c.request.words/turnRequests + 1 {
		if more, err := c.serve(); err != nil || !more {
			return
		}
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

// sendBytes and recvBytes never block and never raise a signal.
func sendBytes(fd int, b []byte) (int, error) {
	n, _, no := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if no != 0 {
		return 0, no
	}
	return int(n), nil
}

func recvBytes(fd int, b []byte) (int, error) {
	n, _, no := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT, 0, 0)
	if no != 0 {
		return 0, no
	}
	return int(n), nil
}
