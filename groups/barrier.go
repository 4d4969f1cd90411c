package groups

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// Barrier is a place where programs wait for each other, again and again. It is used
// by one goroutine at a time.
//
// It is a group of its own, whose state value counts the crossings: who arrives first
// proposes the next number, each program votes for it when it arrives itself, and the
// last vote lets all go on.
type Barrier struct {
	p     *Provider
	least int
}

// Barrier takes part in the barrier with a name, for which at least so many programs
// have to be there; all say the same number. Those that are there in excess of it are
// waited for too. Zero: whoever is there. While others wait at the barrier, newcomers
// wait here until those have crossed, and see the next crossing first. Who fails is
// not waited for, but if too few are left the others wait for somebody new.
func (c *Client) Barrier(ctx context.Context, name string, least int) (*Barrier, error) {
	if least < 0 {
		return nil, fmt.Errorf("groups: barrier %q: %w", name, BadParameter.because(fmt.Sprintf("%d programs", least)))
	}
	p, err := c.Join(ctx, name, Attributes{Version: uint32(least), Batch: BatchBoth})
	if err != nil {
		return nil, err
	}
	return &Barrier{p, least}, nil
}

// Wait arrives at the barrier, and returns when all have: the number of the crossing,
// from 1 on, the same at all. A Wait that ended with ctx may have arrived all the same;
// the next one goes on with it.
func (b *Barrier) Wait(ctx context.Context) (uint64, error) {
	for {
		if err := b.propose(ctx); err != nil {
			return 0, err
		}
		ev, err := b.p.Recv(ctx)
		if err != nil {
			return 0, err
		}
		switch ev := ev.(type) {
		case NPhase:
			v := Approve
			if ev.Kind != KindState || len(ev.Members) < b.least { // of something else, or proposed before all had heard who left
				v = Reject
			}
			if err := b.p.Vote(ctx, v); err != nil && !errors.Is(err, VoteNotExpected) {
				return 0, err
			}
		case Approved:
			if ev.Kind == KindState {
				return b.crossings(), nil
			}
		}
	}
}

// propose has the next crossing voted upon if it is time, and nobody did before.
func (b *Barrier) propose(ctx context.Context) error {
	if n := len(b.p.Members()); n == 0 || n < b.least {
		return nil
	}
	next := binary.LittleEndian.AppendUint64(nil, b.crossings()+1)
	err := b.p.ProposeState(ctx, next, Voted(0))
	if errors.Is(err, Collide) || errors.Is(err, ErrOut) {
		return nil // the stream tells
	}
	return err
}

// crossings is how often the barrier was crossed.
func (b *Barrier) crossings() uint64 {
	if s := b.p.State(); len(s) == 8 {
		return binary.LittleEndian.Uint64(s)
	}
	return 0
}

// Members are the programs that take part, as of the last Wait.
func (b *Barrier) Members() []ProviderID { return b.p.Members() }

// Leave is not waited for any more.
func (b *Barrier) Leave(ctx context.Context) error { return b.p.Goodbye(ctx) }
