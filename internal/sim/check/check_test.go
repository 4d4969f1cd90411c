package check

import (
	"strings"
	"testing"
)

// tape writes hand-made traces. Every node starts as life and node of one
// number with incarnation 1.
type tape struct {
	c  *Checker
	at Tick
	k  map[Life]uint64
}

func newTape(lives int) *tape {
	t := &tape{c: New(Options{Max: 10}), k: make(map[Life]uint64)}
	for i := range lives {
		t.start(Life(i+1), NodeID(i+1), 1)
	}
	return t
}

func (t *tape) add(e Event) {
	t.at++
	e.At = t.at
	t.c.Add(&e)
}

// start begins a life in a ring of its own with seq 1.
func (t *tape) start(l Life, n NodeID, inc uint64) {
	t.add(Event{Kind: KindStart, Life: l, Node: n, Inc: inc, Bound: 100})
	t.reg(l, one(n, inc), RingID{}, nil, n)
}

func one(n NodeID, inc uint64) RingID { return RingID{Seq: inc, Rep: n, Inc: uint32(inc)} }

// rg names a ring by its seq; its representative is node 1.
func rg(seq uint64) RingID { return RingID{Seq: seq, Rep: 1, Inc: 1} }

func (t *tape) reg(l Life, r, prev RingID, trans []NodeID, members ...NodeID) {
	incs := make([]uint64, len(members))
	for i := range incs {
		incs[i] = 1
	}
	if len(members) == 1 {
		incs[0] = uint64(r.Inc)
	}
	t.add(Event{Kind: KindConf, Life: l, Ring: r, Prev: prev, Members: members, Incs: incs, Trans: trans})
}

func (t *tape) tr(l Life, r, prev RingID, members ...NodeID) {
	t.add(Event{Kind: KindConf, Life: l, Transitional: true, Ring: r, Prev: prev, Members: members, Trans: members})
}

// move takes lives that were together in prev to r.
func (t *tape) move(r, prev RingID, members []NodeID, lives ...Life) {
	var trans []NodeID
	for _, l := range lives {
		trans = append(trans, NodeID(l))
	}
	for _, l := range lives {
		t.tr(l, r, prev, trans...)
		t.reg(l, r, prev, trans, members...)
	}
}

// form brings the first n lives from their own rings into ring 5.
func (t *tape) form(n int) {
	var members []NodeID
	for i := range n {
		members = append(members, NodeID(i+1))
	}
	for i := range n {
		l := Life(i + 1)
		t.tr(l, rg(5), one(NodeID(l), 1), NodeID(l))
		t.reg(l, rg(5), one(NodeID(l), 1), []NodeID{NodeID(l)}, members...)
	}
}

// submit accepts a message and returns its number.
func (t *tape) submit(l Life, safe bool) uint64 {
	t.k[l]++
	t.add(Event{Kind: KindSubmit, Life: l, K: t.k[l], Class: 2, Safe: safe, Size: 7, Hash: t.k[l] * 77})
	return t.k[l]
}

func (t *tape) orig(l Life, k uint64, r RingID, s Slot) {
	t.add(Event{Kind: KindOrig, Life: l, K: k, Ring: r, Slot: s, Class: 2, Last: true})
}

// send submits and orders one message.
func (t *tape) send(l Life, r RingID, s Slot, safe bool) uint64 {
	k := t.submit(l, safe)
	t.orig(l, k, r, s)
	return k
}

func (t *tape) dlv(l, from Life, k uint64, r RingID, s Slot, safe bool) {
	t.add(Event{Kind: KindDeliver, Life: l, From: NodeID(from), FromInc: 1, K: k, Class: 2, Ring: r, Slot: s, Safe: safe, Size: 7, Hash: k * 77})
}

func (t *tape) crash(l Life) { t.add(Event{Kind: KindCrash, Life: l}) }

// want ends the trace and compares the first finding.
func (t *tape) want(tb testing.TB, property string) {
	tb.Helper()
	t.c.End(t.at+1, true)
	f := t.c.Findings()
	switch {
	case property == "" && len(f) > 0:
		tb.Errorf("a good trace: %v", f[0])
	case property != "" && len(f) == 0:
		tb.Errorf("nothing found, want %s", property)
	case property != "" && f[0].Property != property:
		tb.Errorf("got %v, want %s", f[0], property)
	}
}

var all3 = []NodeID{1, 2, 3}

func TestGood(t *testing.T) {
	t.Run("one ring, agreed and safe", func(t *testing.T) {
		x := newTape(3)
		x.form(3)
		a := x.send(1, rg(5), 1, false)
		b := x.send(2, rg(5), 2, true)
		for l := Life(1); l <= 3; l++ {
			x.dlv(l, 1, a, rg(5), 1, false)
			x.dlv(l, 2, b, rg(5), 2, true)
		}
		x.want(t, "")
	})
	t.Run("hole of a dead sender", func(t *testing.T) {
		x := newTape(3)
		x.form(3)
		a := x.send(3, rg(5), 1, false) // lost with its sender
		b := x.send(1, rg(5), 2, true)
		x.crash(3)
		for _, l := range []Life{1, 2} {
			x.tr(l, rg(9), rg(5), 1, 2)
			x.dlv(l, 1, b, rg(5), 2, true)
			x.reg(l, rg(9), rg(5), []NodeID{1, 2}, 1, 2)
		}
		_ = a
		x.want(t, "")
	})
	t.Run("split in two and merge", func(t *testing.T) {
		x := newTape(3)
		x.form(3)
		x.move(rg(9), rg(5), []NodeID{1, 2}, 1, 2)
		two := RingID{Seq: 8, Rep: 3, Inc: 1}
		x.move(two, rg(5), []NodeID{3}, 3)
		x.tr(1, rg(13), rg(9), 1, 2)
		x.reg(1, rg(13), rg(9), []NodeID{1, 2}, all3...)
		x.tr(2, rg(13), rg(9), 1, 2)
		x.reg(2, rg(13), rg(9), []NodeID{1, 2}, all3...)
		x.tr(3, rg(13), two, 3)
		x.reg(3, rg(13), two, []NodeID{3}, all3...)
		x.want(t, "")
	})
	t.Run("three-way merge compares only those of one past", func(t *testing.T) {
		x := newTape(3)
		k := x.send(1, one(1, 1), 1, false)
		x.dlv(1, 1, k, one(1, 1), 1, false)
		x.form(3)
		x.want(t, "")
	})
	t.Run("accepted before, ordered whole in the next ring", func(t *testing.T) {
		x := newTape(2)
		x.form(2)
		k := x.submit(1, false)
		x.add(Event{Kind: KindOrig, Life: 1, K: k, Ring: rg(5), Slot: 1, Class: 2}) // a half
		x.move(rg(9), rg(5), []NodeID{1, 2}, 1, 2)
		x.orig(1, k, rg(9), 1)
		x.dlv(1, 1, k, rg(9), 1, false)
		x.dlv(2, 1, k, rg(9), 1, false)
		x.want(t, "")
	})
	t.Run("came along, went elsewhere after recovery and died there", func(t *testing.T) {
		x := newTape(3)
		x.form(3)
		x.add(Event{Kind: KindRecovery, Life: 3, Ring: rg(9)})
		for _, l := range []Life{1, 2} {
			x.tr(l, rg(9), rg(5), all3...)
			x.reg(l, rg(9), rg(5), all3, all3...)
		}
		x.move(RingID{Seq: 12, Rep: 3, Inc: 1}, rg(5), []NodeID{3}, 3)
		x.crash(3)
		x.want(t, "")
	})
	t.Run("rounds: complete, aborted, again in the next ring", func(t *testing.T) {
		x := newTape(2)
		x.form(2)
		for _, l := range []Life{1, 2} {
			x.quorate(l, rg(5), false, 2)
		}
		x.round(rg(5), 0, []uint16{1, 3}, 1, 2)
		x.round(rg(5), 1, []uint16{3}, 1, 2)
		x.step(KindInit, 1, rg(5), 2, 3)
		x.step(KindInit, 2, rg(5), 2, 3)
		x.step(KindProcessed, 2, rg(5), 2, 3)
		x.quorate(1, rg(5), true, 3) // node 2 leaves before it
		x.tr(1, rg(9), rg(5), 1)
		x.step(KindAbort, 1, rg(5), 2, 3)
		x.reg(1, rg(9), rg(5), []NodeID{1}, 1)
		two := RingID{Seq: 8, Rep: 2, Inc: 1}
		x.move(two, rg(5), []NodeID{2}, 2)
		x.add(Event{Kind: KindAbort, Life: 2, Ring: rg(5), Round: 2, Service: 3, Late: true})
		x.quorate(1, rg(9), false, 1)
		x.round(rg(9), 0, []uint16{1, 3}, 1)
		x.quorate(2, two, false, 1)
		x.round(two, 0, []uint16{1, 3}, 2)
		x.want(t, "")
	})
	t.Run("rounds as earlier versions tell of them", func(t *testing.T) {
		x := newTape(2)
		x.form(2)
		for range 2 {
			for _, k := range []Kind{KindProcessed, KindActivate, KindSynced} {
				x.step(k, 1, rg(5), 0, 3)
				x.step(k, 2, rg(5), 0, 3)
			}
		}
		x.want(t, "")
	})
	t.Run("restart", func(t *testing.T) {
		x := newTape(2)
		x.crash(2)
		x.start(3, 2, 7)
		x.want(t, "")
	})
	t.Run("lost record, same incarnation, same ring again", func(t *testing.T) {
		x := newTape(1)
		k := x.send(1, one(1, 1), 1, false)
		x.dlv(1, 1, k, one(1, 1), 1, false)
		x.crash(1)
		x.add(Event{Kind: KindStart, Life: 2, Node: 1, Inc: 1, Waived: true, Bound: 100})
		x.reg(2, one(1, 1), RingID{}, nil, 1)
		k = x.send(2, one(1, 1), 1, false)
		x.dlv(2, 1, k, one(1, 1), 1, false)
		x.want(t, "")
	})
}

// alone takes life 4, of node 2, from its first ring into another one alone.
func (t *tape) alone(l Life, seq uint64) {
	first, next := RingID{Seq: 1, Rep: 2, Inc: 4}, RingID{Seq: seq, Rep: 2, Inc: 4}
	t.tr(l, next, first, 2)
	t.reg(l, next, first, []NodeID{2}, 2)
}

// A life without its record may repeat ring seqs as long as it knows of no higher
// ones.
func TestLostRecord(t *testing.T) {
	x := newTape(2)
	x.form(2)
	x.crash(2)
	x.add(Event{Kind: KindStart, Life: 3, Node: 2, Inc: 4, Waived: true, Bound: 100})
	x.reg(3, RingID{Seq: 1, Rep: 2, Inc: 4}, RingID{}, nil, 2)
	x.add(Event{Kind: KindKnows, Life: 3, Ring: RingID{Seq: 1}})
	x.alone(3, 3)
	x.want(t, "")
}

// Several quorate sides that rules of their own allow.
func TestGrants(t *testing.T) {
	two := Event{Quorate: true, Votes: 1, Expected: 2, Needed: 1, Text: rowTwoNode}
	for _, c := range []struct {
		name string
		play func(x *tape)
	}{
		{"both of two_node", func(x *tape) {
			x.decide(1, one(1, 1), two)
			x.decide(2, one(2, 1), two)
		}},
		{"a device's master beside a majority", func(x *tape) {
			x.decide(1, one(1, 1), Event{Quorate: true, Votes: 2, Device: 1, Expected: 5, Needed: 3, Text: rowMaster})
			x.decide(2, one(2, 1), Event{Quorate: true, Votes: 3, Expected: 5, Needed: 3, Text: "majority"})
		}},
		{"fewer votes are enough", func(x *tape) {
			x.decide(1, one(1, 1), Event{Quorate: true, Votes: 3, Expected: 5, Needed: 3, Text: "majority"})
			x.decide(2, one(2, 1), Event{Quorate: true, Votes: 2, Expected: 3, Needed: 2, Text: "majority"})
		}},
		{"the device goes on to the other side", func(x *tape) {
			x.decide(1, one(1, 1), Event{Quorate: true, Votes: 2, Device: 1, Expected: 3, Needed: 2, Text: "majority"})
			x.crash(1)
			x.decide(2, one(2, 1), Event{Quorate: true, Votes: 2, Device: 1, Expected: 3, Needed: 2, Text: "majority"})
		}},
		{"fewer votes after all were seen", func(x *tape) {
			x.c.opt.WaitForAll = true
			x.form(2)
			for _, l := range []Life{1, 2} {
				x.decide(l, rg(5), Event{Quorate: true, Votes: 2, Expected: 2, Needed: 1, Text: "all-seen"})
			}
			x.move(rg(9), rg(5), []NodeID{1}, 1)
			x.decide(1, rg(9), two)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newTape(2)
			c.play(x)
			x.want(t, "")
		})
	}
}

// TestTwinRings: where a representative comes back with an incarnation that it
// had, a ring id may mean two rings, if nobody of the first one is left.
func TestTwinRings(t *testing.T) {
	again := func(x *tape) {
		x.form(2)
		x.crash(1)
		x.crash(2)
		x.add(Event{Kind: KindStart, Life: 4, Node: 1, Inc: 1, Waived: true, Bound: 100})
		x.reg(4, one(1, 1), RingID{}, nil, 1)
		x.tr(4, rg(5), one(1, 1), 1)
		x.reg(4, rg(5), one(1, 1), []NodeID{1}, 1, 3)
		x.tr(3, rg(5), one(3, 1), 3)
		x.reg(3, rg(5), one(3, 1), []NodeID{3}, 1, 3)
	}
	x := newTape(3)
	again(x)
	x.want(t, "")
	x = newTape(3)
	x.form(2)
	x.crash(1)
	x.add(Event{Kind: KindStart, Life: 4, Node: 1, Inc: 1, Waived: true, Bound: 100})
	x.reg(4, one(1, 1), RingID{}, nil, 1)
	x.tr(4, rg(5), one(1, 1), 1)
	x.reg(4, rg(5), one(1, 1), []NodeID{1}, 1, 3) // node 2 is still in the first one
	x.want(t, "C1")
}

func TestBad(t *testing.T) {
	cases := []struct {
		name, property string
		run            func(x *tape)
	}{
		{"delivered and never submitted", "B1", func(x *tape) {
			x.form(2)
			x.dlv(1, 2, 9, rg(5), 1, false)
		}},
		{"other content", "B1", func(x *tape) {
			x.form(2)
			k := x.send(1, rg(5), 1, false)
			x.add(Event{Kind: KindDeliver, Life: 1, From: 1, FromInc: 1, K: k, Class: 2, Ring: rg(5), Slot: 1, Size: 7, Hash: 1})
		}},
		{"message number used twice", "B1", func(x *tape) {
			x.submit(1, false)
			x.k[1] = 0
			x.submit(1, false)
		}},
		{"delivered twice", "B2", func(x *tape) {
			x.form(2)
			k := x.send(1, rg(5), 1, false)
			x.dlv(1, 1, k, rg(5), 1, false)
			x.dlv(1, 1, k, rg(5), 1, false)
		}},
		{"sender outside the ring", "B3", func(x *tape) {
			x.form(2)
			k := x.submit(3, false)
			x.orig(3, k, rg(5), 1)
			x.dlv(1, 3, k, rg(5), 1, false)
		}},
		{"complete in two rings", "B4", func(x *tape) {
			x.form(2)
			k := x.send(1, rg(5), 1, false)
			x.orig(1, k, rg(9), 1)
		}},
		{"pieces of two messages of one class mixed", "B4", func(x *tape) {
			x.form(2)
			a, b := x.submit(1, false), x.submit(1, false)
			x.add(Event{Kind: KindOrig, Life: 1, K: a, Ring: rg(5), Slot: 1, Class: 2})
			x.orig(1, b, rg(5), 2)
		}},
		{"piece left out", "B4", func(x *tape) {
			x.form(2)
			a := x.submit(1, false)
			x.add(Event{Kind: KindOrig, Life: 1, K: a, Ring: rg(5), Slot: 1, Class: 2})
			x.add(Event{Kind: KindOrig, Life: 1, K: a, Ring: rg(5), Slot: 2, Class: 2, No: 2, Last: true})
		}},
		{"delivered in a later ring", "B5", func(x *tape) {
			x.form(2)
			k := x.send(1, rg(5), 1, false)
			x.dlv(1, 1, k, rg(5), 1, false)
			x.move(rg(9), rg(5), []NodeID{1, 2}, 1)
			x.dlv(1, 1, k, rg(5), 1, false)
		}},
		{"delivered under the name of a later ring", "B5", func(x *tape) {
			x.form(2)
			k := x.send(1, rg(5), 1, false)
			x.tr(2, rg(9), rg(5), 1, 2)
			x.reg(2, rg(9), rg(5), []NodeID{1, 2}, 1, 2)
			x.dlv(2, 1, k, rg(9), 1, false)
		}},
		{"delivered before it was ordered", "B5", func(x *tape) {
			x.form(2)
			k := x.submit(1, false)
			x.dlv(1, 1, k, rg(5), 1, false)
		}},
		{"slot with two owners", "B6", func(x *tape) {
			x.form(2)
			x.send(1, rg(5), 1, false)
			x.send(2, rg(5), 1, false)
		}},
		{"slot with other bytes", "B6", func(x *tape) {
			x.form(2)
			x.add(Event{Kind: KindFrame, Life: 1, Ring: rg(5), Slot: 1, Hash: 4})
			x.add(Event{Kind: KindFrame, Life: 2, Ring: rg(5), Slot: 1, Hash: 6})
		}},
		{"slot held with other bytes", "B6", func(x *tape) {
			x.form(2)
			x.add(Event{Kind: KindHeld, Life: 1, Ring: rg(5), Slot: 1, Hash: 4})
			x.add(Event{Kind: KindHeld, Life: 2, Ring: rg(5), Slot: 1, Hash: 6})
		}},
		{"ring with two member lists", "C1", func(x *tape) {
			x.tr(1, rg(5), one(1, 1), 1)
			x.reg(1, rg(5), one(1, 1), []NodeID{1}, 1, 2)
			x.tr(2, rg(5), one(2, 1), 2)
			x.reg(2, rg(5), one(2, 1), []NodeID{2}, 1, 2, 3)
		}},
		{"two sets on one way", "C1", func(x *tape) {
			x.form(3)
			x.tr(1, rg(9), rg(5), 1, 2)
			x.tr(2, rg(9), rg(5), 1, 2, 3)
		}},
		{"ring names a life that never was", "C1", func(x *tape) {
			x.tr(1, rg(5), one(1, 1), 1)
			x.add(Event{Kind: KindConf, Life: 1, Ring: rg(5), Prev: one(1, 1), Members: []NodeID{1, 2}, Incs: []uint64{1, 99}, Trans: []NodeID{1}})
		}},
		{"ring seq falls over a restart", "C2", func(x *tape) {
			x.form(2)
			x.crash(2)
			x.add(Event{Kind: KindStart, Life: 4, Node: 2, Inc: 4, Bound: 100})
			x.reg(4, RingID{Seq: 5, Rep: 2, Inc: 4}, RingID{}, nil, 2)
		}},
		{"an own ring below one that it knows of, after a lost record", "C2", func(x *tape) {
			x.form(2)
			x.crash(2)
			x.add(Event{Kind: KindStart, Life: 4, Node: 2, Inc: 4, Waived: true, Bound: 100})
			x.reg(4, RingID{Seq: 1, Rep: 2, Inc: 4}, RingID{}, nil, 2)
			x.add(Event{Kind: KindKnows, Life: 4, Ring: RingID{Seq: 5}})
			x.alone(4, 3)
		}},
		{"no transitional configuration", "C3", func(x *tape) {
			x.reg(1, rg(5), one(1, 1), []NodeID{1}, 1, 2)
		}},
		{"two transitional configurations", "C3", func(x *tape) {
			x.tr(1, rg(5), one(1, 1), 1)
			x.tr(1, rg(9), one(1, 1), 1)
		}},
		{"transitional configuration of another way", "C3", func(x *tape) {
			x.tr(1, rg(5), one(1, 1), 1)
			x.reg(1, rg(9), one(1, 1), []NodeID{1}, 1, 2)
		}},
		{"not a member itself", "C4", func(x *tape) {
			x.tr(1, RingID{Seq: 5, Rep: 2, Inc: 1}, one(1, 1), 1)
			x.reg(1, RingID{Seq: 5, Rep: 2, Inc: 1}, one(1, 1), []NodeID{1}, 2, 3)
		}},
		{"first configuration with others", "C5", func(x *tape) {
			x.add(Event{Kind: KindStart, Life: 4, Node: 4, Inc: 1})
			x.add(Event{Kind: KindConf, Life: 4, Ring: rg(5), Members: []NodeID{1, 4}, Incs: []uint64{1, 1}})
		}},
		{"came along without having been there", "C6", func(x *tape) {
			x.form(2)
			x.tr(1, rg(9), rg(5), 1, 3)
		}},
		{"came along in the others' eyes only", "C1", func(x *tape) {
			x.form(3)
			x.move(rg(9), rg(5), []NodeID{1, 2}, 1, 2) // says 1 and 2 come
			x.tr(3, rg(9), rg(5), 3)
		}},
		{"came along and went elsewhere without recovery", "C6", func(x *tape) {
			x.form(3)
			for _, l := range []Life{1, 2} {
				x.tr(l, rg(9), rg(5), all3...)
				x.reg(l, rg(9), rg(5), all3, all3...)
			}
			x.move(RingID{Seq: 12, Rep: 3, Inc: 1}, rg(5), []NodeID{3}, 3)
		}},
		{"came along in the others' eyes, by another ring in its own", "C6", func(x *tape) {
			x.form(2)
			x.move(rg(6), rg(5), []NodeID{1}, 1)
			x.add(Event{Kind: KindRecovery, Life: 1, Ring: rg(10)})
			x.add(Event{Kind: KindRecovery, Life: 2, Ring: rg(10)})
			x.tr(1, rg(10), rg(6), 1)
			x.reg(1, rg(10), rg(6), []NodeID{1}, 1, 2)
			x.tr(2, rg(10), rg(5), 1, 2)
			x.reg(2, rg(10), rg(5), []NodeID{1, 2}, 1, 2)
		}},
		{"came along, went elsewhere without recovery and died there", "C6", func(x *tape) {
			x.form(2)
			x.move(rg(6), rg(5), []NodeID{1}, 1)
			x.tr(2, rg(10), rg(5), 1, 2)
			x.reg(2, rg(10), rg(5), []NodeID{1, 2}, 1, 2)
			x.crash(1)
		}},
		{"told to be in a ring and silent", "C7", func(x *tape) {
			x.tr(1, rg(5), one(1, 1), 1)
			x.reg(1, rg(5), one(1, 1), []NodeID{1}, 1, 2)
		}},
		{"own message never delivered", "D1", func(x *tape) {
			x.submit(1, false)
		}},
		{"left without an own message", "D1", func(x *tape) {
			x.form(2)
			x.send(1, rg(5), 1, false)
			x.move(rg(9), rg(5), []NodeID{1}, 1)
		}},
		{"not the same messages", "D2", func(x *tape) {
			x.form(3)
			k := x.send(3, rg(5), 1, false)
			x.crash(3)
			x.dlv(1, 3, k, rg(5), 1, false)
			x.move(rg(9), rg(5), []NodeID{1, 2}, 1, 2)
		}},
		{"transitional configuration at another place", "D3", func(x *tape) {
			x.form(3)
			k := x.send(2, rg(5), 1, false)
			x.crash(3)
			x.dlv(1, 2, k, rg(5), 1, false)
			x.tr(1, rg(9), rg(5), 1, 2)
			x.reg(1, rg(9), rg(5), []NodeID{1, 2}, 1, 2)
			x.tr(2, rg(9), rg(5), 1, 2)
			x.dlv(2, 2, k, rg(5), 1, false)
			x.reg(2, rg(9), rg(5), []NodeID{1, 2}, 1, 2)
		}},
		{"delivered in another slot", "O1", func(x *tape) {
			x.form(2)
			k := x.send(1, rg(5), 1, false)
			x.dlv(1, 1, k, rg(5), 2, false)
		}},
		{"back in the order after a hole", "O1", func(x *tape) {
			x.form(3)
			a := x.send(3, rg(5), 1, false)
			b := x.send(1, rg(5), 2, false)
			x.crash(3)
			x.tr(1, rg(9), rg(5), 1, 2)
			x.dlv(1, 1, b, rg(5), 2, false)
			x.dlv(1, 3, a, rg(5), 1, false)
		}},
		{"gap", "O3", func(x *tape) {
			x.form(2)
			x.send(1, rg(5), 1, false)
			k := x.send(2, rg(5), 2, false)
			x.dlv(1, 2, k, rg(5), 2, false)
		}},
		{"safe message overtaken", "O3", func(x *tape) {
			x.form(2)
			x.send(1, rg(5), 1, true)
			k := x.send(2, rg(5), 2, false)
			x.dlv(2, 2, k, rg(5), 2, false)
		}},
		{"gap of one who came along", "O4", func(x *tape) {
			x.form(3)
			x.send(2, rg(5), 1, false)
			k := x.send(1, rg(5), 2, false)
			x.tr(1, rg(9), rg(5), 1, 2)
			x.dlv(1, 1, k, rg(5), 2, false)
		}},
		{"effect without its cause", "O5", func(x *tape) {
			x.form(3)
			a := x.send(3, rg(5), 1, false)
			x.dlv(2, 3, a, rg(5), 1, false)
			b := x.send(2, rg(5), 2, false)
			x.dlv(2, 2, b, rg(5), 2, false)
			x.crash(3)
			x.crash(2)
			x.tr(1, rg(9), rg(5), 1)
			x.dlv(1, 2, b, rg(5), 2, false)
			x.reg(1, rg(9), rg(5), []NodeID{1}, 1)
		}},
		{"same class overtaken before it was ordered", "O6", func(x *tape) {
			x.form(2)
			x.submit(1, false)
			k := x.send(1, rg(5), 1, false)
			x.dlv(2, 1, k, rg(5), 1, false)
		}},
		{"hole in what a companion sent", "O6", func(x *tape) {
			x.form(2)
			x.send(1, rg(5), 1, false)
			x.tr(2, rg(9), rg(5), 1, 2)
			x.reg(2, rg(9), rg(5), []NodeID{1, 2}, 1, 2)
			k := x.send(1, rg(9), 1, false)
			x.dlv(2, 1, k, rg(9), 1, false)
		}},
		{"safe and somebody left without it", "S1", func(x *tape) {
			x.form(3)
			k := x.send(1, rg(5), 1, true)
			x.dlv(1, 1, k, rg(5), 1, true)
			x.dlv(2, 1, k, rg(5), 1, true)
			x.move(RingID{Seq: 9, Rep: 3, Inc: 1}, rg(5), []NodeID{3}, 3)
		}},
		{"safe on the way and a companion without it", "S2", func(x *tape) {
			x.form(3)
			k := x.send(1, rg(5), 1, true)
			x.crash(3)
			x.tr(1, rg(9), rg(5), 1, 2)
			x.dlv(1, 1, k, rg(5), 1, true)
			x.reg(1, rg(9), rg(5), []NodeID{1, 2}, 1, 2)
			x.add(Event{Kind: KindRecovery, Life: 2, Ring: rg(9)})
			x.move(RingID{Seq: 10, Rep: 2, Inc: 1}, rg(5), []NodeID{2}, 2)
		}},
		{"safe before everybody is in the ring", "S3", func(x *tape) {
			x.tr(1, rg(5), one(1, 1), 1)
			x.reg(1, rg(5), one(1, 1), []NodeID{1}, 1, 2)
			k := x.send(1, rg(5), 1, true)
			x.dlv(1, 1, k, rg(5), 1, true)
		}},
		{"stable and somebody has it not", "S4", func(x *tape) {
			x.form(2)
			x.add(Event{Kind: KindHeld, Life: 1, Ring: rg(5), Slot: 1, Hash: 4})
			x.add(Event{Kind: KindStable, Life: 1, Ring: rg(5), Slot: 1})
		}},
		{"promise without a record", "M1", func(x *tape) {
			x.add(Event{Kind: KindPromise, Life: 1, Ring: rg(101)})
		}},
		{"alive after its end", "trace", func(x *tape) {
			x.form(2)
			x.crash(1)
			x.submit(1, false)
		}},
		{"two quorate parts at once", "Q1", func(x *tape) {
			x.quorate(1, one(1, 1), true, 1)
			x.quorate(2, one(2, 1), true, 1)
		}},
		{"quorate again without a common member", "Q2", func(x *tape) {
			x.quorate(1, one(1, 1), true, 1)
			x.crash(1)
			x.quorate(2, one(2, 1), true, 1)
		}},
		{"quorate by majority beside one by two_node of others", "Q1", func(x *tape) {
			x.decide(1, one(1, 1), Event{Quorate: true, Votes: 1, Expected: 2, Needed: 1, Text: rowTwoNode})
			x.quorate(2, one(2, 1), true, 2)
			x.quorate(3, one(3, 1), true, 2)
		}},
		{"too few votes are said to be needed", "Q1", func(x *tape) {
			for _, l := range []Life{1, 2} {
				x.decide(l, one(NodeID(l), 1), Event{Quorate: true, Votes: 2, Expected: 4, Needed: 2, Text: "majority"})
			}
		}},
		{"two_node of three", "Q1", func(x *tape) {
			x.decide(1, one(1, 1), Event{Quorate: true, Votes: 1, Expected: 3, Needed: 1, Text: rowTwoNode})
		}},
		{"two sides by one device", "Q1", func(x *tape) {
			x.decide(1, one(1, 1), Event{Quorate: true, Votes: 2, Device: 1, Expected: 5, Needed: 3, Text: rowMaster})
			x.decide(2, one(2, 1), Event{Quorate: true, Votes: 3, Device: 1, Expected: 5, Needed: 3, Text: "majority"})
		}},
		{"two ties at once", "Q1", func(x *tape) {
			x.decide(1, one(1, 1), Event{Quorate: true, Votes: 2, Expected: 4, Needed: 3, Text: rowTie})
			x.decide(2, one(2, 1), Event{Quorate: true, Votes: 2, Expected: 4, Needed: 3, Text: rowTie})
		}},
		{"before all were seen", "Q1", func(x *tape) {
			x.c.opt.WaitForAll = true
			x.quorate(1, one(1, 1), true, 2)
		}},
		{"members disagree", "Q3", func(x *tape) {
			x.form(2)
			x.quorate(1, rg(5), true, 2)
			x.quorate(2, rg(5), true, 3)
		}},
		{"synchronised without a decision", "Q3", func(x *tape) {
			x.form(2)
			x.quorate(1, rg(5), true, 2)
			x.synced(2, rg(5), 0)
		}},
		{"one decision less at the end of a round", "Q3", func(x *tape) {
			x.form(2)
			x.quorate(1, rg(5), true, 2)
			x.quorate(1, rg(5), true, 3)
			x.quorate(2, rg(5), true, 2)
			x.synced(1, rg(5), 0)
			x.synced(2, rg(5), 0)
			x.quorate(2, rg(5), true, 3)
		}},
		{"last decision never shown", "Q3", func(x *tape) {
			x.form(2)
			for _, l := range []Life{1, 2} {
				x.quorate(l, rg(5), true, 2)
				x.synced(l, rg(5), 0)
			}
			x.quorate(1, rg(5), false, 1)
		}},
		{"active before all are ready", "Y1", func(x *tape) {
			x.form(2)
			x.add(Event{Kind: KindProcessed, Life: 1, Ring: rg(5), Service: 3})
			x.add(Event{Kind: KindActivate, Life: 1, Ring: rg(5), Service: 3})
		}},
		{"active in a ring that was left", "Y1", func(x *tape) {
			x.form(2)
			x.add(Event{Kind: KindActivate, Life: 1, Ring: one(1, 1), Service: 3})
		}},
		{"active again before all are ready again", "Y1", func(x *tape) {
			x.form(2)
			x.round(rg(5), 0, []uint16{3}, 1, 2)
			x.step(KindInit, 1, rg(5), 1, 3)
			x.step(KindProcessed, 1, rg(5), 1, 3)
			x.step(KindActivate, 1, rg(5), 1, 3)
		}},
		{"active and never begun", "Y1", func(x *tape) {
			x.form(1)
			x.step(KindInit, 1, rg(5), 0, 2)
			x.step(KindProcessed, 1, rg(5), 0, 3)
			x.step(KindActivate, 1, rg(5), 0, 3)
		}},
		{"not in the order of the ids", "Y1", func(x *tape) {
			x.form(1)
			x.round(rg(5), 0, []uint16{3, 2}, 1)
		}},
		{"next ring without an end of the round before", "Y1", func(x *tape) {
			x.form(2)
			x.step(KindInit, 1, rg(5), 0, 3)
			x.move(rg(9), rg(5), []NodeID{1, 2}, 1, 2)
			x.step(KindInit, 1, rg(9), 0, 3)
		}},
		{"next round without an end of the one before", "Y1", func(x *tape) {
			x.form(1)
			x.step(KindInit, 1, rg(5), 0, 3)
			x.step(KindInit, 1, rg(5), 1, 4)
		}},
		{"ready without an end of a service", "Y1", func(x *tape) {
			x.form(1)
			x.step(KindInit, 1, rg(5), 0, 3)
			x.synced(1, rg(5), 0)
		}},
		{"aborted twice", "Y1", func(x *tape) {
			x.form(1)
			x.step(KindInit, 1, rg(5), 0, 3)
			x.step(KindAbort, 1, rg(5), 0, 3)
			x.step(KindAbort, 1, rg(5), 0, 3)
		}},
	}
	for _, c := range cases {
		t.Run(c.property+" "+c.name, func(t *testing.T) {
			x := newTape(3)
			c.run(x)
			x.want(t, c.property)
		})
	}
}

func (t *tape) quorate(l Life, r RingID, yes bool, votes uint32) {
	t.decide(l, r, Event{Quorate: yes, Votes: votes, Expected: 3, Needed: 2, Text: "majority"})
}

// decide has a life show a decision.
func (t *tape) decide(l Life, r RingID, e Event) {
	e.Kind, e.Life, e.Ring = KindQuorum, l, r
	t.add(e)
}

func (t *tape) step(k Kind, l Life, r RingID, round uint32, service uint16) {
	t.add(Event{Kind: k, Life: l, Ring: r, Round: round, Service: service})
}

func (t *tape) synced(l Life, r RingID, round uint32) { t.step(KindSynced, l, r, round, 0) }

// round plays a round that lives finish together.
func (t *tape) round(r RingID, round uint32, services []uint16, lives ...Life) {
	for _, k := range []Kind{KindInit, KindProcessed, KindActivate} {
		for _, s := range services {
			for _, l := range lives {
				t.step(k, l, r, round, s)
			}
		}
	}
	for _, l := range lives {
		t.synced(l, r, round)
	}
}

// TestTraps holds the traps of ordering 1.3 for the writer of a checker.
func TestTraps(t *testing.T) {
	t.Run("a paused life keeps its duties", func(t *testing.T) {
		x := newTape(2)
		x.form(2)
		k := x.send(1, rg(5), 1, true)
		x.dlv(1, 1, k, rg(5), 1, true) // life 2 is silent, and alive
		x.want(t, "S1")
	})
	t.Run("a life that stopped does nothing more", func(t *testing.T) {
		x := newTape(2)
		x.form(2)
		k := x.send(1, rg(5), 1, false)
		x.add(Event{Kind: KindStop, Life: 2})
		x.dlv(2, 1, k, rg(5), 1, false)
		x.want(t, "trace")
	})
	t.Run("an unfinished trace forgives what may still come", func(t *testing.T) {
		x := newTape(2)
		x.form(2)
		x.send(1, rg(5), 1, true)
		x.c.End(x.at, false)
		if f := x.c.Findings(); len(f) > 0 {
			t.Errorf("got %v", f[0])
		}
	})
}

func TestFindingSaysWhat(t *testing.T) {
	x := newTape(2)
	x.form(2)
	x.send(1, rg(5), 1, true)
	k := x.send(2, rg(5), 2, false)
	x.dlv(2, 2, k, rg(5), 2, false)
	got := x.c.Findings()[0].String()
	for _, want := range []string{"O3", "node 2", "slot 2", "ring 1/5", "safe message 1 of node 1"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
}
