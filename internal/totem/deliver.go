package totem

import "github.com/moothall/moothall/internal/wire"

// deliver hands on what is deliverable in the regular configuration: in slot
// order, an agreed slot when all up to it is held, a safe one when everybody is
// known to have it (ordering 2.11). It stops while the clients owe too much.
func (m *Machine) deliver() {
	r := m.ring
	for m.state == Operational && m.ring == r && r.delivered < r.win.aru {
		s := r.delivered + 1
		if s > r.stable && m.slotSafe(r, s) && !planted("safe-at-aru") {
			break
		}
		if m.undelivered >= m.lim.Undelivered {
			break
		}
		r.delivered = s
		m.deliverSlot(r, s, true)
	}
	if m.ring != r || r.win == nil {
		return // an ordered control message made this member gather
	}
	upTo := min(r.stable, r.delivered)
	if planted("release-at-delivered") {
		upTo = r.delivered
	}
	r.win.release(upTo, m.pool.put)
}

// slotSafe reports whether a message that ends in the slot asks for safe
// delivery.
func (m *Machine) slotSafe(r *ring, s Slot) bool {
	e := r.win.at(s)
	if e.safe == unknown {
		e.safe = no
		h, d := m.parseHeld(e.frame)
		for rest := d.Pieces; h.Flags&wire.FlagEncapsulated == 0 && len(rest) > 0; {
			p, next, err := wire.NextPiece(rest)
			if err != nil {
				break
			}
			if p.Flags&wire.PieceLast != 0 && p.Flags&wire.PieceSafe != 0 {
				e.safe = yes
				break
			}
			if planted("safe-of-first-piece") {
				break
			}
			rest = next
		}
	}
	return e.safe == yes
}

// parseHeld takes a stored frame apart. It was parsed when it came.
func (m *Machine) parseHeld(frame []byte) (wire.Header, wire.Data) {
	h, body, err := wire.ParseHeader(frame)
	if err != nil {
		return wire.Header{}, wire.Data{}
	}
	d, err := wire.ParseData(body)
	if err != nil {
		return wire.Header{}, wire.Data{}
	}
	return h, d
}

// deliverSlot delivers all messages that end in a slot; a slot is delivered as a
// whole. Encapsulated frames keep their slots but are not delivered (R10).
// regular says that a safe message is safe in the regular configuration; the
// engine's own messages are acted on only there.
func (m *Machine) deliverSlot(r *ring, s Slot, regular bool) {
	h, d := m.parseHeld(r.win.at(s).frame)
	if h.Flags&wire.FlagEncapsulated != 0 && !planted("deliver-encapsulated") {
		return
	}
	i, ok := find(r.members, d.Origin)
	if !ok {
		return
	}
	inc := r.members[i].Inc
	for rest := d.Pieces; len(rest) > 0; {
		p, next, err := wire.NextPiece(rest)
		if err != nil {
			m.stats.BadData++
			return
		}
		rest = next
		class := int(p.Class())
		if planted("reassembly-by-sender") {
			class = 0
		}
		body, whole := m.assemble(&r.asm[i*int(numClasses)+class], p)
		if !whole {
			continue
		}
		if p.Flags&wire.PieceEngine != 0 {
			if regular {
				m.ordered(r, d.Origin, body)
			}
			continue
		}
		m.out.deliveries = append(m.out.deliveries, Delivery{Ring: r.id, Slot: s, From: d.Origin, Inc: inc, K: p.K,
			Class: Class(p.Class()), Safe: p.Flags&wire.PieceSafe != 0, Body: body})
		del := &m.out.deliveries[len(m.out.deliveries)-1]
		if d.Origin == m.cfg.Self {
			del.Tag = m.tags[del.Class].take(p.K)
		}
		m.out.events = append(m.out.events, del)
		m.undelivered += del.Cost()
		m.stats.Delivered++
	}
}

// assemble adds a piece to the message of its sender and class. A whole message
// in one piece is a view into the frame.
func (m *Machine) assemble(a *assembly, p wire.Piece) (body []byte, whole bool) {
	last := p.Flags&wire.PieceLast != 0
	if p.No == 0 {
		if last {
			return p.Body, true
		}
		a.k, a.next = p.K, 0
		a.body = m.pool.get(len(p.Body))
	}
	if p.K != a.k || p.No != a.next || a.body == nil || len(a.body)+len(p.Body) > m.lim.MaxMessage {
		m.stats.BadData++ // the beginning is not held: it was void in an older ring
		if a.body != nil {
			m.freeBody(a.body)
		}
		*a = assembly{}
		return nil, false
	}
	if len(a.body)+len(p.Body) > cap(a.body) {
		a.body = m.largerBody(a.body, len(p.Body))
	}
	a.body = append(a.body, p.Body...)
	a.next++
	if !last {
		return nil, false
	}
	body = a.body
	*a = assembly{}
	m.out.bodies = append(m.out.bodies, body)
	return body, true
}

const (
	largeBody  = 64 << 10 // first buffer of a message that does not fit a pooled one
	spareBytes = 4 << 20  // of large buffers that are kept
)

// largerBody moves a message that is being reassembled to a buffer with room for
// n bytes more.
func (m *Machine) largerBody(b []byte, n int) []byte {
	var to []byte
	last := len(m.bodies) - 1
	if need := len(b) + n; last >= 0 && cap(m.bodies[last]) >= need {
		to, m.bodies = m.bodies[last], m.bodies[:last]
		m.bodyBytes -= cap(to)
	} else {
		to = make([]byte, 0, max(largeBody, 2*need))
	}
	to = append(to, b...)
	m.freeBody(b)
	return to
}

// freeBody keeps the buffer of a reassembled message for the next one.
func (m *Machine) freeBody(b []byte) {
	switch {
	case cap(b) == m.pool.size:
		m.pool.put(b)
	case m.bodyBytes+cap(b) <= spareBytes && !m.pool.off:
		m.bodyBytes += cap(b)
		m.bodies = append(m.bodies, b[:0])
	}
}
