package events

import (
	"net/netip"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// The messages between the nodes, the Func of a service.Message. All but
// msgCommit and those of a round begin with a head.
const (
	msgCommit   uint16 = iota // commit: the membership of a ring
	msgEligible               // head, nodes that are configured
	msgCreate                 // head, CreateRequest
	msgDelete                 // head, NameRequest
	msgPublish                // head, process id, PublishRequest
	msgClear                  // head, ClearRequest
	msgJoin                   // head, group, entrant
	msgLeave                  // head, group, entrant
	msgEnter                  // head, enter
	msgExit                   // head, number of a topic, entrant
	msgUnlink                 // head, NameRequest
	msgExpire                 // head, ids of events whose time is over
	msgBring                  // head, brought
	msgOffer                  // Sync class: offer
	msgState                  // Sync class: whether it is the last piece, piece of what the sender tells
)

// commit is the membership of one ring.
type commit struct {
	ring     proto.RingID
	trans    uint32
	eligible []proto.NodeID
	members  []newcomer
}

// Commits reports whether a message says who the members of its ring are. It is for
// observers.
func Commits(m *service.Message) bool {
	e := entry{at: place{ring: m.Ring}, fn: m.Func, body: m.Body}
	_, ok := e.commit()
	return ok
}

// newcomer is a member of a ring, and when it came if it was one before.
type newcomer struct {
	id   proto.NodeID
	name string
	born uint32 // zero: it is new
	addr netip.Addr
	boot int64
}

func (c *commit) appendTo(b []byte) []byte {
	b = body.AppendNodes(body.AppendU32(body.AppendRing(b, c.ring), c.trans), c.eligible)
	b = body.AppendU32(b, uint32(len(c.members)))
	for _, m := range c.members {
		b = appendAttributes(body.AppendU32(body.AppendNode(b, m.id), m.born), m.name, m.addr, m.boot)
	}
	return b
}

func parseCommit(b []byte) (commit, error) {
	r := body.NewReader(b)
	c := commit{ring: r.Ring(), trans: r.U32(), eligible: r.Nodes()}
	for range r.Count(4 + 4 + minAttributes) {
		m := newcomer{id: r.Node(), born: r.U32()}
		m.name, m.addr, m.boot = takeAttributes(&r)
		if n := len(c.members); n > 0 && c.members[n-1].id >= m.id {
			r.Fail("order of members")
		}
		c.members = append(c.members, m)
	}
	return c, r.Close()
}

// entrant is one registration for a group.
type entrant struct {
	Process
	conn uint64
	sub  uint32
}

const entrantSize = 4 + 4 + 8 + 4

func appendEntrant(b []byte, e entrant) []byte {
	return body.AppendU32(body.AppendU64(appendProcess(b, e.Process), e.conn), e.sub)
}

func appendEntrants(b []byte, list []entrant) []byte {
	b = body.AppendU32(b, uint32(len(list)))
	for _, e := range list {
		b = appendEntrant(b, e)
	}
	return b
}

// takeEntrants takes a list; an empty one is nil.
func takeEntrants(r *body.Reader) (list []entrant) {
	for range r.Count(entrantSize) {
		list = append(list, takeEntrant(r))
	}
	return list
}

func takeEntrant(r *body.Reader) entrant { return entrant{takeProcess(r), r.U64(), r.U32()} }

// entry is a message that is ordered, as it is kept and told to others.
type entry struct {
	at   place
	from proto.NodeID
	fn   uint16
	src  service.Source
	body []byte
}

// place is where a message was in the order of its ring. Messages of one node that
// travel together have one slot.
type place struct {
	ring proto.RingID
	slot service.Slot
	n    uint32 // of the messages of this service in the slot
}

const placeSize = body.RingLen + 8 + 4

func appendPlace(b []byte, p place) []byte {
	return body.AppendU32(body.AppendU64(body.AppendRing(b, p.ring), uint64(p.slot)), p.n)
}

func takePlace(r *body.Reader) place { return place{r.Ring(), service.Slot(r.U64()), r.U32()} }

// after is the place of a message that is delivered after the one at p.
func (p place) after(m *service.Message) place {
	if p.ring != m.Ring || p.slot != m.Slot || bug.Planted("events-slots-are-unique") {
		return place{m.Ring, m.Slot, 0}
	}
	p.n++
	return p
}

func (e *entry) appendTo(b []byte) []byte {
	b = body.AppendU16(body.AppendNode(appendPlace(b, e.at), e.from), e.fn)
	b = body.AppendU64(body.AppendU64(body.AppendNode(b, e.src.Node), e.src.Conn), e.src.Tag)
	return body.AppendText(b, e.body)
}

const minEntry = placeSize + 4 + 2 + 4 + 8 + 8 + 4

func takeEntry(r *body.Reader) entry {
	e := entry{at: takePlace(r), from: r.Node(), fn: r.U16(), src: service.Source{Node: r.Node(), Conn: r.U64(), Tag: r.U64()}}
	e.body = r.Text(r.Len())
	return e
}

// offer is what a member says at the start of a round.
type offer struct {
	latest proto.RingID   // of the last commit that it has, applied or not
	agreed []proto.RingID // of a new one: rounds that ended at it, whose commits it may not have
	at     place          // of the last message that it applied
	born   uint32         // of the member; zero: it is new
	trans  uint32
	addr   netip.Addr     // the member's
	boot   int64          // of its machine
	weight uint64         // how much was published, as far as it knows
	state  service.Digest // what it applied
	held   []place        // of the messages that it has beyond that
}

func (o *offer) appendTo(b []byte) []byte {
	b = body.AppendU32(appendPlace(body.AppendRing(b, o.latest), o.at), o.born)
	b = body.AppendU64(appendAddr(body.AppendU32(b, o.trans), o.addr), uint64(o.boot))
	b = append(body.AppendU64(b, o.weight), o.state[:]...)
	b = body.AppendU32(b, uint32(len(o.held)))
	for _, p := range o.held {
		b = appendPlace(b, p)
	}
	b = body.AppendU32(b, uint32(len(o.agreed)))
	for _, r := range o.agreed {
		b = body.AppendRing(b, r)
	}
	return b
}

func parseOffer(b []byte) (*offer, error) {
	r := body.NewReader(b)
	o := &offer{latest: r.Ring(), at: takePlace(&r), born: r.U32(), trans: r.U32(), addr: takeAddr(&r), boot: int64(r.U64()), weight: r.U64()}
	copy(o.state[:], r.Bytes(len(o.state)))
	for range r.Count(placeSize) {
		o.held = append(o.held, takePlace(&r))
	}
	for range r.Count(body.RingLen) {
		o.agreed = append(o.agreed, r.Ring())
	}
	return o, r.Close()
}
