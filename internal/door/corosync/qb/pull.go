package qb

import (
	"slices"
	"time"
)

// A client that multicasts as fast as it can announces each request with a
// byte, and each byte wakes the poller, although nothing can be sent before the
// token is here. While the token goes round quickly, such a connection is not
// watched: the owner looks into its ring before each visit of the token.

const (
	// wakesToPull is how often the poller was woken for a connection between two
	// pulls before it is left to them.
	wakesToPull = 2
	// emptyPulls in a row end it.
	emptyPulls = 4
	// pullGap is the longest time between pulls, beyond which nobody is left to them.
	pullGap = time.Millisecond
)

// puller is what the owner keeps of connections that are not watched.
type puller struct {
	conns []*Conn
	count uint64
	last  time.Time
	guard *time.Timer // fires after the last of pulls that do not come any more
}

// pulls is the part of a connection.
type pulls struct {
	at    uint64 // puller.count at the last wake
	wakes int    // since then
	empty int
}

// Pull serves the requests of connections that are not watched. The owner calls
// it before it handles a token; never calling it is correct too.
func (s *Server) Pull() {
	p := &s.puller
	p.count++
	p.last = time.Now()
	s.spent = 0
	kept, n := p.conns[:0], 0
	for ; n < len(p.conns) && s.spent < roundRequests; n++ {
		if c := p.conns[n]; s.pullOne(c) {
			kept = append(kept, c)
		}
	}
	if n < len(p.conns) { // the others come first next time
		p.conns = append(slices.Clone(p.conns[n:]), kept...)
		return
	}
	clear(p.conns[len(kept):])
	p.conns = kept
}

// pullOne reports whether the connection goes on without being watched.
func (s *Server) pullOne(c *Conn) bool {
	switch more, err := c.pending(); {
	case c.ended:
		return false
	case !c.serving():
		return true // SetFlow or Resume gives it its turn
	case more || err != nil: // the turn meets the error, too
		c.pull.empty = 0
		c.turn()
		return true
	}
	if c.pull.empty++; c.pull.empty < emptyPulls {
		return true
	}
	c.unpull()
	return false
}

// woken counts a turn that the poller caused, and leaves the connection to
// pulls if there were too many.
func (c *Conn) woken() {
	p := &c.s.puller
	if c.pull.at != p.count {
		c.pull.at, c.pull.wakes = p.count, 0
	}
	if c.pull.wakes++; c.unwatched || c.ended || c.pull.wakes < wakesToPull || time.Since(p.last) > pullGap {
		return
	}
	c.pull.empty = 0
	c.rewatch(false)
	p.conns = append(p.conns, c)
	if len(p.conns) == 1 {
		c.s.guardPulls()
	}
}

// unpull has the connection watched again. What is in its socket wakes the
// poller at once.
func (c *Conn) unpull() {
	c.pull.wakes = 0
	c.rewatch(true)
}

// guardPulls sees to it that no connection waits for pulls that do not come.
func (s *Server) guardPulls() {
	if s.puller.guard == nil {
		s.puller.guard = time.AfterFunc(2*pullGap, func() { s.cfg.Do(s.checkPulls) })
		return
	}
	s.puller.guard.Reset(2 * pullGap)
}

func (s *Server) checkPulls() {
	p := &s.puller
	if time.Since(p.last) > pullGap {
		for _, c := range p.conns {
			c.unpull()
		}
		clear(p.conns)
		p.conns = p.conns[:0]
	}
	if len(p.conns) > 0 {
		s.guardPulls()
	}
}

// rewatch switches the poller's interest in requests.
func (c *Conn) rewatch(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unwatched = !on
	if c.phase == open {
		c.s.modify(c.fd, c.id, on, c.armed)
	}
}
