package seal

import (
	"encoding/binary"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/wire"
)

// A fragment is {id u32, index u16, count u16} and its part of the frame. All
// parts but the last have one size (ordering 3.5).
const (
	fragmentHead   = 8
	maxParts       = 4096
	minPart        = wire.MaxFrame / maxParts
	maxAssemblies  = 32
	smallFrame     = 64 << 10
	assemblyTime   = proto.Second
	assemblyMemory = 3 << 20 // of one sender
)

// sealFragments cuts a frame into datagrams of at most limit bytes.
func (c *Core) sealFragments(link, flags uint8, limit int, frame []byte, dst [][]byte) [][]byte {
	size := max(limit, MinMTU) - Overhead - fragmentHead
	count := (len(frame) + size - 1) / size
	c.fragmentID++
	for i := range count {
		part := frame[i*size : min((i+1)*size, len(frame))]
		h := c.head[:1+fragmentHead]
		h[0] = byte(kindFragment)
		binary.LittleEndian.PutUint32(h[1:], c.fragmentID)
		binary.LittleEndian.PutUint16(h[5:], uint16(i))
		binary.LittleEndian.PutUint16(h[7:], uint16(count))
		dst = append(dst, c.seal(&c.sealed[c.turn], link, flags, h, part))
		c.count.fragmentsOut++
	}
	return dst
}

// assembly is what came of the cut frames of one sender, oldest first.
type assembly struct {
	frames []*partial
	memory int
}

// partial is one frame of which parts are missing.
type partial struct {
	id    uint32
	since Tick
	count int
	size  int // of all parts but the last; zero while only the last is here
	last  int // its size, zero while it is not here
	got   int
	seen  []uint64 // bitmap of parts
	buf   []byte   // count·size bytes; while size is zero, the last part
}

// reassemble adds one part. It returns the frame when that was the last one
// missing; it is fresh memory.
func (c *Core) reassemble(p *peer, b []byte) ([]byte, Drop) {
	c.count.fragmentsIn++
	if len(b) <= fragmentHead {
		return nil, DropFragment
	}
	id := binary.LittleEndian.Uint32(b)
	index, count := int(binary.LittleEndian.Uint16(b[4:])), int(binary.LittleEndian.Uint16(b[6:]))
	part := b[fragmentHead:]
	last := index == count-1
	switch {
	case count < 2 || count > maxParts || index >= count:
		return nil, DropFragment
	case !last && (len(part) < minPart || len(part)*(count-1) >= wire.MaxFrame):
		return nil, DropFragment
	}
	a := &p.parts
	a.expire(c)
	f := a.get(c, id, count)
	if f.count != count {
		return nil, DropFragment
	}
	if f.seen[index/64]>>(index%64)&1 != 0 {
		return nil, DropFragmentTwice
	}
	if !a.put(c, f, index, part) {
		return nil, DropFragment
	}
	f.seen[index/64] |= 1 << (index % 64)
	if f.got++; f.got < f.count {
		return nil, 0
	}
	a.forget(slices.Index(a.frames, f))
	c.count.reassembly++
	return f.buf[:(count-1)*f.size+f.last], 0
}

// get finds or begins a frame; the oldest gives way when there are too many.
func (a *assembly) get(c *Core, id uint32, count int) *partial {
	for _, f := range a.frames {
		if f.id == id {
			return f
		}
	}
	if len(a.frames) == maxAssemblies {
		a.drop(c, 0, DropFragmentNoRoom)
	}
	f := &partial{id: id, since: c.now, count: count, seen: make([]uint64, (count+63)/64)}
	a.frames = append(a.frames, f)
	return f
}

// put copies a part to its place. False: its size does not fit the others.
func (a *assembly) put(c *Core, f *partial, index int, part []byte) bool {
	if index == f.count-1 {
		if f.size != 0 && len(part) > f.size {
			return false
		}
		f.last = len(part)
		if f.size == 0 {
			f.buf = append(a.reserve(c, f, len(part)), part...)
			return true
		}
	} else if f.size == 0 {
		if f.last > len(part) {
			return false
		}
		tail := f.buf
		a.memory -= cap(tail)
		f.size = len(part)
		f.buf = a.reserve(c, f, f.count*f.size)[:f.count*f.size]
		copy(f.buf[(f.count-1)*f.size:], tail)
	} else if len(part) != f.size {
		return false
	}
	copy(f.buf[index*f.size:], part)
	return true
}

// reserve makes memory for f within the bounds of a sender: one frame above
// smallFrame at a time, and a sum over all. Others give way, oldest first.
func (a *assembly) reserve(c *Core, f *partial, n int) []byte {
	for i := len(a.frames) - 1; i >= 0 && n > smallFrame; i-- {
		if o := a.frames[i]; o != f && cap(o.buf) > smallFrame {
			a.drop(c, i, DropFragmentNoRoom)
		}
	}
	for i := 0; i < len(a.frames) && a.memory+n > assemblyMemory; {
		if a.frames[i] == f {
			i++
			continue
		}
		a.drop(c, i, DropFragmentNoRoom)
	}
	b := make([]byte, 0, n)
	a.memory += cap(b)
	return b
}

// expire gives up frames that were begun more than a second ago.
func (a *assembly) expire(c *Core) {
	for len(a.frames) > 0 && c.now-a.frames[0].since >= assemblyTime {
		a.drop(c, 0, DropFragmentOld)
	}
}

// drop gives up a frame and counts each of its parts.
func (a *assembly) drop(c *Core, i int, why Drop) {
	c.count.drops[why] += uint64(a.frames[i].got)
	a.forget(i)
}

func (a *assembly) forget(i int) {
	a.memory -= cap(a.frames[i].buf)
	a.frames = slices.Delete(a.frames, i, i+1)
}

func (a *assembly) clear(c *Core) {
	for len(a.frames) > 0 {
		a.drop(c, 0, DropFragmentOld)
	}
}
