package vote

import (
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// settings give these votes to nodes 1, 2 and so on; zero: there is no such node.
func settings(device uint32, votes ...uint32) Settings {
	n := Settings{Device: device, Expected: device}
	for i, v := range votes {
		if v > 0 {
			n.Nodes = append(n.Nodes, Share{NodeID(i + 1), v})
			n.Expected += v
		}
	}
	return n
}

// ringOf is the table of a ring of these nodes after a round with the settings.
func ringOf(n Settings, tie Tie, members ...NodeID) (Config, []Info, State, Decision) {
	var infos []Info
	var own Config
	for _, x := range n.Nodes {
		if slices.Contains(members, x.Node) {
			c := Config{Self: x.Node, Votes: x.Votes, Expected: n.Expected, Device: n.Device, TwoNode: n.TwoNode, WaitForAll: n.WaitForAll, Tie: tie}
			infos = append(infos, c.Announce(c.Start(proto.Primary{}, 0)))
			if own.Self == 0 {
				own = c
			}
		}
	}
	d := Decide(own, RingID{Seq: 4}, members, infos, own.Start(proto.Primary{}, 0))
	return own, d.Infos, d.Shown, d
}

func ids(n int) (all []NodeID) {
	for i := range n {
		all = append(all, NodeID(i+1))
	}
	return all
}

func TestReloadRefused(t *testing.T) {
	two := settings(0, 1, 1)
	two.TwoNode = true
	for _, x := range []struct {
		name     string
		old, now Settings
		tie      TieRule
		members  []NodeID
		says     string // empty: allowed
	}{
		{"one more", settings(0, 1, 1, 1), settings(0, 1, 1, 1, 1), TieNone, ids(3), ""},
		{"two more than two", settings(0, 1, 1), settings(0, 1, 1, 1, 1), TieNone, ids(2), "quorum would be lost: 3 would be needed and 2 votes are here"},
		{"two more than four", settings(0, 1, 1, 1, 1), settings(0, 1, 1, 1, 1, 1, 1), TieNone, ids(4), ""},
		{"two more than five", settings(0, 1, 1, 1, 1, 1), settings(0, 1, 1, 1, 1, 1, 1, 1), TieNone, ids(5), "too large a step: 3 of 5 votes are enough now, 4 of 7 would be then"},
		{"three more", settings(0, 1, 1, 1, 1, 1), settings(0, 1, 1, 1, 1, 1, 1, 1, 1), TieNone, ids(5), "too large a step"},
		{"one less", settings(0, 1, 1, 1, 1), settings(0, 1, 1, 1), TieNone, ids(3), ""},
		{"two less of four", settings(0, 1, 1, 1, 1), settings(0, 1, 1), TieNone, ids(3), ""},
		{"two less of five", settings(0, 1, 1, 1, 1, 1), settings(0, 1, 1, 1), TieNone, ids(3), "too large a step"},
		{"another in its place", settings(0, 1, 1, 1), settings(0, 1, 1, 0, 1), TieNone, ids(2), "too large a step"},
		{"without quorum", settings(0, 1, 1, 1), settings(0, 1, 1), TieNone, ids(1), "only where there is quorum"},
		{"quorum would be lost", settings(0, 1, 1, 1), settings(0, 1, 1, 1, 1), TieNone, ids(2), "quorum would be lost: 3 would be needed and 2 votes are here"},
		{"heavier", settings(0, 1, 1, 1), settings(0, 2, 1, 1), TieNone, ids(3), ""},
		{"much heavier", settings(0, 1, 1, 1), settings(0, 5, 1, 1), TieNone, ids(3), "too large a step"},
		{"two nodes become three", two, settings(0, 1, 1, 1), TieNone, ids(2), ""},
		{"three nodes become two", settings(0, 1, 1, 1), two, TieNone, ids(2), ""},
		{"one node becomes two", settings(0, 1), two, TieNone, ids(1), ""},
		{"one more, with a device", settings(1, 1, 1, 1), settings(1, 1, 1, 1, 1), TieNone, ids(3), ""},
		{"one more, with a device that has more too", settings(2, 1, 1, 1), settings(3, 1, 1, 1, 1), TieNone, ids(3), "quorum would be lost"},
		{"one more, with a tie", settings(0, 1, 1, 1, 1), settings(0, 1, 1, 1, 1, 1), TieLowest, ids(4), "with auto_tie_breaker half"},
	} {
		_, infos, _, _ := ringOf(x.old, Tie{Rule: x.tie}, x.members...)
		got := ReloadRefused(x.members, infos, x.now, x.old.StepTo(x.now))
		if (x.says == "") != (got == "") || !strings.Contains(got, x.says) {
			t.Errorf("%s: %q, want %q", x.name, got, x.says)
		}
	}
}

// An operator who declared the others dead may take them off the list.
func TestReloadRefused_AfterAnOperator(t *testing.T) {
	old, now := settings(0, 1, 1, 1), settings(0, 1)
	c, infos, s, _ := ringOf(old, Tie{}, 1)
	if why := ReloadRefused(ids(1), infos, now, old.StepTo(now)); why == "" {
		t.Error("a minority may take the majority off the list")
	}
	d, ok := Apply(c, RingID{Seq: 4}, ids(1), infos, s, Change{Kind: SetExpected, Value: 1})
	if !ok || !d.Quorate {
		t.Fatalf("the operator is refused: %+v", d)
	}
	if why := ReloadRefused(ids(1), d.Infos, now, old.StepTo(now)); why != "" {
		t.Error(why)
	}
}

// Every allowed step of up to six nodes: no node set that is quorate by the
// earlier settings is apart from one that is by the later ones.
func TestReloadRefused_MajoritiesMeet(t *testing.T) {
	const most = 6
	allowed, refused := 0, 0
	for a := 1; a < 1<<most; a++ {
		for b := 1; b < 1<<most; b++ {
			for _, heavy := range []int{0, 1, 2} { // node 1 has two votes before, or after
				share := func(set int, two bool) Settings {
					var votes []uint32
					for i := range most {
						v := uint32(set >> i & 1)
						if i == 0 && two {
							v *= 2
						}
						votes = append(votes, v)
					}
					return settings(0, votes...)
				}
				old, now := share(a, heavy == 1), share(b, heavy == 2)
				members := nodesOf(uint8(a & b))
				if len(members) == 0 {
					continue
				}
				_, infos, _, _ := ringOf(old, Tie{}, members...)
				if ReloadRefused(members, infos, now, old.StepTo(now)) != "" {
					refused++
					continue
				}
				allowed++
				votes := func(n Settings, set int) (v uint32) {
					for _, x := range n.Nodes {
						v += x.Votes * uint32(set>>(x.Node-1)&1)
					}
					return v
				}
				for side := range 1 << most {
					rest := (1<<most - 1) &^ side
					if votes(old, side) >= majority(old.Expected) && votes(now, rest) >= majority(now.Expected) {
						t.Fatalf("from %b to %b in a ring of %v: %b and %b are both enough", a, b, members, side, rest)
					}
				}
			}
		}
	}
	t.Logf("%d steps are allowed, %d refused", allowed, refused)
	if allowed < 1000 {
		t.Errorf("%d steps are allowed", allowed)
	}
}

func TestReload(t *testing.T) {
	old, now := settings(0, 1, 1, 1), settings(0, 1, 2, 1, 1)
	now.WaitForAll = true
	c, infos, s, _ := ringOf(old, Tie{}, ids(3)...)
	c.WaitForAll = true
	d := Reload(c, RingID{Seq: 4}, ids(3), infos, s, now)
	if want := (Votes{5, 4, 3, 0}); d.Votes != want || !d.Quorate || d.Shown.Votes != 1 || d.Shown.Barrier != 5 || d.Shown.Waiting || d.Infos[1].Votes != 2 {
		t.Errorf("got %+v", d)
	}
	two := settings(0, 1, 1)
	two.TwoNode = true
	c.TwoNode = true
	if d = Reload(c, RingID{Seq: 4}, ids(2), d.Infos[:2], d.Shown, two); d.Votes != (Votes{2, 2, 1, 0}) || !d.Quorate {
		t.Errorf("got %+v", d)
	}
}
