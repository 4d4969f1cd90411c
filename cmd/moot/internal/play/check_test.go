package play

import (
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

func ring(seq uint64) proto.RingID { return proto.RingID{Seq: seq, Rep: 1, Inc: 9} }

// good is two nodes that went from a ring of two to another, with one message
// of each in each.
func good() []*life {
	msg := func(slot proto.Slot, from proto.NodeID, number uint64) message {
		return message{slot: slot, from: from, life: 1, number: number, sum: 7}
	}
	one := func(node proto.NodeID) *life {
		return &life{node: node, no: 1, sent: 2, whole: true, views: []view{
			{ring: ring(4), members: []proto.NodeID{1, 2}, got: []message{msg(1, 1, 1), msg(2, 2, 1)}},
			{ring: ring(8), members: []proto.NodeID{1, 2}, got: []message{msg(1, 2, 2), msg(2, 1, 2)}},
		}}
	}
	return []*life{one(1), one(2)}
}

func TestCheckAcceptsWhatIsRight(t *testing.T) {
	v := check(good())
	if len(v.violations) != 0 || v.deliveries != 8 || v.views != 4 {
		t.Errorf("%+v", v)
	}
	joined := good()
	joined[1].views[0].got = joined[1].views[0].got[1:] // joined after the first message
	if v := check(joined); len(v.violations) != 0 {
		t.Errorf("a late join: %v", v.violations)
	}
	if check(joined).hash != v.hash {
		t.Error("the hash depends on who is asked")
	}
}

// Each damage is found. A check that finds nothing proves nothing.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(b *life)
		want   string
	}{
		"lost at the end":      {func(b *life) { b.views[1].got = b.views[1].got[:1] }, "different messages"},
		"lost before a change": {func(b *life) { b.views[0].got = b.views[0].got[:1] }, "different messages"},
		"own message lost":     {func(b *life) { b.sent++ }, "sent 3 messages and saw 2"},
		"other order":          {func(b *life) { g := b.views[0].got; g[0], g[1] = g[1], g[0] }, "after slot"},
		"other content":        {func(b *life) { b.views[0].got[0].sum++ }, "reads differently"},
		"other sender":         {func(b *life) { b.views[0].got[0].from = 3 }, "slot 1 of ring 1/4"},
		"delivered twice":      {func(b *life) { g := b.views[1].got; b.views[1].got = append(g, g[1]) }, "after message"},
		"a gap in a sender": {func(b *life) {
			b.views[1].got = append(b.views[1].got, message{slot: 5, from: 1, life: 1, number: 4})
		}, "message 4 of node 1 after message 2"},
		"an old message again":   {func(b *life) { b.views[1].got[1].number = 1 }, "message 1 of node 1 after message 1"},
		"back to an old ring":    {func(b *life) { b.views[1].ring = ring(3) }, "back to"},
		"not a member":           {func(b *life) { b.views[1].members = []proto.NodeID{1} }, "not a member"},
		"members are disagreed":  {func(b *life) { b.views[1].members = []proto.NodeID{1, 2, 3} }, "has the members"},
		"invented out of no one": {func(b *life) { b.views[1].got = append(b.views[1].got, message{slot: 3, from: 9, life: 1, number: 1}) }, "different messages"},
	} {
		t.Run(name, func(t *testing.T) {
			lives := good()
			c.damage(lives[1])
			v := check(lives)
			if !strings.Contains(strings.Join(v.violations, "\n"), c.want) {
				t.Errorf("found %q, want something about %q", v.violations, c.want)
			}
		})
	}
}
