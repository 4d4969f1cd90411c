package groups

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// client is one connection.
type client struct {
	s     *Service
	conn  service.Conn
	id    uint64
	said  *HelloRequest // nil: nothing yet
	roles map[int32]*role
	gone  bool

	greet func(service.Code, []byte) // answers a hello when the domain is formed
	byes  map[uint64]bye             // goodbyes on their way, by tag
	check check
}

// bye is one goodbye. Its token is not free before it is answered.
type bye struct {
	token int32
	reply func(service.Code, []byte)
}

// role is what a token stands for.
type role struct {
	token    int32
	group    string
	provider bool // or a subscriber

	instance int16
	serial   uint64 // of its join
	state    roleState
	asked    bool // for a vote in the phase below
	voted    bool
	seq      uint64
	phase    uint32

	wants uint32 // of a subscriber
}

// roleState is how far a provider's join or goodbye has come.
type roleState uint8

const (
	joining roleState = iota
	joined
	leaving // told nothing any more
)

// endedClient is what scripts need of a client that is gone.
type endedClient struct {
	said HelloRequest
	cred service.Cred
	told bool // its end is delivered
}

// Open implements service.Service.
func (s *Service) Open(conn service.Conn) (service.Client, error) {
	if s.cfg.Allow != nil && !s.cfg.Allow(conn.Cred()) {
		return nil, service.ErrAccess
	}
	if len(s.clients) >= MaxClients {
		return nil, service.ErrNoResources
	}
	c := &client{s: s, conn: conn, id: conn.ID(), roles: map[int32]*role{}, byes: map[uint64]bye{}}
	i, found := s.place(c.id)
	if found {
		return nil, fmt.Errorf("groups: connection %d is open already", c.id)
	}
	s.clients = slices.Insert(s.clients, i, c)
	return c, nil
}

// Holding implements service.Holder: what a client asks for does not overtake what is
// owed, for instance the vote that it gave before, or the end of its last life.
func (c *client) Holding() bool { return len(c.s.owed) > 0 }

// all lists the roles by token.
func (c *client) all() []*role {
	list := make([]*role, 0, len(c.roles))
	for _, t := range slices.Sorted(maps.Keys(c.roles)) {
		list = append(list, c.roles[t])
	}
	return list
}

// outcome is how a call ended.
type outcome struct {
	code  Code
	door  service.Code // zero, or why the call was not taken
	later bool         // it is answered later
}

func says(c Code) outcome { return outcome{code: c} }

// sent is the outcome of a call that multicasts.
func sent(code service.Code) outcome {
	if code == service.OK {
		return says(OK)
	}
	return outcome{door: code}
}

// Call implements service.Client. A malformed call ends the connection.
func (c *client) Call(req service.Request) {
	if c.gone {
		req.Reply(service.ErrBadHandle, nil)
		return
	}
	switch o, err := c.call(&req); {
	case err != nil:
		req.Reply(service.ErrInvalidParam, nil)
		c.s.x.Log().Warn("client closed: malformed call", "label", "GS_CLNT_SOCK_ER", "conn", c.id, "func", req.Func, "err", err)
		c.conn.Close(service.ErrInvalidParam)
	case o.later:
	case o.door != 0:
		req.Reply(o.door, nil)
	default:
		req.Reply(service.OK, Reply{o.code}.AppendTo(nil))
	}
}

// with does a call whose body is well formed.
func with[T any](req *service.Request, parse func([]byte) (T, error), do func(*T, *service.Request) outcome) (outcome, error) {
	q, err := parse(req.Body)
	if err != nil {
		return outcome{}, err
	}
	return do(&q, req), nil
}

func (c *client) call(req *service.Request) (outcome, error) {
	if req.Func == CallHello {
		return with(req, ParseHello, c.hello)
	}
	if c.said == nil {
		return says(NotOK), nil
	}
	if !c.s.d.formed && req.Func != CallVote { // after a merge; it is about to be
		return outcome{door: service.ErrAgain}, nil
	}
	switch req.Func {
	case CallJoin:
		return with(req, ParseJoin, c.join)
	case CallLeave, CallExpel, CallState, CallAttributes, CallMessage:
		return with(req, ParseProposal, c.propose)
	case CallVote:
		return with(req, ParseVote, c.vote)
	case CallGoodbye:
		return with(req, ParseToken, c.goodbye)
	case CallSubscribe:
		return with(req, ParseSubscribe, c.subscribe)
	case CallUnsubscribe:
		return with(req, ParseToken, c.unsubscribe)
	case CallResponse:
		return with(req, ParseResponse, c.responded)
	case CallQuit:
		c.end()
		return says(OK), nil
	}
	return outcome{}, fmt.Errorf("%w: unknown call %d", body.ErrMalformed, req.Func)
}

// hello begins a client. The first one forms the domain.
func (c *client) hello(q *HelloRequest, req *service.Request) outcome {
	refuse := func(code Code) outcome {
		req.Reply(service.OK, HelloReply{Code: code, Level: Level, Limits: limits}.AppendTo(nil))
		return outcome{later: true}
	}
	switch {
	case c.said != nil:
		return refuse(NotOK)
	case c.s.self > maxNode, q.Domain != "" && c.s.cfg.Domain != "" && q.Domain != c.s.cfg.Domain:
		return refuse(ConnectFailed)
	case q.Script != "" && q.Script[0] != '/', q.Check > CounterCheck || q.Check != NoCheck && (q.Interval < 1 || q.Limit < 1):
		return refuse(BadParameter)
	}
	if pid := c.conn.Cred().PID; pid > 0 { // what the kernel says counts
		q.PID = pid
	}
	c.said, c.greet = q, req.Reply
	if c.s.d.formed {
		c.s.formed()
	} else {
		c.s.form()
	}
	return outcome{later: true}
}

// formPatience is how long clients wait for the domain before the log says so.
const formPatience = 10 * time.Second

// form has the domain formed, once.
func (s *Service) form() {
	if !s.forming {
		s.forming = true
		s.x.After(formPatience, func() {
			if s.forming {
				s.x.Log().Warn("the domain is not formed yet: this node waits for its ring", "label", "GS_DOM_NOT_FORM_WA", "clients", len(s.clients))
			}
		})
		s.owe(owed{fn: msgForm})
	}
}

// formed answers the clients that waited for it.
func (s *Service) formed() {
	s.forming = false
	s.sendMotion()
	for _, c := range s.clients {
		if c.greet == nil {
			continue
		}
		greet := c.greet
		c.greet = nil
		greet(service.OK, HelloReply{Level: Level, Node: int16(s.self), Limits: limits}.AppendTo(nil))
		if c.said.Adapters {
			c.push(EventAdapters, Adapters{addresses(s.d.adapters)})
		}
		c.startChecks()
	}
}

func (c *client) source(tag uint64) service.Source {
	return service.Source{Node: c.s.self, Conn: c.id, Tag: tag}
}

// name checks a group's name.
func name(group []byte) Code {
	switch {
	case len(group) == 0 || slices.Contains(group, 0):
		return BadParameter
	case len(group) > MaxName:
		return NameTooLong
	}
	return OK
}

// token checks that a token is free.
func (c *client) token(token int32) Code {
	switch {
	case token < 0 || c.roles[token] != nil:
		return BadParameter
	case len(c.roles) >= MaxTokens:
		return NoMemory
	}
	return OK
}

func (c *client) join(q *JoinRequest, req *service.Request) outcome {
	a := &q.Attrs
	switch {
	case name(q.Group) != OK:
		return says(name(q.Group))
	case len(q.Local) > MaxName || len(a.Source) > MaxName:
		return says(NameTooLong)
	case reserved(string(q.Group)):
		return says(InvalidGroup)
	case !a.valid():
		return says(BadGroupAttributes)
	case a.Source == string(q.Group) || reserved(a.Source):
		return says(InvalidSourceGroup)
	case q.Instance < 0:
		return says(BadParameter)
	case c.token(q.Token) != OK:
		return says(c.token(q.Token))
	}
	code := c.s.send(msgJoin, c.source(req.Tag), string(q.Group), append(body.AppendU16(nil, c.said.Level), req.Body...))
	if code == service.OK {
		c.roles[q.Token] = &role{token: q.Token, group: string(q.Group), provider: true, instance: q.Instance, serial: req.Tag}
		c.s.x.Log().Debug("join", "group", string(q.Group), "instance", q.Instance, "name", string(q.Local), "pid", c.said.PID)
	}
	return sent(code)
}

// role finds a provider.
func (c *client) role(token int32, states ...roleState) (*role, Code) {
	r := c.roles[token]
	switch {
	case r == nil || !r.provider:
		return nil, BadMemberToken
	case !slices.Contains(states, r.state):
		return nil, NotAMember
	}
	return r, OK
}

func (c *client) propose(q *Proposal, req *service.Request) outcome {
	r, code := c.role(q.Token, joined)
	if code != OK {
		return says(code)
	}
	kind := [numCalls]Kind{CallLeave: Leave, CallExpel: Expel, CallState: StateValueChange, CallAttributes: AttributeChange, CallMessage: ProviderMessage}[req.Func]
	if code := q.valid(kind); code != OK {
		return says(code)
	}
	b := append(body.AppendU16(nil, uint16(r.instance)), byte(kind))
	return sent(c.s.send(msgPropose, c.source(req.Tag), r.group, append(b, req.Body...)))
}

// valid is what can be said of a proposal without its group.
func (q *Proposal) valid(kind Kind) Code {
	if q.Phases != OnePhase && q.Phases != NPhase || q.Limit < 0 {
		return BadParameter
	}
	switch kind {
	case StateValueChange:
		if len(q.Data) > MaxState {
			return BadParameter
		}
	case ProviderMessage:
		if len(q.Data) == 0 || len(q.Data) > MaxMessage {
			return BadParameter
		}
	case AttributeChange:
		if q.Attrs == nil || !q.Attrs.valid() {
			return BadGroupAttributes
		}
	case Expel:
		return q.validExpel()
	}
	return OK
}

func (q *Proposal) validExpel() Code {
	if len(q.Targets) == 0 || len(q.Targets) > MaxProviders || len(q.Data) > MaxFlag {
		return BadParameter
	}
	if len(slices.CompactFunc(slices.SortedFunc(slices.Values(q.Targets), compareProvider), func(a, b Provider) bool { return a == b })) < len(q.Targets) {
		return ProviderAppearsTwice
	}
	if q.Phases == OnePhase && q.Phase > 1 {
		return InvalidDeactivatePhase
	}
	return OK
}

func (c *client) vote(q *VoteRequest, req *service.Request) outcome {
	r, code := c.role(q.Token, joining, joined)
	switch {
	case code != OK:
		return says(code)
	case q.Vote == NullVote || q.Default == Continue || len(q.State) > MaxState || q.Message != nil && len(q.Message) == 0 || len(q.Message) > MaxMessage:
		return says(BadParameter)
	case !r.asked || q.Seq > r.seq || q.Seq == r.seq && (q.Phase > r.phase || q.Phase == r.phase && r.voted):
		return says(VoteNotExpected)
	case q.Seq < r.seq || q.Phase < r.phase:
		return says(OK) // too late; the client did not know
	}
	r.voted = true
	c.s.owe(owed{fn: msgVote, src: c.source(req.Tag), group: r.group, body: append(body.AppendU16(nil, uint16(r.instance)), req.Body...)})
	return says(OK)
}

// goodbye is answered when its message comes back.
func (c *client) goodbye(q *TokenRequest, req *service.Request) outcome {
	r, code := c.role(q.Token, joining, joined)
	if code != OK {
		return says(code)
	}
	if g := c.s.d.group(r.group); g != nil && len(g.those(func(m *member) bool { return m.level < Level })) > 0 {
		return says(BacklevelProviders)
	}
	door := c.s.send(msgGoodbye, c.source(req.Tag), r.group, body.AppendU32(body.AppendU16(nil, uint16(r.instance)), uint32(r.token)))
	if door != service.OK {
		return outcome{door: door}
	}
	r.state = leaving
	c.byes[req.Tag] = bye{q.Token, req.Reply}
	return outcome{later: true}
}

func (c *client) goodbyeDone(tag uint64) {
	if b, ok := c.byes[tag]; ok {
		delete(c.byes, tag)
		delete(c.roles, b.token)
		b.reply(service.OK, Reply{OK}.AppendTo(nil))
	}
}

// Closed implements service.Client.
func (c *client) Closed() {
	c.end()
	if i, found := c.s.place(c.id); found {
		c.s.clients = slices.Delete(slices.Clone(c.s.clients), i, i+1)
	}
}

// end makes the client's providers fail.
func (c *client) end() {
	if c.gone {
		return
	}
	c.gone, c.greet, c.byes = true, nil, nil
	c.check.stop()
	provides := slices.ContainsFunc(c.all(), func(r *role) bool { return r.provider })
	c.roles = nil
	if provides {
		c.s.ended[c.id] = endedClient{said: *c.said, cred: c.conn.Cred()}
		c.s.owe(owed{fn: msgGone, src: c.source(0)})
	}
}

// forget drops what scripts need of ended clients that nobody lists any more.
func (s *Service) forget(told uint64) {
	if e, ok := s.ended[told]; ok {
		e.told = true
		s.ended[told] = e
	}
	maps.DeleteFunc(s.ended, func(conn uint64, e endedClient) bool {
		return e.told && !slices.ContainsFunc(s.d.groups, func(g *group) bool {
			for m := range g.everybody() {
				if m.node() == s.self && m.conn == conn {
					return true
				}
			}
			return false
		})
	})
}
