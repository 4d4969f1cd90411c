package executive

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// Sink is a door's side of one connection. Its methods run on the owner, must
// not block and not call the Core.
type Sink interface {
	// Push takes one event for the client; body is valid until it returns. The door
	// tells with Handle.Taken when the client, or the socket to it, has it.
	Push(kind uint16, body []byte)
	// Flow says whether calls that need room would have to wait for long: during a
	// configuration change from before the first service hears of it until one of
	// them shows what came of it, and while the ring's queue is full (corosync-ipc
	// 1.4.8). Who answers an event of the change must not find the door shut;
	// calls that come before the change is over wait here. Flow(false) also comes
	// when none of the client's calls waits any more.
	Flow(blocked bool)
	// Closed says that the connection was ended from this side. Nothing follows.
	Closed(err error)
}

// Errors of Handle.Call. After ErrBadCall the door ends the connection.
var (
	ErrBadCall = errors.New("executive: the service has no such call")
	ErrFull    = fmt.Errorf("executive: too many calls of this client wait: %w", service.ErrTryAgain)
)

// Handle is one client connection to one service. It belongs to the owner.
type Handle struct {
	core   *Core
	host   *host
	conn   conn
	id     uint64
	cred   service.Cred
	sink   Sink
	client service.Client
	holder service.Holder // client, if it may keep calls waiting

	closed  bool // no calls and no events any more
	done    bool // the service knows
	blocked bool // what Flow said last

	calls []queuedCall       // wait for room, in order
	open  map[uint64]*answer // by tag: calls of a service that needs quorum, not yet answered
	debt  debt
}

// queuedCall is a call that waits for room.
type queuedCall struct {
	fn    uint16
	tag   uint64
	body  []byte
	reply func(service.Code, []byte)
}

// answer makes sure that one reply is the only one.
type answer struct {
	reply func(service.Code, []byte)
}

// conn is what the service sees of a connection.
type conn struct{ h *Handle }

var _ service.Conn = (*conn)(nil)

// Open connects a client to a service. The code is OK or says why there is no
// handle. The sink may be called before Open returns.
func (c *Core) Open(id uint16, cred service.Cred, sink Sink) (*Handle, service.Code) {
	if c.stop != totem.Running {
		return nil, service.ErrLibrary
	}
	if c.engine == nil {
		return nil, service.ErrAgain // it starts anew
	}
	if int(id) >= len(c.byID) || c.byID[id] == nil {
		return nil, service.ErrNotExist
	}
	c.nextConn++
	h := &Handle{core: c, host: c.byID[id], id: c.nextConn, cred: cred, sink: sink}
	h.conn.h = h
	if !h.host.info.RunsWithoutQuorum {
		h.open = make(map[uint64]*answer)
	}
	c.clients = append(c.clients, h)
	client, err := h.host.svc.Open(&h.conn)
	if err == nil && h.closed {
		err = service.ErrClosed
	}
	if err != nil {
		h.done = true
		h.end()
		return nil, service.CodeOf(err)
	}
	h.client = client
	h.holder, _ = client.(service.Holder)
	c.signalOne(h)
	return h, service.OK
}

// find returns the connection with an id, nil if it is gone.
func (c *Core) find(id uint64) *Handle {
	i, ok := slices.BinarySearchFunc(c.clients, id, func(h *Handle, id uint64) int { return cmp.Compare(h.id, id) })
	if !ok {
		return nil
	}
	return c.clients[i]
}

func (c *Core) forget(h *Handle) {
	if i := slices.Index(c.clients, h); i >= 0 {
		c.clients = slices.Delete(c.clients, i, i+1)
	}
	if i := slices.Index(c.waiting, h); i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
	}
}

// ID is the connection's number at this node, never used twice in a process.
func (h *Handle) ID() uint64 { return h.id }

// Waiting reports whether calls of the client wait for room. A door that keeps
// those behind them spares a copy.
func (h *Handle) Waiting() bool { return len(h.calls) > 0 }

// Blocked reports what Flow said last.
func (h *Handle) Blocked() bool { return h.blocked }

// Call passes one call to the service. reply, which may be nil, is called once, on the owner,
// before Call returns or later, unless the connection ends before. Calls that
// need room wait in order while there is none (Info.Calls[i].Flow); with
// ErrFull the door keeps the call and tries again after Flow(false) or the next
// reply. The body is copied where it is kept.
func (h *Handle) Call(fn uint16, tag uint64, body []byte, reply func(service.Code, []byte)) error {
	if h.closed {
		return service.ErrClosed
	}
	if reply == nil {
		reply = unheard
	}
	calls := h.host.info.Calls
	if int(fn) >= len(calls) {
		return ErrBadCall
	}
	if !calls[fn].Flow || len(h.calls) == 0 && h.mayCall() {
		h.pass(fn, tag, body, reply)
		return nil
	}
	if len(h.calls) >= h.core.cfg.Limits.ClientCalls {
		return ErrFull
	}
	if len(h.calls) == 0 {
		h.core.waiting = append(h.core.waiting, h)
	}
	h.calls = append(h.calls, queuedCall{fn, tag, slices.Clone(body), reply})
	return nil
}

func unheard(service.Code, []byte) {}

// pass gives a call to the service, or refuses it outside of the primary
// component (openais-executive 13).
func (h *Handle) pass(fn uint16, tag uint64, body []byte, reply func(service.Code, []byte)) {
	if h.open != nil {
		if !h.host.info.Calls[fn].Local && !(h.host.active() && h.core.mayAct()) {
			reply(service.ErrAgain, nil)
			return
		}
		reply = h.expect(tag, reply)
	}
	h.client.Call(service.Request{Func: fn, Tag: tag, Body: body, Reply: reply})
}

// expect remembers a call until it is answered, so that it can be refused when
// its message meets a ring that is not the primary component.
func (h *Handle) expect(tag uint64, reply func(service.Code, []byte)) func(service.Code, []byte) {
	a := &answer{reply: reply}
	h.open[tag] = a
	return func(code service.Code, body []byte) {
		f := a.reply
		if f == nil {
			return
		}
		a.reply = nil
		if h.open[tag] == a {
			delete(h.open, tag)
		}
		f(code, body)
	}
}

// refuseSource answers the call behind a message that nobody acts on.
func (c *Core) refuseSource(s *host, src service.Source) {
	if src.Node != c.self() {
		return
	}
	h := c.find(src.Conn)
	if h == nil || h.host != s || h.closed {
		return
	}
	if a := h.open[src.Tag]; a != nil && a.reply != nil {
		f := a.reply
		a.reply = nil
		delete(h.open, src.Tag)
		f(service.ErrAgain, nil)
	}
}

// Close ends the connection from the client's side.
func (h *Handle) Close() { h.end() }

// disconnect ends the connection from this side.
func (h *Handle) disconnect(err error) {
	if !h.closed {
		h.end()
		h.sink.Closed(err)
	}
}

// end stops calls and events. The service learns of it at the end of the
// Flush, for it may be on the stack.
func (h *Handle) end() {
	if h.closed {
		return
	}
	h.closed = true
	h.calls, h.open = nil, nil
	h.core.budget.forgive(&h.debt)
	h.core.forget(h)
	h.core.finishing = append(h.core.finishing, h)
	h.core.dirty = true
}

// finishClients tells services which connections are gone.
func (c *Core) finishClients() {
	for len(c.finishing) > 0 {
		h := c.finishing[0]
		c.finishing = c.finishing[1:]
		if !h.done && h.client != nil {
			h.done = true
			h.client.Closed()
		}
	}
}

// mayCall reports whether calls that need room are passed on now.
func (h *Handle) mayCall() bool {
	return !h.core.holds(h.host) && h.core.hasRoom(0) && !(h.holder != nil && h.holder.Holding())
}

// holds reports whether a round keeps the service's clients waiting.
func (c *Core) holds(h *host) bool {
	return c.round.held || c.round.partial && !h.info.RunsWithoutQuorum
}

// hasRoom reports whether the engine would take a message of that many bytes
// now. The level is the engine's as of the last Take; what came since is counted
// here.
func (c *Core) hasRoom(bytes int) bool {
	limit := &c.cfg.Totem.Limits
	return c.running() && c.room < totem.RoomCritical &&
		c.submitted.bytes+bytes <= limit.QueueBytes/8 && c.submitted.messages <= limit.QueueCount/8
}

// drain lets waiting calls go while there is room, one of each client in turn.
func (c *Core) drain() {
	for passed := true; passed && len(c.waiting) > 0; {
		passed = false
		for i := 0; i < len(c.waiting); {
			h := c.waiting[i]
			if !h.mayCall() {
				i++
				continue
			}
			q := h.calls[0]
			h.calls[0] = queuedCall{}
			h.calls = h.calls[1:]
			if len(h.calls) == 0 {
				h.calls = nil
				c.waiting = slices.Delete(c.waiting, i, i+1)
			} else {
				i++
			}
			passed = true
			h.pass(q.fn, q.tag, q.body, q.reply)
			if len(h.calls) == 0 && !h.blocked && !h.closed {
				h.sink.Flow(false)
			}
		}
	}
}

// signal tells all doors whose flow changed, in the order of the connections.
func (c *Core) signal() {
	for _, h := range c.clients {
		c.signalOne(h)
	}
}

func (c *Core) signalOne(h *Handle) {
	blocked := h.host.flow && (c.holds(h.host) && !c.round.ending || c.room == totem.RoomCritical)
	if blocked != h.blocked && !h.closed {
		h.blocked = blocked
		h.sink.Flow(blocked)
	}
}

// signalRoom tells the doors when the queue became full, or free again.
func (c *Core) signalRoom() {
	if full := c.room == totem.RoomCritical; full != c.stats.full {
		c.stats.full = full
		c.signal()
	}
}

// ID is the connection's number at this node.
func (x *conn) ID() uint64 { return x.h.id }

// Cred says whose process is at the other end.
func (x *conn) Cred() service.Cred { return x.h.cred }

// Push queues one event for the client.
func (x *conn) Push(kind uint16, body []byte) error {
	h := x.h
	switch {
	case h.closed:
		return service.ErrClosed
	case h.debt.bytes+len(body) > h.core.cfg.Limits.ClientBytes:
		return service.ErrOverflow
	}
	if limit := h.host.info.ClientBytes; limit > 0 && h.waiting()+len(body) > limit {
		h.core.clientOverflows(h, limit)
		return service.ErrOverflow
	}
	h.core.budget.push(&h.debt, len(body))
	h.core.stats.Pushed++
	h.sink.Push(kind, body)
	return nil
}

// waiting is how many bytes of events wait here, as far as the door can tell them
// from those that the kernel and the client have.
func (h *Handle) waiting() int {
	if q, ok := h.sink.(interface{ Waiting() int }); ok {
		return q.Waiting()
	}
	return h.debt.bytes
}

// Close ends the connection from the service's side.
func (x *conn) Close(err error) { x.h.disconnect(err) }

// name is the connection for people.
func (h *Handle) name() string {
	return fmt.Sprintf("client %d of %s (process %d)", h.id, h.host.info.Name, h.cred.PID)
}
