package check

import "slices"

// quorumState follows the quorate configurations of a trace.
type quorumState struct {
	active *ring    // shown quorate by all its members, all of them in it
	last   []NodeID // members of the newest one that ever was
	lastID RingID
	told   bool // somebody showed a decision: there is a quorum service
}

// ringQuorum is what the members of one ring said.
type ringQuorum struct {
	shown   []decision    // in the order of the ring, by whoever came first
	count   map[Life]int  // how many of them a life has shown
	quorate map[Life]bool // the last one
	synced  []int         // how many of them whoever finished that round first had shown by then
}

type decision struct {
	quorate                 bool
	expected, votes, device uint32
}

// agrees reports whether two members may show that at one place: the same, but
// for the votes of a quorum device, which count at those that it votes for
// (ordering 4.5).
func (d decision) agrees(o decision) bool {
	return d.expected == o.expected && d.votes-d.device == o.votes-o.device && (d.quorate == o.quorate || d.device != o.device)
}

// shown handles a quorum decision that a node shows to its clients.
func (c *Checker) shown(p *life, e *Event) {
	if p.stay == nil || p.stay.ring.id != e.Ring {
		c.fail("Q3", "node %d shows a decision of ring %v, where it is not", p.node, e.Ring)
		return
	}
	r := p.stay.ring
	q := &r.quorum
	if q.count == nil {
		q.count, q.quorate = make(map[Life]int), make(map[Life]bool)
	}
	d := decision{e.Quorate, e.Expected, e.Votes, e.Device}
	i := q.count[p.id]
	q.count[p.id]++
	if i == len(q.shown) {
		q.shown = append(q.shown, d)
	} else if !q.shown[i].agrees(d) {
		c.fail("Q3", "in ring %v node %d shows %+v, another member %+v", r.id, p.node, d, q.shown[i])
		return
	}
	q.quorate[p.id] = e.Quorate
	c.quorum.told = true
	c.primary(r)
}

// primary checks Q1 and Q2 when a configuration is quorate in the eyes of all
// its members.
func (c *Checker) primary(r *ring) {
	for i, n := range r.members {
		s := r.stayOf(n, r.incs[i])
		if s == nil || s.left || s.life.end != alive || !r.quorum.quorate[s.life.id] {
			if c.quorum.active == r {
				c.quorum.active = nil
			}
			return
		}
	}
	if c.quorum.active == r {
		return
	}
	if a := c.quorum.active; a != nil && !c.opt.Overlap {
		c.fail("Q1", "ring %v %v is quorate while ring %v %v is", r.id, r.members, a.id, a.members)
		return
	}
	if !c.opt.Dynamic && !c.opt.Overlap && c.quorum.last != nil && !shares(r.members, c.quorum.last) {
		c.fail("Q2", "the quorate ring %v %v shares no member with the one before, %v %v", r.id, r.members, c.quorum.lastID, c.quorum.last)
		return
	}
	c.quorum.active, c.quorum.last, c.quorum.lastID = r, r.members, r.id
}

// leaveQuorum ends the primary component that a life leaves.
func (c *Checker) leaveQuorum(p *life) {
	if a := c.quorum.active; a != nil && p.stay != nil && p.stay.ring == a {
		c.quorum.active = nil
	}
}

func shares(a, b []NodeID) bool {
	return slices.ContainsFunc(a, func(n NodeID) bool { return slices.Contains(b, n) })
}

// synced checks the part of Q3 that concerns the end of a round, which stands at
// one place of the ring's order: all have shown the same decisions until there.
func (c *Checker) synced(p *life, s *stay) {
	q := &s.ring.quorum
	n := q.count[p.id]
	i := s.synced
	s.synced++
	switch {
	case n == 0 && c.quorum.told:
		c.fail("Q3", "node %d is synchronised in ring %v and shows no decision of it", p.node, s.ring.id)
	case i >= len(q.synced):
		q.synced = append(q.synced, n)
	case n != q.synced[i]:
		c.fail("Q3", "node %d has shown %d decisions when round %d of ring %v is finished, another member %d", p.node, n, i, s.ring.id, q.synced[i])
	}
}

// decided checks Q3 where a trace ends: members that are synchronised have shown
// the same decisions.
func (c *Checker) decided(r *ring, drained bool) {
	if !drained {
		return
	}
	var first *stay
	for _, s := range r.stays {
		if s.left || s.synced == 0 || s.life.end != alive {
			continue
		}
		if first == nil {
			first = s
		}
		if a, b := r.quorum.count[first.life.id], r.quorum.count[s.life.id]; a != b {
			c.fail("Q3", "in ring %v node %d shows %d decisions, node %d shows %d", r.id, first.life.node, a, s.life.node, b)
			return
		}
	}
}
