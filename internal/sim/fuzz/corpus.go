package fuzz

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/moothall/moothall/internal/wire"
)

const (
	keptFrames    = 48 // of each type
	keptDatagrams = 256
	keptBodies    = 64 // of each kind of message
	keptNumbers   = 256
	maxKept       = 4096 // bytes of one
)

// shelf keeps the newest of what was seen; its memory stays.
type shelf struct {
	items [][]byte
	next  int
	size  int
}

func (s *shelf) put(b []byte, size int) {
	if len(b) > maxKept {
		return
	}
	s.size = size
	if len(s.items) < size {
		s.items = append(s.items, append([]byte(nil), b...))
		return
	}
	s.items[s.next] = append(s.items[s.next][:0], b...)
	s.next = (s.next + 1) % size
}

// pick prefers what came late.
func (s *shelf) pick(r *rand.Rand) []byte {
	n := len(s.items)
	switch {
	case n == 0:
		return nil
	case r.IntN(2) == 0:
		return s.items[(s.next+n-1-r.IntN(min(n, 4)))%n]
	}
	return s.items[r.IntN(n)]
}

// corpus is what the attackers saw in the cluster.
type corpus struct {
	rng       *rand.Rand
	frames    [wire.TypeNotice + 1]shelf
	datagrams shelf
	controls  shelf // control datagrams
	bodies    [8]shelf
	numbers   [keptNumbers]uint64
	seen      int
	hint      [8]byte // the clear bytes of pings
}

// frame keeps a frame. Of those that the insider made up only a few are kept, so
// that honest ones stay the most.
func (c *corpus) frame(f []byte, forged bool) {
	t := wire.FrameType(f)
	if t < wire.TypeData || t > wire.TypeNotice || forged && c.rng.IntN(16) != 0 {
		return
	}
	if (t == wire.TypeData || t == wire.TypeToken || t == wire.TypeTokenAck) && c.rng.IntN(4) != 0 {
		return
	}
	c.frames[t].put(f, keptFrames)
	if !forged {
		c.number(binary.LittleEndian.Uint64(f[12:]))
		if len(f) >= 44 {
			c.number(binary.LittleEndian.Uint64(f[28:]))
			c.number(binary.LittleEndian.Uint64(f[36:]))
		}
	}
}

func (c *corpus) number(v uint64) {
	c.numbers[c.seen%keptNumbers] = v
	c.seen++
}

func (c *corpus) aNumber() uint64 { return c.numbers[c.rng.IntN(max(1, min(c.seen, keptNumbers)))] }

// body keeps the body of an ordered message.
func (c *corpus) body(b []byte) {
	if len(b) > 0 && len(b) <= 1024 {
		c.bodies[b[0]&7].put(b, keptBodies)
	}
}

func (c *corpus) aBody() []byte {
	for range 4 {
		if b := c.bodies[c.rng.IntN(len(c.bodies))].pick(c.rng); b != nil {
			return b
		}
	}
	return nil
}

// datagram keeps a sealed datagram for the stranger.
func (c *corpus) datagram(d []byte, control bool) {
	if c.rng.IntN(8) != 0 {
		return
	}
	if control {
		c.controls.put(d, keptDatagrams)
	} else {
		c.datagrams.put(d, keptDatagrams)
	}
	if d[2]&flagSession != 0 && len(d) >= envelopeLen+hintLen {
		copy(c.hint[:], d[envelopeLen:])
	}
}
