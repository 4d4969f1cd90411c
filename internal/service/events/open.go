package events

import (
	"maps"
	"slices"
)

// open is what subscriptions share that get each event once. It lives as long as the
// channel with its number, or else as long as the connection, unless that has too many:
// subscribing again brings nothing again.
type open struct {
	last uint64          // event that one of them got, or would have
	seen map[uint64]bool // events kept for a time that were told
	tidy int             // how many of these make it worth to look which are kept still
}

// leastSeen is how many events an open remembers without looking.
const leastSeen = 1024

// opening is the open with a number, made if there is none.
func (c *client) opening(id uint32) *open {
	o := c.opens[id]
	if o == nil {
		if len(c.opens) >= MaxSubs {
			maps.DeleteFunc(c.opens, func(id uint32, o *open) bool { return !c.uses(id, o) })
		}
		o = &open{seen: map[uint64]bool{}, tidy: leastSeen}
		c.opens[id] = o
	}
	return o
}

// uses reports whether something of the client has to do with an open.
func (c *client) uses(id uint32, o *open) bool {
	return slices.ContainsFunc(c.subs, func(u *sub) bool { return u.open == o || u.class == Channel && u.id == id })
}

// note remembers that an event was told that is kept for a time. It forgets those that
// are not any more: they never come again, unless this node is to bring them still.
func (o *open) note(d *state, id uint64) {
	if o.seen[id] = true; len(o.seen) < o.tidy {
		return
	}
	timed := map[uint64]bool{}
	for t := range d.all() {
		for _, e := range t.kept {
			if e.timed {
				timed[e.id] = true
			}
		}
	}
	maps.DeleteFunc(o.seen, func(id uint64, _ bool) bool { return !timed[id] && d.knows(id, false) })
	o.tidy = max(leastSeen, 2*len(o.seen))
}
