package events

import (
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// enter is the body of msgEnter.
type enter struct {
	number  uint64 // of a topic that was open before; zero: the one with the name
	request EnterRequest
	who     entrant
}

func (m enter) appendTo(b []byte) []byte {
	return appendEntrant(m.request.AppendTo(body.AppendU64(b, m.number)), m.who)
}

func takeEnter(r *body.Reader) enter {
	return enter{r.U64(), takeEnterRequest(r), takeEntrant(r)}
}

// enter opens a topic for a client. If nobody waits for that any more, it is taken
// back (openais-executive 7.8).
func (s *Service) enter(src service.Source, id uint64, m *enter) (service.Code, []byte) {
	own := s.channel(m.number, m.who)
	t := s.state.find(m.number, m.request.Name)
	if t == nil {
		code := service.ErrNotExist
		if bad := openable(m.request.Name); bad != service.OK {
			code = bad
		} else if m.number == 0 && m.request.Create {
			code = s.create(id, string(m.request.Name), m.request.Options)
		}
		if code != service.OK {
			if own != nil {
				own.c.end(own, Deleted)
			}
			return code, nil
		}
		t = s.state.topic(string(m.request.Name))
	}
	if !slices.Contains(t.opens, m.who) {
		t.opens = append(t.opens, m.who)
	}
	if own != nil {
		own.in = true
	} else if m.who.Node == s.self {
		if code := s.opened(src, t, m); code != service.OK && !bug.Planted("events-open-for-nobody") {
			s.sayExit(t.number, m.who)
			return code, nil
		}
	}
	return service.OK, EnterReply{t.number}.AppendTo(nil)
}

// opened begins an open, if the client waits for it and may have one more.
func (s *Service) opened(src service.Source, t *topic, m *enter) service.Code {
	i, found := s.find(src.Conn)
	if !found || !s.clients[i].calls[src.Tag].enters {
		return service.ErrTimeout
	}
	c := s.clients[i]
	c.calls[src.Tag] = pending{reply: c.calls[src.Tag].reply} // the name is not taken by the call any more
	if code := c.free(m.who.sub); code != service.OK {
		return code
	}
	u := &sub{c: c, id: m.who.sub, class: Channel, name: t.name, number: t.number, in: true}
	c.subs = append(c.subs, u)
	s.channels[t.number] = append(s.channels[t.number], u)
	return service.OK
}

// channel finds what is open here.
func (s *Service) channel(number uint64, who entrant) *sub {
	if who.Node == s.self {
		for _, u := range s.channels[number] {
			if u.c.id == who.conn && u.id == who.sub {
				return u
			}
		}
	}
	return nil
}

// exit ends an open. A topic without a name ends with its last.
func (s *Service) exit(t *topic, who entrant) {
	t.opens = slices.DeleteFunc(t.opens, func(e entrant) bool { return e == who })
	if own := s.channel(t.number, who); own != nil {
		own.in = false // of a node that was thrown out: it is to be opened again
	}
	if len(t.opens) == 0 && slices.Contains(s.state.unlinked, t) {
		s.abandon(t)
	}
}

// unlink takes a topic's name. It ends now if it is not open anywhere, or if it is
// a group, which can not be without a name.
func (s *Service) unlink(name string) service.Code {
	t := s.state.topic(name)
	if t == nil || !t.created || len(t.opens) == 0 || len(t.members) > 0 || bug.Planted("events-unlink-ends") {
		return s.delete(name)
	}
	s.unstoreTopic(t)
	t.created, t.opts = false, Options{}
	for _, ev := range t.kept {
		ev.timed = false
	}
	t.trim(MaxAll)
	s.state.unlink(t)
	return service.OK
}

// exit is the end of an open that is to be said.
type exit struct {
	number uint64 // of the topic
	who    entrant
}

// sayExit multicasts that an open ended, as soon as there is room; without a membership
// it is said with the next. Nothing is opened here before that: clients may use their
// names again.
func (s *Service) sayExit(number uint64, who entrant) {
	s.exits = append(s.exits, exit{number, who})
	if len(s.exits) == 1 {
		s.retry(s.sayExits)
	}
}

func (s *Service) sayExits() bool {
	for len(s.exits) > 0 {
		if e := s.exits[0]; s.live() && s.sendExit(e.number, e.who) != service.OK {
			return false
		}
		s.exits = s.exits[1:]
	}
	return true
}

func (s *Service) sendExit(number uint64, who entrant) service.Code {
	return s.send(msgExit, service.Source{Node: s.self, Conn: who.conn}, appendEntrant(body.AppendU64(nil, number), who))
}

// reconcileOpens is the part of reconcile that is about channels.
func (s *Service) reconcileOpens() bool {
	for t := range s.state.all() {
		for _, e := range t.opens {
			if e.Node == s.self && s.channel(t.number, e) == nil && s.sendExit(t.number, e) != service.OK {
				return false
			}
		}
	}
	for _, c := range s.clients {
		for _, u := range c.subs {
			if u.class != Channel || u.in {
				continue
			}
			m := enter{number: u.number, request: EnterRequest{Sub: u.id}, who: u.entrant()}
			if s.send(msgEnter, service.Source{Node: s.self, Conn: c.id}, m.appendTo(nil)) != service.OK {
				return false
			}
		}
	}
	return true
}
