package sim

import (
	"fmt"
	"slices"
	"testing"
)

// The scenarios of ordering 5.6 that concern the engine alone. Each runs under
// all checks of the simulator; what it asserts besides is its expected result.

func TestScenario_01_HealWhileFormingSingletons(t *testing.T) {
	for step := range 12 {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			s := newScene(t, 3, nil).boot().pass(sec)
			s.part(1, 2).crash(3)
			s.must(3*sec, "a gather", func() bool { return s.state(1) == "gather" || s.state(2) == "gather" })
			s.pass(Tick(step) * 25 * ms).heal()
			was := s.installed(1)
			s.must(s.w.bound(), "one ring of two", s.together(1, 2))
			s.atMost(1, was, 4)
			s.end()
		})
	}
}

func TestScenario_02_RepresentativeRestartsWithinTokenTime(t *testing.T) {
	s := newScene(t, 3, nil).boot()
	s.send(2, 20, 300, true).send(1, 20, 300, false).pass(2 * ms)
	old := s.node(1).ring
	s.crash(1).pass(20 * ms).start(1)
	life := s.node(1).life
	s.onLine = func(l *Line) {
		if e := l.Event; e != nil && e.Life == life && e.Ring == old && e.Kind.String() == "held" {
			t.Errorf("slot %d of ring %v was brought to the new life", e.Slot, old)
		}
	}
	s.must(3*sec, "one ring with the newcomer", s.together(1, 2, 3))
	for _, c := range s.confs[2] {
		if c.prev == old && slices.Contains(c.came, 1) {
			t.Errorf("node 1 came along from %v to %v, its life there had ended", old, c.ring)
		}
	}
	s.end()
}

func TestScenario_03_TwentyRestarts(t *testing.T) {
	for n := NodeID(1); n <= 3; n++ {
		t.Run(fmt.Sprint("node ", n), func(t *testing.T) {
			s := newScene(t, 3, nil).boot()
			other := n%3 + 1
			was := s.installed(other)
			for range 20 {
				s.crash(n).pass(ms).start(n).pass(99 * ms)
				if len(s.node(other).members) < 2 {
					t.Fatalf("node %d is in %v: no majority", other, s.node(other).members)
				}
			}
			s.atMost(other, was, 20*2)
			s.end()
		})
	}
}

func TestScenario_04_StopDuringRecovery(t *testing.T) {
	s := newScene(t, 5, nil).boot()
	s.do(Action{Do: DoSend, N: 200, Size: 500, D: ms, Safe: 0.5}).pass(20 * ms)
	s.crash(4, 5)
	s.must(5*sec, "recovery", func() bool { return s.state(1) == "recovery" })
	s.crash(2, 3)
	s.must(10*sec, "a ring of one", s.together(1))
	s.start(2, 3, 4, 5)
	s.must(10*sec, "one ring of five", s.together(1, 2, 3, 4, 5))
	s.end()
}

func TestScenario_05_LateCopyOfTheCommitToken(t *testing.T) {
	s := newScene(t, 3, nil)
	var copies []*packet
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftCommit {
			copies = append(copies, s.w.net.copy(p))
		}
		return false, 0
	}
	s.boot()
	was := []int{s.installed(1), s.installed(2), s.installed(3)}
	for _, p := range copies {
		s.w.net.arrive(p, s.w.now+ms)
	}
	s.pass(2 * sec)
	for i, n := range was {
		s.atMost(NodeID(i+1), n, 0)
	}
	s.end()
}

func TestScenario_06_CommitTokenOfAnAbandonedRing(t *testing.T) {
	s := newScene(t, 3, nil).boot()
	var old []*packet
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftCommit && p.to == 2 { // node 3 never gets it: the attempt is given up
			old = append(old, s.w.net.copy(p))
			return true, 0
		}
		return false, 0
	}
	s.crash(1).pass(20 * ms).start(1)
	s.must(10*sec, "a lost commit token", func() bool { return len(old) > 0 })
	s.pass(3 * sec)
	s.onSend = nil
	s.must(10*sec, "one ring", s.together(1, 2, 3))
	s.pass(30 * sec)
	was := s.installed(3)
	for _, p := range old {
		s.w.net.arrive(p, s.w.now+ms)
	}
	s.pass(2 * sec)
	s.atMost(3, was, 0)
	s.end()
}

func TestScenario_07_TokenOvertakenByItsSuccessor(t *testing.T) {
	s := newScene(t, 3, nil).boot()
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftToken {
			s.w.net.arrive(s.w.net.copy(p), s.w.now+3*ms) // a rotation later
		}
		return false, 0
	}
	was := s.installed(1)
	s.do(Action{Do: DoSend, N: 300, Size: 200, D: ms, Safe: 0.5}).pass(2 * sec)
	s.atMost(1, was, 0)
	s.end()
}

func TestScenario_08_DataSlowerThanTheToken(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprint("plain ", plain), func(t *testing.T) {
			s := newScene(t, 3, func(p *Plan) { p.Net.Data, p.Engine.Plain = 200*us, plain }).boot()
			sent := 0
			s.onSend = func(p *packet) (bool, Tick) {
				if p.kind == ftData {
					sent++
				}
				return false, 0
			}
			s.do(Action{Do: DoSend, N: 2000, Size: 800, D: 300 * us, Safe: 0.1}).pass(3 * sec)
			if n := s.count(0, "resends"); n*100 > sent {
				t.Errorf("%d of %d data packets were sent again", n, sent)
			}
			s.end()
		})
	}
}

func TestScenario_10_ReceiverThatDropsAFifth(t *testing.T) {
	s := newScene(t, 3, nil).boot()
	was := s.installed(1)
	s.do(Action{Do: DoDeaf, A: 3, P: 0.2, Types: []string{"data"}})
	s.do(Action{Do: DoSend, N: 6000, Size: 900, D: 10 * ms, Safe: 0.2}).pass(60 * sec)
	s.atMost(1, was, 0)
	if n := len(s.got[3]); n < 15000 {
		t.Errorf("node 3 got %d messages in 60 s", n)
	}
	s.node(3).deaf = 0
	s.end()
}

func TestScenario_15_PausedNode(t *testing.T) {
	s := newScene(t, 3, nil).boot()
	s.do(Action{Do: DoSend, N: 4000, Size: 200, D: 3 * ms, Safe: 0.5}).pass(100 * ms)
	was := s.installed(1)
	s.do(Action{Do: DoPause, A: 3, For: 10 * sec}).pass(10 * sec)
	if !s.together(1, 2)() {
		t.Fatal(s.w.describe())
	}
	s.must(s.w.bound(), "one ring", s.together(1, 2, 3))
	s.atMost(1, was, 3)
	if s.count(3, "was paused") == 0 {
		t.Error("node 3 does not say that it was paused")
	}
	s.end()
}

func TestScenario_16_AllPausedForAnHour(t *testing.T) {
	s := newScene(t, 4, nil).boot()
	was := s.installed(1)
	for i := range 4 {
		s.do(Action{Do: DoPause, A: NodeID(i + 1), For: 3600*sec + Tick((i*7)%4)*150*ms})
	}
	s.pass(3601 * sec)
	s.must(s.w.bound(), "one ring", s.together(1, 2, 3, 4))
	s.atMost(1, was, 4)
	s.end()
}

func TestScenario_17_WallClockJumps(t *testing.T) {
	run := func(jump bool) uint64 {
		s := newScene(t, 3, nil).boot()
		s.do(Action{Do: DoSend, N: 200, Size: 100, D: 10 * ms, Safe: 0.5}).pass(sec)
		if jump {
			s.node(2).clockIs = "ahead"
			s.node(3).clockIs = "behind"
		}
		s.pass(5 * sec)
		s.end()
		return s.w.hash
	}
	if a, b := run(false), run(true); a != b {
		t.Errorf("a jump of the wall clock changed the trace: %x, %x", a, b)
	}
}

func TestScenario_18_MergeUnderLoad(t *testing.T) {
	s := newScene(t, 32, nil)
	var left, right []NodeID
	for i := range 16 {
		left, right = append(left, NodeID(2*i+1)), append(right, NodeID(2*i+2))
	}
	s.do(Action{Do: DoSplit, Groups: [][]NodeID{left, right}})
	s.must(20*sec, "two rings", func() bool { return s.together(left...)() && s.together(right...)() })
	s.do(Action{Do: DoSend, N: 400, Size: 400, D: 5 * ms, Safe: 0.3}).pass(sec)
	was, gathers := s.installed(1), s.count(1, "operational -> gather")
	s.undo(DoSplit)
	s.must(s.w.bound(), "one ring of 32", func() bool { return len(s.node(1).members) == 32 && len(s.node(2).members) == 32 })
	s.atMost(1, was, 1)
	if n := s.count(1, "operational -> gather") - gathers; n > 1 {
		t.Errorf("node 1 gathered %d times", n)
	}
	s.end()
}

func TestScenario_19_EightSingletonsMeet(t *testing.T) {
	s := newScene(t, 8, nil)
	s.do(Action{Do: DoCut})
	s.pass(5 * sec)
	was := s.installed(1)
	s.undo(DoCut)
	s.must(s.w.bound(), "one ring of eight", s.together(1, 2, 3, 4, 5, 6, 7, 8))
	for n := range NodeID(8) {
		s.atMost(n+1, was, 3)
	}
	s.end()
}

func TestScenario_26_OnlyWitnessOfStabilityDies(t *testing.T) {
	for skip := range 6 {
		t.Run(fmt.Sprint(skip), func(t *testing.T) {
			s := newScene(t, 3, nil).boot().pass(sec)
			s.send(1, 3, 100, true)
			s.do(Action{Do: DoTrigger, A: 2, Types: []string{"token"}, Skip: skip, Then: DoCrash, For: sec})
			s.pass(3 * sec)
			s.end()
		})
	}
}

func TestScenario_27_OriginatorDiesInTheMiddleOfAFanOut(t *testing.T) {
	for copies := range 5 {
		for skip := range 3 {
			t.Run(fmt.Sprint(copies, " copies, skip ", skip), func(t *testing.T) {
				s := newScene(t, 5, nil).boot().pass(sec)
				s.do(Action{Do: DoTrigger, A: 3, Types: []string{"data"}, N: copies, Skip: skip, Then: DoCrash, For: 2 * sec})
				s.send(3, 40, 900, true).send(4, 5, 100, false).pass(3 * sec)
				s.end()
			})
		}
	}
}

func TestScenario_28_LargeMessageHalfOriginated(t *testing.T) {
	s := newScene(t, 3, func(p *Plan) { p.Engine.Window = 256 }).boot().pass(sec)
	s.send(1, 1, 1<<20, true)
	s.must(sec, "first pieces", func() bool { return s.w.net.counts.Packets > 0 && s.count(1, "resends") >= 0 && s.node(1).open == 1 })
	s.pass(4 * ms).crash(3)
	s.must(5*sec, "a ring of two", s.together(1, 2))
	s.must(5*sec, "the large message", func() bool { return s.node(1).open == 0 })
	n := 0
	for _, d := range s.got[2] {
		if d.from == 1 {
			n++
		}
	}
	if n != 1 {
		t.Errorf("node 2 got the message %d times", n)
	}
	s.end()
}

func TestScenario_32_SlotNumbersNearTheLimits(t *testing.T) {
	t.Run("2^32", func(t *testing.T) {
		s := newScene(t, 3, func(p *Plan) { p.Engine.FirstSlot = 1<<32 - 100 }).boot()
		s.do(Action{Do: DoSend, N: 500, Size: 1000, D: ms, Safe: 0.5, A: 1}).pass(2 * sec)
		was := s.installed(1)
		s.atMost(1, was, 0)
		if top := s.got[2][len(s.got[2])-1].slot; top < 1<<32 {
			t.Errorf("slot %d, no overflow of 32 bits was passed", top)
		}
		s.end()
	})
	t.Run("2^63", func(t *testing.T) {
		s := newScene(t, 3, func(p *Plan) { p.Engine.FirstSlot = 1<<63 - 100 })
		s.pass(5 * sec)
		for n := range NodeID(3) {
			if s.node(n+1).proc != nil {
				s.w.client(s.node(n+1), 100, 2, true)
			}
		}
		s.do(Action{Do: DoSend, N: 500, Size: 1000, D: ms, A: 1}).pass(5 * sec)
		for _, l := range s.got {
			for _, d := range l {
				if d.slot > 1<<63 {
					t.Fatalf("slot %d was delivered", d.slot)
				}
			}
		}
		s.safety()
	})
}

func TestScenario_33_SlowDiskDuringCommit(t *testing.T) {
	t.Run("with reserve", func(t *testing.T) {
		s := newScene(t, 3, nil).boot().pass(sec)
		s.do(Action{Do: DoDisk, A: 2, D: 5 * sec})
		was := s.installed(2)
		s.crash(3)
		s.must(3*sec, "a ring of two", s.together(1, 2))
		s.atMost(2, was, 1)
		s.end()
	})
	t.Run("without reserve", func(t *testing.T) {
		s := newScene(t, 3, nil).boot().pass(sec)
		s.do(Action{Do: DoCut, A: 3}).do(Action{Do: DoCut, B: 3})
		s.do(Action{Do: DoDisk, A: 2, D: 5 * sec})
		for range 20 { // node 3 alone raises its ring numbers beyond the others' reserve
			s.crash(3).pass(10 * ms).start(3).pass(100 * ms)
		}
		s.undo(DoCut).undo(DoCut)
		s.must(60*sec, "one ring", s.together(1, 2, 3))
		s.end()
	})
}

func TestScenario_34_DiskError(t *testing.T) {
	s := newScene(t, 3, nil).boot().pass(sec)
	s.do(Action{Do: DoCut, A: 3}).do(Action{Do: DoCut, B: 3})
	for range 20 {
		s.crash(3).pass(10 * ms).start(3).pass(100 * ms)
	}
	s.do(Action{Do: DoDiskErr, A: 2})
	s.undo(DoCut).undo(DoCut)
	s.must(20*sec, "node 2 stops", func() bool { return s.node(2).proc == nil })
	if s.count(2, "stopped: the ring record could not be stored") != 1 {
		t.Errorf("node 2 does not say why it stopped: %v", s.notes[len(s.notes)-5:])
	}
	s.must(20*sec, "the others go on", s.together(1, 3))
	s.end()
}

func TestScenario_35_RecordRolledBack(t *testing.T) {
	for _, clock := range []string{"right", "behind"} {
		t.Run(clock, func(t *testing.T) {
			s := newScene(t, 3, nil).boot()
			for range 4 {
				s.crash(3).pass(100 * ms).start(3).pass(sec)
			}
			s.do(Action{Do: DoCrash, A: 3, Disk: "old", Clock: clock}).pass(sec).start(3)
			s.must(s.w.bound(), "one ring", s.together(1, 2, 3))
			s.end()
		})
	}
}

func TestScenario_39_PostTokenFramesLostForOneRound(t *testing.T) {
	s := newScene(t, 3, nil).boot().pass(sec)
	s.do(Action{Do: DoSend, N: 400, Size: 1200, D: 500 * us, Safe: 0.5, A: 2}).pass(50 * ms)
	was := s.installed(1)
	lost, from := 0, s.w.now
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftData && p.from == 1 && flagsOf(p.frame())&flagPost != 0 && s.w.now < from+ms {
			lost++
			return true, 0
		}
		return false, 0
	}
	s.pass(sec)
	if lost == 0 {
		t.Error("nothing was lost")
	}
	s.atMost(1, was, 0)
	s.end()
}

func TestScenario_40_DeathBetweenTokenAndPostTokenFrames(t *testing.T) {
	for skip := range 5 {
		t.Run(fmt.Sprint(skip), func(t *testing.T) {
			s := newScene(t, 4, nil).boot().pass(sec)
			s.do(Action{Do: DoSend, N: 200, Size: 1200, D: 200 * us, Safe: 0.5}).pass(20 * ms)
			s.do(Action{Do: DoTrigger, A: 2, Types: []string{"token"}, N: 9, Skip: skip, Then: DoCrash, For: 3 * sec})
			s.must(5*sec, "a ring of three", s.together(1, 3, 4))
			s.end()
		})
	}
}

func TestScenario_48_LeaveLostThreeTimes(t *testing.T) {
	s := newScene(t, 3, nil).boot().pass(sec)
	s.onSend = func(p *packet) (bool, Tick) { return p.kind == ftJoin && p.from == 2, 0 }
	s.do(Action{Do: DoLeave, A: 3})
	s.must(sec, "node 3 stops", func() bool { return s.node(3).proc == nil })
	s.must(3*sec, "the others exclude it", s.together(1, 2))
	s.w.plan.Restart = false
	s.end()
}

func TestScenario_49_EverybodyLeaves(t *testing.T) {
	s := newScene(t, 5, nil).boot().pass(sec)
	for n := range NodeID(5) {
		s.do(Action{Do: DoLeave, A: n + 1}).pass(2 * ms)
	}
	s.must(sec, "all stop", func() bool { return len(s.w.live()) == 0 })
	s.safety()
}

func TestScenario_13_TwoThatDoNotMeet(t *testing.T) {
	for middle := NodeID(1); middle <= 3; middle++ {
		t.Run(fmt.Sprint("middle ", middle), func(t *testing.T) {
			s := newScene(t, 3, nil).boot().pass(sec)
			a, c := middle%3+1, (middle+1)%3+1
			kept := []NodeID{min(a, c), middle} // all else equal, the lower id
			slices.Sort(kept)
			s.part(a, c)
			s.must(5*sec, "a ring of the pair", s.together(kept...))
			was, alone := s.installed(middle), Tick(0)
			for range 300 {
				if s.pass(100 * ms); !s.together(kept...)() {
					alone += 100 * ms
				}
			}
			s.atMost(middle, was, 1) // the third is kept out
			if alone > sec {
				t.Errorf("the pair was apart for %v of 30 s", alone)
			}
			t.Logf("%d rings, apart for %v", s.installed(middle)-was, alone)
			s.end()
		})
	}
}

func TestScenario_20_ColdStartOfMany(t *testing.T) {
	for _, nodes := range []int{24, 64, 128} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) { coldStart(t, nodes) })
	}
}

func coldStart(t *testing.T, nodes int) {
	s := newScene(t, nodes, func(p *Plan) {
		for i := range p.Nodes {
			p.Nodes[i].Boot = Tick(i*37%100) * 10 * ms
		}
	})
	joins := make([]int, nodes)
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftJoin {
			joins[p.from]++
		}
		return false, 0
	}
	var all []NodeID
	for i := range NodeID(nodes) {
		all = append(all, i+1)
	}
	s.must(2*sec, "one ring", s.together(all...))
	for i := range joins {
		if joins[i] /= nodes - 1; joins[i] > 40 {
			t.Errorf("node %d sent %d Joins", i+1, joins[i])
		}
		s.atMost(NodeID(i+1), 0, 3)
	}
	t.Logf("%v after the first start, at most %d Joins a node", s.w.now, slices.Max(joins))
	s.safety()
}

func TestScenario_54_CommitTokenOfManyPieces(t *testing.T) {
	const nodes = 64
	s := newScene(t, nodes, nil)
	var all []NodeID
	for i := range NodeID(nodes) {
		all = append(all, i+1)
	}
	s.must(10*sec, "one ring", s.together(all...))
	largest := 0
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftCommit {
			largest = max(largest, len(p.frame()))
		}
		return false, 0
	}
	s.do(Action{Do: DoDrop, P: 0.5, Types: []string{"data"}})
	for _, n := range all {
		s.send(n, 60, 1200, false)
	}
	s.pass(30 * ms)
	s.do(Action{Do: DoLoss, P: 0.05})
	was := s.installed(1)
	s.crash(nodes)
	s.must(20*sec, "one ring of the rest", s.together(all[:nodes-1]...))
	s.atMost(1, was, 2)
	if largest < 3*1400 {
		t.Errorf("the commit token has %d bytes, which takes no more than a few datagrams", largest)
	}
	s.safety()
}
