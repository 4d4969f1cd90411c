package quorum

import (
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

var testRing = proto.RingID{Seq: 1 << 40, Rep: 3, Inc: 7}

var bodies = []servicetest.Body{
	servicetest.A(QuorateReply{true}, ParseQuorate),
	servicetest.A(TrackRequest{TrackCurrent | TrackChanges}, ParseTrack),
	servicetest.A(TypeRequest{ModelV1}, ParseTypeRequest),
	servicetest.A(TypeReply{TypeSet}, ParseType),
	servicetest.A(Nodelist{Ring: testRing, Members: []proto.NodeID{1, 2}, Joined: []proto.NodeID{2}, Left: []proto.NodeID{2, 9}}, ParseNodelist),
	servicetest.A(Quorum{Quorate: true, Ring: testRing, Members: []proto.NodeID{1, 1<<32 - 2}, Votes: Votes{Expected: 3, Total: 2, Quorum: 2}, Row: 5}, ParseQuorum),
	servicetest.A(Currency{service.CurrencyReconfiguring}, ParseCurrency),
	servicetest.A(Status{Type: TypeSet, Quorate: true, Currency: service.CurrencyUnknown, Fencing: true, TwoNode: true, Waiting: true, Ring: testRing, Epoch: 9, Votes: Votes{Expected: 4, Total: 3, Quorum: 2}, Row: 1,
		LastMan: true, Tie: vote.TieList, Barrier: 7, Tracked: 8, Lowest: 1, Highest: 9,
		Device: DeviceStatus{Allowed: true, Votes: 3, Name: "dev", Alive: true, Awaited: true},
		Why:    "because", Nodes: []NodeStatus{{1, true, 1, 2}, {2, false, 0, 0}}}, ParseStatus),
	servicetest.A(NodeRequest{3}, ParseNodeRequest),
	servicetest.A(NodeInfo{Node: 1, State: NodeLeaving, Votes: 2, Expected: 3, Highest: 4, Total: 5, Quorum: 6, Flags: 7, DeviceVotes: 8, DeviceName: "dev"}, ParseNodeInfo),
	servicetest.A(NumberRequest{1, 2}, ParseNumber),
	servicetest.A(DeviceRequest{"dev", "other", true}, ParseDeviceRequest),
	servicetest.A(PollRequest{"dev", true, testRing}, ParsePoll),
	servicetest.A(Expected{9}, ParseExpected),
	servicetest.A(VotesEvent{true, NodeDead, []VoterState{{1, NodeMember}, {2, NodeLeaving}}}, ParseVotes),
}

func TestBodies_RoundTrip(t *testing.T) { servicetest.RoundTrip(t, bodies) }

func FuzzBodies(f *testing.F) { servicetest.FuzzBodies(f, bodies) }
