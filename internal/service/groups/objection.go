package groups

import (
	"bytes"
	"fmt"
)

// Objection is who is against a protocol, and why: a message that package groups of
// the Go library sends with a vote to continue, before it rejects. The service
// carries it as any other one, and names it in the minutes.
type Objection struct {
	By     Provider
	Reason string
}

// objectionMark begins the message that carries an objection into the phase that
// rejects: who objects, and why.
const objectionMark = "objection of "

// Message is the objection as a message; a reason too long for one is cut.
func (o Objection) Message() []byte {
	b := fmt.Appendf(nil, "%s%d/%d: %s", objectionMark, o.By.Instance, o.By.Node, o.Reason)
	return bytes.ToValidUTF8(b[:min(len(b), MaxMessage)], nil)
}

// ParseObjection reads an objection out of a message that came with a phase; false:
// it is another message.
func ParseObjection(message []byte) (o Objection, ok bool) {
	rest, marked := bytes.CutPrefix(message, []byte(objectionMark))
	who, reason, cut := bytes.Cut(rest, []byte(": "))
	if !marked || !cut {
		return o, false
	}
	if n, err := fmt.Sscanf(string(who), "%d/%d", &o.By.Instance, &o.By.Node); n != 2 || err != nil {
		return Objection{}, false
	}
	o.Reason = string(reason)
	return o, true
}
