package groups

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/groups/groupstest"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// world is a cluster with clients that answer.
type world struct {
	*servicetest.Cluster
	t       servicetest.T
	clients []*lib
	minutes []Minutes // of node 1
	merged  []string  // of all nodes
	scripts []Script  // that were run, with done of each
	ends    []func(ok, timedOut bool)
	held    bool // scripts do not end by themselves
	fails   bool // scripts are not successful
}

// start has a cluster of n nodes that are quorate together.
func start(t servicetest.T, n int) *world {
	w := cold(t, n)
	w.Split(w.All())
	w.Run()
	return w
}

// cold is the same before the nodes are in any ring.
func cold(t servicetest.T, n int) *world {
	w := &world{t: t}
	votes := quorum.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: uint32(n)}}
	w.Cluster = servicetest.New(t, n, func(id servicetest.NodeID) []service.Service {
		c := Config{Domain: "d", Run: w.run, Merged: func(groups []string, by []proto.NodeID) {
			w.merged = append(w.merged, fmt.Sprint(id, ": ", groups, " by ", by))
		}}
		if id == 1 {
			c.Over = func(m Minutes) { w.minutes = append(w.minutes, m) }
		}
		return []service.Service{quorum.New(votes), New(c)}
	})
	return w
}

func (w *world) run(s Script, done func(ok, timedOut bool)) {
	w.scripts = append(w.scripts, s)
	if w.held {
		w.ends = append(w.ends, done)
		return
	}
	done(!w.fails, false)
}

// lib is what a client's library does: it knows tokens and asks for votes.
type lib struct {
	*servicetest.Conn
	w     *world
	name  string
	next  int // of Events
	log   []string
	last  map[int32]Notification // asked for a vote
	plans map[int32][]VoteRequest
	check func(Check) // is told of checks
	quiet bool        // does not vote by itself
	dead  bool        // does not even look

	watch  func(kind uint16, token int32, e any, line string) // sees every event
	decide func(n Notification)                               // votes in place of the plans
}

// note keeps what was seen.
func (l *lib) note(kind uint16, token int32, e any, line string) {
	l.log = append(l.log, line)
	if l.watch != nil {
		l.watch(kind, token, e, line)
	}
}

// client opens a client that said hello.
func (w *world) client(node servicetest.NodeID) *lib { return w.clientWith(node, HelloRequest{}) }

func (w *world) clientWith(node servicetest.NodeID, q HelloRequest) *lib {
	w.t.Helper()
	if q.Level == 0 {
		q.Level = Level
	} else if q.Level == 99 {
		q.Level = 0
	}
	return w.hello(w.Node(node).Open(ID), q)
}

// hello is the first call of a client.
func (w *world) hello(c *servicetest.Conn, q HelloRequest) *lib {
	w.t.Helper()
	l := &lib{Conn: c, w: w, last: map[int32]Notification{}, plans: map[int32][]VoteRequest{}}
	l.name = fmt.Sprint("client ", l.ID(), " of node ", c.Node().ID())
	a := l.Call(CallHello, q.AppendTo(nil))
	w.Run()
	p, err := ParseHelloReply(a.Body)
	if !a.Done || a.Code != service.OK || err != nil || p.Code != OK || int(p.Node) != int(c.Node().ID()) {
		w.t.Fatalf("hello: %+v %+v %v", a, p, err)
	}
	w.clients = append(w.clients, l)
	return l
}

// settle runs until nobody has anything to say.
func (w *world) settle() {
	for moved := true; moved; {
		w.Run()
		moved = false
		for _, l := range w.clients {
			moved = l.work() || moved
		}
	}
	w.Check()
}

// later lets time pass.
func (w *world) later(d time.Duration) {
	w.Advance(d)
	w.settle()
}

// work takes the events that came.
func (l *lib) work() bool {
	before := l.next
	for ; l.next < len(l.Events) && !l.dead; l.next++ {
		l.take(l.Events[l.next])
	}
	return l.next > before
}

func (l *lib) take(e servicetest.Event) {
	fail := func(err error) {
		if err != nil {
			l.w.t.Fatalf("%s: event %d: %v", l.name, e.Kind, err)
		}
	}
	switch e.Kind {
	case EventNPhase, EventApproved, EventRejected:
		n, err := ParseNotification(e.Body)
		fail(err)
		l.note(e.Kind, n.Token, n, show(e.Kind, n))
		delete(l.last, n.Token)
		if e.Kind == EventNPhase {
			l.last[n.Token] = n
			l.answer(n)
		}
	case EventAnnounce:
		a, err := ParseAnnouncement(e.Body)
		fail(err)
		l.note(e.Kind, a.Token, a, "AN "+bits(a.Summary, summaryBits)+list(" [", a.List)+"]"+ends(a.Ends))
	case EventSubscription:
		s, err := ParseSubscription(e.Body)
		fail(err)
		text := "SU " + bits(s.Has, gotBits)
		if s.Has&GotMembership != 0 {
			text += list(" full=", s.Full)
		}
		if s.Changing != nil {
			text += list(" chg=", s.Changing)
		}
		if s.State != nil {
			text += fmt.Sprintf(" %q", s.State)
		}
		l.note(e.Kind, s.Token, s, text+ends(s.Ends))
	case EventDelayedError:
		d, err := ParseDelayedError(e.Body)
		fail(err)
		l.note(e.Kind, d.Token, d, fmt.Sprintf("DE %v %d%s", d.Kind, d.Code, ends(d.Ends)))
	case EventAdapters:
		a, err := ParseAdapters(e.Body)
		fail(err)
		l.note(e.Kind, -1, a, showTable(a))
	case EventCheck:
		c, err := ParseCheck(e.Body)
		fail(err)
		l.log = append(l.log, "RN")
		if l.check != nil {
			l.check(c)
		} else if !l.quiet {
			l.rc(CallResponse, ResponseRequest{c.Number, true})
		}
	default:
		l.w.t.Fatalf("%s: event %d", l.name, e.Kind)
	}
}

// answer votes as planned, else approves.
func (l *lib) answer(n Notification) {
	if l.decide != nil {
		l.decide(n)
		return
	}
	plan := l.plans[n.Token]
	if len(plan) == 0 {
		if !l.quiet {
			l.vote(n.Token, VoteRequest{Vote: Approve})
		}
		return
	}
	l.plans[n.Token] = plan[1:]
	if plan[0].Vote != NullVote {
		l.vote(n.Token, plan[0])
	}
}

// plan says how to vote; NullVote: not at all.
func (l *lib) plan(token int32, votes ...Vote) {
	for _, v := range votes {
		l.plans[token] = append(l.plans[token], VoteRequest{Vote: v})
	}
}

// vote answers the phase of which the token was told last.
func (l *lib) vote(token int32, q VoteRequest) *servicetest.Answer {
	n := l.last[token]
	q.Token, q.Seq, q.Phase = token, n.Seq, n.Phase
	return l.Call(CallVote, q.AppendTo(nil))
}

func (l *lib) join(token int32, group string, instance int16, a Attributes) *servicetest.Answer {
	return l.Call(CallJoin, JoinRequest{Token: token, Group: []byte(group), Attrs: a, Instance: instance}.AppendTo(nil))
}

// joined joins and forgets what all saw of it.
func (w *world) joined(node servicetest.NodeID, group string, instance int16, a Attributes) *lib {
	w.t.Helper()
	l := w.client(node)
	l.wants(l.join(0, group, instance, a), OK)
	w.settle()
	if len(l.log) == 0 || !strings.HasPrefix(l.log[len(l.log)-1], "AP join") {
		w.t.Fatalf("%s did not join: %q", l.name, l.log)
	}
	w.forget()
	return l
}

func (w *world) forget() {
	for _, l := range w.clients {
		l.log = nil
	}
}

// rc calls and returns the code.
func (l *lib) rc(fn uint16, body servicetest.Appender) Code {
	l.w.t.Helper()
	return l.code(l.Call(fn, body.AppendTo(nil)))
}

func (l *lib) code(a *servicetest.Answer) Code {
	l.w.t.Helper()
	l.w.Run()
	p, err := ParseReply(a.Body)
	if !a.Done || a.Code != service.OK || err != nil {
		l.w.t.Fatalf("%s: answer %+v %v", l.name, a, err)
	}
	return p.Code
}

func (l *lib) wants(a *servicetest.Answer, code Code) {
	l.w.t.Helper()
	if got := l.code(a); got != code {
		l.w.t.Fatalf("%s: code %d, want %d", l.name, got, code)
	}
}

// state proposes a state value.
func (l *lib) state(phases uint8, limit int32, value string) *servicetest.Answer {
	return l.Call(CallState, Proposal{Phases: phases, Limit: limit, Data: []byte(value)}.AppendTo(nil))
}

func (l *lib) subscribe(token int32, group string, wants uint32) {
	l.w.t.Helper()
	l.wants(l.Call(CallSubscribe, SubscribeRequest{token, wants, []byte(group)}.AppendTo(nil)), OK)
	l.work()
}

// saw compares with what a client was told since the last look, one event a line.
func (l *lib) saw(want ...string) {
	l.w.t.Helper()
	if !slices.Equal(l.log, want) {
		l.w.t.Fatalf("%s saw\n\t%s\nwant\n\t%s", l.name, strings.Join(l.log, "\n\t"), strings.Join(want, "\n\t"))
	}
	l.log = nil
}

// all demands the same of several clients.
func all(clients []*lib, want ...string) {
	for _, l := range clients {
		l.w.t.Helper()
		l.saw(want...)
	}
}

var (
	summaryBits = groupstest.SummaryBits
	changeBits  = groupstest.ChangeBits
	gotBits     = groupstest.GotBits
	reasons     = groupstest.Reasons
	bits        = groupstest.Bits
)

func list(head string, ps []Provider) string {
	var names []string
	for _, p := range ps {
		names = append(names, fmt.Sprintf("%d/%d", p.Instance, p.Node))
	}
	return head + strings.Join(names, ",")
}

func ends(yes bool) string {
	if yes {
		return " end"
	}
	return ""
}

// show is a notification in one line.
func show(kind uint16, n Notification) string {
	text := [...]string{"NP", "AP", "RJ"}[kind-EventNPhase]
	text += fmt.Sprintf(" %v %d %s %s", n.Kind, n.Phase, bits(n.Summary, summaryBits), bits(n.Changed, changeBits))
	text += list(" cur=", n.Current)
	if n.Changing != nil {
		text += list(" chg=", n.Changing)
	}
	for _, l := range n.Leaves {
		text += " " + bits(l.Reason, reasons)
		if l.Code != 0 {
			text += fmt.Sprintf(":%d", l.Code)
		}
	}
	if n.Flag != nil {
		text += fmt.Sprintf(" flag=%q@%d", n.Flag, n.Deactivate)
	}
	if len(n.State) > 0 {
		text += fmt.Sprintf(" %q", n.State)
	}
	if n.Proposed != nil {
		text += fmt.Sprintf(" prop=%q", n.Proposed)
	}
	if n.Source != nil {
		text += fmt.Sprintf(" src=%q", n.Source)
	}
	if n.Message != nil {
		text += fmt.Sprintf(" msg=%q", n.Message)
	}
	if n.Attrs != nil {
		text += fmt.Sprintf(" limit=%d", n.Attrs.TimeLimit)
	}
	return text
}

// g1 and gN are the base attributes of the scenarios.
var (
	g1 = Attributes{Phases: OnePhase, ReflectPhases: OnePhase, DefaultVote: Approve}
	gN = Attributes{Phases: NPhase, ReflectPhases: OnePhase, DefaultVote: Approve}
)

func (a Attributes) with(f func(*Attributes)) Attributes { f(&a); return a }

func rejects(a *Attributes) { a.DefaultVote = Reject }

func limited(seconds int32) func(*Attributes) { return func(a *Attributes) { a.TimeLimit = seconds } }

func batched(bits uint32) func(*Attributes) { return func(a *Attributes) { a.Batch = bits } }

func sourced(from string) func(*Attributes) { return func(a *Attributes) { a.Source = from } }

// two has A and B in group g, of three nodes.
func two(t servicetest.T, a Attributes) (*world, *lib, *lib) {
	w := start(t, 3)
	return w, w.joined(1, "g", 1, a), w.joined(2, "g", 1, a)
}
