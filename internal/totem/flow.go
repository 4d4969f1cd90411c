package totem

import "github.com/moothall/moothall/internal/wire"

// allowed is the number of new frames of this visit (ordering 2.7).
func (m *Machine) allowed(t *wire.Token, resent int) int {
	r := m.ring
	mine := m.backlogFor(m.state)
	if mine == 0 {
		return 0
	}
	wnd := min(int(t.Wnd), m.lim.WndMax)
	room := wnd - (int(t.Fcc) - r.lastSent)
	waiting := max(mine, int(t.Backlog)+mine-r.lastBacklog)
	busy := (waiting + mine - 1) / mine
	personal := wnd / busy
	if busy == 1 {
		personal = max(16, wnd/2)
	}
	share := wnd * mine / waiting
	if wnd > int(t.Fcc) {
		share = max(share, 1)
	}
	n := min(personal, room, share) - resent
	if w := Slot(m.lim.Window); t.Seq-r.win.released >= w-2*Slot(wnd) || r.win.bytes >= m.lim.RingBytes/4*3 {
		m.blocked(t)
		return 0
	}
	return max(0, min(n, int(r.win.released+r.win.size()-t.Seq)))
}

// correct brings the sums in the token back to what this member knows for
// certain. They are kept up by differences, so a wrong one would stay for ever:
// the ring would never be idle, or never send again.
func (m *Machine) correct(t *wire.Token) {
	r := m.ring
	if t.RtrMade == 0 && len(t.Rtr) == 0 { // all that was sent has got slots
		t.Fcc = min(t.Fcc, int32(t.Seq-r.sentSeq)+int32(r.lastSent))
	}
	if r.me == 0 && r.unchanged >= 3 && t.Aru == t.Seq && t.Stable == t.Seq {
		t.Backlog = 0
	}
}

// wndFloor is the smallest window of a rotation.
func (m *Machine) wndFloor() int { return 2 * len(m.ring.ids) }

// startWnd is the window that a new ring begins with.
func (m *Machine) startWnd(n int) uint32 {
	return uint32(min(max(64, 4*n), m.lim.Window/8, m.lim.WndMax))
}

// adaptWindow moves the window once per rotation, at the representative: up when
// somebody wanted more and nothing was lost, down when much was asked for again.
func (m *Machine) adaptWindow(t *wire.Token) {
	r := m.ring
	if r.me != 0 || m.state != Operational {
		return
	}
	wnd := int(t.Wnd) // what comes back, lowered by the others, caps the target
	if r.wndRest > 0 {
		r.wndRest--
	}
	switch {
	case t.RtrMade == 0 && t.Flags&wire.TokenLimited != 0:
		wnd += max(1, wnd/32)
	case int64(t.RtrMade)*100 > int64(t.Fcc) && t.RtrMade > 0 && r.wndRest == 0:
		wnd = wnd * 3 / 4
		r.wndRest = 4
	}
	t.Wnd = uint32(min(max(wnd, m.wndFloor()), m.lim.WndMax, m.lim.Window/8))
	t.RtrMade = 0
	t.Flags &^= wire.TokenLimited | wire.TokenRecovery
}

// blocked notes that the window is full, and tells who holds it up.
func (m *Machine) blocked(t *wire.Token) {
	r := m.ring
	if r.blockedSince == 0 {
		r.blockedSince, r.warned = m.now, false
	}
	if !r.warned && m.now-r.blockedSince >= m.t.SlowNodeWarn {
		r.warned = true
		m.trace(TraceEvent{Kind: TraceBlocked, Ring: r.id, Node: m.blockedBy(r), Value: int64(m.now - r.blockedSince)})
	}
}

// blockedBy names the member that holds the ring up: self when the own clients
// do not take what is delivered, else the owner of the aru.
func (m *Machine) blockedBy(r *ring) NodeID {
	if r.delivered < min(r.win.aru, r.stable) {
		return m.cfg.Self
	}
	return r.tok.AruOwner
}

// watchAru finds a member that cannot receive: its aru stands still although
// frames above it exist and are sent to it again (ordering 2.10). What counts is
// evidence about that member alone: its own requests, seen by itself or by who
// answered the first of them. A member whose window is full requests nothing, so
// it is never found here. aru and owner are those of the token as it came.
func (m *Machine) watchAru(aru Slot, owner NodeID, seq Slot) {
	r := m.ring
	evidence := m.answeredFirst || owner == m.cfg.Self && m.requested > 0
	m.answeredFirst, m.requested = false, 0
	if aru != r.stuckAru || owner != r.stuckOwner || aru == seq || owner == 0 {
		r.stuckAru, r.stuckOwner, r.stuckSince, r.stuckVisits = aru, owner, m.now, 0
		if seq-r.win.released < Slot(m.lim.Window)/2 {
			r.blockedSince = 0
		}
		return
	}
	if evidence {
		r.stuckVisits++
	}
	if r.stuckVisits < 8 {
		return
	}
	limit := m.t.FailToReceive
	if owner != m.cfg.Self {
		limit += limit / 2
	}
	if m.now-r.stuckSince >= limit && !planted("deaf-tolerated") {
		m.deaf = owner // acted on at the end of the visit
	}
}

// actOnDeaf leaves a member behind that cannot receive, or leaves by itself.
func (m *Machine) actOnDeaf() {
	q := m.deaf
	m.deaf = 0
	if q == 0 || m.state != Operational {
		return
	}
	if q == m.cfg.Self {
		m.gather(ReasonCannotReceive, q)
		m.excludeSelf()
		return
	}
	m.gather(ReasonPeerDeaf, q)
	m.blameFor(q, ReasonPeerDeaf)
	m.fail = insert(m.fail, q)
	m.trace(TraceEvent{Kind: TraceFail, Node: q, Reason: ReasonPeerDeaf})
	m.changed()
}
