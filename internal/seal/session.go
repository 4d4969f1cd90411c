package seal

import (
	"encoding/binary"
	"net/netip"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/wire"
)

// ping is the body of ping and pong (ordering 3.2), padding may follow it.
type ping struct {
	minVer, maxVer uint8
	features       uint64
	table          uint32
	mtu            uint16 // datagram payload
	number         uint32 // a pong repeats the ping's
	sent           Tick
	nonce          [16]byte
	echo           [16]byte // the receiver's nonce as last heard
	echoSent       Tick     // pong: the ping's send time
	top            uint64   // highest counter of the life whose nonce is echoed
	data           uint64   // data datagrams sent on the link
	loss           uint16
}

const pingLen = 1 + 1 + 1 + 8 + 4 + 2 + 4 + 8 + 16 + 16 + 8 + 8 + 8 + 2

func (m *ping) put(b []byte) {
	le := binary.LittleEndian
	b[1], b[2] = m.minVer, m.maxVer
	le.PutUint64(b[3:], m.features)
	le.PutUint32(b[11:], m.table)
	le.PutUint16(b[15:], m.mtu)
	le.PutUint32(b[17:], m.number)
	le.PutUint64(b[21:], uint64(m.sent))
	copy(b[29:], m.nonce[:])
	copy(b[45:], m.echo[:])
	le.PutUint64(b[61:], uint64(m.echoSent))
	le.PutUint64(b[69:], m.top)
	le.PutUint64(b[77:], m.data)
	le.PutUint16(b[85:], m.loss)
}

func (m *ping) parse(b []byte) bool {
	if len(b) < pingLen {
		return false
	}
	le := binary.LittleEndian
	*m = ping{
		minVer:   b[1],
		maxVer:   b[2],
		features: le.Uint64(b[3:]),
		table:    le.Uint32(b[11:]),
		mtu:      le.Uint16(b[15:]),
		number:   le.Uint32(b[17:]),
		sent:     Tick(le.Uint64(b[21:])),
		nonce:    [16]byte(b[29:45]),
		echo:     [16]byte(b[45:61]),
		echoSent: Tick(le.Uint64(b[61:])),
		top:      le.Uint64(b[69:]),
		data:     le.Uint64(b[77:]),
		loss:     le.Uint16(b[85:]),
	}
	return true
}

// openSession handles a ping, pong or notice. Whatever it changes, it changes
// for an authentic datagram only.
func (c *Core) openSession(e *envelope, d Datagram) Drop {
	if why := c.readHint(e, d); why != 0 {
		return why
	}
	if e.node == c.cfg.Self {
		return c.openOwn(e, d)
	}
	p := c.byID[e.node]
	if p == nil || p.removed {
		return c.openUnknown(e, d)
	}
	l := p.find(e)
	if l == nil && p.doubt.life.is(e) {
		l = p.doubt.life
	}
	if l == nil {
		l = &life{inc: e.inc, salt: e.salt}
		if p.stale(l) && p.lastStale != 0 && c.now-(p.lastStale-1) < proto.Second {
			return DropIncarnation // it was told within the second
		}
	}
	text, why := c.unseal(p.id, l, e, d)
	if why != 0 {
		return why
	}
	if l.inc > maxIncarnation {
		c.mismatch(d, p.id, DropIncarnation, "node %d says that this is its start number %d, which cannot be: its record is damaged, or its clock is years ahead", p.id, l.inc)
		return DropIncarnation
	}
	if e.link != d.Link {
		c.mismatch(d, p.id, DropLink, "node %d sends on its link %d what arrives on link %d here: are cables or addresses swapped?", p.id, e.link, d.Link)
		return DropLink
	}
	k := kind(text[0])
	if k == kindNotice {
		return c.notice(p, l, text[1:], d)
	}
	var m ping
	if k != kindPing && k != kindPong || !m.parse(text) {
		return DropMalformed
	}
	if p.stale(l) {
		return c.refuseStale(p, l, k, &m, d)
	}
	if l != p.life && c.alive(p) && !p.sameAddress(d) {
		return c.refuseClone(p, l, k, &m, d)
	}
	l.nonce, l.minVer, l.maxVer, l.features, l.table = m.nonce, m.minVer, m.maxVer, m.features, m.table
	if l != p.life {
		p.remember(l)
	}
	p.links[d.Link].heard = c.now
	c.compareCounters(&m)
	c.compareTables(p, &m, d)
	if !c.speaksWith(p, &m, d) {
		return DropProtocol
	}
	if k == kindPing {
		c.pong(p, l, &m, d)
		return 0
	}
	return c.acceptPong(p, l, e, &m, d)
}

// readHint names what is wrong with a datagram that cannot be opened. With
// another hint than ours the tag cannot fit either, so it is not tried.
func (c *Core) readHint(e *envelope, d Datagram) Drop {
	h := parseHint(d.Data[envelopeLen:])
	k := c.sched.find(e.epoch)
	switch {
	case h.cluster != c.tx.key.hint.cluster:
		c.mismatch(d, e.node, DropCluster, "a node at %v, which calls itself node %d, belongs to another cluster than %q: compare the cluster names in both configurations", d.Addr, e.node, c.cfg.Cluster)
		return DropCluster
	case k == nil:
		c.mismatch(d, e.node, DropEpoch, "a node at %v, which calls itself node %d, uses key epoch %d and this node has epoch %d: one of them missed a key rotation, copy the cluster key to it", d.Addr, e.node, e.epoch, c.tx.epoch)
		return DropEpoch
	case h.key != k.hint.key:
		c.mismatch(d, e.node, DropKey, "a node at %v, which calls itself node %d, uses another key for cluster %q: compare the key files of both nodes", d.Addr, e.node, c.cfg.Cluster)
		return DropKey
	}
	return 0
}

// stale reports whether l is earlier than the known life, or its equal with
// another salt (ordering 2.2).
func (p *peer) stale(l *life) bool {
	known := p.life
	if known == nil || l == known {
		return false
	}
	if bug.Planted("equal-incarnation-accepted") {
		return l.inc < known.inc
	}
	return l.inc <= known.inc
}

// sameAddress reports whether a control datagram comes from where the known life
// was heard on that link, or should be when it was not heard there.
func (p *peer) sameAddress(d Datagram) bool {
	ln := &p.links[d.Link]
	if ln.from.IsValid() {
		return ln.from == d.Addr
	}
	return ln.control() == d.Addr
}

// refuseStale tells a start that it is not the latest, in answer to a ping.
func (c *Core) refuseStale(p *peer, l *life, k kind, m *ping, d Datagram) Drop {
	if c.alive(p) && !p.sameAddress(d) {
		return c.refuseClone(p, l, k, m, d)
	}
	if k != kindPing {
		return DropIncarnation
	}
	if !bug.Planted("silent-lower-incarnation") && due(&p.lastStale, c.now, proto.Second) {
		c.sendNotice(p.id, d, wire.Notice{
			Code:   wire.NoticeStaleIncarnation,
			Nonce:  m.nonce,
			Values: []uint64{p.life.inc, c.committed},
			Text:   "a later start of this node is known here",
		})
	}
	return DropIncarnation
}

// refuseClone keeps the known life. Two machines with one id are both alive
// (ordering 2.18), so the other one is asked first: what it said may have been
// recorded from a start that is dead, and sent by somebody without the key. If it
// answers, it is told, and so is the owner.
func (c *Core) refuseClone(p *peer, l *life, k kind, m *ping, d Datagram) Drop {
	if k == kindPing {
		if due(&p.lastStale, c.now, proto.Second) {
			l.nonce = m.nonce
			p.doubt = doubt{l, c.now}
			out := c.message(l, nil, d.Link)
			c.count.pingsOut++
			c.sendSession(p.id, d.Link, d.Addr, kindPing, &out, 0)
		}
		return DropConflict
	}
	if l != p.doubt.life || p.doubt.asked == 0 || m.echo != c.nonce || m.echoSent != p.doubt.asked {
		return DropNonce
	}
	p.doubt.asked = 0
	known := p.links[d.Link].from
	if !known.IsValid() {
		known = p.links[d.Link].control()
	}
	c.sendNotice(p.id, d, wire.Notice{
		Code:   wire.NoticeIDConflict,
		Nonce:  m.nonce,
		Values: append(addrValues(known), addrValues(d.Addr)...),
		Text:   "another machine with this node id is alive: " + known.String() + ", this one is " + d.Addr.String(),
	})
	if due(&p.lastConflict, c.now, minute) {
		c.event(Event{
			Kind: EventConflict, Node: p.id, Inc: l.inc, Link: d.Link, Addr: known, Addr2: d.Addr,
			Text: "two machines use this node id; the one known first is kept",
		})
	}
	return DropConflict
}

// compareCounters finds out that this process is an old memory image: a peer
// that speaks of this boot got more from it than it ever sent (ordering 3.7).
func (c *Core) compareCounters(m *ping) {
	if m.echo == c.nonce && m.top > c.tx.counter && !c.snapshot {
		c.snapshot = true
		c.event(Event{
			Kind: EventSnapshot, Node: c.cfg.Self, Inc: c.cfg.Inc, Self: true, Value: m.top,
			Text: "a memory image of this process was restored: a peer has received more from it than it sent",
		})
	}
}

// compareTables reports that a peer has another node table. That alone does not
// keep it out, for a changed configuration is loaded node by node.
func (c *Core) compareTables(p *peer, m *ping, d Datagram) {
	if m.table == c.cfg.Table || !due(&p.lastTable, c.now, minute) {
		return
	}
	c.mismatch(d, p.id, DropUnknownNode, "node %d has version %d of the node list, this node has version %d: load the same configuration on both", p.id, m.table, c.cfg.Table)
	c.sendNotice(p.id, d, wire.Notice{
		Code: wire.NoticeConfigMismatch, Nonce: m.nonce, Values: []uint64{uint64(c.cfg.Table), uint64(m.table)},
		Text: "the node lists have different versions",
	})
}

// speaksWith reports whether there is a common protocol version; a node outside
// of it is told and ignored (ordering 2.4).
func (c *Core) speaksWith(p *peer, m *ping, d Datagram) bool {
	if m.minVer <= c.cfg.MaxVer && c.cfg.MinVer <= m.maxVer {
		return true
	}
	if due(&p.lastVersion, c.now, minute) {
		c.mismatch(d, p.id, DropProtocol, "node %d speaks protocol versions %d to %d, this node %d to %d: upgrade the older one", p.id, m.minVer, m.maxVer, c.cfg.MinVer, c.cfg.MaxVer)
		c.sendNotice(p.id, d, wire.Notice{
			Code: wire.NoticeVersionMismatch, Nonce: m.nonce, Values: []uint64{uint64(c.cfg.MinVer), uint64(c.cfg.MaxVer)},
			Text: "there is no common protocol version",
		})
	}
	return false
}

// acceptPong makes a session of the proof that a life answers now, and counts
// the answer for the link.
func (c *Core) acceptPong(p *peer, l *life, e *envelope, m *ping, d Datagram) Drop {
	if m.echo != c.nonce {
		return DropNonce
	}
	ln := &p.links[d.Link]
	fresh := l != p.life
	if fresh {
		c.establish(p, l, e, d)
	} else if bug.Planted("window-moved-back") && !ln.ever {
		l.receiver(e.epoch).startAt(e.counter)
	}
	c.hear(p, d)
	ln.from = d.Addr
	c.learnMTU(p, d.Link, m.mtu)
	ln.trial.answered(m.number)
	at := c.now
	if d.Arrived != 0 && d.Arrived <= c.now && d.Arrived >= m.echoSent {
		at = d.Arrived
	}
	c.answered(p, d.Link, at-m.echoSent)
	if fresh {
		c.restartOthers(p, d.Link)
	}
	return 0
}

// establish starts the session with a life. Everything it sent up to the pong
// is closed, on every link and for as long as this process runs.
func (c *Core) establish(p *peer, l *life, e *envelope, d Datagram) {
	p.life, p.candidates = l, later(p.candidates, l)
	l.session, l.floor = true, e.epoch
	for i, r := range l.rx {
		switch {
		case r == nil:
		case earlier(r.epoch, e.epoch):
			if !bug.Planted("earlier-epoch-open") {
				l.rx[i] = nil
			}
		case r.epoch == e.epoch && !bug.Planted("window-from-zero"):
			r.startAt(e.counter)
			if bug.Planted("window-moved-back") {
				r.startLinks(0)
			}
		}
	}
	p.parts.clear(c)
	c.count.sessions++
	c.linkEvent(EventSession, p, d.Link, "")
	ln := &p.links[d.Link]
	*ln = link{
		addr: ln.addr, heard: ln.heard, next: ln.next, pinged: ln.pinged, pingNo: ln.pingNo,
		up: ln.up, ever: ln.up, half: ln.half, path: ln.path, trial: ln.trial,
	}
}

// restartOthers forgets what the links beside the one that made a new session
// showed of the earlier life. They are asked at once whether they lead to the
// new one.
func (c *Core) restartOthers(p *peer, here uint8) {
	for i := range p.links {
		ln := &p.links[i]
		if uint8(i) == here || !ln.addr.IsValid() {
			continue
		}
		c.linkDown(p, ln, uint8(i), DownRestarted, "the node was restarted")
		*ln = link{addr: ln.addr, pingNo: ln.pingNo, next: c.now}
		c.wake = min(c.wake, c.now)
	}
}

// later keeps the candidates above l.
func later(candidates []*life, l *life) []*life {
	keep := candidates[:0]
	for _, o := range candidates {
		if o.inc > l.inc {
			keep = append(keep, o)
		}
	}
	clear(candidates[len(keep):])
	return keep
}

func (c *Core) learnMTU(p *peer, i uint8, announced uint16) {
	ln := &p.links[i]
	before := c.mtu(p, i)
	ln.mtu = max(int(announced), MinMTU)
	if ln.up && c.mtu(p, i) != before {
		c.setMTU()
		c.linkEvent(EventLinkState, p, i, "")
	}
}

// ping asks a node on one link.
func (c *Core) ping(p *peer, i uint8, to netip.AddrPort) {
	ln := &p.links[i]
	ln.pingNo++
	ln.pinged = c.now
	if ln.unanswered == 0 {
		ln.askedSince = c.now
	}
	ln.unanswered++
	m := c.message(p.latest(), ln, i)
	m.number = ln.pingNo
	c.count.pingsOut++
	c.sendSession(p.id, i, to, kindPing, &m, 0)
}

// pong answers a ping. A life without a session is asked back at once, where it
// was heard, so that both sides know each other after one and a half round trips.
func (c *Core) pong(p *peer, l *life, in *ping, d Datagram) {
	ln := &p.links[d.Link]
	if l == p.life {
		c.hear(p, d)
		ln.from = d.Addr
		if in.number&trialPing == 0 {
			ln.countLoss(in.number)
		}
		c.learnMTU(p, d.Link, in.mtu)
	}
	m := c.message(l, ln, d.Link)
	m.number, m.echoSent = in.number, in.sent
	c.count.pongsOut++
	c.sendSession(p.id, d.Link, d.Addr, kindPong, &m, 0)
	if l != p.life && (ln.pinged == 0 || c.now-ln.pinged >= min(urgentPing, c.cfg.Ping/2)) {
		c.ping(p, d.Link, d.Addr)
	}
}

// message fills in what a ping or pong on a link says, to the given life.
func (c *Core) message(l *life, ln *link, i uint8) ping {
	m := ping{
		minVer: c.cfg.MinVer, maxVer: c.cfg.MaxVer, features: c.cfg.Feature, table: c.cfg.Table,
		mtu: uint16(c.ownMTU[i]), sent: c.now, nonce: c.nonce,
	}
	if ln != nil {
		m.loss = uint16(min(ln.loss, 1<<16-1))
	}
	if l != nil {
		m.echo, m.top = l.nonce, l.top
	}
	return m
}

// sendSession sends a ping or pong, as a datagram of that size if size is not
// zero.
func (c *Core) sendSession(to NodeID, link uint8, addr netip.AddrPort, k kind, m *ping, size int) {
	m.data = c.tx.data[link]
	c.head[0] = byte(k)
	m.put(c.head[:])
	var padding []byte
	if n := size - plainPing; n > 0 {
		padding = c.padding(n)
	}
	mem := &c.pending[c.side].mem
	c.send(Datagram{
		Node: to, Link: link, Control: true, Addr: addr,
		Data: c.seal(mem, link, flagControl|flagSession, c.head[:], padding),
	})
}

// countLoss follows the numbers of the peer's pings.
func (ln *link) countLoss(number uint32) {
	lost := number - ln.peerNo - 1
	if ln.peerNo != 0 && lost < 64 {
		for range lost {
			ln.loss += (1<<16 - ln.loss) / 16
		}
	}
	ln.loss -= ln.loss / 16
	ln.peerNo = number
}
