package check

import (
	"fmt"
	"slices"
)

// share is the part that a service has in one round.
type share struct {
	ring    RingID
	round   uint32
	service uint16
}

func (x share) String() string {
	return fmt.Sprintf("service %d in round %d of ring %v", x.service, x.round, x.ring)
}

// sync checks Y1.
func (c *Checker) sync(p *life, e *Event) {
	if !e.Late && (p.stay == nil || p.stay.ring.id != e.Ring) {
		c.fail("Y1", "%v of ring %v at node %d, which is not there", e.Kind, e.Ring, p.node)
		return
	}
	x := share{e.Ring, e.Round, e.Service}
	switch e.Kind {
	case KindInit:
		c.begin(p, x)
	case KindAbort:
		c.over(p, x, e.Kind)
	case KindProcessed:
		if !e.Late {
			p.stay.ring.finished(p, x)
		}
	case KindActivate:
		c.over(p, x, e.Kind)
		if !e.Late {
			c.activate(p, p.stay.ring, x)
		}
	case KindSynced:
		if len(p.begun) > 0 {
			c.fail("Y1", "node %d finishes round %d of ring %v with %v neither activated nor aborted", p.node, e.Round, e.Ring, p.begun[0])
			return
		}
		if !e.Late {
			c.synced(p, p.stay)
		}
	}
}

// begin notes a part. Those of other rounds are over by then.
func (c *Checker) begin(p *life, x share) {
	for _, b := range p.begun {
		if b.ring != x.ring || b.round != x.round || b.service == x.service {
			c.fail("Y1", "node %d begins %v with %v neither activated nor aborted", p.node, x, b)
			return
		}
	}
	p.begun, p.begins = append(p.begun, x), true
}

// over ends a part. The traces of earlier versions do not tell what begins.
func (c *Checker) over(p *life, x share, k Kind) {
	i := slices.Index(p.begun, x)
	if i >= 0 {
		p.begun = slices.Delete(p.begun, i, i+1)
	} else if p.begins {
		c.fail("Y1", "%v of %v at node %d, which has not begun it", k, x, p.node)
	}
}

// finished notes that a life did all that a part asks of it.
func (r *ring) finished(p *life, x share) {
	if r.processed == nil {
		r.processed = make(map[share]map[Life]bool)
	}
	if r.processed[x] == nil {
		r.processed[x] = make(map[Life]bool)
	}
	r.processed[x][p.id] = true
}

// activate checks that all members did their part, and that the services of a
// round come in the order of their ids.
func (c *Checker) activate(p *life, r *ring, x share) {
	done := r.processed[x]
	for i, n := range r.members {
		if !slices.ContainsFunc(c.byInc[incKey{n, r.incs[i]}], func(l *life) bool { return done[l.id] }) {
			c.fail("Y1", "node %d activates %v before node %d has finished its part", p.node, x, n)
			return
		}
	}
	if a := p.active; p.begins && a.ring == x.ring && a.round == x.round && a.service >= x.service {
		c.fail("Y1", "node %d activates %v after service %d", p.node, x, a.service)
		return
	}
	p.active = x
}
