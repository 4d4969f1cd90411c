package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
)

// Open authenticates one datagram in place. ok is false when there is no frame
// for the engine in it: a ping, a fragment of an incomplete frame, a drop. It
// does not allocate for frames of established sessions.
func (c *Core) Open(now Tick, d Datagram) (o Opened, ok bool) {
	c.tick(now)
	c.count.packetsIn++
	c.count.bytesIn += uint64(len(d.Data))
	var e envelope
	if why := e.parse(d.Data); why != 0 {
		if why == DropVersion {
			c.mismatch(d, 0, DropVersion, "a datagram with envelope version %d came from %v, this program knows version %d: is it an incompatible release, or another program on the same port?",
				d.Data[0], d.Addr, envelopeVersion)
		}
		return c.drop(why)
	}
	if int(d.Link) >= c.cfg.Links {
		return c.drop(DropLink)
	}
	if e.flags&flagSession != 0 {
		d.Addr = unmap(d.Addr)
		return c.drop(c.openSession(&e, d))
	}
	if e.node == c.cfg.Self {
		return c.drop(DropOwn)
	}
	p := c.byID[e.node]
	if p == nil || p.removed {
		return c.drop(DropUnknownNode)
	}
	if !p.life.is(&e) {
		if p.life != nil && e.inc <= p.life.inc {
			return c.drop(DropIncarnation)
		}
		return c.drop(DropNoSession)
	}
	text, why := c.unseal(p.id, p.life, &e, d)
	if why == DropAuth {
		c.forged(d, p.id)
	}
	if why != 0 {
		return c.drop(why)
	}
	c.hear(p, d)
	p.links[d.Link].frame = c.now
	switch kind(text[0]) {
	case kindFrame:
		c.count.framesIn++
		return Opened{From: p.id, Inc: e.inc, Link: d.Link, Frame: text[1:]}, true
	case kindFragment:
		frame, why := c.reassemble(p, text[1:])
		if frame == nil {
			return c.drop(why)
		}
		c.count.framesIn++
		return Opened{From: p.id, Inc: e.inc, Link: d.Link, Frame: frame}, true
	}
	return c.drop(DropMalformed)
}

// drop counts why a datagram ends here; zero is a good end.
func (c *Core) drop(why Drop) (Opened, bool) {
	if why != 0 {
		c.count.drops[why]++
	}
	return Opened{}, false
}

// unseal decrypts a datagram of a life and notes its counter.
func (c *Core) unseal(node NodeID, l *life, e *envelope, d Datagram) ([]byte, Drop) {
	if l.session && earlier(e.epoch, l.floor) && !bug.Planted("earlier-epoch-open") {
		return nil, DropEpochClosed
	}
	r := l.receiver(e.epoch)
	if r == nil && l.session && c.sched.find(e.epoch) != nil {
		// A later epoch of a known sender. Its counter goes on, so the generation
		// is known too, and the key is derived once, whoever asks for it.
		r = newReceiver(e.epoch, l.top>>generationBits, nil, c.cfg.Links)
		l.add(r)
	}
	if r != nil {
		if why := r.window(e, d.Link).check(e.counter); why != 0 {
			return nil, why
		}
	}
	aead, why := c.cipher(node, l, r, e, d)
	if why != 0 {
		return nil, why
	}
	clear := e.clear()
	binary.LittleEndian.PutUint64(c.iv[nonceLen-8:], e.counter)
	text, err := aead.Open(d.Data[clear:clear], c.iv[:], d.Data[clear:], d.Data[:clear])
	if err != nil {
		return nil, DropAuth
	}
	if r == nil {
		r = newReceiver(e.epoch, e.generation(), aead, c.cfg.Links)
		l.add(r)
	}
	r.advance(e.generation(), aead)
	r.window(e, d.Link).mark(e.counter)
	l.top = max(l.top, e.counter)
	return text, 0
}

// cipher finds the key that e names. A key that is not at hand is derived; that
// costs something, so it is bounded by source unless the need is certain.
func (c *Core) cipher(node NodeID, l *life, r *receiver, e *envelope, d Datagram) (cipher.AEAD, Drop) {
	g := e.generation()
	if r != nil {
		near := g+1 >= r.generation && g <= r.generation+1
		if near && r.aead[g%3] != nil {
			return r.aead[g%3], 0
		}
		if !near && g < r.generation {
			return nil, DropOld
		}
		if near {
			aead, why := c.derive(node, l, e)
			r.aead[g%3] = aead // asked for once, whoever asked
			return aead, why
		}
	}
	if c.sched.find(e.epoch) == nil {
		return nil, DropEpoch
	}
	if !c.source(d.Addr).mayDerive(c.now) {
		return nil, DropBudget
	}
	return c.derive(node, l, e)
}

func (c *Core) derive(node NodeID, l *life, e *envelope) (cipher.AEAD, Drop) {
	k := c.sched.find(e.epoch)
	if k == nil {
		return nil, DropEpoch
	}
	c.count.derivations++
	aead, err := c.sched.sender(k, node, l.inc, l.salt, e.generation())
	if err != nil {
		return nil, DropAuth
	}
	return aead, 0
}

// hear notes a sign of life of an established session.
func (c *Core) hear(p *peer, d Datagram) {
	ln := &p.links[d.Link]
	ln.heard, ln.sign, ln.refused = c.now, c.now, 0
	if due(&p.lastHeard, c.now, 10*proto.Millisecond) {
		c.event(Event{Kind: EventHeard, Node: p.id, Inc: p.life.inc, Link: d.Link})
	}
}

// forged reports once per source and minute that a datagram is not what it says.
func (c *Core) forged(d Datagram, node NodeID) {
	if due(&c.source(unmap(d.Addr)).forged, c.now, minute) {
		c.event(Event{Kind: EventForged, Node: node, Link: d.Link, Addr: d.Addr,
			Text: fmt.Sprintf("a datagram from %v that says it is node %d's does not fit its seal: it was damaged on its way, or somebody forges datagrams", d.Addr, node)})
	}
}

// mismatch reports once per source and minute, or second when the cause is a new
// one, that somebody cannot be understood, and as which kind of drop it counts. All addresses that are not configured count as one source.
func (c *Core) mismatch(d Datagram, node NodeID, why Drop, format string, args ...any) {
	s := c.source(unmap(d.Addr))
	if why != s.misfit && c.now-(s.mismatch-1) >= proto.Second {
		s.mismatch = 0
	}
	if due(&s.mismatch, c.now, minute) {
		s.misfit = why
		c.event(Event{Kind: EventMismatch, Node: node, Link: d.Link, Addr: d.Addr, Value: uint64(why), Text: fmt.Sprintf(format, args...)})
	}
}
