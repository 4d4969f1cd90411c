package outside

import (
	"fmt"
	"slices"

	"github.com/moothall/moothall/service"
)

// process is the one that runs the service here: a client that registered.
type process struct {
	s      *Service
	conn   service.Conn
	life   uint32
	member bool // it got a regular configuration

	rounds, normal []queued // what it multicast, in order
	waiting        int      // cost of both
	sent           uint64   // cost of those that are on their way

	calls   map[uint64]openCall // not answered, by number
	called  uint64
	untaken []int // bytes of the calls that it has not taken
	unread  int   // their sum
	taken   uint64

	ping, pong uint64
}

// queued is a message on its way into the order.
type queued struct {
	fn    uint16
	level service.Level
	src   service.Source
	body  []byte
	cost  int
}

// openCall is a client's call that the process has to answer.
type openCall struct {
	c     *client
	reply func(service.Code, []byte)
}

type appender interface{ AppendTo([]byte) []byte }

// tell gives the process an event. Who cannot take it has lost the thread.
func (p *process) tell(kind uint16, e appender) {
	var b []byte
	if e != nil {
		b = e.AppendTo(p.s.scratch[:0])
		p.s.scratch = b
	}
	if err := p.conn.Push(kind, b); err != nil {
		p.end(err, "it does not take what it is told: "+err.Error())
	}
}

// end gives the process up.
func (p *process) end(err error, why string) {
	if p.s.proc != p {
		return
	}
	p.conn.Close(err)
	p.gone(why)
}

// gone is the end of the process, as the service here sees it.
func (p *process) gone(why string) {
	s := p.s
	if s.proc != p {
		return
	}
	s.proc = nil
	if s.pid == p.conn.Cred().PID { // it registers once
		s.pid = 0
	}
	for _, c := range slices.Clone(s.clients) {
		c.conn.Close(fmt.Errorf("the process of service %s ended: %w", s.cfg.Name, service.ErrLibrary))
	}
	s.changed()
	if s.cfg.Gone != nil {
		s.cfg.Gone(p.conn.Cred().PID, why)
	}
}

// client is a connection: of a program that uses the service or, when it has
// registered, of the process that runs it.
type client struct {
	s    *Service
	conn service.Conn
	p    *process // it is the process
	told bool     // the process knows of it
	held bool     // the process wants no more of its calls now
}

var _ service.Holder = (*client)(nil)

// Open takes a connection.
func (s *Service) Open(c service.Conn) (service.Client, error) {
	k := &client{s: s, conn: c}
	s.clients = append(s.clients, k)
	k.announce()
	return k, nil
}

// announce tells the process of a client. The process itself has opened its
// connection to register, and is none.
func (c *client) announce() {
	if p := c.s.proc; p != nil && c.p == nil && !c.told {
		c.told = true
		p.tell(EventOpen, Open{c.conn.ID(), c.conn.Cred()})
	}
}

// Holding keeps calls waiting while nobody can take them.
func (c *client) Holding() bool {
	p := c.s.proc
	return p == nil || !c.s.flowing || c.held || p.unread > MaxCalls
}

// Closed forgets the connection.
func (c *client) Closed() {
	s := c.s
	if c.p != nil {
		c.p.gone("its connection ended")
		return
	}
	s.clients = slices.DeleteFunc(s.clients, func(o *client) bool { return o == c })
	if s.proc != nil && c.told {
		for no, k := range s.proc.calls { // which ones does not depend on the order
			if k.c == c {
				delete(s.proc.calls, no)
			}
		}
		s.proc.tell(EventClosed, Count{c.conn.ID()})
	}
}

// Call takes a call of a client, or word of the process.
func (c *client) Call(r service.Request) {
	switch {
	case r.Func == CallRegister:
		c.register(&r)
	case r.Func >= FirstOwn:
		if c.p == nil || c.s.proc != c.p {
			r.Reply(service.ErrAccess, nil)
			return
		}
		if err := c.p.word(&r); err != nil {
			r.Reply(service.ErrMessageError, nil)
			c.p.end(service.ErrMessageError, err.Error())
			return
		}
		r.Reply(service.OK, nil)
	case c.p != nil:
		r.Reply(service.ErrNotSupported, nil)
	case c.s.proc == nil:
		r.Reply(service.ErrAgain, nil) // a call that waited for room alone
	default:
		c.s.proc.called++
		p := c.s.proc
		p.calls[p.called] = openCall{c, r.Reply}
		p.untaken = append(p.untaken, len(r.Body)+callCost)
		p.unread += len(r.Body) + callCost
		p.tell(EventCall, Call{No: p.called, Conn: c.conn.ID(), Tag: r.Tag, Func: r.Func, Body: r.Body})
	}
}

// callCost is what a call takes besides its body.
const callCost = 256

// register makes the connection the process's.
func (c *client) register(r *service.Request) {
	s := c.s
	q, err := ParseRegister(r.Body)
	switch {
	case err != nil:
		r.Reply(service.ErrMessageError, nil)
	case q.Protocol != Protocol:
		r.Reply(service.ErrVersion, nil)
	case q.ID != s.cfg.ID || q.Name != s.cfg.Name:
		r.Reply(service.ErrInvalidParam, nil)
	case s.pid == 0 || c.conn.Cred().PID != s.pid || c.told:
		r.Reply(service.ErrAccess, nil)
	case s.proc != nil:
		r.Reply(service.ErrExist, nil)
	default:
		s.clients = slices.DeleteFunc(s.clients, func(o *client) bool { return o == c })
		s.lives++
		c.p = &process{s: s, conn: c.conn, life: s.lives, calls: map[uint64]openCall{}}
		s.proc, s.nodes = c.p, s.names()
		r.Reply(service.OK, Welcome{Protocol: Protocol, Self: s.x.Self(), Nodes: s.nodes}.AppendTo(nil))
		for _, k := range s.clients {
			k.announce()
		}
		s.changed()
		if s.cfg.Here != nil {
			s.cfg.Here(c.conn.Cred().PID)
		}
	}
}

// word is what the process says.
func (p *process) word(r *service.Request) (err error) {
	s := p.s
	switch r.Func {
	case CallMulticast:
		var m Multicast
		if m, err = ParseMulticast(r.Body); err == nil {
			err = p.multicast(&m)
		}
	case CallReply:
		var a Reply
		if a, err = ParseReply(r.Body); err == nil {
			if k, ok := p.calls[a.No]; ok {
				delete(p.calls, a.No)
				k.reply(a.Code, a.Body)
			}
		}
	case CallPush:
		var e Push
		if e, err = ParsePush(r.Body); err == nil {
			if k := s.client(e.Conn); k != nil && k.conn.Push(e.Kind, e.Body) != nil {
				k.conn.Close(service.ErrOverflow)
			}
		}
	case CallClose:
		var k Close
		if k, err = ParseClose(r.Body); err == nil {
			if c := s.client(k.Conn); c != nil {
				c.conn.Close(k.Code)
			}
		}
	case CallReady:
		var y Ready
		if y, err = ParseReady(r.Body); err == nil && y.Ring == s.config && s.settled && p.member {
			s.flowing = true
			s.pump()
		}
	case CallTook:
		var n Count
		if n, err = ParseCount(r.Body); err == nil {
			err = p.took(n.N)
		}
	case CallHold:
		var k Hold
		if k, err = ParseHold(r.Body); err == nil {
			if c := s.client(k.Conn); c != nil {
				c.held = k.On
			}
		}
	case CallPong:
		var n Count
		n, err = ParseCount(r.Body)
		p.pong = max(p.pong, min(n.N, p.ping))
	}
	return err
}

func (s *Service) client(conn uint64) *client {
	for _, c := range s.clients {
		if c.conn.ID() == conn {
			return c
		}
	}
	return nil
}

// multicast queues a message of the process.
func (p *process) multicast(m *Multicast) error {
	if p.waiting += Cost(len(m.Body)); p.waiting > Window+2*MaxBody {
		return errWindow
	}
	q := queued{fn: m.Part.function(), src: m.Src, body: append(m.appendData(nil), m.Body...), cost: Cost(len(m.Body))}
	if m.Safe {
		q.level = service.Safe
	}
	if m.Part == Normal {
		p.normal = append(p.normal, q)
	} else {
		p.rounds = append(p.rounds, q)
	}
	if p.s.again == nil {
		p.s.pump()
	}
	return nil
}

type misbehaviour string

func (m misbehaviour) Error() string { return string(m) }

const (
	errWindow = misbehaviour("more was multicast than the process may have on the way")
	errTook   = misbehaviour("more calls were taken than there are")
)

// took settles calls.
func (p *process) took(n uint64) error {
	if n < p.taken || n-p.taken > uint64(len(p.untaken)) {
		return errTook
	}
	for ; p.taken < n; p.taken++ {
		p.unread -= p.untaken[0]
		p.untaken = p.untaken[1:]
	}
	return nil
}

// watch asks the process now and then, and ends it when it does not answer, or was
// there for all the time and did not register.
func (s *Service) watch() {
	s.x.After(s.cfg.Timeout, func() {
		awaited := s.pid
		switch p := s.proc; {
		case p == nil && s.awaited == awaited && awaited != 0:
			s.pid, awaited = 0, 0
			if s.cfg.Gone != nil {
				s.cfg.Gone(s.awaited, "it did not register for "+s.cfg.Timeout.String())
			}
		case p == nil:
		case p.ping != p.pong:
			awaited = 0
			p.end(service.ErrTimeout, "it did not answer for "+s.cfg.Timeout.String())
		default:
			awaited = 0
			p.ping++
			p.tell(EventPing, Count{p.ping})
		}
		s.awaited = awaited
		s.watch()
	})
}
