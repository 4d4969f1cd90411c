package groups

import (
	"slices"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// phaseTimer runs while voters of this node are awaited.
type phaseTimer struct{ service.Timer }

// push gives a client one event. One that does not take it ends.
func (c *client) push(kind uint16, e event) {
	if c.gone {
		return
	}
	if err := c.conn.Push(kind, e.AppendTo(nil)); err != nil {
		c.conn.Close(err)
	}
}

// notify implements outside.
func (s *Service) notify(to *member, g *group, kind uint16, e event, ends bool) {
	if g.isCouncil() {
		if to.Provider == chair(s.self) {
			s.inCouncil(kind, e)
		}
		return
	}
	if to.node() != s.self {
		return
	}
	c := s.client(service.Source{Node: s.self, Conn: to.conn})
	if c == nil {
		return
	}
	r := c.roles[to.token]
	if r == nil || !r.provider || r.group != g.name || r.instance != to.Instance || r.state == leaving && !bug.Planted("groups-told-after-goodbye") {
		return // it said goodbye
	}
	switch kind {
	case EventNPhase:
		n := e.(Notification)
		r.asked, r.voted, r.seq, r.phase = true, false, n.Seq, n.Phase
	case EventApproved:
		r.state = max(r.state, joined)
	}
	if ends {
		delete(c.roles, to.token)
	}
	c.push(kind, e)
}

// opened implements outside.
func (s *Service) opened(g *group) {
	p := g.active
	s.began[g.name] = s.x.Now()
	if p.limit == 0 || len(s.silent(g)) == 0 || bug.Planted("groups-no-limit") {
		return
	}
	name, seq, phase := g.name, p.seq, p.phase
	limit := time.Duration(p.limit) * time.Second
	if bug.Planted("groups-short-limit") {
		limit -= limit / 4
	}
	s.timers[name] = phaseTimer{s.x.After(limit, func() { s.expired(name, seq, phase) })}
}

// closed implements outside.
func (s *Service) closed(g *group) {
	delete(s.began, g.name)
	if t, ok := s.timers[g.name]; ok {
		t.Stop()
		delete(s.timers, g.name)
	}
}

// silent lists the voters of this node that are awaited.
func (s *Service) silent(g *group) (list []int16) {
	for _, v := range g.active.voters {
		here := v.node() == s.self
		if g.isCouncil() {
			here = v.Provider == chair(s.self)
		}
		if m := g.person(v.Provider); v.vote == NullVote && here && m.failed == 0 {
			list = append(list, v.Instance)
		}
	}
	return list
}

// expired tells all who did not vote in time. What counts is when that is
// ordered.
func (s *Service) expired(name string, seq uint64, phase uint32) {
	delete(s.timers, name)
	g := s.d.group(name)
	if g == nil || g.active == nil || g.active.seq != seq || g.active.phase != phase {
		return
	}
	list := s.silent(g)
	if bug.Planted("groups-late-by-own-clock") {
		s.d.timeout(g, seq, phase, func(p Provider) bool { return p.node() == s.self && slices.Contains(list, p.Instance) })
		return
	}
	if len(list) > 0 {
		s.owe(owed{fn: msgTimeout, group: name, body: late{seq, phase, list}.appendTo(nil)})
	}
}

// deactivate implements outside.
func (s *Service) deactivate(g *group, m *member, flag []byte, limit int32, seq uint64, why string) {
	if m.node() != s.self {
		return
	}
	e, known := s.ended[m.conn]
	if c := s.client(service.Source{Node: s.self, Conn: m.conn}); c != nil && c.said != nil {
		e, known = endedClient{said: *c.said, cred: c.conn.Cred()}, true
	}
	name, instance := g.name, m.Instance
	done := func(ok, timedOut bool) { s.scriptDone(name, instance, seq, ok, timedOut) }
	if !known || e.said.Script == "" || s.cfg.Run == nil {
		s.x.Log().Warn("there is no deactivate script to run", "label", "GS_DEACT_FAIL_ST", "group", name, "instance", instance)
		done(false, false)
		return
	}
	s.cfg.Run(Script{Path: e.said.Script, Domain: e.said.Domain, Subsystem: e.said.Subsystem, PID: e.said.PID, Cred: e.cred, Limit: time.Duration(limit) * time.Second,
		Flag: string(flag), Group: name, Instance: instance, Reason: why}, done)
}

// scriptDone tells all how a script ended, if somebody waits for it.
func (s *Service) scriptDone(group string, instance int16, seq uint64, ok, timedOut bool) {
	var bits uint32
	if !ok {
		bits |= DeactivateUnsuccessful
	}
	if timedOut {
		bits |= DeactivateUnsuccessful | DeactivateTimeLimitExceeded
	}
	if seq != 0 {
		b := body.AppendU32(body.AppendU64(body.AppendU16(nil, uint16(instance)), seq), bits)
		s.owe(owed{fn: msgScript, group: group, body: b})
	}
}

// over implements outside.
func (s *Service) over(m Minutes) {
	if s.cfg.Over != nil {
		s.cfg.Over(m)
	}
}

// subscribers calls f for the subscribers of a group here, in a fixed order.
func (s *Service) subscribers(group string, f func(c *client, r *role)) {
	for _, c := range slices.Clone(s.clients) {
		for _, r := range c.all() {
			if !r.provider && r.group == group {
				f(c, r)
			}
		}
	}
}

// changed implements outside.
func (s *Service) changed(c change) {
	if s.merging && systemGroup(c.group) {
		return // it was the change of the other side
	}
	if _, adapters := networkOf(c.group); adapters {
		c.removed = append(c.removed, s.unconfigured(c.left)...)
	}
	s.subscribers(c.group, func(cl *client, r *role) {
		if e := c.seenBy(r); e.Has != 0 {
			cl.push(EventSubscription, e)
		}
	})
}

// unconfigured are those whose node is not configured any more.
func (s *Service) unconfigured(list []Provider) (out []Provider) {
	nodes := s.x.Nodes().Configured()
	for _, p := range list {
		if !slices.Contains(nodes, p.node()) {
			out = append(out, p)
		}
	}
	return out
}

// seenBy is what a subscriber gets of a change.
func (c *change) seenBy(r *role) Subscription {
	e := Subscription{Token: r.token}
	if c.stated && r.wants&WantState != 0 {
		e.Has, e.State = GotState, notNil(c.state)
	}
	if len(c.joined) > 0 && r.wants&WantDeltaJoins != 0 {
		e.Has, e.Changing = e.Has|GotDeltaJoin, c.joined
	}
	if len(c.left) > 0 && r.wants&WantDeltaLeaves != 0 {
		e.Has, e.Changing = e.Has|GotDeltaLeave, c.left
	}
	if len(c.joined)+len(c.left) > 0 && r.wants&WantMembership != 0 {
		e.Has, e.Full = e.Has|GotMembership, c.full
	}
	if e.Has&GotDeltaLeave != 0 {
		if e.Special = c.death(); e.Special != nil {
			e.Has |= GotSpecial
		}
	}
	return e
}

// dissolved implements outside.
func (s *Service) dissolved(group string) {
	s.subscribers(group, func(c *client, r *role) {
		delete(c.roles, r.token)
		c.push(EventSubscription, Subscription{Token: r.token, Has: GotDissolved, Ends: true})
	})
}

// subscribe adds a subscriber, who gets what holds now.
func (c *client) subscribe(q *SubscribeRequest, req *service.Request) outcome {
	switch {
	case q.Wants == 0 || q.Wants&^wantBits != 0:
		return says(BadParameter)
	case name(q.Group) != OK:
		return says(name(q.Group))
	case string(q.Group) == CouncilName:
		return says(InvalidGroup)
	case c.token(q.Token) != OK:
		return says(c.token(q.Token))
	}
	r := &role{token: q.Token, group: string(q.Group), wants: q.Wants}
	full, state, found := c.s.seen(r.group)
	if !found {
		c.push(EventDelayedError, DelayedError{Token: q.Token, Kind: SubscriptionRequest, Code: UnknownGroup, Serial: req.Tag, Ends: true})
		return says(OK)
	}
	c.roles[q.Token] = r
	e := Subscription{Token: r.token}
	if r.wants&WantState != 0 {
		e.Has, e.State = GotState, notNil(state)
	}
	if r.wants&WantMembership != 0 {
		e.Has, e.Full = e.Has|GotMembership, full
	}
	if e.Has != 0 {
		c.push(EventSubscription, e)
	}
	return says(OK)
}

// seen is what can be seen of a group from outside.
func (s *Service) seen(group string) (full []Provider, state []byte, found bool) {
	if group == HostMembership {
		return s.d.hostProviders(), nil, true
	}
	if n, adapters := networkOf(group); adapters {
		return s.d.adapterProviders(n), nil, true
	}
	if systemGroup(group) {
		return nil, nil, true
	}
	if g := s.d.live(group); g != nil {
		return g.providers(), g.state, true
	}
	return nil, nil, false
}

func (c *client) unsubscribe(q *TokenRequest, _ *service.Request) outcome {
	if r := c.roles[q.Token]; r == nil || r.provider {
		return says(BadMemberToken)
	}
	delete(c.roles, q.Token)
	return says(OK)
}

// check is how a client shows that it still works (group services 14).
type check struct {
	number  uint32
	awaited bool // the answer to that number
	down    bool
	timer   service.Timer
}

func (k *check) stop() {
	if k.timer != nil {
		k.timer.Stop()
	}
}

func (c *client) startChecks() {
	if c.said.Check != NoCheck && !c.gone {
		c.checkLater()
	}
}

// checkLater has the next check begin one interval from now.
func (c *client) checkLater() {
	c.check.stop()
	c.check.timer = c.s.x.After(time.Duration(c.said.Interval)*time.Second, func() {
		c.check.number++
		c.check.awaited = true
		c.check.timer = c.s.x.After(time.Duration(c.said.Limit)*time.Second, func() {
			c.check.awaited = false
			c.responsive(false)
			c.checkLater()
		})
		c.push(EventCheck, Check{c.check.number})
	})
}

func (c *client) responded(q *ResponseRequest, _ *service.Request) outcome {
	switch {
	case c.check.awaited && q.Check == c.check.number:
		c.check.awaited = false
		c.responsive(q.OK)
		c.checkLater()
	case q.OK && q.Check <= c.check.number:
		c.responsive(true) // late, and yet a sign of life
	}
	return says(OK)
}

// responsive tells all when the client stops answering, and when it answers
// again.
func (c *client) responsive(ok bool) {
	if c.gone || c.check.down == !ok {
		return
	}
	c.check.down = !ok
	c.s.owe(owed{fn: msgResponsive, src: c.source(0), body: body.AppendBool(nil, ok)})
}
