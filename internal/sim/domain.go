package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/service"
)

// Domain is what clients of Group Services do besides what actions have them do.
// Without groups the nodes do not run the service.
type Domain struct {
	Groups   []GroupPlan `json:"groups,omitempty"`
	Reject   float64     `json:"reject,omitempty"`   // share of votes
	Continue float64     `json:"continue,omitempty"` // likewise
	Silent   float64     `json:"silent,omitempty"`   // likewise: none before the faults end
	Mute     float64     `json:"mute,omitempty"`     // share of clients that never vote where there is a time limit
	Extra    float64     `json:"extra,omitempty"`    // share of votes with a state value, or a message, or a default
	Delay    Tick        `json:"delay,omitempty"`    // median until a client votes
	Script   Tick        `json:"script,omitempty"`   // median that a script runs
	Check    uint32      `json:"check,omitempty"`    // seconds between checks of clients; zero: none
}

// GroupPlan is one group and what its first provider makes of it.
type GroupPlan struct {
	Name    string `json:"name"`
	Phases  uint8  `json:"phases"`
	Reflect uint8  `json:"reflect,omitempty"` // phases
	Default uint8  `json:"default"`
	Batch   uint32 `json:"batch,omitempty"`
	Limit   int32  `json:"limit,omitempty"` // seconds
	Source  string `json:"source,omitempty"`
}

func (g *GroupPlan) attributes() groups.Attributes {
	return groups.Attributes{Batch: g.Batch, Phases: g.Phases, ReflectPhases: g.Reflect, DefaultVote: groups.Vote(g.Default), TimeLimit: g.Limit,
		ReflectLimit: g.Limit, Source: g.Source}
}

// askable are the calls of DoAsk.
var askable = []string{"join", "leave", "expel", "state", "message", "attributes", "goodbye", "subscribe", "unsubscribe", "quit", "kill"}

func (d *Domain) validate() error {
	for _, g := range d.Groups {
		if g.Name == "" || len(g.Name) > groups.MaxName || g.Phases < 1 || g.Phases > 2 || g.Reflect > 2 || g.Limit < 0 ||
			groups.Vote(g.Default) != groups.Approve && groups.Vote(g.Default) != groups.Reject {
			return fmt.Errorf("group %q: name of 1 to %d bytes, phases and reflect 1 or 2, default 1 or 3, no negative limit", g.Name, groups.MaxName)
		}
	}
	return nil
}

// domains reports whether the nodes run Group Services.
func (p *Plan) domains() bool { return !p.Bare && len(p.Domain.Groups) > 0 }

// voter is one program on a node that is in groups of Group Services. It votes as
// the plan says, and does what actions ask for.
type voter struct {
	f     *full
	id    int // number of the present connection in the run, zero: none
	h     *executive.Handle
	hello bool // answered
	mute  bool
	seats map[int32]*place
	open  map[uint64]bool // calls without an answer
	due   []duty
	taken int // events that it got and did not take yet
	retry Tick
}

// place is what one token of a program stands for, as far as the program knows.
type place struct {
	group     string
	instance  int16
	serves    bool
	in        bool
	members   []groups.Provider
	asked     *groups.Notification // waits for a vote
	proposals []uint64             // accepted, without an end
	seq       uint64               // of the protocol in work
}

// duty is what a program does at a time.
type duty struct {
	at   Tick
	do   func()
	idle bool // nobody waits for it
}

// act carries the program on: it connects, and votes at last when all is calm. It
// reports whether it did anything.
func (v *voter) act() bool {
	f, w := v.f, v.f.m.w
	if f.gone() || f.core == nil {
		return false
	}
	if v.h == nil {
		return w.now >= v.retry && v.connect()
	}
	if w.phase == phaseChaos || v.busy() > 0 || w.now < v.retry {
		return false
	}
	for _, t := range v.tokens() {
		if n := v.seats[t].asked; n != nil && (!v.mute || n.Limit == 0) {
			v.vote(t, n, groups.VoteRequest{Vote: groups.Approve})
			return true
		}
	}
	return false
}

func (v *voter) tokens() []int32 { return slices.Sorted(maps.Keys(v.seats)) }

// connect opens a connection and says hello.
func (v *voter) connect() bool {
	f, w := v.f, v.f.m.w
	v.retry = w.now + 20*ms
	if !f.core.Ready() {
		return false
	}
	w.pids++
	w.voters++
	v.id, f.opening = w.voters, w.voters
	h, code := f.core.Open(groups.ID, service.Cred{PID: int32(w.pids)}, (*voterSink)(v))
	if code != service.OK {
		v.id = 0
		return false
	}
	v.h, v.hello, v.taken, v.due = h, false, 0, nil
	v.seats, v.open = map[int32]*place{}, map[uint64]bool{}
	r := newStream(w.plan.Seed, "voter", uint64(v.id))
	v.mute = r.chance(w.plan.Domain.Mute)
	q := groups.HelloRequest{Level: groups.Level, Script: "/deactivate"}
	if every := w.plan.Domain.Check; every > 0 && r.chance(0.5) {
		q.Check, q.Interval, q.Limit = groups.PingCheck, every, 1
	}
	v.call(groups.CallHello, q, func(groups.Code) { v.hello = true })
	return true
}

// call makes a call under a number of its own; done gets the service's answer.
func (v *voter) call(fn uint16, body interface{ AppendTo([]byte) []byte }, done func(groups.Code)) (tag uint64, ok bool) {
	w := v.f.m.w
	w.calls++
	tag = w.calls
	id := v.id
	v.open[tag] = true
	err := v.h.Call(fn, tag, body.AppendTo(nil), func(code service.Code, b []byte) {
		if v.id != id {
			return
		}
		delete(v.open, tag)
		c := groups.NotOK
		if p, err := groups.ParseReply(b); fn == groups.CallHello {
			c = groups.OK
		} else if code == service.OK && err == nil {
			c = p.Code
		}
		if code != service.OK {
			v.retry = w.now + 20*ms
		} else {
			w.net.counts.Submitted++
		}
		if done != nil {
			done(c)
		}
	})
	if err != nil {
		delete(v.open, tag)
		v.retry = w.now + 20*ms
	}
	return tag, err == nil
}

// later has the program do something.
func (v *voter) later(after Tick, do func()) { v.put(duty{at: v.f.m.w.now + after, do: do}) }

func (v *voter) put(d duty) {
	id, do := v.id, d.do
	d.do = func() {
		if v.id == id {
			do()
		}
	}
	v.due = append(v.due, d)
	v.f.m.w.queue.push(event{at: d.at, kind: evDuty, a: int32(v.f.m.i), b: int32(v.f.proc)})
}

// busy counts what the program is about to do, and waits for.
func (v *voter) busy() (n int) {
	for _, d := range v.due {
		if !d.idle {
			n++
		}
	}
	return n + len(v.open)
}

// duties does what is due at the programs of a node, and ends its scripts.
func (f *full) duties() {
	now := f.m.w.now
	run := func(list *[]duty) {
		var due []duty
		*list = slices.DeleteFunc(*list, func(d duty) bool {
			if d.at <= now {
				due = append(due, d)
			}
			return d.at <= now
		})
		for _, d := range due {
			d.do()
		}
	}
	run(&f.scripts)
	for _, v := range f.voters {
		run(&v.due)
	}
	f.flush()
}

// runScript is what the service's scripts are here: they take a while.
func (f *full) runScript(s groups.Script, done func(ok, timedOut bool)) {
	w := f.m.w
	f.recordDomain(check.DomainEvent{Kind: check.DomainScript, Script: check.ScriptRun{Group: s.Group, Instance: s.Instance, Why: s.Reason}})
	took := min(5*sec, w.scripts.lognormal(max(ms, w.plan.Domain.Script), 1))
	ok, late := w.scripts.chance(0.8), false
	if limit := Tick(s.Limit); limit > 0 && took > limit {
		took, ok, late = limit, false, true
	}
	f.scripts = append(f.scripts, duty{at: w.now + took, do: func() { done(ok, late) }})
	w.queue.push(event{at: w.now + took, kind: evDuty, a: int32(f.m.i), b: int32(f.proc)})
}

// vote answers a phase.
func (v *voter) vote(token int32, n *groups.Notification, q groups.VoteRequest) {
	s := v.seats[token]
	if s == nil || s.asked != n {
		return
	}
	q.Token, q.Seq, q.Phase = token, n.Seq, n.Phase
	s.asked = nil
	_, ok := v.call(groups.CallVote, q, func(c groups.Code) {
		if s := v.seats[token]; c == groups.NotOK && s != nil && s.asked == nil && s.seq == n.Seq {
			s.asked = n // there was no room
			v.later(20*ms, func() { v.vote(token, n, q) })
		}
	})
	if !ok {
		s.asked = n
	}
}

// decide is what a program makes of a phase that it is told of.
func (v *voter) decide(n *groups.Notification) {
	w := v.f.m.w
	d := &w.plan.Domain
	r := newStream(w.plan.Seed, "vote", uint64(v.id), uint64(n.Token), n.Seq, uint64(n.Phase))
	q, x := groups.VoteRequest{Vote: groups.Approve}, r.float()
	after := r.lognormal(max(10*us, d.Delay), 1)
	switch {
	case v.mute && n.Limit > 0:
		return
	case w.phase != phaseChaos:
		after = min(after, 100*ms)
	case x < d.Silent:
		return
	case x < d.Silent+d.Reject:
		q.Vote = groups.Reject
	case x < d.Silent+d.Reject+d.Continue && n.Phase < 6:
		q.Vote = groups.Continue
	}
	if w.phase == phaseChaos && r.chance(d.Extra) {
		switch text := fmt.Append(nil, "vote ", v.id, " ", n.Seq, " ", n.Phase); r.intn(4) {
		case 0:
			q.State = text
		case 1:
			q.Message = text
		case 2:
			q.State, q.Message = text, text
		case 3:
			q.Default = []groups.Vote{groups.Approve, groups.Reject}[r.intn(2)]
		}
	}
	v.later(after, func() { v.vote(n.Token, n, q) })
}

// ask has the program do what an action says; what is left open comes from the
// action's own random numbers.
func (v *voter) ask(a *Action) {
	if v.h == nil || !v.hello {
		return
	}
	r := newStream(uint64(a.Size), "ask")
	switch a.Call {
	case "kill":
		v.close()
	case "quit":
		v.call(groups.CallQuit, empty{}, func(groups.Code) { v.later(10*ms, v.close) })
	case "join":
		v.join(&r)
	case "subscribe":
		g := v.f.m.w.plan.Domain.Groups
		names := []string{groups.HostMembership, g[r.intn(len(g))].Name, g[r.intn(len(g))].Name}
		v.subscribe(names[r.intn(len(names))], uint32(1+r.intn(15)))
	case "unsubscribe":
		if t, s := v.pick(&r, func(s *place) bool { return !s.serves }); s != nil {
			v.call(groups.CallUnsubscribe, groups.TokenRequest{Token: t}, func(c groups.Code) {
				if c == groups.OK {
					delete(v.seats, t)
				}
			})
		}
	case "goodbye":
		if t, s := v.pick(&r, func(s *place) bool { return s.serves }); s != nil {
			v.call(groups.CallGoodbye, groups.TokenRequest{Token: t}, func(c groups.Code) {
				if c == groups.OK && v.seats[t] == s {
					delete(v.seats, t)
				}
			})
		}
	default:
		v.propose(a.Call, &r)
	}
}

type empty struct{}

func (empty) AppendTo(b []byte) []byte { return b }

func (v *voter) pick(r *stream, f func(*place) bool) (int32, *place) {
	var list []int32
	for _, t := range v.tokens() {
		if f(v.seats[t]) {
			list = append(list, t)
		}
	}
	if len(list) == 0 {
		return 0, nil
	}
	t := list[r.intn(len(list))]
	return t, v.seats[t]
}

func (v *voter) free() int32 {
	t := int32(0)
	for v.seats[t] != nil {
		t++
	}
	return t
}

func (v *voter) join(r *stream) {
	w := v.f.m.w
	list := w.plan.Domain.Groups
	g := &list[r.intn(len(list))]
	q := groups.JoinRequest{Token: v.free(), Group: []byte(g.Name), Attrs: w.believed(g), Instance: int16(r.intn(3)), Local: []byte("simulated")}
	if r.chance(0.05) {
		q.Attrs.ClientVersion++
	}
	s := &place{group: g.Name, instance: q.Instance, serves: true}
	v.seats[q.Token] = s
	_, ok := v.call(groups.CallJoin, q, func(c groups.Code) {
		if c != groups.OK && v.seats[q.Token] == s {
			delete(v.seats, q.Token)
		}
	})
	if !ok {
		delete(v.seats, q.Token)
	}
}

func (v *voter) subscribe(name string, wants uint32) {
	t := v.free()
	s := &place{group: name}
	v.seats[t] = s
	_, ok := v.call(groups.CallSubscribe, groups.SubscribeRequest{Token: t, Wants: wants, Group: []byte(name)}, func(c groups.Code) {
		if c != groups.OK && v.seats[t] == s {
			delete(v.seats, t)
		}
	})
	if !ok {
		delete(v.seats, t)
	}
}

// propose makes a proposal of a member.
func (v *voter) propose(what string, r *stream) {
	w := v.f.m.w
	t, s := v.pick(r, func(s *place) bool { return s.in })
	if s == nil {
		return
	}
	q := groups.Proposal{Token: t, Phases: uint8(1 + r.intn(2))}
	if r.chance(0.4) {
		q.Limit = int32(1 + r.intn(3))
	}
	w.calls++
	q.Data = fmt.Append(nil, what, " ", w.calls)
	fn := uint16(0)
	switch what {
	case "leave":
		fn, q.Code, q.Data = groups.CallLeave, uint32(r.intn(5)), nil
	case "state":
		fn = groups.CallState
	case "message":
		fn = groups.CallMessage
	case "attributes":
		fn, q.Data = groups.CallAttributes, nil
		a := w.believed(w.groupPlan(s.group))
		a.TimeLimit = int32(r.intn(4))
		if r.chance(0.5) {
			a.Batch ^= 1 << r.intn(2)
		}
		q.Attrs = &a
	case "expel":
		fn = groups.CallExpel
		for _, m := range s.members {
			if r.chance(0.4) {
				q.Targets = append(q.Targets, m)
			}
		}
		if r.chance(0.5) {
			q.Data = nil
		}
		if q.Phase = uint32(r.intn(2)); q.Phases == groups.NPhase {
			q.Phase = uint32(r.intn(4))
		}
		if len(q.Targets) == 0 {
			return
		}
	}
	tag := w.calls + 1
	s.proposals = append(s.proposals, tag)
	drop := func() { s.proposals = slices.DeleteFunc(s.proposals, func(o uint64) bool { return o == tag }) }
	_, ok := v.call(fn, q, func(c groups.Code) {
		if c != groups.OK {
			drop()
		}
	})
	if !ok {
		drop()
	}
}

// believed is what clients think the attributes of a group are: the last ones that
// any of them saw established.
func (w *world) believed(g *GroupPlan) groups.Attributes {
	if a, ok := w.attrs[g.Name]; ok {
		return a
	}
	return g.attributes()
}

func (w *world) groupPlan(name string) *GroupPlan {
	for i := range w.plan.Domain.Groups {
		if g := &w.plan.Domain.Groups[i]; g.Name == name {
			return g
		}
	}
	return &w.plan.Domain.Groups[0]
}

// close breaks the connection off, as a program that dies.
func (v *voter) close() {
	if v.h == nil {
		return
	}
	v.f.recordDomain(check.DomainEvent{Kind: check.DomainClosed, Client: v.id})
	h := v.h
	v.ended()
	h.Close()
}

func (v *voter) ended() {
	v.h, v.id, v.hello, v.seats, v.open, v.due = nil, 0, false, nil, nil, nil
	v.retry = v.f.m.w.now + 50*ms
}

// waiting is how much of what the program asked for has no end.
func (v *voter) waiting() (n int) {
	n = v.busy()
	for _, s := range v.seats {
		n += len(s.proposals)
		if s.serves && !s.in || s.seq != 0 {
			n++
		}
	}
	return n
}

// voterSink is the client's side of its connection. Its methods run inside of the
// Core and do not call it.
type voterSink voter

// Push implements executive.Sink.
func (s *voterSink) Push(kind uint16, body []byte) {
	v := (*voter)(s)
	v.taken++
	n, err := noticed(kind, body)
	if err != nil {
		v.f.m.w.fail("client", err.Error())
		return
	}
	if n != nil {
		v.f.recordDomain(check.DomainEvent{Kind: check.DomainNotice, Client: v.id, Notice: n})
	}
	switch kind {
	case groups.EventNPhase, groups.EventApproved, groups.EventRejected:
		e, _ := groups.ParseNotification(slices.Clone(body))
		v.told(kind, &e)
	case groups.EventAnnounce, groups.EventSubscription:
		if n.Ends {
			delete(v.seats, n.Token)
		}
	case groups.EventDelayedError:
		if p := v.seats[n.Token]; p != nil {
			p.proposals = slices.DeleteFunc(p.proposals, func(o uint64) bool { return o == n.Serial })
		}
		if n.Ends {
			delete(v.seats, n.Token)
		}
	case groups.EventCheck:
		if c, err := groups.ParseCheck(body); err == nil {
			v.check(c.Number)
		}
	}
}

// told takes one step of a protocol.
func (v *voter) told(kind uint16, n *groups.Notification) {
	w, s := v.f.m.w, v.seats[n.Token]
	if s == nil {
		return
	}
	self := groups.Provider{Instance: s.instance, Node: int16(v.f.m.id)}
	s.asked, s.members, s.seq = nil, n.Current, n.Seq
	if kind == groups.EventNPhase {
		s.asked = n
		v.decide(n)
		return
	}
	s.seq = 0
	if n.ProposedBy == self && n.Kind != groups.Join && len(s.proposals) > 0 {
		s.proposals = s.proposals[1:]
	}
	if kind == groups.EventApproved && n.Attrs != nil {
		w.attrs[s.group] = *n.Attrs
	}
	if s.in = slices.Contains(n.Current, self); !s.in {
		delete(v.seats, n.Token)
	}
}

// check answers a check, or does not.
func (v *voter) check(number uint32) {
	w := v.f.m.w
	r := newStream(w.plan.Seed, "check", uint64(v.id), uint64(number))
	if w.phase == phaseChaos && r.chance(0.2) {
		return
	}
	ok := w.phase != phaseChaos || r.chance(0.9)
	answer := func() { v.call(groups.CallResponse, groups.ResponseRequest{Check: number, OK: ok}, nil) }
	v.put(duty{w.now + r.log(ms, 800*ms), answer, true})
}

// Flow implements executive.Sink.
func (s *voterSink) Flow(bool) {}

// Closed implements executive.Sink.
func (s *voterSink) Closed(error) {
	v := (*voter)(s)
	v.f.recordDomain(check.DomainEvent{Kind: check.DomainClosed, Client: v.id})
	v.ended()
}
