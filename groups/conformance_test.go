package groups_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/groups"
	gs "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/node"
)

// The scenarios of group services, appendix A, by their numbers: those in which
// something of this package takes part, each on both ways to a member. What a
// client cannot see is tested with the service.
var scenarios = []struct {
	name  string
	run   func(*scene)
	alone bool // it does something to the cluster: it has one of its own, of two nodes
}{
	{name: "07 names", run: names}, {name: "08 attributes", run: badAttributes},
	{name: "10-11 join", run: joinOnePhase}, {name: "12-13 join in phases", run: joinPhases}, {name: "14-15 join rejected", run: joinRejected},
	{name: "16-17 join refused", run: joinRefused}, {name: "18 joins wait", run: joinsWait}, {name: "19 joins together", run: joinsTogether},
	{name: "20 joiner dies", run: joinerDies}, {name: "21 joiner dies, rejected", run: joinerDiesRejected}, {name: "22 joiner is silent", run: joinerSilent},
	{name: "23 not a member yet", run: notYet},
	{name: "24 leave", run: leave}, {name: "25 leave rejected", run: leaveRejected}, {name: "26 last one leaves", run: lastLeaves},
	{name: "27 dies", run: dies}, {name: "28 node dies", run: nodeDies, alone: true}, {name: "29 node dies, together", run: nodeDiesTogether, alone: true},
	{name: "30 goodbye", run: goodbye}, {name: "31 goodbye in a vote", run: goodbyeInVote}, {name: "32 failure leave rejected", run: failureRejected},
	{name: "33 dies in a failure leave", run: diesInFailureLeave}, {name: "35 comes again", run: comesAgain},
	{name: "36-38 state", run: state}, {name: "39 sizes", run: sizes}, {name: "40-41 message", run: message}, {name: "42-43 state with a vote", run: stateWithVote},
	{name: "44 two states", run: twoStates}, {name: "45-46 collisions", run: collisions}, {name: "47 join first", run: joinFirst},
	{name: "48-49 attributes change", run: attributesChange},
	{name: "50-51 votes", run: votes}, {name: "53 late, approved", run: lateApproved}, {name: "54 late, rejected", run: lateRejected},
	{name: "55 late, other default", run: lateOtherDefault}, {name: "56 late once", run: lateOnce}, {name: "58 rejected at once", run: rejectedAtOnce},
	{name: "59 expel", run: expel}, {name: "60 expel with a script", run: expelScript}, {name: "62 expel rejected", run: expelRejected}, {name: "63 expel refused", run: expelRefused},
	{name: "65 no source", run: noSource}, {name: "66 cast out", run: castOut}, {name: "67 node with source dies", run: sourceNodeDies, alone: true},
	{name: "68-69 reflection", run: reflection}, {name: "70 source cycles", run: sourceCycles},
	{name: "71 subscribe to nothing", run: subscribeUnknown}, {name: "72 subscribe", run: subscribe}, {name: "73 subscribe to leaves", run: subscribeLeaves},
	{name: "74 nodes", run: hosts, alone: true}, {name: "75 unsubscribe", run: unsubscribe},
	{name: "76 does not answer", run: doesNotAnswer}, {name: "77 says no", run: saysNo},
	{name: "79 agent dies", run: agentDies, alone: true}, {name: "80-81 split and heal", run: splitAndHeal, alone: true},
	{name: "objection", run: objection}, {name: "instances", run: instances},
}

func TestConformance_Embedded(t *testing.T) { conform(t, embedded) }

func TestConformance_Dialled(t *testing.T) { conform(t, dialled) }

func conform(t *testing.T, carry func(*testing.T, *node.Cluster) []session.Session) {
	c := cluster(t, 3)
	sessions := carry(t, c)
	for i, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			s := &scene{T: t, ctx: soon(t), c: c, sessions: sessions, group: fmt.Sprint("g", i)}
			if !sc.alone {
				t.Parallel() // most of the time nothing is done but to wait for a time limit
			} else {
				s.c = cluster(t, 2) // of three the two that are left may part for a moment on a busy machine
				s.sessions = carry(t, s.c)
			}
			s.clients = clientsOf(s.sessions)
			sc.run(s)
		})
	}
}

// scene is one scenario: a group of its own, on a cluster of three nodes or of two.
type scene struct {
	*testing.T
	ctx      context.Context
	c        *node.Cluster
	sessions []session.Session // one to each member, in the order of their ids
	clients  []*groups.Client  // of those
	group    string
}

// Base attributes of the scenarios.
var (
	g1 = groups.Attributes{DefaultVote: groups.Approve}
	gN = groups.Attributes{Phases: groups.NPhases, DefaultVote: groups.Approve}
)

func rejecting(a groups.Attributes) groups.Attributes { a.DefaultVote = groups.Reject; return a }

func limited(a groups.Attributes, d time.Duration) groups.Attributes { a.TimeLimit = d; return a }

func batched(a groups.Attributes, b groups.Batch) groups.Attributes { a.Batch = b; return a }

func sourced(a groups.Attributes, from string) groups.Attributes { a.Source = from; return a }

const (
	yes  = groups.Approve
	more = groups.Continue
	no   = groups.Reject
)

// voted is how proposals are made in the scenarios that vote.
var voted = groups.Voted(0)

// actor is a provider, and what it has seen.
type actor struct {
	*groups.Provider
	s *scene
}

// try joins a group of the scenario as the first instance of a node.
func (s *scene) try(on int, a groups.Attributes, options ...groups.JoinOption) (*actor, error) {
	return s.tryGroup(s.group, on, a, options...)
}

func (s *scene) tryGroup(group string, on int, a groups.Attributes, options ...groups.JoinOption) (*actor, error) {
	p, err := s.clients[on-1].Join(s.ctx, group, a, append([]groups.JoinOption{groups.Instance(1)}, options...)...)
	if err != nil {
		return nil, err
	}
	s.Cleanup(func() { p.Close() })
	return &actor{p, s}, nil
}

// join is try that works.
func (s *scene) join(on int, a groups.Attributes, options ...groups.JoinOption) *actor {
	s.Helper()
	p, err := s.try(on, a, options...)
	must(s.T, err)
	return p
}

// joinLater joins in the background, for joins that wait, and returns when the group
// knows of it.
func (s *scene) joinLater(on int, a groups.Attributes) (joined func() *actor) {
	s.Helper()
	type result struct {
		p   *groups.Provider
		err error
	}
	asked, done := make(chan struct{}), make(chan result, 1)
	go func() {
		p, err := groups.New(tapped{s.sessions[on-1], asked}).Join(s.ctx, s.group, a, groups.Instance(1))
		done <- result{p, err}
	}()
	<-asked
	mark, err := s.tryGroup(s.group+"mark", on, g1) // what one node asks for is done in its order
	must(s.T, err)
	must(s.T, mark.Goodbye(s.ctx))
	return func() *actor {
		s.Helper()
		r := <-done
		must(s.T, r.err)
		s.Cleanup(func() { r.p.Close() })
		return &actor{r.p, s}
	}
}

// tapped is a session that tells when a join was answered: it is on its way then.
type tapped struct {
	session.Session
	asked chan struct{}
}

func (t tapped) Open(ctx context.Context, service uint16) (session.Conn, error) {
	c, err := t.Session.Open(ctx, service)
	return tappedConn{c, t.asked}, err
}

type tappedConn struct {
	session.Conn
	asked chan struct{}
}

func (t tappedConn) Call(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
	answer, err := t.Conn.Call(ctx, fn, body)
	if fn == gs.CallJoin {
		close(t.asked)
	}
	return answer, err
}

// members has so many in the group, on as many nodes, who have seen all joins.
func (s *scene) members(n int, a groups.Attributes) (list []*actor) {
	s.Helper()
	for on := 1; on <= n; on++ {
		list = append(list, s.join(on, a))
		for _, x := range list {
			if a.Phases == groups.NPhases {
				x.next()
				must(s.T, x.Vote(s.ctx, yes))
			}
		}
		for _, x := range list {
			x.next()
		}
	}
	return list
}

// next is the next event in one line.
func (x *actor) next() string {
	x.s.Helper()
	ev, err := x.Recv(x.s.ctx)
	must(x.s.T, err)
	return show(ev)
}

// sees demands the next events.
func (x *actor) sees(want ...string) {
	x.s.Helper()
	for _, w := range want {
		if got := x.next(); got != w {
			x.s.Fatalf("%v got\n\t%s\nwant\n\t%s", x.ID(), got, w)
		}
	}
}

// all demands the same of several.
func all(list []*actor, want ...string) {
	for _, x := range list {
		x.s.Helper()
		x.sees(want...)
	}
}

// vote casts a vote for each.
func vote(v groups.Vote, list ...*actor) {
	for _, x := range list {
		x.s.Helper()
		must(x.s.T, x.Vote(x.s.ctx, v))
	}
}

// isOut demands that there is nothing more.
func (x *actor) isOut() {
	x.s.Helper()
	if ev, err := x.Recv(x.s.ctx); !errors.Is(err, groups.ErrOut) {
		x.s.Fatalf("%v got %v, %v", x.ID(), ev, err)
	}
}

// fails demands a code.
func (s *scene) fails(err error, code groups.Code) {
	s.Helper()
	if !errors.Is(err, code) {
		s.Fatalf("got %v, want: %v", err, code)
	}
}

// says has one send a message, so that the others know that nothing came before.
func (x *actor) says(text string, list ...*actor) {
	x.s.Helper()
	must(x.s.T, x.Send(x.s.ctx, []byte(text)))
	for _, y := range append(list, x) {
		if got, want := y.next(), fmt.Sprintf("msg=%q", text); !strings.HasPrefix(got, "AP message 1 explicit approve") || !strings.HasSuffix(got, want) {
			x.s.Fatalf("%v got %s, want %s", y.ID(), got, want)
		}
	}
}

// watcher is a subscriber.
type watcher struct {
	*groups.Subscriber
	s *scene
}

func (s *scene) subscribe(on int, wants ...groups.Wants) *watcher {
	s.Helper()
	return s.subscribeTo(s.group, on, wants...)
}

func (s *scene) subscribeTo(group string, on int, wants ...groups.Wants) *watcher {
	s.Helper()
	w, err := s.clients[on-1].Subscribe(s.ctx, group, wants...)
	must(s.T, err)
	s.Cleanup(func() { w.Close() })
	return &watcher{w, s}
}

func (w *watcher) sees(want ...string) {
	w.s.Helper()
	for _, line := range want {
		c, err := w.Recv(w.s.ctx)
		must(w.s.T, err)
		if got := showChange(c); got != line {
			w.s.Fatalf("subscriber got\n\t%s\nwant\n\t%s", got, line)
		}
	}
}

// show is an event in one line.
func show(ev groups.Event) string {
	switch ev := ev.(type) {
	case groups.NPhase:
		line := "NP " + showProtocol(&ev.Protocol)
		if ev.Limit > 0 {
			line += fmt.Sprint(" within ", ev.Limit)
		}
		return line + showObjection(ev.Objection)
	case groups.Approved:
		return "AP " + showProtocol(&ev.Protocol)
	case groups.Rejected:
		return "RJ " + showProtocol(&ev.Protocol) + showObjection(ev.Objection)
	case groups.Announcement:
		return fmt.Sprintf("AN %v %v", ev.Summary, ev.Providers)
	case groups.DelayedError:
		return fmt.Sprintf("DE %v: %v", ev.Kind, ev.Err)
	}
	return "nothing"
}

func showProtocol(p *groups.Protocol) string {
	line := fmt.Sprintf("%v %d %v: %v cur=%v", p.Kind, p.Phase, p.Summary, p.Changed, p.Members)
	if p.Changing != nil {
		line += fmt.Sprint(" chg=", p.Changing)
	}
	for _, l := range p.Leaves {
		line += fmt.Sprint(" ", l.Reason)
		if l.Code != 0 {
			line += fmt.Sprint(" ", l.Code)
		}
	}
	if p.Flag != nil {
		line += fmt.Sprintf(" flag=%q", p.Flag)
	}
	for _, f := range []struct {
		name  string
		value []byte
	}{{"state", p.State}, {"prop", p.Proposed}, {"src", p.SourceState}, {"msg", p.Message}} {
		if len(f.value) > 0 || f.value != nil && f.name == "prop" {
			line += fmt.Sprintf(" %s=%q", f.name, f.value)
		}
	}
	if p.Attributes != nil {
		line += fmt.Sprint(" limit=", p.Attributes.TimeLimit)
	}
	return line
}

func showObjection(o *groups.Objection) string {
	if o == nil {
		return ""
	}
	return fmt.Sprintf(" objection of %v: %s", o.By, o.Reason)
}

func showChange(c groups.Change) string {
	line := "SU"
	if c.State != nil {
		line += fmt.Sprintf(" %q", c.State)
	}
	if c.Members != nil {
		line += fmt.Sprint(" full=", c.Members)
	}
	if c.Joined != nil {
		line += fmt.Sprint(" +", c.Joined)
	}
	if c.Left != nil {
		line += fmt.Sprint(" -", c.Left)
	}
	if c.Ended {
		line += " ended"
	}
	return line
}

// agent dials a member once more.
func (s *scene) agent(id groups.NodeID) *groups.Client {
	s.Helper()
	a, err := client.Dial(s.ctx, client.Config{Socket: filepath.Join(s.c.RunDir(id), node.AgentSocket)})
	must(s.T, err)
	s.Cleanup(func() { a.Close() })
	return groups.New(a)
}
