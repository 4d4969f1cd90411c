package client

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// conn is one opened service, a session.Conn.
type conn struct {
	link   *link
	id     uint16
	window int
	isOpen chan struct{} // closed when the agent has opened it
	ended  chan struct{} // closed when err is set
	room   chan struct{} // capacity 1: there is credit; who took it and leaves some hands it on
	ready  chan struct{} // capacity 1: events were added

	// Guarded by link.mu.
	number uint64 // of the connection at the agent
	grant  int    // credit for requests at the start
	credit int    // bytes of requests that may be sent
	calls  map[uint32]chan<- reply
	err    error

	mu    sync.Mutex // guards what follows; taken inside of link.mu or alone
	queue batch      // came and not given out
	free  int        // bytes of events that the agent may send still

	// Of the receiver.
	batch   batch // being given out
	next    int   // of batch
	given   taken // what the last Recv gave out
	settled taken // taken by the user, and the agent does not know
}

// batch is events and the memory of their bodies.
type batch struct {
	events []session.Event
	bodies []byte
}

type taken struct{ events, bytes int }

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

func newConn(l *link, window int) *conn {
	return &conn{link: l, window: window, free: window, isOpen: make(chan struct{}), ended: make(chan struct{}),
		room: make(chan struct{}, 1), ready: make(chan struct{}, 1), calls: map[uint32]chan<- reply{}}
}

// ID is the connection's number at its node, which services name their clients
// by.
func (c *conn) ID() uint64 {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.number
}

// Call sends one request and waits for its answer.
func (c *conn) Call(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
	answers := make(chan reply, 1)
	id, err := c.call(ctx, fn, body, answers)
	if err != nil {
		return nil, err
	}
	select {
	case a := <-answers:
		return a.result()
	case <-c.ended:
	case <-ctx.Done():
		c.link.mu.Lock()
		if _, open := c.calls[id]; open {
			c.calls[id] = nil // the answer is still to come
		}
		c.link.mu.Unlock()
		return nil, ctx.Err()
	}
	select {
	case a := <-answers: // it came before the end
		return a.result()
	default:
		return nil, c.failure()
	}
}

// call sends a call, waiting for room.
func (c *conn) call(ctx context.Context, fn uint16, body []byte, answers chan<- reply) (id uint32, err error) {
	err = c.send(ctx, frame.CallSize(len(body)), func(out *frame.Packer) {
		c.link.calls++
		id = c.link.calls
		c.calls[id] = answers
		out.Call(c.id, frame.Call{ID: id, Func: fn, Body: body})
	})
	return id, err
}

// send queues a request with f, waiting for room.
func (c *conn) send(ctx context.Context, size int, f func(*frame.Packer)) error {
	for {
		c.link.mu.Lock()
		err := c.admit(size)
		if err == nil {
			f(&c.link.out)
			c.link.send()
		}
		c.link.mu.Unlock()
		if err != service.ErrTryAgain {
			return err
		}
		if err := c.waitRoom(ctx); err != nil {
			return err
		}
	}
}

// admit takes credit for a request; with link.mu held.
func (c *conn) admit(size int) error {
	switch {
	case c.err != nil:
		return c.err
	case c.link.closing:
		return session.ErrClosed
	case size > int(min(c.link.welcome.Message, frame.MaxMessage)):
		return service.ErrTooBig
	case c.credit <= 0:
		return service.ErrTryAgain
	}
	if c.credit -= size; c.credit > 0 {
		wake(c.room)
	}
	return nil
}

// Cast sends one request without an answer.
func (c *conn) Cast(ctx context.Context, fn uint16, tag uint64, body []byte) error {
	for {
		err := c.TryCast(fn, tag, body)
		if err != service.ErrTryAgain {
			return err
		}
		if err := c.waitRoom(ctx); err != nil {
			return err
		}
	}
}

// TryCast is Cast without waiting.
func (c *conn) TryCast(fn uint16, tag uint64, body []byte) error {
	if tag > frame.MaxTag {
		return fmt.Errorf("client: tag %d: %w", tag, service.ErrInvalidParam)
	}
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := c.admit(frame.CastSize(len(body))); err != nil {
		return err
	}
	l.out.Cast(c.id, frame.Cast{Tag: tag, Func: fn, Body: body})
	l.send()
	return nil
}

// waitRoom returns nil when it is worth asking for room again.
func (c *conn) waitRoom(ctx context.Context) error {
	select {
	case <-c.room:
		return nil
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Recv waits for events.
func (c *conn) Recv(ctx context.Context, dst []session.Event) (int, error) {
	c.settle()
	if len(dst) == 0 {
		return 0, nil
	}
	for c.next == len(c.batch.events) {
		if c.take() {
			break
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-c.ended:
			if !c.take() { // nothing came before the end
				return 0, c.failure()
			}
		}
	}
	n := copy(dst, c.batch.events[c.next:])
	c.next += n
	c.given.events = n
	for i := range dst[:n] {
		c.given.bytes += frame.EventSize(len(dst[i].Body))
	}
	return n, nil
}

// take swaps the batch that was given out for what came meanwhile.
func (c *conn) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue.events) == 0 {
		return false
	}
	c.batch, c.queue = c.queue, batch{c.batch.events[:0], c.batch.bodies[:0]}
	c.next = 0
	return true
}

// portion bounds what the user has taken and the agent does not know of: it is
// little beside the 8 MiB for which the agent cuts a client off.
const portion = 256 << 10

// settle counts what the user is done with, and tells the agent in portions.
func (c *conn) settle() {
	c.settled.events += c.given.events
	c.settled.bytes += c.given.bytes
	c.given = taken{}
	if c.settled.bytes < min(c.window/4, portion) {
		return
	}
	c.mu.Lock()
	c.free += c.settled.bytes
	c.mu.Unlock()
	l := c.link
	l.mu.Lock()
	if c.err == nil {
		l.out.Credit(c.id, frame.Credit{Bytes: uint32(c.settled.bytes), Count: uint32(c.settled.events)})
		l.poke()
	}
	l.mu.Unlock()
	c.settled = taken{}
}

// push adds an event; with mu held.
func (c *conn) push(e frame.Event, size int) error {
	if c.free <= 0 {
		return fmt.Errorf("%w: an event without credit", frame.ErrMalformed)
	}
	c.free -= size
	q := &c.queue
	at := len(q.bodies)
	q.bodies = append(q.bodies, e.Body...)
	q.events = append(q.events, session.Event{Kind: e.Kind, Body: q.bodies[at:len(q.bodies):len(q.bodies)]})
	return nil
}

// Close ends the connection.
func (c *conn) Close() error {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.err == nil {
		l.out.Close(c.id)
		l.poke()
		c.fail(session.ErrClosed)
	}
	return nil
}

// fail ends the connection; with link.mu held.
func (c *conn) fail(err error) {
	if c.err == nil {
		c.err = err
		close(c.ended)
	}
}

// failure is the error of an ended connection.
func (c *conn) failure() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.err
}

// What follows is called by the reader, with link.mu held.

func (c *conn) opened(o frame.Opened) error {
	if c.grant != 0 {
		return fmt.Errorf("%w: connection %d opened twice", frame.ErrMalformed, c.id)
	}
	c.number, c.grant, c.credit = o.ID, int(o.Window), int(o.Window)
	close(c.isOpen)
	return nil
}

func (c *conn) answered(a frame.Answer) error {
	to, ok := c.calls[a.ID]
	if !ok {
		return fmt.Errorf("%w: an answer to call %d, which is not open", frame.ErrMalformed, a.ID)
	}
	delete(c.calls, a.ID)
	if to != nil {
		to <- reply{a.Code, slices.Clone(a.Body)}
	}
	return nil
}

func (c *conn) granted(k frame.Credit) error {
	if int64(k.Bytes) > int64(c.grant-c.credit) {
		return fmt.Errorf("%w: credit for %d bytes, %d are used", frame.ErrMalformed, k.Bytes, c.grant-c.credit)
	}
	if c.credit += int(k.Bytes); c.credit > 0 {
		wake(c.room)
	}
	return nil
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
