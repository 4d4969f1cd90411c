package cpg

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// loop is an executive of one node with room for one message, which deliver
// hands back.
type loop struct {
	s    *Service
	slot service.Slot
	m    service.Message
	wire []byte
}

func (x *loop) deliver() { x.s.Deliver(x.m) }

func (x *loop) Self() proto.NodeID                        { return 1 }
func (x *loop) Room(int) bool                             { return true }
func (x *loop) Local(service.Source) (service.Conn, bool) { return nil, false }
func (x *loop) After(time.Duration, func()) service.Timer { return nil }
func (x *loop) Now() time.Time                            { return time.Time{} }
func (x *loop) Nodes() service.NodeDirectory              { return nil }
func (x *loop) Log() *slog.Logger                         { return slog.New(slog.DiscardHandler) }
func (x *loop) Multicast(fn uint16, class service.MsgClass, level service.Level, src service.Source, b []byte) error {
	x.slot++
	x.wire = append(x.wire[:0], b...)
	x.m = service.Message{From: 1, Func: fn, Class: class, Level: level, Slot: x.slot, Src: src, Body: x.wire}
	return nil
}

// sink takes events and counts them.
type sink struct {
	id     uint64
	events int
}

func (c *sink) ID() uint64                          { return c.id }
func (c *sink) Cred() service.Cred                  { return service.Cred{} }
func (c *sink) Push(kind uint16, body []byte) error { c.events++; return nil }
func (c *sink) Close(error)                         {}

// load is one sender among some receivers of the same node.
func load(tb testing.TB, groups, receivers, size int) (*sink, func()) {
	s := New()
	x := &loop{s: s}
	if err := s.Start(x); err != nil {
		tb.Fatal(err)
	}
	var first service.Client
	var out *sink
	reply := func(code service.Code, _ []byte) {
		if code != service.OK {
			tb.Fatalf("code %d", code)
		}
	}
	id := uint64(0)
	for g := range groups {
		for range receivers {
			id++
			conn := &sink{id: id}
			c, err := s.Open(conn)
			if err != nil {
				tb.Fatal(err)
			}
			c.Call(service.Request{Func: CallJoin, Body: JoinRequest{Group: fmt.Appendf(nil, "group-%d", g), PID: uint32(id)}.AppendTo(nil), Reply: reply})
			x.deliver()
			if first == nil {
				first, out = c, conn
			}
		}
	}
	req := service.Request{Func: CallMcast, Body: McastRequest{Message: make([]byte, size)}.AppendTo(nil), Reply: reply}
	return out, func() {
		first.Call(req)
		x.deliver()
	}
}

func TestMcast_DoesNotAllocate(t *testing.T) {
	out, send := load(t, 3, 3, 100)
	before := out.events
	if n := testing.AllocsPerRun(1000, send); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
	if out.events-before != 1001 {
		t.Errorf("%d events for 1001 messages", out.events-before)
	}
}

func BenchmarkMcast(b *testing.B) {
	for _, receivers := range []int{1, 8} {
		for _, size := range []int{64, 1024} {
			b.Run(fmt.Sprintf("op=call+deliver/receivers=%d/bytes=%d", receivers, size), func(b *testing.B) {
				_, send := load(b, 100, receivers, size)
				b.ReportAllocs()
				for b.Loop() {
					send()
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			})
		}
	}
}
