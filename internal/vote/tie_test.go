package vote

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// tieNode is one node of a long history: what it carries, what its disk has.
type tieNode struct {
	state  State
	disk   proto.Primary
	bound  uint64 // highest ring seq that it promised
	in     []NodeID
	ring   uint64
	active bool
}

// tieHistory plays one random history of nodes with a tie breaker: partitions
// that come and go, rounds cut off anywhere, restarts with the record as stored
// last or without one. It returns where two disjoint rings were quorate at once.
func tieHistory(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 1))
	n := []int{2, 4, 4, 6}[r.IntN(4)]
	cfg := Config{Votes: 1, Expected: uint32(n), Tie: Tie{Rule: TieLowest + TieRule(r.IntN(3)), List: []NodeID{2, 3, 1}}}
	nodes := make([]*tieNode, n)
	for i := range nodes {
		nodes[i] = &tieNode{state: cfg.Start(proto.Primary{}, 0), in: []NodeID{NodeID(i + 1)}}
	}
	lost := r.IntN(2) == 0
	for step := range 4 + r.IntN(12) {
		for i, t := range nodes {
			if r.IntN(10) == 0 { // it starts anew
				if lost && r.IntN(4) == 0 {
					t.disk = proto.Primary{}
				}
				t.state, t.in, t.active = cfg.Start(t.disk, 0), []NodeID{NodeID(i + 1)}, false
				t.ring = 0
			}
		}
		parts := make([][]NodeID, 1+r.IntN(3))
		for i := range nodes {
			p := r.IntN(len(parts))
			parts[p] = append(parts[p], NodeID(i+1))
		}
		for _, members := range parts {
			if len(members) > 0 {
				tieRound(r, cfg, nodes, members)
			}
		}
		if err := tieCheck(nodes, step); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

// tieRound forms a ring and cuts its round off somewhere.
func tieRound(r *rand.Rand, cfg Config, nodes []*tieNode, members []NodeID) {
	at := func(id NodeID) *tieNode { return nodes[id-1] }
	seq := uint64(0)
	for _, id := range members {
		seq = max(seq, at(id).bound)
	}
	seq += uint64(1 + r.IntN(4))
	var infos []Info
	for _, id := range members {
		t := at(id)
		t.bound, t.ring, t.in, t.active = seq, seq, members, false
		infos = append(infos, announce(cfg, id, t.state))
	}
	allNoted, allShow := r.IntN(4) > 0, r.IntN(2) == 0
	for _, id := range members {
		t, c := at(id), cfg
		if !allNoted && r.IntN(2) == 0 {
			continue // it did not get the last info
		}
		c.Self = id
		d := Decide(c, RingID{Seq: seq}, members, infos, t.state)
		t.state = d.Noted
		if allNoted || r.IntN(2) == 0 { // before the barrier
			t.disk = clonePrimary(d.Noted.Primary)
		}
		if !allNoted || !allShow && r.IntN(2) == 0 {
			continue
		}
		t.state, t.active = d.Shown, true
		if r.IntN(2) == 0 { // lazily
			t.disk = clonePrimary(d.Shown.Primary)
		}
	}
}

func tieCheck(nodes []*tieNode, step int) error {
	var primary []NodeID
	for i, t := range nodes {
		if t.ring == 0 || t.in[0] != NodeID(i+1) {
			continue
		}
		if slices.ContainsFunc(t.in, func(id NodeID) bool {
			o := nodes[id-1]
			return o.ring != t.ring || !slices.Equal(o.in, t.in) || !o.active || !o.state.Quorate
		}) {
			continue
		}
		if primary != nil {
			return fmt.Errorf("step %d: %v and %v are quorate at once", step, primary, t.in)
		}
		primary = t.in
	}
	return nil
}

func tieHistories(seeds uint64) error {
	for seed := range seeds {
		if err := tieHistory(seed); err != nil {
			return err
		}
	}
	return nil
}

// TestTie_LongHistories is property Q1 with ties, over restarts and lost records.
func TestTie_LongHistories(t *testing.T) {
	if err := tieHistories(10_000); err != nil {
		t.Fatal(err)
	}
}

func TestParseTie(t *testing.T) {
	for text, want := range map[string]Tie{
		"":          {Rule: TieLowest},
		"lowest":    {Rule: TieLowest},
		" highest ": {Rule: TieHighest},
		"3 1,2":     {Rule: TieList, List: []NodeID{3, 1, 2}},
	} {
		if got, err := ParseTie(text); err != nil || !got.equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "first", "1 -2", "4294967296"} {
		if got, err := ParseTie(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

// What an operator and time do within a ring, member by member, leads to the
// same table at all.
func TestApply_SameAtAll(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 1000 {
		n := 1 + r.IntN(5)
		cfg := Config{Votes: 1, Expected: uint32(n + r.IntN(2)), WaitForAll: r.IntN(3) == 0, Downscale: r.IntN(3) == 0,
			LastMan: r.IntN(3) == 0, Tracking: r.IntN(3) == 0, Device: uint32(r.IntN(2) * r.IntN(n+1))}
		var members []NodeID
		var infos []Info
		for i := range n {
			id := NodeID(i + 1)
			f := announce(cfg, id, cfg.Start(proto.Primary{}, 0))
			if cfg.Device > 0 && r.IntN(2) == 0 {
				f.Device = Device{true, true, true, r.IntN(5) == 0}
			}
			members, infos = append(members, id), append(infos, f)
		}
		views := make([]Decision, n)
		for i, id := range members {
			c := cfg
			c.Self = id
			views[i] = Decide(c, RingID{Seq: 8}, members, infos, c.Start(proto.Primary{}, 0))
		}
		for range 6 {
			x := Change{Kind: Kind(1 + r.IntN(int(numKinds))), Node: NodeID(1 + r.IntN(n+1)), Value: uint32(r.IntN(n + 3)),
				Device: Device{true, true, r.IntN(2) == 0, r.IntN(5) == 0}}
			took := 0
			for i, id := range members {
				c := cfg
				c.Self = id
				before := fmt.Sprint(views[i])
				if d, ok := Apply(c, RingID{Seq: 8}, members, views[i].Infos, views[i].Shown, x); ok {
					if before != fmt.Sprint(views[i]) {
						t.Fatalf("%+v changed what it was given", x)
					}
					views[i] = d
					took++
				}
			}
			if took != 0 && took != n {
				t.Fatalf("%d of %d members took %+v", took, n, x)
			}
			for i := range views {
				if fmt.Sprintf("%+v", views[i].Infos) != fmt.Sprintf("%+v", views[0].Infos) {
					t.Fatalf("after %+v members differ:\n%+v\n%+v", x, views[0].Infos, views[i].Infos)
				}
				if f := views[i].Infos[i]; !f.Leaving && (f.Quorate != views[i].Quorate || f.Waiting != views[i].Shown.Waiting || f.Votes != views[i].Shown.Votes || f.Expected != views[i].Shown.Expected || f.Barrier != views[i].Shown.Barrier || f.Tracked != views[i].Shown.Tracked) {
					t.Fatalf("after %+v the table has %+v, the node itself %+v", x, f, views[i].Shown)
				}
			}
		}
	}
}
