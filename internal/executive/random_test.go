package executive

import (
	"fmt"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/service"
)

// rounds checks property Y1 of ordering 1.3 over all nodes of a world: a service
// is activated in a round only when every member has ended its process phase,
// and never twice.
type rounds struct {
	t       *testing.T
	members map[RingID][]NodeID
	ended   map[roundKey][]NodeID
	active  map[roundKey][]NodeID
	inited  map[NodeID]map[uint16]bool
}

type roundKey struct {
	ring    RingID
	round   uint32
	service uint16
}

func (x *rounds) step(id NodeID, s ServiceStep) {
	k := roundKey{s.Ring, s.Round, s.Service}
	open := x.inited[id]
	if open == nil {
		open = map[uint16]bool{}
		x.inited[id] = open
	}
	switch s.Step {
	case StepInit:
		if open[s.Service] {
			x.t.Errorf("node %d: service %d is initialised again without activation or abort", id, s.Service)
		}
		open[s.Service] = true
	case StepProcessed:
		x.ended[k] = append(x.ended[k], id)
	case StepAbort:
		if !open[s.Service] {
			x.t.Errorf("node %d: service %d is aborted without a beginning", id, s.Service)
		}
		open[s.Service] = false
	case StepActivate:
		if !open[s.Service] || slices.Contains(x.active[k], id) {
			x.t.Errorf("node %d: service %d is activated out of place in %v", id, s.Service, s.Ring)
		}
		open[s.Service] = false
		x.active[k] = append(x.active[k], id)
		if n := len(x.ended[k]); n > 0 && n < len(x.members[s.Ring]) {
			x.t.Errorf("node %d: service %d is activated in %v, yet only %v of %v ended", id, s.Service, s.Ring, x.ended[k], x.members[s.Ring])
		}
	}
}

// TestRandomFaults cuts, crashes, restarts and heals, and demands one state at
// the end.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomFaults(t, seed) })
	}
}

func randomFaults(t *testing.T, seed uint64) {
	const nodes = 4
	w := newWorld(t, nodes)
	x := &rounds{t: t, members: map[RingID][]NodeID{}, ended: map[roundKey][]NodeID{}, active: map[roundKey][]NodeID{}, inited: map[NodeID]map[uint16]bool{}}
	w.observe = func(id NodeID) Observer {
		delete(x.inited, id)
		return Observer{
			Service: func(_ proto.Tick, s ServiceStep) {
				x.members[s.Ring] = w.nodes[id].core.members
				x.step(id, s)
			},
		}
	}
	w.start(quorate(nodes), func() service.Service { return cpg.New() }, func() service.Service { return &counter{id: 40, needs: true} })
	draw := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed >> 33 % uint64(n))
	}
	for range 12 {
		id := NodeID(draw(nodes) + 1)
		m := w.nodes[id]
		switch draw(5) {
		case 0:
			var a, b []NodeID
			for _, id := range w.order {
				if draw(2) == 0 {
					a = append(a, id)
				} else {
					b = append(b, id)
				}
			}
			w.split(a, b)
		case 1:
			w.heal()
		case 2:
			m.crash()
		case 3:
			if m.down {
				m.start()
			}
		case 4:
			if !m.down && m.core.Ready() {
				k := m.client()
				for i := range draw(200) {
					k.add(uint64(i), fmt.Sprintf("t%v-n%d-%d", w.now, id, i))
				}
				m.core.Flush(w.now)
			}
		}
		w.run(proto.Tick(draw(1500)) * proto.Millisecond)
	}
	w.heal()
	for _, id := range w.order {
		if m := w.nodes[id]; m.down {
			m.start()
		}
	}
	var since proto.Tick
	var ring RingID
	w.until("one ring that stays", func() bool {
		if r := w.nodes[1].core.ring; r != ring || !w.together(w.order...) {
			ring, since = r, w.now
		}
		return w.now-since > proto.Second
	})
	want := w.nodes[1].service().log
	for _, id := range w.order {
		if got := w.nodes[id].service().log; !slices.Equal(got, want) {
			t.Errorf("node %d has %d entries, node 1 has %d", id, len(got), len(want))
		}
		c := w.nodes[id].core
		if !c.sync.Active(40) {
			t.Errorf("node %d: the service that needs quorum is not active in a quorate ring", id)
		}
		if c.stats.Malformed+c.stats.UnknownService > 0 {
			t.Errorf("node %d: %+v", id, c.stats)
		}
	}
}
