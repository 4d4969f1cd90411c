package groups_test

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/moothall/moothall/groups"
)

// Scenarios of source groups, subscriptions, checks, and of what happens to agents.

func noSource(s *scene) {
	s.members(1, g1)
	_, err := s.tryGroup(s.group+"t", 2, sourced(g1, s.group))
	s.fails(err, groups.NoSourceGroupProvider)
}

// withTarget has providers on nodes 1 and 2, of a group and of one that follows it.
func (s *scene) withTarget() (source, target []*actor) {
	s.Helper()
	source = s.members(2, g1)
	for on := 1; on <= 2; on++ {
		x, err := s.tryGroup(s.group+"t", on, sourced(g1, s.group))
		must(s.T, err)
		target = append(target, x)
	}
	target[0].next()
	for _, x := range target {
		x.next()
	}
	return source, target
}

func castOut(s *scene) {
	source, target := s.withTarget()
	must(s.T, source[1].Leave(s.ctx, 0))
	all(source, "AP leave 1 explicit approve: updated membership cur=[1/1] chg=[1/2] voluntary leave")
	all(target, "AP cast-out 1 explicit approve: updated membership cur=[1/1] chg=[1/2] source provider left")
	target[1].isOut()
}

func sourceNodeDies(s *scene) {
	source, target := s.withTarget()
	s.c.Kill(2)
	source[0].sees("AP failure-leave 1 explicit approve: updated membership cur=[1/1] chg=[1/2] host failure")
	target[0].sees("AP failure-leave 1 explicit approve: updated membership cur=[1/1] chg=[1/2] host failure")
}

func reflection(s *scene) {
	source, target := s.withTarget()
	must(s.T, source[0].ProposeState(s.ctx, []byte("v"), voted))
	for _, x := range source {
		x.next()
	}
	vote(no, source[1])
	all(source, `RJ state 1 explicit reject: rejected state cur=[1/1 1/2] prop="v"`)
	must(s.T, source[0].ProposeState(s.ctx, []byte("w")))
	all(source, `AP state 1 explicit approve: updated state cur=[1/1 1/2] state="w" prop="w"`)
	all(target, `AP reflection 1 explicit approve: reflected source state cur=[1/1 1/2] src="w"`)
}

func sourceCycles(s *scene) {
	_, err := s.try(1, sourced(g1, s.group))
	s.fails(err, groups.InvalidSourceGroup)
	_, err = s.try(1, sourced(g1, groups.HostMembership))
	s.fails(err, groups.InvalidSourceGroup)
}

func subscribeUnknown(s *scene) {
	for _, w := range []groups.Wants{groups.WantAll, groups.WantDeltaLeaves} {
		_, err := s.clients[0].Subscribe(s.ctx, s.group, w)
		s.fails(err, groups.UnknownGroup)
	}
	_, err := s.clients[0].Subscribe(s.ctx, s.group, 1<<20)
	s.fails(err, groups.BadParameter)
	_, err = s.clients[0].Subscribe(s.ctx, "")
	s.fails(err, groups.BadParameter)
}

func subscribe(s *scene) {
	ab := s.members(2, g1)
	must(s.T, ab[0].ProposeState(s.ctx, []byte("x")))
	all(ab, `AP state 1 explicit approve: updated state cur=[1/1 1/2] state="x" prop="x"`)
	w := s.subscribe(1)
	w.sees(`SU "x" full=[1/1 1/2]`)
	s.join(3, g1)
	w.sees("SU full=[1/1 1/2 1/3] +[1/3]")
}

func subscribeLeaves(s *scene) {
	ab := s.members(2, g1)
	w := s.subscribe(1, groups.WantDeltaLeaves)
	s.join(3, g1)
	must(s.T, ab[1].Leave(s.ctx, 0))
	w.sees("SU -[1/2]")
}

func hosts(s *scene) {
	w := s.subscribeTo(groups.HostMembership, 1, groups.WantMembership|groups.WantDeltaJoins|groups.WantDeltaLeaves)
	w.sees("SU full=[0/1 0/2]")
	if _, err := s.clients[0].Subscribe(s.ctx, groups.AdapterMembership(0)); err != nil {
		s.Error(err)
	}
	s.c.Kill(2)
	w.sees("SU full=[0/1] -[0/2]")
	_, err := s.c.Start(s.ctx, 2)
	must(s.T, err)
	w.sees("SU full=[0/1 0/2] +[0/2]")
}

func unsubscribe(s *scene) {
	s.members(1, g1)
	w := s.subscribe(1)
	must(s.T, w.Close())
	must(s.T, w.Close())
	s.join(2, g1)
	if c, err := w.Recv(s.ctx); !errors.Is(err, groups.ErrClosed) {
		s.Errorf("got %v, %v", c, err)
	}
}

// checked has a provider that is checked, and another one that sees it.
func (s *scene) checked(works func() bool) (a, b *actor) {
	s.Helper()
	b = s.join(2, g1)
	a = s.join(1, g1, groups.Checked(time.Second, time.Second, works))
	b.next()
	b.next()
	a.next()
	return a, b
}

func doesNotAnswer(s *scene) {
	a, b := s.checked(nil)
	b.sees("AN no response [1/1]") // for a does not receive
	a.sees("AN no response [1/1]")
	done := make(chan string, 1)
	go func() { done <- a.next() }() // and now it does
	b.sees("AN responds [1/1]")
	if got := <-done; got != "AN responds [1/1]" {
		s.Error(got)
	}
}

func saysNo(s *scene) {
	var ok atomic.Bool
	a, b := s.checked(ok.Load)
	done := make(chan string, 2)
	go func() { done <- a.next(); done <- a.next() }()
	b.sees("AN no response [1/1]")
	ok.Store(true)
	b.sees("AN responds [1/1]")
	if got := <-done + ", " + <-done; got != "AN no response [1/1], AN responds [1/1]" {
		s.Error(got)
	}
}

func agentDies(s *scene) {
	ab := s.members(2, g1)
	w := s.subscribe(1)
	w.sees(`SU "" full=[1/1 1/2]`)
	s.c.Kill(1)
	if ev, err := ab[0].Recv(s.ctx); !errors.Is(err, groups.ErrClosed) {
		s.Errorf("got %v, %v", ev, err)
	}
	if c, err := w.Recv(s.ctx); !errors.Is(err, groups.ErrClosed) {
		s.Errorf("got %v, %v", c, err)
	}
	if err := ab[0].Send(s.ctx, []byte("x")); !errors.Is(err, groups.ErrClosed) {
		s.Errorf("send: %v", err)
	}
	must(s.T, ab[0].Goodbye(s.ctx))
	ab[1].sees("AP failure-leave 1 explicit approve: updated membership cur=[1/2] chg=[1/1] host failure")
	_, err := s.c.Start(s.ctx, 1)
	must(s.T, err)
	p, err := s.agent(1).Join(s.ctx, s.group, g1)
	must(s.T, err)
	defer p.Close()
	ab[1].sees("AP join 1 explicit approve: updated membership cur=[1/2 1/1] chg=[1/1]")
}

func splitAndHeal(s *scene) {
	ab := s.members(2, g1)
	w := s.subscribe(2)
	w.sees(`SU "" full=[1/1 1/2]`)
	s.c.Split([]groups.NodeID{1}, []groups.NodeID{2})
	ab[0].sees("AP failure-leave 1 explicit approve: updated membership cur=[1/1] chg=[1/2] host failure")
	ab[1].sees("AP failure-leave 1 explicit approve: updated membership cur=[1/2] chg=[1/1] host failure")
	w.sees("SU full=[1/2] -[1/1]")
	s.c.Heal()
	ab[1].sees("AN group dissolved [1/2]") // of equal parts that with the lowest node survives
	ab[1].isOut()
	w.sees("SU ended")
	ab[1] = s.join(2, g1)
	all(ab, "AP join 1 explicit approve: updated membership cur=[1/1 1/2] chg=[1/2]")
}
