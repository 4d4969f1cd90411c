package check

import (
	"fmt"
	"slices"
)

// watched is what a client of the AIS saw of the membership, over the registrations
// that follow each other (openais-executive 6.3).
type watched struct {
	before []NewsMember
	known  bool
	away   bool
	due    []View // at most two
}

// saw works out what a fact is to be told as.
func (w *watched) saw(self NodeID, sub uint32, i *NewsItem) {
	switch i.Fact {
	case factEvicted:
		w.away = true
	case factNew:
		if w.known {
			w.due = w.views(sub, self, i)
		}
		w.before, w.known, w.away = i.Members, true, false
	}
}

// views are what the lists of a fact mean: who stays, came and left; at who was away
// all others came. Who left and is back is told in two views, whose numbers make room
// for that.
func (w *watched) views(sub uint32, self NodeID, i *NewsItem) []View {
	of := func(l []NewsMember, id NodeID) bool {
		return slices.ContainsFunc(l, func(m NewsMember) bool { return m.Node == id })
	}
	out := i.Out
	if w.away {
		out = w.before
	}
	last := View{Sub: sub, Number: 2 * i.Seq, Members: len(i.Members)}
	between := View{Sub: sub, Number: 2*i.Seq - 1}
	for _, m := range i.Members {
		came := w.away && m.Node != self || !w.away && of(i.In, m.Node)
		if !came {
			between.Items = append(between.Items, ViewItem{m.Node, m.Born, 1})
			between.Members++
		}
		last.Items = append(last.Items, ViewItem{m.Node, m.Born, map[bool]uint8{false: 1, true: 2}[came]})
	}
	twice := !w.away && slices.ContainsFunc(out, func(m NewsMember) bool { return of(i.In, m.Node) })
	left := &last
	if twice {
		left = &between
	}
	for _, m := range out {
		if twice || !of(i.Members, m.Node) {
			left.Items = append(left.Items, ViewItem{m.Node, m.Born, 3})
		}
	}
	if twice {
		return []View{between, last}
	}
	return []View{last}
}

// viewed takes what a client is told of a view.
func (n *News) viewed(c *newsClient, v *View) {
	w := c.watched[v.Sub]
	if w == nil || len(w.due) == 0 {
		n.failFor("EV13", c, v.Sub, "is told view %d, and nothing new was", v.Number)
		return
	}
	if got, want := fmt.Sprint(*v), fmt.Sprint(w.due[0]); got != want {
		n.failFor("EV13", c, v.Sub, "is told view\n  %s\nby the rules\n  %s", got, want)
	}
	w.due = w.due[1:]
}

// viewedAll demands that a client was told what it is to know.
func (n *News) viewedAll(c *newsClient) {
	for sub, w := range c.watched {
		if len(w.due) > 0 {
			n.failFor("EV13", c, sub, "was not told view %d", w.due[0].Number)
		}
	}
}
