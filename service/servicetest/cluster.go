package servicetest

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// NodeID names a node.
type NodeID = proto.NodeID

// T is what the kit needs of *testing.T and *rapid.T.
type T interface {
	Helper() // says that the caller is no test by itself
	// Fatalf reports and ends the test.
	Fatalf(format string, args ...any)
}

// Cluster is some nodes and the rings they form.
type Cluster struct {
	// Cut chooses how much of what was ordered, and not delivered to the members
	// that go on together, they still deliver before the transitional
	// configuration: a number in [0, n). Nil: all of it.
	Cut func(n int) int
	// Resume sees when a node's round is over and its clients go on. Optional.
	Resume func(n *Node)

	t        T
	services func(NodeID) []service.Service
	nodes    []*Node // ascending by id
	seq      uint64
	now      time.Time
	conns    uint64
}

// ring is one regular configuration and its total order.
type ring struct {
	id      proto.RingID
	members []NodeID
	log     []entry
	safe    int // so many of log have come to all members: one delivered a safe message there
}

// entry is one place in the order of a ring.
type entry struct {
	from    NodeID
	service uint16
	hello   *hello   // of a round
	barrier *barrier // of a round
	msg     service.Message
}

func (e *entry) safe() bool { return e.msg.Level == service.Safe }

// New starts nodes 1 to n with the services that the function makes; each is in
// a ring of its own, whose round still has to be run.
func New(t T, n int, services func(NodeID) []service.Service) *Cluster {
	c := &Cluster{t: t, services: services, now: time.Unix(1_000_000_000, 0)}
	for i := range n {
		c.nodes = append(c.nodes, &Node{c: c, id: NodeID(i + 1)})
	}
	for _, n := range c.nodes {
		n.start()
		c.form([]NodeID{n.id})
	}
	return c
}

// Node returns a node by its id.
func (c *Cluster) Node(id NodeID) *Node { return c.nodes[id-1] }

// Nodes lists the nodes that run.
func (c *Cluster) Nodes() []*Node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *Node) bool { return !n.up })
}

// Size is the number of nodes, those included that do not run.
func (c *Cluster) Size() int { return len(c.nodes) }

// All lists the ids of the nodes that run.
func (c *Cluster) All() []NodeID {
	var ids []NodeID
	for _, n := range c.Nodes() {
		ids = append(ids, n.id)
	}
	return ids
}

// Split forms one ring of each block. Nodes that are in none are alone, and
// those that do not run are left out.
func (c *Cluster) Split(blocks ...[]NodeID) {
	c.t.Helper()
	placed := map[NodeID]bool{}
	var rings [][]NodeID
	for _, block := range blocks {
		var ids []NodeID
		for _, id := range slices.Sorted(slices.Values(block)) {
			if placed[id] {
				c.t.Fatalf("node %d is in two blocks of %v", id, blocks)
			}
			placed[id] = true
			if c.Node(id).up {
				ids = append(ids, id)
			}
		}
		rings = append(rings, ids)
	}
	for _, id := range c.All() {
		if !placed[id] {
			rings = append(rings, []NodeID{id})
		}
	}
	for _, ids := range rings {
		if len(ids) > 0 {
			c.form(ids)
		}
	}
}

// Leave has a node leave the cluster: its services say farewell (service.Leaver), what
// they multicast comes to all, connections end, and services stop. The others go on
// in their ring until Split, as after Crash.
func (c *Cluster) Leave(id NodeID) {
	n := c.Node(id)
	for _, h := range n.services {
		if l, ok := h.s.(service.Leaver); ok {
			l.Leaving()
		}
	}
	for n.order() || n.deliver() {
	}
	for _, other := range c.Nodes() {
		for other.ring == n.ring && other.deliver() {
		}
	}
	for _, cn := range slices.Clone(n.conns) {
		cn.end()
	}
	n.finishClients()
	for _, h := range slices.Backward(n.services) {
		h.s.Stop()
	}
	n.up, n.ring = false, nil
}

// Crash stops a node without a word; Restart starts it again, alone.
func (c *Cluster) Crash(id NodeID) {
	n := c.Node(id)
	for _, cn := range n.conns {
		cn.dead = true
	}
	n.up, n.ring, n.conns = false, nil, nil
}

// Restart starts a node that crashed or left with new services and the record it kept.
func (c *Cluster) Restart(id NodeID) {
	c.Node(id).start()
	c.form([]NodeID{id})
}

// Advance moves the clock and runs the timers that became due.
func (c *Cluster) Advance(d time.Duration) {
	c.now = c.now.Add(d)
	for _, n := range c.Nodes() {
		n.runTimers()
	}
}

// Run works until nothing moves.
func (c *Cluster) Run() {
	c.t.Helper()
	for range 1_000_000 {
		moved := false
		for _, n := range c.Nodes() {
			for _, act := range n.acts() {
				moved = act() || moved
			}
		}
		if !moved {
			return
		}
	}
	c.t.Fatalf("the cluster does not come to rest")
}

// Step lets one node do one thing; pick chooses one of n. It reports whether
// anything moved.
func (c *Cluster) Step(pick func(n int) int) bool {
	nodes := c.Nodes()
	if len(nodes) == 0 {
		return false
	}
	acts := nodes[pick(len(nodes))].acts()
	return acts[pick(len(acts))]()
}

// Check demands that the services of the members of each ring dump the same, but
// for those that need quorum where there is none: they hold what they held. Call
// it when the cluster is at rest.
func (c *Cluster) Check() {
	c.t.Helper()
	for _, n := range c.Nodes() {
		first := c.Node(n.ring.members[0])
		if n.round != nil {
			c.t.Fatalf("node %d is still synchronising ring %v", n.id, n.ring.id)
		}
		for i, h := range n.services {
			if !n.serves(h) {
				continue
			}
			got, want := dump(h.s), dump(first.services[i].s)
			if !bytes.Equal(got, want) {
				c.t.Fatalf("service %q of ring %v differs\nnode %d:\n%s\nnode %d:\n%s", h.info.Name, n.ring.id, first.id, want, n.id, got)
			}
		}
	}
}

func dump(s service.Service) []byte {
	var b bytes.Buffer
	if d, ok := s.(service.Dumper); ok {
		d.Dump(&b)
	}
	return b.Bytes()
}

// form installs one ring at its members: what is left of the old rings, the
// transitional configurations, the regular one, and the start of a round.
func (c *Cluster) form(ids []NodeID) {
	c.seq += 4
	r := &ring{id: proto.RingID{Seq: c.seq, Rep: ids[0], Inc: c.Node(ids[0]).inc}, members: ids}
	together := map[*ring][]NodeID{}
	for _, id := range ids {
		if old := c.Node(id).ring; old != nil {
			together[old] = append(together[old], id)
		}
	}
	cuts := map[*ring]int{}
	for _, id := range ids { // in a fixed order: Cut may draw
		if old := c.Node(id).ring; old != nil {
			if _, done := cuts[old]; !done {
				cuts[old] = c.cut(old, together[old])
			}
		}
	}
	for _, id := range ids {
		n := c.Node(id)
		old := n.ring
		var trans []NodeID
		if old != nil {
			trans = together[old]
			n.finish(r, trans, cuts[old])
		}
		n.install(r, trans)
	}
}

// cut is the place in the order of old up to which its members deliver before
// they tell the transitional configuration.
func (c *Cluster) cut(old *ring, together []NodeID) int {
	from := 0
	for _, id := range together {
		from = max(from, c.Node(id).pos)
	}
	cut := len(old.log)
	if c.Cut != nil {
		cut = from + c.Cut(len(old.log)-from+1)
	}
	for i := from; i < len(old.log); i++ {
		// What came to all is delivered, up to a safe message of which that is not
		// known; that and what follows is left for the transitional configuration.
		if old.log[i].safe() {
			return min(cut, i)
		}
		if i < old.safe {
			cut = max(cut, i+1)
		}
	}
	return cut
}

func without(a, b []NodeID) (rest []NodeID) {
	for _, id := range a {
		if !slices.Contains(b, id) {
			rest = append(rest, id)
		}
	}
	return rest
}

func intersect(a, b []NodeID) (both []NodeID) {
	for _, id := range a {
		if slices.Contains(b, id) {
			both = append(both, id)
		}
	}
	return both
}

func byID(a, b *hosted) int { return cmp.Compare(a.info.ID, b.info.ID) }
