// Package local is a session.Conn to a member in the same process: requests wait
// in a bounded queue in front of the member's goroutine, events in one behind it.
//
// A Conn is an executive.Sink on its other side. Push, Flow, Closed and Attach
// are called on the member's goroutine, everything else by any.
package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

var _ session.Conn = (*Conn)(nil)

// New makes a connection. post runs a function on the member's goroutine some
// time, in order, or never if the member ended.
func New(post func(func())) *Conn {
	return &Conn{post: post, events: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{})}
}

// Attach gives the connection its handle, before its user has it.
func (c *Conn) Attach(h Handle) { c.handle = h }

// Handle is the member's side of a connection. It is used on the member's
// goroutine only. *executive.Handle is one.
type Handle interface {
	// Call passes one call on. service.ErrTryAgain: later, the connection hears when
	// by a reply or by Flow.
	Call(fn uint16, tag uint64, body []byte, reply func(service.Code, []byte)) error
	Taken(events int)
	Close()
}

// Conn is one connection.
type Conn struct {
	post    func(func()) // runs a function on the member's goroutine, some time, or never if the member ended
	handle  Handle
	passing []request // likewise: the part of sends that is being passed on
	stalled bool      // likewise: passing waits until the member takes more
	calls   uint64    // likewise: names calls, beside the tags of casts

	events chan struct{} // capacity 1: queue or err is new
	room   chan struct{} // capacity 1: sends has room; who took it and leaves some hands it on
	ended  chan struct{} // closed when err is set

	mu     sync.Mutex // guards what follows
	queue  []session.Event
	sends  []request // on their way to the member
	bytes  int       // of sends and passing
	posted bool      // the member will look at sends
	err    error

	given []session.Event // owned by the receiver: what the last Recv gave out
}

// maxSends bounds the bytes of requests that are on their way to the member; one
// request may always be.
const maxSends = 1 << 20

// requestCost is what a request takes besides its body.
const requestCost = 64

// request is a call, or a cast, on its way.
type request struct {
	fn      uint16
	tag     uint64 // of a cast
	body    []byte
	answers chan<- reply // nil: a cast
}

// reply is what a service answers.
type reply struct {
	code service.Code
	body []byte
}

func (r reply) result() ([]byte, error) {
	if r.code != service.OK {
		return r.body, r.code
	}
	return r.body, nil
}

// Call sends one request and waits for its answer.
func (c *Conn) Call(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
	answers := make(chan reply, 1)
	if err := c.send(ctx, request{fn: fn, body: body, answers: answers}); err != nil {
		return nil, err
	}
	select {
	case a := <-answers:
		return a.result()
	case <-c.ended:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-answers: // it came before the end
		return a.result()
	default:
		return nil, c.failure()
	}
}

// Cast sends one request without an answer.
func (c *Conn) Cast(ctx context.Context, fn uint16, tag uint64, body []byte) error {
	return c.send(ctx, request{fn: fn, tag: tag, body: body})
}

// TryCast is Cast without waiting.
func (c *Conn) TryCast(fn uint16, tag uint64, body []byte) error {
	return c.put(request{fn: fn, tag: tag, body: body})
}

// send queues a request, waiting for room.
func (c *Conn) send(ctx context.Context, r request) error {
	for {
		err := c.put(r)
		if !errors.Is(err, service.ErrTryAgain) {
			return err
		}
		if err := c.wait(ctx, c.room); err != nil {
			return err
		}
	}
}

// put queues a request if there is room.
func (c *Conn) put(r request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	cost := len(r.body) + requestCost
	switch {
	case c.err != nil:
		return c.err
	case c.bytes > 0 && c.bytes+cost > maxSends:
		return service.ErrTryAgain
	}
	r.body = slices.Clone(r.body)
	c.sends = append(c.sends, r)
	if c.bytes += cost; c.bytes < maxSends {
		wake(c.room)
	}
	if !c.posted {
		c.posted = true
		c.post(c.pass)
	}
	return nil
}

// pass gives requests to the member, in their order, as far as it takes them. It
// runs on the member's goroutine.
func (c *Conn) pass() {
	c.stalled = false
	for c.more() {
		r := c.passing[0]
		done := c.answered(r)
		if r.answers != nil {
			c.calls++
			r.tag = 1<<63 | c.calls
		}
		err := c.handle.Call(r.fn, r.tag, r.body, done)
		if errors.Is(err, service.ErrTryAgain) {
			c.stalled = true
			return
		}
		c.passing[0] = request{}
		c.passing = c.passing[1:]
		c.mu.Lock()
		c.bytes -= len(r.body) + requestCost
		c.mu.Unlock()
		wake(c.room)
		if err != nil {
			c.end(err)
			return
		}
	}
}

// more reports whether there is something to pass on.
func (c *Conn) more() bool {
	if len(c.passing) > 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posted = false
	c.passing, c.sends = c.sends, nil
	return len(c.passing) > 0
}

// answered is what the service calls when it is done with a request.
func (c *Conn) answered(r request) func(service.Code, []byte) {
	return func(code service.Code, body []byte) {
		switch {
		case r.answers != nil:
			r.answers <- reply{code, slices.Clone(body)}
		case code != service.OK:
			c.post(func() { c.end(fmt.Errorf("request %d was refused: %w", r.fn, code)) })
			return
		}
		c.goOn()
	}
}

// goOn passes on what the member had no room for.
func (c *Conn) goOn() {
	if c.stalled {
		c.stalled = false
		c.post(c.pass)
	}
}

// end ends the connection from this side. It runs on the member's goroutine.
func (c *Conn) end(err error) {
	c.Closed(err)
	c.handle.Close()
}

// failure is the error of an ended connection.
func (c *Conn) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Recv waits for events.
func (c *Conn) Recv(ctx context.Context, dst []session.Event) (int, error) {
	c.taken()
	for {
		c.mu.Lock()
		k, err := copy(dst, c.queue), c.err
		c.queue = slices.Delete(c.queue, 0, k)
		c.mu.Unlock()
		if k > 0 {
			c.given = dst[:k]
			return k, nil
		}
		if err != nil {
			return 0, err
		}
		if err := c.wait(ctx, c.events); err != nil {
			return 0, err
		}
	}
}

// taken tells the member that its user is done with the last batch, which is
// what lets the ring go on delivering.
func (c *Conn) taken() {
	if k := len(c.given); k > 0 {
		c.given = nil
		c.post(func() { c.handle.Taken(k) })
	}
}

// wait returns nil when it is worth looking again.
func (c *Conn) wait(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ended:
		return nil
	}
}

// Close ends the connection.
func (c *Conn) Close() error {
	c.Closed(session.ErrClosed) // first: who finds the handle closed asks for the error
	c.post(func() { c.handle.Close() })
	return nil
}

// Push queues one event; the executive bounds what is not taken.
func (c *Conn) Push(kind uint16, body []byte) {
	c.mu.Lock()
	c.queue = append(c.queue, session.Event{Kind: kind, Body: slices.Clone(body)})
	c.mu.Unlock()
	wake(c.events)
}

// Flow says whether calls have to wait.
func (c *Conn) Flow(blocked bool) {
	if !blocked {
		c.goOn()
	}
}

// Closed ends the stream of events.
func (c *Conn) Closed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = errors.Join(session.ErrClosed, err)
		close(c.ended)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
