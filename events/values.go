package events

import (
	"fmt"
	"net/netip"

	"github.com/moothall/moothall/internal/proto"
	es "github.com/moothall/moothall/internal/service/events"
)

// NodeID names a configured node.
type NodeID = proto.NodeID

// Names of the two classes that are no groups.
const (
	ConnectivityClass = es.ConnTopic
	MembershipClass   = es.MembTopic
)

// Class is what an event is about, with the numbers of draft 0.3.
type Class uint16

// Classes.
const (
	Conn  = Class(es.Conn)
	Memb  = Class(es.Memb)
	Group = Class(es.Group)
)

// ID says what kind of event it is: its class and a number in that (cluster events 2.6).
type ID uint32

// classShift is where the class stands.
const classShift = 22

// MakeID puts an ID together.
func MakeID(c Class, event uint32) ID { return ID(uint32(c)<<classShift | event&(1<<classShift-1)) }

// Class is the event's class.
func (i ID) Class() Class { return Class(i >> classShift) }

// Event is the number in its class.
func (i ID) Event() uint32 { return uint32(i) & (1<<classShift - 1) }

// An Event is a Membership, a Connectivity, or a group's Join, Leave or Cast.
type Event interface {
	// ID says what kind of event it is.
	ID() ID
	// turn is which one it is of its stream.
	turn() uint64
}

// nth is the place of an event in a stream with WithAck, else zero.
type nth uint64

func (n nth) turn() uint64 { return uint64(n) }

// Kind is why a membership is told.
type Kind uint8

// Kinds. The first four have the numbers of draft 0.3.
const (
	NewMembership = Kind(es.NewMembership) // the agreed membership changed
	NotPrimary    = Kind(es.NotPrimary)    // it is not certain any more; the record is the last one
	Restored      = Kind(es.Restored)      // it is as it was before NotPrimary
	Evicted       = Kind(es.Evicted)       // the others went on without this node; no record
	NoQuorum      = Kind(es.NoQuorum)      // who can be reached without quorum; with WithNoQuorum
)

// String is a word.
func (k Kind) String() string { return es.Kind(k).String() }

// Membership is one membership fact. Lists are ascending by BornOn and id.
type Membership struct {
	Kind             Kind
	Seq              uint32 // of the membership: rises by one with each NewMembership
	Members, In, Out []Node
	nth
}

// Node is one member.
type Node struct {
	ID     NodeID
	BornOn uint32 // Seq of the membership in which it came
	Name   string
}

// ID implements Event.
func (m Membership) ID() ID { return MakeID(Memb, uint32(m.Kind)%uint32(NoQuorum)) }

// LinkKind is which of the connectivity events it is.
type LinkKind uint8

// Kinds of connectivity events (cluster events 2.7).
const (
	Interface = LinkKind(es.Interface) // of this node
	Eligible  = LinkKind(es.Eligible)  // a node is configured, or not any more: on all nodes
	Connect   = LinkKind(es.Connect)   // this node reaches another, or does not any more
)

// Connectivity is one connectivity event.
type Connectivity struct {
	Kind  LinkKind
	Up    bool
	Node  NodeID     // zero for an interface
	Index uint32     // of the interface
	Addr  netip.Addr // zero: none
	nth
}

// ID implements Event.
func (c Connectivity) ID() ID { return MakeID(Conn, uint32(c.Kind)) }

// Process names a publisher, or who is in a group.
type Process struct {
	Node NodeID
	PID  uint32
}

// String is node and process id.
func (p Process) String() string { return fmt.Sprintf("%d/%d", p.Node, p.PID) }

// Join tells that a process is in a group.
type Join struct {
	Group   string
	Process Process
	nth
}

// ID implements Event.
func (Join) ID() ID { return MakeID(Group, 1) }

// Leave tells that a process is not in a group any more.
type Leave struct {
	Group   string
	Process Process
	nth
}

// ID implements Event.
func (Leave) ID() ID { return MakeID(Group, 2) }

// Cast is what was published on a group's name.
type Cast struct {
	Group  string
	From   Process
	Number int32  // of it in the group
	Re     int32  // of the one that it answers; 0: none
	Data   []byte // valid until the next Recv
	nth
}

// ID implements Event: that of a reply if it answers another.
func (c Cast) ID() ID {
	if c.Re != 0 {
		return MakeID(Group, 4)
	}
	return MakeID(Group, 3)
}

// parse reads an event of a registration.
func parse(kind uint16, b []byte, n nth) (Event, error) {
	switch kind {
	case es.EventFact:
		e, err := es.ParseMember(b)
		f := &e.Fact
		return Membership{Kind(f.Kind), f.Seq, nodes(f.Members), nodes(f.In), nodes(f.Out), n}, err
	case es.EventLink:
		e, err := es.ParseLink(b)
		l := &e.Link
		return Connectivity{LinkKind(l.Kind), l.Up, l.Node, l.Index, l.Addr, n}, err
	case es.EventEntry:
		e, err := es.ParseEntry(b)
		if e.Joined {
			return Join{e.Group, Process(e.Process), n}, err
		}
		return Leave{e.Group, Process(e.Process), n}, err
	case es.EventMessage:
		e, err := es.ParseMessage(b)
		return Cast{e.Topic, Process(e.From), es.Number(max(e.Seq, 1)), int32(e.Content.Re), e.Content.Data, n}, err
	}
	return nil, fmt.Errorf("an event of unknown kind %d", kind)
}

func nodes(list []es.Member) (out []Node) {
	for _, m := range list {
		out = append(out, Node{m.ID, m.Born, m.Name})
	}
	return out
}
