package groups

import (
	"iter"
	"slices"

	"github.com/moothall/moothall/internal/bug"
)

// group is one group. It is alive from the first approved join on, until the
// last provider is gone.
type group struct {
	name    string
	number  uint64
	alive   bool
	attrs   Attributes
	members []member // oldest first
	state   []byte
	joins   []request // wait, oldest first
	reflect []byte    // state of the source group to tell; nil: none
	active  *protocol
}

// member is one provider, or one that will be.
type member struct {
	Provider
	term    uint64 // of its host when it came (host.term)
	conn    uint64
	token   int32
	level   uint16
	failed  uint32 // reason; zero: it works
	event   uint64 // by which it failed
	castOut bool   // its node has no provider of the source group
}

// request is one join.
type request struct {
	member
	attrs  Attributes
	serial uint64
}

// everybody yields the members, then those whose join is being decided.
func (g *group) everybody() iter.Seq[*member] {
	return func(yield func(*member) bool) {
		for i := range g.members {
			if !yield(&g.members[i]) {
				return
			}
		}
		if g.active == nil {
			return
		}
		for i := range g.active.joiners {
			if !yield(&g.active.joiners[i].member) {
				return
			}
		}
	}
}

// person finds a member or a joiner.
func (g *group) person(p Provider) *member {
	for m := range g.everybody() {
		if m.Provider == p {
			return m
		}
	}
	return nil
}

// member finds a member.
func (g *group) member(p Provider) *member {
	for i := range g.members {
		if g.members[i].Provider == p {
			return &g.members[i]
		}
	}
	return nil
}

// providers lists the members.
func (g *group) providers() []Provider { return providersOf(g.members) }

func providersOf(members []member) []Provider {
	list := make([]Provider, 0, len(members))
	for _, m := range members {
		list = append(list, m.Provider)
	}
	return list
}

// those lists the members for which f holds.
func (g *group) those(f func(*member) bool) (list []member) {
	for i := range g.members {
		if f(&g.members[i]) {
			list = append(list, g.members[i])
		}
	}
	return list
}

func hasFailed(m *member) bool { return m.failed != 0 }

func mustGo(m *member) bool { return m.castOut && m.failed == 0 }

// busy reports whether a proposal collides.
func (g *group) busy() bool {
	return g.active != nil || len(g.joins) > 0 || g.reflect != nil ||
		slices.ContainsFunc(g.members, func(m member) bool { return m.failed != 0 || m.castOut })
}

// next selects what runs next (group services 8.2): who failed, who is cast out,
// who joins, what is reflected.
func (d *domain) next(g *group) {
	for g.active == nil {
		switch failed, castOut := g.those(hasFailed), g.those(mustGo); {
		case len(g.joins) > 0 && bug.Planted("groups-joins-first"):
			d.join(g)
		case len(failed) > 0:
			if d.waitsForSource(g, failed) {
				return
			}
			d.failureLeave(g, failed)
		case len(castOut) > 0:
			d.castOut(g, castOut)
		case len(g.joins) > 0:
			d.join(g)
		case g.reflect != nil:
			p := &protocol{kind: SourceStateReflection, phases: g.attrs.ReflectPhases, limit: g.attrs.ReflectLimit, proposer: Nobody, source: g.reflect}
			g.reflect = nil
			d.start(g, p)
		default:
			if !g.alive {
				d.groups = slices.DeleteFunc(d.groups, func(o *group) bool { return o == g })
			}
			return
		}
	}
}

// some is how many leave in one protocol.
func (g *group) some(list []member) []member {
	if g.attrs.Batch&BatchLeaves == 0 {
		return list[:1]
	}
	return list
}

func (d *domain) failureLeave(g *group, failed []member) {
	p := &protocol{kind: FailureLeave, phases: g.attrs.Phases, limit: g.attrs.TimeLimit, proposer: Nobody}
	for _, m := range g.some(failed) {
		p.leavers = append(p.leavers, leaver{m.Provider, LeaveInfo{Reason: m.failed}})
	}
	if g.attrs.Batch&DeactivateOnFailure != 0 {
		p.deactivate = 1
	}
	d.start(g, p)
}

func (d *domain) castOut(g *group, out []member) {
	p := &protocol{kind: CastOut, phases: g.attrs.Phases, limit: g.attrs.TimeLimit, proposer: Nobody}
	for _, m := range g.some(out) {
		p.leavers = append(p.leavers, leaver{m.Provider, LeaveInfo{Reason: SourceProviderLeave}})
	}
	d.start(g, p)
}

// join starts the next join, if there is a valid one; the others are refused.
func (d *domain) join(g *group) {
	var batch []request
	for len(g.joins) > 0 {
		q := g.joins[0]
		g.joins = g.joins[1:]
		if code := d.admissible(g, batch, &q); code != OK {
			d.refuse(g, &q, code)
			continue
		}
		if !g.alive && len(batch) == 0 {
			g.attrs = q.attrs
		}
		batch = append(batch, q)
		if g.attrs.Batch&BatchJoins == 0 {
			break
		}
	}
	if len(batch) > 0 {
		d.start(g, &protocol{kind: Join, phases: g.attrs.Phases, limit: g.attrs.TimeLimit, proposer: batch[0].Provider, joiners: batch})
	}
}

func (d *domain) refuse(g *group, q *request, code Code) {
	d.out.notify(&q.member, g, EventDelayedError, DelayedError{Token: q.token, Kind: Join, Code: code, Serial: q.serial, Ends: true}, true)
}

// admissible checks a join at the moment when it is taken from the queue.
func (d *domain) admissible(g *group, batch []request, q *request) Code {
	first := !g.alive && len(batch) == 0
	sameID := func(o request) bool { return o.Provider == q.Provider }
	switch {
	case !first && !g.attrs.match(&q.attrs):
		return BadGroupAttributes
	case first && d.cycle(g.name, q.attrs.Source):
		return InvalidSourceGroup
	case bug.Planted("groups-twice-in"):
	case g.member(q.Provider) != nil || slices.ContainsFunc(batch, sameID):
		return DuplicateInstanceNumber
	case q.attrs.Source != "" && !d.provides(q.attrs.Source, q.Node):
		return NoSourceGroupProvider
	case len(g.members)+len(batch) >= MaxProviders:
		return NoMemory
	}
	return OK
}

// propose takes what a provider wants, in the order of the messages.
func (d *domain) propose(g *group, m *member, kind Kind, q *Proposal, serial uint64) {
	fail := func(code Code, list []Provider) {
		d.out.notify(m, g, EventDelayedError, DelayedError{Token: m.token, Kind: kind, Code: code, Serial: serial, List: list}, false)
	}
	if g.busy() && !bug.Planted("groups-two-at-once") {
		fail(Collide, nil)
		return
	}
	p := &protocol{kind: kind, phases: q.Phases, limit: q.Limit, proposer: m.Provider}
	switch kind {
	case Leave:
		p.leavers = []leaver{{m.Provider, LeaveInfo{VoluntaryLeave, q.Code}}}
	case Expel:
		for i := range g.members { // by seniority
			if slices.Contains(q.Targets, g.members[i].Provider) {
				p.leavers = append(p.leavers, leaver{g.members[i].Provider, LeaveInfo{Reason: ProviderExpelled}})
			}
		}
		if len(p.leavers) < len(q.Targets) {
			fail(UnknownProvider, nil)
			return
		}
		p.deactivate, p.flag = q.Phase, notNil(q.Data)
	case StateValueChange:
		p.proposed, p.fresh = notNil(q.Data), true
	case ProviderMessage:
		p.message, p.size = notNil(q.Data), len(q.Data)
	case AttributeChange:
		if q.Attrs == nil || !q.Attrs.valid() || q.Attrs.Source != g.attrs.Source {
			fail(BadGroupAttributes, nil)
			return
		}
		p.attrs = q.Attrs
	}
	if kind == Expel || kind == AttributeChange {
		if old := g.those(func(m *member) bool { return m.level < Level }); len(old) > 0 {
			fail(BacklevelProviders, providersOf(old))
			return
		}
	}
	d.start(g, p)
	d.settle()
}

// notNil is a copy of b that is there.
func notNil(b []byte) []byte { return append([]byte{}, b...) }
