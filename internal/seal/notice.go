package seal

import (
	"encoding/binary"
	"net/netip"

	"github.com/moothall/moothall/internal/wire"
)

// maxIncarnation is the highest start number that is believed, of a peer and
// from a peer (ordering 2.2): beyond all clocks that count nanoseconds. A node
// whose voice claimed a higher one could not come back, for it starts above what
// peers know of it.
const maxIncarnation = 1<<63 - 1<<33

// sendNotice answers the datagram d with a notice of the session layer.
func (c *Core) sendNotice(to NodeID, d Datagram, n wire.Notice) {
	c.count.noticesOut++
	mem := &c.pending[c.side].mem
	body := wire.AppendNoticeBody([]byte{byte(kindNotice)}, n)
	c.send(Datagram{
		Node: to, Link: d.Link, Control: true, Addr: d.Addr,
		Data: c.seal(mem, d.Link, flagControl|flagSession, body, nil),
	})
}

// notice takes what a peer tells this boot: the nonce must be ours, so nothing
// that was recorded before this start is believed.
func (c *Core) notice(p *peer, l *life, body []byte, d Datagram) Drop {
	n, err := wire.ParseNotice(body)
	if err != nil {
		return DropMalformed
	}
	if n.Nonce != c.nonce {
		return DropNonce
	}
	if p.stale(l) {
		return DropIncarnation
	}
	if l == p.life {
		c.hear(p, d)
	}
	switch n.Code {
	case wire.NoticeStaleIncarnation:
		return c.toldStale(p, n, d)
	case wire.NoticeIDConflict:
		return c.toldConflict(p, n, d)
	}
	if due(&p.lastTold, c.now, minute) {
		c.event(Event{Kind: EventPeerRefused, Node: p.id, Inc: l.inc, Link: d.Link, Addr: d.Addr, Value: uint64(n.Code), Text: n.Text})
	}
	return 0
}

// toldStale: a peer knows a later start of this node. The owner stores a higher
// incarnation and starts anew.
func (c *Core) toldStale(p *peer, n wire.Notice, d Datagram) Drop {
	if len(n.Values) < 2 {
		return DropNotice
	}
	known := staleness{inc: n.Values[0], committed: n.Values[1]}
	if known.inc > maxIncarnation {
		c.mismatch(d, p.id, DropNotice, "node %d claims to know start number %d of this node, which cannot be: its record is damaged, or its clock was years ahead", p.id, known.inc)
		return DropNotice
	}
	if known.inc < c.cfg.Inc {
		return DropNotice
	}
	if known.inc > c.told.inc || known.committed > c.told.committed {
		c.told = staleness{max(known.inc, c.told.inc), max(known.committed, c.told.committed)}
		c.event(Event{
			Kind: EventStale, Node: p.id, Inc: c.told.inc, Link: d.Link, Self: true, Value: c.told.committed, Addr: d.Addr,
			Text: "a peer knows a later start of this node",
		})
	}
	return 0
}

func (c *Core) toldConflict(p *peer, n wire.Notice, d Datagram) Drop {
	if len(n.Values) != 2*addrWords {
		return DropNotice
	}
	c.event(Event{
		Kind: EventConflict, Node: c.cfg.Self, Inc: c.cfg.Inc, Link: d.Link, Self: true,
		Addr: addrOf(n.Values), Addr2: addrOf(n.Values[addrWords:]),
		Text: "another machine uses this node id and was in the cluster first",
	})
	return 0
}

// openUnknown answers a node that has the key and is not configured here, so
// that the mistake is named at both ends. It is counted as dropped all the same.
func (c *Core) openUnknown(e *envelope, d Datagram) Drop {
	s := c.source(d.Addr)
	if s.mismatch != 0 && c.now-(s.mismatch-1) < minute {
		return DropUnknownNode
	}
	text, why := c.unseal(e.node, &life{inc: e.inc, salt: e.salt}, e, d)
	if why != 0 {
		return why
	}
	var m ping
	if kind(text[0]) != kindPing || !m.parse(text) {
		return DropUnknownNode
	}
	c.mismatch(d, e.node, DropUnknownNode, "node %d at %v has the cluster key and is not in the node list of this node (version %d; it has version %d)", e.node, d.Addr, c.cfg.Table, m.table)
	c.sendNotice(e.node, d, wire.Notice{
		Code: wire.NoticeConfigMismatch, Nonce: m.nonce, Values: []uint64{uint64(c.cfg.Table), uint64(m.table)},
		Text: "this node is not in the node list there",
	})
	return DropUnknownNode
}

// openOwn deals with another process that uses this node's id and reaches us
// directly. It counts only when it answers a nonce of this boot; then the one
// that is alone stops, and of two that are alone both (ordering 2.18).
func (c *Core) openOwn(e *envelope, d Datagram) Drop {
	if e.inc == c.cfg.Inc && e.salt == c.cfg.Salt {
		return DropOwn
	}
	l := c.twin
	if !l.is(e) {
		l = &life{inc: e.inc, salt: e.salt}
	}
	text, why := c.unseal(e.node, l, e, d)
	if why != 0 {
		return why
	}
	var m ping
	k := kind(text[0])
	if k != kindPing && k != kindPong || !m.parse(text) {
		return DropOwn
	}
	c.twin, l.nonce = l, m.nonce
	if k == kindPing {
		out := c.message(l, nil, d.Link)
		out.number, out.echoSent = m.number, m.sent
		c.count.pongsOut++
		c.sendSession(e.node, d.Link, d.Addr, kindPong, &out, 0)
		if due(&c.twinAsked, c.now, c.cfg.Ping) {
			out = c.message(l, nil, d.Link)
			c.count.pingsOut++
			c.sendSession(e.node, d.Link, d.Addr, kindPing, &out, 0)
		}
		return DropOwn
	}
	if m.echo == c.nonce && due(&c.twinTold, c.now, minute) {
		alone := true
		for _, p := range c.peers {
			alone = alone && !c.alive(p)
		}
		c.event(Event{
			Kind: EventConflict, Node: e.node, Inc: e.inc, Link: d.Link, Self: alone, Addr2: d.Addr,
			Text: "another process uses this node id",
		})
	}
	return DropOwn
}

const addrWords = 3

// addrValues packs an address into values of a notice: 16 bytes and the port.
func addrValues(a netip.AddrPort) []uint64 {
	b := a.Addr().As16()
	return []uint64{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), uint64(a.Port())}
}

func addrOf(v []uint64) netip.AddrPort {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], v[0])
	binary.BigEndian.PutUint64(b[8:], v[1])
	return netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), uint16(v[2]))
}
