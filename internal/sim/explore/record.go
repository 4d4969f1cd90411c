package explore

import (
	"encoding/binary"
	"slices"
)

// eventKind is what a record can hold.
type eventKind uint8

const (
	evStart eventKind = iota
	evCrash
	evRegular
	evTransitional
	evDeliver
	evSubmit
	evOrig     // of the other order
	evRecovery // of the other order
)

// event is one thing that a property speaks of.
type event struct {
	kind    eventKind
	ring    RingID
	prev    RingID
	members []member
	slot    Slot
	from    NodeID
	inc     uint64
	k       uint64
	no      uint64
	last    bool
	safe    bool
	body    string
}

type member struct {
	node NodeID
	inc  uint64
}

// eventStore keeps each event once.
type eventStore struct {
	list []event
	ids  map[string]int32
}

func (s *eventStore) init() { s.ids = map[string]int32{} }

func (s *eventStore) keep(e event) int32 {
	key := e.append(nil)
	if i, ok := s.ids[string(key)]; ok {
		return i
	}
	i := int32(len(s.list))
	s.ids[string(key)] = i
	s.list = append(s.list, e)
	return i
}

func (e *event) append(b []byte) []byte {
	b = append(b, byte(e.kind))
	for _, r := range []RingID{e.ring, e.prev} {
		b = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(b, r.Seq), uint64(r.Rep)), uint64(r.Inc))
	}
	for _, v := range []uint64{uint64(e.slot), uint64(e.from), e.inc, e.k, e.no, uint64(len(e.members))} {
		b = binary.AppendUvarint(b, v)
	}
	for _, x := range e.members {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(x.node)), x.inc)
	}
	flags := byte(0)
	if e.last {
		flags |= 1
	}
	if e.safe {
		flags |= 2
	}
	return append(append(b, flags), e.body...)
}

// record is all that one node showed in all its lives, in two orders that do not
// depend on each other: what its clients did and saw, and which slots it filled and
// which rings it prepared.
type record struct {
	seen, inside int32 // numbers of chains
	lives        []life
	fault        string // what is wrong with it on its own
}

// chain is a list of events that shares its beginning with others.
type chain struct{ before, event int32 }

// life is one incarnation as its clients saw it.
type life struct {
	inc     uint64
	crashed bool
	confs   []conf
	filled  []orig
	entered []RingID     // rings that it was in recovery for
	early   []submission // before the first configuration
}

// conf is a regular configuration with the transitional one that follows it.
type conf struct {
	ring, prev   RingID
	members      []member
	came         []member   // of the transitional configuration before it
	regular      []delivery // in it
	left         bool       // the transitional configuration was shown
	next         RingID     // its goal
	trans        []member
	transitional []delivery   // in the transitional configuration
	submitted    []submission // while all of this lasted
	over         bool         // the next regular configuration was shown
}

// delivery is one message that came out.
type delivery struct {
	message
	ring RingID
	slot Slot
	safe bool
	body string
}

// submission is a message that was submitted after so many deliveries of the
// same ring.
type submission struct {
	k     uint64
	after int
	safe  bool
	body  string
}

type message struct {
	from   NodeID
	inc, k uint64
}

// orig is a piece that was put into ring order.
type orig struct {
	ring RingID
	slot Slot
	k    uint64
	no   uint64
	last bool
}

// records keeps each record once.
type records struct {
	events *eventStore
	chains map[chain]int32
	list   []record
	ids    map[chain]int32 // by seen and inside
	next   map[chain]int32 // record after an event: {record, event}
}

func newRecords(s *eventStore) *records {
	r := &records{events: s, chains: map[chain]int32{}, ids: map[chain]int32{}, next: map[chain]int32{}}
	r.list = append(r.list, record{})
	r.ids[chain{}] = 0
	return r
}

// add returns the record that an event makes of another one.
func (r *records) add(rec, ev int32) int32 {
	if i, ok := r.next[chain{rec, ev}]; ok {
		return i
	}
	old := &r.list[rec]
	seen, inside := old.seen, old.inside
	if r.events.list[ev].kind >= evOrig {
		inside = r.link(inside, ev)
	} else {
		seen = r.link(seen, ev)
	}
	i, ok := r.ids[chain{seen, inside}]
	if !ok {
		i = int32(len(r.list))
		r.ids[chain{seen, inside}] = i
		n := record{seen: seen, inside: inside, lives: cloneLives(old.lives)}
		n.fault = n.take(&r.events.list[ev])
		r.list = append(r.list, n)
	}
	r.next[chain{rec, ev}] = i
	return i
}

func (r *records) link(before, ev int32) int32 {
	c := chain{before, ev}
	i, ok := r.chains[c]
	if !ok {
		i = int32(len(r.chains)) + 1
		r.chains[c] = i
	}
	return i
}

// cloneLives copies what take may change: the last life and its last
// configuration.
func cloneLives(ls []life) []life {
	ls = slices.Clone(ls)
	if n := len(ls); n > 0 {
		l := &ls[n-1]
		l.confs = slices.Clone(l.confs)
		l.filled, l.entered, l.early = slices.Clip(l.filled), slices.Clip(l.entered), slices.Clip(l.early)
		if k := len(l.confs); k > 0 {
			c := &l.confs[k-1]
			c.regular, c.transitional, c.submitted = slices.Clip(c.regular), slices.Clip(c.transitional), slices.Clip(c.submitted)
		}
	}
	return ls
}

// take adds an event and judges what can be judged by this record alone.
func (r *record) take(e *event) string {
	if e.kind == evStart {
		r.lives = append(r.lives, life{inc: e.inc})
		return ""
	}
	l := &r.lives[len(r.lives)-1]
	switch e.kind {
	case evCrash:
		l.crashed = true
	case evOrig:
		return l.fill(orig{e.ring, e.slot, e.k, e.no, e.last})
	case evRecovery:
		l.entered = append(l.entered, e.ring)
	case evSubmit:
		if c := l.last(); c != nil {
			c.submitted = append(c.submitted, submission{e.k, len(c.regular) + len(c.transitional), e.safe, e.body})
		} else {
			l.early = append(l.early, submission{e.k, 0, e.safe, e.body})
		}
	case evDeliver:
		return l.deliver(e)
	case evTransitional:
		return l.leave(e)
	case evRegular:
		return r.install(l, e)
	}
	return ""
}

// submissions are those of the last life.
func (r *records) submissions(rec int32) [][]submission {
	ls := r.list[rec].lives
	l := &ls[len(ls)-1]
	all := [][]submission{l.early}
	for i := range l.confs {
		all = append(all, l.confs[i].submitted)
	}
	return all
}
