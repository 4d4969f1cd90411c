package cfg

import (
	"slices"

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
	for _, st := range s.host.Nodes() {
		if st.Node == q.Node {
			reply(service.OK, st.AppendTo(nil))
			return
		}
	}
	reply(service.ErrFailedOp, nil)
}

// rings describes the own links, and on each the nodes (corosync-ipc 2.5).
func (s *Service) rings() Rings {
	nodes := s.host.Nodes()
	self := slices.IndexFunc(nodes, func(n NodeStatus) bool { return n.Node == s.x.Self() })
	if self < 0 {
		return Rings{}
	}
	var out Rings
	for _, l := range nodes[self].Links {
		r := Ring{Number: l.Number, Addr: l.Source, Status: "OK"}
		if !s.host.Plain() {
			letters := make([]byte, len(nodes))
			for i := range nodes {
				letters[i] = nodes[i].letter(l.Number)
			}
			letters[self] = 'n'
			r.Status = string(letters)
		}
		out.Rings = append(out.Rings, r)
	}
	return out
}

// letter is how a ring shows another node.
func (n *NodeStatus) letter(link uint8) byte {
	for _, l := range n.Links {
		switch {
		case l.Number != link:
		case l.Connected:
			return '0' + 1 + 2 // enabled, connected
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
	s.send(msgKill, q.AppendTo(nil))
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
