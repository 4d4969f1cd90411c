package events

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// What a message brings from one part to another, in that order: topics are there when
// their events come, and what more is known counts when all has come.
const (
	bringTopic = iota
	bringEvent
	bringLife
)

// brought is what one message brings.
type brought struct {
	what    uint8
	of      number // of the topic or the event; of a life: the first
	durable bool
	name    string  // of the topic
	opts    Options // of a topic
	seq     uint64  // before the first of its events
	topic   uint64  // of an event: its topic's number
	event   *event
	left    int64     // nanoseconds for which the event is still kept
	known   [2]uint32 // of a life
}

func (b *brought) appendTo(out []byte) []byte {
	out = append(out, b.what)
	out = body.AppendU32(body.AppendU32(body.AppendNode(out, b.of.node), b.of.life), b.of.n)
	out = appendName(body.AppendBool(out, b.durable), b.name)
	switch b.what {
	case bringTopic:
		return body.AppendU64(appendOptions(out, b.opts), b.seq)
	case bringEvent:
		return body.AppendU64(b.event.appendTo(body.AppendU64(out, b.topic)), uint64(b.left))
	}
	return body.AppendU32(body.AppendU32(out, b.known[0]), b.known[1])
}

func takeBrought(r *body.Reader) *brought {
	b := &brought{what: r.U8(), of: number{r.Node(), r.U32(), r.U32()}, durable: r.Bool(), name: takeName(r)}
	switch b.what {
	case bringTopic:
		b.opts, b.seq = takeOptions(r), r.U64()
	case bringEvent:
		b.topic, b.event, b.left = r.U64(), takeEvent(r), int64(r.U64())
		if b.event.id != b.of.id() || b.left < 0 {
			r.Fail("event")
		}
	default:
		b.known = [2]uint32{r.U32(), r.U32()}
	}
	if b.what > bringLife || (b.name == "") != (b.what == bringLife) {
		r.Fail("what is brought")
	}
	return b
}

// key is what it is, and where the store has it.
func (b *brought) key() []byte {
	return binary.BigEndian.AppendUint64([]byte{keyBring, b.what}, b.of.id())
}

// compare is in which order things are brought. Events come as they were told: each
// says of its life's numbers, and its topic's, that those before have come.
func (b *brought) compare(o *brought) int {
	c := cmp.Compare(b.what, o.what)
	if c == 0 && b.event != nil {
		c = cmp.Compare(b.event.order, o.event.order)
	}
	return cmp.Or(c, cmp.Compare(b.of.id(), o.of.id()))
}

func (b *brought) same(o *brought) bool { return b.what == o.what && b.of.id() == o.of.id() }

// holdings are what of a state others must not lose: durable topics, events that are
// kept for a time, and what is known.
func (d *state) holdings(now time.Time) (list []*brought) {
	for _, t := range d.topics {
		kept := t.kept
		if !t.opts.Durable {
			kept = slices.DeleteFunc(slices.Clone(kept), func(e *event) bool { return !e.timed })
		}
		if len(kept) == 0 && !t.opts.Durable {
			continue
		}
		head := brought{of: d.number(t.number), durable: t.opts.Durable, name: t.name, opts: t.opts, seq: t.seq}
		if len(kept) > 0 {
			head.seq = kept[0].seq - 1
		}
		list = append(list, &head)
		for _, e := range kept {
			list = append(list, &brought{what: bringEvent, of: d.number(e.id), durable: t.opts.Durable, name: t.name, topic: t.number, event: e, left: e.left(now)})
		}
	}
	for _, c := range d.counters {
		for _, l := range c.lives {
			list = append(list, &brought{what: bringLife, of: number{c.node, l.first, l.first}, known: l.last})
		}
	}
	slices.SortFunc(list, (*brought).compare)
	return list
}

// has reports whether a state has what would be brought, or had it.
func (d *state) has(b *brought) bool {
	switch b.what {
	case bringTopic:
		t := d.topic(b.name)
		return t != nil && (t.created || !b.durable) || d.knows(b.of.id(), b.durable)
	case bringEvent:
		return d.knows(b.of.id(), b.durable) && !bug.Planted("events-union-twice") ||
			d.topic(b.name) == nil && d.knows(b.topic, b.durable) // the others deleted it
	}
	l := d.known(b.of.node).at(b.of.n)
	return l != nil && l.last[0] >= b.known[0] && l.last[1] >= b.known[1]
}

// inheritance is what this node is to bring to those whose state it adopts, if they do not
// know it: what it did itself, and one of those that had the same state all that, so that
// nothing hangs on a single node. Topics come with their events, whoever made them.
func (s *Service) inheritance(r *round) (list []*brought) {
	represents := slices.Contains(r.plan.bring, s.self)
	eventful := map[string]bool{} // topics
	take := func(b *brought) {
		if !r.state.has(b) {
			list = append(list, b)
			eventful[b.name] = eventful[b.name] || b.event != nil
		}
	}
	listed := map[string]bool{}
	for _, b := range s.brings { // of an earlier state
		if s.state.has(b) {
			continue
		}
		if listed[string(b.key())] = true; b.event != nil {
			b.event.order += s.state.told // what this state has of its life came before it
		}
		if !bug.Planted("events-brings-forgotten") {
			take(b)
		}
	}
	for _, b := range slices.Backward(s.state.holdings(s.x.Now())) { // topics after their events
		ours := b.of.node == s.self || represents || b.what == bringTopic && eventful[b.name]
		if ours && !listed[string(b.key())] {
			take(b)
		}
	}
	slices.SortFunc(list, (*brought).compare)
	return list
}

// bringing reports whether this node brings something still. What it says comes later: by
// the number of that all know what it did before.
func (s *Service) bringing() bool { return len(s.brings) > 0 }

// unsent has all be brought that the others do not have now.
func (s *Service) unsent() {
	s.sent = 0
	s.brings = slices.DeleteFunc(s.brings, func(b *brought) bool {
		if !s.state.has(b) {
			return false
		}
		s.storeBring(b, false)
		return true
	})
	s.flush()
}

// bring sends what is to be brought, and reports whether there was room.
func (s *Service) bring() bool {
	for ; s.sent < len(s.brings); s.sent++ {
		b := s.brings[s.sent]
		if b.event != nil {
			b.left = b.event.left(s.x.Now())
		}
		if s.send(msgBring, service.Source{}, b.appendTo(nil)) != service.OK {
			return false
		}
	}
	return true
}

// wasBrought ends that something is to be brought: it is applied.
func (s *Service) wasBrought(b *brought) {
	i := slices.IndexFunc(s.brings, b.same)
	if i < 0 {
		return
	}
	s.storeBring(s.brings[i], false)
	copy(s.brings[1:i+1], s.brings[:i]) // it nearly always is the first
	s.brings[0] = nil
	s.brings, s.sent = s.brings[1:], max(0, s.sent-1)
}

// bringIn takes over what only another part had. What is known here stays as it
// is, also when it is not kept any more.
func (s *Service) bringIn(b *brought) {
	t := s.state.topic(b.name)
	switch {
	case b.what == bringLife:
		for k, n := range b.known {
			s.state.learn(number{b.of.node, b.of.life, n}, k == 1)
		}
		s.storeCounter(b.of.node)
	case b.what == bringTopic && !s.state.has(b):
		if t == nil {
			if t = s.state.add(b.name, b.of.id()); t == nil {
				s.x.Log().Warn("a topic that another part had is lost: there are too many topics", "topic", b.name, "most", MaxTopics)
				return
			}
			t.seq = b.seq
		}
		t.created, t.opts = true, b.opts
		s.storeTopic(t)
		if bug.Planted("events-topic-is-known") {
			s.state.learn(b.of, b.durable)
		}
	case b.what == bringEvent && t != nil && (s.state.learn(b.of, b.durable) || bug.Planted("events-union-twice")):
		ev := b.event
		if t.number != b.topic {
			ev.seq = 0 // the numbers of another topic by that name mean nothing here
		}
		ev.seq = max(ev.seq, t.seq+1)
		s.record(t, ev, b.left, s.state.room(t, ev))
	}
}
