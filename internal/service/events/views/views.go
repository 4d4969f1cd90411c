// Package views makes of membership facts what the membership service of the AIS
// tells: views, with what each means for every node (openais-executive 6.3). It is
// pure: package ais/clm and the simulator's clients run the same code.
package views

import (
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/events"
)

// Change is what a view means for a node, with the numbers of the AIS.
type Change uint8

// Changes.
const (
	NoChange Change = 1 + iota
	Joined          // it is new, or was away
	Left            // it is no member any more
)

// Item is a node in a view; of one that left, what was known last.
type Item struct {
	Member events.Member
	Change Change
}

// View is what one change is told as. Its items are the members by when they came and
// by id, then who left.
type View struct {
	Number  uint32
	Items   []Item
	Members int // nodes in the view
}

// Tracker follows the facts of one registration, and of those that take its place
// after an eviction. The zero Tracker has seen nothing.
type Tracker struct {
	last  events.Fact
	known bool
	away  bool // the others went on without this node since
}

// Follow takes a fact and tells a view, if it is one. The first is not told: changes
// begin with it. At a node that was away the others have joined.
func (t *Tracker) Follow(self proto.NodeID, f *events.Fact) (v View, tell bool) {
	switch f.Kind {
	case events.Evicted:
		t.away = !bug.Planted("events-returns-as-new")
		return v, false
	case events.NewMembership:
	default:
		return v, false
	}
	before, known, away := t.last.Members, t.known, t.away
	t.last, t.known, t.away = *f, true, false
	if !known {
		return v, false
	}
	v = View{Number: f.Seq, Members: len(f.Members)}
	for _, m := range f.Members {
		same := slices.Contains(before, m)
		if away {
			same = m.ID == self
		}
		change := Joined
		if same {
			change = NoChange
		}
		v.Items = append(v.Items, Item{m, change})
	}
	for _, m := range before {
		if !slices.ContainsFunc(f.Members, func(o events.Member) bool { return o.ID == m.ID }) && !bug.Planted("events-leavers-untold") {
			v.Items = append(v.Items, Item{m, Left})
		}
	}
	return v, true
}

// Current is a fact as a view without changes.
func Current(f *events.Fact) View {
	v := View{Number: f.Seq, Members: len(f.Members)}
	for _, m := range f.Members {
		v.Items = append(v.Items, Item{m, NoChange})
	}
	return v
}
