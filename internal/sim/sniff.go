package sim

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/moothall/moothall/internal/proto"
)

// The simulator reads frames on its virtual wire by itself, from the layout of
// ordering 2.4, so that it does not depend on the codec it judges.

// frameType numbers what can be on the wire.
type frameType uint8

const (
	ftData frameType = 1 + iota
	ftToken
	ftAck
	ftJoin
	ftCommit
	ftProbe
	ftWake
	ftNotice
	ftPing  // of the session layer
	ftRound // not on the wire: the event service of a node ended a round
)

var typeNames = [...]string{ftData: "data", ftToken: "token", ftAck: "ack", ftJoin: "join", ftCommit: "commit",
	ftProbe: "probe", ftWake: "wake", ftNotice: "notice", ftPing: "ping", ftRound: "round"}

// String is the word used in schedules and traces.
func (t frameType) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("type%d", uint8(t))
}

// typeMask turns names into a set; no names is every type.
func typeMask(names []string) (uint16, error) {
	if len(names) == 0 {
		return ^uint16(0), nil
	}
	var m uint16
next:
	for _, n := range names {
		for t, s := range typeNames {
			if s == n && s != "" {
				m |= 1 << t
				continue next
			}
		}
		return 0, fmt.Errorf("frame type %q; known are %v", n, typeNames[1:])
	}
	return m, nil
}

const (
	joinSeen      = 12 // behind the attempt and the seq that was promised
	frameHead     = 28
	dataHead      = 24
	flagPost      = 1 << 1
	flagWrapped   = 1 << 2
	frameFlagsOff = 4
)

func typeOf(f []byte) frameType {
	if len(f) < frameHead {
		return 0
	}
	return frameType(f[3])
}

func flagsOf(f []byte) uint16 { return binary.LittleEndian.Uint16(f[frameFlagsOff:]) }

// ringOf reads the ring in a frame's header.
func ringOf(f []byte) RingID {
	return RingID{
		Seq: binary.LittleEndian.Uint64(f[12:]),
		Rep: proto.NodeID(binary.LittleEndian.Uint32(f[20:])),
		Inc: binary.LittleEndian.Uint32(f[24:]),
	}
}

// seenOf reads the highest ring seq that the sender of a Join knows of.
func seenOf(f []byte) uint64 {
	if len(f) < frameHead+joinSeen+8 {
		return 0
	}
	return binary.LittleEndian.Uint64(f[frameHead+joinSeen:])
}

// dataSlot reads the slot of a data frame.
func dataSlot(f []byte) (Slot, bool) {
	if len(f) < frameHead+dataHead {
		return 0, false
	}
	return Slot(binary.LittleEndian.Uint64(f[frameHead:])), true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum hashes bytes; it need not resist anybody.
func sum(b []byte) uint64 { return uint64(crc32.Update(uint32(len(b)), castagnoli, b)) }

// frameSum hashes a frame without its flags, the only bytes that a resender may
// change.
func frameSum(f []byte) uint64 {
	h := crc32.Update(uint32(len(f)), castagnoli, f[:frameFlagsOff])
	return uint64(crc32.Update(h, castagnoli, f[frameFlagsOff+2:]))
}
