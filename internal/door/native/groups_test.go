package native_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/door/native"
	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
)

// attackers is how many clients the test below has.
const attackers = 600

// groupsCall calls, and demands that the service does it.
func groupsCall(t *testing.T, conn session.Conn, fn uint16, body []byte) {
	t.Helper()
	b, err := conn.Call(soon(t), fn, body)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := groups.ParseReply(b); err != nil || p.Code != groups.OK {
		t.Fatalf("call %d: code %d, %v", fn, p.Code, err)
	}
}

var onePhase = groups.Attributes{Phases: groups.OnePhase, ReflectPhases: groups.OnePhase, DefaultVote: groups.Approve}

func joinBody(token int32, group string, instance int16, a groups.Attributes) []byte {
	return groups.JoinRequest{Token: token, Group: []byte(group), Attrs: a, Instance: instance}.AppendTo(nil)
}

// provider is a client of Group Services that joined a group as token 0.
func provider(t *testing.T, socket, group string, instance int16) session.Conn {
	t.Helper()
	conn, err := dialSocket(t, socket).Open(soon(t), groups.ID)
	if err != nil {
		t.Fatal(err)
	}
	b, err := conn.Call(soon(t), groups.CallHello, groups.HelloRequest{Level: groups.Level}.AppendTo(nil))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := groups.ParseHelloReply(b); err != nil || p.Code != groups.OK {
		t.Fatalf("hello: code %d, %v", p.Code, err)
	}
	groupsCall(t, conn, groups.CallJoin, joinBody(0, group, instance, onePhase))
	next(t, conn, groups.EventApproved)
	return conn
}

// attack is what a client of Group Services sends, one packet a message.
func attack(instance int16) (packets [][]byte) {
	voted := onePhase
	voted.Phases = groups.NPhase
	packets = append(packets, frame.Hello{Min: 1, Max: 1, Packet: frame.MaxPacket, Message: frame.MaxMessage}.AppendTo(nil), open(1, groups.ID, 1<<16))
	expel := groups.Proposal{Token: 1, Phases: groups.OnePhase, Targets: []groups.Provider{{Instance: instance, Node: 9}}, Data: []byte("flag")}
	out := frame.NewPacker(frame.MaxPacket)
	for i, q := range []struct {
		fn   uint16
		body []byte
	}{
		{groups.CallHello, groups.HelloRequest{Level: groups.Level, Check: groups.PingCheck, Interval: 1, Limit: 1, Script: "/bin/true"}.AppendTo(nil)},
		{groups.CallJoin, joinBody(0, "voted", instance, voted)},
		{groups.CallJoin, joinBody(1, "attacked", instance, onePhase)},
		{groups.CallSubscribe, groups.SubscribeRequest{Token: 2, Wants: 15, Group: []byte("attacked")}.AppendTo(nil)},
		{groups.CallVote, groups.VoteRequest{Seq: 1, Phase: 1, Vote: groups.Continue, State: []byte("x"), Message: []byte("y")}.AppendTo(nil)},
		{groups.CallMessage, groups.Proposal{Token: 1, Phases: groups.NPhase, Data: []byte("message")}.AppendTo(nil)},
		{groups.CallState, groups.Proposal{Token: 1, Phases: groups.OnePhase, Data: []byte("state")}.AppendTo(nil)},
		{groups.CallAttributes, groups.Proposal{Token: 1, Phases: groups.OnePhase, Attrs: &voted}.AppendTo(nil)},
		{groups.CallExpel, expel.AppendTo(nil)},
		{groups.CallResponse, groups.ResponseRequest{Check: 1, OK: true}.AppendTo(nil)},
		{groups.CallLeave, groups.Proposal{Token: 1, Phases: groups.NPhase, Limit: 5}.AppendTo(nil)},
		{groups.CallGoodbye, groups.TokenRequest{Token: 1}.AppendTo(nil)},
		{groups.CallUnsubscribe, groups.TokenRequest{Token: 2}.AppendTo(nil)},
		{groups.CallQuit, nil},
	} {
		out.Call(1, frame.Call{ID: uint32(i), Func: q.fn, Body: q.body})
		packets = append(packets, slices.Clone(out.Next()))
		out.Sent()
	}
	return packets
}

// twist changes a packet.
func twist(random *rand.Rand, packet []byte) []byte {
	b := slices.Clone(packet)
	at := random.IntN(len(b))
	switch random.IntN(4) {
	case 0:
		b[at] ^= 1 << random.IntN(8)
	case 1:
		return b[:at+1] // half a packet
	case 2:
		for i := range b[at:] {
			b[at+i] = byte(random.Uint32())
		}
	default:
		b[at] = 0xff
	}
	return b
}

// Clients that send changed packets of Group Services, stop in the midst, or go
// without a word disturb nobody: another client's requests are done as before.
func TestGroups_Attackers(t *testing.T) {
	socket := startDoor(t, func(*native.Config) {})
	good := provider(t, socket, "good", 1)
	for n := range uint64(attackers) {
		random := rand.New(rand.NewPCG(n, 11))
		r := dialRaw(t, socket)
		packets := attack(int16(n))
		wrong, stop := random.IntN(len(packets)), 1+random.IntN(len(packets))
		for i, p := range packets[:stop] {
			if i == wrong {
				p = twist(random, p)
			}
			r.send(p)
			if i == 0 {
				r.packet() // the welcome, or a refusal
			}
		}
		if n%2 == 0 {
			r.sock.Close() // it does not even read what it was sent
		}
		if n%10 == 0 {
			groupsCall(t, good, groups.CallState, groups.Proposal{Phases: groups.OnePhase, Data: []byte{byte(n)}}.AppendTo(nil))
			m, err := groups.ParseNotification(next(t, good, groups.EventApproved))
			if err != nil || string(m.State) != string([]byte{byte(n)}) {
				t.Fatalf("%+v, %v", m, err)
			}
		}
	}
}

// What a client sent is served even if it closed its socket without reading what it
// was sent.
func TestLastWords(t *testing.T) {
	socket := startDoor(t, func(*native.Config) {})
	witness := join(t, dialSocket(t, socket), "g", 1)
	out := frame.NewPacker(frame.MaxPacket)
	for range 100 {
		r := dialRaw(t, socket)
		r.greet()
		out.Open(1, frame.Open{Service: cpg.ID, Window: 1 << 16})
		out.Call(1, frame.Call{Func: cpg.CallJoin, Body: cpg.JoinRequest{Group: []byte("g"), PID: 2}.AppendTo(nil)})
		r.send(out.Next())
		out.Sent()
		next(t, witness, cpg.EventConfchg)
		out.Cast(1, frame.Cast{Func: cpg.CallMcast, Body: cpg.McastRequest{Message: []byte("last words")}.AppendTo(nil)})
		r.send(out.Next())
		out.Sent()
		r.sock.Close()
		if m := next(t, witness, cpg.EventDeliver); !strings.Contains(string(m), "last words") {
			t.Fatalf("%q", m)
		}
		next(t, witness, cpg.EventConfchg)
	}
}
