// Package library is what the packages of the AIS services share: one connection with
// the event service, whose errors are those of the AIS. One goroutine at a time
// receives, everything else may be called by any.
package library

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// Conn is one connection.
type Conn struct {
	conn   session.Conn
	self   ais.NodeID
	life   context.Context // ends with Close
	end    context.CancelFunc
	number atomic.Uint32

	// What follows is the receiver's.
	batch []session.Event // bodies are valid until the connection is asked again
	next  int             // of batch
}

// Open connects. ErrTryAgain: this node is not in the primary part.
func Open(ctx context.Context, s session.Session, q events.OpenRequest) (*Conn, error) {
	conn, err := s.Open(ctx, events.ID)
	if err != nil {
		return nil, fault(err)
	}
	c := &Conn{conn: conn}
	c.life, c.end = context.WithCancel(context.Background())
	b, err := c.Call(ctx, events.CallOpen, q.AppendTo(nil))
	if err == nil {
		var reply events.OpenReply
		reply, err = events.ParseOpenReply(b)
		c.self = reply.Self
	}
	if err == nil {
		_, err = c.Present(ctx)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Self is the node of the member.
func (c *Conn) Self() ais.NodeID { return c.self }

// Life ends when the connection is closed from this side.
func (c *Conn) Life() context.Context { return c.life }

// Number is a new name for a registration.
func (c *Conn) Number() uint32 { return c.number.Add(1) }

// Close ends the connection.
func (c *Conn) Close() {
	c.end()
	c.conn.Close()
}

// Call sends one request and waits for its answer.
func (c *Conn) Call(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
	b, err := c.conn.Call(ctx, fn, body)
	return b, c.fault(err)
}

// Do is Call without an answer.
func (c *Conn) Do(ctx context.Context, fn uint16, body []byte) error {
	_, err := c.Call(ctx, fn, body)
	return err
}

// Cast sends a request whose answer nobody needs, if there is room.
func (c *Conn) Cast(fn uint16, body []byte) error { return c.fault(c.conn.TryCast(fn, 0, body)) }

// End ends a registration.
func (c *Conn) End(ctx context.Context, sub uint32) error {
	return c.Do(ctx, events.CallEnd, events.SubRequest{Sub: sub}.AppendTo(nil))
}

// Present is the membership; ErrTryAgain: this node is not in the primary part.
func (c *Conn) Present(ctx context.Context) (events.Fact, error) {
	b, err := c.Call(ctx, events.CallStatus, nil)
	if err != nil {
		return events.Fact{}, err
	}
	p, err := events.ParseStatusReply(b)
	if err == nil && p.State != events.Primary {
		err = ais.ErrTryAgain
	}
	return p.Fact, err
}

// Recv waits for the next event. Its body is valid until the next call.
func (c *Conn) Recv(ctx context.Context) (session.Event, error) {
	if c.next == len(c.batch) {
		if c.batch == nil {
			c.batch = make([]session.Event, 64)
		}
		n, err := c.conn.Recv(ctx, c.batch[:cap(c.batch)])
		c.batch, c.next = c.batch[:n], 0
		if err != nil {
			return session.Event{}, c.fault(err)
		}
	}
	c.next++
	return c.batch[c.next-1], nil
}

// past is over.
var past = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// TryRecv is Recv that does not wait; it reports whether there was something.
func (c *Conn) TryRecv() (session.Event, bool, error) {
	ev, err := c.Recv(past)
	if errors.Is(err, context.Canceled) {
		return ev, false, nil
	}
	return ev, err == nil, err
}

// fault is the error of the AIS. After Close it is a bad handle.
func (c *Conn) fault(err error) error {
	if err != nil && c.life.Err() != nil {
		return fmt.Errorf("%w: %w", ais.ErrBadHandle, err)
	}
	return fault(err)
}

func fault(err error) error {
	if code, ok := errors.AsType[service.Code](err); ok && !errors.Is(err, session.ErrClosed) {
		return fmt.Errorf("%w (%v)", ais.Error(code), err)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, session.ErrClosed):
		return fmt.Errorf("%w: %w", ais.ErrLibrary, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ais.ErrTimeout, err)
	case errors.Is(err, service.ErrTryAgain):
		return fmt.Errorf("%w: %w", ais.ErrTryAgain, err)
	case errors.Is(err, service.ErrTooBig):
		return fmt.Errorf("%w: %w", ais.ErrTooBig, err)
	}
	return err
}

// Fault is the error of a context.
func Fault(ctx context.Context) error { return fault(ctx.Err()) }

// Unheard is the error of who received up to the end of ctx: nothing was asked for that
// could have happened, so it is that of ctx.
func Unheard(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ais.ErrBadHandle) || errors.Is(err, ais.ErrLibrary) {
		return err
	}
	return ctx.Err()
}
