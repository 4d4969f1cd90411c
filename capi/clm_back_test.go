package capi_test

import (
	"math/rand/v2"
	"net"
	"testing"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/service"
)

// A node that left and is back in one fact is told in two callbacks, with who left for
// good and before who came (openais-executive L7).
func TestClmLeftAndBack(t *testing.T) {
	m := func(id, born uint32) events.Member {
		return events.Member{ID: service.NodeID(id), Born: born, Since: born, Name: "node", Addr: loopback, Boot: 1}
	}
	fact := func(seq uint32, list ...events.Member) events.Fact {
		return events.Fact{Kind: events.NewMembership, Seq: seq, Trans: seq, Quorate: true, Members: list}
	}
	facts := []events.Fact{fact(3, m(1, 1), m(2, 1), m(3, 1)), fact(4, m(1, 1), m(2, 4), m(4, 4)), fact(5, m(1, 1), m(4, 4))}
	reply := func(q frame.Call) (service.Code, []byte) {
		switch q.Func {
		case events.CallOpen:
			return service.OK, events.OpenReply{Self: 1, Configured: 3}.AppendTo(nil)
		case events.CallStatus:
			return service.OK, events.StatusReply{State: events.Primary, Fact: facts[0]}.AppendTo(nil)
		}
		return service.OK, nil
	}
	tell := func(q frame.Call) (list [][]byte) {
		if q.Func != events.CallRegister {
			return nil
		}
		r, err := events.ParseRegister(q.Body)
		if err != nil {
			t.Error(err)
		}
		for _, f := range facts {
			list = append(list, frame.Event{Kind: events.EventFact, Body: events.MemberEvent{Sub: r.Sub, Fact: f}.AppendTo(nil)}.AppendTo(nil, 1))
		}
		return list
	}
	h := impostor(t, func(n int, sock net.Conn) {
		l := liar{random: rand.New(rand.NewPCG(uint64(n), 17)), sock: sock, packet: frame.MaxPacket, reply: reply, script: tell, calls: 1 << 20}
		l.serve(nil)
	})
	binary := aisProgram(t, memory, "SaClm", "testdata/clm.c")
	for flags, want := range map[string][]string{
		"track 2": {"view 7 of 1: 1@2:same 2!@2:left 3!@2:left", "view 8 of 3: 1@2:same 2@8:joined 4@8:joined", "view 10 of 2: 1@2:same 4@8:same 2!@8:left"},
		"track 4": {"view 7 of 1: 2!@2:left 3!@2:left", "view 8 of 3: 2@8:joined 4@8:joined", "view 10 of 2: 2!@8:left"},
	} {
		c := h.talk(t, 1, binary).begin("")
		c.is(flags, "track OK")
		for _, w := range want {
			if got := c.hears("view"); got != w {
				t.Errorf("%s: got %q, want %q", flags, got, w)
			}
		}
		c.ends()
	}
}
