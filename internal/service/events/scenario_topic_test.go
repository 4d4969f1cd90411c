package events

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

func create(name string) CreateRequest { return CreateRequest{Name: []byte(name)} }

func TestScenario_20_Group(t *testing.T) { test(t, groupOrder) }

func groupOrder(t servicetest.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	a := w.client(1, 99).join("g")
	w.Run()
	b := w.client(2, 99).join("g")
	w.Run()
	a.expect("join 1/1 g", "join 2/2 g")
	b.expect("join 2/2 g")
	p := w.client(2, 0)
	c := w.client(3, 99)
	var answers []*servicetest.Answer
	for i := range 3 {
		answers = append(answers, p.Call(CallPublish, say("g", fmt.Sprint("cast", i)).AppendTo(nil)))
		if i == 1 {
			c.join("g")
		}
	}
	w.rest()
	for _, a := range answers {
		if a.Code != service.OK {
			t.Fatalf("%+v", a)
		}
	}
	saw, other := a.news(), b.news()
	if len(saw) != 4 || fmt.Sprint(saw) != fmt.Sprint(other) {
		t.Fatalf("a %q, b %q", saw, other)
	}
	if got := c.news(); len(got) == 0 || got[0] != "join 3/4 g" {
		t.Fatalf("c %q", got)
	}
	q := say("g", "well")
	q.Content.Re = 7
	p.want(service.OK, CallPublish, q)
	for _, l := range []*lib{a, b, c} {
		l.expect("g 4 well re 7")
	}
	b.must(CallEnd, SubRequest{1})
	w.Run()
	a.expect("leave 2/2 g")
	c.Leave()
	w.Run()
	a.expect("leave 3/4 g")
	w.Crash(2)
	w.form(ids{1, 3})
	a.Leave()
	w.Run()
	p = w.client(3, 9)
	p.want(service.ErrNotExist, CallPublish, say("g", "nobody is there"))
	p.want(service.ErrNotExist, CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte("g")})
}

// Registrations of lost nodes leave after the membership, those of an evicted node
// end, and registrations made outside of the primary sub-cluster join with it.
func TestScenario_20_GroupOverPartition(t *testing.T) {
	w := start(t, 3, Config{})
	early := w.client(3, 9).join("g")
	w.form(w.All())
	early.expect("join 3/1 g")
	a := w.client(1, 9).join("g")
	a.must(CallRegister, RegisterRequest{Sub: 2, Class: Memb})
	w.Run()
	a.expect("NM(1; 1,2,3; 1,2,3; )", "join 1/2 g")
	early.expect("join 1/2 g")
	w.form(ids{1, 2}, ids{3})
	a.expect("NM(2; 1,2; ; 3)", "leave 3/1 g")
	late := w.client(3, 9).join("g")
	w.form(w.All())
	early.expect("end thrown")
	late.expect("end thrown")
	late.join("g")
	w.Run()
	late.expect("join 3/3 g")
	a.expect("NM(3; 1,2,3; 3; )", "join 3/3 g")
}

// 23: nothing comes before something is published. 24, 25: numbers are the same
// everywhere.
func TestScenario_23_24_25_Publish(t *testing.T) {
	w := start(t, 2, Config{})
	w.form(w.All())
	a, b := w.client(1, 9), w.client(2, 9)
	a.want(service.OK, CallCreate, create("t"))
	a.subscribe("t")
	b.subscribe("t")
	a.expect()
	b.publish("t", "hello")
	b.publish("t", "again")
	q := say("t", "see")
	q.Content.Re = 1
	b.want(service.OK, CallPublish, q)
	for _, l := range []*lib{a, b} {
		l.expect("t 1 hello", "t 2 again", "t 3 see re 1")
	}
	x, _ := ParseMessage(a.Events[0].Body)
	y, _ := ParseMessage(b.Events[0].Body)
	if x.ID != y.ID || x.ID>>32 != 2 || x.From.PID != uint32(b.Cred().PID) {
		t.Errorf("%+v, %+v", x, y)
	}
	d, err := ParseDescription(a.must(CallDescribe, NameRequest{[]byte("t")}))
	if err != nil || d.Seq != 3 || !d.Created || d.Kept != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestScenario_26_UnknownTopic(t *testing.T) {
	w := start(t, 1, Config{Settings: Settings{Topics: map[string]Options{"configured": {}}}})
	w.rest()
	a := w.client(1, 9)
	a.want(service.ErrNotExist, CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte("t")})
	a.want(service.ErrNotExist, CallDescribe, NameRequest{[]byte("t")})
	a.want(service.OK, CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte("configured")})
	p, err := ParseListReply(a.must(CallList, none{}))
	if err != nil || len(p.Topics) != 1 || p.Topics[0].Name != "configured" {
		t.Errorf("%+v, %v", p, err)
	}
	a.want(service.ErrInvalidParam, CallCreate, create("__x"))
	a.want(service.ErrNotSupported, CallCreate, CreateRequest{[]byte("t"), Options{1, true}})
	a.want(service.ErrInvalidParam, CallPublish, say(MembTopic, "x"))
}

// Topics of the settings for which there is no room are told of once, at all nodes, and
// made with a later ring when there is.
func TestTopicsOfSettings_TooMany(t *testing.T) {
	settings := map[string]Options{}
	for i := range MaxTopics + 2 {
		settings[fmt.Sprintf("t%04d", i)] = Options{}
	}
	told := map[string]int{}
	w := startLoose(t, 2, Config{Settings: Settings{Topics: settings}, Unmade: func(name string, why service.Code) {
		if why != service.ErrNoSpace {
			t.Errorf("%s: %v", name, why)
		}
		told[name]++
	}})
	last := fmt.Sprintf("t%04d", MaxTopics+1)
	missing := func(want ...string) {
		t.Helper()
		for _, n := range []servicetest.NodeID{1, 2} {
			got := slices.Sorted(maps.Keys(w.service(n).Unmade()))
			if !slices.Equal(got, want) {
				t.Errorf("node %d: %q are not made, want %q", n, got, want)
			}
		}
	}
	clear(told) // of each alone
	w.form(ids{1, 2})
	missing(fmt.Sprintf("t%04d", MaxTopics), last)
	if told[last] > 2 {
		t.Errorf("told %d times", told[last])
	}
	c := w.client(1, 64)
	delete(settings, "t0000")
	c.want(service.OK, CallDelete, NameRequest{[]byte("t0000")})
	w.form(ids{1}, ids{2})
	w.form(ids{1, 2})
	missing(last)
	c = w.client(1, 64)
	delete(settings, "t0001")
	c.want(service.OK, CallDelete, NameRequest{[]byte("t0001")})
	c.want(service.OK, CallCreate, create(last))
	w.rest()
	missing()
}

func TestScenario_29_SlowSubscriber(t *testing.T) { test(t, slowSubscriber) }

func slowSubscriber(t servicetest.T) {
	w := start(t, 2, Config{})
	w.form(w.All())
	a, b, quick := w.client(1, 64), w.client(2, 0), w.client(2, 10_000)
	b.want(service.OK, CallCreate, create("t"))
	a.subscribe("t")
	quick.subscribe("t")
	for i := range 2000 {
		b.Call(CallPublish, say("t", fmt.Sprint(i)).AppendTo(nil))
	}
	w.Run()
	if len(a.news()) != 64 || len(quick.news()) != 2000 {
		t.Fatalf("%d and %d events", len(a.Events), len(quick.Events))
	}
	a.grant(10_000)
	if n := len(a.news()); n != 1024 {
		t.Fatalf("%d events waited", n)
	}
	b.publish("t", "last")
	a.expect(fmt.Sprintf("t 2001 last missed %d", 2000-1024-64))
}

func TestScenario_29_SlowByBytes(t *testing.T) {
	w := start(t, 1, Config{Settings: Settings{QueueBytes: 1000}})
	a := w.client(1, 0)
	a.want(service.OK, CallCreate, create("t"))
	a.subscribe("t")
	for range 3 {
		a.publish("t", string(make([]byte, 400)))
	}
	a.grant(9)
	if n := len(a.news()); n != 2 {
		t.Errorf("%d events waited", n)
	}
	a.publish("t", "x")
	a.expect("t 4 x missed 1")
}

// In a group nothing may be missing.
func TestSlowGroupMember_Ends(t *testing.T) {
	w := start(t, 1, Config{Settings: Settings{QueueMessages: 3}})
	a, b := w.client(1, 0).join("g"), w.client(1, 99).join("g")
	w.Run()
	for i := range 5 {
		b.publish("g", fmt.Sprint(i))
	}
	w.Run()
	a.grant(99)
	a.expect("join 1/1 g", "join 1/2 g", "g 1 0", "g 2 1", "g 3 2", "end slow")
	b.expect("join 1/2 g", "g 1 0", "g 2 1", "g 3 2", "g 4 3", "leave 1/1 g", "g 5 4")
}

func TestScenario_32_ManyPublishers(t *testing.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	var libs []*lib
	for _, n := range w.All() {
		libs = append(libs, w.client(n, 1000))
	}
	libs[0].want(service.OK, CallCreate, create("t"))
	for i, l := range libs {
		l.subscribe("t")
		for k := range 100 {
			l.Call(CallPublish, say("t", fmt.Sprint(i, k)).AppendTo(nil))
		}
	}
	w.Run()
	first := libs[0].news()
	if len(first) != 300 {
		t.Fatalf("%d events", len(first))
	}
	for _, l := range libs[1:] {
		l.expect(first...)
	}
}

func TestScenario_32a_Limbo(t *testing.T) { test(t, publishInLimbo) }

func publishInLimbo(t servicetest.T) {
	w := start(t, 5, Config{})
	w.form(w.All())
	a, e := w.client(1, 99), w.client(5, 99)
	a.want(service.OK, CallCreate, create("t"))
	a.subscribe("t")
	e.subscribe("t")
	a.publish("t", "one")
	w.form(ids{1, 2}, ids{3, 4})
	a.want(service.ErrAgain, CallPublish, say("t", "no"))
	e.want(service.ErrAgain, CallCreate, create("u"))
	w.form(w.All())
	e.publish("t", "two")
	a.expect("t 1 one", "t 2 two")
	e.expect("t 1 one", "t 2 two")
}

// What one node was given, all are given, also those that a ring without quorum
// kept from it for a while.
func TestScenario_32a_SafeOverLimbo(t *testing.T) { test(t, safeOverLimbo) }

func safeOverLimbo(t servicetest.T) {
	for steps := range 12 {
		w := start(t, 3, Config{})
		w.form(w.All())
		libs := []*lib{w.client(1, 99), w.client(2, 99), w.client(3, 99)}
		libs[0].want(service.OK, CallCreate, create("t"))
		for _, l := range libs {
			l.subscribe("t")
		}
		w.Cut = func(int) int { return 0 }
		answer := libs[0].Call(CallPublish, say("t", "one").AppendTo(nil))
		for i := range steps { // node 1 orders, and it and the others deliver, as far as that goes
			w.Step(func(n int) int { return []int{0, min(n-1, 1)}[min(1, max(0, n-3))] * min(1, i) })
		}
		w.form(ids{1}, ids{2}, ids{3})
		told := len(libs[0].Events)
		w.form(w.All())
		libs[2].publish("t", "two")
		want := libs[0].news()
		for _, l := range libs {
			if got := l.news(); l != libs[0] && fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("after %d steps: %q, and elsewhere %q", steps, got, want)
			}
		}
		if told == 1 && len(want) != 2 {
			t.Fatalf("after %d steps: %q", steps, want)
		}
		if !answer.Done {
			t.Fatalf("after %d steps: no answer", steps)
		}
	}
}

// What a node said before it was thrown out is void.
func TestVoid(t *testing.T) { test(t, voidAfterEviction) }

func voidAfterEviction(t servicetest.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	a, c := w.client(1, 99), w.client(3, 99)
	a.want(service.OK, CallCreate, create("t"))
	a.subscribe("t")
	answer := c.Call(CallPublish, say("t", "late").AppendTo(nil))
	w.Split(ids{1, 2}, ids{3})
	for i := range 2000 { // 3 does not come to anything
		at := 0
		w.Step(func(n int) int {
			at++
			if at == 1 {
				return i % 2
			}
			return i / 2 % n
		})
	}
	w.form(w.All())
	if answer.Code != service.ErrAgain {
		t.Fatalf("%+v", answer)
	}
	a.expect()
}

func TestScenario_32b_Delete(t *testing.T) {
	w := start(t, 2, Config{})
	w.form(w.All())
	a, b := w.client(1, 0), w.client(2, 9)
	b.want(service.OK, CallCreate, create("t"))
	b.want(service.ErrExist, CallCreate, create("t"))
	a.subscribe("t")
	b.publish("t", "one")
	b.publish("t", "two")
	b.want(service.OK, CallDelete, NameRequest{[]byte("t")})
	a.grant(9)
	a.expect("t 1 one", "t 2 two", "end deleted")
	b.want(service.ErrNotExist, CallDelete, NameRequest{[]byte("t")})
	b.want(service.ErrNotExist, CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte("t")})
	b.want(service.OK, CallCreate, create("t"))
	a.subscribe("t")
	b.publish("t", "new")
	a.expect("t 1 new")
}

// The starts of subscriptions, and what is not kept any more.
func TestStart(t *testing.T) {
	w := start(t, 2, Config{})
	w.form(w.All())
	a := w.client(1, 99)
	a.want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 3}})
	for i := range 5 {
		a.publish("t", fmt.Sprint(i+1))
	}
	sub := func(s Start, seq uint64) *lib {
		l := w.client(2, 99)
		l.must(CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte("t"), Start: s, Seq: seq})
		return l
	}
	sub(StartNew, 0).expect()
	sub(StartKept, 0).expect()
	sub(StartFirst, 0).expect("t 3 3", "t 4 4", "t 5 5")
	sub(StartAt, 2).expect("t 3 3 missed 1", "t 4 4", "t 5 5")
	sub(StartAt, 5).expect("t 5 5")
	next := sub(StartAt, 6)
	a.publish("t", "6")
	next.expect("t 6 6")

	// What nobody keeps is not missed by who begins with what is kept.
	a.want(service.OK, CallCreate, create("u"))
	a.publish("u", "1")
	first := w.client(2, 99)
	first.must(CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte("u"), Start: StartFirst})
	a.publish("u", "2")
	first.expect("u 2 2")
	l := w.client(2, 9)
	l.want(service.ErrInvalidParam, CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte("t"), Start: StartAt, Seq: 8})
}

// Nodes that join get what is kept, and those that were away what they missed.
func TestKept_Joiners(t *testing.T) { test(t, joinersGetKept) }

func joinersGetKept(t servicetest.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	a, c := w.client(1, 99), w.client(3, 99)
	a.want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 2}})
	c.subscribe("t")
	a.publish("t", "1")
	c.expect("t 1 1")
	w.form(ids{1, 2}, ids{3})
	for i := range 4 {
		a.publish("t", fmt.Sprint(i+2))
	}
	w.form(w.All())
	c.expect("t 4 4 missed 2", "t 5 5")
	a.publish("t", "6")
	c.expect("t 6 6")
}

// A durable topic outlives the cluster, and its publisher is answered when it does.
func TestDurable(t *testing.T) { test(t, durable) }

func durable(t servicetest.T) {
	w := start(t, 2, Config{Store: &memory{}})
	w.form(w.All())
	a := w.client(1, 99)
	a.want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 3, Durable: true}})
	a.want(service.OK, CallCreate, create("passing"))
	for i := range 5 {
		answer := a.Call(CallPublish, say("t", fmt.Sprint(i+1)).AppendTo(nil))
		w.Run()
		if answer.Done {
			t.Fatalf("answered before it was stored")
		}
		w.stores[1].sync()
		if answer.Code != service.OK {
			t.Fatalf("%+v", answer)
		}
	}
	w.Crash(1)
	w.Crash(2)
	w.Restart(1)
	w.Restart(2)
	w.form(w.All())
	b := w.client(2, 99)
	b.must(CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte("t"), Start: StartFirst})
	b.expect("t 3 3", "t 4 4", "t 5 5")
	b.Call(CallPublish, say("t", "6").AppendTo(nil))
	w.Run()
	b.expect("t 6 6")
	b.want(service.ErrNotExist, CallDescribe, NameRequest{[]byte("passing")})
	b.want(service.OK, CallDelete, NameRequest{[]byte("t")})
	for n, m := range w.stores {
		for key := range m.data {
			if key[0] != keyCounter && key[0] != keySupply {
				t.Fatalf("store %d still has %x", n, key)
			}
		}
	}
}

// What a durable topic keeps for a time is kept for that time after a restart, and does
// not keep others for ever.
func TestDurable_Retained(t *testing.T) {
	w := start(t, 1, Config{Store: &memory{}})
	w.form(w.All())
	a := w.client(1, 99)
	a.want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 1, Durable: true}})
	for _, text := range []string{"1", "2"} {
		q := say("t", text)
		q.Content.Retention = int64(time.Minute)
		a.Call(CallPublish, q.AppendTo(nil))
		w.Run()
	}
	w.Crash(1)
	w.Restart(1)
	w.form(w.All())
	w.Advance(30 * time.Second)
	w.Run()
	subscribe := SubscribeRequest{Topic: []byte("t"), Start: StartKept}
	b := w.client(1, 99)
	b.must(CallSubscribe, subscribe)
	b.expect("t 1 1", "t 2 2")
	w.Advance(time.Minute)
	w.Run()
	c := w.client(1, 99)
	c.must(CallSubscribe, subscribe)
	c.expect()
}

// A node whose store is behind gets the rest, and one whose store is ahead brings it.
func TestDurable_StoresDiffer(t *testing.T) {
	w := start(t, 3, Config{Store: &memory{}})
	w.form(w.All())
	a := w.client(1, 99)
	a.want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 9, Durable: true}})
	a.Call(CallPublish, say("t", "1").AppendTo(nil))
	w.Run()
	w.Crash(3)
	w.form(ids{1, 2})
	a.Call(CallPublish, say("t", "2").AppendTo(nil))
	w.Run()
	w.Crash(1)
	w.Crash(2)
	w.Restart(3)
	w.Restart(2)
	w.form(ids{2, 3})
	for _, n := range w.All() {
		l := w.client(n, 99)
		l.must(CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte("t"), Start: StartFirst})
		l.expect("t 1 1", "t 2 2")
	}
}

// keeps publishes something that is kept for a time.
func (l *lib) keeps(data string, d time.Duration) PublishReply {
	l.w.t.Helper()
	q := say("t", data)
	q.Content.Retention = int64(d)
	a := l.Call(CallPublish, q.AppendTo(nil))
	l.w.Run()
	p, err := ParsePublishReply(a.Body)
	if a.Code != service.OK || err != nil {
		l.w.t.Fatalf("%+v, %v", a, err)
	}
	return p
}

func (l *lib) kept(sub, open uint32) *lib {
	l.must(CallSubscribe, SubscribeRequest{Sub: sub, Open: open, Topic: []byte("t"), Start: StartKept})
	return l
}

// openais-executive 14, 32 and 33.
func TestRetention(t *testing.T) { test(t, retention) }

func retention(t servicetest.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	a, b := w.client(1, 99), w.client(2, 99)
	a.want(service.OK, CallCreate, create("t"))
	a.keeps("ten", 10*time.Second)
	w.Advance(2 * time.Second)
	b.kept(1, 1).expect("t 1 ten")
	b.must(CallEnd, SubRequest{1})
	b.kept(2, 1).expect()
	b.kept(3, 2).expect("t 1 ten")
	w.Crash(1) // who looks after the time
	w.form(ids{2, 3})
	w.Advance(8 * time.Second)
	w.rest()
	b.kept(4, 3).expect()
	p := b.keeps("again", time.Minute)
	b.news()
	b.want(service.OK, CallClear, ClearRequest{[]byte("t"), 0, p.ID})
	b.kept(5, 4).expect()
	b.want(service.ErrNotExist, CallClear, ClearRequest{[]byte("t"), 0, p.ID})
	b.want(service.ErrInvalidParam, CallClear, ClearRequest{[]byte("t"), 0, 1})
}

// openais-executive 14, 34: the time that is left does not begin anew at joiners.
func TestRetention_Joiner(t *testing.T) { test(t, joinerKeeps) }

func joinerKeeps(t servicetest.T) {
	w := start(t, 3, Config{})
	w.form(ids{2, 3})
	b := w.client(2, 99)
	b.want(service.OK, CallCreate, create("t"))
	b.keeps("minute", time.Minute)
	w.Advance(40 * time.Second)
	w.form(w.All())
	w.client(1, 99).kept(1, 1).expect("t 1 minute")
	w.Advance(21 * time.Second) // node 1 looks after the time now
	w.rest()
	w.client(1, 99).kept(1, 1).expect()
}

// Where all rings count, what both sides kept is united, once (openais-executive Z6).
func TestRetention_Union(t *testing.T) { test(t, union) }

func union(t servicetest.T) {
	w := startLoose(t, 4, Config{})
	w.form(w.All())
	a, d := w.client(1, 99), w.client(4, 99)
	a.want(service.OK, CallCreate, create("t"))
	c := w.client(3, 99)
	a.keeps("both", time.Hour)
	c.keeps("both, of a node that dies", time.Hour)
	w.form(ids{1, 2}, ids{3, 4})
	a.keeps("left", time.Hour)
	d.keeps("right", time.Hour)
	c.keeps("gone", time.Hour)
	w.Crash(3)
	w.form(ids{1, 2}, ids{4})
	w.form(ids{1, 2, 4})
	var first []string
	for _, n := range w.All() {
		got := w.client(n, 99).kept(1, 1).news()
		if first == nil {
			first = got
		}
		if len(got) != 5 || fmt.Sprint(got) != fmt.Sprint(first) {
			t.Fatalf("node %d keeps %q", n, got)
		}
	}
	if n := len(w.service(1).state.topic("t").kept); n != 5 {
		t.Fatalf("%d events are kept", n)
	}
	a.publish("t", "after")
	w.form(w.All())
}

// A part that went on with a topic and was lost is heard of when one of its nodes
// brings what it kept: under its number, and those before that count as missed (cluster
// events P7, P11). What is brought of another topic by the same name comes next.
func TestRetention_NumbersOfALostPart(t *testing.T) { test(t, lostPart) }

func lostPart(t servicetest.T) {
	for want, one := range map[string]bool{"t 4 kept missed 2": true, "t 2 kept": false} {
		w := startLoose(t, 2, Config{})
		if one {
			w.form(w.All())
			w.client(1, 99).want(service.OK, CallCreate, create("t"))
		}
		w.form(ids{1}, ids{2})
		a, b := w.client(1, 99), w.client(2, 99)
		if !one {
			a.want(service.OK, CallCreate, create("t"))
			b.want(service.OK, CallCreate, create("t"))
		}
		for range 3 {
			a.publish("t", "lost")
		}
		a.keeps("kept", time.Hour)
		b.subscribe("t").publish("t", "here")
		w.form(w.All()) // the membership of node 2 counts as the latest
		b.expect("t 1 here", want)
	}
}

// All that a part kept is brought, also of topics that are older than what comes first.
func TestRetention_TopicsOfAPart(t *testing.T) { test(t, topicsOfAPart) }

func topicsOfAPart(t servicetest.T) {
	w := startLoose(t, 2, Config{})
	w.form(ids{1}, ids{2})
	a := w.client(1, 99)
	a.want(service.OK, CallCreate, create("u"))
	a.want(service.OK, CallCreate, create("t"))
	q := say("u", "first")
	q.Content.Retention = int64(time.Hour)
	a.want(service.OK, CallPublish, q)
	a.keeps("second", time.Hour)
	w.form(w.All())
	w.client(2, 99).kept(1, 1).expect("t 1 second")
}

// An event that another part counts under a later number is not told again to who had
// it (openais-executive 7.6 R4).
func TestDurable_ToldUnderAnotherNumber(t *testing.T) { test(t, toldUnderAnother) }

func toldUnderAnother(t servicetest.T) {
	w := startLoose(t, 3, Config{Store: &memory{}})
	w.form(w.All())
	a, b, c := w.client(1, 99), w.client(2, 99), w.client(3, 99)
	a.want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 9, Durable: true}})
	publish := func(l *lib, data string) {
		l.Call(CallPublish, say("t", data).AppendTo(nil))
		w.Run()
	}
	a.subscribe("t")
	w.form(ids{1, 2}, ids{3})
	for _, data := range []string{"1", "2"} {
		publish(b, data)
		publish(c, "other "+data)
	}
	w.form(ids{1}, ids{2, 3}) // node 2 brings its events to node 3
	w.form(w.All())
	publish(b, "after")
	a.expect("t 1 1", "t 2 2", "t 5 after")
}

func TestScenario_P6_Numbers(t *testing.T) {
	for seq, want := range map[uint64]int32{1: 1, 1<<31 - 1: 1<<31 - 1, 1 << 31: 1, 1<<31 + 4: 5} {
		if got := Number(seq); got != want {
			t.Errorf("%d: %d", seq, got)
		}
	}
}

// Who leaves a group and is in it again at once is in it, also when the leave found no
// room before.
func TestGroup_Again(t *testing.T) {
	w := start(t, 2, Config{})
	w.form(w.All())
	l := w.client(1, 99).join("g")
	w.Run()
	l.expect("join 1/1 g")
	w.Node(1).Full = true
	l.must(CallEnd, SubRequest{1})
	w.Node(1).Full = false
	l.join("g")
	w.rest()
	w.client(2, 9).publish("g", "1")
	l.expect("join 1/1 g", "g 1 1")
}

// So it is when nobody could be told of the leave, because there was no quorum.
func TestGroup_AgainInLimbo(t *testing.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	l, other := w.client(1, 99).join("g"), w.client(2, 99).join("g")
	w.Run()
	w.form(ids{1}, ids{2}, ids{3})
	l.must(CallEnd, SubRequest{1})
	l.news()
	other.news()
	l.join("g")
	w.form(w.All())
	other.publish("g", "1")
	l.expect("join 1/1 g", "g 1 1")
	other.expect("leave 1/1 g", "join 1/1 g", "g 1 1")
}

// Others that forgot all, and went on without a node, do not make it repeat the numbers
// that its clients were told (openais-executive 7.7 and 14, 39).
func TestNumbersOfWhoWasAway(t *testing.T) { test(t, numbersOfWhoWasAway) }

func numbersOfWhoWasAway(t servicetest.T) {
	w := start(t, 3, Config{})
	w.form(w.All())
	l := w.client(3, 0)
	l.want(service.OK, CallCreate, create("t"))
	p := l.keeps("before", 0)
	w.form(ids{1, 2}, ids{3})
	w.Crash(1)
	w.Crash(2)
	w.Restart(1)
	w.Restart(2)
	w.form(ids{1, 2}, ids{3})
	w.form(w.All())
	l.want(service.OK, CallCreate, create("t"))
	if q := l.keeps("after", 0); q.ID <= p.ID {
		t.Fatalf("event %x after %x", q.ID, p.ID)
	}
}
