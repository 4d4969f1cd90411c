package cpg

import (
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// programCall serves the calls of our own programs.
func (c *client) programCall(req *service.Request) (service.Code, []byte) {
	c.program = true
	switch req.Func {
	case CallEnter:
		q, err := ParseEnter(req.Body)
		return c.checked(err, func() service.Code { return c.enter(q, req.Tag) }), nil
	case CallExit:
		return c.exit(req.Tag), nil
	case CallSend, CallSafe:
		return c.sendNative(msgSend, req, req.Func == CallSafe, req.Body), nil
	case CallDirect:
		_, err := ParseDirect(req.Body)
		return c.checked(err, func() service.Code { return c.sendNative(msgDirect, req, false, req.Body) }), nil
	case CallRank:
		_, err := ParseRank(req.Body)
		return c.checked(err, func() service.Code { return c.sendNative(msgRank, req, false, req.Body) }), nil
	case CallPiece, CallPaced:
		_, err := ParsePiece(req.Body)
		return c.checked(err, func() service.Code { return c.sendNative(msgPiece, req, false, req.Body) }), nil
	case CallGot:
		_, err := ParseGot(req.Body)
		return c.checked(err, func() service.Code { return c.sendNative(msgGot, req, false, req.Body) }), nil
	case CallPost:
		q, err := ParsePost(req.Body)
		return c.checked(err, func() service.Code { return c.post(q, req.Tag) }), nil
	case CallGroups:
		return service.OK, c.s.groupsReply().AppendTo(nil)
	}
	return service.ErrInvalidParam, nil
}

// enter sends the join of this connection.
func (c *client) enter(q EnterRequest, tag uint64) service.Code {
	switch {
	case len(q.Group) == 0:
		return service.ErrInvalidParam
	case len(q.Group) > MaxGroup:
		return service.ErrNameTooLong
	case c.state == leaveStarted:
		return service.ErrBusyCode
	case c.state != unjoined:
		return service.ErrExist
	}
	s := c.s
	pid := uint32(c.conn.Cred().PID)
	s.scratch = body.AppendBool(appendHead(s.scratch[:0], pid, q.Group), q.Stateful)
	s.scratch = appendMeta(body.AppendU64(s.scratch, q.Rank), q.Meta)
	code := s.send(msgEnter, false, c.source(tag))
	if code == service.OK {
		c.state, c.group, c.pid, c.instance = joinStarted, string(q.Group), pid, c.id
	}
	return code
}

// exit sends the leave of this connection.
func (c *client) exit(tag uint64) service.Code {
	switch {
	case c.instance == 0 || c.state == leaveStarted:
		return service.ErrNotExist
	case c.state == joinStarted:
		return service.ErrBusyCode
	}
	code := c.s.sendLeave(c.owes(tag), ReasonLeave)
	if code == service.OK {
		c.state = leaveStarted
	}
	return code
}

// sendNative multicasts something of a member.
func (c *client) sendNative(fn uint16, req *service.Request, safe bool, b []byte) service.Code {
	switch {
	case len(b) > MaxAtomic:
		return service.ErrTooBigCode
	case !c.joined() || c.instance == 0:
		return service.ErrNotExist
	}
	s := c.s
	s.scratch = append(appendHead(s.scratch[:0], c.pid, c.group), b...)
	return s.send(fn, safe, c.source(req.Tag))
}

// post multicasts to a group that this connection need not be in.
func (c *client) post(q PostRequest, tag uint64) service.Code {
	switch {
	case len(q.Group) == 0:
		return service.ErrInvalidParam
	case len(q.Group) > MaxGroup:
		return service.ErrNameTooLong
	case len(q.Message) > MaxAtomic:
		return service.ErrTooBigCode
	}
	s := c.s
	s.scratch = append(appendHead(s.scratch[:0], uint32(c.conn.Cred().PID), q.Group), q.Message...)
	return s.send(msgPost, false, c.source(tag))
}

// groupsReply lists all groups with their processes.
func (s *Service) groupsReply() (p GroupsReply) {
	for _, g := range s.sorted() {
		if len(g.procs) > 0 {
			p.Groups = append(p.Groups, GroupInfo{Group: []byte(g.name), Members: g.shown()})
		}
	}
	return p
}

// shown is the list as programs see it.
func (g *group) shown() []ViewMember {
	list := make([]ViewMember, 0, len(g.procs))
	for i := range g.procs {
		list = append(list, g.procs[i].shown())
	}
	return list
}

// String is for dumps.
func (e *entry) String() string {
	text := fmt.Sprintf("%d/%d", e.Node, e.PID)
	if e.Instance != 0 {
		text += fmt.Sprintf("/%d", e.Instance)
	}
	if e.stateful {
		text += fmt.Sprintf("(rank %d, has %v)", e.rank, e.has)
	}
	return text
}

// deliverProgram takes the messages of our own programs.
func (s *Service) deliverProgram(m *service.Message, r *body.Reader) error {
	switch m.Func {
	case msgExit:
		return s.deliverLeave(m, r)
	case msgHere:
		return r.Close()
	}
	h := takeHead(r)
	from := Process{Node: m.From, PID: h.pid, Instance: m.Src.Conn}
	switch m.Func {
	case msgEnter:
		return s.deliverEnter(m, r, from, h.group)
	case msgPost:
		return s.deliverPost(m, r, from, h.group)
	}
	g := s.lookup(h.group)
	if g == nil || g.member(from) == nil {
		s.lateAnswer(m)
		return nil // it was sent before its sender's node went away and came back
	}
	switch m.Func {
	case msgSend:
		message := r.Rest()
		if g.watched() {
			s.hand(g, m, Received{From: from, Message: message})
		}
		s.lateAnswer(m)
	case msgDirect:
		to := takeIdentity(r)
		s.direct(g, m, to, Received{From: from, Direct: true, Message: r.Rest()})
	case msgRank:
		rank := r.U64()
		if err := r.Close(); err != nil {
			return err
		}
		g.member(from).rank = rank
	case msgPiece:
		piece := r.Rest()
		p := body.NewReader(piece)
		place := takePiece(&p).Place
		if err := p.Close(); err != nil {
			return err
		}
		s.deliverPiece(g, m, from, place, piece)
	case msgGot:
		q := GotRequest{Place: takePlace(r), Whole: r.Bool()}
		if err := r.Close(); err != nil {
			return err
		}
		s.deliverGot(g, m, from, q)
	default:
		return fmt.Errorf("unknown message %d", m.Func)
	}
	return r.Close()
}

// lateAnswer answers a safe message of this node.
func (s *Service) lateAnswer(m *service.Message) {
	if c := s.client(m.Src); c != nil && len(c.answers) > 0 {
		c.answer(m.Src.Tag, service.OK, s.safe.AppendTo(nil))
	}
}

// deliverEnter adds a program's member, as deliverJoin does a libcpg process.
func (s *Service) deliverEnter(m *service.Message, r *body.Reader, p Process, group []byte) error {
	e := entry{Process: p, stateful: r.Bool(), rank: r.U64(), meta: takeMeta(r)}
	if err := r.Close(); err != nil {
		return err
	}
	if slices.Contains(s.came, m.From) {
		s.joined(m, s.intern(group), e)
	}
	return nil
}

// deliverPost hands over a message of somebody who is not in the group, if its
// node is known here as those of members are.
func (s *Service) deliverPost(m *service.Message, r *body.Reader, from Process, group []byte) error {
	e := Received{From: from, Post: true, Message: r.Rest()}
	if err := r.Close(); err != nil {
		return err
	}
	if g := s.lookup(group); g != nil && g.watched() && slices.Contains(s.came, m.From) {
		s.hand(g, m, e)
	}
	return nil
}

// direct hands a message to one member, if it is here.
func (s *Service) direct(g *group, m *service.Message, to Process, e Received) {
	if to.Node != s.self {
		return
	}
	if c := g.program(to); c != nil {
		s.push([]*client{c}, EventMessage, s.received(m, e))
	}
}

// program finds the connection here of a member; nil: it is a libcpg process or gone.
func (g *group) program(p Process) *client {
	i := slices.IndexFunc(g.programs, func(c *client) bool { return c.id == p.Instance && c.pid == p.PID })
	if i < 0 {
		return nil
	}
	return g.programs[i]
}

// received encodes a message for programs.
func (s *Service) received(m *service.Message, e Received) []byte {
	e.Slot, e.Seq = m.Slot, m.Src.Tag
	e.Safe, e.Transitional = m.Level == service.Safe, s.safe.Transitional
	s.another = e.AppendTo(s.another[:0])
	return s.another
}

// change is what happened to a group at one place in the order.
type change struct {
	slot         proto.Slot
	came         []proto.NodeID
	joined, left []Process
}

// changed follows a change of a group: who waits for its state is provided for,
// and its programs get a view, and then what concerns them of the state.
func (s *Service) changed(g *group, c change) {
	if s.watch != nil && len(c.joined)+len(c.left) > 0 {
		s.watch(Changed{Group: g.name, Size: len(g.procs), Joined: c.joined, Left: c.left})
	}
	if !g.stateful() {
		s.show(g, c)
		return
	}
	begun, anew := g.settle(s.totem.Ring, s.everybody(g))
	s.ascertain(g)
	s.show(g, c)
	s.tellTransfer(g, begun, anew)
}

// show gives the group's programs a view.
func (s *Service) show(g *group, c change) {
	if len(g.programs) == 0 {
		return
	}
	v := View{Ring: s.totem.Ring, Slot: c.slot, Nodes: s.totem.Members, Came: c.came, Members: g.shown(), Joined: c.joined, Left: c.left}
	s.judge(g, &v)
	g.majority = v.Majority
	s.scratch = v.AppendTo(s.scratch[:0])
	s.push(g.programs, EventView, s.scratch)
}

// judge says what a view is worth.
func (s *Service) judge(g *group, v *View) {
	q, currency := s.x.(service.QuorumViewer).Quorum()
	v.Currency, v.Votes, v.Expected = currency, q.Votes, q.Expected
	v.Quorate = q.Quorate && currency == service.CurrencyNow && q.Ring == s.totem.Ring
	v.GroupVotes = s.votes(g, func(e *entry) bool { return !e.stateful || e.has })
	stateless := !g.stateful()
	able := s.votes(g, func(e *entry) bool { return stateless || e.has && g.certain && s.here[e.Node] })
	v.Majority = v.Quorate && able > v.Expected/2
}

// weigh keeps what the nodes of a ring weigh.
func (s *Service) weigh(r *round) {
	s.weights = make(map[proto.NodeID]uint32, len(r.peers))
	for _, p := range r.peers {
		s.weights[p.Node] = p.Weight
	}
}

// QuorumChanged implements service.QuorumListener: all programs get a view.
func (s *Service) QuorumChanged() {
	for _, g := range s.sorted() {
		s.show(g, change{came: s.totem.Members})
	}
}
