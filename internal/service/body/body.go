// Package body encodes and decodes the bodies that the built-in services
// exchange with their clients and with each other: explicit little-endian
// fields, lists with a count in front, nothing implied by a machine's layout.
//
// Writing is appending to a slice that the caller owns. Reading takes values
// off the front of a Reader; the first value that is not there makes the Reader
// fail, later reads give zero, and Close tells. A list is bounded by the bytes
// that are really there before anything is allocated for it.
package body

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/moothall/moothall/internal/proto"
)

// ErrMalformed is what every error of this package wraps.
var ErrMalformed = errors.New("malformed body")

// RingLen and NodeLen are the encoded sizes of a ring id and a node id.
const (
	RingLen = 16
	NodeLen = 4
)

// Reader takes values off a body. What Bytes and Rest return is a view.
type Reader struct {
	b    []byte
	size int
	bad  bool
	what string
}

// NewReader reads b from its start.
func NewReader(b []byte) Reader { return Reader{b: b, size: len(b)} }

// take returns the next n bytes, or fails.
func (r *Reader) take(n int, what string) []byte {
	if r.bad || n > len(r.b) {
		if !r.bad {
			r.bad, r.what = true, what
		}
		r.b = nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// U8 takes one byte.
func (r *Reader) U8() uint8 {
	if v := r.take(1, "u8"); v != nil {
		return v[0]
	}
	return 0
}

// Bool takes one byte that must be 0 or 1.
func (r *Reader) Bool() bool {
	v := r.U8()
	if v > 1 {
		r.Fail("bool")
	}
	return v == 1
}

// U16 takes two bytes.
func (r *Reader) U16() uint16 {
	if v := r.take(2, "u16"); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

// U32 takes four bytes.
func (r *Reader) U32() uint32 {
	if v := r.take(4, "u32"); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

// U64 takes eight bytes.
func (r *Reader) U64() uint64 {
	if v := r.take(8, "u64"); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

// Node takes a node id.
func (r *Reader) Node() proto.NodeID { return proto.NodeID(r.U32()) }

// Ring takes a ring id.
func (r *Reader) Ring() proto.RingID {
	return proto.RingID{Seq: r.U64(), Rep: r.Node(), Inc: r.U32()}
}

// Bytes takes n bytes.
func (r *Reader) Bytes(n int) []byte { return r.take(n, "bytes") }

// Short takes a byte string of up to 255 bytes, its length in one byte in front.
func (r *Reader) Short() []byte { return r.take(int(r.U8()), "short string") }

// Text takes a byte string of at most limit bytes, its length in four bytes in
// front. An empty one is not nil, unless the Reader failed.
func (r *Reader) Text(limit int) []byte {
	n := r.Count(1)
	if n > limit {
		r.Fail("string")
		return nil
	}
	return r.take(n, "string")
}

// Len is the number of bytes that are left; zero after a failure.
func (r *Reader) Len() int { return len(r.b) }

// Rest takes all that is left.
func (r *Reader) Rest() []byte { return r.take(len(r.b), "rest") }

// Count takes the length of a list whose elements have at least size bytes; it
// fails when the body cannot hold that many.
func (r *Reader) Count(size int) int {
	n := int64(r.U32())
	if r.bad || n*int64(size) > int64(len(r.b)) {
		r.Fail("list")
		return 0
	}
	return int(n)
}

// Nodes takes a list of node ids; an empty one is nil.
func (r *Reader) Nodes() []proto.NodeID {
	n := r.Count(NodeLen)
	if n == 0 {
		return nil
	}
	ids := make([]proto.NodeID, n)
	for i := range ids {
		ids[i] = r.Node()
	}
	return ids
}

// Fail marks the body as malformed; what names the part that is wrong.
func (r *Reader) Fail(what string) { r.take(len(r.b)+1, what) }

// Close reports what went wrong, if anything did. Bytes left over are wrong too.
func (r *Reader) Close() error {
	if r.bad {
		return fmt.Errorf("%w: no valid %s in %d bytes", ErrMalformed, r.what, r.size)
	}
	if len(r.b) != 0 {
		return fmt.Errorf("%w: %d of %d bytes left over", ErrMalformed, len(r.b), r.size)
	}
	return nil
}

// AppendBool appends 0 or 1.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendU16 appends two bytes.
func AppendU16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }

// AppendU32 appends four bytes.
func AppendU32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }

// AppendU64 appends eight bytes.
func AppendU64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

// AppendNode appends a node id.
func AppendNode(b []byte, n proto.NodeID) []byte { return AppendU32(b, uint32(n)) }

// AppendRing appends a ring id.
func AppendRing(b []byte, r proto.RingID) []byte {
	b = AppendU64(b, r.Seq)
	b = AppendNode(b, r.Rep)
	return AppendU32(b, r.Inc)
}

// AppendShort appends a byte string of at most 255 bytes; the rest is cut off.
func AppendShort[T ~string | ~[]byte](b []byte, s T) []byte {
	if len(s) > 255 {
		s = s[:255]
	}
	return append(append(b, byte(len(s))), s...)
}

// AppendText appends a byte string with its length in four bytes in front.
func AppendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(AppendU32(b, uint32(len(s))), s...)
}

// AppendNodes appends a list of node ids.
func AppendNodes(b []byte, ids []proto.NodeID) []byte {
	b = AppendU32(b, uint32(len(ids)))
	for _, id := range ids {
		b = AppendNode(b, id)
	}
	return b
}
