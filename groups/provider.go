package groups

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	gs "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
)

// Provider is this program in a group. See the package comment for which methods may
// be called together.
type Provider struct {
	*role
	id    ProviderID
	first Event // the receiver's: what Join has received; nil: it is told

	// Guarded by role.mu. All is as of the last event.
	attrs     Attributes
	members   []ProviderID
	state     []byte
	joined    bool
	open      bool          // a protocol of n phases is in work
	asked     bool          // for a vote, which is not given
	seq       uint64        // of that protocol
	phase     uint32        // likewise
	objection *Objection    // against that protocol
	objected  uint64        // protocol that this provider has objected to
	owes      bool          // it has to reject the phase
	pending   *proposal     // its own, not answered yet
	turn      chan struct{} // closed at the next end of a protocol
}

// proposal is one of this provider's own. It gets its outcome: an Approved, a Rejected
// or a DelayedError.
type proposal struct {
	kind    Kind
	outcome chan Event // capacity 1
}

// ID is the provider's own identity.
func (p *Provider) ID() ProviderID { return p.id }

// Group is the group's name.
func (p *Provider) Group() string { return p.group }

// Members are the providers of the group, oldest first, as of the last event that
// was received.
func (p *Provider) Members() []ProviderID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.members)
}

// State is the group's state value, as of the last event that was received.
func (p *Provider) State() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.state)
}

// Attributes are the group's, as of the last event that was received.
func (p *Provider) Attributes() Attributes {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.attrs
}

// All is Recv as a loop. It ends after the first error, and with a break; another
// loop goes on where it ended.
func (p *Provider) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			ev, err := p.Recv(ctx)
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// Recv waits for the next event. After an error there are no more, but for one of
// ctx: then it may be called again. ErrOut: the event before said why this provider
// is not in the group any more. ErrClosed: the connection has ended.
func (p *Provider) Recv(ctx context.Context) (Event, error) {
	if err := p.payOwed(ctx); err != nil {
		return nil, err
	}
	if ev := p.first; ev != nil {
		p.first = nil
		return ev, nil
	}
	return p.receive(ctx)
}

func (p *Provider) receive(ctx context.Context) (Event, error) {
	for {
		raw, err := p.raw(ctx)
		if err != nil {
			return nil, err
		}
		ev, err := p.understand(raw)
		if err != nil {
			return nil, p.fail(err)
		}
		if ev != nil {
			_ = p.payOwed(ctx) // or next time: the event is there
			return ev, nil
		}
	}
}

// understand makes an event of what the service pushed, and takes note of it; nil:
// there is nothing to tell.
func (p *Provider) understand(raw session.Event) (Event, error) {
	switch raw.Kind {
	case gs.EventNPhase, gs.EventApproved, gs.EventRejected:
		n, err := gs.ParseNotification(raw.Body)
		if err != nil {
			return nil, err
		}
		ev, out := p.notified(raw.Kind, protocol(&n), n.Limit)
		if out != "" {
			p.out(out)
		}
		return ev, nil
	case gs.EventAnnounce:
		a, err := gs.ParseAnnouncement(raw.Body)
		if err == nil && a.Ends {
			p.out("the group was dissolved: another part of the cluster goes on, join anew")
		}
		return Announcement{Summary(a.Summary), providerIDs(a.List)}, err
	case gs.EventDelayedError:
		e, err := gs.ParseDelayedError(raw.Body)
		ev := DelayedError{Kind(e.Kind), Code(e.Code), providerIDs(e.List)}
		p.mu.Lock()
		p.answered(ev.Kind, ev)
		if ev.Err != Collide { // no protocol ends that others could wait for
			p.turned()
		}
		p.mu.Unlock()
		if err == nil && e.Ends {
			p.out(ev.Err.Error())
		}
		return ev, err
	}
	return nil, nil // of a newer agent
}

// notified takes note of a step of a protocol. out says why this provider is not in
// the group any more.
func (p *Provider) notified(kind uint16, n Protocol, limit int32) (ev Event, out string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members, p.state = slices.Clone(n.Members), slices.Clone(n.State)
	if n.Seq != p.seq {
		p.objection = nil
	}
	if n.Phase > 1 && kind == gs.EventNPhase {
		if o := objection(n.Message); o != nil {
			p.objection = o
		}
	}
	p.seq = n.Seq
	if kind == gs.EventNPhase {
		p.open, p.asked, p.phase = true, true, uint32(n.Phase)
		p.owes = p.objected == n.Seq || p.objection != nil && p.objection.By == p.id
		return NPhase{n, time.Duration(limit) * time.Second, p.objection}, ""
	}
	p.open, p.asked, p.owes = false, false, false
	p.turned()
	ev = Rejected{n, p.objection}
	if kind == gs.EventApproved {
		ev = Approved{n}
		if n.Attributes != nil {
			p.attrs = *n.Attributes
		}
	}
	if n.ProposedBy == p.id {
		p.answered(n.Kind, ev)
	}
	if !slices.Contains(n.Members, p.id) {
		return ev, n.whyOut(p.id)
	}
	p.joined = true
	return ev, ""
}

// turned wakes who waits to propose; with mu held.
func (p *Provider) turned() {
	close(p.turn)
	p.turn = make(chan struct{})
}

// answered is the outcome of a proposal of this provider; with mu held.
func (p *Provider) answered(kind Kind, ev Event) {
	if p.pending != nil && p.pending.kind == kind {
		p.pending.outcome <- ev
		p.pending = nil
	}
}

// whyOut says why a provider is not in the group after the protocol.
func (n *Protocol) whyOut(id ProviderID) string {
	if i := slices.Index(n.Changing, id); i >= 0 && i < len(n.Leaves) {
		return n.Leaves[i].Reason.String()
	}
	return n.Kind.String() + " rejected"
}

// out ends the stream of a provider whose role has ended.
func (p *Provider) out(why string) { _ = p.fail(fmt.Errorf("%w: %s", ErrOut, why)) }

// VoteOption is something that a vote says besides.
type VoteOption func(*gs.VoteRequest)

// WithState proposes a state value: the one of the oldest voter counts and is the
// group's when the protocol is approved. It has MaxState bytes at most.
func WithState(value []byte) VoteOption {
	return func(q *gs.VoteRequest) { q.State = append([]byte{}, value...) }
}

// WithMessage has a message for all, with the next notification of the protocol: that
// of the oldest voter counts. It has 1 to MaxMessage bytes.
func WithMessage(message []byte) VoteOption {
	return func(q *gs.VoteRequest) { q.Message = append([]byte{}, message...) }
}

// WithDefault changes the vote that counts in this protocol for those who fail or are
// late: Approve or Reject.
func WithDefault(v Vote) VoteOption { return func(q *gs.VoteRequest) { q.Default = gs.Vote(v) } }

// Vote answers the phase that was received last, once. VoteNotExpected: there is none
// that waits. A vote that comes too late is ignored.
func (p *Provider) Vote(ctx context.Context, v Vote, options ...VoteOption) error {
	q := gs.VoteRequest{Vote: gs.Vote(v)}
	for _, o := range options {
		o(&q)
	}
	return p.told("vote in", p.vote(ctx, q))
}

func (p *Provider) vote(ctx context.Context, q gs.VoteRequest) error {
	switch {
	case q.Vote == gs.NullVote || q.Vote > gs.Reject:
		return BadParameter.because(fmt.Sprintf("a vote of %v", Vote(q.Vote)))
	case q.Default == gs.Continue || q.Default > gs.Reject:
		return BadParameter.because(fmt.Sprintf("a default vote of %v", Vote(q.Default)))
	case len(q.State) > MaxState:
		return BadParameter.because(fmt.Sprintf("a state value of %d bytes, %d are possible", len(q.State), MaxState))
	case q.Message != nil && len(q.Message) == 0 || len(q.Message) > MaxMessage:
		return BadParameter.because(fmt.Sprintf("a message of %d bytes, 1 to %d are possible", len(q.Message), MaxMessage))
	}
	p.mu.Lock()
	asked, failed := p.asked, p.failed
	q.Seq, q.Phase = p.seq, p.phase
	p.asked = false
	p.mu.Unlock()
	switch {
	case failed != nil:
		return failed
	case !asked:
		return VoteNotExpected
	}
	// No answer is awaited: what the service could object to is a phase that is over.
	err := p.conn.Cast(ctx, gs.CallVote, 0, q.AppendTo(nil))
	if err != nil {
		p.mu.Lock()
		p.asked = p.open && p.seq == q.Seq && p.phase == q.Phase // it may be tried again
		p.mu.Unlock()
	}
	return err
}

// Object votes against the protocol in work and lets all know why: it has another
// phase begin whose message is the objection, and rejects that when it is received.
// Everybody finds the Objection in NPhase and Rejected. If this program fails before
// it has rejected, the protocol is rejected by default. A reason too long for a
// message is cut.
func (p *Provider) Object(ctx context.Context, reason string) error {
	p.mu.Lock()
	known := p.objection != nil
	if !known && p.asked {
		p.objected = p.seq // before the next phase can be there
	}
	p.mu.Unlock()
	if known { // another reason would be told by one more phase
		return p.Vote(ctx, Reject)
	}
	o := Objection{p.id, reason}
	err := p.vote(ctx, gs.VoteRequest{Vote: gs.Continue, Default: gs.Reject, Message: o.wire().Message()})
	return p.told("object in", err)
}

// payOwed rejects the phase that an objection has led to.
func (p *Provider) payOwed(ctx context.Context) error {
	p.mu.Lock()
	owes := p.owes
	p.mu.Unlock()
	if !owes {
		return nil
	}
	err := p.vote(ctx, gs.VoteRequest{Vote: gs.Reject})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.mu.Lock()
	p.owes = false
	p.mu.Unlock()
	if errors.Is(err, VoteNotExpected) || errors.Is(err, ErrOut) || errors.Is(err, ErrClosed) {
		return nil // the protocol has ended; of another end the stream tells
	}
	return err
}
