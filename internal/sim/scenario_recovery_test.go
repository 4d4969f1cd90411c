package sim

import (
	"fmt"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/wire"
)

func TestScenario_51_SafeMessageWhileAPeerIsInRecovery(t *testing.T) {
	for lost := range 6 {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			s := newScene(t, 3, nil).boot().pass(sec)
			// Node 1 submits the moment it is operational in the next ring; the token
			// after that is lost on its way to node 3.
			s.onLine = func(l *Line) {
				if l.Node == 1 && l.Text == "" && l.Event != nil && l.Event.Kind.String() == "conf" && !l.Event.Transitional && s.installed(1) > 2 {
					s.onLine = nil
					s.do(Action{Do: DoSend, A: 1, N: 3, Size: 50, Safe: 1, D: 10 * us})
				}
			}
			seen := 0
			s.onSend = func(p *packet) (bool, Tick) {
				if p.kind == ftToken && p.to == 2 && s.state(3) == "recovery" {
					seen++
					return seen > lost, 0
				}
				return false, 0
			}
			s.crash(2).pass(20 * ms).start(2).pass(3 * sec)
			s.onSend = nil
			s.end()
		})
	}
}

func TestScenario_52_RecoveryCompletesAtOneOnly(t *testing.T) {
	// The old ring has holes and safe messages. Node 3 becomes operational first
	// and dies; the others never get its token and try again without it.
	for skip := range 8 {
		t.Run(fmt.Sprint(skip), func(t *testing.T) {
			s := newScene(t, 4, nil).boot().pass(sec)
			s.do(Action{Do: DoDrop, A: 3, B: 1, Types: []string{"data"}, P: 0.5})
			s.do(Action{Do: DoDrop, A: 4, Types: []string{"data"}, P: 0.5})
			s.do(Action{Do: DoSend, N: 40, Size: 700, Safe: 0.5, D: 100 * us}).pass(3 * ms)
			s.crash(4)
			s.must(5*sec, "recovery", func() bool { return s.state(1) == "recovery" })
			s.do(Action{Do: DoTrigger, A: 3, Types: []string{"token"}, Skip: skip, Then: DoCrash})
			s.pass(5 * sec).heal()
			s.end()
		})
	}
}

func TestScenario_53_LateOldFrame(t *testing.T) {
	s := newScene(t, 3, nil).boot().pass(sec)
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftData && p.from == 2 && flagsOf(p.frame())&flagWrapped == 0 { // of node 3
			if p.to == 0 {
				return false, 2 * sec
			}
			return true, 0
		}
		return false, 0
	}
	s.send(3, 10, 500, true).pass(5 * ms).crash(3)
	s.must(5*sec, "a ring of two", s.together(1, 2))
	s.pass(3 * sec)
	s.end()
}

// forge changes the ring seqs that a Join tells.
func forge(t *testing.T, s *scene, p *packet, seen uint64) {
	t.Helper()
	f := p.frame()
	h, body, err := wire.ParseHeader(f)
	if err != nil {
		t.Fatal(err)
	}
	var ids []NodeID
	for _, m := range s.w.nodes {
		ids = append(ids, m.id)
	}
	table := wire.Table{Version: 1, IDs: ids}
	j, err := wire.ParseJoin(body, table)
	if err != nil {
		t.Fatal(err)
	}
	j.MaxSeen = seen
	b := s.w.net.frame(wire.AppendJoin(nil, h, j, table))
	s.w.net.unref(p.data)
	p.data = b
}

func TestScenario_55_HugeMaxSeenThatHalfHear(t *testing.T) {
	s := newScene(t, 4, nil).boot().pass(sec)
	forged := 0
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftJoin && p.from == 3 && forged < 10 {
			if p.to >= 1 {
				return true, 0
			}
			forged++
			forge(t, s, p, 1<<60)
		}
		return false, 0
	}
	s.crash(2).pass(100 * ms).start(2).pass(5 * sec)
	if forged == 0 {
		t.Fatal("no Join was forged")
	}
	s.onSend = nil
	s.must(s.w.bound(), "one ring", s.together(1, 2, 3, 4))
	if seq := s.node(1).ring.Seq; seq <= 1<<60 {
		t.Logf("the ring has seq %d: those that heard 2^60 were not needed for it", seq)
	}
	s.end()
}

func TestScenario_56_UnseenSlot(t *testing.T) {
	s := newScene(t, 3, nil).boot().pass(2 * sec) // idle, the token is held
	lost := false
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftData && p.from == 1 && p.to == 2 && !lost {
			lost = true
			return true, 0
		}
		return false, 0
	}
	held := false
	s.onLine = func(l *Line) {
		if e := l.Event; e != nil && l.Node == 3 && e.Kind.String() == "held" {
			held = true
		}
		if e := l.Event; e != nil && e.Kind.String() == "dlv" && l.Node == 2 && !held {
			t.Error("node 2 delivered the safe message before node 3 had it")
		}
	}
	s.send(2, 1, 50, true)
	s.must(sec, "delivery at all", func() bool { return len(s.got[1]) == 1 && len(s.got[2]) == 1 && len(s.got[3]) == 1 })
	if !lost {
		t.Error("nothing was lost")
	}
	s.end()
}

func TestScenario_57_KeptToken(t *testing.T) {
	s := newScene(t, 3, nil).boot().pass(2 * sec)
	s.onSend = func(p *packet) (bool, Tick) { return p.kind == ftData && p.from == 0 && flagsOf(p.frame())&1 == 0, 0 }
	for range 40 {
		s.send(1, 1, 50, true).pass(7 * ms)
	}
	s.pass(sec)
	s.end()
}

func TestScenario_58_EarlyClientSlot(t *testing.T) {
	for _, wrapped := range []int{0, 1} {
		t.Run(fmt.Sprint("K=", wrapped), func(t *testing.T) {
			s := newScene(t, 3, nil).boot().pass(sec)
			if wrapped == 1 { // one frame that only node 2 has
				s.onSend = func(p *packet) (bool, Tick) {
					return p.kind == ftData && p.from == 1 && flagsOf(p.frame())&flagWrapped == 0, 0
				}
				s.send(2, 1, 50, false).pass(ms)
			}
			s.onLine = func(l *Line) {
				if e := l.Event; e != nil && l.Node == 2 && e.Kind.String() == "conf" && !e.Transitional {
					s.onLine = nil
					s.onSend = nil
					s.do(Action{Do: DoSend, A: 2, N: 2, Size: 50, D: us})
				}
			}
			was := s.installed(1)
			s.crash(3).pass(10 * ms).start(3)
			s.must(3*sec, "one ring", s.together(1, 2, 3))
			s.pass(3 * sec)
			s.atMost(1, was, 2)
			s.end()
		})
	}
}

func TestScenario_59_LostIdentity(t *testing.T) {
	for _, disk := range []string{"lost", "torn", "old"} {
		for _, clock := range []string{"behind", "right", "still"} {
			t.Run(disk+" "+clock, func(t *testing.T) {
				s := newScene(t, 3, nil).boot().pass(sec)
				s.crash(3).pass(100 * ms).start(3)
				s.must(s.w.bound(), "one ring", s.together(1, 2, 3))
				s.do(Action{Do: DoCrash, A: 3, Disk: disk, Clock: clock}).pass(50 * ms)
				starts := s.node(3).starts
				s.start(3)
				s.must(s.w.bound(), "one ring", s.together(1, 2, 3))
				if n := s.node(3).starts - starts; n > 2 {
					t.Errorf("node 3 started %d times; once, and once more above what the peers know is in order", n)
				}
				if seq := s.node(3).ring.Seq; seq > 10_000 {
					t.Errorf("ring seq %d", seq)
				}
				s.end()
			})
		}
	}
}

func TestScenario_60_OneBadNIC(t *testing.T) {
	cases := []struct {
		name  string
		n     int
		dead  [][2]NodeID
		rings [][]NodeID // one of these is the majority
	}{
		{"two dead edges of four nodes", 4, [][2]NodeID{{2, 3}, {2, 4}}, [][]NodeID{{1, 3, 4}}},
		{"three dead edges of five nodes", 5, [][2]NodeID{{1, 3}, {1, 4}, {1, 5}}, [][]NodeID{{2, 3, 4, 5}}},
		{"one dead edge", 4, [][2]NodeID{{2, 3}}, [][]NodeID{{1, 2, 4}, {1, 3, 4}}},
	}
	for _, c := range cases {
		for seed := range uint64(8) { // the settle timers have jitter
			t.Run(fmt.Sprint(c.name, " ", seed), func(t *testing.T) {
				s := newScene(t, c.n, func(p *Plan) { p.Seed = seed }).boot().pass(sec)
				for _, e := range c.dead {
					s.part(e[0], e[1])
				}
				s.crash(NodeID(1 + seed%uint64(c.n))).pass(10 * ms).start(NodeID(1 + seed%uint64(c.n)))
				s.pass(20 * sec)
				if !slices.ContainsFunc(c.rings, func(ids []NodeID) bool { return s.together(ids...)() }) {
					t.Errorf("no majority of fully connected nodes goes on: %s", s.w.describe())
				}
				s.heal()
				s.end()
			})
		}
	}
}

func TestScenario_67_CommitTokenAgainWhileTheDiskWorks(t *testing.T) {
	s := newScene(t, 3, nil).boot().pass(sec)
	s.cut(3, 0).do(Action{Do: DoCut, B: 3})
	for range 20 { // beyond the reserve of node 1
		s.crash(3).pass(10 * ms).start(3).pass(100 * ms)
	}
	s.do(Action{Do: DoDisk, A: 1, D: 500 * ms})
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftCommit {
			s.w.net.arrive(s.w.net.copy(p), s.w.now+p.sent%ms+ms) // the other link
		}
		return false, 0
	}
	s.undo(DoCut).undo(DoCut)
	was := s.installed(2)
	s.must(20*sec, "one ring", s.together(1, 2, 3))
	s.atMost(2, was, 2)
	if n := s.count(0, "because of refused"); n > 0 {
		t.Errorf("%d attempts were refused", n)
	}
	s.end()
}

func TestScenario_69_ThirdPartyRestart(t *testing.T) {
	s := newScene(t, 3, nil).boot().pass(sec)
	was := s.installed(1)
	// Node 2 gets no session with the new life of node 3 for three seconds.
	s.crash(3).pass(20*ms).part(2, 3).start(3)
	s.pass(3 * sec)
	s.crash(3).pass(20 * ms).start(3).pass(500 * ms)
	s.heal()
	s.must(s.w.bound(), "one ring", s.together(1, 2, 3))
	for _, c := range s.confs[1][2:] {
		if !c.trans && !slices.Contains(c.members, 2) {
			t.Errorf("node 1 was in %v without node 2", c.members)
		}
	}
	s.atMost(1, was, 6)
	s.end()
}

func TestScenario_70_RestartInCommit(t *testing.T) {
	for _, state := range []string{"commit", "recovery"} {
		t.Run(state, func(t *testing.T) {
			s := newScene(t, 4, nil).boot().pass(sec)
			s.crash(4).pass(5 * ms).start(4)
			s.must(3*sec, state, func() bool { return s.state(2) == state })
			at := s.w.now
			s.crash(3).pass(ms).start(3)
			s.must(500*ms, "one ring, without waiting for the commit timer", s.together(1, 2, 3, 4))
			t.Logf("%v after the restart", s.w.now-at)
			s.end()
		})
	}
}

func TestScenario_71_JoinDuringTheWrite(t *testing.T) {
	s := newScene(t, 4, nil)
	s.do(Action{Do: DoSplit, Groups: [][]NodeID{{1, 2, 3}, {4}}})
	s.must(20*sec, "a ring of three", s.together(1, 2, 3))
	s.pass(sec)
	s.cut(3, 0).do(Action{Do: DoCut, B: 3})
	for range 20 {
		s.crash(3).pass(10 * ms).start(3).pass(100 * ms)
	}
	s.do(Action{Do: DoDisk, A: 2, D: 300 * ms})
	s.undo(DoCut).undo(DoCut)
	s.must(20*sec, "node 2 writes for its promise", func() bool { return s.state(2) == "commit" })
	s.undo(DoSplit) // Joins of node 4 arrive now
	s.must(s.w.bound(), "one ring", s.together(1, 2, 3, 4))
	s.end()
}

func TestScenario_72_SameIncarnation(t *testing.T) {
	for _, down := range []Tick{ms, 10 * sec} {
		t.Run(down.String(), func(t *testing.T) {
			s := newScene(t, 3, nil).boot().pass(sec)
			s.do(Action{Do: DoCrash, A: 3, Disk: "lost", Clock: "still"}).pass(ms).start(3)
			s.must(s.w.bound(), "one ring", s.together(1, 2, 3))
			first := s.node(3).inc
			s.send(3, 3, 50, true).pass(sec)
			s.do(Action{Do: DoCrash, A: 3, Disk: "lost", Clock: "still"}).pass(down).start(3)
			s.must(s.w.bound(), "one ring", s.together(1, 2, 3))
			if s.node(3).inc == first {
				t.Error("two starts with one incarnation are in the ring")
			}
			s.send(3, 3, 50, true).pass(sec)
			s.end()
		})
	}
}

func TestScenario_78_LateAckOfACommitHop(t *testing.T) {
	s := newScene(t, 3, nil).boot().pass(sec)
	lost := false
	s.onSend = func(p *packet) (bool, Tick) {
		switch {
		case p.kind == ftAck && s.state(1) != "operational":
			return false, 200 * ms
		case p.kind == ftToken && p.from == 0 && !lost:
			lost = true
			return true, 0
		}
		return false, 0
	}
	was := s.installed(1)
	s.crash(2).pass(ms).start(2)
	s.must(3*sec, "one ring", s.together(1, 2, 3))
	s.pass(2 * sec)
	s.atMost(1, was, 2)
	if !lost {
		t.Error("no token was lost")
	}
	s.end()
}

func TestScenario_79_DiedWithTheToken(t *testing.T) {
	for _, n := range []int{2, 3, 8} {
		for _, load := range []bool{false, true} {
			t.Run(fmt.Sprint(n, " nodes, load ", load), func(t *testing.T) {
				s := newScene(t, n, nil).boot().pass(2 * sec)
				if load {
					s.do(Action{Do: DoSend, N: 2000, Size: 800, D: ms, Safe: 0.3}).pass(100 * ms)
				} else {
					s.send(1, 1, 50, false)
				}
				// Node 2 acknowledges the token, sends one copy of a frame or of the token,
				// and is gone.
				s.do(Action{Do: DoTrigger, A: 2, Types: []string{"ack", "data", "token"}, Skip: 1, Then: DoCrash})
				s.must(2*sec, "the death", func() bool { return s.node(2).proc == nil })
				at := s.w.now
				var rest []NodeID
				for _, m := range s.w.nodes {
					if m.id != 2 {
						rest = append(rest, m.id)
					}
				}
				s.must(1100*ms, "a ring of the others without the token-loss timer", s.together(rest...))
				t.Logf("%v", s.w.now-at)
				s.end()
			})
		}
	}
}

func TestScenario_80_HoldAfterRelease(t *testing.T) {
	for wait := range 12 {
		t.Run(fmt.Sprint(wait), func(t *testing.T) {
			s := newScene(t, 3, nil).boot().pass(2 * sec)
			s.send(1, 1, 50, true)
			s.pass(Tick(wait) * 300 * us)
			lost := false
			s.onSend = func(p *packet) (bool, Tick) {
				if p.kind == ftWake && !lost {
					lost = true
					return true, 0
				}
				return false, 0
			}
			at := s.w.now
			s.send(3, 1, 50, false)
			s.must(50*ms, "delivery without waiting for hold", func() bool { return s.node(3).open == 0 })
			t.Logf("%v, Wake lost %v", s.w.now-at, lost)
			s.end()
		})
	}
}
