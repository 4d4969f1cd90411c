package groups

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/moothall/moothall/quorum"
)

// Term says who leads.
type Term struct {
	Leader  ProviderID   // the oldest candidate; nobody: these nodes are not quorate, or one is about to be found
	Mine    bool         // it is this program
	Fence   uint64       // grows from leader to leader; zero: it leads since before this program came
	Members []ProviderID // all candidates, oldest first
}

// Leader is a candidate's view of an election: the oldest candidate leads until it
// leaves, fails or is cut off. One goroutine at a time receives; everything else may
// be called by any.
//
// A leader that is cut off learns it a moment later than the others choose another
// one. What must not be done by two at once has to carry the fence to where it takes
// effect, and be refused there if a higher one was seen. Fences grow over restarts of
// nodes and of the whole cluster too, for the numbers of rings do, which nodes keep on
// disk.
type Leader struct {
	client *Client
	name   string
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	news   chan struct{} // capacity 1: something below has changed

	mu      sync.Mutex // guards what follows
	p       *Provider
	now     Term // without regard to quorum
	decided bool // quorate is known
	quorate bool
	err     error              // ends the stream
	stop    context.CancelFunc // ends the term with the fence below; nil: none is served
	fence   uint64

	last *Term // the receiver's: what it got last
}

// LeadOption is one deviation from how an election usually goes.
type LeadOption func(*Leader)

// WithoutQuorum lets each part of a divided cluster have a leader. The fences of the
// parts say nothing about each other.
func WithoutQuorum() LeadOption { return func(l *Leader) { l.decided, l.quorate = true, true } }

// Lead makes this program a candidate in the election with a name: a group of its own.
// ctx bounds the call alone.
func (c *Client) Lead(ctx context.Context, name string, options ...LeadOption) (*Leader, error) {
	l := &Leader{client: c, name: name, news: make(chan struct{}, 1)}
	for _, o := range options {
		o(l)
	}
	if err := l.enter(ctx); err != nil {
		return nil, fmt.Errorf("groups: lead %q: %w", name, err)
	}
	var life context.Context
	life, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if !l.decided {
		l.tasks.Go(func() { l.watch(life) })
	}
	l.tasks.Go(func() { l.follow(life) })
	return l, nil
}

// candidate are the attributes of elections: nobody is asked who may come or go.
var candidate = Attributes{Batch: BatchBoth, DefaultVote: Approve}

// note changes what is known and wakes the receiver.
func (l *Leader) note(f func()) {
	l.mu.Lock()
	f()
	if t := l.term(); l.stop != nil && (!t.Mine || t.Fence != l.fence) {
		l.stop()
	}
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// watch takes note of quorum.
func (l *Leader) watch(ctx context.Context) {
	for d, err := range quorum.New(l.client.session).Watch(ctx) {
		l.note(func() {
			if l.decided, l.quorate = true, d.Quorate; err != nil {
				l.end(err)
			}
		})
	}
}

// follow takes note of the candidates. After a merge that its side has lost it begins
// anew.
func (l *Leader) follow(ctx context.Context) {
	defer func() { l.provider().Close() }()
	for {
		err := l.campaign(ctx)
		if err == nil {
			l.note(func() { l.now = Term{} })
			err = l.enter(ctx)
		}
		if err != nil {
			l.note(func() { l.end(err) })
			return
		}
	}
}

// enter joins the group. NotOK is a merge that came between.
func (l *Leader) enter(ctx context.Context) error {
	for {
		p, err := l.client.join(ctx, l.name, candidate, nil)
		if err == nil {
			l.note(func() { l.p = p })
		}
		if !errors.Is(err, NotOK) {
			return err
		}
	}
}

// end is the end; with mu held.
func (l *Leader) end(err error) {
	l.decided, l.quorate = true, false
	if l.err == nil {
		l.err = err
	}
}

// campaign follows one group to its end. Nil: it was dissolved.
func (l *Leader) campaign(ctx context.Context) error {
	p := l.provider()
	dissolved := false
	for ev, err := range p.All(ctx) {
		switch ev := ev.(type) {
		case NPhase: // somebody took the group for something else
			_ = p.Vote(ctx, Reject)
		case Approved:
			l.note(func() { l.elect(p.id, &ev.Protocol) })
		case Announcement:
			dissolved = ev.Summary&GroupDissolved != 0
		case nil:
			if dissolved && errors.Is(err, ErrOut) {
				return nil
			}
			return err
		}
	}
	return nil
}

// elect makes the oldest member the leader; with mu held.
func (l *Leader) elect(self ProviderID, n *Protocol) {
	first := l.now.Members == nil
	l.now.Members = n.Members
	if len(n.Members) == 0 || n.Members[0] == l.now.Leader {
		return
	}
	l.now.Leader, l.now.Fence = n.Members[0], n.Seq
	l.now.Mine = l.now.Leader == self
	if first && !l.now.Mine {
		l.now.Fence = 0
	}
}

func (l *Leader) provider() *Provider {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.p
}

// Now is who leads as far as this program knows.
func (l *Leader) Now() Term {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term()
}

// term is Now; with mu held.
func (l *Leader) term() Term {
	t := l.now
	t.Members = slices.Clone(t.Members)
	if !l.quorate {
		t.Leader, t.Mine, t.Fence = ProviderID{}, false, 0
	}
	return t
}

// Recv waits until somebody else leads, or nobody, or this program with another fence,
// than when it was called last. The first time it tells at once. After an error there
// are no more, but for one of ctx.
func (l *Leader) Recv(ctx context.Context) (Term, error) {
	for {
		l.mu.Lock()
		t, known, err := l.term(), l.decided && l.now.Members != nil, l.err
		l.mu.Unlock()
		if l.last == nil && known || l.last != nil && (t.Leader != l.last.Leader || t.Fence != l.last.Fence) {
			l.last = &t
			return t, nil
		}
		if err != nil {
			return Term{}, err
		}
		select {
		case <-l.news:
		case <-ctx.Done():
			return Term{}, ctx.Err()
		}
	}
}

// All is Recv as a loop. It ends after the first error, and with a break; another
// loop goes on where it ended.
func (l *Leader) All(ctx context.Context) iter.Seq2[Term, error] {
	return func(yield func(Term, error) bool) {
		for {
			t, err := l.Recv(ctx)
			if !yield(t, err) || err != nil {
				return
			}
		}
	}
}

// Run calls lead whenever this program leads, with a context that ends when it does not
// any more, and waits for its return. When lead returns nil before that, it has done
// its work: Run resigns and returns. Otherwise Run returns the first error, of lead, of
// ctx or of the stream.
func (l *Leader) Run(ctx context.Context, lead func(ctx context.Context, fence uint64) error) error {
	for t, err := range l.All(ctx) {
		if err != nil {
			return err
		}
		if !t.Mine {
			continue
		}
		over, err := l.serve(ctx, t.Fence, lead)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !(over && errors.Is(err, context.Canceled)):
			return err
		case !over:
			return l.Resign(ctx)
		}
	}
	return nil // not reached: the stream ends with an error
}

// serve calls lead for one term. over: the term had ended before lead did.
func (l *Leader) serve(ctx context.Context, fence uint64, lead func(context.Context, uint64) error) (over bool, err error) {
	term, stop := context.WithCancel(ctx)
	defer stop()
	l.note(func() { l.stop, l.fence = stop, fence })
	defer l.note(func() { l.stop = nil })
	err = lead(term, fence)
	return term.Err() != nil, err
}

// Resign ends the candidacy. The next oldest candidate leads then.
func (l *Leader) Resign(ctx context.Context) error {
	l.note(func() { l.end(fmt.Errorf("groups: %q: %w", l.name, ErrClosed)) })
	err := l.provider().Goodbye(ctx)
	l.cancel()
	l.tasks.Wait()
	return err
}
