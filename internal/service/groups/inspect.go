package groups

import (
	"fmt"

	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// Contents is what an ordered message says besides the call that caused it, for
// those who watch the service without being part of it.
type Contents struct {
	Says      string // form, timeout, gone, script, responsive; empty: a call of a client, or nothing that concerns groups
	Term      uint64 // ring in which its sender came into the domain; zero: with its beginning
	Group     string
	Seq       uint64 // of the protocol
	Phase     uint32
	Instances []int16 // at the sender
	Bits      uint32  // of a script's result
	OK        bool    // of a check
}

// Inspect reads a message.
func Inspect(m *service.Message) (c Contents, err error) {
	if m.Class != service.Normal {
		return c, nil
	}
	if m.Func == msgForm {
		return Contents{Says: "form"}, nil
	}
	r := body.NewReader(m.Body)
	h := takeHead(&r)
	c.Term, c.Group = h.term, h.group
	switch m.Func {
	case msgJoin, msgPropose, msgVote, msgGoodbye, msgAdapters:
		return c, nil
	case msgTimeout:
		l := takeLate(&r)
		c.Says, c.Seq, c.Phase, c.Instances = "timeout", l.seq, l.phase, l.instances
	case msgGone:
		c.Says = "gone"
	case msgScript:
		c.Says, c.Instances, c.Seq, c.Bits = "script", []int16{int16(r.U16())}, r.U64(), r.U32()
	case msgResponsive:
		c.Says, c.OK = "responsive", r.Bool()
	default:
		return c, fmt.Errorf("groups: unknown message %d", m.Func)
	}
	return c, r.Close()
}
