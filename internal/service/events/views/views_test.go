package views

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/service/events"
)

// What node 1 is told of facts (openais-executive L4, L7, L14, scenarios 19 and 20).
func TestTracker(t *testing.T) {
	list := func(members ...events.Member) []events.Member { return members }
	a, b, c, again := events.Member{ID: 1, Born: 1}, events.Member{ID: 2, Born: 1}, events.Member{ID: 3, Born: 1}, events.Member{ID: 3, Born: 3}
	back := events.Member{ID: 2, Born: 9}
	var tracker Tracker
	for i, step := range []struct {
		kind    events.Kind
		members []events.Member
		want    string
	}{
		{events.NewMembership, list(a, b, c), ""},
		{events.NewMembership, list(a, b), "2: 1-1 2-1 3-3"},
		{events.NotPrimary, list(a, b), ""},
		{events.Restored, list(a, b), ""},
		{events.NewMembership, list(a, b, again), "8: 1-1 2-1 3-2"},
		{events.Evicted, nil, ""},
		{events.NewMembership, list(b, events.Member{ID: 1, Born: 7}), "12: 2-2 1-1 3-3"},
		{events.NewMembership, list(b, events.Member{ID: 1, Born: 7}, c), "14: 2-1 1-1 3-2"},
		// One left for good, one came, and one left and is back.
		{events.NewMembership, list(events.Member{ID: 1, Born: 7}, back, events.Member{ID: 4, Born: 9}), "15: 1-1 2-3 3-3; 16: 1-1 2-2 4-2"},
	} {
		var got []string
		for _, v := range tracker.Follow(1, &events.Fact{Kind: step.kind, Seq: uint32(i), Members: step.members}) {
			s, in := fmt.Sprintf("%d:", v.Number), 0
			for _, m := range v.Items {
				s += fmt.Sprintf(" %d-%d", m.Member.ID, m.Change)
				if m.Change != Left {
					in++
				}
			}
			if v.Members != in {
				t.Errorf("step %d: %d members in %+v", i, v.Members, v)
			}
			got = append(got, s)
		}
		if s := strings.Join(got, "; "); s != step.want {
			t.Errorf("step %d: %q, want %q", i, s, step.want)
		}
	}
}
