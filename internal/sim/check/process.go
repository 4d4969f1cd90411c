package check

import "slices"

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
	strangers := d.strangers(g, p)
	if approved && len(strangers) > 0 {
		approved, summary = false, explicitReject
	} else {
		strangers = nil
	}
	if p.Phases == onePhase && p.Script > 0 || approved && p.Script == 0 && p.Flag.V != "" {
		d.deactivate(g, false)
	}
	before := slices.Clone(g.seats)
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
	v := g.commit(p, approved)
	n.Current, n.State = v.full, Some(v.state)
	d.tellResult(g, p, n, slices.Concat(before, p.joiners), strangers)
	if len(p.tardy) > 0 {
		d.announce(g, timeLimitExceeded, p.tardy)
	}
	if len(v.joined)+len(v.left) > 0 || v.stated {
		d.tell(effect{group: g.name, seen: &v})
	}
	d.targets(g, before, v.stated)
	if g.alive && len(g.seats) == 0 {
		d.tell(effect{group: g.name, seen: &view{gone: true}})
		*g = assembly{name: g.name, queue: g.queue} // joins that wait begin it anew
		d.assemblies = append(slices.DeleteFunc(d.assemblies, func(o *assembly) bool { return o == g }), g)
	}
}

// strangers are the joiners that have no provider of the source group on their node
// any more (11, rule 1).
func (d *domain) strangers(g *assembly, p *process) (list []seat) {
	if p.Protocol != kindJoin || g.attrs.Source == "" {
		return nil
	}
	for _, s := range p.joiners {
		if !d.find(g.attrs.Source).on(s.Node) {
			list = append(list, s)
		}
	}
	return list
}

// commit changes the group. The dead and those without a source leave in any case.
func (g *assembly) commit(p *process, approved bool) view {
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
	v.full, v.state = g.list(), g.state
	return v
}

// tellResult tells those that were members or wanted to be how the protocol ended.
func (d *domain) tellResult(g *assembly, p *process, n Notice, told, strangers []seat) {
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
		up, why := d.stayed(g.person(q)), "expel"
		if p.Protocol == kindFailure {
			if why = "failure"; p.Leaves[i][0] != leftFailed || !up {
				continue
			}
		}
		if !up {
			if wait {
				p.scripts |= scriptUnsuccessful
				p.latest |= scriptUnsuccessful
			}
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
