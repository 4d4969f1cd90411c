package events

import (
	"fmt"
	"net/netip"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
)

// ID is the service's number.
const ID = 12

// Limits. A call that goes beyond is refused.
const (
	MaxName      = 127       // bytes of the name of a group, or of a topic that is created (cluster events P3)
	MaxChannel   = 256       // bytes of the name of a topic that is opened (openais-executive 5.1)
	MaxData      = 64 << 10  // bytes of an event's data (cluster events P1)
	MaxPatterns  = 64        // patterns of an event, and filters of a subscription
	MaxPattern   = 1024      // bytes of one
	MaxPublisher = 256       // bytes of a publisher's name
	MaxTopics    = 4096      // of the cluster
	MaxSubs      = 256       // of a connection
	MaxKeep      = 1 << 14   // events that a topic keeps, for their number or for a time
	MaxKept      = 16 << 20  // bytes of them
	MaxAll       = 128 << 20 // bytes that all topics keep, with perEvent for each event
	lowestNumber = 1000      // numbers of events up to it are reserved (openais-executive 7.2)
	numberWrap   = 1<<31 - 1 // largest number that clients of pre-0.4 see (cluster events P6)
)

// Defaults of Settings.
const (
	DefaultMessages = 1024
	DefaultBytes    = 4 << 20
	DefaultRanked   = 1000
)

// Names that are no topics to create.
const (
	ConnTopic = "__OC_EV_CONN_CLASS"
	MembTopic = "__OC_EV_MEMB_CLASS"
)

// Class is what a registration or a subscription is for; the first three have
// the numbers of draft 0.3.
type Class uint8

// Classes.
const (
	Conn    Class = 1 + iota // connectivity
	Memb                     // membership
	Group                    // a group of draft 0.3: who registers is in it
	Topic                    // a subscription
	Channel                  // a topic that the client has open, by whatever name
)

// String is the word of dumps.
func (c Class) String() string {
	if c < Conn || c > Channel {
		return fmt.Sprintf("class-%d", c)
	}
	return [...]string{"connectivity", "membership", "group", "topic", "channel"}[c-1]
}

// Kind is what a fact says: why it is told.
type Kind uint8

// Kinds of facts (cluster events 2.8 and 4.4).
const (
	NewMembership Kind = 1 + iota // the agreed membership changed
	NotPrimary                    // it is not certain any more; the record is the last one
	Restored                      // it is as it was before NotPrimary
	Evicted                       // the others went on without this node; no record
	NoQuorum                      // members of a ring that is not primary, for those who want that
)

// String is the word of dumps.
func (k Kind) String() string {
	if k < NewMembership || k > NoQuorum {
		return fmt.Sprintf("kind-%d", k)
	}
	return [...]string{"new", "not-primary", "restored", "evicted", "no-quorum"}[k-1]
}

// Member is one member of the primary sub-cluster.
type Member struct {
	ID    proto.NodeID
	Born  uint32 // Seq of the membership in which it came
	Since uint32 // the same as a Trans
	Name  string
	Addr  netip.Addr // of its first link; zero: none
	Boot  int64      // when its machine was started, in nanoseconds since 1970; 0: not known
}

// Fact is one membership fact (cluster events 7.1). Lists are ascending by Born
// and id, and the same at all members for one Seq.
type Fact struct {
	Kind             Kind
	Seq              uint32 // generation of the primary membership: no gaps, no repeats
	Trans            uint32 // rises with every fact, with gaps
	Quorate          bool
	Members, In, Out []Member
}

// Process names a publisher, or a member of a group.
type Process struct {
	Node proto.NodeID
	PID  uint32
}

// FilterType is how a filter looks at a pattern.
type FilterType uint8

// Types of filters, with the values of the AIS.
const (
	Prefix FilterType = 1 + iota
	Suffix
	Exact
	PassAll
)

// Filter is held against the pattern at the same place.
type Filter struct {
	Type    FilterType
	Pattern []byte
}

// Priorities.
const (
	Highest uint8 = 0
	Lowest  uint8 = 3
)

// Content is what a publisher says.
type Content struct {
	Re        uint32 // number of the event that it refers to; 0: none
	Priority  uint8
	Retention int64 // nanoseconds for which late subscribers get it, too
	Published int64 // when, in nanoseconds since 1970, by the publisher's clock
	Publisher []byte
	Patterns  [][]byte
	Data      []byte
}

// Options are those of a topic.
type Options struct {
	Keep    uint32 // how many of its last events are kept
	Durable bool   // they outlive the cluster
}

// Start is where a subscription begins.
type Start uint8

// Starts.
const (
	StartNew   Start = iota // with what is published from now on
	StartKept               // with what is kept for a time, and was not told through the same open
	StartFirst              // with the oldest event that is kept
	StartAt                 // with the event that has a number; what is not kept any more counts as missed
)

// Number is how clients of pre-0.4 see the number of an event in its topic: as
// seq and as ev_id, which begin again after 2^31-1 (cluster events P6).
func Number(seq uint64) int32 { return int32((seq-1)%numberWrap) + 1 }

func appendMembers(b []byte, list []Member) []byte {
	b = body.AppendU32(b, uint32(len(list)))
	for _, m := range list {
		b = body.AppendU32(body.AppendU32(body.AppendNode(b, m.ID), m.Born), m.Since)
		b = appendAttributes(b, m.Name, m.Addr, m.Boot)
	}
	return b
}

const minMember = 4 + 4 + 4 + minAttributes

// takeMembers takes a list; an empty one is nil.
func takeMembers(r *body.Reader) (list []Member) {
	for range r.Count(minMember) {
		m := Member{ID: r.Node(), Born: r.U32(), Since: r.U32()}
		m.Name, m.Addr, m.Boot = takeAttributes(r)
		list = append(list, m)
	}
	return list
}

// appendAttributes appends what is known of a node besides its numbers.
func appendAttributes(b []byte, name string, addr netip.Addr, boot int64) []byte {
	return body.AppendU64(appendAddr(body.AppendShort(b, name), addr), uint64(boot))
}

const minAttributes = 1 + 1 + 8

func takeAttributes(r *body.Reader) (name string, addr netip.Addr, boot int64) {
	return string(r.Short()), takeAddr(r), int64(r.U64())
}

// appendAddr appends an address as text; of none that is empty.
func appendAddr(b []byte, a netip.Addr) []byte {
	text := ""
	if a.IsValid() {
		text = a.String()
	}
	return body.AppendShort(b, text)
}

func takeAddr(r *body.Reader) (a netip.Addr) {
	if text := string(r.Short()); text != "" {
		var err error
		if a, err = netip.ParseAddr(text); err != nil || a.String() != text {
			r.Fail("address")
		}
	}
	return a
}

// appendName appends the name of a topic, which is longer than a short string may
// be.
func appendName(b []byte, name string) []byte {
	return append(body.AppendU16(b, uint16(len(name))), name...)
}

func takeName(r *body.Reader) string {
	n := int(r.U16())
	if n > MaxChannel {
		r.Fail("name")
		return ""
	}
	return string(r.Bytes(n))
}

func appendFact(b []byte, f *Fact) []byte {
	b = body.AppendU32(body.AppendU32(append(b, byte(f.Kind)), f.Seq), f.Trans)
	return appendMembers(appendMembers(appendMembers(body.AppendBool(b, f.Quorate), f.Members), f.In), f.Out)
}

func takeFact(r *body.Reader) Fact {
	f := Fact{Kind: Kind(r.U8()), Seq: r.U32(), Trans: r.U32(), Quorate: r.Bool()}
	if f.Kind < NewMembership || f.Kind > NoQuorum {
		r.Fail("kind of fact")
	}
	f.Members, f.In, f.Out = takeMembers(r), takeMembers(r), takeMembers(r)
	return f
}

func appendProcess(b []byte, p Process) []byte {
	return body.AppendU32(body.AppendNode(b, p.Node), p.PID)
}

func takeProcess(r *body.Reader) Process { return Process{r.Node(), r.U32()} }

func appendContent(b []byte, c *Content) []byte {
	b = append(body.AppendU32(b, c.Re), c.Priority)
	b = body.AppendU64(body.AppendU64(b, uint64(c.Retention)), uint64(c.Published))
	b = body.AppendU32(body.AppendText(b, c.Publisher), uint32(len(c.Patterns)))
	for _, p := range c.Patterns {
		b = body.AppendText(b, p)
	}
	return body.AppendText(b, c.Data)
}

// takeContent takes a content that is within the limits; it is a view.
func takeContent(r *body.Reader) Content {
	c := Content{Re: r.U32(), Priority: r.U8(), Retention: int64(r.U64()), Published: int64(r.U64()), Publisher: r.Text(MaxPublisher)}
	if c.Priority > Lowest || c.Retention < 0 {
		r.Fail("priority or retention")
	}
	n := r.Count(4)
	if n > MaxPatterns {
		r.Fail("patterns")
		return c
	}
	for range n {
		c.Patterns = append(c.Patterns, r.Text(MaxPattern))
	}
	c.Data = r.Text(MaxData)
	return c
}

func appendFilters(b []byte, list []Filter) []byte {
	b = body.AppendU32(b, uint32(len(list)))
	for _, f := range list {
		b = body.AppendText(append(b, byte(f.Type)), f.Pattern)
	}
	return b
}

func takeFilters(r *body.Reader) (list []Filter) {
	n := r.Count(5)
	if n > MaxPatterns {
		r.Fail("filters")
		return nil
	}
	for range n {
		f := Filter{FilterType(r.U8()), r.Text(MaxPattern)}
		if f.Type < Prefix || f.Type > PassAll {
			r.Fail("type of filter")
		}
		list = append(list, f)
	}
	return list
}

func appendOptions(b []byte, o Options) []byte {
	return body.AppendBool(body.AppendU32(b, o.Keep), o.Durable)
}

func takeOptions(r *body.Reader) Options {
	o := Options{r.U32(), r.Bool()}
	if o.Keep > MaxKeep || o.Durable && o.Keep == 0 {
		r.Fail("options of a topic")
	}
	return o
}
