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
	token   int32
	failed  uint32 // reason
	cause   int
	castOut bool

	attrs GroupAttributes // of a join
	tag   uint64
}

// process is a protocol in work.
type process struct {
	Notice          // what all notices have in common
	tag      uint64 // of the proposal
	joiners  []seat
	leavers  []Provider
	fresh    bool // the state value was not shown yet
	def      uint8
	usedDef  bool
	causes   uint32
	scripts  uint32
	latest   uint32
	phase    uint32
	ballots  []ballot
	scripted []Provider // whose scripts run
	tardy    []Provider
}

// ballot is the say of one voter in this phase.
type ballot struct {
	Provider
	vote    uint8 // zero: none yet
	state   Opt
	message Opt
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
	return slices.ContainsFunc(d.hosts, func(h hosting) bool { return h.node == n })
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

// start makes p the group's protocol (8.3, 8.4).
func (d *domain) start(g *assembly, p *process) {
	d.seq++
	p.Seq, p.phase, p.def = d.seq, 1, g.attrs.Default
	g.run = p
	if p.Phases == onePhase {
		p.Phase = 1
		d.finish(g, true, explicitApprove)
		return
	}
	g.everybody(func(s *seat) {
		if p.Protocol == kindLeave || !slices.Contains(p.leavers, s.Provider) {
			p.ballots = append(p.ballots, ballot{Provider: s.Provider})
		}
	})
	if len(p.ballots) == 0 && p.Script > 0 {
		p.phase = p.Script // nobody is there to vote for the phases before
	}
	d.open(g)
}

func (d *domain) open(g *assembly) {
	p := g.run
	for i := range p.ballots {
		p.ballots[i] = ballot{Provider: p.ballots[i].Provider}
	}
	summary := p.latest
	p.latest = 0
	if d.missing(g, providerFailed, func(q Provider) bool { return g.person(q).failed != 0 }) {
		return
	}
	p.Phase = p.phase
	n := g.notice(p)
	n.Kind, n.Summary, n.Limit = NoticePhase, summary, p.Limit
	stage := 0
	if p.phase > 1 {
		stage = 1
	}
	n.Changed |= p.subject(stage)
	if p.Proposed.Has && p.fresh {
		n.Changed |= changedState
	} else if p.Proposed.Has {
		n.Changed |= changedState << 1
	}
	p.fresh, p.Message = false, Opt{}
	for _, b := range p.ballots {
		if s := g.person(b.Provider); s.failed == 0 {
			d.tell(effect{client: s.client, group: g.name, who: s.Provider, n: n.to(s.token)})
		}
	}
	if p.Script == p.phase {
		d.deactivate(g, true)
	}
	d.look(g)
}

func (n Notice) to(token int32) Notice { n.Token = token; return n }

// subject is what a notice of the protocol is about, in a stage: proposed,
// ongoing, updated, rejected (10.1).
func (p *process) subject(stage int) uint32 {
	switch p.Protocol {
	case kindJoin, kindLeave:
		return changedMembership << stage
	case kindExpel:
		return changedMembership<<stage | changedExpel
	case kindFailure, kindCastOut:
		return changedMembership << min(stage, 2) // they leave in any case
	case kindAttributes:
		return changedAttributes << stage
	case kindReflection:
		return changedSource
	}
	return 0
}

// notice is what all notices of the protocol have in common now.
func (g *assembly) notice(p *process) Notice {
	n := p.Notice
	n.Limit = 0
	if n.Protocol != kindExpel {
		n.Script = 0
	}
	n.Current, n.State = g.list(), Some(g.state)
	if p.Message.Has {
		n.Changed |= changedMessage
	}
	return n
}

// vote counts one vote (8.4).
func (d *domain) vote(g *assembly, q *DomainRequest, who Provider) {
	p := g.run
	if p == nil || q.Seq != p.Seq || q.Phase != p.phase || p.Phases == onePhase {
		return
	}
	for i := range p.ballots {
		b := &p.ballots[i]
		if b.Provider != who || b.vote != 0 {
			continue
		}
		if q.Default == voteApprove || q.Default == voteReject {
			p.def = q.Default
		}
		if q.Vote == voteReject {
			d.finish(g, false, explicitReject)
			return
		}
		b.vote, b.state, b.message = q.Vote, q.State, q.Message
		d.look(g)
		return
	}
}

// missing casts the default vote for voters without a vote; it reports whether
// that was the end.
func (d *domain) missing(g *assembly, cause uint32, who func(Provider) bool) (ended bool) {
	p := g.run
	for i := range p.ballots {
		b := &p.ballots[i]
		if b.vote != 0 || !who(b.Provider) {
			continue
		}
		p.usedDef = true
		p.causes |= cause
		p.latest |= defaultApprove | cause
		if p.def == voteReject {
			d.finish(g, false, defaultReject)
			return true
		}
		b.vote = voteApprove
	}
	return false
}

// look ends the phase when nothing is awaited any more.
func (d *domain) look(g *assembly) {
	p := g.run
	if p == nil || p.Phases == onePhase || len(p.scripted) > 0 || slices.ContainsFunc(p.ballots, func(b ballot) bool { return b.vote == 0 }) {
		return
	}
	again, state, message := false, Opt{}, Opt{}
	for _, b := range p.ballots { // by seniority (8.6)
		again = again || b.vote == voteContinue
		if !state.Has {
			state = b.state
		}
		if !message.Has {
			message = b.message
		}
	}
	if state.Has {
		p.Proposed, p.fresh = state, true
	}
	p.Message = message
	switch {
	case again:
		p.phase++
		d.open(g)
	case p.usedDef:
		d.finish(g, true, defaultApprove)
	default:
		d.finish(g, true, explicitApprove)
	}
}

// finish ends the protocol (8.4, 9).
func (d *domain) finish(g *assembly, approved bool, summary uint32) {
	p := g.run
	var strangers []seat
	if p.Protocol == kindJoin && approved && g.attrs.Source != "" {
		for _, s := range p.joiners {
			if !d.find(g.attrs.Source).on(s.Node) {
				strangers = append(strangers, s)
			}
		}
		if len(strangers) > 0 {
			approved, summary = false, explicitReject
		}
	}
	if p.Phases == onePhase && p.Script > 0 || approved && p.Script == 0 && p.Flag.V != "" {
		d.deactivate(g, false)
	}
	before := slices.Clone(g.seats)
	told := slices.Concat(before, p.joiners)
	n := g.notice(p)
	n.Summary = summary | p.causes | p.scripts
	n.Kind, n.Changed = NoticeApproved, n.Changed|p.subject(2)
	if !approved {
		n.Kind, n.Message, n.Changed = NoticeRejected, Opt{}, p.subject(3)
	}
	if p.Proposed.Has && approved {
		n.Changed |= changedState << 2
	} else if p.Proposed.Has {
		n.Changed |= changedState << 3
	}
	g.run = nil
	v := view{}
	if approved || p.Protocol == kindFailure || p.Protocol == kindCastOut {
		g.seats = slices.DeleteFunc(g.seats, func(s seat) bool { return slices.Contains(p.leavers, s.Provider) })
		v.left = p.leavers
	}
	if approved {
		for _, s := range p.joiners {
			g.alive, g.seats, v.joined = true, append(g.seats, s), append(v.joined, s.Provider)
		}
		if p.Attrs != nil {
			g.attrs = *p.Attrs
		}
		if p.Proposed.Has {
			g.state, v.stated = p.Proposed.V, true
		}
	}
	n.Current, n.State = g.list(), Some(g.state)
	for i := range told {
		s := &told[i]
		if s.failed != 0 || slices.ContainsFunc(strangers, func(o seat) bool { return o.Provider == s.Provider }) {
			continue
		}
		e := effect{client: s.client, group: g.name, who: s.Provider, ends: !g.is(s.Provider), n: n.to(s.token)}
		switch {
		case p.Protocol == kindJoin && slices.Contains(p.Changing, s.Provider):
			e.tag = s.tag
		case s.Provider == p.By:
			e.tag = p.tag
		}
		d.tell(e)
	}
	for i := range strangers {
		d.deny(g, &strangers[i], codeNoSource)
	}
	if len(p.tardy) > 0 {
		d.announce(g, timeLimitExceeded, p.tardy)
	}
	if v.full, v.state = g.list(), g.state; len(v.joined)+len(v.left) > 0 || v.stated {
		d.tell(effect{group: g.name, seen: &v})
	}
	d.targets(g, before, v.stated)
	if g.alive && len(g.seats) == 0 {
		d.tell(effect{group: g.name, seen: &view{gone: true}})
		*g = assembly{name: g.name, queue: g.queue} // joins that wait begin it anew
		d.assemblies = append(slices.DeleteFunc(d.assemblies, func(o *assembly) bool { return o == g }), g)
	}
}

// targets does to the target groups what follows from a protocol of their source
// (11, rules 2 and 4).
func (d *domain) targets(g *assembly, before []seat, stated bool) {
	for _, t := range d.assemblies {
		if !t.alive || t.attrs.Source != g.name {
			continue
		}
		for i := range t.seats {
			s := &t.seats[i]
			if slices.ContainsFunc(before, func(o seat) bool { return o.Node == s.Node }) && !slices.ContainsFunc(g.seats, func(o seat) bool { return o.Node == s.Node }) {
				s.castOut = true
			}
		}
		if stated {
			t.reflect = Some(g.state)
		}
	}
}

func (d *domain) announce(g *assembly, summary uint32, list []Provider) {
	for _, s := range g.seats {
		if s.failed == 0 {
			d.tell(effect{client: s.client, group: g.name, who: s.Provider, n: Notice{Kind: NoticeAnnounced, Token: s.token, Summary: summary, Current: list}})
		}
	}
}

// deactivate runs the scripts of those that leave; the phase may wait for them
// (12).
func (d *domain) deactivate(g *assembly, wait bool) {
	p := g.run
	for i, q := range p.leavers {
		up, why := d.hosted(nodeOf(q)), "expel"
		if p.Protocol == kindFailure {
			if why = "failure"; p.Leaves[i][0] != leftFailed || !up {
				continue
			}
		}
		if wait && !up {
			p.scripts |= scriptUnsuccessful
			p.latest |= scriptUnsuccessful
			continue
		}
		if wait {
			p.scripted = append(p.scripted, q)
		}
		d.tell(effect{group: g.name, who: q, client: g.person(q).client, script: why})
	}
}

// scriptEnded is the result of a script.
func (d *domain) scriptEnded(g *assembly, who Provider, seq uint64, bits uint32) {
	if g == nil || g.run == nil || g.run.Seq != seq || !slices.Contains(g.run.scripted, who) {
		return
	}
	p := g.run
	p.scripted = slices.DeleteFunc(p.scripted, func(q Provider) bool { return q == who })
	p.scripts |= bits
	p.latest |= bits
	d.look(g)
}

// late is a time limit that ran out at the node of some voters (8.8).
func (d *domain) late(g *assembly, seq uint64, phase uint32, who []Provider) {
	if g == nil || g.run == nil || g.run.Seq != seq || g.run.phase != phase {
		return
	}
	p := g.run
	for _, b := range p.ballots {
		if b.vote == 0 && slices.Contains(who, b.Provider) && !slices.Contains(p.tardy, b.Provider) {
			p.tardy = append(p.tardy, b.Provider)
		}
	}
	if !d.missing(g, timeLimitExceeded, func(q Provider) bool { return slices.Contains(who, q) }) {
		d.look(g)
	}
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
