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
	c := &conn{node: n, events: make(chan struct{}, 1), flow: make(chan struct{}, 1), ended: make(chan struct{})}
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
	node   *Node
	handle *executive.Handle // used on the member's goroutine only
	tag    uint64            // likewise

	events chan struct{} // capacity 1: queue or err is new
	flow   chan struct{} // capacity 1: a refused call may be tried again; who took it and needs it no more hands it on
	ended  chan struct{} // closed when err is set

	mu    sync.Mutex // guards queue and err
	queue []session.Event
	err   error

	given []session.Event // owned by the receiver: what the last Recv gave out
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

// Call sends one request.
func (c *conn) Call(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
	answers := make(chan reply, 1)
	if err := c.pass(ctx, fn, body, answers); err != nil {
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

// pass gives a request to the member, when it has room for it.
func (c *conn) pass(ctx context.Context, fn uint16, body []byte, answers chan<- reply) error {
	for waited := false; ; waited = true {
		var refused error
		err := c.node.do(ctx, func(*executive.Core) {
			c.tag++
			refused = c.handle.Call(fn, c.tag, body, func(code service.Code, body []byte) {
				answers <- reply{code, slices.Clone(body)}
				wake(c.flow)
			})
		})
		if err == nil && errors.Is(refused, executive.ErrFull) {
			if err := c.wait(ctx, c.flow); err != nil {
				return err
			}
			continue
		}
		if waited {
			wake(c.flow) // there may be room for one more
		}
		switch {
		case err != nil:
			return err
		case errors.Is(refused, service.ErrClosed):
			return c.failure()
		}
		return refused
	}
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
		wake(c.flow)
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
