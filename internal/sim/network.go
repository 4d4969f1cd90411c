package sim

import "slices"

// buffer holds the bytes of one frame for all packets that carry it.
type buffer struct {
	b    []byte
	refs int
}

// packet is one datagram on its way. In a bare run a frame is one packet
// whatever its size; the loss of each of its fragments counts.
type packet struct {
	from, to int // indexes of nodes
	life     Life
	inc      uint64
	kind     frameType
	control  bool // socket
	small    bool // leaves in small pieces
	data     *buffer
	ping     ping // of kind ftPing in bare runs
	sent     Tick
	arrived  Tick // local to the receiver
}

// link is one direction between two nodes. What happens to its n-th packet is
// drawn from n, not from what happened to packets before: a fault that is taken
// out of a schedule changes nothing for the others.
type link struct {
	seed uint64
	n    uint64 // packets so far
	last Tick   // arrival of the newest packet that kept its order
	bad  bool   // in a burst of losses
	busy Tick   // until then the queue of a slow link is served
}

// condition is what the actions make of a link. It is worked out anew whenever
// an action begins or ends.
type condition struct {
	cut          bool
	loss         float64
	enter, leave float64
	drop         [16]float64 // by type
	hole         int         // larger frames vanish; zero: none
	dup          float64
	dupMask      uint16
	copies       int
	late         Tick
	delay        [16]Tick
	spike        float64
	spikeBy      Tick
	corrupt      float64
	reorder      float64
	reorderBy    Tick
	rate         int // bytes a second
	room         Tick
}

// network is all links.
type network struct {
	w      *world
	n      int
	links  []link
	drops  [][]uint64 // numbers of packets that are lost, by link
	conds  []condition
	free   []*packet
	bufs   []*buffer
	seen   [][]*packet // by sender: some packets kept for replays
	counts Counts
}

// Counts are what a run moved.
type Counts struct {
	Packets   uint64 // sent, one each receiver
	Pings     uint64 // of them, of the session layer
	Lost      uint64
	Copies    uint64
	Steps     uint64 // inputs to engines
	Submitted uint64
	Delivered uint64
	Rings     int // installed by somebody
	Reloads   int // of the list of nodes, that succeeded
}

func newNetwork(w *world) *network {
	n := len(w.plan.Nodes)
	net := &network{w: w, n: n, links: make([]link, n*n), drops: make([][]uint64, n*n), conds: make([]condition, n*n), seen: make([][]*packet, n)}
	for i := range net.links {
		net.links[i].seed = newStream(w.plan.Seed, "link", uint64(w.plan.Nodes[i/n].ID), uint64(w.plan.Nodes[i%n].ID)).s
	}
	for _, d := range w.plan.Drops {
		i := w.index[d.From]*n + w.index[d.To]
		net.drops[i] = append(net.drops[i], d.N)
	}
	net.clear()
	return net
}

// clear takes every condition back to the plan's base.
func (net *network) clear() {
	base := net.w.plan.Net
	for i := range net.conds {
		c := condition{loss: base.Loss, dup: base.Dup, dupMask: ^uint16(0), copies: 1, late: ms, reorder: base.Reorder, reorderBy: 2 * base.Delay}
		c.delay[ftData] = base.Data
		net.conds[i] = c
	}
}

// each calls f for the links from a to b; negative is every node.
func (net *network) each(a, b int, f func(*condition)) {
	for i := range net.n {
		for j := range net.n {
			if i != j && (a < 0 || a == i) && (b < 0 || b == j) {
				f(&net.conds[i*net.n+j])
			}
		}
	}
}

// frame copies bytes into a buffer that several packets share.
func (net *network) frame(b []byte) *buffer {
	var f *buffer
	if n := len(net.bufs); n > 0 && cap(net.bufs[n-1].b) >= len(b) {
		f = net.bufs[n-1]
		net.bufs = net.bufs[:n-1]
	} else {
		f = &buffer{b: make([]byte, 0, max(1536, len(b)))}
	}
	f.b = append(f.b[:0], b...)
	f.refs = 1
	return f
}

func (net *network) unref(f *buffer) {
	if f == nil {
		return
	}
	if f.refs--; f.refs == 0 && cap(f.b) <= 4096 {
		net.bufs = append(net.bufs, f)
	}
}

func (net *network) packet() *packet {
	if n := len(net.free); n > 0 {
		p := net.free[n-1]
		net.free = net.free[:n-1]
		return p
	}
	return new(packet)
}

// release ends the life of a packet.
func (net *network) release(p *packet) {
	net.unref(p.data)
	*p = packet{}
	net.free = append(net.free, p)
}

// size of a packet in bytes.
func (p *packet) size() int {
	if p.data == nil {
		return 64
	}
	return len(p.data.b) + 60
}

// fate says what became of a packet.
type fate uint8

const (
	fateSent fate = iota
	fateCut
	fateLost
	fateBurst
	fateDropped // by type
	fateHole
	fateTail
	fateDead // nobody there
	fateUnknown
	fateOverflow
	fateDeaf
	fateStale
)

var fateNames = [...]string{"sent", "cut", "lost", "burst", "dropped", "hole", "tail", "dead", "unknown", "overflow", "deaf", "stale"}

// String is the word used in traces.
func (f fate) String() string { return fateNames[f] }

// send brings one packet on its way, or loses it. It takes the packet over.
func (net *network) send(p *packet) {
	i := p.from*net.n + p.to
	l, c := &net.links[i], &net.conds[i]
	net.counts.Packets++
	if p.kind == ftPing {
		net.counts.Pings++
	}
	p.sent = net.w.now
	f := net.judge(l, c, p)
	var late Tick
	if g := net.w.opt.filter; g != nil && f == fateSent {
		var drop bool
		if drop, late = g(p); drop {
			f = fateDropped
		}
	}
	net.w.tracePacket(p, f)
	if f != fateSent {
		net.counts.Lost++
		if net.w.opt.lost != nil && f >= fateLost && f <= fateDropped {
			net.w.opt.lost(Drop{net.w.nodes[p.from].id, net.w.nodes[p.to].id, l.n})
		}
		net.release(p)
		return
	}
	base := net.w.plan.Net
	rnd := l.draws(1)
	at := net.w.now + rnd.lognormal(base.Delay, base.Sigma) + c.delay[p.kind&15]
	if late > 0 {
		net.arrive(p, at+late)
		return
	}
	if c.rate > 0 {
		l.busy = max(l.busy, net.w.now) + Tick(p.size())*sec/Tick(c.rate)
		at += l.busy - net.w.now
	}
	if c.spike > 0 && rnd.chance(c.spike) {
		at += c.spikeBy
	}
	if c.reorder > 0 && rnd.chance(c.reorder) {
		at += rnd.between(0, c.reorderBy+1)
	} else {
		at = max(at, l.last)
		l.last = at
	}
	if rnd := l.draws(2); c.dup > 0 && c.dupMask>>(p.kind&15)&1 != 0 && rnd.chance(c.dup) {
		for range 1 + rnd.intn(c.copies) {
			net.counts.Copies++
			net.arrive(net.copy(p), at+rnd.between(0, c.late+1))
		}
	}
	net.keep(p)
	if rnd := l.draws(4); c.corrupt > 0 && rnd.chance(c.corrupt) {
		net.spoil(p, &rnd)
	}
	net.arrive(p, at)
}

// spoil flips bits of a datagram or cuts it short.
func (net *network) spoil(p *packet, r *stream) {
	if p.data == nil || len(p.data.b) == 0 || net.w.plan.Bare {
		return // a bare engine relies on the seal
	}
	b := net.frame(p.data.b)
	net.unref(p.data)
	p.data = b
	if r.chance(0.2) {
		b.b = b.b[:r.intn(len(b.b))]
		return
	}
	for range 1 + r.intn(3) {
		b.b[r.intn(len(b.b))] ^= byte(1 << r.intn(8))
	}
}

// draws is the source of random numbers for one purpose of the present packet.
func (l *link) draws(purpose uint64) stream { return stream{mix(l.seed + l.n<<3 + purpose)} }

// judge decides whether a packet gets through.
func (net *network) judge(l *link, c *condition, p *packet) fate {
	l.n++
	rnd := l.draws(0)
	if c.cut {
		return fateCut
	}
	if d := net.drops[p.from*net.n+p.to]; len(d) > 0 && slices.Contains(d, l.n) {
		return fateLost
	}
	if q, rnd := c.drop[p.kind&15], l.draws(3); q > 0 && rnd.chance(q) {
		return fateDropped
	}
	if c.hole > 0 && p.size() > c.hole && !(p.small && c.hole >= 1280) {
		return fateHole
	}
	if c.rate > 0 && l.busy-net.w.now > c.room {
		return fateTail
	}
	for range 1 + p.size()/1500 {
		if c.loss > 0 && rnd.chance(c.loss) {
			return fateLost
		}
		if c.enter > 0 {
			if l.bad {
				l.bad = !rnd.chance(c.leave)
			} else {
				l.bad = rnd.chance(c.enter)
			}
			if l.bad {
				return fateBurst
			}
		}
	}
	return fateSent
}

func (net *network) arrive(p *packet, at Tick) {
	net.w.queue.push(event{at: at, kind: evArrive, a: int32(p.to), p: p})
}

func (net *network) copy(p *packet) *packet {
	q := net.packet()
	*q = *p
	if q.data != nil {
		q.data.refs++
	}
	return q
}

// keep remembers one packet in sixteen, the newest 256 of each sender, if the
// plan replays packets.
func (net *network) keep(p *packet) {
	if !net.w.replays || p.kind == ftPing || net.counts.Packets%16 != 0 {
		return
	}
	if len(net.seen[p.from]) < 256 {
		net.seen[p.from] = append(net.seen[p.from], net.copy(p))
		return
	}
	i := int(net.counts.Packets/16) % 256
	net.release(net.seen[p.from][i])
	net.seen[p.from][i] = net.copy(p)
}

// replay brings n packets that a sent at any time to b again.
func (net *network) replay(a, b, n int, r *stream) {
	for range n {
		if len(net.seen[a]) == 0 {
			return
		}
		p := net.copy(net.seen[a][r.intn(len(net.seen[a]))])
		p.to = b
		net.arrive(p, net.w.now+r.between(0, 100*ms))
	}
}

// purge drops what is still under way for longer than the delay of a healed
// network explains: liveness needs a network without ghosts (ordering 1.5).
func (net *network) purge(latest Tick) {
	q := &net.w.queue
	old := q.h
	q.h = make([]event, 0, len(old))
	for _, e := range old {
		if e.kind == evArrive && e.at > latest {
			net.release(e.p)
			continue
		}
		q.keep(e)
	}
	for i := range net.links {
		net.links[i].last = min(net.links[i].last, latest)
		net.links[i].busy = 0
		net.links[i].bad = false
	}
}
