package executive

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// newCounter is a counter service without a world.
func newCounter() *counter { return &counter{} }

// open connects a client to the service with that id.
func (r *rig) open(id uint16) *sink {
	r.t.Helper()
	k := &sink{}
	h, code := r.Open(id, service.Cred{PID: 42}, k)
	if code != service.OK {
		r.t.Fatalf("open: %v", code)
	}
	k.h = h
	return k
}

// watched is a sink that notes when its flow changes in the service's list.
type watched struct {
	sink
	s *counter
}

func (k *watched) Flow(b bool) { k.s.note("flow %v", b) }

func TestDoorsAreShutFromBeforeAServiceHearsUntilOneShows(t *testing.T) {
	s := newCounter()
	r := newRig(t, s)
	r.alone(4)
	k := &watched{s: s}
	if _, code := r.Open(counterID, service.Cred{}, k); code != service.OK {
		t.Fatal(code)
	}
	s.calls = nil
	r.alone(8)
	want := []string{"flow true", "transitional [1] left [] joined []", "regular [1] left [] joined []", "init from 1", "flow false", "activate"}
	if !slices.Equal(s.calls, want) {
		t.Errorf("got %v\nwant %v", s.calls, want)
	}
}

func TestCallsWaitForTheRound(t *testing.T) {
	s := newCounter()
	r := newRig(t, s)
	r.cfg.Limits.ClientCalls = 3
	r.alone(4)
	r.engine.form(8, []NodeID{1}, 1, 2) // node 2 says nothing yet
	r.flush()
	k := r.open(counterID)
	if !k.h.Blocked() || !slices.Equal(k.flow, []bool{true}) {
		t.Errorf("a client that comes during a round is told %v", k.flow)
	}
	var codes []*service.Code
	for i := range 4 {
		codes = append(codes, k.add(uint64(i), fmt.Sprint("m", i)))
	}
	if *codes[3] != service.ErrAgain {
		t.Errorf("the fourth of three waiting calls: %v, want try-again", *codes[3])
	}
	length := ""
	if err := k.h.Call(1, 9, nil, func(_ service.Code, b []byte) { length = string(b) }); err != nil || length != "0" {
		t.Errorf("a call that needs no room must pass: %v, %q", err, length)
	}
	if err := k.h.Call(2, 9, nil, nil); !errors.Is(err, ErrBadCall) {
		t.Errorf("unknown call: %v", err)
	}
	r.alone(12)
	for i, c := range codes[:3] {
		if *c != service.OK {
			t.Errorf("call %d: %v", i, *c)
		}
	}
	if want := []string{"m0", "m1", "m2"}; !slices.Equal(k.events, want) {
		t.Errorf("events %v, want %v", k.events, want)
	}
}

func TestMessagesOfClientsComeAfterTheRound(t *testing.T) {
	s := newCounter()
	r := newRig(t, s)
	r.alone(4)
	k := r.open(counterID)
	r.engine.form(8, []NodeID{1}, 1)
	k.add(1, "early") // before the owner knows of the ring: the engine holds it
	r.flush()
	i, j := slices.Index(s.calls, "activate"), len(s.log)
	if i < 0 || j != 1 {
		t.Fatalf("calls %v, log %v", s.calls, s.log)
	}
	if !slices.Equal(r.engine.released, []RingID{{Seq: 4, Rep: 1, Inc: 1}, {Seq: 8, Rep: 1, Inc: 1}}) {
		t.Errorf("released %v", r.engine.released)
	}
}

func TestRingFullStopsClients(t *testing.T) {
	r := newRig(t, newCounter())
	r.alone(4)
	k := r.open(counterID)
	r.engine.out.Room = totem.RoomCritical
	r.flush()
	code := k.add(1, "x")
	if *code != 0 || !slices.Equal(k.flow, []bool{true}) {
		t.Errorf("with a full ring: code %v, flow %v", *code, k.flow)
	}
	r.engine.out.Room = totem.RoomGood
	r.flush()
	r.flush()
	if *code != service.OK || !slices.Equal(k.flow, []bool{true, false, false}) { // and when the call has passed
		t.Errorf("with room again: code %v, flow %v", *code, k.flow)
	}
	r.engine.full = true
	if code := k.add(2, "y"); *code != service.ErrAgain {
		t.Errorf("the engine is full: %v", *code)
	}
	r.engine.full = false
	if code := k.add(3, strings.Repeat("x", 1<<20+5000)); *code != service.ErrTooBigCode {
		t.Errorf("too big: %v", *code)
	}
}

func TestOneTurnSubmitsFewMessages(t *testing.T) {
	r := newRig(t, newCounter())
	r.cfg.Totem.Limits.QueueCount = 80
	r.alone(4)
	k := r.open(counterID)
	var codes []*service.Code
	for i := range uint64(30) {
		codes = append(codes, k.add(i+1, "x"))
	}
	if n := len(k.h.calls); n != 19 {
		t.Errorf("%d calls wait, want all beyond an eighth of the queue", n)
	}
	for range 3 {
		r.flush()
	}
	for i, c := range codes {
		if *c != service.OK {
			t.Errorf("call %d: %v", i, *c)
		}
	}
}

func TestOneTurnSubmitsNoMoreThanAFractionOfTheQueue(t *testing.T) {
	r := newRig(t, newCounter())
	r.alone(4)
	k := r.open(counterID)
	big := strings.Repeat("x", 1<<20)
	codes := []*service.Code{k.add(1, big), k.add(2, big), k.add(3, big), k.add(4, big)}
	if *codes[3] != 0 || len(k.h.calls) == 0 {
		t.Error("all passed at once, although the engine's level is not known yet")
	}
	r.flush()
	for i, c := range codes {
		if *c != service.OK {
			t.Errorf("call %d: %v", i, *c)
		}
	}
}

func TestBackPressure(t *testing.T) {
	s := newCounter()
	r := newRig(t, s)
	r.cfg.Totem.Limits.Undelivered = 25000
	r.alone(4)
	slow, quick := r.open(counterID), r.open(counterID)
	slow.lazy = true
	before := r.engine.consumed
	body := strings.Repeat("x", 100)
	for range 60 {
		r.deliver(2, header{service: counterID, fn: fnAdd}, body)
	}
	r.flush()
	if got := r.engine.consumed - before; got != 0 {
		t.Errorf("%d consumed, although a client has taken nothing", got)
	}
	slow.h.Taken(60)
	r.flush()
	const all = 60 * (103 + 128)
	if got := r.engine.consumed - before; got != all {
		t.Errorf("%d consumed, want all %d", got, all)
	}

	t.Run("client that takes as much as it gets", func(t *testing.T) {
		for range 4 {
			for range 60 {
				r.deliver(2, header{service: counterID, fn: fnAdd}, body)
			}
			r.advance(0)
			r.advance(20 * proto.Second)
			for range 60 {
				r.deliver(2, header{service: counterID, fn: fnAdd}, body)
			}
			slow.h.Taken(60)
			r.advance(20 * proto.Second)
			if slow.closed != nil {
				t.Fatal("disconnected")
			}
			slow.h.Taken(60)
			r.flush()
		}
		before = r.engine.consumed - all
	})

	t.Run("slow client", func(t *testing.T) {
		for range 60 {
			r.deliver(2, header{service: counterID, fn: fnAdd}, body)
		}
		r.advance(0)
		r.advance(29 * proto.Second)
		if slow.closed != nil {
			t.Fatal("disconnected too early")
		}
		slow.h.Taken(30)
		r.advance(2 * proto.Second)
		if slow.closed != nil {
			t.Fatal("disconnected although it took something")
		}
		for range 60 {
			r.deliver(2, header{service: counterID, fn: fnAdd}, body)
		}
		r.advance(0)
		r.advance(30 * proto.Second)
		if !errors.Is(slow.closed, service.ErrOverflow) || quick.closed != nil {
			t.Errorf("slow: %v, quick: %v", slow.closed, quick.closed)
		}
		r.flush()
		if got := r.engine.consumed - before; got != 3*all {
			t.Errorf("%d consumed after the client is gone, want %d", got, 3*all)
		}
		if !slices.Contains(s.calls, fmt.Sprint("closed ", slow.h.ID())) {
			t.Error("the service was not told")
		}
		ds := r.Decisions(0)
		if d := ds[len(ds)-1]; d.Kind != DecisionClient || !strings.Contains(d.Text, "process 42") {
			t.Errorf("decision: %+v", d)
		}
	})
	t.Run("overflow of a service's own bound", func(t *testing.T) {
		k := r.open(counterID)
		k.lazy = true
		k.h.host.info.ClientBytes = 1000
		defer func() { k.h.host.info.ClientBytes = 0 }()
		c := s.conns[k.h.ID()]
		if err := c.Push(1, make([]byte, 900)); err != nil {
			t.Error(err)
		}
		if err := c.Push(1, make([]byte, 101)); !errors.Is(err, service.ErrOverflow) {
			t.Errorf("got %v", err)
		}
		ds := r.Decisions(0)
		if d := ds[len(ds)-1]; d.Reason != "slow-client" || !strings.Contains(d.Text, "more than 1000 bytes") {
			t.Errorf("decision: %+v", d)
		}
		c.Close(service.ErrOverflow)
	})
	t.Run("overflow", func(t *testing.T) {
		r.cfg.Limits.ClientBytes = 1000
		k := r.open(counterID)
		k.lazy = true
		c := s.conns[k.h.ID()]
		if err := c.Push(1, make([]byte, 900)); err != nil {
			t.Error(err)
		}
		if err := c.Push(1, make([]byte, 900)); !errors.Is(err, service.ErrOverflow) {
			t.Errorf("got %v", err)
		}
		c.Close(service.ErrOverflow)
		if err := c.Push(1, nil); !errors.Is(err, service.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestWritesOfTheRecordAreOneAtATime(t *testing.T) {
	q := &quorum{}
	r := newRig(t, q)
	r.alone(4)
	keeper := q.x.(service.QuorumKeeper)
	var done []string
	keep := func(name string, epoch proto.Epoch) {
		keeper.Keep(service.QuorumRecord{EvBarrier: 3, Primary: service.Primary{Epoch: epoch}}, func(err error) {
			done = append(done, fmt.Sprint(name, " ", err))
		})
	}
	keep("a", 1)
	keep("b", 2)
	r.engine.out.Persist = &totem.Persist{Tag: 9, Record: totem.Record{Inc: 7, SeqBound: 64}}
	r.flush()
	keep("c", 3)
	if len(r.saves) != 1 || r.saves[0].Primary.Epoch != 1 || len(done) != 0 {
		t.Fatalf("%d writes, %v done", len(r.saves), done)
	}
	r.Persisted(r.now, r.tag, nil)
	if !slices.Equal(done, []string{"a <nil>"}) || len(r.engine.answered) != 0 {
		t.Errorf("after the first: %v, engine %v", done, r.engine.answered)
	}
	if last := r.saves[len(r.saves)-1]; len(r.saves) != 2 || last.Primary.Epoch != 3 || last.SeqBound != 64 || last.EvBarrier != 3 || last.Node != 1 {
		t.Errorf("writes %+v", r.saves)
	}
	r.Persisted(r.now, r.tag, nil)
	if !slices.Equal(done, []string{"a <nil>", "b <nil>", "c <nil>"}) || !slices.Equal(r.engine.answered, []totem.Tag{9}) {
		t.Errorf("after the second: %v, engine %v", done, r.engine.answered)
	}
	keep("d", 4)
	r.Persisted(r.now, r.tag, errors.New("disk full"))
	r.flush()
	if r.Stopped() != totem.StopPersistFailed || !strings.Contains(done[3], "disk full") {
		t.Errorf("stopped: %v, %v", r.Stopped(), done)
	}
}

func TestMessagesOutOfPlace(t *testing.T) {
	s := newCounter()
	r := newRig(t, s)
	r.alone(4)
	late := header{kind: kindSync, service: counterID, fn: fnState, ring: RingID{Seq: 3}}
	r.engine.order(fakeMessage{from: 2, body: append(late.append(nil, 2), "old"...)})
	now := late
	now.ring = r.ring
	r.engine.order(fakeMessage{from: 2, body: append(now.append(nil, 2), "no round"...)})
	r.engine.order(fakeMessage{from: 2, body: []byte{0xFF, 1, 2}})
	r.engine.order(fakeMessage{from: 2, body: []byte{messageVersion<<4 | byte(kindRound), 1}})
	r.deliver(2, header{service: 60}, "nobody")
	r.flush()
	if st := r.stats; st.LateSync != 2 || st.Malformed != 2 || st.UnknownService != 1 || len(s.log) != 0 || s.got {
		t.Errorf("stats %+v, log %v", st, s.log)
	}
	if err := s.x.Multicast(fnState, service.Sync, service.Agreed, service.Source{}, nil); err == nil {
		t.Error("a synchronisation message outside of a round was taken")
	}
}

func TestServiceThatNeedsQuorum(t *testing.T) {
	q, s := &quorum{}, newCounter()
	s.needs = true
	r := newRig(t, q, s)
	r.alone(4)
	k := r.open(counterID)
	if code := k.add(1, "x"); *code != service.ErrAgain {
		t.Errorf("outside of the primary component: %v", *code)
	}
	length := ""
	if k.h.Call(1, 2, nil, func(_ service.Code, b []byte) { length = string(b) }); length != "0" {
		t.Error("a local call was refused")
	}
	if slices.Contains(s.calls, "activate") {
		t.Errorf("a round outside of the primary component: %v", s.calls)
	}
	q.decide(true)
	r.flush()
	if !slices.Contains(s.calls, "activate") {
		t.Fatalf("quorate now, and yet no round: %v", s.calls)
	}
	code := k.add(3, "y")
	r.flush()
	if *code != service.OK || !slices.Equal(k.events, []string{"y"}) {
		t.Errorf("in the primary component: %v, %v", *code, k.events)
	}

	t.Run("message in flight", func(t *testing.T) {
		code := k.add(4, "z")
		r.engine.out.Events = nil // it is still on its way
		r.engine.form(8, []NodeID{1}, 1)
		q.state.Quorate = false
		r.deliver(1, header{service: counterID, fn: fnAdd, src: service.Source{Node: 1, Conn: k.h.ID(), Tag: 4}}, "z")
		r.flush()
		if *code != service.ErrAgain || slices.Contains(s.log, "z") {
			t.Errorf("code %v, log %v", *code, s.log)
		}
		if st := r.stats; st.NotPrimary != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestCurrencyOfTheDecision(t *testing.T) {
	q := &quorum{}
	q.state.Quorate = true
	r := newRig(t, q)
	r.alone(4)
	if s := r.Status(); !s.Primary || s.Currency != "current" {
		t.Fatalf("%+v", s)
	}
	r.engine.out.Trace = []totem.TraceEvent{{Kind: totem.TraceState, From: totem.Operational, To: totem.Gather, Reason: totem.ReasonTokenLost}}
	r.flush()
	if r.Wake() == 0 || len(q.current) != 0 {
		t.Errorf("wakes at %v, told %v", r.Wake(), q.current)
	}
	r.advance(proto.Second - 1)
	if len(q.current) != 0 {
		t.Error("the last decision is shown for the token timeout")
	}
	r.advance(1)
	if !slices.Equal(q.current, []service.Currency{service.CurrencyReconfiguring}) || r.Status().Primary {
		t.Errorf("told %v, status %+v", q.current, r.Status())
	}
	r.alone(8)
	if s := r.Status(); !s.Primary || s.Currency != "current" {
		t.Errorf("after the next ring: %+v", s)
	}
	q.current = nil
	r.engine.form(12, []NodeID{1}, 1, 2)
	r.flush()
	// What was shown is stale before anything else happens.
	r.engine.out.Trace = []totem.TraceEvent{{Kind: totem.TraceStaleView, Value: int64(5 * proto.Second)}}
	r.engine.form(16, []NodeID{1}, 1)
	q.calls = nil
	r.flush()
	if !slices.Equal(q.current, []service.Currency{service.CurrencyUnknown}) {
		t.Errorf("told %v", q.current)
	}
}

func TestSendSealsOnceALink(t *testing.T) {
	r := newRig(t)
	r.alone(4)
	ring := totem.Dest{Scope: totem.ToRing, Nodes: []NodeID{2, 3}}
	r.engine.out.Send = []totem.Outgoing{
		{To: ring, Kind: totem.TrafficData, Frame: []byte("data")},
		{To: totem.Dest{Scope: totem.ToNode, Node: 2}, Kind: totem.TrafficToken, Frame: []byte("token")},
		{To: totem.Dest{Scope: totem.ToNode, Node: 3}, Kind: totem.TrafficToken, Try: 1, Frame: []byte("again")},
	}
	r.flush()
	if len(r.sent) != 1 || r.sessions.sealed != 3 {
		t.Fatalf("%d batches, %d sealings", len(r.sent), r.sessions.sealed)
	}
	var got []string
	for _, d := range r.sent[0] {
		got = append(got, fmt.Sprintf("%s to %d link %d control %v", d.Data, d.Node, d.Link, d.Control))
	}
	want := []string{"data to 2 link 0 control false", "data to 3 link 0 control false", "token to 2 link 0 control true",
		"again to 3 link 0 control true", "again to 3 link 1 control true"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestSessionEventsReachTheEngine(t *testing.T) {
	r := newRig(t)
	r.alone(4)
	r.sessions.out.Events = []seal.Event{
		{Kind: seal.EventSession, Node: 2, Inc: 1, Up: true},
		{Kind: seal.EventLinkDown, Node: 3, Link: 1, Text: "nothing was heard for 600ms"},
		{Kind: seal.EventMismatch, Node: 2, Text: "it speaks version 9"},
		{Kind: seal.EventConflict, Node: 1, Self: true},
	}
	r.Datagrams(r.now, []seal.Datagram{{Data: []byte("x")}})
	r.flush()
	if !slices.Equal(r.engine.heard, []NodeID{2}) || len(r.engine.links) != 2 {
		t.Errorf("heard %v, links %v", r.engine.heard, r.engine.links)
	}
	if r.Stopped() != totem.StopIDConflict {
		t.Errorf("stopped: %v", r.Stopped())
	}
	var texts []string
	for _, d := range r.Decisions(0) {
		texts = append(texts, d.Text)
	}
	for _, want := range []string{"node 2 is not heard: it speaks version 9.", "Two machines use the id of node 1", "This member stopped"} {
		if !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("no decision says %q: %q", want, texts)
		}
	}
}

func TestStartIsRefused(t *testing.T) {
	make := func(s ...service.Service) error {
		r := &rig{}
		c := Config{Seal: seal.Config{Self: 1, Inc: 7}, Totem: totem.Config{Self: 1, Inc: 7}, NewSalt: func() uint64 { return 1 },
			newEngine:   func(proto.Tick, totem.Config) (engine, error) { return &fakeEngine{}, nil },
			newSessions: func(proto.Tick, seal.Config) (sessions, error) { return &fakeSessions{}, nil }}
		c.Record.Node = 1
		for _, x := range s {
			c.Services = append(c.Services, func() service.Service { return x })
		}
		_, err := New(0, c, r)
		return err
	}
	low, same := newCounter(), newCounter()
	low.id = 1
	for name, c := range map[string]struct {
		services []service.Service
		want     string
	}{
		"twice":            {[]service.Service{newCounter(), same}, "same id 5"},
		"quorum not first": {[]service.Service{&counter{id: 63}, &lateQuorum{}}, ""},
		"id":               {[]service.Service{&counter{id: 64}}, "at most 63"},
	} {
		err := make(c.services...)
		if c.want == "" {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := make(&counter{id: 1}, &lateQuorum{}); err == nil || !strings.Contains(err.Error(), "comes before it") {
		t.Errorf("a quorum service with a higher id: %v", err)
	}
}

// lateQuorum has too high an id.
type lateQuorum struct{ quorum }

func (q *lateQuorum) Info() service.Info {
	i := q.quorum.Info()
	i.ID = 40
	return i
}

func TestTimers(t *testing.T) {
	s := newCounter()
	r := newRig(t, s)
	r.alone(4)
	var got []int
	for i, d := range []proto.Tick{30, 10, 20, 10} {
		s.x.After(time.Duration(d), func() { got = append(got, i) })
	}
	stopped := s.x.After(0, func() { t.Error("stopped, and yet called") })
	stopped.Stop()
	stopped.Stop()
	s.x.After(10, func() { s.x.After(0, func() { got = append(got, 9) }) })
	r.advance(10)
	if !slices.Equal(got, []int{1, 3}) {
		t.Errorf("fired %v", got)
	}
	r.advance(0)
	r.advance(20)
	if !slices.Equal(got, []int{1, 3, 9, 2, 0}) {
		t.Errorf("fired %v", got)
	}
}

func TestDecisionLogIsBounded(t *testing.T) {
	r := newRig(t)
	r.decisions.max = 8
	for range 100 {
		r.decide(Decision{Kind: DecisionStall, Text: "x"})
	}
	ds := r.Decisions(0)
	if n := len(ds); n > 8 || n < 7 {
		t.Errorf("%d entries", n)
	}
	last := ds[len(ds)-1].No
	if got := r.Decisions(last - 1); len(got) != 1 || got[0].No != last {
		t.Errorf("entries after %d: %v", last-1, got)
	}
	if got := r.Decisions(last); len(got) != 0 {
		t.Errorf("entries after the last: %v", got)
	}
}

// No ring of a start is left for a cause that is not known, with others and without.
func TestRingsOfAStartAreExplained(t *testing.T) {
	for n, want := range map[int]string{1: "one member: this member started and found nobody else.", 2: "was left because others were found."} {
		w := newWorld(t, n).start()
		all := []NodeID{1, 2}[:n]
		w.until("the ring", func() bool { return w.together(all...) })
		var views []string
		for _, d := range w.nodes[1].core.Decisions(0) {
			if d.Kind == DecisionView {
				views = append(views, d.Text)
			}
		}
		if last := views[len(views)-1]; !strings.HasSuffix(last, want) || strings.Contains(strings.Join(views, "\n"), "not known") {
			t.Errorf("%d nodes: %q, want %q at the end", n, views, want)
		}
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	for _, h := range []header{
		{kind: kindRound}, {kind: kindMark},
		{kind: kindNormal, service: 63, fn: 65535},
		{kind: kindNormal, service: 2, fn: 1, src: service.Source{Node: 1, Conn: 300, Tag: 1 << 60}},
		{kind: kindSync, service: 2, src: service.Source{Node: 9}, ring: RingID{Seq: 4, Rep: 2, Inc: 3}, round: 7},
	} {
		body := "body"
		if h.kind == kindMark {
			body = ""
		}
		var got header
		b := append(h.append(nil, 1), body...)
		if len(b)-len(body) > maxHeader {
			t.Errorf("%+v takes %d bytes", h, len(b))
		}
		rest, err := got.parse(b, 1)
		if err != nil || got != h || string(rest) != body {
			t.Errorf("%v: got %+v %q, want %+v", err, got, rest, h)
		}
	}
}

func FuzzHeader(f *testing.F) {
	for _, h := range []header{{kind: kindRound}, {kind: kindMark}, {kind: kindNormal, service: 5, fn: 2, src: service.Source{Node: 2, Conn: 1, Tag: 5}},
		{kind: kindSync, service: 2, ring: RingID{Seq: 4}, round: 1}, {kind: kindNormal, src: service.Source{Node: 3}}} {
		f.Add(append(h.append(nil, 1), "x"...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var h header
		body, err := h.parse(b, 1)
		if err != nil {
			return
		}
		if again := append(h.append(nil, 1), body...); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

// failing is a service that cannot take the state of its group.
type failing struct{ *counter }

func (failing) SyncDigest() service.Digest    { return service.Digest{} } // so that there is a state to take
func (failing) SyncProcess(int) (bool, error) { return false, errors.New("no room for the state") }

// A member that leaves because it must does not end as one that was told to.
func TestServiceFails_NotALeave(t *testing.T) {
	w := newWorld(t, 1).start(func() service.Service { return failing{&counter{id: 41}} })
	core := w.nodes[1].core
	w.until("the end of the member", func() bool { return core.Stopped() != totem.Running })
	if r := core.Stopped(); r != totem.StopServiceFailed {
		t.Errorf("stopped: %v", r)
	}
	if !slices.ContainsFunc(core.Decisions(0), func(d Decision) bool {
		return d.Reason == "service-failed" && strings.Contains(d.Text, "no room for the state")
	}) {
		t.Errorf("no decision tells why: %+v", core.Decisions(0))
	}
}

// A synchronisation that waits for ever belongs to a ring that was not the same
// to all of its members: another one is made.
func TestStuckRound_AnotherRing(t *testing.T) {
	r := newRig(t, newCounter())
	r.alone(4)
	r.engine.form(8, []NodeID{1}, 1, 2) // node 2 says nothing
	r.flush()
	r.advance(30 * proto.Second)
	if len(r.engine.distrusted) != 0 {
		t.Fatal("given up after the first warning")
	}
	r.advance(10 * proto.Second)
	if len(r.engine.distrusted) != 1 || r.engine.distrusted[0].Seq != 8 {
		t.Errorf("distrusted %v, want the present ring", r.engine.distrusted)
	}
	if d := r.Decisions(0); d[len(d)-1].Reason != "round-stuck" {
		t.Errorf("the last decision is %+v", d[len(d)-1])
	}
}

// slow does not come to the end of a round at node 1.
type slow struct{ *counter }

func (slow) SyncDigest() service.Digest             { return service.Digest{} }
func (s slow) SyncProcess(int) (done bool, e error) { return s.x.Self() != 1, nil }

// Openais-executive X14.15a in memory, with sync_kill and without: whoever holds a
// round up is named by all, and leaves if that was asked for.
func TestX14_15a_SyncKill(t *testing.T) {
	for _, kill := range []bool{false, true} {
		w := newWorld(t, 3)
		w.syncKill = kill
		w.start(func() service.Service { return slow{&counter{id: 41}} })
		w.until("a round that waits", func() bool {
			c := w.nodes[1].core
			return len(c.members) == 3 && c.sync.Busy()
		})
		w.run(35 * proto.Second)
		for id, m := range w.nodes {
			n := 0
			for _, d := range m.core.Decisions(0) {
				if d.Reason == "round-stalled" && d.Node == 1 && strings.Contains(d.Text, "counter") {
					n++
				}
			}
			if n != 1 {
				t.Errorf("sync_kill %v: node %d warns %d times: %+v", kill, id, n, m.core.Decisions(0))
			}
		}
		gone := w.nodes[1].core.Stopped() == totem.StopServiceFailed
		if gone != kill || !kill && len(w.nodes[2].core.members) != 3 {
			t.Errorf("sync_kill %v: node 1 left: %v, members %v", kill, gone, w.nodes[2].core.members)
		}
		if kill {
			w.until("a ring of the others", func() bool { return w.together(2, 3) })
		}
	}
}
