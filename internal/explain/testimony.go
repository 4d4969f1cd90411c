package explain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Testimony is what one member tells about one configuration, or about
// something that it learnt after it.
type Testimony struct {
	From  NodeID // who says it; not in the message
	Late  bool   // it is no member's first about Ring
	Ring  RingID // that was installed
	Prev  RingID // that From was in before
	Was   []NodeID
	With  []NodeID // members of Was that came along, From included
	Facts []Fact
}

// Limits of a testimony. More facts are left out, nodes first named first.
const (
	MaxFacts = 128
	maxNodes = 256

	version  = 1
	flagLate = 1
	factLen  = 4 + 1 + 1 + 4*4
)

// ErrMalformed is what every error of Parse wraps.
var ErrMalformed = errors.New("malformed testimony")

// Append appends the encoded testimony.
func (t *Testimony) Append(b []byte) []byte {
	le := binary.LittleEndian
	flags := byte(0)
	if t.Late {
		flags = flagLate
	}
	b = append(b, version, flags)
	for _, r := range []RingID{t.Ring, t.Prev} {
		b = le.AppendUint64(b, r.Seq)
		b = le.AppendUint32(b, uint32(r.Rep))
		b = le.AppendUint32(b, r.Inc)
	}
	for _, list := range [][]NodeID{t.Was, t.With} {
		list = list[:min(len(list), maxNodes)]
		b = le.AppendUint16(b, uint16(len(list)))
		for _, n := range list {
			b = le.AppendUint32(b, uint32(n))
		}
	}
	facts := t.Facts[:min(len(t.Facts), MaxFacts)]
	b = append(b, byte(len(facts)))
	for _, f := range facts {
		b = le.AppendUint32(b, uint32(f.Subject))
		b = append(b, byte(f.Kind), f.Link)
		for _, v := range []uint32{f.A, f.B, f.C, f.D} {
			b = le.AppendUint32(b, v)
		}
	}
	return b
}

// Parse reads a testimony of a member.
func Parse(from NodeID, b []byte) (Testimony, error) {
	r := reader{b: b}
	if v := r.u8(); v != version {
		return Testimony{}, fmt.Errorf("%w: version %d, this one reads %d", ErrMalformed, v, version)
	}
	flags := r.u8()
	t := Testimony{From: from, Late: flags == flagLate, Ring: r.ring(), Prev: r.ring(), Was: r.nodes(), With: r.nodes()}
	n := int(r.u8())
	if n > MaxFacts || n*factLen != len(r.b) || flags > flagLate {
		r.bad = true
	}
	if r.bad || t.Ring.IsZero() {
		return Testimony{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	t.Facts = make([]Fact, n)
	for i := range t.Facts {
		t.Facts[i] = Fact{Subject: NodeID(r.u32()), Kind: Kind(r.u8()), Link: r.u8(), A: r.u32(), B: r.u32(), C: r.u32(), D: r.u32()}
	}
	// A later version may know more kinds: those are left out, the rest counts.
	t.Facts = slices.DeleteFunc(t.Facts, func(f Fact) bool { return f.Kind == 0 || f.Kind >= numKinds })
	return t, nil
}

// reader takes values off the front; once something is missing it is bad and
// gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return make([]byte, 8)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() byte { return r.take(1)[0] }

func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }

func (r *reader) ring() RingID {
	return RingID{Seq: binary.LittleEndian.Uint64(r.take(8)), Rep: NodeID(r.u32()), Inc: r.u32()}
}

// nodes takes an ascending list.
func (r *reader) nodes() []NodeID {
	n := int(binary.LittleEndian.Uint16(r.take(2)))
	if n > maxNodes || n*4 > len(r.b) {
		r.bad = true
		return nil
	}
	var ids []NodeID
	for range n {
		id := NodeID(r.u32())
		if len(ids) > 0 && id <= ids[len(ids)-1] {
			r.bad = true
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}
