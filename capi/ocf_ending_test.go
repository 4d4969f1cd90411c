package capi_test

import (
	"math/rand/v2"
	"net"
	"testing"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/service"
)

// Who registers or subscribes while the agent ends in order is refused as if it had
// ended (cluster events H12 and H18).
func TestEvents_AgentIsAboutToEnd(t *testing.T) {
	reply := func(q frame.Call) (service.Code, []byte) {
		if q.Func == events.CallOpen {
			return service.OK, events.OpenReply{Self: 1, Configured: 1}.AppendTo(nil)
		}
		return service.ErrAgain, nil
	}
	allRight(t, pretendTo(t, eventProgram(t, memory, "_oc_event", "testdata/ending.c"), 1, func(_ int, sock net.Conn) {
		l := liar{random: rand.New(rand.NewPCG(1, 16)), sock: sock, packet: frame.MaxPacket, reply: reply}
		l.serve(nil)
	}))
}
