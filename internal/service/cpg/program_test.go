package cpg

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

// program is one of our own programs in a test. Its state is the list of the
// messages that it took.
type program struct {
	*servicetest.Conn
	c     cluster
	group string
	id    Process
	next  int // of Events

	state    []string
	awaits   *Transfer
	held     []string
	coming   []byte
	views    []View
	restored int
	anew     int
}

func (c cluster) program(node servicetest.NodeID) *program {
	return &program{Conn: c.Node(node).Open(ID), c: c}
}

// entered opens a program that is in the group.
func (c cluster) entered(node servicetest.NodeID, group string, stateful bool) *program {
	p := c.program(node)
	a := p.enter(EnterRequest{Group: []byte(group), Stateful: stateful, Meta: fmt.Append(nil, "on ", node)})
	c.Run()
	id, err := ParseIdentity(a.Body)
	if !a.Done || a.Code != service.OK || err != nil {
		c.t.Fatalf("enter: %+v %v", a, err)
	}
	p.id = Process{Node: id.Node, PID: id.PID, Instance: id.Instance}
	return p
}

func (p *program) enter(q EnterRequest) *servicetest.Answer {
	p.group = string(q.Group)
	return p.Call(CallEnter, q.AppendTo(nil))
}

func (p *program) send(text string) *servicetest.Answer { return p.Call(CallSend, []byte(text)) }

// work takes the events that came; it reports whether there were any.
func (p *program) work() bool {
	before := p.next
	for ; p.next < len(p.Events); p.next++ {
		p.take(p.Events[p.next])
	}
	return p.next > before
}

func (p *program) take(e servicetest.Event) {
	fail := func(err error) {
		if err != nil {
			p.c.t.Fatalf("event %d: %v", e.Kind, err)
		}
	}
	switch e.Kind {
	case EventView:
		v, err := ParseView(e.Body)
		fail(err)
		p.views = append(p.views, v)
	case EventMessage:
		m, err := ParseReceived(e.Body)
		fail(err)
		p.apply(string(m.Message))
	case EventGive:
		t, err := ParseTransfer(e.Body)
		fail(err)
		data := strings.Join(p.state, " ")
		p.Call(CallPiece, Piece{Place: t.Place}.AppendTo(nil))
		p.Call(CallPiece, Piece{Place: t.Place, Kind: PieceData, Data: []byte(data)}.AppendTo(nil))
		p.Call(CallPaced, Piece{Place: t.Place, Kind: PieceEnd, Offset: uint64(len(data))}.AppendTo(nil))
	case EventAwait:
		t, err := ParseTransfer(e.Body)
		fail(err)
		p.awaits, p.held, p.coming = &t, nil, nil
	case EventPiece:
		q, err := ParsePiece(e.Body)
		fail(err)
		p.piece(q)
	case EventAnew:
		p.anew++
		p.goOn()
	}
}

func (p *program) apply(text string) {
	if p.awaits != nil {
		p.held = append(p.held, text)
	} else {
		p.state = append(p.state, text)
	}
}

func (p *program) piece(q Piece) {
	switch {
	case p.awaits == nil || q.Place != p.awaits.Place:
	case q.Kind == PieceData:
		p.coming = append(p.coming, q.Data...)
	case q.Kind == PieceEnd:
		p.state = strings.Fields(string(p.coming))
		p.restored++
		place := p.awaits.Place
		p.goOn()
		p.Call(CallGot, GotRequest{Place: place, Whole: true}.AppendTo(nil))
	}
}

func (p *program) goOn() {
	p.awaits = nil
	p.state = append(p.state, p.held...)
	p.held = nil
}

// settle runs until no program has anything to do.
func settle(c cluster, programs ...*program) {
	for moved := true; moved; {
		c.Run()
		moved = false
		for _, p := range programs {
			moved = p.work() || moved
		}
	}
}

func (p *program) view() View { return p.views[len(p.views)-1] }

func (p *program) text() string { return strings.Join(p.state, " ") }

func TestProgram_Views(t *testing.T) {
	c := start(t, 3)
	a := c.entered(1, "g", false)
	b := c.entered(1, "g", false) // two members of one node
	old := c.joined(2, 7, "g")    // and one of libcpg
	settle(c, a, b)
	v := a.view()
	if len(a.views) != 3 || len(v.Members) != 3 || string(v.Members[0].Meta) != "on 1" || v.Joined[0] != (Process{Node: 2, PID: 7, Reason: ReasonJoin}) || v.GroupVotes != 2 {
		t.Errorf("%d views, the last %+v", len(a.views), v)
	}
	b.send("hello")
	old.mcast("old")
	a.Call(CallDirect, DirectRequest{Node: b.id.Node, PID: b.id.PID, Instance: b.id.Instance, Message: []byte("psst")}.AppendTo(nil))
	c.program(3).Call(CallPost, PostRequest{Group: []byte("g"), Message: []byte("outside")}.AppendTo(nil))
	settle(c, a, b)
	for p, want := range map[*program][]string{a: {"hello", "old", "outside"}, b: {"hello", "old", "outside", "psst"}} {
		got := slices.Sorted(slices.Values(p.state))
		if !slices.Equal(got, want) {
			t.Errorf("node %d: %v, want %v", p.Node().ID(), got, want)
		}
	}
	if news := old.news(); strings.Count(news, " says ") != 3 {
		t.Errorf("libcpg sees %s", news)
	}
	c.Split([]servicetest.NodeID{1, 3}, []servicetest.NodeID{2})
	settle(c, a, b)
	if v := a.view(); len(v.Nodes) != 2 || len(v.Members) != 2 || v.Left[0].Reason != ReasonNodeDown || !slices.Equal(v.Came, []servicetest.NodeID{1, 3}) {
		t.Errorf("after the split: %+v", v)
	}
	b.Call(CallExit, nil)
	settle(c, a, b)
	if v := a.view(); len(v.Members) != 1 || v.Left[0].Reason != ReasonLeave || v.Left[0].Instance != b.id.Instance {
		t.Errorf("after the leave: %+v", v)
	}
}

// Members of one process are one process to libcpg.
func TestProgram_InstancesAreOneProcessToLibcpg(t *testing.T) {
	g := &group{}
	for _, p := range []Process{{Node: 1, PID: 5}, {Node: 1, PID: 5, Instance: 9}, {Node: 2, PID: 5, Instance: 1}, {Node: 2, PID: 5, Instance: 2}} {
		g.add(entry{Process: p})
	}
	want := []Process{{Node: 1, PID: 5}, {Node: 2, PID: 5}}
	if got := g.listed(); !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
}

func TestProgram_SafeSaysWhere(t *testing.T) {
	c := start(t, 2)
	a := c.entered(1, "g", false)
	answer := a.Call(CallSafe, []byte("m"))
	settle(c, a)
	got, err := ParseSafe(answer.Body)
	if !answer.Done || err != nil || got.Transitional || len(got.Members) != 2 || a.text() != "m" {
		t.Errorf("%+v: %+v %v; state %q", answer, got, err, a.text())
	}
}

func TestProgram_JoinerGetsTheState(t *testing.T) {
	c := start(t, 3)
	a := c.entered(1, "g", true)
	a.send("1")
	a.send("2")
	settle(c, a)
	b := c.entered(2, "g", true)
	a.send("3")
	settle(c, a, b)
	if b.restored != 1 || b.text() != "1 2 3" || a.restored != 0 {
		t.Errorf("restored %d times, has %q", b.restored, b.text())
	}
	if v := a.view(); !v.Members[1].HasState || v.GroupVotes != 2 {
		t.Errorf("the last view %+v", v)
	}
}

// The one with the state goes before it gave it.
func TestProgram_NobodyHasTheState(t *testing.T) {
	c := start(t, 3)
	a := c.entered(1, "g", true)
	a.send("1")
	settle(c, a)
	b, d := c.entered(2, "g", true), c.entered(3, "g", true)
	a.Leave()
	b.send("2")
	settle(c, b, d)
	if b.anew != 1 || b.text() != "2" || d.restored != 1 || d.text() != "2" {
		t.Errorf("b began anew %d times and has %q, d restored %d times and has %q", b.anew, b.text(), d.restored, d.text())
	}
}

// The higher rank wins whatever the epochs are.
func TestProgram_RankWins(t *testing.T) {
	c := start(t, 3)
	a, b := c.entered(1, "g", true), c.entered(3, "g", true)
	settle(c, a, b)
	c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	b.Call(CallRank, RankRequest{9}.AppendTo(nil))
	a.send("a")
	b.send("b")
	settle(c, a, b)
	c.Split(c.All())
	settle(c, a, b)
	if a.text() != "b" || b.text() != "b" {
		t.Errorf("a has %q, b has %q", a.text(), b.text())
	}
}

func TestProgram_Random(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { randomPrograms(t, rapidDraw{t}) })
}

// randomPrograms drives programs with a state through partitions, crashes and
// transfers that are cut short. In the end all have the same state, and it is
// what some program had all along: nothing doubled, nothing out of a sender's
// order.
func randomPrograms(t servicetest.T, d draw) {
	w := &world{cluster: start(t, 3+d.n(2, "nodes")), draw: d}
	w.Cut = func(n int) int { return d.n(n, "cut") }
	var programs []*program
	sent := 0
	for range 10 + d.n(60, "actions") {
		up := w.nodes(true)
		switch d.n(10, "action") {
		case 0, 1:
			if len(programs) < 8 {
				p := w.program(up[d.n(len(up), "node")])
				p.enter(EnterRequest{Group: []byte("g"), Stateful: true, Rank: uint64(d.n(2, "rank"))})
				programs = append(programs, p)
			}
		case 2:
			if len(programs) > 0 {
				programs[d.n(len(programs), "who")].Leave()
			}
		case 3, 4, 5, 6:
			if len(programs) > 0 {
				sent++
				programs[d.n(len(programs), "who")].send(fmt.Sprint(sent))
			}
		case 7, 8:
			blocks := make([][]servicetest.NodeID, 1+d.n(3, "blocks"))
			for _, id := range up {
				i := d.n(len(blocks), "block")
				blocks[i] = append(blocks[i], id)
			}
			w.Split(blocks...)
		case 9:
			if down := w.nodes(false); len(down) > 0 {
				w.Restart(down[0])
			} else if len(up) > 2 {
				w.Crash(up[d.n(len(up), "crash")])
			}
		}
		programs = slices.DeleteFunc(programs, func(p *program) bool { return !p.Open() })
		for range d.n(12, "steps") {
			w.Step(func(n int) int { return d.n(n, "step") })
		}
		for _, p := range programs {
			if d.n(3, "work") > 0 {
				p.work()
			}
		}
	}
	for _, n := range w.nodes(false) {
		w.Restart(n)
	}
	w.Split(w.All())
	settle(w.cluster, programs...)
	w.Advance(owedRetry)
	settle(w.cluster, programs...)
	w.Check()
	for i, p := range programs {
		switch {
		case p.awaits != nil:
			t.Fatalf("program %d waits for a state", i)
		case p.text() != programs[0].text():
			t.Fatalf("program %d has %q, program 0 has %q", i, p.text(), programs[0].text())
		}
	}
	if len(programs) == 0 {
		return
	}
	seen := map[string]bool{}
	for _, m := range programs[0].state {
		if seen[m] {
			t.Fatalf("message %s is there twice: %s", m, programs[0].text())
		}
		seen[m] = true
	}
	for _, m := range programs[0].view().Members {
		if !m.HasState {
			t.Fatalf("%v has no state in the last view", m.Process)
		}
	}
}
