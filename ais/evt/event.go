package evt

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/internal/service/events"
)

// Event is one to publish, which may be done many times, or one that was received.
type Event struct {
	channel  *Channel
	received bool

	mu    sync.Mutex // guards what follows
	freed bool
	attrs Attributes
	data  []byte
}

func receivedEvent(c *Channel, m *events.MessageEvent) *Event {
	a := Attributes{Patterns: m.Content.Patterns, Priority: m.Content.Priority, Retention: time.Duration(m.Content.Retention), Publisher: m.Content.Publisher, ID: EventID(m.ID)}
	if m.Content.Published != 0 {
		a.Published = time.Unix(0, m.Content.Published)
	}
	return &Event{channel: c, received: true, attrs: a.clone(), data: slices.Clone(m.Content.Data)}
}

// lostEvent is made here: what it says is always the same (openais-executive O5).
func lostEvent(c *Channel) *Event {
	a := Attributes{Patterns: [][]byte{[]byte(LostPattern)}, Publisher: []byte("EVENT_SERVICE"), ID: LostEvent}
	return &Event{channel: c, received: true, attrs: a}
}

// alive is ErrBadHandle when the event, its channel or its handle has ended; with mu
// held.
func (e *Event) alive() error {
	if e.freed {
		return ais.ErrBadHandle
	}
	return e.channel.alive()
}

// ready is the last check of calls.
func (e *Event) ready() error { return e.channel.ready(e.channel.h.conn.Life()) }

// Lost reports whether the event says that others were lost.
func (e *Event) Lost() bool { return e.Attributes().ID == LostEvent }

// Attributes are a copy of the event's.
func (e *Event) Attributes() Attributes {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.attrs.clone()
}

// SetAttributes sets those of an event that was allocated; Patterns and Publisher that
// are nil leave theirs as they are, Published and ID do not count. ErrAccess: the event
// was received. ErrTooBig: there are too many patterns, or one is too long.
func (e *Event) SetAttributes(a Attributes) error {
	return e.channel.told("set attributes of an event on", e.set(a.clone(), a.Patterns == nil))
}

func (e *Event) set(a Attributes, patternless bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return err
	}
	switch err := a.check(); {
	case err == ais.ErrInvalidParam:
		return err
	case e.received:
		return ais.ErrAccess
	case err != nil:
		return err
	}
	if err := e.ready(); err != nil {
		return err
	}
	if patternless {
		a.Patterns = e.attrs.Patterns
	}
	if a.Publisher == nil {
		a.Publisher = e.attrs.Publisher
	}
	a.Published, a.ID = e.attrs.Published, e.attrs.ID
	e.attrs = a
	return nil
}

// Publish publishes the event with data, and returns its id when it is ordered: all
// subscribers have it at the same place. Each time is a new event. ErrAccess: the
// channel is not open for a Publisher. ErrTooBig: there is too much data. ErrNoSpace:
// the channel keeps too many events.
func (e *Event) Publish(ctx context.Context, data []byte) (EventID, error) {
	id, err := e.publish(ctx, data)
	return id, e.channel.told("publish on", err)
}

func (e *Event) publish(ctx context.Context, data []byte) (EventID, error) {
	e.mu.Lock()
	err, a := e.alive(), e.attrs.clone()
	e.mu.Unlock()
	c := e.channel
	switch {
	case err != nil:
		return 0, err
	case c.flags&Publisher == 0:
		return 0, ais.ErrAccess
	case len(data) > MaxData:
		return 0, ais.ErrTooBig
	}
	a.Published = time.Now()
	q := events.PublishRequest{Topic: []byte(c.name), Number: c.number, Content: events.Content{
		Priority: a.Priority, Retention: int64(a.Retention), Published: a.Published.UnixNano(), Publisher: a.Publisher, Patterns: a.Patterns, Data: data,
	}}
	b, err := c.h.conn.Call(ctx, events.CallPublish, q.AppendTo(nil))
	if err != nil {
		return 0, err
	}
	reply, err := events.ParsePublishReply(b)
	if err == nil && !e.received {
		e.mu.Lock()
		e.attrs.Published, e.attrs.ID, e.data = a.Published, EventID(reply.ID), slices.Clone(data)
		e.mu.Unlock()
	}
	return EventID(reply.ID), err
}

// Data is what was received or published; the caller does not change it.
func (e *Event) Data() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.data
}

// CopyData copies as much of the data as fits, and returns how much there is.
// ErrNoSpace: there is more. ErrBadHandle: the event is not published yet.
func (e *Event) CopyData(dst []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.alive()
	if err == nil && e.attrs.ID == NoEvent {
		err = ais.ErrBadHandle
	}
	if err == nil {
		err = e.ready()
	}
	switch {
	case err != nil:
		return 0, e.channel.told("copy data of an event on", err)
	case len(dst) < len(e.data):
		copy(dst, e.data)
		return len(e.data), e.channel.told("copy data of an event on", ais.ErrNoSpace)
	}
	return copy(dst, e.data), nil
}

// Free ends the event. Who does not call it leaves that to the garbage collector.
func (e *Event) Free() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.alive()
	if err == nil {
		err = e.ready()
	}
	e.freed = err == nil || e.freed
	return e.channel.told("free an event of", err)
}
