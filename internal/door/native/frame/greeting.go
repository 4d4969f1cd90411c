package frame

import (
	"fmt"

	"github.com/moothall/moothall/service"
)

// Magic begins the bodies of both greetings: "MOOT".
const Magic = 0x544f4f4d

// Lengths of the greetings without what later versions add.
const (
	helloLen   = HeaderLen + 16
	welcomeLen = HeaderLen + 28
)

// Hello is the body of KindHello. Bytes behind its fields are of later versions
// and ignored.
type Hello struct {
	Min, Max uint16 // versions that the client speaks
	Packet   uint32 // largest packet that it takes
	Message  uint32 // largest message
}

// AppendTo appends the message.
func (h Hello) AppendTo(b []byte) []byte {
	b = appendHeader(b, helloLen, KindHello, 0)
	b = le.AppendUint32(b, Magic)
	b = le.AppendUint16(b, h.Min)
	b = le.AppendUint16(b, h.Max)
	b = le.AppendUint32(b, h.Packet)
	return le.AppendUint32(b, h.Message)
}

// ParseHello reads a client's first packet.
func ParseHello(packet []byte) (Hello, error) {
	b, err := greeting(packet, KindHello, helloLen)
	if err != nil {
		return Hello{}, err
	}
	h := Hello{Min: le.Uint16(b[4:]), Max: le.Uint16(b[6:]), Packet: le.Uint32(b[8:]), Message: le.Uint32(b[12:])}
	if h.Min > h.Max {
		return Hello{}, malformed("versions %d to %d", h.Min, h.Max)
	}
	return h, checkLimits(h.Packet, h.Message)
}

// Choose picks the version to speak with a client.
func (h Hello) Choose() (uint16, error) {
	if h.Min > Version || h.Max < MinVersion {
		return 0, fmt.Errorf("the client speaks versions %d to %d of the protocol, the agent %d to %d: update the older one: %w",
			h.Min, h.Max, MinVersion, Version, service.ErrVersion)
	}
	return min(h.Max, Version), nil
}

// Welcome is the body of KindWelcome. Bytes behind its fields are of later
// versions and ignored.
type Welcome struct {
	Version uint16 // that is spoken from here on
	Packet  uint32 // largest packet that the agent takes
	Message uint32 // largest message
	Node    uint32
	Inc     uint64 // incarnation of the node
	Agent   string // the agent's version, for people
	Name    string // the node's; may be empty
	Cluster string
}

// AppendTo appends the message. Texts are cut to MaxText bytes.
func (w Welcome) AppendTo(b []byte) []byte {
	start := len(b)
	b = appendHeader(b, 0, KindWelcome, 0)
	b = le.AppendUint32(b, Magic)
	b = le.AppendUint16(b, w.Version)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, w.Packet)
	b = le.AppendUint32(b, w.Message)
	b = le.AppendUint32(b, w.Node)
	b = le.AppendUint64(b, w.Inc)
	for _, s := range []string{w.Agent, w.Name, w.Cluster} {
		s = s[:min(len(s), MaxText)]
		b = append(le.AppendUint16(b, uint16(len(s))), s...)
	}
	le.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// ParseWelcome reads the agent's first packet. A refusal is a Closed, which comes
// as an error that wraps its code.
func ParseWelcome(packet []byte) (Welcome, error) {
	if c, ok := refusal(packet); ok {
		return Welcome{}, fmt.Errorf("%s: %w", c.Text, c.Code)
	}
	b, err := greeting(packet, KindWelcome, welcomeLen)
	if err != nil {
		return Welcome{}, err
	}
	w := Welcome{Version: le.Uint16(b[4:]), Packet: le.Uint32(b[8:]), Message: le.Uint32(b[12:]), Node: le.Uint32(b[16:]), Inc: le.Uint64(b[20:])}
	if w.Version < MinVersion || w.Version > Version {
		return Welcome{}, malformed("version %d, which nobody asked for", w.Version)
	}
	rest := b[welcomeLen-HeaderLen:]
	for _, s := range []*string{&w.Agent, &w.Name, &w.Cluster} {
		if len(rest) < 2 {
			return Welcome{}, malformed("a text is missing")
		}
		n := int(le.Uint16(rest))
		if n > MaxText || n > len(rest)-2 {
			return Welcome{}, malformed("a text of %d bytes, %d are there and %d allowed", n, len(rest)-2, MaxText)
		}
		*s, rest = string(rest[2:2+n]), rest[2+n:]
	}
	return w, checkLimits(w.Packet, w.Message)
}

// refusal reports whether a packet is nothing but the socket's end.
func refusal(packet []byte) (Closed, bool) {
	if len(packet) < HeaderLen || Kind(le.Uint16(packet[4:])) != KindClosed || le.Uint16(packet[6:]) != 0 || int(le.Uint32(packet)) != len(packet) {
		return Closed{}, false
	}
	c, err := ParseClosed(Message{Kind: KindClosed, Body: packet[HeaderLen:]})
	return c, err == nil
}

// greeting checks a packet that holds one greeting and gives its body.
func greeting(packet []byte, k Kind, size int) ([]byte, error) {
	switch {
	case len(packet) < size:
		return nil, malformed("%v of %d bytes, at least %d", k, len(packet), size)
	case int(le.Uint32(packet)) != len(packet):
		return nil, malformed("%v of %d bytes in a packet of %d", k, le.Uint32(packet), len(packet))
	case Kind(le.Uint16(packet[4:])) != k:
		return nil, malformed("%v where %v is due", Kind(le.Uint16(packet[4:])), k)
	case le.Uint16(packet[6:]) != 0:
		return nil, malformed("%v of connection %d", k, le.Uint16(packet[6:]))
	case le.Uint32(packet[HeaderLen:]) != Magic:
		return nil, malformed("%v does not begin with MOOT", k)
	}
	return packet[HeaderLen:], nil
}

func checkLimits(packet, message uint32) error {
	if packet < MinPacket || message < MinMessage {
		return malformed("limits of %d bytes a packet and %d a message, at least %d and %d", packet, message, MinPacket, MinMessage)
	}
	return nil
}
