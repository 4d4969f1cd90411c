package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// NewsOp is an ordered message of the event service as a node applies it.
type NewsOp struct {
	Do        string // as the service calls it
	From      NodeID
	Since     uint32 // of the sender; of a commit, of those who are new
	Conn, Tag uint64 // of the call behind it, if it is of a client of this node
	Members   []NewsMember
	Name      string
	Number    uint64
	Create    bool
	Keep      uint32
	Durable   bool
	Who       NewsSeat
	IDs       []uint64
	Seq       uint64 // of a topic that is brought: before the first of its events
	Event     *NewsPosting

	ID    uint64    // of what begins by it, or is brought
	Life  uint32    // of the node that gave it: the first number of that
	Known [2]uint32 // what more is known of the life: of what is not durable, and of what is
}

// String is for traces.
func (op *NewsOp) String() string {
	s := fmt.Sprintf(" %s of node %d/%d, id %x of %x, topic %q %x, %v, ids %x", op.Do, op.From, op.Since, op.ID, op.Life, op.Name, op.Number, op.Who, op.IDs)
	if e := op.Event; e != nil {
		s += fmt.Sprintf(", event %x seq %d timed %v priority %d %q", e.ID, e.Seq, e.Timed, e.Priority, e.Text)
	}
	if op.Do == "commit" {
		s += fmt.Sprintf(", members %v", op.Members)
	}
	return s
}

// NewsSeat is one registration or open of a client.
type NewsSeat struct {
	Node     NodeID
	PID, Sub uint32
}

// NewsPosting is an event of a topic.
type NewsPosting struct {
	ID, Seq  uint64
	Timed    bool
	Time     Tick // for which it is kept
	Priority uint8
	Text     string
	Match    []string

	gone uint64 // numbers right before it that only another part gave, whose events are lost
}

// board is what a node holds of topics and memberships. It follows from the messages
// that the node applied, by the rules of cluster events 3 and openais-executive 7.
type board struct {
	seq     uint32
	members map[NodeID]uint32 // when they came
	since   map[NodeID]uint32 // the same, as messages say it
	lives   map[NodeID][]span // ascending
	topics  []*noted
	let     func(id uint64) // is told when an event is not kept any more
}

// noted is one topic, or one live group.
type noted struct {
	name             string
	number           uint64
	created, durable bool
	unlinked         bool // it has no name any more
	keep             uint32
	seq              uint64
	kept             []*NewsPosting
	members, opens   []NewsSeat
	on               *board
}

// outcome is how a call ends that was ordered.
type outcome struct {
	ok              bool
	id, seq, number uint64
	of              uint64 // number of the topic of an event
	at              *epoch // in which that was
}

func newBoard(let func(uint64)) *board {
	return &board{let: let, members: make(map[NodeID]uint32), since: make(map[NodeID]uint32), lives: make(map[NodeID][]span)}
}

func (b *board) clone() *board {
	o := &board{let: b.let, seq: b.seq, members: maps.Clone(b.members), since: maps.Clone(b.since), lives: make(map[NodeID][]span)}
	for id, l := range b.lives {
		o.lives[id] = slices.Clone(l)
	}
	for _, t := range b.topics {
		u := *t
		u.on, u.members, u.opens, u.kept = o, slices.Clone(t.members), slices.Clone(t.opens), nil
		for _, e := range t.kept {
			f := *e
			u.kept = append(u.kept, &f)
		}
		o.topics = append(o.topics, &u)
	}
	return o
}

// find is the topic with a number, or else with a name.
func (b *board) find(number uint64, name string) *noted {
	for _, t := range b.topics {
		if number != 0 && t.number == number || number == 0 && t.name == name && !t.unlinked {
			return t
		}
	}
	return nil
}

// add makes a topic, unless there is one with that number. Topics are in the order of
// their names, then those without.
func (b *board) add(name string, number uint64) *noted {
	if b.find(number, "") != nil {
		return nil
	}
	t := &noted{name: name, number: number, on: b}
	b.topics = append(b.topics, t)
	b.sort()
	return t
}

func (b *board) sort() {
	slices.SortFunc(b.topics, func(a, o *noted) int {
		switch {
		case a.unlinked != o.unlinked:
			return map[bool]int{false: -1, true: 1}[a.unlinked]
		case a.unlinked:
			return cmp.Compare(a.number, o.number)
		}
		return cmp.Compare(a.name, o.name)
	})
}

// span are numbers of one node of which it is known what became of them, of one life.
type span struct {
	first, plain, durable uint32
}

// known is what is known of an id, or of the numbers before it.
func (b *board) known(id uint64) span {
	var found span
	for _, s := range b.lives[NodeID(id>>32)] {
		if s.first <= uint32(id) {
			found = s
		}
	}
	return found
}

// knows reports whether it is known what became of what has an id.
func (b *board) knows(id uint64, durable bool) bool {
	s := b.known(id)
	if durable {
		return uint32(id) <= s.durable
	}
	return uint32(id) <= s.plain
}

// learn takes over what is known of numbers up to two.
func (b *board) learn(node NodeID, life, plain, durable uint32) {
	list := b.lives[node]
	i := slices.IndexFunc(list, func(s span) bool { return s.first >= life })
	if i < 0 {
		i = len(list)
	}
	if i == len(list) || list[i].first != life {
		list = slices.Insert(list, i, span{first: life})
	}
	list[i].plain, list[i].durable = max(list[i].plain, plain), max(list[i].durable, durable)
	b.lives[node] = list
}

// told takes over what is known by an id that is told, and reports whether that is new.
func (b *board) told(id uint64, life uint32, durable bool) bool {
	if b.knows(id, durable) {
		return false
	}
	if durable {
		b.learn(NodeID(id>>32), life, 0, uint32(id))
	} else {
		b.learn(NodeID(id>>32), life, uint32(id), 0)
	}
	return true
}

// sweep lets go what is kept neither for a time nor as one of the last.
func (t *noted) sweep() {
	t.kept = slices.DeleteFunc(t.kept, func(e *NewsPosting) bool {
		goes := !e.Timed && e.Seq+uint64(t.keep) <= t.seq
		if goes {
			t.on.let(e.ID)
		}
		return goes
	})
}

// empty lets go all that is kept.
func (t *noted) empty() {
	for _, e := range t.kept {
		t.on.let(e.ID)
	}
	t.kept = nil
}

func (t *noted) post(e *NewsPosting) {
	t.seq = e.Seq
	t.kept = append(t.kept, e)
	t.sweep()
}

// listeners are told what becomes of the topics of a node.
type listeners interface {
	posted(t *noted, e *NewsPosting)
	gone(t *noted)                       // under those who use it
	missing(number uint64, who NewsSeat) // a topic that was to be opened again
	opened(t *noted, op *NewsOp)         // by somebody
}

// apply makes the change that a message asks for, and returns what becomes of the
// call behind it.
func (b *board) apply(op *NewsOp, l listeners) outcome {
	if op.Do == "commit" {
		b.commit(op, l)
		return outcome{}
	}
	if b.members[op.From] == 0 || b.since[op.From] != op.Since {
		return outcome{} // it was said before its node was thrown out
	}
	if op.Life != 0 && op.Do != "bring" {
		b.learn(op.From, op.Life, uint32(op.ID), uint32(op.ID))
	}
	t := b.find(op.Number, op.Name)
	switch op.Do {
	case "create":
		return outcome{ok: b.create(op)}
	case "publish":
		return b.publish(t, op, l)
	case "delete":
		return outcome{ok: b.delete(t, l)}
	case "unlink":
		return outcome{ok: b.unlink(t, l)}
	case "clear":
		return outcome{ok: t != nil && t.release(op.IDs[0])}
	case "expire":
		for _, id := range op.IDs {
			for _, t := range b.topics {
				t.release(id)
			}
		}
	case "join":
		if t = b.find(0, op.Name); t == nil {
			t = b.add(op.Name, op.ID)
		}
		if t != nil && !slices.Contains(t.members, op.Who) {
			t.members = append(t.members, op.Who)
		}
	case "leave":
		if t = b.find(0, op.Name); t != nil {
			b.leave(t, op.Who, l)
		}
	case "enter":
		return b.enter(t, op, l)
	case "exit":
		if t = b.find(op.Number, ""); t != nil {
			b.exit(t, op.Who, l)
		}
	case "bring":
		b.bring(op, l)
	}
	return outcome{}
}

// commit agrees on members: what those had registered and open who did not stay ends.
func (b *board) commit(op *NewsOp, l listeners) {
	stay, came := make(map[NodeID]uint32), false
	for _, m := range op.Members {
		if born := b.members[m.Node]; born != 0 && born == m.Born {
			stay[m.Node] = born
		} else {
			came = true
		}
	}
	if !came && len(stay) == len(b.members) {
		return
	}
	b.seq++
	for _, t := range slices.Clone(b.topics) {
		for _, s := range slices.Clone(t.members) {
			if stay[s.Node] == 0 {
				b.leave(t, s, l)
			}
		}
		for _, s := range slices.Clone(t.opens) {
			if stay[s.Node] == 0 {
				b.exit(t, s, l)
			}
		}
	}
	b.members = stay
	for _, m := range op.Members {
		if stay[m.Node] == 0 {
			stay[m.Node], b.since[m.Node] = b.seq, op.Since
		}
	}
}

func (b *board) create(op *NewsOp) bool {
	t := b.find(0, op.Name)
	if t != nil && t.created {
		return false
	}
	if t == nil {
		if t = b.add(op.Name, op.ID); t == nil {
			return false
		}
	}
	t.created, t.keep, t.durable = true, op.Keep, op.Durable
	return true
}

func (b *board) publish(t *noted, op *NewsOp, l listeners) outcome {
	if t == nil {
		return outcome{}
	}
	e := *op.Event
	e.ID, e.Seq = op.ID, t.seq+1
	t.post(&e)
	l.posted(t, &e)
	return outcome{ok: true, id: e.ID, seq: e.Seq, of: t.number}
}

// delete ends a topic under its users, but for a group that somebody is in.
func (b *board) delete(t *noted, l listeners) bool {
	if t == nil || !t.created {
		return false
	}
	t.created, t.durable, t.keep = false, false, 0
	t.sweep()
	b.end(t, l)
	return true
}

// unlink takes a topic's name; who has it open goes on with it.
func (b *board) unlink(t *noted, l listeners) bool {
	if t == nil || !t.created || len(t.opens) == 0 || len(t.members) > 0 {
		return b.delete(t, l)
	}
	t.empty()
	t.created, t.durable, t.keep, t.unlinked = false, false, 0, true
	b.sort()
	return true
}

// end ends a topic that nobody created and no group member is in.
func (b *board) end(t *noted, l listeners) {
	if t.created || len(t.members) > 0 {
		return
	}
	t.empty()
	b.topics = slices.DeleteFunc(b.topics, func(o *noted) bool { return o == t })
	l.gone(t)
}

// release ends that an event is kept for a time.
func (t *noted) release(id uint64) bool {
	for _, e := range t.kept {
		if e.ID == id && e.Timed {
			e.Timed = false
			t.sweep()
			return true
		}
	}
	return false
}

func (b *board) leave(t *noted, who NewsSeat, l listeners) {
	if i := slices.Index(t.members, who); i >= 0 {
		t.members = slices.Delete(t.members, i, i+1)
		b.end(t, l)
	}
}

func (b *board) enter(t *noted, op *NewsOp, l listeners) outcome {
	if t == nil {
		if op.Number != 0 || !op.Create || !b.create(op) {
			if op.Number != 0 {
				l.missing(op.Number, op.Who)
			}
			return outcome{}
		}
		t = b.find(0, op.Name)
	}
	if !slices.Contains(t.opens, op.Who) {
		t.opens = append(t.opens, op.Who)
	}
	l.opened(t, op)
	return outcome{ok: true, number: t.number}
}

// exit ends an open. A topic without a name ends with its last.
func (b *board) exit(t *noted, who NewsSeat, l listeners) {
	t.opens = slices.DeleteFunc(t.opens, func(s NewsSeat) bool { return s == who })
	if len(t.opens) == 0 && t.unlinked {
		b.end(t, l)
	}
}

// bring takes over what only another part had: topics first, then events, then what that
// part knew besides.
func (b *board) bring(op *NewsOp, l listeners) {
	t := b.find(0, op.Name)
	switch {
	case op.Name == "":
		b.learn(NodeID(op.ID>>32), op.Life, op.Known[0], op.Known[1])
	case op.Event == nil:
		switch {
		case b.knows(op.ID, op.Durable):
		case t == nil:
			b.begin(op)
		case op.Durable && !t.created: // a group alone by that name
			t.created, t.keep, t.durable = true, op.Keep, true
		}
	case t != nil && b.told(op.ID, op.Life, op.Durable):
		e := *op.Event
		if t.number != op.Number {
			e.Seq = 0 // of another topic
		}
		e.Seq = max(e.Seq, t.seq+1)
		e.gone = e.Seq - t.seq - 1
		t.post(&e)
		l.posted(t, &e)
	}
}

func (b *board) begin(op *NewsOp) {
	if t := b.add(op.Name, op.Number); t != nil {
		t.created, t.keep, t.durable, t.seq = true, op.Keep, op.Durable, op.Seq
	}
}

// load takes in what a node has at its start.
func (b *board) load(op *NewsOp) {
	switch {
	case op.Name == "":
		b.learn(NodeID(op.ID>>32), op.Life, op.Known[0], op.Known[1])
	case op.Event == nil:
		b.begin(op)
	default:
		t, e := b.find(op.Number, ""), *op.Event
		t.kept = append(t.kept, &e)
		t.seq = max(t.seq, e.Seq)
		slices.SortFunc(t.kept, func(a, b *NewsPosting) int { return cmp.Compare(a.Seq, b.Seq) })
	}
}
