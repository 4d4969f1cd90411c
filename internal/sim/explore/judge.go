package explore

import (
	"fmt"
	"slices"
)

// The judge knows ordering 1.3 and nothing of the engine. What one record shows
// is judged as it grows (B2 to B5, C2 to C5, D1, O1, O6); what two nodes showed is
// judged for each pair of records that occurs (B1, B6, C1, C6, D2, D3, O3 to O5, S1
// to S3). Obligations are judged where they end: a node that leaves a ring
// without a message, and did not crash in it, broke them.

// last is the configuration that a life is in, nil before the first.
func (l *life) last() *conf {
	if len(l.confs) == 0 {
		return nil
	}
	return &l.confs[len(l.confs)-1]
}

// has reports whether a message was delivered between the regular configuration
// and the one after it.
func (c *conf) has(m message) bool {
	for _, ds := range [][]delivery{c.regular, c.transitional} {
		for i := range ds {
			if ds[i].message == m {
				return true
			}
		}
	}
	return false
}

func (l *life) deliver(e *event) string {
	d := delivery{message{e.from, e.inc, e.k}, e.ring, e.slot, e.safe, e.body}
	c := l.last()
	if c == nil {
		return "C5 a delivery before the first configuration"
	}
	if d.ring != c.ring {
		return fmt.Sprintf("B5 %v delivered in %v, ordered in %v", d.message, c.ring, d.ring)
	}
	var before *delivery
	for i := range l.confs {
		x := &l.confs[i]
		if x.has(d.message) {
			return fmt.Sprintf("B2 %v delivered twice", d.message)
		}
		for _, ds := range [][]delivery{x.regular, x.transitional} {
			for j := range ds {
				if ds[j].from == d.from && ds[j].inc == d.inc {
					before = &ds[j]
				}
			}
		}
	}
	if before != nil && before.k > d.k {
		return fmt.Sprintf("O6 %v delivered after %v", d.message, before.message)
	}
	list := &c.regular
	if c.left {
		list = &c.transitional
	}
	for _, ds := range [][]delivery{c.regular, c.transitional} {
		if n := len(ds); n > 0 && ds[n-1].slot > d.slot {
			return fmt.Sprintf("O1 slot %d of %v delivered after slot %d", d.slot, d.ring, ds[n-1].slot)
		}
	}
	*list = append(*list, d)
	return ""
}

// fill: the pieces of a message stand in one ring, none is left out.
func (l *life) fill(o orig) string {
	next := uint64(0)
	for _, b := range l.filled {
		switch {
		case b.ring != o.ring:
		case b.slot > o.slot:
			return fmt.Sprintf("B4 slot %d of %v filled after slot %d", o.slot, o.ring, b.slot)
		case b.k == o.k:
			next = b.no + 1
		}
	}
	if o.no != next {
		return fmt.Sprintf("B4 piece %d of message %d in %v, where piece %d is due", o.no, o.k, o.ring, next)
	}
	l.filled = append(l.filled, o)
	return ""
}

func (l *life) leave(e *event) string {
	c := l.last()
	switch {
	case c == nil || c.left || e.prev != c.ring:
		return fmt.Sprintf("C3 transitional configuration %v to %v does not follow its regular one", e.prev, e.ring)
	case !subset(e.members, c.members):
		return fmt.Sprintf("C6 transitional members %v of %v", e.members, c.members)
	}
	c.left, c.next, c.trans = true, e.ring, e.members
	return ""
}

func (r *record) install(l *life, e *event) string {
	c := l.last()
	switch {
	case c == nil && (len(e.members) != 1 || !e.prev.IsZero()):
		return fmt.Sprintf("C5 the first configuration has members %v", e.members)
	case c != nil && (!c.left || c.next != e.ring || c.ring != e.prev):
		return fmt.Sprintf("C3 regular configuration %v after %v", e.ring, c.ring)
	case c != nil && !subset(c.trans, e.members):
		return fmt.Sprintf("C6 transitional members %v of %v", c.trans, e.members)
	case !slices.ContainsFunc(e.members, func(m member) bool { return m.inc == l.inc }):
		return fmt.Sprintf("C4 members %v without incarnation %d", e.members, l.inc)
	}
	for i := range r.lives {
		for j := range r.lives[i].confs {
			if r.lives[i].confs[j].ring.Seq >= e.ring.Seq {
				return fmt.Sprintf("C2 ring %v installed after ring %v", e.ring, r.lives[i].confs[j].ring)
			}
		}
	}
	n := conf{ring: e.ring, prev: e.prev, members: e.members}
	if c != nil {
		c.over = true
		n.came = c.trans
		for _, o := range l.filled {
			if m := (message{self(e, l), l.inc, o.k}); o.ring == c.ring && o.last && !c.has(m) {
				return fmt.Sprintf("D1 own %v not delivered in %v", m, c.ring)
			}
		}
	}
	l.confs = append(l.confs, n)
	return ""
}

// self is the node whose life this is, found by its incarnation.
func self(e *event, l *life) NodeID {
	for _, m := range e.members {
		if m.inc == l.inc {
			return m.node
		}
	}
	return 0
}

func subset(a, b []member) bool {
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	return true
}

// judgePair judges p, whose last event is new, against q. Down says that q does
// not run.
func judgePair(p, q *record, pNode, qNode NodeID) string {
	for i := range p.lives {
		for j := range q.lives {
			v := pair{&p.lives[i], &q.lives[j], pNode, qNode}
			for _, rule := range []func() string{v.configurations, v.flipped().configurations, v.slots, v.virtualSynchrony, v.safe, v.flipped().safe,
				v.gaps, v.flipped().gaps, v.obligations, v.flipped().obligations, v.causes, v.flipped().causes} {
				if s := rule(); s != "" {
					return s
				}
			}
		}
	}
	return ""
}

// pair is two lives of two nodes.
type pair struct {
	p, q   *life
	pn, qn NodeID
}

func (v pair) flipped() pair { return pair{v.q, v.p, v.qn, v.pn} }

func (v pair) pm() member { return member{v.pn, v.p.inc} }
func (v pair) qm() member { return member{v.qn, v.q.inc} }

// find returns the configuration of a ring, nil if it was not installed.
func (l *life) find(r RingID) *conf {
	for i := range l.confs {
		if l.confs[i].ring == r {
			return &l.confs[i]
		}
	}
	return nil
}

// configurations: C1, C6.
func (v pair) configurations() string {
	for i := range v.p.confs {
		a := &v.p.confs[i]
		b := v.q.find(a.ring)
		if b != nil {
			if !slices.Equal(a.members, b.members) {
				return fmt.Sprintf("C1 ring %v has members %v and %v", a.ring, a.members, b.members)
			}
			came := !a.prev.IsZero() && a.prev == b.prev
			if came && !slices.Equal(a.came, b.came) {
				return fmt.Sprintf("C1 transition from %v to %v with %v and %v", a.prev, a.ring, a.came, b.came)
			}
			if came != slices.Contains(a.came, v.qm()) {
				return fmt.Sprintf("C6 node %d went from %v to %v with %v, node %d came from %v", v.pn, a.prev, a.ring, a.came, v.qn, b.prev)
			}
		}
		if b := v.q.find(a.ring); b != nil && a.left && b.over && a.next != b.next && slices.Contains(a.trans, v.qm()) && !slices.Contains(v.q.entered, a.next) {
			return fmt.Sprintf("C6 node %d went from %v to %v with %v, node %d to %v and never prepared %v", v.pn, a.ring, a.next, a.trans, v.qn, b.next, a.next)
		}
	}
	return ""
}

// slots: B1, B4, B6.
func (v pair) slots() string {
	for _, a := range v.p.filled {
		for _, b := range v.q.filled {
			if a.ring == b.ring && a.slot == b.slot {
				return fmt.Sprintf("B6 slot %d of %v filled by nodes %d and %d", a.slot, a.ring, v.pn, v.qn)
			}
		}
	}
	for _, w := range []pair{v, v.flipped()} {
		for i := range w.p.confs {
			for _, ds := range [][]delivery{w.p.confs[i].regular, w.p.confs[i].transitional} {
				for _, d := range ds {
					if s := w.origin(d); s != "" {
						return s
					}
				}
			}
		}
	}
	return ""
}

// origin checks a delivery at p against what q filled, if it came from q.
func (v pair) origin(d delivery) string {
	if d.from != v.qn || d.inc != v.q.inc {
		return ""
	}
	for _, o := range v.q.filled {
		if o.k == d.k && o.last && o.ring == d.ring && o.slot == d.slot {
			if s := v.q.submission(d.k); s == nil || s.safe != d.safe || s.body != d.body {
				return fmt.Sprintf("B1 %v delivered by node %d was submitted otherwise: %+v", d.message, v.pn, s)
			}
			return ""
		}
	}
	return fmt.Sprintf("B1 %v delivered by node %d from slot %d of %v, where its sender did not put it", d.message, v.pn, d.slot, d.ring)
}

// virtualSynchrony: D2, D3.
func (v pair) virtualSynchrony() string {
	for i := range v.p.confs {
		a := &v.p.confs[i]
		b := v.q.find(a.ring)
		if b == nil || !a.over || !b.over || a.next != b.next || !slices.Contains(a.trans, v.qm()) || !slices.Contains(b.trans, v.pm()) {
			continue
		}
		if !slices.Equal(a.regular, b.regular) || !slices.Equal(a.transitional, b.transitional) {
			return fmt.Sprintf("D2 from %v to %v node %d delivered %v | %v, node %d %v | %v", a.ring, a.next,
				v.pn, names(a.regular), names(a.transitional), v.qn, names(b.regular), names(b.transitional))
		}
	}
	return ""
}

func names(ds []delivery) []message {
	var ms []message
	for _, d := range ds {
		ms = append(ms, d.message)
	}
	return ms
}

// safe: S1, S2, S3. What p delivered as safe binds q.
func (v pair) safe() string {
	for i := range v.p.confs {
		a := &v.p.confs[i]
		if !slices.Contains(a.members, v.qm()) {
			continue
		}
		b := v.q.find(a.ring)
		for _, d := range a.regular {
			switch {
			case !d.safe:
			case b == nil && !v.q.crashed:
				return fmt.Sprintf("S3 node %d delivered safe %v in %v, which node %d has not installed", v.pn, d.message, a.ring, v.qn)
			case b != nil && b.over && !b.has(d.message):
				return fmt.Sprintf("S1 node %d delivered safe %v in %v, node %d left it without", v.pn, d.message, a.ring, v.qn)
			}
		}
		if !slices.Contains(a.trans, v.qm()) || b == nil || !b.over {
			continue
		}
		for _, d := range a.transitional {
			if d.safe && !b.has(d.message) {
				return fmt.Sprintf("S2 node %d delivered safe %v between %v and %v, node %d left without", v.pn, d.message, a.ring, a.next, v.qn)
			}
		}
	}
	return ""
}

// gaps: O3. What q put before a slot that p delivered in the regular
// configuration was delivered by p before.
func (v pair) gaps() string {
	for _, o := range v.q.filled {
		a := v.p.find(o.ring)
		if a == nil || !o.last || len(a.regular) == 0 {
			continue
		}
		m := message{v.qn, v.q.inc, o.k}
		if top := a.regular[len(a.regular)-1]; top.slot > o.slot && !slices.ContainsFunc(a.regular, func(d delivery) bool { return d.message == m }) {
			return fmt.Sprintf("O3 node %d delivered %v from slot %d of %v without %v from slot %d", v.pn, top.message, top.slot, a.ring, m, o.slot)
		}
	}
	return ""
}

// obligations: O4. What a node of T put before a slot that p delivered in the
// transitional configuration was delivered by p.
func (v pair) obligations() string {
	for _, o := range v.q.filled {
		a := v.p.find(o.ring)
		if a == nil || !o.last || len(a.transitional) == 0 || !slices.Contains(a.trans, v.qm()) {
			continue
		}
		m := message{v.qn, v.q.inc, o.k}
		if top := a.transitional[len(a.transitional)-1]; top.slot > o.slot && !a.has(m) {
			return fmt.Sprintf("O4 node %d delivered %v from slot %d of %v in the transition without %v from slot %d", v.pn, top.message, top.slot, a.ring, m, o.slot)
		}
	}
	return ""
}

// submission finds what was submitted as message k.
func (l *life) submission(k uint64) *submission {
	for i := range l.early {
		if l.early[i].k == k {
			return &l.early[i]
		}
	}
	for i := range l.confs {
		for j := range l.confs[i].submitted {
			if s := &l.confs[i].submitted[j]; s.k == k {
				return s
			}
		}
	}
	return nil
}

// causes: O5. What q submitted in a ring comes, at p in that ring, after what q
// had delivered and submitted in it before.
func (v pair) causes() string {
	for i := range v.q.confs {
		b := &v.q.confs[i]
		a := v.p.find(b.ring)
		if a == nil || len(b.submitted) == 0 {
			continue
		}
		all := append(slices.Clone(b.regular), b.transitional...)
		for j, s := range b.submitted {
			place := a.place(message{v.qn, v.q.inc, s.k})
			if place < 0 {
				continue
			}
			for _, d := range all[:s.after] {
				if at := a.place(d.message); at < 0 || at > place {
					return fmt.Sprintf("O5 node %d delivered {%d %d %d} in %v without %v before it, which its sender had delivered", v.pn, v.qn, v.q.inc, s.k, b.ring, d.message)
				}
			}
			for _, o := range b.submitted[:j] {
				if at := a.place(message{v.qn, v.q.inc, o.k}); at < 0 || at > place {
					return fmt.Sprintf("O5 node %d delivered {%d %d %d} in %v without message %d before it", v.pn, v.qn, v.q.inc, s.k, b.ring, o.k)
				}
			}
		}
	}
	return ""
}

// place is where a message was delivered between the regular configuration and
// the one after it, negative if it was not.
func (c *conf) place(m message) int {
	for i := range c.regular {
		if c.regular[i].message == m {
			return i
		}
	}
	for i := range c.transitional {
		if c.transitional[i].message == m {
			return len(c.regular) + i
		}
	}
	return -1
}
