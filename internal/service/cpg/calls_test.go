package cpg

import (
	"bytes"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/servicetest"
)

var bodies = []servicetest.Body{
	servicetest.A(JoinRequest{Group: []byte("hello"), PID: 5289, Flags: JoinInitialTotem}, ParseJoin),
	servicetest.A(LeaveRequest{Group: []byte("cib\x00"), PID: 5289}, ParseLeave),
	servicetest.Open(McastRequest{Safe: true, Message: []byte("Hi there")}, ParseMcast),
	servicetest.Open(PartialRequest{Kind: FragmentContinued, Total: 2500000, Fragment: []byte("part")}, ParsePartial),
	servicetest.A(GroupRequest{Group: []byte("hello")}, ParseGroup),
	servicetest.A(IterInitRequest{Kind: IterOneGroup, Group: []byte("hello")}, ParseIterInit),
	servicetest.A(HandleRequest{Handle: 1 << 60}, ParseHandle),
	servicetest.A(MembershipReply{Members: []Process{{1, 2, ReasonNone}, {1, 3, ReasonProcDown}}}, ParseMembership),
	servicetest.A(LocalReply{Node: 7}, ParseLocal),
	servicetest.A(EntryReply{Group: []byte("hello"), Node: 1, PID: 5289}, ParseEntry),
	servicetest.A(Confchg{Group: []byte("hello"), Members: []Process{{1, 5289, ReasonNone}}, Joined: []Process{{1, 5289, ReasonJoin}}}, ParseConfchg),
	servicetest.Open(Deliver{Group: []byte("hello"), Node: 1, PID: 5289, Safe: true, Slot: 1 << 50, Conn: 4, Tag: 5, Message: []byte("Hi there")}, ParseDeliver),
	servicetest.Open(PartialDeliver{Group: []byte("g"), Node: 1, PID: 2, Slot: 3, Conn: 4, Tag: 5, Kind: FragmentLast, Total: 6, Fragment: []byte("z")}, ParsePartialDeliver),
	servicetest.A(TotemConf{Ring: proto.RingID{Seq: 27, Rep: 1, Inc: 9}, Members: []proto.NodeID{1, 2}}, ParseTotem),
}

func TestBodies_RoundTrip(t *testing.T) { servicetest.RoundTrip(t, bodies) }

func TestJoin_LongNameStaysTooLong(t *testing.T) {
	q := JoinRequest{Group: bytes.Repeat([]byte("x"), 1000), PID: 1}
	got, err := ParseJoin(q.AppendTo(nil))
	if err != nil || len(got.Group) != MaxGroup+1 {
		t.Errorf("got %d bytes, %v; want %d bytes", len(got.Group), err, MaxGroup+1)
	}
}

func TestHeads_MatchTheWholeBody(t *testing.T) {
	m := McastRequest{Safe: true, Message: []byte("m")}.AppendTo(nil)
	if got := AppendMcastHead(nil, true); len(got) != McastHead || !bytes.HasPrefix(m, got) {
		t.Errorf("multicast head %x, body %x", got, m)
	}
	p := PartialRequest{Kind: FragmentFirst, Total: 9, Fragment: []byte("f")}.AppendTo(nil)
	if got := AppendPartialHead(nil, FragmentFirst, false, 9); len(got) != PartialHead || !bytes.HasPrefix(p, got) {
		t.Errorf("fragment head %x, body %x", got, p)
	}
}

func FuzzBodies(f *testing.F) { servicetest.FuzzBodies(f, bodies) }
