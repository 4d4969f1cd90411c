package groups_test

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/moothall/moothall/groups"
)

// Scenarios of state values, messages, attributes, votes and expels.

func state(s *scene) {
	ab := s.members(2, g1)
	w := s.subscribe(1, groups.WantState)
	w.sees(`SU ""`)
	must(s.T, ab[0].ProposeState(s.ctx, []byte("x")))
	all(ab, `AP state 1 explicit approve: updated state cur=[1/1 1/2] state="x" prop="x"`)
	w.sees(`SU "x"`)
	must(s.T, ab[0].ProposeState(s.ctx, []byte("y"), voted))
	all(ab, `NP state 1 none: proposed state cur=[1/1 1/2] state="x" prop="y"`)
	vote(yes, ab...)
	all(ab, `AP state 1 explicit approve: updated state cur=[1/1 1/2] state="y" prop="y"`)
	w.sees(`SU "y"`)
	must(s.T, ab[1].ProposeState(s.ctx, nil, voted))
	all(ab, `NP state 1 none: proposed state cur=[1/1 1/2] state="y" prop=""`)
	vote(no, ab[0])
	all(ab, `RJ state 1 explicit reject: rejected state cur=[1/1 1/2] state="y" prop=""`)
	if got := ab[1].State(); string(got) != "y" {
		s.Errorf("state %q", got)
	}
	must(s.T, ab[1].ProposeState(s.ctx, nil))
	w.sees(`SU ""`) // nothing of what was rejected
}

func sizes(s *scene) {
	a := s.members(1, g1)[0]
	s.fails(a.ProposeState(s.ctx, make([]byte, groups.MaxState+1)), groups.BadParameter)
	s.fails(a.Send(s.ctx, make([]byte, groups.MaxMessage+1)), groups.BadParameter)
	s.fails(a.Send(s.ctx, nil), groups.BadParameter)
	s.fails(a.Send(s.ctx, []byte("x"), groups.Voted(time.Millisecond)), groups.BadParameter)
	must(s.T, a.ProposeState(s.ctx, bytes.Repeat([]byte{1}, groups.MaxState)))
	a.next()
	must(s.T, a.Send(s.ctx, bytes.Repeat([]byte{1}, groups.MaxMessage)))
	a.next()
}

func message(s *scene) {
	ab := s.members(2, g1)
	w := s.subscribe(1)
	w.sees(`SU "" full=[1/1 1/2]`)
	must(s.T, ab[0].Send(s.ctx, []byte("hello")))
	all(ab, `AP message 1 explicit approve: provider message cur=[1/1 1/2] msg="hello"`)
	must(s.T, ab[0].Send(s.ctx, []byte("hello"), voted))
	all(ab, `NP message 1 none: provider message cur=[1/1 1/2] msg="hello"`)
	vote(more, ab...)
	all(ab, "NP message 2 none: none cur=[1/1 1/2]")
	vote(yes, ab...)
	all(ab, "AP message 2 explicit approve: none cur=[1/1 1/2]")
	must(s.T, ab[0].ProposeState(s.ctx, []byte("x")))
	w.sees(`SU "x"`)
}

func stateWithVote(s *scene) {
	ab := s.members(2, gN)
	w := s.subscribe(1)
	w.sees(`SU "" full=[1/1 1/2]`)
	abc := append(ab, s.join(3, gN))
	all(abc, "NP join 1 none: proposed membership cur=[1/1 1/2] chg=[1/3]")
	must(s.T, abc[0].Vote(s.ctx, more, groups.WithState([]byte("s")), groups.WithMessage([]byte("m"))))
	vote(yes, abc[1:]...)
	all(abc, `NP join 2 none: ongoing membership|proposed state|provider message cur=[1/1 1/2] chg=[1/3] prop="s" msg="m"`)
	vote(yes, abc...)
	all(abc, `AP join 2 explicit approve: updated membership|updated state cur=[1/1 1/2 1/3] chg=[1/3] state="s" prop="s"`)
	w.sees(`SU "s" full=[1/1 1/2 1/3] +[1/3]`)

	must(s.T, abc[1].Send(s.ctx, []byte("m"), voted))
	for _, x := range abc {
		x.next()
	}
	must(s.T, abc[0].Vote(s.ctx, yes, groups.WithState([]byte("t"))))
	vote(yes, abc[1:]...)
	all(abc, `AP message 1 explicit approve: updated state cur=[1/1 1/2 1/3] state="t" prop="t"`)
}

func twoStates(s *scene) {
	ab := s.members(2, g1)
	s.messageInWork(ab)
	must(s.T, ab[1].Vote(s.ctx, yes, groups.WithState([]byte("b"))))
	must(s.T, ab[0].Vote(s.ctx, yes, groups.WithState([]byte("a"))))
	all(ab, `AP message 1 explicit approve: updated state cur=[1/1 1/2] state="a" prop="a"`)
}

func collisions(s *scene) {
	ab := s.members(2, g1)
	s.messageInWork(ab[:1]) // the other one does not know of it
	must(s.T, ab[1].ProposeState(s.ctx, []byte("b")))
	s.fails(ab[0].ProposeState(s.ctx, []byte("a")), groups.Collide)
	ab[1].sees(`NP message 1 none: provider message cur=[1/1 1/2] msg="m"`, "DE state: "+groups.Collide.Error())
	s.fails(ab[1].ProposeState(s.ctx, []byte("b")), groups.Collide)
	vote(yes, ab...)
	all(ab, "AP message 1 explicit approve: none cur=[1/1 1/2]")
	must(s.T, ab[1].ProposeState(s.ctx, []byte("b")))
	s.fails(ab[1].Send(s.ctx, []byte("unanswered")), groups.Collide)
	all(ab, `AP state 1 explicit approve: updated state cur=[1/1 1/2] state="b" prop="b"`)
}

func joinFirst(s *scene) {
	ab := s.members(2, gN)
	s.messageInWork(ab)
	c := s.joinLater(3, gN)
	vote(yes, ab...)
	all(ab, "AP message 1 explicit approve: none cur=[1/1 1/2]")
	err := ab[0].ProposeState(s.ctx, []byte("x"))
	if err != nil && !errors.Is(err, groups.Collide) {
		s.Fatal(err)
	}
	ab[0].sees("NP join 1 none: proposed membership cur=[1/1 1/2] chg=[1/3]")
	if err == nil {
		ab[0].sees("DE state: " + groups.Collide.Error())
	}
	c()
}

func attributesChange(s *scene) {
	ab := s.members(2, g1)
	other := limited(g1, 5*time.Second)
	must(s.T, ab[0].ChangeAttributes(s.ctx, other, voted))
	all(ab, "NP attributes 1 none: proposed attributes cur=[1/1 1/2] limit=5s")
	vote(yes, ab...)
	all(ab, "AP attributes 1 explicit approve: updated attributes cur=[1/1 1/2] limit=5s")
	if got := ab[1].Attributes(); got.TimeLimit != 5*time.Second {
		s.Errorf("attributes %+v", got)
	}
	_, err := s.try(3, g1)
	s.fails(err, groups.BadGroupAttributes)
	s.join(3, other)
	ab[0].next()
	must(s.T, ab[0].ChangeAttributes(s.ctx, sourced(other, "elsewhere")))
	ab[0].sees("DE attributes: " + groups.BadGroupAttributes.Error())
	s.fails(ab[0].ChangeAttributes(s.ctx, groups.Attributes{DefaultVote: more}), groups.BadGroupAttributes)
}

func votes(s *scene) {
	ab := s.members(2, g1)
	s.fails(ab[0].Vote(s.ctx, yes), groups.VoteNotExpected)
	s.messageInWork(ab)
	s.fails(ab[0].Vote(s.ctx, 0), groups.BadParameter)
	s.fails(ab[0].Vote(s.ctx, yes, groups.WithDefault(more)), groups.BadParameter)
	s.fails(ab[0].Vote(s.ctx, yes, groups.WithMessage(nil)), groups.BadParameter)
	s.fails(ab[0].Vote(s.ctx, yes, groups.WithState(make([]byte, groups.MaxState+1))), groups.BadParameter)
	vote(yes, ab[0])
	s.fails(ab[0].Vote(s.ctx, yes), groups.VoteNotExpected)
	done := make(chan error, 1)
	go func() { done <- ab[1].Vote(s.ctx, yes) }() // 52: by another goroutine
	must(s.T, <-done)
	all(ab, "AP message 1 explicit approve: none cur=[1/1 1/2]")
	s.fails(ab[0].Vote(s.ctx, yes), groups.VoteNotExpected)
}

// limit is how long the silent are waited for: long enough for the others, on a busy
// machine too.
const limit = 5 * time.Second

// late has a vote on a state value within the limit, in which the second one is
// silent.
func (s *scene) late(at groups.Attributes, options ...groups.VoteOption) []*actor {
	s.Helper()
	ab := s.members(2, at)
	must(s.T, ab[0].ProposeState(s.ctx, []byte("x"), groups.Voted(limit)))
	all(ab, `NP state 1 none: proposed state cur=[1/1 1/2] prop="x" within 5s`)
	must(s.T, ab[0].Vote(s.ctx, yes, options...))
	return ab
}

func lateApproved(s *scene) {
	ab := s.late(g1)
	all(ab, `AP state 1 default approve|time limit exceeded: updated state cur=[1/1 1/2] state="x" prop="x"`, "AN time limit exceeded [1/2]")
	ab[1].says("still here", ab[0])
}

func lateRejected(s *scene) {
	all(s.late(rejecting(g1)), `RJ state 1 default reject|time limit exceeded: rejected state cur=[1/1 1/2] prop="x"`, "AN time limit exceeded [1/2]")
}

func lateOtherDefault(s *scene) {
	all(s.late(rejecting(g1), groups.WithDefault(yes)),
		`AP state 1 default approve|time limit exceeded: updated state cur=[1/1 1/2] state="x" prop="x"`, "AN time limit exceeded [1/2]")
}

func lateOnce(s *scene) {
	ab := s.members(2, g1)
	must(s.T, ab[0].ProposeState(s.ctx, []byte("x"), groups.Voted(limit)))
	all(ab, `NP state 1 none: proposed state cur=[1/1 1/2] prop="x" within 5s`)
	vote(more, ab[0])
	all(ab, `NP state 2 default approve|time limit exceeded: ongoing state cur=[1/1 1/2] prop="x" within 5s`)
	vote(yes, ab...)
	all(ab, `AP state 2 default approve|time limit exceeded: updated state cur=[1/1 1/2] state="x" prop="x"`, "AN time limit exceeded [1/2]")
}

func rejectedAtOnce(s *scene) {
	ab := s.members(2, g1)
	s.messageInWork(ab)
	vote(no, ab[0])
	ab[0].sees("RJ message 1 explicit reject: none cur=[1/1 1/2]")
	vote(yes, ab[1]) // it does not know yet
	ab[1].sees("RJ message 1 explicit reject: none cur=[1/1 1/2]")
	s.fails(ab[1].Vote(s.ctx, yes), groups.VoteNotExpected)
}

func expel(s *scene) {
	abc := s.members(3, g1)
	must(s.T, abc[0].Expel(s.ctx, []groups.ProviderID{abc[1].ID()}, groups.Deactivate(0, "now")))
	all(abc, `AP expel 1 explicit approve: updated membership|expel information cur=[1/1 1/3] chg=[1/2] expelled flag="now"`)
	abc[1].isOut()
}

func expelScript(s *scene) {
	a, c := s.join(1, g1), s.join(3, g1)
	b := s.join(2, g1, groups.Script("/bin/false"))
	for range 3 {
		a.next()
	}
	c.next()
	c.next()
	ac := []*actor{a, c}
	b.next()
	must(s.T, a.Expel(s.ctx, []groups.ProviderID{b.ID()}, voted, groups.Deactivate(2, "")))
	const about = `cur=[1/1 1/3 1/2] chg=[1/2] expelled flag=""`
	all(ac, "NP expel 1 none: proposed membership|expel information "+about)
	vote(more, ac...)
	all(ac, "NP expel 2 none: ongoing membership|expel information "+about)
	vote(yes, ac...)
	all(append(ac, b), `AP expel 2 explicit approve|deactivate unsuccessful: updated membership|expel information cur=[1/1 1/3] chg=[1/2] expelled flag=""`)
	b.isOut()
}

func expelRejected(s *scene) {
	abc := s.members(3, g1)
	must(s.T, abc[0].Expel(s.ctx, []groups.ProviderID{abc[1].ID()}, voted))
	all([]*actor{abc[0], abc[2]}, `NP expel 1 none: proposed membership|expel information cur=[1/1 1/2 1/3] chg=[1/2] expelled flag=""`)
	vote(no, abc[2])
	all(abc, `RJ expel 1 explicit reject: rejected membership|expel information cur=[1/1 1/2 1/3] chg=[1/2] expelled flag=""`)
	abc[1].says("still here", abc[0], abc[2])
}

func expelRefused(s *scene) {
	ab := s.members(2, g1)
	a, b := ab[0], ab[1].ID()
	s.fails(a.Expel(s.ctx, []groups.ProviderID{b, b}), groups.ProviderAppearsTwice)
	s.fails(a.Expel(s.ctx, []groups.ProviderID{b}, groups.Deactivate(3, "")), groups.InvalidDeactivatePhase)
	s.fails(a.Expel(s.ctx, []groups.ProviderID{b}, groups.Deactivate(-1, "")), groups.InvalidDeactivatePhase)
	s.fails(a.Expel(s.ctx, []groups.ProviderID{b}, groups.Deactivate(0, strings.Repeat("x", 257))), groups.BadParameter)
	s.fails(a.Expel(s.ctx, nil), groups.BadParameter)
	s.fails(a.Expel(s.ctx, []groups.ProviderID{{Instance: 1, Node: 70000}}), groups.UnknownProvider)
	must(s.T, a.Expel(s.ctx, []groups.ProviderID{{Instance: 9, Node: 9}}))
	a.sees("DE expel: " + groups.UnknownProvider.Error())
}

// Who objects says why, and the others learn it.
func objection(s *scene) {
	abc := s.members(3, g1)
	must(s.T, abc[0].ProposeState(s.ctx, []byte("x"), voted))
	all(abc, `NP state 1 none: proposed state cur=[1/1 1/2 1/3] prop="x"`)
	vote(yes, abc[0], abc[2])
	must(s.T, abc[1].Object(s.ctx, "too short"))
	ac := []*actor{abc[0], abc[2]}
	all(ac, `NP state 2 none: ongoing state|provider message cur=[1/1 1/2 1/3] prop="x" msg="objection of 1/2: too short" objection of 1/2: too short`)
	vote(yes, abc[0]) // counts for nothing
	abc[1].next()
	all(abc, `RJ state 2 explicit reject: rejected state cur=[1/1 1/2 1/3] prop="x" objection of 1/2: too short`)

	// Who ends before it has rejected, by default does.
	must(s.T, abc[0].ProposeState(s.ctx, []byte("x"), voted))
	all(abc, `NP state 1 none: proposed state cur=[1/1 1/2 1/3] prop="x"`)
	must(s.T, abc[1].Object(s.ctx, strings.Repeat("ä", 2000)))
	vote(yes, abc[0], abc[2])
	for _, x := range ac {
		if got := x.next(); !strings.HasPrefix(got, "NP state 2 none") || len(got) > 3*groups.MaxMessage {
			s.Fatal(got)
		}
	}
	must(s.T, abc[1].Close())
	for _, x := range ac {
		if got := x.next(); !strings.HasPrefix(got, "RJ state 2 default reject|provider failed") {
			s.Fatal(got)
		}
	}
	all(ac, "AP failure-leave 1 explicit approve: updated membership cur=[1/1 1/3] chg=[1/2] provider failure")
}
