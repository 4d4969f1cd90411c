package totem

import (
	"errors"
	"testing"

	"github.com/moothall/moothall/internal/wire"
)

// told gives x one frame as if a node had sent it.
func (l *lab) told(x *labNode, from NodeID, inc uint64, frame []byte) error {
	err := x.Step(l.now, Packet{From: from, Inc: inc, Frame: frame})
	l.flush(x)
	return err
}

// What is not for this machine, or not well-formed, is counted, reported where it
// is a mistake of form, and has no other effect.
func TestStep_Refuses(t *testing.T) {
	foreign := func(err error) bool { return errors.Is(err, ErrForeign) }
	malformed := func(err error) bool { return err != nil && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrStopped) }
	silent := func(err error) bool { return err == nil }
	short := func(frame []byte) []byte { return frame[:wire.HeaderLen+2] }
	token := func(change func(*wire.Token)) func(x *labNode) []byte {
		return func(x *labNode) []byte {
			tok := x.ring.tok
			tok.TokenSeq += 100
			change(&tok)
			return wire.AppendToken(nil, x.header(x.ring.id), tok)
		}
	}
	for _, tt := range []struct {
		name  string
		from  NodeID
		inc   uint64
		frame func(x *labNode) []byte
		want  func(error) bool
		count func(s *Stats) *uint64
	}{
		{"another cluster", 1, 1000, func(x *labNode) []byte {
			h := x.header(x.ring.id)
			h.Cluster++
			return wire.AppendWake(nil, h, wire.Wake{})
		}, foreign, func(s *Stats) *uint64 { return &s.Foreign }},
		{"a node that is not configured", 9, 1000, func(x *labNode) []byte {
			return wire.AppendWake(nil, x.header(x.ring.id), wire.Wake{})
		}, foreign, func(s *Stats) *uint64 { return &s.Foreign }},
		{"an earlier start", 1, 999, func(x *labNode) []byte {
			return wire.AppendWake(nil, x.header(x.ring.id), wire.Wake{})
		}, silent, func(s *Stats) *uint64 { return &s.DeadIncarnation }},
		{"no header", 1, 1000, func(*labNode) []byte { return []byte("moot") }, malformed, nil},
		{"short token", 1, 1000, func(x *labNode) []byte {
			return short(wire.AppendToken(nil, x.header(x.ring.id), wire.Token{}))
		}, malformed, func(s *Stats) *uint64 { return &s.BadToken }},
		{"short data", 1, 1000, func(x *labNode) []byte {
			return short(wire.AppendDataHead(nil, x.header(x.ring.id), wire.Data{}))
		}, malformed, nil},
		{"short acknowledgement", 1, 1000, func(x *labNode) []byte {
			return short(wire.AppendTokenAck(nil, x.header(x.ring.id), wire.TokenAck{}))
		}, malformed, nil},
		{"short join", 1, 1000, func(x *labNode) []byte {
			return short(wire.AppendJoin(nil, x.header(x.ring.id), wire.Join{Proc: x.ring.members}, x.table))
		}, malformed, nil},
		{"short commit", 1, 1000, func(x *labNode) []byte {
			return short(wire.AppendCommit(nil, x.header(x.ring.id), wire.Commit{Phase: 1}, x.table))
		}, malformed, nil},
		{"short probe", 1, 1000, func(x *labNode) []byte {
			return short(wire.AppendProbe(nil, x.header(x.ring.id), wire.Probe{Members: []NodeID{1}}, x.table))
		}, malformed, nil},
		{"short wake", 1, 1000, func(x *labNode) []byte {
			return short(wire.AppendWake(nil, x.header(x.ring.id), wire.Wake{}))
		}, malformed, nil},
		{"short notice", 1, 1000, func(x *labNode) []byte {
			return short(wire.AppendNotice(nil, x.header(x.ring.id), wire.Notice{}))
		}, malformed, nil},
		{"join that leaves its sender out", 1, 1000, func(x *labNode) []byte {
			return wire.AppendJoin(nil, x.header(x.ring.id), wire.Join{Proc: x.ring.members[1:]}, x.table)
		}, silent, func(s *Stats) *uint64 { return &s.BadJoins }},
		{"join of a leaving stranger", 4, 1000, func(x *labNode) []byte {
			return wire.AppendJoin(nil, x.header(RingID{Seq: 900, Rep: 4}), wire.Join{Flags: wire.JoinLeaving, Proc: []wire.Member{{ID: 4, Inc: 1000}}}, x.table)
		}, silent, nil},
		{"token from a member that is not the one before", 3, 1000, token(func(*wire.Token) {}),
			silent, func(s *Stats) *uint64 { return &s.BadToken }},
		{"token that takes slots back", 1, 1000, token(func(x *wire.Token) { x.Seq, x.Aru, x.Stable = 0, 0, 0 }),
			silent, func(s *Stats) *uint64 { return &s.BadToken }},
		{"token with an aru above its slots", 1, 1000, token(func(x *wire.Token) { x.Aru = x.Seq + 1 }),
			silent, func(s *Stats) *uint64 { return &s.BadToken }},
		{"token beyond the window", 1, 1000, token(func(x *wire.Token) { x.Seq += 1 << 20 }),
			silent, func(s *Stats) *uint64 { return &s.BadToken }},
		{"token whose aru belongs to a stranger", 1, 1000, token(func(x *wire.Token) { x.AruOwner = 4 }),
			silent, func(s *Stats) *uint64 { return &s.BadToken }},
		{"data of the present ring from a stranger", 4, 1000, func(x *labNode) []byte {
			return wire.AppendDataHead(nil, x.header(x.ring.id), wire.Data{Slot: x.ring.win.high + 1, Origin: 1, OriginInc: 1000})
		}, silent, func(s *Stats) *uint64 { return &s.DeadIncarnation }},
		{"data of an earlier start of its originator", 1, 1000, func(x *labNode) []byte {
			return wire.AppendDataHead(nil, x.header(x.ring.id), wire.Data{Slot: x.ring.win.high + 1, Origin: 3, OriginInc: 999})
		}, silent, func(s *Stats) *uint64 { return &s.BadData }},
		{"data of an older ring from a stranger", 4, 1000, func(x *labNode) []byte {
			return wire.AppendDataHead(nil, x.header(RingID{Seq: 1, Rep: 4}), wire.Data{Slot: 9, Origin: 4, OriginInc: 1000})
		}, silent, func(s *Stats) *uint64 { return &s.Foreign }},
		{"data larger than a frame of the ring", 1, 1000, func(x *labNode) []byte {
			f := wire.AppendDataHead(nil, x.header(x.ring.id), wire.Data{Slot: x.ring.win.high + 1, Origin: 1, OriginInc: 1000})
			return append(f, make([]byte, x.ring.mtu)...)
		}, silent, func(s *Stats) *uint64 { return &s.BadData }},
		{"data far above the window", 1, 1000, func(x *labNode) []byte {
			return wire.AppendDataHead(nil, x.header(x.ring.id), wire.Data{Slot: 1 << 62, Origin: 1, OriginInc: 1000})
		}, silent, func(s *Stats) *uint64 { return &s.Duplicates }},
		{"commit token of a ring that is not made", 1, 1000, func(x *labNode) []byte {
			return wire.AppendCommit(nil, x.header(RingID{Seq: 900, Rep: 1, Inc: 1000}), wire.Commit{TokenSeq: 1, Phase: 1,
				Entries: []wire.CommitEntry{{Member: x.ring.members[0], Filled: true}, {Member: x.ring.members[1]}}}, x.table)
		}, silent, func(s *Stats) *uint64 { return &s.RefusedCommits }},
		{"refusal of a ring that is not made", 1, 1000, func(x *labNode) []byte {
			return wire.AppendNotice(nil, x.header(x.ring.id), wire.Notice{Code: wire.NoticeRefused, Values: []uint64{900}})
		}, silent, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, 4, nil)
			l.node(4).down = true
			l.until(5*sec, "formed", l.formed(1, 2, 3))
			for range 5 {
				l.submit(1, "x", true)
			}
			l.run(sec)
			x := l.node(2)
			ring, before, high := x.ring.id, x.stats, x.ring.win.high
			if err := l.told(x, tt.from, tt.inc, tt.frame(x)); !tt.want(err) {
				t.Errorf("error %v", err)
			}
			if tt.count != nil && *tt.count(&x.stats) != *tt.count(&before)+1 {
				t.Errorf("not counted: %+v", x.stats)
			}
			if x.state != Operational || x.ring.id != ring || x.ring.win.high != high {
				t.Errorf("it had an effect: %v", x.Status())
			}
			l.run(3 * sec)
			if l.node(1).ring == nil || l.node(1).ring.id != ring {
				t.Error("the ring broke")
			}
		})
	}
}

// A node with another node list is told so, for it cannot be understood.
func TestJoin_AnotherNodeList(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	l.node(3).down = true
	l.until(5*sec, "formed", l.formed(1, 2))
	x := l.node(1)
	told := 0
	l.drop = func(_, to NodeID, o Outgoing) bool {
		if to == 3 && wire.FrameType(o.Frame) == wire.TypeNotice {
			told++
		}
		return false
	}
	j := wire.Join{Proc: []wire.Member{{ID: 3, Inc: 1000}}}
	other := wire.Table{Version: 2, IDs: []NodeID{1, 2, 3, 4, 5, 6, 7, 8, 9}}
	if err := l.told(x, 3, 1000, wire.AppendJoin(nil, x.header(RingID{Seq: 5, Rep: 3}), j, other)); !errors.Is(err, wire.ErrTable) {
		t.Errorf("error %v", err)
	}
	if told != 1 {
		t.Errorf("it was told %d times", told)
	}
}

func TestStopped_TakesNothing(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	x := l.node(2)
	frame := wire.AppendWake(nil, x.header(x.ring.id), wire.Wake{})
	x.Conflict(l.now, StopIDConflict)
	x.Conflict(l.now, StopSnapshotRestored) // the first reason stands
	x.Leave(l.now)
	x.Persisted(l.now, 1, errors.New("disk"))
	x.LinkState(l.now, LinkState{Node: 1, Up: true})
	x.Heard(l.now, 1, 2000)
	if err := x.Step(l.now, Packet{From: 1, Inc: 1000, Frame: frame}); err != ErrStopped {
		t.Errorf("Step: %v", err)
	}
	if _, err := x.Submit(l.now, []byte("x"), Normal, false, 0); err != ErrStopped {
		t.Errorf("Submit: %v", err)
	}
	x.Advance(l.now + 100*sec)
	if o := x.Take(); o.Stop != StopIDConflict || len(o.Send) != 0 || o.Wake != 0 {
		t.Errorf("%+v", o)
	}
}

func TestSubmit_Refuses(t *testing.T) {
	l := newLab(t, 2, func(c *Config) { c.Limits.MaxMessage, c.Limits.QueueCount, c.Limits.QueueBytes = 1000, 3, 1500 })
	l.until(2*sec, "formed", l.formed(1, 2))
	x := l.node(1)
	if _, err := x.Submit(l.now, make([]byte, 1001), Normal, false, 0); !errors.Is(err, ErrTooBig) {
		t.Errorf("a large message: %v", err)
	}
	for i := range 3 {
		if _, err := x.Submit(l.now, []byte{1}, Bulk, false, 0); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if _, err := x.Submit(l.now, []byte{1}, Bulk, false, 0); err != ErrBusy {
		t.Errorf("one more: %v", err)
	}
	_, first := x.Submit(l.now, make([]byte, 1000), Urgent, false, 0)
	_, second := x.Submit(l.now, make([]byte, 1000), Urgent, false, 0)
	if first != nil || second != ErrBusy {
		t.Errorf("two large ones: %v, %v", first, second)
	}
}
