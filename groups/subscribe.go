package groups

import (
	"context"
	"errors"
	"fmt"
	"iter"

	gs "github.com/moothall/moothall/internal/service/groups"
)

// Subscriber watches a group without being in it: nobody sees it. One goroutine at a
// time receives; Close may be called by any.
type Subscriber struct{ *role }

// Subscribe watches a group for what was named, or everything. With WantState or
// WantMembership the stream begins with what holds. Refused with UnknownGroup while
// the group has no provider. ctx bounds the call alone.
func (c *Client) Subscribe(ctx context.Context, group string, wants ...Wants) (*Subscriber, error) {
	s, err := c.subscribe(ctx, group, wants)
	if err != nil {
		return nil, fmt.Errorf("groups: subscribe to %q: %w", group, err)
	}
	return s, nil
}

func (c *Client) subscribe(ctx context.Context, group string, wants []Wants) (*Subscriber, error) {
	if err := checkName(group); err != nil {
		return nil, err
	}
	all := WantAll
	if len(wants) > 0 {
		all = 0
	}
	for _, w := range wants {
		all |= w
	}
	r, err := open(ctx, c.session, group, gs.HelloRequest{})
	if err != nil {
		return nil, err
	}
	err = r.call(ctx, gs.CallSubscribe, gs.SubscribeRequest{Wants: uint32(all), Group: []byte(group)}.AppendTo(nil))
	if err == nil {
		err = r.first(ctx, all&(WantState|WantMembership) != 0)
	}
	if err != nil {
		_ = r.fail(err)
		return nil, err
	}
	return &Subscriber{r}, nil
}

// first looks whether the subscription was refused. If nothing is certain to come, it
// looks at what has come with the answer.
func (r *role) first(ctx context.Context, comes bool) error {
	if !comes {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
	}
	ev, err := r.peek(ctx)
	switch {
	case err != nil && !comes && errors.Is(err, context.Canceled):
		return nil
	case err != nil:
		return err
	case ev.Kind == gs.EventDelayedError:
		e, err := gs.ParseDelayedError(ev.Body)
		if err != nil {
			return err
		}
		return Code(e.Code)
	}
	return nil
}

// Group is the group's name.
func (s *Subscriber) Group() string { return s.group }

// Recv waits for the next change. After an error there are no more, but for one of
// ctx: then it may be called again. ErrOut: the group has ended.
func (s *Subscriber) Recv(ctx context.Context) (Change, error) {
	for {
		raw, err := s.raw(ctx)
		if err != nil {
			return Change{}, err
		}
		switch raw.Kind {
		case gs.EventSubscription:
			e, err := gs.ParseSubscription(raw.Body)
			if err != nil {
				return Change{}, s.fail(err)
			}
			if e.Ends {
				_ = s.fail(fmt.Errorf("%w: the group has ended", ErrOut))
			}
			return change(&e), nil
		case gs.EventDelayedError:
			e, err := gs.ParseDelayedError(raw.Body)
			if err == nil {
				err = Code(e.Code)
			}
			return Change{}, s.fail(err)
		}
	}
}

// All is Recv as a loop. It ends after the first error, and with a break; another
// loop goes on where it ended.
func (s *Subscriber) All(ctx context.Context) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for {
			c, err := s.Recv(ctx)
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// Close ends the subscription. It may be called more than once.
func (s *Subscriber) Close() error {
	_ = s.fail(ErrClosed)
	return nil
}
