package groups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	gs "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// role is one connection to the service, and the one provider or subscriber that
// stands behind it.
type role struct {
	conn  session.Conn
	group string
	node  NodeID // of the member
	alive func() bool

	// What follows is the receiver's.
	batch []session.Event // as the connection gave it; bodies are valid until it is asked again
	next  int             // of batch

	life context.Context // ends with the stream
	end  context.CancelFunc

	mu     sync.Mutex // guards what follows, and what the provider says of itself
	failed error      // ends the stream
}

// batchSize is how many events are asked for at once.
const batchSize = 64

// again is the pause before a request is repeated that the member could not take
// for a while: it is about to synchronise, or its ring is full.
const again = 10 * time.Millisecond

// pause waits a moment.
func pause(ctx context.Context) error {
	t := time.NewTimer(again)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open connects to the service and says hello.
func open(ctx context.Context, s session.Session, group string, hello gs.HelloRequest) (*role, error) {
	conn, err := connect(ctx, s)
	if err != nil {
		return nil, err
	}
	r := newRole(conn, group)
	hello.Level, hello.PID = gs.Level, int32(os.Getpid())
	reply, err := gs.HelloReply{}, error(nil)
	b, err := r.ask(ctx, gs.CallHello, hello.AppendTo(nil))
	if err == nil {
		reply, err = gs.ParseHelloReply(b)
	}
	if err == nil && reply.Code != gs.OK {
		err = Code(reply.Code)
	}
	if err != nil {
		_ = r.fail(err)
		return nil, err
	}
	r.node = NodeID(reply.Node)
	return r, nil
}

func newRole(conn session.Conn, group string) *role {
	r := &role{conn: conn, group: group}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

func connect(ctx context.Context, s session.Session) (session.Conn, error) {
	for {
		conn, err := s.Open(ctx, gs.ID)
		if !errors.Is(err, service.ErrAgain) {
			return conn, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// ask sends a request and waits for its answer, as often as the member wants.
func (r *role) ask(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
	for {
		answer, err := r.conn.Call(ctx, fn, body)
		if !errors.Is(err, service.ErrAgain) {
			return answer, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// call is ask for requests that are answered with a code.
func (r *role) call(ctx context.Context, fn uint16, body []byte) error {
	b, err := r.ask(ctx, fn, body)
	if err != nil {
		return err
	}
	reply, err := gs.ParseReply(b)
	switch {
	case err != nil || reply.Code == gs.OK:
		return err
	case reply.Code == gs.BadMemberToken: // the stream has not been read so far
		return fmt.Errorf("%w: %w", ErrOut, BadMemberToken)
	}
	return Code(reply.Code)
}

// raw waits for the next event and answers checks. Its body is valid until the next
// call.
func (r *role) raw(ctx context.Context) (session.Event, error) {
	for {
		ev, err := r.peek(ctx)
		if err != nil {
			return ev, err
		}
		r.next++
		if ev.Kind != gs.EventCheck {
			return ev, nil
		}
		if err := r.answer(ctx, ev.Body); err != nil {
			return ev, err
		}
	}
}

// peek is raw that leaves the event where it is.
func (r *role) peek(ctx context.Context) (session.Event, error) {
	if err := r.failure(); err != nil {
		return session.Event{}, fmt.Errorf("groups: %q: %w", r.group, err)
	}
	if r.next == len(r.batch) {
		if r.batch == nil {
			r.batch = make([]session.Event, batchSize)
		}
		n, err := r.conn.Recv(ctx, r.batch[:batchSize])
		r.batch, r.next = r.batch[:n], 0
		if err != nil {
			if ctx.Err() == nil || errors.Is(err, ErrClosed) {
				err = r.fail(err)
			}
			return session.Event{}, err
		}
	}
	return r.batch[r.next], nil
}

// answer says that the program still works, or what it says of itself.
func (r *role) answer(ctx context.Context, body []byte) error {
	c, err := gs.ParseCheck(body)
	if err != nil {
		return r.fail(err)
	}
	ok := r.alive == nil || r.alive()
	return r.call(ctx, gs.CallResponse, gs.ResponseRequest{Check: c.Number, OK: ok}.AppendTo(nil))
}

func (r *role) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// fail ends the stream. The error that counts is the first one.
func (r *role) fail(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
		r.end()
		r.conn.Close()
	}
	return fmt.Errorf("groups: %q: %w", r.group, r.failed)
}

// told names the group in an error.
func (r *role) told(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("groups: %s %q: %w", what, r.group, err)
}
