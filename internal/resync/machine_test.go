package resync_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
)

func ids(list ...proto.NodeID) []proto.NodeID { return list }

// check fails the test if the bus noticed something.
func check(t *testing.T, b *bus) {
	t.Helper()
	if b.err != nil {
		t.Error(b.err)
	}
}

func wantCalls(t *testing.T, n *node, want ...string) {
	t.Helper()
	if got := n.took(); !slices.Equal(got, want) {
		t.Errorf("calls at node %d\n got %v\nwant %v", n.id, got, want)
	}
}

func TestRoundInOrderOfIDs(t *testing.T) {
	b := newBus(3, service(2), service(5))
	b.nodes[2].state[2], b.nodes[3].state[5] = "x", "y"
	b.form(true, 1, 2, 3)
	b.run()
	for _, n := range b.order {
		wantCalls(t, n, "init 1", "init 2", "init 5", "process 1", "activate 1", "process 2", "activate 2", "process 5", "activate 5")
		if !n.noted(resync.NoteReady) {
			t.Errorf("node %d is not ready", n.id)
		}
		if got := n.m.Epoch(5); got != proto.Epoch(n.ring.id.Seq) {
			t.Errorf("state epoch %d after a quorate ring %v", got, n.ring.id)
		}
	}
	check(t, b)
}

func TestRingOfOne(t *testing.T) {
	b := newBus(1, service(2))
	b.form(false, 1)
	b.run()
	wantCalls(t, b.nodes[1], "init 1", "init 2", "process 1", "activate 1", "activate 2")
	if got := b.nodes[1].m.Epoch(2); got != 0 {
		t.Errorf("state epoch %d in a ring that is not quorate", got)
	}
	check(t, b)
}

func TestEqualDigestsSkipTheProcessPhase(t *testing.T) {
	b := newBus(2, service(2))
	b.form(true, 1, 2)
	b.run()
	for _, n := range b.order {
		wantCalls(t, n, "init 1", "init 2", "process 1", "activate 1", "activate 2")
		if r := n.rounds[2]; !r.Same {
			t.Error("the round does not say that all are the same")
		}
		if r := n.rounds[1]; r.Same {
			t.Error("the quorum service must hear its peers, whatever the digests")
		}
	}
	check(t, b)
}

func TestMissingServiceIsPassedBy(t *testing.T) {
	b := newBus(2, service(2), service(3))
	b.start(2, []resync.Service{quorumService(), service(3)})
	b.nodes[1].state[2], b.nodes[1].state[3] = "x", "y"
	b.form(true, 1, 2)
	b.run()
	wantCalls(t, b.nodes[1], "init 1", "init 2", "init 3", "process 1", "activate 1", "activate 2", "process 3", "activate 3")
	wantCalls(t, b.nodes[2], "init 1", "init 3", "process 1", "activate 1", "process 3", "activate 3")
	if p := b.nodes[1].rounds[2].Peers; p[1].Has || !p[0].Has || p[1].Node != 2 {
		t.Errorf("peers of service 2: %+v", p)
	}
	b.wantState(3, "y", 1, 2)
	check(t, b)
}

func TestVersions(t *testing.T) {
	with := func(lo, hi uint16) []resync.Service {
		s := service(2)
		s.Versions = resync.Range{Min: lo, Max: hi}
		return []resync.Service{quorumService(), s, service(3)}
	}
	b := newBus(3, service(2), service(3))
	b.start(1, with(1, 4))
	b.start(2, with(2, 3))
	b.start(3, with(2, 9))
	b.form(true, 1, 2, 3)
	b.run()
	if got := b.nodes[3].rounds[2].Version; got != 3 {
		t.Errorf("version %d, want the highest that all speak, 3", got)
	}
	b.start(3, with(4, 9))
	b.form(true, 1, 2, 3)
	b.run()
	n := b.nodes[3]
	wantCalls(t, n, "init 1", "init 3", "process 1", "activate 1", "activate 3")
	i := slices.IndexFunc(n.notes, func(x resync.Note) bool { return x.Kind == resync.NotePassed && x.Service == 2 })
	if i < 0 || !strings.Contains(n.notes[i].Text, "node 2 speaks 2 to 3") {
		t.Errorf("nobody says who cannot speak what: %+v", n.notes)
	}
	check(t, b)
}

func TestIndependentServicesProcessTogether(t *testing.T) {
	slow, quick := service(2), service(4)
	slow.Independent, quick.Independent = true, true
	b := newBus(2, slow, service(3), quick)
	n := b.nodes[1]
	for _, s := range []uint16{2, 3, 4} {
		n.state[s] = "x"
	}
	n.hold[2] = true
	b.form(true, 1, 2)
	b.run()
	wantCalls(t, n, "init 1", "init 2", "init 3", "init 4", "process 1", "activate 1", "process 4")
	n.hold[2] = false
	b.run()
	wantCalls(t, n, "process 2", "activate 2", "process 3", "activate 3", "activate 4")
	check(t, b)
}

func TestServiceThatNeedsQuorum(t *testing.T) {
	need := service(3)
	need.NeedsQuorum = true
	b := newBus(2, service(2), need)
	b.nodes[1].state[3] = "x"
	b.form(false, 1, 2)
	b.run()
	n := b.nodes[2]
	wantCalls(t, n, "init 1", "init 2", "process 1", "activate 1", "activate 2")
	if n.m.Active(3) || !n.m.Active(2) {
		t.Error("the service that needs quorum must rest, the other one work")
	}

	t.Run("one member sees no quorum", func(t *testing.T) {
		n.blind = true // its own device does not vote
		b.form(true, 1, 2)
		b.run()
		wantCalls(t, n, "init 1", "init 2", "process 1", "activate 1", "activate 2")
		if got := b.nodes[1].took(); got[len(got)-1] != "abort 3" || b.nodes[1].m.Active(3) {
			t.Errorf("the other one must not go on alone: %v", got)
		}
	})
	t.Run("renewed", func(t *testing.T) {
		n.primary = true
		n.m.Renew(b.now)
		b.run()
		wantCalls(t, n, "init 3", "process 3", "activate 3")
		b.wantState(3, "x", 1, 2)
		if !n.m.Active(3) {
			t.Error("not active after a round in which all see quorum")
		}
	})
	t.Run("lost again", func(t *testing.T) {
		b.nodes[1].primary, n.primary = false, false
		b.nodes[1].m.Renew(b.now)
		n.m.Renew(b.now)
		b.run()
		wantCalls(t, n)
		if n.m.Active(3) || !n.m.Active(2) {
			t.Error("the service that needs quorum must rest, the other one work")
		}
	})
	check(t, b)
}

func TestStallNamesWhoHoldsTheBarrier(t *testing.T) {
	b := newBus(3, service(2))
	b.nodes[2].state[2] = "x"
	b.nodes[2].hold[2] = true
	b.form(true, 1, 2, 3)
	b.run()
	n := b.nodes[1]
	wake := n.m.Wake()
	if wake != 30*proto.Second {
		t.Fatalf("wakes at %v, want 30 s after the last progress", wake)
	}
	n.m.Advance(wake - 1)
	if n.noted(resync.NoteStalled) {
		t.Error("stalled too early")
	}
	n.m.Advance(wake)
	n.m.Advance(2 * wake)
	var stalls []resync.Note
	for _, x := range n.notes {
		if x.Kind == resync.NoteStalled {
			stalls = append(stalls, x)
		}
	}
	if len(stalls) != 1 || stalls[0].Service != 2 || !slices.Equal(stalls[0].Missing, ids(2)) {
		t.Errorf("notes: %+v, want one that names node 2 and service 2", stalls)
	}
	if !n.noted(resync.NoteStuck) || n.m.Wake() != 0 {
		t.Error("40 s without progress or a word of node 2, and nobody is told to try another ring")
	}
	b.nodes[2].hold[2] = false
	b.run()
	if n.m.Wake() != 0 || !n.noted(resync.NoteReady) {
		t.Error("the round does not end as usual afterwards")
	}
	check(t, b)
}

// A member with a service that takes long by itself says so again and again:
// another ring would not help.
func TestStuck_NotWhileAMemberIsAtWork(t *testing.T) {
	const second = proto.Second
	b := newBus(3, service(2))
	b.nodes[2].state[2] = "x"
	b.nodes[2].hold[2] = true
	b.form(true, 1, 2, 3)
	b.run()
	for now := proto.Tick(0); now < 1000*second; now += second {
		b.now = now
		for _, n := range b.order {
			n.m.Advance(now)
		}
		b.run()
	}
	for id, n := range b.nodes {
		if n.noted(resync.NoteStuck) || !n.noted(resync.NoteStalled) {
			t.Errorf("node %d gave up, or nobody was told of the wait", id)
		}
	}
	b.nodes[2].hold[2] = false
	b.run()
	if n := b.nodes[1]; n.m.Wake() != 0 || !n.noted(resync.NoteReady) {
		t.Error("the round does not end as usual afterwards")
	}
	check(t, b)
}

// The messages of a service are progress, and each round in a row that was stuck
// has to be so for twice as long.
func TestStuck_WaitsDouble(t *testing.T) {
	const second = proto.Second
	b := newBus(2, service(2))
	n := b.nodes[1]
	b.form(true, 1, 2)
	b.run()
	b.nodes[1].state[2] = "x"
	b.nodes[2].hold[2] = true
	at := n.m.Wake()
	for _, wait := range []proto.Tick{40, 80, 160, 320, 640, 1280, 1280} {
		b.form(true, 1, 2)
		b.run()
		n.m.Moved(at)
		n.m.Advance(at + 30*second)
		if w := n.m.Wake(); w != at+wait*second {
			t.Fatalf("stuck at %v, want %v", w-at, wait*second)
		}
		n.notes = nil
		at += wait * second
		if n.m.Advance(at); !n.noted(resync.NoteStuck) {
			t.Fatalf("not stuck after %v", wait*second)
		}
	}
}

func TestNoRoomIsTriedAgain(t *testing.T) {
	b := newBus(2, service(2))
	b.nodes[1].state[2] = "x"
	b.nodes[2].refuse = true
	b.form(true, 1, 2)
	b.run()
	if !b.nodes[2].m.Busy() {
		t.Fatal("forgot its Hello")
	}
	b.nodes[2].refuse = false
	b.run()
	b.wantState(2, "x", 1, 2)
	if !b.nodes[1].noted(resync.NoteReady) {
		t.Error("not ready")
	}
	check(t, b)
}

func TestServiceChoosesTheSender(t *testing.T) {
	b := newBus(2, service(2))
	b.form(true, 1)
	b.form(false, 2)
	b.run()
	b.write(2, "one", 1)
	b.write(2, "two", 2)
	newest := b.nodes[1].m.Epoch(2)
	for _, n := range b.order {
		n.prefer = 2
	}
	b.form(false, 1, 2)
	b.run()
	b.wantState(2, "two", 1, 2)
	if got := b.nodes[1].m.Epoch(2); got != 0 || newest == 0 {
		t.Errorf("state epoch %d with the state of node 2, which is older than %d", got, newest)
	}
	check(t, b)
}

func TestNewRefuses(t *testing.T) {
	late := service(3)
	late.Quorum = true
	backwards := service(2)
	backwards.Versions = resync.Range{Min: 2, Max: 1}
	for name, kinds := range map[string][]resync.Service{
		"id":       {service(64)},
		"order":    {service(3), service(2)},
		"twice":    {service(3), service(3)},
		"versions": {backwards},
		"quorum":   {service(2), late},
	} {
		if _, err := resync.New(resync.Config{Self: 1, Services: kinds}, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
