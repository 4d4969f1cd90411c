package corosync

import (
	"bytes"

	"github.com/moothall/moothall/internal/door/corosync/qb"
	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/service"
)

// Requests of libcmap (corosync-ipc 2.4).
const (
	reqCmapSet = iota
	reqCmapDelete
	reqCmapGet
	reqCmapAdjust
	reqCmapIterInit
	reqCmapIterNext
	reqCmapIterFinalise
	reqCmapTrackAdd
	reqCmapTrackDelete
	reqCmapSetMap
)

// cmapSizes are the sizes of the requests, without the value of a set.
var cmapSizes = [...]int{
	reqCmapSet: cmapSetFixed, reqCmapDelete: 280, reqCmapGet: 288, reqCmapAdjust: 288, reqCmapIterInit: 280, reqCmapIterNext: 24,
	reqCmapIterFinalise: 24, reqCmapTrackAdd: 296, reqCmapTrackDelete: 24, reqCmapSetMap: 24,
}

const cmapSetFixed = 296

// Responses and events. Those of a request have its number, but for one.
const (
	respCmapSetMap = 10
	evCmapChange   = 9

	cmapGetFixed    = 40
	cmapNextSize    = 304
	cmapHandleSize  = 32
	cmapChangeFixed = 336
)

// Layout of a key in messages: length, a hole, 256 bytes.
const (
	keyLen  = 264
	keyData = 8
	keyMax  = keyLen - keyData
)

// cmapClient translates for libcmap.
type cmapClient struct {
	client
}

func openCMAP(d *Door, q *qb.Conn) (qb.Handler, error) {
	c := &cmapClient{client: newClient(d, q, cmapSizes[:])}
	return d.connect(&c.client, cmap.ID, c)
}

// keyName reads a key. One that is too long comes out one character longer than
// any key, so that the service can refuse it in its turn.
func keyName(b []byte) string {
	n := le.Uint16(b)
	if int(n) > keyMax {
		return string(b[keyData:keyLen])
	}
	return string(b[keyData : keyData+int(n)])
}

// putKey writes a key into zeroed memory.
func putKey(b []byte, key string) {
	le.PutUint16(b, uint16(min(len(key), keyMax)))
	copy(b[keyData:keyLen], key)
}

func (c *cmapClient) request(id int32, msg []byte) bool {
	switch id {
	case reqCmapSet:
		return c.set(msg)
	case reqCmapDelete:
		c.body = cmap.KeyRequest{Key: keyName(msg[16:])}.AppendTo(c.body[:0])
		return c.callPlain(cmap.CallDelete, c.body, id)
	case reqCmapGet:
		return c.get(msg)
	case reqCmapAdjust:
		q := cmap.AdjustRequest{Key: keyName(msg[16:]), Step: int32(le.Uint32(msg[280:]))}
		c.body = q.AppendTo(c.body[:0])
		return c.callPlain(cmap.CallAdjust, c.body, id)
	case reqCmapIterInit:
		c.body = cmap.KeyRequest{Key: keyName(msg[16:])}.AppendTo(c.body[:0])
		return c.handleCall(cmap.CallIterInit, id)
	case reqCmapIterNext:
		return c.call(cmap.CallIterNext, msg[16:24], c.iterNext) // a handle is encoded the same
	case reqCmapIterFinalise:
		return c.callPlain(cmap.CallIterFinalise, msg[16:24], id)
	case reqCmapTrackAdd:
		q := cmap.TrackRequest{Key: keyName(msg[16:]), Kinds: int32(le.Uint32(msg[280:])), Context: le.Uint64(msg[288:])}
		c.body = q.AppendTo(c.body[:0])
		return c.handleCall(cmap.CallTrackAdd, id)
	case reqCmapTrackDelete:
		c.body = append(c.body[:0], msg[16:24]...)
		return c.handleCall(cmap.CallTrackDelete, id)
	default:
		c.body = cmap.MapRequest{Map: int32(le.Uint32(msg[16:]))}.AppendTo(c.body[:0])
		return c.callPlain(cmap.CallSetMap, c.body, respCmapSetMap)
	}
}

// set takes the value as libcmap sends it: a string without its NUL, or with it.
func (c *cmapClient) set(msg []byte) bool {
	n, value := le.Uint64(msg[280:]), msg[cmapSetFixed:]
	if n > uint64(len(value)) || n > cmap.MaxValue {
		c.status(reqCmapSet, service.ErrInvalidParam)
		return true
	}
	v := cmap.Value{Type: cmap.Type(msg[288]), Data: string(value[:n])}
	if v.Type == cmap.String {
		// The text ends at a NUL, which may be the last of the bytes.
		if i := bytes.IndexByte(value[:n], 0); i >= 0 && uint64(i)+1 < n {
			c.status(reqCmapSet, service.ErrInvalidParam)
			return true
		}
	}
	c.body = cmap.SetRequest{Key: keyName(msg[16:]), Value: v}.AppendTo(c.body[:0])
	return c.callPlain(cmap.CallSet, c.body, reqCmapSet)
}

// get answers with as many bytes as there is room for at the client, whatever
// the length of the value; without room it is asked for type and length alone.
func (c *cmapClient) get(msg []byte) bool {
	key, room := keyName(msg[16:]), le.Uint64(msg[280:])
	if room > uint64(c.q.Size()-cmapGetFixed) {
		c.send(c.response(reqCmapGet, service.ErrInvalidParam, cmapGetFixed))
		return true
	}
	c.body = cmap.KeyRequest{Key: key}.AppendTo(c.body[:0])
	return c.call(cmap.CallGet, c.body, func(code service.Code, body []byte) {
		e, err := cmap.ParseEntry(body)
		code = outcome(code, err)
		size := wireLen(e.Value)
		if code == service.OK && room != 0 && room < uint64(size) {
			code = service.ErrInvalidParam
		}
		if code != service.OK {
			c.send(c.response(reqCmapGet, code, cmapGetFixed))
			return
		}
		b := c.response(reqCmapGet, code, cmapGetFixed+int(room))
		le.PutUint64(b[24:], uint64(size))
		b[32] = byte(e.Value.Type)
		copy(b[cmapGetFixed:], e.Value.Data)
		c.send(b)
	})
}

// wireLen is the length of a value at libcmap, which counts the NUL of a string.
func wireLen(v cmap.Value) int {
	if v.Type == cmap.String {
		return len(v.Data) + 1
	}
	return len(v.Data)
}

// handleCall makes a call that is answered with a handle; c.body is its body.
func (c *cmapClient) handleCall(fn uint16, id int32) bool {
	return c.call(fn, c.body, func(code service.Code, body []byte) {
		h, err := cmap.ParseHandle(body)
		b := c.response(id, outcome(code, err), cmapHandleSize)
		le.PutUint64(b[24:], h.Handle)
		c.send(b)
	})
}

func (c *cmapClient) iterNext(code service.Code, body []byte) {
	e, err := cmap.ParseEntry(body)
	b := c.response(reqCmapIterNext, outcome(code, err), cmapNextSize)
	if err == nil {
		putKey(b[24:], e.Key)
		le.PutUint64(b[288:], uint64(wireLen(e.Value)))
		b[296] = byte(e.Value.Type)
	}
	c.send(b)
}

// event tells a change. The values follow one another without a gap.
func (c *cmapClient) event(kind uint16, body []byte) error {
	if kind != cmap.EventChange {
		c.q.Credit(1)
		return nil
	}
	n, err := cmap.ParseNotice(body)
	if err != nil {
		return err
	}
	now, old := wireLen(n.New), wireLen(n.Old)
	size := cmapChangeFixed + now + old
	b := c.eventHead(evCmapChange, size, size)
	le.PutUint64(b[24:], n.Context)
	putKey(b[32:], n.Key)
	le.PutUint32(b[296:], uint32(n.Kind))
	b[304], b[312] = byte(n.New.Type), byte(n.Old.Type)
	le.PutUint64(b[320:], uint64(now))
	le.PutUint64(b[328:], uint64(old))
	copy(b[cmapChangeFixed:], n.New.Data)
	copy(b[cmapChangeFixed+now:], n.Old.Data)
	return c.q.Event(b, nil, 1)
}

func (c *cmapClient) closed() {}
