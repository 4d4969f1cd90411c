package cfg

import (
	"slices"
	"strings"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// client is one connection.
type client struct {
	s        *Service
	conn     service.Conn
	tracking bool
	gone     bool
}

// Open implements service.Service.
func (s *Service) Open(conn service.Conn) (service.Client, error) {
	c := &client{s: s, conn: conn}
	s.clients = append(s.clients, c)
	return c, nil
}

// Closed implements service.Client. Who asked for a shutdown takes that back.
func (c *client) Closed() {
	s := c.s
	c.gone = true
	s.clients = slices.DeleteFunc(slices.Clone(s.clients), func(o *client) bool { return o == c })
	s.trackStop(c)
	if s.try != nil && s.try.by == c {
		s.endTry()
	}
}

// Call implements service.Client.
func (c *client) Call(req service.Request) {
	s := c.s
	switch req.Func {
	case CallRings:
		req.Reply(service.OK, s.rings().AppendTo(nil))
	case CallNode:
		with(req, ParseNodeRequest, func(q NodeRequest) { s.node(q, req.Reply) })
	case CallKill:
		with(req, ParseKill, func(q KillRequest) { req.Reply(s.orderKill(q), nil) })
	case CallTryShutdown:
		with(req, ParseShutdownRequest, func(q ShutdownRequest) { s.tryShutdown(c, q, req.Reply) })
	case CallVote:
		with(req, ParseVote, func(q VoteRequest) { req.Reply(s.vote(c, q), nil) })
	case CallTrackStart:
		s.trackStart(c)
		req.Reply(service.OK, nil)
	case CallTrackStop:
		s.trackStop(c)
		req.Reply(service.OK, nil)
	case CallReload:
		s.startReload(req.Reply)
	case CallReopen:
		req.Reply(s.reopen(), nil)
	default:
		req.Reply(service.ErrInvalidParam, nil)
	}
}

// with handles a call that has a body.
func with[Q any](req service.Request, parse func([]byte) (Q, error), f func(Q)) {
	q, err := parse(req.Body)
	if err != nil {
		req.Reply(service.ErrInvalidParam, nil)
		return
	}
	f(q)
}

func (s *Service) node(q NodeRequest, reply func(service.Code, []byte)) {
	if q.Node == 0 {
		q.Node = s.x.Self()
	}
	st, ok := s.host.Node(q.Node)
	if !ok {
		reply(service.ErrFailedOp, nil)
		return
	}
	reply(service.OK, st.AppendTo(nil))
}

// rings describes the own links, and on each the nodes (corosync-ipc 2.5).
func (s *Service) rings() Rings {
	var out Rings
	own, _ := s.host.Node(s.x.Self())
	for _, l := range own.Links {
		r := Ring{Number: l.Number, Addr: l.Source, Status: "OK"}
		if !s.host.Plain() {
			r.Status = s.letters(l.Number)
		}
		out.Rings = append(out.Rings, r)
	}
	return out
}

func (s *Service) letters(link uint8) string {
	var b strings.Builder
	ids := s.x.Nodes().Configured()
	slices.Sort(ids)
	for _, id := range ids {
		b.WriteByte(s.letter(id, link))
	}
	return b.String()
}

func (s *Service) letter(id proto.NodeID, link uint8) byte {
	if id == s.x.Self() {
		return 'n'
	}
	st, _ := s.host.Node(id)
	for _, l := range st.Links {
		switch {
		case l.Number != link:
		case l.Connected:
			return '0' + 1 + 2
		default:
			return '0' + 1
		}
	}
	return 'd'
}

// orderKill is answered before the message is ordered: the node that is killed
// may be this one.
func (s *Service) orderKill(q KillRequest) service.Code {
	if q.Node == 0 || !slices.Contains(s.members, q.Node) {
		return service.ErrNotExist
	}
	s.send(msgKill, service.Agreed, q.AppendTo(nil))
	return service.OK
}

func (s *Service) reopen() service.Code {
	if err := s.host.Reopen(); err != nil {
		s.x.Log().Error("Log files are not reopened", "err", err)
		return service.ErrFailedOp
	}
	return service.OK
}

// push tells the client something. One that does not take it ends.
func (c *client) push(e Shutdown) {
	if c.gone {
		return
	}
	if err := c.conn.Push(EventShutdown, e.AppendTo(nil)); err != nil {
		c.conn.Close(err)
	}
}
