package totem

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/wire"
)

// needsDisk makes the next promise of a node wait for a write that takes d.
func (l *lab) needsDisk(x *labNode, d Tick) {
	x.saveDelay = d
	x.seqBound, x.durableBound = x.committedSeq, x.committedSeq
}

func (l *lab) gather(x *labNode) {
	x.gather(ReasonTokenLost, 0)
	l.flush(x)
}

func (l *lab) logged(text string) bool {
	return slices.ContainsFunc(l.log, func(s string) bool { return strings.Contains(s, text) })
}

// A member that does not see that it gets nothing is left behind by the others
// (ordering 2.10).
func TestDeafPeer(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	l.node(3).t.FailToReceive = 1000 * sec
	l.drop = func(_, to NodeID, o Outgoing) bool {
		return to == 3 && (o.Kind == TrafficData || o.Kind == TrafficRetransmit)
	}
	l.submit(1, "x", false)
	at := l.now
	l.until(10*sec, "gone on without node 3", l.formed(1, 2))
	if !l.logged("peer-deaf") {
		t.Error(strings.Join(l.log, "\n"))
	}
	if took := l.now - at; took < 3*sec || took > 5*sec {
		t.Errorf("left behind after %v, want 1.5 times 2 s and a gather", took)
	}
	l.drop = nil
	l.until(20*sec, "together again", l.formed(1, 2, 3))
}

// Nobody answers and the disk does not either: Joins become rare (ordering 2.19
// H9). What is learnt meanwhile counts for the ring seq.
func TestGather_AloneForLong(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	x := l.node(1)
	l.node(2).down, l.node(3).down = true, true
	l.needsDisk(x, 100*sec)
	joins := 0
	l.drop = func(from, to NodeID, o Outgoing) bool {
		if from == 1 && to == 2 && wire.FrameType(o.Frame) == wire.TypeJoin {
			joins++
		}
		return false
	}
	l.gather(x)
	count := func(d Tick) int {
		joins = 0
		l.run(d)
		return joins
	}
	if n := count(20 * sec); n < 300 {
		t.Errorf("%d Joins in the first 20 s", n)
	}
	l.run(15 * sec)
	if n := count(10 * sec); n < 8 || n > 20 {
		t.Errorf("%d Joins in 10 s after half a minute, want one a second and one each consensus time", n)
	}
	l.run(20 * sec)
	if n := count(20 * sec); n < 3 || n > 22 {
		t.Errorf("%d Joins in 20 s after a minute, want one in five seconds and one each consensus time", n)
	}
	if x.state != Gather {
		t.Fatalf("state %v while the promise is not on disk", x.state)
	}
	j := wire.Join{MaxSeen: x.maxSeen + 1000, Proc: []wire.Member{{ID: 3, Inc: 1000}}, Fail: []NodeID{1}}
	if err := l.told(x, 3, 1000, wire.AppendJoin(nil, x.header(RingID{}), j, x.table)); err != nil {
		t.Fatal(err)
	}
	x.saveDelay = 0
	l.until(200*sec, "operational", func() bool { return x.state == Operational })
	if x.ring.id.Seq <= j.MaxSeen {
		t.Errorf("ring %v, somebody has seen %d", x.ring.id, j.MaxSeen)
	}
}

// Others may know nodes that are not configured here; they do not count.
func TestGather_NodesThatAreNotConfigured(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	x := l.node(2)
	l.gather(x)
	proc := append(slices.Clone(x.proc), wire.Member{ID: 77, Inc: 5})
	j := wire.Join{RingSeq: x.committedSeq, MaxSeen: x.maxSeen, Proc: proc, Fail: []NodeID{78}}
	if err := l.told(x, 1, 1000, wire.AppendJoin(nil, x.header(x.ringID()), j, x.table)); err != nil {
		t.Fatal(err)
	}
	if len(x.proc) != 3 || len(x.fail) != 0 {
		t.Errorf("proc %v fail %v", x.proc, x.fail)
	}
	l.until(2*sec, "formed again", l.formed(1, 2, 3))
}

// An incarnation that was found not to speak is not believed again from others.
func TestGather_DeniedIncarnation(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	x := l.node(2)
	x.peer(3).denied = 5000
	l.gather(x)
	for _, tt := range []struct{ told, want uint64 }{{4000, 1000}, {5000, 1000}, {6000, 6000}} {
		proc := slices.Clone(l.node(1).ring.members)
		proc[2].Inc = tt.told
		j := wire.Join{RingSeq: x.committedSeq, MaxSeen: x.maxSeen, Proc: proc}
		if err := l.told(x, 1, 1000, wire.AppendJoin(nil, x.header(x.ringID()), j, x.table)); err != nil {
			t.Fatal(err)
		}
		if i, _ := find(x.proc, 3); x.proc[i].Inc != tt.want {
			t.Errorf("incarnation %d is told of: %d is taken", tt.told, x.proc[i].Inc)
		}
	}
}

// Frames of another ring make a ring gather, but not again and again: once in the
// pause of ordering 2.17.
func TestForeignFrames(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	l.node(3).down = true
	l.until(5*sec, "formed", l.formed(1, 2))
	x := l.node(2)
	frame := func() []byte {
		return wire.AppendDataHead(nil, x.header(RingID{Seq: x.committedSeq + 4, Rep: 3, Inc: 1000}), wire.Data{Slot: 1, Origin: 3, OriginInc: 1000})
	}
	var rings []RingID
	for range 20 {
		if err := l.told(x, 3, 1000, frame()); err != nil {
			t.Fatal(err)
		}
		l.until(5*sec, "formed again", l.formed(1, 2))
		if id := x.ring.id; !slices.Contains(rings, id) {
			rings = append(rings, id)
		}
		l.run(100 * ms)
	}
	if !l.logged("foreign") {
		t.Error("a frame of another ring had no effect")
	}
	if len(rings) > 3 {
		t.Errorf("%d rings in %v: %v", len(rings), 2*sec, rings)
	}
}

// A merge that would come too early after the last one is put off, not forgotten.
func TestMerge_PutOff(t *testing.T) {
	l := newLab(t, 3, nil)
	l.node(3).down = true
	l.until(5*sec, "formed", l.formed(1, 2))
	l.run(sec)
	x := l.node(1)
	ring, at := x.ring.id, l.now
	x.lastPeers, x.notBefore = []NodeID{3}, l.now+5*sec
	x.merging = []NodeID{3}
	x.arm(timerMergeHold, l.now)
	x.Advance(l.now)
	l.flush(x)
	l.run(4900 * ms)
	if x.state != Operational || x.ring.id != ring {
		t.Fatalf("the ring was left after %v", l.now-at)
	}
	l.until(sec, "the attempt", func() bool { return x.state != Operational })
	l.until(5*sec, "formed again", l.formed(1, 2))
}

// An ordered control message that makes no sense ends no ring.
func TestOrdered_Malformed(t *testing.T) {
	l := newLab(t, 2, nil)
	l.until(2*sec, "formed", l.formed(1, 2))
	x := l.node(2)
	ring := x.ring
	for _, body := range [][]byte{nil, {orderMerge}, {orderMerge, 200, 0, 1}, {orderMerge, 2, 0, 1, 2},
		{orderMerge, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0},                 // another ring
		{9, 8, 0, byte(ring.id.Seq), 0, 0, 0, 0, 0, 0, 0},          // another order
		{orderMerge, 8, 0, byte(ring.id.Seq), 0, 0, 0, 0, 0, 0, 0}, // nobody to merge with
		{orderMerge, 12, 0, byte(ring.id.Seq), 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0},
	} {
		x.ordered(ring, 1, body)
		x.ordered(nil, 1, body)
		if x.state != Operational || x.ring != ring {
			t.Fatalf("%x ended the ring", body)
		}
	}
}

// Leaving works in every state, and twice is once.
func TestLeave_InEveryState(t *testing.T) {
	for _, state := range []State{Idle, Gather, Commit, Recovery, Operational} {
		t.Run(state.String(), func(t *testing.T) {
			l := newLab(t, 3, nil)
			x := l.node(2)
			if state != Idle {
				l.until(2*sec, "formed", l.formed(1, 2, 3))
			}
			if state != Idle && state != Operational {
				l.gather(l.node(1))
				l.until(2*sec, state.String(), func() bool { return x.state == state })
			}
			at := l.now
			x.Leave(l.now)
			x.Leave(l.now)
			l.flush(x)
			l.until(200*ms, "stopped", func() bool { return x.Take().Stop == StopLeft })
			if l.now-at > 35*ms {
				t.Errorf("it took %v", l.now-at)
			}
			l.until(4*sec, "a ring of the others", l.formed(1, 3))
		})
	}
	t.Run("nobody else is configured", func(t *testing.T) {
		l := newLab(t, 1, nil)
		l.until(2*sec, "formed", l.formed(1))
		l.node(1).Leave(l.now)
		if o := l.node(1).Take(); o.Stop != StopLeft {
			t.Errorf("%v", o.Stop)
		}
	})
}

// A process that did not run while it left, or gathered, does nothing foolish.
func TestPause_InGatherAndLeaving(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	x := l.node(2)
	l.needsDisk(x, 100*sec) // so that it stays in gather
	l.node(1).down, l.node(3).down = true, true
	l.gather(x)
	settle, consensus := x.timers[timerSettle], x.timers[timerConsensus]
	x.Heard(l.now+700*ms, 1, 1000) // no more than half a token time is not seen
	if x.timers[timerSettle] == settle || x.timers[timerConsensus] == consensus || x.settled {
		t.Error("nobody was silent while this process did not run, and the timers go on")
	}
	x.Leave(x.now)
	for range 3 {
		x.Advance(x.now + 10*sec)
	}
	if s := x.Status().Stop; s != StopLeft {
		t.Errorf("%v", s)
	}
}

// A message whose beginning this member does not hold is not delivered, and one
// that grows beyond the largest neither.
func TestDeliver_HalfMessages(t *testing.T) {
	l := newLab(t, 2, func(c *Config) { c.Limits.MaxMessage = 3000 })
	l.until(2*sec, "formed", l.formed(1, 2))
	l.run(sec)
	x := l.node(2)
	x.got = nil
	slot := x.ring.win.high
	piece := func(k, no uint64, last bool, size int) {
		slot++
		p := wire.Piece{K: k, No: no, Flags: uint8(Normal) << 4, Body: make([]byte, size)}
		if last {
			p.Flags |= wire.PieceLast
		}
		f := wire.AppendDataHead(nil, x.header(x.ring.id), wire.Data{Slot: slot, Origin: 1, OriginInc: 1000})
		f = wire.AppendPiece(f, p)
		wire.PatchDataCount(f, 1)
		if err := l.told(x, 1, 1000, f); err != nil {
			t.Fatal(err)
		}
	}
	bad := x.stats.BadData
	piece(501, 3, true, 10)  // no beginning
	piece(502, 0, false, 10) // a beginning,
	piece(503, 1, false, 10) // and another message goes on
	piece(502, 1, true, 10)  // too late
	piece(504, 0, false, 1000)
	piece(504, 1, false, 1300)
	piece(504, 2, true, 1300) // too large
	piece(505, 0, false, 1000)
	piece(505, 1, true, 1000)
	if got := deliveries(x.got); len(got) != 1 {
		t.Errorf("delivered %v", got)
	}
	if n := x.stats.BadData - bad; n != 4 {
		t.Errorf("%d bad pieces were counted", n)
	}
	// No token covers those slots, so the ring ends, and the next one works.
	l.until(5*sec, "formed again", func() bool { return l.formed(1, 2)() && x.ring.id.Seq > 5 })
	if !l.logged("order-conflict") {
		t.Error("slots that no token covers were not noticed")
	}
}

// Held tells checkers what a member holds of its rings.
func TestHeld(t *testing.T) {
	l := newLab(t, 2, nil)
	l.until(2*sec, "formed", l.formed(1, 2))
	l.submit(1, "x", true)
	l.run(sec)
	x := l.node(2)
	id, high := x.ring.id, x.ring.win.high
	if aru, known := x.Held(id); !known || aru != high {
		t.Errorf("%d %v, want %d", aru, known, high)
	}
	l.gather(x)
	if aru, known := x.Held(id); !known || aru != high {
		t.Errorf("of the old ring: %d %v, want %d", aru, known, high)
	}
	if _, known := x.Held(RingID{Seq: 999, Rep: 1}); known {
		t.Error("a ring of somebody else is known")
	}
}

// In recovery a frame that is wrapped and spoilt fills no slot of the old ring.
func TestRecovery_SpoiltInnerFrame(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	x := l.node(2)
	l.gather(l.node(1))
	l.until(2*sec, "recovery", func() bool { return x.state == Recovery })
	x.ring.wrapped += 3
	held := x.old.win.high
	for i, inner := range [][]byte{
		{1, 2, 3},
		wire.AppendDataHead(nil, x.header(x.old.id), wire.Data{})[:wire.HeaderLen+3],
		wire.AppendDataHead(nil, x.header(RingID{Seq: 77, Rep: 1}), wire.Data{Slot: held + 1, Origin: 1, OriginInc: 1000}),
	} {
		h := x.header(x.ring.id)
		h.Flags = wire.FlagEncapsulated
		f := wire.AppendDataHead(nil, h, wire.Data{Slot: x.ring.win.base + Slot(i) + 1, Origin: 1, OriginInc: 1000})
		wire.SetFlags(f, wire.FlagEncapsulated)
		f = append(f, inner...)
		wire.PatchDataCount(f, 1)
		if err := x.Step(l.now, Packet{From: 1, Inc: 1000, Frame: f}); err != nil {
			t.Errorf("frame %d: %v", i, err)
		}
	}
	if x.old.win.high != held {
		t.Error("a spoilt frame filled a slot of the old ring")
	}
	l.flush(x)
	l.until(20*sec, "formed again", l.formed(1, 2, 3))
}

// Words of logs and traces: every value has one of its own.
func TestWords(t *testing.T) {
	seen := map[string]bool{}
	for r := Reason(0); r < numReasons; r++ {
		if s := r.String(); s == "" || seen[s] {
			t.Errorf("reason %d is called %q", r, s)
		} else {
			seen[s] = true
		}
	}
	for c := Class(0); c < numClasses; c++ {
		if fmt.Sprint(c) == "" {
			t.Errorf("class %d has no name", c)
		}
	}
	if fmt.Sprint(Regular, Transitional) != "regular transitional" {
		t.Error(fmt.Sprint(Regular, Transitional))
	}
	for s := Running; s <= StopSnapshotRestored; s++ {
		if s.String() == "" {
			t.Errorf("stop reason %d has no words", s)
		}
	}
}
