package quorum

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// Most tests are a package of their own, because the kit that they use runs this
// service. This is what they need of it besides.

const (
	MsgInfo  = msgInfo
	MsgWait  = msgWait
	NumCalls = numCalls
)

// Told is the ring of the last nodelist.
func (s *Service) Told() proto.RingID { return s.list.Ring }

// Messages are one of each kind, but for those.
func Messages(ring proto.RingID) []service.Message {
	return []service.Message{
		{From: 2, Func: msgChange, Body: appendChange(nil, vote.Change{Kind: vote.SetVotes, Node: 2, Value: 3})},
		{From: 2, Func: msgRegister, Body: appendRegister(nil, "dev", true)},
		{From: 1, Func: msgDevice, Body: appendDevice(nil, vote.Device{Registered: true, Cast: true}, word{"dev", 9})},
		{From: 1, Func: msgLastMan, Body: body.AppendRing(nil, ring)},
		{From: 3, Func: msgLeave},
	}
}
