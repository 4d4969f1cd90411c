package qb

import (
	"cmp"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

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
	took    uint64 // requests, ever
	last    uint64 // of them that count, once the client is gone; zero before
	unread  int    // of them whose bytes are still in the socket
	waiting int    // requests in the ring while none are taken
	stash   []byte // request that the handler did not take
	stalled bool   // until Resume
	flow    int32
	dirty   bool // in Server.dirty
	broken  bool // serves no more, its end is on the way
	ended   bool // Closed was called
	pull    pulls

	queued   atomic.Bool  // in Server.ready
	gone     atomic.Bool  // the socket came to its end
	consumed atomic.Int64 // weight of events in the ring, not yet reported

	mu        sync.Mutex // guards all below
	phase     phase
	fd        int
	auth      []byte // what came of the first message
	deadline  *time.Timer
	why       error
	dir       *dir
	response  ring
	event     ring
	backlog   backlog
	owed      int  // events in the ring whose byte is not sent yet
	armed     bool // the poller watches for writability
	unwatched bool // it does not watch for requests; only the owner writes this, and so reads it without mu
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
	if c.dirty {
		c.move() // a client that has the answer finds the events that came before it
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
