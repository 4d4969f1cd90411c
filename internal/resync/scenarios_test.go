package resync_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
)

// scenarios are situations of ordering 5.6 and 4.1 with their outcome. Each is a
// function, so that a build with planted faults can ask which of them notices.
var scenarios = map[string]func() error{
	"stale majority":          staleMajority,
	"restarted primary":       restartedPrimary,
	"adopted epoch":           adoptedEpoch,
	"abort between services":  abortBetweenServices,
	"change in barrier wait":  changeInBarrierWait,
	"change while processing": changeWhileProcessing,
	"barrier of another ring": lateBarrier,
}

func TestScenarios(t *testing.T) {
	for name, run := range scenarios {
		t.Run(name, func(t *testing.T) {
			if err := run(); err != nil {
				t.Error(err)
			}
		})
	}
}

// wantState says that the members agree on the state of a service.
func (b *bus) wantState(s uint16, want string, ids ...proto.NodeID) {
	for _, id := range ids {
		if got := b.nodes[id].state[s]; got != want {
			b.fail("service %d of node %d holds %q, want %q", s, id, got, want)
		}
	}
}

// staleMajority is scenario 63: one node with a device is the primary, and four
// stale ones that outweigh it come back.
func staleMajority() error {
	b := newBus(5, service(2))
	b.form(true, 1, 2, 3, 4, 5)
	b.run()
	b.write(2, "old", 1, 2, 3, 4, 5)
	b.form(true, 5)
	b.form(false, 1, 2, 3, 4)
	b.run()
	b.write(2, "new", 5)
	b.form(true, 1, 2, 3, 4, 5)
	b.run()
	b.wantState(2, "new", 1, 2, 3, 4, 5)
	return b.err
}

// restartedPrimary is the second half of scenario 63: the primary restarted, so
// what the others have is the best there is.
func restartedPrimary() error {
	b := newBus(5, service(2))
	b.form(true, 1, 2, 3, 4, 5)
	b.run()
	b.write(2, "old", 1, 2, 3, 4, 5)
	b.form(true, 1)
	b.form(false, 2, 3, 4, 5)
	b.run()
	b.write(2, "new", 1)
	b.start(1, b.kinds).weight = 9
	b.form(false, 1)
	b.run()
	b.form(true, 1, 2, 3, 4, 5)
	b.run()
	b.wantState(2, "old", 1, 2, 3, 4, 5)
	return b.err
}

// adoptedEpoch is scenario 76: a state epoch goes with the state, not with the
// node's own quorate past.
func adoptedEpoch() error {
	const a, bb, c, d, e = 1, 2, 3, 4, 5
	b := newBus(5, service(2))
	b.form(true, a, bb, c, d, e)
	b.run()
	b.write(2, "old", a, bb, c, d, e)
	b.form(true, a, bb, c)
	b.form(false, d)
	b.form(false, e)
	b.run()
	b.write(2, "w", a, bb, c)
	b.form(false, a, e)
	b.run(a, e)
	b.wantState(2, "w", a, e)
	b.form(false, d, e)
	b.run(d, e)
	b.wantState(2, "w", d, e)
	return b.err
}

// abortBetweenServices is scenario 77: in a quorate ring the first service was
// activated when the ring broke.
func abortBetweenServices() error {
	b := newBus(5, service(2), service(3))
	b.form(true, 1, 2, 3, 4, 5)
	b.run()
	b.write(2, "old", 1, 2, 3, 4, 5)
	b.write(3, "old", 1, 2, 3, 4, 5)
	b.form(true, 3, 4, 5)
	b.form(false, 1)
	b.form(false, 2)
	b.run()
	b.write(2, "new", 3, 4, 5)
	b.write(3, "new", 3, 4, 5)
	// Nodes 2 to 5 meet; service 2 is activated there, service 3 is not.
	b.form(true, 2, 3, 4, 5)
	b.runUntil(func() bool { return slices.Contains(b.nodes[2].calls, "activate 2") && b.nodes[2].state[2] == "new" }, 2, 3, 4, 5)
	b.form(false, 1, 2)
	b.run(1, 2)
	b.wantState(2, "new", 1, 2)
	b.wantState(3, "old", 1, 2)
	b.form(true, 1, 2, 3)
	b.run(1, 2, 3)
	b.wantState(2, "new", 1, 2, 3)
	b.wantState(3, "new", 1, 2, 3)
	return b.err
}

// changeInBarrierWait is scenario 31.
func changeInBarrierWait() error {
	b := newBus(3, service(2))
	b.form(true, 1, 2, 3)
	b.run()
	b.write(2, "x", 1, 2, 3)
	b.nodes[3].state[2] = "y" // so that there is something to send
	b.nodes[3].hold[2] = true
	for _, n := range b.order {
		n.took()
	}
	b.form(true, 1, 2, 3)
	b.run()
	if s := b.nodes[1].m.Status(); s.State != resync.Waiting || s.Service != 2 || !slices.Equal(s.Missing, []proto.NodeID{3}) {
		b.fail("node 1 is %v at service %d, missing %v", s.State, s.Service, s.Missing)
	}
	// Node 3 is lost, and comes back before the next round is over.
	b.form(true, 1, 2)
	b.form(false, 3)
	b.runUntil(func() bool { return b.nodes[1].m.Status().State != resync.Collecting }, 1, 2)
	b.nodes[3].hold[2] = false
	b.form(true, 1, 2, 3)
	b.run()
	want := []string{"init 1", "init 2", "process 1", "activate 1", "process 2", "abort 2",
		"init 1", "init 2", "abort 1", "abort 2", "init 1", "init 2", "process 1", "activate 1", "process 2", "activate 2"}
	if got := b.nodes[1].took(); !slices.Equal(got, want) {
		b.fail("calls at node 1\n got %v\nwant %v", got, want)
	}
	if got, want := b.nodes[1].rounds[2].Trans, []proto.NodeID{1, 2}; !slices.Equal(got, want) {
		b.fail("node 3 was away between, yet %v came along", got)
	}
	b.wantState(2, "x", 1, 2, 3)
	return b.err
}

// changeWhileProcessing aborts in the process phase.
func changeWhileProcessing() error {
	b := newBus(2, service(2))
	b.form(true, 1, 2)
	b.run()
	b.nodes[1].state[2] = "x"
	b.nodes[1].hold[2] = true
	b.nodes[1].took()
	b.form(true, 1, 2)
	b.run()
	b.form(true, 1)
	if got, want := b.nodes[1].took(), []string{"init 1", "init 2", "process 1", "activate 1", "abort 2"}; !slices.Equal(got, want) {
		b.fail("calls at node 1\n got %v\nwant %v", got, want)
	}
	return b.err
}

// lateBarrier lets a Barrier of an aborted round be ordered in the next ring:
// its sender had queued it.
func lateBarrier() error {
	b := newBus(2, service(2))
	b.form(true, 1, 2)
	b.run()
	b.nodes[1].state[2] = "x"
	b.nodes[2].hold[2] = true
	b.form(true, 1, 2)
	old := b.nodes[1].ring
	b.run()
	b.form(true, 1, 2)
	b.runUntil(func() bool { return b.nodes[1].m.Status().Service == 2 })
	stale := resync.Barrier{Ring: old.id, Service: 2}
	b.nodes[1].ring.log = append(b.nodes[1].ring.log, message{2, resync.NoService, stale.AppendTo(nil)})
	b.run()
	if s := b.nodes[1].m.Status(); s.State != resync.Waiting || !slices.Equal(s.Missing, []proto.NodeID{2}) {
		b.fail("node 1 is %v, missing %v: a barrier of %v counted", s.State, s.Missing, old.id)
	}
	if b.nodes[1].noted(resync.NoteStalled) {
		b.fail("stalled")
	}
	return b.err
}

// TestEveryQuorateWriteSurvives walks random configurations, cut off anywhere,
// and checks that a quorate ring always goes on from the newest quorate state.
func TestEveryQuorateWriteSurvives(t *testing.T) {
	for seed := range uint64(150) {
		if err := randomWalk(seed, 60); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func randomWalk(seed uint64, steps int) error {
	const nodes = 5
	b := newBus(nodes, service(2), service(3))
	draw := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed >> 33 % uint64(n))
	}
	for i := range nodes {
		b.form(false, proto.NodeID(i+1))
	}
	b.run()
	last := map[uint16]string{2: "", 3: ""}
	for step := range steps {
		var ids []proto.NodeID
		for i := range nodes {
			if draw(2) == 0 {
				ids = append(ids, proto.NodeID(i+1))
			}
		}
		if len(ids) == 0 {
			continue
		}
		quorate := len(ids) > nodes/2
		b.form(quorate, ids...)
		if draw(2) == 0 {
			n := draw(40)
			b.runUntil(func() bool { n--; return n < 0 }, ids...)
			if b.nodes[ids[0]].m.Status().State != resync.Idle {
				continue // the next configuration finds the round in work
			}
		}
		b.run(ids...)
		for _, s := range []uint16{2, 3} {
			if first := b.nodes[ids[0]].state[s]; quorate && first != last[s] {
				return fmt.Errorf("step %d: members %v start with %q of service %d, the newest is %q", step, ids, first, s, last[s])
			}
			b.wantState(s, b.nodes[ids[0]].state[s], ids...)
			if quorate {
				last[s] = fmt.Sprint("step ", step)
				b.write(s, last[s], ids...)
			}
		}
		if b.err != nil {
			return fmt.Errorf("step %d: %w", step, b.err)
		}
	}
	return nil
}
