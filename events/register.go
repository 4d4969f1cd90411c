package events

import (
	"context"
	"errors"
	"iter"

	es "github.com/moothall/moothall/internal/service/events"
)

// Registration is the stream of one class or group, or of several. In groups it is the
// membership of them.
type Registration struct {
	*stream
	ack  bool
	last uint64 // number of the event that came last, with ack

	done chan uint64 // capacity 1: the number of the event that is not done, with ack
}

// Register opens the stream of a class, MembershipClass or ConnectivityClass, or of a
// group, which is any other name of 1 to 127 bytes that does not begin with __. ctx
// bounds the call alone.
func (c *Client) Register(ctx context.Context, class string, opts ...Option) (*Registration, error) {
	o := collect(opts)
	r, err := c.register(ctx, append([]string{class}, o.also...), &o)
	return r, told("register", class, err)
}

func (c *Client) register(ctx context.Context, classes []string, o *options) (*Registration, error) {
	if len(o.subscribes) > 0 {
		return nil, invalid("%s is for Subscribe alone", o.subscribes[0])
	}
	if len(classes) > es.MaxSubs {
		return nil, invalid("%d classes, %d are possible", len(classes), es.MaxSubs)
	}
	var list []es.RegisterRequest
	for i, class := range classes {
		q := es.RegisterRequest{Sub: uint32(i) + 1}
		switch class {
		case ConnectivityClass:
			q.Class = es.Conn
		case MembershipClass:
			q.Class, q.Special = es.Memb, o.special
		default:
			if err := checkName(class); err != nil {
				return nil, err
			}
			q.Class, q.Group = es.Group, []byte(class)
		}
		list = append(list, q)
	}
	events := uint32(window)
	if o.ack {
		events = 1
	}
	st, err := open(ctx, c.session, classes[0], events)
	if err != nil {
		return nil, err
	}
	for _, q := range list {
		if _, err := st.call(ctx, es.CallRegister, q.AppendTo(nil)); err != nil {
			_ = st.fail(err)
			return nil, err
		}
	}
	return &Registration{stream: st, ack: o.ack, done: make(chan uint64, 1)}, nil
}

// Recv waits for the next event, and with WithAck for Done of the one before. After an
// error there are no more, but for one of ctx: then it may be called again.
func (r *Registration) Recv(ctx context.Context) (Event, error) {
	if err := r.refill(ctx); err != nil {
		return nil, err
	}
	raw, err := r.raw(ctx)
	if err != nil {
		return nil, err
	}
	r.owed++
	n := nth(0)
	if r.ack {
		r.owed = 0
		r.last++
		n = nth(r.last)
	}
	ev, err := parse(raw.Kind, raw.Body, n)
	if err != nil {
		return nil, r.fail(err)
	}
	if r.ack {
		select {
		case r.done <- r.last:
		default:
			return nil, r.fail(errors.New("an event came before its turn"))
		}
	}
	return ev, nil
}

// All is Recv as a loop. It ends after the first error, and with a break; another loop
// goes on where it ended.
func (r *Registration) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			ev, err := r.Recv(ctx)
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// Done completes an event of a registration with WithAck, once; only then the next one
// comes. ErrInvalid: it is not the event that came last, or it is done.
func (r *Registration) Done(ev Event) error {
	if ev == nil || ev.turn() == 0 {
		return told("done", r.name, ErrInvalid)
	}
	select {
	case n := <-r.done:
		if n == ev.turn() {
			return told("done", r.name, r.grant(context.Background(), 1))
		}
		r.done <- n
	default:
	}
	return told("done", r.name, ErrInvalid)
}
