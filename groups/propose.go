package groups

import (
	"context"
	"errors"
	"fmt"
	"time"

	gs "github.com/moothall/moothall/internal/service/groups"
)

// ProposeOption is one deviation from how a proposal usually goes.
type ProposeOption func(*proposing)

type proposing struct {
	gs.Proposal
	bad error
}

// Voted has the providers vote on a proposal, in as many phases as they want. limit
// is how long each phase waits for votes, in whole seconds; zero: for ever. Without
// the option a proposal is done when it is ordered.
func Voted(limit time.Duration) ProposeOption {
	return func(q *proposing) {
		q.Phases = gs.NPhase
		s, err := seconds(limit)
		if q.Limit = s; err != nil {
			q.bad = BadParameter.because("Voted: " + err.Error())
		}
	}
}

// Deactivate has the scripts of those who are expelled run, with a flag that tells
// them what to do: at the start of that phase of the vote, which waits for them, or,
// with phase 0 and a flag, after the end (group services 12.1).
func Deactivate(phase int, flag string) ProposeOption {
	return func(q *proposing) {
		q.Phase, q.Data = uint32(phase), []byte(flag)
		if phase < 0 {
			q.bad = InvalidDeactivatePhase
		}
	}
}

// ProposeState proposes a state value for the group, of MaxState bytes at most. It
// returns when the proposal is on its way, or, with ctx, before that is known; the stream brings what becomes of it: an
// Approved or Rejected of KindState that this provider proposed, or a DelayedError.
// One proposal of a provider may be on its way: until its outcome was received, and
// while a protocol waits for votes, proposals Collide.
func (p *Provider) ProposeState(ctx context.Context, value []byte, options ...ProposeOption) error {
	_, err := p.propose(ctx, gs.CallState, KindState, gs.Proposal{Data: value}, options)
	return p.told("propose a state value in", err)
}

// Send sends a message of 1 to MaxMessage bytes to all providers, this one included.
// See ProposeState for what becomes of it.
func (p *Provider) Send(ctx context.Context, message []byte, options ...ProposeOption) error {
	_, err := p.propose(ctx, gs.CallMessage, KindMessage, gs.Proposal{Data: message}, options)
	return p.told("send to", err)
}

// Expel takes providers out of the group; it may be one of them itself. They do not
// vote. See ProposeState for what becomes of it.
func (p *Provider) Expel(ctx context.Context, who []ProviderID, options ...ProposeOption) error {
	var q gs.Proposal
	for _, t := range who {
		if t.Node < 1 || t.Node > maxInstance {
			return p.told("expel from", UnknownProvider.because(t.String()))
		}
		q.Targets = append(q.Targets, gs.Provider{Instance: t.Instance, Node: int16(t.Node)})
	}
	_, err := p.propose(ctx, gs.CallExpel, KindExpel, q, options)
	return p.told("expel from", err)
}

// ChangeAttributes gives the group other attributes; Source cannot change. See
// ProposeState for what becomes of it.
func (p *Provider) ChangeAttributes(ctx context.Context, a Attributes, options ...ProposeOption) error {
	w, err := a.wire()
	if err == nil {
		_, err = p.propose(ctx, gs.CallAttributes, KindAttributes, gs.Proposal{Attrs: &w}, options)
	}
	return p.told("change the attributes of", err)
}

// Leave proposes that this provider leaves, with a code for the others. See
// ProposeState for what becomes of it: after the Approved the stream ends with
// ErrOut, after a Rejected the provider stays. Goodbye asks nobody.
func (p *Provider) Leave(ctx context.Context, code uint32, options ...ProposeOption) error {
	_, err := p.propose(ctx, gs.CallLeave, KindLeave, gs.Proposal{Code: code}, options)
	return p.told("leave", err)
}

// Goodbye takes this provider out of the group at once and returns when it is out.
// The others are told of a failure leave with SaidGoodbye; where a vote of this
// provider is awaited, the default counts. The stream ends with ErrClosed. When ctx
// ends first, the connection's end tells the group.
func (p *Provider) Goodbye(ctx context.Context) error {
	err := p.call(ctx, gs.CallGoodbye, gs.TokenRequest{}.AppendTo(nil))
	p.Close()
	if errors.Is(err, ErrClosed) || errors.Is(err, ErrOut) || errors.Is(err, NotAMember) {
		return nil // it is out already
	}
	return p.told("goodbye to", err)
}

// Close ends the provider as the end of its program would: the others are told of a
// failure. It may be called more than once.
func (p *Provider) Close() error {
	_ = p.fail(ErrClosed)
	return nil
}

// propose sends a proposal, which collides with what this provider knows to be in
// work.
func (p *Provider) propose(ctx context.Context, fn uint16, kind Kind, body gs.Proposal, options []ProposeOption) (*proposal, error) {
	q := proposing{Proposal: body}
	q.Phases = gs.OnePhase
	for _, o := range options {
		o(&q)
	}
	if q.bad == nil {
		q.bad = checkProposal(kind, &q.Proposal)
	}
	if q.bad != nil {
		return nil, q.bad
	}
	mine := &proposal{kind, make(chan Event, 1)}
	p.mu.Lock()
	var err error
	switch {
	case p.failed != nil:
		err = p.failed
	case !p.joined:
		err = NotAMember
	case p.open || p.pending != nil:
		err = Collide
	default:
		p.pending = mine
	}
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() { sent <- p.bring(mine, fn, q.AppendTo(nil)) }()
	select {
	case err := <-sent:
		return mine, err
	case <-ctx.Done():
		return nil, ctx.Err() // it goes on: what has come of it is known before the next one is sent
	}
}

// bring sends a proposal, and forgets it when it was refused.
func (p *Provider) bring(mine *proposal, fn uint16, body []byte) error {
	err := p.call(p.life, fn, body)
	if err == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == mine {
		p.pending = nil
		p.turned()
	}
	if p.failed != nil {
		err = p.failed
	}
	return err
}

// checkProposal finds what the service would refuse, or close the connection for.
func checkProposal(kind Kind, q *gs.Proposal) error {
	limit, least := 0, 0
	switch kind {
	case KindState:
		limit = MaxState
	case KindMessage:
		limit, least = MaxMessage, 1
	case KindExpel:
		limit = MaxFlag
		if len(q.Targets) == 0 || len(q.Targets) > gs.MaxProviders {
			return BadParameter.because(fmt.Sprintf("%d providers to expel, 1 to %d are possible", len(q.Targets), gs.MaxProviders))
		}
	}
	if n := len(q.Data); n < least || n > limit {
		return BadParameter.because(fmt.Sprintf("%d bytes, %d to %d are possible", n, least, limit))
	}
	return nil
}
