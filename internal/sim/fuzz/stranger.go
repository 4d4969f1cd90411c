package fuzz

import (
	"github.com/moothall/moothall/internal/seal"
)

// stranger has no key.
type stranger struct {
	w   *world
	buf []byte
}

// throw gives a member one datagram.
func (x *stranger) throw(to *member) {
	w := x.w
	d := seal.Datagram{Control: w.rng.IntN(2) == 0}
	from := w.nodes[w.rng.IntN(len(w.nodes))]
	d.Addr = address(from.id, d.Control)
	if w.chance(0.1) {
		d.Addr = address(NodeID(w.rng.IntN(256)), w.rng.IntN(2) == 0)
	}
	if w.chance(0.02) {
		d.Link = uint8(w.rng.IntN(256))
	}
	shelf := &w.corpus.datagrams
	if d.Control {
		shelf = &w.corpus.controls
	}
	b := append(x.buf[:0], shelf.pick(w.rng)...)
	switch kind := w.rng.IntN(10); {
	case len(b) == 0 || kind == 0: // garbage
		b = b[:0]
		for range w.rng.IntN(200) {
			b = append(b, byte(w.rng.Uint32()))
		}
		if len(b) > 0 && w.chance(0.5) {
			b[0] = 1
		}
	case kind <= 2: // cut short, or too long
		if w.chance(0.8) {
			b = b[:w.rng.IntN(len(b))]
		} else {
			b = append(b, b[:w.rng.IntN(len(b))]...)
		}
	case kind <= 5: // flipped bits
		for range 1 + w.rng.IntN(4) {
			b[w.rng.IntN(len(b))] ^= 1 << w.rng.IntN(8)
		}
	case kind <= 7: // another envelope
		b[w.rng.IntN(min(len(b), envelopeLen+hintLen))] = byte(w.rng.Uint32())
	default: // as it was recorded
	}
	x.buf = b
	w.total.Strange++
	d.Data = b
	to.receive(&d)
}
