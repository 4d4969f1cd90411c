package totem

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// twins is a cluster without time, in which every machine is cloned before every
// input, and the input is given to the copy and to the original.
type twins struct {
	t     *testing.T
	rng   *rand.Rand
	nodes []*Machine
	tags  [][]Tag
	net   []twinFrame
}

type twinFrame struct {
	from, to NodeID
	frame    []byte
}

const twinNow = 5 * sec

func newTwins(t *testing.T, n int, seed uint64) *twins {
	w := &twins{t: t, rng: rand.New(rand.NewPCG(seed, 1)), tags: make([][]Tag, n)}
	var conf []Node
	for i := range n {
		conf = append(conf, Node{ID: NodeID(i + 1), Votes: 1})
	}
	for i := range n {
		m, err := New(twinNow, Config{Self: NodeID(i + 1), Inc: uint64(10 * (i + 1)), Cluster: 3, Table: 1, Nodes: conf, Rand: still{}, Trace: true,
			MTU: 1200, Limits: Limits{Window: 64, WndMax: 6}})
		if err != nil {
			t.Fatal(err)
		}
		w.nodes = append(w.nodes, m)
		for _, x := range conf {
			if x.ID != NodeID(i+1) {
				m.LinkState(twinNow, LinkState{Node: x.ID, Up: true})
			}
		}
		w.collect(i, m.Take())
	}
	return w
}

type still struct{}

func (still) Uint64() uint64 { return 0 }

// collect brings out what one machine gave.
func (w *twins) collect(i int, o Output) {
	if o.Persist != nil {
		w.tags[i] = append(w.tags[i], o.Persist.Tag)
	}
	for _, s := range o.Send {
		to := s.To.Nodes
		if s.To.Scope == ToNode {
			to = []NodeID{s.To.Node}
		}
		for _, id := range to {
			if w.rng.IntN(12) > 0 {
				w.net = append(w.net, twinFrame{NodeID(i + 1), id, slices.Clone(s.Frame)})
			}
		}
	}
	for _, e := range o.Events {
		if c, ok := e.(*Configuration); ok && c.Kind == Regular {
			w.nodes[i].Release(twinNow, c.Ring)
		}
	}
}

// step gives one random input, and checks that a copy does what the original
// does, and that what the copy does leaves the original alone.
func (w *twins) step() {
	i := w.rng.IntN(len(w.nodes))
	if len(w.net) > 0 && w.rng.IntN(3) > 0 {
		i = int(w.net[0].to) - 1
	}
	m := w.nodes[i]
	in := w.input(i)
	before := m.AppendState(nil)
	c := m.Clone()
	c.stats = m.stats
	in(c)
	out := text(c.Take())
	after := c.AppendState(nil)
	if got := m.AppendState(nil); !bytes.Equal(got, before) {
		w.t.Fatalf("an input to the copy changed the original")
	}
	if w.rng.IntN(2) == 0 { // a copy with output that is not taken yet
		d := m.Clone()
		in(d)
		e := d.Clone()
		in2 := w.timer(d)
		in2(d)
		d.Take()
		d.Take()
		if got := text(e.Take()); got != out {
			w.t.Fatalf("output copied before Take:\n%s\nwant\n%s", got, out)
		}
	}
	in(m)
	o := m.Take()
	if got := text(o); got != out {
		w.t.Fatalf("the original answers\n%s\nthe copy\n%s", got, out)
	}
	if got := m.AppendState(nil); !bytes.Equal(got, after) {
		w.t.Fatalf("the original and the copy differ after the same input")
	}
	w.nodes[i] = m
	w.collect(i, o)
	if err := w.nodes[i].CheckInvariants(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *twins) timer(m *Machine) func(*Machine) {
	set := m.ArmedTimers()
	var kinds []Timer
	for k := range NumTimers {
		if set>>k&1 == 1 && (k != TimerToken && k != TimerConsensus || w.rng.IntN(30) == 0) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return func(*Machine) {}
	}
	k := kinds[w.rng.IntN(len(kinds))]
	return func(m *Machine) { m.FireTimer(twinNow, k) }
}

func (w *twins) input(i int) func(*Machine) {
	m := w.nodes[i]
	if w.rng.IntN(40) == 0 {
		body := bytes.Repeat([]byte{byte(i)}, w.rng.IntN(3000))
		class, safe := Class(w.rng.IntN(4)), w.rng.IntN(2) == 0
		return func(m *Machine) { m.Submit(twinNow, body, class, safe, 7) }
	}
	if len(w.tags[i]) > 0 && w.rng.IntN(4) == 0 {
		tag := w.tags[i][0]
		w.tags[i] = w.tags[i][1:]
		return func(m *Machine) { m.Persisted(twinNow, tag, nil) }
	}
	for j, f := range w.net {
		if f.to == NodeID(i+1) {
			w.net = slices.Delete(w.net, j, j+1)
			return func(m *Machine) {
				if err := m.Step(twinNow, Packet{From: f.from, Inc: uint64(10 * f.from), Frame: f.frame}); err != nil {
					w.t.Fatal(err)
				}
			}
		}
	}
	if w.rng.IntN(300) == 0 {
		id := NodeID(w.rng.IntN(len(w.nodes)) + 1)
		return func(m *Machine) { m.LinkDown(twinNow, id); m.LinkState(twinNow, LinkState{Node: id, Up: true}) }
	}
	return w.timer(m)
}

// text is an output without times.
func text(o Output) string {
	var b strings.Builder
	if o.Persist != nil {
		fmt.Fprintf(&b, "persist %+v\n", *o.Persist)
	}
	for _, s := range o.Send {
		fmt.Fprintf(&b, "send %+v %x\n", s.To, s.Frame)
	}
	for _, e := range o.Events {
		fmt.Fprintf(&b, "%+v\n", e)
	}
	fmt.Fprint(&b, o.Trace, o.Room, o.Stop)
	return b.String()
}

func TestClone_IsDeep(t *testing.T) {
	rings := 0
	for seed := range uint64(20) {
		w := newTwins(t, 2+int(seed%2), seed)
		for range 2000 {
			w.step()
		}
		for _, m := range w.nodes {
			rings = max(rings, int(m.stats.Reasons[ReasonRecovered]))
		}
	}
	if rings == 0 {
		t.Error("no ring was formed")
	}
}

// TestAppendState_ForgetsRotations lets a token go round and finds the same state
// again.
func TestAppendState_ForgetsRotations(t *testing.T) {
	w := newTwins(t, 3, 1)
	w.rng = rand.New(rand.NewPCG(1, 1))
	for range 400 {
		w.step()
	}
	seen := map[string]uint64{}
	again := 0
	for range 4000 {
		w.step()
		m := w.nodes[0]
		s := string(m.AppendState(nil))
		if was, ok := seen[s]; ok && was != m.Facts().TokenSeq {
			again++
		}
		seen[s] = m.Facts().TokenSeq
	}
	if again < 100 {
		t.Errorf("%d of %d states were found again with another token number", again, len(seen))
	}
}

// why every field of a machine is in AppendState ("in"), or why it is not.
var inState = map[string]string{
	"Machine": `cfg:constant but for what stands at its start t:constant lim:constant table:constant sets:constant earlier:constant removed:constant peers:in all:constant
		now:the same for all states lastTick:the same pauseEnd:never after now timers:in state:in stopped:in started:in
		committedSeq:in seqBound:in maxSeen:in tag:in durable:in durableBound:in persist:taken waiting:in waitTag:in
		ring:in old:in att:in gatherState:in mergeState:in quarantineState:in queues:in tags:in nextK:in engineK:in held:in level:in
		undelivered:in leaves:in scratch:overwritten sent:within an input sentFlags:within an input post:within an input requested:within an input answeredFirst:within an input deaf:in
		tracedRing:in tracedStable:in asked:in spare:memory bodies:memory bodyBytes:memory pool:memory out:taken prev:taken stats:counters`,
	"peer":     `id:constant votes:constant gone:constant inc:in denied:in heard:in link:in linked:in downAt:in hopRTT:in join:in probes:in probed:in faults:in torn:in told:in shutUntil:in shutSeq:in shutWhy:explains`,
	"joinInfo": `valid:in leaving:in ring:in heard:in at:in`,
	"gatherState": `proc:in fail:in consensus:in attempt:explains reason:in settled:in lingering:in disputed:in apart:in lingerEnd:times since:times
		joinAt:in regular:times answered:times told:in alone:times timeouts:explains badPlans:in`,
	"mergeState":      `merging:in notBefore:in backoff:times lastPeers:in`,
	"quarantineState": `kept:in blamed:in quorate:in decided:in`,
	"keptOut":         `node:in k:in reason:in until:in back:in reach:in shown:in told:in ordered:in`,
	"ring": `quorate:in since:times id:in members:in ids:of members others:of members me:of members prev:of members next:of members mtu:in win:in
		reason:explains suspect:explains delivered:in stable:in asm:in tok:in tokenSeq:the base of numbers sentSeq:in prevAru:in
		lastSent:in lastBacklog:in rounds:masked in frames received:a hint to the driver visits:in unchanged:in
		tokenFirst:a hint to the driver kept:in held:in woken:in passed:in hop:in tokenAt:explains wndRest:in dset:in stuckAru:in
		stuckOwner:in stuckSince:in stuckVisits:in reached:in reachedAt:in wrapped:in blockedSince:explains warned:explains`,
	"hop":      `frame:in to:in ring:in seq:in tries:times sent:times rto:times`,
	"attempt":  `id:in members:in prev:of members next:of members token:in hop:in plan:in`,
	"plan":     `trans:in d:in high:in hd:in last:in queue:in need:in`,
	"window":   `base:in released:in high:in aru:in entries:in bytes:of entries`,
	"entry":    `frame:in from:of frame safe:of frame answers:a hint to the driver answered:in`,
	"queued":   `k:in body:in chunk:memory safe:in engine:in piece:in off:in`,
	"queue":    `items:in head:memory count:in bytes:of items tail:memory spare:memory`,
	"assembly": `k:in next:in body:in`,
	"tagged":   `k:in tag:in`,
}

// TestAppendState_KnowsEveryField makes whoever adds a field think of AppendState
// and Clone.
func TestAppendState_KnowsEveryField(t *testing.T) {
	for _, v := range []any{Machine{}, peer{}, joinInfo{}, gatherState{}, mergeState{}, quarantineState{}, keptOut{}, ring{}, hop{}, attempt{}, plan{}, window{},
		entry{}, queued{}, queue{}, assembly{}, tagged{}} {
		typ := reflect.TypeOf(v)
		known := map[string]bool{}
		for _, f := range strings.Fields(inState[typ.Name()]) {
			if name, _, ok := strings.Cut(f, ":"); ok {
				known[name] = true
			}
		}
		for i := range typ.NumField() {
			if name := typ.Field(i).Name; !known[name] {
				t.Errorf("%s.%s: put it into AppendState (explore.go) and, if it refers to memory, into Clone, or say here why it has no influence", typ.Name(), name)
			}
			delete(known, typ.Field(i).Name)
		}
		for name := range known {
			t.Errorf("%s.%s is not a field any more", typ.Name(), name)
		}
	}
}
