package groups

import (
	"slices"

	"github.com/moothall/moothall/internal/bug"
)

// protocol is what a group is about to do.
type protocol struct {
	kind     Kind
	seq      uint64
	phases   uint8
	limit    int32 // seconds of a phase; zero: none
	proposer Provider

	joiners    []request
	leavers    []leaver
	proposed   []byte // state value under discussion; nil: none
	fresh      bool   // the voters have not seen it
	message    []byte // for the next notification; nil: none
	attrs      *Attributes
	flag       []byte // of an expel
	source     []byte // of a reflection
	deactivate uint32 // phase in which scripts run; zero: after the end

	phase     uint32
	notified  uint32 // last phase that the voters were told of
	def       Vote   // of those that do not vote
	defaulted bool   // a default vote was used
	causes    uint32 // of default votes
	scripts   uint32 // how scripts ended
	latest    uint32 // summary of the next phase's notification
	voters    []voter
	running   []Provider // whose scripts run
	tardy     []Provider

	// For the minutes of this node, no part of the state.
	casts []Cast
	size  int    // of the proposer's message
	said  []byte // the message that came with the present phase
}

type leaver struct {
	Provider
	LeaveInfo
}

// voter is one that has a say, by seniority.
type voter struct {
	Provider
	vote    Vote // of this phase; NullVote: not yet
	state   []byte
	message []byte
}

// leaves reports whether the protocol is about the provider's leaving.
func (p *protocol) leaves(q Provider) bool {
	return slices.ContainsFunc(p.leavers, func(l leaver) bool { return l.Provider == q })
}

// start makes p the group's protocol. With one phase it is done at once.
func (d *domain) start(g *group, p *protocol) {
	d.seq++
	p.seq, p.phase, p.def = d.seq, 1, g.attrs.DefaultVote
	g.active = p
	if p.phases == OnePhase {
		p.notified = 1
		d.finish(g, true, ExplicitApprove)
		return
	}
	for m := range g.everybody() {
		if p.kind == Leave || !p.leaves(m.Provider) {
			p.voters = append(p.voters, voter{Provider: m.Provider})
		}
	}
	if len(p.voters) == 0 && p.deactivate > 0 {
		p.phase = p.deactivate
	}
	d.open(g)
}

// open begins a phase.
func (d *domain) open(g *group) {
	p := g.active
	p.turnPage()
	for i := range p.voters {
		p.voters[i] = voter{Provider: p.voters[i].Provider}
	}
	told := p.latest
	p.latest = 0
	if !d.byDefault(g, ProviderFailed, func(v *voter) bool { return hasFailed(g.person(v.Provider)) }) {
		return
	}
	d.tellPhase(g, told)
	if p.deactivate == p.phase {
		d.runScripts(g, p.seq)
	}
	d.out.opened(g)
	d.check(g)
}

// vote counts one vote, unless it is late.
func (d *domain) vote(g *group, q Provider, r *VoteRequest) {
	p := g.active
	if p == nil || p.seq != r.Seq || p.phase != r.Phase {
		return
	}
	i := slices.IndexFunc(p.voters, func(v voter) bool { return v.Provider == q })
	if i < 0 || p.voters[i].vote != NullVote {
		return
	}
	v := &p.voters[i]
	v.state, v.message = slices.Clone(r.State), slices.Clone(r.Message)
	if (r.Default == Approve || r.Default == Reject) && !bug.Planted("groups-default-kept") {
		p.def = r.Default
	}
	p.cast(q, r.Vote, 0)
	if r.Vote == Reject {
		p.casts[len(p.casts)-1].Said = v.message
	}
	if r.Vote == Reject && (!g.isCouncil() || bug.Planted("groups-council-first-no")) {
		d.finish(g, false, ExplicitReject)
	} else {
		v.vote = r.Vote
		d.check(g)
	}
	d.settle()
}

// voteForFailed uses the default for voters that cannot vote any more.
func (d *domain) voteForFailed(g *group) {
	if bug.Planted("groups-failed-awaited") {
		return
	}
	if g.active != nil && d.byDefault(g, ProviderFailed, func(v *voter) bool { return hasFailed(g.person(v.Provider)) }) {
		d.check(g)
	}
}

// timeout uses the default for voters that their node says are late.
func (d *domain) timeout(g *group, seq uint64, phase uint32, late func(Provider) bool) {
	p := g.active
	if p == nil || p.seq != seq || p.phase != phase {
		return
	}
	for _, v := range p.voters {
		if v.vote == NullVote && late(v.Provider) && !slices.Contains(p.tardy, v.Provider) {
			p.tardy = append(p.tardy, v.Provider)
		}
	}
	if d.byDefault(g, TimeLimitExceeded, func(v *voter) bool { return late(v.Provider) }) {
		d.check(g)
	}
	d.settle()
}

// byDefault casts the default vote for those who have not voted and are named.
// It reports whether the protocol goes on.
func (d *domain) byDefault(g *group, cause uint32, who func(*voter) bool) bool {
	p := g.active
	for i := range p.voters {
		v := &p.voters[i]
		if v.vote != NullVote || !who(v) {
			continue
		}
		p.defaulted = true
		p.causes |= cause
		p.cast(v.Provider, p.def, cause)
		p.latest |= DefaultApprove | cause
		if p.def == Reject && !g.isCouncil() {
			d.finish(g, false, DefaultReject)
			return false
		}
		v.vote = p.def
	}
	return true
}

// check ends the phase when all have voted and all scripts are done.
func (d *domain) check(g *group) {
	p := g.active
	if p == nil || p.phases == OnePhase || len(p.running) > 0 || p.awaited() && !bug.Planted("groups-early-phase") {
		return
	}
	d.out.closed(g)
	p.adopt()
	has := func(x Vote) bool { return slices.ContainsFunc(p.voters, func(v voter) bool { return v.vote == x }) }
	switch {
	case has(Reject): // in the council, where all are heard first
		d.finish(g, false, ExplicitReject)
	case has(Continue):
		p.phase++
		d.open(g)
	case p.defaulted:
		d.finish(g, true, DefaultApprove)
	default:
		d.finish(g, true, ExplicitApprove)
	}
}

// awaited reports whether a voter has not voted.
func (p *protocol) awaited() bool {
	return slices.ContainsFunc(p.voters, func(v voter) bool { return v.vote == NullVote })
}

// adopt takes the state value and the message of the most senior voters that
// have some.
func (p *protocol) adopt() {
	p.message = nil
	if bug.Planted("groups-junior-state") {
		slices.Reverse(p.voters)
	}
	for i := len(p.voters) - 1; i >= 0; i-- {
		v := &p.voters[i]
		if v.state != nil {
			p.proposed, p.fresh = v.state, true
		}
		if v.message != nil {
			p.message = v.message
		}
	}
}

// scriptEnded is the result of one script: zero or its bits.
func (d *domain) scriptEnded(g *group, seq uint64, target Provider, bits uint32) {
	p := g.active
	if p == nil || p.seq != seq {
		return
	}
	i := slices.Index(p.running, target)
	if i < 0 {
		return
	}
	p.running = slices.Delete(p.running, i, i+1)
	p.scripts |= bits
	p.latest |= bits
	d.check(g)
	d.settle()
}

// runScripts deactivates those that leave, or that died. With a seq the phase
// waits for the results.
func (d *domain) runScripts(g *group, seq uint64) {
	p := g.active
	for _, l := range p.leavers {
		m := g.member(l.Provider)
		up := d.stillThere(m)
		why := "expel"
		if p.kind == FailureLeave {
			why = "failure"
			if l.Reason != ProviderFailure || !up {
				continue
			}
		}
		if !up {
			if seq != 0 {
				p.scripts |= DeactivateUnsuccessful
				p.latest |= DeactivateUnsuccessful
			}
			continue
		}
		if seq != 0 && !bug.Planted("groups-script-not-awaited") {
			p.running = append(p.running, l.Provider)
		}
		d.out.deactivate(g, m, p.flag, p.limit, seq, why)
	}
}

// stillThere reports whether the node of a provider has been in the domain ever
// since the provider came. One that went and came back may be another life of its
// agent, in which another process has the provider's connection number.
func (d *domain) stillThere(m *member) bool {
	h, there := d.host(m.node())
	return there && h.term == m.term
}
