package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// ordered has a host take a message.
func (d *Domain) ordered(h *host, m *DomainMessage) {
	key := inputKey{m.Hash, m.From, m.Conn, m.Tag}
	next := h.at.next[key]
	if next == nil {
		next = newPoint(h.at.d.clone(), h.at.ring, h.at.nodes)
		d.apply(next, m)
		h.at.next[key] = next
	}
	if m.Says == SaysTimeout {
		d.wasLate(h, m)
	}
	h.at = next
	h.step = new(step)
	d.expect(h, next.d.told)
}

// apply works out what follows from a message.
func (d *Domain) apply(p *point, m *DomainMessage) {
	sender := d.lives[p.nodes[m.From]]
	if sender == nil {
		return
	}
	w := p.d
	if m.Says == SaysForm {
		if !w.formed {
			w.formed = true
			w.count(p.ring)
			for _, n := range slices.Sorted(maps.Keys(p.nodes)) {
				w.hosts = append(w.hosts, hosting{node: n})
			}
		}
		return
	}
	if !slices.Contains(w.hosts, hosting{m.From, m.Term}) {
		return // it was sent in a part that is dissolved (C.7)
	}
	g := w.find(m.Group)
	switch c := sender.conns[m.Conn]; m.Says {
	case SaysTimeout:
		w.late(g, m.Seq, m.Phase, m.providers())
	case SaysScript:
		w.scriptEnded(g, m.providers()[0], m.Seq, m.Bits)
	case SaysGone:
		w.lose(leftFailed, func(_ *assembly, s *seat) bool { return c != nil && s.client == c.id })
	case SaysResponsive:
		if c != nil {
			w.responsive(c.id, m.OK)
		}
	default:
		if r := d.calls[m.Tag]; r != nil && r.role != nil && r.client == c {
			w.asked(g, r)
		}
	}
	w.settle()
}

// providers are those that the message names.
func (m *DomainMessage) providers() (list []Provider) {
	for _, i := range m.Who {
		list = append(list, Provider{i, int16(m.From)})
	}
	return list
}

// asked is the turn of a request.
func (w *domain) asked(g *assembly, r *request) {
	q, who, client := r.q, r.role.provider, r.client.id
	if q.Ask == AskJoin {
		if g == nil {
			g = &assembly{name: q.Group}
			w.assemblies = append(w.assemblies, g)
		}
		term, _ := w.term(nodeOf(who))
		g.queue = append(g.queue, seat{Provider: who, client: client, term: term, token: q.Token, attrs: q.Attrs, tag: q.Tag})
		return
	}
	if q.Ask == AskGoodbye {
		w.lose(leftGoodbye, func(o *assembly, s *seat) bool {
			return o == g && s.Provider == who && s.client == client && s.token == q.Token
		})
		return
	}
	if g == nil {
		return
	}
	s := g.person(who)
	if s == nil || s.client != client || s.failed != 0 {
		return
	}
	switch {
	case q.Ask == AskVote:
		w.vote(g, q, who)
	case q.Ask == AskPropose && g.is(who):
		w.propose(g, s, q)
	}
}

// responsive tells the groups of a client whether it answers (14).
func (w *domain) responsive(client int, ok bool) {
	summary := noResponse
	if ok {
		summary = responds
	}
	for _, g := range w.assemblies {
		if list := providersOf(g.which(func(s *seat) bool { return s.client == client && s.failed == 0 })); len(list) > 0 {
			w.announce(g, summary, list)
		}
	}
}

// expect notes what the clients of a host are to be told.
func (d *Domain) expect(h *host, told []effect) {
	h.step.expected = make(map[roleKey][]*due)
	for i := range told {
		e := &told[i]
		switch {
		case e.script != "":
			run := ScriptRun{e.group, e.who.Instance, e.script}
			switch {
			case nodeOf(e.who) != h.node:
			case d.clients[e.client-1].lost || d.clients[e.client-1].host != h: // the node may have forgotten what to run
				h.step.spare = append(h.step.spare, run)
			default:
				h.step.scripts = append(h.step.scripts, run)
			}
		case e.client != 0:
			c := d.clients[e.client-1]
			if c.host != h || c.closed {
				continue
			}
			if r := c.roles[e.n.Token]; r != nil && r.serves && !r.leaving && r.group == e.group && r.provider == e.who {
				h.step.add(roleKey{c.id, e.n.Token}, due{e.n, e.ends, e.tag})
			}
		default:
			h.watched(e.group, e.seen)
		}
	}
}

// watched has the subscribers of a group see a change.
func (h *host) watched(group string, v *view) {
	for _, c := range h.mine {
		for _, token := range slices.Sorted(maps.Keys(c.roles)) {
			if r := c.roles[token]; !r.serves && r.group == group {
				if n := v.by(r.wants); n.Changed != 0 {
					n.Token = token
					h.step.add(roleKey{c.id, token}, due{n: n, ends: v.gone})
				}
			}
		}
	}
}

// by is what a subscriber with these wants sees (13).
func (v *view) by(wants uint32) Notice {
	n := Notice{Kind: NoticeSeen}
	if v.gone {
		n.Changed, n.Ends = wantDissolved, true
		return n
	}
	if v.stated && wants&wantState != 0 {
		n.Changed, n.State = wantState, Some(v.state)
	}
	if len(v.joined) > 0 && wants&wantJoins != 0 {
		n.Changed, n.Changing = n.Changed|wantJoins, v.joined
	}
	if len(v.left) > 0 && wants&wantLeaves != 0 {
		n.Changed, n.Changing = n.Changed|wantLeaves, v.left
	}
	if len(v.joined)+len(v.left) > 0 && wants&wantMembership != 0 {
		n.Changed, n.Current = n.Changed|wantMembership, v.full
	}
	return n
}

// turning has a host end a synchronisation.
func (d *Domain) turning(h *host, e *DomainEvent) {
	lives := h.rings[e.Ring]
	if lives == nil {
		d.fail("GS1", h, "ends a synchronisation for ring %v, in which it is not", e.Ring)
		return
	}
	key := fmt.Sprint(e.Ring, h.round, lives)
	t := d.turns[key]
	if t == nil {
		if t = d.turn(h, e, lives); t == nil {
			return
		}
		d.turns[key] = t
	}
	if t.left--; t.left == 0 {
		delete(d.turns, key)
	}
	h.step = &step{turn: true}
	old := h.at
	h.at = t.point
	if slices.Contains(t.part, h.life) {
		d.expect(h, t.d.told)
		return
	}
	d.expect(h, nil)
	d.dissolved(h, old.d)
	h.moved(old.d.hosts)
}

// turn works out who goes on, and what follows (15.5).
func (d *Domain) turn(h *host, e *DomainEvent, lives map[NodeID]Life) *turn {
	var best *DomainPeer
	var part, members []NodeID
	used := func(p *DomainPeer) int { // who is in no domain joins one (2.3)
		if l := d.lives[lives[p.Node]]; l != nil {
			if at := l.begun[share{e.Ring, h.round, d.service}]; at != nil && at.d.formed {
				return 1
			}
		}
		return 0
	}
	nodes := make(map[NodeID]Life)
	for i := range e.Peers {
		p := &e.Peers[i]
		nodes[p.Node], members = lives[p.Node], append(members, p.Node)
		its := d.partOf(p, e, h.round, lives)
		if len(d.findings) > 0 {
			return nil
		}
		if best == nil || cmp.Or(used(p)-used(best), cmp.Compare(p.Epoch, best.Epoch), cmp.Compare(len(its), len(part))) > 0 {
			best, part = p, its
		}
	}
	if best == nil || len(part) == 0 {
		d.fail("GS1", h, "ends a synchronisation of nobody")
		return nil
	}
	t := &turn{point: newPoint(d.lives[lives[best.Node]].begun[share{e.Ring, h.round, d.service}].d.clone(), e.Ring, nodes), left: len(e.Peers)}
	for _, n := range part {
		t.part = append(t.part, lives[n])
	}
	t.d.turn(e.Ring, part, members)
	return t
}

// partOf are the members that came along with p, by the word of both.
func (d *Domain) partOf(p *DomainPeer, e *DomainEvent, round uint32, lives map[NodeID]Life) (part []NodeID) {
	where := func(n NodeID) (*host, *point) {
		if h := d.lives[lives[n]]; h != nil {
			return h, h.begun[share{e.Ring, round, d.service}]
		}
		return nil, nil
	}
	a, at := where(p.Node)
	for i := range e.Peers {
		q := &e.Peers[i]
		if q != p && !(slices.Contains(p.Trans, q.Node) && slices.Contains(q.Trans, p.Node)) {
			continue
		}
		b, its := where(q.Node)
		if at == nil || its != at {
			if at != nil && its != nil {
				d.fail("GS1", b, "comes along with node %d, and did not take the same messages in the same order", a.node)
			}
			continue
		}
		part = append(part, q.Node)
	}
	return part
}

// dissolved has all clients of a host lose what they had in its part.
func (d *Domain) dissolved(h *host, old *domain) {
	for _, c := range h.conns {
		c.lost = c.lost || c.closed
	}
	for _, c := range h.mine {
		for _, token := range slices.Sorted(maps.Keys(c.roles)) {
			r, key := c.roles[token], roleKey{c.id, token}
			g := old.find(r.group)
			switch {
			case !r.serves && r.group != hostMembership:
				h.step.add(key, due{n: Notice{Kind: NoticeSeen, Token: token, Changed: wantDissolved, Ends: true}, ends: true})
			case !r.serves || r.leaving:
			case r.in && g != nil:
				h.step.add(key, due{n: Notice{Kind: NoticeAnnounced, Token: token, Summary: groupDissolved, Current: g.list(), Ends: true}, ends: true})
			default:
				h.step.add(key, due{n: Notice{Kind: NoticeError, Token: token, Protocol: kindJoin, Code: codeNotOK, Serial: r.tag, Ends: true}, ends: true, tag: r.tag})
			}
		}
	}
}

// moved has the subscribers of the hosts see the difference to before.
func (h *host) moved(before []hosting) {
	v := view{full: h.at.d.hostList()}
	for _, b := range before {
		if !h.at.d.hosted(b.node) {
			v.left = append(v.left, provider(b.node))
		}
	}
	var joined []Provider
	for _, n := range h.at.d.hosts {
		if !slices.ContainsFunc(before, func(b hosting) bool { return b.node == n.node }) {
			joined = append(joined, provider(n.node))
		}
	}
	if len(v.left) > 0 {
		h.watched(hostMembership, &v)
	}
	if len(joined) > 0 {
		h.watched(hostMembership, &view{full: v.full, joined: joined})
	}
}

// done ends a step: nothing is due any more, and the state is that of all others
// who are at the same point.
func (d *Domain) done(h *host, e *DomainEvent) {
	if h.step == nil {
		return // it began with a finding
	}
	d.awaited(h, "")
	switch p := h.at; {
	case !p.known:
		p.digest, p.known = e.Digest, true
	case p.digest != e.Digest:
		d.fail("GS1", h, "holds another state than others after the same messages")
	}
}

// wasLate demands that a time limit ran out for those that a node calls late.
func (d *Domain) wasLate(h *host, m *DomainMessage) {
	sender := d.lives[h.at.nodes[m.From]]
	if sender == nil {
		return
	}
	for _, c := range sender.mine {
		for token, r := range c.roles {
			if !r.serves || r.group != m.Group || r.seq != m.Seq || r.phase != m.Phase || !slices.Contains(m.Who, r.provider.Instance) {
				continue
			}
			if waited := d.now - r.asked; waited < seconds(r.limit)*98/100 { // clocks are up to 1 % wrong
				d.failFor("GS8", c, token, "is late after %v in phase %d of protocol %d, which has a limit of %d s", waited, r.phase, r.seq, r.limit)
				return
			}
		}
	}
}

func seconds(n int32) Tick { return Tick(n) * 1_000_000_000 }

// patience is how much longer than its limit a phase may take in a calm cluster.
const patience = 10_000_000_000

// follow checks what one provider is told without asking the rules.
func (d *Domain) follow(c *domainClient, r *domainRole, n *Notice) {
	if n.Kind == NoticeAnnounced {
		return
	}
	if r.seq == 0 && n.Seq <= r.last {
		d.failFor("GS2", c, n.Token, "is told of protocol %d after %d", n.Seq, r.last)
	}
	fail := func(property, format string, args ...any) { d.failFor(property, c, n.Token, format, args...) }
	self := slices.Contains(n.Changing, r.provider)
	switch {
	case r.seq != 0 && n.Seq != r.seq:
		fail("GS2", "is told of protocol %d while %d runs", n.Seq, r.seq)
	case r.seq != 0 && n.Kind == NoticePhase && n.Phase != r.phase+1:
		fail("GS2", "is told of phase %d of protocol %d after phase %d", n.Phase, n.Seq, r.phase)
	case r.seq != 0 && n.Kind != NoticePhase && n.Phase != r.phase && n.Phases != onePhase:
		fail("GS2", "is told that protocol %d ended in phase %d, it is in phase %d", n.Seq, n.Phase, r.phase)
	case n.Protocol == kindJoin && self == r.in:
		fail("GS4", "takes part in its own join (%v), and is a member: %v", self, r.in)
	case r.limit > 0 && d.calm > 0 && d.now-max(r.asked, d.calm) > seconds(r.limit)+patience:
		fail("GS8", "waited %v for the end of phase %d of protocol %d, which has a limit of %d s", d.now-r.asked, r.phase, r.seq, r.limit)
	}
	r.seq, r.phase, r.limit, r.asked = n.Seq, n.Phase, n.Limit, d.now
	if n.Kind != NoticePhase {
		r.seq, r.limit = 0, 0
		d.commit(r, n)
	}
	if seen := slices.Clone(n.Current); len(seen) > 1 {
		for i, p := range seen {
			if slices.Contains(seen[:i], p) {
				fail("GS4", "is told the members %v", seen)
			}
		}
	}
	if r.in && (!slices.Equal(n.Current, r.members) || n.State.V != r.state) {
		fail("GS4", "is told the members %v and the state %q; by the changes that it was told of they are %v and %q", n.Current, n.State.V, r.members, r.state)
	}
}

// commit is what the end of a protocol makes of what a provider knows.
func (d *Domain) commit(r *domainRole, n *Notice) {
	approved := n.Kind == NoticeApproved
	if approved && n.Protocol == kindJoin && slices.Contains(n.Changing, r.provider) {
		r.in, r.state = true, n.State.V
		r.members = slices.DeleteFunc(slices.Clone(n.Current), func(p Provider) bool { return slices.Contains(n.Changing, p) })
	}
	switch n.Protocol {
	case kindJoin:
		if approved {
			r.members = slices.Concat(r.members, n.Changing)
		}
	case kindFailure, kindCastOut, kindLeave, kindExpel:
		if approved || n.Protocol == kindFailure || n.Protocol == kindCastOut {
			r.members = slices.DeleteFunc(r.members, func(p Provider) bool { return slices.Contains(n.Changing, p) })
		}
	}
	if approved && n.Proposed.Has {
		r.state = n.Proposed.V
	}
}

// fold checks that what a subscriber sees changes as it is told.
func (d *Domain) fold(c *domainClient, r *domainRole, n *Notice) {
	if n.Changed&wantMembership == 0 || r.group == hostMembership {
		return
	}
	if r.told && n.Changed&(wantJoins|wantLeaves) != 0 {
		want := slices.Clone(r.full)
		if n.Changed&wantJoins != 0 {
			want = append(want, n.Changing...)
		} else {
			want = slices.DeleteFunc(want, func(p Provider) bool { return slices.Contains(n.Changing, p) })
		}
		if !slices.Equal(want, n.Current) {
			d.failFor("GS7", c, n.Token, "sees the members %v, by the changes they are %v", n.Current, want)
		}
	}
	r.full, r.told = n.Current, true
}

// End checks what only the whole trace can show; drained as in Checker.End.
func (d *Domain) End(at Tick, drained bool) {
	d.now = at
	if !drained {
		return
	}
	var one *host
	for _, life := range slices.Sorted(maps.Keys(d.lives)) {
		h := d.lives[life]
		switch {
		case h.ended:
			continue
		case one == nil:
			one = h
			d.restful(h)
		case h.at != one.at:
			d.fail("GS5", h, "is in another history than node %d in the end", one.node)
		}
		for _, c := range h.mine {
			d.whole(c)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(d.open)) {
		if r := d.open[tag]; r.taken && !r.ended && !r.client.closed {
			d.failFor("GS6", r.client, r.q.Token, "gets no end of its accepted %s, call %d", r.q.Ask, tag)
		}
	}
}

// restful demands that nothing is in work, and that every member is there.
func (d *Domain) restful(h *host) {
	for _, g := range h.at.d.assemblies {
		switch {
		case g.run != nil:
			d.fail("GS5", h, "is left with protocol %d of group %s in work", g.run.Seq, g.name)
		case !g.idle():
			d.fail("GS5", h, "is left with something that waits in group %s", g.name)
		}
		for _, s := range g.seats {
			if c := d.clients[s.client-1]; c.closed || c.roles[s.token] == nil || c.roles[s.token].provider != s.Provider {
				d.fail("GS4", h, "has %v in group %s, who is not there", s.Provider, g.name)
			}
		}
	}
}

// whole demands that every provider of a client is a member.
func (d *Domain) whole(c *domainClient) {
	for _, token := range slices.Sorted(maps.Keys(c.roles)) {
		r := c.roles[token]
		if g := c.host.at.d.find(r.group); r.in && (g == nil || !g.is(r.provider)) {
			d.failFor("GS4", c, token, "is no member in the end")
		}
	}
}
