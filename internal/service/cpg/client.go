package cpg

import (
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// state is how far a connection's join or leave has come (corosync-ipc 2.1.3).
type state uint8

const (
	unjoined state = iota
	joinStarted
	joinCompleted
	leaveStarted
)

// String is the word used in logs and documents.
func (s state) String() string {
	return [...]string{"unjoined", "join-started", "join-completed", "leave-started"}[s]
}

// client is one connection.
type client struct {
	s     *Service
	conn  service.Conn
	id    uint64
	state state
	gone  bool // closed or finalised: no events any more

	group       string // while not unjoined, with pid and instance
	pid         uint32
	instance    uint64 // zero: it uses libcpg's interface
	program     bool   // it does not
	wantsTotem  bool   // one TotemConf after the next Confchg
	interrupted bool   // a Confchg was sent since the first fragment
	total, sent uint32
	fragments   bool // a message in fragments is under way

	iterators map[uint64]*iterator
	nextIter  uint64

	answers map[uint64]func(service.Code, []byte) // by tag: given when the message is delivered
}

// Open implements service.Service.
func (s *Service) Open(conn service.Conn) (service.Client, error) {
	c := &client{s: s, conn: conn, id: conn.ID()}
	i, found := s.place(c.id)
	if found {
		return nil, fmt.Errorf("cpg: connection %d is open already", c.id)
	}
	s.clients = slices.Insert(s.clients, i, c)
	return c, nil
}

// Call implements service.Client.
func (c *client) Call(req service.Request) {
	code, answer := c.call(&req)
	if code != service.OK || !answersLater[req.Func] {
		req.Reply(code, answer)
		return
	}
	if c.answers == nil {
		c.answers = map[uint64]func(service.Code, []byte){}
	}
	c.answers[req.Tag] = req.Reply
}

// answersLater are the calls whose answer comes with their delivery.
var answersLater = [numCalls]bool{CallEnter: true, CallExit: true, CallSafe: true, CallPaced: true}

// answer gives the answer to the call behind a message, if it waits for one.
func (c *client) answer(tag uint64, code service.Code, body []byte) {
	if reply := c.answers[tag]; reply != nil {
		delete(c.answers, tag)
		reply(code, body)
	}
}

func (c *client) call(req *service.Request) (service.Code, []byte) {
	if c.gone {
		return service.ErrBadHandle, nil
	}
	switch req.Func {
	case CallJoin:
		q, err := ParseJoin(req.Body)
		return c.checked(err, func() service.Code { return c.join(q, req.Tag) }), nil
	case CallLeave:
		_, err := ParseLeave(req.Body)
		return c.checked(err, func() service.Code { return c.leave(req.Tag) }), nil
	case CallMcast:
		return c.mcast(req), nil
	case CallPartial:
		q, err := ParsePartial(req.Body)
		return c.checked(err, func() service.Code { return c.partial(q, req.Tag) }), nil
	case CallMembership:
		return c.membership(req.Body)
	case CallLocal:
		return service.OK, LocalReply{c.s.self}.AppendTo(nil)
	case CallIterInit:
		return c.iterInit(req.Body)
	case CallIterNext:
		return c.iterNext(req.Body)
	case CallIterFinalise:
		return c.iterFinalise(req.Body), nil
	case CallFinalise:
		c.end()
		return service.OK, nil
	}
	return c.programCall(req)
}

// checked runs a call whose body was well formed.
func (c *client) checked(err error, f func() service.Code) service.Code {
	if err != nil {
		return service.ErrInvalidParam
	}
	return f()
}

func (c *client) source(tag uint64) service.Source {
	return service.Source{Node: c.s.self, Conn: c.id, Tag: tag}
}

// join walks the checks of corosync-ipc 2.1.3 in their order. Other than there,
// a process whose leave is on its way is asked to try again, so that leaving and
// joining anew works.
func (c *client) join(q JoinRequest, tag uint64) service.Code {
	s := c.s
	for _, o := range s.clients {
		if o.joined() && o.instance == 0 && o.pid == q.PID && o.group == string(q.Group) {
			return service.ErrExist
		}
	}
	if s.leaving(q) {
		return service.ErrAgain
	}
	if len(q.Group) > MaxGroup {
		return service.ErrNameTooLong
	}
	switch c.state {
	case joinStarted, joinCompleted:
		return service.ErrExist
	case leaveStarted:
		return service.ErrBusyCode
	}
	s.scratch = appendHead(s.scratch[:0], q.PID, q.Group)
	code := s.send(msgJoin, false, c.source(tag))
	if code == service.OK {
		c.state, c.group, c.pid, c.instance = joinStarted, string(q.Group), q.PID, 0
		c.wantsTotem = q.Flags&JoinInitialTotem != 0
		c.fragments, c.interrupted = false, false
		if early() {
			s.intern(q.Group).attach(c)
		}
	}
	return code
}

// owes is the leave of this client.
func (c *client) owes(tag uint64) owed {
	return owed{src: c.source(tag), pid: c.pid, group: c.group, program: c.instance != 0}
}

// leaving reports whether the process is still in the group, or its leave not
// even sent.
func (s *Service) leaving(q JoinRequest) bool {
	if slices.ContainsFunc(s.owed, func(o owed) bool { return !o.program && o.pid == q.PID && o.group == string(q.Group) }) {
		return true
	}
	g := s.lookup(q.Group)
	return g != nil && g.member(Process{Node: s.self, PID: q.PID}) != nil
}

func (c *client) leave(tag uint64) service.Code {
	if c.instance != 0 {
		return service.ErrNotExist
	}
	switch c.state {
	case unjoined, leaveStarted:
		return service.ErrNotExist
	case joinStarted:
		return service.ErrBusyCode
	}
	code := c.s.sendLeave(c.owes(tag), ReasonLeave)
	if code == service.OK {
		c.state = leaveStarted
	}
	return code
}

// part frees the connection for another group.
func (c *client) part() {
	if g := c.s.groups[c.group]; g != nil {
		g.detach(c)
	}
	c.state, c.group, c.pid, c.instance, c.wantsTotem = unjoined, "", 0, 0, false
}

// joined reports whether the connection may send.
func (c *client) joined() bool { return c.state == joinStarted || c.state == joinCompleted }

func (c *client) mcast(req *service.Request) service.Code {
	r := body.NewReader(req.Body)
	safe, message := r.Bool(), r.Rest()
	if r.Close() != nil {
		return service.ErrInvalidParam
	}
	if len(message) > MaxAtomic {
		return service.ErrTooBigCode
	}
	if !c.joined() || c.instance != 0 {
		return service.ErrNotExist
	}
	s := c.s
	s.scratch = append(appendHead(s.scratch[:0], c.pid, c.group), message...)
	return s.send(msgMcast, safe, c.source(req.Tag))
}

// partial passes one fragment on. Fragments that do not fit together are
// refused here: receivers collect them in a buffer of the announced length.
func (c *client) partial(q PartialRequest, tag uint64) service.Code {
	if len(q.Fragment) > MaxAtomic || q.Total > MaxTotal {
		return service.ErrTooBigCode
	}
	if !c.joined() || c.instance != 0 {
		return service.ErrNotExist
	}
	interrupted, sent := c.interrupted, c.sent
	if q.Kind == FragmentFirst {
		interrupted, sent = false, 0
	} else if !c.fragments || q.Total != c.total {
		return service.ErrInvalidParam
	}
	if interrupted {
		return service.ErrInterrupt
	}
	if uint64(sent)+uint64(len(q.Fragment)) > uint64(q.Total) {
		return service.ErrInvalidParam
	}
	s := c.s
	s.scratch = body.AppendU32(append(appendHead(s.scratch[:0], c.pid, c.group), byte(q.Kind)), q.Total)
	s.scratch = append(s.scratch, q.Fragment...)
	code := s.send(msgPartial, q.Safe, c.source(tag))
	if code == service.OK {
		c.interrupted, c.fragments = false, q.Kind != FragmentLast
		c.total, c.sent = q.Total, sent+uint32(len(q.Fragment))
	}
	return code
}

func (c *client) membership(b []byte) (service.Code, []byte) {
	q, err := ParseGroup(b)
	if err != nil {
		return service.ErrInvalidParam, nil
	}
	var reply MembershipReply
	if g := c.s.lookup(q.Group); g != nil {
		reply.Members = g.listed()
	}
	return service.OK, reply.AppendTo(nil)
}

// Closed implements service.Client.
func (c *client) Closed() {
	c.end()
	if i, found := c.s.place(c.id); found {
		c.s.clients = slices.Delete(slices.Clone(c.s.clients), i, i+1)
	}
}

// end stops event delivery and takes the process out of its group, if its leave
// is not on the way already.
func (c *client) end() {
	if c.gone {
		return
	}
	c.gone = true
	c.answers = nil
	left := c.state
	o := c.owes(0)
	if left == unjoined {
		return
	}
	c.part()
	if left == leaveStarted || left == joinStarted && bug.Planted("cpg-ghost-member") {
		return
	}
	c.s.owe(o)
}
