package cpg

import (
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// voting runs nodes with a vote each, and one stateful program on each.
func voting(t servicetest.T, n int) (cluster, []*program) {
	votes := quorum.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: uint32(n)}}
	c := cluster{servicetest.New(t, n, func(servicetest.NodeID) []service.Service {
		return []service.Service{quorum.New(votes), New()}
	}), t}
	c.Split(c.All())
	c.Run()
	var programs []*program
	for _, id := range c.All() {
		programs = append(programs, c.entered(id, "g", true))
		settle(c, programs...)
	}
	return c, programs
}

// may reports who is told of a majority.
func may(programs ...*program) (who []servicetest.NodeID) {
	for _, p := range programs {
		if len(p.views) > 0 && p.view().Majority {
			who = append(who, p.Node().ID())
		}
	}
	return who
}

type nodes = []servicetest.NodeID

// A group begins when every expected vote has a member, not before.
func TestCertain_BeginsWithAll(t *testing.T) {
	votes := quorum.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: 3}}
	c := cluster{servicetest.New(t, 3, func(servicetest.NodeID) []service.Service {
		return []service.Service{quorum.New(votes), New()}
	}), t}
	c.Split(c.All())
	c.Run()
	a, b := c.entered(1, "g", true), c.entered(2, "g", true)
	settle(c, a, b)
	if got := may(a, b); len(got) > 0 {
		t.Errorf("two of three nodes have a member and %v may act", got)
	}
	d := c.entered(3, "g", true)
	settle(c, a, b, d)
	if got := may(a, b, d); !slices.Equal(got, nodes{1, 2, 3}) {
		t.Errorf("all have a member and %v may act", got)
	}
}

// Node 1 and 3 act, 3 forgets, 1 is cut off: 2 and 3 are a majority of votes that
// knows nothing of it. When 1 is back its state is the one.
func TestCertain_WhoForgotDoesNotCount(t *testing.T) { whoForgot(t) }

func whoForgot(t servicetest.T) {
	c, p := voting(t, 3)
	p[0].send("all")
	settle(c, p...)
	c.Split(nodes{1, 3}, nodes{2})
	settle(c, p...)
	if got := may(p...); !slices.Equal(got, nodes{1, 3}) {
		t.Fatalf("%v may act, want 1 and 3", got)
	}
	p[0].send("1 and 3")
	settle(c, p...)
	c.Crash(3)
	c.Restart(3)
	c.Split(nodes{1}, nodes{2, 3})
	c.Run()
	p[2] = c.entered(3, "g", true)
	settle(c, p...)
	if got := may(p...); len(got) > 0 {
		t.Fatalf("%v may act although 3 forgot", got)
	}
	p[1].send("lost")
	settle(c, p...)
	c.Split(c.All())
	settle(c, p...)
	if got := may(p...); !slices.Equal(got, nodes{1, 2, 3}) {
		t.Fatalf("%v may act, want all", got)
	}
	for _, x := range p {
		if x.text() != "all 1 and 3" {
			t.Fatalf("node %d has %q", x.Node().ID(), x.text())
		}
	}
}

// Who waits for a state and loses those that have it begins nothing, and knows
// still that its own one is old.
func TestCertain_WhoWaitsDoesNotBegin(t *testing.T) { whoWaits(t) }

func whoWaits(t servicetest.T) {
	c, p := voting(t, 3)
	c.Split(nodes{1, 3}, nodes{2})
	p[0].send("new")
	settle(c, p...)
	c.Split(nodes{1, 2}, nodes{3})
	c.Run() // 2 waits: nobody works for the programs
	c.Split(nodes{1}, nodes{2}, nodes{3})
	settle(c, p...)
	if p[1].anew > 0 || may(p...) != nil {
		t.Fatalf("2 began anew %d times, %v may act", p[1].anew, may(p...))
	}
	c.Split(nodes{2, 3}, nodes{1})
	settle(c, p...)
	if got := may(p...); !slices.Equal(got, nodes{2, 3}) || p[1].text() != "new" {
		t.Fatalf("%v may act, 2 has %q", got, p[1].text())
	}
}

// All but one forget: nobody may act until all are there, and then with what is
// left.
func TestCertain_MostForget(t *testing.T) {
	c, p := voting(t, 3)
	p[1].send("x")
	settle(c, p...)
	c.Crash(2)
	c.Crash(3)
	c.Restart(2)
	c.Restart(3)
	c.Split(c.All())
	c.Run()
	p[1] = c.entered(2, "g", true)
	settle(c, p...)
	if got := may(p[:2]...); len(got) > 0 {
		t.Errorf("%v may act", got)
	}
	p[2] = c.entered(3, "g", true)
	settle(c, p...)
	if got := may(p...); !slices.Equal(got, nodes{1, 2, 3}) || p[2].text() != "x" {
		t.Errorf("%v may act, 3 has %q", got, p[2].text())
	}
}

// Two of three forget while the third one waits for the state of one of them: it
// still has its own, which goes on.
func TestCertain_OwnStateOfWhoWaits(t *testing.T) {
	c, p := voting(t, 3)
	p[1].send("x")
	settle(c, p...)
	c.Split(nodes{1, 3}, nodes{2})
	p[0].send("y")
	settle(c, p...)
	c.Split(c.All())
	c.Run() // 2 waits: nobody works for the programs
	for _, id := range (nodes{1, 3}) {
		c.Crash(id)
		c.Restart(id)
	}
	c.Split(c.All())
	c.Run()
	p[0] = c.entered(1, "g", true)
	p[2] = c.entered(3, "g", true)
	settle(c, p...)
	for _, x := range p {
		if x.text() != "x" {
			t.Errorf("node %d has %q", x.Node().ID(), x.text())
		}
	}
	if got := may(p...); !slices.Equal(got, nodes{1, 2, 3}) {
		t.Errorf("%v may act", got)
	}
}

// A quorum device has votes and no member: the group begins without it.
func TestCertain_BesideDevice(t *testing.T) {
	votes := quorum.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: 3, Device: 1}}
	c := cluster{servicetest.New(t, 2, func(servicetest.NodeID) []service.Service {
		return []service.Service{quorum.New(votes), New()}
	}), t}
	c.Split(c.All())
	c.Run()
	a := c.entered(1, "g", true)
	settle(c, a)
	if got := may(a); len(got) > 0 {
		t.Errorf("one of two nodes has a member and %v may act", got)
	}
	b := c.entered(2, "g", true)
	settle(c, a, b)
	if got := may(a, b); !slices.Equal(got, nodes{1, 2}) {
		t.Errorf("both nodes have a member and %v may act", got)
	}
}

// What an operator says of votes counts for groups as well.
func TestView_VotesOfOperator(t *testing.T) {
	c := cluster{servicetest.New(t, 3, func(n servicetest.NodeID) []service.Service {
		v := vote.Config{Votes: 1, Expected: 5}
		if n == 1 {
			v.Votes = 3
		}
		return []service.Service{quorum.New(quorum.Config{Provider: true, Vote: v}), New()}
	}), t}
	c.Split(c.All())
	c.Run()
	a := c.entered(1, "g", false)
	settle(c, a)
	if v := a.view(); !v.Majority || v.GroupVotes != 3 {
		t.Errorf("with 3 votes of 5: %+v", v)
	}
	operator := c.Node(2).Open(quorum.ID)
	set := operator.Call(quorum.CallSetVotes, quorum.NumberRequest{Node: 1, Value: 1}.AppendTo(nil))
	c.Run()
	settle(c, a, c.entered(1, "g", false)) // which brings a view
	if v := a.view(); !set.Done || set.Code != service.OK || !v.Quorate || v.Majority || v.GroupVotes != 1 {
		t.Errorf("with 1 vote: %+v, answer %+v", v, set)
	}
}

// Members without a state, such as who listens to the group, are no copies of it.
func TestCertain_ListenersDoNotCount(t *testing.T) {
	c, p := voting(t, 3)
	listener := c.entered(2, "g", false)
	settle(c, append(p, listener)...)
	if got := may(append(p, listener)...); !slices.Equal(got, nodes{1, 2, 3, 2}) {
		t.Fatalf("with a listener %v may act", got)
	}
	p[1].Leave()
	p[2].Leave()
	c.Run()
	settle(c, p[0], listener)
	if got := may(p[0], listener); len(got) > 0 {
		t.Errorf("one node has the state and %v may act", got)
	}
}
