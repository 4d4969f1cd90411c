package cpg

import (
	"cmp"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// A state is certain when it holds everything that any majority acted upon. Which
// is not a matter of votes alone: a member that lost its memory cannot tell what
// it took part in, and in Corosync's world a node that restarts votes at once. So
// each member remembers in which ring its state was certain last, and is firm
// from then on; who restarts is not. The state of a ring is certain
//
//   - if nodes with firm members are more than half of the expected votes, and it
//     is the newest of what they know: one of them was there when the last
//     majority acted. Or
//   - if all expected votes have a member: nobody who is not here can know more.
//     So every group begins, and goes on after most of it forgot.
//
// Programs are told of a majority (View) when the state is certain and those who
// have it are one, counting only nodes that are known to have activated the ring:
// of these each remembers, whatever comes next, that it was certain.

// ascertain notes when the state of a group is certain, in this ring and from
// here on.
func (s *Service) ascertain(g *group) {
	if g.certain || !s.mayBeCertain(g) && !bug.Planted("cpg-always-certain") {
		return
	}
	g.certain = true
	for i := range g.procs {
		if e := &g.procs[i]; e.has {
			e.firm, e.epoch = true, s.totem.Ring.Seq
		}
	}
}

func (s *Service) mayBeCertain(g *group) bool {
	var newest, here uint64
	has := false
	for _, e := range g.procs {
		if e.firm {
			newest = max(newest, e.epoch)
		}
		if e.has {
			has, here = true, max(here, e.epoch)
		}
	}
	if !has {
		return false
	}
	firm := s.votes(g, func(e *entry) bool { return e.firm })
	return firm > s.decision().Expected/2 && here == newest || s.everybody(g)
}

// everybody reports whether all expected votes have a stateful member. A quorum
// device has none, and knows nothing.
func (s *Service) everybody(g *group) bool {
	n := s.votes(g, func(e *entry) bool { return e.stateful })
	return n > 0 && uint64(n)+uint64(s.decision().Reserved) >= uint64(s.decision().Expected)
}

// votes counts the votes of the nodes that have a member of some kind.
func (s *Service) votes(g *group, of func(*entry) bool) (n uint32) {
	last, shares := proto.NodeID(0), s.decision().Shares
	for i := range g.procs {
		if e := &g.procs[i]; e.Node != last && of(e) {
			n += s.weight(shares, e.Node)
			last = e.Node
		}
	}
	return n
}

// weight is how many votes a node has: by the decision that stands, which follows
// reloads and operators, or as it said itself if there is none.
func (s *Service) weight(shares []service.Share, n proto.NodeID) uint32 {
	if shares == nil {
		return s.weights[n]
	}
	i, found := slices.BinarySearchFunc(shares, n, func(x service.Share, n proto.NodeID) int { return cmp.Compare(x.Node, n) })
	if !found {
		return 0
	}
	return shares[i].Votes
}

// decision is the one about quorum that stands.
func (s *Service) decision() service.QuorumState {
	q, _ := s.x.(service.QuorumViewer).Quorum()
	return q
}

// heard notes that a node has activated the ring: messages that are not of a
// round leave it only then.
func (s *Service) heard(m *service.Message) {
	if m.Class != service.Normal || m.Ring != s.totem.Ring || s.here[m.From] {
		return
	}
	s.here[m.From] = true
	for _, g := range s.sorted() {
		if len(g.programs) == 0 || !g.certain {
			continue
		}
		var v View
		if s.judge(g, &v); v.Majority != g.majority {
			s.show(g, change{slot: m.Slot, came: s.totem.Members})
		}
	}
}

// sayHere tells that this node has activated the ring, if others count on it.
func (s *Service) sayHere() {
	if s.here[s.self] || !slices.ContainsFunc(s.sorted(), func(g *group) bool {
		return slices.ContainsFunc(g.of(s.self), func(e entry) bool { return e.stateful })
	}) {
		return
	}
	s.scratch = s.scratch[:0]
	if s.send(msgHere, false, service.Source{}) == service.ErrAgain {
		ring := s.totem.Ring
		s.x.After(owedRetry, func() {
			if s.totem.Ring == ring {
				s.sayHere()
			}
		})
	}
}
