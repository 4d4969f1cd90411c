package outside

import (
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

var (
	ring = proto.RingID{Seq: 8, Rep: 1, Inc: 2}
	src  = service.Source{Node: 1, Conn: 7, Tag: 9}
)

func bodies() []servicetest.Body {
	names := []Name{{1, "anna"}, {2, ""}}
	return []servicetest.Body{
		servicetest.A(Register{Protocol: 1, ID: 40, Name: "locks"}, ParseRegister),
		servicetest.A(Welcome{Protocol: 1, Self: 3, Nodes: names}, ParseWelcome),
		servicetest.A(Nodes{names}, ParseNodes),
		servicetest.A(View{Transitional: true, Primary: true, Ring: ring, Members: []proto.NodeID{1, 2}, Left: []proto.NodeID{3}}, ParseView),
		servicetest.A(View{Ring: ring, Members: []proto.NodeID{1, 2}, Joined: []proto.NodeID{2}}, ParseView),
		servicetest.Open(Message{Part: Normal, Safe: true, From: 2, Place: ring, Slot: 4, Src: src, Func: 3, Body: []byte("x")}, ParseMessage),
		servicetest.Open(Message{Part: Sync, From: 2, Ring: ring, Round: 1, Body: []byte("x")}, ParseMessage),
		servicetest.Open(Multicast{Part: Normal, Safe: true, Src: src, Func: 3, Body: []byte("x")}, ParseMulticast),
		servicetest.Open(Multicast{Part: Sync, Ring: ring, Round: 1, Body: []byte("x")}, ParseMulticast),
		servicetest.Open(Multicast{Part: Rounds, Body: []byte("x")}, ParseMulticast),
		servicetest.A(Open{Conn: 7, Cred: service.Cred{UID: 1, GID: 2, PID: 3}}, ParseOpen),
		servicetest.Open(Call{No: 1, Conn: 7, Tag: 9, Func: 2, Body: []byte("x")}, ParseCall),
		servicetest.Open(Reply{No: 1, Code: service.ErrExist, Body: []byte("x")}, ParseReply),
		servicetest.Open(Push{Conn: 7, Kind: 2, Body: []byte("x")}, ParsePush),
		servicetest.A(Close{Conn: 7, Code: service.ErrBusyCode}, ParseClose),
		servicetest.A(Ready{ring}, ParseReady),
		servicetest.A(Count{5}, ParseCount),
		servicetest.A(Quorum{Primary: true, Currency: service.CurrencyUnknown}, ParseQuorum),
		servicetest.A(Quorum{Currency: service.CurrencyNow, State: service.QuorumState{Ring: ring, Quorate: true, Expected: 3, Needed: 2, Votes: 4, Device: 1, Reserved: 5,
			Epoch: 6, Row: "majority", Text: "as it is", Shares: []service.Share{{Node: 1, Votes: 2}, {Node: 2, Votes: 1}}}}, ParseQuorum),
		servicetest.A(Hold{Conn: 7, On: true}, ParseHold),
		servicetest.A(Roll{Ring: ring, No: 2, Life: 3}, ParseRoll),
	}
}

func TestBodies(t *testing.T) { servicetest.RoundTrip(t, bodies()) }

func FuzzBodies(f *testing.F) { servicetest.FuzzBodies(f, bodies()) }

func TestMulticast_TooLong(t *testing.T) {
	if _, err := ParseMulticast(Multicast{Part: Normal, Body: make([]byte, MaxBody+Slack+1)}.AppendTo(nil)); err == nil {
		t.Error("accepted")
	}
}

// What members tell each other is what the process told, behind the header.
func FuzzData(f *testing.F) {
	f.Add(uint16(msgSync), (&Multicast{Part: Sync, Ring: ring, Round: 1, Func: 2}).appendData(nil))
	f.Fuzz(func(t *testing.T, fn uint16, b []byte) {
		m, err := data(fn%4, b)
		if err == nil && len(m.Body) > len(b) {
			t.Fatal(len(m.Body))
		}
	})
}
