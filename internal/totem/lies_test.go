package totem

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/wire"
)

// Node 3 lies a few times, in frames that are good otherwise. Afterwards all must
// come together, messages must pass, and an idle ring must be idle: no value may
// stay that a liar brought in. Package sim/fuzz looks for such values at random.
func TestLies(t *testing.T) {
	table := wire.Table{Version: 1, IDs: []NodeID{1, 2, 3, 4}}
	join := func(change func(*wire.Join)) func([]byte) []byte {
		return func(f []byte) []byte {
			h, body, _ := wire.ParseHeader(f)
			j, err := wire.ParseJoin(body, table)
			if err != nil {
				return nil
			}
			change(&j)
			return wire.AppendJoin(nil, h, j, table)
		}
	}
	token := func(change func(*wire.Token)) func([]byte) []byte {
		return func(f []byte) []byte {
			h, body, _ := wire.ParseHeader(f)
			x, err := wire.ParseToken(body)
			if err != nil {
				return nil
			}
			change(&x)
			return wire.AppendToken(nil, h, x)
		}
	}
	commit := func(change func(*wire.Header, *wire.Commit)) func([]byte) []byte {
		return func(f []byte) []byte {
			h, body, _ := wire.ParseHeader(f)
			c, err := wire.ParseCommit(body, table)
			if err != nil {
				return nil
			}
			change(&h, &c)
			return wire.AppendCommit(nil, h, c, table)
		}
	}
	for _, tt := range []struct {
		name  string
		frame wire.Type
		times int
		lie   func([]byte) []byte
	}{
		{"incarnation of another node", wire.TypeJoin, 3, join(func(j *wire.Join) {
			if i, ok := find(j.Proc, 2); ok {
				j.Proc[i].Inc = math.MaxUint64 - 5
			}
		})},
		{"ring seq at the limit of hearsay", wire.TypeJoin, 3, join(func(j *wire.Join) { j.MaxSeen = maxHearsay - 1 })},
		{"ring seq at the end of the numbers", wire.TypeJoin, 3, join(func(j *wire.Join) { j.MaxSeen, j.RingSeq = math.MaxUint64, math.MaxUint64-1 })},
		{"everybody failed", wire.TypeJoin, 3, join(func(j *wire.Join) { j.Fail = []NodeID{1, 2, 4} })},
		{"commit of an absurd ring", wire.TypeCommit, 3, commit(func(h *wire.Header, _ *wire.Commit) { h.Ring.Seq = 1<<63 - 1 })},
		{"slots that nobody has", wire.TypeCommit, 1, commit(func(_ *wire.Header, c *wire.Commit) {
			for i := range c.Entries {
				if e := &c.Entries[i]; e.Member.ID == 3 {
					e.High = e.Aru + 100_000
					e.Have = []wire.Run{{First: e.Aru + 1, Len: 100_000}}
				}
			}
		})},
		{"stability beyond the aru", wire.TypeCommit, 2, commit(func(_ *wire.Header, c *wire.Commit) {
			for i := range c.Entries {
				c.Entries[i].Stable, c.Entries[i].High = 1<<40, c.Entries[i].Aru+10
			}
		})},
		{"stability beyond the aru, again and again", wire.TypeCommit, 8, commit(func(_ *wire.Header, c *wire.Commit) {
			for i := range c.Entries {
				c.Entries[i].Stable, c.Entries[i].High = 1<<40, c.Entries[i].Aru+10
			}
		})},
		{"more slots than a ring has", wire.TypeCommit, 2, commit(func(_ *wire.Header, c *wire.Commit) {
			for i := range c.Entries {
				if e := &c.Entries[i]; e.Member.ID == 3 {
					e.High = e.Aru + 2*maxSpan
				}
			}
		})},
		{"commit of another maker", wire.TypeCommit, 2, commit(func(h *wire.Header, _ *wire.Commit) { h.Ring.Rep = 2 })},
		{"commit with one member less", wire.TypeCommit, 2, commit(func(_ *wire.Header, c *wire.Commit) { c.Entries = c.Entries[1:] })},
		{"commit that others have filled", wire.TypeCommit, 1, commit(func(_ *wire.Header, c *wire.Commit) { c.Entries[3].Filled = true })},
		{"commit that others have not filled", wire.TypeCommit, 1, commit(func(_ *wire.Header, c *wire.Commit) { c.Entries[1] = wire.CommitEntry{Member: c.Entries[1].Member} })},
		{"second phase before its time", wire.TypeCommit, 1, commit(func(_ *wire.Header, c *wire.Commit) { c.Phase = 2 })},
		{"second phase that lacks a promise", wire.TypeCommit, 4, commit(func(_ *wire.Header, c *wire.Commit) {
			if c.Phase == 2 {
				c.Entries[0] = wire.CommitEntry{Member: c.Entries[0].Member}
			}
		})},
		{"second phase that is a first one", wire.TypeCommit, 4, commit(func(_ *wire.Header, c *wire.Commit) { c.Phase = 1 })},
		{"second phase with one member less", wire.TypeCommit, 4, commit(func(_ *wire.Header, c *wire.Commit) {
			if c.Phase == 2 {
				c.Entries = c.Entries[:3]
			}
		})},
		{"old ring of others", wire.TypeCommit, 2, commit(func(_ *wire.Header, c *wire.Commit) {
			for i := range c.Entries {
				c.Entries[i].OldRing = RingID{Seq: 1, Rep: NodeID(i + 1), Inc: 1000}
			}
		})},
		{"frames sent", wire.TypeToken, 1, token(func(x *wire.Token) { x.Fcc = 1 << 30 })},
		{"few frames sent", wire.TypeToken, 1, token(func(x *wire.Token) { x.Fcc += 64 })},
		{"backlog", wire.TypeToken, 1, token(func(x *wire.Token) { x.Backlog = 1 << 30 })},
		{"window", wire.TypeToken, 1, token(func(x *wire.Token) { x.Wnd = 0 })},
		{"slots in use", wire.TypeToken, 1, token(func(x *wire.Token) { x.Seq += 50 })},
		{"aru of a stranger", wire.TypeToken, 1, token(func(x *wire.Token) { x.AruOwner, x.Aru = 77, 0 })},
		{"requests for slots that are not there yet", wire.TypeToken, 1, token(func(x *wire.Token) {
			x.Rtr = append(x.Rtr, wire.RtrItem{Base: (x.Seq + 6400) &^ 63, Miss: 7})
		})},
		{"stable", wire.TypeToken, 1, token(func(x *wire.Token) { x.Seq, x.Aru, x.Stable = x.Seq+9, x.Seq+9, x.Seq+9 })},
		{"token number", wire.TypeToken, 1, token(func(x *wire.Token) { x.TokenSeq = math.MaxUint64 })},
		{"large wrapped frame", wire.TypeData, 1, func(f []byte) []byte {
			wire.SetFlags(f, wire.FlagEncapsulated)
			return append(f, make([]byte, 1<<16)...)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, 4, nil)
			l.until(2*sec, "formed", l.formed(1, 2, 3, 4))
			l.run(sec)
			left := tt.times
			l.alter = func(from, _ NodeID, f []byte) []byte {
				if from != 3 || left == 0 || wire.FrameType(f) != tt.frame {
					return f
				}
				if lie := tt.lie(slices.Clone(f)); lie != nil {
					left--
					return lie
				}
				return f
			}
			for i := NodeID(1); i <= 4; i++ {
				l.submit(i, fmt.Sprint("during ", i), false)
			}
			if tt.frame == wire.TypeJoin || tt.frame == wire.TypeCommit {
				l.node(1).gather(ReasonTokenLost, 0)
				l.flush(l.node(1))
			}
			l.run(5 * sec)
			if left == tt.times {
				t.Fatal("there was no chance to lie")
			}
			l.alter = nil
			l.until(60*sec, "formed again", l.formed(1, 2, 3, 4))
			l.run(10 * sec)
			l.until(60*sec, "formed for good", l.formed(1, 2, 3, 4))
			ring := l.node(1).ring.id
			for i := NodeID(1); i <= 4; i++ {
				l.node(i).got = nil
				for k := range 40 {
					l.submit(i, fmt.Sprint("after ", k), k%2 == 0)
				}
			}
			l.run(3 * sec)
			l.agree(1, 2, 3, 4)
			if n := len(deliveries(l.node(1).got)); n != 160 {
				t.Errorf("%d of 160 messages were delivered", n)
			}
			sent := 0
			l.drop = func(NodeID, NodeID, Outgoing) bool { sent++; return false }
			if l.run(2 * sec); sent > 150 {
				t.Errorf("an idle ring sent %d frames in two seconds", sent)
			}
			if l.node(1).ring.id != ring {
				t.Error("the ring broke without a reason")
			}
		})
	}
}

// The promise of a ring is not on disk yet when a token tells that all have
// promised: it is not believed.
func TestLie_AllHavePromised(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	x := l.node(2)
	x.saveDelay = 100 * ms
	x.seqBound, x.durableBound = x.committedSeq, x.committedSeq // the next promise needs the disk
	l.node(1).gather(ReasonTokenLost, 0)
	l.flush(l.node(1))
	l.until(2*sec, "waiting", func() bool { return x.state == Commit && x.waiting != nil })
	a := x.att
	c := a.token
	c.Entries = slices.Clone(c.Entries)
	for i := range c.Entries {
		c.Entries[i].Filled, c.Entries[i].MTU = true, 1400
	}
	c.TokenSeq, c.Phase = c.TokenSeq+2, 2
	frame := wire.AppendCommit(nil, x.header(a.id), c, x.table)
	if err := x.Step(l.now, Packet{From: a.prev, Inc: 1000, Frame: frame}); err != nil {
		t.Fatal(err)
	}
	l.flush(x)
	if x.state != Commit {
		t.Errorf("state %v", x.state)
	}
	x.saveDelay = 0
	l.until(20*sec, "formed again", l.formed(1, 2, 3))
}

// Services that find no common state get another ring.
func TestDistrust(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	l.run(sec)
	x := l.node(2)
	id := x.ring.id
	x.Distrust(l.now, RingID{Seq: id.Seq - 4, Rep: id.Rep, Inc: id.Inc}) // an earlier ring: too late
	if x.state != Operational {
		t.Fatal("the present ring was left for an earlier one")
	}
	x.Distrust(l.now, id)
	l.flush(x)
	l.until(2*sec, "formed anew", func() bool { return l.formed(1, 2, 3)() && x.ring.id != id })
}

// Who restarted cannot claim to come from the ring of its earlier life: it does not
// come along, and nobody sends it old frames (ordering 2.16, C6).
func TestLie_OldRingOfAnEarlierLife(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	l.run(sec)
	old := l.node(1).ring.id
	x := l.node(3)
	lies := 0
	l.alter = func(from, _ NodeID, f []byte) []byte {
		if from != 3 || wire.FrameType(f) != wire.TypeCommit || lies == 2 {
			return f
		}
		h, body, _ := wire.ParseHeader(f)
		c, err := wire.ParseCommit(body, x.table)
		if err != nil || !c.Entries[2].Filled {
			return f
		}
		lies++
		c.Entries[2].OldRing = old
		return wire.AppendCommit(nil, h, c, x.table)
	}
	l.start(x, 2000, x.Durable(), nil)
	l.until(20*sec, "formed again", func() bool { return l.formed(1, 2, 3)() && l.node(1).ring.id != old && x.Machine.ring.id != old })
	if lies == 0 {
		t.Fatal("there was no chance to lie")
	}
	last := l.node(1).got[len(l.node(1).got)-2:]
	if want := "trans [1 2]"; !strings.HasSuffix(last[0], want) || !strings.HasSuffix(last[1], want) {
		t.Errorf("%q, want %s", last, want)
	}
	if l.node(1).stats.BadCommits+l.node(2).stats.BadCommits == 0 {
		t.Error("the claim was not noticed")
	}
}

// However often the commit token comes back, the representative makes one regular
// token (ordering 2.15).
func TestLie_CommitTokenOnceMore(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	x := l.node(1)
	l.gather(x)
	l.until(2*sec, "the regular token", func() bool { return x.state == Recovery && x.ring.visits == 1 })
	c := x.att.token
	c.Entries = slices.Clone(c.Entries)
	c.TokenSeq, c.Phase = x.ring.tokenSeq+10, 2
	if err := l.told(x, x.att.prev, 1000, wire.AppendCommit(nil, x.header(x.att.id), c, x.table)); err != nil {
		t.Fatal(err)
	}
	if x.ring.visits != 1 {
		t.Errorf("%d visits", x.ring.visits)
	}
	l.until(5*sec, "formed again", l.formed(1, 2, 3))
}
