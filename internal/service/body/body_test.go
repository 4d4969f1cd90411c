package body

import (
	"errors"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

func TestReader_FirstFailureCounts(t *testing.T) {
	r := NewReader([]byte{1, 2, 3})
	if got := r.U16(); got != 0x0201 {
		t.Errorf("u16 %#x", got)
	}
	if r.U32() != 0 || r.U8() != 0 || r.Bytes(0) != nil || r.Rest() != nil || r.Len() != 0 {
		t.Error("a failed reader gives values")
	}
	if err := r.Close(); !errors.Is(err, ErrMalformed) || err.Error() != "malformed body: no valid u32 in 3 bytes" {
		t.Errorf("got %v", err)
	}
}

func TestReader_LeftOver(t *testing.T) {
	r := NewReader([]byte{1, 2})
	r.U8()
	if err := r.Close(); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

// A list is refused before anything is allocated for it.
func TestReader_CountIsBoundedByTheBody(t *testing.T) {
	b := AppendU32(nil, 1<<32-1)
	r := NewReader(append(b, 1, 2, 3, 4))
	if n := testing.AllocsPerRun(10, func() { r = NewReader(b); r.Nodes() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if r.Close() == nil {
		t.Error("four billion nodes in four bytes")
	}
}

func TestRingAndNodes(t *testing.T) {
	ring := proto.RingID{Seq: 1 << 40, Rep: 7, Inc: 9}
	b := AppendNodes(AppendRing(nil, ring), []proto.NodeID{1, 2})
	r := NewReader(b)
	if got := r.Ring(); got != ring || len(b) != RingLen+4+2*NodeLen {
		t.Errorf("ring %+v in %d bytes", got, len(b))
	}
	if ids := r.Nodes(); len(ids) != 2 || ids[1] != 2 || r.Close() != nil {
		t.Errorf("nodes %v, %v", ids, r.Close())
	}
}
