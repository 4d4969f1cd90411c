package events

import (
	"cmp"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
)

// plan is what a round does. All members make the same one of the same offers.
type plan struct {
	sender  proto.NodeID // whose messages count
	adopt   []proto.NodeID
	uniform bool // all hold the same messages: there is nothing to tell
	trans   uint32
	bring   []proto.NodeID // of each set that is the same and adopts, the lowest
}

// makePlan chooses the sender: of those that have the latest commit the one that
// applied least, so that the others can find their place among its messages. If
// there never was a membership, the one that knows of most.
func makePlan(members []proto.NodeID, offers []*offer) plan {
	best := 0
	for i, o := range offers {
		if better(o, offers[best]) {
			best = i
		}
	}
	s := offers[best]
	p := plan{sender: members[best], uniform: true}
	var seen []*offer
	for i, o := range offers {
		p.trans = max(p.trans, o.trans)
		p.uniform = p.uniform && o.at == s.at && slices.Equal(o.held, s.held)
		if follows(o, s) {
			continue
		}
		p.adopt = append(p.adopt, members[i])
		if !slices.ContainsFunc(seen, func(q *offer) bool { return q.state == o.state }) {
			seen = append(seen, o)
			p.bring = append(p.bring, members[i])
		}
	}
	return p
}

func better(a, b *offer) bool {
	c := a.latest.Compare(b.latest)
	if c == 0 && a.latest.IsZero() {
		c = cmp.Compare(a.weight, b.weight)
	}
	if bug.Planted("events-oldest-wins") {
		c = -c
	}
	return cmp.Or(c, comparePlace(b.at, a.at)) > 0
}

func comparePlace(a, b place) int {
	return cmp.Or(a.ring.Compare(b.ring), cmp.Compare(a.slot, b.slot), cmp.Compare(a.n, b.n))
}

// follows reports whether what o applied is a part of what s has, and o comes to
// the same by s's messages and its own.
func follows(o, s *offer) bool {
	switch {
	case o.at == s.at:
		return o.state == s.state
	case s.latest.IsZero() || o.at == (place{}):
		return false
	}
	return slices.Contains(s.held, o.at) || slices.Contains(o.held, s.at)
}

// rebase is what a node holds when it goes on as the sender does: its own messages
// up to where the sender is, and then the sender's.
func rebase(at place, own []entry, from place, theirs []entry) []entry {
	is := func(p place) func(entry) bool { return func(e entry) bool { return e.at == p } }
	if at == from {
		return theirs
	}
	if i := slices.IndexFunc(theirs, is(at)); i >= 0 {
		return theirs[i+1:]
	}
	i := slices.IndexFunc(own, is(from))
	return append(own[:i+1:i+1], theirs...)
}
