package events

import (
	"testing"
	"time"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

// channel opens a topic as the AIS does, and subscribes to it.
func (l *lib) channel(sub uint32, name string, create bool) uint64 {
	l.w.t.Helper()
	a := l.Call(CallEnter, EnterRequest{Sub: sub, Name: []byte(name), Create: create}.AppendTo(nil))
	l.w.Run()
	p, err := ParseEnterReply(a.Body)
	if a.Code != service.OK || err != nil {
		l.w.t.Fatalf("%+v, %v", a, err)
	}
	l.must(CallSubscribe, SubscribeRequest{Sub: sub + 100, Open: sub, Number: p.Number, Start: StartKept})
	return p.Number
}

func on(number uint64, data string) PublishRequest {
	return PublishRequest{nil, number, Content{Data: []byte(data)}}
}

// openais-executive 14, 24 and 35.
func TestChannel_Unlink(t *testing.T) { test(t, unlinked) }

func unlinked(t servicetest.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	a, b, c := w.client(1, 99), w.client(2, 99), w.client(3, 99)
	a.want(service.ErrNotExist, CallEnter, EnterRequest{Sub: 1, Name: []byte("t")})
	old := a.channel(1, "t", true)
	if n := b.channel(1, "t", false); n != old {
		t.Fatalf("%x and %x", old, n)
	}
	c.channel(1, "t", true)
	c.keeps("kept", time.Hour)
	a.want(service.OK, CallUnlink, NameRequest{[]byte("t")})
	a.want(service.ErrNotExist, CallUnlink, NameRequest{[]byte("t")})
	a.want(service.ErrNotExist, CallEnter, EnterRequest{Sub: 2, Name: []byte("t")})
	fresh := a.channel(2, "t", true)
	if fresh == old {
		t.Fatalf("%x", fresh)
	}
	a.publish("t", "new")
	b.want(service.OK, CallPublish, on(old, "old"))
	a.expect("t 1 kept", "t 1 new", "t 2 old")
	b.expect("t 1 kept", "t 2 old")
	c.expect("t 1 kept", "t 2 old")

	// It lives until the last open ends, over partitions and deaths.
	w.form(ids{1, 2}, ids{3})
	w.form(w.All())
	b.want(service.OK, CallPublish, on(old, "after"))
	for _, l := range []*lib{a, b, c} {
		l.expect("t 3 after")
	}
	b.must(CallEnd, SubRequest{1})
	w.Crash(3)
	w.form(ids{1, 2})
	b.want(service.OK, CallPublish, on(old, "still"))
	a.must(CallEnd, SubRequest{101})
	a.Leave()
	w.rest()
	b.expect("t 4 still", "end deleted")
	if d := w.service(1).state; len(d.unlinked) != 0 || len(d.topic("t").opens) != 0 {
		t.Fatalf("%v, %v", d.unlinked, d.topic("t"))
	}
}

// An open that nobody waits for any more is taken back.
func TestChannel_OpenForNobody(t *testing.T) { test(t, openForNobody) }

func openForNobody(t servicetest.T) {
	w := start(t, 2, Config{})
	w.form(w.All())
	l := w.client(1, 0)
	l.Call(CallEnter, EnterRequest{Sub: 1, Name: []byte("t"), Create: true}.AppendTo(nil))
	l.Leave()
	w.Run()
	if topic := w.service(2).state.topic("t"); len(topic.opens) != 0 {
		t.Fatalf("%v", topic.opens)
	}
}

// So is one that the client ends before it is ordered.
func TestChannel_EndedBeforeItIsOpen(t *testing.T) {
	w := start(t, 2, Config{})
	w.form(w.All())
	l := w.client(1, 0)
	q := EnterRequest{Sub: 1, Name: []byte("t"), Create: true}.AppendTo(nil)
	first, second := l.Call(CallEnter, q), l.Call(CallEnter, q)
	l.must(CallEnd, SubRequest{1})
	if first.Code != service.ErrTimeout || second.Code != service.ErrExist {
		t.Errorf("%v, %v", first.Code, second.Code)
	}
	w.Run()
	if topic := w.service(2).state.topic("t"); len(topic.opens) != 0 {
		t.Errorf("%v", topic.opens)
	}
	l.channel(1, "t", false)
	l.must(CallEnd, SubRequest{1})
}

// A name under which something was open is free again when there was room to say that it
// is not any more: what is opened by it then is open for all.
func TestChannel_Again(t *testing.T) {
	w := start(t, 2, Config{})
	w.form(w.All())
	l := w.client(1, 99)
	number := l.channel(1, "t", true)
	w.Node(1).Full = true
	l.must(CallEnd, SubRequest{101})
	l.must(CallEnd, SubRequest{1})
	w.Node(1).Full = false
	l.want(service.ErrAgain, CallEnter, EnterRequest{Sub: 1, Name: []byte("t")})
	w.Advance(retryAfter)
	l.channel(1, "t", false)
	w.rest()
	l.want(service.OK, CallUnlink, NameRequest{[]byte("t")})
	l.want(service.OK, CallPublish, on(number, "still"))
	l.expect("t 1 still")
}

// A client is told no lie when what it opened goes beyond its limit.
func TestChannel_TooMany(t *testing.T) {
	w := start(t, 1, Config{})
	l := w.client(1, 0)
	var answers []*servicetest.Answer
	for sub := range uint32(MaxSubs + 1) {
		answers = append(answers, l.Call(CallEnter, EnterRequest{Sub: sub, Name: []byte("t"), Create: true}.AppendTo(nil)))
	}
	w.Run()
	for i, a := range answers {
		if want := i < MaxSubs; (a.Code == service.OK) != want || !want && a.Code != service.ErrNoResources {
			t.Errorf("%d: %v", i, a.Code)
		}
	}
	if n := len(w.service(1).state.topic("t").opens); n != MaxSubs {
		t.Errorf("%d opens", n)
	}
}

// Who had too many events waiting, and gives up what they waited for, gets events of
// something else again: nothing of the AIS lets it stay blocked (openais-executive O4).
func TestChannel_EndUnblocks(t *testing.T) { test(t, endUnblocks) }

func endUnblocks(t servicetest.T) {
	w := start(t, 1, Config{Settings: Settings{QueueRanked: 2}})
	w.form(w.All())
	l := w.opened(1, OpenRequest{Ranked: true})
	number := l.channel(1, "t", true)
	for range 4 {
		l.want(service.OK, CallPublish, on(number, "lost"))
	}
	l.must(CallEnd, SubRequest{101})
	l.must(CallSubscribe, SubscribeRequest{Sub: 102, Open: 1, Number: number})
	l.want(service.OK, CallPublish, on(number, "new"))
	l.grant(1)
	l.expect("t 5 new")
}

// Somebody who takes no events in time is told so by the subscription whose event was
// lost (openais-executive O5), or by another that lost some when that one ends.
func TestRanked_WhoLost(t *testing.T) {
	w := start(t, 1, Config{Settings: Settings{QueueRanked: 2}})
	a, l := w.client(1, 0), w.opened(1, OpenRequest{Ranked: true})
	a.want(service.OK, CallCreate, create("t"))
	for sub, f := range []string{"x", "y", "z"} {
		l.must(CallSubscribe, SubscribeRequest{Sub: uint32(sub), Open: 9, Topic: []byte("t"), Filters: []Filter{{Exact, []byte(f)}}})
	}
	say := func(pattern string, priority uint8) {
		q := say("t", pattern)
		q.Content.Patterns, q.Content.Priority = [][]byte{[]byte(pattern)}, priority
		a.want(service.OK, CallPublish, q)
	}
	say("y", 3)
	say("x", 3)
	say("z", 0) // for which x goes
	say("y", 3) // is lost, too
	l.must(CallEnd, SubRequest{0})
	l.grant(1)
	if q, err := ParseSub(l.Events[0].Body); err != nil || q.Sub != 1 {
		t.Fatalf("%v, %v", q, err)
	}
	l.expect("lost")
	l.grant(9)
	l.expect("t 3 z", "t 1 y")
	say("y", 3)
	l.must(CallEnd, SubRequest{1})
	l.expect("t 5 y")
}

// A program that has channels open on a node that the others went on without is told
// that it missed events, and gets those that are kept in their order, once (7.6).
func TestRanked_BackFromAway(t *testing.T) { test(t, backFromAway) }

func backFromAway(t servicetest.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	a, l := w.client(1, 0), w.opened(3, OpenRequest{Ranked: true})
	a.want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 3}})
	l.subscribe("t")
	l.must(CallSubscribe, SubscribeRequest{Sub: 2, Open: 0, Topic: []byte("t"), Filters: []Filter{{Exact, []byte("no")}}})
	l.must(CallSubscribe, SubscribeRequest{Sub: 3, Open: 7, Topic: []byte("t")})
	w.form(ids{1, 2}, ids{3})
	for _, d := range []string{"gone", "a", "b", "c"} {
		a.publish("t", d)
	}
	w.form(w.All())
	l.grant(99)
	l.expect("lost", "lost", "lost", "t 2 a", "t 2 a", "t 3 b", "t 3 b", "t 4 c", "t 4 c")
	w.form(ids{1, 2}, ids{3})
	w.form(w.All())
	l.expect()
}

// Each of two subscriptions of one open gets its events of a node that comes back, in
// one order and no event twice.
func TestOpen_BackFromAway(t *testing.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	a, l := w.client(1, 0), w.client(3, 99)
	a.want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 3}})
	l.must(CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte("t"), Filters: []Filter{{Suffix, []byte("1")}}})
	l.must(CallSubscribe, SubscribeRequest{Sub: 2, Topic: []byte("t")})
	w.form(ids{1, 2}, ids{3})
	for _, d := range []string{"a1", "b", "c1"} {
		q := say("t", d)
		q.Content.Patterns = [][]byte{[]byte(d)}
		a.want(service.OK, CallPublish, q)
	}
	w.form(w.All())
	l.expect("t 1 a1", "t 2 b", "t 3 c1")
}

// What a connection remembers of its opens has bounds, however many it had and whatever
// came to them.
func TestOpens_Bounds(t *testing.T) {
	w := start(t, 1, Config{})
	w.form(w.All())
	a := w.client(1, 1<<20)
	a.want(service.OK, CallCreate, create("t"))
	c := w.service(1).clients[0]
	for i := range uint32(3 * MaxSubs) {
		a.must(CallSubscribe, SubscribeRequest{Sub: 1, Open: i, Topic: []byte("t")})
		a.must(CallEnd, SubRequest{1})
	}
	if n := len(c.opens); n > MaxSubs {
		t.Errorf("%d opens are remembered", n)
	}
	clear(c.opens)
	a.channel(1, "t", false)
	for range 2 * leastSeen {
		p := a.keeps("x", time.Hour)
		a.must(CallEnd, SubRequest{101})
		a.want(service.OK, CallClear, ClearRequest{Topic: []byte("t"), ID: p.ID})
		a.must(CallSubscribe, SubscribeRequest{Sub: 101, Open: 1, Topic: []byte("t"), Start: StartKept})
	}
	if n := len(c.opens[1].seen); n > leastSeen {
		t.Errorf("%d events are remembered that nobody keeps", n)
	}
	a.must(CallEnd, SubRequest{1})
	a.must(CallEnd, SubRequest{101})
	if len(c.opens) != 0 {
		t.Errorf("opens outlive their channels: %d", len(c.opens))
	}
}
