package events

import (
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// changeMembership applies a commit (cluster events 2.8).
func (s *Service) changeMembership(c *commit) {
	d := s.state
	was := d.member(s.self) != nil && !s.fresh
	before := d.members
	changed := d.change(c)
	s.trans = max(s.trans, c.trans)
	in := s.means(c)
	stays := was && slices.ContainsFunc(before, func(m Member) bool { return m.ID == s.self && slices.Contains(d.members, m) })
	if was && !stays {
		s.evict()
	}
	if in {
		s.fresh = false
	}
	switch {
	case !in:
	case changed:
		s.limbo = false
		s.tellFact(d.record(NewMembership, d.trans), false)
	case s.limbo:
		s.limbo = false
		s.tellFact(d.record(Restored, d.trans), false)
	}
	if changed {
		s.lost()
	}
	s.changeEligible(c.eligible)
	s.news()
}

// lost ends what nodes registered and had open that did not stay.
func (s *Service) lost() {
	d := s.state
	stayed := func(n proto.NodeID) bool {
		return d.member(n) != nil && !slices.ContainsFunc(d.in, func(m Member) bool { return m.ID == n })
	}
	for _, t := range slices.Collect(d.all()) {
		for _, e := range slices.Clone(t.members) {
			if !stayed(e.Node) {
				s.leave(t.name, e)
			}
		}
		for _, e := range slices.Clone(t.opens) {
			if !stayed(e.Node) {
				s.exit(t, e)
			}
		}
	}
}

// enterLimbo says that the membership is not certain any more, once, and who is in
// the ring to those who want that.
func (s *Service) enterLimbo() {
	if s.born() != 0 && !s.limbo {
		s.limbo = true
		f := s.state.record(NotPrimary, s.trans)
		if bug.Planted("events-limbo-without-lists") {
			f.In, f.Out = nil, nil
		}
		s.tellFact(f, false)
	}
	s.tellFact(s.gathering(), true)
}

// gathering is who is in a ring that is not primary.
func (s *Service) gathering() Fact {
	f := Fact{Kind: NoQuorum, Seq: s.state.seq, Trans: s.trans}
	for _, n := range s.nodes {
		m := Member{ID: n, Name: s.x.Nodes().Name(n)}
		if known := s.state.member(n); known != nil {
			m = *known
		}
		f.Members = append(f.Members, m)
	}
	slices.SortFunc(f.Members, compareMember)
	return f
}

// evict ends what is registered here: the others went on without this node.
func (s *Service) evict() {
	s.limbo = false
	s.endMembership(Thrown)
}

// endMembership tells that this node is in no membership any more, and ends what
// is registered.
func (s *Service) endMembership(why Why) {
	if s.born() != 0 || why == Thrown {
		s.tellFact(Fact{Kind: Evicted, Trans: s.trans}, false)
	}
	for _, c := range s.clients {
		for _, u := range slices.Clone(c.subs) {
			if u.class < Topic {
				c.end(u, why)
			}
		}
	}
}

// tellFact tells a fact to those who registered for the membership. A membership
// that waited while there was no quorum was agreed before clients were told
// NotPrimary: its trans rises all the same.
func (s *Service) tellFact(f Fact, special bool) {
	if !special && f.Kind != Evicted {
		f.Trans = max(f.Trans, s.told+1)
		s.told = f.Trans
	}
	for _, u := range s.watches[Memb] {
		if !special || u.special {
			u.fact(f)
		}
	}
}

// fact queues one fact.
func (u *sub) fact(f Fact) { u.c.push(u, EventFact, MemberEvent{u.id, f}.AppendTo(nil)) }

// greet is what who registers for the membership gets first: the record as it was
// agreed, and that it is not certain if so (cluster events H9).
func (u *sub) greet() {
	s := u.c.s
	if s.born() != 0 {
		u.fact(s.state.record(NewMembership, s.state.trans))
	}
	if s.limbo {
		u.fact(s.state.record(NotPrimary, s.told))
	}
}

// status answers CallStatus.
func (s *Service) status() StatusReply {
	switch {
	case s.born() == 0:
		return StatusReply{None, Fact{Kind: Evicted, Trans: s.trans}}
	case s.limbo:
		return StatusReply{Limbo, s.state.record(NotPrimary, s.told)}
	}
	return StatusReply{Primary, s.state.record(NewMembership, s.state.trans)}
}

// Configured says that the node list of the configuration is another one now.
func (s *Service) Configured() {
	s.retry(func() bool {
		ids := slices.Clone(s.x.Nodes().Configured()) // as it is then: it may change before there is room
		slices.Sort(ids)
		return !s.live() || s.send(msgEligible, service.Source{}, body.AppendNodes(nil, ids)) == service.OK
	})
}

// changeEligible tells which nodes are configured, and which are not any more.
func (s *Service) changeEligible(ids []proto.NodeID) {
	before := s.state.eligible
	s.state.eligible = ids
	if len(before) == 0 {
		return
	}
	for _, n := range before {
		if !slices.Contains(ids, n) {
			s.Link(Link{Kind: Eligible, Node: n})
		}
	}
	for _, n := range ids {
		if !slices.Contains(before, n) {
			s.Link(Link{Kind: Eligible, Up: true, Node: n})
		}
	}
}

// Link tells a connectivity event to those who registered for them. The node calls
// it for Interface and Connect, on the executive's goroutine.
func (s *Service) Link(l Link) {
	for _, u := range s.watches[Conn] {
		u.c.push(u, EventLink, LinkEvent{u.id, l}.AppendTo(nil))
	}
}
