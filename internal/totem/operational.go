package totem

import (
	"fmt"

	"github.com/moothall/moothall/internal/wire"
)

// onData takes a data frame. The buffer is chosen by the ring id of the frame
// itself, never by state or flags (ordering 2.16 R4).
func (m *Machine) onData(p Packet, h wire.Header, body []byte) error {
	d, err := wire.ParseData(body)
	if err != nil {
		return err
	}
	switch {
	case planted("buffer-by-flag") && m.state == Recovery && m.ring.id == h.Ring && h.Flags&wire.FlagEncapsulated == 0:
		if m.old.win.inside(d.Slot) && !m.old.win.held(d.Slot) {
			m.store(m.old, d, append([]byte(nil), p.Frame...))
		}
	case m.ring != nil && m.ring.id == h.Ring:
		m.takeData(p, h, d)
	case m.old != nil && m.old.id == h.Ring:
		if m.state == Gather || planted("use-late-old-frames") { // from the promise on, late frames are holes (R0)
			m.takeOld(p.Frame, d)
		}
	default:
		m.foreign(p, h)
	}
	return nil
}

// takeData stores a frame of the present ring and delivers what it completes.
func (m *Machine) takeData(p Packet, h wire.Header, d wire.Data) {
	r := m.ring
	if !r.member(p.From, p.Inc) {
		m.stats.DeadIncarnation++
		return
	}
	inc, ok := r.incOf(d.Origin)
	if !ok || uint32(inc) != d.OriginInc {
		m.stats.BadData++
		return
	}
	if h.Flags&wire.FlagPostToken != 0 && h.Flags&wire.FlagRetransmit == 0 &&
		d.Origin == r.prev && d.Round > r.received {
		r.tokenFirst = true // 2.8 A5
	}
	if d.Slot > r.sentSeq && d.Origin != m.cfg.Self {
		if d.Origin != r.next || planted("ack-is-progress") {
			r.passed = true
		}
		if r.hop.frame != nil && r.hop.ring == r.id {
			m.acknowledged()
		}
	}
	if !r.win.inside(d.Slot) && !planted("slot-outside-window-stored") || r.win.held(d.Slot) {
		m.stats.Duplicates++
		return
	}
	if wrapped := h.Flags&wire.FlagEncapsulated != 0; len(p.Frame) > r.mtu && !wrapped || len(p.Frame) > maxWrapped ||
		wrapped && d.Slot > r.wrapped ||
		!wrapped && wire.CheckPieces(d.Pieces, d.Count) != nil {
		m.stats.BadData++
		return
	}
	frame := append(m.pool.get(len(p.Frame)), p.Frame...)
	m.store(r, d, frame)
	m.unwrap(h, d)
	if m.state == Operational {
		m.deliver()
	}
}

func (m *Machine) store(r *ring, d wire.Data, frame []byte) {
	r.win.put(d.Slot, d.Origin, frame)
	if m.cfg.Trace {
		m.trace(TraceEvent{Kind: TraceHeld, Ring: r.id, Slot: d.Slot, Node: d.Origin, Hash: wire.FrameHash(frame)})
	}
}

// aru is all received up to, as the token and its rules see it: in recovery
// encapsulated frames only (ordering 2.16 R4a).
func (m *Machine) aru() Slot {
	r := m.ring
	if m.state == Recovery && !planted("count-client-slots-in-recovery") {
		return min(r.win.aru, m.att.last)
	}
	return r.win.aru
}

// onToken is the visit of the token, ordering 2.6; the numbers are its steps.
func (m *Machine) onToken(p Packet, h wire.Header, body []byte) error {
	r := m.ring
	if m.state != Operational && m.state != Recovery {
		m.stats.DiscardedTokens++ // no ack: the sender must go on (2.3)
		if planted("ack-discarded-token") {
			if err := wire.ParseTokenInto(body, &m.scratch); err == nil {
				m.sendAck(p.From, h.Ring, m.scratch.TokenSeq, 0)
			}
		}
		return nil
	}
	if h.Ring != r.id {
		m.foreign(p, h)
		return nil
	}
	// 1
	if p.From != r.prev || !r.member(p.From, p.Inc) {
		m.stats.BadToken++
		return nil
	}
	t := &m.scratch
	if err := wire.ParseTokenInto(body, t); err != nil {
		m.stats.BadToken++
		return fmt.Errorf("token from node %d: %w", p.From, err)
	}
	if t.TokenSeq <= r.tokenSeq && (t.TokenSeq+1 < r.tokenSeq || !planted("dup-token-accepted")) {
		m.stats.DupTokens++
		m.sendAck(r.prev, r.id, t.TokenSeq, m.aru())
		return nil
	}
	if t.Seq < r.sentSeq || t.Aru > t.Seq || t.Stable > t.Aru || t.Seq > r.win.aru+r.win.size() ||
		t.Stable > r.win.aru || t.AruOwner != 0 && !has(r.ids, t.AruOwner) {
		m.stats.BadToken++
		return nil
	}
	if r.win.high > t.Seq { // somebody used slots that no token covers
		m.stats.BadData++
		m.breakUp(ReasonOrderConflict, p.From)
		return nil
	}
	r.tok, m.scratch = m.scratch, r.tok
	m.visit(p.Arrived)
	return nil
}

// visit handles a new token in r.tok.
func (m *Machine) visit(arrived Tick) {
	r := m.ring
	t := &r.tok
	arrivedAru := t.Aru
	r.tokenSeq = t.TokenSeq
	r.received++
	r.visits++
	r.tokenFirst = false
	r.tokenAt = m.now
	m.disarm(timerToken, timerHop, timerWake, timerSuspect) // 2
	r.hop.frame = nil
	held := t.Flags&wire.TokenHold != 0
	if t.Seq == r.sentSeq && len(t.Rtr) == 0 && t.RtrMade == 0 && !r.woken && m.backlog() == 0 { // 4
		r.unchanged++
	} else {
		r.unchanged = 0
	}
	r.woken = false
	m.correct(t)
	owner, seq := t.AruOwner, t.Seq
	m.adaptWindow(t)
	r.kept = false
	if planted("done-at-receipt") && m.state == Recovery { // as right as after sending (2.16 R5)
		if m.learnStable(max(t.Stable, min(r.prevAru, arrivedAru))); m.recovered() {
			m.install()
		}
	}
	m.serve(false)                     // 5-12
	m.watchAru(arrivedAru, owner, seq) // 2.10
	if !m.ackedByData() {
		m.sendAck(r.prev, r.id, r.tokenSeq, m.aru())
	}
	m.learnStable(max(t.Stable, min(r.prevAru, arrivedAru))) // 13
	t.Stable = r.stable
	r.held = held
	m.forward(arrived) // 14, 15
	if r.stable > r.win.base && m.cfg.Trace {
		m.traceStable()
	}
	if m.state == Recovery {
		r.win.release(min(r.stable, m.att.last), m.pool.put)
		switch {
		case m.recovered(): // 2.16 R5
			m.install()
		case m.stuckInRecovery():
			m.planFailed(ReasonRecoveryTimeout, 0)
		}
		return
	}
	m.deliver() // 16
	m.actOnDeaf()
}

// serve does what a member does with the token in its hand: steps 5 to 12 and
// the frames of 15, which are built now and sent after the token.
func (m *Machine) serve(kept bool) {
	r, t := m.ring, &m.ring.tok
	resent := 0
	if !kept {
		resent = m.answer(t) // 6
	}
	k := m.allowed(t, resent) // 7
	m.build(t.Seq, k)
	n := len(m.sent)
	m.sendFrames(m.sent[:n-m.post]) // 8
	t.Seq += Slot(n)                // 9
	aru := m.aru()
	if planted("cut-through") && n+resent == 0 && r.me != 0 {
		return
	}
	if aru < t.Aru || t.AruOwner == m.cfg.Self || t.AruOwner == 0 || planted("skip-aru-owner") { // 10
		if !planted("skip-aru-rule") {
			t.Aru = aru
		} else {
			t.Aru = max(t.Aru, aru)
		}
		t.AruOwner = m.cfg.Self
		if t.Aru == t.Seq {
			t.AruOwner = 0
		}
	}
	if !kept {
		m.request(t) // 11
	}
	backlog := m.backlogFor(m.state)
	t.Fcc = max(0, t.Fcc+int32(resent+n-r.lastSent)) // 12
	t.Backlog = max(0, t.Backlog+int32(backlog-r.lastBacklog))
	r.lastSent, r.lastBacklog = resent+n, backlog
	if m.lim.ReceiveWnd > 0 {
		t.Wnd = min(t.Wnd, uint32(max(m.lim.ReceiveWnd, m.wndFloor())))
	}
	if backlog > 0 && m.state == Operational {
		t.Flags |= wire.TokenLimited
	}
}

// ackedByData reports whether the frames of this visit tell prev that the token
// came, so that no acknowledgement of its own is needed (2.6 step 2).
func (m *Machine) ackedByData() bool { return len(m.sent) > 0 && m.state == Operational }

// learnStable raises what every member is known to have.
func (m *Machine) learnStable(s Slot) {
	r := m.ring
	r.stable = max(r.stable, min(s, r.tok.Seq))
	if planted("stable-at-aru") {
		r.stable = max(r.stable, min(r.tok.Aru, r.win.aru))
	}
}

func (m *Machine) traceStable() {
	if r := m.ring; r.stable > m.tracedStable || m.tracedRing != r.id {
		m.tracedStable, m.tracedRing = r.stable, r.id
		m.trace(TraceEvent{Kind: TraceStable, Ring: r.id, Slot: r.stable})
	}
}

// forward passes the token on or keeps it (steps 14 and 15).
func (m *Machine) forward(arrived Tick) {
	r, t := m.ring, &m.ring.tok
	t.TokenSeq++
	r.tokenSeq = t.TokenSeq
	if m.mayHold() {
		r.kept = true
		r.woken = false
		m.keepSent()
		m.arm(timerHold, m.now+m.t.Hold)
		m.flushPost()
		return
	}
	if r.me == 0 {
		t.Stamp = uint64(m.now)
		t.Flags &^= wire.TokenHold
	}
	m.passOn()
}

// passOn sends the token to next, and after it the rest of the frames.
func (m *Machine) passOn() {
	r, t := m.ring, &m.ring.tok
	r.prevAru = t.Aru
	m.keepSent()
	r.rounds++
	frame := wire.AppendToken(m.pool.get(1400), m.header(r.id), *t)
	m.startHop(r.next, r.id, t.TokenSeq, frame)
	r.passed = false
	wait := m.t.Token
	if t.Flags&wire.TokenHold != 0 {
		wait += m.t.Hold
	}
	m.arm(timerToken, m.now+wait)
	if m.peer(r.next).silent() {
		m.arm(timerSuspect, m.now+m.t.SuspectGrace)
	}
	m.flushPost()
}

// keepSent remembers the seq of the token as it leaves or is kept, for step 4,
// the limit of requests (A3) and proofs of progress.
func (m *Machine) keepSent() {
	r := m.ring
	r.sentSeq = r.tok.Seq
}

func (m *Machine) flushPost() {
	m.sendFrames(m.sent[len(m.sent)-m.post:])
	m.sent, m.post = m.sent[:0], 0
}

// sendFrames sends own new frames to the ring.
func (m *Machine) sendFrames(frames [][]byte) {
	if r := m.ring; len(r.others) > 0 {
		for _, f := range frames {
			m.send(Dest{Scope: ToRing, Nodes: r.others}, TrafficData, f)
		}
	}
}

// mayHold says whether the representative keeps the token now (ordering 2.12).
func (m *Machine) mayHold() bool {
	r, t := m.ring, &m.ring.tok
	return r.me == 0 && m.state == Operational && len(r.ids) > 1 && r.unchanged >= 3 &&
		t.Aru == t.Seq && t.Stable == t.Seq && len(t.Rtr) == 0 && t.Backlog == 0 &&
		m.backlog() == 0 && len(m.sent) == 0
}

// releaseToken lets the kept token go: by timer with flag hold, else at once for
// a message or a Wake. Only steps 5, 7-10, 12, 14 and 15 run; nothing that
// happens to a token in place raises stable (2.6).
func (m *Machine) releaseToken(byTimer bool) {
	r := m.ring
	if m.state != Operational || !r.kept {
		return
	}
	r.kept = false
	m.disarm(timerHold)
	t := &r.tok
	t.Flags &^= wire.TokenHold
	r.held = byTimer
	if byTimer {
		t.Flags |= wire.TokenHold
	}
	m.serve(true)
	if planted("kept-token-stable") {
		m.learnStable(t.Aru)
		t.Stable = r.stable
	}
	if (!byTimer || len(m.sent) > 0) && !planted("unchanged-kept-over-release") {
		r.unchanged = 0
		t.Flags &^= wire.TokenHold
		r.held = false
	}
	r.woken = false
	t.TokenSeq++
	r.tokenSeq = t.TokenSeq
	t.Stamp = uint64(m.now)
	m.passOn()
	m.deliver()
}

// sendWake asks the representative to let the token go; again on all links.
func (m *Machine) sendWake(try uint8) {
	r := m.ring
	if m.state != Operational || r.me == 0 || !r.takenForHeld() || m.backlog() == 0 {
		return
	}
	frame := wire.AppendWake(m.pool.get(64), m.header(r.id), wire.Wake{Hint: r.win.aru})
	m.out.send = append(m.out.send, Outgoing{To: toNode(r.rep()), Kind: TrafficControl, Try: try, Frame: frame})
	m.pool.put(frame)
	m.arm(timerWake, m.now+max(2*m.rtt(r.rep()), m.t.HopMin))
}

func (m *Machine) onWake(p Packet, h wire.Header, body []byte) error {
	if _, err := wire.ParseWake(body); err != nil {
		return err
	}
	r := m.ring
	if m.state != Operational || h.Ring != r.id || r.me != 0 || !r.member(p.From, p.Inc) {
		return nil
	}
	r.woken = true // work releases it, or step 4 of the next visit sees it
	return nil
}

// rtt is the round trip to a node: the links' or that of tokens and their
// acknowledgements, whichever is longer.
func (m *Machine) rtt(n NodeID) Tick {
	if q := m.peer(n); q != nil {
		return max(q.link.RTT, q.hopRTT)
	}
	return 0
}

// breakUp leaves a ring or an attempt at one.
func (m *Machine) breakUp(why Reason, who NodeID) {
	if m.state == Operational {
		m.gather(why, who)
	} else {
		m.abandon(why, who)
	}
}

// tokenLost ends the ring that no token comes round in.
func (m *Machine) tokenLost() {
	switch m.state {
	case Operational:
		if !m.ring.kept {
			m.gather(ReasonTokenLost, 0)
		}
	case Commit:
		m.abandon(ReasonCommitTimeout, 0)
	case Recovery:
		m.abandon(ReasonRecoveryTimeout, 0)
	}
}

// foreign handles a data frame or token of a ring that is not mine. A node that
// is in my ring only shows frames of an older or newer one on their way; a
// stranger is a reason to gather (ordering 2.3).
func (m *Machine) foreign(p Packet, h wire.Header) {
	m.stats.Foreign++
	if m.state != Operational || has(m.ring.ids, p.From) || h.Ring.Seq < m.ring.id.Seq ||
		m.keepsOut(p.From) || m.unwanted(m.peer(p.From)) {
		return
	}
	if m.mayMerge([]NodeID{p.From}) {
		m.gatherWith(ReasonForeign, p.From, []NodeID{p.From})
	}
}
