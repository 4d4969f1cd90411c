package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/moothall/moothall/internal/proto"
)

// MaxSlot is the highest slot that is accepted from a peer (ordering 2.20).
const MaxSlot proto.Slot = 1 << 63

// reader takes fields from the front of b. The first failure sticks: later
// takes return zero, so that a parser reads straight through and asks once.
type reader struct {
	b   []byte
	err error
}

// fail keeps the first error.
func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// need reports whether n more bytes are there. Parsers call it before they
// allocate for a list.
func (r *reader) need(n int, what string) bool {
	if r.err == nil && len(r.b) < n {
		r.err = fmt.Errorf("%s: %d of %d bytes: %w", what, len(r.b), n, ErrShort)
	}
	return r.err == nil
}

// take returns the next n bytes, nil after a failure.
func (r *reader) take(n int, what string) []byte {
	if !r.need(n, what) {
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u8(what string) uint8 {
	if p := r.take(1, what); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) u16(what string) uint16 {
	if p := r.take(2, what); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (r *reader) u32(what string) uint32 {
	if p := r.take(4, what); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (r *reader) u64(what string) uint64 {
	if p := r.take(8, what); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *reader) slot(what string) proto.Slot {
	s := proto.Slot(r.u64(what))
	if s > MaxSlot {
		r.fail(fmt.Errorf("%s: slot %d of at most %d: %w", what, s, MaxSlot, ErrSlot))
		return 0
	}
	return s
}

func (r *reader) node(what string) proto.NodeID {
	id := proto.NodeID(r.u32(what))
	if r.err == nil && !validNode(id) {
		r.fail(fmt.Errorf("%s: node %d: %w", what, id, ErrBadNode))
		return 0
	}
	return id
}

func (r *reader) ring(what string) proto.RingID {
	p := r.take(ringLen, what)
	if p == nil {
		return proto.RingID{}
	}
	return getRing(p)
}

// flags8 reads a byte of flags of which only those in known may be set.
func (r *reader) flags8(known uint8, what string) uint8 {
	f := r.u8(what)
	if f&^known != 0 {
		r.fail(fmt.Errorf("%s: %#02x of %#02x: %w", what, f, known, ErrBadValue))
	}
	return f
}

// count reads the length of a list that has at most limit entries of at least
// size bytes, all of which must be there.
func (r *reader) count(limit, size int, what string) int {
	n := int(r.u16(what))
	if n > limit {
		r.fail(fmt.Errorf("%s: %d of at most %d: %w", what, n, limit, ErrTooMany))
		return 0
	}
	if !r.need(n*size, what) {
		return 0
	}
	return n
}

// end returns the sticky error, or one for bytes that nobody has read.
func (r *reader) end(what string) error {
	if r.err == nil && len(r.b) != 0 {
		r.err = fmt.Errorf("%s: %d bytes too many: %w", what, len(r.b), ErrTrailing)
	}
	return r.err
}

// validNode reports whether id can name a node.
func validNode(id proto.NodeID) bool { return id != 0 && id != 1<<32-1 }

const ringLen = 16

func appendRing(b []byte, r proto.RingID) []byte {
	b = binary.LittleEndian.AppendUint64(b, r.Seq)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Rep))
	return binary.LittleEndian.AppendUint32(b, r.Inc)
}

// getRing reads the ringLen bytes at the front of p.
func getRing(p []byte) proto.RingID {
	return proto.RingID{
		Seq: binary.LittleEndian.Uint64(p),
		Rep: proto.NodeID(binary.LittleEndian.Uint32(p[8:])),
		Inc: binary.LittleEndian.Uint32(p[12:]),
	}
}
