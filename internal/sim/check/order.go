package check

import "slices"

// maxFrames bounds the slots of one ring that a trace may name; a slot beyond
// is a wild number.
const maxFrames = 1 << 24

func (c *Checker) submit(p *life, e *Event) {
	k := msgKey{p.id, e.K}
	if c.msgs[k] != nil {
		c.fail("B1", "node %d (%d) accepts two messages with number %d", p.node, p.inc, e.K)
		return
	}
	log := &p.classes[e.Class%numClasses]
	m := &message{by: p, k: e.K, class: e.Class % numClasses, safe: e.Safe, size: e.Size, hash: e.Hash, index: len(log.sent), pos: -1}
	if p.stay != nil && p.trans == nil {
		m.heardRing, m.heardPos = p.stay, p.stay.prefix
	}
	log.sent = append(log.sent, m)
	p.open = append(p.open, m)
	c.msgs[k] = m
}

// orig handles a piece that its sender put into ring order: one owner a slot
// (B6), the pieces of a message together and in one ring (B4).
func (c *Checker) orig(p *life, e *Event) {
	m := c.msgs[msgKey{p.id, e.K}]
	if m == nil {
		c.fail("B1", "node %d orders a piece of its message %d, which nobody submitted", p.node, e.K)
		return
	}
	r := c.ring(p, e.Ring)
	if !c.own(r, p, e.Slot) {
		return
	}
	if m.ring != nil {
		c.fail("B4", "%v was complete in slot %d of ring %v and is sent again in slot %d of ring %v", m, m.slot, m.ring.id, e.Slot, e.Ring)
		return
	}
	log := &p.classes[m.class]
	if log.piece != nil && log.ring != r {
		log.piece, log.next = nil, 0 // void, it starts again in this ring (ordering 2.21)
	}
	switch {
	case log.piece != nil && log.piece != m:
		c.fail("B4", "a piece of %v stands within %v in slot %d of ring %v", m, log.piece, e.Slot, e.Ring)
		return
	case e.No != log.next:
		c.fail("B4", "piece %d of %v stands where piece %d is due, slot %d of ring %v", e.No, m, log.next, e.Slot, e.Ring)
		return
	case log.piece != nil && e.Slot < log.slot:
		c.fail("B4", "piece %d of %v stands in slot %d of ring %v, the piece before in slot %d", e.No, m, e.Slot, e.Ring, log.slot)
		return
	}
	log.piece, log.next, log.slot, log.ring = m, e.No+1, e.Slot, r
	if e.Last {
		log.piece, log.next = nil, 0
		m.ring, m.slot, m.pos = r, e.Slot, len(r.sent)
		if m.pos > 0 && r.sent[m.pos-1].slot > e.Slot {
			c.fail("B6", "slot %d of ring %v is used after slot %d", e.Slot, e.Ring, r.sent[m.pos-1].slot)
			return
		}
		r.sent = append(r.sent, m)
	}
}

// own notes that p originated slot s, which nobody else may.
func (c *Checker) own(r *ring, p *life, s Slot) bool {
	i, ok := c.slot(r, s)
	if !ok {
		return false
	}
	if was := r.origins[i]; was != 0 && was != p.id {
		c.fail("B6", "slot %d of ring %v is used by node %d and by node %d", s, r.id, c.lives[was-1].node, p.node)
		return false
	}
	r.origins[i] = p.id
	p.hold(r, i)
	return true
}

// frame handles a data frame that left a node: wherever a slot's bytes come
// from they are the same (B6).
func (c *Checker) frame(p *life, e *Event) {
	r := c.ring(p, e.Ring)
	i, ok := c.slot(r, e.Slot)
	if !ok {
		return
	}
	h := e.Hash | 1 // never zero
	if was := r.frames[i]; was != 0 && was != h {
		c.fail("B6", "node %d sends other bytes in slot %d of ring %v than went there before", p.node, e.Slot, e.Ring)
		return
	}
	r.frames[i] = h
	p.hold(r, i)
}

// held handles a frame that a life stored.
func (c *Checker) held(p *life, e *Event) {
	r := c.ring(p, e.Ring)
	i, ok := c.slot(r, e.Slot)
	if !ok {
		return
	}
	h := e.Hash | 1
	if was := r.stored[i]; was != 0 && was != h {
		c.fail("B6", "node %d holds other bytes in slot %d of ring %v than another member", p.node, e.Slot, e.Ring)
		return
	}
	r.stored[i] = h
	p.hold(r, i)
}

// holding finds or makes the entry of a ring.
func (p *life) holding(r *ring) *holding {
	for i := len(p.holds) - 1; i >= 0; i-- {
		if p.holds[i].ring == r {
			return p.holds[i]
		}
	}
	h := &holding{ring: r, aru: r.base - 1}
	p.holds = append(p.holds, h)
	return h
}

// hold notes that p has the slot with index i.
func (p *life) hold(r *ring, i int) {
	h := p.holding(r)
	for len(h.bits) <= i/64 {
		h.bits = append(h.bits, 0)
	}
	h.bits[i/64] |= 1 << (i % 64)
	for {
		next := int(h.aru + 1 - r.base)
		if next/64 >= len(h.bits) || h.bits[next/64]>>(next%64)&1 == 0 {
			return
		}
		h.aru++
	}
}

// slot finds the index of a slot in the ring's tables and makes room for it.
func (c *Checker) slot(r *ring, s Slot) (int, bool) {
	if s < r.base || s-r.base >= maxFrames {
		c.fail("B6", "slot %d of ring %v is far from %d, the first one seen", s, r.id, r.base)
		return 0, false
	}
	i := int(s - r.base)
	if n := i + 1 - len(r.frames); n > 0 {
		r.frames = append(r.frames, make([]uint64, n)...)
		r.origins = append(r.origins, make([]Life, n)...)
		r.stored = append(r.stored, make([]uint64, n)...)
	}
	return i, true
}

func (c *Checker) deliver(p *life, e *Event) {
	m := c.sent(p, e)
	s := p.stay
	switch {
	case m == nil:
		c.fail("B1", "node %d delivers message %d of node %d (%d), which nobody submitted", p.node, e.K, e.From, e.FromInc)
	case m.size != e.Size || m.hash != e.Hash || m.class != e.Class:
		c.fail("B1", "node %d delivers %v with other content: %d bytes instead of %d, hash %x instead of %x",
			p.node, m, e.Size, m.size, e.Hash, m.hash)
	case e.Safe && !m.safe:
		c.fail("B1", "node %d delivers %v as a safe one", p.node, m)
	case s == nil:
		c.fail("C5", "node %d delivers %v before its first configuration", p.node, m)
	case e.Ring != s.ring.id:
		c.fail("B5", "node %d delivers %v of ring %v in ring %v", p.node, m, e.Ring, s.ring.id)
	case m.ring == nil:
		c.fail("B5", "node %d delivers %v, which has no place in the order yet", p.node, m)
	case m.ring != s.ring:
		c.fail("B5", "node %d delivers %v in ring %v, it was sent in ring %v", p.node, m, s.ring.id, m.ring.id)
	case m.slot != e.Slot:
		c.fail("O1", "node %d delivers %v in slot %d of ring %v, it was sent in slot %d", p.node, m, e.Slot, e.Ring, m.slot)
	case !slices.Contains(s.ring.members, e.From):
		c.fail("B3", "node %d delivers %v in ring %v, whose members are %v", p.node, m, s.ring.id, s.ring.members)
	case s.delivered(m.pos):
		c.fail("B2", "node %d delivers %v twice", p.node, m)
	default:
		c.place(p, s, m)
		c.fifo(p, s, m)
		if m.safe && p.trans == nil {
			c.installedBefore(p, s.ring, m)
		}
		s.dlv = append(s.dlv, m)
		if m.by == p {
			p.open = slices.DeleteFunc(p.open, func(o *message) bool { return o == m })
		}
	}
}

// sent finds the message that a delivery means. Two lives may carry one
// incarnation where a record was lost and the clock stood still; then it is the
// life that is in the receiver's ring.
func (c *Checker) sent(p *life, e *Event) *message {
	lives := c.byInc[incKey{e.From, e.FromInc}]
	if len(lives) == 0 {
		return nil
	}
	by := lives[len(lives)-1]
	for _, l := range lives {
		if l == p || e.From != p.node && p.stay != nil && p.stay.ring.stay(l) != nil {
			by = l
		}
	}
	return c.msgs[msgKey{by.id, e.K}]
}

// place checks the order within a ring: no gap in the regular configuration
// (O3), none but of those that did not come along in the transitional (O4).
func (c *Checker) place(p *life, s *stay, m *message) {
	if p.trans == nil {
		if m.pos > s.prefix {
			gap := s.ring.sent[s.prefix]
			c.fail("O3", "node %d delivers %v (slot %d of ring %v) before the %v (slot %d)", p.node, m, m.slot, s.ring.id, gap, gap.slot)
			return
		}
		s.prefix++ // not delivered, so pos is the prefix
		return
	}
	from := s.prefix
	if n := len(s.extra); n > 0 {
		from = s.extra[n-1] + 1
	}
	if m.pos < from {
		c.fail("O1", "node %d delivers %v (slot %d of ring %v) after later ones", p.node, m, m.slot, s.ring.id)
		return
	}
	for _, gap := range s.ring.sent[from:m.pos] {
		if slices.Contains(p.trans.trans, gap.by.node) {
			c.fail("O4", "node %d delivers %v (slot %d of ring %v) without the %v (slot %d), whose sender came along",
				p.node, m, m.slot, s.ring.id, gap, gap.slot)
			return
		}
	}
	if m.pos > from && s.hole < 0 {
		s.hole = from
	}
	s.extra = append(s.extra, m.pos)
}

// fifo checks O6: what is left out of one sender's messages in one class was
// sent where the receiver was not, or did not stay together with the sender.
func (c *Checker) fifo(p *life, s *stay, m *message) {
	h := p.heard[m.by.id]
	if h == nil {
		h = new(hearing)
		p.heard[m.by.id] = h
	}
	if m.index < h.next[m.class] {
		c.fail("O6", "node %d delivers %v after later ones of its class", p.node, m)
		return
	}
	for _, gap := range m.by.classes[m.class].sent[h.next[m.class]:m.index] {
		if gap.ring == nil {
			c.fail("O6", "node %d delivers %v before the %v of the same class", p.node, m, gap)
			return
		}
		was := gap.ring.stay(p)
		if was == nil {
			continue // it was not there
		}
		if was.next == nil || slices.Contains(was.next.trans, m.by.node) {
			c.fail("O6", "node %d delivers %v without the %v of ring %v before it", p.node, m, gap, gap.ring.id)
			return
		}
	}
	h.next[m.class] = m.index + 1
}

func (r *ring) stay(p *life) *stay {
	for _, s := range r.stays {
		if s.life == p {
			return s
		}
	}
	return nil
}

// installedBefore checks S3: a safe message comes out in reg(R) only when every
// member has installed R or is dead.
func (c *Checker) installedBefore(p *life, r *ring, m *message) {
	for i, n := range r.members {
		if r.stayOf(n, r.incs[i]) != nil {
			continue
		}
		for _, q := range c.byInc[incKey{n, r.incs[i]}] {
			if q.end == alive {
				c.fail("S3", "node %d delivers the %v in ring %v before node %d has installed that ring", p.node, m, r.id, n)
				return
			}
		}
	}
}

// stable checks S4: at the instant of the claim everybody has what is claimed.
func (c *Checker) stable(p *life, e *Event) {
	r := c.rings[e.Ring]
	if r == nil || r.members == nil || e.Slot <= c.opt.FirstSlot {
		return
	}
	for i, n := range r.members {
		for _, q := range c.byInc[incKey{n, r.incs[i]}] {
			if q.end != alive {
				continue
			}
			if h := q.holding(r); h.aru < e.Slot {
				c.fail("S4", "node %d takes slot %d of ring %v for stable, node %d has all up to %d", p.node, e.Slot, e.Ring, n, h.aru)
				return
			}
		}
	}
}
