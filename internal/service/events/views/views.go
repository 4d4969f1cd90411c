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

// Number is that of the view in which a membership is told, by the Seq of its fact or the
// Born of who came with it. The numbers between are those of views that tell that nodes
// left which are back with the same fact.
func Number(seq uint32) uint64 { return 2 * uint64(seq) }

// Item is a node in a view; of one that left, what was known last.
type Item struct {
	Member events.Member
	Change Change
}

// View is what one change is told as. Its items are the members by when they came and
// by id, then who left.
type View struct {
	Number  uint64
	Items   []Item
	Members int // nodes in the view
}

// Tracker follows the facts of one registration, and of those that take its place
// after an eviction. The zero Tracker has seen nothing.
type Tracker struct {
	members []events.Member
	known   bool
	away    bool // the others went on without this node since
}

// Follow takes a fact and tells the views that it makes. The first fact makes none:
// changes begin with it. At a node that was away the others have joined. Elsewhere a node
// that left and is back with one fact is told in two views, as programs must hear of both
// (openais-executive L7).
func (t *Tracker) Follow(self proto.NodeID, f *events.Fact) (list []View) {
	switch f.Kind {
	case events.Evicted:
		t.away = !bug.Planted("events-returns-as-new")
		return nil
	case events.NewMembership:
	default:
		return nil
	}
	before, known, away := t.members, t.known, t.away
	t.members, t.known, t.away = slices.Clone(f.Members), true, false
	if !known {
		return nil
	}
	stays := func(m events.Member) bool { return away && m.ID == self || !away && slices.Contains(before, m) }
	back := func(m events.Member) bool { return !away && !stays(m) && among(before, m.ID) }
	if slices.ContainsFunc(f.Members, back) {
		between := slices.DeleteFunc(slices.Clone(f.Members), func(m events.Member) bool { return !stays(m) })
		list = append(list, change(Number(f.Seq)-1, before, between, stays))
		before = between
	}
	return append(list, change(Number(f.Seq), before, f.Members, stays))
}

func among(list []events.Member, id proto.NodeID) bool {
	return slices.ContainsFunc(list, func(m events.Member) bool { return m.ID == id })
}

// change is a view as it differs from the members before.
func change(number uint64, before, members []events.Member, stays func(events.Member) bool) View {
	v := View{Number: number, Members: len(members)}
	for _, m := range members {
		change := Joined
		if stays(m) {
			change = NoChange
		}
		v.Items = append(v.Items, Item{m, change})
	}
	for _, m := range before {
		if !among(members, m.ID) && !bug.Planted("events-leavers-untold") {
			v.Items = append(v.Items, Item{m, Left})
		}
	}
	return v
}

// Current is a fact as a view without changes.
func Current(f *events.Fact) View {
	v := View{Number: Number(f.Seq), Members: len(f.Members)}
	for _, m := range f.Members {
		v.Items = append(v.Items, Item{m, NoChange})
	}
	return v
}
