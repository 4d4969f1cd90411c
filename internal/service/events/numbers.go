package events

import (
	"cmp"
	"math"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// number is what a node gives to a message by which a topic or an event may begin. With
// the node it is the id of that, wherever the message is applied. Numbers of one node
// ascend; with each start of it a life begins, above all that it gave before.
type number struct {
	node proto.NodeID
	life uint32 // the first of the life
	n    uint32
}

func (n number) id() uint64 { return uint64(n.node)<<32 | uint64(n.n) }

// counter is what is known of one node's numbers.
type counter struct {
	node  proto.NodeID
	lives []life // ascending
}

// life is what is known of the numbers of one: those up to the last. Of what is not kept
// durably that may be less: a store does not know of it.
type life struct {
	first uint32
	last  [2]uint32 // of what is not durable, and of what is
}

// maxLives is how many lives of a node are told apart.
const maxLives = 64

// kind is where a life says how much is known of something.
func kind(durable bool) int {
	if durable {
		return 1
	}
	return 0
}

// highest is the highest number that is known to be given: of a life of which a store
// knows nothing else, its first.
func (l *life) highest() uint32 { return max(l.first, l.last[0], l.last[1]) }

// highest is the highest number that is known.
func (c *counter) highest() uint32 {
	if len(c.lives) == 0 {
		return lowestNumber
	}
	return c.lives[len(c.lives)-1].highest()
}

// at is the life that has a number, if there is one: the last that began before.
func (c *counter) at(n uint32) *life {
	i, _ := slices.BinarySearchFunc(c.lives, n, func(l life, n uint32) int {
		if l.first <= n {
			return -1
		}
		return 1
	})
	if i == 0 {
		return nil
	}
	return &c.lives[i-1]
}

// of is the life that a number says it is of, begun if it is not known.
func (c *counter) of(n number) *life {
	if bug.Planted("events-one-life") {
		n.life = lowestNumber + 1
	}
	if l := c.at(n.life); l != nil && (l.first == n.life || l.highest() >= n.life) { // several became one
		return l
	}
	i, _ := slices.BinarySearchFunc(c.lives, n.life, func(l life, first uint32) int { return cmp.Compare(l.first, first) })
	c.lives = slices.Insert(c.lives, i, life{first: n.life})
	if len(c.lives) > maxLives {
		c.lives[1].first = c.lives[0].first
		c.lives = slices.Delete(c.lives, 0, 1)
	}
	return c.at(n.life)
}

func (d *state) counter(node proto.NodeID) *counter {
	i, found := slices.BinarySearchFunc(d.counters, node, func(c counter, n proto.NodeID) int { return cmp.Compare(c.node, n) })
	if !found {
		d.counters = slices.Insert(d.counters, i, counter{node: node})
	}
	return &d.counters[i]
}

// gave takes in the number of a message that is applied. Those of its life that did not
// come before never will.
func (d *state) gave(n number) {
	c := d.counter(n.node)
	if after(n.n, c.highest()) && n.n < c.highest() {
		c.lives = nil // all four billion were given
	}
	l := c.of(n)
	l.last = [2]uint32{max(l.last[0], n.n), max(l.last[1], n.n)}
}

// learn takes in the number of something that another part knew, and reports whether it
// is new here. What that part knew before is known then, too.
func (d *state) learn(n number, durable bool) bool {
	last := &d.counter(n.node).of(n).last[kind(durable)]
	if n.n <= *last {
		return false
	}
	*last = n.n
	return true
}

// known is the counter of a node, empty if there is none.
func (d *state) known(node proto.NodeID) *counter {
	if i := slices.IndexFunc(d.counters, func(c counter) bool { return c.node == node }); i >= 0 {
		return &d.counters[i]
	}
	return &counter{}
}

// knows reports whether what has an id came here, or something later of the same life.
func (d *state) knows(id uint64, durable bool) bool {
	l := d.known(proto.NodeID(id >> 32)).at(uint32(id))
	return l != nil && uint32(id) <= l.last[kind(durable)]
}

// number is what is known here of an id.
func (d *state) number(id uint64) number {
	n := number{proto.NodeID(id >> 32), uint32(id), uint32(id)}
	if l := d.known(n.node).at(n.n); l != nil {
		n.life = l.first
	}
	return n
}

// weight is how much was done, as far as this state knows.
func (d *state) weight() (w uint64) {
	for i := range d.counters {
		w += uint64(d.counters[i].highest())
	}
	return w
}

// after reports whether a number comes after another one, where they begin anew after
// the highest (RFC 1982).
func after(a, b uint32) bool { return int32(a-b) > 0 }

// durable is what a store knows.
func (c *counter) durable() *counter {
	d := counter{node: c.node}
	for _, l := range c.lives {
		d.lives = append(d.lives, life{l.first, [2]uint32{0, l.last[1]}})
	}
	return &d
}

func (c *counter) appendTo(b []byte) []byte {
	b = body.AppendU32(b, uint32(len(c.lives)))
	for _, l := range c.lives {
		b = body.AppendU32(body.AppendU32(body.AppendU32(b, l.first), l.last[0]), l.last[1])
	}
	return b
}

const lifeSize = 3 * 4

func takeCounter(node proto.NodeID, r *body.Reader) counter {
	c := counter{node: node}
	for range r.Count(lifeSize) {
		l := life{r.U32(), [2]uint32{r.U32(), r.U32()}}
		if n := len(c.lives); n > 0 && c.lives[n-1].first >= l.first || n >= maxLives {
			r.Fail("order of lives")
		}
		c.lives = append(c.lives, l)
	}
	return c
}

// supply is where this node's numbers come from.
type supply struct {
	life   uint32 // the first of this one
	last   uint32 // that was given
	stored uint32 // a later life begins above it, whatever happens
	asked  uint32 // it will
}

// leastSupply is how many numbers are set aside at least.
const leastSupply = 4096

// begin begins a life above a number.
func (p *supply) begin(above uint32) {
	if above == math.MaxUint32 {
		above = lowestNumber
	}
	*p = supply{life: above + 1, last: above, stored: above, asked: above}
}

// next is the number of the next message; it is given when that is sent. There is
// none as long as a later start of this node could give it again.
func (s *Service) next() (number, bool) {
	p := &s.supply
	if known := s.state.known(s.self).highest(); after(known, p.last) || p.last == math.MaxUint32 {
		p.begin(max(known, p.last))
	}
	s.reserve()
	return number{s.self, p.life, p.last + 1}, s.cfg.Store == nil || p.last != p.stored
}

// reserve sets aside as many numbers as this life used, before they are needed.
func (s *Service) reserve() {
	p := &s.supply
	size := min(max(leastSupply, p.last-p.life+1), math.MaxUint32-p.last)
	if s.cfg.Store == nil || p.asked-p.last > size/2 {
		return
	}
	life, up := p.life, p.last+size
	p.asked = up
	s.cfg.Store.Write([]Write{p.write()}, func() {
		if p.life == life { // else that was for numbers of another one
			p.stored = up
		}
	})
}

// write is what the store keeps of it.
func (p *supply) write() Write { return Write{[]byte{keySupply}, body.AppendU32(nil, p.asked)} }

// numbered reports whether something may begin by a message, which needs a number then.
func numbered(fn uint16) bool {
	return fn == msgCreate || fn == msgPublish || fn == msgJoin || fn == msgEnter
}

// head is what messages begin with: when their sender came into the membership, as what
// was sent before its node was thrown out is void, and the number, if they have one.
type head struct {
	since uint32 // as Member has it; parts that do not know of each other have equal Borns
	number
}

func (h *head) appendTo(b []byte) []byte {
	return body.AppendU32(body.AppendU32(body.AppendU32(b, h.since), h.life), h.n)
}

func takeHead(from proto.NodeID, r *body.Reader) head {
	return head{r.U32(), number{from, r.U32(), r.U32()}}
}

// send multicasts a message with its head, if this node is in the primary sub-cluster.
// What it brings goes first, and what was opened ends before it opens more.
func (s *Service) send(fn uint16, src service.Source, parts ...[]byte) service.Code {
	if !s.live() || fn != msgBring && s.bringing() || len(s.exits) > 0 && fn == msgEnter {
		return service.ErrAgain
	}
	h := head{since: s.state.member(s.self).Since}
	if numbered(fn) {
		n, ok := s.next()
		if !ok {
			return service.ErrAgain
		}
		h.number = n
	}
	s.scratch = h.appendTo(s.scratch[:0])
	for _, p := range parts {
		s.scratch = append(s.scratch, p...)
	}
	code := s.multicast(fn, src, s.scratch)
	if code == service.OK && h.n != 0 {
		s.supply.last = h.n
	}
	return code
}
