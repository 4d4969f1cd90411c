package fuzz

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/moothall/moothall/internal/proto"
)

// gen makes things up. wild is how often a number is absurd rather than near
// what it was.
type gen struct {
	rng    *rand.Rand
	corpus *corpus
	wild   float64
	ids    []NodeID // configured
	scene  scene
}

// scene is what the insider knows of the member that it talks to.
type scene struct {
	self NodeID // the insider
	inc  uint64 // of the insider
	ring RingID // the victim's, or the one that it makes
}

func (g *gen) one(n int) bool        { return g.rng.IntN(n) == 0 }
func (g *gen) chance(p float64) bool { return g.rng.Float64() < p }

// u64 changes a number.
func (g *gen) u64(v uint64) uint64 {
	if !g.chance(g.wild) {
		switch g.rng.IntN(6) {
		case 0:
			return v + 1
		case 1:
			return v - 1
		case 2:
			return v + uint64(g.rng.IntN(64))
		case 3:
			return v - uint64(g.rng.IntN(64))
		case 4:
			return v + uint64(g.rng.IntN(1<<15))
		}
		return g.corpus.aNumber()
	}
	switch g.rng.IntN(9) {
	case 0:
		return 0
	case 1:
		return 1
	case 2:
		return 1 << g.rng.IntN(64)
	case 3:
		return 1<<g.rng.IntN(64) - 1
	case 4:
		return ^uint64(0) - uint64(g.rng.IntN(8))
	case 5:
		return g.rng.Uint64()
	case 6:
		return v + 1<<g.rng.IntN(63)
	case 7:
		return v ^ 1<<g.rng.IntN(64)
	}
	return 1<<62 + uint64(g.rng.IntN(1<<20)) - 1<<19
}

func (g *gen) u32(v uint32) uint32 { return uint32(g.u64(uint64(v))) }
func (g *gen) u16(v uint16) uint16 { return uint16(g.u64(uint64(v))) }
func (g *gen) u8(v uint8) uint8    { return uint8(g.u64(uint64(v))) }

func (g *gen) slot(v proto.Slot) proto.Slot { return proto.Slot(g.u64(uint64(v))) }

// node is mostly one that exists.
func (g *gen) node() NodeID {
	if g.one(20) {
		return NodeID(g.u32(7))
	}
	return g.ids[g.rng.IntN(len(g.ids))]
}

// nodes is a set of nodes, ascending.
func (g *gen) nodes() []NodeID {
	var ids []NodeID
	for _, id := range g.ids {
		if g.one(2) {
			ids = append(ids, id)
		}
	}
	if g.one(20) {
		ids = append(ids, 100+NodeID(g.rng.IntN(10)))
	}
	return ids
}

func (g *gen) ring(r RingID) RingID {
	switch g.rng.IntN(8) {
	case 0, 1, 2:
		r.Seq = g.u64(r.Seq)
	case 3:
		r.Rep = g.node()
	case 4:
		r.Inc = g.u32(r.Inc)
	case 5:
		return RingID{}
	default:
		return g.scene.ring
	}
	return r
}

// bytes changes bytes without knowing what they mean: bits, numbers at aligned
// places, length, parts doubled or taken from elsewhere.
func (g *gen) bytes(b []byte) []byte {
	for range 1 + g.rng.IntN(3) {
		n := len(b)
		if n == 0 {
			return append(b, byte(g.rng.Uint32()))
		}
		switch g.rng.IntN(9) {
		case 0, 1:
			b[g.rng.IntN(n)] ^= 1 << g.rng.IntN(8)
		case 2:
			b[g.rng.IntN(n)] = byte(g.u64(uint64(b[g.rng.IntN(n)])))
		case 3:
			if at := g.rng.IntN(n) &^ 1; at+4 <= n {
				binary.LittleEndian.PutUint32(b[at:], g.u32(binary.LittleEndian.Uint32(b[at:])))
			}
		case 4:
			if at := g.rng.IntN(n) &^ 1; at+8 <= n {
				binary.LittleEndian.PutUint64(b[at:], g.u64(binary.LittleEndian.Uint64(b[at:])))
			}
		case 5:
			b = b[:g.rng.IntN(n)]
		case 6:
			for range g.rng.IntN(64) {
				b = append(b, byte(g.rng.Uint32()))
			}
		case 7:
			from := g.rng.IntN(n)
			b = append(b, b[from:from+g.rng.IntN(min(n-from, 256))]...)
		case 8:
			from := g.rng.IntN(n)
			to := from + g.rng.IntN(n-from)
			b = append(b[:from], b[to:]...)
		}
	}
	return b
}
