package events

import (
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/service"
)

// queued is an event that waits for its client.
type queued struct {
	u      *sub
	kind   uint16
	missed uint64 // of a message
	body   []byte // of a message: what is the same for all who get it, and theirs together
}

// topic reports whether the event is a message, which counts against the bounds.
func (e *queued) topic() bool { return e.kind == EventMessage }

// appendTo appends the event as the client gets it.
func (e *queued) appendTo(b []byte) []byte {
	if e.topic() {
		b = appendMessageHead(b, e.u.id, e.missed)
	}
	return append(b, e.body...)
}

// maxOthers is how many events wait that must not be left out, until the
// connection of a client that takes none is closed.
const maxOthers = 1 << 14

// push queues an event that must not be left out.
func (c *client) push(u *sub, kind uint16, b []byte) {
	if c.gone {
		return
	}
	if c.others++; c.others > maxOthers {
		c.close(service.ErrOverflow)
		return
	}
	c.queues[Lowest] = append(c.queues[Lowest], queued{u: u, kind: kind, body: b})
	c.pump()
	c.news()
}

// close ends the connection from this side.
func (c *client) close(err error) {
	c.gone = true
	c.conn.Close(err)
}

// offer hands an event to a subscription, if it matches and no older one of its
// open did.
func (u *sub) offer(t *topic, ev *event) {
	if u.ended || ev.seq <= u.last {
		return
	}
	u.skip(ev.seq - 1)
	u.last = ev.seq
	u.take(t, ev)
}

func (u *sub) take(t *topic, ev *event) {
	if (u.open.last == ev.id || u.open.seen[ev.id]) && !bug.Planted("events-retained-again") || !matches(u.filters, ev.content.Patterns) {
		return
	}
	u.open.last = ev.id
	if ev.timed {
		u.open.note(u.c.s.state, ev.id)
	}
	u.message(t, ev)
}

// message queues an event, or leaves it out if too much waits: then the next one
// says how many were. In a group nothing is left out, who does not take its events
// is out.
func (u *sub) message(t *topic, ev *event) {
	c := u.c
	if c.gone {
		return
	}
	if c.ranked {
		c.rank(u, t, ev)
		return
	}
	e := u.event(t, ev)
	full := u.messages >= c.s.cfg.QueueMessages || u.bytes+len(e.body) > c.s.cfg.QueueBytes && u.messages > 0
	switch {
	case full && u.class == Group:
		c.end(u, Slow)
		c.s.sayLeave(u.name, u.entrant())
	case full && !bug.Planted("events-queue-unbounded"):
		u.missed++
		u.lose()
	default:
		u.missed = 0
		c.enqueue(Lowest, e)
	}
}

// event is what a subscription gets of an event.
func (u *sub) event(t *topic, ev *event) queued {
	last := &u.c.s.encoded
	if last.event != ev {
		last.event, last.body = ev, appendMessage(make([]byte, 0, 64+len(t.name)+4*len(ev.content.Patterns)+ev.size()), t.name, ev)
	}
	return queued{u, EventMessage, u.missed, last.body}
}

// encoded is the event that was last told, in the form that all get.
type encoded struct {
	event *event
	body  []byte // never changed: queues have it
}

func (c *client) enqueue(priority uint8, e queued) {
	if c.granted > 0 && c.waiting+c.others == 0 && !c.blocked {
		c.hand(&e)
		c.news()
		return
	}
	c.queues[priority] = append(c.queues[priority], e)
	if e.topic() {
		c.waiting++
		e.u.messages++
		e.u.bytes += len(e.body)
	} else {
		c.others++
	}
	c.pump()
	c.news()
}

// rank queues an event of a ranked connection. From the bound on until half of
// what waits is taken it only comes in for one of a lower priority, the newest
// (openais-executive O3, O4). Whose event is lost first is told (O5).
func (c *client) rank(u *sub, t *topic, ev *event) {
	p := ev.content.Priority
	if bug.Planted("events-one-priority") {
		p = Lowest
	}
	queue, i := c.least(p)
	loser := u
	if queue != nil {
		loser = (*queue)[i].u
	}
	if c.waiting >= c.s.cfg.QueueRanked && !c.blocked {
		c.blocked = true
		if bug.Planted("events-lost-untold") {
			return
		}
		c.lost(loser)
	}
	if c.blocked {
		loser.lose()
		if queue == nil {
			return
		}
		c.taken(&(*queue)[i])
		*queue = slices.Delete(*queue, i, i+1)
	}
	u.missed = 0
	c.enqueue(p, u.event(t, ev))
}

// least finds the newest event of the lowest priority, if that is below p.
func (c *client) least(p uint8) (queue *[]queued, i int) {
	for q := Lowest; q > p; q-- {
		for i := len(c.queues[q]) - 1; i >= 0; i-- {
			if c.queues[q][i].topic() {
				return &c.queues[q], i
			}
		}
	}
	return nil, 0
}

// lost says that events of a subscription are missing, unless that waits to be told.
func (c *client) lost(u *sub) {
	told := func(e queued) bool { return e.u == u && e.kind == EventLost }
	if !c.gone && !slices.ContainsFunc(c.queues[Highest], told) {
		c.enqueue(Highest, queued{u, EventLost, 0, SubRequest{u.id}.AppendTo(nil)})
	}
}

// taken counts an event out.
func (c *client) taken(e *queued) {
	if !e.topic() {
		c.others--
		return
	}
	c.waiting--
	e.u.messages--
	e.u.bytes -= len(e.body)
}

// next takes the event out whose turn it is.
func (c *client) next() (e queued, found bool) {
	for i := range c.queues {
		if len(c.queues[i]) == 0 {
			continue
		}
		e = c.queues[i][0]
		c.queues[i] = c.queues[i][1:]
		c.taken(&e)
		c.resume()
		return e, true
	}
	return queued{}, false
}

// resume has a ranked connection take events again when less than half of what it may
// have waits.
func (c *client) resume() {
	if !c.blocked || c.waiting >= max(1, c.s.cfg.QueueRanked/2) || bug.Planted("events-stays-blocked") && c.waiting == 0 {
		return
	}
	c.blocked = false
	for _, u := range c.subs {
		u.lacks = false
	}
}

// pump hands events on that the client takes. One that its door does not take ends
// the connection.
func (c *client) pump() {
	for c.granted > 0 && !c.gone {
		e, found := c.next()
		if !found {
			return
		}
		c.hand(&e)
	}
}

// hand hands one event on.
func (c *client) hand(e *queued) {
	c.granted--
	c.told(e)
	c.s.scratch = e.appendTo(c.s.scratch[:0])
	if err := c.conn.Push(e.kind, c.s.scratch); err != nil {
		c.close(err)
	}
}

// take is the next event, for a client that fetches each.
func (c *client) take() TakeReply {
	e, _ := c.next()
	c.told(&e)
	p := TakeReply{Left: uint32(c.waiting + c.others), Primary: c.s.live(), Kind: e.kind, Body: e.appendTo(nil)}
	c.takes, c.idle, c.primary = true, p.Left == 0 && !(bug.Planted("events-last-not-idle") && p.Kind != 0), p.Primary
	return p
}

// news tells a client that fetches what it should know before it does.
func (c *client) news() {
	waits, primary := c.waiting+c.others > 0, c.s.live()
	if bug.Planted("events-primary-untold") {
		primary = c.primary
	}
	if !c.takes || c.gone || primary == c.primary && !(c.idle && waits) {
		return
	}
	c.idle, c.primary = c.idle && !waits, primary
	if err := c.conn.Push(EventNews, NewsEvent{waits, primary}.AppendTo(nil)); err != nil {
		c.close(err)
	}
}

// news tells all clients that fetch whether this node is in the primary sub-cluster.
func (s *Service) news() {
	for _, c := range s.clients {
		c.news()
	}
}
