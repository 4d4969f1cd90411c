package groups_test

import (
	"errors"
	"strings"
	"time"

	"github.com/moothall/moothall/groups"
)

// Scenarios of joining, leaving and failing.

func names(s *scene) {
	for name, code := range map[string]groups.Code{strings.Repeat("x", 33): groups.NameTooLong, "": groups.BadParameter, groups.HostMembership: groups.InvalidGroup,
		strings.Repeat("x", 1000): groups.NameTooLong, "a\x00b": groups.BadParameter} {
		_, err := s.tryGroup(name, 1, g1)
		s.fails(err, code)
	}
	_, err := s.try(1, g1, groups.Named(strings.Repeat("x", 33)))
	s.fails(err, groups.NameTooLong)
}

func badAttributes(s *scene) {
	for _, a := range []groups.Attributes{{DefaultVote: more}, {TimeLimit: -time.Second}, {TimeLimit: time.Millisecond}, {Phases: 7}, {Batch: 0x100}, {TimeLimit: 1 << 62}} {
		_, err := s.try(1, a)
		s.fails(err, groups.BadGroupAttributes)
	}
	_, err := s.try(1, g1, groups.Instance(-1))
	s.fails(err, groups.BadParameter)
	_, err = s.try(1, g1, groups.Checked(0, time.Second, nil))
	s.fails(err, groups.BadParameter)
}

func joinOnePhase(s *scene) {
	a := s.join(1, g1)
	a.sees("AP join 1 explicit approve: updated membership cur=[1/1] chg=[1/1]")
	b := s.join(2, g1)
	all([]*actor{a, b}, "AP join 1 explicit approve: updated membership cur=[1/1 1/2] chg=[1/2]")
}

func joinPhases(s *scene) {
	a := s.join(1, gN)
	a.sees("NP join 1 none: proposed membership cur=[] chg=[1/1]")
	vote(yes, a)
	a.sees("AP join 1 explicit approve: updated membership cur=[1/1] chg=[1/1]")
	ab := []*actor{a, s.join(2, gN)}
	all(ab, "NP join 1 none: proposed membership cur=[1/1] chg=[1/2]")
	vote(more, ab...)
	all(ab, "NP join 2 none: ongoing membership cur=[1/1] chg=[1/2]")
	vote(more, ab...)
	all(ab, "NP join 3 none: ongoing membership cur=[1/1] chg=[1/2]")
	vote(yes, ab...)
	all(ab, "AP join 3 explicit approve: updated membership cur=[1/1 1/2] chg=[1/2]")
}

func joinRejected(s *scene) {
	a := s.members(1, gN)[0]
	for _, rejects := range []int{0, 1} {
		ab := []*actor{a, s.join(2, gN)}
		all(ab, "NP join 1 none: proposed membership cur=[1/1] chg=[1/2]")
		vote(no, ab[rejects])
		all(ab, "RJ join 1 explicit reject: rejected membership cur=[1/1] chg=[1/2]")
		ab[1].isOut()
		if err := ab[1].Leave(s.ctx, 0); !errors.Is(err, groups.ErrOut) {
			s.Errorf("leave after a rejected join: %v", err)
		}
	}
	a.says("goes on")
}

func joinRefused(s *scene) {
	a := s.members(1, g1)[0]
	_, err := s.try(2, rejecting(g1))
	s.fails(err, groups.BadGroupAttributes)
	_, err = s.try(1, g1)
	s.fails(err, groups.DuplicateInstanceNumber)
	a.says("nothing before")
	b := s.join(1, g1, groups.Instance(2))
	all([]*actor{a, b}, "AP join 1 explicit approve: updated membership cur=[1/1 2/1] chg=[2/1]")
}

// messageInWork has the first one's message in its first phase.
func (s *scene) messageInWork(list []*actor) {
	s.Helper()
	must(s.T, list[0].Send(s.ctx, []byte("m"), voted))
	for _, x := range list {
		if got := x.next(); !strings.HasPrefix(got, "NP message 1") {
			s.Fatal(got)
		}
	}
}

func joinsWait(s *scene) {
	a := s.members(1, g1)
	s.messageInWork(a)
	b := s.joinLater(2, g1)
	c := s.joinLater(3, g1)
	vote(yes, a...)
	a[0].sees("AP message 1 explicit approve: none cur=[1/1]")
	ab := append(a, b())
	all(ab, "AP join 1 explicit approve: updated membership cur=[1/1 1/2] chg=[1/2]")
	all(append(ab, c()), "AP join 1 explicit approve: updated membership cur=[1/1 1/2 1/3] chg=[1/3]")
}

func joinsTogether(s *scene) {
	at := batched(g1, groups.BatchJoins)
	a := s.members(1, at)
	s.messageInWork(a)
	b := s.joinLater(2, at)
	c := s.joinLater(3, at)
	vote(yes, a...)
	a[0].sees("AP message 1 explicit approve: none cur=[1/1]")
	all(append(a, b(), c()), "AP join 1 explicit approve: updated membership cur=[1/1 1/2 1/3] chg=[1/2 1/3]")
}

func joinerDies(s *scene) {
	a := s.members(1, gN)[0]
	b := s.join(2, gN)
	a.sees("NP join 1 none: proposed membership cur=[1/1] chg=[1/2]")
	must(s.T, b.Close())
	vote(yes, a)
	a.sees("AP join 1 default approve|provider failed: updated membership cur=[1/1 1/2] chg=[1/2]",
		"NP failure-leave 1 none: proposed membership cur=[1/1 1/2] chg=[1/2] provider failure")
	vote(yes, a)
	a.sees("AP failure-leave 1 explicit approve: updated membership cur=[1/1] chg=[1/2] provider failure")
}

func joinerDiesRejected(s *scene) {
	a := s.members(1, rejecting(gN))[0]
	b := s.join(2, rejecting(gN))
	a.sees("NP join 1 none: proposed membership cur=[1/1] chg=[1/2]")
	must(s.T, b.Close())
	a.sees("RJ join 1 default reject|provider failed: rejected membership cur=[1/1] chg=[1/2]")
	a.says("no failure leave")
}

func joinerSilent(s *scene) {
	at := limited(gN, limit)
	a := s.members(1, at)[0]
	b := s.join(2, at) // and does not receive
	a.sees("NP join 1 none: proposed membership cur=[1/1] chg=[1/2] within 5s")
	vote(yes, a)
	a.sees("AP join 1 default approve|time limit exceeded: updated membership cur=[1/1 1/2] chg=[1/2]", "AN time limit exceeded [1/2]")
	b.next()
	b.sees("AP join 1 default approve|time limit exceeded: updated membership cur=[1/1 1/2] chg=[1/2]", "AN time limit exceeded [1/2]")
}

func notYet(s *scene) {
	a := s.join(1, gN)
	s.fails(a.Leave(s.ctx, 0), groups.NotAMember)
	a.next()
	s.fails(a.Leave(s.ctx, 0), groups.NotAMember)
	vote(yes, a)
	a.next()
	must(s.T, a.Leave(s.ctx, 0))
}

func leave(s *scene) {
	abc := s.members(3, g1)
	must(s.T, abc[1].Leave(s.ctx, 42))
	all(abc, "AP leave 1 explicit approve: updated membership cur=[1/1 1/3] chg=[1/2] voluntary leave 42")
	abc[1].isOut()
	must(s.T, abc[1].Goodbye(s.ctx)) // does no harm
}

func leaveRejected(s *scene) {
	abc := s.members(3, g1)
	must(s.T, abc[1].Leave(s.ctx, 0, voted))
	all(abc, "NP leave 1 none: proposed membership cur=[1/1 1/2 1/3] chg=[1/2] voluntary leave")
	vote(no, abc[0])
	all(abc, "RJ leave 1 explicit reject: rejected membership cur=[1/1 1/2 1/3] chg=[1/2] voluntary leave")
	abc[1].says("still here", abc[0], abc[2])
}

func lastLeaves(s *scene) {
	a := s.members(1, g1)[0]
	must(s.T, a.ProposeState(s.ctx, []byte("x")))
	a.next()
	w := s.subscribe(1, groups.WantDeltaJoins|groups.WantDeltaLeaves|groups.WantMembership)
	w.sees("SU full=[1/1]")
	must(s.T, a.Leave(s.ctx, 0))
	a.sees(`AP leave 1 explicit approve: updated membership cur=[] chg=[1/1] voluntary leave state="x"`)
	a.isOut()
	w.sees("SU full=[] -[1/1]", "SU ended")
	if _, err := w.Recv(s.ctx); !errors.Is(err, groups.ErrOut) {
		s.Errorf("after the end: %v", err)
	}
	s.join(1, g1).sees("AP join 1 explicit approve: updated membership cur=[1/1] chg=[1/1]")
}

func dies(s *scene) {
	abc := s.members(3, g1)
	must(s.T, abc[1].Close())
	all([]*actor{abc[0], abc[2]}, "AP failure-leave 1 explicit approve: updated membership cur=[1/1 1/3] chg=[1/2] provider failure")
	if _, err := abc[1].Recv(s.ctx); !errors.Is(err, groups.ErrClosed) {
		s.Errorf("after Close: %v", err)
	}
}

// loseTwo has 1/1, 1/2 and 2/2, of which the node of two dies.
func (s *scene) loseTwo(at groups.Attributes) (a *actor) {
	s.Helper()
	a = s.join(1, at)
	s.join(2, at)
	s.join(2, at, groups.Instance(2))
	for range 3 {
		a.next()
	}
	s.c.Kill(2)
	return a
}

func nodeDies(s *scene) {
	s.loseTwo(g1).sees("AP failure-leave 1 explicit approve: updated membership cur=[1/1 2/2] chg=[1/2] host failure",
		"AP failure-leave 1 explicit approve: updated membership cur=[1/1] chg=[2/2] host failure")
}

func nodeDiesTogether(s *scene) {
	s.loseTwo(batched(g1, groups.BatchLeaves)).sees(
		"AP failure-leave 1 explicit approve: updated membership cur=[1/1] chg=[1/2 2/2] host failure host failure")
}

func goodbye(s *scene) {
	abc := s.members(3, g1)
	must(s.T, abc[1].Goodbye(s.ctx))
	all([]*actor{abc[0], abc[2]}, "AP failure-leave 1 explicit approve: updated membership cur=[1/1 1/3] chg=[1/2] goodbye")
	if ev, err := abc[1].Recv(s.ctx); !errors.Is(err, groups.ErrClosed) {
		s.Errorf("after goodbye: %v %v", ev, err)
	}
}

func goodbyeInVote(s *scene) {
	abc := s.members(3, rejecting(gN))
	ac := []*actor{abc[0], abc[2]}
	must(s.T, abc[0].ProposeState(s.ctx, []byte("x"), voted))
	all(ac, `NP state 1 none: proposed state cur=[1/1 1/2 1/3] prop="x"`)
	must(s.T, abc[1].Goodbye(s.ctx))
	all(ac, `RJ state 1 default reject|provider failed: rejected state cur=[1/1 1/2 1/3] prop="x"`,
		"NP failure-leave 1 none: proposed membership cur=[1/1 1/2 1/3] chg=[1/2] goodbye")
}

func failureRejected(s *scene) {
	abc := s.members(3, gN)
	ac := []*actor{abc[0], abc[2]}
	must(s.T, abc[1].Close())
	all(ac, "NP failure-leave 1 none: proposed membership cur=[1/1 1/2 1/3] chg=[1/2] provider failure")
	vote(no, abc[0])
	all(ac, "RJ failure-leave 1 explicit reject: updated membership cur=[1/1 1/3] chg=[1/2] provider failure")
	abc[0].says("goes on", abc[2])
}

func diesInFailureLeave(s *scene) {
	abc := s.members(3, gN)
	a := abc[0]
	must(s.T, abc[1].Close())
	a.sees("NP failure-leave 1 none: proposed membership cur=[1/1 1/2 1/3] chg=[1/2] provider failure")
	must(s.T, abc[2].Close())
	vote(yes, a)
	a.sees("AP failure-leave 1 default approve|provider failed: updated membership cur=[1/1 1/3] chg=[1/2] provider failure",
		"NP failure-leave 1 none: proposed membership cur=[1/1 1/3] chg=[1/3] provider failure")
	vote(yes, a)
	a.sees("AP failure-leave 1 explicit approve: updated membership cur=[1/1] chg=[1/3] provider failure")
}

func comesAgain(s *scene) {
	abc := s.members(3, g1)
	must(s.T, abc[0].Close())
	bc := abc[1:]
	all(bc, "AP failure-leave 1 explicit approve: updated membership cur=[1/2 1/3] chg=[1/1] provider failure")
	all(append(bc, s.join(1, g1)), "AP join 1 explicit approve: updated membership cur=[1/2 1/3 1/1] chg=[1/1]")
}

// Without a number each provider of a node gets one.
func instances(s *scene) {
	seen := map[groups.ProviderID]bool{}
	for range 4 {
		p, err := s.clients[0].Join(s.ctx, s.group, g1)
		must(s.T, err)
		defer p.Close()
		if seen[p.ID()] || len(seen) == 0 && p.ID().Instance != 1 {
			s.Errorf("got %v", p.ID())
		}
		seen[p.ID()] = true
	}
}
