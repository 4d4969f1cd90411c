package groups

import (
	"context"
	"errors"

	gs "github.com/moothall/moothall/internal/service/groups"
)

// Handler is what Serve calls, one function at a time, on the goroutine that called it.
type Handler struct {
	// Vote decides on one phase: nil approves, an error objects with its text as the
	// reason. What others proposed comes here, and what this provider proposed.
	Vote func(NPhase) error
	// Seen, which may be nil, gets every event, a phase before it is voted upon.
	Seen func(Event)
}

// Serve receives and votes until an error ends the stream, which it returns. What
// another voter objected to is rejected without a question.
func (p *Provider) Serve(ctx context.Context, h Handler) error {
	if h.Vote == nil {
		return p.told("serve", errors.New("the Handler has no Vote: somebody has to decide"))
	}
	for {
		ev, err := p.Recv(ctx)
		if err != nil {
			return err
		}
		if h.Seen != nil {
			h.Seen(ev)
		}
		if n, ok := ev.(NPhase); ok {
			err = p.ballot(ctx, h, n)
		}
		if err != nil && !errors.Is(err, VoteNotExpected) && !errors.Is(err, ErrOut) && !errors.Is(err, ErrClosed) { // of an end the stream tells
			return err
		}
	}
}

func (p *Provider) ballot(ctx context.Context, h Handler, n NPhase) error {
	if n.Objection != nil {
		return p.Vote(ctx, Reject)
	}
	if err := h.Vote(n); err != nil {
		return p.Object(ctx, err.Error())
	}
	return p.Vote(ctx, Approve)
}

// AgreeOn has the group vote on a state value, and returns when it is the group's, or
// with a *RejectedError that says who objected and why. It waits until this provider
// is in the group, and proposes again when it collides, and when a provider failed
// during the vote. Another goroutine has to
// receive meanwhile, in Serve or otherwise, for this provider votes too. When ctx ends
// first the outcome is open.
//
// The Approved has the value that was agreed upon, which is another one if a voter
// proposed that with WithState. Of a divided cluster each part may agree on something
// else; what the part agreed on that gives way when they meet is forgotten.
func (p *Provider) AgreeOn(ctx context.Context, value []byte, options ...ProposeOption) (Approved, error) {
	options = append([]ProposeOption{Voted(0)}, options...)
	for {
		turn := p.nextTurn()
		ev, err := p.try(ctx, value, options)
		switch ev := ev.(type) {
		case Approved:
			return ev, nil
		case Rejected:
			if ev.byFailure() {
				continue
			}
			err = ev.err()
		case DelayedError:
			err = ev.Err
		}
		if errors.Is(err, Collide) || errors.Is(err, NotAMember) { // yet
			err = p.await(ctx, turn)
		}
		if err != nil {
			return Approved{}, p.told("agree in", err)
		}
	}
}

// try proposes a state value once and waits for its outcome.
func (p *Provider) try(ctx context.Context, value []byte, options []ProposeOption) (Event, error) {
	mine, err := p.propose(ctx, gs.CallState, KindState, gs.Proposal{Data: value}, options)
	if err != nil {
		return nil, err
	}
	select {
	case ev := <-mine.outcome:
		return ev, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.life.Done():
	}
	select {
	case ev := <-mine.outcome: // it came before the end
		return ev, nil
	default:
		return nil, p.failure()
	}
}

// nextTurn is closed when it is worth proposing again.
func (p *Provider) nextTurn() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.turn
}

func (p *Provider) await(ctx context.Context, turn <-chan struct{}) error {
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.life.Done():
		return p.failure()
	}
}

// byFailure reports whether nobody voted against it: a voter failed, and its default
// vote rejected.
func (r *Rejected) byFailure() bool {
	return r.Summary&DefaultReject != 0 && r.Summary&ProviderFailed != 0 && r.Summary&TimeLimitExceeded == 0 && r.Objection == nil
}

func (r *Rejected) err() error {
	e := &RejectedError{Kind: r.Kind, Summary: r.Summary}
	if r.Objection != nil {
		e.By, e.Reason = r.Objection.By, r.Objection.Reason
	}
	return e
}
