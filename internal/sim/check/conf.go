package check

import "slices"

// transitional handles tr(R→R').
func (c *Checker) transitional(p *life, e *Event) {
	if p.stay == nil {
		c.fail("C5", "the first configuration of node %d is transitional", p.node)
		return
	}
	if p.trans != nil {
		c.fail("C3", "node %d has two transitional configurations in a row", p.node)
		return
	}
	if e.Prev != p.stay.ring.id {
		c.fail("C3", "node %d leaves ring %v with a transitional configuration of ring %v", p.node, p.stay.ring.id, e.Prev)
		return
	}
	if !ascending(e.Members) || !slices.Contains(e.Members, p.node) {
		c.fail("C4", "transitional configuration of node %d has the members %v", p.node, e.Members)
		return
	}
	for _, n := range e.Members {
		if !slices.Contains(p.stay.ring.members, n) {
			c.fail("C6", "node %d comes along from ring %v, whose members are %v", n, e.Prev, p.stay.ring.members)
			return
		}
	}
	k := moveKey{p.stay.ring, c.ring(p, e.Ring)}
	m := c.moves[k]
	if m == nil {
		m = &move{from: k.from, to: k.to, trans: slices.Clone(e.Members)}
		c.moves[k] = m
		c.moveOf = append(c.moveOf, m)
	} else if !slices.Equal(m.trans, e.Members) {
		c.fail("C1", "from ring %v to %v nodes %v come along at one member, %v at node %d", e.Prev, e.Ring, m.trans, e.Members, p.node)
		return
	}
	p.trans = m
	p.stay.next = m
	p.stay.regLen = len(p.stay.dlv)
	m.stays = append(m.stays, p.stay)
}

// regular handles reg(R').
func (c *Checker) regular(p *life, e *Event) {
	if !c.regularShape(p, e) {
		return
	}
	if old := p.stay; old != nil {
		if p.trans == nil {
			c.fail("C3", "node %d goes from ring %v to %v without a transitional configuration", p.node, old.ring.id, e.Ring)
			return
		}
		if p.trans.to.id != e.Ring || e.Prev != old.ring.id {
			c.fail("C3", "node %d was on its way from ring %v to %v and installs %v, coming from %v",
				p.node, old.ring.id, p.trans.to.id, e.Ring, e.Prev)
			return
		}
		if !slices.Equal(e.Trans, p.trans.trans) {
			c.fail("C6", "node %d installs ring %v with %v coming along, its transitional configuration had %v",
				p.node, e.Ring, e.Trans, p.trans.trans)
			return
		}
		for _, n := range e.Trans {
			if !slices.Contains(e.Members, n) {
				c.fail("C6", "node %d comes along to ring %v, whose members are %v", n, e.Ring, e.Members)
				return
			}
		}
		c.leave(p, old)
	} else if len(e.Members) != 1 || !e.Prev.IsZero() {
		c.fail("C5", "the first configuration of node %d is ring %v with members %v", p.node, e.Ring, e.Members)
		return
	}
	c.leaveQuorum(p)
	r := c.ring(p, e.Ring)
	if r.members == nil {
		r.members, r.incs = slices.Clone(e.Members), slices.Clone(e.Incs)
	} else if !slices.Equal(r.members, e.Members) || !slices.Equal(r.incs, e.Incs) {
		c.fail("C1", "ring %v has the members %v %v, at node %d %v %v", e.Ring, r.members, r.incs, p.node, e.Members, e.Incs)
		return
	}
	c.installed(p, e)
	p.stay = &stay{life: p, ring: r, from: p.trans, hole: -1}
	r.stays = append(r.stays, p.stay)
	p.trans = nil
}

// regularShape checks what a regular configuration says about itself.
func (c *Checker) regularShape(p *life, e *Event) bool {
	if len(e.Members) == 0 || !ascending(e.Members) || len(e.Incs) != len(e.Members) {
		c.fail("C1", "ring %v at node %d: members %v with incarnations %v", e.Ring, p.node, e.Members, e.Incs)
		return false
	}
	i := slices.Index(e.Members, p.node)
	if i < 0 || e.Incs[i] != p.inc {
		c.fail("C4", "node %d (%d) installs ring %v of the nodes %v %v", p.node, p.inc, e.Ring, e.Members, e.Incs)
		return false
	}
	if e.Ring.Rep != e.Members[0] || e.Ring.Inc != uint32(e.Incs[0]) {
		c.fail("C1", "ring %v (%d) is not named after its representative %d (%d)", e.Ring, e.Ring.Inc, e.Members[0], e.Incs[0])
		return false
	}
	for j, n := range e.Members {
		if len(c.byInc[incKey{n, e.Incs[j]}]) == 0 {
			c.fail("C1", "ring %v names incarnation %d of node %d, which never started", e.Ring, e.Incs[j], n)
			return false
		}
	}
	return true
}

// installed checks C2. A life that started without its newest record may repeat
// ring seqs of earlier lives, as long as it knows of no higher ones; where its
// clock was no help either, even ring ids (ordering 2.2). What it knows binds the
// rings that it makes itself: the maker of others may not have heard it yet.
func (c *Checker) installed(p *life, e *Event) {
	n := c.nodes[p.node]
	if first, ok := n.installed[e.Ring]; ok && !(p.waived && first != p.id) {
		c.fail("C2", "node %d installs ring %v twice", p.node, e.Ring)
		return
	}
	n.installed[e.Ring] = p.id
	last := n.maxSeq
	if p.waived {
		last = 0
		if e.Ring.Rep == p.node && p.knows > 0 { // which may be of this ring, promised already
			last = min(n.maxSeq, p.knows-1)
		}
		if p.stay != nil {
			last = max(last, p.stay.ring.id.Seq)
		}
	}
	if e.Ring.Seq <= last {
		c.fail("C2", "node %d installs ring %v after one with seq %d", p.node, e.Ring, last)
		return
	}
	n.maxSeq = max(n.maxSeq, e.Ring.Seq)
}

// leave judges the end of a life's time in a ring: own messages (D1), and the
// same messages in the same places as all that go the same way (D2, D3).
func (c *Checker) leave(p *life, s *stay) {
	s.left = true
	for _, m := range p.open {
		if m.ring == s.ring {
			c.fail("D1", "node %d leaves ring %v without the own %v, sent in slot %d", p.node, s.ring.id, m, m.slot)
			return
		}
	}
	way := p.trans
	if len(way.done) > 0 {
		c.compare(way, way.done[0], s)
	}
	way.done = append(way.done, s)
}

// compare holds two lives on the same way against each other.
func (c *Checker) compare(w *move, a, b *stay) {
	n := min(len(a.dlv), len(b.dlv))
	i := 0
	for i < n && a.dlv[i] == b.dlv[i] {
		i++
	}
	if i == len(a.dlv) && i == len(b.dlv) {
		if a.regLen != b.regLen {
			c.fail("D3", "from ring %v to %v the transitional configuration stands after %d messages at node %d, after %d at node %d",
				w.from.id, w.to.id, a.regLen, a.life.node, b.regLen, b.life.node)
		}
		return
	}
	only := func(x, y *stay) *message {
		for _, m := range x.dlv {
			if !slices.Contains(y.dlv, m) {
				return m
			}
		}
		return nil
	}
	if m := only(a, b); m != nil {
		c.fail("D2", "from ring %v to %v node %d delivered the %v (slot %d), node %d did not", w.from.id, w.to.id, a.life.node, m, m.slot, b.life.node)
	} else if m := only(b, a); m != nil {
		c.fail("D2", "from ring %v to %v node %d delivered the %v (slot %d), node %d did not", w.from.id, w.to.id, b.life.node, m, m.slot, a.life.node)
	} else {
		c.fail("D3", "from ring %v to %v nodes %d and %d delivered the same messages in different orders, from place %d on",
			w.from.id, w.to.id, a.life.node, b.life.node, i)
	}
}

func ascending(l []NodeID) bool {
	for i := 1; i < len(l); i++ {
		if l[i] <= l[i-1] {
			return false
		}
	}
	return true
}
