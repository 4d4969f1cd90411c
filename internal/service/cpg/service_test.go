package cpg

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

type cluster struct {
	*servicetest.Cluster
	t servicetest.T
}

// start runs n nodes in one ring.
func start(t servicetest.T, n int) cluster {
	c := cluster{servicetest.New(t, n, func(servicetest.NodeID) []service.Service { return []service.Service{New()} }), t}
	c.Split(c.All())
	c.Run()
	return c
}

// proc is a client process in a test.
type proc struct {
	*servicetest.Conn
	c    cluster
	pid  uint32
	seen int
}

func (c cluster) open(node servicetest.NodeID, pid uint32) *proc {
	return &proc{Conn: c.Node(node).Open(ID), c: c, pid: pid}
}

// joined opens a process that is in the group, and forgets what it saw so far.
func (c cluster) joined(node servicetest.NodeID, pid uint32, group string) *proc {
	p := c.open(node, pid)
	p.want(p.join(group, 0), service.OK)
	c.Run()
	p.seen = len(p.Events)
	return p
}

func (p *proc) join(group string, flags uint32) *servicetest.Answer {
	return p.Call(CallJoin, JoinRequest{Group: []byte(group), PID: p.pid, Flags: flags}.AppendTo(nil))
}

func (p *proc) leave() *servicetest.Answer {
	return p.Call(CallLeave, LeaveRequest{PID: p.pid}.AppendTo(nil))
}

func (p *proc) mcast(text string) *servicetest.Answer {
	return p.Call(CallMcast, McastRequest{Message: []byte(text)}.AppendTo(nil))
}

func (p *proc) fragment(k FragmentKind, total int, text string) *servicetest.Answer {
	return p.Call(CallPartial, PartialRequest{Kind: k, Total: uint32(total), Fragment: []byte(text)}.AppendTo(nil))
}

func (p *proc) want(a *servicetest.Answer, code service.Code) {
	p.c.t.Helper()
	if !a.Done || a.Code != code {
		p.c.t.Fatalf("node %d pid %d: answered %v with code %d, want %d", p.Node().ID(), p.pid, a.Done, a.Code, code)
	}
}

// news prints what came since the last call, one line an event.
func (p *proc) news() string {
	var b strings.Builder
	for _, e := range p.Events[p.seen:] {
		fmt.Fprintln(&b, line(e))
	}
	p.seen = len(p.Events)
	return b.String()
}

func (p *proc) expect(lines ...string) {
	p.c.t.Helper()
	want := strings.Join(lines, "\n")
	if want != "" {
		want += "\n"
	}
	if got := p.news(); got != want {
		p.c.t.Fatalf("node %d pid %d got\n%swant\n%s", p.Node().ID(), p.pid, got, want)
	}
}

func line(e servicetest.Event) string {
	switch e.Kind {
	case EventConfchg:
		c, err := ParseConfchg(e.Body)
		return fmt.Sprintf("%s: members%s left%s joined%s%s", c.Group, procs(c.Members), procs(c.Left), procs(c.Joined), broken(err))
	case EventDeliver:
		d, err := ParseDeliver(e.Body)
		return fmt.Sprintf("%s: %d/%d says %s%s", d.Group, d.Node, d.PID, d.Message, broken(err))
	case EventTotem:
		c, err := ParseTotem(e.Body)
		return fmt.Sprintf("totem %v%s", c.Members, broken(err))
	case EventPartial:
		d, err := ParsePartialDeliver(e.Body)
		return fmt.Sprintf("%s: %d/%d part %d of %d: %s%s", d.Group, d.Node, d.PID, d.Kind, d.Total, d.Fragment, broken(err))
	}
	return fmt.Sprintf("unknown event %d", e.Kind)
}

func broken(err error) string {
	if err != nil {
		return " " + err.Error()
	}
	return ""
}

func procs(list []Process) string {
	var b strings.Builder
	for _, p := range list {
		fmt.Fprintf(&b, " %d/%d", p.Node, p.PID)
		if p.Reason != ReasonNone {
			fmt.Fprintf(&b, "(%v)", p.Reason)
		}
	}
	return b.String()
}

// TestEvents_OfOneProcess is the story of vector 17: a process sees another node
// come, three processes of it in turn die, leave and crash with it, and leaves.
func TestEvents_OfOneProcess(t *testing.T) {
	c := start(t, 2)
	c.Split([]servicetest.NodeID{1})
	c.Run()
	a := c.open(1, 25122)
	a.want(a.join("hello", 0), service.OK)
	c.Run()
	a.expect("hello: members 1/25122 left joined 1/25122(join)")

	c.Split([]servicetest.NodeID{1, 2})
	c.Run()
	a.expect("totem [1 2]")

	b := c.joined(2, 25142, "hello")
	a.expect("hello: members 1/25122 2/25142 left joined 2/25142(join)")
	b.Leave()
	c.Run()
	a.expect("hello: members 1/25122 left 2/25142(process-down) joined")

	b = c.joined(2, 25206, "hello")
	b.want(b.leave(), service.OK)
	c.Run()
	a.expect("hello: members 1/25122 2/25206 left joined 2/25206(join)", "hello: members 1/25122 left 2/25206(leave) joined")
	b.expect("hello: members 1/25122 left 2/25206(leave) joined")

	c.joined(2, 25209, "hello")
	a.expect("hello: members 1/25122 2/25209 left joined 2/25209(join)")
	c.Crash(2)
	c.Split([]servicetest.NodeID{1})
	c.Run()
	a.expect("hello: members 1/25122 left 2/25209(node-down) joined", "totem [1]")

	a.want(a.leave(), service.OK)
	c.Run()
	a.expect("hello: members left 1/25122(leave) joined")
}

func TestJoin_InitialTotem(t *testing.T) {
	c := start(t, 2)
	a := c.open(1, 7)
	a.want(a.join("g", JoinInitialTotem), service.OK)
	c.Run()
	a.expect("g: members 1/7 left joined 1/7(join)", "totem [1 2]")
	if e, err := ParseTotem(a.Events[1].Body); err != nil || e.Ring != c.Node(1).Ring() {
		t.Errorf("ring %v, %v; want %v", e.Ring, err, c.Node(1).Ring())
	}
	c.joined(2, 8, "g")
	a.expect("g: members 1/7 2/8 left joined 2/8(join)")
}

// TestJoin_Checks walks the errors of join and leave in the order of
// corosync-ipc 2.1.3, and what is better here.
func TestJoin_Checks(t *testing.T) {
	c := start(t, 1)
	a, b := c.open(1, 7), c.open(1, 7)
	a.want(a.leave(), service.ErrNotExist)
	a.want(a.join("g", 0), service.OK)
	a.want(a.leave(), service.ErrBusyCode)   // the join is on its way
	a.want(a.join("h", 0), service.ErrExist) // one group a connection
	a.want(a.join("g", 0), service.ErrExist) // this process is in it
	b.want(b.join("g", 0), service.ErrExist) // the same process by another connection
	a.want(a.join(strings.Repeat("x", 129), 0), service.ErrNameTooLong)
	c.Run()
	a.want(a.join("h", 0), service.ErrExist)
	b.want(b.join("g", 0), service.ErrExist)

	a.want(a.leave(), service.OK)
	a.want(a.leave(), service.ErrNotExist)   // the leave is on its way
	a.want(a.join("g", 0), service.ErrAgain) // still in the list
	b.want(b.join("g", 0), service.ErrAgain) // the same process by another connection
	a.want(a.join("h", 0), service.ErrBusyCode)
	a.want(a.join(strings.Repeat("x", 128), 0), service.ErrBusyCode)
	c.Run()
	a.want(a.leave(), service.ErrNotExist)
	a.want(a.join("h", 0), service.OK) // a free connection may join again, another group or the same
	b.want(b.join("g", 0), service.OK)
	c.Run()
	a.want(a.leave(), service.OK)
	c.Run()
	a.want(a.join("h", 0), service.OK)
	c.Run()
	c.Check()
}

// TestJoin_AfterTheConnectionDied joins again while the leave of the connection
// before finds no room: it must not come after the new join.
func TestJoin_AfterTheConnectionDied(t *testing.T) {
	c := start(t, 1)
	watcher := c.joined(1, 9, "g")
	a := c.open(1, 7)
	a.join("g", 0)
	c.Node(1).Full = true
	a.Leave()
	b := c.open(1, 7)
	c.Node(1).Full = false
	b.want(b.join("g", 0), service.ErrAgain)
	c.Advance(time.Second)
	c.Run()
	b.want(b.join("g", 0), service.OK)
	c.Run()
	watcher.expect("g: members 1/7 1/9 left joined 1/7(join)", "g: members 1/9 left 1/7(process-down) joined", "g: members 1/7 1/9 left joined 1/7(join)")
}

func TestMcast_OnlyMembersSendAndReceive(t *testing.T) {
	c := start(t, 2)
	a, b := c.joined(1, 7, "g"), c.joined(2, 8, "g")
	a.news()
	other := c.joined(2, 9, "h")
	out := c.open(2, 10)
	out.want(out.mcast("nobody hears"), service.ErrNotExist)
	a.want(a.mcast("one"), service.OK)
	b.want(b.mcast("two"), service.OK)
	c.Run()
	a.expect("g: 1/7 says one", "g: 2/8 says two")
	b.expect("g: 1/7 says one", "g: 2/8 says two")
	other.expect()
	out.expect()

	d, err := ParseDeliver(a.Events[len(a.Events)-2].Body)
	if err != nil || d.Conn != a.ID() || d.Tag == 0 || d.Slot == 0 || d.Safe {
		t.Errorf("own delivery %+v, %v", d, err)
	}
	a.want(a.Call(CallMcast, McastRequest{Safe: true, Message: []byte("s")}.AppendTo(nil)), service.OK)
	c.Run()
	if d, _ := ParseDeliver(b.Events[len(b.Events)-1].Body); !d.Safe {
		t.Errorf("safe message comes as %+v", d)
	}
	a.want(a.leave(), service.OK)
	a.want(a.mcast("too late"), service.ErrNotExist)
	c.Run()
	c.Check()
}

// TestMcast_WhileJoining sends before the own join is delivered: the message
// comes after it.
func TestMcast_WhileJoining(t *testing.T) {
	c := start(t, 2)
	b := c.joined(2, 8, "g")
	a := c.open(1, 7)
	b.want(b.mcast("before"), service.OK)
	c.Run()
	b.expect("g: 2/8 says before")
	a.want(a.join("g", 0), service.OK)
	a.want(a.mcast("after"), service.OK)
	c.Run()
	b.expect("g: members 1/7 2/8 left joined 1/7(join)", "g: 1/7 says after")
	a.expect("g: members 1/7 2/8 left joined 1/7(join)", "g: 1/7 says after")
}

// TestGhostMember joins and ends within one synchronisation; nothing may stay
// behind (a fault that other executives had for years).
func TestGhostMember(t *testing.T) {
	if err := try(ghostMember); err != nil {
		t.Fatal(err)
	}
}

func ghostMember(t servicetest.T) {
	c := start(t, 3)
	c.Split([]servicetest.NodeID{1}, []servicetest.NodeID{2, 3})
	c.Run()
	watcher := c.joined(2, 1, "g")
	a := c.open(1, 7)
	a.want(a.join("g", 0), service.OK) // ordered after the round
	c.Split([]servicetest.NodeID{1, 2, 3})
	b := c.open(3, 8)
	join := b.join("g", 0) // waits at the door, and is forgotten there
	a.Leave()
	b.Leave()
	c.Run()
	if join.Done {
		t.Fatalf("a call of a client that is gone was made")
	}
	c.Check()
	if got := members(c, 2, "g"); got != " 2/1" {
		t.Fatalf("left behind:%s", got)
	}
	if got := watcher.news(); strings.Contains(got, "3/8") {
		t.Fatalf("the watcher saw\n%s", got)
	}
}

// A join that nobody here made, in the name of a node, is taken back by that node.
func TestForgedJoin(t *testing.T) {
	c := start(t, 2)
	b := c.joined(2, 1, "g")
	voice := c.Node(1).Service(ID).(*Service).x
	forge := func(fn uint16, body []byte) {
		if err := voice.Multicast(fn, service.Normal, service.Agreed, service.Source{Node: 1, Conn: 77}, body); err != nil {
			t.Fatal(err)
		}
	}
	forge(msgJoin, appendHead(nil, 99, "g"))
	c.Run()
	b.expect("g: members 1/99 2/1 left joined 1/99(join)", "g: members 2/1 left 1/99(process-down) joined")
	for node := range servicetest.NodeID(2) {
		if got := members(c, node+1, "g"); got != " 2/1" {
			t.Errorf("node %d: left behind:%s", node+1, got)
		}
	}
	c.Check()
}

func members(c cluster, node servicetest.NodeID, group string) string {
	p := c.open(node, 0)
	defer p.Leave()
	a := p.Call(CallMembership, GroupRequest{[]byte(group)}.AppendTo(nil))
	m, err := ParseMembership(a.Body)
	if err != nil {
		c.t.Fatalf("membership: %v", err)
	}
	return procs(m.Members)
}

// TestRingChange_OrderOfEvents loses one node and gains another in one step.
func TestRingChange_OrderOfEvents(t *testing.T) {
	if err := try(ringChangeOrder); err != nil {
		t.Fatal(err)
	}
}

func ringChangeOrder(t servicetest.T) {
	c := start(t, 3)
	c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	c.Run()
	a := c.joined(1, 1, "g")
	c.joined(2, 2, "g")
	c.joined(3, 3, "g")
	c.joined(3, 4, "g")
	c.joined(3, 5, "h")
	idle := c.open(1, 9)
	a.news()
	c.Split([]servicetest.NodeID{1, 3}, []servicetest.NodeID{2})
	c.Run()
	a.expect("g: members 1/1 left 2/2(node-down) joined",
		"g: members 1/1 3/3 3/4 left joined 3/3(node-up) 3/4(node-up)",
		"totem [1 3]")
	idle.expect("totem [1 3]")
	c.Check()
}

// TestRingChange_LostAndFound cuts two rounds off in which a node went and came
// back: it was away, so its processes leave and join.
func TestRingChange_LostAndFound(t *testing.T) {
	c := start(t, 3)
	a := c.joined(1, 1, "g")
	c.joined(2, 2, "g")
	c.joined(3, 3, "g")
	a.news()
	c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	c.Split([]servicetest.NodeID{1, 2, 3})
	c.Run()
	a.expect("g: members 1/1 2/2 left 3/3(node-down) joined",
		"g: members 1/1 2/2 3/3 left joined 3/3(node-up)",
		"totem [1 2 3]")
	c.Check()
}

// TestRingChange_Restart loses a node that is back before anybody noticed.
func TestRingChange_Restart(t *testing.T) {
	c := start(t, 2)
	a := c.joined(1, 1, "g")
	c.joined(2, 2, "g")
	a.news()
	c.Crash(2)
	c.Restart(2)
	c.Split([]servicetest.NodeID{1, 2})
	c.Run()
	a.expect("g: members 1/1 left 2/2(node-down) joined", "totem [1 2]")
	c.Check()
}

func TestPartial_PassesThrough(t *testing.T) {
	c := start(t, 2)
	a, b := c.joined(1, 7, "g"), c.joined(2, 8, "g")
	a.news()
	a.want(a.fragment(FragmentContinued, 6, "x"), service.ErrInvalidParam) // nothing was begun
	a.want(a.fragment(FragmentFirst, 6, "ab"), service.OK)
	b.want(b.fragment(FragmentFirst, 2, "yy"), service.OK)
	a.want(a.fragment(FragmentContinued, 5, "c"), service.ErrInvalidParam)     // another message
	a.want(a.fragment(FragmentContinued, 6, "12345"), service.ErrInvalidParam) // too much
	a.want(a.fragment(FragmentContinued, 6, "cd"), service.OK)
	a.want(a.fragment(FragmentLast, 6, "ef"), service.OK)
	a.want(a.fragment(FragmentLast, 6, ""), service.ErrInvalidParam)
	c.Run()
	a.expect("g: 1/7 part 1 of 6: ab", "g: 2/8 part 1 of 2: yy", "g: 1/7 part 2 of 6: cd", "g: 1/7 part 3 of 6: ef")

	out := c.open(1, 9)
	out.want(out.fragment(FragmentFirst, 1, "o"), service.ErrNotExist)
	a.want(a.Call(CallPartial, PartialRequest{Kind: FragmentFirst, Total: MaxTotal + 1}.AppendTo(nil)), service.ErrTooBigCode)
}

// TestPartial_InterruptedByChange is the INTERRUPT rule of corosync-ipc 2.1.6.
func TestPartial_InterruptedByChange(t *testing.T) {
	c := start(t, 2)
	a := c.joined(1, 7, "g")
	a.want(a.fragment(FragmentFirst, 4, "ab"), service.OK)
	c.joined(2, 8, "g")
	a.want(a.fragment(FragmentLast, 4, "cd"), service.ErrInterrupt)
	a.want(a.fragment(FragmentLast, 4, "cd"), service.ErrInterrupt)
	a.want(a.fragment(FragmentFirst, 4, "ab"), service.OK)
	a.want(a.fragment(FragmentLast, 4, "cd"), service.OK)
}

func TestIteration(t *testing.T) {
	c := start(t, 2)
	c.joined(1, 7, "b")
	c.joined(2, 8, "a")
	a := c.joined(2, 9, "b")
	list := func(kind IterKind, group string) string {
		t.Helper()
		r := a.Call(CallIterInit, IterInitRequest{kind, []byte(group)}.AppendTo(nil))
		a.want(r, service.OK)
		a.want(a.leave(), service.OK) // a snapshot does not change
		c.Run()
		var out []string
		for {
			e := a.Call(CallIterNext, r.Body)
			if e.Code != service.OK {
				a.want(e, service.ErrNoSections)
				break
			}
			entry, err := ParseEntry(e.Body)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%s %d/%d", entry.Group, entry.Node, entry.PID))
		}
		a.want(a.Call(CallIterFinalise, r.Body), service.OK)
		a.want(a.Call(CallIterFinalise, r.Body), service.ErrLibrary)
		a.want(a.Call(CallIterNext, r.Body), service.ErrLibrary)
		a.want(a.join("b", 0), service.OK)
		c.Run()
		return strings.Join(out, ", ")
	}
	for _, test := range []struct {
		kind        IterKind
		group, want string
	}{
		{IterNames, "", "a 0/0, b 0/0"},
		{IterOneGroup, "b", "b 1/7, b 2/9"},
		{IterOneGroup, "none", ""},
		{IterAll, "", "a 2/8, b 1/7, b 2/9"},
	} {
		if got := list(test.kind, test.group); got != test.want {
			t.Errorf("iteration %d of %q: got %q, want %q", test.kind, test.group, got, test.want)
		}
	}
	a.want(a.Call(CallIterInit, IterInitRequest{Kind: 4}.AppendTo(nil)), service.ErrInvalidParam)
	for range maxIterators {
		a.want(a.Call(CallIterInit, IterInitRequest{Kind: IterAll}.AppendTo(nil)), service.OK)
	}
	a.want(a.Call(CallIterInit, IterInitRequest{Kind: IterAll}.AppendTo(nil)), service.ErrNoResources)
}

func TestFinalise_LeavesAndStaysQuiet(t *testing.T) {
	c := start(t, 2)
	a, b := c.joined(1, 7, "g"), c.joined(2, 8, "g")
	a.news()
	a.want(a.Call(CallFinalise, nil), service.OK)
	c.Run()
	b.expect("g: members 2/8 left 1/7(process-down) joined")
	a.expect()
	a.want(a.join("g", 0), service.ErrBadHandle)
	a.Leave()
	c.Run()
	b.expect()
	c.Check()
}

func TestFlow_NothingAcceptedIsLost(t *testing.T) {
	c := start(t, 2)
	a, b := c.joined(1, 7, "g"), c.joined(2, 8, "g")
	a.news()
	c.Node(1).Full = true
	waits := a.mcast("later")
	c.Run()
	b.expect()
	c.Node(1).Full = false
	c.Run()
	a.want(waits, service.OK)
	b.expect("g: 1/7 says later")

	c.Node(1).Full = true
	a.Leave() // its leave is owed
	c.Run()
	b.expect()
	c.Node(1).Full = false
	c.Advance(time.Second)
	c.Run()
	b.expect("g: members 2/8 left 1/7(process-down) joined")
}

func TestPush_OverflowEndsTheConnection(t *testing.T) {
	c := start(t, 2)
	a, b := c.joined(1, 7, "g"), c.joined(1, 8, "g")
	w := c.joined(2, 9, "g")
	a.Overflow = true
	w.want(w.mcast("x"), service.OK)
	c.Run()
	if a.Closed() != service.ErrOverflow {
		t.Errorf("closed with %v, want %v", a.Closed(), service.ErrOverflow)
	}
	b.news()
	w.expect("g: 2/9 says x", "g: members 1/8 2/9 left 1/7(process-down) joined")
	c.Check()
}

func TestLocalAndListed(t *testing.T) {
	c := start(t, 3)
	a := c.open(3, 1)
	r, err := ParseLocal(a.Call(CallLocal, nil).Body)
	if err != nil || r.Node != 3 {
		t.Errorf("local node %d, %v; want 3", r.Node, err)
	}
	for i := range 130 {
		p := c.open(3, uint32(1000+i))
		p.join("big", 0)
		c.Run()
	}
	m, err := ParseMembership(a.Call(CallMembership, GroupRequest{[]byte("big")}.AppendTo(nil)).Body)
	if err != nil || len(m.Members) != 130 || len(Listed(m.Members)) != MaxListed {
		t.Errorf("%d members, cut to %d, %v", len(m.Members), len(Listed(m.Members)), err)
	}
}

func TestBadBodiesAreRefused(t *testing.T) {
	c := start(t, 1)
	a := c.open(1, 1)
	for fn := range uint16(numCalls) {
		switch fn {
		case CallLocal, CallFinalise, CallGroups:
		case CallExit, CallSend, CallSafe:
			a.want(a.Call(fn, nil), service.ErrNotExist)
		default:
			a.want(a.Call(fn, nil), service.ErrInvalidParam)
		}
	}
}

func TestLists_ManyProcessesInPieces(t *testing.T) {
	var groups []*group
	for i := range 3 {
		g := &group{name: fmt.Sprint("group", i)}
		for pid := range uint32(20_000) {
			g.procs = append(g.procs, entry{Process: Process{Node: 1, PID: pid}}, entry{Process: Process{Node: 2, PID: pid}})
		}
		sortProcs(g)
		groups = append(groups, g)
	}
	count := map[string]int{}
	lists := appendLists(groups, 2)
	for _, b := range lists {
		if len(b) > 2*listBytes {
			t.Errorf("a list of %d bytes", len(b))
		}
		parsed, err := parseList(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range parsed {
			count[a.group] += len(a.procs)
		}
	}
	if len(lists) < 3 || count["group0"] != 20_000 || count["group2"] != 20_000 {
		t.Errorf("%d lists with %v", len(lists), count)
	}
}

func FuzzDeliver(f *testing.F) {
	f.Add(msgJoin, []byte("\x01\x00\x00\x00\x01g"))
	f.Add(msgMcast, []byte("\x01\x00\x00\x00\x01ghello"))
	f.Add(msgPartial, []byte("\x01\x00\x00\x00\x01g\x01\x05\x00\x00\x00hello"))
	f.Add(msgList, appendLists([]*group{{name: "g", procs: []entry{{Process: Process{Node: 1, PID: 1, Instance: 2}, meta: []byte("m"), stateful: true}}}}, 1)[0])
	f.Add(msgEnter, []byte("\x01\x00\x00\x00\x01g\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(msgPost, []byte("\x01\x00\x00\x00\x01ghello"))
	f.Fuzz(func(t *testing.T, fn uint16, b []byte) {
		c := start(t, 1)
		s := c.Node(1).Service(ID).(*Service)
		a := c.joined(1, 1, "g")
		s.SyncInit(service.Round{Ring: s.totem.Ring, Members: []servicetest.NodeID{1}})
		s.Deliver(service.Message{From: 1, Func: fn, Class: service.Sync, Body: bytes.Clone(b)})
		s.SyncActivate()
		for _, e := range a.Events {
			if strings.Contains(line(e), "malformed") {
				t.Errorf("event %s", line(e))
			}
		}
		c.Run()
	})
}
