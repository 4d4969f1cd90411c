package vote

import (
	"fmt"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// sceneOf is n members that decided in a ring, each with one vote.
func sceneOf(n int, set func(*Config)) Scene {
	s := Scene{Ring: proto.RingID{Seq: 8, Rep: 1}}
	for i := range n {
		c := Config{Self: NodeID(i + 1), Votes: 1, Expected: uint32(n)}
		set(&c)
		s.Members = append(s.Members, c.Self)
		s.Infos = append(s.Infos, c.Announce(c.Start(proto.Primary{}, 0)))
	}
	c := Config{Self: 1, Votes: 1, Expected: uint32(n)}
	set(&c)
	d := Decide(c, s.Ring, s.Members, s.Infos, c.Start(proto.Primary{}, 0))
	s.Infos = d.Infos
	return s
}

func (s Side) String() string {
	text := fmt.Sprintf("%v %v %d/%d needs %d %v", s.Members, s.Quorate, s.Votes.Total, s.Votes.Expected, s.Votes.Quorum, s.Row)
	if s.Later != nil {
		text += ", later " + s.Later.String()
	}
	return text
}

func TestWhatIf(t *testing.T) {
	plain := func(*Config) {}
	for _, tc := range []struct {
		name string
		n    int
		set  func(*Config)
		ask  func(Scene) string
		want string
	}{
		{"now", 3, plain, func(s Scene) string { return s.Now().String() }, "[1 2 3] true 3/3 needs 2 majority"},
		{"one of three stops", 3, plain, func(s Scene) string { return s.Stop(3).String() }, "[1 2] true 2/3 needs 2 majority"},
		{"two of three stop", 3, plain, func(s Scene) string { return s.Stop(3, 1).String() }, "[2] false 1/3 needs 2 minority"},
		{"all stop", 2, plain, func(s Scene) string { return s.Stop(1, 2).String() }, "[] false 0/0 needs 0 none"},
		{"downscale", 5, func(c *Config) { c.Downscale = true }, func(s Scene) string { return s.Stop(5, 4).String() }, "[1 2 3] true 3/3 needs 3 majority"},
		{"last man standing", 4, func(c *Config) { c.LastMan = true }, func(s Scene) string { return s.Stop(4).String() },
			"[1 2 3] true 3/4 needs 3 majority, later [1 2 3] true 3/3 needs 2 majority"},
		{"two_node", 2, func(c *Config) { c.TwoNode = true }, func(s Scene) string { return fmt.Sprint(s.Cut([]NodeID{1}, []NodeID{2})) },
			"[[1] true 1/2 needs 1 two-node [2] true 1/2 needs 1 two-node]"},
		{"wait_for_all after a loss", 3, func(c *Config) { c.WaitForAll = true }, func(s Scene) string { return s.Stop(2, 3).String() }, "[1] false 1/3 needs 2 waiting-for-all"},
		{"a tie", 4, func(c *Config) { c.Tie = Tie{Rule: TieLowest} }, func(s Scene) string { return fmt.Sprint(s.Cut([]NodeID{1, 2}, []NodeID{3, 4})) },
			"[[1 2] true 2/4 needs 3 tie-won [3 4] false 2/4 needs 3 tie-lost]"},
		{"votes", 3, plain, func(s Scene) string {
			x, ok := s.Change(Change{Kind: SetVotes, Node: 2, Value: 3})
			return fmt.Sprint(x, ok)
		}, "[1 2 3] true 5/5 needs 3 majority true"},
		{"too many expected", 3, plain, func(s Scene) string {
			_, ok := s.Change(Change{Kind: SetExpected, Value: 9})
			return fmt.Sprint(ok)
		}, "false"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := sceneOf(tc.n, tc.set)
			before := fmt.Sprint(s)
			if got := tc.ask(s); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if fmt.Sprint(s) != before {
				t.Error("asking changed the scene")
			}
		})
	}
}
