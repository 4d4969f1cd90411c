package sim

// ping is the whole session layer of a bare run (a model of ordering 3.2): who
// I am, which of your lives I last heard, and whether that was just now.
type ping struct {
	answer bool
	stale  bool   // known and committed tell of a later start of yours
	echo   Life   // the receiver's life that the sender knows
	hears  bool   // the sender heard that life within link_dead
	known  uint64 // incarnation
	commit uint64
}

// peerSession is what one life knows of another node.
type peerSession struct {
	life  Life // of the established session, zero: none
	inc   uint64
	heard Tick // local
	up    bool
	half  bool
	told  Tick // last stale notice
}

const pingEvery = 200 * ms

// sessions is the session layer of one life.
type sessions struct {
	m     *member
	peers []peerSession
	every Tick
}

func newSessions(m *member) *sessions {
	every := m.w.plan.Engine.Ping
	if every == 0 {
		every = pingEvery
	}
	return &sessions{m: m, peers: make([]peerSession, len(m.w.nodes)), every: every}
}

// onPing handles one packet of the session layer. It returns what a driver has
// to know: that the packet counts as heard, or that this node is stale.
func (s *sessions) onPing(p *packet) (heard bool) {
	q := &s.peers[p.from]
	switch {
	case p.inc < q.inc || p.inc == q.inc && p.life != q.life && q.life != 0:
		if now := s.m.now(); q.told == 0 || now-q.told >= sec {
			q.told = now
			s.send(p.from, ping{stale: true, echo: p.life, known: q.inc, commit: s.m.ring.Seq})
		}
		return false
	case p.life == q.life:
		q.heard = s.m.now()
		q.half = !p.ping.hears
		if !p.ping.answer { // it has no session yet and asks for a proof of this life
			s.send(p.from, ping{answer: true, echo: p.life, hears: true})
		}
		return true
	}
	if p.ping.answer && p.ping.echo == s.m.life { // proof that this life is there now
		*q = peerSession{life: p.life, inc: p.inc, heard: s.m.now(), half: !p.ping.hears}
		return true
	}
	s.send(p.from, ping{answer: true, echo: p.life, hears: true})
	s.send(p.from, ping{echo: p.life})
	return false
}

// knows reports whether a frame of that packet may reach the engine.
func (s *sessions) knows(p *packet) bool {
	q := &s.peers[p.from]
	if q.life != p.life {
		return false
	}
	q.heard = s.m.now()
	return true
}

// dead reports whether the packet comes from a life that ended before the
// present session began. A real session layer would drop it; plans with replays
// show that the engine does not rely on that.
func (s *sessions) dead(p *packet) bool {
	q := &s.peers[p.from]
	return q.life != 0 && p.inc < q.inc
}

// tick pings everybody.
func (s *sessions) tick() {
	for i := range s.peers {
		if i != s.m.i {
			q := &s.peers[i]
			s.send(i, ping{answer: q.life != 0, echo: q.life, hears: q.life != 0 && s.m.now()-q.heard < 3*s.every})
		}
	}
}

func (s *sessions) send(to int, p ping) {
	net := s.m.w.net
	k := net.packet()
	*k = packet{from: s.m.i, to: to, life: s.m.life, inc: s.m.inc, kind: ftPing, control: true, ping: p}
	net.send(k)
}
