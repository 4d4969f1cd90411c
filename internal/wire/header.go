package wire

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Append writes the header as it stands.
func (h Header) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, Magic)
	b = append(b, Version, byte(h.Type))
	b = binary.LittleEndian.AppendUint16(b, h.Flags)
	b = binary.LittleEndian.AppendUint16(b, HeaderLen)
	b = binary.LittleEndian.AppendUint32(b, h.Cluster)
	return appendRing(b, h.Ring)
}

// ParseHeader splits a frame. The body is a view into b; its parser follows
// from h.Type. Flags that have no name yet are kept.
func ParseHeader(b []byte) (h Header, body []byte, err error) {
	if len(b) < HeaderLen {
		return Header{}, nil, fmt.Errorf("header: %d of %d bytes: %w", len(b), HeaderLen, ErrShort)
	}
	if m := binary.LittleEndian.Uint16(b); m != Magic {
		return Header{}, nil, fmt.Errorf("header: magic %#04x, want %#04x: %w", m, Magic, ErrBadMagic)
	}
	if b[2] != Version {
		return Header{}, nil, fmt.Errorf("header: version %d, want %d: %w", b[2], Version, ErrBadVersion)
	}
	if n := binary.LittleEndian.Uint16(b[6:]); n != HeaderLen {
		return Header{}, nil, fmt.Errorf("header: length %d, want %d: %w", n, HeaderLen, ErrBadHeaderLen)
	}
	h = Header{
		Type:    Type(b[3]),
		Flags:   binary.LittleEndian.Uint16(b[FlagsOffset:]),
		Cluster: binary.LittleEndian.Uint32(b[8:]),
		Ring:    getRing(b[12:]),
	}
	if h.Type < TypeData || h.Type > TypeNotice {
		return Header{}, nil, fmt.Errorf("header: type %d of %d to %d: %w", h.Type, TypeData, TypeNotice, ErrBadType)
	}
	return h, b[HeaderLen:], nil
}

// FrameType returns the type of an encoded frame, zero if it is too short to
// have one.
func FrameType(frame []byte) Type {
	if len(frame) < HeaderLen {
		return 0
	}
	return Type(frame[3])
}

// SetFlags replaces the header flags of an encoded frame in place.
func SetFlags(frame []byte, flags uint16) {
	binary.LittleEndian.PutUint16(frame[FlagsOffset:FlagsOffset+2], flags)
}

// FrameHash hashes an encoded frame without its flags, so that a frame and its
// retransmission agree. It is the same on every machine and in every run, and
// tells accidents apart, not attacks.
func FrameHash(frame []byte) uint64 {
	const seed, mul = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93 // odd, no structure
	h := seed ^ uint64(len(frame))
	mix := func(w uint64) {
		hi, lo := bits.Mul64(h^w, mul)
		h = bits.RotateLeft64(h, 23) ^ hi ^ lo // h stays in, so that h == w loses nothing
	}
	if len(frame) >= 8 {
		mix(binary.LittleEndian.Uint64(frame) &^ (0xFFFF << (8 * FlagsOffset)))
		frame = frame[8:]
	}
	for ; len(frame) >= 8; frame = frame[8:] {
		mix(binary.LittleEndian.Uint64(frame))
	}
	var last uint64
	for i, c := range frame {
		last |= uint64(c) << (8 * i)
	}
	mix(last)
	return h
}

// with returns h for a frame of type t.
func (h Header) with(t Type) Header {
	h.Type = t
	return h
}
