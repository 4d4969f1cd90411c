package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/groups"
	"github.com/moothall/moothall/internal/session"
)

// voteOrder is one order to the program of RunVoters. The providers of a group are
// spread over the nodes: number k of group g is on node g+k. The first one proposes.
type voteOrder struct {
	Do        string        `json:"do"` // "join", "run" or "idle"
	Name      string        `json:"name,omitempty"`
	Groups    int           `json:"groups,omitempty"`    // that a join is about, with so many
	Providers int           `json:"providers,omitempty"` // providers each
	Phases    int           `json:"phases,omitempty"`    // of votes on each change in a run; zero: nobody votes
	Warm      time.Duration `json:"warm,omitempty"`      // does not count
	Span      time.Duration `json:"span,omitempty"`
	Trials    int           `json:"trials,omitempty"`
}

// voteAnswer is what came of a run, or of trials without other work.
type voteAnswer struct {
	Took     Histogram `json:"took"`
	Agreed   Histogram `json:"agreed"`
	OnePhase Histogram `json:"one_phase"`
	TwoPhase Histogram `json:"two_phase"`
}

// voters is the program of one node.
type voters struct {
	ctx       context.Context
	session   session.Session
	node      int // from 0 on
	clock     clock
	member    *cpg.Member
	together  chan struct{}      // closed when the members of all nodes have met
	came      chan time.Duration // when an own message of the member was delivered
	mine      []*voter           // of the groups that were joined last
	proposers []*voter           // among them
	failed    chan error
}

// voter is one provider.
type voter struct {
	*groups.Provider
	all   chan struct{}      // closed when the group is complete
	ended chan time.Duration // when the own proposal was approved; zero: it collided
}

// RunVoters is the program of RunVotes on one node, number from 0 on.
func RunVoters(ctx context.Context, s session.Session, number int64, orders io.Reader, answers io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m, err := cpg.New(s).Join(ctx, group, cpg.JoinConfig{})
	if err != nil {
		return err
	}
	v := &voters{ctx: ctx, session: s, node: int(number), clock: newClock(), member: m, together: make(chan struct{}), came: make(chan time.Duration, 1), failed: make(chan error, 1)}
	go v.receive()
	if err := say(answers, nil); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- v.obey(orders, answers) }()
	select {
	case err = <-ended:
	case err = <-v.failed:
	}
	return err
}

// fail ends the program.
func (v *voters) fail(err error) {
	select {
	case v.failed <- err:
	default:
	}
}

func (v *voters) obey(orders io.Reader, answers io.Writer) error {
	for in := json.NewDecoder(orders); ; {
		var o voteOrder
		if err := in.Decode(&o); err != nil {
			return err
		}
		var (
			answer voteAnswer
			err    error
		)
		switch o.Do {
		case "join":
			err = v.join(&o)
		case "run":
			err = v.run(&o, &answer)
		case "idle":
			err = v.idle(&o, &answer)
		default:
			err = fmt.Errorf("unknown order %q", o.Do)
		}
		if err := errors.Join(err, say(answers, answer)); err != nil {
			return err
		}
	}
}

// receive notes when own messages of the process group are delivered, and when all
// are there.
func (v *voters) receive() {
	batch := make([]cpg.Event, 16)
	together := false
	for {
		n, err := v.member.RecvBatch(v.ctx, batch)
		if err != nil {
			v.fail(err)
			return
		}
		now := v.clock.now()
		for _, ev := range batch[:n] {
			switch ev := ev.(type) {
			case cpg.Message:
				if ev.Own {
					v.came <- now
				}
			case cpg.View:
				if !together && len(ev.Members) == nodes {
					together = true
					close(v.together)
				}
			}
		}
	}
}

// join makes the providers of this node, and waits until all groups are complete. It
// begins when the nodes are one ring: groups of a part that comes late are dissolved.
func (v *voters) join(o *voteOrder) error {
	select {
	case <-v.together:
	case <-v.ctx.Done():
		return context.Cause(v.ctx)
	}
	v.mine, v.proposers = nil, nil
	joined := make(chan error)
	for g := range o.Groups {
		for k := range o.Providers {
			if (g+k)%nodes != v.node {
				continue
			}
			w := &voter{all: make(chan struct{}), ended: make(chan time.Duration, 1)}
			v.mine = append(v.mine, w)
			if k == 0 {
				v.proposers = append(v.proposers, w)
			}
			go func() {
				var err error
				w.Provider, err = groups.New(v.session).Join(v.ctx, fmt.Sprintf("%s%d", o.Name, g), groups.Attributes{}, groups.Instance(k+1))
				joined <- err
				if err == nil {
					v.fail(w.vote(v, o.Providers))
				}
			}()
		}
	}
	var err error
	for range v.mine {
		err = errors.Join(err, <-joined)
	}
	if err != nil {
		return err
	}
	for _, w := range v.mine {
		select {
		case <-w.all:
		case <-v.ctx.Done():
			return context.Cause(v.ctx)
		}
	}
	return nil
}

// vote approves of everything; a proposed value begins with how many phases it is to
// have.
func (w *voter) vote(v *voters, providers int) error {
	complete := false
	for ev, err := range w.All(v.ctx) {
		if err != nil {
			return err
		}
		switch ev := ev.(type) {
		case groups.NPhase:
			answer := groups.Approve
			if ev.Kind == groups.KindState && ev.Phase < int(ev.Proposed[0]) {
				answer = groups.Continue
			}
			err = w.Vote(v.ctx, answer)
		case groups.Approved:
			if ev.Kind == groups.KindState && ev.ProposedBy == w.ID() {
				w.ended <- v.clock.now()
			}
			if !complete && len(ev.Members) == providers {
				complete = true
				close(w.all)
			}
		case groups.DelayedError:
			if !errors.Is(ev.Err, groups.Collide) {
				return ev.Err
			}
			w.ended <- 0
		case groups.Rejected, groups.Announcement:
			return fmt.Errorf("unexpected %+v", ev)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// propose has the group change its state, and returns how long that took.
func (w *voter) propose(v *voters, phases int) (time.Duration, error) {
	value := make([]byte, talkSize)
	value[0] = byte(phases)
	var options []groups.ProposeOption
	if phases > 0 {
		options = append(options, groups.Voted(0))
	}
	for {
		began := v.clock.now()
		if err := w.ProposeState(v.ctx, value, options...); err != nil {
			return 0, err
		}
		select {
		case end := <-w.ended:
			if end != 0 {
				return end - began, nil
			}
		case <-v.ctx.Done():
			return 0, context.Cause(v.ctx)
		}
	}
}

// run has all groups whose first provider is here change their states, again and
// again.
func (v *voters) run(o *voteOrder, answer *voteAnswer) error {
	type result struct {
		took Histogram
		err  error
	}
	results := make(chan result)
	from := v.clock.now() + o.Warm
	for _, w := range v.proposers {
		go func() {
			var r result
			for now := v.clock.now(); now < from+o.Span && r.err == nil; {
				var took time.Duration
				if took, r.err = w.propose(v, o.Phases); r.err == nil {
					if now = v.clock.now(); now >= from && now < from+o.Span {
						r.took.Record(took)
					}
				}
			}
			results <- r
		}()
	}
	var err error
	for range v.proposers {
		r := <-results
		answer.Took.Merge(&r.took)
		err = errors.Join(err, r.err)
	}
	return err
}

// idle measures one thing after the other, with pauses that no token knows.
func (v *voters) idle(o *voteOrder, answer *voteAnswer) error {
	message := make([]byte, talkSize)
	for i := range o.Trials {
		for _, phases := range []int{-1, 0, 2} {
			if err := sleep(v.ctx, 2*time.Millisecond+rand.N(8*time.Millisecond)); err != nil {
				return err
			}
			var (
				took time.Duration
				err  error
			)
			into := map[int]*Histogram{-1: &answer.Agreed, 0: &answer.OnePhase, 2: &answer.TwoPhase}[phases]
			if phases < 0 {
				began := v.clock.now()
				if _, err = v.member.Send(v.ctx, message); err == nil {
					took = <-v.came - began
				}
			} else {
				took, err = v.mine[0].propose(v, phases)
			}
			if err != nil {
				return err
			}
			if i >= o.Trials/10 { // the first ones warm caches
				into.Record(took)
			}
		}
	}
	return nil
}
