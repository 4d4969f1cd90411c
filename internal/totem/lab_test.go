package totem

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// lab is a little network of machines with virtual time, enough to try single
// rules; internal/sim is the place for faults at random.
type lab struct {
	t     testing.TB
	now   Tick
	seq   int
	queue labQueue
	nodes []*labNode
	delay Tick
	drop  func(from, to NodeID, o Outgoing) bool
	alter func(from, to NodeID, frame []byte) []byte // on the way
	log   []string
}

type labNode struct {
	*Machine
	id        NodeID
	inc       uint64
	down      bool
	cut       map[NodeID]bool // receives nothing from these
	got       []string        // deliveries and configurations
	auto      bool            // Release and Consumed at once
	saveDelay Tick
}

type labEvent struct {
	at  Tick
	seq int
	do  func()
}
type labQueue []labEvent

func (q labQueue) Len() int { return len(q) }
func (q labQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q labQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *labQueue) Push(x any)   { *q = append(*q, x.(labEvent)) }
func (q *labQueue) Pop() any {
	x := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return x
}

func newLab(t testing.TB, n int, edit func(*Config)) *lab {
	l := &lab{t: t, now: 1 * sec, delay: 100_000}
	for i := range n {
		l.nodes = append(l.nodes, &labNode{id: NodeID(i + 1), auto: true, cut: map[NodeID]bool{}})
	}
	for _, x := range l.nodes {
		l.start(x, 1000, 0, edit)
	}
	return l
}

func (l *lab) start(x *labNode, inc, bound uint64, edit func(*Config)) {
	c := Config{Self: x.id, Inc: inc, SeqBound: bound, Cluster: 7, Table: 1, Rand: rand.New(rand.NewPCG(uint64(x.id), inc)), Trace: true}
	for i := range l.nodes {
		c.Nodes = append(c.Nodes, Node{ID: NodeID(i + 1), Votes: 1})
	}
	if edit != nil {
		edit(&c)
	}
	m, err := New(l.now, c)
	if err != nil {
		l.t.Fatal(err)
	}
	x.Machine, x.inc, x.down = m, inc, false
	l.flush(x)
}

func (l *lab) at(at Tick, do func()) {
	l.seq++
	heap.Push(&l.queue, labEvent{at, l.seq, do})
}

func (l *lab) node(id NodeID) *labNode { return l.nodes[id-1] }

// flush is the driver of one node.
func (l *lab) flush(x *labNode) {
	o := x.Take()
	m := x.Machine
	if p := o.Persist; p != nil {
		tag := p.Tag
		l.at(l.now+x.saveDelay+10_000, func() {
			if x.Machine == m && !x.down {
				m.Persisted(l.now, tag, nil)
				l.flush(x)
			}
		})
	}
	for _, s := range o.Send {
		to := s.To.Nodes
		if s.To.Scope == ToNode {
			to = []NodeID{s.To.Node}
		}
		for _, id := range to {
			l.transmit(x, id, s)
		}
	}
	for _, e := range o.Events {
		switch e := e.(type) {
		case *Delivery:
			x.got = append(x.got, fmt.Sprintf("%v %d %.20q", e.Ring, e.From, e.Body))
			if x.auto {
				m.Consumed(l.now, e.Cost())
			}
		case *Configuration:
			x.got = append(x.got, fmt.Sprintf("%v %v members %v trans %v", e.Kind, e.Ring, e.Members, e.Trans))
			if x.auto && e.Kind == Regular {
				m.Quorum(l.now, QuorumState{Ring: e.Ring, Quorate: 2*len(e.Members) > len(l.nodes)})
				m.Release(l.now, e.Ring)
			}
		}
	}
	for _, e := range o.Trace {
		if e.Kind == TraceState || e.Kind == TraceSuspect || e.Kind == TraceFail {
			l.log = append(l.log, fmt.Sprintf("%v node %d: %v -> %v %v %d", l.now, x.id, e.From, e.To, e.Reason, e.Node))
		}
	}
	if err := m.CheckInvariants(); err != nil {
		l.t.Fatalf("%v node %d: %v", l.now, x.id, err)
	}
	if len(o.Events) > 0 {
		l.at(l.now, func() {
			if x.Machine == m && !x.down {
				l.flush(x)
			}
		})
	}
	if o.Wake != 0 {
		l.at(max(o.Wake, l.now), func() {
			if x.Machine == m && !x.down && o.Wake <= l.now {
				if _, w := m.next(); w == o.Wake {
					m.Advance(l.now)
					l.flush(x)
				}
			}
		})
	}
}

func (l *lab) transmit(x *labNode, id NodeID, s Outgoing) {
	if l.drop != nil && l.drop(x.id, id, s) {
		return
	}
	frame := slices.Clone(s.Frame)
	if l.alter != nil {
		frame = l.alter(x.id, id, frame)
	}
	inc := x.inc
	l.at(l.now+l.delay, func() {
		y := l.node(id)
		if y.down || y.cut[x.id] || x.down {
			return
		}
		if err := y.Step(l.now, Packet{From: x.id, Inc: inc, Frame: frame}); err != nil && err != ErrStopped {
			l.t.Fatalf("node %d: %v", id, err)
		}
		l.flush(y)
	})
}

// run lets d go by.
func (l *lab) run(d Tick) {
	end := l.now + d
	for len(l.queue) > 0 && l.queue[0].at <= end {
		e := heap.Pop(&l.queue).(labEvent)
		l.now = max(l.now, e.at)
		e.do()
	}
	l.now = end
}

// until runs until the condition holds, at most d.
func (l *lab) until(d Tick, what string, ok func() bool) {
	l.t.Helper()
	end := l.now + d
	for !ok() {
		if len(l.queue) == 0 || l.queue[0].at > end {
			l.t.Fatalf("%v: not %s within %v\n%s", l.now, what, d, strings.Join(l.log[max(0, len(l.log)-40):], "\n"))
		}
		e := heap.Pop(&l.queue).(labEvent)
		l.now = max(l.now, e.at)
		e.do()
	}
}

// formed reports whether exactly these nodes are operational in one ring.
func (l *lab) formed(ids ...NodeID) func() bool {
	return func() bool {
		var id RingID
		for _, n := range ids {
			x := l.node(n)
			if x.state != Operational || !slices.Equal(x.ring.ids, ids) || !id.IsZero() && x.ring.id != id {
				return false
			}
			id = x.ring.id
		}
		return true
	}
}

func (l *lab) submit(id NodeID, body string, safe bool) {
	if _, err := l.node(id).Submit(l.now, []byte(body), Normal, safe, 0); err != nil {
		l.t.Fatal(err)
	}
	l.flush(l.node(id))
}

// link tells all live nodes about the way to id.
func (l *lab) link(id NodeID, up bool) {
	for _, x := range l.nodes {
		if x.id != id && !x.down {
			x.LinkState(l.now, LinkState{Node: id, Up: up})
			l.flush(x)
		}
	}
}

func TestForm(t *testing.T) {
	for n := 1; n <= 7; n++ {
		l := newLab(t, n, nil)
		var ids []NodeID
		for i := range n {
			ids = append(ids, NodeID(i+1))
		}
		l.until(2*sec, "formed", l.formed(ids...))
		for i := range n {
			l.submit(NodeID(i+1), fmt.Sprintf("from %d", i+1), i%2 == 0)
		}
		l.run(1 * sec)
		for _, x := range l.nodes {
			if got := deliveries(x.got); len(got) != n {
				t.Errorf("n=%d: node %d delivered %v", n, x.id, x.got)
			} else if a, b := strings.Join(got, "\n"), strings.Join(deliveries(l.nodes[0].got), "\n"); a != b {
				t.Errorf("n=%d: node %d delivered\n%s\nnode 1\n%s", n, x.id, a, b)
			}
		}
		if t.Failed() {
			t.Log(strings.Join(l.log, "\n"))
			return
		}
	}
}

func deliveries(got []string) []string {
	var d []string
	for _, g := range got {
		if strings.Contains(g, `"`) {
			d = append(d, g)
		}
	}
	return d
}

// agree fails unless the nodes' streams agree from the last common regular
// configuration on.
func (l *lab) agree(ids ...NodeID) {
	l.t.Helper()
	first := deliveries(l.node(ids[0]).got)
	for _, id := range ids[1:] {
		if got := deliveries(l.node(id).got); !slices.Equal(got, first) {
			l.t.Errorf("node %d delivered\n%s\nnode %d\n%s", id, strings.Join(got, "\n"), ids[0], strings.Join(first, "\n"))
		}
	}
}

func (l *lab) crash(id NodeID, linkDead Tick) {
	x := l.node(id)
	x.down = true
	l.at(l.now+linkDead, func() { l.link(id, false) })
}

func TestCrashOfEach(t *testing.T) {
	for victim := NodeID(1); victim <= 3; victim++ {
		l := newLab(t, 3, nil)
		l.until(2*sec, "formed", l.formed(1, 2, 3))
		l.link(1, true)
		l.link(2, true)
		l.link(3, true)
		l.run(500 * ms)
		at := l.now
		l.crash(victim, 600*ms)
		var rest []NodeID
		for id := NodeID(1); id <= 3; id++ {
			if id != victim {
				rest = append(rest, id)
			}
		}
		l.until(2*sec, "formed", l.formed(rest...))
		if took := l.now - at; took > 900*ms {
			t.Errorf("node %d: %v until the survivors' ring\n%s", victim, took, strings.Join(l.log, "\n"))
		}
		// It comes back.
		at = l.now
		l.start(l.node(victim), 2000, l.node(victim).Durable(), nil)
		l.link(victim, true)
		l.until(2*sec, "formed", l.formed(1, 2, 3))
		t.Logf("node %d back after %v", victim, l.now-at)
	}
}

func TestPartitionAndMerge(t *testing.T) {
	l := newLab(t, 5, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3, 4, 5))
	for i := NodeID(1); i <= 5; i++ {
		l.link(i, true)
	}
	split := func(on bool) {
		for _, a := range []NodeID{1, 2} {
			for _, b := range []NodeID{3, 4, 5} {
				l.node(a).cut[b], l.node(b).cut[a] = on, on
				l.node(a).LinkState(l.now, LinkState{Node: b, Up: !on})
				l.node(b).LinkState(l.now, LinkState{Node: a, Up: !on})
			}
		}
	}
	for i := range 10 {
		l.submit(NodeID(i%5+1), fmt.Sprint("a", i), i%2 == 0)
	}
	split(true)
	l.until(3*sec, "split", func() bool { return l.formed(1, 2)() && l.formed(3, 4, 5)() })
	for i := range 10 {
		l.submit(NodeID(i%5+1), fmt.Sprint("b", i), i%2 == 0)
	}
	l.run(1 * sec)
	split(false)
	at := l.now
	l.until(6*sec, "merged", l.formed(1, 2, 3, 4, 5))
	t.Logf("merged after %v", l.now-at)
	l.agree(1, 2)
	l.agree(3, 4, 5)
}

func TestLoss(t *testing.T) {
	l := newLab(t, 4, func(c *Config) { c.MTU = 1200 })
	rng := rand.New(rand.NewPCG(1, 2))
	l.drop = func(from, to NodeID, o Outgoing) bool { return rng.IntN(100) < 10 }
	l.until(8*sec, "formed", l.formed(1, 2, 3, 4))
	want := 0
	for i := range 300 {
		body := strings.Repeat("x", rng.IntN(5000)) + fmt.Sprint(i)
		l.submit(NodeID(i%4+1), body, i%3 == 0)
		want++
		l.run(2 * ms)
	}
	l.drop = nil
	l.run(2 * sec)
	l.agree(1, 2, 3, 4)
	for _, x := range l.nodes {
		if got := len(deliveries(x.got)); got != want {
			t.Errorf("node %d delivered %d of %d", x.id, got, want)
		}
	}
	t.Logf("stats %+v", l.nodes[0].stats)
	if t.Failed() {
		t.Log(strings.Join(l.log, "\n"))
	}
}

func TestLeave(t *testing.T) {
	l := newLab(t, 3, nil)
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	at := l.now
	l.node(1).Leave(l.now)
	l.flush(l.node(1))
	l.until(1*sec, "formed", l.formed(2, 3))
	if took := l.now - at; took > 20*ms {
		t.Errorf("%v after a clean leave", took)
	}
	l.run(100 * ms)
	if s := l.node(1).Status().Stop; s != StopLeft {
		t.Errorf("stop reason %v", s)
	}
}
