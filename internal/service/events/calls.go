package events

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
)

// Calls, the Func of a service.Request. Answers without a type here have no
// body.
const (
	CallOpen      uint16 = iota // OpenRequest, OpenReply; once, before the calls that bring events
	CallGrant                   // GrantRequest: the client takes so many more events
	CallRegister                // RegisterRequest
	CallSubscribe               // SubscribeRequest
	CallEnd                     // SubRequest: of what was registered or subscribed
	CallPublish                 // PublishRequest, PublishReply when it is ordered
	CallCreate                  // CreateRequest; ErrExist; ErrNotSupported: nothing is durable here
	CallDelete                  // NameRequest; ErrNotExist
	CallClear                   // ClearRequest; ErrNotExist
	CallEnter                   // EnterRequest, EnterReply when it is ordered; ErrNotExist
	CallUnlink                  // NameRequest; ErrNotExist
	CallDescribe                // NameRequest, Description; ErrNotExist
	CallList                    // nothing, ListReply
	CallStatus                  // nothing, StatusReply
	CallRecall                  // nothing: what was granted and not used is taken back
	CallTake                    // nothing, TakeReply: the next event; from then on EventNews comes
	numCalls
)

// OpenRequest is the body of CallOpen.
type OpenRequest struct {
	Window uint32 // events that the client takes to begin with
	// Ranked orders waiting events by priority and says with one Lost that some
	// were left out, as the AIS has it. Otherwise events come in the order of the
	// cluster, and each says how many are missing before it.
	Ranked bool
}

// OpenReply answers CallOpen.
type OpenReply struct {
	Self       proto.NodeID
	Configured uint32 // nodes
	// What may wait for a subscription, and for a ranked connection, at the time.
	QueueMessages, QueueBytes, QueueRanked uint32
}

// GrantRequest is the body of CallGrant.
type GrantRequest struct{ Events uint32 }

// RegisterRequest is the body of CallRegister (cluster events 2.5). A ranked
// connection has no groups.
type RegisterRequest struct {
	Sub     uint32 // the client's name for it, free
	Class   Class  // Conn, Memb or Group
	Group   []byte // of Group
	Special bool   // of Memb: NoQuorum facts too
}

// SubscribeRequest is the body of CallSubscribe. ErrNotExist: there is no such
// topic.
type SubscribeRequest struct {
	Sub     uint32 // the client's name for it, free
	Open    uint32 // subscriptions of one open, by the Sub of that or by any number, get an event once, as the oldest that matches
	Topic   []byte
	Number  uint64 // of the topic; zero: the one with the name
	Start   Start
	Seq     uint64 // with StartAt
	Filters []Filter
}

// SubRequest is the body of CallEnd.
type SubRequest struct{ Sub uint32 }

// PublishRequest is the body of CallPublish. On the name of a group, Re makes it
// a reply (cluster events 2.9).
type PublishRequest struct {
	Topic   []byte
	Number  uint64 // of the topic; zero: the one with the name
	Content Content
}

// PublishReply answers CallPublish.
type PublishReply struct {
	ID  uint64 // of the event in the cluster
	Seq uint64 // of the event in its topic
}

// CreateRequest is the body of CallCreate.
type CreateRequest struct {
	Name    []byte
	Options Options
}

// NameRequest is the body of CallDelete and CallDescribe.
type NameRequest struct{ Name []byte }

// ClearRequest is the body of CallClear: the event is not kept for a time any
// more.
type ClearRequest struct {
	Topic  []byte
	Number uint64 // of the topic; zero: the one with the name
	ID     uint64
}

// EnterRequest is the body of CallEnter. The client has the topic open until
// CallEnd. Without a name, after CallUnlink, a topic lives until the last open of it
// ends (openais-executive 7.8).
type EnterRequest struct {
	Sub     uint32 // the client's name for it, free
	Name    []byte
	Create  bool // if there is none
	Options Options
}

// EnterReply answers CallEnter.
type EnterReply struct{ Number uint64 } // of the topic

// Description is what is known of a topic, and answers CallDescribe.
type Description struct {
	Name    string
	Number  uint64 // of this topic among all that had the name
	Created bool   // by an administrator; or it is a live group alone
	Options Options
	Seq     uint64 // of its last event
	First   uint64 // of the oldest event that is kept; zero: none
	Kept    uint32 // events
	Members []Process
	Opens   uint32 // how often it is open
}

// ListReply answers CallList.
type ListReply struct{ Topics []Description }

// State is where this node is with the membership (cluster events 2.8).
type State uint8

// States.
const (
	None    State = iota // in no membership, yet or any more
	Primary              // in the primary sub-cluster
	Limbo                // it may go on without this node
)

// StatusReply answers CallStatus.
type StatusReply struct {
	State State
	Fact  Fact // the last record; its kind is what it is worth now
}

// TakeReply answers CallTake.
type TakeReply struct {
	Left    uint32 // events that wait still; zero: EventNews tells when one does
	Primary bool   // this node is in the primary sub-cluster
	Kind    uint16 // of the event; zero: none waits
	Body    []byte
}

// AppendTo appends the body of CallOpen.
func (q OpenRequest) AppendTo(b []byte) []byte {
	return body.AppendBool(body.AppendU32(b, q.Window), q.Ranked)
}

// ParseOpen reads the body of CallOpen.
func ParseOpen(b []byte) (OpenRequest, error) {
	r := body.NewReader(b)
	q := OpenRequest{r.U32(), r.Bool()}
	return q, r.Close()
}

// AppendTo appends the answer to CallOpen.
func (p OpenReply) AppendTo(b []byte) []byte {
	b = body.AppendU32(body.AppendNode(b, p.Self), p.Configured)
	return body.AppendU32(body.AppendU32(body.AppendU32(b, p.QueueMessages), p.QueueBytes), p.QueueRanked)
}

// ParseOpenReply reads the answer to CallOpen.
func ParseOpenReply(b []byte) (OpenReply, error) {
	r := body.NewReader(b)
	p := OpenReply{r.Node(), r.U32(), r.U32(), r.U32(), r.U32()}
	return p, r.Close()
}

// AppendTo appends the body of CallGrant.
func (q GrantRequest) AppendTo(b []byte) []byte { return body.AppendU32(b, q.Events) }

// ParseGrant reads the body of CallGrant.
func ParseGrant(b []byte) (GrantRequest, error) {
	r := body.NewReader(b)
	q := GrantRequest{r.U32()}
	return q, r.Close()
}

// AppendTo appends the body of CallRegister.
func (q RegisterRequest) AppendTo(b []byte) []byte {
	b = append(body.AppendU32(b, q.Sub), byte(q.Class))
	return body.AppendBool(body.AppendText(b, q.Group), q.Special)
}

// ParseRegister reads the body of CallRegister. A name that is too long stays so.
func ParseRegister(b []byte) (RegisterRequest, error) {
	r := body.NewReader(b)
	q := RegisterRequest{r.U32(), Class(r.U8()), r.Text(r.Len()), r.Bool()}
	return q, r.Close()
}

// AppendTo appends the body of CallSubscribe.
func (q SubscribeRequest) AppendTo(b []byte) []byte {
	b = body.AppendU64(body.AppendText(body.AppendU32(body.AppendU32(b, q.Sub), q.Open), q.Topic), q.Number)
	return appendFilters(body.AppendU64(append(b, byte(q.Start)), q.Seq), q.Filters)
}

// ParseSubscribe reads the body of CallSubscribe.
func ParseSubscribe(b []byte) (SubscribeRequest, error) {
	r := body.NewReader(b)
	q := SubscribeRequest{r.U32(), r.U32(), r.Text(r.Len()), r.U64(), Start(r.U8()), r.U64(), takeFilters(&r)}
	if q.Start > StartAt {
		r.Fail("start")
	}
	return q, r.Close()
}

// AppendTo appends the body of CallEnd.
func (q SubRequest) AppendTo(b []byte) []byte { return body.AppendU32(b, q.Sub) }

// ParseSub reads the body of CallEnd.
func ParseSub(b []byte) (SubRequest, error) {
	r := body.NewReader(b)
	q := SubRequest{r.U32()}
	return q, r.Close()
}

// AppendTo appends the body of CallPublish.
func (q PublishRequest) AppendTo(b []byte) []byte {
	return appendContent(body.AppendU64(body.AppendText(b, q.Topic), q.Number), &q.Content)
}

// ParsePublish reads the body of CallPublish.
func ParsePublish(b []byte) (PublishRequest, error) {
	r := body.NewReader(b)
	q := PublishRequest{r.Text(r.Len()), r.U64(), takeContent(&r)}
	return q, r.Close()
}

// AppendTo appends the answer to CallPublish.
func (p PublishReply) AppendTo(b []byte) []byte {
	return body.AppendU64(body.AppendU64(b, p.ID), p.Seq)
}

// ParsePublishReply reads the answer to CallPublish.
func ParsePublishReply(b []byte) (PublishReply, error) {
	r := body.NewReader(b)
	p := PublishReply{r.U64(), r.U64()}
	return p, r.Close()
}

// AppendTo appends the body of CallCreate.
func (q CreateRequest) AppendTo(b []byte) []byte {
	return appendOptions(body.AppendText(b, q.Name), q.Options)
}

// ParseCreate reads the body of CallCreate.
func ParseCreate(b []byte) (CreateRequest, error) {
	r := body.NewReader(b)
	q := CreateRequest{r.Text(r.Len()), takeOptions(&r)}
	return q, r.Close()
}

// AppendTo appends the body of CallDelete and CallDescribe.
func (q NameRequest) AppendTo(b []byte) []byte { return body.AppendText(b, q.Name) }

// ParseName reads the body of CallDelete and CallDescribe.
func ParseName(b []byte) (NameRequest, error) {
	r := body.NewReader(b)
	q := NameRequest{r.Text(r.Len())}
	return q, r.Close()
}

// AppendTo appends the body of CallClear.
func (q ClearRequest) AppendTo(b []byte) []byte {
	return body.AppendU64(body.AppendU64(body.AppendText(b, q.Topic), q.Number), q.ID)
}

// ParseClear reads the body of CallClear.
func ParseClear(b []byte) (ClearRequest, error) {
	r := body.NewReader(b)
	q := ClearRequest{r.Text(r.Len()), r.U64(), r.U64()}
	return q, r.Close()
}

// AppendTo appends the body of CallEnter.
func (q EnterRequest) AppendTo(b []byte) []byte {
	b = body.AppendText(body.AppendU32(b, q.Sub), q.Name)
	return appendOptions(body.AppendBool(b, q.Create), q.Options)
}

// ParseEnter reads the body of CallEnter.
func ParseEnter(b []byte) (EnterRequest, error) {
	r := body.NewReader(b)
	q := takeEnterRequest(&r)
	return q, r.Close()
}

func takeEnterRequest(r *body.Reader) EnterRequest {
	return EnterRequest{r.U32(), r.Text(r.Len()), r.Bool(), takeOptions(r)}
}

// AppendTo appends the answer to CallEnter.
func (p EnterReply) AppendTo(b []byte) []byte { return body.AppendU64(b, p.Number) }

// ParseEnterReply reads the answer to CallEnter.
func ParseEnterReply(b []byte) (EnterReply, error) {
	r := body.NewReader(b)
	p := EnterReply{r.U64()}
	return p, r.Close()
}

// AppendTo appends the answer to CallDescribe.
func (d Description) AppendTo(b []byte) []byte {
	b = body.AppendBool(body.AppendU64(appendName(b, d.Name), d.Number), d.Created)
	b = body.AppendU64(body.AppendU64(appendOptions(b, d.Options), d.Seq), d.First)
	b = body.AppendU32(body.AppendU32(b, d.Kept), uint32(len(d.Members)))
	for _, p := range d.Members {
		b = appendProcess(b, p)
	}
	return body.AppendU32(b, d.Opens)
}

// minDescription is the least that an encoded Description takes.
const minDescription = 2 + 8 + 1 + 5 + 8 + 8 + 4 + 4 + 4

func takeDescription(r *body.Reader) Description {
	d := Description{Name: takeName(r), Number: r.U64(), Created: r.Bool(), Options: takeOptions(r), Seq: r.U64(), First: r.U64(), Kept: r.U32()}
	for range r.Count(8) {
		d.Members = append(d.Members, takeProcess(r))
	}
	d.Opens = r.U32()
	return d
}

// ParseDescription reads the answer to CallDescribe.
func ParseDescription(b []byte) (Description, error) {
	r := body.NewReader(b)
	d := takeDescription(&r)
	return d, r.Close()
}

// AppendTo appends the answer to CallList.
func (p ListReply) AppendTo(b []byte) []byte {
	b = body.AppendU32(b, uint32(len(p.Topics)))
	for _, d := range p.Topics {
		b = d.AppendTo(b)
	}
	return b
}

// ParseListReply reads the answer to CallList.
func ParseListReply(b []byte) (ListReply, error) {
	r := body.NewReader(b)
	var p ListReply
	for range r.Count(minDescription) {
		p.Topics = append(p.Topics, takeDescription(&r))
	}
	return p, r.Close()
}

// AppendTo appends the answer to CallStatus.
func (p StatusReply) AppendTo(b []byte) []byte { return appendFact(append(b, byte(p.State)), &p.Fact) }

// ParseStatusReply reads the answer to CallStatus.
func ParseStatusReply(b []byte) (StatusReply, error) {
	r := body.NewReader(b)
	p := StatusReply{State(r.U8()), takeFact(&r)}
	if p.State > Limbo {
		r.Fail("state")
	}
	return p, r.Close()
}

// AppendTo appends the answer to CallTake.
func (p TakeReply) AppendTo(b []byte) []byte {
	return body.AppendText(body.AppendU16(body.AppendBool(body.AppendU32(b, p.Left), p.Primary), p.Kind), p.Body)
}

// ParseTakeReply reads the answer to CallTake; what it returns shares memory with b.
func ParseTakeReply(b []byte) (TakeReply, error) {
	r := body.NewReader(b)
	p := TakeReply{r.U32(), r.Bool(), r.U16(), r.Text(r.Len())}
	return p, r.Close()
}
