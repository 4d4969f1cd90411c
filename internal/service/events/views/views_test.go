package views

import (
	"fmt"
	"testing"

	"github.com/moothall/moothall/internal/service/events"
)

// What node 1 is told of facts (openais-executive L4, L14, scenarios 19 and 20).
func TestTracker(t *testing.T) {
	list := func(members ...events.Member) []events.Member { return members }
	a, b, c, again := events.Member{ID: 1, Born: 1}, events.Member{ID: 2, Born: 1}, events.Member{ID: 3, Born: 1}, events.Member{ID: 3, Born: 3}
	var tracker Tracker
	for i, step := range []struct {
		kind    events.Kind
		members []events.Member
		want    string
	}{
		{events.NewMembership, list(a, b, c), ""},
		{events.NewMembership, list(a, b), "1-1 2-1 3-3"},
		{events.NotPrimary, list(a, b), ""},
		{events.Restored, list(a, b), ""},
		{events.NewMembership, list(a, b, again), "1-1 2-1 3-2"},
		{events.Evicted, nil, ""},
		{events.NewMembership, list(b, events.Member{ID: 1, Born: 7}), "2-2 1-1 3-3"},
	} {
		v, tell := tracker.Follow(1, &events.Fact{Kind: step.kind, Seq: uint32(i), Members: step.members})
		got := ""
		for _, m := range v.Items {
			got += fmt.Sprintf(" %d-%d", m.Member.ID, m.Change)
		}
		if tell != (step.want != "") || tell && (got[1:] != step.want || v.Members != len(step.members) || v.Number != uint32(i)) {
			t.Errorf("step %d: %q, %+v", i, got, v)
		}
	}
}
