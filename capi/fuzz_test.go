package capi_test

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/service"
)

// sessions is how many agents a victim meets; some seconds.
const sessions = 1500

var loopback = netip.MustParseAddr("127.0.0.1")

// groupEvents are one event of each kind, as an agent sends them to token 0, the
// provider of the victim, and token 1, its subscriber.
func groupEvents() (list [][]byte) {
	ab := []groups.Provider{{Instance: 1, Node: 1}, {Instance: 7, Node: 2}}
	attrs := groups.Attributes{Phases: groups.NPhase, ReflectPhases: groups.OnePhase, DefaultVote: groups.Approve, Source: "source"}
	n := groups.Notification{Kind: groups.Join, Seq: 9, Phases: groups.NPhase, Phase: 1, ProposedBy: ab[0], Current: ab[1:], Changing: ab[:1], State: []byte("state")}
	approved := n
	approved.Current = ab
	expel := groups.Notification{Kind: groups.Expel, Seq: 10, Phases: groups.OnePhase, Phase: 1, Current: ab[:1], Changing: ab[1:],
		Leaves: []groups.LeaveInfo{{Reason: groups.ProviderExpelled}}, Deactivate: 1, Flag: []byte("flag"),
		Proposed: []byte("proposed"), Source: []byte("source"), Message: []byte("message"), Attrs: &attrs}
	special := []groups.Special{{Flag: 1, Size: 4, Data: make([]byte, 8)}, {Flag: 2, Size: 16, Data: make([]byte, 32)}}
	for _, e := range []frame.Event{
		{Kind: groups.EventNPhase, Body: n.AppendTo(nil)},
		{Kind: groups.EventApproved, Body: approved.AppendTo(nil)},
		{Kind: groups.EventApproved, Body: expel.AppendTo(nil)},
		{Kind: groups.EventRejected, Body: n.AppendTo(nil)},
		{Kind: groups.EventAnnounce, Body: groups.Announcement{Summary: groups.NoResponse, List: ab}.AppendTo(nil)},
		{Kind: groups.EventSubscription, Body: groups.Subscription{Token: 1, Has: 0x4f, State: []byte("x"), Full: ab, Changing: ab[1:], Special: special}.AppendTo(nil)},
		{Kind: groups.EventDelayedError, Body: groups.DelayedError{Kind: groups.StateValueChange, Code: groups.Collide}.AppendTo(nil)},
		{Kind: groups.EventDelayedError, Body: groups.DelayedError{Token: 1, Kind: groups.SubscriptionRequest, Code: groups.UnknownGroup, Ends: true}.AppendTo(nil)},
		{Kind: groups.EventCheck, Body: groups.Check{Number: 3}.AppendTo(nil)},
		{Kind: groups.EventAdapters, Body: groups.Adapters{List: []groups.AdapterAddr{{Addr: loopback, Node: 1, Interface: "lo"}}}.AppendTo(nil)},
		{Kind: groups.EventFailure, Body: groups.Failure{Record: "record"}.AppendTo(nil)},
		{Kind: 99, Body: []byte("of a later agent")},
	} {
		list = append(list, e.AppendTo(nil, 1))
	}
	return list
}

// liar is an agent that says wrong things, the same for the same seed.
type liar struct {
	random *rand.Rand
	sock   net.Conn
	dec    frame.Decoder
	lies   int // how many, at most
	packet uint32
	told   int // fewer events than that go before an answer; 0: than 3
	heard  func(frame.Call)
	script func(frame.Call) [][]byte               // the events behind an answer; nil: any, around it
	reply  func(frame.Call) (service.Code, []byte) // code 0: no answer
	credit func(size uint32) uint32                // what it gives for a call; nil: what that took
	window uint32                                  // of requests; 0: 64 KiB
	calls  int                                     // how many it answers, if not a dozen
}

// twist changes a packet, or does not.
func (l *liar) twist(packet []byte) []byte {
	if l.lies == 0 || l.random.IntN(4) != 0 {
		return packet
	}
	l.lies--
	// The victim may wait for what it did not understand.
	_ = l.sock.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	b := slices.Clone(packet)
	at := l.random.IntN(len(b))
	switch l.random.IntN(6) {
	case 0:
		b[at] ^= 1 << l.random.IntN(8)
	case 1:
		b[at] = [...]byte{0, 1, 0x7f, 0x80, 0xff}[l.random.IntN(5)]
	case 2:
		b = b[:at+1]
	case 3:
		b = slices.Insert(b, at, make([]byte, 1+l.random.IntN(9))...)
	case 4:
		b = slices.Delete(b, at, min(len(b), at+1+l.random.IntN(9)))
	default:
		for i := range min(4, len(b)-at) {
			b[at+i] = 0xff
		}
	}
	return b
}

func (l *liar) send(packet []byte) bool {
	packet = l.twist(packet)
	if len(packet) == 0 {
		return true
	}
	_, err := l.sock.Write(packet)
	return err == nil
}

// whole sends a message, in parts now and then.
func (l *liar) whole(message []byte) bool {
	if l.random.IntN(8) != 0 {
		return l.send(message)
	}
	small := frame.NewPacker(uint32(frame.HeaderLen + 8 + 1 + l.random.IntN(len(message))))
	small.Raw(message)
	for ; small.Len() > 0; small.Sent() {
		if !l.send(small.Next()) {
			return false
		}
	}
	return true
}

// serve is one session, up to its end.
func (l *liar) serve(all [][]byte) {
	defer l.sock.Close()
	buf := make([]byte, frame.MaxPacket)
	if _, err := l.sock.Read(buf); err != nil {
		return
	}
	welcome := frame.Welcome{Version: 1, Packet: l.packet, Message: frame.MaxMessage, Node: 1, Agent: "liar", Cluster: "hall"}
	if !l.send(welcome.AppendTo(nil)) {
		return
	}
	for calls := 0; calls < max(12, l.calls); {
		n, err := l.sock.Read(buf)
		if err != nil || n == 0 {
			return
		}
		for p := buf[:n]; len(p) > 0; {
			m, rest, err := l.dec.Next(p)
			if err != nil {
				return
			}
			p = rest
			switch m.Kind {
			case frame.KindOpen:
				if !l.send(frame.Opened{ID: 1, Window: cmp.Or(l.window, 1<<16)}.AppendTo(nil, 1)) {
					return
				}
			case frame.KindCall:
				calls++
				if !l.answer(m, all) {
					return
				}
			}
		}
	}
}

// answer answers a call, with some events around it.
func (l *liar) answer(m frame.Message, all [][]byte) bool {
	q, err := frame.ParseCall(m)
	if err != nil {
		return false
	}
	if l.heard != nil {
		l.heard(q)
	}
	var behind [][]byte
	if l.script != nil {
		behind, all = l.script(q), nil
	}
	for range l.random.IntN(cmp.Or(l.told, 3)) * min(1, len(all)) {
		if !l.whole(all[l.random.IntN(len(all))]) {
			return false
		}
	}
	if l.reply == nil {
		l.reply = l.answerAsGroups
	}
	credit := uint32(m.Size())
	if l.credit != nil {
		credit = l.credit(credit)
	}
	code, body := l.reply(q)
	if code == 0 {
		return true
	}
	out := frame.NewPacker(frame.MaxPacket)
	out.Answer(1, frame.Answer{ID: q.ID, Code: code, Body: body})
	if credit > 0 {
		out.Credit(1, frame.Credit{Bytes: credit})
	}
	return l.send(slices.Concat(out.Next(), slices.Concat(behind...)))
}

// answerAsGroups answers as Group Services does.
func (l *liar) answerAsGroups(q frame.Call) (service.Code, []byte) {
	switch {
	case q.Func == groups.CallHello:
		return service.OK, groups.HelloReply{Level: groups.Level, Node: 1}.AppendTo(nil)
	case l.random.IntN(10) == 0:
		return service.ErrAgain, groups.Reply{}.AppendTo(nil)
	}
	return service.OK, groups.Reply{}.AppendTo(nil)
}

// pretend starts a program of Group Services, and serves its sessions as serve says.
func pretend(t *testing.T, source string, sessions int, serve func(n int, sock net.Conn)) *testenv.Process {
	t.Helper()
	return pretendTo(t, program(t, memory, filepath.Join("testdata", source)), sessions, serve)
}

// pretendTo is the same for any program.
func pretendTo(t *testing.T, binary string, sessions int, serve func(n int, sock net.Conn)) *testenv.Process {
	t.Helper()
	p, _ := impostor(t, serve).client(1, binary, fmt.Sprint(sessions))
	return p
}

// impostor is a hall of one node, where sessions are served as serve says.
func impostor(t *testing.T, serve func(n int, sock net.Conn)) *hall {
	t.Helper()
	h := emptyHall(t, 1)
	if err := os.Mkdir(h.Run(1), 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unixpacket", filepath.Join(h.Run(1), "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for n := 0; ; n++ {
			sock, err := listener.Accept()
			if err != nil {
				return
			}
			serve(n, sock)
		}
	}()
	return h
}

// A program that uses the library survives an agent that says anything: it is told
// that the agent has gone, and reads no memory that is not its own.
func TestAgentLies(t *testing.T) {
	all := groupEvents()
	allRight(t, pretend(t, "victim.c", sessions, func(n int, sock net.Conn) {
		l := liar{random: rand.New(rand.NewPCG(uint64(n), 11)), sock: sock, lies: n % 4, packet: 1024 << (n % 7)}
		l.serve(all)
	}))
}

// What is larger than the agent's packets travels in parts; and what the agent says
// of its failure is kept.
func TestAgentTakesSmallPackets(t *testing.T) {
	all := groupEvents()
	some := [][]byte{all[1], all[10]} // the join is approved; the failure
	var messages atomic.Int64
	heard := func(q frame.Call) {
		if q.Func != groups.CallMessage {
			return
		}
		p, err := groups.ParseProposal(q.Body)
		if err != nil || len(p.Data) != groups.MaxMessage || p.Data[1000] != byte(1000&0xff) || p.Data[2047] != byte(2047&0xff) {
			t.Errorf("%d bytes, %v", len(p.Data), err)
		}
		messages.Add(1)
	}
	p := pretend(t, "victim.c", 5, func(n int, sock net.Conn) {
		l := liar{random: rand.New(rand.NewPCG(uint64(n), 11)), sock: sock, packet: 1024, heard: heard}
		l.serve(some)
	})
	allRight(t, p)
	if messages.Load() == 0 {
		t.Error("no large message came")
	}
	if !strings.Contains(p.Output(), "failure record\n") {
		t.Error("no record of the failure")
	}
}

// Who did not dispatch for long is asked once whether he works, and the answer is to
// the last question. A request that was not made cannot fail.
func TestAgentAsksTooMuch(t *testing.T) {
	answers := make(chan uint32, 16)
	allRight(t, pretend(t, "asked.c", 1, func(_ int, sock net.Conn) {
		l := liar{random: rand.New(rand.NewPCG(1, 11)), sock: sock, packet: frame.MaxPacket}
		l.script = func(q frame.Call) (events [][]byte) {
			switch q.Func {
			case groups.CallSubscribe:
				for number := range uint32(3) {
					events = append(events, frame.Event{Kind: groups.EventCheck, Body: groups.Check{Number: number + 1}.AppendTo(nil)}.AppendTo(nil, 1))
				}
			case groups.CallResponse:
				r, err := groups.ParseResponse(q.Body)
				if err != nil || !r.OK {
					t.Errorf("%v, %v", r, err)
				}
				answers <- r.Check
				lie := groups.DelayedError{Kind: groups.Join, Code: groups.BadGroupAttributes}
				events = append(events, frame.Event{Kind: groups.EventDelayedError, Body: lie.AppendTo(nil)}.AppendTo(nil, 1))
			}
			return events
		}
		l.serve(nil)
	}))
	if len(answers) != 1 || <-answers != 3 {
		t.Errorf("%d answers, want one to the last check", len(answers))
	}
}

// The events of this test are those of the service; a change of theirs shows here.
func TestEventsAreWellFormed(t *testing.T) {
	for _, b := range groupEvents() {
		m := frame.Parse(b)
		e, err := frame.ParseEvent(m)
		if err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case groups.EventNPhase, groups.EventApproved, groups.EventRejected:
			_, err = groups.ParseNotification(e.Body)
		case groups.EventSubscription:
			_, err = groups.ParseSubscription(e.Body)
		case groups.EventDelayedError:
			_, err = groups.ParseDelayedError(e.Body)
		case groups.EventAdapters:
			_, err = groups.ParseAdapters(e.Body)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, hex.Dump(b))
		}
	}
}
