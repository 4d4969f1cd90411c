package groups

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/service/servicetest"
)

// TestScenario_84_Random has processes join, propose, vote as they like and die,
// on nodes that split, crash, merge and change their adapters. All nodes of a ring hold the same, no
// provider is in two protocols at once, what it is told of members and state fits
// together, all that were in a group to the end were told the same, and the groups
// have exactly the providers that live.
func TestScenario_84_Random(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runRandom(t, rapidDraw{t}) })
}

// draw chooses.
type draw interface{ n(n int, what string) int }

type rapidDraw struct{ t *rapid.T }

func (d rapidDraw) n(n int, what string) int { return rapid.IntRange(0, n-1).Draw(d.t, what) }

// game is one random run.
type game struct {
	*world
	draw
	attrs   map[string]Attributes
	players []*player
	calm    bool // all approve
	texts   int
}

// player is a process and what it should be in.
type player struct {
	*lib
	seats map[int32]*seat
	byes  map[int32]*servicetest.Answer // of tokens that are free when they are answered
}

// seat is one provider as it sees itself.
type seat struct {
	id      Provider
	group   string
	in      bool
	log     []string
	seq     uint64 // of the protocol in work; zero: none
	phase   uint32
	voted   bool
	members []Provider
	state   string
}

func runRandom(t servicetest.T, d draw) {
	g := &game{world: start(t, 3+d.n(2, "nodes")), draw: d, attrs: map[string]Attributes{}}
	for _, name := range []string{"a", "b", "t"} {
		a := Attributes{Phases: 1 + uint8(d.n(2, "phases")), ReflectPhases: 1 + uint8(d.n(2, "phases")), DefaultVote: []Vote{Approve, Reject}[d.n(2, "default")],
			Batch: uint32(d.n(4, "batch")), TimeLimit: int32(d.n(3, "limit"))}
		if name == "t" {
			a.Source = "a"
		}
		g.attrs[name] = a
	}
	g.Cut = func(n int) int { return d.n(n, "cut") }
	for range 10 + d.n(60, "actions") {
		g.act()
		if g.n(2, "rest") == 0 {
			g.Run()
			for _, p := range g.players {
				p.work()
			}
			g.look()
			continue
		}
		for range d.n(40, "steps") {
			g.Step(func(n int) int { return d.n(n, "step") })
			g.look()
		}
		if p := g.pick(); p != nil {
			p.work()
		}
	}
	g.end()
}

// look checks what must hold at any time.
func (g *game) look() {
	for _, n := range g.Nodes() {
		if err := n.Service(ID).(*Service).d.invariants(); err != nil {
			g.t.Fatalf("node %d: %v", n.ID(), err)
		}
	}
}

// end heals everything, lets all approve, and compares.
func (g *game) end() {
	g.calm = true
	for id := range servicetest.NodeID(g.Size()) {
		if !g.Node(id + 1).Up() {
			g.Restart(id + 1)
		}
		g.Node(id + 1).Full = false
	}
	g.Split(g.All())
	for range 3 {
		g.settle()
		g.later(owedRetry)
		for _, p := range g.players {
			for _, token := range sorted(p.last) {
				p.cast(token, VoteRequest{Vote: Approve})
			}
		}
	}
	g.settle()
	g.look()
	g.checkSeats()
	g.checkSame()
	g.checkAdapters()
}

func sorted[T any](m map[int32]T) (keys []int32) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (g *game) pick() *player {
	var open []*player
	for _, p := range g.players {
		if p.Open() {
			open = append(open, p)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return open[g.n(len(open), "player")]
}

func (g *game) act() {
	what := g.n(24, "action")
	switch what {
	case 0, 1, 2:
		g.enter()
	case 3, 4, 5, 6, 7:
		if p := g.pick(); p != nil {
			p.sit(g)
		}
	case 8, 9, 10, 11, 12, 13, 14:
		g.propose()
	case 15:
		if p := g.pick(); p != nil && g.n(2, "dies") == 0 {
			p.Leave()
			p.seats = map[int32]*seat{}
		} else if p != nil {
			p.sayGoodbye(g)
		}
	case 16, 17, 18:
		g.change(what)
	case 19, 20:
		g.Advance(time.Duration(1+g.n(3, "time")) * time.Second)
	case 21:
		n := g.node()
		n.Full = !n.Full
	case 22:
		g.plug()
	default:
		for _, n := range g.Nodes() {
			n.Full = false
		}
	}
}

// plug changes the adapters of a node.
func (g *game) plug() {
	n := g.node()
	if !n.Up() {
		return
	}
	var list []Adapter
	for i := range uint8(g.n(3, "adapters")) {
		list = append(list, Adapter{Network: i, Up: g.n(2, "up") == 0})
	}
	n.Service(ID).(*Service).SetAdapters(list)
}

// checkAdapters demands that all know what each node says.
func (g *game) checkAdapters() {
	for _, n := range g.Nodes() {
		d := n.Service(ID).(*Service).d
		for _, o := range g.Nodes() {
			if want := o.Service(ID).(*Service).adapters; d.formed && !slices.Equal(d.adaptersOf(o.ID()), want) {
				g.t.Fatalf("node %d knows %+v of node %d, which has %+v", n.ID(), d.adaptersOf(o.ID()), o.ID(), want)
			}
		}
	}
}

func (g *game) node() *servicetest.Node { return g.Nodes()[g.n(len(g.Nodes()), "node")] }

// enter opens a client. Its hello may wait, so it is not looked at.
func (g *game) enter() {
	n := g.node()
	if n.Busy() || n.Full {
		return
	}
	l := &lib{Conn: n.Open(ID), w: g.world, last: map[int32]Notification{}, plans: map[int32][]VoteRequest{}}
	l.name = fmt.Sprint("client ", l.ID(), " of node ", n.ID())
	l.Call(CallHello, HelloRequest{Level: Level}.AppendTo(nil))
	p := &player{l, map[int32]*seat{}, map[int32]*servicetest.Answer{}}
	l.watch = func(kind uint16, token int32, e any, line string) { p.see(g, kind, token, e, line) }
	l.decide = func(n Notification) { p.decide(g, n) }
	g.players, g.clients = append(g.players, p), append(g.clients, l)
}

// held reports whether calls wait: nobody knows how they will end.
func (p *player) held() bool {
	return p.Node().Busy() || p.Node().Full || p.Waiting() || len(p.Node().Service(ID).(*Service).owed) > 0
}

// did makes a call whose code comes at once, if it can be made.
func (p *player) did(fn uint16, b servicetest.Appender) bool {
	a := p.Call(fn, b.AppendTo(nil))
	r, err := ParseReply(a.Body)
	return a.Done && a.Code == 1 && err == nil && r.Code == OK
}

// sit joins a group.
func (p *player) sit(g *game) {
	if p.held() {
		return
	}
	s := &seat{id: Provider{int16(g.n(3, "instance")), int16(p.Node().ID())}, group: []string{"a", "a", "b", "t"}[g.n(4, "group")]}
	token := int32(0)
	for p.seats[token] != nil || p.byes[token] != nil && !p.byes[token].Done {
		token++
	}
	if p.did(CallJoin, JoinRequest{Token: token, Group: []byte(s.group), Attrs: g.attrs[s.group], Instance: s.id.Instance}) {
		p.seats[token] = s
	}
}

func (p *player) sayGoodbye(g *game) {
	if p.held() || len(p.seats) == 0 {
		return
	}
	tokens := sorted(p.seats)
	token := tokens[g.n(len(tokens), "token")]
	p.byes[token] = p.Call(CallGoodbye, TokenRequest{token}.AppendTo(nil))
	delete(p.seats, token)
	delete(p.last, token)
}

// propose proposes something for a seat.
func (g *game) propose() {
	p := g.pick()
	if p == nil || p.held() || len(p.seats) == 0 {
		return
	}
	tokens := sorted(p.seats)
	q := Proposal{Token: tokens[g.n(len(tokens), "token")], Phases: 1 + uint8(g.n(2, "phases")), Limit: int32(g.n(3, "limit"))}
	g.texts++
	q.Data = fmt.Append(nil, g.texts)
	s := p.seats[q.Token]
	switch g.n(6, "proposal") {
	case 0, 1:
		p.did(CallState, q)
	case 2:
		p.did(CallMessage, q)
	case 3:
		p.did(CallLeave, q)
	case 4:
		if len(s.members) > 0 {
			q.Targets = []Provider{s.members[g.n(len(s.members), "target")]}
			q.Phase = uint32(g.n(int(q.Phases)+1, "deactivate"))
			p.did(CallExpel, q)
		}
	case 5:
		if g.n(3, "change") > 0 {
			return
		}
		a := g.attrs[s.group]
		a.TimeLimit = 1 + int32(g.n(2, "limit"))
		q.Attrs = &a
		if p.did(CallAttributes, q) {
			g.attrs[s.group] = a // maybe; then later joins do not match
		}
	}
}

// change changes the ring.
func (g *game) change(what int) {
	up := g.All()
	switch {
	case what < 18:
		blocks := make([]nodes, 1+g.n(3, "blocks"))
		for _, id := range up {
			i := g.n(len(blocks), "block")
			blocks[i] = append(blocks[i], id)
		}
		g.Split(blocks...)
	case len(up) < g.Size():
		for id := range servicetest.NodeID(g.Size()) {
			if !g.Node(id + 1).Up() {
				g.Restart(id + 1)
				return
			}
		}
	case len(up) > 2:
		id := up[g.n(len(up), "crash")]
		g.Crash(id)
		for _, p := range g.players {
			if p.Node().ID() == id && !p.Open() {
				p.seats = map[int32]*seat{}
				clear(p.last)
			}
		}
	}
}

// decide votes, sometimes late or not at all.
func (p *player) decide(g *game, n Notification) {
	q := VoteRequest{Vote: Approve}
	if !g.calm {
		switch g.n(8, "vote") {
		case 0:
			q.Vote = Reject
		case 1:
			q.Vote = Continue
		case 2, 3:
			return
		}
		if g.n(4, "with state") == 0 {
			g.texts++
			q.State = fmt.Append(nil, "v", g.texts)
		}
		q.Default = []Vote{NullVote, NullVote, Approve, Reject}[g.n(4, "default")]
	}
	p.cast(n.Token, q)
}

func (p *player) cast(token int32, q VoteRequest) {
	if s := p.seats[token]; s != nil {
		s.voted = true
	}
	p.lib.vote(token, q)
}

// see follows one seat.
func (p *player) see(g *game, kind uint16, token int32, e any, line string) {
	s := p.seats[token]
	if s == nil {
		return // it said goodbye
	}
	fail := func(format string, args ...any) {
		g.t.Fatalf("%s as %v in %q: %s\n%s", p.name, s.id, s.group, fmt.Sprintf(format, args...), strings.Join(append(s.log, line), "\n"))
	}
	switch e := e.(type) {
	case Notification:
		s.follow(kind, e, fail)
		if kind != EventNPhase || e.Kind != Expel { // targets do not vote
			s.log = append(s.log, line)
		}
		self := slices.Contains(e.Changing, s.id)
		if self && (kind == EventRejected && e.Kind == Join || kind != EventNPhase && e.Kind != Join && !slices.Contains(e.Current, s.id)) {
			delete(p.seats, token)
		}
	case Announcement:
		s.log = append(s.log, line)
		if e.Ends {
			delete(p.seats, token)
			delete(p.last, token)
		}
	case DelayedError:
		if e.Ends {
			if s.in {
				fail("its join fails")
			}
			delete(p.seats, token)
			delete(p.last, token)
		}
	}
}

// follow replays one notification.
func (s *seat) follow(kind uint16, n Notification, fail func(string, ...any)) {
	switch {
	case s.seq != 0 && n.Seq != s.seq:
		fail("protocol %d begins while %d runs", n.Seq, s.seq)
	case kind == EventNPhase && s.seq != 0 && n.Phase != s.phase+1:
		fail("phase %d comes after %d", n.Phase, s.phase)
	case n.Phases == NPhase && kind != EventNPhase && s.seq != 0 && n.Phase != s.phase:
		fail("it ended in phase %d, not %d", n.Phase, s.phase)
	case n.Kind == Join && slices.Contains(n.Changing, s.id) == s.in:
		fail("the own join, and yet it is in: %v", s.in)
	}
	explicit := kind == EventNPhase && n.Summary&DefaultApprove == 0 || kind == EventApproved && n.Summary&ExplicitApprove != 0
	if s.seq != 0 && explicit && !s.voted {
		fail("phase %d ended without its vote", s.phase)
	}
	s.seq, s.phase, s.voted = n.Seq, n.Phase, false
	if kind == EventNPhase {
		s.compare(n, fail)
		return
	}
	s.seq = 0
	before := s.members
	if !s.in {
		before = slices.DeleteFunc(slices.Clone(n.Current), func(q Provider) bool { return slices.Contains(n.Changing, q) })
		s.state = string(n.State)
	}
	moves := kind == EventApproved || n.Kind == FailureLeave || n.Kind == CastOut
	switch {
	case !moves:
	case n.Kind == Join:
		before = slices.Concat(before, n.Changing)
		s.in = s.in || slices.Contains(n.Changing, s.id)
	default:
		before = slices.DeleteFunc(slices.Clone(before), func(q Provider) bool { return slices.Contains(n.Changing, q) })
	}
	s.members = before
	if kind == EventApproved && n.Changed&UpdatedState != 0 {
		s.state = string(n.Proposed)
	}
	s.compare(n, fail)
}

// compare demands what the seat knows already.
func (s *seat) compare(n Notification, fail func(string, ...any)) {
	if s.in && (!slices.Equal(n.Current, s.members) || string(n.State) != s.state) {
		fail("members %v state %q, by the changes %v %q", n.Current, n.State, s.members, s.state)
	}
}

// checkSeats compares the groups with the providers that live.
func (g *game) checkSeats() {
	d := g.Nodes()[0].Service(ID).(*Service).d
	for _, name := range []string{"a", "b", "t"} {
		var want, got []Provider
		for _, p := range g.players {
			for _, s := range p.seats {
				if s.group != name {
					continue
				}
				if !s.in {
					g.t.Fatalf("%s: the join of %v to %q has no end", p.name, s.id, name)
				}
				if s.seq != 0 {
					g.t.Fatalf("%s: protocol %d in %q has no end", p.name, s.seq, name)
				}
				want = append(want, s.id)
			}
		}
		if gr := d.group(name); gr != nil {
			got = gr.providers()
			if gr.busy() {
				g.t.Fatalf("group %q does not come to rest: %+v", name, gr.active)
			}
		}
		slices.SortFunc(want, compareProvider)
		slices.SortFunc(got, compareProvider)
		if !slices.Equal(got, want) {
			g.t.Fatalf("group %q has %v, its providers are %v", name, got, want)
		}
	}
}

// checkSame demands that those who stayed to the end were told the same.
func (g *game) checkSame() {
	logs := map[string][]string{}
	for _, p := range g.players {
		for _, token := range sorted(p.seats) {
			s := p.seats[token]
			text := "\n" + strings.Join(s.log, "\n")
			for _, other := range logs[s.group] {
				if !strings.HasSuffix(text, other) && !strings.HasSuffix(other, text) {
					g.t.Fatalf("two in group %q were told%s\nand%s", s.group, text, other)
				}
			}
			logs[s.group] = append(logs[s.group], text)
		}
	}
}
