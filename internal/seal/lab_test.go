package seal

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

const ms = proto.Millisecond

// lab is a network of cores in virtual time. Every datagram that is sent is
// recorded; tests drop, keep back and replay them.
type lab struct {
	t     testing.TB
	now   Tick
	rng   *rand.Rand
	hosts []*host
	queue flights
	order int

	latency Tick
	pass    func(f *flight) bool // nil: all
	refuse  bool                 // a closed port is reported
	record  []flight
}

// host is a machine with one address a link, and the process that runs there.
type host struct {
	lab    *lab
	addrs  []netip.AddrPort // data sockets
	core   *Core            // nil: no process
	id     NodeID
	events []Event
	frames []gotFrame
}

type gotFrame struct {
	at   Tick
	from NodeID
	inc  uint64
	link uint8
	body string
}

// flight is a datagram on its way, with the address it is sent from.
type flight struct {
	at    Tick
	order int
	src   *host
	from  netip.AddrPort
	d     Datagram
}

type flights []flight

func (q flights) Len() int { return len(q) }
func (q flights) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	return q[i].order < q[j].order
}
func (q flights) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *flights) Push(x any)   { *q = append(*q, x.(flight)) }
func (q *flights) Pop() any {
	x := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return x
}

func newLab(t testing.TB, seed uint64) *lab {
	return &lab{t: t, now: proto.Second, rng: rand.New(rand.NewPCG(seed, 1)), latency: 100 * proto.Microsecond}
}

func labAddr(host, link int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(link), byte(host)}), uint16(5405+2*link))
}

// host adds a machine; number is the last byte of its addresses.
func (l *lab) host(number, links int) *host {
	h := &host{lab: l}
	for i := range links {
		h.addrs = append(h.addrs, labAddr(number, i))
	}
	l.hosts = append(l.hosts, h)
	return h
}

// config is a configuration of node id with peers 1 to n at hosts of the same number.
func (l *lab) config(id NodeID, n, links int) Config {
	c := Config{
		Self: id, Inc: 100, Salt: l.rng.Uint64(), Cluster: "moot", Key: bytes.Repeat([]byte{7}, 32),
		Links: links, Rand: l.rng, Table: 1,
	}
	for p := 1; p <= n; p++ {
		if NodeID(p) != id {
			var a []netip.AddrPort
			for i := range links {
				a = append(a, labAddr(p, i))
			}
			c.Peers = append(c.Peers, Peer{ID: NodeID(p), Addrs: a})
		}
	}
	return c
}

// cluster starts n nodes on hosts 1 to n.
func (l *lab) cluster(n, links int) []*host {
	var out []*host
	for i := 1; i <= n; i++ {
		h := l.host(i, links)
		h.start(l.config(NodeID(i), n, links))
		out = append(out, h)
	}
	return out
}

func (h *host) start(c Config) {
	core, err := New(h.lab.now, c)
	if err != nil {
		h.lab.t.Fatalf("start node %d: %v", c.Self, err)
	}
	h.core, h.id = core, c.Self
	h.events, h.frames = nil, nil
	core.Advance(h.lab.now)
	h.flush()
}

func (h *host) stop() { h.core = nil }

// flush sends what the core wants sent and keeps its events.
func (h *host) flush() {
	out := h.core.Take()
	for _, d := range out.Send {
		h.send(d)
	}
	h.events = append(h.events, out.Events...)
}

func (h *host) source(link uint8, control bool) netip.AddrPort {
	a := h.addrs[link]
	if control {
		a = netip.AddrPortFrom(a.Addr(), a.Port()+1)
	}
	return a
}

func (h *host) send(d Datagram) {
	d.Data = bytes.Clone(d.Data)
	f := flight{src: h, from: h.source(d.Link, d.Control), d: d}
	h.lab.record = append(h.lab.record, f)
	if h.lab.pass == nil || h.lab.pass(&f) {
		h.lab.launch(f)
	}
}

func (l *lab) launch(f flight) {
	l.order++
	f.order, f.at = l.order, l.now+l.latency
	f.d.Data = bytes.Clone(f.d.Data)
	heap.Push(&l.queue, f)
}

// frame sends a frame to one node as the agent does, over the routed links.
func (h *host) frame(to NodeID, control bool, body string) {
	links := h.core.Route(to, false)
	h.frameOn(to, control, body, links...)
}

func (h *host) frameOn(to NodeID, control bool, body string, links ...uint8) {
	seal := AnyLink
	if len(links) == 1 {
		seal = links[0]
	}
	for _, b := range h.core.SealFrame(seal, control, 0, []byte(body), nil) {
		for _, link := range links {
			h.send(Datagram{Node: to, Link: link, Control: control, Addr: h.core.Addr(to, link, control), Data: b})
		}
	}
	h.core.Reset()
}

// deliver hands a datagram to whoever has its address.
func (l *lab) deliver(f flight) {
	for _, h := range l.hosts {
		for i := range h.addrs {
			for _, control := range []bool{false, true} {
				if h.source(uint8(i), control) != f.d.Addr {
					continue
				}
				if h.core == nil {
					if l.refuse && f.src.core != nil {
						f.src.core.Unreachable(l.now, f.d.Node, f.d.Link)
						f.src.flush()
					}
					return
				}
				h.open(Datagram{Link: uint8(i), Control: control, Addr: f.from, Arrived: l.now, Data: bytes.Clone(f.d.Data)})
				return
			}
		}
	}
}

func (h *host) open(d Datagram) {
	if o, ok := h.core.Open(h.lab.now, d); ok {
		h.frames = append(h.frames, gotFrame{h.lab.now, o.From, o.Inc, o.Link, string(o.Frame)})
	}
	h.flush()
}

// run lets d pass.
func (l *lab) run(d Tick) {
	end := l.now + d
	for {
		next := end
		if len(l.queue) > 0 {
			next = min(next, l.queue[0].at)
		}
		for _, h := range l.hosts {
			if h.core != nil {
				next = min(next, max(h.core.wake, l.now))
			}
		}
		l.now = next
		for len(l.queue) > 0 && l.queue[0].at <= l.now {
			l.deliver(heap.Pop(&l.queue).(flight))
		}
		for _, h := range l.hosts {
			if h.core != nil && h.core.wake <= l.now {
				h.core.Advance(l.now)
				h.flush()
			}
		}
		if l.now >= end {
			return
		}
	}
}

// replay delivers recorded datagrams once more to the address they went to.
func (l *lab) replay(record []flight) {
	for _, f := range record {
		l.deliver(f)
	}
}

func (h *host) count(k EventKind) int {
	n := 0
	for _, e := range h.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

func (h *host) last(k EventKind) (Event, bool) {
	for _, e := range slices.Backward(h.events) {
		if e.Kind == k {
			return e, true
		}
	}
	return Event{}, false
}

func (h *host) bodies() []string {
	var out []string
	for _, f := range h.frames {
		out = append(out, f.body)
	}
	return out
}

func (h *host) link(id NodeID, i int) *link { return &h.core.byID[id].links[i] }

// hasSession says that h has a session with the present process of o.
func (h *host) hasSession(o *host) bool {
	p := h.core.byID[o.id]
	return p != nil && p.life != nil && p.life.inc == o.core.cfg.Inc && p.life.salt == o.core.cfg.Salt
}

func wantf(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}
