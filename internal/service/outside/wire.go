package outside

import (
	"fmt"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// Protocol is the version of what process and agent tell each other.
const Protocol = 1

// Bounds of what a process may have on the way.
const (
	Window   = 4 << 20 // bytes of multicasts that the ring has not taken
	MaxCalls = 1 << 20 // bytes of clients' calls that the process has not taken
	MaxBody  = service.MaxMessage
	maxNodes = 1024    // names of nodes
	maxText  = 4 << 10 // bytes of a sentence
	FirstOwn = 1 << 8  // functions from here on are for the process itself
)

// Functions of the process. All but the first are casts.
const (
	CallRegister  uint16 = FirstOwn + iota // Register; answers Welcome
	CallMulticast                          // Multicast
	CallReply                              // Reply
	CallPush                               // Push
	CallClose                              // Close
	CallReady                              // Ready
	CallTook                               // Count: calls that were taken, since the start
	CallPong                               // Count: of the ping
	CallHold                               // Hold
	numCalls
)

// Events for the process.
const (
	EventView    uint16 = 1 + iota // View
	EventMessage                   // Message
	EventOpen                      // Open
	EventCall                      // Call
	EventClosed                    // Count: the number of the connection
	EventQuorum                    // Quorum
	EventSent                      // Count: cost of the multicasts that the ring took, since the start
	EventPing                      // Count
	EventNodes                     // Nodes
	EventLeaving                   // empty
	EventDump                      // empty
)

// Part says whom a message is for.
type Part uint8

// Parts of a service.
const (
	Rounds Part = iota // the synchronisation: Body is package resync's
	Normal
	Sync // of a round of the service
	numParts
)

// Register is the body of CallRegister: who the process is.
type Register struct {
	Protocol uint16
	ID       uint16
	Name     string
}

// Welcome answers it.
type Welcome struct {
	Protocol uint16
	Self     proto.NodeID
	Nodes    []Name
}

// Name is what people call a configured node.
type Name struct {
	Node proto.NodeID
	Name string
}

// Nodes is the configured node list.
type Nodes struct{ Nodes []Name }

// View is a configuration of the service.
type View struct {
	Transitional bool
	Primary      bool
	Ring         proto.RingID
	Members      []proto.NodeID
	Left, Joined []proto.NodeID
}

// Message is an ordered message.
type Message struct {
	Part  Part
	Safe  bool
	From  proto.NodeID
	Place proto.RingID // of the nodes, and its slot there
	Slot  proto.Slot
	Src   service.Source
	Func  uint16
	Ring  proto.RingID // of the round: Sync
	Round uint32
	Body  []byte
}

// Multicast is a message that the process wants ordered.
type Multicast struct {
	Part  Part
	Safe  bool
	Src   service.Source
	Func  uint16
	Ring  proto.RingID
	Round uint32
	Body  []byte
}

// Open is a new connection of a client.
type Open struct {
	Conn uint64
	Cred service.Cred
}

// Call is a client's.
type Call struct {
	No   uint64 // for the answer
	Conn uint64
	Tag  uint64
	Func uint16
	Body []byte
}

// Reply answers a Call.
type Reply struct {
	No   uint64
	Code service.Code
	Body []byte
}

// Push is an event for a client.
type Push struct {
	Conn uint64
	Kind uint16
	Body []byte
}

// Close ends a client's connection.
type Close struct {
	Conn uint64
	Code service.Code
}

// Ready says that the round of a configuration is over.
type Ready struct{ Ring proto.RingID }

// Count is a number.
type Count struct{ N uint64 }

// Quorum is the last decision on quorum, how much it is worth, and whether the
// node acts as a member of the primary component by it.
type Quorum struct {
	Primary  bool
	Currency service.Currency
	State    service.QuorumState
}

// Hold says whether calls of a client are to wait.
type Hold struct {
	Conn uint64
	On   bool
}

func appendSource(b []byte, s service.Source) []byte {
	b = body.AppendNode(b, s.Node)
	b = body.AppendU64(b, s.Conn)
	return body.AppendU64(b, s.Tag)
}

func takeSource(r *body.Reader) service.Source {
	return service.Source{Node: r.Node(), Conn: r.U64(), Tag: r.U64()}
}

func takePart(r *body.Reader) Part {
	p := Part(r.U8())
	if p >= numParts {
		r.Fail("part")
	}
	return p
}

// AppendTo appends the body.
func (q Register) AppendTo(b []byte) []byte {
	return body.AppendShort(body.AppendU16(body.AppendU16(b, q.Protocol), q.ID), q.Name)
}

// ParseRegister reads a Register.
func ParseRegister(b []byte) (Register, error) {
	r := body.NewReader(b)
	q := Register{Protocol: r.U16(), ID: r.U16(), Name: string(r.Short())}
	return q, r.Close()
}

func appendNames(b []byte, names []Name) []byte {
	b = body.AppendU32(b, uint32(len(names)))
	for _, n := range names {
		b = body.AppendShort(body.AppendNode(b, n.Node), n.Name)
	}
	return b
}

func takeNames(r *body.Reader) []Name {
	n := r.Count(body.NodeLen + 1)
	if n > maxNodes {
		r.Fail("list of nodes")
		return nil
	}
	var names []Name
	for range n {
		names = append(names, Name{r.Node(), string(r.Short())})
	}
	return names
}

// AppendTo appends the body.
func (w Welcome) AppendTo(b []byte) []byte {
	return appendNames(body.AppendNode(body.AppendU16(b, w.Protocol), w.Self), w.Nodes)
}

// ParseWelcome reads a Welcome.
func ParseWelcome(b []byte) (Welcome, error) {
	r := body.NewReader(b)
	w := Welcome{Protocol: r.U16(), Self: r.Node(), Nodes: takeNames(&r)}
	return w, r.Close()
}

// AppendTo appends the body.
func (n Nodes) AppendTo(b []byte) []byte { return appendNames(b, n.Nodes) }

// ParseNodes reads a Nodes.
func ParseNodes(b []byte) (Nodes, error) {
	r := body.NewReader(b)
	n := Nodes{takeNames(&r)}
	return n, r.Close()
}

// AppendTo appends the body.
func (c View) AppendTo(b []byte) []byte {
	b = body.AppendBool(body.AppendBool(b, c.Transitional), c.Primary)
	b = body.AppendRing(b, c.Ring)
	b = body.AppendNodes(b, c.Members)
	b = body.AppendNodes(b, c.Left)
	return body.AppendNodes(b, c.Joined)
}

// ParseView reads a View.
func ParseView(b []byte) (View, error) {
	r := body.NewReader(b)
	c := View{Transitional: r.Bool(), Primary: r.Bool(), Ring: r.Ring(), Members: r.Nodes(), Left: r.Nodes(), Joined: r.Nodes()}
	return c, r.Close()
}

// AppendTo appends the body.
func (m Message) AppendTo(b []byte) []byte {
	b = body.AppendBool(append(b, byte(m.Part)), m.Safe)
	b = body.AppendU64(body.AppendRing(body.AppendNode(b, m.From), m.Place), uint64(m.Slot))
	b = body.AppendU16(appendSource(b, m.Src), m.Func)
	if m.Part == Sync {
		b = body.AppendU32(body.AppendRing(b, m.Ring), m.Round)
	}
	return append(b, m.Body...)
}

// ParseMessage reads a Message; Body is a view.
func ParseMessage(b []byte) (Message, error) {
	r := body.NewReader(b)
	m := Message{Part: takePart(&r), Safe: r.Bool(), From: r.Node(), Place: r.Ring(), Slot: proto.Slot(r.U64()),
		Src: takeSource(&r), Func: r.U16()}
	if m.Part == Sync {
		m.Ring, m.Round = r.Ring(), r.U32()
	}
	m.Body = r.Rest()
	return m, r.Close()
}

// AppendTo appends the body.
func (m Multicast) AppendTo(b []byte) []byte {
	b = body.AppendBool(append(b, byte(m.Part)), m.Safe)
	b = appendSource(b, m.Src)
	return append(m.appendData(b), m.Body...)
}

// appendData appends what other members need besides the header of the order.
func (m *Multicast) appendData(b []byte) []byte {
	b = body.AppendU16(b, m.Func)
	if m.Part == Sync {
		b = body.AppendU32(body.AppendRing(b, m.Ring), m.Round)
	}
	return b
}

// ParseMulticast reads a Multicast; Body is a view.
func ParseMulticast(b []byte) (Multicast, error) {
	r := body.NewReader(b)
	m := Multicast{Part: takePart(&r), Safe: r.Bool(), Src: takeSource(&r), Func: r.U16()}
	if m.Part == Sync {
		m.Ring, m.Round = r.Ring(), r.U32()
	}
	m.Body = r.Rest()
	if len(m.Body) > MaxBody+Slack {
		return m, fmt.Errorf("%w: a message of %d bytes, at most %d", body.ErrMalformed, len(m.Body), MaxBody)
	}
	return m, r.Close()
}

// Cost is what a multicast with a body of n bytes takes of Window.
func Cost(n int) int { return n + 64 }

// Slack is how much more than MaxBody a message of a round may have.
const Slack = 1 << 10

// AppendTo appends the body.
func (o Open) AppendTo(b []byte) []byte {
	b = body.AppendU64(b, o.Conn)
	return body.AppendU32(body.AppendU32(body.AppendU32(b, o.Cred.UID), o.Cred.GID), uint32(o.Cred.PID))
}

// ParseOpen reads an Open.
func ParseOpen(b []byte) (Open, error) {
	r := body.NewReader(b)
	o := Open{Conn: r.U64(), Cred: service.Cred{UID: r.U32(), GID: r.U32(), PID: int32(r.U32())}}
	return o, r.Close()
}

// AppendTo appends the body.
func (c Call) AppendTo(b []byte) []byte {
	b = body.AppendU64(body.AppendU64(body.AppendU64(b, c.No), c.Conn), c.Tag)
	return append(body.AppendU16(b, c.Func), c.Body...)
}

// ParseCall reads a Call; Body is a view.
func ParseCall(b []byte) (Call, error) {
	r := body.NewReader(b)
	c := Call{No: r.U64(), Conn: r.U64(), Tag: r.U64(), Func: r.U16(), Body: r.Rest()}
	return c, r.Close()
}

// AppendTo appends the body.
func (p Reply) AppendTo(b []byte) []byte {
	return append(body.AppendU16(body.AppendU64(b, p.No), uint16(p.Code)), p.Body...)
}

// ParseReply reads a Reply; Body is a view.
func ParseReply(b []byte) (Reply, error) {
	r := body.NewReader(b)
	p := Reply{No: r.U64(), Code: service.Code(r.U16()), Body: r.Rest()}
	return p, r.Close()
}

// AppendTo appends the body.
func (p Push) AppendTo(b []byte) []byte {
	return append(body.AppendU16(body.AppendU64(b, p.Conn), p.Kind), p.Body...)
}

// ParsePush reads a Push; Body is a view.
func ParsePush(b []byte) (Push, error) {
	r := body.NewReader(b)
	p := Push{Conn: r.U64(), Kind: r.U16(), Body: r.Rest()}
	return p, r.Close()
}

// AppendTo appends the body.
func (c Close) AppendTo(b []byte) []byte {
	return body.AppendU16(body.AppendU64(b, c.Conn), uint16(c.Code))
}

// ParseClose reads a Close.
func ParseClose(b []byte) (Close, error) {
	r := body.NewReader(b)
	c := Close{Conn: r.U64(), Code: service.Code(r.U16())}
	return c, r.Close()
}

// AppendTo appends the body.
func (y Ready) AppendTo(b []byte) []byte { return body.AppendRing(b, y.Ring) }

// ParseReady reads a Ready.
func ParseReady(b []byte) (Ready, error) {
	r := body.NewReader(b)
	y := Ready{r.Ring()}
	return y, r.Close()
}

// AppendTo appends the body.
func (c Count) AppendTo(b []byte) []byte { return body.AppendU64(b, c.N) }

// ParseCount reads a Count.
func ParseCount(b []byte) (Count, error) {
	r := body.NewReader(b)
	c := Count{r.U64()}
	return c, r.Close()
}

// AppendTo appends the body.
func (q Quorum) AppendTo(b []byte) []byte {
	s := &q.State
	b = append(body.AppendBool(b, q.Primary), byte(q.Currency))
	b = body.AppendBool(body.AppendRing(b, s.Ring), s.Quorate)
	for _, n := range []uint32{s.Expected, s.Needed, s.Votes, s.Device, s.Reserved} {
		b = body.AppendU32(b, n)
	}
	b = body.AppendText(body.AppendShort(body.AppendU64(b, uint64(s.Epoch)), s.Row), s.Text)
	b = body.AppendU32(b, uint32(len(s.Shares)))
	for _, v := range s.Shares {
		b = body.AppendU32(body.AppendNode(b, v.Node), v.Votes)
	}
	return b
}

// ParseQuorum reads a Quorum.
func ParseQuorum(b []byte) (Quorum, error) {
	r := body.NewReader(b)
	q := Quorum{Primary: r.Bool(), Currency: service.Currency(r.U8())}
	if q.Currency > service.CurrencyUnknown {
		r.Fail("currency")
	}
	s := &q.State
	s.Ring, s.Quorate = r.Ring(), r.Bool()
	for _, n := range []*uint32{&s.Expected, &s.Needed, &s.Votes, &s.Device, &s.Reserved} {
		*n = r.U32()
	}
	s.Epoch, s.Row, s.Text = service.Epoch(r.U64()), string(r.Short()), string(r.Text(maxText))
	for range r.Count(body.NodeLen + 4) {
		s.Shares = append(s.Shares, service.Share{Node: r.Node(), Votes: r.U32()})
	}
	return q, r.Close()
}

// AppendTo appends the body.
func (h Hold) AppendTo(b []byte) []byte { return body.AppendBool(body.AppendU64(b, h.Conn), h.On) }

// ParseHold reads a Hold.
func ParseHold(b []byte) (Hold, error) {
	r := body.NewReader(b)
	h := Hold{Conn: r.U64(), On: r.Bool()}
	return h, r.Close()
}

// Messages of the members among each other: their functions.
const (
	msgRoll   uint16 = iota // Roll
	msgRounds               // of package resync
	msgNormal               // data
	msgSync                 // data
)

// Roll says whether a process runs at its sender.
type Roll struct {
	Ring proto.RingID // of the nodes
	No   uint32       // of the change within the ring
	Life uint32       // of the process; zero: none
}

// AppendTo appends the body.
func (l Roll) AppendTo(b []byte) []byte {
	return body.AppendU32(body.AppendU32(body.AppendRing(b, l.Ring), l.No), l.Life)
}

// ParseRoll reads a Roll.
func ParseRoll(b []byte) (Roll, error) {
	r := body.NewReader(b)
	l := Roll{Ring: r.Ring(), No: r.U32(), Life: r.U32()}
	return l, r.Close()
}

// data reads what stands before the body of a message between members, as
// Multicast.appendData writes it.
func data(fn uint16, b []byte) (m Message, err error) {
	r := body.NewReader(b)
	m.Part, m.Func = Normal, r.U16()
	switch fn {
	case msgRounds:
		m.Part = Rounds
	case msgSync:
		m.Part, m.Ring, m.Round = Sync, r.Ring(), r.U32()
	}
	m.Body = r.Rest()
	return m, r.Close()
}

// function is that of a message between members.
func (p Part) function() uint16 { return [numParts]uint16{msgRounds, msgNormal, msgSync}[p] }
