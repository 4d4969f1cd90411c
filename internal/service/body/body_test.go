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

// Whatever is read from whatever bytes: no panic, nothing beyond the end, and
// after a failure nothing but zeros.
func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, AppendNodes(AppendRing(nil, proto.RingID{Seq: 1}), []proto.NodeID{1, 2}))
	f.Fuzz(func(t *testing.T, calls, b []byte) {
		r := NewReader(b)
		taken := 0
		for _, c := range calls {
			before := r.Len()
			switch c % 11 {
			case 0:
				r.U8()
			case 1:
				r.Bool()
			case 2:
				r.U16()
			case 3:
				r.U32()
			case 4:
				r.U64()
			case 5:
				r.Ring()
			case 6:
				r.Bytes(int(c) / 11)
			case 7:
				r.Short()
			case 8:
				if n := r.Count(int(c)/11 + 1); n > r.Len() {
					t.Fatalf("%d elements in %d bytes", n, r.Len())
				}
			case 9:
				if ids := r.Nodes(); NodeLen*len(ids) > len(b) {
					t.Fatalf("%d nodes in %d bytes", len(ids), len(b))
				}
			case 10:
				r.Rest()
			}
			taken += before - r.Len()
			if r.bad && (r.U8() != 0 || r.Rest() != nil || r.Len() != 0) {
				t.Fatal("a failed reader gives values")
			}
		}
		if err := r.Close(); err == nil && taken != len(b) {
			t.Fatalf("%d of %d bytes were taken, and Close is content", taken, len(b))
		}
	})
}
