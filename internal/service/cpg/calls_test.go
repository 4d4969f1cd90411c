package cpg

import (
	"bytes"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

var bodies = []servicetest.Body{
	servicetest.A(JoinRequest{Group: []byte("hello"), PID: 5289, Flags: JoinInitialTotem}, ParseJoin),
	servicetest.A(LeaveRequest{Group: []byte("cib\x00"), PID: 5289}, ParseLeave),
	servicetest.Open(McastRequest{Safe: true, Message: []byte("Hi there")}, ParseMcast),
	servicetest.Open(PartialRequest{Kind: FragmentContinued, Total: 2500000, Fragment: []byte("part")}, ParsePartial),
	servicetest.A(GroupRequest{Group: []byte("hello")}, ParseGroup),
	servicetest.A(IterInitRequest{Kind: IterOneGroup, Group: []byte("hello")}, ParseIterInit),
	servicetest.A(HandleRequest{Handle: 1 << 60}, ParseHandle),
	servicetest.A(MembershipReply{Members: []Process{{Node: 1, PID: 2}, {Node: 1, PID: 3, Reason: ReasonProcDown}}}, ParseMembership),
	servicetest.A(LocalReply{Node: 7}, ParseLocal),
	servicetest.A(EntryReply{Group: []byte("hello"), Node: 1, PID: 5289}, ParseEntry),
	servicetest.A(Confchg{Group: []byte("hello"), Members: []Process{{Node: 1, PID: 5289}}, Joined: []Process{{Node: 1, PID: 5289, Reason: ReasonJoin}}}, ParseConfchg),
	servicetest.Open(Deliver{Group: []byte("hello"), Node: 1, PID: 5289, Safe: true, Slot: 1 << 50, Conn: 4, Tag: 5, Message: []byte("Hi there")}, ParseDeliver),
	servicetest.Open(PartialDeliver{Group: []byte("g"), Node: 1, PID: 2, Slot: 3, Conn: 4, Tag: 5, Kind: FragmentLast, Total: 6, Fragment: []byte("z")}, ParsePartialDeliver),
	servicetest.A(TotemConf{Ring: ring27, Members: []proto.NodeID{1, 2}}, ParseTotem),

	servicetest.A(EnterRequest{Group: []byte("hello"), Meta: []byte("v2"), Rank: 3, Stateful: true}, ParseEnter),
	servicetest.A(IdentityReply{Node: 1, PID: 2, Instance: 3}, ParseIdentity),
	servicetest.A(SafeReply{Ring: ring27, Transitional: true, Members: []proto.NodeID{1, 2}}, ParseSafe),
	servicetest.Open(DirectRequest{Node: 1, PID: 2, Instance: 3, Message: []byte("m")}, ParseDirect),
	servicetest.Open(PostRequest{Group: []byte("hello"), Message: []byte("m")}, ParsePost),
	servicetest.A(RankRequest{Rank: 7}, ParseRank),
	servicetest.Open(Piece{Place: place27, Kind: PieceData, Offset: 1 << 40, Data: []byte("d")}, ParsePiece),
	servicetest.A(GotRequest{Place: place27, Whole: true}, ParseGot),
	servicetest.A(Transfer{Place: place27, From: Process{Node: 1, PID: 2, Instance: 3}}, ParseTransfer),
	servicetest.Open(Received{From: Process{Node: 1, PID: 2, Instance: 3}, Slot: 4, Seq: 5, Safe: true, Direct: true, Message: []byte("m")}, ParseReceived),
	servicetest.A(View{Ring: ring27, Slot: 9, Nodes: []proto.NodeID{1, 2}, Came: []proto.NodeID{1}, Quorate: true, Currency: service.CurrencyUnknown,
		Votes: 2, Expected: 3, GroupVotes: 1, Majority: true, Members: members27, Joined: []Process{{Node: 2, PID: 3, Instance: 4, Reason: ReasonJoin}},
		Left: []Process{{Node: 2, PID: 3, Reason: ReasonNodeDown}}}, ParseView),
	servicetest.A(GroupsReply{Groups: []GroupInfo{{Group: []byte("hello"), Members: members27}}}, ParseGroups),
}

var (
	ring27    = proto.RingID{Seq: 27, Rep: 1, Inc: 9}
	place27   = Place{Ring: ring27, Number: 4}
	members27 = []ViewMember{{Process: Process{Node: 1, PID: 2, Instance: 3}, Meta: []byte("v2"), Rank: 9, Stateful: true, HasState: true}, {Process: Process{Node: 2, PID: 3}, Meta: []byte{}}}
)

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
