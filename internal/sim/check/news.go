package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// News judges the event service (cluster events 2.8, 3, 7.1; openais-executive 7):
//
//	EV1  nodes that go the same way hold the same state after each message
//	EV2  membership facts are those that follow from the rings that agreed: each
//	     once, numbered without gaps, the same lists at all, the very record when
//	     primacy is lost or restored
//	EV3  who was thrown out is told, and that is the last
//	EV4  an event has one id, one number and one text wherever it is told, and is
//	     told once to a subscription
//	EV5  no silent gap: a message says exactly how many were left out before it
//	EV6  what filters refuse is not told
//	EV7  the answer to a publication is true: what is granted is there for all that
//	     stay, what is refused never happens
//	EV8  members of a group see the same in the same order, first that they came
//	EV9  nothing comes for what ended or never was
//	EV10 in the end nodes of one membership took as many messages
//	EV11 who takes everything, or takes it by priority, is told of topics exactly what
//	     follows from the messages: what is kept once for each open, what was lost,
//	     what ended; events are kept for their time, on all sides of a merge
//	EV13 views of the AIS are what the memberships mean: one for each, or two where who
//	     left is back, who stays, came
//	     and left, and at who was away all others came
//	EV14 who fetches events knows whether some wait, and where its node is: its calls say
//	     so, and it is told, once, what changes
//	EV12 what was granted as durable is there as long as disks are, or made room
type News struct {
	max      int
	queue    int // messages that wait for a subscription at most; zero: not known
	ranked   int // the same for a client of the AIS
	findings []Finding
	now      Tick
	lives    map[Life]*newsNode
	clients  []*newsClient // by number-1
	epochs   map[epochKey]*epoch
	pids     map[uint32]*newsClient
	refused  map[string]bool // texts that are never to be told
	told     map[string]bool
	first    map[uint64]Tick    // when an event came about
	let      map[uint64]bool    // one that its topic did not keep any more, on some way
	loose    bool               // every ring is primary
	durable  map[uint64]granted // by event
	forgets  bool               // a disk did
	ordered  bool               // what nodes apply is told
}

type epochKey struct {
	ring  RingID
	round uint32
}

// epoch is what one agreed membership and its messages come to. Where memory is
// lost with all who had it, or a part goes on without the others, epochs branch:
// rules compare what is on one way from the root.
type epoch struct {
	key     epochKey
	parent  *epoch
	seq     uint32
	members []citizen // oldest first
	in, out []citizen
	ids     map[uint64]publication
	texts   map[string]uint64
	seqs    map[topicSeq]uint64
	next    map[groupItem]string
	digests map[int][32]byte
	last    map[uint64]uint64 // by number of a topic that is never deleted: highest number known
	agreed  map[Life]bool     // members at which the round ended, or that stay
	posted  map[uint64]uint64 // the number of each event that came about
}

type citizen struct {
	node NodeID
	life Life
	born uint32
}

type publication struct {
	topic string
	of    uint64 // the topic's number
	seq   uint64
	text  string
	match []string
}

type topicSeq struct{ topic, seq uint64 }

type groupItem struct{ group, item string }

// newsNode is one life of a node.
type newsNode struct {
	life   Life
	node   NodeID
	inc    uint64
	ended  bool
	rings  map[RingID]map[NodeID]Life
	begun  map[epochKey]*epoch
	latest *epoch // the newest membership that it knows of
	at     *epoch // what it applied
	turn   *epoch // of its ring; nil: there is none, or its commit came
	stays  bool   // in turn
	awaits bool
	direct bool
	count  int // messages since the commit
	in     bool
	limbo  bool
	mine   []*newsClient

	leaves bool
	board  *board
	boards map[epochKey]*board // as rounds began
	brings map[uint64]bringing // what it has to bring to the others
}

type newsClient struct {
	shelf
	id      int
	pid     uint32
	node    *newsNode
	closed  bool
	granted uint64
	pushed  uint64
	slow    bool // it took nothing for a while
	adopted bool // its node took over the state of others
	stale   bool // what it gets may be of a part that was given up
	takes   bool // it is in a call to take more
	subs    map[uint32]*newsSub
}

// newsSub is one registration or subscription.
type newsSub struct {
	id     uint32
	call   *NewsCall
	over   bool
	ends   bool     // the end is due
	owed   []string // facts
	trans  uint32
	heard  bool // something
	known  bool // last counts
	last   uint64
	ids    map[uint64]bool
	items  map[string]bool
	before string // last item of a group
	there  []uint32
	waited int // messages that came when it took more

	number  uint64          // of the topic
	at      uint64          // what of it was seen
	lacks   uint64          // and not told
	gone    uint64          // of those: what is lost to all
	excused uint64          // the same, of what is told now
	again   map[uint64]bool // numbers of what is not told, for it was under others
	lost    bool            // events of it, since the queue of a client of the AIS was full
}

// NewNews returns a checker; queue is how many messages wait for a subscription at
// most, zero if that is not known, ranked how many for a client of the AIS, limit the
// number of findings after which it stops, zero is one.
func NewNews(queue, ranked, limit int) *News {
	return &News{queue: queue, ranked: ranked, max: max(1, limit), first: make(map[uint64]Tick), let: make(map[uint64]bool), durable: make(map[uint64]granted), pids: make(map[uint32]*newsClient), lives: make(map[Life]*newsNode), epochs: make(map[epochKey]*epoch), refused: make(map[string]bool), told: make(map[string]bool)}
}

// Findings returns the violations found so far.
func (n *News) Findings() []Finding { return n.findings }

func (n *News) fail(property string, h *newsNode, format string, args ...any) {
	if len(n.findings) < n.max {
		n.findings = append(n.findings, Finding{property, n.now, h.life, fmt.Sprintf("node %d ", h.node) + fmt.Sprintf(format, args...)})
	}
}

func (n *News) failFor(property string, c *newsClient, s uint32, format string, args ...any) {
	n.fail(property, c.node, "client %d registration %d: %s", c.id, s, fmt.Sprintf(format, args...))
}

// Follow takes an event of the cluster's trace.
func (n *News) Follow(e *Event) {
	n.now = e.At
	switch e.Kind {
	case KindStart:
		h := &newsNode{life: e.Life, node: e.Node, inc: e.Inc, rings: make(map[RingID]map[NodeID]Life), begun: make(map[epochKey]*epoch),
			boards: make(map[epochKey]*board), brings: make(map[uint64]bringing)}
		h.board = newBoard(func(id uint64) { n.letGo(h, id) })
		n.lives[e.Life] = h
	case KindCrash, KindStop:
		h := n.lives[e.Life]
		h.ended = true
		for _, c := range h.mine {
			c.closed = true
		}
		for id := range h.brings {
			n.let[id] = n.let[id] || n.loose
		}
	case KindConf:
		if h := n.lives[e.Life]; !e.Transitional {
			h.rings[e.Ring] = make(map[NodeID]Life)
			for i, m := range e.Members {
				h.rings[e.Ring][m] = n.lifeOf(m, e.Incs[i])
			}
		}
	}
}

// lifeOf finds the newest life of a node with that incarnation.
func (n *News) lifeOf(id NodeID, inc uint64) (found Life) {
	for _, h := range n.lives {
		if h.node == id && h.inc == inc && h.life > found {
			found = h.life
		}
	}
	return found
}

// Add takes what happened in the event service.
func (n *News) Add(e *NewsEvent) {
	if len(n.findings) >= n.max {
		return
	}
	n.now = e.At
	h := n.lives[e.Life]
	if h == nil || h.ended {
		return
	}
	if e.Kind >= NewsInit {
		n.node(h, e)
		return
	}
	if e.Kind == NewsOpened {
		c := &newsClient{shelf: newShelf(e.Conn), id: e.Client, pid: e.PID, node: h, subs: make(map[uint32]*newsSub)}
		n.clients, h.mine, n.pids[e.PID] = append(n.clients, c), append(h.mine, c), c
		return
	}
	c := n.clients[e.Client-1]
	if c.closed {
		if e.Kind == NewsPush {
			n.failFor("EV9", c, e.Item.Sub, "gets %v after the end of the connection", e.Item.Kind)
		}
		return
	}
	switch e.Kind {
	case NewsCalled:
		n.called(c, e.Call)
	case NewsAnswer:
		n.answered(c, e)
	case NewsPush:
		n.pushed(c, e.Item)
	case NewsView:
		n.viewed(c, e.View)
	case NewsTold:
		n.heard(c, e)
	case NewsTook:
		c.takes = false
		c.stale = c.stale && c.pushed >= c.granted // else it has all that waited
	case NewsClosed:
		c.closed = true
		h.mine = slices.DeleteFunc(h.mine, func(o *newsClient) bool { return o == c })
	}
}

// node follows what decides about the membership of a node.
func (n *News) node(h *newsNode, e *NewsEvent) {
	switch e.Kind {
	case NewsStored:
		h.board.load(e.Op)
	case NewsOrdered:
		n.applied(h, e.Op)
	case NewsInit:
		n.settle(h)
		n.knows(h)
		h.boards[epochKey{e.Ring, e.Round}] = h.board.clone()
		h.awaits, h.direct, h.turn = false, false, nil
		h.begun[epochKey{e.Ring, e.Round}] = h.latest
	case NewsTurning:
		n.turning(h, e)
	case NewsConf:
		h.awaits, h.direct = false, false
		if !e.Transitional {
			h.turn = nil
		}
	case NewsPassed:
		h.awaits, h.direct, h.turn = false, false, nil
		if h.in && !h.limbo {
			h.limbo = true
			h.owe(h.at.record(factNotPrimary))
		}
	case NewsCommit:
		n.commit(h)
	case NewsApplied:
		n.settle(h)
		n.knows(h)
		if !h.direct {
			return
		}
		h.count++
		if want, ok := h.at.digests[h.count]; ok && want != e.Digest {
			n.fail("EV1", h, "holds another state than others after message %d of ring %v", h.count, h.at.key.ring)
		}
		h.at.digests[h.count] = e.Digest
	case NewsLeaving:
		h.leaves = true
		h.evicted(true)
	}
}

// turning works out what the membership of a ring follows from, and is.
func (n *News) turning(h *newsNode, e *NewsEvent) {
	key := epochKey{e.Ring, e.Round}
	t := n.epochs[key]
	if !t.counts(h.life) { // rings of lives that forgot theirs may have the name of an earlier one
		t = &epoch{key: key, ids: make(map[uint64]publication), texts: make(map[string]uint64), seqs: make(map[topicSeq]uint64),
			next: make(map[groupItem]string), digests: make(map[int][32]byte), last: make(map[uint64]uint64), agreed: make(map[Life]bool), posted: make(map[uint64]uint64)}
		present := map[Life]NodeID{}
		for _, id := range e.Nodes {
			life := h.rings[e.Ring][id]
			if p := n.lives[life]; p != nil {
				present[life] = id
				if b := p.begun[key]; t.parent.before(b) {
					t.parent = b
				}
			}
		}
		t.follow(present)
		n.epochs[key] = t
	}
	t.agreed[h.life] = true
	h.turn, h.awaits = t, true
	h.stays = t.parent.stays(h.life)
	if !t.parent.has(h.latest) || h.latest == nil && e.Adopts { // what it told, perhaps of its disk, does not count any more
		for _, c := range h.mine {
			c.stale = c.stale || c.pushed >= c.granted
			for _, s := range c.subs {
				s.known, s.again = false, make(map[uint64]bool)
			}
		}
	}
	h.latest = t.parent
	if h.stays {
		return
	}
	h.evicted(false)
	if !e.Adopts { // the others went on without it, but it has or gets all that they applied
		return
	}
	for _, c := range h.mine {
		c.adopted = true
	}
	if o := n.lives[h.rings[e.Ring][e.Teller]]; o != nil && o != h && o.boards[key] != nil {
		n.adopt(h, o.boards[key])
	}
}

// follow makes the membership of those who are there: who was in the one before
// stays. Who came with that, and fell away before the round ended at it, comes anew.
func (t *epoch) follow(present map[Life]NodeID) {
	if t.parent != nil {
		t.seq = t.parent.seq
		for _, c := range t.parent.members {
			if present[c.life] != 0 && t.parent.agreed[c.life] {
				t.agreed[c.life] = true
				t.members = append(t.members, c)
				delete(present, c.life)
			} else {
				t.out = append(t.out, c)
			}
		}
	}
	for life, id := range present {
		t.in = append(t.in, citizen{id, life, t.seq + 1})
	}
	slices.SortFunc(t.in, func(a, b citizen) int { return int(a.node) - int(b.node) })
	if len(t.in)+len(t.out) > 0 {
		t.seq++
		t.members = append(t.members, t.in...)
		return
	}
	t.in, t.out = t.parent.in, t.parent.out // it is the same membership
}

func (t *epoch) before(o *epoch) bool {
	if t == nil || o == nil {
		return t == nil && o != nil
	}
	if c := t.key.ring.Compare(o.key.ring); c != 0 {
		return c < 0
	}
	return t.key.round < o.key.round
}

// counts reports whether a life is a member.
func (t *epoch) counts(life Life) bool {
	return t != nil && slices.ContainsFunc(t.members, func(c citizen) bool { return c.life == life })
}

// stays reports whether a life is a member, and has agreed to be.
func (t *epoch) stays(life Life) bool { return t != nil && t.agreed[life] }

// has reports whether o is on the way to t.
func (t *epoch) has(o *epoch) bool {
	for ; t != nil && t != o; t = t.parent {
	}
	return t == o
}

// commit has a node apply the membership of its ring, and those on the way to it.
func (n *News) commit(h *newsNode) {
	t := h.turn
	if t == nil {
		return
	}
	h.latest, h.turn = t, nil
	if !h.awaits {
		return // it waits for the next ring
	}
	way := []*epoch{t}
	for p := t.parent; h.stays && p != h.at && p.stays(h.life); p = p.parent {
		way = append(way, p)
	}
	slices.Reverse(way)
	for _, p := range way {
		switch {
		case p.parent == nil || p.seq != p.parent.seq:
			h.owe(p.record(factNew))
		case h.limbo:
			h.owe(p.record(factRestored))
		}
		h.limbo = false
	}
	h.at, h.in, h.awaits, h.direct, h.count = t, true, false, true, 0
}

// evicted ends what is registered at a node that was in the membership, or leaves.
func (h *newsNode) evicted(leaves bool) {
	if h.in {
		h.owe(factText(factEvicted, 0, nil, nil, nil))
	} else if !leaves {
		return
	}
	h.in, h.limbo = false, false
	for _, c := range h.mine {
		for _, s := range c.subs {
			s.ends = s.ends || s.call.Want != WantTopic && s.call.Want != WantOpen
		}
	}
}

func (h *newsNode) owe(fact string) {
	for _, c := range h.mine {
		for _, s := range c.subs {
			if s.call.Want == WantMembership && !s.over && !s.ends {
				s.owed = append(s.owed, fact)
			}
		}
	}
}

func (t *epoch) record(kind uint8) string {
	list := func(l []citizen) (out []NewsMember) {
		for _, c := range l {
			out = append(out, NewsMember{c.node, c.born})
		}
		return out
	}
	return factText(kind, uint64(t.seq), list(t.members), list(t.in), list(t.out))
}

func factText(kind uint8, seq uint64, members, in, out []NewsMember) string {
	name := []string{"", "new", "not primary", "restored", "evicted", "no quorum"}[min(kind, 5)]
	return fmt.Sprintf("%s %d members %v in %v out %v", name, seq, members, in, out)
}

func (n *News) called(c *newsClient, q *NewsCall) {
	switch q.Want {
	case WantMembership, WantGroup, WantTopic:
		s := &newsSub{id: q.Sub, call: q, ids: make(map[uint64]bool), again: make(map[uint64]bool), items: make(map[string]bool),
			known: q.From > 0, last: q.From - 1}
		c.subs[q.Sub] = s
		if q.Tracked && c.watched[q.Sub] == nil {
			c.watched[q.Sub] = &watched{}
		}
		if h := c.node; q.Want == WantMembership && h.in {
			s.owed = append(s.owed, h.at.record(factNew))
			if h.limbo {
				s.owed = append(s.owed, h.at.record(factNotPrimary))
			}
		}
	case WantMore:
		c.granted += q.More
		c.takes = true
		for _, s := range c.subs {
			s.waited = 0
		}
		c.slow = c.slow || c.granted <= c.pushed
	}
	n.asked(c, q)
}

func (n *News) answered(c *newsClient, e *NewsEvent) {
	q := e.Call
	v := n.verdict(c, e)
	switch q.Want {
	case WantMembership, WantGroup, WantTopic:
		if !e.OK {
			delete(c.subs, q.Sub)
		}
	case WantEnd:
		if s := c.subs[q.Sub]; s != nil && e.OK {
			s.over = true
		}
	case WantTake:
		n.took(c, e)
	case WantPublish:
		switch {
		case e.OK && c.node.at != nil && c.node.in:
			n.know(c, 0, cmp.Or(v.at, c.node.latest), q.Fixed, e.ID, publication{q.Name, v.of, e.Seq, q.Text, q.Match})
		case !e.OK && !e.Unsure:
			n.refused[q.Text] = true
			if n.told[q.Text] {
				n.failFor("EV7", c, 0, "%q was refused, and happened", q.Text)
			}
		}
	}
}

// pushed takes what a client is told.
func (n *News) pushed(c *newsClient, i *NewsItem) {
	c.pushed++
	c.slow = c.slow || c.pushed >= c.granted
	s := c.subs[i.Sub]
	if s == nil || s.over {
		n.failFor("EV9", c, i.Sub, "gets a %s for what ended or never was", i.Kind)
		return
	}
	n.expected(c, s, i)
	switch i.Kind {
	case ItemFact:
		n.fact(c, s, i)
	case ItemEntry:
		who := fmt.Sprintf("joined %v %d/%d", i.Joined, i.Node, i.PID)
		if !s.heard && (!i.Joined || i.Node != c.node.node) {
			n.failFor("EV8", c, i.Sub, "of group %s first hears %s", i.Topic, who)
		}
		n.item(c, s, i.Sub, who)
		s.there = slices.DeleteFunc(s.there, func(p uint32) bool { return p == i.PID })
		if i.Joined {
			s.there = append(s.there, i.PID)
		}
	case ItemMessage:
		if s.waited++; c.takes && !c.ranked && n.queue > 0 && s.waited > n.queue {
			n.failFor("EV5", c, i.Sub, "%d messages waited, at most %d are to", s.waited, n.queue)
		}
		n.message(c, s, i)
	case ItemEnd:
		n.ended(c, s, i)
	}
	s.heard = true
}

func (n *News) ended(c *newsClient, s *newsSub, i *NewsItem) {
	s.over = true
	switch {
	case len(s.owed) > 0:
		n.failFor("EV2", c, i.Sub, "ends and was not told %s", s.owed[0])
	case (i.Why == endThrown || i.Why == endStopped) && !s.ends:
		n.failFor("EV3", c, i.Sub, "ends as if its node were in no membership any more")
	case i.Why == endSlow && !c.slow:
		n.failFor("EV8", c, i.Sub, "ends as slow, and took everything")
	}
}

func (n *News) fact(c *newsClient, s *newsSub, i *NewsItem) {
	if i.Fact == factNoQuorum {
		if !s.call.Special {
			n.failFor("EV2", c, i.Sub, "is told who is there without quorum, unasked")
		}
		return
	}
	text := factText(i.Fact, i.Seq, i.Members, i.In, i.Out)
	want := "nothing"
	if len(s.owed) > 0 {
		want = s.owed[0]
	}
	if text != want {
		p := "EV2"
		if strings.HasPrefix(want, "evicted") || i.Fact == factEvicted {
			p = "EV3"
		}
		n.failFor(p, c, i.Sub, "is told\n  %s\nby the rules\n  %s", text, want)
		return
	}
	s.owed = s.owed[1:]
	if w := c.watched[i.Sub]; w != nil {
		w.saw(c.node.node, i.Sub, i)
	}
	if i.Fact == factEvicted {
		return
	}
	if s.trans > i.Trans || s.trans == i.Trans && i.Fact != factNotPrimary {
		n.failFor("EV2", c, i.Sub, "trans %d comes after %d", i.Trans, s.trans)
	}
	s.trans = i.Trans
}

// item takes what somebody in a group is told: in the order of all that are.
func (n *News) item(c *newsClient, s *newsSub, sub uint32, item string) {
	if s.items[item] {
		n.failFor("EV8", c, sub, "of group %s hears twice %s", s.call.Name, item)
	}
	s.items[item] = true
	last := s.before
	s.before = item
	if last == "" || c.stale || c.node.latest == nil {
		return
	}
	key := groupItem{s.call.Name, last}
	for t := c.node.latest; t != nil; t = t.parent {
		if next, ok := t.next[key]; ok {
			if next != item {
				n.failFor("EV8", c, sub, "of group %s hears %s after %s, others heard %s", s.call.Name, item, last, next)
			}
			return
		}
	}
	c.node.latest.next[key] = item
}

func (n *News) message(c *newsClient, s *newsSub, i *NewsItem) {
	if n.told[i.Text] = true; n.refused[i.Text] {
		n.failFor("EV7", c, i.Sub, "%q was refused, and happened", i.Text)
	}
	if s.ids[i.ID] {
		n.failFor("EV4", c, i.Sub, "is told event %x twice: %q", i.ID, i.Text)
	}
	s.ids[i.ID] = true
	if s.call.Want == WantGroup {
		n.item(c, s, i.Sub, fmt.Sprintf("message %x", i.ID))
		return
	}
	if !newsMatches(s.call.Filters, i.Match) {
		n.failFor("EV6", c, i.Sub, "is told %q, which its filters refuse", i.Text)
	}
	if !c.stale && c.node.latest != nil {
		n.know(c, i.Sub, c.node.latest, s.call.Fixed, i.ID, publication{i.Topic, s.number, i.Seq, i.Text, i.Match})
		n.gap(c, s, i)
	}
	s.known, s.last = !c.stale && !s.call.Kept, i.Seq
}

// gap demands that a message says how many were left out. Who takes everything misses
// nothing but what died with another part of the cluster that had numbered it: the
// event behind that was brought, under its number.
func (n *News) gap(c *newsClient, s *newsSub, i *NewsItem) {
	if i.Missed > s.excused && !c.slow && !c.adopted && !s.call.First && s.call.From == 0 {
		n.failFor("EV5", c, i.Sub, "misses %d events of %s, and took everything", i.Missed, i.Topic)
	}
	if !s.known {
		return
	}
	if i.Seq <= s.last {
		n.failFor("EV5", c, i.Sub, "is told %s %d after %d", i.Topic, i.Seq, s.last)
		return
	}
	between := i.Seq - s.last - 1
	passed := uint64(0) // that were told under other numbers, or filters refuse, for sure or perhaps
	for seq := s.last + 1; seq < i.Seq; seq++ {
		p, ok := c.node.latest.find(s.number, seq)
		if s.again[seq] || len(s.call.Filters) > 0 && (!ok || !newsMatches(s.call.Filters, p.match)) {
			passed++
		}
	}
	if i.Missed > between || i.Missed+passed < between {
		n.failFor("EV5", c, i.Sub, "is told %s %d after %d with %d missed", i.Topic, i.Seq, s.last, i.Missed)
	}
}

func (t *epoch) find(topic, seq uint64) (publication, bool) {
	for ; t != nil; t = t.parent {
		if id, ok := t.seqs[topicSeq{topic, seq}]; ok {
			return t.ids[id], true
		}
	}
	return publication{}, false
}

// know notes an event, and compares with what was known of it. Its number means
// something in a topic that is never deleted; another one by that name is made when all
// forgot the first.
func (n *News) know(c *newsClient, sub uint32, at *epoch, fixed bool, id uint64, p publication) {
	place := topicSeq{p.of, p.seq}
	for t := at; t != nil; t = t.parent {
		if o, ok := t.ids[id]; ok {
			if o.topic != p.topic || o.text != p.text || fixed && o.of == p.of && o.seq != p.seq {
				n.failFor("EV4", c, sub, "event %x of %s is %d %q and %d %q", id, p.topic, p.seq, p.text, o.seq, o.text)
			}
			return
		}
		if o, ok := t.texts[p.text]; ok && o != id {
			n.failFor("EV4", c, sub, "%q is event %x and %x", p.text, id, o)
			return
		}
		if o, ok := t.seqs[place]; ok && fixed && o != id {
			n.failFor("EV4", c, sub, "%s %d is event %x and %x", p.topic, p.seq, id, o)
			return
		}
	}
	at.ids[id], at.texts[p.text] = p, id
	if fixed {
		at.seqs[place] = id
		at.last[p.of] = max(at.last[p.of], p.seq)
	}
}

// newsMatches is openais-executive 7.4: each filter likes the pattern at its
// place, patterns that lack are empty.
func newsMatches(filters []NewsMatch, match []string) bool {
	for i, f := range filters {
		p := ""
		if i < len(match) {
			p = match[i]
		}
		switch f.Type {
		case 1:
			if !strings.HasPrefix(p, f.Pattern) {
				return false
			}
		case 2:
			if !strings.HasSuffix(p, f.Pattern) {
				return false
			}
		case 3:
			if p != f.Pattern {
				return false
			}
		}
	}
	return true
}

// End ends the run; drained says that everybody took everything.
func (n *News) End(at Tick, drained bool) {
	if n.now = at; !drained {
		return
	}
	var first *newsNode
	there := make(map[NodeID]bool)
	for life := Life(1); int(life) <= len(n.lives); life++ {
		h := n.lives[life]
		if h == nil || h.ended || !h.direct {
			continue
		}
		if first == nil {
			first = h
		} else if h.at == first.at && h.count != first.count {
			n.fail("EV10", h, "ends with message %d of its membership, node %d with %d", h.count, first.node, first.count)
		}
		for _, c := range h.mine {
			n.endOf(c)
		}
		n.endOfTopics(h)
		there[h.node] = true
	}
	all := !n.forgets
	for _, h := range n.lives {
		all = all && there[h.node]
	}
	if all && first != nil {
		n.endOfDurable(first)
	}
}

// Loose says that every ring is primary: parts number events without each other. What
// only one of them keeps dies with who is to bring it to the others, and whom an event was
// told that its node does not keep any more is told again when others bring it.
func (n *News) Loose() { n.loose = true }

// letGo notes that a node does not keep an event any more.
func (n *News) letGo(h *newsNode, id uint64) {
	n.let[id] = true
	for _, c := range h.mine {
		for open, through := range c.through {
			if forgets, told := through[id]; n.loose && told && forgets && c.latest[open] != id {
				delete(c.through[open], id)
				for _, s := range c.order {
					delete(s.ids, id)
				}
			}
		}
	}
}

// Forgets says that a node starts with a disk that does not have all that it had.
func (n *News) Forgets() { n.forgets = true }

func (n *News) endOf(c *newsClient) {
	for _, id := range slices.Sorted(maps.Keys(c.subs)) {
		s := c.subs[id]
		switch {
		case s.over || c.closed || c.granted <= c.pushed:
		case len(s.owed) > 0:
			n.failFor("EV2", c, id, "was not told\n  %s", s.owed[0])
		case s.ends:
			n.failFor("EV3", c, id, "was not told that it ended")
		case s.call.Want == WantGroup:
			for _, pid := range s.there {
				if o := n.pids[pid]; !o.member(s.call.Name) {
					n.failFor("EV8", c, id, "was not told that client %d is not in group %s any more", o.id, s.call.Name)
				}
			}
		case s.call.Want == WantTopic && s.call.Fixed && len(s.call.Filters) == 0 && s.known && !c.slow && !c.adopted && !s.call.First && s.call.From == 0:
			last := uint64(0)
			for t := c.node.latest; t != nil; t = t.parent {
				last = max(last, t.last[s.number])
			}
			if s.last < last {
				n.failFor("EV7", c, id, "knows %s up to %d, and %d was granted", s.call.Name, s.last, last)
			}
		}
	}
}

// member reports whether a client is registered for a group.
func (c *newsClient) member(group string) bool {
	if c.closed {
		return false
	}
	for _, s := range c.subs {
		if s.call.Want == WantGroup && s.call.Name == group && !s.over {
			return true
		}
	}
	return false
}
