package totem

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/wire"
)

// expel crashes a node and has the representative of the others keep it out.
func (l *lab) expel(id NodeID, k uint8, rest ...NodeID) {
	l.t.Helper()
	l.node(id).down = true
	l.link(id, false)
	l.until(5*sec, "a ring of the others", l.formed(rest...))
	rep := l.node(rest[0])
	rep.order(orderQuarantine, func(b []byte) []byte { return append(appendNode(b, id), k, byte(ReasonFlapping)) })
	l.flush(rep)
	l.until(sec, "the list is the same at all", func() bool {
		return !slices.ContainsFunc(rest, func(n NodeID) bool { return l.node(n).entry(id) == nil })
	})
}

// back starts a node again.
func (l *lab) back(id NodeID, inc uint64) {
	l.start(l.node(id), inc, l.node(id).Durable(), nil)
	l.link(id, true)
}

// situations of quarantine that the mutation test tries too.
var kept = map[string]func(*testing.T) error{
	"failed in each gather":  keptIsFailed,
	"calm while it is told":  keptIsCalm,
	"only by a quorate ring": keptByQuorateOnly,
}

func TestQuarantine_Situations(t *testing.T) {
	for name, f := range kept {
		t.Run(name, func(t *testing.T) {
			if err := f(t); err != nil {
				t.Error(err)
			}
		})
	}
}

// A node that is kept out and starts while the others gather is not taken in.
func keptIsFailed(t *testing.T) error {
	l := newLab(t, 4, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3, 4))
	l.expel(4, 6, 1, 2, 3)
	for i := range 5 {
		l.back(4, uint64(2000+i))
		l.run(ms)
		l.gather(l.node(1))
		for end := l.now + 2*sec; l.now < end; {
			l.run(ms)
			if m := l.node(2); m.state == Operational && has(m.ring.ids, 4) {
				return fmt.Errorf("node 4 is kept out and in ring %v", m.ring.id)
			}
		}
		if !l.formed(1, 2, 3)() {
			return errors.New("the others have no ring of their own")
		}
		l.node(4).down = true
		l.link(4, false)
		l.run(sec)
	}
	return nil
}

// A node that is kept out stays in its ring whatever the others gather for.
func keptIsCalm(t *testing.T) error {
	l := newLab(t, 4, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3, 4))
	l.expel(4, 6, 1, 2, 3)
	l.back(4, 2000)
	l.until(8*sec, "a ring of its own", l.formed(4))
	l.until(8*sec, "told", func() bool { return len(l.node(4).Status().KeptBy) == 1 })
	if s := l.node(1).Status().KeptOut; len(s) != 1 || s[0].Node != 4 || s[0].Reason != ReasonFlapping || s[0].Void || s[0].Left > 64*sec {
		return fmt.Errorf("status %+v", s)
	}
	ring := l.node(4).ring.id
	l.gather(l.node(1))
	l.run(2 * sec)
	if !l.formed(1, 2, 3)() || !l.formed(4)() {
		return errors.New("the rings are not what they were")
	}
	if now := l.node(4).ring.id; now != ring {
		return fmt.Errorf("node 4 left ring %v for %v", ring, now)
	}
	return nil
}

// A minority keeps its list and refuses nobody.
func keptByQuorateOnly(t *testing.T) error {
	l := newLab(t, 6, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3, 4, 5, 6))
	l.node(5).down, l.node(6).down = true, true
	l.link(5, false)
	l.link(6, false)
	l.expel(4, 6, 1, 2, 3)
	if s := l.node(2).Status().KeptOut; len(s) != 1 || !s[0].Void {
		return fmt.Errorf("status %+v", s)
	}
	l.back(4, 2000)
	for end := l.now + 5*sec; l.now < end; l.run(10 * ms) {
		if l.formed(1, 2, 3, 4)() {
			return nil
		}
	}
	return errors.New("three of six nodes refuse a fourth one")
}

// What members bring along is united: the longer time, the higher count; members
// of the new ring start with none. Nothing impossible is believed.
func TestQuarantine_Union(t *testing.T) {
	l := newLab(t, 5, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3, 4, 5))
	m := l.node(1).Machine
	m.ring.ids = []NodeID{1, 2}
	list := func(qs ...wire.Quarantined) wire.CommitEntry {
		return wire.CommitEntry{Quarantine: qs, Quorate: len(qs) > 1}
	}
	link, deaf := uint8(ReasonHalfLink), uint8(ReasonPeerDeaf)
	m.takeLists([]wire.CommitEntry{
		list(wire.Quarantined{Node: 2, K: 3, RemainingMS: 8000, Reason: link}, wire.Quarantined{Node: 3, K: 2, RemainingMS: 1500, Reason: link}),
		list(wire.Quarantined{Node: 3, K: 1, RemainingMS: 1900, Reason: deaf}, wire.Quarantined{Node: 4, K: 1, RemainingMS: 1 << 31, Reason: link}),
		list(wire.Quarantined{Node: 5, K: 0, RemainingMS: 10, Reason: link}, wire.Quarantined{Node: 5, K: 9, RemainingMS: 10, Reason: link},
			wire.Quarantined{Node: 5, K: 1, RemainingMS: 10, Reason: 250}, wire.Quarantined{Node: 77, K: 1, RemainingMS: 10, Reason: link}),
	})
	got := ""
	for _, e := range m.kept {
		got += fmt.Sprintf("%d k%d %v %v; ", e.node, e.k, e.until-m.now, e.reason)
	}
	if want := "2 k3 0.000ms half-link; 3 k2 1900.000ms peer-deaf; 4 k1 2000.000ms half-link; "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !m.ring.quorate {
		t.Error("a member was quorate, the ring is not taken for it")
	}
	own := m.ownList(nil)
	if len(own) != 3 || own[0].RemainingMS != 0 || own[1].RemainingMS != 1900 {
		t.Errorf("brings along %+v", own)
	}
	m.now += goodConduct
	if own = m.ownList(nil); len(own) != 2 {
		t.Errorf("after ten minutes in the ring it brings along %+v", own)
	}
	if k := m.nextLength(2); k != 1 {
		t.Errorf("after ten minutes in the ring the next time is 2^%d s", k)
	}
	if k := m.nextLength(3); k != 3 {
		t.Errorf("the next time of node 3 is 2^%d s", k)
	}
}

// An operator at any member ends it, and what was held against the node is
// forgotten.
func TestQuarantine_Readmit(t *testing.T) {
	l := newLab(t, 4, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3, 4))
	x := l.node(3)
	if err := x.Readmit(l.now, 4); !errors.Is(err, ErrNotKept) {
		t.Errorf("nobody is kept out: %v", err)
	}
	l.expel(4, 6, 1, 2, 3)
	l.back(4, 2000)
	l.run(3 * sec)
	if !l.formed(1, 2, 3)() {
		t.Fatal("node 4 is not kept out")
	}
	if err := x.Readmit(l.now, 4); err != nil {
		t.Fatal(err)
	}
	l.flush(x)
	l.until(5*sec, "let in", l.formed(1, 2, 3, 4))
	for _, m := range l.nodes {
		if len(m.kept) != 0 {
			t.Errorf("node %d still has %+v", m.id, m.kept)
		}
	}
	l.gather(x)
	if err := x.Readmit(l.now, 4); !errors.Is(err, ErrBusy) {
		t.Errorf("in gather: %v", err)
	}
	x.Leave(l.now)
	if err := x.Readmit(l.now, 4); !errors.Is(err, ErrStopped) {
		t.Errorf("leaving: %v", err)
	}
}

// Two nodes, and clusters whose quorum follows the membership, keep no list.
func TestQuarantine_WhereItIsOff(t *testing.T) {
	for _, c := range []struct {
		n    int
		edit func(*Config)
	}{{2, nil}, {4, func(c *Config) { c.QuorumFollows = true }}} {
		l := newLab(t, c.n, c.edit)
		l.run(2 * sec)
		m := l.node(1)
		m.blameFor(2, ReasonHalfLink)
		if len(m.ownList(nil)) != 0 {
			t.Errorf("%d nodes: it blames", c.n)
		}
		m.takeLists([]wire.CommitEntry{{Quarantine: []wire.Quarantined{{Node: 2, K: 1, RemainingMS: 1000}}}})
		m.quarantineOrdered([]byte{2, 0, 0, 0, 1, 1})
		if len(m.kept) != 0 {
			t.Errorf("%d nodes: it keeps %+v", c.n, m.kept)
		}
	}
}

// Orders and Notices that make no sense change nothing.
func TestQuarantine_Malformed(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	m := l.node(1)
	for _, v := range [][]byte{nil, {2}, {2, 0, 0, 0}, {2, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 7, 1}, {2, 0, 0, 0, 1, 250}, {9, 0, 0, 0, 1, 1}} {
		m.quarantineOrdered(v)
		m.releaseOrdered(v)
	}
	m.onKeptNotice(m.peer(2), m.ring.id, []uint64{1})
	m.onKeptNotice(m.peer(2), m.ring.id, []uint64{1 << 60, 1, 1})
	if len(m.kept) != 0 || m.peer(2).shutUntil != 0 {
		t.Errorf("kept %+v, shut %v", m.kept, m.peer(2).shutUntil)
	}
}
