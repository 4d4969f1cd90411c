package cpg

import (
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// round is a synchronisation in work. The lists of the groups stay untouched
// until it is activated.
type round struct {
	ring    proto.RingID
	members []proto.NodeID
	same    bool
	trans   []proto.NodeID
	peers   []service.Peer
	sides   map[proto.NodeID]*side // of merge, once somebody asked
	send    [][]byte               // own lists, not sent yet
	lists   map[string][]entry     // what all members announced, by group
}

// SyncDigest implements service.Syncer.
func (s *Service) SyncDigest() service.Digest {
	h := sha256.New()
	for _, g := range s.sorted() {
		if len(g.procs) > 0 {
			b := appendName(nil, []byte(g.name))
			for i := range g.procs {
				b = appendEntry(body.AppendNode(b, g.procs[i].Node), &g.procs[i])
			}
			h.Write(b)
		}
	}
	return service.Digest(h.Sum(nil))
}

// SyncInit implements service.Syncer.
func (s *Service) SyncInit(r service.Round) {
	s.round = &round{ring: r.Ring, members: slices.Clone(r.Members), same: r.Same, trans: slices.Clone(r.Trans), lists: map[string][]entry{}}
	for _, p := range r.Peers {
		p.Trans = slices.Clone(p.Trans)
		s.round.peers = append(s.round.peers, p)
	}
	if !r.Same {
		s.round.send = appendLists(s.sorted(), s.self)
	}
}

// SyncProcess implements service.Syncer.
func (s *Service) SyncProcess(budget int) (done bool, err error) {
	r := s.round
	for ; budget > 0 && len(r.send) > 0; budget-- {
		err := s.x.Multicast(msgList, service.Sync, service.Agreed, service.Source{}, r.send[0])
		if err != nil {
			return false, nil // no room: the next call goes on
		}
		r.send = r.send[1:]
	}
	return len(r.send) == 0, nil
}

// deliverList stages what a member announced.
func (s *Service) deliverList(m *service.Message) error {
	if s.round == nil || m.Class != service.Sync {
		return errors.New("process list outside of a round")
	}
	if bug.Planted("cpg-state-not-synced") && !slices.Contains(s.came, m.From) {
		return nil
	}
	list, err := parseList(m.Body)
	for _, a := range list {
		for _, e := range a.procs {
			e.Node = m.From
			s.round.lists[a.group] = append(s.round.lists[a.group], e)
		}
	}
	return err
}

// SyncAbort implements service.Syncer.
func (s *Service) SyncAbort(error) { s.round = nil }

// SyncActivate implements service.Syncer.
func (s *Service) SyncActivate() {
	r := s.round
	s.round = nil
	if r.same {
		s.announceOwn(r)
	}
	for name, list := range r.lists {
		slices.SortFunc(list, compareEntry)
		s.intern([]byte(name))
	}
	groups := s.sorted()
	changes := map[*group]change{}
	phases := []func(*group, *round) Confchg{s.lost, s.unannounced, s.arrived}
	if bug.Planted("cpg-confchg-order") {
		slices.Reverse(phases)
	}
	for _, phase := range phases {
		for _, g := range groups {
			if e := phase(g, r); len(e.Left)+len(e.Joined) > 0 {
				c := changes[g]
				c.left, c.joined = append(c.left, e.Left...), append(c.joined, e.Joined...)
				changes[g] = c
				s.confchg(g, e)
			}
		}
	}
	s.came = slices.Clone(r.members)
	s.totem = TotemConf{Ring: r.ring, Members: r.members}
	s.weigh(r)
	s.here = map[proto.NodeID]bool{}
	for _, g := range groups {
		s.merge(g, r)
		c := changes[g]
		c.came = r.trans
		s.changed(g, c)
		s.drop(g)
	}
	s.sayHere()
	s.scratch = s.totem.AppendTo(s.scratch[:0])
	for _, c := range s.clients {
		if !c.program {
			s.push([]*client{c}, EventTotem, s.scratch)
		}
	}
}

// announceOwn fills in what all members would have announced: the lists are
// equal, so the own ones say it.
func (s *Service) announceOwn(r *round) {
	for _, g := range s.groups {
		for _, p := range g.procs {
			if slices.Contains(r.members, p.Node) {
				r.lists[g.name] = append(r.lists[g.name], p)
			}
		}
	}
}

// lost takes the processes of nodes out that did not come along.
func (s *Service) lost(g *group, _ *round) Confchg {
	return Confchg{Left: g.takeOut(ReasonNodeDown, func(p Process) bool { return !slices.Contains(s.came, p.Node) })}
}

// unannounced takes the processes out that their own node does not have.
func (s *Service) unannounced(g *group, r *round) Confchg {
	return Confchg{Left: g.takeOut(ReasonProcDown, func(p Process) bool {
		_, found := slices.BinarySearchFunc(r.lists[g.name], entry{Process: p}, compareEntry)
		return !found
	})}
}

// arrived adds the processes that were announced and not known, and takes over
// what those that were known say about themselves.
func (s *Service) arrived(g *group, r *round) (e Confchg) {
	for _, p := range r.lists[g.name] {
		if g.add(p) {
			p.Reason = ReasonNodeUp
			e.Joined = append(e.Joined, p.Process)
		} else {
			m := g.member(p.Process)
			m.rank, m.has, m.firm, m.epoch = p.rank, p.has, p.firm, p.epoch
		}
	}
	return e
}
