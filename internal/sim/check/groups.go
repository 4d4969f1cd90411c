package check

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
)

// Member is one process of a group.
type Member struct {
	Node NodeID
	PID  uint32
}

// GroupKind tells what a GroupEvent records.
type GroupKind uint8

const (
	GroupOpened   GroupKind = iota + 1 // a connection was made: Client, Life, Node, PID, Group
	GroupJoining                       // its join was accepted
	GroupLeaving                       // its leave was accepted
	GroupAccepted                      // its message was accepted: Tag, Hash
	GroupChange                        // it got a change of the group: Members, Left, Joined
	GroupMessage                       // it got a message: From, Own, Tag, Hash
	GroupTotem                         // it got a ring: Ring
	GroupClosed                        // the connection ended
)

var groupNames = [...]string{"", "opened", "joining", "leaving", "accepted", "change", "message", "totem", "closed"}

// String is the word used in trace files.
func (k GroupKind) String() string { return groupNames[int(k)%len(groupNames)] }

// GroupEvent is what a client of process groups did or got. The checker keeps
// no slice of it.
type GroupEvent struct {
	At      Tick
	Kind    GroupKind
	Client  int // numbers all connections of a trace, from 1
	Life    Life
	Group   string
	Self    Member
	Members []Member
	Left    []Member
	Joined  []Member
	From    Member
	Conn    uint64 // of the sender, at its node
	Tag     uint64
	Hash    uint64
	Ring    RingID
}

// Groups judges what clients of process groups saw:
//
//	G1  clients of a group that go the same way between two synchronised rings
//	    get the same changes and messages in the same order
//	G2  a change leads from the members before to the members after; messages come
//	    from members; in the end all clients see exactly those that are there
//	G3  an accepted message comes back to its sender once, unchanged, in order
//	G4  an accepted join or leave takes effect
//
// Feed it the configurations and activations of the cluster's trace too.
type Groups struct {
	max      int
	findings []Finding
	now      Tick
	service  uint16 // the process group service
	lives    map[Life]*groupLife
	clients  []*groupClient // by number-1
	ways     map[string]*way
	seen     map[RingID]*edition
}

// edition counts the rings of one id: where all members lost their records and
// clocks stood still, an id may come again when all who had it are dead
// (ordering 2.2).
type edition struct {
	number int
	lives  []*groupLife
}

// groupLife is the way of one node through the rings.
type groupLife struct {
	rings  []RingID // installed, in order
	number []int    // editions of them
	active int      // index of the ring whose synchronisation ended last, -1: none
	ended  bool
	parted []*groupClient // left or closed since the last activation
}

type groupClient struct {
	id      int
	life    Life
	self    Member
	group   string
	open    bool
	joining bool // accepted, not seen yet
	leaving bool
	joined  bool
	members []Member
	sent    []tagged // accepted and not seen again
	stretch stretch
}

type tagged struct{ tag, hash uint64 }

// stretch is what a client got between two activations at its node.
type stretch struct {
	events    []uint64
	fromStart bool // it was a member at the first activation
	from      int  // index of that ring in the life's rings
}

// way is the same stretch at all clients of one group that went it.
type way struct {
	full    []uint64 // nil: no client went all of it yet
	by      *groupClient
	partial []part
}

type part struct {
	c *groupClient
	s stretch
	// toEnd: still a member at the second activation
	toEnd bool
}

// NewGroups returns a checker; service is the number of the process group
// service in the trace's activations, limit the number of findings after which it stops,
// zero is one.
func NewGroups(service uint16, limit int) *Groups {
	return &Groups{max: max(1, limit), service: service, lives: make(map[Life]*groupLife), ways: make(map[string]*way), seen: make(map[RingID]*edition)}
}

// Findings returns the violations found so far.
func (g *Groups) Findings() []Finding { return g.findings }

func (g *Groups) fail(property string, c *groupClient, format string, args ...any) {
	if len(g.findings) < g.max {
		text := fmt.Sprintf("client %d (process %d of node %d in group %s) ", c.id, c.self.PID, c.self.Node, c.group)
		g.findings = append(g.findings, Finding{property, g.now, c.life, text + fmt.Sprintf(format, args...)})
	}
}

// Follow takes an event of the cluster's trace.
func (g *Groups) Follow(e *Event) {
	g.now = e.At
	l := g.lives[e.Life]
	switch e.Kind {
	case KindStart:
		g.lives[e.Life] = &groupLife{active: -1}
	case KindCrash, KindStop:
		l.ended = true
	case KindConf:
		if !e.Transitional {
			l.rings, l.number = append(l.rings, e.Ring), append(l.number, g.edition(e.Ring, l))
		}
	case KindActivate:
		if e.Service == g.service {
			g.activated(l)
		}
	}
}

// edition is the number of the ring by that id which a life installs.
func (g *Groups) edition(id RingID, l *groupLife) int {
	d := g.seen[id]
	if d == nil {
		d = new(edition)
		g.seen[id] = d
	} else if !slices.ContainsFunc(d.lives, func(o *groupLife) bool { return !o.ended }) {
		d.number, d.lives = d.number+1, d.lives[:0]
	}
	d.lives = append(d.lives, l)
	return d.number
}

// activated closes the stretches of clients that parted before. Those that are
// still there end theirs with the ring that they are told.
func (g *Groups) activated(l *groupLife) {
	for _, c := range l.parted {
		g.close(c, l, len(l.rings)-1, false)
	}
	l.parted = l.parted[:0]
	l.active = len(l.rings) - 1
}

// Add takes what a client did or got.
func (g *Groups) Add(e *GroupEvent) {
	if len(g.findings) >= g.max {
		return
	}
	g.now = e.At
	if e.Kind == GroupOpened {
		g.clients = append(g.clients, &groupClient{id: e.Client, life: e.Life, self: e.Self, group: e.Group, open: true})
		return
	}
	c := g.clients[e.Client-1]
	if !c.open {
		g.fail("G2", c, "gets something after its end")
		return
	}
	switch e.Kind {
	case GroupJoining:
		c.joining = true
	case GroupLeaving:
		c.leaving = true
	case GroupAccepted:
		c.sent = append(c.sent, tagged{e.Tag, e.Hash})
	case GroupChange:
		g.change(c, e)
	case GroupMessage:
		g.message(c, e)
	case GroupTotem:
		g.totem(c, e)
	case GroupClosed:
		c.open = false
		g.part(c)
		c.joined = false
	}
}

// begin opens the stretch of a client that got its own join.
func (g *Groups) begin(c *groupClient) {
	c.stretch = stretch{from: g.lives[c.life].active}
}

// part ends a client's membership; how its stretch ends is known later.
func (g *Groups) part(c *groupClient) {
	if !c.joined {
		return
	}
	l := g.lives[c.life]
	o := *c // it may join again before that
	l.parted = append(l.parted, &o)
}

func (g *Groups) change(c *groupClient, e *GroupEvent) {
	self := func(m Member) bool { return m == c.self }
	if !c.joined {
		if !slices.ContainsFunc(e.Joined, self) {
			g.fail("G2", c, "gets a change before its own join: members %v left %v joined %v", e.Members, e.Left, e.Joined)
			return
		}
		c.joined, c.joining = true, false
		c.members = slices.Clone(e.Members)
		g.begin(c)
	} else {
		after := slices.DeleteFunc(slices.Clone(c.members), func(m Member) bool { return slices.Contains(e.Left, m) })
		after = append(after, e.Joined...)
		slices.SortFunc(after, compareMember)
		if !slices.Equal(after, e.Members) {
			g.fail("G2", c, "is told that %v left and %v joined %v, and that the members are then %v", e.Left, e.Joined, c.members, e.Members)
			return
		}
		c.members = after
	}
	if !slices.IsSortedFunc(e.Members, compareMember) || !slices.ContainsFunc(e.Members, self) && !slices.ContainsFunc(e.Left, self) {
		g.fail("G2", c, "is told the members %v", e.Members)
		return
	}
	h := fnv.New64a()
	fmt.Fprint(h, "change", e.Members, e.Left, e.Joined)
	c.stretch.events = append(c.stretch.events, h.Sum64())
	if slices.ContainsFunc(e.Left, self) {
		g.part(c)
		c.joined, c.leaving = false, false
	}
}

func compareMember(a, b Member) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.PID, b.PID))
}

func (g *Groups) message(c *groupClient, e *GroupEvent) {
	if !c.joined {
		g.fail("G2", c, "gets a message and is not in the group")
		return
	}
	if !slices.Contains(c.members, e.From) {
		g.fail("G2", c, "gets a message of %v; the members are %v", e.From, c.members)
		return
	}
	h := fnv.New64a()
	fmt.Fprint(h, "message", e.From, e.Conn, e.Tag, e.Hash)
	c.stretch.events = append(c.stretch.events, h.Sum64())
	if e.From != c.self {
		return
	}
	if len(c.sent) == 0 || c.sent[0] != (tagged{e.Tag, e.Hash}) {
		want := "nothing"
		if len(c.sent) > 0 {
			want = fmt.Sprintf("number %d", c.sent[0].tag)
		}
		g.fail("G3", c, "gets its message number %d (hash %x), the next one to come back is %s", e.Tag, e.Hash, want)
		return
	}
	c.sent = c.sent[1:]
}

// totem ends a stretch and begins the next one.
func (g *Groups) totem(c *groupClient, e *GroupEvent) {
	l := g.lives[c.life]
	if len(l.rings) == 0 {
		g.fail("G1", c, "is told of ring %v before its node has one", e.Ring)
		return
	}
	end := len(l.rings) - 1
	if l.rings[end] != e.Ring {
		return // the ring it was in when it joined, asked for with the join
	}
	if !c.joined || c.stretch.from == end {
		return // told at once with its join
	}
	g.close(c, l, end, true)
	c.stretch = stretch{from: end, fromStart: true}
}

// close compares a stretch with those of others that went the same way.
func (g *Groups) close(c *groupClient, l *groupLife, end int, toEnd bool) {
	s := c.stretch
	if s.from < 0 || s.from > end {
		return
	}
	key := c.group
	for i, r := range l.rings[s.from : end+1] {
		key += fmt.Sprintf(" %d/%d/%d-%d", r.Rep, r.Seq, r.Inc, l.number[s.from+i])
	}
	w := g.ways[key]
	if w == nil {
		w = new(way)
		g.ways[key] = w
	}
	p := part{c, s, toEnd}
	if !s.fromStart || !toEnd {
		if w.by != nil {
			g.within(w, p, l.rings[s.from:end+1])
		} else {
			w.partial = append(w.partial, p)
		}
		return
	}
	if w.by == nil {
		w.full, w.by = s.events, c
		for _, p := range w.partial {
			g.within(w, p, l.rings[s.from:end+1])
		}
		w.partial = nil
		return
	}
	g.within(w, p, l.rings[s.from:end+1])
}

// within checks that a stretch is the part of the full one that its client was
// there for.
func (g *Groups) within(w *way, p part, rings []RingID) {
	got, full := p.s.events, w.full
	ok := false
	switch {
	case len(got) > len(full):
	case p.s.fromStart && p.toEnd:
		ok = slices.Equal(got, full)
	case p.s.fromStart:
		ok = slices.Equal(got, full[:len(got)])
	case p.toEnd:
		ok = slices.Equal(got, full[len(full)-len(got):])
	default:
		for i := 0; i+len(got) <= len(full) && !ok; i++ {
			ok = slices.Equal(got, full[i:i+len(got)])
		}
	}
	if !ok {
		g.fail("G1", p.c, "got %d events on the way through the rings %v, client %d of node %d got %d: not the same ones in the same order",
			len(got), rings, w.by.id, w.by.self.Node, len(full))
	}
}

// End checks what only the whole trace can show; drained as in Checker.End.
func (g *Groups) End(at Tick, drained bool) {
	g.now = at
	if !drained || len(g.findings) > 0 {
		return
	}
	there := make(map[string][]Member)
	for _, c := range g.clients {
		if c.open && !g.lives[c.life].ended && c.joined {
			there[c.group] = append(there[c.group], c.self)
		}
	}
	for _, c := range g.clients {
		if !c.open || g.lives[c.life].ended {
			continue
		}
		switch {
		case c.joining:
			g.fail("G4", c, "never gets its own join")
		case c.leaving:
			g.fail("G4", c, "never gets its own leave")
		case len(c.sent) > 0:
			g.fail("G3", c, "never gets its accepted message number %d", c.sent[0].tag)
		}
		if !c.joined {
			continue
		}
		want := there[c.group]
		slices.SortFunc(want, compareMember)
		if !slices.Equal(c.members, want) {
			g.fail("G2", c, "sees the members %v in the end; there are %v", c.members, want)
		}
		l := g.lives[c.life]
		g.activated(l)
		g.close(c, l, len(l.rings)-1, true)
	}
}
