package events

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

var (
	ring27    = proto.RingID{Seq: 8, Rep: 1, Inc: 3}
	place27   = place{ring27, 5, 6}
	members27 = []Member{{1, 1, 1, "one", netip.MustParseAddr("192.0.2.1"), 8}, {ID: 3, Born: 2, Since: 4}}
	content27 = Content{Re: 1, Priority: 2, Retention: 3, Published: 4, Publisher: []byte("me"), Patterns: [][]byte{[]byte("a"), {}}, Data: []byte("data")}
	fact27    = Fact{Kind: NewMembership, Seq: 2, Trans: 4, Quorate: true, Members: members27, In: members27[1:], Out: []Member{{ID: 2, Born: 1, Since: 1, Name: "two"}}}
	event27   = &event{id: 1<<32 | 1001, seq: 7, from: Process{1, 2}, timed: true, content: content27, until: zero27}
	zero27    = time.Unix(0, 0).UTC()
	state27   = snapshot{&state{view: ring27, at: place27, seq: 2, trans: 4, members: members27, in: members27[1:], out: members27[:1],
		eligible: []proto.NodeID{1, 2, 3}, counters: []counter{{1, []life{{1001, [2]uint32{1009, 1008}}, {5001, [2]uint32{0, 5003}}}}, {3, nil}}, topics: []*topic{
			{name: "a", number: 1<<32 | 1002, created: true, opts: Options{3, true}, seq: 9, kept: []*event{event27}, bytes: event27.size()},
			{name: "b", number: 3<<32 | 1000, members: []entrant{{Process{1, 2}, 3, 4}}}},
		unlinked: []*topic{{name: "a", number: 1<<32 | 1001, opens: []entrant{{Process{1, 2}, 3, 4}, {Process{2, 2}, 3, 4}}}}}}
	bring27 = brought{what: bringEvent, of: number{1, 1001, 1001}, durable: true, name: "t", topic: 1<<32 | 1001, event: event27, left: 3}
	entry27 = entry{at: place27, from: 3, fn: msgPublish, src: service.Source{Node: 3, Conn: 1, Tag: 2}, body: []byte("body")}
)

// snapshot is a state as a body; all that is kept for a time is over at once.
type snapshot struct{ *state }

func (s snapshot) AppendTo(b []byte) []byte { return s.state.appendTo(b, zero27) }

func parseSnapshot(b []byte) (snapshot, error) {
	d, err := parseState(b, zero27)
	if err == nil {
		for _, t := range d.topics {
			for _, e := range t.kept {
				if !e.timed && !e.until.Equal(zero27) || e.until.Before(zero27) {
					return snapshot{}, errors.New("a time that nobody says")
				}
			}
		}
	}
	return snapshot{d}, err
}

// inner are bodies between nodes.
type (
	commitBody  struct{ commit }
	offerBody   struct{ offer }
	toldBody    struct{ told }
	broughtBody struct{ brought }
)

func (c commitBody) AppendTo(b []byte) []byte  { return c.appendTo(b) }
func (o offerBody) AppendTo(b []byte) []byte   { return o.appendTo(b) }
func (t toldBody) AppendTo(b []byte) []byte    { return t.appendTo(b) }
func (t broughtBody) AppendTo(b []byte) []byte { return t.appendTo(b) }

func parseBrought(b []byte) (broughtBody, error) {
	r := body.NewReader(b)
	t := takeBrought(&r)
	if t.event != nil {
		t.event.until = zero27
	}
	return broughtBody{*t}, r.Close()
}

var bodies = []servicetest.Body{
	servicetest.A(OpenRequest{64, true}, ParseOpen),
	servicetest.A(OpenReply{3, 5, 6, 7, 8}, ParseOpenReply),
	servicetest.A(GrantRequest{9}, ParseGrant),
	servicetest.A(RegisterRequest{1, Group, []byte("g"), true}, ParseRegister),
	servicetest.A(SubscribeRequest{1, 2, []byte("t"), 7, StartAt, 3, []Filter{{Prefix, []byte("a")}, {PassAll, []byte{}}}}, ParseSubscribe),
	servicetest.A(SubRequest{1}, ParseSub),
	servicetest.A(PublishRequest{[]byte("t"), 7, content27}, ParsePublish),
	servicetest.A(PublishReply{1, 2}, ParsePublishReply),
	servicetest.A(CreateRequest{[]byte("t"), Options{9, true}}, ParseCreate),
	servicetest.A(NameRequest{[]byte("t")}, ParseName),
	servicetest.A(ClearRequest{[]byte("t"), 7, 1001}, ParseClear),
	servicetest.A(EnterRequest{1, []byte("t"), true, Options{1, false}}, ParseEnter),
	servicetest.A(EnterReply{7}, ParseEnterReply),
	servicetest.A(Description{"t", 1, true, Options{9, false}, 2, 1, 2, []Process{{1, 2}}, 3}, ParseDescription),
	servicetest.A(ListReply{[]Description{{Name: "t"}, {Name: "u"}}}, ParseListReply),
	servicetest.A(StatusReply{Limbo, fact27}, ParseStatusReply),

	servicetest.A(TakeReply{1, true, EventLost, []byte("body")}, ParseTakeReply),
	servicetest.A(NewsEvent{true, false}, ParseNews),

	servicetest.A(MemberEvent{1, fact27}, ParseMember),
	servicetest.A(LinkEvent{1, Link{Connect, true, 2, 3, netip.MustParseAddr("fd00::1")}}, ParseLink),
	servicetest.A(LinkEvent{1, Link{Kind: Eligible, Node: 2}}, ParseLink),
	servicetest.A(EntryEvent{1, true, Process{2, 3}, "g"}, ParseEntry),
	servicetest.A(MessageEvent{1, 2, "t", 3, 4, Process{5, 6}, content27}, ParseMessage),
	servicetest.A(EndEvent{1, Slow}, ParseEnd),

	servicetest.A(commitBody{commit{ring27, 4, []proto.NodeID{1, 2}, []newcomer{{1, "one", 1, netip.MustParseAddr("192.0.2.1"), 8}, {id: 3}}}},
		func(b []byte) (commitBody, error) { c, err := parseCommit(b); return commitBody{c}, err }),
	servicetest.A(offerBody{offer{latest: ring27, at: place27, born: 1, trans: 2, addr: netip.MustParseAddr("fd00::1"), boot: 5, weight: 3, state: service.Digest{4}, held: []place{place27}}},
		func(b []byte) (offerBody, error) { o, err := parseOffer(b); return offerBody{*o}, err }),
	servicetest.A(toldBody{told{state: []byte("state"), at: place27, held: []entry{entry27}}},
		func(b []byte) (toldBody, error) { t, err := parseTold(b); return toldBody{t}, err }),
	servicetest.A(broughtBody{brought{what: bringTopic, of: number{1, 1001, 1003}, durable: true, name: "t", opts: Options{1, true}, seq: 2}}, parseBrought),
	servicetest.A(broughtBody{bring27}, parseBrought),
	servicetest.A(broughtBody{brought{what: bringLife, of: number{1, 1001, 1001}, known: [2]uint32{1004, 1005}}}, parseBrought),
	servicetest.A(state27, parseSnapshot),
}

func TestBodies_RoundTrip(t *testing.T) { servicetest.RoundTrip(t, bodies) }

func FuzzBodies(f *testing.F) { servicetest.FuzzBodies(f, bodies) }

// FuzzMessages gives any messages to a node: none harms, whatever it says.
func FuzzMessages(f *testing.F) {
	head := (&head{1, number{life: 1001, n: 1002}}).appendTo(nil)
	f.Add(msgCreate, false, append(head, CreateRequest{[]byte("t"), Options{1, false}}.AppendTo(nil)...))
	f.Add(msgPublish, false, append(body.AppendU32(head, 1), PublishRequest{[]byte("g"), 0, content27}.AppendTo(nil)...))
	f.Add(msgJoin, false, append(head, appendEntrant(body.AppendShort(nil, "x"), entrant{})...))
	f.Add(msgBring, false, bring27.appendTo(head))
	f.Add(msgExpire, false, body.AppendU64(body.AppendU32(head, 1), 7))
	f.Add(msgCommit, false, (&commit{ring: ring27, members: []newcomer{{id: 1, name: "one", born: 1}}}).appendTo(nil))
	f.Add(msgOffer, true, (&offer{}).appendTo(nil))
	f.Fuzz(func(t *testing.T, fn uint16, sync bool, b []byte) {
		w := start(t, 2, Config{})
		w.form(w.All())
		l := w.client(1, 99).watch()
		l.must(CallRegister, RegisterRequest{Sub: 2, Class: Group, Group: []byte("g")})
		w.rest()
		s := w.service(1)
		m := service.Message{From: 1, Func: fn, Ring: w.Node(1).Ring(), Slot: 99, Body: b}
		if sync {
			m.Class = service.Sync
		}
		s.Deliver(m)
		l.news()
	})
}

func TestCall_Malformed(t *testing.T) {
	w := start(t, 1, Config{})
	for _, fn := range []uint16{CallOpen, CallPublish, CallSubscribe, CallDescribe} {
		l := w.client(1, 9)
		if a := l.Call(fn, []byte{1}); a.Code != service.ErrInvalidParam || l.Open() {
			t.Errorf("call %d: %+v", fn, a)
		}
	}
}

func TestPublish_Limits(t *testing.T) {
	w := start(t, 1, Config{})
	l := w.client(1, 0)
	l.want(service.OK, CallCreate, create("t"))
	l.publish("t", strings.Repeat("x", MaxData))
	l.want(service.ErrInvalidParam, CallPublish, say("t", strings.Repeat("x", MaxData+1)))
	l = w.client(1, 0)
	q := say("t", "x")
	q.Content.Priority = 4
	l.want(service.ErrInvalidParam, CallPublish, q)
}

// openais-executive 7.4 and 14, 25 to 27.
func TestMatches(t *testing.T) { test(t, surplusFilters) }

func surplusFilters(t servicetest.T) {
	p := func(s ...string) (list [][]byte) {
		for _, x := range s {
			list = append(list, []byte(x))
		}
		return list
	}
	f := func(kind FilterType, s string) Filter { return Filter{kind, []byte(s)} }
	for i, c := range []struct {
		filters  []Filter
		patterns [][]byte
		want     bool
	}{
		{nil, nil, true},
		{nil, p("a"), true},
		{[]Filter{f(Prefix, "ab")}, p("abc"), true},
		{[]Filter{f(Prefix, "ab")}, p("ab", "more"), true},
		{[]Filter{f(Prefix, "ab")}, p("a"), false},
		{[]Filter{f(Prefix, "ab")}, p("xab"), false},
		{[]Filter{f(Suffix, "ab")}, p("xab"), true},
		{[]Filter{f(Suffix, "ab")}, p("abx"), false},
		{[]Filter{f(Exact, "a\x00bc")}, p("a\x00bc"), true},
		{[]Filter{f(Exact, "a\x00bc")}, p("a\x00bd"), false},
		{[]Filter{f(Exact, "a")}, p("ab"), false},
		{[]Filter{f(Prefix, "a"), f(PassAll, "x")}, p("a1"), true},
		{[]Filter{f(Prefix, "a"), f(Exact, "x")}, p("a1"), false},
		{[]Filter{f(Prefix, "a"), f(Exact, "")}, p("a1"), true},
		{[]Filter{f(Prefix, "")}, nil, true},
	} {
		if got := matches(c.filters, c.patterns); got != c.want {
			t.Fatalf("%d: %v", i, got)
		}
	}
}

// One open gets an event once, as the oldest subscription that matches
// (openais-executive M6; 14, 28).
func TestOpens(t *testing.T) {
	w := start(t, 1, Config{})
	l := w.client(1, 99)
	l.want(service.OK, CallCreate, create("t"))
	for sub, open := range []uint32{7, 7, 8, 8} {
		l.must(CallSubscribe, SubscribeRequest{Sub: uint32(sub), Open: open, Topic: []byte("t")})
	}
	l.publish("t", "x")
	var subs []uint32
	for _, e := range l.Events {
		m, err := ParseMessage(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, m.Sub)
	}
	if len(subs) != 2 || subs[0] != 0 || subs[1] != 2 {
		t.Errorf("told %v", subs)
	}
}

func (l *lib) ranked(p uint8, data string) {
	l.w.t.Helper()
	q := say("t", data)
	q.Content.Priority = p
	l.want(service.OK, CallPublish, q)
}

// openais-executive 14, 29 to 31.
func TestRanked(t *testing.T) { test(t, rankedQueue) }

func rankedQueue(t servicetest.T) {
	w := start(t, 1, Config{Settings: Settings{QueueRanked: 4}})
	a, l := w.client(1, 0), w.opened(1, OpenRequest{Ranked: true})
	a.want(service.OK, CallCreate, create("t"))
	l.subscribe("t")
	for _, d := range []string{"a", "b", "c"} {
		a.ranked(3, d)
	}
	a.ranked(0, "urgent")
	l.grant(4)
	l.expect("t 4 urgent", "t 1 a", "t 2 b", "t 3 c")
	for _, d := range []string{"1", "2", "3", "4", "5", "6"} {
		a.ranked(2, d)
	}
	a.ranked(3, "lower")
	a.ranked(1, "higher") // takes the place of 4
	l.grant(3)            // two are left: not below half of four
	l.expect("lost", "t 12 higher", "t 5 1")
	a.ranked(2, "seven")
	l.grant(9)
	l.expect("t 6 2", "t 7 3")
	a.ranked(2, "eight")
	l.expect("t 14 eight")
}

// What is granted and not used can be taken back, and what waits for a subscription
// that ends is for the next one of its open that matches (openais-executive 7.3, O3).
func TestRanked_RecallAndReassign(t *testing.T) {
	w := start(t, 1, Config{})
	a, l := w.client(1, 0), w.opened(1, OpenRequest{Ranked: true})
	a.want(service.OK, CallCreate, create("t"))
	for sub, f := range []string{"x", "", "x", ""} {
		q := SubscribeRequest{Sub: uint32(sub), Open: uint32(sub) / 3, Topic: []byte("t")}
		if f != "" {
			q.Filters = []Filter{{Prefix, []byte(f)}}
		}
		l.must(CallSubscribe, q)
	}
	l.grant(2)
	l.must(CallRecall, NameRequest{})
	for _, p := range []string{"x1", "y"} {
		q := say("t", p)
		q.Content.Patterns = [][]byte{[]byte(p)}
		a.want(service.OK, CallPublish, q)
	}
	l.expect()
	l.must(CallEnd, SubRequest{0}) // its event goes to 1
	l.must(CallEnd, SubRequest{1}) // and on to 2, which does not like the other
	l.grant(9)
	var got []string
	for _, e := range l.Events {
		m, err := ParseMessage(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(m.Sub, " ", string(m.Content.Data)))
	}
	if want := []string{"2 x1", "3 x1", "3 y"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// Who fetches events one by one is told that there are some, once, and where the node
// is with the membership.
func TestTake(t *testing.T) {
	w := start(t, 2, Config{Settings: Settings{QueueRanked: 2}})
	w.form(w.All())
	a, l := w.client(1, 0), w.opened(2, OpenRequest{Ranked: true})
	a.want(service.OK, CallCreate, create("t"))
	l.subscribe("t")
	take := func(left uint32, primary bool, want string) {
		t.Helper()
		p, err := ParseTakeReply(l.must(CallTake, NameRequest{}))
		got := ""
		if p.Kind != 0 {
			got = line(t, servicetest.Event{Kind: p.Kind, Body: p.Body})
		}
		if err != nil || got != want || p.Left != left || p.Primary != primary {
			t.Fatalf("%+v %q, %v", p, got, err)
		}
	}
	a.publish("t", "early")
	l.expect()
	take(0, true, "t 1 early")
	a.publish("t", "one")
	a.publish("t", "two")
	a.publish("t", "three")
	l.expect("waits, primary")
	take(2, true, "lost")
	take(1, true, "t 2 one")
	w.form(ids{1}, ids{2})
	l.expect("waits")
	take(0, false, "t 3 two")
	take(0, false, "")
	w.form(w.All())
	l.expect("primary")
	a.publish("t", "again")
	l.expect("waits, primary")
}

// Who fetches only when told that something waits misses nothing, and knows where the
// node is, whatever happens between.
func TestTake_NoNewsIsMissing(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := start(t, 3, Config{})
		w.form(w.All())
		a, l := w.client(2, 0), w.opened(1, OpenRequest{Ranked: true})
		a.want(service.OK, CallCreate, create("t"))
		l.subscribe("t")
		waits, primary := true, false
		var got []string
		take := func() {
			p, err := ParseTakeReply(l.must(CallTake, NameRequest{}))
			if err != nil {
				t.Fatal(err)
			}
			waits, primary = p.Left > 0, p.Primary
			if p.Kind != 0 {
				got = append(got, line(t, servicetest.Event{Kind: p.Kind, Body: p.Body}))
			}
		}
		hear := func() {
			for ; l.read < len(l.Events); l.read++ {
				e, err := ParseNews(l.Events[l.read].Body)
				if err != nil {
					t.Fatal(err)
				}
				waits, primary = waits || e.Waits, e.Primary
			}
		}
		said := 0
		for range 60 {
			switch random.IntN(4) {
			case 0:
				for range random.IntN(4) {
					if a.code(CallPublish, say("t", "x")) == service.OK {
						said++
					}
				}
			case 1:
				w.form(ids{1}, ids{2, 3}) // while nothing is published
				if hear(); primary {
					t.Fatalf("seed %d: primary", seed)
				}
				w.form(ids{1, 2, 3})
			default:
				if hear(); waits {
					take()
				}
			}
		}
		w.form(w.All())
		for hear(); waits; hear() {
			take()
		}
		for i, g := range got {
			if !strings.HasPrefix(g, fmt.Sprintf("t %d x", i+1)) {
				t.Fatalf("seed %d: %d is %q", seed, i, g)
			}
		}
		if p, err := ParseStatusReply(l.must(CallStatus, NameRequest{})); err != nil || len(got) != said || primary != (p.State == Primary) {
			t.Fatalf("seed %d: %d of %d events, primary %v, %v, %v", seed, len(got), said, primary, p.State, err)
		}
	}
}

// A client that takes nothing does not make the agent keep everything.
func TestFacts_Bounded(t *testing.T) {
	w := start(t, 1, Config{})
	l := w.client(1, 0)
	l.must(CallRegister, RegisterRequest{Sub: 1, Class: Conn})
	for range maxOthers + 1 {
		w.service(1).Link(Link{Kind: Connect, Up: true, Node: 2})
	}
	if !errors.Is(l.Closed(), service.ErrOverflow) {
		t.Errorf("%v", l.Closed())
	}
}

// Times of events, and their number, slide with each other.
func TestTopic_Keeps(t *testing.T) {
	p := &topic{opts: Options{Keep: 2}}
	for i := range 6 {
		p.keep(&event{seq: uint64(i + 1), timed: i%3 == 0}, MaxAll)
	}
	var seqs []uint64
	for _, e := range p.kept {
		seqs = append(seqs, e.seq)
	}
	if fmt.Sprint(seqs) != "[1 4 5 6]" || p.seq != 6 {
		t.Errorf("kept %v of %d", seqs, p.seq)
	}
	p.kept[0].timed, p.kept[1].timed = false, false
	if gone := p.trim(MaxAll); fmt.Sprint(gone) != "[1 4]" {
		t.Errorf("gone %v", gone)
	}
	p.kept[1].content.Data = make([]byte, MaxKept)
	p.bytes += MaxKept
	if _, gone := p.keep(&event{seq: 7, content: Content{Data: []byte("x")}}, MaxAll); fmt.Sprint(gone) != "[5 6]" {
		t.Errorf("gone %v", gone)
	}
}

// All that topics keep together has a bound: a topic lets its oldest events go for a new
// one, and takes no more when there is room for none. The newest stays, however much is
// kept for a time.
func TestTopics_KeepSoMuch(t *testing.T) {
	w := start(t, 1, Config{Store: &memory{}})
	w.form(w.All())
	a := w.client(1, 0)
	big := func(name string, retention int64) PublishRequest {
		q := say(name, string(make([]byte, MaxData)))
		q.Content.Retention = retention
		return q
	}
	publish := func(q PublishRequest, code service.Code) {
		t.Helper()
		answer := a.Call(CallPublish, q.AppendTo(nil))
		w.Run()
		w.stores[1].sync()
		if answer.Code != code {
			t.Fatalf("%v, not %v", answer.Code, code)
		}
	}
	a.want(service.OK, CallCreate, CreateRequest{[]byte("d"), Options{Keep: 9, Durable: true}})
	for range 2*MaxKept/MaxData - 1 {
		publish(big("d", int64(time.Hour)), service.OK)
	}
	publish(say("d", "newest"), service.OK)
	kept := w.service(1).state.topic("d").kept
	if e := kept[len(kept)-1]; string(e.content.Data) != "newest" {
		t.Fatalf("%d is the last that is kept", e.seq)
	}

	for i := range MaxAll / MaxKept {
		name := fmt.Sprint("t", i)
		a.want(service.OK, CallCreate, CreateRequest{[]byte(name), Options{Keep: MaxKeep}})
		for range MaxKept / MaxData / 2 {
			publish(big(name, int64(time.Hour)), service.OK)
		}
	}
	a.want(service.OK, CallCreate, CreateRequest{[]byte("last"), Options{Keep: MaxKeep}})
	for range 2 * MaxKept / MaxData {
		publish(big("last", 0), service.OK)
	}
	for range 2 * MaxKept / MaxData {
		if d := w.service(1).state; d.room(d.topic("d"), kept[0]) < d.topic("d").cost() {
			t.Fatalf("more than %d bytes are kept", MaxAll)
		}
		answer := a.Call(CallPublish, big("t0", int64(time.Hour)).AppendTo(nil))
		if w.Run(); answer.Code == service.ErrNoSpace {
			publish(big("last", 0), service.OK) // the oldest of its own goes
			return
		}
	}
	t.Fatal("there is room for all")
}
