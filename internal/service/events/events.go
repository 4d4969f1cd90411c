package events

import (
	"net/netip"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
)

// Events, the kind of a Push. Each begins with the client's name for what it
// registered or subscribed, and counts against what the client granted.
const (
	EventFact    uint16 = 1 + iota // MemberEvent; of Memb
	EventLink                      // LinkEvent; of Conn
	EventEntry                     // EntryEvent; of Group
	EventMessage                   // MessageEvent; of Group and Topic
	EventLost                      // SubRequest; of a ranked connection: events were left out (openais-executive O5)
	EventEnd                       // EndEvent: nothing follows
	EventNews                      // NewsEvent, to who used CallTake; it is not counted
)

// MemberEvent tells a membership fact.
type MemberEvent struct {
	Sub  uint32
	Fact Fact
}

// LinkKind is which of the connectivity events it is, with the numbers of draft
// 0.3.
type LinkKind uint8

// Kinds of connectivity events (cluster events 2.7).
const (
	Interface LinkKind = 1 + iota // of this node
	Eligible                      // a node is configured, or not any more; in the order of the cluster
	Connect                       // of this node with another
)

// Link is one connectivity event.
type Link struct {
	Kind  LinkKind
	Up    bool
	Node  proto.NodeID // 0 for an interface
	Index uint32       // of the interface
	Addr  netip.Addr   // zero: none
}

// LinkEvent tells a connectivity event.
type LinkEvent struct {
	Sub  uint32
	Link Link
}

// EntryEvent tells that a process joined or left a group.
type EntryEvent struct {
	Sub     uint32
	Joined  bool
	Process Process
	Group   string
}

// MessageEvent tells what was published.
type MessageEvent struct {
	Sub     uint32
	Missed  uint64 // events of the topic that were left out before this one
	Topic   string
	ID      uint64 // in the cluster: the publisher's node, and a number
	Seq     uint64 // in its topic: no gaps
	From    Process
	Content Content
}

// Why is why a registration or subscription ended.
type Why uint8

// Reasons.
const (
	Deleted Why = 1 + iota // there is no such topic any more
	Thrown                 // the node was evicted
	Slow                   // the client did not take the events of a group
	Stopped                // the node leaves the cluster
	Refused                // the cluster has too many topics
)

// EndEvent is the last one of a registration or a subscription.
type EndEvent struct {
	Sub uint32
	Why Why
}

// NewsEvent tells who fetches events that there are some, after there were none, and
// whether this node is in the primary sub-cluster, when that changed.
type NewsEvent struct{ Waits, Primary bool }

// AppendTo appends the event.
func (e MemberEvent) AppendTo(b []byte) []byte { return appendFact(body.AppendU32(b, e.Sub), &e.Fact) }

// ParseMember reads EventFact.
func ParseMember(b []byte) (MemberEvent, error) {
	r := body.NewReader(b)
	e := MemberEvent{r.U32(), takeFact(&r)}
	return e, r.Close()
}

// AppendTo appends the event.
func (e LinkEvent) AppendTo(b []byte) []byte {
	l := &e.Link
	b = body.AppendBool(append(body.AppendU32(b, e.Sub), byte(l.Kind)), l.Up)
	return appendAddr(body.AppendU32(body.AppendNode(b, l.Node), l.Index), l.Addr)
}

// ParseLink reads EventLink.
func ParseLink(b []byte) (LinkEvent, error) {
	r := body.NewReader(b)
	e := LinkEvent{r.U32(), Link{Kind: LinkKind(r.U8()), Up: r.Bool(), Node: r.Node(), Index: r.U32()}}
	if e.Link.Kind < Interface || e.Link.Kind > Connect {
		r.Fail("kind of link")
	}
	e.Link.Addr = takeAddr(&r)
	return e, r.Close()
}

// AppendTo appends the event.
func (e EntryEvent) AppendTo(b []byte) []byte {
	b = appendProcess(body.AppendBool(body.AppendU32(b, e.Sub), e.Joined), e.Process)
	return body.AppendShort(b, e.Group)
}

// ParseEntry reads EventEntry.
func ParseEntry(b []byte) (EntryEvent, error) {
	r := body.NewReader(b)
	e := EntryEvent{r.U32(), r.Bool(), takeProcess(&r), string(r.Short())}
	return e, r.Close()
}

// AppendTo appends the event.
func (e MessageEvent) AppendTo(b []byte) []byte {
	return appendMessage(appendMessageHead(b, e.Sub, e.Missed), e.Topic, &event{id: e.ID, seq: e.Seq, from: e.From, content: e.Content})
}

// appendMessageHead appends what differs between those who get an event.
func appendMessageHead(b []byte, sub uint32, missed uint64) []byte {
	return body.AppendU64(body.AppendU32(b, sub), missed)
}

// appendMessage appends the rest.
func appendMessage(b []byte, topic string, ev *event) []byte {
	b = body.AppendU64(body.AppendU64(appendName(b, topic), ev.id), ev.seq)
	return appendContent(appendProcess(b, ev.from), &ev.content)
}

// ParseMessage reads EventMessage; what it returns shares memory with b.
func ParseMessage(b []byte) (MessageEvent, error) {
	r := body.NewReader(b)
	e := MessageEvent{r.U32(), r.U64(), takeName(&r), r.U64(), r.U64(), takeProcess(&r), takeContent(&r)}
	return e, r.Close()
}

// AppendTo appends the event.
func (e EndEvent) AppendTo(b []byte) []byte { return append(body.AppendU32(b, e.Sub), byte(e.Why)) }

// ParseEnd reads EventEnd.
func ParseEnd(b []byte) (EndEvent, error) {
	r := body.NewReader(b)
	e := EndEvent{r.U32(), Why(r.U8())}
	if e.Why < Deleted || e.Why > Refused {
		r.Fail("reason")
	}
	return e, r.Close()
}

// AppendTo appends the event.
func (e NewsEvent) AppendTo(b []byte) []byte {
	return body.AppendBool(body.AppendBool(b, e.Waits), e.Primary)
}

// ParseNews reads EventNews.
func ParseNews(b []byte) (NewsEvent, error) {
	r := body.NewReader(b)
	e := NewsEvent{r.Bool(), r.Bool()}
	return e, r.Close()
}
