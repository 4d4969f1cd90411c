package executive

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/service"
)

func TestThreeNodesFormMulticastLoseAndMerge(t *testing.T) {
	w := newWorld(t, 3).start()
	w.until("one ring of three", func() bool { return w.together(1, 2, 3) })

	var clients []*sink
	var codes []*service.Code
	for _, id := range w.order {
		k := w.nodes[id].client()
		clients = append(clients, k)
		for i := range 100 {
			codes = append(codes, k.add(uint64(i), fmt.Sprintf("n%d-%d", id, i)))
		}
		w.nodes[id].core.Flush(w.now)
	}
	done := func() bool { return !slices.ContainsFunc(codes, func(c *service.Code) bool { return *c == 0 }) }
	w.until("all calls answered", done)
	w.run(100 * proto.Millisecond)
	want := w.nodes[1].service().log
	if len(want) != 300 {
		t.Fatalf("%d messages, want 300", len(want))
	}
	for _, id := range w.order {
		if got := w.nodes[id].service().log; !slices.Equal(got, want) {
			t.Errorf("node %d has another order", id)
		}
		if got := clients[id-1].events; !slices.Equal(got, want) {
			t.Errorf("client of node %d got %d events in another order", id, len(got))
		}
	}

	w.nodes[3].crash()
	w.until("a ring of two", func() bool { return w.together(1, 2) })
	clients[0].add(1000, "without-3")
	w.nodes[1].core.Flush(w.now)
	w.run(100 * proto.Millisecond)

	w.split([]NodeID{1}, []NodeID{2})
	w.until("two rings of one", func() bool { return w.together(1) && w.together(2) })
	w.heal()
	w.nodes[3].start()
	w.until("one ring of three again", func() bool { return w.together(1, 2, 3) })
	clients[1].add(1001, "after")
	w.nodes[2].core.Flush(w.now)
	w.run(100 * proto.Millisecond)
	want = append(slices.Clone(want), "without-3", "after")
	for _, id := range w.order {
		if got := w.nodes[id].service().log; !slices.Equal(got, want) {
			t.Errorf("node %d: state has %d entries, want %d; the end is %v", id, len(got), len(want), got[max(0, len(got)-3):])
		}
	}
	if got := clients[0].flow; len(got) == 0 || got[len(got)-1] || got[0] != true {
		t.Errorf("flow at client 1: %v, want to be stopped and let go", got)
	}
}

func TestConfigurationBeforeRoundBeforeMessages(t *testing.T) {
	w := newWorld(t, 2).start()
	w.until("one ring", func() bool { return w.together(1, 2) })
	k := w.nodes[1].client()
	k.add(1, "x")
	w.nodes[1].core.Flush(w.now)
	w.run(50 * proto.Millisecond)
	w.nodes[1].service().calls = nil
	w.split([]NodeID{1}, []NodeID{2})
	w.until("alone", func() bool { return w.together(1) })
	got := w.nodes[1].service().calls
	want := []string{"transitional [1] left [2] joined []", "regular [1] left [] joined []", "init from 1", "activate"}
	if !slices.Equal(got, want) {
		t.Errorf("calls\n got %v\nwant %v", got, want)
	}
	w.nodes[1].service().calls = nil
	w.heal()
	w.until("one ring", func() bool { return w.together(1, 2) })
	got = w.nodes[1].service().calls
	want = []string{"transitional [1] left [] joined []", "regular [1 2] left [] joined [2]", "init from 1", "activate"}
	if !slices.Equal(got, want) {
		t.Errorf("calls\n got %v\nwant %v", got, want)
	}
}

func TestLeave(t *testing.T) {
	w := newWorld(t, 2).start()
	w.until("one ring", func() bool { return w.together(1, 2) })
	k := w.nodes[2].client()
	w.nodes[2].core.Leave(w.now)
	w.nodes[2].core.Flush(w.now)
	before := w.now
	w.until("stopped", func() bool { return w.nodes[2].core.Stopped() != 0 })
	w.until("alone", func() bool { return w.together(1) })
	if d := w.now - before; d > 500*proto.Millisecond {
		t.Errorf("took %v", d)
	}
	if k.closed == nil || !w.nodes[2].service().stop {
		t.Error("the client must learn of it and the service be stopped")
	}
	if got := w.nodes[2].core.Stopped().String(); got != "left the cluster" {
		t.Errorf("stopped because %q", got)
	}
	ds := w.nodes[1].core.Decisions(0)
	last := ds[slices.IndexFunc(ds, func(d Decision) bool { return d.View != nil && slices.Equal(d.View.Left, []NodeID{2}) })]
	if !strings.Contains(last.Text, "left in order") {
		t.Errorf("node 1 explains it with %q", last.Text)
	}
}

func TestStaleIncarnationStartsAnewInTheSameProcess(t *testing.T) {
	w := newWorld(t, 2).start()
	w.until("one ring", func() bool { return w.together(1, 2) })
	m := w.nodes[2]
	known := m.disk.Inc
	m.crash()
	w.until("alone", func() bool { return w.together(1) })
	m.disk.Inc, m.disk.SeqBound, m.clock = 5, 0, 0 // an old copy of the record
	m.start()
	k := m.client()
	w.until("one ring again", func() bool { return w.together(1, 2) })
	if got := m.core.Status().Inc; got != known+1 {
		t.Errorf("incarnation %d, want one above the %d that is known", got, known)
	}
	if m.disk.Inc != known+1 {
		t.Errorf("the record holds incarnation %d", m.disk.Inc)
	}
	if k.closed == nil {
		t.Error("a client of the first life must learn that its service began anew")
	}
	if n := len(m.services); n != 3 || !m.services[1].stop {
		t.Errorf("%d lives of the service, want two in this process and the first one stopped", n)
	}
}

// A peer that lies about the ring seq that it knows of this node must not keep it
// out of all rings: no other member would believe such a number.
func TestStaleStart_AbsurdRingSeq(t *testing.T) {
	w := newWorld(t, 3).start()
	w.until("one ring", func() bool { return w.together(1, 2, 3) })
	m := w.nodes[2]
	m.core.staleIncarnation(&seal.Event{Kind: seal.EventStale, Node: 1, Inc: m.disk.Inc + 1<<40, Value: 1<<63 - 5})
	m.core.Flush(w.now)
	w.until("one ring after the new start", func() bool { return m.core.cfg.Totem.Inc > 1<<40 && w.together(1, 2, 3) })
	if m.disk.SeqBound > 1<<32 {
		t.Errorf("the record is bound to ring seq %d", m.disk.SeqBound)
	}
}

// One of two links comes and goes: nobody leaves the ring, and messages hardly
// wait (ordering 5.6, 14).
func TestScenario_14_OneOfTwoLinksFlaps(t *testing.T) {
	const ms = proto.Millisecond
	for bad := range uint8(2) {
		w := newWorld(t, 3)
		w.links = 2
		w.start()
		w.until("one ring", func() bool { return w.together(1, 2, 3) })
		w.run(2 * proto.Second)
		ring := w.nodes[1].core.Status().Ring
		clients := map[NodeID]*sink{}
		for _, id := range w.order {
			clients[id] = w.nodes[id].client()
		}
		w.silent = func(link uint8) bool { return link == bad && w.now/(50*ms)%2 == 0 }
		var waits []proto.Tick
		for i := range 400 {
			id := w.order[i%3]
			code, at := clients[id].add(uint64(i), fmt.Sprint("message ", i)), w.now
			w.nodes[id].core.Flush(w.now)
			w.until("an answer", func() bool { return *code != 0 })
			waits = append(waits, w.now-at)
			w.run(13 * ms)
		}
		slices.Sort(waits)
		if worst := waits[len(waits)*999/1000]; worst > 20*ms {
			t.Errorf("link %d flaps: the slowest message took %v", bad, worst)
		}
		for _, id := range w.order {
			if s := w.nodes[id].core.Status(); s.Ring != ring {
				t.Errorf("link %d flaps: node %d is in ring %v, it was in %v", bad, id, s.Ring, ring)
			}
		}
		t.Logf("link %d: median %v, slowest %v", bad, waits[len(waits)/2], waits[len(waits)-1])
	}
}
