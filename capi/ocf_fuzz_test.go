package capi_test

import (
	"math/rand/v2"
	"net"
	"testing"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/service"
)

// clusterEvents are events of each kind, as an agent sends them to programs of all
// drafts.
func clusterEvents() (list [][]byte) {
	a, b := events.Member{ID: 1, Born: 1, Since: 1, Name: "a"}, events.Member{ID: 2, Born: 2, Since: 3, Name: "b"}
	fact := events.Fact{Seq: 2, Trans: 3, Members: []events.Member{a, b}, In: []events.Member{b}, Out: []events.Member{a}}
	for kind := events.NewMembership; kind <= events.NoQuorum; kind++ {
		f := fact
		f.Kind = kind
		list = append(list, frame.Event{Kind: events.EventFact, Body: events.MemberEvent{Sub: 1, Fact: f}.AppendTo(nil)}.AppendTo(nil, 1))
	}
	alone := fact
	alone.Kind, alone.Trans, alone.Members, alone.In = events.NewMembership, 9, fact.Members[:1], nil
	message := events.MessageEvent{Sub: 1, Topic: "t", ID: 1, Seq: 1, From: events.Process{Node: 1, PID: 7},
		Content: events.Content{Publisher: []byte("p"), Patterns: [][]byte{[]byte("x"), {}}, Data: []byte("data")}}
	reply := message
	reply.Seq, reply.Missed, reply.Content.Re = 1<<40, 5, 7
	for _, e := range []frame.Event{
		{Kind: events.EventFact, Body: events.MemberEvent{Sub: 1, Fact: alone}.AppendTo(nil)},
		{Kind: events.EventLink, Body: events.LinkEvent{Sub: 1, Link: events.Link{Kind: events.Interface, Up: true, Index: 3, Addr: loopback}}.AppendTo(nil)},
		{Kind: events.EventLink, Body: events.LinkEvent{Sub: 1, Link: events.Link{Kind: events.Eligible, Node: 4}}.AppendTo(nil)},
		{Kind: events.EventEntry, Body: events.EntryEvent{Sub: 1, Joined: true, Process: events.Process{Node: 1, PID: 7}, Group: "g"}.AppendTo(nil)},
		{Kind: events.EventMessage, Body: message.AppendTo(nil)},
		{Kind: events.EventMessage, Body: reply.AppendTo(nil)},
		{Kind: events.EventEnd, Body: events.EndEvent{Sub: 1, Why: events.Thrown}.AppendTo(nil)},
		{Kind: events.EventEnd, Body: events.EndEvent{Sub: 1, Why: events.Deleted}.AppendTo(nil)},
		{Kind: 99, Body: []byte("of a later agent")},
	} {
		list = append(list, e.AppendTo(nil, 1))
	}
	return list
}

// A program that uses the library of cluster events survives an agent that says
// anything, as one of Group Services does.
func TestEventsAgentLies(t *testing.T) {
	all := clusterEvents()
	reply := func(random *rand.Rand, q frame.Call) (service.Code, []byte) {
		switch {
		case q.Func == events.CallOpen:
			return service.OK, events.OpenReply{Self: 1, Configured: 3}.AppendTo(nil)
		case random.IntN(10) == 0:
			return service.ErrAgain, nil
		case q.Func == events.CallPublish:
			return service.OK, events.PublishReply{ID: 1, Seq: 1}.AppendTo(nil)
		}
		return service.OK, nil
	}
	binary := eventProgram(t, memory, "_oc_event", "testdata/victim03.c", "testdata/victim02.c")
	allRight(t, pretendTo(t, binary, sessions, func(n int, sock net.Conn) {
		random := rand.New(rand.NewPCG(uint64(n), 11))
		answer := func(q frame.Call) (service.Code, []byte) { return reply(random, q) }
		l := liar{random: random, sock: sock, reply: answer, told: 12, lies: n % 6, packet: 1024 << (n % 7)}
		go l.serve(all) // the connection that publishes stays
	}))
}

// The events of this test are those of the service; a change of theirs shows here.
func TestClusterEventsAreWellFormed(t *testing.T) {
	for _, b := range clusterEvents() {
		e, err := frame.ParseEvent(frame.Parse(b))
		if err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case events.EventFact:
			_, err = events.ParseMember(e.Body)
		case events.EventLink:
			_, err = events.ParseLink(e.Body)
		case events.EventEntry:
			_, err = events.ParseEntry(e.Body)
		case events.EventMessage:
			_, err = events.ParseMessage(e.Body)
		case events.EventEnd:
			_, err = events.ParseEnd(e.Body)
		}
		if err != nil {
			t.Errorf("event %d: %v", e.Kind, err)
		}
	}
}
