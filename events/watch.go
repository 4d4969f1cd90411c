package events

import (
	"context"
	"iter"
)

// Watch is a Registration for one class, whose events are of one type.
type Watch[E Event] struct{ r *Registration }

// WatchMembership registers for MembershipClass alone. Also is not possible with it.
func (c *Client) WatchMembership(ctx context.Context, opts ...Option) (*Watch[Membership], error) {
	return watch[Membership](ctx, c, MembershipClass, opts)
}

// WatchConnectivity registers for ConnectivityClass alone. Also is not possible with it.
func (c *Client) WatchConnectivity(ctx context.Context, opts ...Option) (*Watch[Connectivity], error) {
	return watch[Connectivity](ctx, c, ConnectivityClass, opts)
}

func watch[E Event](ctx context.Context, c *Client, class string, opts []Option) (*Watch[E], error) {
	if o := collect(opts); len(o.also) > 0 {
		return nil, told("register", class, invalid("Also is for Register alone"))
	}
	r, err := c.Register(ctx, class, opts...)
	if err != nil {
		return nil, err
	}
	return &Watch[E]{r}, nil
}

// Recv is that of Registration.
func (w *Watch[E]) Recv(ctx context.Context) (E, error) {
	var none E
	ev, err := w.r.Recv(ctx)
	if err != nil {
		return none, err
	}
	e, ok := ev.(E)
	if !ok {
		return none, w.r.fail(invalid("an event of another class: %v", ev))
	}
	return e, nil
}

// All is Recv as a loop. It ends after the first error, and with a break; another loop
// goes on where it ended.
func (w *Watch[E]) All(ctx context.Context) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		for {
			ev, err := w.Recv(ctx)
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// Done is that of Registration.
func (w *Watch[E]) Done(ev E) error { return w.r.Done(ev) }

// Close ends the stream. It may be called more than once.
func (w *Watch[E]) Close() error { return w.r.Close() }
