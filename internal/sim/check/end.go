package check

import "slices"

// End checks what only the whole trace can show. drained says that the trace
// ends with a quiet, healed cluster, so that what is still missing will never
// come.
func (c *Checker) End(at Tick, drained bool) {
	c.now, c.cur = at, 0
	for _, r := range c.order {
		if r.members == nil {
			continue
		}
		c.agreed(r, drained)
		c.causal(r)
		c.safe(r, drained)
		c.decided(r, drained)
	}
	for _, m := range c.moveOf {
		c.cameAlong(m, drained)
	}
	if !drained {
		return
	}
	for _, p := range c.lives {
		if p.end == alive && len(p.open) > 0 {
			c.fail("D1", "node %d never delivers its own %v", p.node, p.open[0])
		}
	}
}

// agreed checks C7: whoever stands in an installed ring installs it too, dies,
// or goes on to a later one.
func (c *Checker) agreed(r *ring, drained bool) {
	if !drained {
		return
	}
	for i, n := range r.members {
		if r.stayOf(n, r.incs[i]) != nil {
			continue
		}
		for _, q := range c.byInc[incKey{n, r.incs[i]}] {
			if q.end == alive && (q.stay == nil || q.stay.ring.id.Seq <= r.id.Seq) {
				c.fail("C7", "node %d is a member of ring %v, never installs it and stays behind", n, r.id)
			}
		}
	}
}

// causal checks O5 on its own: whoever delivers a message in the ring it was
// submitted in has delivered all that its sender had delivered there before.
func (c *Checker) causal(r *ring) {
	for _, s := range r.stays {
		has := make([]bool, len(r.sent))
		first := 0 // not delivered yet
		for _, m := range s.dlv {
			if m.ring == r {
				has[m.pos] = true
			}
			if m.heardRing != nil && m.heardRing.ring == r {
				for first < len(has) && has[first] {
					first++
				}
				if first < m.heardPos {
					c.fail("O5", "node %d delivers the %v of ring %v without the %v, which its sender had delivered before it",
						s.life.node, m, r.id, r.sent[first])
					return
				}
			}
		}
	}
}

// safe checks S1 and S2.
func (c *Checker) safe(r *ring, drained bool) {
	top := 0 // of what somebody delivered in the regular configuration
	for _, s := range r.stays {
		top = max(top, s.prefix)
	}
	for _, m := range r.sent[:top] {
		if !m.safe {
			continue
		}
		for i, n := range r.members {
			if s := r.stayOf(n, r.incs[i]); s != nil && !c.hasOrDied(s, m, drained) {
				c.fail("S1", "the %v was delivered as safe in ring %v, node %d did not deliver it", m, r.id, n)
				return
			}
		}
	}
	for _, s := range r.stays {
		for _, pos := range s.extra {
			m := r.sent[pos]
			if !m.safe {
				continue
			}
			for _, n := range s.next.trans {
				q := r.stayOf(n, r.incs[slices.Index(r.members, n)])
				if q != nil && !c.hasOrDied(q, m, drained) {
					c.fail("S2", "node %d delivered the %v as safe on the way from ring %v to %v, node %d did not deliver it",
						s.life.node, m, r.id, s.next.to.id, n)
					return
				}
			}
		}
	}
}

// hasOrDied reports whether s delivered m or ended within that ring. One that is
// still there may yet deliver it if the trace is not drained.
func (c *Checker) hasOrDied(s *stay, m *message, drained bool) bool {
	if s.delivered(m.pos) {
		return true
	}
	return !s.left && (s.life.end != alive || !drained)
}

// cameAlong checks C6 for one pair of rings: everybody in T installed the new
// ring directly, died in the old one, or went on elsewhere after having been in
// recovery for the new one.
func (c *Checker) cameAlong(w *move, drained bool) {
	if len(w.done) == 0 {
		return
	}
	for _, n := range w.trans {
		s := w.from.stayOf(n, w.from.incs[slices.Index(w.from.members, n)])
		if s == nil {
			c.fail("C6", "node %d comes along from ring %v, which it never installed, to %v", n, w.from.id, w.to.id)
			return
		}
		switch {
		case slices.Contains(w.done, s):
		case s.left && w.to.stay(s.life) != nil:
			c.fail("C6", "node %d comes along from ring %v to %v in the eyes of the others, and came from another one", n, w.from.id, w.to.id)
			return
		case s.left && !s.life.recover[w.to.id], !s.left && s.life.end == alive && drained:
			c.fail("C6", "node %d comes along from ring %v to %v in the eyes of the others, and was never in recovery for it", n, w.from.id, w.to.id)
			return
		}
	}
}
