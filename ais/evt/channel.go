package evt

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/internal/service/events"
)

// Channel is a channel that is open.
type Channel struct {
	h      *Handle
	name   string
	flags  Flags
	sub    uint32 // the service's name for it
	number uint64 // of the channel among all that had the name
	closed bool   // guarded by h.mu
}

// Name is what the channel is called, or was before it was unlinked.
func (c *Channel) Name() string { return c.name }

// alive is ErrBadHandle when the channel is closed, or its handle.
func (c *Channel) alive() error {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if c.closed || c.h.conn.Life().Err() != nil {
		return ais.ErrBadHandle
	}
	return nil
}

// ready is the last check of calls: ErrTryAgain outside of the primary part of the cluster
// (openais-executive 5.3).
func (c *Channel) ready(ctx context.Context) error {
	_, err := c.h.conn.Present(ctx)
	return err
}

func (c *Channel) told(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("evt: %s %q: %w", what, c.name, err)
}

// Close ends what was opened, subscribed to and allocated by it, and what waits for it
// is not delivered any more.
func (c *Channel) Close(ctx context.Context) error {
	err := c.alive()
	if err == nil {
		err = c.ready(ctx)
	}
	if err != nil {
		return c.told("close", err)
	}
	var first error
	for _, sub := range append(c.h.forget(c), c.sub) {
		if err := c.h.conn.End(ctx, sub); err != nil && first == nil {
			first = err
		}
	}
	return c.told("close", first)
}

// SubscriptionID is the subscriber's own name for a subscription.
type SubscriptionID uint32

// Filter is compared with the pattern at the same place.
type Filter = events.Filter

// HasPrefix likes patterns that begin with it.
func HasPrefix(p string) Filter { return Filter{Type: events.Prefix, Pattern: []byte(p)} }

// HasSuffix likes patterns that end with it.
func HasSuffix(p string) Filter { return Filter{Type: events.Suffix, Pattern: []byte(p)} }

// Equals likes the pattern itself.
func Equals(p string) Filter { return Filter{Type: events.Exact, Pattern: []byte(p)} }

// Any likes all patterns.
func Any() Filter { return Filter{Type: events.PassAll} }

// Subscribe asks for events whose patterns all filters like; missing patterns count as
// empty ones, without filters everything matches (openais-executive 7.4). Events that are
// kept come first, unless they were delivered through the same open. ErrExist: the id is
// in use on this channel by this handle. ErrAccess: it is not open for a Subscriber.
func (c *Channel) Subscribe(ctx context.Context, id SubscriptionID, filters ...Filter) error {
	return c.told("subscribe to", c.subscribe(ctx, id, filters))
}

func (c *Channel) subscribe(ctx context.Context, id SubscriptionID, filters []Filter) error {
	if err := c.alive(); err != nil {
		return err
	}
	switch {
	case slices.ContainsFunc(filters, func(f Filter) bool { return f.Type < events.Prefix || f.Type > events.PassAll }):
		return ais.ErrInvalidParam
	case c.flags&Subscriber == 0:
		return ais.ErrAccess
	case len(filters) > MaxPatterns || slices.ContainsFunc(filters, func(f Filter) bool { return len(f.Pattern) > MaxPattern }):
		return ais.ErrTooBig
	}
	s := &subscription{c, c.h.conn.Number(), id}
	if err := c.h.note(s); err != nil {
		return err
	}
	err := c.ready(ctx)
	if err == nil {
		q := events.SubscribeRequest{Sub: s.sub, Open: c.sub, Topic: []byte(c.name), Number: c.number, Start: events.StartKept, Filters: filters}
		if err = c.h.conn.Do(ctx, events.CallSubscribe, q.AppendTo(nil)); err != nil && ctx.Err() != nil {
			_ = c.h.conn.Cast(events.CallEnd, events.SubRequest{Sub: s.sub}.AppendTo(nil))
		}
	}
	if err != nil {
		c.h.mu.Lock()
		delete(c.h.subs, s.sub)
		c.h.mu.Unlock()
	}
	return err
}

// note takes a subscription in, before anything can come for it.
func (h *Handle) note(s *subscription) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.subs {
		if o.id == s.id && o.channel.number == s.channel.number {
			return ais.ErrExist
		}
	}
	h.subs[s.sub] = s
	return nil
}

// Unsubscribe ends a subscription. What waits for it is delivered to another one of the
// same open that matches, or not at all. ErrNotExist: there is none with the id.
func (c *Channel) Unsubscribe(ctx context.Context, id SubscriptionID) error {
	return c.told("unsubscribe from", c.unsubscribe(ctx, id))
}

func (c *Channel) unsubscribe(ctx context.Context, id SubscriptionID) error {
	if err := c.alive(); err != nil {
		return err
	}
	if _, found := c.h.find(c, id, false); !found {
		return ais.ErrNotExist
	}
	if err := c.ready(ctx); err != nil {
		return err
	}
	sub, found := c.h.find(c, id, true)
	if !found { // it has ended meanwhile
		return ais.ErrNotExist
	}
	return c.h.conn.End(ctx, sub)
}

// find is the service's name for a subscription, which it may take out.
func (h *Handle) find(c *Channel, id SubscriptionID, take bool) (number uint32, found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for number, s := range h.subs {
		if s.channel == c && s.id == id {
			if take {
				delete(h.subs, number)
			}
			return number, true
		}
	}
	return 0, false
}

// ClearRetention ends that an event is kept. ErrInvalidParam: no published event has
// such an id. ErrNotExist: it is not kept.
func (c *Channel) ClearRetention(ctx context.Context, id EventID) error {
	err := c.alive()
	switch {
	case err != nil:
	case id <= reservedID:
		err = ais.ErrInvalidParam
	case id&reservedInLow <= reservedID:
		err = ais.ErrNotExist
	default:
		q := events.ClearRequest{Topic: []byte(c.name), Number: c.number, ID: uint64(id)}
		err = c.h.conn.Do(ctx, events.CallClear, q.AppendTo(nil))
	}
	return c.told("clear retention on", err)
}

// Allocate makes an event to publish: with the lowest priority, without patterns, not
// kept.
func (c *Channel) Allocate() (*Event, error) {
	err := c.alive()
	if err == nil {
		err = c.ready(c.h.conn.Life())
	}
	if err != nil {
		return nil, c.told("allocate on", err)
	}
	return &Event{channel: c, attrs: Attributes{Priority: Lowest}}, nil
}

// Publish makes an event with attributes and data and publishes it once. The errors are
// those of [Event.SetAttributes] and [Event.Publish].
func (c *Channel) Publish(ctx context.Context, a Attributes, data []byte) (EventID, error) {
	err := c.alive()
	if err == nil {
		err = a.check()
	}
	if err != nil {
		return 0, c.told("publish on", err)
	}
	a.Published, a.ID = time.Time{}, NoEvent
	e := Event{channel: c, attrs: a}
	return e.Publish(ctx, data)
}

// EventID names a published event in the cluster, as long as one node remembers.
type EventID uint64

// Ids that no published event has.
const (
	NoEvent   EventID = 0 // not published yet
	LostEvent EventID = 1 // of an event that says that others were lost
)

// LostPattern is the pattern of an event that says that others were lost.
const LostPattern = "SA_EVT_LOST_EVENT_PATTERN"

// Priorities.
const (
	Highest uint8 = 0
	Lowest  uint8 = 3
)

// Attributes are those of an event.
type Attributes struct {
	Patterns  [][]byte      // bytes like those of filters, no text: all count (openais-executive 7.4)
	Priority  uint8         // Highest to Lowest
	Retention time.Duration // how long it is kept for those who subscribe later
	Publisher []byte        // a name
	Published time.Time     // by the publisher's clock; zero: unknown
	ID        EventID
}

// check refuses what no event may have: ErrInvalidParam, ErrTooBig.
func (a *Attributes) check() error {
	switch {
	case a.Priority > Lowest || a.Retention < 0 || len(a.Publisher) > MaxPublisher:
		return ais.ErrInvalidParam
	case len(a.Patterns) > MaxPatterns || slices.ContainsFunc(a.Patterns, func(p []byte) bool { return len(p) > MaxPattern }):
		return ais.ErrTooBig
	}
	return nil
}

func (a Attributes) clone() Attributes {
	patterns := make([][]byte, 0, len(a.Patterns))
	for _, p := range a.Patterns {
		patterns = append(patterns, slices.Clone(p))
	}
	a.Patterns, a.Publisher = patterns, slices.Clone(a.Publisher)
	return a
}
