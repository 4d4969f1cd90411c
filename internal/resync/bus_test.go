package resync_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
)

// bus is a cluster in memory: each ring is one list of messages that all of its
// members take in the same order.
type bus struct {
	nodes map[proto.NodeID]*node
	order []*node
	seq   uint64
	now   proto.Tick
	kinds []resync.Service
	err   error
}

// quorumID is the first service of a bus, the others follow.
const quorumID = 1

// node hosts one Machine and services whose state is a line of text.
type node struct {
	bus     *bus
	id      proto.NodeID
	m       *resync.Machine
	ring    *ring
	pos     int // in ring.log
	weight  uint32
	blind   bool // takes no ring for quorate
	primary bool // decision about the present ring, valid from the quorum service's activation
	state   map[uint16]string
	staged  map[uint16]string
	rounds  map[uint16]resync.Round
	sent    map[uint16]bool
	hold    map[uint16]bool // this service's process phase does not end
	refuse  bool            // Send finds no room
	prefer  proto.NodeID    // sender by a rule of the services' own
	calls   []string
	notes   []resync.Note
}

type ring struct {
	id      proto.RingID
	members []proto.NodeID
	quorate bool
	log     []message
}

type message struct {
	from    proto.NodeID
	service uint16 // resync.NoService: one of the Machine
	body    []byte
}

func service(id uint16) resync.Service {
	return resync.Service{ID: id, Name: fmt.Sprint("s", id), Versions: resync.Range{Min: 1, Max: 1}}
}

func quorumService() resync.Service {
	s := service(quorumID)
	s.Quorum = true
	return s
}

// newBus makes n nodes with the quorum service and those of kinds.
func newBus(n int, kinds ...resync.Service) *bus {
	b := &bus{nodes: map[proto.NodeID]*node{}, kinds: append([]resync.Service{quorumService()}, kinds...)}
	for i := range n {
		b.start(proto.NodeID(i+1), b.kinds)
	}
	return b
}

// start starts or restarts a node with empty state.
func (b *bus) start(id proto.NodeID, kinds []resync.Service) *node {
	n := &node{bus: b, id: id, weight: 1, state: map[uint16]string{}, staged: map[uint16]string{}, rounds: map[uint16]resync.Round{},
		sent: map[uint16]bool{}, hold: map[uint16]bool{}}
	m, err := resync.New(resync.Config{Self: id, Services: kinds}, n)
	if err != nil {
		panic(err)
	}
	n.m = m
	b.nodes[id] = n
	b.order = slices.DeleteFunc(b.order, func(o *node) bool { return o.id == id })
	b.order = append(b.order, n)
	b.order = slices.SortedFunc(slices.Values(b.order), func(a, c *node) int { return int(a.id) - int(c.id) })
	return n
}

// form gives the members a ring, quorate or not, without running it. Those that
// shared a ring come along with each other.
func (b *bus) form(quorate bool, ids ...proto.NodeID) {
	b.seq += 4
	r := &ring{id: proto.RingID{Seq: b.seq, Rep: ids[0], Inc: 1}, members: ids, quorate: quorate}
	for _, id := range ids {
		n := b.nodes[id]
		if n.ring != nil {
			var trans []proto.NodeID
			for _, o := range ids {
				if b.nodes[o].ring == n.ring {
					trans = append(trans, o)
				}
			}
			defer n.m.Regular(b.now, r.id, ids)
			n.m.Transitional(b.now, trans)
			continue
		}
		defer n.m.Regular(b.now, r.id, ids)
	}
	for _, id := range ids {
		n := b.nodes[id]
		n.ring, n.pos, n.primary = r, 0, false
	}
}

// run lets the rings work until nothing happens any more.
func (b *bus) run(ids ...proto.NodeID) {
	for moved := true; moved; {
		moved = false
		for _, n := range b.members(ids) {
			moved = n.turn() || moved
		}
	}
}

func (b *bus) members(ids []proto.NodeID) []*node {
	if len(ids) == 0 {
		return b.order
	}
	var out []*node
	for _, id := range ids {
		out = append(out, b.nodes[id])
	}
	return out
}

// runUntil works one message at a time at all members alike, until the condition
// holds; the place in the order is then the same at all.
func (b *bus) runUntil(cond func() bool, ids ...proto.NodeID) {
	ns := b.members(ids)
	for range 10000 {
		if cond() {
			return
		}
		for _, n := range ns {
			n.m.Work(b.now, 8)
		}
		for _, n := range ns {
			n.take()
		}
	}
	b.fail("the condition does not come true")
}

func (b *bus) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// turn takes what there is and works once.
func (n *node) turn() bool {
	moved := false
	for n.take() {
		moved = true
	}
	if n.ring == nil || !n.m.Busy() {
		return moved
	}
	before := len(n.ring.log)
	n.m.Work(n.bus.now, 8)
	return moved || len(n.ring.log) > before
}

func (n *node) take() bool {
	if n.ring == nil || n.pos == len(n.ring.log) {
		return false
	}
	m := n.ring.log[n.pos]
	n.pos++
	if m.service == resync.NoService {
		if err := n.m.Deliver(n.bus.now, m.from, n.ring.id, m.body); err != nil {
			n.bus.fail("node %d: %v", n.id, err)
		}
	} else if n.m.InRound(m.service) {
		n.staged[m.service] = string(m.body)
	}
	return true
}

func (n *node) Weight() uint32 { return n.weight }

func (n *node) Digest(s uint16) resync.Digest { return sha256.Sum256([]byte(n.state[s])) }

func (n *node) Choose(_ uint16, r *resync.Round) proto.NodeID {
	if n.prefer != 0 {
		return n.prefer
	}
	return r.Sender
}

func (n *node) Init(s uint16, r *resync.Round) {
	n.call("init", s)
	n.rounds[s], n.sent[s] = *r, false
	delete(n.staged, s)
}

func (n *node) Process(s uint16, budget int) (bool, error) {
	if budget <= 0 {
		n.bus.fail("process without a budget")
	}
	if n.hold[s] {
		return false, nil
	}
	if r := n.rounds[s]; r.Sender == n.id && !n.sent[s] {
		n.sent[s] = true
		n.ring.log = append(n.ring.log, message{n.id, s, []byte(n.state[s])})
	}
	n.call("process", s)
	return true, nil
}

func (n *node) Activate(s uint16) {
	n.call("activate", s)
	if v, ok := n.staged[s]; ok {
		n.state[s] = v
	}
	delete(n.staged, s)
	if s == quorumID {
		n.primary = n.ring.quorate && !n.blind
	}
}

func (n *node) Abort(s uint16, cause error) {
	n.call("abort", s)
	delete(n.staged, s)
}

func (n *node) Primary() bool { return n.primary }

var errRoom = errors.New("no room")

func (n *node) Send(b []byte) error {
	if n.refuse {
		return errRoom
	}
	n.ring.log = append(n.ring.log, message{n.id, resync.NoService, slices.Clone(b)})
	return nil
}

func (n *node) Note(x resync.Note) { n.notes = append(n.notes, x) }

func (n *node) call(what string, s uint16) { n.calls = append(n.calls, fmt.Sprint(what, " ", s)) }

// took drops and returns the calls so far.
func (n *node) took() []string {
	c := n.calls
	n.calls = nil
	return c
}

func (n *node) noted(k resync.NoteKind) bool {
	return slices.ContainsFunc(n.notes, func(x resync.Note) bool { return x.Kind == k })
}

// write changes a service's state at the members of a ring, as a client would.
func (b *bus) write(s uint16, text string, ids ...proto.NodeID) {
	for _, id := range ids {
		if st := b.nodes[id].m.Status(); st.State != resync.Idle {
			b.fail("write while node %d is %v", id, st.State)
		}
		b.nodes[id].state[s] = text
	}
}
