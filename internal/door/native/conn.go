package native

import (
	"errors"
	"fmt"

	"github.com/moothall/moothall/internal/door"
	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/service"
)

// conn is one service that a client opened: its messages on one side, a
// door.Sink on the other.
type conn struct {
	c      *client
	id     uint16
	handle Handle // nil while it is being opened

	grant   int         // bytes of requests that the client may send
	served  int         // bytes of requests that are served, not yet granted anew
	waiting frame.Queue // requests, while the service takes none
	stalled bool        // until Flow(false) or the next answer
	calls   uint64      // names calls, beside the tags of casts

	window  int // credit for events at the start
	credit  int // bytes of events that may be sent
	untaken int // events that were sent, and not taken by the client's user
	backlog frame.Queue
	asked   bool     // somebody wants to know what waits
	unsent  []queued // events in the socket's queue, since then
	queued  int      // bytes of unsent

	opening  bool
	closing  bool // the client closed it; what it sent before is served first
	gone     bool // the client has left; ends when no request waits
	ended    bool
	resumeFn func()
	castFn   func(service.Code, []byte)
}

// queued is an event in the queue of a socket: where it ends there, counted from
// the first byte ever, and its size.
type queued struct {
	end  uint64
	size int
}

var _ door.Sink = (*conn)(nil)

func newConn(c *client, id uint16, window int) *conn {
	x := &conn{c: c, id: id, grant: c.d.cfg.Window, window: window, credit: window}
	x.resumeFn, x.castFn = x.pass, x.castDone
	x.waiting.Chunks, x.backlog.Chunks = &c.d.chunks, &c.d.chunks
	return x
}

// request takes one request of the client, in its order.
func (x *conn) request(m frame.Message) error {
	if m.Kind == frame.KindClose {
		if err := frame.ParseClose(m); err != nil {
			return err
		}
		if x.closing { // it needs no credit, so there can be one only
			return fmt.Errorf("%w: connection %d was closed already", frame.ErrMalformed, x.id)
		}
		x.closing = true
	} else {
		if x.grant <= 0 {
			return fmt.Errorf("%w: %v without credit", frame.ErrMalformed, m.Kind)
		}
		x.grant -= m.Size()
	}
	if x.waiting.Len() == 0 && !x.gone {
		if done, err := x.serve(m); done || err != nil {
			return err
		}
	}
	x.waiting.Put(m)
	return nil
}

// serve gives one request to the service; false: it has no room now.
func (x *conn) serve(m frame.Message) (done bool, err error) {
	if m.Kind == frame.KindCast && x.handle.Waiting() {
		x.stalled = true // the call would only be copied
	}
	if x.stalled {
		return false, nil
	}
	if !x.c.room(x) {
		x.stalled = true
		return false, nil
	}
	switch m.Kind {
	case frame.KindCall:
		q, perr := frame.ParseCall(m)
		if perr != nil {
			return false, perr
		}
		x.calls++
		err = x.handle.Call(q.Func, 1<<63|x.calls, q.Body, func(code service.Code, body []byte) { x.answer(q.ID, code, body) })
	case frame.KindCast:
		q, perr := frame.ParseCast(m)
		if perr != nil {
			return false, perr
		}
		err = x.handle.Call(q.Func, q.Tag, q.Body, x.castFn)
	default:
		x.end()
		x.closed(service.OK, "as the client wished")
		return true, nil
	}
	switch {
	case errors.Is(err, service.ErrTryAgain):
		x.stalled = true
		return false, nil
	case err != nil:
		x.end()
		x.closed(service.CodeOf(err), err.Error())
	default:
		x.give(m.Size())
	}
	return true, nil
}

// give grants the credit of a request anew, in portions.
func (x *conn) give(size int) {
	if x.served += size; x.served < x.c.d.cfg.Window/4 || x.ended {
		return
	}
	x.c.out.Credit(x.id, frame.Credit{Bytes: uint32(x.served)})
	x.grant += x.served
	x.served = 0
	x.c.d.markDirty(x.c)
}

// pass serves the requests that wait.
func (x *conn) pass() {
	for !x.ended && x.waiting.Len() > 0 {
		done, err := x.serve(frame.Parse(x.waiting.First()))
		if err != nil {
			x.c.misbehaved(err)
			return
		}
		if !done {
			return
		}
		x.waiting.Drop()
	}
	if x.gone {
		x.end()
		x.c.bury()
	}
}

// resume serves waiting requests soon, because there may be room again.
func (x *conn) resume() {
	if x.stalled {
		x.stalled = false
		x.c.d.cfg.Backend.Do(x.resumeFn)
	}
}

func (x *conn) answer(id uint32, code service.Code, body []byte) {
	if !x.ended {
		if frame.CallSize(len(body)) > x.c.largest {
			code, body = service.ErrTooBigCode, nil
		}
		x.c.out.Answer(x.id, frame.Answer{ID: id, Code: code, Body: body})
		x.c.d.markDirty(x.c)
	}
	x.resume()
}

// castDone ends the connection of a cast that was refused. It is called from
// within the service, so the end comes a little later.
func (x *conn) castDone(code service.Code, _ []byte) {
	if code != service.OK && !x.ended {
		x.c.d.cfg.Backend.Do(func() {
			if !x.ended {
				x.end()
				x.closed(code, "a cast was refused: "+code.String())
			}
		})
	}
	x.resume()
}

// Push implements door.Sink.
func (x *conn) Push(kind uint16, body []byte) {
	if x.ended {
		return
	}
	e := frame.Event{Kind: kind, Body: body}
	if x.opening || x.backlog.Len() > 0 || x.credit <= 0 || frame.EventSize(len(body)) > x.c.largest {
		x.backlog.Event(x.id, e)
		if !x.opening && x.backlog.Len() > 0 && x.credit > 0 {
			x.drain()
		}
		return
	}
	x.c.out.Event(x.id, e)
	x.sent(frame.EventSize(len(body)))
}

func (x *conn) sent(size int) {
	x.credit -= size
	x.untaken++
	if x.asked {
		x.unsent = append(x.unsent, queued{x.c.out.Gone() + uint64(x.c.out.Len()), size})
		x.queued += size
	}
	x.c.d.markDirty(x.c)
}

// Waiting is how many bytes of events the kernel has not taken.
func (x *conn) Waiting() int {
	x.asked = true
	gone, sent := x.c.out.Gone(), 0
	for sent < len(x.unsent) && x.unsent[sent].end <= gone {
		x.queued -= x.unsent[sent].size
		sent++
	}
	if x.unsent = x.unsent[sent:]; len(x.unsent) == 0 {
		x.unsent = nil
	}
	return x.queued + x.backlog.Len()
}

// drain sends events that waited for credit.
func (x *conn) drain() {
	for !x.ended && x.credit > 0 && x.backlog.Len() > 0 {
		m := x.backlog.First()
		if len(m) > x.c.largest {
			text := fmt.Sprintf("an event of %d bytes, the client takes %d", len(m), x.c.largest)
			x.c.d.cfg.Backend.Do(func() { x.finish(service.ErrTooBigCode, text) })
			return
		}
		x.c.out.Raw(m)
		x.sent(len(m))
		x.backlog.Drop()
	}
}

// credited takes what the client's user has taken.
func (x *conn) credited(m frame.Message) error {
	k, err := frame.ParseCredit(m)
	if err != nil {
		return err
	}
	if uint64(k.Count) > uint64(x.untaken) || int64(k.Bytes) > int64(x.window-x.credit) {
		return fmt.Errorf("%w: credit for %d events of %d bytes, %d events were sent and %d bytes of credit used",
			frame.ErrMalformed, k.Count, k.Bytes, x.untaken, x.window-x.credit)
	}
	x.untaken -= int(k.Count)
	x.credit += int(k.Bytes)
	if k.Count > 0 && !x.gone {
		x.handle.Taken(int(k.Count))
	}
	x.drain()
	return nil
}

// Flow implements door.Sink.
func (x *conn) Flow(blocked bool) {
	if !blocked {
		x.resume()
	}
}

// Closed implements door.Sink.
func (x *conn) Closed(err error) {
	if x.ended {
		return
	}
	x.handle = nil
	x.end()
	x.closed(service.CodeOf(err), err.Error())
	x.c.bury()
}

// finish ends the connection from this side.
func (x *conn) finish(code service.Code, text string) {
	if !x.ended {
		x.end()
		x.closed(code, text)
		x.c.bury()
	}
}

// left is called when the client has gone.
func (x *conn) left() {
	x.gone = true
	if x.waiting.Len() == 0 {
		x.end()
	}
}

// end lets the service go.
func (x *conn) end() {
	if x.ended {
		return
	}
	x.ended = true
	x.waiting.Clear()
	x.backlog.Clear()
	delete(x.c.conns, x.id)
	if x.c.recent == x {
		x.c.recent = nil
	}
	if x.handle != nil {
		x.handle.Close()
	}
}

// closed tells the client of the end.
func (x *conn) closed(code service.Code, text string) {
	x.end()
	x.c.out.Closed(x.id, code, text)
	x.c.d.markDirty(x.c)
}
