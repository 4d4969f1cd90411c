package cmap

import (
	"github.com/moothall/moothall/internal/service/body"
)

// ID is the service's id, behind those with a state to synchronise: they do not
// wait for it.
const ID = 9

// The client calls, the Func of a service.Request. All are answered before Call
// returns; calls and replies without a type have an empty body.
const (
	CallSet          uint16 = iota // SetRequest
	CallDelete                     // KeyRequest
	CallGet                        // KeyRequest; answers Entry; ErrNotExist
	CallAdjust                     // AdjustRequest; ErrInvalidParam unless the value is an integer
	CallIterInit                   // KeyRequest with a prefix; answers Handle
	CallIterNext                   // Handle; answers Entry; ErrNoSections at the end
	CallIterFinalise               // Handle
	CallTrackAdd                   // TrackRequest; answers Handle
	CallTrackDelete                // Handle; answers Handle with the client's own number
	CallSetMap                     // MapRequest; ErrBusyCode while there are iterations or trackers
	numCalls
)

// EventChange is the only event: Notice.
const EventChange uint16 = 1

// The maps.
const (
	DefaultMap int32 = 0
	StatsMap   int32 = 1
)

// KeyRequest names a key, or where a prefix is wanted all keys that begin like
// that.
type KeyRequest struct{ Key string }

// SetRequest is the body of CallSet.
type SetRequest struct {
	Key   string
	Value Value
}

// AdjustRequest is the body of CallAdjust: Step is added and wraps at the width
// of the value.
type AdjustRequest struct {
	Key  string
	Step int32
}

// Handle names an iteration or a tracker of the connection.
type Handle struct{ Handle uint64 }

// TrackRequest is the body of CallTrackAdd. Context comes back with each event.
type TrackRequest struct {
	Key     string
	Kinds   int32 // of Kind
	Context uint64
}

// MapRequest is the body of CallSetMap.
type MapRequest struct{ Map int32 }

// Entry is a key with its value.
type Entry struct {
	Key   string
	Value Value
}

// Notice is the body of EventChange.
type Notice struct {
	Context uint64
	Change
}

func appendText(b []byte, s string) []byte {
	s = s[:min(len(s), 1<<16-1)]
	return append(body.AppendU16(b, uint16(len(s))), s...)
}

func takeText(r *body.Reader) string { return string(r.Bytes(int(r.U16()))) }

func appendValue(b []byte, v Value) []byte { return appendText(append(b, byte(v.Type)), v.Data) }

// takeValue does not judge the value: a client's wrong one has an answer of its
// own.
func takeValue(r *body.Reader) Value { return Value{Type(r.U8()), takeText(r)} }

// AppendTo appends the request.
func (q KeyRequest) AppendTo(b []byte) []byte { return appendText(b, q.Key) }

// ParseKey reads a KeyRequest.
func ParseKey(b []byte) (KeyRequest, error) {
	r := body.NewReader(b)
	q := KeyRequest{takeText(&r)}
	return q, r.Close()
}

// AppendTo appends the body of CallSet.
func (q SetRequest) AppendTo(b []byte) []byte { return appendValue(appendText(b, q.Key), q.Value) }

// ParseSet reads the body of CallSet.
func ParseSet(b []byte) (SetRequest, error) {
	r := body.NewReader(b)
	q := SetRequest{takeText(&r), takeValue(&r)}
	return q, r.Close()
}

// AppendTo appends the body of CallAdjust.
func (q AdjustRequest) AppendTo(b []byte) []byte {
	return body.AppendU32(appendText(b, q.Key), uint32(q.Step))
}

// ParseAdjust reads the body of CallAdjust.
func ParseAdjust(b []byte) (AdjustRequest, error) {
	r := body.NewReader(b)
	q := AdjustRequest{takeText(&r), int32(r.U32())}
	return q, r.Close()
}

// AppendTo appends the handle.
func (h Handle) AppendTo(b []byte) []byte { return body.AppendU64(b, h.Handle) }

// ParseHandle reads a Handle.
func ParseHandle(b []byte) (Handle, error) {
	r := body.NewReader(b)
	h := Handle{r.U64()}
	return h, r.Close()
}

// AppendTo appends the body of CallTrackAdd.
func (q TrackRequest) AppendTo(b []byte) []byte {
	b = body.AppendU32(appendText(b, q.Key), uint32(q.Kinds))
	return body.AppendU64(b, q.Context)
}

// ParseTrack reads the body of CallTrackAdd.
func ParseTrack(b []byte) (TrackRequest, error) {
	r := body.NewReader(b)
	q := TrackRequest{takeText(&r), int32(r.U32()), r.U64()}
	return q, r.Close()
}

// AppendTo appends the body of CallSetMap.
func (q MapRequest) AppendTo(b []byte) []byte { return body.AppendU32(b, uint32(q.Map)) }

// ParseMap reads the body of CallSetMap.
func ParseMap(b []byte) (MapRequest, error) {
	r := body.NewReader(b)
	q := MapRequest{int32(r.U32())}
	return q, r.Close()
}

// AppendTo appends the entry.
func (e Entry) AppendTo(b []byte) []byte { return appendValue(appendText(b, e.Key), e.Value) }

// ParseEntry reads an Entry.
func ParseEntry(b []byte) (Entry, error) {
	r := body.NewReader(b)
	e := Entry{takeText(&r), takeValue(&r)}
	return e, r.Close()
}

// AppendTo appends the body of EventChange.
func (n Notice) AppendTo(b []byte) []byte {
	b = body.AppendU64(b, n.Context)
	b = append(appendText(b, n.Key), byte(n.Kind))
	return appendValue(appendValue(b, n.Old), n.New)
}

// ParseNotice reads the body of EventChange.
func ParseNotice(b []byte) (Notice, error) {
	r := body.NewReader(b)
	n := Notice{Context: r.U64(), Change: Change{Key: takeText(&r), Kind: Kind(r.U8()), Old: takeValue(&r), New: takeValue(&r)}}
	return n, r.Close()
}
