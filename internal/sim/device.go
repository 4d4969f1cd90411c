package sim

import (
	"time"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/service"
)

// Times of the quorum device, short enough for many of them in a run.
const (
	deviceTimeout = 3 * time.Second
	deviceSync    = 4 * time.Second
	devicePoll    = sec
)

// device is the program at one node that speaks for the quorum device, and the
// operator's tool.
type device struct {
	f       *full
	h       *executive.Handle
	tag     uint64
	began   bool
	ring    RingID // of the last list of nodes
	pending bool   // a poll is on its way
	taken   int    // events that it got and did not take yet
	retry   Tick
}

// act connects, registers and tracks the rings. It reports whether it did
// anything.
func (d *device) act() bool {
	f := d.f
	if n := d.taken; n > 0 && d.h != nil {
		d.taken = 0
		d.h.Taken(n)
	}
	if f.m.w.plan.Quorum.Device == 0 || d.began || !d.connect() {
		return false
	}
	d.began = true
	d.call(quorum.CallVotesStart, quorum.TrackRequest{Flags: quorum.TrackChanges}.AppendTo(nil))
	d.call(quorum.CallRegister, quorum.DeviceRequest{Name: "simulated"}.AppendTo(nil))
	return true
}

func (d *device) connect() bool {
	f := d.f
	if now := f.m.w.now; d.h == nil && now >= d.retry && f.core != nil && !f.gone() && f.core.Ready() {
		d.retry = now + 20*ms
		if h, code := f.core.Open(quorum.ID, service.Cred{}, (*deviceSink)(d)); code == service.OK {
			d.h = h
		}
	}
	return d.h != nil
}

func (d *device) call(fn uint16, body []byte) {
	d.tag++
	_ = d.h.Call(fn, d.tag, body, func(service.Code, []byte) {})
}

// operate is what an operator does.
func (d *device) operate(a *Action) {
	switch value := uint32(a.N); {
	case !d.connect():
	case a.Do == DoVotes:
		d.call(quorum.CallSetVotes, quorum.NumberRequest{Node: a.B, Value: value}.AppendTo(nil))
	case value == 0:
		d.call(quorum.CallAllSeen, nil)
	default:
		d.call(quorum.CallSetExpected, quorum.NumberRequest{Value: value}.AppendTo(nil))
	}
}

// soon polls after a while, as long as the way to the device is.
func (d *device) soon(in Tick) {
	if m := d.f.m; !d.pending {
		d.pending = true
		m.w.queue.push(event{at: m.w.now + in, kind: evPing, a: int32(m.i), b: int32(m.starts)})
	}
}

// poll tells the member what the device thinks of its ring, and at times of the
// ring before, which does not count any more.
func (d *device) poll() {
	if d.h == nil || d.f.gone() {
		return
	}
	d.pending = false
	defer d.soon(devicePoll)
	w := d.f.m.w
	if !d.f.m.client {
		return // it hangs, as other clients do
	}
	d.call(quorum.CallPoll, quorum.PollRequest{Name: "simulated", Cast: w.arbiter.votes(w, d.f.m, d.ring), Ring: d.ring}.AppendTo(nil))
	if granted := w.arbiter.ring; granted != d.ring {
		d.call(quorum.CallPoll, quorum.PollRequest{Name: "simulated", Cast: true, Ring: granted}.AppendTo(nil))
	}
}

// deviceSink is the program's side of its connection.
type deviceSink device

// Push implements executive.Sink.
func (s *deviceSink) Push(kind uint16, body []byte) {
	d := (*device)(s)
	if kind == quorum.EventNodelist {
		if e, err := quorum.ParseNodelist(body); err == nil {
			d.ring = e.Ring
			d.soon(d.f.rnd.log(ms, 200*ms))
		}
	}
	d.taken++
}

// Flow implements executive.Sink.
func (s *deviceSink) Flow(bool) {}

// Closed implements executive.Sink.
func (s *deviceSink) Closed(error) { s.h, s.began, s.taken = nil, false, 0 }

// arbiter is the quorum device itself: it votes for the members of one ring, and
// for those of another when that one can not be whole any more. What the
// outside sees of the nodes it knows at once; a real one needs time, and waits.
type arbiter struct {
	ring  RingID
	lives []arbiterLife
}

type arbiterLife struct {
	m    *member
	life Life
}

// votes reports whether the device votes for a member in a ring.
func (a *arbiter) votes(w *world, m *member, ring RingID) bool {
	if ring == a.ring {
		return true
	}
	if m.ring != ring || !a.over() {
		return false
	}
	a.ring, a.lives = ring, a.lives[:0]
	for _, id := range m.members {
		n := w.nodes[w.index[id]]
		a.lives = append(a.lives, arbiterLife{n, n.life})
	}
	return true
}

// over reports whether some member of the ring is dead, or has gone on.
func (a *arbiter) over() bool {
	for _, l := range a.lives {
		if l.m.proc == nil || l.m.life != l.life || l.m.ring.Seq >= a.ring.Seq && l.m.ring != a.ring {
			return true
		}
	}
	return len(a.lives) == 0
}
