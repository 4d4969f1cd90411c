package resync

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Bounds of a Hello. Lists are checked against the bytes that are there before
// anything is allocated.
const (
	MaxServices = 64
	MaxNodes    = 1024
)

// ErrMalformed is what every decoding error of this package wraps.
var ErrMalformed = errors.New("resync: malformed message")

// Kind tells Hello from Barrier.
type Kind uint8

const (
	KindHello Kind = 1 + iota
	KindBarrier
)

const codecVersion = 1

// Hello is what a member tells at the start of a round.
type Hello struct {
	Ring     RingID
	Round    uint32
	Weight   uint32
	Trans    []NodeID // ascending: came along since the last complete round
	Services []Entry  // ascending by ID
}

// Entry is one service of a Hello.
type Entry struct {
	ID       uint16
	Versions Range
	Epoch    Epoch
	Digest   Digest   // zero: none
	Trans    []NodeID // nil: the Hello's; else since this service was activated
}

// Barrier says that its sender has sent all it has to say about a service; with
// NoService it says that its sender is still at work.
type Barrier struct {
	Ring    RingID
	Round   uint32
	Service uint16
	Passed  bool // the sender is not in the primary component and takes no part
}

// Layout, little-endian: kind u8, version u8, ring (seq u64, rep u32, inc u32),
// round u32; a Hello goes on with weight u32, trans (count u16, ids u32), number
// of services u8, and for each id u16, min u16, max u16, flags u8, epoch u64,
// then digest and trans as the flags say; a Barrier with service u16 and passed u8.
const (
	headLen    = 1 + 1 + 16 + 4
	barrierLen = headLen + 2 + 1

	entryHasDigest = 1
	entryHasTrans  = 2
)

func appendHead(b []byte, k Kind, ring RingID, round uint32) []byte {
	le := binary.LittleEndian
	b = append(b, byte(k), codecVersion)
	b = le.AppendUint64(b, ring.Seq)
	b = le.AppendUint32(b, uint32(ring.Rep))
	b = le.AppendUint32(b, ring.Inc)
	return le.AppendUint32(b, round)
}

func appendNodes(b []byte, ids []NodeID) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(ids)))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return b
}

// AppendTo appends the encoded Hello.
func (h Hello) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = appendHead(b, KindHello, h.Ring, h.Round)
	b = le.AppendUint32(b, h.Weight)
	b = appendNodes(b, h.Trans)
	b = append(b, byte(len(h.Services)))
	for _, s := range h.Services {
		b = le.AppendUint16(b, s.ID)
		b = le.AppendUint16(b, s.Versions.Min)
		b = le.AppendUint16(b, s.Versions.Max)
		var flags byte
		if s.Digest != (Digest{}) {
			flags |= entryHasDigest
		}
		if s.Trans != nil {
			flags |= entryHasTrans
		}
		b = append(b, flags)
		b = le.AppendUint64(b, uint64(s.Epoch))
		if flags&entryHasDigest != 0 {
			b = append(b, s.Digest[:]...)
		}
		if flags&entryHasTrans != 0 {
			b = appendNodes(b, s.Trans)
		}
	}
	return b
}

// AppendTo appends the encoded Barrier.
func (r Barrier) AppendTo(b []byte) []byte {
	b = appendHead(b, KindBarrier, r.Ring, r.Round)
	b = binary.LittleEndian.AppendUint16(b, r.Service)
	if r.Passed {
		return append(b, 1)
	}
	return append(b, 0)
}

// KindOf tells what a body holds.
func KindOf(b []byte) (Kind, error) {
	if len(b) < headLen {
		return 0, fmt.Errorf("%d of %d bytes: %w", len(b), headLen, ErrMalformed)
	}
	if b[1] != codecVersion {
		return 0, fmt.Errorf("version %d, this one reads %d: %w", b[1], codecVersion, ErrMalformed)
	}
	if k := Kind(b[0]); k == KindHello || k == KindBarrier {
		return k, nil
	}
	return 0, fmt.Errorf("kind %d: %w", b[0], ErrMalformed)
}

// ParseBarrier reads a Barrier.
func ParseBarrier(b []byte) (Barrier, error) {
	if k, err := KindOf(b); err != nil || k != KindBarrier {
		return Barrier{}, fmt.Errorf("not a barrier: %w", ErrMalformed)
	}
	if len(b) != barrierLen {
		return Barrier{}, fmt.Errorf("barrier of %d bytes, not %d: %w", len(b), barrierLen, ErrMalformed)
	}
	d := decoder{b: b[2:]}
	r := Barrier{Ring: d.ring(), Round: d.u32(), Service: d.u16()}
	passed := d.u8()
	if passed > 1 || r.Service >= MaxServices && r.Service != NoService {
		return Barrier{}, fmt.Errorf("barrier of service %d with flag %d: %w", r.Service, passed, ErrMalformed)
	}
	r.Passed = passed == 1
	return r, nil
}

// ParseHello reads a Hello. It shares nothing with b.
func ParseHello(b []byte) (Hello, error) {
	if k, err := KindOf(b); err != nil || k != KindHello {
		return Hello{}, fmt.Errorf("not a hello: %w", ErrMalformed)
	}
	d := decoder{b: b[2:]}
	h := Hello{Ring: d.ring(), Round: d.u32(), Weight: d.u32(), Trans: d.nodes()}
	n := int(d.u8())
	if n > MaxServices || n*minEntryLen > len(d.b) {
		return Hello{}, fmt.Errorf("%d services in %d bytes: %w", n, len(d.b), ErrMalformed)
	}
	if n > 0 {
		h.Services = make([]Entry, 0, n)
	}
	for range n {
		s := d.entry()
		if k := len(h.Services); k > 0 && h.Services[k-1].ID >= s.ID {
			d.bad = true
		}
		h.Services = append(h.Services, s)
	}
	if d.bad || len(d.b) != 0 {
		return Hello{}, fmt.Errorf("hello of %d bytes: %w", len(b), ErrMalformed)
	}
	return h, nil
}

const minEntryLen = 2 + 2 + 2 + 1 + 8

// decoder takes values off the front; once something is missing or out of
// bounds it is bad and gives zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.b) {
		d.bad = true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) u8() uint8 {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if v := d.take(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if v := d.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if v := d.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (d *decoder) ring() RingID {
	return RingID{Seq: d.u64(), Rep: NodeID(d.u32()), Inc: d.u32()}
}

// nodes takes an ascending list; an empty one is nil.
func (d *decoder) nodes() []NodeID {
	n := int(d.u16())
	if n > MaxNodes || 4*n > len(d.b) {
		d.bad = true
		return nil
	}
	if n == 0 {
		return nil
	}
	ids := make([]NodeID, n)
	for i := range ids {
		ids[i] = NodeID(d.u32())
		if ids[i] == 0 || i > 0 && ids[i-1] >= ids[i] {
			d.bad = true
		}
	}
	return ids
}

func (d *decoder) entry() Entry {
	s := Entry{ID: d.u16(), Versions: Range{d.u16(), d.u16()}}
	flags := d.u8()
	s.Epoch = Epoch(d.u64())
	if s.ID >= MaxServices || s.Versions.Min > s.Versions.Max || bits.Len8(flags) > 2 {
		d.bad = true
	}
	if flags&entryHasDigest != 0 {
		copy(s.Digest[:], d.take(len(s.Digest)))
		if s.Digest == (Digest{}) {
			d.bad = true
		}
	}
	if flags&entryHasTrans != 0 {
		if s.Trans = d.nodes(); s.Trans == nil {
			s.Trans = []NodeID{}
		}
	}
	return s
}

// has reports whether the ascending list holds id.
func has(list []NodeID, id NodeID) bool {
	_, ok := slices.BinarySearch(list, id)
	return ok
}

// intersect returns what both ascending lists hold, in fresh memory.
func intersect(a, b []NodeID) []NodeID {
	out := make([]NodeID, 0, min(len(a), len(b)))
	for _, id := range a {
		if has(b, id) {
			out = append(out, id)
		}
	}
	return out
}
