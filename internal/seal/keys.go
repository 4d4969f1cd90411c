package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/moothall/moothall/internal/bug"
)

// Bounds of the file key (ordering 3.7).
const (
	MinKey = 32
	MaxKey = 4096
)

// ClusterID is the hash of the cluster name that goes into all keys. Its first
// four bytes, little endian, are the cluster tag of every frame (ordering 2.2).
func ClusterID(name string) [16]byte {
	sum := sha256.Sum256([]byte("moothall cluster\x00" + name))
	return [16]byte(sum[:16])
}

// ClusterTag is the short form of ClusterID that frames carry.
func ClusterTag(name string) uint32 {
	id := ClusterID(name)
	return binary.LittleEndian.Uint32(id[:])
}

// openKey stands in for a key file: everybody who knows the cluster name can
// make it, so it keeps corruption and other clusters out and nobody else.
func openKey(cluster string) []byte {
	sum := sha256.Sum256([]byte("moothall without a key\x00" + cluster))
	return sum[:]
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// epochKey is the secret from which all sender keys of one epoch are derived.
type epochKey struct {
	loaded bool
	epoch  uint8
	secret []byte
	hint   hint
}

// schedule is the key schedule of one cluster: file key, master, epoch, sender.
type schedule struct {
	cluster   string
	id        [16]byte
	algorithm string
	aead      func([]byte) (cipher.AEAD, error)
	keys      [2]epochKey // the present epoch and, during a rotation, its neighbour
}

func newSchedule(cluster string, aead func([]byte) (cipher.AEAD, error)) *schedule {
	s := &schedule{cluster: cluster, id: ClusterID(cluster), algorithm: "injected", aead: aead}
	if aead == nil {
		s.algorithm, s.aead = "aes-256-gcm", newGCM
	}
	return s
}

// load makes the keys of an epoch usable. An empty file key stands for the one
// that is made from the cluster name.
func (s *schedule) load(epoch uint8, file []byte) error {
	if len(file) == 0 {
		file = openKey(s.cluster)
	}
	if len(file) < MinKey || len(file) > MaxKey {
		return fmt.Errorf("seal: the cluster key has %d bytes, %d to %d are needed: make one with 'moot key generate'", len(file), MinKey, MaxKey)
	}
	master, err := hkdf.Extract(sha256.New, file, s.id[:])
	if err != nil {
		return fmt.Errorf("seal: derive the master key: %w", err)
	}
	secret, err := hkdf.Expand(sha256.New, master, "moothall epoch\x00"+s.algorithm+"\x00"+string([]byte{epoch}), 32)
	if err != nil {
		return fmt.Errorf("seal: derive the key of epoch %d: %w", epoch, err)
	}
	tag, err := hkdf.Expand(sha256.New, secret, "moothall key tag", 4)
	if err != nil {
		return fmt.Errorf("seal: derive the key tag of epoch %d: %w", epoch, err)
	}
	slot := s.find(epoch)
	if slot == nil {
		slot = s.free()
	}
	if slot == nil {
		return errors.New("seal: two key epochs are loaded; drop the old one first")
	}
	*slot = epochKey{
		loaded: true,
		epoch:  epoch,
		secret: secret,
		hint:   hint{binary.LittleEndian.Uint32(s.id[:]), binary.LittleEndian.Uint32(tag)},
	}
	return nil
}

func (s *schedule) find(epoch uint8) *epochKey {
	for i := range s.keys {
		if k := &s.keys[i]; k.loaded && k.epoch == epoch {
			return k
		}
	}
	return nil
}

func (s *schedule) free() *epochKey {
	for i := range s.keys {
		if !s.keys[i].loaded {
			return &s.keys[i]
		}
	}
	return nil
}

// sender makes the cipher of one generation of one life of one node. It is the
// same on all links and for all receivers: a frame is encrypted once.
func (s *schedule) sender(k *epochKey, node NodeID, inc, salt, generation uint64) (cipher.AEAD, error) {
	info := make([]byte, 0, 64)
	info = append(info, "tx\x00"...)
	info = append(info, s.algorithm...)
	info = append(info, 0, k.epoch)
	info = binary.LittleEndian.AppendUint32(info, uint32(node))
	info = binary.LittleEndian.AppendUint64(info, inc)
	if !bug.Planted("salt-left-out") {
		info = binary.LittleEndian.AppendUint64(info, salt)
	}
	info = binary.LittleEndian.AppendUint64(info, generation)
	key, err := hkdf.Expand(sha256.New, k.secret, string(info), 32)
	if err != nil {
		return nil, err
	}
	return s.aead(key)
}

// earlier compares epochs. They are numbered round a circle, and two that are
// loaded at the same time are neighbours.
func earlier(a, b uint8) bool { return int8(a-b) < 0 }
