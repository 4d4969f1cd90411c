package fuzz

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
)

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Slot   = proto.Slot
	Tick   = proto.Tick
)

const (
	ms  = proto.Millisecond
	sec = proto.Second

	wireDelay    = 200 * proto.Microsecond
	diskDelay    = 2 * ms
	restartDelay = 200 * ms // until a service manager starts what stopped
)

// world is one cluster, its network and its attackers.
type world struct {
	rng   *rand.Rand
	now   Tick
	nodes []*member // by id, from 1
	wire  []packet  // by time of arrival, for the delay is one and the same
	head  int       // of wire
	free  [][]byte  // buffers of packets
	cut   [][]bool  // from, to
	sent  uint64    // datagrams of frames that members sent

	insider  *insider
	stranger *stranger
	corpus   *corpus
	forging  bool // the packet in work is the insider's
	total    *Totals
	trouble  error // the first that was found
}

// packet is a datagram on its way.
type packet struct {
	due    Tick
	from   *member
	to     *member
	forged uint8 // the kind of the insider's datagram, zero: a member's own
	d      seal.Datagram
}

func newWorld(seed uint64, n int, total *Totals) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0x6d6f6f74)), total: total, corpus: &corpus{}}
	for i := range n {
		w.nodes = append(w.nodes, &member{w: w, id: NodeID(i + 1)})
		w.cut = append(w.cut, make([]bool, n))
	}
	w.corpus.rng = w.rng
	w.insider = newInsider(w, w.nodes[w.rng.IntN(n)])
	w.stranger = &stranger{w: w}
	for _, m := range w.nodes {
		m.program = &program{m: m}
		m.start()
	}
	return w
}

// fail keeps the first thing that went wrong.
func (w *world) fail(format string, args ...any) {
	if w.trouble == nil {
		w.trouble = fmt.Errorf(format, args...)
	}
}

// ids of all nodes.
func (w *world) ids() []NodeID {
	var ids []NodeID
	for _, m := range w.nodes {
		ids = append(ids, m.id)
	}
	return ids
}

// launch brings a datagram on its way; data is copied.
func (w *world) launch(from, to *member, d *seal.Datagram, data []byte, forged uint8) {
	if w.cut[from.id-1][to.id-1] {
		return
	}
	var b []byte
	if n := len(w.free); n > 0 {
		b, w.free = w.free[n-1][:0], w.free[:n-1]
	}
	b = append(b, data...)
	w.wire = append(w.wire, packet{w.now + wireDelay, from, to, forged,
		seal.Datagram{Control: d.Control, Addr: address(from.id, d.Control), Data: b}})
}

// arrive delivers the oldest packet of the wire.
func (w *world) arrive() {
	p := w.wire[w.head]
	w.wire[w.head] = packet{}
	w.head++
	if w.head == len(w.wire) {
		w.wire, w.head = w.wire[:0], 0
	} else if w.head > 4096 {
		n := copy(w.wire, w.wire[w.head:])
		clear(w.wire[n:])
		w.wire, w.head = w.wire[:n], 0
	}
	if p.to.core != nil {
		w.corpus.datagram(p.d.Data, p.d.Control)
		if w.forging = p.forged != 0; w.forging {
			w.total.insider(p.to.state, p.forged)
		}
		p.to.receive(&p.d)
		w.forging = false
	}
	if cap(p.d.Data) <= 4096 && len(w.free) < 1024 {
		w.free = append(w.free, p.d.Data)
	}
}

// step carries the world on to its next event, not beyond the limit.
func (w *world) step(limit Tick) bool {
	next := Tick(1 << 62)
	if w.head < len(w.wire) {
		next = w.wire[w.head].due
	}
	for _, m := range w.nodes {
		next = min(next, m.due())
	}
	if next > limit {
		w.now = max(w.now, limit)
		return false
	}
	w.now = max(w.now, next)
	for w.head < len(w.wire) && w.wire[w.head].due <= w.now {
		w.arrive()
	}
	for _, m := range w.nodes {
		m.work()
	}
	return true
}

// until lets time pass until the condition holds, at most to the limit. It
// reports whether the condition held.
func (w *world) until(limit Tick, cond func() bool) bool {
	for !cond() {
		if w.trouble != nil || !w.step(limit) {
			return false
		}
	}
	return true
}

// run lets time pass.
func (w *world) run(d Tick) {
	for limit := w.now + d; w.trouble == nil && w.step(limit); {
	}
}

// formed reports whether all nodes are in one ring and synchronised.
func (w *world) formed() bool {
	for _, m := range w.nodes {
		if m.core == nil || !m.ready || m.state != totem.Operational || len(m.members) != len(w.nodes) || m.ring != w.nodes[0].ring {
			return false
		}
	}
	return true
}

// describe tells where each node stands.
func (w *world) describe() string {
	s := ""
	for _, m := range w.nodes {
		s += m.describe() + "\n"
	}
	return s
}

// isolate cuts a node off, or half of its links.
func (w *world) isolate(m *member, both bool) {
	for _, o := range w.nodes {
		if o != m {
			w.cut[m.id-1][o.id-1] = true
			w.cut[o.id-1][m.id-1] = both
		}
	}
}

func (w *world) heal() {
	for _, row := range w.cut {
		clear(row)
	}
}

// chance is true with probability p.
func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// victim picks a member that runs and is not the insider; nil if there is none.
func (w *world) victim() *member {
	up := make([]*member, 0, 8)
	for _, m := range w.nodes {
		if m.core != nil && m != w.insider.m {
			up = append(up, m)
		}
	}
	if len(up) == 0 {
		return nil
	}
	if next := w.nodes[int(w.insider.m.id)%len(w.nodes)]; slices.Contains(up, next) && w.chance(0.4) {
		return next // who takes the insider's tokens
	}
	return up[w.rng.IntN(len(up))]
}
