package check

import (
	"slices"
)

// domain is what the rules of group services 4, 8 to 12 and 15 make of the
// messages in their order: the groups, and what each step tells to whom.
type domain struct {
	formed     bool
	hosts      []hosting
	assemblies []*assembly // in the order of their creation
	causes     int         // events by which providers failed
	seq        uint64      // of the last protocol

	told []effect // by the present step
}

// hosting is one node of the domain and the ring in which it came, zero for those
// that founded it.
type hosting struct {
	node NodeID
	term uint64
}

// effect is one consequence of a step.
type effect struct {
	client int // who is told, or whose script runs; zero: the subscribers of group
	group  string
	who    Provider
	ends   bool   // the provider's role
	tag    uint64 // of the request of client that ends with it

	n      Notice
	seen   *view  // what subscribers see
	script string // why the script of who runs
}

// view is what can be seen of a group from outside, and what just changed.
type view struct {
	full         []Provider
	state        string
	stated       bool
	joined, left []Provider
	gone         bool // the group
}

// assembly is one group.
type assembly struct {
	name    string
	alive   bool
	attrs   GroupAttributes
	seats   []seat // oldest first
	state   string
	queue   []seat
	reflect Opt
	run     *process // nil: idle
}

// seat is one provider, or one that wants to be.
type seat struct {
	Provider
	client  int
	term    uint64 // of its node when it came
	token   int32
	failed  uint32 // reason
	cause   int
	castOut bool

	attrs GroupAttributes // of a join
	tag   uint64
}

func (d *domain) clone() *domain {
	c := *d
	c.hosts, c.told, c.assemblies = slices.Clone(d.hosts), nil, make([]*assembly, len(d.assemblies))
	for i, g := range d.assemblies {
		n := *g
		n.seats, n.queue = slices.Clone(g.seats), slices.Clone(g.queue)
		if g.run != nil {
			r := *g.run
			r.joiners, r.ballots = slices.Clone(r.joiners), slices.Clone(r.ballots)
			r.scripted, r.tardy = slices.Clone(r.scripted), slices.Clone(r.tardy)
			n.run = &r
		}
		c.assemblies[i] = &n
	}
	return &c
}

func (d *domain) find(name string) *assembly {
	for _, g := range d.assemblies {
		if g.name == name {
			return g
		}
	}
	return nil
}

func (d *domain) hosted(n NodeID) bool {
	_, is := d.term(n)
	return is
}

// term is that in which a node of the domain came.
func (d *domain) term(n NodeID) (term uint64, is bool) {
	for _, h := range d.hosts {
		if h.node == n {
			return h.term, true
		}
	}
	return 0, false
}

// stayed reports whether the node of a provider has been there ever since: one that
// came back runs nothing for it (12.1).
func (d *domain) stayed(s *seat) bool {
	term, is := d.term(nodeOf(s.Provider))
	return is && term == s.term
}

func nodeOf(p Provider) NodeID { return NodeID(uint16(p.Node)) }

func provider(n NodeID) Provider { return Provider{Node: int16(n)} }

func (d *domain) hostList() (list []Provider) {
	for _, h := range d.hosts {
		list = append(list, provider(h.node))
	}
	return list
}

// everybody has f look at members and joiners, by seniority.
func (g *assembly) everybody(f func(*seat)) {
	for i := range g.seats {
		f(&g.seats[i])
	}
	if g.run != nil {
		for i := range g.run.joiners {
			f(&g.run.joiners[i])
		}
	}
}

func (g *assembly) person(p Provider) (found *seat) {
	g.everybody(func(s *seat) {
		if s.Provider == p {
			found = s
		}
	})
	return found
}

func (g *assembly) is(p Provider) bool {
	return slices.ContainsFunc(g.seats, func(s seat) bool { return s.Provider == p })
}

func (g *assembly) on(node int16) bool {
	return g != nil && g.alive && slices.ContainsFunc(g.seats, func(s seat) bool { return s.Node == node })
}

func (g *assembly) list() []Provider { return providersOf(g.seats) }

func providersOf(l []seat) (list []Provider) {
	for _, s := range l {
		list = append(list, s.Provider)
	}
	return list
}

// idle says that a proposal may begin (8.7).
func (g *assembly) idle() bool {
	return g.run == nil && len(g.queue) == 0 && !g.reflect.Has && !slices.ContainsFunc(g.seats, func(s seat) bool { return s.failed != 0 || s.castOut })
}

// settle lets every group begin what it can, the older ones first, until nothing
// moves (8.2, C.4).
func (d *domain) settle() {
	for again := true; again; {
		again = false
		for _, g := range slices.Clone(d.assemblies) {
			for d.begin(g) {
				again = true
			}
			if again {
				break
			}
		}
	}
}

// begin starts the next protocol of a group; it reports whether it did anything.
func (d *domain) begin(g *assembly) bool {
	if g.run != nil {
		return false
	}
	some := func(l []seat) []seat {
		if g.attrs.Batch&batchedLeaves == 0 {
			return l[:1]
		}
		return l
	}
	failed, out := g.which(func(s *seat) bool { return s.failed != 0 }), g.which(func(s *seat) bool { return s.castOut && s.failed == 0 })
	switch {
	case len(failed) > 0:
		if src := d.find(g.attrs.Source); src != nil && src.alive && slices.ContainsFunc(src.seats, func(s seat) bool {
			return s.failed != 0 && slices.ContainsFunc(failed, func(f seat) bool { return f.cause == s.cause })
		}) {
			return false // the source goes first (11, rule 3)
		}
		p := g.membership(kindFailure)
		for _, s := range some(failed) {
			p.leave(s.Provider, s.failed, 0)
		}
		if g.attrs.Batch&scriptOnFailure != 0 {
			p.Script = 1
		}
		d.start(g, p)
	case len(out) > 0:
		p := g.membership(kindCastOut)
		for _, s := range some(out) {
			p.leave(s.Provider, leftSource, 0)
		}
		d.start(g, p)
	case len(g.queue) > 0:
		d.admit(g)
	case g.reflect.Has:
		p := &process{Notice: Notice{Protocol: kindReflection, Phases: g.attrs.ReflectPhases, Limit: g.attrs.ReflectLimit, By: Provider{-1, -1}, Source: g.reflect}}
		g.reflect = Opt{}
		d.start(g, p)
	default:
		if !g.alive {
			d.assemblies = slices.DeleteFunc(d.assemblies, func(o *assembly) bool { return o == g })
		}
		return false
	}
	return true
}

func (g *assembly) which(f func(*seat) bool) (l []seat) {
	for i := range g.seats {
		if f(&g.seats[i]) {
			l = append(l, g.seats[i])
		}
	}
	return l
}

func (g *assembly) membership(kind uint8) *process {
	return &process{Notice: Notice{Protocol: kind, Phases: g.attrs.Phases, Limit: g.attrs.Limit, By: Provider{-1, -1}}}
}

func (p *process) leave(who Provider, reason, code uint32) {
	p.leavers = append(p.leavers, who)
	p.Changing, p.Leaves = append(p.Changing, who), append(p.Leaves, [2]uint32{reason, code})
}

// admit takes joins from the queue until one is valid, or all if they are batched.
func (d *domain) admit(g *assembly) {
	p := g.membership(kindJoin)
	for len(g.queue) > 0 {
		s := g.queue[0]
		g.queue = g.queue[1:]
		if code := d.refusal(g, p.joiners, &s); code != 0 {
			d.deny(g, &s, code)
			continue
		}
		if len(p.joiners) == 0 {
			if !g.alive {
				g.attrs = s.attrs
			}
			p = g.membership(kindJoin)
			p.By = s.Provider
		}
		p.joiners, p.Changing = append(p.joiners, s), append(p.Changing, s.Provider)
		if g.attrs.Batch&batchedJoins == 0 {
			break
		}
	}
	if len(p.joiners) > 0 {
		d.start(g, p)
	}
}

// deny ends a join that never was in a protocol, or lost its source in it.
func (d *domain) deny(g *assembly, s *seat, code uint16) {
	d.tell(effect{client: s.client, group: g.name, who: s.Provider, ends: true, tag: s.tag,
		n: Notice{Kind: NoticeError, Token: s.token, Protocol: kindJoin, Code: code, Serial: s.tag, Ends: true}})
}

func (d *domain) tell(e effect) { d.told = append(d.told, e) }

func (d *domain) refusal(g *assembly, before []seat, s *seat) uint16 {
	a, b := g.attrs, s.attrs
	if !g.alive && len(before) == 0 {
		a = b
		if d.circles(g.name, b.Source) {
			return codeBadSource
		}
	}
	if b.Source == "" && a.Source == "" {
		a.ReflectPhases, a.ReflectLimit = b.ReflectPhases, b.ReflectLimit
	} else if a.ReflectPhases == onePhase && b.ReflectPhases == onePhase {
		a.ReflectLimit = b.ReflectLimit
	}
	same := func(o seat) bool { return o.Provider == s.Provider }
	switch {
	case a != b:
		return codeBadAttributes
	case slices.ContainsFunc(g.seats, same) || slices.ContainsFunc(before, same):
		return codeDuplicate
	case b.Source != "" && !d.find(b.Source).on(s.Node):
		return codeNoSource
	}
	return 0
}

// circles reports whether a group would be a source of itself (11).
func (d *domain) circles(name, source string) bool {
	for range len(d.assemblies) + 1 {
		if source == name {
			return true
		}
		src := d.find(source)
		if src == nil || !src.alive {
			return false
		}
		source = src.attrs.Source
	}
	return true
}

// lose makes providers fail, by one event (8.5).
func (d *domain) lose(reason uint32, gone func(g *assembly, s *seat) bool) {
	d.causes++
	var hit []*assembly
	for _, g := range d.assemblies {
		waiting := len(g.queue)
		g.queue = slices.DeleteFunc(g.queue, func(s seat) bool { return gone(g, &s) })
		lost := len(g.queue) < waiting
		g.everybody(func(s *seat) {
			if s.failed == 0 && gone(g, s) {
				s.failed, s.cause, lost = reason, d.causes, true
			}
		})
		if lost {
			hit = append(hit, g)
		}
	}
	for _, g := range hit {
		if g.run != nil && g.run.Phases != onePhase && !d.missing(g, providerFailed, func(q Provider) bool { return g.person(q).failed != 0 }) {
			d.look(g)
		}
	}
}

// propose is a proposal of a provider whose turn has come (8.7, 9).
func (d *domain) propose(g *assembly, s *seat, q *DomainRequest) {
	deny := func(code uint16) {
		d.tell(effect{client: s.client, group: g.name, who: s.Provider, tag: q.Tag,
			n: Notice{Kind: NoticeError, Token: s.token, Protocol: q.Protocol, Code: code, Serial: q.Tag}})
	}
	if !g.idle() {
		deny(codeCollide)
		return
	}
	p := &process{Notice: Notice{Protocol: q.Protocol, Phases: q.Phases, Limit: q.Limit, By: s.Provider}, tag: q.Tag}
	switch q.Protocol {
	case kindLeave:
		p.leave(s.Provider, leftVoluntary, q.Code)
	case kindExpel:
		for _, m := range g.seats {
			if slices.Contains(q.Targets, m.Provider) {
				p.leave(m.Provider, leftExpelled, 0)
			}
		}
		if len(p.leavers) < len(q.Targets) {
			deny(codeUnknownTarget)
			return
		}
		p.Script, p.Flag = q.Script, Some(q.Data)
	case kindState:
		p.Proposed, p.fresh = Some(q.Data), true
	case kindMessage:
		p.Message = Some(q.Data)
	case kindAttributes:
		if q.Attrs.Source != g.attrs.Source {
			deny(codeBadAttributes)
			return
		}
		p.Attrs = &q.Attrs
	}
	d.start(g, p)
}

// turn is the end of a synchronisation: those in came go on with this domain, the
// other members are new to it (15).
func (d *domain) turn(ring RingID, came, members []NodeID) {
	if !d.formed {
		return
	}
	d.count(ring)
	var left, joined []NodeID
	for _, h := range d.hosts {
		if !slices.Contains(came, h.node) {
			left = append(left, h.node)
		}
	}
	d.hosts = slices.DeleteFunc(d.hosts, func(h hosting) bool { return slices.Contains(left, h.node) })
	if len(left) > 0 {
		d.tell(effect{group: hostMembership, seen: &view{full: d.hostList(), left: hostsOf(left)}})
		for _, g := range d.assemblies {
			if p := g.run; p != nil {
				n := len(p.scripted)
				p.scripted = slices.DeleteFunc(p.scripted, func(q Provider) bool { return slices.Contains(left, nodeOf(q)) })
				if len(p.scripted) < n {
					p.scripts |= scriptUnsuccessful
					p.latest |= scriptUnsuccessful
				}
			}
		}
		d.lose(leftWithHost, func(_ *assembly, s *seat) bool { return slices.Contains(left, nodeOf(s.Provider)) })
		d.settle()
		for _, g := range slices.Clone(d.assemblies) {
			d.look(g)
		}
		d.settle()
	}
	for _, n := range members {
		if !d.hosted(n) {
			joined = append(joined, n)
			d.hosts = append(d.hosts, hosting{n, ring.Seq})
		}
	}
	if len(joined) > 0 {
		d.tell(effect{group: hostMembership, seen: &view{full: d.hostList(), joined: hostsOf(joined)}})
	}
}

// count has protocols numbered above those of all earlier rings.
func (d *domain) count(ring RingID) { d.seq = max(d.seq, ring.Seq<<32) }

func hostsOf(l []NodeID) (list []Provider) {
	for _, n := range l {
		list = append(list, provider(n))
	}
	return list
}
