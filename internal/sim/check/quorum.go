package check

import "slices"

// quorumState follows the quorate configurations of a trace.
type quorumState struct {
	active []*ring // shown quorate by all their members, all of them in it
	last   *ring   // the newest firm one
	lent   bool    // somebody showed quorum that relied on fencing
	most   uint32  // votes that were expected at most
	told   bool    // somebody showed a decision: there is a quorum service
}

// ringQuorum is what the members of one ring said.
type ringQuorum struct {
	shown  []decision        // in the order of the ring, by whoever came first
	count  map[Life]int      // how many of them a life has shown
	now    map[Life]decision // the last one
	synced []int             // how many of them whoever finished that round first had shown by then
	grant                    // when all were quorate last, none of it lent
}

type decision struct {
	quorate                         bool
	expected, votes, device, needed uint32
	row                             string
}

// Rows of a decision that are judged by rules of their own.
const (
	rowNone    = "no-provider"
	rowTwoNode = "two-node"
	rowMaster  = "master-wins"
	rowTie     = "tie-won"
)

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
		q.count, q.now = make(map[Life]int), make(map[Life]decision)
	}
	d := decision{e.Quorate, e.Expected, e.Votes, e.Device, e.Needed, e.Text}
	i := q.count[p.id]
	q.count[p.id]++
	if i == len(q.shown) {
		q.shown = append(q.shown, d)
	} else if !q.shown[i].agrees(d) {
		c.fail("Q3", "in ring %v node %d shows %+v, another member %+v", r.id, p.node, d, q.shown[i])
		return
	}
	c.quorum.told, c.quorum.most = true, max(c.quorum.most, d.expected)
	if d.quorate {
		c.granted(p, r, d, i)
	}
	q.now[p.id], p.quorate = d, d.quorate
	c.primary(r)
}

// granted checks the rules of quorum that does not come from counting alone
// (ordering 4.2, 4.3), and remembers that fencing was relied on.
func (c *Checker) granted(p *life, r *ring, d decision, i int) {
	if d.row == rowTwoNode && (d.expected > 2 || d.device > 0) {
		c.fail("Q1", "node %d in ring %v %v is quorate by two_node: %+v", p.node, r.id, r.members, d)
		return
	}
	if c.opt.WaitForAll && d.votes < d.expected && i == 0 && !c.seenAll(r) {
		c.fail("Q1", "node %d in ring %v %v is quorate with %d votes of %d, and nobody there had seen all: wait_for_all", p.node, r.id, r.members, d.votes, d.expected)
		return
	}
	c.quorum.lent = c.quorum.lent || c.lent(r, d)
}

// seenAll reports whether some member of a new ring was quorate before.
func (c *Checker) seenAll(r *ring) bool {
	for i, n := range r.members {
		for _, l := range c.byInc[incKey{n, r.incs[i]}] {
			if l.quorate {
				return true
			}
		}
	}
	return false
}

// lent reports whether two sides may decide like this at once, so that fencing
// has to (ordering 4.6): by the rule itself, with fewer votes than a majority of
// those that are configured, with half of fewer than those if somebody said that
// fewer are enough, or with more than the members were configured with.
func (c *Checker) lent(r *ring, d decision) bool {
	if d.row == rowNone || d.row == rowTwoNode || d.row == rowMaster {
		return true
	}
	if c.opt.Steps {
		return false
	}
	all, here := c.opt.Device, uint32(0)
	for n, v := range c.opt.Votes {
		all += v
		if slices.Contains(r.members, n) {
			here += v
		}
	}
	if c.opt.Votes == nil {
		all, here = c.quorum.most, d.votes
	}
	need := max(d.needed, d.expected/2+1) // a majority, whatever is shown as needed
	return need <= all/2 || d.row == rowTie && d.expected < all && c.opt.Lowered || d.votes-d.device > here
}

// grant is by what the members of a ring are quorate together.
type grant struct {
	lent   bool // relies on fencing
	device bool // the quorum device voted for it
	tie    bool
}

// grant reports whether all members of r are in it and quorate, and by what.
func (c *Checker) grant(r *ring) (g grant, ok bool) {
	for i, n := range r.members {
		s := r.stayOf(n, r.incs[i])
		if s == nil || s.left || s.life.end != alive || !r.quorum.now[s.life.id].quorate {
			return g, false
		}
		d := r.quorum.now[s.life.id]
		g.lent = g.lent || c.lent(r, d)
		g.device = g.device || d.device > 0 || d.row == rowMaster
		g.tie = g.tie || d.row == rowTie
	}
	return g, true
}

// primary checks Q1 and Q2 when a configuration is quorate in the eyes of all
// its members.
//
// Each grant is judged by itself. One that relies on fencing may stand beside
// others; a device votes for one side all the same. A tie is decided by what was
// shown before, so it holds as long as nothing was shown that relied on fencing.
// Between two sides that a device voted for it is the device that goes on.
func (c *Checker) primary(r *ring) {
	c.quorum.active = slices.DeleteFunc(c.quorum.active, func(a *ring) bool { return a == r })
	g, ok := c.grant(r)
	if !ok {
		return
	}
	for _, a := range c.quorum.active {
		o, _ := c.grant(a)
		byTie := c.quorum.lent && (g.tie || o.tie)
		if g.device && o.device || !g.lent && !o.lent && !byTie {
			c.fail("Q1", "ring %v %v is quorate while ring %v %v is", r.id, r.members, a.id, a.members)
			return
		}
	}
	c.quorum.active = append(c.quorum.active, r)
	if g.lent {
		return
	}
	if l := c.quorum.last; l != nil && l != r && !shares(r.members, l.members) &&
		!g.device && !l.quorum.device && !(c.quorum.lent && (g.tie || l.quorum.tie)) {
		c.fail("Q2", "the quorate ring %v %v shares no member with the one before, %v %v", r.id, r.members, l.id, l.members)
		return
	}
	c.quorum.last, r.quorum.grant = r, g
}

// leaveQuorum ends the primary component that a life leaves.
func (c *Checker) leaveQuorum(p *life) {
	if p.stay != nil {
		c.quorum.active = slices.DeleteFunc(c.quorum.active, func(a *ring) bool { return a == p.stay.ring })
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
