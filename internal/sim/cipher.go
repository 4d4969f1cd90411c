package sim

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// checksum stands for the cipher in simulations: it authenticates with a keyed
// checksum and hides nothing, so that the simulator can read along and little
// time is spent. It keeps the shape of AES-GCM: nonce of 12 bytes, tag of 16.
type checksum struct{ key uint64 }

var errTag = errors.New("sim: wrong tag")

func newChecksum(key []byte) (cipher.AEAD, error) {
	return checksum{mix(sum(key) ^ uint64(len(key))<<32)}, nil
}

func (checksum) NonceSize() int { return 12 }
func (checksum) Overhead() int  { return 16 }

func (c checksum) tag(nonce, text, clear []byte) (t [16]byte) {
	h := mix(c.key ^ binary.LittleEndian.Uint64(nonce) ^ uint64(binary.LittleEndian.Uint32(nonce[8:]))<<32)
	h = mix(h ^ uint64(crc32.Update(0, castagnoli, clear)))
	h = mix(h ^ uint64(crc32.Update(uint32(len(text)), castagnoli, text)))
	binary.LittleEndian.PutUint64(t[:], h)
	binary.LittleEndian.PutUint64(t[8:], mix(h))
	return t
}

// Seal implements cipher.AEAD.
func (c checksum) Seal(dst, nonce, text, clear []byte) []byte {
	t := c.tag(nonce, text, clear)
	return append(append(dst, text...), t[:]...)
}

// Open implements cipher.AEAD.
func (c checksum) Open(dst, nonce, sealed, clear []byte) ([]byte, error) {
	n := len(sealed) - 16
	if n < 0 {
		return nil, errTag
	}
	if t := c.tag(nonce, sealed[:n], clear); t != [16]byte(sealed[n:]) {
		return nil, errTag
	}
	return append(dst, sealed[:n]...), nil
}
