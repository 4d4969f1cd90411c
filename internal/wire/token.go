package wire

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/moothall/moothall/internal/proto"
)

const (
	tokenHeadLen = 55 // up to the retransmit items
	rtrItemLen   = 20
	stampLen     = 8

	// TokenLen is the size of a token frame without retransmit items.
	TokenLen = HeaderLen + tokenHeadLen + stampLen
)

// AppendToken writes a token with at most MaxRtr retransmit items: what does
// not fit has to wait for the next rotation.
func AppendToken(b []byte, h Header, t Token) []byte {
	items := t.Rtr[:min(len(t.Rtr), MaxRtr)]
	b = h.with(TypeToken).Append(b)
	b = binary.LittleEndian.AppendUint64(b, t.TokenSeq)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Seq))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Aru))
	b = binary.LittleEndian.AppendUint32(b, uint32(t.AruOwner))
	b = binary.LittleEndian.AppendUint32(b, uint32(t.Fcc))
	b = binary.LittleEndian.AppendUint32(b, uint32(t.Backlog))
	b = binary.LittleEndian.AppendUint32(b, t.Wnd)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Stable))
	b = binary.LittleEndian.AppendUint32(b, t.RtrMade)
	b = append(b, t.Flags)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(items)))
	for _, it := range items {
		b = binary.LittleEndian.AppendUint64(b, uint64(it.Base))
		b = binary.LittleEndian.AppendUint64(b, it.Miss)
		b = binary.LittleEndian.AppendUint32(b, uint32(it.Requester))
	}
	return binary.LittleEndian.AppendUint64(b, t.Stamp)
}

// ParseToken reads a token into a fresh value.
func ParseToken(body []byte) (Token, error) {
	var t Token
	err := ParseTokenInto(body, &t)
	return t, err
}

// ParseTokenInto reads a token into t and reuses the capacity of t.Rtr. After
// an error t is zero but for that capacity.
func ParseTokenInto(body []byte, t *Token) error {
	rtr := t.Rtr[:0]
	r := reader{b: body}
	*t = Token{
		TokenSeq: r.u64("token: token_seq"),
		Seq:      r.slot("token: seq"),
		Aru:      r.slot("token: aru"),
		AruOwner: proto.NodeID(r.u32("token: aru owner")),
		Fcc:      int32(r.u32("token: fcc")),
		Backlog:  int32(r.u32("token: backlog")),
		Wnd:      r.u32("token: wnd"),
		Stable:   r.slot("token: stable"),
		RtrMade:  r.u32("token: rtr_made"),
		Flags:    r.u8("token: flags"),
	}
	n := r.count(MaxRtr, rtrItemLen, "token: retransmit items")
	for items := r.take(n*rtrItemLen, "token: retransmit items"); len(items) > 0; items = items[rtrItemLen:] {
		it, err := getRtrItem(items)
		if err != nil {
			r.fail(err)
			break
		}
		rtr = append(rtr, it)
	}
	t.Rtr = rtr
	t.Stamp = r.u64("token: stamp")
	if err := r.end("token"); err != nil {
		*t = Token{Rtr: rtr[:0]}
		return err
	}
	return nil
}

// getRtrItem reads the rtrItemLen bytes at the front of p.
func getRtrItem(p []byte) (RtrItem, error) {
	it := RtrItem{
		Base:      proto.Slot(binary.LittleEndian.Uint64(p)),
		Miss:      binary.LittleEndian.Uint64(p[8:]),
		Requester: proto.NodeID(binary.LittleEndian.Uint32(p[16:])),
	}
	if it.Base%64 != 0 {
		return RtrItem{}, fmt.Errorf("token: retransmit base %d is no multiple of 64: %w", it.Base, ErrBadValue)
	}
	// A base above the limit, or a bit of the map that stands for such a slot.
	if it.Base > MaxSlot || it.Base == MaxSlot && bits.Len64(it.Miss) > 1 {
		return RtrItem{}, fmt.Errorf("token: retransmit base %d, slots at most %d: %w", it.Base, MaxSlot, ErrSlot)
	}
	return it, nil
}
