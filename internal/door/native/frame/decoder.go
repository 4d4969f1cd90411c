package frame

// Decoder takes messages out of packets. The zero value takes messages of up to
// MaxMessage bytes.
type Decoder struct {
	whole []byte // what is there of a message in parts
	total int    // its size; zero: none is under way
}

// Next takes the first message off a packet and gives what is left of it. Kind
// zero means that the packet is used up. The body is a view of the packet, or of
// memory that the next call uses again. After an error the stream is of no use
// any more.
func (d *Decoder) Next(packet []byte) (m Message, rest []byte, err error) {
	for len(packet) > 0 {
		m, rest, err := split(packet)
		if err != nil {
			return Message{}, nil, err
		}
		if m.Kind != KindPart {
			if d.total != 0 {
				return Message{}, nil, malformed("%v amid the parts of a message", m.Kind)
			}
			return m, rest, nil
		}
		if m, err = d.part(m); m.Kind != 0 || err != nil {
			return m, rest, err
		}
		packet = rest
	}
	return Message{}, nil, nil
}

// split takes the message at the front of b.
func split(b []byte) (Message, []byte, error) {
	if len(b) < HeaderLen {
		return Message{}, nil, malformed("%d bytes at the end of a packet", len(b))
	}
	size := le.Uint32(b)
	if size < HeaderLen || uint64(size) > uint64(len(b)) {
		return Message{}, nil, malformed("a message of %d bytes, %d are left of the packet", size, len(b))
	}
	m := Parse(b[:size])
	if m.Kind <= KindWelcome || m.Kind >= numKinds {
		return Message{}, nil, malformed("a message of %v", m.Kind)
	}
	return m, b[size:], nil
}

// part adds a part; Kind zero: more are due.
func (d *Decoder) part(m Message) (Message, error) {
	const fields = PartLen - HeaderLen
	if len(m.Body) <= fields {
		return Message{}, malformed("a part of %d bytes", m.Size())
	}
	total, at, bytes := le.Uint32(m.Body), le.Uint32(m.Body[4:]), m.Body[fields:]
	if d.total == 0 {
		if total > MaxMessage || total < HeaderLen {
			return Message{}, malformed("a message of %d bytes in parts, %d to %d", total, HeaderLen, MaxMessage)
		}
		d.total, d.whole = int(total), d.whole[:0]
	}
	switch {
	case int(total) != d.total:
		return Message{}, malformed("a part of a message of %d bytes amid one of %d", total, d.total)
	case int(at) != len(d.whole):
		return Message{}, malformed("a part at %d where %d is due", at, len(d.whole))
	case len(bytes) > d.total-len(d.whole):
		return Message{}, malformed("parts of %d bytes, the message has %d", len(d.whole)+len(bytes), d.total)
	}
	d.whole = append(d.whole, bytes...)
	if len(d.whole) < d.total {
		return Message{}, nil
	}
	d.total = 0
	whole, rest, err := split(d.whole)
	switch {
	case err != nil:
		return Message{}, err
	case len(rest) > 0 || whole.Kind == KindPart:
		return Message{}, malformed("parts that are not one message")
	}
	return whole, nil
}
