package wire

import "encoding/binary"

// AppendTokenAck writes a TokenAck. For a commit token h.Ring is the new ring.
func AppendTokenAck(b []byte, h Header, a TokenAck) []byte {
	b = h.with(TypeTokenAck).Append(b)
	b = binary.LittleEndian.AppendUint64(b, a.TokenSeq)
	return binary.LittleEndian.AppendUint64(b, uint64(a.Aru))
}

// ParseTokenAck reads the body of a TokenAck.
func ParseTokenAck(body []byte) (TokenAck, error) {
	r := reader{b: body}
	a := TokenAck{TokenSeq: r.u64("token ack: token_seq"), Aru: r.slot("token ack: aru")}
	if err := r.end("token ack"); err != nil {
		return TokenAck{}, err
	}
	return a, nil
}
