package events

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

// TestRandom has clients register, publish, and die as they like, on nodes that
// split, crash and merge, some of them full. What clients are told is held against
// rules that know nothing of rounds: one record for each membership, told in a row;
// one event for each number of a topic; nothing twice, nothing missing that is not
// counted; nothing done that was refused, everything done that was granted; one
// order in a group.
func TestRandom(t *testing.T) {
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
	loose   bool // all rings count: the rules for the cluster do not hold
	players []*player
	texts   int

	records map[uint32]Fact     // by Seq
	numbers map[string]uint64   // id by topic and seq
	said    map[uint64]string   // text by id
	ids     map[string]uint64   // id by text
	asked   map[string]*message // by text
}

// message is something that somebody published.
type message struct {
	answer *servicetest.Answer
	by     *player
	topic  string
}

// player is a client, with what is in its stream and what it was told.
type player struct {
	*lib
	subs  map[uint32]*hearing
	opens []*servicetest.Answer // of channel d, the subscriptions from 100 on
	shut  map[uint32]bool       // those that ended
}

// hearing is what one registration or subscription was told.
type hearing struct {
	class Class
	name  string
	over  bool
	last  uint64
	fact  *Fact
	items []string // of a group
}

func runRandom(t servicetest.T, d draw) {
	g := &game{draw: d, loose: d.n(4, "loose") == 0, records: map[uint32]Fact{}, numbers: map[string]uint64{}, said: map[uint64]string{},
		ids: map[string]uint64{}, asked: map[string]*message{}}
	cfg := Config{Settings: Settings{QueueMessages: []int{0, 2, 5}[d.n(3, "queue")], Topics: map[string]Options{"t": {Keep: 10_000}, "u": {}}}}
	nodes := 3 + d.n(3, "nodes")
	if g.loose {
		g.world = startLoose(t, nodes, cfg)
	} else {
		g.world = start(t, nodes, cfg)
	}
	g.Cut = func(n int) int { return d.n(n, "cut") }
	if d.n(3, "together") > 0 {
		g.Split(g.All())
		g.Run()
	}
	for range 10 + d.n(50, "actions") {
		for range 1 + g.n(3, "at once") {
			g.act()
		}
		if g.n(2, "rest") == 0 {
			g.Run()
		} else {
			for range d.n(40, "steps") {
				g.Step(func(n int) int { return d.n(n, "step") })
			}
		}
		g.listen()
	}
	g.end()
}

func (g *game) pick() *player {
	g.players = slices.DeleteFunc(g.players, func(p *player) bool { return !p.Open() })
	if len(g.players) == 0 {
		return nil
	}
	return g.players[g.n(len(g.players), "player")]
}

func (g *game) act() {
	what := g.n(25, "action")
	if what < 3 {
		if up := g.All(); len(up) > 0 {
			window := []uint32{0, 1, 1_000_000}[g.n(3, "window")]
			g.players = append(g.players, &player{lib: g.client(up[g.n(len(up), "node")], window), subs: map[uint32]*hearing{}, shut: map[uint32]bool{}})
		}
		return
	}
	if what >= 16 && what < 20 {
		g.change(what)
		return
	}
	p := g.pick()
	if p == nil {
		return
	}
	switch what {
	case 3, 4:
		p.register(g, Memb, MembTopic)
	case 5, 6:
		p.register(g, Group, []string{"g", "h"}[g.n(2, "group")])
	case 7, 8:
		p.register(g, Topic, []string{"t", "u", "d"}[g.n(3, "topic")])
	case 9:
		p.Leave()
	case 10:
		p.stopOne(g)
	case 11:
		p.Call(CallGrant, GrantRequest{uint32(g.n(20, "grant"))}.AppendTo(nil))
	case 22, 23:
		p.open()
	case 24:
		p.Call(CallUnlink, NameRequest{[]byte("d")}.AppendTo(nil))
	case 20:
		p.Call(CallCreate, create("d").AppendTo(nil))
	case 21:
		p.Call(CallDelete, NameRequest{[]byte("d")}.AppendTo(nil))
	default:
		p.say(g, []string{"t", "t", "u", "g", "d"}[g.n(5, "where")])
	}
}

// change does something to the nodes.
func (g *game) change(what int) {
	up := g.All()
	switch {
	case what < 18:
		if g.n(2, "in flight") == 0 {
			g.flight()
		}
		blocks := make([]ids, 1+g.n(3, "blocks"))
		for _, n := range up {
			i := g.n(len(blocks), "block")
			blocks[i] = append(blocks[i], n)
		}
		g.Split(blocks...)
	case what == 18 && len(up) > 0 && (g.loose || g.whole()):
		g.Crash(up[g.n(len(up), "node")])
	case what == 18:
		for n := range servicetest.NodeID(g.Size()) {
			if !g.Node(n + 1).Up() {
				g.Restart(n + 1)
				break
			}
		}
	default:
		if g.n(2, "time") == 0 || len(up) == 0 {
			g.Advance(retryAfter << (3 * g.n(3, "how long")))
		} else {
			n := g.Node(up[g.n(len(up), "node")])
			n.Full = !n.Full
		}
	}
}

// flight has messages on their way in a ring that stands.
func (g *game) flight() {
	g.Run()
	for range 1 + g.n(3, "at once") {
		if p := g.pick(); p != nil {
			p.say(g, "t")
		}
	}
	for range g.n(20, "steps") {
		g.Step(func(n int) int { return g.n(min(n, 3), "step") }) // they are ordered and delivered
	}
}

// whole reports whether all nodes have what happened so far: then one may forget
// it.
func (g *game) whole() bool {
	for n := range servicetest.NodeID(g.Size()) {
		if node := g.Node(n + 1); !node.Up() || len(node.Members()) < g.Size() || !g.service(n+1).direct {
			return false
		}
	}
	return true
}

func (p *player) register(g *game, class Class, name string) {
	if p.Waiting() {
		return
	}
	for _, h := range p.subs {
		if h.class == Group && h.name == name {
			return // what it is told of itself is to be unique
		}
	}
	id := uint32(len(p.subs))
	fn, b := CallRegister, RegisterRequest{Sub: id, Class: class, Group: []byte(name)}.AppendTo(nil)
	if class == Topic {
		fn, b = CallSubscribe, SubscribeRequest{Sub: id, Open: id, Topic: []byte(name)}.AppendTo(nil)
	}
	if a := p.Call(fn, b); a.Done && a.Code == service.OK {
		p.subs[id] = &hearing{class: class, name: name}
	}
}

func (p *player) stopOne(g *game) {
	for id := range uint32(len(p.subs)) {
		if h := p.subs[id]; h != nil && !h.over {
			g.listen()
			if !h.over && p.Open() && !p.Waiting() {
				p.Call(CallEnd, SubRequest{id}.AppendTo(nil))
				h.over = true
			}
			return
		}
	}
}

func (p *player) say(g *game, topic string) {
	g.texts++
	text := fmt.Sprint("m", g.texts)
	q := say(topic, text)
	q.Content.Retention = []int64{0, 0, 1, 5e8, 5e9}[g.n(5, "retention")]
	g.asked[text] = &message{p.Call(CallPublish, q.AppendTo(nil)), p, topic}
}

// open opens channel d; when that is answered, it is to be open.
func (p *player) open() {
	id := uint32(100 + len(p.opens))
	p.opens = append(p.opens, p.Call(CallEnter, EnterRequest{Sub: id, Name: []byte("d"), Create: true}.AppendTo(nil)))
}

// listen takes what everybody was told.
func (g *game) listen() {
	for _, p := range g.players {
		for _, e := range p.Events[p.read:] {
			g.hear(p, e)
		}
		p.read = len(p.Events)
	}
}

func (g *game) hear(p *player, e servicetest.Event) {
	text := line(g.t, e)
	sub := uint32(e.Body[0]) // fewer than 256
	if sub >= 100 && e.Kind == EventEnd {
		p.shut[sub] = true
		return
	}
	h := p.subs[sub]
	if h == nil || h.over {
		g.t.Fatalf("%q for %d, which is over", text, sub)
	}
	switch e.Kind {
	case EventEnd:
		h.over = true
	case EventFact:
		f, _ := ParseMember(e.Body)
		g.hearFact(h, &f.Fact)
	case EventEntry:
		g.item(h, text)
	case EventMessage:
		m, _ := ParseMessage(e.Body)
		g.hearMessage(h, &m)
		if h.class == Group {
			g.item(h, string(m.Content.Data))
		}
	default:
		g.t.Fatalf("unexpected %q", text)
	}
}

func (g *game) item(h *hearing, text string) {
	if slices.Contains(h.items, text) {
		g.t.Fatalf("%q was told twice", text)
	}
	h.items = append(h.items, text)
}

// hearFact follows the state machine of cluster events 2.8.
func (g *game) hearFact(h *hearing, f *Fact) {
	was := h.fact
	h.fact = f
	fail := func(why string) { g.t.Fatalf("%s: %s after %+v", why, factLine(f), was) }
	switch {
	case was != nil && was.Kind == Evicted:
		fail("after the end")
	case f.Kind == Evicted:
		return
	case was != nil && f.Trans <= was.Trans && f.Kind != NotPrimary:
		fail("trans does not rise")
	}
	lists := func(f *Fact) []any { return []any{f.Seq, f.Members, f.In, f.Out} }
	switch f.Kind {
	case NewMembership:
		if was != nil && f.Seq != was.Seq+1 {
			fail("a gap or a repeat")
		}
		if was != nil && !reflect.DeepEqual(f.Members, follow(was.Members, f)) {
			fail("lists do not fit")
		}
	case NotPrimary:
		if was == nil || was.Kind == NotPrimary || !reflect.DeepEqual(lists(f), lists(was)) {
			fail("not the last record")
		}
	case Restored:
		if was == nil || was.Kind != NotPrimary || !reflect.DeepEqual(lists(f), lists(was)) {
			fail("not the record that was lost")
		}
	}
	if g.loose {
		return
	}
	if known, ok := g.records[f.Seq]; ok && !reflect.DeepEqual(lists(&known), lists(f)) {
		g.t.Fatalf("membership %d is %s and %s", f.Seq, factLine(&known), factLine(f))
	}
	g.records[f.Seq] = *f
}

// follow is what comes of members by a record.
func follow(members []Member, f *Fact) (after []Member) {
	for _, m := range members {
		if !slices.Contains(f.Out, m) {
			after = append(after, m)
		}
	}
	after = append(after, f.In...)
	slices.SortFunc(after, compareMember)
	return after
}

func (g *game) hearMessage(h *hearing, m *MessageEvent) {
	text := string(m.Content.Data)
	if g.loose { // what a node that was alone did is forgotten with it
		return
	}
	if known, ok := g.said[m.ID]; ok && known != text {
		g.t.Fatalf("%x is %q and %q", m.ID, known, text)
	}
	g.said[m.ID] = text
	if id, ok := g.ids[text]; ok && id != m.ID {
		g.t.Fatalf("%q is %x and %x", text, id, m.ID)
	}
	g.ids[text] = m.ID
	if m.Topic == "t" || m.Topic == "u" {
		key := fmt.Sprint(m.Topic, m.Seq)
		if id, ok := g.numbers[key]; ok && id != m.ID {
			g.t.Fatalf("%s is %x and %x", key, id, m.ID)
		}
		g.numbers[key] = m.ID
	}
	if h.last != 0 && m.Seq != h.last+1+m.Missed {
		g.t.Fatalf("%s %d comes after %d with %d missed", m.Topic, m.Seq, h.last, m.Missed)
	}
	h.last = m.Seq
}

// end heals everything and compares.
func (g *game) end() {
	for n := range servicetest.NodeID(g.Size()) {
		if !g.Node(n + 1).Up() {
			g.Restart(n + 1)
		}
		g.Node(n + 1).Full = false
	}
	g.Split(g.All())
	for range 3 {
		g.Run()
		g.Advance(time.Second)
	}
	g.rest()
	g.listen()
	d := g.service(1).state
	if len(d.members) != g.Size() {
		g.t.Fatalf("members %v", d.members)
	}
	for _, p := range g.players {
		if p.Open() {
			p.grant(1_000_000)
		}
	}
	g.listen()
	g.checkGroups(d)
	g.checkAsked(d)
}

// checkGroups demands that who is in a group is who registered, and that all were
// told the same from when they came.
func (g *game) checkGroups(d *state) {
	var want, got []string
	hear := map[string][]*hearing{}
	for _, p := range g.players {
		for id, h := range p.subs {
			if h.class != Group {
				continue
			}
			hear[h.name] = append(hear[h.name], h)
			if p.Open() && !h.over {
				want = append(want, fmt.Sprintf("%s %d/%d/%d", h.name, p.Node().ID(), p.ID(), id))
			}
		}
	}
	for _, p := range g.players {
		for i, a := range p.opens {
			if id := uint32(100 + i); p.Open() && a.Code == service.OK && !p.shut[id] {
				want = append(want, fmt.Sprintf("d %d/%d/%d", p.Node().ID(), p.ID(), id))
			}
		}
	}
	for t := range d.all() {
		for _, e := range slices.Concat(t.members, t.opens) {
			got = append(got, fmt.Sprintf("%s %d/%d/%d", t.name, e.Node, e.conn, e.sub))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		g.t.Fatalf("in groups are\n%q\nnot\n%q", got, want)
	}
	for name, list := range hear {
		for _, a := range list {
			for _, b := range list {
				if !g.loose && !together(a.items, b.items) {
					g.t.Fatalf("in group %s one was told\n%q\nanother\n%q", name, a.items, b.items)
				}
			}
		}
	}
}

// together reports whether two logs are parts of one order.
func together(a, b []string) bool {
	if len(b) == 0 {
		return true
	}
	i := slices.Index(a, b[0])
	if i < 0 {
		return true // the other way round, or never at the same time
	}
	n := min(len(a)-i, len(b))
	return slices.Equal(a[i:i+n], b[:n])
}

// checkAsked demands that what was granted happened, and that what was refused did
// not.
func (g *game) checkAsked(d *state) {
	if g.loose {
		return
	}
	kept := map[string]bool{}
	if t := d.topic("t"); t != nil {
		for _, e := range t.kept {
			kept[string(e.content.Data)] = true
		}
	}
	for text, m := range g.asked {
		happened := kept[text] || g.ids[text] != 0
		switch a := m.answer; {
		case !a.Done && m.by.Open():
			g.t.Fatalf("%q is not answered", text)
		case a.Code == service.ErrAgain && happened:
			g.t.Fatalf("%q was refused, and happened", text)
		case a.Code == service.OK && m.topic == "t" && !kept[text]:
			g.t.Fatalf("%q was granted, and did not happen", text)
		}
	}
}
