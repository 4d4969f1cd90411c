package wire

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/moothall/moothall/internal/proto"
)

// Forms of a set of nodes.
const (
	setBitmap = 0 // one bit for each entry of the node table
	setList   = 1 // the ids themselves, readable without the table
)

const setHeadLen = 7

// appendSet writes ids, which ascend, as a bitmap over t if t knows them all
// and the bitmap is smaller, else as a list.
func appendSet(b []byte, ids []proto.NodeID, t Table) []byte {
	b = binary.LittleEndian.AppendUint32(b, t.Version)
	if bitmapLen(len(t.IDs)) < 4*len(ids) {
		if out, ok := appendSetBitmap(b, ids, t.IDs); ok {
			return out
		}
	}
	b = append(b, setList)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(ids)))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return b
}

// appendSetBitmap reports false, and leaves b as it was, if an id is not in the table.
func appendSetBitmap(b []byte, ids, table []proto.NodeID) ([]byte, bool) {
	out := append(b, setBitmap)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(table)))
	at := len(out)
	out = append(out, make([]byte, bitmapLen(len(table)))...)
	i := 0
	for pos, id := range table {
		if i < len(ids) && ids[i] == id {
			out[at+pos/8] |= 1 << (pos % 8)
			i++
		}
	}
	return out, i == len(ids)
}

// set reads a set of nodes: ascending, nil if empty.
func (r *reader) set(t Table, what string) []proto.NodeID {
	version := r.u32(what)
	switch form := r.u8(what); {
	case r.err != nil:
		return nil
	case form == setList:
		return r.setList(what)
	case form == setBitmap:
		return r.setBitmap(version, t, what)
	default:
		r.fail(fmt.Errorf("%s: form %d of %d and %d: %w", what, form, setBitmap, setList, ErrBadValue))
		return nil
	}
}

func (r *reader) setList(what string) []proto.NodeID {
	n := r.count(MaxNodes, 4, what)
	if n == 0 {
		return nil
	}
	ids := make([]proto.NodeID, n)
	for i := range ids {
		ids[i] = r.node(what)
		if i > 0 && ids[i] <= ids[i-1] {
			r.fail(fmt.Errorf("%s: node %d after %d: %w", what, ids[i], ids[i-1], ErrBadOrder))
		}
	}
	return ids
}

func (r *reader) setBitmap(version uint32, t Table, what string) []proto.NodeID {
	n := int(r.u16(what))
	data := r.take(bitmapLen(n), what)
	if r.err != nil {
		return nil
	}
	if version != t.Version || n != len(t.IDs) {
		r.fail(fmt.Errorf("%s: table %d of %d nodes, here %d of %d: %w",
			what, version, n, t.Version, len(t.IDs), ErrTable))
		return nil
	}
	size := r.popcount(data, n, what)
	if size == 0 {
		return nil
	}
	ids := make([]proto.NodeID, 0, size)
	for pos, id := range t.IDs {
		if data[pos/8]>>(pos%8)&1 != 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// popcount counts the bits of a bitmap of n bits, whose padding must be zero.
func (r *reader) popcount(data []byte, n int, what string) int {
	if pad := n % 8; pad != 0 && data[len(data)-1]>>pad != 0 {
		r.fail(fmt.Errorf("%s: bits above %d are set: %w", what, n, ErrBadValue))
		return 0
	}
	size := 0
	for _, c := range data {
		size += bits.OnesCount8(c)
	}
	return size
}

func bitmapLen(n int) int { return (n + 7) / 8 }

// Index returns the position of id in the table, or false.
func (t Table) Index(id proto.NodeID) (int, bool) { return slices.BinarySearch(t.IDs, id) }
