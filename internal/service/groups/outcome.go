package groups

import (
	"slices"

	"github.com/moothall/moothall/internal/bug"
)

// tellPhase tells the voters that a phase begins.
func (d *domain) tellPhase(g *group, summary uint32) {
	p := g.active
	p.notified = p.phase
	n := g.notification(p)
	n.Summary = summary
	n.Limit = p.limit
	n.Changed |= p.bits(stage(p.phase > 1))
	p.fresh, p.said, p.message = false, p.message, nil
	for _, v := range p.voters {
		if m := g.person(v.Provider); m.failed == 0 {
			n.Token = m.token
			d.out.notify(m, g, EventNPhase, n, false)
		}
	}
}

// stage of a protocol: first phase, a later one, approved, rejected.
const (
	proposedStage = iota
	ongoingStage
	updatedStage
	rejectedStage
)

func stage(later bool) int {
	if later {
		return ongoingStage
	}
	return proposedStage
}

// bits are what the kind of the protocol sets in a stage (group services 10.1).
func (p *protocol) bits(stage int) uint32 {
	switch p.kind {
	case FailureLeave, CastOut:
		if stage == rejectedStage {
			return UpdatedMembership
		}
		return ProposedMembership << stage
	case Join, Leave:
		return ProposedMembership << stage
	case Expel:
		return ProposedMembership<<stage | ExpelInformation
	case AttributeChange:
		return ProposedAttributes << stage
	case SourceStateReflection:
		return ReflectedSourceState
	}
	return 0
}

// notification is what all notifications of a protocol have in common, as of
// now; state and message are as before the end.
func (g *group) notification(p *protocol) Notification {
	n := Notification{Kind: p.kind, Seq: p.seq, Phases: p.phases, Phase: p.notified, ProposedBy: p.proposer,
		Current: g.providers(), State: g.state, Attrs: p.attrs, Source: p.source}
	for _, q := range p.joiners {
		n.Changing = append(n.Changing, q.Provider)
	}
	for _, l := range p.leavers {
		n.Changing, n.Leaves = append(n.Changing, l.Provider), append(n.Leaves, l.LeaveInfo)
	}
	if p.kind == Expel {
		n.Deactivate, n.Flag = p.deactivate, p.flag
	}
	if p.proposed != nil {
		n.Proposed = p.proposed
		n.Changed |= OngoingState
		if p.fresh {
			n.Changed ^= OngoingState | ProposedState
		}
	}
	if p.message != nil {
		n.Message = p.message
		n.Changed |= UpdatedProviderMessage
	}
	return n
}

// finish ends the protocol (group services 9) and tells everybody.
func (d *domain) finish(g *group, approved bool, summary uint32) {
	p := g.active
	d.out.closed(g)
	var strangers []request
	if approved && p.kind == Join {
		if strangers = d.lackSource(g, p.joiners); len(strangers) > 0 {
			approved, summary = false, ExplicitReject
		}
	}
	refused := len(strangers) > 0
	if approved && g.isCouncil() && !d.out.judge(p) {
		approved, summary = false, ExplicitReject
	}
	before := slices.Clone(g.members)
	told := slices.Clone(before)
	for _, q := range p.joiners {
		told = append(told, q.member)
	}
	if p.phases == OnePhase && p.deactivate > 0 || approved && p.deactivate == 0 && len(p.flag) > 0 {
		d.runScripts(g, 0)
	}
	g.active = nil
	left := g.commit(p, approved)
	stated := approved && p.proposed != nil
	if g.isCouncil() {
		told = nil
		d.out.decided(p, approved)
	}

	n := g.result(p, approved)
	n.Summary = summary | p.causes | p.scripts
	for i := range told {
		m := &told[i]
		gone := g.member(m.Provider) == nil
		switch {
		case m.failed != 0:
		case slices.ContainsFunc(strangers, func(q request) bool { return q.Provider == m.Provider }):
		case approved:
			n.Token = m.token
			d.out.notify(m, g, EventApproved, n, gone)
		default:
			n.Token = m.token
			d.out.notify(m, g, EventRejected, n, gone)
		}
	}
	for i := range strangers {
		d.refuse(g, &strangers[i], NoSourceGroupProvider)
	}
	if len(p.tardy) > 0 && !bug.Planted("groups-tardy-not-told") {
		d.announce(g, TimeLimitExceeded, p.tardy)
	}
	c := change{group: g.name, full: g.providers(), left: left, stated: stated, state: g.state}
	if approved {
		c.joined = n.joiners(p)
	}
	if (len(c.joined)+len(c.left) > 0 || stated) && (approved || !bug.Planted("groups-rejected-not-seen")) {
		d.out.changed(c)
	}
	m := g.minutes(p, approved, summary)
	m.NoSource = refused
	d.out.over(m)
	d.follow(g, before, stated)
	if g.alive && len(g.members) == 0 {
		d.end(g)
	}
	d.wake(g)
}

// joiners lists the joiners of p.
func (n *Notification) joiners(p *protocol) []Provider {
	if len(p.joiners) == 0 {
		return nil
	}
	return n.Changing
}

// lackSource are the joiners whose node has no provider of the source group any
// more.
func (d *domain) lackSource(g *group, joiners []request) (list []request) {
	if g.attrs.Source == "" {
		return nil
	}
	for _, q := range joiners {
		if !d.provides(g.attrs.Source, q.Node) {
			list = append(list, q)
		}
	}
	return list
}

// commit changes the group, and reports who left. The dead and those that lost
// their source leave whatever the vote.
func (g *group) commit(p *protocol, approved bool) (left []Provider) {
	gone := p.kind == FailureLeave || p.kind == CastOut
	if !approved && gone && bug.Planted("groups-rejected-stay") {
		for i := range g.members {
			g.members[i].failed, g.members[i].castOut = 0, false
		}
		gone = false
	}
	if approved || gone {
		g.members = slices.DeleteFunc(g.members, func(m member) bool { return p.leaves(m.Provider) })
		for _, l := range p.leavers {
			left = append(left, l.Provider)
		}
	}
	if !approved {
		return left
	}
	for _, q := range p.joiners {
		g.members, g.alive = append(g.members, q.member), true
		if bug.Planted("groups-youngest-first") {
			slices.Reverse(g.members)
		}
	}
	if p.proposed != nil {
		g.state = p.proposed
	}
	if p.attrs != nil {
		g.attrs = *p.attrs
	}
	return left
}

// result is the notification of the end.
func (g *group) result(p *protocol, approved bool) Notification {
	if !approved {
		p.message = nil
	}
	n := g.notification(p)
	n.Changed &^= ProposedState | OngoingState
	end := updatedStage
	if !approved {
		end = rejectedStage
	}
	n.Changed |= p.bits(end)
	if p.proposed != nil {
		n.Changed |= ProposedState << end
	}
	return n
}

// announce tells all members something that is no protocol.
func (d *domain) announce(g *group, summary uint32, list []Provider) {
	for i := range g.members {
		if m := &g.members[i]; m.failed == 0 {
			d.out.notify(m, g, EventAnnounce, Announcement{Token: m.token, Summary: summary, List: list}, false)
		}
	}
}

// end is the end of a group without providers. Joins that wait begin a new one.
func (d *domain) end(g *group) {
	d.out.dissolved(g.name)
	d.groups = slices.DeleteFunc(d.groups, func(o *group) bool { return o == g })
	d.created++
	*g = group{name: g.name, number: d.created, joins: g.joins}
	d.groups = append(d.groups, g)
}
