package servicetest

import (
	"errors"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// budget is how many messages a service may send in one call of SyncProcess;
// small, so that it is called more than once.
const budget = 2

var errRingChanged = errors.New("the ring changed")

// hello is what a member tells at the start of a round.
type hello struct {
	ring  proto.RingID
	peers map[uint16]service.Peer
}

// barrier says that its sender has finished the process phase of a service.
type barrier struct {
	ring    proto.RingID
	service uint16
}

// round is one synchronisation of one ring at one node.
type round struct {
	hellos   map[NodeID]*hello
	list     []uint16 // services of the round, ascending; nil until all hellos are in
	at       int      // in list
	working  bool     // the own process phase of list[at] runs
	inited   map[uint16]bool
	barriers map[uint16][]NodeID
}

// begin starts a round after a regular configuration.
func (n *Node) begin() {
	n.round = &round{hellos: map[NodeID]*hello{}, inited: map[uint16]bool{}, barriers: map[uint16][]NodeID{}}
	h := &hello{ring: n.ring.id, peers: map[uint16]service.Peer{}}
	for _, s := range n.services {
		if y := s.syncer(); y != nil {
			h.peers[s.info.ID] = service.Peer{Node: n.id, Versions: s.info.Versions, Digest: y.SyncDigest(), Epoch: s.epoch,
				Weight: 1, Trans: slices.Clone(n.came), Has: true}
		}
	}
	n.control = append(n.control, entry{from: n.id, hello: h})
}

// abort cuts the round in work off.
func (n *Node) abort() {
	r := n.round
	if r == nil {
		return
	}
	n.round = nil
	for _, h := range n.services {
		if r.inited[h.info.ID] {
			h.syncer().SyncAbort(errRingChanged)
		}
	}
}

// inRound reports whether messages of a service's round are due.
func (n *Node) inRound(id uint16) bool {
	return n.round != nil && n.round.list != nil && n.round.inited[id] && n.round.list[n.round.at] == id
}

func (n *Node) gotHello(from NodeID, h *hello) {
	r := n.round
	if r == nil || h.ring != n.ring.id {
		return
	}
	r.hellos[from] = h
	if len(r.hellos) < len(n.ring.members) {
		return
	}
	seen := map[uint16]bool{}
	for _, h := range r.hellos {
		for id := range h.peers {
			seen[id] = true
		}
	}
	r.list = []uint16{}
	for id := range seen {
		r.list = append(r.list, id)
	}
	slices.Sort(r.list)
	for _, id := range r.list {
		if h := n.hosted(id); h != nil && h.info.RunsWithoutQuorum {
			n.init(h)
		}
	}
	n.next()
}

// init tells a service about the round.
func (n *Node) init(h *hosted) {
	r := n.round
	arg := service.Round{Ring: n.ring.id, Members: slices.Clone(n.ring.members), Trans: slices.Clone(n.came), Same: true,
		Version: h.info.Versions.Max}
	first := r.hellos[n.ring.members[0]].peers[h.info.ID].Digest
	best := service.Peer{}
	for _, id := range n.ring.members {
		p := r.hellos[id].peers[h.info.ID]
		p.Node = id
		arg.Peers = append(arg.Peers, p)
		arg.Same = arg.Same && p.Digest == first && p.Digest != service.Digest{}
		if p.Has && (arg.Sender == 0 || p.Epoch > best.Epoch) {
			arg.Sender, best = id, p
		}
	}
	if own, ok := h.s.(service.Chooser); ok {
		arg.Sender = own.SyncSender(arg)
	}
	r.inited[h.info.ID] = true
	h.syncer().SyncInit(arg)
}

// next begins the process phase of the service at its turn, or ends the round.
func (n *Node) next() {
	r := n.round
	if r.at == len(r.list) {
		n.round = nil
		n.came = slices.Clone(n.ring.members)
		for _, h := range n.services {
			if b, ok := h.s.(service.Bystander); ok && !n.serves(h) {
				b.PassedBy()
			}
		}
		if n.c.Resume != nil {
			n.c.Resume(n)
		}
		return
	}
	id := r.list[r.at]
	h := n.hosted(id)
	if h != nil && !r.inited[id] && n.serves(h) {
		n.init(h)
	}
	if h == nil || !r.inited[id] || n.same(id) {
		n.pass()
		return
	}
	r.working = true
}

func (n *Node) same(id uint16) bool {
	first := n.round.hellos[n.ring.members[0]].peers[id].Digest
	for _, h := range n.round.hellos {
		if h.peers[id].Digest != first {
			return false
		}
	}
	return first != service.Digest{}
}

// work goes on with the own process phase.
func (n *Node) work() bool {
	r := n.round
	if r == nil || r.list == nil || !r.working {
		return false
	}
	before := len(n.control)
	done, err := n.hosted(r.list[r.at]).syncer().SyncProcess(budget)
	if err != nil {
		n.c.t.Fatalf("node %d, service %d: %v", n.id, r.list[r.at], err)
	}
	if done {
		n.pass()
	}
	return done || len(n.control) > before
}

// pass sends the own barrier of the service at its turn.
func (n *Node) pass() {
	n.round.working = false
	b := &barrier{ring: n.ring.id, service: n.round.list[n.round.at]}
	n.control = append(n.control, entry{from: n.id, barrier: b})
}

func (n *Node) gotBarrier(from NodeID, b *barrier) {
	r := n.round
	if r == nil || b.ring != n.ring.id {
		return
	}
	r.barriers[b.service] = append(r.barriers[b.service], from)
	if len(r.barriers[b.service]) < len(n.ring.members) {
		return
	}
	if h := n.hosted(b.service); h != nil && r.inited[b.service] {
		h.syncer().SyncActivate()
		delete(r.inited, b.service)
		if n.primary() {
			h.epoch = service.Epoch(n.ring.id.Seq)
		}
	}
	r.at++
	n.next()
}
