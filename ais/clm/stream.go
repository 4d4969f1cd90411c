package clm

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/ais/internal/library"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/service/events/views"
	"github.com/moothall/moothall/internal/session"
)

// Recv waits for the next event. After an error of ctx, which is context.Canceled or
// context.DeadlineExceeded itself, it may be called again.
// ErrBadHandle: Finalize was called. ErrLibrary: the agent is gone.
func (h *Handle) Recv(ctx context.Context) (Event, error) {
	for {
		if err := h.begin(ctx); err != nil {
			return nil, told("receive", library.Unheard(ctx, err))
		}
		if ev, ok := h.waiting(); ok {
			return ev, nil
		}
		raw, ok, err := h.next(ctx)
		if err != nil {
			return nil, told("receive", library.Unheard(ctx, err))
		}
		if !ok {
			continue
		}
		n, ok, err := h.understand(raw)
		if err != nil {
			return nil, told("receive", library.Unheard(ctx, err))
		}
		if ok {
			return n, nil
		}
	}
}

// begin registers again what ended because the others went on without this node.
func (h *Handle) begin(ctx context.Context) error {
	for {
		h.mu.Lock()
		if len(h.again) == 0 {
			h.mu.Unlock()
			return nil
		}
		sub := h.again[0]
		h.mu.Unlock()
		q := events.RegisterRequest{Sub: sub, Class: events.Memb}
		if err := h.conn.Do(ctx, events.CallRegister, q.AppendTo(nil)); err != nil && !errors.Is(err, ais.ErrExist) { // a call that ctx ended was done
			return err
		}
		h.mu.Lock()
		h.again = slices.DeleteFunc(h.again, func(n uint32) bool { return n == sub })
		h.mu.Unlock()
		if !h.wants(sub) { // it was stopped meanwhile
			_ = h.end(sub)
		}
	}
}

func (h *Handle) wants(sub uint32) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tracking == sub || slices.Contains(h.present, sub)
}

// waiting takes what can be received at once.
func (h *Handle) waiting() (Event, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case len(h.infos) > 0:
		info := h.infos[0]
		h.infos = h.infos[1:]
		return info, true
	case len(h.changes) > 0:
		v := h.changes[0]
		h.changes = h.changes[1:]
		return notification(v, h.flags == ChangesOnly), true
	}
	return nil, false
}

// next waits for what the service tells, or for something of this side: then it is
// not ok.
func (h *Handle) next(ctx context.Context) (session.Event, bool, error) {
	woken, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-h.news:
			cancel()
		case <-woken.Done():
		}
	}()
	raw, err := h.conn.Recv(woken)
	cancel()
	<-over
	if err != nil && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		return raw, false, nil
	}
	if err == nil {
		_ = h.conn.Cast(events.CallGrant, events.GrantRequest{Events: 1}.AppendTo(nil)) // or the connection has ended
	}
	return raw, err == nil, err
}

// understand makes a notification of what the service pushed, if there is something
// to tell.
func (h *Handle) understand(raw session.Event) (Notification, bool, error) {
	switch raw.Kind {
	case events.EventFact:
		m, err := events.ParseMember(raw.Body)
		if err != nil {
			return Notification{}, false, errors.Join(ais.ErrLibrary, err)
		}
		n, ok := h.fact(m.Sub, &m.Fact)
		return n, ok, nil
	case events.EventEnd:
		e, err := events.ParseEnd(raw.Body)
		if err != nil {
			return Notification{}, false, errors.Join(ais.ErrLibrary, err)
		}
		if h.wants(e.Sub) && e.Why == events.Thrown {
			h.mu.Lock()
			h.again = append(h.again, e.Sub)
			h.mu.Unlock()
		}
	}
	return Notification{}, false, nil
}

// fact tells a view to whom it is for.
func (h *Handle) fact(sub uint32, f *events.Fact) (Notification, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case slices.Contains(h.present, sub):
		if f.Kind != events.NewMembership {
			return Notification{}, false
		}
		h.present = slices.DeleteFunc(h.present, func(n uint32) bool { return n == sub })
		_ = h.end(sub) // what comes nevertheless does not count
		return notification(views.Current(f), false), true
	case sub == h.tracking:
		h.changes = h.views.Follow(h.conn.Self(), f) // those before were received
	}
	return Notification{}, false
}

// notification is a view, or what is different in it.
func notification(v views.View, only bool) Notification {
	n := Notification{View: v.Number, Members: v.Members}
	for _, i := range v.Items {
		if only && i.Change == views.NoChange {
			continue
		}
		node := member(i.Member)
		node.Member = i.Change != views.Left
		n.Items = append(n.Items, Item{node, Change(i.Change)})
	}
	return n
}

func member(m events.Member) Node {
	n := Node{ID: m.ID, Name: m.Name, Member: true, InitialView: views.Number(m.Born), Address: m.Addr}
	if m.Boot != 0 {
		n.Boot = time.Unix(0, m.Boot)
	}
	return n
}
