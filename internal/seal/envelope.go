package seal

import (
	"encoding/binary"
)

// The envelope, 32 bytes in the clear and authenticated (ordering 3.7):
//
//	0 version  1 epoch  2 flags  3 link  4 node u32
//	8 incarnation u64  16 boot salt u64  24 counter u64
//
// Datagrams with flagSession carry eight more clear, authenticated bytes, the
// hint: cluster tag u32 and key tag u32. Then follow ciphertext and tag.
const (
	envelopeVersion = 1
	envelopeLen     = 32
	hintLen         = 8
	tagLen          = 16
	nonceLen        = 12

	// Overhead is what one datagram adds to the frame in it: envelope, kind, tag.
	Overhead = envelopeLen + 1 + tagLen
)

// Flags of the envelope.
const (
	flagControl uint8 = 1 << iota // replay window of token and control
	flagSession                   // ping, pong or notice; a hint follows the envelope
)

// AnyLink instead of a link seals a frame that goes out on several links.
const AnyLink uint8 = 0xFF

// kind is the first byte of the plaintext (ordering 2.4).
type kind uint8

const (
	kindFrame kind = 1 + iota
	kindPing
	kindPong
	kindFragment
	kindNotice
)

type envelope struct {
	epoch   uint8
	flags   uint8
	link    uint8
	node    NodeID
	inc     uint64
	salt    uint64
	counter uint64
}

func (e *envelope) put(b []byte) {
	b[0], b[1], b[2], b[3] = envelopeVersion, e.epoch, e.flags, e.link
	binary.LittleEndian.PutUint32(b[4:], uint32(e.node))
	binary.LittleEndian.PutUint64(b[8:], e.inc)
	binary.LittleEndian.PutUint64(b[16:], e.salt)
	binary.LittleEndian.PutUint64(b[24:], e.counter)
}

// parse reads the clear part of b, which may hold anything.
func (e *envelope) parse(b []byte) Drop {
	if len(b) < Overhead {
		return DropShort
	}
	if b[0] != envelopeVersion {
		return DropVersion
	}
	*e = envelope{
		epoch:   b[1],
		flags:   b[2],
		link:    b[3],
		node:    NodeID(binary.LittleEndian.Uint32(b[4:])),
		inc:     binary.LittleEndian.Uint64(b[8:]),
		salt:    binary.LittleEndian.Uint64(b[16:]),
		counter: binary.LittleEndian.Uint64(b[24:]),
	}
	if e.flags&^(flagControl|flagSession) != 0 {
		return DropMalformed
	}
	if len(b) < e.clear()+1+tagLen {
		return DropShort
	}
	return 0
}

// clear is the length of what is not encrypted.
func (e *envelope) clear() int {
	if e.flags&flagSession != 0 {
		return envelopeLen + hintLen
	}
	return envelopeLen
}

// generation numbers the keys that one sender uses one after the other within
// an epoch. 2^28 datagrams of at most 64 KiB are 2^44 bytes, the limit of
// ordering 3.7; so the counter alone says which key sealed a datagram.
func (e *envelope) generation() uint64 { return e.counter >> generationBits }

const generationBits = 28

// hint tells people, never the protocol, why a datagram cannot be opened.
type hint struct{ cluster, key uint32 }

func (h hint) put(b []byte) {
	binary.LittleEndian.PutUint32(b, h.cluster)
	binary.LittleEndian.PutUint32(b[4:], h.key)
}

func parseHint(b []byte) hint {
	return hint{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])}
}
