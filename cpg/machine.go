package cpg

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// Machine is a state that is the same at all members of a group, because all of
// them apply the same messages in the same order. Run calls its methods, one at
// a time.
type Machine interface {
	// Apply applies a message; its body is valid until Apply returns.
	Apply(Message)
	// SetView tells who is there from here on.
	SetView(View)
	// Snapshot gives the state as it is now. It is read and closed by another
	// goroutine, while Apply goes on.
	Snapshot() (io.ReadCloser, error)
	// Restore takes another state instead of its own, reading it to its end. After an
	// error of r it is called again with another one. A reader that is empty at once
	// may be a state that is lost: a Snapshot should never be empty.
	Restore(r io.Reader) error
}

// Digester is a Machine that can say whether its state is equal to another one
// without sending it.
type Digester interface{ Digest() []byte }

// Run receives for a machine until an error ends the stream, which it returns.
// The member must have joined with JoinConfig.Stateful: without, its state would
// be another one than that of the others.
func (m *Member) Run(ctx context.Context, x Machine) error {
	if !m.cfg.Stateful {
		return m.told(errors.New("this member joined without a state: set JoinConfig.Stateful for Run"))
	}
	batch := make([]Event, batchSize)
	for {
		n, err := m.RecvBatch(ctx, batch)
		if err != nil {
			return err
		}
		for _, ev := range batch[:n] {
			switch ev := ev.(type) {
			case Message:
				x.Apply(ev)
			case View:
				x.SetView(ev)
			case Snapshot:
				err = ev.give(ctx, x)
			case *State:
				err = ev.restore(x)
			}
			if err != nil {
				return m.told(err)
			}
		}
		clear(batch[:n])
	}
}

// give sends the state of a machine. What goes wrong with the connection shows
// in the stream too; what goes wrong with the state ends the membership.
func (s Snapshot) give(ctx context.Context, x Machine) error {
	var digest []byte
	if d, ok := x.(Digester); ok {
		digest = bytes.Clone(d.Digest())
	}
	r, err := x.Snapshot()
	if err != nil {
		return err
	}
	go func() {
		defer r.Close()
		if err := s.Send(ctx, r, digest); err != nil && ctx.Err() == nil {
			s.m.conn.Close()
		}
	}()
	return nil
}

// restore gives a state to a machine.
func (s *State) restore(x Machine) error {
	if d, ok := x.(Digester); ok && len(s.Digest) > 0 && bytes.Equal(d.Digest(), s.Digest) {
		s.Keep()
		return nil
	}
	err := x.Restore(s)
	if errors.Is(s.err, ErrStateAnew) || errors.Is(s.err, ErrStateDamaged) {
		return nil // another one comes
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, s)
	if errors.Is(s.err, ErrStateAnew) || errors.Is(s.err, ErrStateDamaged) {
		return nil
	}
	return err
}
