package events

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// client is one connection.
type client struct {
	s    *Service
	conn service.Conn
	id   uint64
	pid  uint32
	gone bool

	opened  bool
	ranked  bool
	granted uint64
	queues  [Lowest + 1][]queued // those of ranked connections by priority, all others in the last
	waiting int                  // events of topics in queues
	others  int                  // and the rest
	blocked bool                 // a ranked one that had too many
	takes   bool                 // it fetches its events with CallTake
	idle    bool                 // and found nothing the last time
	primary bool                 // and was told that this node is in the primary sub-cluster

	subs  []*sub // in the order they came
	opens map[uint32]*open
	calls map[uint64]pending // by tag: answered when they are ordered
}

// pending is a call that is not ordered yet.
type pending struct {
	reply  func(service.Code, []byte)
	enters bool   // it is a CallEnter
	sub    uint32 // of that
}

// sub is one registration or subscription.
type sub struct {
	c       *client
	id      uint32
	class   Class
	ended   bool
	special bool // of Memb

	name string // of a group or a topic
	in   bool   // of a group: it is in it, and gets what happens; of a channel: all know

	number          uint64 // of a topic or a channel
	open            *open
	filters         []Filter
	last            uint64 // event of the topic that was seen
	missed          uint64 // events that were not told since
	lacks           bool   // of a ranked connection: it lost events since that is blocked
	messages, bytes int    // that wait
	told, lost      uint64 // events since it began
}

// Open implements service.Service.
func (s *Service) Open(conn service.Conn) (service.Client, error) {
	c := &client{s: s, conn: conn, id: conn.ID(), pid: uint32(conn.Cred().PID), opens: map[uint32]*open{}, calls: map[uint64]pending{}}
	i, found := s.find(c.id)
	if found {
		return nil, fmt.Errorf("events: connection %d is open already", c.id)
	}
	s.clients = slices.Insert(s.clients, i, c)
	return c, nil
}

func (s *Service) find(conn uint64) (int, bool) {
	return slices.BinarySearchFunc(s.clients, conn, func(c *client, id uint64) int { return cmp.Compare(c.id, id) })
}

// Call implements service.Client. A malformed call ends the connection.
func (c *client) Call(req service.Request) {
	if c.gone {
		req.Reply(service.ErrBadHandle, nil)
		return
	}
	code, answer, err := c.call(&req)
	switch {
	case err != nil:
		req.Reply(service.ErrInvalidParam, nil)
		c.s.x.Log().Warn("client closed: malformed call", "service", "events", "conn", c.id, "func", req.Func, "err", err)
		c.close(service.ErrInvalidParam)
	case code != 0:
		req.Reply(code, answer)
	}
	c.pump()
}

// with does a call whose body is well formed.
func with[T any](req *service.Request, parse func([]byte) (T, error), do func(*T) (service.Code, []byte)) (service.Code, []byte, error) {
	q, err := parse(req.Body)
	if err != nil {
		return 0, nil, err
	}
	code, answer := do(&q)
	return code, answer, nil
}

// call does one call; a zero code says that it is answered later.
func (c *client) call(req *service.Request) (service.Code, []byte, error) {
	switch req.Func {
	case CallOpen:
		return with(req, ParseOpen, c.begin)
	case CallGrant:
		return with(req, ParseGrant, c.grant)
	case CallRegister:
		return with(req, ParseRegister, c.register)
	case CallSubscribe:
		return with(req, ParseSubscribe, c.subscribe)
	case CallEnd:
		return with(req, ParseSub, c.stop)
	case CallPublish:
		return with(req, ParsePublish, func(q *PublishRequest) (service.Code, []byte) {
			code, answer := c.order(req, msgPublish, Publish, c.name(q.Number, q.Topic), body.AppendU32(nil, c.pid), req.Body)
			if code != 0 {
				c.s.refused(code)
			}
			return code, answer
		})
	case CallCreate:
		return with(req, ParseCreate, func(q *CreateRequest) (service.Code, []byte) {
			if q.Options.Durable && c.s.cfg.Store == nil {
				return service.ErrNotSupported, nil
			}
			return c.order(req, msgCreate, Administer, q.Name, req.Body)
		})
	case CallDelete:
		return with(req, ParseName, func(q *NameRequest) (service.Code, []byte) {
			return c.order(req, msgDelete, Administer, q.Name, req.Body)
		})
	case CallClear:
		return with(req, ParseClear, func(q *ClearRequest) (service.Code, []byte) {
			if q.ID&(1<<32-1) <= lowestNumber {
				return service.ErrInvalidParam, nil
			}
			return c.order(req, msgClear, Publish, c.name(q.Number, q.Topic), req.Body)
		})
	case CallEnter:
		return with(req, ParseEnter, func(q *EnterRequest) (service.Code, []byte) {
			if code := worse(c.free(q.Sub)); code != 0 {
				return code, nil
			}
			who := (&sub{c: c, id: q.Sub}).entrant()
			code, answer := c.order(req, msgEnter, Open, q.Name, enter{request: *q, who: who}.appendTo(nil))
			if code == 0 {
				c.calls[req.Tag] = pending{reply: req.Reply, enters: true, sub: q.Sub}
			}
			return code, answer
		})
	case CallUnlink:
		return with(req, ParseName, func(q *NameRequest) (service.Code, []byte) {
			do := Open
			if t := c.s.state.topic(string(q.Name)); t != nil && t.opts != (Options{}) {
				do = Administer // it is not one that opening made
			}
			return c.order(req, msgUnlink, do, q.Name, req.Body)
		})
	case CallRecall:
		c.granted = 0
		return service.OK, nil, nil
	case CallTake:
		return service.OK, c.take().AppendTo(nil), nil
	case CallDescribe:
		return with(req, ParseName, c.describe)
	case CallList:
		var p ListReply
		for _, t := range c.s.state.topics {
			p.Topics = append(p.Topics, t.describe())
		}
		return service.OK, p.AppendTo(nil), nil
	case CallStatus:
		return service.OK, c.s.status().AppendTo(nil), nil
	}
	return 0, nil, fmt.Errorf("%w: unknown call %d", body.ErrMalformed, req.Func)
}

func (c *client) begin(q *OpenRequest) (service.Code, []byte) {
	if c.opened {
		return service.ErrExist, nil
	}
	c.opened, c.ranked, c.granted = true, q.Ranked, uint64(q.Window)
	return service.OK, OpenReply{Self: c.s.self, Configured: uint32(len(c.s.x.Nodes().Configured())),
		QueueMessages: uint32(c.s.cfg.QueueMessages), QueueBytes: uint32(c.s.cfg.QueueBytes), QueueRanked: uint32(c.s.cfg.QueueRanked)}.AppendTo(nil)
}

func (c *client) grant(q *GrantRequest) (service.Code, []byte) {
	c.granted += uint64(q.Events)
	return service.OK, nil
}

// allowed checks a name, and whether the client may do something with it. A topic
// that is there may have a name that none may be created with.
func (c *client) allowed(do Action, name []byte) service.Code {
	code := openable(name)
	switch t := c.s.state.topic(string(name)); {
	case do == Watch && (string(name) == MembTopic || string(name) == ConnTopic):
		code = service.OK
	case do != Open && t == nil:
		code = nameable(name)
	}
	if code != service.OK {
		return code
	}
	if f := c.s.cfg.Allow; f != nil && !f(c.conn.Cred(), do, string(name)) {
		return service.ErrAccess
	}
	return service.OK
}

// free checks that the client may have one more registration by that name.
func (c *client) free(id uint32) service.Code {
	switch {
	case !c.opened:
		return service.ErrInit
	case c.s.leaves:
		return service.ErrAgain
	case c.sub(id) != nil || c.waits(id) || c.entering(id) != 0:
		return service.ErrExist
	case len(c.subs) >= MaxSubs:
		return service.ErrNoResources
	}
	return service.OK
}

func (c *client) sub(id uint32) *sub {
	if i := slices.IndexFunc(c.subs, func(u *sub) bool { return u.id == id }); i >= 0 {
		return c.subs[i]
	}
	return nil
}

// entering is the tag of the call that opens something by that name, or zero.
func (c *client) entering(id uint32) uint64 {
	for tag, p := range c.calls { // one at most
		if p.enters && p.sub == id {
			return tag
		}
	}
	return 0
}

// waits reports whether something of a registration waits, be it over or not.
func (c *client) waits(id uint32) bool {
	for _, queue := range c.queues {
		if slices.ContainsFunc(queue, func(e queued) bool { return e.u.id == id }) {
			return true
		}
	}
	return false
}

func (c *client) register(q *RegisterRequest) (service.Code, []byte) {
	name := q.Group
	switch q.Class {
	case Conn:
		name = []byte(ConnTopic)
	case Memb:
		name = []byte(MembTopic)
	case Group:
		if code := nameable(q.Group); code != service.OK || c.ranked {
			return cmp.Or(worse(code), service.ErrInvalidParam), nil
		}
	default:
		return service.ErrInvalidParam, nil
	}
	if code := cmp.Or(worse(c.free(q.Sub)), worse(c.allowed(Watch, name))); code != 0 {
		return code, nil
	}
	c.enter(&sub{c: c, id: q.Sub, class: q.Class, special: q.Special, name: string(name)})
	return service.OK, nil
}

// worse is a code that is not OK, or zero.
func worse(c service.Code) service.Code {
	if c == service.OK {
		return 0
	}
	return c
}

// enter begins a registration.
func (c *client) enter(u *sub) {
	s := c.s
	c.subs = append(c.subs, u)
	switch u.class {
	case Group:
		s.groups[u.name] = append(s.groups[u.name], u)
		s.sayJoin(u)
	case Memb:
		s.watches[Memb] = append(s.watches[Memb], u)
		u.greet()
	case Conn:
		s.watches[Conn] = append(s.watches[Conn], u)
	}
}

func (c *client) subscribe(q *SubscribeRequest) (service.Code, []byte) {
	if code := cmp.Or(worse(c.free(q.Sub)), worse(c.allowed(Watch, c.name(q.Number, q.Topic)))); code != 0 {
		return code, nil
	}
	switch string(c.name(q.Number, q.Topic)) {
	case ConnTopic:
		c.enter(&sub{c: c, id: q.Sub, class: Conn, name: ConnTopic})
		return service.OK, nil
	case MembTopic:
		c.enter(&sub{c: c, id: q.Sub, class: Memb, name: MembTopic})
		return service.OK, nil
	}
	t := c.s.state.find(q.Number, q.Topic)
	if t == nil {
		return service.ErrNotExist, nil
	}
	if q.Start == StartAt && (q.Seq == 0 || q.Seq > t.seq+1) {
		return service.ErrInvalidParam, nil
	}
	u := &sub{c: c, id: q.Sub, class: Topic, name: t.name, number: t.number, last: t.seq}
	for _, f := range q.Filters {
		u.filters = append(u.filters, Filter{f.Type, slices.Clone(f.Pattern)})
	}
	u.open = c.opening(q.Open)
	c.subs = append(c.subs, u)
	c.s.subs[t.number] = append(c.s.subs[t.number], u)
	u.begin(t, q.Start, q.Seq)
	return service.OK, nil
}

// begin tells what is kept of the topic and comes after the start.
func (u *sub) begin(t *topic, start Start, seq uint64) {
	switch start {
	case StartNew:
		return
	case StartKept:
		for _, ev := range t.kept {
			if ev.timed && !u.open.seen[ev.id] {
				u.take(t, ev)
			}
		}
		return
	case StartFirst:
		if seq = t.seq + 1; len(t.kept) > 0 {
			seq = t.kept[0].seq
		}
	}
	u.last = seq - 1
	t.catchUp([]*sub{u})
}

// catchUp tells what is kept and subscriptions have not seen, in its order. What is
// not kept they missed.
func (t *topic) catchUp(subs []*sub) {
	for _, ev := range t.kept {
		for _, u := range subs {
			u.offer(t, ev)
		}
	}
	for _, u := range subs {
		u.skip(t.seq)
	}
}

// skip counts what was not seen up to an event. A ranked connection is told at once.
func (u *sub) skip(seq uint64) {
	if seq <= u.last {
		return
	}
	if !bug.Planted("events-gap-untold") {
		u.missed += seq - u.last
		u.lost += seq - u.last
		if u.c.ranked {
			u.c.lost(u)
		}
	}
	u.last = seq
}

// stop ends a registration as the client wishes, also one whose end it was not told
// yet, or an open that is not ordered yet. A group hears of it.
func (c *client) stop(q *SubRequest) (service.Code, []byte) {
	if tag := c.entering(q.Sub); tag != 0 {
		c.s.answer(service.Source{Node: c.s.self, Conn: c.id, Tag: tag}, service.ErrTimeout, nil)
		return service.OK, nil
	}
	u := c.sub(q.Sub)
	if u == nil && !c.waits(q.Sub) {
		return service.ErrNotExist, nil
	}
	if u != nil {
		c.forget(u)
	}
	for i := range c.queues {
		for j := range c.queues[i] {
			if e := &c.queues[i][j]; u != nil && e.u == u {
				c.reassign(e)
			}
		}
		c.queues[i] = slices.DeleteFunc(c.queues[i], func(e queued) bool {
			if e.u.id != q.Sub {
				return false
			}
			c.taken(&e)
			return true
		})
	}
	c.resume()
	if u != nil {
		u.part()
	}
	return service.OK, nil
}

// reassign gives an event that waits on a ranked connection to the oldest other
// subscription of its open that it matches, if there is one (openais-executive 7.3),
// and that events were lost to the oldest other one that lost some.
func (c *client) reassign(e *queued) {
	if !c.ranked || bug.Planted("events-heirless") {
		return
	}
	if e.kind == EventLost {
		if i := slices.IndexFunc(c.subs, func(u *sub) bool { return u.lacks }); i >= 0 {
			e.u = c.subs[i]
			e.body = SubRequest{e.u.id}.AppendTo(nil)
		}
		return
	}
	if e.kind != EventMessage {
		return
	}
	m, err := ParseMessage(e.appendTo(nil))
	i := slices.IndexFunc(c.subs, func(u *sub) bool { return u.open == e.u.open && matches(u.filters, m.Content.Patterns) })
	if err != nil || i < 0 {
		return
	}
	c.taken(e)
	e.u = c.subs[i]
	c.waiting++
	e.u.messages++
	e.u.bytes += len(e.body)
}

// part says to all what they must know of a registration that ended.
func (u *sub) part() {
	switch u.class {
	case Group:
		u.c.s.sayLeave(u.name, u.entrant())
	case Channel:
		u.c.s.sayExit(u.number, u.entrant())
	}
}

// forget takes a registration out of everything but the queue.
func (c *client) forget(u *sub) {
	s := c.s
	u.ended = true
	is := func(o *sub) bool { return o == u }
	c.subs = slices.DeleteFunc(c.subs, is)
	switch u.class {
	case Group:
		s.groups[u.name] = slices.DeleteFunc(slices.Clone(s.groups[u.name]), is)
		if len(s.groups[u.name]) == 0 {
			delete(s.groups, u.name)
		}
	case Channel:
		delete(c.opens, u.id)
		s.channels[u.number] = slices.DeleteFunc(slices.Clone(s.channels[u.number]), is)
		if len(s.channels[u.number]) == 0 {
			delete(s.channels, u.number)
		}
	case Topic:
		s.subs[u.number] = slices.DeleteFunc(slices.Clone(s.subs[u.number]), is)
		if len(s.subs[u.number]) == 0 {
			delete(s.subs, u.number)
		}
	default:
		s.watches[u.class] = slices.DeleteFunc(slices.Clone(s.watches[u.class]), is)
	}
}

// end ends a registration from this side; the client learns of it behind what
// waits for it.
func (c *client) end(u *sub, why Why) {
	if u.ended {
		return
	}
	c.forget(u)
	c.s.note(u, why)
	c.push(u, EventEnd, EndEvent{u.id, why}.AppendTo(nil))
}

// order multicasts a call; it is answered when it is ordered.
func (c *client) order(req *service.Request, fn uint16, do Action, name []byte, parts ...[]byte) (service.Code, []byte) {
	if code := c.allowed(do, name); code != service.OK {
		return code, nil
	}
	code := c.s.send(fn, service.Source{Node: c.s.self, Conn: c.id, Tag: req.Tag}, parts...)
	if code == service.OK {
		c.calls[req.Tag] = pending{reply: req.Reply}
	}
	return worse(code), nil
}

// name is what a topic is or was called that a call says the number of.
func (c *client) name(number uint64, name []byte) []byte {
	if number != 0 {
		if t := c.s.state.find(number, nil); t != nil {
			return []byte(t.name)
		}
	}
	return name
}

func (c *client) describe(q *NameRequest) (service.Code, []byte) {
	switch string(q.Name) {
	case MembTopic: // the last record is there for who comes late
		d := Description{Name: MembTopic, Seq: uint64(c.s.state.seq), First: uint64(c.s.state.seq), Kept: min(1, c.s.state.seq)}
		return service.OK, d.AppendTo(nil)
	case ConnTopic:
		return service.OK, Description{Name: ConnTopic}.AppendTo(nil)
	}
	t := c.s.state.topic(string(q.Name))
	if t == nil {
		return service.ErrNotExist, nil
	}
	return service.OK, t.describe().AppendTo(nil)
}

// answer answers the call that a message came from, if it is of this node.
func (s *Service) answer(src service.Source, code service.Code, b []byte) {
	if src.Node != s.self {
		return
	}
	if i, found := s.find(src.Conn); found {
		c := s.clients[i]
		if p, waits := c.calls[src.Tag]; waits {
			delete(c.calls, src.Tag)
			p.reply(code, b)
		}
	}
}

// release answers the calls behind messages that are not going to be applied here,
// or not for long. Somebody who is away may hold them, too, and tell them later.
func (s *Service) release(held []entry) {
	for i := range held {
		s.answer(held[i].src, service.ErrTimeout, nil)
	}
}

// Closed implements service.Client: the client's groups are left.
func (c *client) Closed() {
	s := c.s
	c.gone = true
	c.calls = nil
	for _, u := range slices.Clone(c.subs) {
		c.forget(u)
		u.part()
	}
	if i, found := s.find(c.id); found {
		s.clients = slices.Delete(slices.Clone(s.clients), i, i+1)
	}
}

// catchUp brings subscriptions up to a state that was adopted. Topics that are not
// in it end.
func (s *Service) catchUp() {
	for _, c := range s.clients {
		for _, u := range slices.Clone(c.subs) {
			if u.in = false; u.class < Topic {
				continue
			}
			if t := s.state.find(u.number, nil); t == nil {
				c.end(u, Deleted)
			} else if !bug.Planted("events-numbers-count") {
				u.last = min(u.last, t.seq) // the numbers of a part that is given up do not count
			}
		}
		for _, u := range slices.Clone(c.subs) {
			if u.class != Topic {
				continue
			}
			if t := s.state.find(u.number, nil); u.last < t.seq {
				t.catchUp(c.of(t))
			}
		}
	}
}

// of are the connection's subscriptions of a topic.
func (c *client) of(t *topic) (subs []*sub) {
	for _, u := range c.subs {
		if u.class == Topic && u.number == t.number {
			subs = append(subs, u)
		}
	}
	return subs
}
