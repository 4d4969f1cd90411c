package explore

import (
	"fmt"

	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/wire"
)

var typeNames = [...]string{wire.TypeData: "data", wire.TypeToken: "token", wire.TypeTokenAck: "ack", wire.TypeJoin: "join",
	wire.TypeCommit: "commit", wire.TypeProbe: "probe", wire.TypeWake: "wake", wire.TypeNotice: "notice"}

// describe is an action in words.
func (x *explorer) describe(a action) string {
	n := id(a.node)
	switch a.kind {
	case actDeliver:
		return fmt.Sprintf("node %d takes %s", n, x.frameText(a.arg))
	case actTimer:
		return fmt.Sprintf("node %d: timer %v", n, totem.Timer(a.arg))
	case actPersisted:
		return fmt.Sprintf("node %d: disk answers", n)
	case actSubmit:
		return fmt.Sprintf("node %d: submit %s", n, [...]string{"agreed", "safe", "large"}[a.arg])
	case actCrash:
		return fmt.Sprintf("node %d crashes%s", n, [...]string{"", ", its record was written"}[a.arg])
	case actRestart:
		return fmt.Sprintf("node %d starts again", n)
	case actCut:
		return fmt.Sprintf("network is cut: %03b", a.arg)
	case actHeal:
		return "network heals"
	case actLinkDown:
		return fmt.Sprintf("node %d: link to node %d is down", n, a.arg+1)
	}
	return "?"
}

func (x *explorer) frameText(i int32) string {
	f := &x.frames[i]
	s := fmt.Sprintf("%s of node %d", typeNames[f.kind], id(f.from))
	_, body, err := wire.ParseHeader(f.packet.Frame)
	if err != nil {
		return s
	}
	switch f.kind {
	case wire.TypeData:
		if d, err := wire.ParseData(body); err == nil {
			s += fmt.Sprintf(" ring %v slot %d origin %d", f.ring, d.Slot, d.Origin)
		}
	case wire.TypeToken:
		if t, err := wire.ParseToken(body); err == nil {
			s += fmt.Sprintf(" ring %v no %d seq %d aru %d(%d) stable %d rtr %v fl %x", f.ring, t.TokenSeq, t.Seq, t.Aru, t.AruOwner, t.Stable, t.Rtr, t.Flags)
		}
	case wire.TypeTokenAck:
		s += fmt.Sprintf(" ring %v no %d", f.ring, f.seq)
	case wire.TypeJoin:
		if j, err := wire.ParseJoin(body, x.table); err == nil {
			s += fmt.Sprintf(" proc %v fail %v heard %v seq %d max %d", j.Proc, j.Fail, j.Heard, j.RingSeq, j.MaxSeen)
		}
	case wire.TypeCommit:
		if c, err := wire.ParseCommit(body, x.table); err == nil {
			s += fmt.Sprintf(" ring %v no %d phase %d", f.ring, c.TokenSeq, c.Phase)
		}
	case wire.TypeProbe:
		s += fmt.Sprintf(" ring %v", f.ring)
	}
	return s
}
