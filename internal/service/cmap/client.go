package cmap

import (
	"slices"
	"strings"

	"github.com/moothall/moothall/service"
)

// What one client may have at a time.
const (
	MaxIterators = 256
	MaxTrackers  = 1024
)

// client is one connection.
type client struct {
	s      *Service
	conn   service.Conn
	m      *Map
	last   uint64 // handle given out
	iters  map[uint64]*iteration
	tracks map[uint64]*tracking
	gone   bool
}

// iteration remembers where it is by the key, so that changes meanwhile do no
// harm.
type iteration struct{ prefix, last string }

type tracking struct {
	*Tracker
	context uint64
}

// Open implements service.Service.
func (s *Service) Open(conn service.Conn) (service.Client, error) {
	c := &client{s: s, conn: conn, m: s.cfg.Default, iters: map[uint64]*iteration{}, tracks: map[uint64]*tracking{}}
	s.clients = append(s.clients, c)
	return c, nil
}

// Closed implements service.Client.
func (c *client) Closed() {
	c.gone = true
	for _, t := range c.tracks {
		t.Stop()
	}
	clear(c.tracks)
	c.s.clients = slices.DeleteFunc(slices.Clone(c.s.clients), func(o *client) bool { return o == c })
	c.s.watchStats()
}

// Call implements service.Client.
func (c *client) Call(req service.Request) {
	code, answer := c.call(req)
	req.Reply(code, answer)
}

func (c *client) call(req service.Request) (service.Code, []byte) {
	switch req.Func {
	case CallSet:
		return status(req.Body, ParseSet, c.set)
	case CallDelete:
		return status(req.Body, ParseKey, c.delete)
	case CallGet:
		return answer(req.Body, ParseKey, c.get)
	case CallAdjust:
		return status(req.Body, ParseAdjust, c.adjust)
	case CallIterInit:
		return answer(req.Body, ParseKey, c.iterInit)
	case CallIterNext:
		return answer(req.Body, ParseHandle, c.iterNext)
	case CallIterFinalise:
		return status(req.Body, ParseHandle, c.iterFinalise)
	case CallTrackAdd:
		return answer(req.Body, ParseTrack, c.trackAdd)
	case CallTrackDelete:
		return answer(req.Body, ParseHandle, c.trackDelete)
	case CallSetMap:
		return status(req.Body, ParseMap, c.setMap)
	}
	return service.ErrInvalidParam, nil
}

// status handles a call that is answered with nothing but its outcome.
func status[Q any](b []byte, parse func([]byte) (Q, error), f func(Q) service.Code) (service.Code, []byte) {
	q, err := parse(b)
	if err != nil {
		return service.ErrInvalidParam, nil
	}
	return f(q), nil
}

// answer handles a call that has an answer if all is well.
func answer[Q any, P interface{ AppendTo([]byte) []byte }](b []byte, parse func([]byte) (Q, error), f func(Q) (P, service.Code)) (service.Code, []byte) {
	q, err := parse(b)
	if err != nil {
		return service.ErrInvalidParam, nil
	}
	p, code := f(q)
	if code != service.OK {
		return code, nil
	}
	return code, p.AppendTo(nil)
}

// onStats reports whether the client looks at the statistics.
func (c *client) onStats() bool { return c.m == c.s.cfg.Stats }

// mayWrite says whether the client may change a key; OK if so.
func (c *client) mayWrite(key string) service.Code {
	switch {
	case c.onStats() && strings.HasPrefix(key, clearPrefix):
		return service.ErrNotSupported // but for setting it, see set
	case c.onStats() || readOnly(key, c.s.cfg.Provider):
		return service.ErrAccess
	}
	return service.OK
}

func (c *client) set(q SetRequest) service.Code {
	if what, ok := strings.CutPrefix(q.Key, clearPrefix); ok && c.onStats() {
		if c.s.cfg.Clear == nil || !c.s.cfg.Clear(what) {
			return service.ErrNotSupported
		}
		delete(c.s.fresh, c.m)
		return service.OK
	}
	if code := c.mayWrite(q.Key); code != service.OK {
		return code
	}
	switch {
	case !validKey(q.Key):
		return service.ErrNameTooLong // for a wrong character too
	case !q.Value.valid():
		return service.ErrInvalidParam
	case !c.m.room(q.Key, q.Value):
		return service.ErrNoSpace
	}
	c.m.Set(q.Key, q.Value)
	return service.OK
}

func (c *client) delete(q KeyRequest) service.Code {
	if code := c.mayWrite(q.Key); code != service.OK {
		return code
	}
	if !c.m.Delete(q.Key) {
		return service.ErrNotExist
	}
	return service.OK
}

func (c *client) get(q KeyRequest) (Entry, service.Code) {
	c.s.refresh(c.m)
	v, ok := c.m.Get(q.Key)
	if !ok {
		return Entry{}, service.ErrNotExist
	}
	return Entry{q.Key, v}, service.OK
}

func (c *client) adjust(q AdjustRequest) service.Code {
	if code := c.mayWrite(q.Key); code != service.OK {
		return code
	}
	v, ok := c.m.Get(q.Key)
	if !ok {
		return service.ErrNotExist
	}
	n, ok := v.Uint()
	if !ok {
		return service.ErrInvalidParam
	}
	c.m.Set(q.Key, number(v.Type, n+uint64(int64(q.Step))))
	return service.OK
}

func (c *client) handle() uint64 {
	c.last++
	return c.last
}

func (c *client) iterInit(q KeyRequest) (Handle, service.Code) {
	if len(c.iters) >= MaxIterators {
		return Handle{}, service.ErrNoResources
	}
	c.s.refresh(c.m)
	h := c.handle()
	c.iters[h] = &iteration{prefix: q.Key}
	return Handle{h}, service.OK
}

func (c *client) iterNext(q Handle) (Entry, service.Code) {
	i := c.iters[q.Handle]
	if i == nil {
		return Entry{}, service.ErrBadHandle
	}
	key, v, ok := c.m.Next(i.prefix, i.last)
	if !ok {
		return Entry{}, service.ErrNoSections
	}
	i.last = key
	return Entry{key, v}, service.OK
}

func (c *client) iterFinalise(q Handle) service.Code {
	if c.iters[q.Handle] == nil {
		return service.ErrBadHandle
	}
	delete(c.iters, q.Handle)
	return service.OK
}

func (c *client) trackAdd(q TrackRequest) (Handle, service.Code) {
	k := Kind(q.Kinds)
	switch {
	case q.Kinds != int32(k&kinds):
		return Handle{}, service.ErrInvalidParam
	case len(q.Key) > MaxKey:
		return Handle{}, service.ErrNameTooLong
	case len(c.tracks) >= MaxTrackers:
		return Handle{}, service.ErrNoResources
	}
	if q.Key == "" {
		k |= Prefix
	}
	if c.onStats() && k&Prefix != 0 {
		if k&(Add|Delete) != Add|Delete {
			return Handle{}, service.ErrNotSupported
		}
		k &^= Modify // all counters would tell all the time
	}
	c.s.refresh(c.m) // what it shows now is no change
	t := &tracking{context: q.Context}
	stats := c.onStats()
	t.Tracker = c.m.Track(q.Key, k, func(ch Change) {
		if stats && ch.Kind == Modify {
			ch.Old = ch.New // as in Corosync, which does not keep old ones
		}
		c.push(Notice{t.context, ch})
	})
	h := c.handle()
	c.tracks[h] = t
	c.s.watchStats()
	return Handle{h}, service.OK
}

func (c *client) trackDelete(q Handle) (Handle, service.Code) {
	t := c.tracks[q.Handle]
	if t == nil {
		return Handle{}, service.ErrBadHandle
	}
	t.Stop()
	delete(c.tracks, q.Handle)
	c.s.watchStats()
	return Handle{t.context}, service.OK
}

func (c *client) setMap(q MapRequest) service.Code {
	if len(c.iters) > 0 || len(c.tracks) > 0 {
		return service.ErrBusyCode
	}
	switch q.Map {
	case DefaultMap:
		c.m = c.s.cfg.Default
	case StatsMap:
		c.m = c.s.cfg.Stats
	default:
		return service.ErrNotExist
	}
	return service.OK
}

// push tells the client of a change. One that does not take it ends: no event
// may be missing in a stream that goes on.
func (c *client) push(n Notice) {
	if c.gone {
		return
	}
	if err := c.conn.Push(EventChange, n.AppendTo(nil)); err != nil {
		c.conn.Close(err)
	}
}
