package executive

import (
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// echo multicasts what its clients say and pushes what it is delivered.
type echo struct {
	x     service.Executive
	conns []service.Conn
	n     int
}

func (s *echo) Info() service.Info {
	return service.Info{Name: "echo", ID: 5, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true, Calls: []service.Call{{Name: "say", Flow: true}}}
}
func (s *echo) Start(x service.Executive) error   { s.x = x; return nil }
func (s *echo) Stop()                             {}
func (s *echo) ConfigChange(service.ConfigChange) {}
func (s *echo) Closed()                           {}
func (s *echo) Open(c service.Conn) (service.Client, error) {
	s.conns = append(s.conns, c)
	return s, nil
}
func (s *echo) Call(r service.Request) {
	src := service.Source{Node: s.x.Self(), Conn: s.conns[0].ID(), Tag: r.Tag}
	r.Reply(service.CodeOf(s.x.Multicast(1, service.Normal, service.Agreed, src, r.Body)), nil)
}
func (s *echo) Deliver(m service.Message) {
	s.n++
	for _, c := range s.conns {
		if err := c.Push(1, m.Body); err != nil {
			panic(err)
		}
	}
}

// drain is a sink that takes what it gets at once.
type drain struct{ h *Handle }

func (k *drain) Push(uint16, []byte) { k.h.Taken(1) }
func (k *drain) Flow(bool)           {}
func (k *drain) Closed(error)        {}

// deliveries is a rig whose engine delivers n messages with each Take.
func deliveries(t testing.TB, n int) (*rig, *echo, func()) {
	s := &echo{}
	r := newRig(t, s)
	r.alone(4)
	k := &drain{}
	k.h, _ = r.Open(5, service.Cred{}, k)
	body := append((&header{kind: kindNormal, service: 5, fn: 1, src: service.Source{Node: 2, Conn: 3, Tag: 9}}).append(nil, 2), make([]byte, 100)...)
	var events []totem.Event
	for i := range n {
		events = append(events, &totem.Delivery{Ring: r.ring, Slot: proto.Slot(i), From: 2, Body: body})
	}
	return r, s, func() {
		r.engine.out.Events = events
		r.flush()
	}
}

func TestDeliveryDoesNotAllocate(t *testing.T) {
	r, s, run := deliveries(t, 64)
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations for 64 deliveries", n)
	}
	if s.n == 0 || r.engine.consumed == 0 {
		t.Error("nothing was delivered")
	}
}

func TestSendingDoesNotAllocate(t *testing.T) {
	r := newRig(t)
	r.alone(4)
	r.sent = make([][]seal.Datagram, 0, 1<<16)
	sessions := &quietSessions{}
	r.Core.sessions = sessions
	frames := make([]totem.Outgoing, 32)
	for i := range frames {
		frames[i] = totem.Outgoing{To: totem.Dest{Scope: totem.ToRing, Nodes: []NodeID{2, 3}}, Kind: totem.TrafficData, Frame: make([]byte, 1000)}
	}
	r.Core.env = silent{}
	n := testing.AllocsPerRun(100, func() {
		r.engine.out.Send = frames
		r.flush()
	})
	if n != 0 {
		t.Errorf("%v allocations for 32 frames to two nodes", n)
	}
}

// quietSessions gives out one slice again and again.
type quietSessions struct {
	fakeSessions
	links []uint8
}

func (s *quietSessions) Route(NodeID, bool) []uint8 {
	if s.links == nil {
		s.links = []uint8{0}
	}
	return s.links
}

// silent is an Env that does nothing.
type silent struct{ Env }

func (silent) Send([]seal.Datagram) {}

func BenchmarkDeliver(b *testing.B) {
	_, _, run := deliveries(b, 64)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
	b.ReportMetric(64*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkRingOfOne goes the whole way of a message but for the wire: call,
// engine, delivery, push.
func BenchmarkRingOfOne(b *testing.B) {
	w := &world{t: nil, nodes: map[NodeID]*member{}, order: []NodeID{1}, cut: func(_, _ NodeID) bool { return false }}
	m := &member{w: w, id: 1, clock: 1}
	w.nodes[1] = m
	s := &echo{}
	m.disk.Node, m.disk.Inc = 1, 1
	c := m.config()
	c.Services = []func() service.Service{func() service.Service { return s }}
	core, err := New(0, c, m)
	if err != nil {
		b.Fatal(err)
	}
	m.core = core
	core.Flush(0)
	for !core.Ready() {
		w.step(proto.Tick(60 * proto.Second))
	}
	k := &drain{}
	k.h, _ = core.Open(5, service.Cred{}, k)
	body := make([]byte, 100)
	reply := func(service.Code, []byte) {}
	b.ReportAllocs()
	for b.Loop() {
		w.now += proto.Microsecond
		for range 64 {
			if err := k.h.Call(0, 1, body, reply); err != nil {
				b.Fatal(err)
			}
		}
		core.Flush(w.now)
	}
	b.ReportMetric(64*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	if s.n < 64*b.N {
		b.Errorf("%d of %d messages delivered", s.n, 64*b.N)
	}
}
