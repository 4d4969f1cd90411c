package events

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// Store keeps what must outlive the cluster, as values by key. The service calls
// it on the executive's goroutine; the node implements it.
type Store interface {
	// Load tells all values, once, before anything else. What each gets is valid
	// during the call.
	Load(each func(key, value []byte) error) error
	// Save makes changes durable before it returns: at the start, after Load.
	Save(batch []Write) error
	// Write makes changes, all or none, after those of the calls before. It takes
	// over the batch. done is called later on the executive's goroutine, never from
	// within Write, when the changes are durable; it is not called if they can not
	// be made, and then the node stops. Nil: nobody waits for them.
	Write(batch []Write, done func())
}

// Write is one change of a Store.
type Write struct {
	Key   []byte
	Value []byte // nil: the key goes
}

// The first byte of a key says what it is for.
const (
	keyCounter = 'c' // node: what is known of its numbers
	keySupply  = 's' // the highest number that this node may have given
	keyBring   = 'b' // what, id: brought
	keyTopic   = 't' // number: name, options, seq
	keyEvent   = 'e' // number, seq: event
)

func counterKey(n proto.NodeID) []byte {
	return binary.BigEndian.AppendUint32([]byte{keyCounter}, uint32(n))
}

func topicKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyTopic}, number)
}

func eventKey(number, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{keyEvent}, number), seq)
}

// load begins with what the store has.
func (s *Service) load() error {
	if s.cfg.Store == nil {
		s.supply.begin(lowestNumber)
		return nil
	}
	supply := uint32(lowestNumber)
	topics := map[uint64]*topic{}
	type stored struct {
		number uint64
		event  *event
	}
	var events []stored
	err := s.cfg.Store.Load(func(key, value []byte) error {
		k, r := body.NewReader(key), body.NewReader(value)
		switch k.U8() {
		case keyCounter:
			c := takeCounter(proto.NodeID(binary.BigEndian.Uint32(fixed(&k, 4))), &r)
			*s.state.counter(c.node) = c
		case keySupply:
			if n := r.U32(); !bug.Planted("events-numbers-again") {
				supply = n
			}
		case keyBring:
			k.Rest()
			b := takeBrought(&r)
			if b.event != nil {
				s.keepFromNow(b.event)
			}
			s.brings = append(s.brings, b)
		case keyTopic:
			t := &topic{number: binary.BigEndian.Uint64(fixed(&k, 8)), created: true, name: takeName(&r), opts: takeOptions(&r), seq: r.U64()}
			topics[t.number] = t
			i, found := s.state.place(t.name)
			if found || openable(t.name) != service.OK {
				r.Fail("name of a topic")
				break
			}
			s.state.topics = slices.Insert(s.state.topics, i, t)
		case keyEvent:
			e := stored{binary.BigEndian.Uint64(fixed(&k, 8)), takeEvent(&r)}
			s.keepFromNow(e.event)
			if binary.BigEndian.Uint64(fixed(&k, 8)) != e.event.seq {
				k.Fail("number of an event")
			}
			events = append(events, e)
		default:
			return fmt.Errorf("events: key %x of the store: %w", key, body.ErrMalformed)
		}
		if err := k.Close(); err != nil {
			return fmt.Errorf("events: key %x of the store: %w", key, err)
		}
		if err := r.Close(); err != nil {
			return fmt.Errorf("events: value of key %x of the store: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(events, func(a, b stored) int { return cmp.Compare(a.event.seq, b.event.seq) })
	for _, e := range events {
		if t := topics[e.number]; t != nil {
			t.seq = max(t.seq, e.event.seq)
			s.state.told = max(s.state.told, e.event.order)
			t.kept = append(t.kept, e.event)
			t.bytes += e.event.size()
		}
	}
	slices.SortFunc(s.brings, (*brought).compare)
	s.supply.begin(max(supply, s.state.known(s.self).highest()))
	s.supply.stored += leastSupply
	s.supply.asked = s.supply.stored
	return s.cfg.Store.Save([]Write{s.supply.write()})
}

// keepFromNow has a stored event be kept for all of its time: nobody knows for how long
// all were away.
func (s *Service) keepFromNow(e *event) {
	if !bug.Planted("events-stored-untimed") {
		e.until = s.x.Now().Add(time.Duration(e.content.Retention))
	}
}

// fixed takes n bytes, zeros if they are not there.
func fixed(r *body.Reader, n int) []byte {
	if b := r.Bytes(n); b != nil {
		return b
	}
	return make([]byte, n)
}

// storeTopic has the store keep what is said of a topic.
func (s *Service) storeTopic(t *topic) {
	if s.cfg.Store == nil || !t.opts.Durable {
		return
	}
	b := body.AppendU64(appendOptions(appendName(nil, t.name), t.opts), t.seq)
	s.dirty = append(s.dirty, Write{topicKey(t.number), b})
	s.storeCounter(proto.NodeID(t.number >> 32))
}

// storeCounter has the store keep what is known of a node's numbers.
func (s *Service) storeCounter(n proto.NodeID) {
	if s.cfg.Store == nil {
		return
	}
	w := Write{Key: counterKey(n)}
	if c := s.state.known(n); len(c.lives) > 0 {
		w.Value = c.durable().appendTo(nil)
	}
	s.dirty = append(s.dirty, w)
}

// storeEvent has the store keep an event, if its topic is durable.
func (s *Service) storeEvent(t *topic, ev *event, kept bool, gone []uint64) {
	if s.cfg.Store == nil || !t.opts.Durable {
		return
	}
	if kept {
		s.dirty = append(s.dirty, Write{eventKey(t.number, ev.seq), ev.appendTo(nil)})
	}
	s.storeCounter(proto.NodeID(ev.id >> 32))
	s.storeGone(t, gone)
}

// storeGone has the store forget events.
func (s *Service) storeGone(t *topic, gone []uint64) {
	if s.cfg.Store == nil || !t.opts.Durable {
		return
	}
	for _, seq := range gone {
		s.dirty = append(s.dirty, Write{Key: eventKey(t.number, seq)})
	}
}

// unstoreTopic has the store forget a topic.
func (s *Service) unstoreTopic(t *topic) {
	if s.cfg.Store == nil || !t.opts.Durable {
		return
	}
	s.dirty = append(s.dirty, Write{Key: topicKey(t.number)})
	for _, ev := range t.kept {
		s.dirty = append(s.dirty, Write{Key: eventKey(t.number, ev.seq)})
	}
}

// restore has the store keep the present state in place of another one, and what this
// node is to bring to the others.
func (s *Service) restore(old *state, brings []*brought) {
	for _, t := range old.topics {
		s.unstoreTopic(t)
	}
	for _, c := range slices.Concat(old.counters, s.state.counters) { // no more is known than in that
		s.storeCounter(c.node)
	}
	for _, t := range s.state.topics {
		s.storeTopic(t)
		for _, ev := range t.kept {
			s.storeEvent(t, ev, true, nil)
		}
	}
	for _, b := range s.brings {
		s.storeBring(b, false)
	}
	s.brings = brings
	for _, b := range s.brings {
		s.storeBring(b, true)
	}
	s.flush()
}

// storeBring has the store keep what is to be brought, or forget it.
func (s *Service) storeBring(b *brought, keep bool) {
	if s.cfg.Store == nil || !b.durable {
		return
	}
	w := Write{Key: b.key()}
	if keep {
		w.Value = b.appendTo(nil)
	}
	s.dirty = append(s.dirty, w)
}

// answerStored answers a publisher when its event is durable here.
func (s *Service) answerStored(src service.Source, p PublishReply) {
	s.stored = append(s.stored, func() { s.answer(src, service.OK, p.AppendTo(nil)) })
}

// flush gives the store what changed.
func (s *Service) flush() {
	if len(s.dirty) == 0 {
		return
	}
	batch, answers := s.dirty, s.stored
	s.dirty, s.stored = nil, nil
	if len(answers) == 0 {
		s.cfg.Store.Write(batch, nil)
		return
	}
	s.cfg.Store.Write(batch, func() {
		for _, f := range answers {
			f()
		}
	})
}
