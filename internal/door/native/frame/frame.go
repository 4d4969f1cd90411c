package frame

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/moothall/moothall/service"
)

// Version is the one version of the protocol that is spoken now; MinVersion is
// the oldest one.
const (
	Version    = 1
	MinVersion = 1
)

// Limits of both ends.
const (
	MaxPacket  = 128 << 10       // bytes of a packet
	MinPacket  = 1 << 10         // the least that an end may allow the other
	MaxMessage = 4 << 20         // bytes of a message, header included
	MinMessage = 1<<20 + 64<<10  // the least that an end may allow the other
	MaxWindow  = 64 << 20        // bytes of credit in one direction
	MaxConns   = 1 << 10         // opened services of one socket
	MaxText    = 1 << 10         // bytes of a name or a reason
	HeaderLen  = 8               // of every message
	PartLen    = HeaderLen + 8   // of a part, before its bytes
	minPart    = 512             // no part is smaller, but for the last one
	maxBody    = MaxMessage - 64 // any body with its header is a message
)

// MaxBody is the largest body of a request, an answer or an event.
const MaxBody = maxBody

// Kind says what a message is.
type Kind uint16

// The kinds of messages. Those of one connection to a service carry its number,
// which the client chose.
const (
	KindHello   Kind = 1 + iota // client: its limits and versions; the first message, alone in its packet
	KindWelcome                 // agent: the version spoken, its limits, who it is; likewise
	KindOpen                    // client: connect to a service
	KindOpened                  // agent: done
	KindCall                    // client: a request that is answered
	KindAnswer                  // agent
	KindCast                    // client: a request without an answer
	KindEvent                   // agent
	KindCredit                  // both: more may be sent; from the client also: events are taken
	KindClose                   // client: end the connection to the service
	KindClosed                  // agent: it ended, and why; nothing follows. Connection 0: the socket's end
	KindPart                    // both: a piece of a message that does not fit into a packet
	numKinds
)

var kindNames = [numKinds]string{"", "hello", "welcome", "open", "opened", "call", "answer", "cast", "event", "credit", "close", "closed", "part"}

// String is the word used in documents.
func (k Kind) String() string {
	if k == 0 || k >= numKinds {
		return fmt.Sprintf("kind-%d", uint16(k))
	}
	return kindNames[k]
}

// Message is one message. Body is what follows the header, a view.
type Message struct {
	Kind Kind
	Conn uint16
	Body []byte
}

// Size is what the message takes of credit.
func (m *Message) Size() int { return HeaderLen + len(m.Body) }

// Lengths of the fixed fields before the variable part of a message, header
// included.
const (
	openLen   = HeaderLen + 8
	openedLen = HeaderLen + 20
	callLen   = HeaderLen + 8
	answerLen = HeaderLen + 8
	castLen   = HeaderLen + 12
	eventLen  = HeaderLen + 4
	creditLen = HeaderLen + 8
	closedLen = HeaderLen + 4
)

// CallSize is what a call with a body of n bytes takes of credit.
func CallSize(n int) int { return callLen + n }

// CastSize is the same of a cast.
func CastSize(n int) int { return castLen + n }

// EventSize is the same of an event.
func EventSize(n int) int { return eventLen + n }

// ErrMalformed is what every error about the other end's bytes wraps.
var ErrMalformed = errors.New("malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

var le = binary.LittleEndian

func appendHeader(b []byte, size int, k Kind, conn uint16) []byte {
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint16(b, uint16(k))
	return le.AppendUint16(b, conn)
}

// fixed checks that a message has at least its fixed fields, or exactly these.
func (m *Message) fixed(k Kind, size int, exact bool) error {
	switch n := m.Size(); {
	case m.Kind != k:
		return malformed("%v where %v is due", m.Kind, k)
	case n < size:
		return malformed("%v of %d bytes, at least %d", k, n, size)
	case exact && n != size:
		return malformed("%v of %d bytes, not %d", k, n, size)
	case m.Conn == 0 && k != KindClosed:
		return malformed("%v without a connection", k)
	}
	return nil
}

// Open is the body of KindOpen.
type Open struct {
	Service uint16
	Window  uint32 // credit for events
}

// AppendTo appends the message.
func (o Open) AppendTo(b []byte, conn uint16) []byte {
	b = appendHeader(b, openLen, KindOpen, conn)
	b = le.AppendUint16(b, o.Service)
	b = le.AppendUint16(b, 0)
	return le.AppendUint32(b, o.Window)
}

// ParseOpen reads KindOpen.
func ParseOpen(m Message) (Open, error) {
	if err := m.fixed(KindOpen, openLen, true); err != nil {
		return Open{}, err
	}
	o := Open{Service: le.Uint16(m.Body), Window: le.Uint32(m.Body[4:])}
	return o, checkWindow(o.Window)
}

func checkWindow(w uint32) error {
	if w == 0 || w > MaxWindow {
		return malformed("a window of %d bytes, 1 to %d", w, MaxWindow)
	}
	return nil
}

// Opened is the body of KindOpened.
type Opened struct {
	ID     uint64 // of the connection at the agent, in what services say of their clients
	Inc    uint64 // the incarnation of the node that serves it
	Window uint32 // credit for requests
}

// AppendTo appends the message.
func (o Opened) AppendTo(b []byte, conn uint16) []byte {
	b = appendHeader(b, openedLen, KindOpened, conn)
	b = le.AppendUint64(b, o.ID)
	b = le.AppendUint64(b, o.Inc)
	return le.AppendUint32(b, o.Window)
}

// ParseOpened reads KindOpened.
func ParseOpened(m Message) (Opened, error) {
	if err := m.fixed(KindOpened, openedLen, true); err != nil {
		return Opened{}, err
	}
	o := Opened{ID: le.Uint64(m.Body), Inc: le.Uint64(m.Body[8:]), Window: le.Uint32(m.Body[16:])}
	return o, checkWindow(o.Window)
}

// Call is the body of KindCall.
type Call struct {
	ID   uint32 // comes back with the answer
	Func uint16
	Body []byte
}

// ParseCall reads KindCall; Body is a view.
func ParseCall(m Message) (Call, error) {
	if err := m.fixed(KindCall, callLen, false); err != nil {
		return Call{}, err
	}
	return Call{ID: le.Uint32(m.Body), Func: le.Uint16(m.Body[4:]), Body: m.Body[callLen-HeaderLen:]}, nil
}

// Answer is the body of KindAnswer.
type Answer struct {
	ID   uint32 // of the call
	Code service.Code
	Body []byte
}

// ParseAnswer reads KindAnswer; Body is a view.
func ParseAnswer(m Message) (Answer, error) {
	if err := m.fixed(KindAnswer, answerLen, false); err != nil {
		return Answer{}, err
	}
	return Answer{ID: le.Uint32(m.Body), Code: service.Code(le.Uint16(m.Body[4:])), Body: m.Body[answerLen-HeaderLen:]}, nil
}

// MaxTag is the largest tag of a cast.
const MaxTag = 1<<63 - 1

// Cast is the body of KindCast.
type Cast struct {
	Tag  uint64 // at most MaxTag
	Func uint16
	Body []byte
}

// ParseCast reads KindCast; Body is a view.
func ParseCast(m Message) (Cast, error) {
	if err := m.fixed(KindCast, castLen, false); err != nil {
		return Cast{}, err
	}
	c := Cast{Tag: le.Uint64(m.Body), Func: le.Uint16(m.Body[8:]), Body: m.Body[castLen-HeaderLen:]}
	if c.Tag > MaxTag {
		return Cast{}, malformed("a tag of %d, at most %d", c.Tag, uint64(MaxTag))
	}
	return c, nil
}

// Event is the body of KindEvent.
type Event struct {
	Kind uint16
	Body []byte
}

// AppendTo appends the message.
func (e Event) AppendTo(b []byte, conn uint16) []byte {
	b = appendHeader(b, eventLen+len(e.Body), KindEvent, conn)
	b = le.AppendUint16(b, e.Kind)
	b = le.AppendUint16(b, 0)
	return append(b, e.Body...)
}

// ParseEvent reads KindEvent; Body is a view.
func ParseEvent(m Message) (Event, error) {
	if err := m.fixed(KindEvent, eventLen, false); err != nil {
		return Event{}, err
	}
	return Event{Kind: le.Uint16(m.Body), Body: m.Body[eventLen-HeaderLen:]}, nil
}

// Credit is the body of KindCredit.
type Credit struct {
	Bytes uint32 // that may be sent besides
	Count uint32 // from the client: events that its user has taken; from the agent: 0
}

// AppendTo appends the message.
func (c Credit) AppendTo(b []byte, conn uint16) []byte {
	b = appendHeader(b, creditLen, KindCredit, conn)
	b = le.AppendUint32(b, c.Bytes)
	return le.AppendUint32(b, c.Count)
}

// ParseCredit reads KindCredit.
func ParseCredit(m Message) (Credit, error) {
	if err := m.fixed(KindCredit, creditLen, true); err != nil {
		return Credit{}, err
	}
	return Credit{Bytes: le.Uint32(m.Body), Count: le.Uint32(m.Body[4:])}, nil
}

// AppendClose appends KindClose.
func AppendClose(b []byte, conn uint16) []byte { return appendHeader(b, HeaderLen, KindClose, conn) }

// ParseClose reads KindClose.
func ParseClose(m Message) error { return m.fixed(KindClose, HeaderLen, true) }

// Closed is the body of KindClosed.
type Closed struct {
	Code service.Code
	Text string // for people; cut to MaxText bytes
}

// AppendTo appends the message.
func (c Closed) AppendTo(b []byte, conn uint16) []byte {
	text := c.Text[:min(len(c.Text), MaxText)]
	b = appendHeader(b, closedLen+len(text), KindClosed, conn)
	b = le.AppendUint16(b, uint16(c.Code))
	b = le.AppendUint16(b, 0)
	return append(b, text...)
}

// ParseClosed reads KindClosed.
func ParseClosed(m Message) (Closed, error) {
	if err := m.fixed(KindClosed, closedLen, false); err != nil {
		return Closed{}, err
	}
	text := m.Body[closedLen-HeaderLen:]
	if len(text) > MaxText {
		return Closed{}, malformed("a reason of %d bytes, at most %d", len(text), MaxText)
	}
	return Closed{Code: service.Code(le.Uint16(m.Body)), Text: string(text)}, nil
}
