package seal

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/wire"
)

// pair is two cores with a session, and the address datagrams of b come from.
func pair(t testing.TB) (l *lab, a, b *host) {
	l = newLab(t, 40)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	return l, h[0], h[1]
}

func body(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

// open hands a datagram of the peer to h.
func (h *host) openFrom(p *host, d []byte) (Opened, bool) {
	return h.core.Open(h.lab.now, Datagram{Addr: p.source(0, false), Data: bytes.Clone(d)})
}

func TestFragments_AnySizeAnyOrder(t *testing.T) {
	l, a, b := pair(t)
	for _, n := range []int{0, 1, DefaultMTU - Overhead, DefaultMTU - Overhead + 1, 3000, 64 << 10, 200_000, wire.MaxFrame} {
		for _, limit := range []int{0, 1200, 100} {
			want := body(n)
			parts := b.core.SealFrame(0, true, limit, want, nil)
			for i, p := range parts {
				if len(p) > max(limit, MinMTU) && limit != 0 || len(p) > DefaultMTU {
					t.Fatalf("size %d limit %d: part %d has %d bytes", n, limit, i, len(p))
				}
			}
			l.rng.Shuffle(len(parts), func(i, j int) {
				if len(parts) < controlWindow { // else they fall below the window
					parts[i], parts[j] = parts[j], parts[i]
				}
			})
			done := 0
			for _, p := range parts {
				o, ok := a.openFrom(b, p)
				if ok {
					done++
					if !bytes.Equal(o.Frame, want) {
						t.Errorf("size %d limit %d: the frame differs", n, limit)
					}
				}
			}
			if done != 1 {
				t.Errorf("size %d limit %d in %d parts: %d frames came out", n, limit, len(parts), done)
			}
			b.core.Reset()
		}
	}
	if m := a.core.byID[2].parts.memory; m != 0 {
		t.Errorf("%d bytes are kept for nothing", m)
	}
	if got := b.core.SealFrame(0, true, 0, make([]byte, wire.MaxFrame+1), nil); got != nil || b.core.Dropped(DropSendTooLarge) != 1 {
		t.Errorf("a frame above the limit was cut into %d", len(got))
	}
}

func TestFragments_LossAndTime(t *testing.T) {
	l, a, b := pair(t)
	parts := clones(b.core.SealFrame(0, false, 0, body(5000), nil))
	for _, p := range parts[1:] {
		a.openFrom(b, p)
	}
	l.run(1500 * ms)
	if _, ok := a.openFrom(b, parts[0]); ok {
		t.Errorf("a frame came together after a second and a half")
	}
	if got := a.core.Dropped(DropFragmentOld); got != uint64(len(parts)-1) {
		t.Errorf("%d parts given up, want %d", got, len(parts)-1)
	}
}

func clones(in [][]byte) [][]byte {
	var out [][]byte
	for _, b := range in {
		out = append(out, bytes.Clone(b))
	}
	return out
}

func TestFragments_Bounds(t *testing.T) {
	_, a, b := pair(t)
	part := func(id uint32, index, count uint16, n int) Drop {
		h := make([]byte, 1+fragmentHead, 1+fragmentHead+n)
		h[0] = byte(kindFragment)
		binary.LittleEndian.PutUint32(h[1:], id)
		binary.LittleEndian.PutUint16(h[5:], index)
		binary.LittleEndian.PutUint16(h[7:], count)
		before := a.core.count.drops
		if _, ok := a.openFrom(b, b.core.seal(&b.core.sealed[0], 0, 0, h, body(n))); ok {
			t.Errorf("part %d of %d gave a frame", index, count)
		}
		for d := range numDrops {
			if a.core.count.drops[d] != before[d] {
				return d
			}
		}
		return 0
	}
	cases := []struct {
		id           uint32
		index, count uint16
		n            int
		want         Drop
	}{
		{1, 0, 0, 300, DropFragment},
		{1, 0, 1, 300, DropFragment},
		{1, 2, 2, 300, DropFragment},
		{1, 0, maxParts + 1, 300, DropFragment},
		{1, 0, 2, 0, DropFragment},
		{1, 0, 2, minPart - 1, DropFragment},
		{1, 0, 4000, 1000, DropFragment}, // 4 MB
		{1, 0, 3, 300, 0},
		{1, 0, 3, 300, DropFragmentTwice},
		{1, 1, 3, 301, DropFragment}, // another size
		{1, 1, 4, 300, DropFragment}, // another count
		{1, 2, 3, 301, DropFragment}, // last one larger than the rest
		{2, 2, 3, 400, 0},
		{2, 0, 3, 399, DropFragment},
	}
	for _, c := range cases {
		if got := part(c.id, c.index, c.count, c.n); got != c.want {
			t.Errorf("part %d of %d with %d bytes of frame %d: %v, want %v", c.index, c.count, c.n, c.id, got, c.want)
		}
	}
	// Many frames at once, and large ones, push out the oldest.
	for id := range uint32(100) {
		part(100+id, 0, 40, 1400)
	}
	if got := len(a.core.byID[2].parts.frames); got > maxAssemblies {
		t.Errorf("%d frames at a time", got)
	}
	for id := range uint32(5) {
		part(300+id, 0, 700, 1400)
	}
	large := 0
	for _, f := range a.core.byID[2].parts.frames {
		if cap(f.buf) > smallFrame {
			large++
		}
	}
	if m := a.core.byID[2].parts.memory; large != 1 || m > assemblyMemory {
		t.Errorf("%d large frames at a time, %d bytes", large, m)
	}
}
