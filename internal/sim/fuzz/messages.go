package fuzz

import (
	"encoding/binary"
	"slices"

	"github.com/moothall/moothall/internal/resync"
)

// An ordered message begins with its kind: package executive has the layout.
const (
	bodyVersion = 0x10
	bodyRound   = bodyVersion | 1
	bodyNormal  = bodyVersion | 2
	bodySync    = bodyVersion | 3
)

// message changes the body of an ordered message.
func (g *gen) message(b []byte) []byte {
	if g.one(3) {
		if other := g.corpus.aBody(); other != nil {
			b = append(b[:0], other...)
		}
	}
	if len(b) > 0 && b[0] == bodyRound && !g.one(4) {
		if out := g.roundMessage(b[1:]); out != nil {
			return append([]byte{bodyRound}, out...)
		}
	}
	if g.one(40) { // nothing but a header
		return []byte{bodyVersion | byte(g.rng.IntN(6)), byte(g.rng.IntN(256)), byte(g.rng.IntN(8))}
	}
	return g.bytes(b)
}

// roundMessage changes a Hello or a Barrier.
func (g *gen) roundMessage(b []byte) []byte {
	if h, err := resync.ParseHello(b); err == nil {
		return g.hello(h).AppendTo(nil)
	}
	r, err := resync.ParseBarrier(b)
	if err != nil {
		return nil
	}
	switch g.rng.IntN(5) {
	case 0:
		r.Ring = g.ring(r.Ring)
	case 1:
		r.Round = g.u32(r.Round)
	case 2, 3:
		r.Service = uint16(g.rng.IntN(resync.MaxServices + 2))
	case 4:
		r.Passed = !r.Passed
	}
	return r.AppendTo(nil)
}

func (g *gen) hello(h resync.Hello) resync.Hello {
	switch g.rng.IntN(6) {
	case 0:
		h.Ring = g.ring(h.Ring)
	case 1:
		h.Round = g.u32(h.Round)
	case 2:
		h.Weight = g.u32(h.Weight)
	case 3:
		h.Trans = g.nodes()
	case 4:
		if len(h.Services) > 0 {
			i := g.rng.IntN(len(h.Services))
			h.Services = slices.Delete(h.Services, i, i+1)
		}
	case 5:
		h.Services = append(h.Services, resync.Entry{ID: uint16(g.rng.IntN(resync.MaxServices)), Versions: resync.Range{Min: 1, Max: 1}})
		slices.SortFunc(h.Services, func(a, b resync.Entry) int { return int(a.ID) - int(b.ID) })
	}
	for i := range h.Services {
		if g.one(2) {
			continue
		}
		e := &h.Services[i]
		switch g.rng.IntN(4) {
		case 0:
			e.Epoch = resync.Epoch(g.u64(uint64(e.Epoch)))
		case 1:
			e.Versions = resync.Range{Min: g.u16(e.Versions.Min), Max: g.u16(e.Versions.Max)}
		case 2:
			e.Trans = g.nodes()
		case 3:
			e.Digest[g.rng.IntN(len(e.Digest))] ^= byte(g.rng.Uint32())
		}
	}
	return h
}

// order is a control message of the engine: the announcement of a merge, with
// any numbers.
func (g *gen) order() []byte {
	ids := g.nodes()
	b := []byte{1}
	b = binary.LittleEndian.AppendUint16(b, uint16(8+4*len(ids)))
	b = binary.LittleEndian.AppendUint64(b, g.scene.ring.Seq)
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	if g.one(3) {
		return g.bytes(b)
	}
	return b
}
