package totem

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/wire"
)

// listed is a Reconfig with these nodes, whose table version depends on them.
func listed(t Timers, ids ...NodeID) Reconfig {
	r := Reconfig{Table: 1, Timers: t}
	for _, id := range ids {
		r.Nodes = append(r.Nodes, Node{ID: id, Votes: 1})
		r.Table = r.Table*31 + uint32(id)
	}
	return r
}

// only starts a machine with another list of nodes.
func only(ids ...NodeID) func(*Config) {
	r := listed(Timers{}, ids...)
	return func(c *Config) { c.Nodes, c.Table = r.Nodes, r.Table }
}

func (l *lab) reconfig(r Reconfig, at ...NodeID) {
	l.t.Helper()
	for _, id := range at {
		if err := l.node(id).Reconfig(l.now, r); err != nil {
			l.t.Fatal(err)
		}
		l.flush(l.node(id))
	}
}

// strangers has frames dropped that come from or go to a node which the other
// end does not know, as the sessions below do.
func (l *lab) strangers() {
	knows := func(a, b NodeID) bool {
		x := l.node(a)
		if x.Machine == nil {
			return false
		}
		q := x.peer(b)
		return q != nil && !q.gone
	}
	l.drop = func(from, to NodeID, _ Outgoing) bool { return !knows(from, to) || !knows(to, from) }
}

// stays counts the configurations that nodes showed, and checks later that there
// were no others.
func (l *lab) stays() (check func(why string)) {
	count := func() (n int) {
		for _, x := range l.nodes {
			for _, g := range x.got {
				if strings.HasPrefix(g, Regular.String()) {
					n++
				}
			}
		}
		return n
	}
	before := count()
	return func(why string) {
		l.t.Helper()
		if n := count(); n != before {
			l.t.Errorf("%s: %d new configurations\n%s", why, n-before, strings.Join(l.log, "\n"))
		}
	}
}

// Other times come into force without a change of the ring, idle or not, however
// far they are from the old ones.
func TestReconfig_Times(t *testing.T) {
	ids := []NodeID{1, 2, 3}
	for _, from := range []Tick{200 * ms, sec, 10 * sec} {
		for _, to := range []Tick{100 * ms, sec, 30 * sec} {
			for _, busy := range []bool{false, true} {
				t.Run(fmt.Sprint(from, to, busy), func(t *testing.T) {
					l := newLab(t, 3, func(c *Config) { c.Timers.Token = from })
					l.until(3*sec, "formed", l.formed(ids...))
					l.run(2 * sec)
					check := l.stays()
					r := listed(Timers{Token: to}, ids...)
					r.Table = 1
					for _, id := range []NodeID{3, 1, 2} { // as the last message reaches them
						l.reconfig(r, id)
						l.run(ms)
					}
					for range 40 {
						if busy {
							l.submit(2, "x", true)
						}
						l.run(100 * ms)
					}
					check("after other times")
					l.nodes[1].down = true
					l.until(to+to/5+5*sec, "formed", l.formed(1, 3))
				})
			}
		}
	}
}

func TestReconfig_Refuses(t *testing.T) {
	l := newLab(t, 3, nil)
	m := l.node(1).Machine
	same := listed(Timers{}, 1, 2, 4)
	same.Table = 1
	for _, r := range []Reconfig{listed(Timers{}, 2, 3), listed(Timers{}, 1, 2, 2), listed(Timers{}, 0, 1), same} {
		if err := m.Reconfig(l.now, r); err == nil {
			t.Errorf("%+v is taken", r)
		}
		if !slices.Equal(m.all, []NodeID{2, 3}) {
			t.Fatalf("%+v changed something", r)
		}
	}
}

// A node joins once all have it on their list; that of each may change at
// another time.
func TestReconfig_NodeComes(t *testing.T) {
	l := newLab(t, 4, nil)
	l.strangers()
	for _, x := range l.nodes[:3] {
		l.start(x, 2000, 0, only(1, 2, 3))
	}
	l.start(l.node(4), 2000, 0, only(1, 2, 3, 4))
	l.until(3*sec, "formed", l.formed(1, 2, 3))
	l.run(8 * sec) // 4 knocks in vain
	check := l.stays()
	l.reconfig(listed(Timers{}, 1, 2, 3, 4), 3)
	l.run(2 * sec)
	check("one member has it on its list")
	l.reconfig(listed(Timers{}, 1, 2, 3, 4), 1, 2)
	l.until(8*sec, "formed", l.formed(1, 2, 3, 4))
	l.submit(4, "hello", true)
	l.run(sec)
	for _, x := range l.nodes {
		if !slices.ContainsFunc(x.got, func(s string) bool { return strings.Contains(s, "hello") }) {
			t.Errorf("node %d did not get what the newcomer said", x.id)
		}
	}
}

// A node that fell silent is taken off the list.
func TestReconfig_NodeGoes(t *testing.T) {
	l := newLab(t, 4, nil)
	l.strangers()
	l.until(3*sec, "formed", l.formed(1, 2, 3, 4))
	l.node(4).down = true
	l.until(5*sec, "formed", l.formed(1, 2, 3))
	check := l.stays()
	l.reconfig(listed(Timers{}, 1, 2, 3), 1, 2, 3)
	l.run(5 * sec)
	check("after the list lost a dead node")
	for _, x := range l.nodes[:3] {
		if len(x.all) != 2 {
			t.Errorf("node %d has the peers %v", x.id, x.all)
		}
	}
}

// A member that is taken off the list falls out of the ring, from whichever
// state, and nothing of it stays.
func TestReconfig_MemberGoes(t *testing.T) {
	for _, after := range []Tick{0, 50 * ms, 200 * ms, 250 * ms, 300 * ms, 5 * sec} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			l := newLab(t, 4, nil)
			l.strangers()
			if after > sec {
				l.until(3*sec, "formed", l.formed(1, 2, 3, 4))
			}
			l.run(after)
			l.reconfig(listed(Timers{}, 1, 2, 3), 1, 2, 3)
			l.link(4, false)
			l.until(20*sec, "formed", l.formed(1, 2, 3))
			l.run(sec)
			for _, x := range l.nodes[:3] {
				if len(x.all) != 2 || x.removed {
					t.Errorf("node %d has the peers %v", x.id, x.all)
				}
			}
		})
	}
}

// Members that missed a change of the list, and those that did not, still form
// rings, and never take a node for another one. Lists that are long enough are
// sent as bitmaps before the change.
func TestReconfig_TwoLists(t *testing.T) {
	for _, x := range []struct{ nodes, half int }{{4, 1}, {4, 2}, {plainSets + 5, 2}, {plainSets + 5, plainSets + 2}} {
		t.Run(fmt.Sprint(x), func(t *testing.T) {
			half := x.half // have the new list
			l := newLab(t, x.nodes, nil)
			l.strangers()
			var all, most []NodeID
			for _, x := range l.nodes {
				all = append(all, x.id)
				if x.id != 2 {
					most = append(most, x.id) // places in the table move
				}
			}
			l.node(2).down = true
			l.until(20*sec, "formed", l.formed(most...))
			l.reconfig(listed(Timers{}, most...), most[:half]...)
			part := func(apart bool) { // where the lists differ
				for i, x := range most {
					for j, y := range most {
						if (i < half) != (j < half) {
							l.node(x).cut[y] = apart
							l.node(x).LinkState(l.now, LinkState{Node: y, Up: !apart})
						}
					}
					l.flush(l.node(x))
				}
			}
			part(true)
			l.until(20*sec, "formed", func() bool { return l.formed(most[:half]...)() && l.formed(most[half:]...)() })
			part(false)
			l.until(30*sec, "formed", l.formed(most...))
			l.reconfig(listed(Timers{}, most...), most[half:]...)
			l.run(sec)
			if len(all) > plainSets {
				if v := l.node(1).sets; v.IDs != nil {
					t.Error("bitmaps are sent after a change of the list")
				}
			}
		})
	}
}

// A bitmap over one of the last lists is read, one over an unknown list is not.
func TestReconfig_EarlierTables(t *testing.T) {
	l := newLab(t, 5, only(1, 2, 3, 4, 5))
	x := l.node(1)
	tables := []wire.Table{x.table}
	for last := range NodeID(maxTables + 1) {
		l.reconfig(listed(Timers{}, 1, 2, 3, 10+last), 1)
		tables = append(tables, x.table)
	}
	for i, table := range tables {
		j := wire.Join{Proc: []wire.Member{{ID: 2, Inc: 1000}}, Heard: []NodeID{1, 3}}
		frame := wire.AppendJoin(nil, x.header(RingID{Seq: 5, Rep: 2}), j, table)
		_, body, err := wire.ParseHeader(frame)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readSets(x.Machine, wire.ParseJoin, body)
		if known := i > 0; known != (err == nil) || known && !slices.Equal(got.Heard, j.Heard) {
			t.Errorf("table %d: %v, %v", i, got.Heard, err)
		}
	}
}
