package quorum

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/vote"
)

// Messages between the members: the Func. The first two are of a round.
const (
	msgInfo     uint16 = iota // a member's vote.Info and word
	msgWait                   // the sender holds the round up and asks for patience: empty
	msgChange                 // an operator's vote.Change: kind, node, value
	msgRegister               // a quorum device wants to be registered: name, master wins
	msgDevice                 // the sender's vote.Device and word
	msgLastMan                // the window of last_man_standing is over: ring
	msgLeave                  // the sender leaves: empty
)

// Flags of an info.
const (
	infoTwoNode uint16 = 1 << iota
	infoWaitForAll
	infoLastMan
	infoDownscale
	infoTracking
	infoWaiting
	infoQuorate
	infoDevice // the device's state and word follow
	infoFlags  = infoDevice<<1 - 1
)

// Flags of a device.
const (
	deviceRegistered uint8 = 1 << iota
	deviceAlive
	deviceCast
	deviceMaster
	deviceFlags = deviceMaster<<1 - 1
)

const attemptLen = 8 + 4 // encoded proto.Attempt

func appendInfo(b []byte, f vote.Info, w word) []byte {
	flags := flag(f.TwoNode, infoTwoNode) | flag(f.WaitForAll, infoWaitForAll) | flag(f.LastMan, infoLastMan) |
		flag(f.Downscale, infoDownscale) | flag(f.Tracking, infoTracking) | flag(f.Waiting, infoWaiting) | flag(f.Quorate, infoQuorate)
	device := f.DeviceVotes != 0 || f.Device != vote.Device{} || w != word{}
	b = body.AppendU16(b, flags|flag(device, infoDevice))
	b = body.AppendU32(b, f.Votes)
	b = body.AppendU32(b, f.Expected)
	b = body.AppendU32(b, f.Quorum)
	b = body.AppendU32(b, f.Barrier)
	b = body.AppendU32(b, f.Tracked)
	if device {
		b = body.AppendU32(b, f.DeviceVotes)
		b = appendDevice(b, f.Device, w)
	}
	b = append(b, byte(f.Tie.Rule))
	b = body.AppendNodes(b, f.Tie.List)
	b = body.AppendU64(b, uint64(f.Primary.Epoch))
	b = body.AppendNodes(b, f.Primary.Members)
	b = body.AppendU32(b, uint32(len(f.Primary.Attempts)))
	for _, a := range f.Primary.Attempts {
		b = body.AppendU64(b, uint64(a.Epoch))
		b = body.AppendNode(b, a.Holder)
	}
	return b
}

func parseInfo(from proto.NodeID, b []byte) (vote.Info, word, error) {
	r := body.NewReader(b)
	flags := r.U16()
	if flags&^infoFlags != 0 {
		r.Fail("flags")
	}
	f := vote.Info{
		Node: from, TwoNode: flags&infoTwoNode != 0, WaitForAll: flags&infoWaitForAll != 0, LastMan: flags&infoLastMan != 0,
		Downscale: flags&infoDownscale != 0, Tracking: flags&infoTracking != 0, Waiting: flags&infoWaiting != 0,
		Quorate: flags&infoQuorate != 0,
		Votes:   r.U32(), Expected: r.U32(), Quorum: r.U32(), Barrier: r.U32(), Tracked: r.U32(),
	}
	var w word
	if flags&infoDevice != 0 {
		f.DeviceVotes = r.U32()
		f.Device, w = takeDevice(&r)
		if f.DeviceVotes == 0 && f.Device == (vote.Device{}) && w == (word{}) {
			r.Fail("device")
		}
	}
	f.Tie.Rule = vote.TieRule(r.U8())
	if !f.Tie.Rule.Valid() {
		r.Fail("tie rule")
	}
	f.Tie.List = r.Nodes()
	f.Primary = proto.Primary{Epoch: proto.Epoch(r.U64()), Members: r.Nodes()}
	for range r.Count(attemptLen) {
		f.Primary.Attempts = append(f.Primary.Attempts, proto.Attempt{Epoch: proto.Epoch(r.U64()), Holder: r.Node()})
	}
	return f, w, r.Close()
}

func appendDevice(b []byte, d vote.Device, w word) []byte {
	b = append(b, flag(d.Registered, deviceRegistered)|flag(d.Alive, deviceAlive)|flag(d.Cast, deviceCast)|flag(d.Master, deviceMaster))
	b = body.AppendU64(b, w.seq)
	return body.AppendShort(b, w.name)
}

func parseDevice(b []byte) (vote.Device, word, error) {
	r := body.NewReader(b)
	d, w := takeDevice(&r)
	return d, w, r.Close()
}

func takeDevice(r *body.Reader) (vote.Device, word) {
	flags := r.U8()
	if flags&^deviceFlags != 0 {
		r.Fail("device flags")
	}
	d := vote.Device{Registered: flags&deviceRegistered != 0, Alive: flags&deviceAlive != 0,
		Cast: flags&deviceCast != 0, Master: flags&deviceMaster != 0}
	w := word{seq: r.U64()}
	w.name = string(r.Short())
	return d, w
}

func appendRegister(b []byte, name string, master bool) []byte {
	return body.AppendBool(body.AppendShort(b, name), master)
}

func parseRegister(b []byte) (name string, master bool, err error) {
	r := body.NewReader(b)
	name, master = string(r.Short()), r.Bool()
	return name, master, r.Close()
}

func appendChange(b []byte, x vote.Change) []byte {
	b = append(b, byte(x.Kind))
	b = body.AppendNode(b, x.Node)
	return body.AppendU32(b, x.Value)
}

// parseChange reads what an operator may ask for.
func parseChange(b []byte) (vote.Change, error) {
	r := body.NewReader(b)
	x := vote.Change{Kind: vote.Kind(r.U8()), Node: r.Node(), Value: r.U32()}
	if x.Kind != vote.SetExpected && x.Kind != vote.SetVotes && x.Kind != vote.AllSeen {
		r.Fail("change")
	}
	return x, r.Close()
}

func flag[T uint8 | uint16](set bool, f T) T {
	if set {
		return f
	}
	return 0
}
