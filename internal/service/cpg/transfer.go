package cpg

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// transfer is one state on its way from one member of a group to others. It is
// replicated: it begins at a place in the order, and ends there when the last
// receiver has said that it is done, when the giver is gone, or with the ring.
type transfer struct {
	place Place
	from  Process
	to    []Process // who has not said that it is done; ascending
}

// String is for dumps.
func (t *transfer) String() string { return fmt.Sprintf("%v from %v to %v", t.place, t.from, t.to) }

// settle ends transfers that have become void and begins one for those who have
// nothing to wait for. The lowest member that has the state gives it. If nobody
// has it, somebody begins anew, unless somebody who is not here may have it: the
// one whose own state was certain last, for it may have kept that. Who begins anew
// is returned if it was promised a state before.
func (g *group) settle(ring proto.RingID, everybody bool) (begun *transfer, anew *entry) {
	g.transfers = slices.DeleteFunc(g.transfers, func(t *transfer) bool {
		t.to = slices.DeleteFunc(t.to, func(p Process) bool { m := g.member(p); return m == nil || m.has })
		giver := g.member(t.from)
		return len(t.to) == 0 || giver == nil || !giver.has
	})
	needy := g.needy()
	if len(needy) == 0 {
		return nil, nil
	}
	giver := slices.IndexFunc(g.procs, func(e entry) bool { return e.has })
	if giver < 0 {
		g.certain = false
		if !everybody && !bug.Planted("cpg-begins-anew") && slices.ContainsFunc(g.procs, func(e entry) bool { return e.firm }) {
			return nil, nil
		}
		first := g.member(slices.MaxFunc(needy, func(p, q Process) int { // the lowest of equals
			return cmp.Compare(g.member(p).epoch, g.member(q).epoch)
		}))
		first.has = true
		if first.waited {
			anew, first.waited = first, false
		}
		giver = slices.IndexFunc(g.procs, func(e entry) bool { return e.has })
		needy = slices.DeleteFunc(needy, func(p Process) bool { return p == g.procs[giver].Process })
	}
	if len(needy) == 0 {
		return nil, anew
	}
	g.begun++
	begun = &transfer{place: Place{Ring: ring, Number: g.begun}, from: g.procs[giver].Process, to: needy}
	g.transfers = append(g.transfers, begun)
	return begun, anew
}

// needy lists who has no state and none on its way.
func (g *group) needy() (list []Process) {
	for _, e := range g.procs {
		if e.stateful && !e.has && !slices.ContainsFunc(g.transfers, func(t *transfer) bool { return slices.Contains(t.to, e.Process) }) {
			list = append(list, e.Process)
		}
	}
	return list
}

// tellTransfer tells the programs here what they give or get.
func (s *Service) tellTransfer(g *group, begun *transfer, anew *entry) {
	if anew != nil {
		s.tellProgram(g, anew.Process, EventAnew, nil)
	}
	if begun == nil {
		return
	}
	news := Transfer{Place: begun.place, From: begun.from}.AppendTo(nil)
	s.tellProgram(g, begun.from, EventGive, news)
	for _, p := range begun.to {
		if m := g.member(p); p.Node == s.self && m != nil {
			m.waited = true
		}
		s.tellProgram(g, p, EventAwait, news)
	}
}

// tellProgram gives an event to a member, if it is here.
func (s *Service) tellProgram(g *group, p Process, kind uint16, event []byte) {
	if p.Node != s.self {
		return
	}
	if c := g.program(p); c != nil {
		s.push([]*client{c}, kind, event)
	}
}

// transfer finds the transfer that began at a place; nil: it has ended.
func (g *group) transfer(p Place) *transfer {
	for _, t := range g.transfers {
		if t.place == p {
			return t
		}
	}
	return nil
}

// deliverPiece hands a piece to those who wait for it.
func (s *Service) deliverPiece(g *group, m *service.Message, from Process, place Place, piece []byte) {
	t := g.transfer(place)
	code := service.ErrNotExist
	if t != nil && t.from == from {
		code = service.OK
		for _, p := range t.to {
			s.tellProgram(g, p, EventPiece, piece)
		}
	}
	if c := s.client(m.Src); c != nil {
		c.answer(m.Src.Tag, code, nil)
	}
}

// deliverGot notes that a receiver is done.
func (s *Service) deliverGot(g *group, m *service.Message, from Process, q GotRequest) {
	t := g.transfer(q.Place)
	if t == nil || !slices.Contains(t.to, from) {
		return
	}
	t.to = slices.DeleteFunc(t.to, func(p Process) bool { return p == from })
	if q.Whole {
		e := g.member(from)
		e.has, e.waited = true, false
		if g.certain {
			e.firm, e.epoch = true, s.totem.Ring.Seq
		}
	}
	s.changed(g, change{slot: m.Slot, came: s.totem.Members})
}

// merge decides, at the beginning of a ring, which side's state a group goes on
// with: the one with the highest rank, then with the state that was certain last,
// then with the newest primary epoch, then with the most votes, then with the
// lowest node. All transfers begin anew.
func (s *Service) merge(g *group, r *round) {
	g.transfers, g.begun, g.certain = nil, 0, false
	var best *side
	for i := range g.procs {
		if e := &g.procs[i]; e.has {
			if x := r.sideOf(e.Node); best == nil || compareSides(g.ranked(x), g.ranked(best)) > 0 {
				best = x
			}
		}
	}
	for i := range g.procs {
		if e := &g.procs[i]; e.has && r.sideOf(e.Node) != best && !bug.Planted("cpg-merge-keeps-both") {
			e.has = false
		}
	}
}

// side is some nodes of a ring that came along together, so that their state is
// the same.
type side struct {
	nodes  []proto.NodeID // ascending
	epoch  service.Epoch
	weight uint64
	rank   uint64 // of the group in work
	sure   uint64 // likewise: when its state was certain last
}

func compareSides(a, b *side) int {
	if bug.Planted("cpg-votes-before-state") {
		return cmp.Or(cmp.Compare(a.weight, b.weight), cmp.Compare(b.nodes[0], a.nodes[0]))
	}
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.sure, b.sure), cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.weight, b.weight),
		cmp.Compare(b.nodes[0], a.nodes[0]))
}

// ranked fills in what the side is worth in the group.
func (g *group) ranked(x *side) *side {
	x.rank, x.sure = 0, 0
	for _, e := range g.procs {
		if e.has && slices.Contains(x.nodes, e.Node) {
			x.rank, x.sure = max(x.rank, e.rank), max(x.sure, e.epoch)
		}
	}
	return x
}

// sideOf is the side that a node belongs to. Nodes are on one side if each says
// that the other came along.
func (r *round) sideOf(n proto.NodeID) *side {
	if r.sides == nil {
		r.findSides()
	}
	return r.sides[n]
}

func (r *round) findSides() {
	r.sides = map[proto.NodeID]*side{}
	for _, p := range r.peers {
		x := &side{}
		for _, q := range r.peers {
			if p.Node == q.Node || slices.Contains(p.Trans, q.Node) && slices.Contains(q.Trans, p.Node) {
				x.nodes = append(x.nodes, q.Node)
				x.epoch, x.weight = max(x.epoch, q.Epoch), x.weight+uint64(q.Weight)
			}
		}
		for _, q := range x.nodes {
			if other := r.sides[q]; other != nil && slices.Equal(other.nodes, x.nodes) {
				x = other
				break
			}
		}
		r.sides[p.Node] = x
	}
}
