package check

import (
	"fmt"
	"maps"
	"slices"
)

// duty is something that a client is to be told of a topic.
type duty struct {
	kind   string // ItemMessage, ItemLost, ItemEnd
	sub    *newsSub
	event  *NewsPosting
	missed uint64
	gone   uint64 // of those: lost to all
}

func (d *duty) String() string {
	if d.event == nil {
		return fmt.Sprintf("%s of %d", d.kind, d.sub.id)
	}
	return fmt.Sprintf("event %x %d %q of %d, %d missed", d.event.ID, d.event.Seq, d.event.Text, d.sub.id, d.missed)
}

// shelf is what clients of the AIS, and others that take everything, are to be told
// of topics: exactly that, in that order (openais-executive 7).
type shelf struct {
	conn     uint64
	ranked   bool
	order    []*newsSub                 // subscriptions and opens of topics, oldest first
	through  map[uint32]map[uint64]bool // by open: what was told; true: and is forgotten when it is not kept any more
	latest   map[uint32]uint64          // by open: what was told last, which is not
	queues   [4][]duty                  // by priority
	waiting  int                        // messages there
	blocked  bool
	fetches  bool   // each event by a call
	idle     bool   // as far as it knows nothing waits
	primary  bool   // as far as it knows its node is in the primary sub-cluster
	due      []duty // what comes now
	pending  map[uint64]*NewsCall
	watched  map[uint32]*watched // by registration
	verdicts map[uint64]outcome
}

func newShelf(conn uint64) shelf {
	return shelf{conn: conn, through: make(map[uint32]map[uint64]bool), latest: make(map[uint32]uint64), pending: make(map[uint64]*NewsCall), watched: make(map[uint32]*watched), verdicts: make(map[uint64]outcome)}
}

// exact reports whether it is known what the client gets when.
func (c *newsClient) exact() bool { return c.ranked || !c.slow }

// settle demands that clients of a node were told what was due.
func (n *News) settle(h *newsNode) {
	for _, c := range h.mine {
		if len(c.due) > 0 && c.exact() && !c.closed {
			n.failFor("EV11", c, c.due[0].sub.id, "was not told %v", &c.due[0])
		}
		c.due = nil
		n.viewedAll(c)
	}
}

// audience are the clients of a node.
type audience struct {
	n *News
	h *newsNode
}

func (a audience) posted(t *noted, e *NewsPosting) {
	n := a.n
	a.h.at.posted[e.ID] = e.Seq
	if _, ok := n.first[e.ID]; !ok {
		n.first[e.ID] = n.now
	}
	for _, c := range a.h.mine {
		for _, s := range slices.Clone(c.order) {
			if s.number == t.number && s.call.Want == WantTopic {
				n.offer(c, s, e)
			}
		}
	}
}

func (a audience) gone(t *noted) {
	for _, c := range a.h.mine {
		for _, want := range []string{WantTopic, WantOpen} {
			for _, s := range slices.Clone(c.order) {
				if s.number == t.number && s.call.Want == want {
					a.n.close(c, s)
				}
			}
		}
	}
}

func (a audience) missing(number uint64, who NewsSeat) {
	if c, s := a.open(number, who); s != nil {
		a.n.close(c, s)
	}
}

// opened begins an open that a client of this node waits for.
func (a audience) opened(t *noted, op *NewsOp) {
	c, s := a.open(t.number, op.Who)
	if c == nil || s != nil {
		return
	}
	if q := c.pending[op.Tag]; q != nil && q.Want == WantOpen && !a.h.leaves {
		s = &newsSub{id: q.Sub, call: q, number: t.number}
		c.subs[q.Sub] = s
		c.order = append(c.order, s)
	}
}

// open is the client of this node behind a seat, and what it has open.
func (a audience) open(number uint64, who NewsSeat) (*newsClient, *newsSub) {
	c := a.n.pids[who.PID]
	if who.Node != a.h.node || c == nil || c.node != a.h || c.closed {
		return nil, nil
	}
	for _, s := range c.order {
		if s.call.Want == WantOpen && s.number == number && s.id == who.Sub {
			return c, s
		}
	}
	return c, nil
}

// applied takes an ordered message at a node.
func (n *News) applied(h *newsNode, op *NewsOp) {
	n.ordered = true
	n.settle(h)
	switch op.Do {
	case "bring":
		if op.From == h.node && h.board.members[h.node] != 0 && op.Since == h.board.since[h.node] {
			defer n.brought(h, op)
		}
	case "expire":
		for _, id := range op.IDs {
			for _, t := range h.board.topics {
				n.punctual(h, t, id)
			}
		}
	}
	v := h.board.apply(op, audience{n, h})
	if op.Do == "commit" {
		n.tidy(h)
	}
	v.at = h.at
	if op.Do == "enter" && h.leaves {
		v = outcome{} // it is taken back
	}
	for _, c := range h.mine {
		if c.pending[op.Tag] != nil && c.conn == op.Conn {
			c.verdicts[op.Tag] = v
		}
	}
}

// bringing is what a node has of a topic that the others have not.
type bringing struct {
	what string
	of   *noted
}

// brought demands that what is brought is there then, unless its topic was deleted
// meanwhile.
func (n *News) brought(h *newsNode, op *NewsOp) {
	b, due := h.brings[op.ID]
	delete(h.brings, op.ID)
	if e := op.Event; due && e != nil && e.Timed && !n.accounted(h, b.of, e.ID) {
		n.fail("EV11", h, "brings %s, and that is lost", b.what)
	}
}

// accounted reports whether what a node was to bring is there, or need not be any more: its
// topic was deleted, or another part let the event go that had it, too.
func (n *News) accounted(h *newsNode, of *noted, id uint64) bool {
	t := h.board.find(0, of.name)
	return t == nil || id == of.number || n.let[id] || slices.ContainsFunc(t.kept, func(k *NewsPosting) bool { return k.ID == id })
}

// tidy lets go what a node was to bring when the membership with it begins, and others made
// that needless before.
func (n *News) tidy(h *newsNode) {
	for id, b := range h.brings {
		if n.accounted(h, b.of, id) && (h.board.knows(b.of.number, b.of.durable) || h.board.find(0, b.of.name) != nil) {
			delete(h.brings, id)
		}
	}
}

// punctual demands that an event is not let go before its time. Clocks may be wrong
// by one percent each.
func (n *News) punctual(h *newsNode, t *noted, id uint64) {
	for _, e := range t.kept {
		if first, ok := n.first[id]; ok && e.ID == id && e.Timed && n.now-first < e.Time-e.Time/40-1e6 {
			n.fail("EV11", h, "event %x of %s is let go after %v, it is to be kept for %v", id, t.name, n.now-first, e.Time)
		}
	}
}

// adopt has a node go on with what another one holds. What only it has is to be
// brought to the others.
func (n *News) adopt(h *newsNode, b *board) {
	n.settle(h)
	for _, t := range h.board.topics {
		if b.find(0, t.name) == nil && b.knows(t.number, t.durable) {
			continue // it was deleted
		}
		if t.durable && NodeID(t.number>>32) == h.node && b.find(0, t.name) == nil {
			h.brings[t.number] = bringing{fmt.Sprintf("topic %s", t.name), t}
		}
		for _, e := range t.kept {
			if !t.unlinked && (t.durable || e.Timed) && NodeID(e.ID>>32) == h.node && !b.knows(e.ID, t.durable) {
				h.brings[e.ID] = bringing{fmt.Sprintf("event %x of %s", e.ID, t.name), t}
			}
		}
	}
	for _, c := range h.mine {
		for _, s := range c.order {
			if t := h.board.find(s.number, ""); t != nil && s.call.Want == WantTopic {
				for _, e := range t.kept {
					if e.Seq <= s.at { // it was told, or before its time
						c.through[s.call.Open][e.ID] = false
					}
				}
			}
		}
	}
	let := h.board.let
	h.board = b.clone()
	h.board.let = let
	for _, c := range h.mine {
		for _, s := range slices.Clone(c.order) {
			if t := h.board.find(s.number, ""); t == nil {
				n.close(c, s)
			} else {
				s.at = min(s.at, t.seq)
			}
		}
		for _, s := range c.order {
			if t := h.board.find(s.number, ""); s.call.Want == WantTopic && s.at < t.seq {
				n.catchUp(c, c.likes(t), t)
			}
		}
	}
}

// asked takes a call that is about topics, before the service has it.
func (n *News) asked(c *newsClient, q *NewsCall) {
	n.settle(c.node)
	n.knows(c.node)
	switch q.Want {
	case WantTopic:
		n.subscribe(c, q)
	case WantEnd:
		n.drop(c, q.Sub)
	case WantRecall:
		c.granted = c.pushed
	case WantMore:
		c.ranked = c.ranked || q.Ranked
	case WantTake:
		c.granted = c.pushed + 1
	}
	c.pending[q.Tag] = q
	n.pump(c)
}

// subscribe begins where the call says.
func (n *News) subscribe(c *newsClient, q *NewsCall) {
	t := c.node.board.find(q.Number, q.Name)
	if t == nil || c.node.leaves || q.From > t.seq+1 {
		c.verdicts[q.Tag] = outcome{}
		return
	}
	c.verdicts[q.Tag] = outcome{ok: true}
	s := c.subs[q.Sub]
	s.number, s.at = t.number, t.seq
	if c.through[q.Open] == nil {
		c.through[q.Open] = make(map[uint64]bool)
	}
	c.order = append(c.order, s)
	switch {
	case q.Kept:
		for _, e := range t.kept {
			if e.Timed {
				n.give(c, s, e)
			}
		}
		return
	case q.First:
		if len(t.kept) > 0 {
			s.at = t.kept[0].Seq - 1
		}
	case q.From > 0:
		s.at = q.From - 1
	}
	n.catchUp(c, []*newsSub{s}, t)
}

// likes are the client's subscriptions of a topic.
func (c *newsClient) likes(t *noted) (subs []*newsSub) {
	for _, s := range c.order {
		if s.call.Want == WantTopic && s.number == t.number {
			subs = append(subs, s)
		}
	}
	return subs
}

// catchUp tells what is kept and was not seen, in the order of the topic, and counts
// the rest as missed.
func (n *News) catchUp(c *newsClient, subs []*newsSub, t *noted) {
	for _, e := range t.kept {
		for _, s := range subs {
			n.offer(c, s, e)
		}
	}
	for _, s := range subs {
		n.skip(c, s, t.seq)
	}
}

func (n *News) offer(c *newsClient, s *newsSub, e *NewsPosting) {
	if e.Seq > s.at {
		s.gone += min(e.gone, e.Seq-1-s.at)
		n.skip(c, s, e.Seq-1)
		s.at = e.Seq
		n.give(c, s, e)
	}
}

// skip counts what was missed. A client of the AIS is told at once.
func (n *News) skip(c *newsClient, s *newsSub, seq uint64) {
	if seq > s.at && c.ranked {
		n.lost(c, s)
	}
	s.lacks += seq - s.at
	s.at = seq
}

// lost has a client of the AIS told that events of a subscription are missing, unless
// that waits.
func (n *News) lost(c *newsClient, s *newsSub) {
	d := duty{kind: ItemLost, sub: s}
	if !slices.Contains(c.queues[0], d) {
		n.enqueue(c, 0, d)
	}
}

// give tells an event, once for each open and to the first that it matches.
func (n *News) give(c *newsClient, s *newsSub, e *NewsPosting) {
	through := c.through[s.call.Open]
	_, told := through[e.ID]
	switch {
	case told:
		s.again[e.Seq] = true
		return
	case !newsMatches(s.call.Filters, e.Match):
		return
	}
	through[e.ID], c.latest[s.call.Open] = true, e.ID
	if c.ranked {
		n.rank(c, int(e.Priority), duty{kind: ItemMessage, sub: s, event: e})
		return
	}
	if !c.slow {
		c.due = append(c.due, duty{kind: ItemMessage, sub: s, event: e, missed: s.lacks, gone: s.gone})
		s.lacks, s.gone = 0, 0
	}
}

// rank is openais-executive O3 to O6: a full queue says once that it loses events, to
// whose is the first, and until half are taken one comes in only for the newest of the
// least.
func (n *News) rank(c *newsClient, priority int, d duty) {
	p, i := c.least(priority)
	loser := d.sub
	if p > priority {
		loser = c.queues[p][i].sub
	}
	if c.waiting >= n.ranked && !c.blocked {
		c.blocked = true
		n.lost(c, loser)
	}
	if c.blocked {
		loser.lost = true
		if p == priority {
			return
		}
		c.queues[p] = slices.Delete(c.queues[p], i, i+1)
		c.waiting--
	}
	n.enqueue(c, priority, d)
}

// least is where the newest message of the lowest priority waits, if that is below the
// one given.
func (c *newsClient) least(priority int) (p, i int) {
	for p := len(c.queues) - 1; p > priority; p-- {
		for i := len(c.queues[p]) - 1; i >= 0; i-- {
			if c.queues[p][i].kind == ItemMessage {
				return p, i
			}
		}
	}
	return priority, 0
}

func (n *News) enqueue(c *newsClient, priority int, d duty) {
	c.queues[priority] = append(c.queues[priority], d)
	if d.kind == ItemMessage {
		c.waiting++
	}
	n.pump(c)
}

// pump has come what the client takes.
func (n *News) pump(c *newsClient) {
	for p := 0; c.ranked && p < len(c.queues) && c.granted > c.pushed+uint64(len(c.due)); {
		if len(c.queues[p]) == 0 {
			p++
			continue
		}
		d := c.queues[p][0]
		c.queues[p] = c.queues[p][1:]
		c.due = append(c.due, d)
		if d.kind == ItemMessage {
			c.waiting--
		}
		n.unblock(c)
	}
}

func (n *News) unblock(c *newsClient) {
	if c.blocked && c.waiting < n.ranked/2 {
		c.blocked = false
		for _, s := range c.order {
			s.lost = false
		}
	}
}

// close ends what a client has of a topic that is gone; it is told. What was told
// through an open that ends is forgotten with it.
func (n *News) close(c *newsClient, s *newsSub) {
	if s.call.Want == WantOpen {
		delete(c.through, s.id)
		delete(c.latest, s.id)
	}
	c.order = slices.DeleteFunc(c.order, func(o *newsSub) bool { return o == s })
	d := duty{kind: ItemEnd, sub: s}
	switch {
	case c.ranked:
		n.enqueue(c, len(c.queues)-1, d)
	case !c.slow:
		c.due = append(c.due, d)
	}
}

// drop ends what the client does not want any more. Messages that wait go to the next
// of the same open that they match.
func (n *News) drop(c *newsClient, id uint32) {
	s := c.subs[id]
	if s == nil {
		return
	}
	alive := slices.Contains(c.order, s)
	c.order = slices.DeleteFunc(c.order, func(o *newsSub) bool { return o == s })
	for p := range c.queues {
		c.queues[p] = slices.DeleteFunc(c.queues[p], func(d duty) bool { return d.sub == s && !(alive && c.other(&d)) })
		for i := range c.queues[p] {
			if d := &c.queues[p][i]; d.sub == s {
				d.sub = c.heir(d)
			}
		}
	}
	c.waiting = 0
	for _, q := range c.queues {
		for _, d := range q {
			if d.kind == ItemMessage {
				c.waiting++
			}
		}
	}
	n.unblock(c)
}

// heir is the oldest other subscription of the open that a message matches, or of the
// client that lost events too.
func (c *newsClient) heir(d *duty) *newsSub {
	for _, s := range c.order {
		if d.kind == ItemLost && s.lost ||
			d.kind == ItemMessage && s.call.Want == WantTopic && s.call.Open == d.sub.call.Open && newsMatches(s.call.Filters, d.event.Match) {
			return s
		}
	}
	return nil
}

func (c *newsClient) other(d *duty) bool { return c.heir(d) != nil }

// expected holds what a client is told of topics against what is due.
func (n *News) expected(c *newsClient, s *newsSub, i *NewsItem) {
	if s.call.Want != WantTopic && s.call.Want != WantOpen || !c.exact() || !n.ordered {
		return
	}
	if len(c.due) == 0 {
		n.failFor("EV11", c, i.Sub, "is told a %s %x %q, and nothing was due", i.Kind, i.ID, i.Text)
		return
	}
	d := c.due[0]
	c.due = c.due[1:]
	same := d.kind == i.Kind && d.sub == s
	if e := d.event; same && e != nil {
		same = e.ID == i.ID && e.Seq == i.Seq && e.Text == i.Text && d.missed == i.Missed && e.Priority == i.Priority && slices.Equal(e.Match, i.Match)
	}
	s.excused = d.gone
	if same && i.Kind == ItemEnd {
		same = i.Why == endDeleted
	}
	if !same {
		n.failFor("EV11", c, i.Sub, "is told a %s %x %d %q, %d missed; due was %v", i.Kind, i.ID, i.Seq, i.Text, i.Missed, &d)
	}
}

// verdict holds the answer of a call against what became of it, and returns where that
// was.
func (n *News) verdict(c *newsClient, e *NewsEvent) outcome {
	q := e.Call
	delete(c.pending, q.Tag)
	v, known := c.verdicts[q.Tag]
	delete(c.verdicts, q.Tag)
	switch q.Want {
	case WantTopic:
	case WantPublish, WantOpen, WantChange:
		if e.Unsure || !known && !e.OK {
			return outcome{}
		}
	default:
		return outcome{}
	}
	if v.ok != e.OK || e.OK && (v.id != e.ID || v.seq != e.Seq || v.number != e.Number) {
		n.failFor("EV7", c, q.Sub, "%s %q is answered %v %x %d %x, it came to %v %x %d %x", q.Want, q.Name, e.OK, e.ID, e.Seq, e.Number, v.ok, v.id, v.seq, v.number)
	}
	if e.OK && q.Want == WantPublish && q.Durable {
		n.durable[e.ID] = granted{q.Name, q.Text}
	}
	return v
}

// granted is what a client was told to be durable.
type granted struct{ topic, text string }

// endOfTopics is what holds of topics in the end.
func (n *News) endOfTopics(h *newsNode) {
	n.settle(h)
	n.knows(h)
	for _, id := range slices.Sorted(maps.Keys(h.brings)) {
		n.fail("EV11", h, "%s is kept by this node alone, and was not brought to the others", h.brings[id].what)
	}
	for _, t := range h.board.topics {
		for _, e := range t.kept {
			if e.Timed {
				n.fail("EV11", h, "event %x of %s is still kept for %v", e.ID, t.name, e.Time)
			}
		}
		for _, s := range t.opens {
			if s.Node != h.node {
				continue
			}
			if _, own := (audience{n, h}).open(t.number, s); own == nil {
				n.fail("EV11", h, "%s is open for client %d, which has it not", t.name, s.PID)
			}
		}
	}
	for _, c := range h.mine {
		for _, s := range c.order {
			if s.call.Want != WantOpen {
				continue
			}
			if t := h.board.find(s.number, ""); t == nil || !slices.Contains(t.opens, NewsSeat{h.node, c.pid, s.id}) {
				n.failFor("EV11", c, s.id, "has topic %x open, and nobody knows", s.number)
			}
		}
	}
}

// endOfDurable demands that what was granted as durable is there, or made room for
// later events. It holds as long as no disk forgets, and all nodes are there.
func (n *News) endOfDurable(h *newsNode) {
	for _, id := range slices.Sorted(maps.Keys(n.durable)) {
		g := n.durable[id]
		t := h.board.find(0, g.topic)
		if t == nil {
			n.fail("EV12", h, "durable topic %s is gone", g.topic)
			return
		}
		there := slices.ContainsFunc(t.kept, func(e *NewsPosting) bool { return e.Text == g.text })
		seq, came := h.at.number(id)
		if !there && (came && seq+uint64(t.keep) > t.seq || !came && !n.let[id]) {
			n.fail("EV12", h, "event %x %q of %s was granted as durable, and is gone at %d; it is known as %d", id, g.text, g.topic, t.seq, seq)
			return
		}
	}
}

// number is an event's latest number on the way to an epoch, if it came about there.
func (t *epoch) number(id uint64) (seq uint64, came bool) {
	for ; t != nil; t = t.parent {
		if seq, came = t.posted[id]; came {
			return seq, true
		}
	}
	return 0, false
}
