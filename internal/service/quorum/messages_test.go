package quorum

import (
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/vote"
)

func FuzzParseInfo(f *testing.F) {
	f.Add(appendInfo(nil, vote.Info{Votes: 1, Expected: 3, TwoNode: true, Waiting: true,
		Primary: proto.Primary{Epoch: 4, Members: []proto.NodeID{1, 2}, Attempts: []proto.Attempt{{Epoch: 8, Holder: 1}}}}, word{}))
	f.Add(appendInfo(nil, vote.Info{Votes: 1, Expected: 3, DeviceVotes: 2, Device: vote.Device{Registered: true, Cast: true},
		Tie: vote.Tie{Rule: vote.TieList, List: []proto.NodeID{3, 1}}}, word{"dev", 7}))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, w, err := parseInfo(3, b)
		if err != nil {
			return
		}
		if got := appendInfo(nil, info, w); string(got) != string(b) {
			t.Fatalf("%x became %x", b, got)
		}
	})
}
