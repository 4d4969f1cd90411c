package events

import (
	"slices"
	"strings"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// openable says whether a topic may be opened by a name: by any but those of the two
// classes, as the AIS has it (openais-executive 5.1).
func openable[T ~string | ~[]byte](name T) service.Code {
	switch s := string(name); {
	case s == "" || s == MembTopic || s == ConnTopic:
		return service.ErrInvalidParam
	case len(s) > MaxChannel:
		return service.ErrNameTooLong
	}
	return service.OK
}

// nameable says whether a topic that is created, or a group, may have a name (cluster
// events 2.9 and P3).
func nameable[T ~string | ~[]byte](name T) service.Code {
	switch s := string(name); {
	case s == "" || strings.HasPrefix(s, "__") || strings.ContainsRune(s, 0):
		return service.ErrInvalidParam
	case len(s) > MaxName:
		return service.ErrNameTooLong
	}
	return service.OK
}

func (s *Service) create(id uint64, name string, o Options) service.Code {
	t := s.state.topic(name)
	if t != nil && t.created {
		return service.ErrExist
	}
	if t == nil {
		if t = s.state.add(name, id); t == nil {
			return service.ErrNoSpace
		}
	}
	t.created, t.opts = true, o
	s.storeTopic(t)
	return service.OK
}

// delete ends a topic under its subscribers (cluster events P17). A group lives on
// while somebody is in it.
func (s *Service) delete(name string) service.Code {
	t := s.state.topic(name)
	if t == nil || !t.created {
		return service.ErrNotExist
	}
	s.unstoreTopic(t)
	t.created, t.opts = false, Options{}
	t.trim(MaxAll)
	s.abandon(t)
	return service.OK
}

// abandon ends a topic that nobody created and nobody is in.
func (s *Service) abandon(t *topic) {
	if t.created || len(t.members) > 0 {
		return
	}
	s.state.drop(t)
	for _, u := range slices.Concat(s.subs[t.number], s.channels[t.number]) {
		u.c.end(u, Deleted)
	}
}

// join takes a registration into a group, which begins to live with its first.
func (s *Service) join(id uint64, name string, who entrant) {
	t := s.state.topic(name)
	if t == nil {
		t = s.state.add(name, id)
	}
	own := s.registration(name, who)
	switch {
	case t == nil:
		if own != nil {
			own.c.end(own, Refused)
		}
		return
	case slices.Contains(t.members, who):
		return
	}
	t.members = append(t.members, who)
	if own != nil {
		own.in = true
	}
	s.entered(t, EntryEvent{Joined: true, Process: who.Process, Group: name})
	if own == nil && who.Node == s.self && !bug.Planted("events-ghost") { // it ended meanwhile
		s.sayLeave(name, who)
	}
}

// leave takes a registration out of its group.
func (s *Service) leave(name string, who entrant) {
	t := s.state.topic(name)
	if t == nil || !slices.Contains(t.members, who) {
		return
	}
	t.members = slices.DeleteFunc(t.members, func(e entrant) bool { return e == who })
	if own := s.registration(name, who); own != nil {
		if !own.in { // the leave of one with the same name found room after this one's join
			s.sayJoin(own)
		}
		own.in = false // of a node that was thrown out: it is to come again
	}
	s.entered(t, EntryEvent{Process: who.Process, Group: name})
	s.abandon(t)
}

func (s *Service) entered(t *topic, e EntryEvent) {
	for _, u := range slices.Clone(s.groups[t.name]) {
		if u.in {
			e.Sub = u.id
			u.c.push(u, EventEntry, e.AppendTo(nil))
		}
	}
}

// registration finds what is registered here.
func (s *Service) registration(name string, who entrant) *sub {
	if who.Node != s.self {
		return nil
	}
	for _, u := range s.groups[name] {
		if u.c.id == who.conn && u.id == who.sub {
			return u
		}
	}
	return nil
}

// entrant is how a registration is known to all.
func (u *sub) entrant() entrant { return entrant{Process{u.c.s.self, u.c.pid}, u.c.id, u.id} }

// sayJoin multicasts that a registration is in its group. Without room, or a membership,
// that is said later.
func (s *Service) sayJoin(u *sub) {
	s.retry(func() bool {
		return u.ended || u.in || !s.live() || s.sayEntry(msgJoin, u.name, u.entrant()) == service.OK
	})
}

// sayLeave multicasts that a registration ended. What finds no room is said with
// the next membership, or later.
func (s *Service) sayLeave(name string, who entrant) {
	s.retry(func() bool { return !s.live() || s.sayEntry(msgLeave, name, who) == service.OK })
}

func (s *Service) sayEntry(fn uint16, name string, who entrant) service.Code {
	return s.send(fn, service.Source{Node: s.self, Conn: who.conn}, appendEntrant(body.AppendShort(nil, name), who))
}

// reconcile makes what is registered here and what the state says of it one: it
// may have changed while this node was in no membership. It reports whether there
// was room.
func (s *Service) reconcile() bool {
	for _, t := range s.state.topics {
		for _, e := range t.members {
			if e.Node != s.self || bug.Planted("events-ghost") {
				continue
			}
			own := s.registration(t.name, e)
			if (own == nil || !own.in) && s.sayEntry(msgLeave, t.name, e) != service.OK { // one with the same name may be there now
				return false
			}
		}
	}
	for _, c := range s.clients {
		for _, u := range c.subs {
			if u.class == Group && !u.in && s.sayEntry(msgJoin, u.name, u.entrant()) != service.OK {
				return false
			}
		}
	}
	return s.reconcileOpens()
}

// publish gives an event its numbers and hands it to those who want it.
func (s *Service) publish(e *entry, id uint64, pid uint32, q *PublishRequest) (service.Code, []byte) {
	t := s.state.find(q.Number, q.Topic)
	if t == nil {
		return service.ErrNotExist, nil
	}
	ev := &event{id: id, seq: t.seq + 1, from: Process{e.from, pid}, timed: q.Content.Retention > 0, content: q.Content}
	room := s.state.room(t, ev)
	if !t.fits(ev, room) {
		return service.ErrNoSpace, nil
	}
	s.record(t, ev, q.Content.Retention, room)
	p := PublishReply{ev.id, ev.seq}
	if t.opts.Durable && s.cfg.Store != nil && e.src.Node == s.self && !bug.Planted("events-durable-at-once") {
		s.answerStored(e.src, p)
		return 0, nil
	}
	return service.OK, p.AppendTo(nil)
}

// record adds an event to a topic, and tells it.
func (s *Service) record(t *topic, ev *event, left int64, room int) {
	ev.content = ev.content.clone()
	ev.until = s.x.Now().Add(time.Duration(left))
	s.counts.Published++
	s.state.told++
	ev.order = s.state.told
	kept, gone := t.keep(ev, room)
	s.storeEvent(t, ev, kept, gone)
	s.tell(t, ev)
	if ev.timed && (s.expiry == nil || ev.until.Before(s.expires)) {
		s.watchTimes()
	}
}

// tell hands an event to the subscriptions that it matches, one of each open, and
// to those who are in the group. Lists from which somebody goes meanwhile are others
// then.
func (s *Service) tell(t *topic, ev *event) {
	for _, u := range s.subs[t.number] {
		u.offer(t, ev)
	}
	if len(t.members) == 0 {
		return
	}
	for _, u := range s.groups[t.name] {
		if u.in {
			u.message(t, ev)
		}
	}
}

// clear ends that an event is kept for a time.
func (s *Service) clear(q *ClearRequest) service.Code {
	t := s.state.find(q.Number, q.Topic)
	if t == nil {
		return service.ErrNotExist
	}
	ev := t.timed(q.ID)
	if ev == nil {
		return service.ErrNotExist
	}
	s.forget(t, ev)
	return service.OK
}

// forget lets an event go whose time is over.
func (s *Service) forget(t *topic, ev *event) {
	ev.timed = false
	s.storeGone(t, t.trim(MaxAll))
	for _, u := range s.subs[t.number] {
		delete(u.open.seen, ev.id)
	}
}

// expire lets events go whose time is over.
func (s *Service) expire(ids []uint64) {
	for t := range s.state.all() {
		for _, id := range ids {
			if ev := t.timed(id); ev != nil {
				s.forget(t, ev)
			}
		}
	}
}

func takeIDs(r *body.Reader) (ids []uint64) {
	for range r.Count(8) {
		ids = append(ids, r.U64())
	}
	return ids
}

// maxExpired is how many events one message lets go.
const maxExpired = 1024

// watchTimes has the lowest member say when the time of events is over, as far as
// it can tell. All forget them at the same place in the order.
func (s *Service) watchTimes() {
	if s.expiry != nil {
		s.expiry.Stop()
		s.expiry = nil
	}
	if !s.direct || len(s.nodes) == 0 || s.nodes[0] != s.self {
		return
	}
	var first time.Time
	for t := range s.state.all() {
		for _, ev := range t.kept {
			if ev.timed && (first.IsZero() || ev.until.Before(first)) {
				first = ev.until
			}
		}
	}
	if s.expires = first; !first.IsZero() {
		s.expiry = s.x.After(max(retryAfter, first.Sub(s.x.Now())), s.timesOver)
	}
}

func (s *Service) timesOver() {
	var ids []uint64
	now := s.x.Now()
	for t := range s.state.all() {
		for _, ev := range t.kept {
			if ev.timed && (!ev.until.After(now) || bug.Planted("events-all-expire")) && len(ids) < maxExpired {
				ids = append(ids, ev.id)
			}
		}
	}
	if len(ids) > 0 && s.direct {
		b := body.AppendU32(nil, uint32(len(ids)))
		for _, id := range ids {
			b = body.AppendU64(b, id)
		}
		s.send(msgExpire, service.Source{}, b) // if there is no room, the next time
	}
	s.watchTimes()
}
