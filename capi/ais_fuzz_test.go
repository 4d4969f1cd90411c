package capi_test

import (
	"math/rand/v2"
	"net"
	"testing"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/service"
)

// facts are events for the first registrations of a program that tracks: views in which
// nodes come and go, and others.
func facts() (list [][]byte) {
	node := func(id, born uint32) events.Member {
		return events.Member{ID: service.NodeID(id), Born: born, Since: born, Name: "node", Addr: loopback, Boot: 1}
	}
	of := func(kind events.Kind, seq uint32, members ...events.Member) events.Fact {
		return events.Fact{Kind: kind, Seq: seq, Trans: seq, Quorate: true, Members: members}
	}
	views := []events.Fact{
		of(events.NewMembership, 3, node(1, 1), node(2, 2), node(3, 3)),
		of(events.NewMembership, 4, node(1, 1), node(3, 3)),
		of(events.NewMembership, 5, node(1, 1), node(3, 3), node(2, 5)),
		of(events.NewMembership, 6),
		of(events.NotPrimary, 6, node(1, 1)),
		of(events.Restored, 6, node(1, 1)),
		{Kind: events.Evicted, Trans: 7},
	}
	add := func(kind uint16, body []byte) {
		list = append(list, frame.Event{Kind: kind, Body: body}.AppendTo(nil, 1))
	}
	for sub := range uint32(4) {
		for _, f := range views {
			add(events.EventFact, events.MemberEvent{Sub: sub + 1, Fact: f}.AppendTo(nil))
		}
		add(events.EventEnd, events.EndEvent{Sub: sub + 1, Why: events.Thrown}.AppendTo(nil))
		add(events.EventEnd, events.EndEvent{Sub: sub + 1, Why: events.Stopped}.AppendTo(nil))
	}
	add(events.EventNews, events.NewsEvent{Waits: true, Primary: true}.AppendTo(nil))
	add(99, []byte("of a later agent"))
	return list
}

// answerAsMember answers calls as the event service of a node does that is a member.
func answerAsMember(random *rand.Rand) func(q frame.Call) (service.Code, []byte) {
	membership := events.Fact{Kind: events.NewMembership, Seq: 3, Trans: 3, Quorate: true, Members: []events.Member{
		{ID: 1, Born: 1, Since: 1, Name: "one", Addr: loopback, Boot: 5}, {ID: 2, Born: 3, Since: 3, Name: "two"}}}
	return func(q frame.Call) (service.Code, []byte) {
		again := random.IntN(10) == 0
		switch {
		case q.Func == events.CallOpen:
			return service.OK, events.OpenReply{Self: 1, Configured: 2}.AppendTo(nil)
		case q.Func == events.CallStatus && again:
			return service.OK, events.StatusReply{State: events.Limbo, Fact: membership}.AppendTo(nil)
		case q.Func == events.CallStatus:
			return service.OK, events.StatusReply{State: events.Primary, Fact: membership}.AppendTo(nil)
		case again:
			return []service.Code{service.ErrAgain, service.ErrNotExist, service.ErrNoResources}[random.IntN(3)], nil
		}
		return service.OK, nil
	}
}

// What the agent says is told or ends the connection, and no memory is read or lost
// that is not the library's.
func TestAisAgentLies_Clm(t *testing.T) {
	all := facts()
	binary := archived(t, "SaClm", "testdata/clmvictim.c")
	allRight(t, pretendTo(t, binary, sessions, func(n int, sock net.Conn) {
		random := rand.New(rand.NewPCG(uint64(n), 14))
		l := liar{random: random, sock: sock, lies: n % 4, packet: 1024 << (n % 7), reply: answerAsMember(random)}
		l.serve(all)
	}))
}

// The events of this test are those of the service; a change of theirs shows here.
func TestFactsAreWellFormed(t *testing.T) {
	for _, b := range facts() {
		e, err := frame.ParseEvent(frame.Parse(b))
		switch {
		case err != nil:
		case e.Kind == events.EventFact:
			_, err = events.ParseMember(e.Body)
		case e.Kind == events.EventEnd:
			_, err = events.ParseEnd(e.Body)
		case e.Kind == events.EventNews:
			_, err = events.ParseNews(e.Body)
		}
		if err != nil {
			t.Errorf("%v: %x", err, b)
		}
	}
}
