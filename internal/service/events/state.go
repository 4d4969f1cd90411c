package events

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/proto"
)

// state is the replicated state. It changes only as ordered messages are applied.
type state struct {
	view     proto.RingID // of the last commit that was applied
	at       place        // of the last message that was applied
	seq      uint32
	trans    uint32 // of the last fact
	members  []Member
	in, out  []Member
	eligible []proto.NodeID // configured, ascending
	counters []counter      // ascending by node
	told     uint64         // events of all topics
	topics   []*topic       // ascending by name
	unlinked []*topic       // that have no name any more, ascending by number
}

// topic is one topic or live group.
type topic struct {
	name    string
	number  uint64
	created bool // by an administrator
	opts    Options
	seq     uint64
	kept    []*event // ascending by seq
	bytes   int      // of the data of those
	members []entrant
	opens   []entrant
}

// event is one event that is kept.
type event struct {
	id      uint64
	seq     uint64
	from    Process
	order   uint64 // among all that were told
	timed   bool   // it is kept for a time
	content Content

	until time.Time // not replicated: when this node thinks that the time is over
}

// size is what an event counts for.
func (e *event) size() int {
	n := len(e.content.Data) + len(e.content.Publisher)
	for _, p := range e.content.Patterns {
		n += len(p)
	}
	return n
}

func (d *state) member(id proto.NodeID) *Member {
	i := slices.IndexFunc(d.members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return nil
	}
	return &d.members[i]
}

func (d *state) place(name string) (int, bool) {
	return slices.BinarySearchFunc(d.topics, name, func(t *topic, name string) int { return cmp.Compare(t.name, name) })
}

func (d *state) topic(name string) *topic {
	if i, found := d.place(name); found {
		return d.topics[i]
	}
	return nil
}

// find is the topic with a number, or else with a name.
func (d *state) find(number uint64, name []byte) *topic {
	if number == 0 {
		return d.topic(string(name))
	}
	for t := range d.all() {
		if t.number == number {
			return t
		}
	}
	return nil
}

// all are the topics with and without names.
func (d *state) all() iter.Seq[*topic] {
	return func(yield func(*topic) bool) {
		for _, list := range [][]*topic{d.topics, d.unlinked} {
			for _, t := range list {
				if !yield(t) {
					return
				}
			}
		}
	}
}

// unlink takes a topic's name.
func (d *state) unlink(t *topic) {
	d.drop(t)
	i, _ := slices.BinarySearchFunc(d.unlinked, t.number, func(o *topic, n uint64) int { return cmp.Compare(o.number, n) })
	d.unlinked = slices.Insert(d.unlinked, i, t)
}

// add makes a topic; nil: there are too many, or one with the number.
func (d *state) add(name string, number uint64) *topic {
	if len(d.topics)+len(d.unlinked) >= MaxTopics || d.find(number, nil) != nil { // a node that forgot may give a number again
		return nil
	}
	i, _ := d.place(name)
	t := &topic{name: name, number: number}
	d.topics = slices.Insert(d.topics, i, t)
	return t
}

func (d *state) drop(t *topic) {
	is := func(o *topic) bool { return o == t }
	d.topics, d.unlinked = slices.DeleteFunc(d.topics, is), slices.DeleteFunc(d.unlinked, is)
}

// perEvent is what an event costs that is kept, besides its size.
const perEvent = 128

// cost is what a topic counts for among all.
func (t *topic) cost() int { return t.bytes + perEvent*len(t.kept) }

// room is what a topic may cost to keep an event, too, as long as the others keep what
// they do. A node that comes must be told all that is kept, so there is a bound.
func (d *state) room(t *topic, e *event) int {
	if !e.timed && t.opts.Keep == 0 {
		return MaxAll
	}
	room := MaxAll + t.cost()
	for o := range d.all() {
		room -= o.cost()
	}
	return room
}

// fits reports whether there is room for an event. What the topic keeps for its number
// makes room for another one of that kind.
func (t *topic) fits(e *event, room int) bool {
	cost := e.size() + perEvent
	if e.timed {
		return len(t.kept) < MaxKeep+int(t.opts.Keep) && t.bytes+e.size() <= 2*MaxKept && t.cost()+cost <= room
	}
	return t.opts.Keep == 0 || cost <= room
}

// wanted reports whether an event stays: for its time, or as one of the last.
func (t *topic) wanted(e *event) bool { return e.timed || e.seq+uint64(t.opts.Keep) > t.seq }

// keep adds an event, the newest of the topic, if it is to be kept, and reports
// whether it is. Those that are not to be any more go; gone gets their numbers.
func (t *topic) keep(e *event, room int) (kept bool, gone []uint64) {
	before := t.seq
	t.seq = e.seq
	if kept = t.wanted(e); kept {
		t.kept = append(t.kept, e)
		t.bytes += e.size()
	}
	if t.bytes > MaxKept || t.cost() > room {
		return kept, t.trim(room)
	}
	return kept, t.slide(before)
}

// slide lets go what was one of the last when the topic was at seq, and is not now.
func (t *topic) slide(seq uint64) (gone []uint64) {
	i, _ := slices.BinarySearchFunc(t.kept, t.seq+1, func(e *event, next uint64) int {
		return cmp.Compare(e.seq+uint64(t.opts.Keep), next)
	})
	for i--; i >= 0 && t.kept[i].seq+uint64(t.opts.Keep) > seq; i-- {
		if e := t.kept[i]; !e.timed {
			t.bytes -= e.size()
			gone = append(gone, e.seq)
			t.lose(i)
		}
	}
	return gone
}

// lose takes one of the kept events out, which nearly always is the first.
func (t *topic) lose(i int) {
	if i > 0 {
		t.kept = slices.Delete(t.kept, i, i+1)
		return
	}
	t.kept[0] = nil
	t.kept = t.kept[1:]
}

// trim lets go all that is not kept any more. Those kept for their number go early
// if they take too much memory, but not the newest: a store knows the topic's seq by it.
func (t *topic) trim(room int) (gone []uint64) {
	over := t.cost() - room
	t.kept = slices.DeleteFunc(t.kept, func(e *event) bool {
		if t.wanted(e) && (e.timed || e.seq == t.seq || t.bytes <= MaxKept && over <= 0) {
			return false
		}
		t.bytes -= e.size()
		over -= e.size() + perEvent
		gone = append(gone, e.seq)
		return true
	})
	return gone
}

// timed is the event with an id, if it is kept for a time.
func (t *topic) timed(id uint64) *event {
	i := slices.IndexFunc(t.kept, func(e *event) bool { return e.id == id && e.timed })
	if i < 0 {
		return nil
	}
	return t.kept[i]
}

func (t *topic) describe() Description {
	d := Description{Name: t.name, Number: t.number, Created: t.created, Options: t.opts, Seq: t.seq, Kept: uint32(len(t.kept)), Opens: uint32(len(t.opens))}
	if len(t.kept) > 0 {
		d.First = t.kept[0].seq
	}
	for _, e := range t.members {
		d.Members = append(d.Members, e.Process)
	}
	return d
}

// Lists of members are ascending by when they came, and by id (cluster events
// S6).
func compareMember(a, b Member) int {
	return cmp.Or(cmp.Compare(a.Born, b.Born), cmp.Compare(a.ID, b.ID))
}

// change applies the membership of a ring: who is new or came anew is in, who is
// not there any more or came anew is out. It reports whether anything changed.
func (d *state) change(c *commit) bool {
	var members, in, out []Member
	for _, n := range c.members {
		if m := d.member(n.id); m != nil && n.born == m.Born {
			members = append(members, *m)
		} else {
			in = append(in, Member{ID: n.id, Born: d.seq + 1, Since: c.trans, Name: n.name, Addr: n.addr, Boot: n.boot})
		}
	}
	for _, m := range d.members {
		if !slices.Contains(members, m) {
			out = append(out, m)
		}
	}
	d.view, d.trans = c.ring, c.trans
	if len(in)+len(out) == 0 {
		return false
	}
	d.seq++
	d.members, d.in, d.out = append(members, in...), in, out
	slices.SortFunc(d.members, compareMember)
	return true
}

// record is the fact of the last membership.
func (d *state) record(k Kind, trans uint32) Fact {
	return Fact{Kind: k, Seq: d.seq, Trans: trans, Quorate: k == NewMembership || k == Restored, Members: d.members, In: d.in, Out: d.out}
}
