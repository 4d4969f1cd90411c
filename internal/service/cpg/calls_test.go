package cpg

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moothall/moothall/internal/proto"
)

type appender interface{ AppendTo([]byte) []byte }

// again parses a body and encodes it again.
type again func(b []byte) (appender, error)

func parser[T appender](parse func([]byte) (T, error)) again {
	return func(b []byte) (appender, error) { return parse(b) }
}

var bodies = []struct {
	value appender
	parse again
	open  bool // ends in free bytes, so a shorter body may be valid
}{
	{JoinRequest{Group: []byte("hello"), PID: 5289, Flags: JoinInitialTotem}, parser(ParseJoin), false},
	{LeaveRequest{Group: []byte("cib\x00"), PID: 5289}, parser(ParseLeave), false},
	{McastRequest{Safe: true, Message: []byte("Hi there")}, parser(ParseMcast), true},
	{PartialRequest{Kind: FragmentContinued, Total: 2500000, Fragment: []byte("part")}, parser(ParsePartial), true},
	{GroupRequest{Group: []byte("hello")}, parser(ParseGroup), false},
	{IterInitRequest{Kind: IterOneGroup, Group: []byte("hello")}, parser(ParseIterInit), false},
	{HandleRequest{Handle: 1 << 60}, parser(ParseHandle), false},
	{MembershipReply{Members: []Process{{1, 2, ReasonNone}, {1, 3, ReasonProcDown}}}, parser(ParseMembership), false},
	{LocalReply{Node: 7}, parser(ParseLocal), false},
	{EntryReply{Group: []byte("hello"), Node: 1, PID: 5289}, parser(ParseEntry), false},
	{Confchg{Group: []byte("hello"), Members: []Process{{1, 5289, ReasonNone}}, Joined: []Process{{1, 5289, ReasonJoin}}}, parser(ParseConfchg), false},
	{Deliver{Group: []byte("hello"), Node: 1, PID: 5289, Safe: true, Slot: 1 << 50, Conn: 4, Tag: 5, Message: []byte("Hi there")}, parser(ParseDeliver), true},
	{PartialDeliver{Group: []byte("g"), Node: 1, PID: 2, Slot: 3, Conn: 4, Tag: 5, Kind: FragmentLast, Total: 6, Fragment: []byte("z")}, parser(ParsePartialDeliver), true},
	{TotemConf{Ring: proto.RingID{Seq: 27, Rep: 1, Inc: 9}, Members: []proto.NodeID{1, 2}}, parser(ParseTotem), false},
}

func TestBodies_RoundTrip(t *testing.T) {
	for _, c := range bodies {
		b := c.value.AppendTo(nil)
		got, err := c.parse(b)
		if err != nil {
			t.Errorf("%T: %v", c.value, err)
			continue
		}
		if diff := cmp.Diff(c.value, got); diff != "" {
			t.Errorf("%T differs (-want +got):\n%s", c.value, diff)
		}
		for n := range b {
			if _, err := c.parse(b[:n]); err == nil && !c.open {
				t.Errorf("%T: %d of %d bytes accepted", c.value, n, len(b))
			}
		}
	}
}

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

func FuzzBodies(f *testing.F) {
	for i, c := range bodies {
		f.Add(uint8(i), c.value.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		c := bodies[int(which)%len(bodies)]
		v, err := c.parse(b)
		if err != nil {
			return
		}
		if got := v.AppendTo(nil); !bytes.Equal(got, b) {
			t.Fatalf("%T: %x became %x", v, b, got)
		}
	})
}
