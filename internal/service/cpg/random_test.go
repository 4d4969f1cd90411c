package cpg

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

// TestRandom drives processes on several nodes through partitions, crashes and
// half-done synchronisations, and demands that every stream makes sense, that
// all nodes of a ring hold the same, and that in the end exactly the processes
// that live are in the groups.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runRandom(t, rapidDraw{t}) })
}

// draw chooses.
type draw interface{ n(n int, what string) int }

type rapidDraw struct{ t *rapid.T }

func (d rapidDraw) n(n int, what string) int { return rapid.IntRange(0, n-1).Draw(d.t, what) }

// world is one random run.
type world struct {
	cluster
	draw
	procs []*randomProc
	sent  int
}

// randomProc is a process with what its owner expects of it.
type randomProc struct {
	*proc
	group   string // asked for; "" after a leave
	crashed bool
}

func runRandom(t servicetest.T, d draw) {
	w := &world{cluster: start(t, 3+d.n(2, "nodes")), draw: d}
	w.Cut = func(n int) int { return d.n(n, "cut") }
	for range 10 + d.n(60, "actions") {
		w.act()
		for range d.n(12, "steps") {
			w.Step(func(n int) int { return d.n(n, "step") })
		}
	}
	for _, n := range w.nodes(false) {
		w.Restart(n)
	}
	for _, n := range w.Nodes() {
		n.Full = false
	}
	w.Split(w.All())
	w.Run()
	w.Advance(owedRetry)
	w.Run()
	w.Check()
	w.checkMembers()
	for _, p := range w.procs {
		if err := checkStream(p); err != nil {
			t.Fatalf("node %d pid %d: %v\n%s", p.Node().ID(), p.pid, err, p.all())
		}
	}
	if err := w.checkOrder(); err != nil {
		t.Fatalf("%v", err)
	}
}

// nodes lists the nodes that are up, or those that are down.
func (w *world) nodes(up bool) (ids []servicetest.NodeID) {
	for id := servicetest.NodeID(1); ; id++ {
		if int(id) > w.Size() {
			return ids
		}
		if w.Node(id).Up() == up {
			ids = append(ids, id)
		}
	}
}

func (w *world) act() {
	up := w.nodes(true)
	switch w.n(14, "action") {
	case 0, 1, 2:
		pid := uint32(1 + w.n(4, "pid"))
		p := &randomProc{proc: w.open(up[w.n(len(up), "node")], pid)}
		w.procs = append(w.procs, p)
		w.join(p)
	case 3:
		if p := w.pick(); p != nil {
			w.join(p)
		}
	case 4:
		if p := w.pick(); p != nil && !w.held(p) && p.leave().Code == service.OK {
			p.group = ""
		}
	case 5:
		if p := w.pick(); p != nil {
			p.Leave()
			p.group = ""
		}
	case 6, 7, 8, 9:
		if p := w.pick(); p != nil {
			w.sent++
			p.mcast(fmt.Sprint(w.sent))
		}
	case 10, 11:
		blocks := make([][]servicetest.NodeID, 1+w.n(3, "blocks"))
		for _, id := range up {
			i := w.n(len(blocks), "block")
			blocks[i] = append(blocks[i], id)
		}
		w.Split(blocks...)
	case 12:
		if down := w.nodes(false); len(down) > 0 {
			w.Restart(down[w.n(len(down), "restart")])
		} else if len(up) > 2 {
			id := up[w.n(len(up), "crash")]
			w.Crash(id)
			for _, p := range w.procs {
				if p.Node().ID() == id && !p.Open() {
					p.crashed, p.group = true, ""
				}
			}
		}
	case 13:
		n := w.Node(up[w.n(len(up), "full")])
		n.Full = !n.Full
		if !n.Full {
			w.Advance(owedRetry)
		}
	}
	if w.n(8, "room") == 0 {
		for _, n := range w.Nodes() {
			n.Full = false
		}
	}
}

// held reports whether calls of the process wait: then nobody knows how they
// will end.
func (w *world) held(p *randomProc) bool { return p.Node().Busy() || p.Node().Full || p.Waiting() }

func (w *world) pick() *randomProc {
	var open []*randomProc
	for _, p := range w.procs {
		if p.Open() {
			open = append(open, p)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return open[w.n(len(open), "process")]
}

func (w *world) join(p *randomProc) {
	if w.held(p) {
		return
	}
	group := string(rune('a' + w.n(2, "group")))
	if p.proc.join(group, uint32(w.n(2, "flags"))).Code == service.OK {
		p.group = group
	}
}

// checkMembers compares the groups with the processes that live.
func (w *world) checkMembers() {
	for _, group := range []string{"a", "b"} {
		var want []Process
		for _, p := range w.procs {
			if p.Open() && p.group == group {
				want = append(want, Process{Node: p.Node().ID(), PID: p.pid})
			}
		}
		slices.SortFunc(want, compareProcess)
		if got := members(w.cluster, w.All()[0], group); got != procs(want) {
			w.t.Fatalf("group %s has%s, its processes are%s", group, got, procs(want))
		}
	}
}

func (p *randomProc) all() (text string) {
	for _, e := range p.Events {
		text += line(e) + "\n"
	}
	return text
}

// checkStream replays what one process was told.
func checkStream(p *randomProc) error {
	var now []Process // members of its group; nil while it is in none
	phase := 0        // of the events at the end of a synchronisation
	for i, e := range p.Events {
		switch e.Kind {
		case EventTotem:
			phase = 0
		case EventDeliver:
			d, err := ParseDeliver(e.Body)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(now, func(m Process) bool { return m.Node == d.Node }) {
				return fmt.Errorf("event %d: a message of node %d, members are%s", i, d.Node, procs(now))
			}
			if phase != 0 {
				return fmt.Errorf("event %d: a message amidst the events of a synchronisation", i)
			}
		case EventConfchg:
			c, err := ParseConfchg(e.Body)
			if err != nil {
				return err
			}
			if phase, err = nextPhase(phase, c); err != nil {
				return fmt.Errorf("event %d: %w", i, err)
			}
			if now, err = apply(now, c, Process{Node: p.Node().ID(), PID: p.pid}); err != nil {
				return fmt.Errorf("event %d: %w", i, err)
			}
		}
	}
	return nil
}

// nextPhase checks the order of corosync-ipc 2.1.4: lost nodes, what is not
// announced any more, nodes that came, totem.
func nextPhase(phase int, c Confchg) (int, error) {
	next := 0
	for _, q := range slices.Concat(c.Left, c.Joined) {
		switch q.Reason {
		case ReasonNodeDown:
			next = 1
		case ReasonNodeUp:
			next = 3
		}
	}
	if next == 0 && phase != 0 && c.Left != nil && c.Left[0].Reason == ReasonProcDown {
		next = 2
	}
	if next < phase {
		return phase, fmt.Errorf("phase %d comes after phase %d", next, phase)
	}
	return next, nil
}

// apply gives the members after a change, as its receiver self should see it.
func apply(now []Process, c Confchg, self Process) ([]Process, error) {
	if now == nil { // its first event: the own join, and the others it is told of
		if len(c.Joined) != 1 || c.Joined[0].Node != self.Node || c.Joined[0].PID != self.PID {
			return nil, fmt.Errorf("the first change is not the own join, but joined%s left%s", procs(c.Joined), procs(c.Left))
		}
		return c.Members, nil
	}
	key := func(a Process) Process { a.Reason = ReasonNone; return a }
	for _, l := range c.Left {
		i := slices.Index(now, key(l))
		if i < 0 {
			return nil, fmt.Errorf("%s left and was no member", procs([]Process{l}))
		}
		now = slices.Delete(slices.Clone(now), i, i+1)
	}
	for _, j := range c.Joined {
		if slices.Contains(now, key(j)) {
			return nil, fmt.Errorf("%s joined twice", procs([]Process{j}))
		}
		now = append(slices.Clone(now), key(j))
	}
	slices.SortFunc(now, compareProcess)
	if !slices.Equal(now, c.Members) {
		return nil, fmt.Errorf("members are%s, by the changes they are%s", procs(c.Members), procs(now))
	}
	if !slices.Contains(now, self) {
		return nil, nil
	}
	return now, nil
}

// checkOrder demands that any two processes got the messages that both got in
// the same order, and none twice.
func (w *world) checkOrder() error {
	var got [][]string
	for _, p := range w.procs {
		var texts []string
		for _, e := range p.Events {
			if e.Kind == EventDeliver {
				d, _ := ParseDeliver(e.Body)
				if slices.Contains(texts, string(d.Message)) {
					return fmt.Errorf("node %d pid %d got message %s twice", p.Node().ID(), p.pid, d.Message)
				}
				texts = append(texts, string(d.Message))
			}
		}
		got = append(got, texts)
	}
	for i, a := range got {
		for _, b := range got[:i] {
			common := func(x, y []string) (out []string) {
				for _, m := range x {
					if slices.Contains(y, m) {
						out = append(out, m)
					}
				}
				return out
			}
			if !slices.Equal(common(a, b), common(b, a)) {
				return fmt.Errorf("two orders: %v and %v", a, b)
			}
		}
	}
	return nil
}
