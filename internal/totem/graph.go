package totem

// judge looks at the evidence once the settle timer ended (ordering 2.14.1,
// 2.14.2): a node that is silent, whose links are down and whom nobody hears is
// failed at once; where the graph of who hears whom is not complete, the largest
// choice that is complete goes on.
func (m *Machine) judge() {
	if m.state != Gather || !m.settled || planted("settle-blind") {
		return
	}
	promised := m.allAgree() // then silence is no evidence: a member that promised sends no Joins
	grown := false
	for _, x := range m.agreed() {
		if q := m.peer(x.ID); q != nil && (m.gone(q) || promised && q.silent()) {
			m.markFailed(q.id, ReasonSettled)
			grown = true
		}
	}
	if !promised && m.choose() {
		grown = true
	}
	if grown {
		m.changed()
		return
	}
	m.tryCommit()
}

// judgeLate is judge for what is learnt after the settle timer.
func (m *Machine) judgeLate() {
	if m.settled {
		m.judge()
	}
}

// gone reports a node that sent no Join, is down on all links and is heard by
// nobody who sent one.
func (m *Machine) gone(q *peer) bool {
	if q.join.valid || !q.silent() {
		return false
	}
	return !m.heardByOthers(q) || planted("one-bad-nic")
}

// heardByOthers reports whether somebody's Join says that it hears that node.
func (m *Machine) heardByOthers(q *peer) bool {
	for i := range m.peers {
		if o := &m.peers[i]; o.join.valid && has(o.join.heard, q.id) {
			return true
		}
	}
	return false
}

// choose removes nodes with dead edges until the graph is complete. It reports
// whether fail grew.
func (m *Machine) choose() bool {
	ids := memberIDs(m.agreed())
	var removed []NodeID
	for {
		worst, found := NodeID(0), false
		least := len(ids)
		for _, a := range ids {
			good := 0
			for _, b := range ids {
				if a != b && m.goodEdge(a, b) {
					good++
				}
			}
			if good == len(ids)-1 {
				continue
			}
			if !found || good < least || good == least && m.dearer(worst, a) {
				worst, least, found = a, good, true
			}
		}
		if !found {
			break
		}
		ids = remove(ids, worst)
		removed = append(removed, worst)
	}
	return m.drop(removed)
}

// drop fails the removed nodes. A node that removes itself goes on alone.
func (m *Machine) drop(removed []NodeID) bool {
	for _, id := range removed {
		if id == m.cfg.Self {
			grown := false
			m.apart = true
			for _, x := range m.proc {
				if x.ID != id && !m.failed(x.ID) {
					m.markFailed(x.ID, ReasonSettled)
					grown = true
				}
			}
			return grown
		}
	}
	for _, id := range removed {
		m.markFailed(id, ReasonHalfLink)
		if q := m.peer(id); q.join.valid || m.heardByOthers(q) { // one that died does not answer for its links
			m.blameFor(id, ReasonHalfLink)
		}
	}
	return len(removed) > 0
}

// goodEdge reports whether two nodes hear each other, as far as is known. An end
// that sent no Join is not known: the other end is believed.
func (m *Machine) goodEdge(a, b NodeID) bool {
	ab, knownA := m.hears(a, b)
	ba, knownB := m.hears(b, a)
	return (ab || !knownA) && (ba || !knownB)
}

// hears reports whether a hears b, and whether that is known.
func (m *Machine) hears(a, b NodeID) (hears, known bool) {
	if a == m.cfg.Self {
		q := m.peer(b)
		return q != nil && m.heard(q), true
	}
	q := m.peer(a)
	if q == nil || !q.join.valid || m.now-q.join.at > m.heardWindow() {
		return false, false
	}
	return has(q.join.heard, b), true
}

// dearer reports whether a is rather kept than b: the one whose last ring has
// more nodes here, more votes, the lower id. The rule looks at the same facts at
// all members, so that two of them do not keep different halves of a tie.
func (m *Machine) dearer(a, b NodeID) bool {
	if x, y := m.companions(a), m.companions(b); x != y {
		return x > y
	}
	if x, y := m.votes(a), m.votes(b); x != y {
		return x > y
	}
	return a < b
}

// companions counts the nodes of proc that come from the same last ring.
func (m *Machine) companions(id NodeID) int {
	n := 0
	ring := m.lastRing(id)
	for _, x := range m.proc {
		if x.ID == id || !ring.IsZero() && m.lastRing(x.ID) == ring {
			n++
		}
	}
	return n
}

// lastRing is the last operational ring of a node, as its Join says, or the own
// one if it was in that in the same life; zero if nothing is known.
func (m *Machine) lastRing(id NodeID) RingID {
	if q := m.peer(id); q != nil && q.join.valid {
		return q.join.ring
	}
	if i, ok := find(m.proc, id); ok && m.old.member(id, m.proc[i].Inc) {
		return m.old.id
	}
	return RingID{}
}

func (m *Machine) votes(id NodeID) uint32 {
	for _, n := range m.cfg.Nodes {
		if n.ID == id {
			return n.Votes
		}
	}
	return 0
}

// linkDown starts the grace time when the lost node is the one that should pass
// the token on, or the one that keeps it (ordering 2.13).
func (m *Machine) linkDown(q *peer) {
	switch m.state {
	case Gather:
		m.judgeLate()
	case Operational, Recovery, Commit:
		if m.dependsOn(q.id) {
			m.arm(timerSuspect, m.now+m.t.SuspectGrace)
		}
	}
}

// dependsOn reports whether the token, as far as this member knows, may wait for
// that node: it is next and nothing proves that it passed the token on, or it is
// the representative that keeps it.
func (m *Machine) dependsOn(id NodeID) bool {
	switch r := m.ring; {
	case m.state == Commit:
		return m.att.next == id
	case m.state == Recovery:
		return r.next == id
	case m.state != Operational || len(r.ids) == 1 || r.kept:
		return false
	default:
		return r.next == id && !r.passed || r.rep() == id && r.takenForHeld()
	}
}

// silent reports a node whose links are all down and that was not heard since: a
// link that comes back carries frames before it counts as up again.
func (q *peer) silent() bool { return q.linked && !q.link.Up && q.heard <= q.downAt }

// suspectDue ends the grace time.
func (m *Machine) suspectDue() {
	for i := range m.peers {
		q := &m.peers[i]
		if !q.silent() || !m.dependsOn(q.id) {
			continue
		}
		m.trace(TraceEvent{Kind: TraceSuspect, Node: q.id, Reason: ReasonSuspect, Value: int64(m.now - q.heard)})
		m.breakUp(ReasonSuspect, q.id)
		return
	}
}

// linkUp lets the representative look for the node's ring at once.
func (m *Machine) linkUp(q *peer) {
	if m.state == Operational && m.ring.me == 0 && !has(m.ring.ids, q.id) {
		m.backoff, m.notBefore = 0, 0
		q.probes = 0
		m.arm(timerMerge, m.now+1)
	}
}
