package sim

import (
	"fmt"
	"slices"
	"testing"
)

// The scenarios of ordering 5.6 that are about load, slow members and size.

func TestScenario_09_OneFrameSizeVanishes(t *testing.T) {
	s := newScene(t, 3, nil).boot().pass(sec)
	was := s.installed(1)
	small := 0
	s.onSend = func(p *packet) (bool, Tick) {
		if p.kind == ftData && p.small && p.to == 2 {
			small++
		}
		return false, 0
	}
	s.do(Action{Do: DoHole, B: 3, N: 1350})
	s.do(Action{Do: DoSend, A: 1, N: 500, Size: 1380, D: 20 * ms}).pass(11 * sec)
	if small == 0 {
		t.Error("no frame was sent in small pieces")
	}
	if n := len(s.got[3]); n < 490 {
		t.Errorf("node 3 got %d of 500 messages", n)
	}
	s.atMost(1, was, 0)
	s.end()
}

func TestScenario_38_FloodIsFair(t *testing.T) {
	const nodes = 5
	s := newScene(t, nodes, nil).boot().pass(sec)
	was := s.installed(1)
	count := make([]int, nodes)
	flood := s.w.now
	feed := func() {
		for i, m := range s.w.nodes {
			for m.open < 1000 {
				s.send(NodeID(i+1), 100, 30, false)
			}
		}
	}
	for s.w.now < flood+120*ms {
		feed()
		s.pass(2 * ms)
	}
	for _, d := range s.got[1] {
		count[d.from-1]++
	}
	least, most := slices.Min(count), slices.Max(count)
	if least == 0 || float64(most) > 1.1*float64(least) {
		t.Errorf("messages delivered by sender: %v; the shares are to be within a tenth", count)
	}
	s.atMost(1, was, 0)
	s.end()
}

func TestScenario_43_DataBehindAQueue(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprint("plain ", plain), func(t *testing.T) {
			s := newScene(t, 3, func(p *Plan) { p.Engine.Plain = plain }).boot().pass(sec)
			was, sent := s.installed(1), 0
			s.onSend = func(p *packet) (bool, Tick) {
				if p.kind == ftData {
					sent++
				}
				return false, 0
			}
			s.do(Action{Do: DoDelay, D: 200 * ms, Types: []string{"data"}})
			s.do(Action{Do: DoSend, N: 300, Size: 300, D: 10 * ms, Safe: 0.2}).pass(10 * sec)
			if n := s.count(0, "resends"); n*100 > sent {
				t.Errorf("%d of %d packets were sent again", n, sent)
			}
			s.atMost(1, was, 0)
			s.end()
		})
	}
}

func TestScenario_68_ClientsStopDuringRecovery(t *testing.T) {
	for _, size := range []int{64, 256} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := newScene(t, 4, func(p *Plan) {
				p.Engine.Window, p.Engine.WndMax, p.Engine.Undelivered = size, size/8, 4<<10
			}).boot().pass(sec)
			s.do(Action{Do: DoDeaf, A: 2, P: 0.5, Types: []string{"data"}})
			s.do(Action{Do: DoSend, N: 2000, Size: 900, D: 200 * us, Safe: 0.3}).pass(50 * ms)
			s.do(Action{Do: DoClient, A: 3})
			s.pass(50 * ms)
			was := s.installed(3)
			s.crash(4)
			s.must(5*sec, "a ring of the others, node 3 in it", s.together(1, 2, 3))
			s.atMost(3, was, 2)
			s.end()
		})
	}
}

func TestScenario_37_ClientsThatStopReading(t *testing.T) {
	s := newScene(t, 3, whole).boot().pass(sec)
	was := s.installed(1)
	s.do(Action{Do: DoClient, A: 2}).do(Action{Do: DoSend, N: 100000, Size: 8000, D: ms})
	s.pass(10 * sec)
	stopped := len(s.got[1])
	s.pass(15 * sec)
	if n := len(s.got[1]); n != stopped {
		t.Errorf("%d messages were delivered at node 1 while a client at node 2 took nothing", n-stopped)
	}
	s.must(12*sec, "the ring goes on", func() bool { return len(s.got[1]) > stopped+1000 })
	cut := 0
	for _, d := range s.node(2).proc.(*full).core.Decisions(0) {
		if d.Reason == "slow-client" {
			cut++
		}
	}
	if cut == 0 {
		t.Error("no client was cut off")
	}
	s.atMost(1, was, 0)
	s.end()
}

func TestScenario_50_NodeThatNeverCatchesUp(t *testing.T) {
	s := newScene(t, 4, nil).boot().pass(sec)
	s.do(Action{Do: DoSend, N: 1000000, Size: 600, D: 2 * ms}).pass(sec)
	was := s.installed(1)
	s.do(Action{Do: DoSlow, A: 4, D: 100 * ms})
	s.must(10*sec, "the others go on without it", s.together(1, 2, 3))
	apart := Tick(0)
	for range 200 {
		if s.pass(100 * ms); !s.together(1, 2, 3)() {
			apart += 100 * ms
		}
	}
	s.atMost(1, was, 12) // it is kept out longer each time
	if apart > 3*sec {
		t.Errorf("the others were apart for %v of 20 s", apart)
	}
	s.end()
}
