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
	due    *View
}

// saw works out what a fact is to be told as.
func (w *watched) saw(self NodeID, sub uint32, i *NewsItem) {
	switch i.Fact {
	case factEvicted:
		w.away = true
	case factNew:
		if w.known {
			w.due = w.view(self, sub, i)
		}
		w.before, w.known, w.away = i.Members, true, false
	}
}

// view is what the lists of a fact mean: who stays, came and left; at who was away
// all others came.
func (w *watched) view(self NodeID, sub uint32, i *NewsItem) *View {
	v := &View{Sub: sub, Number: i.Seq, Members: len(i.Members)}
	of := func(l []NewsMember, id NodeID) bool {
		return slices.ContainsFunc(l, func(m NewsMember) bool { return m.Node == id })
	}
	for _, m := range i.Members {
		change := uint8(1)
		if w.away && m.Node != self || !w.away && of(i.In, m.Node) {
			change = 2
		}
		v.Items = append(v.Items, ViewItem{m.Node, m.Born, change})
	}
	out := i.Out
	if w.away {
		out = w.before
	}
	for _, m := range out {
		if !of(i.Members, m.Node) {
			v.Items = append(v.Items, ViewItem{m.Node, m.Born, 3})
		}
	}
	return v
}

// viewed takes what a client is told of a view.
func (n *News) viewed(c *newsClient, v *View) {
	w := c.watched[v.Sub]
	if w == nil || w.due == nil {
		n.failFor("EV13", c, v.Sub, "is told view %d, and nothing new was", v.Number)
		return
	}
	if got, want := fmt.Sprint(*v), fmt.Sprint(*w.due); got != want {
		n.failFor("EV13", c, v.Sub, "is told view\n  %s\nby the rules\n  %s", got, want)
	}
	w.due = nil
}

// viewedAll demands that a client was told what it is to know.
func (n *News) viewedAll(c *newsClient) {
	for sub, w := range c.watched {
		if w.due != nil {
			n.failFor("EV13", c, sub, "was not told view %d", w.due.Number)
		}
	}
}
