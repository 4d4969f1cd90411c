package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

var _ session.Session = (*Node)(nil)

// Open connects this program to one service of the member.
func (n *Node) Open(ctx context.Context, id uint16) (session.Conn, error) {
	c := &conn{node: n, events: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{})}
	code := service.ErrLibrary
	err := n.do(ctx, func(core *executive.Core) {
		c.handle, code = core.Open(id, ownCred(), c)
	})
	if err != nil {
		return nil, err
	}
	if code != service.OK {
		return nil, fmt.Errorf("open service %d: %w", id, code)
	}
	return c, nil
}

// conn is one connection inside of the process, a session.Conn to its user and
// an executive.Sink to the member.
type conn struct {
	node    *Node
	handle  *executive.Handle // used on the member's goroutine only
	passing []request         // likewise: the part of sends that is being passed on
	stalled bool              // likewise: passing waits until the member takes more
	calls   uint64            // likewise: names calls, beside the tags of casts

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
func (c *conn) Call(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
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
func (c *conn) Cast(ctx context.Context, fn uint16, tag uint64, body []byte) error {
	return c.send(ctx, request{fn: fn, tag: tag, body: body})
}

// TryCast is Cast without waiting.
func (c *conn) TryCast(fn uint16, tag uint64, body []byte) error {
	return c.put(request{fn: fn, tag: tag, body: body})
}

// send queues a request, waiting for room.
func (c *conn) send(ctx context.Context, r request) error {
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
func (c *conn) put(r request) error {
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
		c.node.post(c.pass)
	}
	return nil
}

// pass gives requests to the member, in their order, as far as it takes them. It
// runs on the member's goroutine.
func (c *conn) pass(*executive.Core) {
	c.stalled = false
	for c.more() {
		r := c.passing[0]
		done := c.answered(r)
		if r.answers != nil {
			c.calls++
			r.tag = 1<<63 | c.calls
		}
		err := c.handle.Call(r.fn, r.tag, r.body, done)
		if errors.Is(err, executive.ErrFull) {
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
func (c *conn) more() bool {
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
func (c *conn) answered(r request) func(service.Code, []byte) {
	return func(code service.Code, body []byte) {
		switch {
		case r.answers != nil:
			r.answers <- reply{code, slices.Clone(body)}
		case code != service.OK:
			c.node.post(func(*executive.Core) { c.end(fmt.Errorf("request %d was refused: %w", r.fn, code)) })
			return
		}
		c.goOn()
	}
}

// goOn passes on what the member had no room for.
func (c *conn) goOn() {
	if c.stalled {
		c.stalled = false
		c.node.post(c.pass)
	}
}

// end ends the connection from this side. It runs on the member's goroutine.
func (c *conn) end(err error) {
	c.Closed(err)
	c.handle.Close()
}

// failure is the error of an ended connection.
func (c *conn) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Recv waits for events.
func (c *conn) Recv(ctx context.Context, dst []session.Event) (int, error) {
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
func (c *conn) taken() {
	if k := len(c.given); k > 0 {
		c.given = nil
		c.node.post(func(*executive.Core) { c.handle.Taken(k) })
	}
}

// wait returns nil when it is worth looking again.
func (c *conn) wait(ctx context.Context, ready <-chan struct{}) error {
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
func (c *conn) Close() error {
	c.Closed(session.ErrClosed) // first: who finds the handle closed asks for the error
	c.node.post(func(*executive.Core) { c.handle.Close() })
	return nil
}

// Push queues one event; the executive bounds what is not taken.
func (c *conn) Push(kind uint16, body []byte) {
	c.mu.Lock()
	c.queue = append(c.queue, session.Event{Kind: kind, Body: slices.Clone(body)})
	c.mu.Unlock()
	wake(c.events)
}

// Flow says whether calls have to wait.
func (c *conn) Flow(blocked bool) {
	if !blocked {
		c.goOn()
	}
}

// Closed ends the stream of events.
func (c *conn) Closed(err error) {
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
