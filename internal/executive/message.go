package executive

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/service"
)

// errMessage is what every decoding error of this package wraps.
var errMessage = errors.New("executive: malformed message")

// kind says what the body of an ordered message is.
type kind uint8

const (
	kindRound     kind = 1 + iota // of package resync
	kindNormal                    // of a service
	kindSync                      // of a service, in a synchronisation round
	kindMark                      // tells its sender that everything before it is ordered
	kindTestimony                 // of package explain
)

// messageVersion is the layout's: in the high half of the first byte.
const messageVersion = 1

// header stands before the body of each ordered message: version and kind, one
// byte; and for messages of services the service with two flags, one byte, fn,
// then the source as its flags say, then ring and round of a synchronisation.
// Numbers are varints in their shortest form, ring and node are fixed.
type header struct {
	kind    kind
	service uint16
	fn      uint16
	src     service.Source // Node zero: no source
	ring    proto.RingID   // kindSync
	round   uint32         // kindSync
}

const (
	flagSource  = 0x80 // conn and tag follow
	flagForeign = 0x40 // the source is at another node than the sender; its id follows

	maxHeader = 1 + 1 + 3 + 4 + 2*binary.MaxVarintLen64 + 16 + 4
)

// append appends the encoded header of a message that self sends.
func (h *header) append(b []byte, self proto.NodeID) []byte {
	b = append(b, messageVersion<<4|byte(h.kind))
	if h.kind == kindRound || h.kind == kindMark || h.kind == kindTestimony {
		return b
	}
	s := byte(h.service)
	if h.src.Node != 0 {
		s |= flagSource
		if h.src.Node != self {
			s |= flagForeign
		}
	}
	b = append(b, s)
	b = binary.AppendUvarint(b, uint64(h.fn))
	if s&flagForeign != 0 {
		b = binary.LittleEndian.AppendUint32(b, uint32(h.src.Node))
	}
	if s&flagSource != 0 {
		b = binary.AppendUvarint(b, h.src.Conn)
		b = binary.AppendUvarint(b, h.src.Tag)
	}
	if h.kind == kindSync {
		b = binary.LittleEndian.AppendUint64(b, h.ring.Seq)
		b = binary.LittleEndian.AppendUint32(b, uint32(h.ring.Rep))
		b = binary.LittleEndian.AppendUint32(b, h.ring.Inc)
		b = binary.LittleEndian.AppendUint32(b, h.round)
	}
	return b
}

// parse reads the header of a message that from sent and returns the body, a
// view.
func (h *header) parse(b []byte, from proto.NodeID) ([]byte, error) {
	*h = header{}
	if len(b) == 0 {
		return nil, fmt.Errorf("empty: %w", errMessage)
	}
	if v := b[0] >> 4; v != messageVersion {
		return nil, fmt.Errorf("version %d, this one reads %d: %w", v, messageVersion, errMessage)
	}
	h.kind, b = kind(b[0]&15), b[1:]
	switch h.kind {
	case kindRound, kindTestimony:
		return b, nil
	case kindMark:
		if len(b) != 0 {
			return nil, fmt.Errorf("mark with %d bytes: %w", len(b), errMessage)
		}
		return b, nil
	case kindNormal, kindSync:
	default:
		return nil, fmt.Errorf("kind %d: %w", h.kind, errMessage)
	}
	r := headerReader{b: b}
	s := r.u8()
	h.service = uint16(s &^ (flagSource | flagForeign))
	fn := r.varint()
	h.fn = uint16(fn)
	if s&flagSource != 0 {
		h.src.Node = from
		if s&flagForeign != 0 {
			h.src.Node = proto.NodeID(r.u32())
			r.bad = r.bad || h.src.Node == from || h.src.Node == 0
		}
		h.src.Conn, h.src.Tag = r.varint(), r.varint()
	}
	if h.kind == kindSync {
		h.ring = proto.RingID{Seq: r.u64(), Rep: proto.NodeID(r.u32()), Inc: r.u32()}
		h.round = r.u32()
	}
	if r.bad || fn > 0xFFFF || h.service >= resync.MaxServices || s&flagSource == 0 && s&flagForeign != 0 {
		return nil, fmt.Errorf("header of %d bytes: %w", len(b)+1, errMessage)
	}
	return r.b, nil
}

// headerReader takes values off the front; once something is missing it is bad
// and gives zeros.
type headerReader struct {
	b   []byte
	bad bool
}

func (r *headerReader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *headerReader) u8() uint8 {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *headerReader) u32() uint32 {
	if v := r.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (r *headerReader) u64() uint64 {
	if v := r.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

// varint takes a number in its shortest form.
func (r *headerReader) varint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}
