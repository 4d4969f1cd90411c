package totem

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// wireLoop carries frames between machines at once and in order, without a
// clock, so that only the engine's own work is measured.
type wireLoop struct {
	nodes []*Machine
	todo  []hopFrame
	now   Tick
	got   int
	buf   []byte
}

type hopFrame struct {
	from, to int
	at, n    int
	token    bool
}

func newWireLoop(tb testing.TB, n int) *wireLoop {
	l := &wireLoop{now: sec}
	for i := range n {
		c := Config{Self: NodeID(i + 1), Inc: 1, Cluster: 7, Table: 1, Rand: rand.New(rand.NewPCG(1, uint64(i)))}
		for j := range n {
			c.Nodes = append(c.Nodes, Node{ID: NodeID(j + 1), Votes: 1})
		}
		m, err := New(l.now, c)
		if err != nil {
			tb.Fatal(err)
		}
		l.nodes = append(l.nodes, m)
	}
	for range 1000 {
		l.now += 5 * ms
		for i, m := range l.nodes {
			m.Advance(l.now)
			l.take(i)
		}
		l.drain(200)
		if m := l.nodes[0]; m.state == Operational && len(m.ring.ids) == n && !m.held {
			return l
		}
	}
	tb.Fatal("no ring")
	return nil
}

func (l *wireLoop) take(i int) {
	m := l.nodes[i]
	o := m.Take()
	if o.Persist != nil {
		m.Persisted(l.now, o.Persist.Tag, nil)
	}
	for _, s := range o.Send {
		at := len(l.buf)
		l.buf = append(l.buf, s.Frame...)
		to := s.To.Nodes
		if s.To.Scope == ToNode {
			l.todo = append(l.todo, hopFrame{i, int(s.To.Node) - 1, at, len(s.Frame), s.Kind == TrafficToken})
			continue
		}
		for _, id := range to {
			l.todo = append(l.todo, hopFrame{i, int(id) - 1, at, len(s.Frame), false})
		}
	}
	for _, e := range o.Events {
		switch e := e.(type) {
		case *Delivery:
			l.got++
			m.Consumed(l.now, e.Cost())
		case *Configuration:
			m.Release(l.now, e.Ring)
		}
	}
}

// drain passes on at most n frames.
func (l *wireLoop) drain(n int) {
	for ; n > 0 && len(l.todo) > 0; n-- {
		f := l.todo[0]
		l.todo = l.todo[1:]
		l.nodes[f.to].Step(l.now, Packet{From: NodeID(f.from + 1), Inc: 1, Frame: l.buf[f.at : f.at+f.n]})
		if f.token || len(l.todo) == 0 || l.todo[0].to != f.to {
			l.take(f.to)
		}
	}
	if len(l.buf) > 16<<20 {
		l.compact()
	}
}

// compact drops the bytes of frames that are through.
func (l *wireLoop) compact() {
	var buf []byte
	for i := range l.todo {
		f := &l.todo[i]
		at := len(buf)
		buf = append(buf, l.buf[f.at:f.at+f.n]...)
		f.at = at
	}
	l.buf = buf
	l.todo = append([]hopFrame(nil), l.todo...)
}

func BenchmarkOrder(b *testing.B) {
	for _, size := range []int{64, 1024, 65536} {
		b.Run(fmt.Sprintf("members=3/size=%d", size), func(b *testing.B) {
			l := newWireLoop(b, 3)
			body := make([]byte, size)
			b.ReportAllocs()
			l.got = 0
			sent := 0
			for b.Loop() {
				sent++
				for {
					if _, err := l.nodes[sent%3].Submit(l.now, body, Normal, false, 0); err == nil {
						break
					}
					l.now += 10_000
					l.drain(1000)
				}
				if sent%64 == 0 {
					l.now += 10_000
					for i := range l.nodes {
						l.take(i)
					}
					l.drain(100)
				}
			}
			for i := 0; l.got < 3*sent; i++ {
				l.now += 100_000
				for i, m := range l.nodes {
					m.Advance(l.now)
					l.take(i)
				}
				l.drain(1000)
				if i > 1000000 {
					b.Fatalf("delivered %d of %d", l.got, 3*sent)
				}
			}
		})
	}
}

// The steady state of the hot path allocates nothing: frames, events, tokens and
// queues are used again.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	l := newWireLoop(t, 3)
	l.buf = make([]byte, 0, 15<<20)
	room := make([]hopFrame, 1<<16)
	body := make([]byte, 200)
	round := func() {
		for i, m := range l.nodes {
			if _, err := m.Submit(l.now, body, Normal, i == 0, 1); err != nil {
				t.Fatal(err)
			}
			l.take(i)
		}
		l.now += 100_000
		l.drain(60)
		l.todo = room[:copy(room, l.todo)] // the harness's own list starts anew
	}
	for range 2000 {
		round()
	}
	if n := testing.AllocsPerRun(500, round); n > 0 {
		t.Errorf("%v allocations a round of three messages", n)
	}
}
