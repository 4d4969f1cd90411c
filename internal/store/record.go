package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/moothall/moothall/internal/proto"
)

// Record is what must survive a restart (ordering 2.2, 4.3, 4.4). A record
// replaces all earlier ones.
type Record struct {
	Node      proto.NodeID // whose record it is
	Inc       uint64       // incarnation of the start that wrote it
	SeqBound  uint64       // no ring seq above it was promised or installed
	EvBarrier uint32       // floor of the expected votes, zero: none set
	Tracked   uint32       // highest expected votes ever seen, if they are tracked
	Primary   proto.Primary
}

// Bounds of a record and its place on disk.
const (
	MaxNodes = 1024      // members of a configuration, and attempts
	SlotSize = 32 * 1024 // bytes from the first slot to the second
)

// Layout of a slot, little-endian: magic, format, length of everything up to
// and including the CRC, generation, then the record, then CRC32C of all before.
// Later formats keep magic, format, length and CRC in their places, so that an
// older version tells a newer record from a damaged one.
const (
	magic     = "mootring"
	format    = 1
	headLen   = len(magic) + 2 + 4 + 8
	fixedLen  = headLen + 4 + 8 + 8 + 4 + 4 + 8 + 2 + 2 + 4
	maxLength = fixedLen + MaxNodes*4 + MaxNodes*12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of ParseSlot.
var (
	errEmpty  = errors.New("never written")
	errMagic  = errors.New("not a ring record")
	errShort  = errors.New("too short")
	errCRC    = errors.New("checksum does not match")
	errBounds = errors.New("a number is out of range")
	errFormat = errors.New("unknown format")
)

// maxNumber bounds incarnations and ring numbers (ordering 2.2), so that what
// is added to them never wraps.
const maxNumber = 1 << 63

// AppendSlot appends the bytes of one slot. Generations tell the newer slot
// from the older one.
func AppendSlot(b []byte, generation uint64, r Record) ([]byte, error) {
	if len(r.Primary.Members) > MaxNodes || len(r.Primary.Attempts) > MaxNodes {
		return b, fmt.Errorf("store: record with %d members and %d attempts, at most %d each",
			len(r.Primary.Members), len(r.Primary.Attempts), MaxNodes)
	}
	start := len(b)
	length := fixedLen + 4*len(r.Primary.Members) + 12*len(r.Primary.Attempts)

	le := binary.LittleEndian
	b = append(b, magic...)
	b = le.AppendUint16(b, format)
	b = le.AppendUint32(b, uint32(length))
	b = le.AppendUint64(b, generation)
	b = le.AppendUint32(b, uint32(r.Node))
	b = le.AppendUint64(b, r.Inc)
	b = le.AppendUint64(b, r.SeqBound)
	b = le.AppendUint32(b, r.EvBarrier)
	b = le.AppendUint32(b, r.Tracked)
	b = le.AppendUint64(b, uint64(r.Primary.Epoch))
	b = le.AppendUint16(b, uint16(len(r.Primary.Members)))
	b = le.AppendUint16(b, uint16(len(r.Primary.Attempts)))
	for _, id := range r.Primary.Members {
		b = le.AppendUint32(b, uint32(id))
	}
	for _, a := range r.Primary.Attempts {
		b = le.AppendUint64(b, uint64(a.Epoch))
		b = le.AppendUint32(b, uint32(a.Holder))
	}
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli)), nil
}

// ParseSlot reads a slot. Bytes behind the record are left alone.
func ParseSlot(b []byte) (generation uint64, r Record, err error) {
	b, err = checkSlot(b)
	if err != nil {
		return 0, Record{}, err
	}
	d := decoder{b[len(magic)+2+4:]}
	generation = d.u64()
	r.Node = proto.NodeID(d.u32())
	r.Inc = d.u64()
	r.SeqBound = d.u64()
	r.EvBarrier = d.u32()
	r.Tracked = d.u32()
	r.Primary.Epoch = proto.Epoch(d.u64())
	members, attempts := int(d.u16()), int(d.u16())
	if r.Inc >= maxNumber || r.SeqBound >= maxNumber {
		return 0, Record{}, errBounds
	}
	if members > MaxNodes || attempts > MaxNodes || len(d.b) != 4*members+12*attempts {
		return 0, Record{}, errBounds
	}
	for range members {
		r.Primary.Members = append(r.Primary.Members, proto.NodeID(d.u32()))
	}
	for range attempts {
		a := proto.Attempt{Epoch: proto.Epoch(d.u64()), Holder: proto.NodeID(d.u32())}
		r.Primary.Attempts = append(r.Primary.Attempts, a)
	}
	return generation, r, nil
}

// checkSlot returns the slot without what stands behind it and without its CRC.
func checkSlot(b []byte) ([]byte, error) {
	if len(b) < fixedLen {
		return nil, fmt.Errorf("%d of %d bytes: %w", len(b), fixedLen, errShort)
	}
	if !bytes.Equal(b[:len(magic)], []byte(magic)) {
		if len(bytes.Trim(b, "\x00")) == 0 {
			return nil, errEmpty
		}
		return nil, errMagic
	}
	d := decoder{b[len(magic):]}
	version, length := d.u16(), d.u32()
	if length < uint32(headLen+4) || length > SlotSize {
		return nil, errBounds
	}
	if uint32(len(b)) < length {
		return nil, fmt.Errorf("%d of %d bytes: %w", len(b), length, errShort)
	}
	body := b[:length-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[length-4:]) {
		return nil, errCRC
	}
	if version != format { // only with a good checksum: a damaged number says nothing
		return nil, fmt.Errorf("%w %d, this version reads %d", errFormat, version, format)
	}
	if length < uint32(fixedLen) || length > uint32(maxLength) {
		return nil, errBounds
	}
	return body, nil
}

// decoder takes integers from the front of bytes that are known to be there.
type decoder struct{ b []byte }

func (d *decoder) u16() uint16 {
	v := binary.LittleEndian.Uint16(d.b)
	d.b = d.b[2:]
	return v
}

func (d *decoder) u32() uint32 {
	v := binary.LittleEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

func (d *decoder) u64() uint64 {
	v := binary.LittleEndian.Uint64(d.b)
	d.b = d.b[8:]
	return v
}
