package quorum

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

var testRing = proto.RingID{Seq: 1 << 40, Rep: 3, Inc: 7}

type appender interface{ AppendTo([]byte) []byte }

// again parses a body and encodes it again.
type again func(b []byte) (appender, error)

func parser[T appender](parse func([]byte) (T, error)) again {
	return func(b []byte) (appender, error) { return parse(b) }
}

var bodies = []struct {
	value appender
	parse again
}{
	{QuorateReply{true}, parser(ParseQuorate)},
	{TrackRequest{TrackCurrent | TrackChanges}, parser(ParseTrack)},
	{TypeRequest{ModelV1}, parser(ParseTypeRequest)},
	{TypeReply{TypeSet}, parser(ParseType)},
	{Nodelist{Ring: testRing, Members: []proto.NodeID{1, 2}, Joined: []proto.NodeID{2}, Left: []proto.NodeID{2, 9}}, parser(ParseNodelist)},
	{Quorum{Quorate: true, Ring: testRing, Members: []proto.NodeID{1, 1<<32 - 2}, Votes: Votes{Expected: 3, Total: 2, Quorum: 2}, Row: 5}, parser(ParseQuorum)},
	{Currency{service.CurrencyReconfiguring}, parser(ParseCurrency)},
	{Status{Type: TypeSet, Quorate: true, Currency: service.CurrencyUnknown, Fencing: true, TwoNode: true, Waiting: true, Ring: testRing, Epoch: 9, Votes: Votes{Expected: 4, Total: 3, Quorum: 2}, Row: 1,
		LastMan: true, Tie: vote.TieList, Barrier: 7, Tracked: 8, Lowest: 1, Highest: 9,
		Device: DeviceStatus{Allowed: true, Votes: 3, Name: "dev", Alive: true, Awaited: true},
		Why:    "because", Nodes: []NodeStatus{{1, true, 1, 2}, {2, false, 0, 0}}}, parser(ParseStatus)},
	{NodeRequest{3}, parser(ParseNodeRequest)},
	{NodeInfo{Node: 1, State: NodeLeaving, Votes: 2, Expected: 3, Highest: 4, Total: 5, Quorum: 6, Flags: 7, DeviceVotes: 8, DeviceName: "dev"}, parser(ParseNodeInfo)},
	{NumberRequest{1, 2}, parser(ParseNumber)},
	{DeviceRequest{"dev", "other", true}, parser(ParseDeviceRequest)},
	{PollRequest{"dev", true, testRing}, parser(ParsePoll)},
	{Expected{9}, parser(ParseExpected)},
	{VotesEvent{true, NodeDead, []VoterState{{1, NodeMember}, {2, NodeLeaving}}}, parser(ParseVotes)},
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
			if _, err := c.parse(b[:n]); err == nil {
				t.Errorf("%T: %d of %d bytes accepted", c.value, n, len(b))
			}
		}
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
