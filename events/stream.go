package events

import (
	"context"
	"errors"
	"fmt"
	"sync"

	es "github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// window is how many events are on their way to a stream, at most.
const window = 64

// stream is one connection to the service that brings events.
type stream struct {
	name string
	conn session.Conn

	// What follows is the receiver's.
	batch []session.Event // as the connection gave it; bodies are valid until it is asked again
	next  int             // of batch
	owed  uint32          // events that were taken and not granted anew

	mu     sync.Mutex // guards what follows
	failed error      // ends the stream
}

// open connects a stream, for so many events at once.
func open(ctx context.Context, s session.Session, name string, events uint32) (*stream, error) {
	conn, err := connect(ctx, s)
	if err != nil {
		return nil, err
	}
	st := &stream{name: name, conn: conn}
	if _, err := st.call(ctx, es.CallOpen, es.OpenRequest{Window: events}.AppendTo(nil)); err != nil {
		_ = st.fail(err)
		return nil, err
	}
	return st, nil
}

// call makes a call, as often as the member wants.
func (s *stream) call(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
	for {
		b, err := s.conn.Call(ctx, fn, body)
		if !errors.Is(err, service.ErrAgain) {
			return b, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// raw waits for the next event. Its body is valid until the next call. An EventEnd
// ends the stream.
func (s *stream) raw(ctx context.Context) (session.Event, error) {
	if err := s.failure(); err != nil {
		return session.Event{}, err
	}
	if s.next == len(s.batch) {
		if s.batch == nil {
			s.batch = make([]session.Event, window)
		}
		n, err := s.conn.Recv(ctx, s.batch[:window])
		s.batch, s.next = s.batch[:n], 0
		if err != nil {
			if ctx.Err() == nil || errors.Is(err, ErrClosed) {
				err = s.fail(err)
			}
			return session.Event{}, err
		}
	}
	ev := s.batch[s.next]
	s.next++
	if ev.Kind == es.EventEnd {
		e, err := es.ParseEnd(ev.Body)
		if err == nil {
			err = ends[e.Why]
		}
		return ev, s.fail(err)
	}
	return ev, nil
}

// refill lets more events come, when half of the window was taken.
func (s *stream) refill(ctx context.Context) error {
	if s.owed < window/2 {
		return nil
	}
	if err := s.grant(ctx, s.owed); err != nil {
		return err
	}
	s.owed = 0
	return nil
}

func (s *stream) grant(ctx context.Context, events uint32) error {
	return s.conn.Cast(ctx, es.CallGrant, 0, es.GrantRequest{Events: events}.AppendTo(nil))
}

// failure is why the stream ended, nil: it did not.
func (s *stream) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		return nil
	}
	return fmt.Errorf("events: %q: %w", s.name, s.failed)
}

// fail ends the stream. The error that counts is the first one.
func (s *stream) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = meaning(err)
		s.conn.Close()
	}
	return fmt.Errorf("events: %q: %w", s.name, s.failed)
}

// Close ends the stream. It may be called more than once.
func (s *stream) Close() error {
	_ = s.fail(ErrClosed)
	return nil
}
