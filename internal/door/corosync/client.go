package corosync

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"

	"github.com/moothall/moothall/internal/door/corosync/qb"
	"github.com/moothall/moothall/service"
)

var le = binary.LittleEndian

// translator knows the structures of one service.
type translator interface {
	// request handles one request that has its fixed part; false as in qb.Handler.
	request(id int32, msg []byte) bool
	// event sends one event of the service.
	event(kind uint16, body []byte) error
	// closed gives back what the translator holds.
	closed()
}

// client is one connection: qb.Handler on one side, Sink on the other.
type client struct {
	d          *Door
	q          *qb.Conn
	translator translator
	sizes      []int  // of the fixed parts of the requests, by id
	silent     int32  // request that is never answered; -1: none
	handle     Handle // nil if no service is behind the client
	no         uint64 // among the door's clients
	tag        uint64
	full       bool   // the backend did not take a call
	out        []byte // response or head of an event in the making
	body       []byte // of a call in the making
	complaints int
	count      counts
}

func newClient(d *Door, q *qb.Conn, sizes []int) client {
	return client{d: d, q: q, sizes: sizes, silent: -1}
}

// Request implements qb.Handler. Corosync answers an id that it does not know
// with a bare header (corosync-ipc 2.0), and so is a request that is too short,
// unless its sender waits for no answer and would take it for another one.
func (c *client) Request(id int32, msg []byte) bool {
	if id < 0 || int(id) >= len(c.sizes) || len(msg) < c.sizes[id] {
		c.count.invalid++
		if id != c.silent {
			c.invalid()
		}
		return true
	}
	taken := c.translator.request(id, msg)
	if taken {
		c.count.requests++
	}
	return taken
}

// Consumed implements qb.Handler. Each event has the weight one.
func (c *client) Consumed(weight int) {
	if c.handle != nil {
		c.handle.Taken(weight)
	}
}

// Closed implements qb.Handler.
func (c *client) Closed(err error) {
	cred := c.q.Cred()
	level := slog.LevelDebug
	if errors.Is(err, qb.ErrProtocol) || errors.Is(err, qb.ErrOverflow) || errors.Is(err, service.ErrOverflow) {
		level = slog.LevelWarn
	}
	c.d.cfg.Log.Log(context.Background(), level, "client gone", "service", c.q.Service(), "pid", cred.PID, "uid", cred.UID, "err", err)
	c.translator.closed()
	if c.handle != nil {
		c.handle.Close()
	}
	c.d.forget(c)
}

// maxComplaints are logged of one connection: no client can fill the log.
const maxComplaints = 5

// complain logs what went wrong with a request of the client.
func (c *client) complain(level slog.Level, msg string, args ...any) {
	if c.complaints++; c.complaints <= maxComplaints {
		c.d.cfg.Log.Log(context.Background(), level, msg, append(args, "pid", c.q.Cred().PID, "complaint", c.complaints, "of", maxComplaints)...)
	}
}

// sink is what the backend sees of a client: its Closed is another one.
type sink struct{ c *client }

// Push implements Sink. An error ends the connection: a stream with a hole does
// not go on.
func (s sink) Push(kind uint16, body []byte) {
	c := s.c
	c.count.events++
	if err := c.translator.event(kind, body); err != nil {
		if !errors.Is(err, qb.ErrClosed) && !errors.Is(err, qb.ErrOverflow) {
			c.d.cfg.Log.Error("no way to tell a client of an event", "service", c.q.Service(), "kind", kind, "err", err)
		}
		c.q.Close(err)
	}
}

// Flow implements Sink.
func (s sink) Flow(blocked bool) {
	s.c.count.held = blocked
	if blocked {
		s.c.count.holds++
		s.c.q.SetFlow(qb.FlowMcast)
		return
	}
	s.c.q.SetFlow(qb.FlowFree)
	s.c.again()
}

// Closed implements Sink.
func (s sink) Closed(err error) { s.c.q.Close(err) }

// call makes one call. False: the backend has no room for it now.
func (c *client) call(fn uint16, body []byte, reply func(code service.Code, body []byte)) bool {
	return c.callWith(fn, body, func(code service.Code, body []byte) {
		reply(code, body)
		c.again()
	})
}

// callWith is call with a reply that calls again by itself.
func (c *client) callWith(fn uint16, body []byte, reply func(code service.Code, body []byte)) bool {
	c.tag++
	err := c.handle.Call(fn, c.tag, body, reply)
	if errors.Is(err, service.ErrTryAgain) {
		c.full = true
		return false
	}
	if err != nil {
		c.q.Close(err)
	}
	return true
}

// again tries the call once more that the backend had no room for.
func (c *client) again() {
	if c.full {
		c.full = false
		c.q.Resume()
	}
}

// callPlain makes a call that is answered with nothing but a header.
func (c *client) callPlain(fn uint16, body []byte, id int32) bool {
	return c.call(fn, body, func(code service.Code, _ []byte) { c.status(id, code) })
}

// response starts a response of a given size, zero behind its header.
func (c *client) response(id int32, code service.Code, size int) []byte {
	c.out = qb.AppendHeader(c.out[:0], id, size, int32(code))
	for len(c.out) < size {
		c.out = append(c.out, zeros[:min(len(zeros), size-len(c.out))]...)
	}
	return c.out
}

var zeros [256]byte

// eventHead starts an event whose last bytes may be given separately.
func (c *client) eventHead(id int32, size, head int) []byte {
	b := c.response(id, service.OK, head)
	le.PutUint32(b[8:], uint32(size))
	return b
}

// send sends a response. A failure ends the connection by itself.
func (c *client) send(b []byte) {
	c.count.responses++
	_ = c.q.Respond(b, nil)
}

// status answers with nothing but a header.
func (c *client) status(id int32, code service.Code) {
	c.send(c.response(id, code, qb.ResponseHeader))
}

// outcome is the code of an answer whose body was parsed: one that says OK and
// can not be read is no success. Bodies of other answers are empty.
func outcome(code service.Code, err error) service.Code {
	if code == service.OK && err != nil {
		return service.ErrLibrary
	}
	return code
}

// invalid answers a request that makes no sense.
func (c *client) invalid() { c.status(0, service.ErrInvalidParam) }

// Layout of a group name in messages: length, a hole, 128 bytes.
const (
	nameLen  = 136
	nameData = 8
	nameMax  = nameLen - nameData
)

// groupName reads a group name. One that is too long comes out one byte longer
// than allowed, so that the service can refuse it in its turn.
func groupName(b []byte) []byte {
	n := le.Uint32(b)
	if n > nameMax {
		return b[nameData : nameLen+1]
	}
	return b[nameData : nameData+n]
}

// putGroupName writes a group name into zeroed memory.
func putGroupName(b, name []byte) {
	le.PutUint32(b, uint32(min(len(name), nameMax)))
	copy(b[nameData:nameLen], name)
}
