package play

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/moothall/moothall/internal/proto"
)

// A life is one program on one node, from its join to its end, and everything it
// saw in the order it saw it.
type life struct {
	node  proto.NodeID
	no    int // of the node's lives, from 1
	views []view
	sent  uint64
	own   uint64 // of them that it saw
	whole bool   // it was never killed, so it has to see all that it sent
}

// A view is one configuration and what was delivered before the next one.
type view struct {
	ring    proto.RingID
	members []proto.NodeID
	got     []message
}

// A message is one delivery. Number counts the messages of one life.
type message struct {
	slot   proto.Slot
	from   proto.NodeID
	life   int
	number uint64
	sum    uint64 // of the body
}

// verdict is what check found.
type verdict struct {
	deliveries int
	views      int
	violations []string
	hash       [sha256.Size]byte // of every ring's order, for comparison by eye
}

// maxViolations bounds a report.
const maxViolations = 20

// check judges what all lives saw. It shares nothing with the engine: it knows
// only what a program is told.
func check(lives []*life) verdict {
	c := checker{rings: map[proto.RingID]*ringFacts{}}
	for _, l := range lives {
		c.life(l)
	}
	for i, a := range lives {
		for _, b := range lives[i+1:] {
			c.together(a, b)
		}
	}
	c.v.hash = c.hash()
	return c.v
}

type checker struct {
	v     verdict
	rings map[proto.RingID]*ringFacts
}

// ringFacts is what all lives together say about a ring. A slot has one sender
// and may hold several of its messages.
type ringFacts struct {
	members []proto.NodeID
	sender  map[proto.Slot]message
	order   map[place]uint64 // the body's sum
}

type place struct {
	slot   proto.Slot
	number uint64
}

func (c *checker) fault(format string, args ...any) {
	if len(c.v.violations) < maxViolations {
		c.v.violations = append(c.v.violations, fmt.Sprintf(format, args...))
	}
}

// life checks one life by itself, and that no other life says otherwise about
// the same place of the same ring.
func (c *checker) life(l *life) {
	type sender struct {
		node proto.NodeID
		life int
	}
	last := map[sender]uint64{}
	var own uint64
	for i, v := range l.views {
		c.v.views++
		if i > 0 && v.ring.Compare(l.views[i-1].ring) <= 0 {
			c.fault("node %d went from ring %v back to %v", l.node, l.views[i-1].ring, v.ring)
		}
		if !slices.Contains(v.members, l.node) {
			c.fault("node %d is not a member of its own ring %v", l.node, v.ring)
		}
		facts := c.facts(l, v)
		var before proto.Slot
		here := map[sender]bool{} // heard in this view
		for _, m := range v.got {
			c.v.deliveries++
			if m.slot < before {
				c.fault("node %d delivered slot %d of ring %v after slot %d", l.node, m.slot, v.ring, before)
			}
			before = m.slot
			from := sender{m.from, m.life}
			if m.number <= last[from] || here[from] && m.number != last[from]+1 {
				c.fault("node %d delivered message %d of node %d after message %d", l.node, m.number, m.from, last[from])
			}
			last[from], here[from] = m.number, true
			if m.from == l.node && m.life == l.no {
				own++
			}
			c.place(l, v, facts, m)
		}
	}
	if l.whole && own != l.sent {
		c.fault("node %d sent %d messages and saw %d of them", l.node, l.sent, own)
	}
}

func (c *checker) facts(l *life, v view) *ringFacts {
	facts := c.rings[v.ring]
	if facts == nil {
		facts = &ringFacts{members: v.members, sender: map[proto.Slot]message{}, order: map[place]uint64{}}
		c.rings[v.ring] = facts
	}
	if !slices.Equal(facts.members, v.members) {
		c.fault("ring %v has the members %v, and for node %d %v", v.ring, facts.members, l.node, v.members)
	}
	return facts
}

// place remembers a message under its slot, or finds that others saw something
// else there.
func (c *checker) place(l *life, v view, facts *ringFacts, m message) {
	known, ok := facts.sender[m.slot]
	if !ok {
		facts.sender[m.slot] = m
	} else if known.from != m.from || known.life != m.life {
		c.fault("slot %d of ring %v is of node %d, and for node %d of node %d", m.slot, v.ring, known.from, l.node, m.from)
		return
	}
	at := place{m.slot, m.number}
	if sum, ok := facts.order[at]; ok && sum != m.sum {
		c.fault("message %d of node %d reads differently on node %d", m.number, m.from, l.node)
	}
	facts.order[at] = m.sum
}

// together compares two lives that went from one ring to the next together: in
// the first they delivered the same messages in the same order. The last views
// are compared too when both have the same one, for nothing is on its way when
// the check runs.
func (c *checker) together(a, b *life) {
	for i, va := range a.views {
		j := slices.IndexFunc(b.views, func(vb view) bool { return vb.ring == va.ring })
		if j < 0 {
			continue
		}
		endA, endB := i == len(a.views)-1, j == len(b.views)-1
		same := endA && endB && a.whole && b.whole || !endA && !endB && a.views[i+1].ring == b.views[j+1].ring
		if same && !sameOrder(va.got, b.views[j].got, i == 0, j == 0) {
			c.fault("nodes %d and %d were in ring %v together and delivered different messages: %d and %d of them", a.node, b.node, va.ring, len(va.got), len(b.views[j].got))
		}
	}
}

// sameOrder compares the deliveries of one ring. A life that began in the ring
// may have missed what came before.
func sameOrder(a, b []message, beganA, beganB bool) bool {
	n := min(len(a), len(b))
	return (len(a) == n || beganB) && (len(b) == n || beganA) && slices.Equal(a[len(a)-n:], b[len(b)-n:])
}

func (c *checker) hash() [sha256.Size]byte {
	h := sha256.New()
	for _, r := range slices.SortedFunc(maps.Keys(c.rings), proto.RingID.Compare) {
		facts := c.rings[r]
		places := slices.SortedFunc(maps.Keys(facts.order), func(a, b place) int {
			return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.number, b.number))
		})
		for _, p := range places {
			for _, n := range []uint64{r.Seq, uint64(r.Rep), uint64(p.slot), uint64(facts.sender[p.slot].from), p.number, facts.order[p]} {
				binary.Write(h, binary.LittleEndian, n)
			}
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}
