package groups

import (
	"github.com/moothall/moothall/internal/service/body"
)

// Calls, the Func of a service.Request (group services C.9). All are answered with
// a Reply but CallHello. A vote is never refused for want of room, so it may be a cast:
// an answer that nobody needs would wake each voter once more.
const (
	CallHello       uint16 = 1
	CallJoin        uint16 = 3
	CallLeave       uint16 = 4
	CallExpel       uint16 = 5
	CallState       uint16 = 6
	CallAttributes  uint16 = 7
	CallMessage     uint16 = 8
	CallVote        uint16 = 9
	CallGoodbye     uint16 = 10
	CallSubscribe   uint16 = 11
	CallUnsubscribe uint16 = 12
	CallResponse    uint16 = 13
	CallQuit        uint16 = 14
	numCalls               = 15
)

// HelloRequest is the body of CallHello, the first call of a client.
type HelloRequest struct {
	Level     uint16
	Subsystem string
	Domain    string // name; empty: the agent's
	Check     uint8  // responsiveness: NoCheck, PingCheck or CounterCheck
	Interval  uint32 // seconds between checks
	Limit     uint32 // seconds for an answer
	PID       int32
	Script    string // deactivate script; empty: none
	Adapters  bool   // wants the adapter table
}

// HelloReply answers CallHello.
type HelloReply struct {
	Code   Code
	Level  uint16
	Node   int16
	Limits Limits
}

// Limits are those of the domain and of the agent (group services 17), for what a
// library can refuse by itself.
type Limits struct {
	Name      uint32 // bytes of a group's name
	LocalName uint32 // bytes of a provider's local name
	State     uint32 // bytes of a state value
	Message   uint32 // bytes of a provider's message
	Flag      uint32 // bytes of a deactivate flag
	Script    uint32 // bytes of a script's path
	Providers uint32 // of a group
	Groups    uint32 // of a domain
	Tokens    uint32 // of a client
	Clients   uint32 // of an agent
	Waiting   uint32 // bytes of events that wait for a client, beyond what the kernel takes
}

// limits are those of this agent.
var limits = Limits{Name: MaxName, LocalName: MaxName, State: MaxState, Message: MaxMessage, Flag: MaxFlag, Script: MaxScript,
	Providers: MaxProviders, Groups: MaxGroups, Tokens: MaxTokens, Clients: MaxClients, Waiting: MaxWaiting}

// fields are the limits in the order of their encoding; new ones come last.
func (l *Limits) fields() []*uint32 {
	return []*uint32{&l.Name, &l.LocalName, &l.State, &l.Message, &l.Flag, &l.Script, &l.Providers, &l.Groups, &l.Tokens, &l.Clients, &l.Waiting}
}

// Reply answers all other calls.
type Reply struct{ Code Code }

// JoinRequest is the body of CallJoin.
type JoinRequest struct {
	Token    int32
	Group    []byte
	Attrs    Attributes
	Instance int16
	Local    []byte // name for logs
}

// Proposal is the body of CallLeave, CallExpel, CallState, CallAttributes and
// CallMessage, with the fields that the call needs.
type Proposal struct {
	Token  int32
	Phases uint8
	Limit  int32 // seconds of a phase

	Code    uint32      // of a leave
	Targets []Provider  // of an expel, with Phase and Data, the deactivate flag
	Phase   uint32      // in which scripts run
	Data    []byte      // new state, or message
	Attrs   *Attributes // the whole block
}

// VoteRequest is the body of CallVote.
type VoteRequest struct {
	Token   int32
	Seq     uint64 // of the protocol
	Phase   uint32
	Vote    Vote
	Default Vote   // for voters that do not vote; NullVote leaves it
	State   []byte // proposed value; nil: none
	Message []byte // for all, with the next notification; nil: none
}

// TokenRequest is the body of CallGoodbye and CallUnsubscribe.
type TokenRequest struct{ Token int32 }

// SubscribeRequest is the body of CallSubscribe.
type SubscribeRequest struct {
	Token int32
	Wants uint32
	Group []byte
}

// ResponseRequest is the body of CallResponse.
type ResponseRequest struct {
	Check uint32 // number
	OK    bool
}

// AppendTo appends the body of CallHello.
func (q HelloRequest) AppendTo(b []byte) []byte {
	b = body.AppendText(body.AppendText(body.AppendU16(b, q.Level), q.Subsystem), q.Domain)
	b = body.AppendU32(body.AppendU32(append(b, q.Check), q.Interval), q.Limit)
	return body.AppendBool(body.AppendText(body.AppendU32(b, uint32(q.PID)), q.Script), q.Adapters)
}

// ParseHello reads the body of CallHello.
func ParseHello(b []byte) (HelloRequest, error) {
	r := body.NewReader(b)
	q := HelloRequest{Level: r.U16(), Subsystem: string(r.Text(255)), Domain: string(r.Text(255)), Check: r.U8(),
		Interval: r.U32(), Limit: r.U32(), PID: int32(r.U32()), Script: string(r.Text(MaxScript)), Adapters: r.Bool()}
	return q, r.Close()
}

// AppendTo appends the answer to CallHello.
func (p HelloReply) AppendTo(b []byte) []byte {
	b = body.AppendU16(body.AppendU16(body.AppendU16(b, uint16(p.Code)), p.Level), uint16(p.Node))
	fields := p.Limits.fields()
	b = body.AppendU32(b, uint32(len(fields)))
	for _, f := range fields {
		b = body.AppendU32(b, *f)
	}
	return b
}

// ParseHelloReply reads the answer to CallHello. Of an agent that knows more limits
// it takes those that it knows itself.
func ParseHelloReply(b []byte) (HelloReply, error) {
	r := body.NewReader(b)
	p := HelloReply{Code: Code(r.U16()), Level: r.U16(), Node: int16(r.U16())}
	fields := p.Limits.fields()
	for i := range r.Count(4) {
		if v := r.U32(); i < len(fields) {
			*fields[i] = v
		}
	}
	return p, r.Close()
}

// AppendTo appends an answer.
func (p Reply) AppendTo(b []byte) []byte { return body.AppendU16(b, uint16(p.Code)) }

// ParseReply reads an answer.
func ParseReply(b []byte) (Reply, error) {
	r := body.NewReader(b)
	p := Reply{Code(r.U16())}
	return p, r.Close()
}

// AppendTo appends the body of CallJoin.
func (q JoinRequest) AppendTo(b []byte) []byte {
	b = body.AppendText(body.AppendU32(b, uint32(q.Token)), q.Group)
	return body.AppendText(body.AppendU16(appendAttributes(b, &q.Attrs), uint16(q.Instance)), q.Local)
}

// ParseJoin reads the body of CallJoin; Group and Local are views.
func ParseJoin(b []byte) (JoinRequest, error) {
	r := body.NewReader(b)
	q := JoinRequest{Token: int32(r.U32()), Group: r.Text(4 * MaxName), Attrs: takeAttributes(&r), Instance: int16(r.U16()), Local: r.Text(4 * MaxName)}
	return q, r.Close()
}

// AppendTo appends a proposal.
func (q Proposal) AppendTo(b []byte) []byte {
	b = body.AppendU32(append(body.AppendU32(b, uint32(q.Token)), q.Phases), uint32(q.Limit))
	b = appendProviders(body.AppendU32(b, q.Code), q.Targets)
	return appendOptAttributes(body.AppendText(body.AppendU32(b, q.Phase), q.Data), q.Attrs)
}

// ParseProposal reads a proposal; Data is a view.
func ParseProposal(b []byte) (Proposal, error) {
	r := body.NewReader(b)
	q := takeProposal(&r)
	return q, r.Close()
}

func takeProposal(r *body.Reader) Proposal {
	return Proposal{Token: int32(r.U32()), Phases: r.U8(), Limit: int32(r.U32()), Code: r.U32(), Targets: takeProviders(r),
		Phase: r.U32(), Data: r.Text(2 * MaxMessage), Attrs: takeOptAttributes(r)}
}

// AppendTo appends the body of CallVote.
func (q VoteRequest) AppendTo(b []byte) []byte {
	b = body.AppendU32(body.AppendU64(body.AppendU32(b, uint32(q.Token)), q.Seq), q.Phase)
	return appendOpt(appendOpt(append(b, byte(q.Vote), byte(q.Default)), q.State), q.Message)
}

// ParseVote reads the body of CallVote; State and Message are views.
func ParseVote(b []byte) (VoteRequest, error) {
	r := body.NewReader(b)
	q := takeVoteRequest(&r)
	return q, r.Close()
}

func takeVoteRequest(r *body.Reader) VoteRequest {
	return VoteRequest{Token: int32(r.U32()), Seq: r.U64(), Phase: r.U32(), Vote: takeVote(r), Default: takeVote(r),
		State: takeOpt(r, 2*MaxState), Message: takeOpt(r, 2*MaxMessage)}
}

// AppendTo appends a token.
func (q TokenRequest) AppendTo(b []byte) []byte { return body.AppendU32(b, uint32(q.Token)) }

// ParseToken reads the body of CallGoodbye or CallUnsubscribe.
func ParseToken(b []byte) (TokenRequest, error) {
	r := body.NewReader(b)
	q := TokenRequest{int32(r.U32())}
	return q, r.Close()
}

// AppendTo appends the body of CallSubscribe.
func (q SubscribeRequest) AppendTo(b []byte) []byte {
	return body.AppendText(body.AppendU32(body.AppendU32(b, uint32(q.Token)), q.Wants), q.Group)
}

// ParseSubscribe reads the body of CallSubscribe; Group is a view.
func ParseSubscribe(b []byte) (SubscribeRequest, error) {
	r := body.NewReader(b)
	q := SubscribeRequest{int32(r.U32()), r.U32(), r.Text(4 * MaxName)}
	return q, r.Close()
}

// AppendTo appends the body of CallResponse.
func (q ResponseRequest) AppendTo(b []byte) []byte {
	return body.AppendBool(body.AppendU32(b, q.Check), q.OK)
}

// ParseResponse reads the body of CallResponse.
func ParseResponse(b []byte) (ResponseRequest, error) {
	r := body.NewReader(b)
	q := ResponseRequest{r.U32(), r.Bool()}
	return q, r.Close()
}
