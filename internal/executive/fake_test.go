package executive

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// fakeEngine orders what is submitted at once, as a ring does whose other
// members say what the test makes them say. Messages of classes below control
// wait for Release.
type fakeEngine struct {
	ring     RingID
	slot     proto.Slot
	self     NodeID
	out      totem.Output
	held     []fakeMessage
	free     bool // released
	full     bool // Submit finds no room
	consumed int
	released []RingID

	distrusted []RingID
	reconfigs  []totem.Reconfig
	answered   []totem.Tag
	heard      []NodeID
	links      []totem.LinkState
	dropped    int
	stopped    totem.StopReason
	status     totem.Status
}

type fakeMessage struct {
	from  NodeID
	class totem.Class
	safe  bool
	body  []byte
}

func (e *fakeEngine) Step(proto.Tick, totem.Packet) error { return nil }

func (e *fakeEngine) Submit(_ proto.Tick, body []byte, class totem.Class, safe bool, _ uint64) (uint64, error) {
	if e.full {
		return 0, totem.ErrBusy
	}
	if len(body) > 1<<20+4096 {
		return 0, totem.ErrTooBig
	}
	m := fakeMessage{e.self, class, safe, slices.Clone(body)}
	if class != totem.Control && !e.free {
		e.held = append(e.held, m)
	} else {
		e.order(m)
	}
	return 1, nil
}

// order puts one message into the order.
func (e *fakeEngine) order(m fakeMessage) {
	e.slot++
	e.out.Events = append(e.out.Events, &totem.Delivery{Ring: e.ring, Slot: e.slot, From: m.from, Class: m.class, Safe: m.safe, Body: m.body})
}

func (e *fakeEngine) Take() totem.Output {
	o := e.out
	e.out = totem.Output{Room: o.Room, Stop: e.stopped}
	o.Stop = e.stopped
	return o
}

func (e *fakeEngine) Release(_ proto.Tick, r RingID) {
	e.released = append(e.released, r)
	e.free = true
	for _, m := range e.held {
		e.order(m)
	}
	e.held = nil
}

func (e *fakeEngine) Advance(proto.Tick) {}
func (e *fakeEngine) Persisted(_ proto.Tick, t totem.Tag, err error) {
	e.answered = append(e.answered, t)
	if err != nil {
		e.stopped = totem.StopPersistFailed
	}
}
func (e *fakeEngine) Heard(_ proto.Tick, n NodeID, _ uint64)    { e.heard = append(e.heard, n) }
func (e *fakeEngine) LinkState(_ proto.Tick, s totem.LinkState) { e.links = append(e.links, s) }
func (e *fakeEngine) Consumed(_ proto.Tick, n int)              { e.consumed += n }
func (e *fakeEngine) Dropped(_ proto.Tick, n int)               { e.dropped += n }
func (e *fakeEngine) Reconfig(_ proto.Tick, r totem.Reconfig) error {
	e.reconfigs = append(e.reconfigs, r)
	return nil
}
func (e *fakeEngine) Leave(proto.Tick)                     { e.stopped = totem.StopLeft }
func (e *fakeEngine) Distrust(_ proto.Tick, r RingID)      { e.distrusted = append(e.distrusted, r) }
func (e *fakeEngine) Quorum(proto.Tick, totem.QuorumState) {}
func (e *fakeEngine) Readmit(proto.Tick, NodeID) error     { return nil }

func (e *fakeEngine) Conflict(_ proto.Tick, r totem.StopReason) { e.stopped = r }
func (e *fakeEngine) Status() totem.Status                      { return e.status }
func (e *fakeEngine) CommittedSeq() uint64                      { return e.ring.Seq }
func (e *fakeEngine) TokenFirst() bool                          { return false }

// form announces a ring, with a transitional configuration if there was one
// before.
func (e *fakeEngine) form(seq uint64, trans []NodeID, members ...NodeID) {
	prev := e.ring
	e.ring, e.slot, e.free = RingID{Seq: seq, Rep: members[0], Inc: 1}, 0, false
	if !prev.IsZero() {
		e.out.Events = append(e.out.Events, &totem.Configuration{Kind: totem.Transitional, Ring: e.ring, Prev: prev, Members: trans, Trans: trans})
	}
	e.out.Events = append(e.out.Events, &totem.Configuration{Kind: totem.Regular, Ring: e.ring, Prev: prev, Members: members, Trans: trans})
}

// fakeSessions opens every datagram.
type fakeSessions struct {
	out    seal.Output
	sealed int
	peers  []seal.Peer
}

func (s *fakeSessions) Open(_ proto.Tick, d seal.Datagram) (seal.Opened, bool) {
	return seal.Opened{From: 2, Inc: 1, Frame: d.Data}, true
}
func (s *fakeSessions) SealFrame(link uint8, _ bool, max int, frame []byte, dst [][]byte) [][]byte {
	s.sealed++
	return append(dst, frame)
}
func (s *fakeSessions) Reset() {}
func (s *fakeSessions) Route(to NodeID, every bool) []uint8 {
	if every {
		return []uint8{0, 1}
	}
	return []uint8{0}
}
func (s *fakeSessions) Addr(to NodeID, link uint8, control bool) netip.AddrPort { return address(to) }
func (s *fakeSessions) Unreachable(proto.Tick, NodeID, uint8)                   {}
func (s *fakeSessions) SetCommitted(uint64)                                     {}
func (*fakeSessions) SetMTU(proto.Tick, uint8, int)                             {}
func (s *fakeSessions) SetPing(proto.Tick, proto.Tick)                          {}
func (s *fakeSessions) SetPeers(_ proto.Tick, p []seal.Peer, table uint32) error {
	s.peers = p
	return nil
}
func (s *fakeSessions) Advance(proto.Tick) {}
func (s *fakeSessions) Take() seal.Output {
	o := s.out
	s.out = seal.Output{}
	return o
}
func (s *fakeSessions) Counters() []seal.Counter  { return nil }
func (s *fakeSessions) Status() []seal.LinkStatus { return nil }

// rig is one Core on fakes.
type rig struct {
	*Core
	t        testing.TB
	engine   *fakeEngine
	sessions *fakeSessions
	services []service.Service
	sent     [][]seal.Datagram
	saves    []store.Record
	tag      totem.Tag
	now      proto.Tick
}

func (r *rig) Send(d []seal.Datagram)               { r.sent = append(r.sent, slices.Clone(d)) }
func (r *rig) Save(tag totem.Tag, rec store.Record) { r.tag, r.saves = tag, append(r.saves, rec) }

// newRig makes node 1 of three with these services.
func newRig(t testing.TB, services ...service.Service) *rig {
	r := &rig{t: t, services: services}
	c := Config{
		Seal:   seal.Config{Self: 1, Inc: 7},
		Totem:  totem.Config{Self: 1, Inc: 7, Nodes: []totem.Node{{ID: 1, Votes: 1}, {ID: 2, Votes: 1}, {ID: 3, Votes: 1}}},
		Record: store.Record{Node: 1, Inc: 7}, NewSalt: func() uint64 { return 1 }, Wall: time.Unix(0, 0),
		newEngine: func(proto.Tick, totem.Config) (engine, error) {
			r.engine = &fakeEngine{self: 1, status: totem.Status{TokenTimeout: proto.Second}}
			return r.engine, nil
		},
		newSessions: func(proto.Tick, seal.Config) (sessions, error) {
			r.sessions = &fakeSessions{}
			return r.sessions, nil
		},
	}
	for _, s := range services {
		c.Services = append(c.Services, func() service.Service { return s })
	}
	core, err := New(0, c, r)
	if err != nil {
		t.Fatal(err)
	}
	r.Core = core
	return r
}

// flush works until nothing is left.
func (r *rig) flush() { r.Core.Flush(r.now) }

// advance lets time pass and works.
func (r *rig) advance(d proto.Tick) {
	r.now += d
	r.Core.Advance(r.now)
	r.flush()
}

// alone forms a ring of this node and ends its round.
func (r *rig) alone(seq uint64) {
	r.t.Helper()
	r.engine.form(seq, []NodeID{1}, 1)
	r.flush()
	if !r.round.ready {
		r.t.Fatalf("the round of a ring of one does not end: %+v", r.sync.Status())
	}
}

// deliver puts a message of a service into the order, as if node from had sent
// it.
func (r *rig) deliver(from NodeID, h header, body string) {
	h.kind = kindNormal
	r.engine.order(fakeMessage{from: from, class: totem.Normal, body: append(h.append(nil, from), body...)})
}

// quorum is a quorum service that decides what the test says.
type quorum struct {
	x       service.Executive
	state   service.QuorumState
	current []service.Currency
	calls   []string
}

func (q *quorum) Info() service.Info {
	return service.Info{Name: "quorum", ID: 1, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true,
		Calls: []service.Call{{Name: "get", Local: true}}}
}
func (q *quorum) Start(x service.Executive) error { q.x = x; return nil }
func (q *quorum) Stop()                           {}
func (q *quorum) Deliver(service.Message)         {}
func (q *quorum) ConfigChange(c service.ConfigChange) {
	q.calls = append(q.calls, fmt.Sprint(c.Kind, c.Primary))
}
func (q *quorum) SyncDigest() service.Digest                { return service.Digest{} }
func (q *quorum) SyncInit(r service.Round)                  { q.state.Ring = r.Ring }
func (q *quorum) SyncProcess(int) (bool, error)             { return true, nil }
func (q *quorum) SyncActivate()                             { q.decide(q.state.Quorate) }
func (q *quorum) SyncAbort(error)                           {}
func (q *quorum) Current(c service.Currency)                { q.current = append(q.current, c) }
func (q *quorum) Open(service.Conn) (service.Client, error) { return nil, service.ErrAccess }

// decide shows a decision.
func (q *quorum) decide(quorate bool) {
	q.state.Quorate = quorate
	q.x.(service.QuorumKeeper).Decided(q.state)
}
