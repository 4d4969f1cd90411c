package wire

import "encoding/binary"

// AppendWake writes a Wake.
func AppendWake(b []byte, h Header, w Wake) []byte {
	return binary.LittleEndian.AppendUint64(h.with(TypeWake).Append(b), uint64(w.Hint))
}

// ParseWake reads the body of a Wake.
func ParseWake(body []byte) (Wake, error) {
	r := reader{b: body}
	w := Wake{Hint: r.slot("wake: hint")}
	if err := r.end("wake"); err != nil {
		return Wake{}, err
	}
	return w, nil
}
