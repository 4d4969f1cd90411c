package remote

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/service/outside"
	"github.com/moothall/moothall/service"
)

// Self is the node of the agent.
func (h *host) Self() service.NodeID { return h.self }

// errNotInRound is returned for a message of class Sync outside of a round.
var errNotInRound = fmt.Errorf("remote: synchronisation message outside of a round: %w", service.ErrClosed)

// Multicast has a message ordered. Normal ones wait here while a round runs.
func (h *host) Multicast(fn uint16, class service.MsgClass, level service.Level, src service.Source, body []byte) error {
	if len(body) > outside.MaxBody {
		return service.ErrTooBig
	}
	if !h.Room(len(body)) {
		return service.ErrTryAgain
	}
	m := outside.Multicast{Part: outside.Normal, Func: fn, Src: src, Safe: level == service.Safe, Body: body}
	if class == service.Sync {
		if !h.sync.InRound(h.info.ID) {
			return errNotInRound
		}
		m.Part = outside.Sync
		m.Ring, m.Round = h.sync.Round()
		h.out(encode(&m))
		return nil
	}
	e := encode(&m)
	h.normal = append(h.normal, e)
	h.waiting += e.cost
	h.pump()
	return nil
}

// Room reports whether a message of that size would be taken now. One message
// always is when none is on its way.
func (h *host) Room(bytes int) bool {
	used := h.onTheWay() + h.waiting
	return used == 0 || used+outside.Cost(bytes) <= outside.Window
}

// Local finds the connection that a message came from.
func (h *host) Local(s service.Source) (service.Conn, bool) {
	if s.Node != h.self {
		return nil, false
	}
	c := h.conns[s.Conn]
	if c == nil || c.over {
		return nil, false
	}
	return c, true
}

// Quorum is the last decision at the agent. Its ring is the nodes'.
func (h *host) Quorum() (service.QuorumState, service.Currency) {
	return h.quorum.State, h.quorum.Currency
}

// Now is the clock.
func (h *host) Now() time.Time { return time.Now() }

// Log is the process's.
func (h *host) Log() *slog.Logger { return h.log }

// Nodes is the configured node list.
func (h *host) Nodes() service.NodeDirectory { return (*directory)(h) }

type directory host

func (d *directory) Name(n service.NodeID) string {
	if name := d.names[n]; name != "" {
		return name
	}
	return fmt.Sprint("node ", n)
}

func (d *directory) Configured() []service.NodeID { return slices.Clone(d.order) }

// timer is a pending After.
type timer struct {
	h  *host
	at time.Time
	f  func()
}

// After calls f on the service's goroutine.
func (h *host) After(d time.Duration, f func()) service.Timer {
	t := &timer{h, time.Now().Add(d), f}
	i, _ := slices.BinarySearchFunc(h.timers, t.at, func(o *timer, at time.Time) int {
		if o.at.After(at) {
			return 1
		}
		return -1
	})
	h.timers = slices.Insert(h.timers, i, t)
	return t
}

// Stop keeps f from being called if it was not called yet.
func (t *timer) Stop() {
	if i := slices.Index(t.h.timers, t); i >= 0 {
		t.h.timers = slices.Delete(t.h.timers, i, i+1)
	}
}

// fire calls what is due. What is set anew meanwhile waits for its turn.
func (h *host) fire() {
	now := time.Now()
	for due := len(h.timers); due > 0 && len(h.timers) > 0 && !h.timers[0].at.After(now); due-- {
		t := h.timers[0]
		h.timers = slices.Delete(h.timers, 0, 1)
		t.f()
	}
}

// conn is a client's connection.
type conn struct {
	h      *host
	id     uint64
	cred   service.Cred
	client service.Client // nil: it was refused
	over   bool           // ended from this side
	open   map[uint64]*reply

	holder service.Holder // client, if it may keep calls waiting
	held   []outside.Call // those that wait, oldest first
	stayed bool           // the agent was asked to keep the next ones
}

// maxHeld is how many calls of one client wait here; more wait at the agent.
const maxHeld = 64

// reply makes sure that one answer is the only one.
type reply struct {
	h    *host
	no   uint64
	done bool
}

func (r *reply) answer(code service.Code, body []byte) {
	if r.done {
		r.h.log.Error("a call is answered twice", "call", r.no)
		return
	}
	r.done = true
	r.h.tell(outside.CallReply, outside.Reply{No: r.no, Code: code, Body: body})
}

// ID is the connection's number at the node.
func (c *conn) ID() uint64 { return c.id }

// Cred says whose process it is.
func (c *conn) Cred() service.Cred { return c.cred }

// Push sends an event to the client.
func (c *conn) Push(kind uint16, body []byte) error {
	switch {
	case c.over:
		return service.ErrClosed
	case len(body) > outside.MaxBody+outside.Slack:
		return service.ErrTooBig
	}
	c.h.tell(outside.CallPush, outside.Push{Conn: c.id, Kind: kind, Body: body})
	return nil
}

// Close ends the connection.
func (c *conn) Close(err error) {
	if !c.over {
		c.over = true
		c.h.tell(outside.CallClose, outside.Close{Conn: c.id, Code: service.CodeOf(err)})
	}
}

func (h *host) open(o *outside.Open) {
	c := &conn{h: h, id: o.Conn, cred: o.Cred, open: map[uint64]*reply{}}
	h.conns[c.id] = c
	client, err := h.svc.Open(c)
	if err != nil {
		c.Close(err)
		return
	}
	c.client = client
	if c.holder, _ = client.(service.Holder); c.holder != nil {
		h.holds = append(h.holds, c)
	}
}

// closed is the end of a connection.
func (h *host) closed(id uint64) {
	c := h.conns[id]
	if c == nil {
		return
	}
	c.over = true
	delete(h.conns, id)
	h.holds = slices.DeleteFunc(h.holds, func(o *conn) bool { return o == c })
	if c.client != nil {
		c.client.Closed()
	}
}

func (h *host) call(q *outside.Call) {
	h.taken++
	c := h.conns[q.Conn]
	if c == nil || c.over || c.client == nil {
		return
	}
	if int(q.Func) >= len(h.info.Calls) {
		c.Close(service.ErrInvalidParam)
		return
	}
	if c.holder == nil || !h.info.Calls[q.Func].Flow || len(c.held) == 0 && !c.holder.Holding() {
		h.pass(c, q)
		return
	}
	held := *q
	held.Body = slices.Clone(q.Body)
	c.held = append(c.held, held)
	c.stay(len(c.held) >= maxHeld)
}

// stay asks the agent to keep calls of the client, or not to any more.
func (c *conn) stay(on bool) {
	if c.stayed != on {
		c.stayed = on
		c.h.tell(outside.CallHold, outside.Hold{Conn: c.id, On: on})
	}
}

// release lets calls go that waited for their service.
func (h *host) release() {
	for _, c := range slices.Clone(h.holds) {
		for len(c.held) > 0 && !c.over && !c.holder.Holding() {
			q := c.held[0]
			c.held = c.held[1:]
			h.pass(c, &q)
		}
		if len(c.held) == 0 {
			c.stay(false)
		}
	}
}

// pass gives a call to the service, or refuses it outside of the primary
// component.
func (h *host) pass(c *conn, q *outside.Call) {
	r := &reply{h: h, no: q.No}
	answer := r.answer
	if !h.info.RunsWithoutQuorum {
		if !h.info.Calls[q.Func].Local && !h.mayAct() {
			r.answer(service.ErrAgain, nil)
			return
		}
		c.open[q.Tag] = r
		answer = func(code service.Code, body []byte) {
			if c.open[q.Tag] == r {
				delete(c.open, q.Tag)
			}
			r.answer(code, body)
		}
	}
	tag := q.Tag
	c.client.Call(service.Request{Func: q.Func, Tag: tag, Body: q.Body, Reply: answer})
}

// refuse answers the call behind a message that nobody acts on.
func (h *host) refuse(src service.Source) {
	if src.Node != h.self {
		return
	}
	if c := h.conns[src.Conn]; c != nil {
		if r := c.open[src.Tag]; r != nil && !r.done {
			delete(c.open, src.Tag)
			r.answer(service.ErrAgain, nil)
		}
	}
}
