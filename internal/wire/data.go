package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/moothall/moothall/internal/proto"
)

// dataCountOffset is where the count of pieces stands in a frame.
const dataCountOffset = HeaderLen + 22

// AppendDataHead writes the header and the head of a data frame. The caller
// appends the pieces, or the inner frame, right behind it.
func AppendDataHead(b []byte, h Header, d Data) []byte {
	b = h.with(TypeData).Append(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(d.Slot))
	b = binary.LittleEndian.AppendUint32(b, uint32(d.Origin))
	b = binary.LittleEndian.AppendUint32(b, d.OriginInc)
	b = binary.LittleEndian.AppendUint32(b, d.Round)
	b = append(b, 0, 0) // reserved
	return binary.LittleEndian.AppendUint16(b, d.Count)
}

// PatchDataCount sets the count of pieces in an encoded data frame.
func PatchDataCount(frame []byte, n uint16) {
	binary.LittleEndian.PutUint16(frame[dataCountOffset:dataCountOffset+2], n)
}

// SetRound overwrites the originator's round in a data frame that was not sent
// yet.
func SetRound(frame []byte, round uint32) {
	binary.LittleEndian.PutUint32(frame[HeaderLen+16:], round)
}

// ParseData reads the head of a data frame. It does not look at the pieces:
// [CheckPieces] does, unless the frame is encapsulated.
func ParseData(body []byte) (Data, error) {
	if len(body) < DataHeadLen {
		return Data{}, fmt.Errorf("data: %d of %d bytes: %w", len(body), DataHeadLen, ErrShort)
	}
	d := Data{
		Slot:      proto.Slot(binary.LittleEndian.Uint64(body)),
		Origin:    proto.NodeID(binary.LittleEndian.Uint32(body[8:])),
		OriginInc: binary.LittleEndian.Uint32(body[12:]),
		Round:     binary.LittleEndian.Uint32(body[16:]),
		Count:     binary.LittleEndian.Uint16(body[22:]),
		Pieces:    body[DataHeadLen:],
	}
	if d.Slot == 0 || d.Slot > MaxSlot {
		return Data{}, fmt.Errorf("data: slot %d of 1 to %d: %w", d.Slot, MaxSlot, ErrSlot)
	}
	if !validNode(d.Origin) {
		return Data{}, fmt.Errorf("data: origin: node %d: %w", d.Origin, ErrBadNode)
	}
	if r := binary.LittleEndian.Uint16(body[20:]); r != 0 {
		return Data{}, fmt.Errorf("data: reserved bytes %#04x, want 0: %w", r, ErrBadValue)
	}
	return d, nil
}

// AppendPiece writes one piece.
func AppendPiece(b []byte, p Piece) []byte {
	b = binary.AppendUvarint(b, p.K)
	b = binary.AppendUvarint(b, p.No)
	b = append(b, p.Flags)
	b = binary.AppendUvarint(b, uint64(len(p.Body)))
	return append(b, p.Body...)
}

// PieceSize returns the bytes that AppendPiece writes for such a piece.
func PieceSize(k, no uint64, bodyLen int) int {
	return uvarintLen(k) + uvarintLen(no) + 1 + uvarintLen(uint64(bodyLen)) + bodyLen
}

// NextPiece reads the first piece of b. Its body is a view into b.
func NextPiece(b []byte) (p Piece, rest []byte, err error) {
	if p.K, b, err = uvarint(b, "piece: message number"); err != nil {
		return Piece{}, nil, err
	}
	if p.No, b, err = uvarint(b, "piece: piece number"); err != nil {
		return Piece{}, nil, err
	}
	if len(b) == 0 {
		return Piece{}, nil, fmt.Errorf("piece: flags: 0 of 1 bytes: %w", ErrShort)
	}
	p.Flags = b[0]
	n, b, err := uvarint(b[1:], "piece: length")
	if err != nil {
		return Piece{}, nil, err
	}
	if n > uint64(len(b)) {
		return Piece{}, nil, fmt.Errorf("piece: %d of %d bytes: %w", len(b), n, ErrShort)
	}
	p.Body = b[:n:n]
	return p, b[n:], nil
}

// CheckPieces reports whether b consists of exactly count well-formed pieces,
// so that a frame can be refused before its slot is taken.
func CheckPieces(b []byte, count uint16) error {
	for i := range count {
		var err error
		if _, b, err = NextPiece(b); err != nil {
			return fmt.Errorf("piece %d of %d: %w", i+1, count, err)
		}
	}
	if len(b) != 0 {
		return fmt.Errorf("data: %d bytes after %d pieces: %w", len(b), count, ErrTrailing)
	}
	return nil
}

// uvarint reads a varint in its shortest form.
func uvarint(b []byte, what string) (v uint64, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	switch {
	case n == 0:
		return 0, nil, fmt.Errorf("%s: varint ends after %d bytes: %w", what, len(b), ErrShort)
	case n < 0:
		return 0, nil, fmt.Errorf("%s: more than 64 bits in %d bytes: %w", what, -n, ErrBadVarint)
	case n != uvarintLen(v):
		return 0, nil, fmt.Errorf("%s: %d bytes where %d do: %w", what, n, uvarintLen(v), ErrBadVarint)
	}
	return v, b[n:], nil
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
