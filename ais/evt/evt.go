package evt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/ais/internal/library"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/session"
)

// Version is the highest that is supported.
var Version = ais.Version{Release: 'B', Major: 3, Minor: 1}

// Limits of channels and events (openais-executive 7.2).
const (
	MaxChannels   = events.MaxTopics    // of the cluster
	MaxName       = events.MaxChannel   // bytes
	MaxData       = events.MaxData      // bytes
	MaxPatterns   = events.MaxPatterns  // of an event, and filters of a subscription
	MaxPattern    = events.MaxPattern   // bytes
	MaxPublisher  = events.MaxPublisher // bytes of a publisher's name
	reservedID    = 1000                // ids up to it name no published event
	reservedInLow = 1<<32 - 1           // the part of an id that counts
)

// Handle is one use of the service, with a stream of what was published.
type Handle struct {
	conn   *library.Conn
	wanted bool // the receiver's: the service may send one event

	mu       sync.Mutex
	channels map[uint32]*Channel
	subs     map[uint32]*subscription // by the service's name for them
}

// subscription is one of a channel that is open.
type subscription struct {
	channel *Channel
	sub     uint32
	id      SubscriptionID
}

// Initialize begins to use the service through one member of the cluster. The version
// is the one that the program is written for, or else Version. ErrTryAgain: the member is
// not in the primary part of the cluster, or not yet.
func Initialize(ctx context.Context, s session.Session, want ais.Version) (*Handle, error) {
	if err := Version.Agree(want); err != nil {
		return nil, fmt.Errorf("evt: initialize: %w", err)
	}
	conn, err := library.Open(ctx, s, events.OpenRequest{Ranked: true})
	if err != nil {
		return nil, fmt.Errorf("evt: initialize: %w", err)
	}
	return &Handle{conn: conn, channels: map[uint32]*Channel{}, subs: map[uint32]*subscription{}}, nil
}

// Finalize ends the handle and all that was opened with it. Later use of any of it
// gives ErrBadHandle, also to who waits.
func (h *Handle) Finalize() error {
	if h.conn.Life().Err() != nil {
		return fmt.Errorf("evt: finalize: %w", ais.ErrBadHandle)
	}
	h.conn.Close()
	return nil
}

// Flags say what a channel is opened for.
type Flags uint8

// Flags.
const (
	Publisher  Flags = 1 << iota // to publish
	Subscriber                   // to subscribe
	Create                       // and made, if there is none
)

// Open opens a channel; it may be open many times. ErrNotExist: there is none, and
// Create is not given. ErrBadFlags: there are unknown ones.
func (h *Handle) Open(ctx context.Context, name string, flags Flags) (*Channel, error) {
	c, err := h.open(ctx, name, flags)
	if err != nil {
		return nil, fmt.Errorf("evt: open %q: %w", name, err)
	}
	return c, nil
}

func (h *Handle) open(ctx context.Context, name string, flags Flags) (*Channel, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if flags&^(Publisher|Subscriber|Create) != 0 {
		return nil, ais.ErrBadFlags
	}
	if err := library.Fault(ctx); err != nil {
		return nil, err
	}
	c := &Channel{h: h, name: name, flags: flags, sub: h.conn.Number()}
	h.mu.Lock()
	h.channels[c.sub] = c // before the service can say that it has ended
	h.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		q := events.EnterRequest{Sub: c.sub, Name: []byte(name), Create: flags&Create != 0}
		b, err := h.conn.Call(h.conn.Life(), events.CallEnter, q.AppendTo(nil))
		if err == nil {
			var reply events.EnterReply
			reply, err = events.ParseEnterReply(b)
			c.number = reply.Number
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			h.forget(c)
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		go func() { // the service does not know that nobody waits (openais-executive 7.8)
			if <-done == nil {
				_ = h.conn.End(h.conn.Life(), c.sub)
			}
			h.forget(c)
		}()
		return nil, library.Fault(ctx)
	}
}

func checkName(name string) error {
	switch {
	case name == "" || len(name) > MaxName || name == events.ConnTopic || name == events.MembTopic:
		return ais.ErrInvalidParam
	}
	return nil
}

// Unlink takes a channel's name. It ends when nobody has it open any more. ErrNotExist:
// there is none.
func (h *Handle) Unlink(ctx context.Context, name string) error {
	err := checkName(name)
	if err == nil {
		err = h.conn.Do(ctx, events.CallUnlink, events.NameRequest{Name: []byte(name)}.AppendTo(nil))
	}
	if err != nil {
		return fmt.Errorf("evt: unlink %q: %w", name, err)
	}
	return nil
}

// forget takes a channel and its subscriptions out.
func (h *Handle) forget(c *Channel) (subs []uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.closed = true
	delete(h.channels, c.sub)
	for number, s := range h.subs {
		if s.channel == c {
			delete(h.subs, number)
			subs = append(subs, number)
		}
	}
	return subs
}

// Delivery is an event for a subscription.
type Delivery struct {
	Channel      *Channel
	Subscription SubscriptionID
	Event        *Event
}

// All is Recv as a loop. It ends after the first error, and with a break; another
// loop goes on where it ended.
func (h *Handle) All(ctx context.Context) iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		for {
			d, err := h.Recv(ctx)
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// Recv waits for the next event. After an error of ctx, which is context.Canceled or
// context.DeadlineExceeded itself, it may be called again.
// ErrBadHandle: Finalize was called. ErrLibrary: the agent is gone.
func (h *Handle) Recv(ctx context.Context) (Delivery, error) {
	if d, ok, err := h.leftover(ctx); ok || err != nil {
		return d, received(ctx, err)
	}
	for {
		if err := h.want(ctx); err != nil {
			return Delivery{}, received(ctx, err)
		}
		raw, err := h.conn.Recv(ctx)
		if err != nil {
			if ctx.Err() != nil {
				_ = h.conn.Cast(events.CallRecall, nil) // else the next Recv does it
			}
			return Delivery{}, received(ctx, err)
		}
		h.wanted = false
		if d, ok, err := h.understand(raw); ok || err != nil {
			return d, received(ctx, err)
		}
	}
}

// Poll is Recv that does not wait for an event; it reports whether there is one.
func (h *Handle) Poll(ctx context.Context) (Delivery, bool, error) {
	d, ok, err := h.leftover(ctx)
	for !ok && err == nil {
		if err = h.want(ctx); err != nil {
			break
		}
		var raw session.Event
		if raw, ok, err = h.settle(ctx); !ok || err != nil {
			break
		}
		d, ok, err = h.understand(raw)
	}
	return d, ok, received(ctx, err)
}

func received(ctx context.Context, err error) error {
	if err != nil {
		return fmt.Errorf("evt: receive: %w", library.Unheard(ctx, err))
	}
	return nil
}

// want lets the service send one event.
func (h *Handle) want(ctx context.Context) error {
	h.wanted = true // it may be, also after an error
	return h.conn.Do(ctx, events.CallGrant, events.GrantRequest{Events: 1}.AppendTo(nil))
}

// settle takes back what want allowed, or finds what has come because of it.
func (h *Handle) settle(ctx context.Context) (raw session.Event, ok bool, err error) {
	if err := h.conn.Do(ctx, events.CallRecall, nil); err != nil {
		return raw, false, err
	}
	if raw, ok, err = h.conn.TryRecv(); err == nil {
		h.wanted = false
	}
	return raw, ok, err
}

// leftover finds what has come for a Recv that was given up.
func (h *Handle) leftover(ctx context.Context) (d Delivery, ok bool, err error) {
	for h.wanted && !ok && err == nil {
		var raw session.Event
		if raw, ok, err = h.settle(ctx); ok && err == nil {
			h.wanted = true // there may be another: of an error of want
			if d, ok, err = h.understand(raw); ok {
				return d, true, err
			}
		}
	}
	return d, ok, err
}

// understand makes a delivery of what the service pushed, if it is one for what is
// open still.
func (h *Handle) understand(raw session.Event) (Delivery, bool, error) {
	switch raw.Kind {
	case events.EventMessage:
		m, err := events.ParseMessage(raw.Body)
		if err != nil {
			return Delivery{}, false, errors.Join(ais.ErrLibrary, err)
		}
		return h.delivery(m.Sub, func(c *Channel) *Event { return receivedEvent(c, &m) })
	case events.EventLost:
		q, err := events.ParseSub(raw.Body)
		if err != nil {
			return Delivery{}, false, errors.Join(ais.ErrLibrary, err)
		}
		return h.delivery(q.Sub, lostEvent)
	case events.EventEnd:
		e, err := events.ParseEnd(raw.Body)
		if err != nil {
			return Delivery{}, false, errors.Join(ais.ErrLibrary, err)
		}
		h.ended(e.Sub)
	}
	return Delivery{}, false, nil
}

func (h *Handle) delivery(sub uint32, event func(*Channel) *Event) (Delivery, bool, error) {
	h.mu.Lock()
	s := h.subs[sub]
	h.mu.Unlock()
	if s == nil {
		return Delivery{}, false, nil
	}
	return Delivery{s.channel, s.id, event(s.channel)}, true, nil
}

// ended takes note that the service has ended something: the channel is not there any
// more where this node came back to.
func (h *Handle) ended(sub uint32) {
	h.mu.Lock()
	c := h.channels[sub]
	delete(h.subs, sub)
	h.mu.Unlock()
	if c != nil {
		h.forget(c)
	}
}
