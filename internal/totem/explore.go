package totem

import (
	"encoding/binary"

	"github.com/moothall/moothall/internal/wire"
)

// This file is what an explorer needs beside Clone: a machine's state as bytes
// that are equal when the future is, and timers that fire as actions. An
// explorer calls every method with one and the same Tick, so that no time goes
// by between two inputs but where FireTimer and LinkDown say so.

// Timer names a kind of timer to a driver that fires timers as actions.
type Timer = timerKind

// The kinds of timers, as ordering 2.3 and 2.23 name them.
const (
	TimerToken     = timerToken
	TimerHop       = timerHop
	TimerHold      = timerHold
	TimerWake      = timerWake
	TimerSuspect   = timerSuspect
	TimerJoin      = timerJoin
	TimerSettle    = timerSettle
	TimerConsensus = timerConsensus
	TimerLinger    = timerLinger
	TimerMerge     = timerMerge
	TimerMergeHold = timerMergeHold
	TimerLeave     = timerLeave
	NumTimers      = numTimers
)

// String is the kind as a word.
func (k timerKind) String() string {
	return [numTimers]string{"pause", "token", "hop", "hold", "wake", "suspect", "join", "settle", "consensus",
		"linger", "merge", "merge-hold", "leave"}[k%numTimers]
}

// ArmedTimers has the bit 1<<kind set for each armed timer, but for the stamp of
// the pause detection, which changes nothing.
func (m *Machine) ArmedTimers() uint32 {
	var set uint32
	for k, at := range m.timers {
		if at != 0 && timerKind(k) != timerPause {
			set |= 1 << k
		}
	}
	return set
}

// FireTimer lets an armed timer fire as if its time had come, whatever the
// others are armed for. A timer that is not armed does nothing.
func (m *Machine) FireTimer(now Tick, k Timer) {
	m.begin(now)
	if k >= numTimers || m.timers[k] == 0 || m.stopped != Running {
		return
	}
	m.timers[k] = 0
	if k == timerMergeHold {
		m.notBefore = min(m.notBefore, m.now) // it is never armed for an earlier time
	}
	m.fire(k)
}

// LinkDown reports that all links to a node are down, as they are after a silence
// that is longer than what gather counts. A frame of the node that comes later
// counts as heard since.
func (m *Machine) LinkDown(now Tick, id NodeID) {
	if q := m.peer(id); q != nil {
		q.heard = 0
		m.LinkState(now, LinkState{Node: id})
		q.downAt = m.now - 1
	}
}

// Facts is what an explorer reads without asking for a whole Status.
type Facts struct {
	State     State
	Ring      RingID // operational or in recovery; zero: none
	Old       RingID // the ring being left; zero: none
	Next      RingID // the ring being made; zero: none
	Members   int    // of Ring
	TokenSeq  uint64 // highest token_seq of Next, else of Ring: see AppendState
	Committed uint64
	Stop      StopReason
}

// Facts returns them.
func (m *Machine) Facts() Facts {
	f := Facts{State: m.state, TokenSeq: m.tokenBase(), Committed: m.committedSeq, Stop: m.stopped}
	if m.ring != nil {
		f.Ring, f.Members = m.ring.id, len(m.ring.ids)
	}
	if m.old != nil {
		f.Old = m.old.id
	}
	if m.att != nil {
		f.Next = m.att.id
	}
	return f
}

// KnownInc is the incarnation of a node's session, zero if there is none.
func (m *Machine) KnownInc(id NodeID) uint64 {
	if q := m.peer(id); q != nil {
		return q.inc
	}
	return 0
}

// tokenBase is the number that AppendState counts token numbers from.
func (m *Machine) tokenBase() uint64 {
	switch {
	case m.ring != nil:
		return m.ring.tokenSeq
	case m.att != nil:
		return m.att.token.TokenSeq
	}
	return 0
}

// AppendState appends a canonical encoding of everything that can influence what
// the machine does from here on, at the same Tick and after a Take. Two machines
// of one node and cluster with equal encodings answer equal inputs with equal
// frames, as CanonicalFrame compares them, and equal events but for the reasons
// in them.
//
// There is no absolute time in it: timers are armed or not, times only show as
// the answers that the machine would draw from them now. Token numbers are
// counted from Facts.TokenSeq, so that idle rotations of a ring leave no trace.
// Not in it: counters, what only explains (reasons, attempts, who blocks), what
// only times (jitter, resend intervals, back-off), and hints to the driver
// (TokenFirst, Small).
func (m *Machine) AppendState(b []byte) []byte {
	e := encoder{b: b, base: m.tokenBase(), table: m.table}
	e.num(uint64(m.cfg.Self), m.cfg.Inc, uint64(m.state), uint64(m.stopped), uint64(m.leaves), uint64(m.ArmedTimers()))
	e.flag(m.started, m.held, m.lingering, m.disputed)
	if !m.started {
		e.num(m.cfg.SeqBound)
	}
	m.encodePromises(&e)
	m.encodePeers(&e)
	m.encodeGather(&e)
	e.ids(m.merging)
	m.encodeKept(&e)
	e.flag(m.now < m.notBefore)
	if m.now < m.notBefore {
		e.ids(m.lastPeers)
	}
	m.encodeQueues(&e)
	e.ring(m, m.ring, false)
	e.ring(m, m.old, true)
	e.attempt(m, m.att)
	return e.b
}

func (m *Machine) encodePromises(e *encoder) {
	e.num(m.committedSeq, m.maxSeen, m.seqBound, m.durableBound, uint64(m.tag-m.durable))
	e.flag(m.tag == 0, m.durable == 0, m.waiting != nil)
	if m.waiting != nil { // for what it waits follows from the state
		e.num(uint64(int64(m.waitTag) - int64(m.durable)))
	}
	for _, bound := range m.asked {
		e.num(bound)
	}
}

// encodeKept appends whom this member keeps out, and why. How long is not in it,
// as no time is; in an explored cluster of two nobody is kept out.
func (m *Machine) encodeKept(e *encoder) {
	if !m.keepsList() {
		return
	}
	e.num(uint64(len(m.kept)))
	for i := range m.kept {
		x := &m.kept[i]
		e.num(uint64(x.node), uint64(x.k), uint64(x.reason))
		e.flag(x.until > m.now, m.forgiven(x), x.reach != 0, m.now-x.reach >= reachTime, m.now-x.shown > reachTime, x.ordered,
			x.told != 0 && m.now-x.told < noticePace)
	}
	e.num(uint64(len(m.blamed)))
	for _, b := range m.blamed {
		e.num(uint64(b.node), uint64(b.reason))
	}
	r := m.lastOperational()
	e.flag(m.quorate, r != nil && m.decided == r.id, r != nil && r.quorate)
	for i := range m.peers {
		q := &m.peers[i]
		e.flag(q.torn != 0 && m.now-q.torn < tornMemory, q.told > m.now, q.shutUntil > m.now)
		e.num(q.shutSeq)
		for _, at := range q.faults {
			e.flag(at != 0 && m.now-at <= flapWindow)
		}
	}
}

func (m *Machine) encodePeers(e *encoder) {
	for i := range m.peers {
		q := &m.peers[i]
		e.num(q.inc, max(q.denied, q.inc), uint64(q.link.RTT), uint64(q.hopRTT), uint64(min(q.probes, probePatience)))
		e.flag(m.heard(q), q.linked, q.link.Up, q.silent(), q.probes >= probePatience && m.now-q.probed < probeRare)
		if m.state != Gather {
			continue // a gather begins with none
		}
		e.flag(q.join.valid, q.join.leaving, q.join.valid && m.now-q.join.at <= m.heardWindow())
		if q.join.valid {
			e.id(q.join.ring)
			e.ids(q.join.heard)
		}
	}
}

// encodeGather leaves out what the next gather sets anew.
func (m *Machine) encodeGather(e *encoder) {
	if m.state == Operational && m.leaves == 0 {
		return
	}
	e.members(m.proc)
	e.ids(m.fail)
	e.num(uint64(m.badPlans))
	if m.state == Gather {
		e.ids(m.consensus)
		e.flag(m.settled, m.apart, m.reason == ReasonStart, m.joinAt == 0 || m.now-m.joinAt >= joinPace, m.told == digest(m.proc, m.fail))
	}
}

func (m *Machine) encodeQueues(e *encoder) {
	e.num(m.nextK, m.engineK, uint64(m.level), uint64(m.undelivered), uint64(m.deaf))
	for c := range m.queues {
		q := &m.queues[c]
		e.num(uint64(q.count))
		for i := range q.count {
			x := &q.items[(q.head+i)%len(q.items)]
			e.num(x.k, x.piece, uint64(x.off))
			e.flag(x.safe, x.engine)
			e.bytes(x.body)
		}
		t := m.tags[c].items[m.tags[c].head:]
		e.num(uint64(len(t)))
		for _, x := range t {
			e.num(x.k, x.tag)
		}
	}
}

// encoder appends values so that no two lists of values look the same.
type encoder struct {
	b     []byte
	base  uint64 // token numbers count from here
	table wire.Table
}

func (e *encoder) num(vs ...uint64) {
	for _, v := range vs {
		e.b = binary.AppendUvarint(e.b, v)
	}
}

// token appends a token number.
func (e *encoder) token(seq uint64) { e.b = binary.AppendVarint(e.b, int64(seq-e.base)) }

func (e *encoder) flag(fs ...bool) {
	var v byte
	for i, f := range fs {
		if f {
			v |= 1 << i
		}
	}
	e.b = append(e.b, v)
}

func (e *encoder) bytes(p []byte) {
	e.num(uint64(len(p)))
	e.b = append(e.b, p...)
}

func (e *encoder) ids(ids []NodeID) {
	e.num(uint64(len(ids)))
	for _, id := range ids {
		e.num(uint64(id))
	}
}

func (e *encoder) members(ms []wire.Member) {
	e.num(uint64(len(ms)))
	for _, x := range ms {
		e.num(uint64(x.ID), x.Inc)
	}
}

func (e *encoder) slots(ss []Slot) {
	e.num(uint64(len(ss)))
	for _, s := range ss {
		e.num(uint64(s))
	}
}

func (e *encoder) id(r RingID) { e.num(r.Seq, uint64(r.Rep), uint64(r.Inc)) }

// frame appends a frame that is kept, with its token number counted from base.
func (e *encoder) frame(f []byte) {
	c, seq, numbered := CanonicalFrame(nil, f, e.table)
	e.bytes(c)
	if numbered {
		e.token(seq)
	}
}

// ring appends a ring. An old one receives and passes on no token any more.
func (e *encoder) ring(m *Machine, r *ring, old bool) {
	e.flag(r != nil)
	if r == nil {
		return
	}
	e.id(r.id)
	e.members(r.members)
	e.num(uint64(r.mtu), uint64(r.wrapped), uint64(r.delivered), uint64(r.stable))
	e.ids(r.dset)
	e.window(m, r)
	for i := range r.asm {
		if a := &r.asm[i]; a.body != nil {
			e.num(uint64(i)+1, a.k, a.next)
			e.bytes(a.body)
		}
	}
	e.num(0)
	if old {
		return
	}
	e.num(uint64(r.sentSeq), uint64(r.prevAru), uint64(r.lastSent), uint64(r.lastBacklog), uint64(r.wndRest),
		uint64(min(r.unchanged, 3)))
	e.flag(r.kept, r.held, r.woken, r.passed, m.now-r.stuckSince >= m.t.FailToReceive)
	if m.now-r.stuckSince >= m.t.FailToReceive {
		e.num(uint64(r.stuckAru), uint64(r.stuckOwner), uint64(min(r.stuckVisits, 8)), uint64(m.now-r.stuckSince))
	}
	if m.state == Recovery {
		e.num(uint64(min(r.visits, 2)))
		stuck := m.now-r.reachedAt >= m.t.FailToReceive
		if e.flag(stuck); stuck {
			e.num(uint64(r.reached))
		}
	}
	if r.kept { // else it is replaced before it is read
		e.frame(wire.AppendToken(nil, wire.Header{}, r.tok))
	}
	if m.cfg.Trace && m.tracedRing == r.id {
		e.num(uint64(m.tracedStable))
	}
	e.hop(&r.hop)
}

func (e *encoder) window(m *Machine, r *ring) {
	w := r.win
	e.num(uint64(w.base), uint64(w.released), uint64(w.high), uint64(w.aru))
	for s := w.released + 1; s <= w.high; s++ {
		if !w.held(s) {
			continue
		}
		x := w.at(s)
		e.num(uint64(s))
		e.frame(x.frame)
		e.flag(x.answered != 0 && m.now-x.answered < m.rtt(r.next))
	}
	e.num(0)
}

func (e *encoder) hop(h *hop) {
	e.flag(h.frame != nil)
	if h.frame == nil {
		return
	}
	e.num(uint64(h.to))
	e.id(h.ring)
	e.token(h.seq)
	e.frame(h.frame)
}

// attempt appends a ring that is being made: before recovery the commit token,
// after it what was read from it.
func (e *encoder) attempt(m *Machine, a *attempt) {
	e.flag(a != nil)
	if a == nil {
		return
	}
	e.id(a.id)
	e.members(a.members)
	if m.state == Commit {
		e.frame(wire.AppendCommit(nil, wire.Header{}, a.token, e.table))
		e.hop(&a.hop)
		return
	}
	if m.ring != nil && m.ring.visits == 0 {
		e.token(a.token.TokenSeq) // copies of the commit token are told from it
	}
	e.ids(a.trans)
	e.ids(a.d)
	e.num(uint64(a.high), uint64(a.hd), uint64(a.last))
	e.slots(a.queue)
	e.slots(a.need)
}

// CanonicalFrame appends a frame to b without what its receiver does not look
// at: clocks, reasons, the originator's round, and its token number, which is
// returned instead; numbered is false for a frame that has none. Two frames of
// one sender with equal results have the same effect on any receiver. A frame
// that cannot be read is its own form.
func CanonicalFrame(b, frame []byte, t wire.Table) (form []byte, seq uint64, numbered bool) {
	h, body, err := wire.ParseHeader(frame)
	if err != nil {
		return append(b, frame...), 0, false
	}
	ring := wire.Header{Cluster: h.Cluster, Ring: h.Ring}
	nowhere := wire.Header{Cluster: h.Cluster}
	switch h.Type {
	case wire.TypeData:
		return canonicalData(b, frame), 0, false
	case wire.TypeToken:
		if x, err := wire.ParseToken(body); err == nil {
			seq, x.TokenSeq, x.Stamp = x.TokenSeq, 0, 0
			return wire.AppendToken(b, ring, x), seq, true
		}
	case wire.TypeTokenAck:
		if x, err := wire.ParseTokenAck(body); err == nil {
			return wire.AppendTokenAck(b, ring, wire.TokenAck{}), x.TokenSeq, true
		}
	case wire.TypeJoin:
		if x, err := wire.ParseJoin(body, t); err == nil {
			x.Attempt, x.Digest, x.State, x.Reason = 0, 0, 0, 0
			return wire.AppendJoin(b, nowhere, x, t), 0, false
		}
	case wire.TypeCommit:
		if x, err := wire.ParseCommit(body, t); err == nil {
			seq, x.TokenSeq = x.TokenSeq, 0
			return wire.AppendCommit(b, ring, x, t), seq, true
		}
	case wire.TypeWake:
		return wire.AppendWake(b, ring, wire.Wake{}), 0, false
	case wire.TypeNotice:
		if x, err := wire.ParseNotice(body); err == nil {
			x.Text = ""
			return wire.AppendNotice(b, nowhere, x), 0, false
		}
	}
	return append(b, frame...), 0, false
}

// canonicalData clears the round and the flags of delivery, in an encapsulated
// frame too.
func canonicalData(b, frame []byte) []byte {
	at := len(b)
	b = append(b, frame...)
	for f := b[at:]; len(f) >= wire.HeaderLen+wire.DataHeadLen && wire.FrameType(f) == wire.TypeData; {
		h, body, err := wire.ParseHeader(f)
		if err != nil {
			break
		}
		wire.SetFlags(f, h.Flags&wire.FlagEncapsulated)
		wire.SetRound(f, 0)
		if h.Flags&wire.FlagEncapsulated == 0 {
			break
		}
		f = body[wire.DataHeadLen:]
	}
	return b
}
