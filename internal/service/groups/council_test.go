package groups

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

// councillor votes as it is told, and writes down what it sees.
type councillor struct {
	s      *Service
	silent bool
	why    string // not to approve
	veto   bool
	asked  []Motion
	log    []string
	open   int // motions asked about that have not ended

	ring func() proto.RingID
	in   map[string]proto.RingID // where a motion was put, by its value
	came map[string]Outcome      // what became of it
}

func (c *councillor) Asked(m Motion) {
	c.asked = append(c.asked, m)
	c.open++
	c.in[string(m.Value)] = c.ring()
	c.log = append(c.log, fmt.Sprintf("asked by %d: %s", m.By, m.Value))
	if !c.silent {
		c.vote()
	}
}

func (c *councillor) vote() {
	m := c.asked[len(c.asked)-1]
	if c.why != "" {
		c.s.Say(m, false, []byte(c.why))
	} else {
		c.s.Say(m, true, []byte("fine"))
	}
}

func (c *councillor) Judge(_ Motion, said []Ballot) bool {
	c.log = append(c.log, "judged:"+ballots(said))
	return !c.veto
}

func (c *councillor) Ended(m Motion, o Outcome, said []Ballot) {
	c.open--
	c.came[string(m.Value)] = o
	c.log = append(c.log, [...]string{"carried", "lost", "interrupted"}[o]+":"+ballots(said))
}

func (c *councillor) Refused(busy bool) { c.log = append(c.log, fmt.Sprintf("refused, busy %v", busy)) }

func ballots(list []Ballot) (text string) {
	for _, b := range list {
		text += fmt.Sprintf(" %d %s %q", b.Node, [...]string{"-", "yes", "?", "no"}[b.Vote], b.Message)
	}
	return text
}

// chamber is a world whose nodes vote.
type chamber struct {
	*world
	seats []*councillor // by node
}

func newChamber(t servicetest.T, n int) *chamber {
	c := &chamber{world: &world{t: t}, seats: make([]*councillor, n+1)}
	c.Cluster = servicetest.New(t, n, func(id servicetest.NodeID) []service.Service {
		seat := &councillor{ring: func() proto.RingID { return c.Node(id).Ring() }, in: map[string]proto.RingID{}, came: map[string]Outcome{}}
		c.seats[id] = seat
		seat.s = New(Config{Council: seat})
		return []service.Service{seat.s}
	})
	c.Split(c.All())
	c.settle()
	return c
}

func (c *chamber) propose(node int, value string) {
	c.seats[node].s.Propose([]byte(value), 30*time.Second)
}

// saw compares what a node saw since the last call.
func (c *chamber) saw(t servicetest.T, node int, want ...string) {
	t.Helper()
	got := c.seats[node].log
	c.seats[node].log = nil
	if !slices.Equal(got, want) {
		t.Fatalf("node %d saw\n%s\nwant\n%s", node, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCouncil_Carried(t *testing.T) {
	c := newChamber(t, 3)
	if c.seats[1].s.d.formed {
		t.Fatal("the domain is formed although nobody needs it")
	}
	c.propose(2, "x")
	c.settle()
	const all = ` 1 yes "fine" 2 yes "fine" 3 yes "fine"`
	for node := 1; node <= 3; node++ {
		c.saw(t, node, "asked by 2: x", "judged:"+all, "carried:"+all)
		if g := c.seats[node].s.d.group(CouncilName); string(g.state) != "x" {
			t.Errorf("node %d has state %q", node, g.state)
		}
	}
	// Newcomers are seated with the next change.
	c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	c.settle()
	c.propose(3, "alone")
	c.propose(1, "pair")
	c.settle()
	c.saw(t, 3, "asked by 3: alone", `judged: 3 yes "fine"`, `carried: 3 yes "fine"`)
	c.saw(t, 2, "asked by 1: pair", `judged: 1 yes "fine" 2 yes "fine"`, `carried: 1 yes "fine" 2 yes "fine"`)
}

// All who are against a motion are heard, and no more than those who are late.
func TestCouncil_Lost(t *testing.T) { allAreHeard(t) }

func allAreHeard(t servicetest.T) {
	c := newChamber(t, 4)
	c.seats[1].why, c.seats[3].why = "no disk", "no route"
	c.seats[4].silent = true
	c.propose(1, "x")
	c.settle()
	c.saw(t, 2, "asked by 1: x")
	c.later(31 * time.Second)
	c.saw(t, 2, `lost: 1 no "no disk" 2 yes "fine" 3 no "no route" 4 - ""`)
	c.seats[4].vote() // too late
	c.seats[1].why, c.seats[3].why, c.seats[4].silent, c.seats[2].veto = "", "", false, true
	for _, s := range c.seats[1:] {
		s.veto, s.log = true, nil
	}
	c.propose(2, "y")
	c.settle()
	const all = ` 1 yes "fine" 2 yes "fine" 3 yes "fine" 4 yes "fine"`
	for node := 1; node <= 4; node++ {
		c.saw(t, node, "asked by 2: y", "judged:"+all, "lost:"+all)
		if g := c.seats[node].s.d.group(CouncilName); len(g.state) > 0 {
			t.Fatalf("node %d has state %q", node, g.state)
		}
	}
}

// Of motions that cross, one is in work.
func TestCouncil_Busy(t *testing.T) {
	c := newChamber(t, 2)
	c.propose(1, "a")
	c.propose(2, "b")
	c.settle()
	busy := 0
	for node := 1; node <= 2; node++ {
		for _, line := range c.seats[node].log {
			if line == "refused, busy true" {
				busy++
			}
		}
	}
	if first := c.seats[1].s.d.group(CouncilName).state; busy != 1 || len(first) != 1 {
		t.Errorf("%d refused, state %q: %q %q", busy, first, c.seats[1].log, c.seats[2].log)
	}
}

// A node that goes, and one that comes, end a vote; what was decided stays.
func TestCouncil_Changes(t *testing.T) {
	c := newChamber(t, 3)
	c.Split([]servicetest.NodeID{1, 2, 3})
	c.settle()
	c.seats[3].silent = true
	c.propose(1, "x")
	c.settle()
	c.Crash(3)
	c.Split([]servicetest.NodeID{1, 2})
	c.settle()
	c.saw(t, 1, "asked by 1: x", `interrupted: 1 yes "fine" 2 yes "fine" 3 - ""`)
	c.saw(t, 2, "asked by 1: x", `interrupted: 1 yes "fine" 2 yes "fine" 3 - ""`)
	c.seats[2].silent = true
	c.propose(1, "y")
	c.settle()
	c.Restart(3)
	c.Split(c.All())
	c.settle()
	c.saw(t, 1, "asked by 1: y", `interrupted: 1 yes "fine" 2 - ""`)
	c.saw(t, 3)
	c.seats[2].silent = false
	c.propose(3, "z")
	c.settle()
	c.saw(t, 3, "asked by 3: z", `judged: 1 yes "fine" 2 yes "fine" 3 yes "fine"`, `carried: 1 yes "fine" 2 yes "fine" 3 yes "fine"`)
}

// The losing side of a merge ends its vote, and voids what is on its way.
func TestCouncil_Merge(t *testing.T) {
	c := newChamber(t, 3)
	c.propose(1, "x")
	c.settle()
	c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	c.settle()
	for _, s := range c.seats[1:] {
		s.silent, s.log = true, nil
	}
	c.propose(1, "ours")
	c.propose(3, "theirs")
	c.settle()
	c.Split(c.All())
	c.settle()
	c.saw(t, 1, "asked by 1: ours", `interrupted: 1 - "" 2 - ""`)
	c.saw(t, 3, "asked by 3: theirs", `interrupted: 3 - ""`)
	c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	c.settle()
	c.propose(1, "on its way") // the newer ring survives
	c.Split(c.All())
	c.settle()
	c.saw(t, 1, "refused, busy false")
}

// Where people count and read of the groups of programs, the council is none.
func TestCouncil_IsNoGroupOfPrograms(t *testing.T) {
	c := newChamber(t, 3)
	c.propose(1, "x")
	c.settle()
	s := c.Node(3).Service(ID).(*Service)
	s.cfg.Merged = func(groups []string, _ []proto.NodeID) { t.Errorf("dissolved %q", groups) }
	if groups, providers, protocols := s.Count(); groups+providers+protocols != 0 || s.d.programs() != 0 {
		t.Errorf("%d groups, %d providers, %d protocols", groups, providers, protocols)
	}
	c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	c.settle()
	c.Split(c.All())
	c.settle()
}

func TestCouncil_NotForClients(t *testing.T) {
	w := start(t, 1)
	a := w.client(1)
	q := JoinRequest{Group: []byte(CouncilName), Attrs: g1, Instance: 1}
	a.wants(a.Call(CallJoin, q.AppendTo(nil)), InvalidGroup)
	q.Group, q.Attrs.Source = []byte("g"), CouncilName
	a.wants(a.Call(CallJoin, q.AppendTo(nil)), InvalidSourceGroup)
	a.wants(a.Call(CallSubscribe, SubscribeRequest{Wants: WantState, Group: []byte(CouncilName)}.AppendTo(nil)), InvalidGroup)
}

// Every node number has a chair of its own.
func TestCouncil_Chairs(t *testing.T) {
	for _, n := range []proto.NodeID{1, 32767, 32768, 65535, 65536, 65537, 1<<32 - 2} {
		if got := chair(n).sits(); got != n {
			t.Errorf("node %d became %d", n, got)
		}
	}
	if chair(1) == chair(65537) {
		t.Error("nodes 1 and 65537 share a chair")
	}
}

// Whatever happens to the ring: what ends at one node ends the same way at all
// that go on with it, and every motion ends where somebody was asked.
func TestCouncil_Random(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runCouncil(t, rapidDraw{t}) })
}

// splits is Split that compares what nodes know which came from one ring and go on
// in one ring: of motions that were put to both in the old one.
func (c *chamber) splits(blocks ...[]servicetest.NodeID) {
	old := map[servicetest.NodeID]proto.RingID{}
	for _, id := range c.All() {
		old[id] = c.Node(id).Ring()
	}
	c.Split(blocks...)
	for _, a := range c.All() {
		for _, b := range c.Node(a).Members() {
			if old[a] != old[b] {
				continue
			}
			x, y := c.seats[a], c.seats[b]
			for value, ring := range x.in {
				one, ended := x.came[value]
				two, also := y.came[value]
				if ring == old[a] && (y.in[value] != ring || one != two || ended != also) {
					c.t.Fatalf("motion %q: node %d saw %v %v, node %d %v %v", value, a, ended, one, b, also, two)
				}
			}
		}
	}
}

func runCouncil(t servicetest.T, d draw) {
	const nodes = 4
	c := newChamber(t, nodes)
	c.Cut = func(n int) int { return d.n(n, "delivered") }
	for step := range 1 + d.n(15, "steps") {
		n := 1 + d.n(nodes, "node")
		switch d.n(5, "what") {
		case 0:
			if c.seats[n].s.pending == nil {
				c.propose(n, fmt.Sprint(n, step))
			}
		case 1:
			c.seats[n].silent = !c.seats[n].silent
		case 2:
			c.seats[n].why = []string{"", "no"}[d.n(2, "why")]
		case 3:
			all := c.All()
			cut := 1 + d.n(nodes-1, "cut")
			c.splits(all[:cut], all[cut:])
		case 4:
			for range 1 + d.n(40, "work") {
				c.Step(func(n int) int { return d.n(n, "next") })
			}
		}
		for _, s := range c.seats[1:] {
			if err := s.s.d.invariants(); err != nil {
				t.Fatalf("%v", err)
			}
		}
	}
	c.splits(c.All())
	c.settle()
	c.later(31 * time.Second)
	for node, s := range c.seats[1:] {
		if s.open != 0 || s.s.pending != nil {
			t.Fatalf("node %d: %d motions without an end, own %+v\n%s", node+1, s.open, s.s.pending, strings.Join(s.log, "\n"))
		}
		s.log, s.silent, s.why = nil, false, ""
	}
	c.propose(1, "last")
	c.settle()
	for node, s := range c.seats[1:] {
		if len(s.log) != 3 || !strings.HasPrefix(s.log[2], "carried") || !slices.Equal(s.log, c.seats[1].log) {
			t.Fatalf("node %d saw %q, node 1 %q", node+1, s.log, c.seats[1].log)
		}
	}
}
