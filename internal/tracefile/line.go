package tracefile

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/sim/check"
)

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Slot   = proto.Slot
	Tick   = proto.Tick
)

// Line is one line of a trace: an event of the checker's vocabulary, a packet
// and its fate, or a note about something inside a node.
type Line struct {
	At     Tick
	Node   NodeID
	Event  *check.Event       // of a simulated run: valid during the call
	Group  *check.GroupEvent  // likewise
	Domain *check.DomainEvent // likewise
	To     NodeID             // packet: receiver
	Kind   string             // packet: type of its frame
	Ring   RingID             // packet: in its header
	Slot   Slot               // packet: of a data frame
	Size   int
	Fate   string
	Text   string // note
}

// String is the line as people read it.
func (l *Line) String() string {
	at := fmt.Sprintf("%12.6f  ", float64(l.At)/float64(proto.Second))
	switch {
	case l.Event != nil:
		return at + eventText(l.Node, l.Event)
	case l.Group != nil:
		return at + groupText(l.Node, l.Group)
	case l.Domain != nil:
		return at + domainText(l.Node, l.Domain)
	case l.Kind != "":
		s := fmt.Sprintf("%d -> %d %s %d bytes", l.Node, l.To, l.Kind, l.Size)
		if l.Slot != 0 {
			s += fmt.Sprintf(" slot %d", l.Slot)
		}
		if !l.Ring.IsZero() {
			s += fmt.Sprintf(" ring %v", l.Ring)
		}
		if l.Fate != "sent" {
			s += " " + l.Fate
		}
		return at + s
	}
	return at + fmt.Sprintf("%d %s", l.Node, l.Text)
}

func eventText(n NodeID, e *check.Event) string {
	s := fmt.Sprintf("%d %v", n, e.Kind)
	switch e.Kind {
	case check.KindStart:
		s += fmt.Sprintf(" life %d incarnation %d bound %d", e.Life, e.Inc, e.Bound)
		if e.Waived {
			s += " (record behind)"
		}
	case check.KindSubmit:
		s += fmt.Sprintf(" message %d class %d %d bytes%s", e.K, e.Class, e.Size, safeText(e.Safe))
	case check.KindOrig:
		s += fmt.Sprintf(" message %d piece %d slot %d ring %v", e.K, e.No, e.Slot, e.Ring)
		if e.Last {
			s += " last"
		}
	case check.KindDeliver:
		s += fmt.Sprintf(" message %d of %d slot %d ring %v%s", e.K, e.From, e.Slot, e.Ring, safeText(e.Safe))
	case check.KindConf:
		kind := "regular"
		if e.Transitional {
			kind = "transitional"
		}
		s += fmt.Sprintf(" %s %v members %v came along %v from %v because of %s", kind, e.Ring, e.Members, e.Trans, e.Prev, e.Text)
	case check.KindHeld, check.KindStable, check.KindFrame:
		s += fmt.Sprintf(" slot %d ring %v", e.Slot, e.Ring)
	case check.KindPersist:
		s += fmt.Sprintf(" bound %d", e.Bound)
	case check.KindPromise, check.KindRecovery:
		s += fmt.Sprintf(" ring %v", e.Ring)
	case check.KindQuorum:
		s += fmt.Sprintf(" ring %v quorate %v votes %d of %d, %d needed: %s", e.Ring, e.Quorate, e.Votes, e.Expected, e.Needed, e.Text)
	case check.KindKnows:
		s += fmt.Sprintf(" of rings up to %d", e.Ring.Seq)
	case check.KindInit, check.KindProcessed, check.KindActivate, check.KindAbort:
		s += fmt.Sprintf(" ring %v round %d service %d", e.Ring, e.Round, e.Service)
	case check.KindSynced:
		s += fmt.Sprintf(" ring %v round %d", e.Ring, e.Round)
	case check.KindPhase:
		s = "phase " + e.Text
	}
	if e.Late {
		s += ", when the engine has left it"
	}
	return s
}

func groupText(n NodeID, e *check.GroupEvent) string {
	s := fmt.Sprintf("%d client %d %v", n, e.Client, e.Kind)
	switch e.Kind {
	case check.GroupOpened:
		s += fmt.Sprintf(" process %d of group %s", e.Self.PID, e.Group)
	case check.GroupAccepted:
		s += fmt.Sprintf(" message %d", e.Tag)
	case check.GroupChange:
		s += fmt.Sprintf(" members %v left %v joined %v", e.Members, e.Left, e.Joined)
	case check.GroupMessage:
		s += fmt.Sprintf(" message %d of %v", e.Tag, e.From)
	case check.GroupTotem:
		s += fmt.Sprintf(" ring %v", e.Ring)
	}
	return s
}

func safeText(safe bool) string {
	if safe {
		return " safe"
	}
	return ""
}

// AppendJSON appends the line as one JSON document without the newline, in the
// form that the package comment describes.
func (l *Line) AppendJSON(b []byte) []byte {
	b = append(b, `{"at":`...)
	b = strconv.AppendInt(b, int64(l.At), 10)
	if l.Node != 0 {
		b = number(b, "node", uint64(l.Node))
	}
	switch {
	case l.Event != nil:
		b = appendEvent(b, l.Event)
	case l.Group != nil:
		b = appendGroup(b, l.Group)
	case l.Domain != nil:
		b = appendDomain(b, l.Domain)
	case l.Kind != "":
		b = text(b, "packet", l.Kind)
		b = number(b, "to", uint64(l.To))
		b = number(b, "size", uint64(l.Size))
		if !l.Ring.IsZero() {
			b = ringJSON(b, "ring", l.Ring)
		}
		if l.Slot != 0 {
			b = number(b, "slot", uint64(l.Slot))
		}
		b = text(b, "fate", l.Fate)
	default:
		b = text(b, "note", l.Text)
	}
	return append(b, '}')
}

func appendEvent(b []byte, e *check.Event) []byte {
	b = text(b, "ev", e.Kind.String())
	if e.Life != 0 {
		b = number(b, "life", uint64(e.Life))
	}
	if !e.Ring.IsZero() {
		b = ringJSON(b, "ring", e.Ring)
	}
	for _, f := range []struct {
		name string
		v    uint64
	}{
		{"inc", e.Inc}, {"slot", uint64(e.Slot)}, {"from", uint64(e.From)}, {"fromInc", e.FromInc}, {"k", e.K}, {"no", e.No},
		{"class", uint64(e.Class)}, {"size", uint64(e.Size)}, {"hash", e.Hash}, {"bound", e.Bound}, {"service", uint64(e.Service)},
		{"round", uint64(e.Round)},
		{"expected", uint64(e.Expected)}, {"votes", uint64(e.Votes)}, {"device", uint64(e.Device)}, {"needed", uint64(e.Needed)},
	} {
		if f.v != 0 {
			b = number(b, f.name, f.v)
		}
	}
	for _, f := range []struct {
		name string
		v    bool
	}{{"last", e.Last}, {"safe", e.Safe}, {"transitional", e.Transitional}, {"quorate", e.Quorate}, {"waived", e.Waived}, {"late", e.Late}} {
		if f.v {
			b = append(b, `,"`...)
			b = append(b, f.name...)
			b = append(b, `":true`...)
		}
	}
	if e.Kind == check.KindConf {
		b = ringJSON(b, "prev", e.Prev)
		b = list(b, "members", e.Members)
		b = list(b, "incs", e.Incs)
		b = list(b, "trans", e.Trans)
	}
	if e.Text != "" {
		b = text(b, "text", e.Text)
	}
	return b
}

func appendGroup(b []byte, e *check.GroupEvent) []byte {
	b = text(b, "group", e.Kind.String())
	b = number(b, "client", uint64(e.Client))
	b = number(b, "life", uint64(e.Life))
	switch e.Kind {
	case check.GroupOpened:
		b = number(b, "pid", uint64(e.Self.PID))
		b = text(b, "name", e.Group)
	case check.GroupAccepted:
		b = number(b, "tag", e.Tag)
		b = number(b, "hash", e.Hash)
	case check.GroupChange:
		b = memberJSON(b, "members", e.Members)
		b = memberJSON(b, "left", e.Left)
		b = memberJSON(b, "joined", e.Joined)
	case check.GroupMessage:
		b = memberJSON(b, "from", []check.Member{e.From})
		b = number(b, "conn", e.Conn)
		b = number(b, "tag", e.Tag)
		b = number(b, "hash", e.Hash)
	case check.GroupTotem:
		b = ringJSON(b, "ring", e.Ring)
	}
	return b
}

// memberJSON appends processes as node and process id in turn.
func memberJSON(b []byte, name string, l []check.Member) []byte {
	flat := make([]uint64, 0, 2*len(l))
	for _, m := range l {
		flat = append(flat, uint64(m.Node), uint64(m.PID))
	}
	return list(b, name, flat)
}

func number(b []byte, name string, v uint64) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return strconv.AppendUint(b, v, 10)
}

func text(b []byte, name, v string) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	quoted, _ := json.Marshal(v) // a string always can be
	return append(b, quoted...)
}

func ringJSON(b []byte, name string, r RingID) []byte {
	return list(b, name, []uint64{r.Seq, uint64(r.Rep), uint64(r.Inc)})
}

func list[T ~uint32 | ~uint64](b []byte, name string, v []T) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":[`...)
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(x), 10)
	}
	return append(b, ']')
}
