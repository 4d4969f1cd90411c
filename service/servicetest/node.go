package servicetest

import (
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/moothall/moothall/service"
)

// Node is one member: a fake executive with its services.
type Node struct {
	// Full makes every Multicast of a client's message answer ErrTryAgain, and
	// calls that need flow control wait.
	Full bool

	c         *Cluster
	id        NodeID
	inc       uint32
	up        bool
	services  []*hosted
	ring      *ring
	pos       int      // in ring.log
	control   []entry  // accepted, not ordered: of rounds
	normal    []entry  // accepted, not ordered: the rest
	came      []NodeID // who came along since the last complete round
	round     *round
	conns     []*Conn
	finishing []*Conn // gone, their services do not know yet
	timers    []*timer
	writes    []func() // of Keep, each with its answer

	quorum   service.QuorumState
	currency service.Currency
	kept     service.QuorumRecord // asked for last
	record   service.QuorumRecord // durable
	found    bool                 // there is a durable record
}

// hosted is a service on one node.
type hosted struct {
	s     service.Service
	info  service.Info
	epoch service.Epoch
}

func (h *hosted) syncer() service.Syncer {
	s, _ := h.s.(service.Syncer)
	return s
}

func (n *Node) start() {
	*n = Node{c: n.c, id: n.id, inc: n.inc + 1, up: true, kept: n.record, record: n.record, found: n.found}
	for _, s := range n.c.services(n.id) {
		n.services = append(n.services, &hosted{s: s, info: s.Info()})
	}
	slices.SortFunc(n.services, byID)
	for _, h := range n.services {
		if err := h.s.Start(executive{n, h}); err != nil {
			n.c.t.Fatalf("start %q on node %d: %v", h.info.Name, n.id, err)
		}
	}
}

// ID is the node's id.
func (n *Node) ID() NodeID { return n.id }

// Up reports whether the node runs.
func (n *Node) Up() bool { return n.up }

// Members lists the members of the node's ring.
func (n *Node) Members() []NodeID { return n.ring.members }

// Ring is the node's ring.
func (n *Node) Ring() service.RingID { return n.ring.id }

// Busy reports whether a round runs here.
func (n *Node) Busy() bool { return n.round != nil }

// Quorum is the decision that the quorum service showed last.
func (n *Node) Quorum() service.QuorumState { return n.quorum }

// Kept is what the quorum service asked to keep last.
func (n *Node) Kept() service.QuorumRecord { return n.kept }

// Record is what the disk has of it: a crash forgets the rest.
func (n *Node) Record() service.QuorumRecord { return n.record }

// Service returns the service with an id.
func (n *Node) Service(id uint16) service.Service { return n.hosted(id).s }

func (n *Node) hosted(id uint16) *hosted {
	for _, h := range n.services {
		if h.info.ID == id {
			return h
		}
	}
	return nil
}

// acts are the things that a node can do next. Each reports whether it did
// anything.
func (n *Node) acts() []func() bool {
	return []func() bool{n.order, n.deliver, n.work, n.call, n.write, n.finishClients}
}

// order puts one accepted message into the order of the ring. Others than those
// of a round wait for the end of the round.
func (n *Node) order() bool {
	queue := &n.control
	if len(n.control) == 0 {
		queue = &n.normal
		if n.round != nil || len(n.normal) == 0 {
			return false
		}
	}
	e := (*queue)[0]
	*queue = (*queue)[1:]
	e.msg.Ring, e.msg.Slot = n.ring.id, service.Slot(len(n.ring.log)+1)
	if i := len(n.ring.log) - 1; i >= 0 && n.ring.log[i].from == n.id && n.ring.log[i].msg.Slot != 0 {
		e.msg.Slot = n.ring.log[i].msg.Slot // they travel together
	}
	n.ring.log = append(n.ring.log, e)
	return true
}

func (n *Node) deliver() bool {
	if n.pos == len(n.ring.log) {
		return false
	}
	e := n.ring.log[n.pos]
	n.pos++
	if e.safe() {
		n.ring.safe = max(n.ring.safe, n.pos)
	}
	n.take(e)
	return true
}

// take hands one entry on.
func (n *Node) take(e entry) {
	switch {
	case e.hello != nil:
		n.gotHello(e.from, e.hello)
	case e.barrier != nil:
		n.gotBarrier(e.from, e.barrier)
	case e.msg.Class == service.Sync && !n.inRound(e.service):
		// of a round that was cut off
	default:
		h := n.hosted(e.service)
		if h == nil {
			return
		}
		if !n.serves(h) {
			n.refuse(e.msg.Src)
			return
		}
		m := e.msg
		m.Body = slices.Clone(m.Body)
		h.s.Deliver(m)
		scribble(m.Body)
	}
}

// refuse answers the call behind a message that nobody acts on.
func (n *Node) refuse(src service.Source) {
	for _, cn := range n.conns {
		if a := cn.asked[src.Tag]; a != nil && src.Node == n.id && src.Conn == cn.id {
			a.refuse()
		}
	}
}

// finish is the end of the old ring at one of its members: what is ordered up
// to cut, the transitional configuration on the way to next, and what is left
// for those in trans.
func (n *Node) finish(next *ring, trans []NodeID, cut int) {
	for n.pos < cut {
		n.deliver()
	}
	n.abort()
	n.came = intersect(n.came, trans)
	left := without(n.ring.members, trans)
	n.tell(service.ConfigChange{Kind: service.Transitional, Ring: next.id, Members: trans, Left: left, Primary: n.quorum.Quorate})
	for ; n.pos < len(n.ring.log); n.pos++ {
		e := n.ring.log[n.pos]
		if (slices.Contains(trans, e.from) || n.pos < n.ring.safe) && e.hello == nil && e.barrier == nil {
			n.take(e)
		}
	}
	n.control = nil
}

// install is the beginning of a ring at one of its members.
func (n *Node) install(r *ring, trans []NodeID) {
	var before []NodeID
	if n.ring != nil {
		before = n.ring.members
	} else {
		n.came = []NodeID{n.id}
		trans = n.came
	}
	n.ring, n.pos = r, 0
	n.tell(service.ConfigChange{Kind: service.Regular, Ring: r.id, Members: r.members, Left: without(before, trans),
		Joined: without(r.members, intersect(trans, before)), Primary: n.quorum.Quorate})
	n.begin()
}

func (n *Node) tell(c service.ConfigChange) {
	for _, h := range n.services {
		own := c
		own.Members, own.Left, own.Joined = slices.Clone(c.Members), slices.Clone(c.Left), slices.Clone(c.Joined)
		h.s.ConfigChange(own)
		clear(own.Members)
		clear(own.Left)
		clear(own.Joined)
	}
}

// primary reports whether the node's services count as members of the primary
// component: without a quorum service all do.
func (n *Node) primary() bool {
	for _, h := range n.services {
		if _, ok := h.s.(service.Quorum); ok {
			return n.quorum.Quorate && n.quorum.Ring == n.ring.id
		}
	}
	return true
}

// serves reports whether a service runs here now.
func (n *Node) serves(h *hosted) bool { return h.info.RunsWithoutQuorum || n.primary() }

// write lets the disk do what was asked of it first, and answer.
func (n *Node) write() bool {
	if len(n.writes) == 0 {
		return false
	}
	f := n.writes[0]
	n.writes = n.writes[1:]
	f()
	return true
}

// executive is what one service sees of its node.
type executive struct {
	n *Node
	h *hosted
}

func (x executive) Self() NodeID                 { return x.n.id }
func (x executive) Now() time.Time               { return x.n.c.now }
func (x executive) Nodes() service.NodeDirectory { return directory{x.n.c} }
func (x executive) Log() *slog.Logger            { return slog.New(slog.DiscardHandler) }
func (x executive) Room(int) bool                { return !x.n.Full }

func (x executive) Multicast(fn uint16, class service.MsgClass, level service.Level, src service.Source, body []byte) error {
	e := entry{from: x.n.id, service: x.h.info.ID, msg: service.Message{
		From: x.n.id, Func: fn, Class: class, Level: level, Src: src, Body: slices.Clone(body)}}
	if _, relays := x.h.s.(interface{ Relays() }); x.h.info.ID >= service.FirstID && !relays && len(body) > service.MaxMessage {
		return service.ErrTooBig
	}
	if class == service.Sync {
		x.n.control = append(x.n.control, e)
		return nil
	}
	if x.n.Full {
		return service.ErrTryAgain
	}
	x.n.normal = append(x.n.normal, e)
	return nil
}

func (x executive) Local(src service.Source) (service.Conn, bool) {
	for _, cn := range x.n.conns {
		if src.Node == x.n.id && src.Conn == cn.id {
			return cn, true
		}
	}
	return nil, false
}

func (x executive) Kept() (service.QuorumRecord, bool) { return x.n.record, x.n.found }

func (x executive) Keep(r service.QuorumRecord, done func(error)) {
	r.Primary.Members, r.Primary.Attempts = slices.Clone(r.Primary.Members), slices.Clone(r.Primary.Attempts)
	n := x.n
	n.kept = r
	n.writes = append(n.writes, func() {
		n.record, n.found = r, true
		if done != nil {
			done(nil)
		}
	})
}

func (x executive) Decided(s service.QuorumState) {
	x.n.quorum, x.n.currency = s, service.CurrencyNow
	if x.n.round != nil {
		return // they see it in their own activation
	}
	for _, h := range x.n.services {
		if l, ok := h.s.(service.QuorumListener); ok {
			l.QuorumChanged()
		}
	}
}

func (x executive) Quorum() (service.QuorumState, service.Currency) { return x.n.quorum, x.n.currency }

type timer struct {
	at   time.Time
	f    func()
	done bool
}

func (t *timer) Stop() { t.done = true }

func (x executive) After(d time.Duration, f func()) service.Timer {
	t := &timer{at: x.n.c.now.Add(d), f: f}
	x.n.timers = append(x.n.timers, t)
	return t
}

func (n *Node) runTimers() {
	for {
		i := slices.IndexFunc(n.timers, func(t *timer) bool { return t.done || !t.at.After(n.c.now) })
		if i < 0 {
			return
		}
		t := n.timers[i]
		n.timers = slices.Delete(n.timers, i, i+1)
		if !t.done {
			t.f()
		}
	}
}

type directory struct{ c *Cluster }

func (d directory) Name(id NodeID) string { return "node" + strconv.Itoa(int(id)) }

func (d directory) Configured() []NodeID {
	var ids []NodeID
	for _, n := range d.c.nodes {
		ids = append(ids, n.id)
	}
	return ids
}

// scribble overwrites what nobody may read any more.
func scribble(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
