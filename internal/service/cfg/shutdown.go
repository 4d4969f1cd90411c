package cfg

import (
	"slices"

	"github.com/moothall/moothall/service"
)

// try is a shutdown that trackers are asked about.
type try struct {
	by      *client
	flags   uint32
	reply   func(service.Code, []byte)
	waiting []*client // have not answered
	no      bool      // somebody said no
	timer   service.Timer
}

// tryShutdown asks those who track, if there are any.
func (s *Service) tryShutdown(by *client, q ShutdownRequest, reply func(service.Code, []byte)) {
	switch {
	case q.Flags > Immediate:
		reply(service.ErrInvalidParam, nil)
		return
	case q.Flags == Immediate:
		reply(service.OK, nil)
		s.goDown()
		return
	case s.try != nil:
		reply(service.ErrExist, nil)
		return
	}
	t := &try{by: by, flags: q.Flags, reply: reply}
	for _, c := range s.clients {
		if c.tracking && c != by {
			t.waiting = append(t.waiting, c)
		}
	}
	s.try = t
	t.timer = s.x.After(s.host.ShutdownTime(), s.timeUp)
	for _, c := range slices.Clone(t.waiting) {
		c.push(Shutdown{Flags: t.flags})
	}
	s.judge()
}

// judge decides when all have answered.
func (s *Service) judge() {
	if t := s.try; t != nil && len(t.waiting) == 0 {
		s.decide(!t.no || t.flags == Regardless)
	}
}

// timeUp takes silence for a no, and tells those who track.
func (s *Service) timeUp() {
	t := s.try
	s.decide(t.flags == Regardless)
	for _, c := range slices.Clone(s.clients) {
		if c.tracking {
			c.push(Shutdown{Flags: t.flags, TimedOut: true})
		}
	}
}

func (s *Service) decide(yes bool) {
	t := s.try
	s.endTry()
	if !yes {
		t.reply(service.ErrBusyCode, nil)
		return
	}
	t.reply(service.OK, nil)
	s.goDown()
}

func (s *Service) endTry() {
	s.try.timer.Stop()
	s.try = nil
}

// goDown tells the others, and has this node leave when it hears that itself.
func (s *Service) goDown() { s.send(msgDown, nil) }

// vote is the answer of a client.
func (s *Service) vote(c *client, q VoteRequest) service.Code {
	t := s.try
	if t == nil {
		return service.ErrAccess
	}
	if i := slices.Index(t.waiting, c); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
		t.no = t.no || !q.Yes
		s.judge()
	}
	return service.OK
}

// trackStart also asks a client that comes while others are being asked.
func (s *Service) trackStart(c *client) {
	if c.tracking {
		return
	}
	c.tracking = true
	if t := s.try; t != nil && t.by != c {
		t.waiting = append(t.waiting, c)
		c.push(Shutdown{Flags: t.flags})
	}
}

// trackStop counts as a yes.
func (s *Service) trackStop(c *client) {
	c.tracking = false
	if s.try != nil {
		s.vote(c, VoteRequest{Yes: true})
	}
}
