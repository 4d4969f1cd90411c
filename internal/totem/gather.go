package totem

import (
	"errors"
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

// gatherState is what a member knows while it looks for a membership that all
// agree on (ordering 2.14). The sets only grow during one episode.
type gatherState struct {
	proc      []wire.Member // ascending, one entry a node, self included
	fail      []NodeID      // ascending; a mark belongs to the incarnation in proc
	consensus []NodeID      // ascending: who has the same sets
	attempt   uint32
	reason    Reason
	settled   bool // the settle timer ended: evidence decides from now on
	lingering bool // cold start: wait for latecomers before proposing
	lingerEnd Tick
	disputed  bool   // somebody who is there failed this node, or was failed by it
	apart     bool   // this node goes on alone, because it does not reach all others
	since     Tick   // when this gather began
	joinAt    Tick   // when the last Join was sent
	regular   Tick   // when the next regular Join is due
	answered  bool   // a change was told, or will be, before that
	told      uint64 // digest of the sets in it
	alone     bool   // nobody else was heard in this episode
	timeouts  int    // consensus timeouts in a row
	badPlans  int    // attempts since the last ring that could not succeed
}

// joinInfo is what the last Join of a peer in this episode said.
type joinInfo struct {
	valid   bool
	leaving bool
	ring    RingID // the sender's last operational one
	heard   []NodeID
	at      Tick
}

// gather leaves the ring, or a failed attempt, and looks for a new membership.
func (m *Machine) gather(why Reason, who NodeID) { m.gatherWith(why, who, nil) }

// gatherWith is gather with newcomers that are known by their session.
func (m *Machine) gatherWith(why Reason, who NodeID, newcomers []NodeID) {
	if m.state == Operational {
		m.leaveRing(why, who)
		if why == ReasonJoin && !m.old.member(who, m.incOf(who)) {
			m.tryingMerge(newcomers) // a stranger's attempt counts as an own one
		}
	}
	m.disarm(timerToken, timerHop, timerHold, timerWake, timerSuspect, timerMerge, timerMergeHold)
	m.proc = slices.Clone(m.old.members)
	m.fail, m.blamed = nil, nil
	for i := range m.peers {
		q := &m.peers[i]
		q.join = joinInfo{}
		if inc, ok := m.old.incOf(q.id); ok && q.inc > inc || slices.Contains(newcomers, q.id) && q.inc != 0 {
			m.adopt(wire.Member{ID: q.id, Inc: q.inc})
		}
	}
	m.timeouts = 0
	m.startGather(why, who)
}

// incOf is the incarnation that a node speaks with.
func (m *Machine) incOf(id NodeID) uint64 {
	if q := m.peer(id); q != nil {
		return q.inc
	}
	return 0
}

// leaveRing saves the ring as the old one: once, and not again before another
// ring is installed (ordering 2.3, 2.19 H7).
func (m *Machine) leaveRing(why Reason, who NodeID) {
	m.old, m.ring = m.ring, nil
	m.old.reason, m.old.suspect = why, who
	m.old.kept = false
	m.dropHop(&m.old.hop)
	m.merging = nil
	m.calm(m.old)
}

func (m *Machine) dropHop(h *hop) {
	if h.frame != nil {
		m.pool.put(h.frame)
		h.frame = nil
	}
}

// abandon gives an attempt at a ring up: the new ring's buffers go, what came
// for the old one stays, the promise stays too (ordering 2.16 R11).
func (m *Machine) abandon(why Reason, who NodeID) {
	if m.ring != nil {
		if planted("save-old-ring-twice") {
			m.old.id = m.ring.id
		}
		m.dropHop(&m.ring.hop)
		m.dropRing(m.ring)
		m.ring = nil
	}
	m.dropHop(&m.att.hop)
	m.att = nil
	m.waiting = nil
	m.disarm(timerToken, timerHop, timerSuspect)
	for i := range m.peers {
		q := &m.peers[i]
		q.join = joinInfo{}
		if j, ok := find(m.proc, q.id); ok && m.proc[j].Inc < q.inc {
			m.adopt(wire.Member{ID: q.id, Inc: q.inc})
		}
	}
	m.startGather(why, who)
}

// startGather begins to exchange Joins about the present proc and fail.
func (m *Machine) startGather(why Reason, who NodeID) {
	m.setState(Gather, why, who)
	m.reason = why
	m.since = m.now
	m.alone = true
	m.disputed, m.apart = false, false
	m.attempt++
	m.consensus = []NodeID{m.cfg.Self}
	m.armSettle() // before the first Join: it tells whether this member may know better later
	m.told, m.answered = 0, false
	if m.crowded() {
		m.regular = m.now + m.jitter(m.spread())
		m.arm(timerJoin, m.regular)
	} else {
		m.sendJoin()
		m.armJoin()
	}
	m.arm(timerConsensus, m.now+m.t.Consensus)
	m.tryCommit()
}

func (m *Machine) armSettle() {
	m.settled = false
	m.arm(timerSettle, m.now+m.t.Settle+m.jitter(m.t.Settle/10))
}

// armJoin sets the next regular Join: every join interval, 25 percent to either
// side, slower when nobody answers for long (ordering 2.19 H9).
func (m *Machine) armJoin() {
	d := m.t.Join*3/4 + m.jitter(m.t.Join/2)
	switch {
	case !m.alone:
	case m.now-m.since > 60*sec:
		d = 5 * sec
	case m.now-m.since > 30*sec:
		d = sec
	}
	m.regular = m.now + d
	m.arm(timerJoin, m.regular)
}

const joinPace = 10 * ms // between two Joins of one node

// changed follows a real change of the sets: agreement starts anew.
func (m *Machine) changed() {
	m.waiting = nil // a ring of one that waits for the disk is not wanted any more
	if !planted("consent-kept-over-change") {
		m.consensus = []NodeID{m.cfg.Self}
	}
	m.arm(timerConsensus, m.now+m.t.Consensus)
	m.tellChange()
	m.tryCommit()
}

// tellChange sends the sets soon after a change. Many nodes that hear of each
// other one by one would drown in answers, so each of them gives one besides the
// regular Join, and not all at once (ordering 2.19 H9).
func (m *Machine) tellChange() {
	soon := max(m.now, m.joinAt+joinPace)
	switch {
	case m.crowded() && m.answered:
	case m.crowded():
		m.answered = true
		m.arm(timerJoin, min(soon+m.jitter(m.spread()), m.timers[timerJoin]))
	case m.joinAt == 0 || m.now >= soon:
		m.sendJoin()
		m.armJoin()
	default:
		m.arm(timerJoin, soon)
	}
}

// joinDue sends the regular Join, or the answer to a change.
func (m *Machine) joinDue() {
	m.sendJoin()
	if m.answered && m.now < m.regular {
		m.arm(timerJoin, m.regular)
		return
	}
	m.armJoin()
	m.answered = false
}

// crowded reports a cluster in which Joins are spread over some time.
func (m *Machine) crowded() bool { return len(m.cfg.Nodes) > 16 }

// spread is over how long.
func (m *Machine) spread() Tick { return min(80, 2*Tick(len(m.cfg.Nodes))) * ms }

// adopt puts a node into proc, or replaces its lower incarnation, whose mark in
// fail and consent die with it. It reports whether proc changed.
func (m *Machine) adopt(x wire.Member) bool {
	i, ok := find(m.proc, x.ID)
	q := m.peer(x.ID)
	if q != nil && x.Inc > q.inc && x.Inc <= q.denied {
		x.Inc = q.inc
	}
	switch {
	case x.ID == m.cfg.Self || q == nil:
		return false
	case !ok:
		m.proc = slices.Insert(m.proc, i, x)
		m.newcomer()
	case m.proc[i].Inc < x.Inc && !(planted("incarnation-by-own-word") && q.inc < x.Inc):
		m.proc[i] = x
		if !planted("fail-mark-carried-over") {
			m.fail = remove(m.fail, x.ID)
		}
		m.consensus = remove(m.consensus, x.ID)
		m.newcomer()
	default:
		return false
	}
	return true
}

// newcomer gives latecomers of a cold start time, and the settle timer a new
// node to hear.
func (m *Machine) newcomer() {
	if m.lingering {
		m.arm(timerLinger, min(m.now+m.t.Linger, m.lingerEnd))
	}
	if m.state == Gather {
		m.armSettle()
	}
}

func remove(list []NodeID, id NodeID) []NodeID {
	if i, ok := slices.BinarySearch(list, id); ok {
		return slices.Delete(list, i, i+1)
	}
	return list
}

func (m *Machine) failed(id NodeID) bool { return has(m.fail, id) }

// agreed is proc without fail.
func (m *Machine) agreed() []wire.Member {
	var a []wire.Member
	for _, x := range m.proc {
		if !m.failed(x.ID) {
			a = append(a, x)
		}
	}
	return a
}

func (m *Machine) sendJoin() {
	j := wire.Join{Attempt: m.attempt, RingSeq: m.committedSeq, MaxSeen: m.maxSeen, Proc: m.proc, Fail: m.fail,
		Heard: m.heardNow(), Quarantine: m.quarantined(), State: uint8(m.state), Reason: uint8(m.reason), Digest: digest(m.proc, m.fail)}
	if planted("bound-sent-as-promise") {
		j.RingSeq = m.seqBound
	}
	switch {
	case m.leaves > 0:
		j.Flags |= wire.JoinLeaving
	case m.undecided():
		j.Flags |= wire.JoinUndecided
	}
	if m.apart {
		j.Flags |= wire.JoinApart
	}
	if len(m.all) > 0 {
		frame := wire.AppendJoin(m.pool.get(m.cfg.MTU), m.header(m.ringID()), j, m.sets)
		m.sendOnce(Dest{Scope: ToConfigured, Nodes: m.all}, TrafficControl, frame)
	}
	m.joinAt, m.told = m.now, j.Digest
	m.stats.Joins++
}

// tellSets sends the sets once more if the last Join had others: a member that
// promised sends no Joins, and the others must know that it agreed.
func (m *Machine) tellSets() {
	if m.told != digest(m.proc, m.fail) {
		m.sendJoin()
	}
}

// heardWindow is how long a sign of life counts in gather.
func (m *Machine) heardWindow() Tick { return 3 * m.t.Join }

func (m *Machine) heardNow() []NodeID {
	var h []NodeID
	for i := range m.peers {
		if m.heard(&m.peers[i]) {
			h = append(h, m.peers[i].id)
		}
	}
	return h
}

func (m *Machine) heard(q *peer) bool { return q.heard != 0 && m.now-q.heard <= m.heardWindow() }

// digest identifies a pair of sets.
func digest(proc []wire.Member, fail []NodeID) uint64 {
	h := uint64(14695981039346656037)
	add := func(x uint64) {
		for i := range 8 {
			h = (h ^ x>>(8*i)&255) * 1099511628211
		}
	}
	for _, x := range proc {
		add(uint64(x.ID))
		add(x.Inc)
	}
	add(0)
	for _, id := range fail {
		add(uint64(id))
	}
	return h
}

// onJoin follows the rows of ordering 2.14.
func (m *Machine) onJoin(p Packet, q *peer, h wire.Header, body []byte) error {
	j, err := readSets(m, wire.ParseJoin, body)
	if errors.Is(err, wire.ErrTable) {
		m.notify(p.From, wire.Notice{Code: wire.NoticeConfigMismatch, Text: "another node list"})
	}
	if err != nil {
		return err
	}
	i, ok := find(j.Proc, q.id)
	if !ok || j.Proc[i].Inc != p.Inc {
		m.stats.BadJoins++
		return nil
	}
	if m.stale(p) { // row 1
		m.stats.StaleJoins++
		return nil
	}
	m.sawSeq(j.MaxSeen) // row 0
	m.sawSeq(j.RingSeq)
	switch m.state {
	case Operational:
		if m.failsMe(&j) && !planted("join-row-2-removed") { // row 2
			return nil
		}
		if m.ring.member(q.id, p.Inc) && j.RingSeq < m.ring.id.Seq && !planted("join-row-3-removed") { // row 3
			return nil
		}
		if j.Flags&wire.JoinLeaving != 0 && !has(m.ring.ids, q.id) {
			return nil // nobody waits for it
		}
		if m.keepsOut(q.id) && !has(m.ring.ids, q.id) { // row 4
			m.tellKept(m.entry(q.id))
			return nil
		}
		if !has(m.ring.ids, q.id) {
			if (has(j.Quarantine, m.cfg.Self) || q.shutUntil > m.now && h.Ring.Seq <= q.shutSeq) && !planted("quarantine-notice-ignored") {
				return nil // a gather with it would end where this one is
			}
			q.shutUntil = 0
		}
		why := ReasonJoin
		if j.Flags&wire.JoinLeaving != 0 {
			why = ReasonLeave
		}
		m.gatherWith(why, q.id, []NodeID{q.id}) // row 5
	case Commit, Recovery: // row 6
		inc, in := m.att.incOf(q.id)
		if !in || !(inc < p.Inc && !planted("row-6-blind-to-restart") || inc == p.Inc && j.RingSeq >= m.att.id.Seq) {
			return nil
		}
		why := ReasonAbandoned
		if inc < p.Inc {
			why = ReasonRestart
		}
		m.abandon(why, q.id)
	case Gather:
	default:
		return nil
	}
	m.weigh(h, &j, q)
	return nil
}

// Ring seqs that others tell of are believed up to maxHearsay, which is far above
// all that honest nodes reach by themselves. Members that were led beyond it go
// on in steps, so that nobody can take them to the end of the numbers at once,
// and one that lags behind follows in as many Joins.
const (
	maxHearsay = 1 << 62
	seqLeap    = 1 << 32
)

// highestSeq is the highest ring seq that is believed now.
func (m *Machine) highestSeq() uint64 { return max(m.maxSeen, maxHearsay) + seqLeap }

// sawSeq takes a ring seq from a Join or probe into account for the next ring.
func (m *Machine) sawSeq(seq uint64) { m.maxSeen = max(m.maxSeen, min(seq, m.highestSeq())) }

// stale reports a membership packet from before the end of a pause.
func (m *Machine) stale(p Packet) bool {
	return p.Arrived < m.pauseEnd && !planted("stale-joins-after-pause")
}

// failsMe reports whether the Join marks this incarnation of self as failed.
func (m *Machine) failsMe(j *wire.Join) bool {
	i, ok := find(j.Proc, m.cfg.Self)
	return ok && j.Proc[i].Inc == m.cfg.Inc && has(j.Fail, m.cfg.Self)
}

// weigh compares the sender's sets with the own ones, rows 7 to 12.
func (m *Machine) weigh(h wire.Header, j *wire.Join, q *peer) {
	m.alone = false
	if m.lingering && h.Ring.Rep != q.id { // a member of a ring of several: no cold start
		m.lingering = false
		m.disarm(timerLinger)
	}
	leaving := j.Flags&wire.JoinLeaving != 0 && !planted("leave-not-believed")
	q.join = joinInfo{valid: !leaving, leaving: leaving, ring: h.Ring, heard: append(q.join.heard[:0], j.Heard...), at: m.now}
	grown := m.higher(j) // row 8
	if leaving {         // row 7
		grown = m.adopt(wire.Member{ID: q.id, Inc: q.inc}) || grown
		m.consensus = remove(m.consensus, q.id)
		if !m.failed(q.id) {
			m.markFailed(q.id, ReasonLeave)
			grown = true
		}
		m.after(grown, nil, q)
		return
	}
	if m.keepsOut(q.id) && !planted("quarantined-not-failed") { // row 4
		grown = m.adopt(wire.Member{ID: q.id, Inc: q.inc}) || grown
		grown = m.failKept(nil) || grown
		m.after(grown, nil, q)
		return
	}
	theirs := m.validFail(j)
	ignored := m.covers(j.Proc) && subset(theirs, m.fail) || m.failed(q.id) // rows 9 to 11
	if !ignored {
		grown = m.merge(j, q, theirs) || grown // row 12
	}
	m.after(grown, j, q)
}

// after acts on what a Join changed. If its sets are the own ones, now or
// already, its sender agrees (row 9): it may be silent from here on, because it
// promised.
func (m *Machine) after(grown bool, j *wire.Join, q *peer) {
	if grown {
		m.changed()
	}
	if m.state != Gather {
		return
	}
	if j != nil && !m.failed(q.id) && slices.Equal(j.Proc, m.proc) && slices.Equal(m.validFail(j), m.fail) {
		if j.Flags&wire.JoinUndecided == 0 {
			m.consensus = insert(m.consensus, q.id)
			m.tryCommit()
		}
		return
	}
	if !grown {
		m.judgeLate()
	}
}

// higher takes over higher incarnations that the Join tells of (row 8).
func (m *Machine) higher(j *wire.Join) bool {
	grown := false
	for _, x := range j.Proc {
		if i, ok := find(m.proc, x.ID); ok && m.proc[i].Inc < x.Inc {
			grown = m.adopt(x) || grown
		}
	}
	return grown
}

// validFail are the sender's marks that belong to the incarnations in proc.
func (m *Machine) validFail(j *wire.Join) []NodeID {
	var f []NodeID
	for _, id := range j.Fail {
		i, ok := find(j.Proc, id)
		if !ok {
			continue
		}
		mine, known := find(m.proc, id)
		if !known || m.proc[mine].Inc == j.Proc[i].Inc || planted("fail-mark-carried-over") {
			f = append(f, id)
		}
	}
	return f
}

// covers reports whether each of theirs is in proc with the same or a higher
// incarnation. A node that is not configured here is not counted.
func (m *Machine) covers(theirs []wire.Member) bool {
	for _, x := range theirs {
		if x.ID != m.cfg.Self && m.peer(x.ID) == nil {
			continue
		}
		i, ok := find(m.proc, x.ID)
		if !ok || m.proc[i].Inc < x.Inc && x.ID != m.cfg.Self {
			return false
		}
	}
	return true
}

// merge adopts the sender's sets (row 12): proc from anybody, fail only from a
// member of the own ring; who failed this node is failed in return.
func (m *Machine) merge(j *wire.Join, q *peer, theirs []NodeID) bool {
	grown := false
	for _, x := range j.Proc {
		grown = m.adopt(x) || grown
	}
	switch {
	case m.failsMe(j) || has(j.Quarantine, m.cfg.Self):
		m.disputed = true
		if !m.failed(q.id) {
			m.markFailed(q.id, ReasonJoin)
			grown = true
		}
		if j.Flags&wire.JoinApart != 0 {
			m.blameFor(q.id, ReasonHalfLink)
		}
	case m.old.member(q.id, q.inc) || planted("fail-set-adopted-unheard"):
		for _, id := range theirs {
			if _, ok := find(m.proc, id); ok && id != m.cfg.Self && !m.failed(id) {
				m.markFailed(id, ReasonJoin)
				grown = true
			}
		}
		if has(theirs, q.id) { // it cannot receive, and says so
			m.blameFor(q.id, ReasonPeerDeaf)
		}
	}
	return m.failKept(j.Quarantine) || grown
}

// failKept fails whom this member, or another one, keeps out.
func (m *Machine) failKept(theirs []NodeID) bool {
	grown := false
	for _, x := range m.proc {
		if x.ID == m.cfg.Self || m.failed(x.ID) || !has(theirs, x.ID) && !m.keepsOut(x.ID) || planted("quarantined-not-failed") {
			continue
		}
		m.markFailed(x.ID, ReasonQuarantine)
		grown = true
	}
	return grown
}

func (m *Machine) markFailed(id NodeID, why Reason) {
	m.fail = insert(m.fail, id)
	m.consensus = remove(m.consensus, id)
	m.trace(TraceEvent{Kind: TraceFail, Node: id, Reason: why})
}

// tryCommit makes the commit token, or a ring of one, when all agree and this
// node is the lowest of them.
func (m *Machine) tryCommit() {
	if m.state != Gather || m.lingering {
		return
	}
	a := m.agreed()
	if a[0].ID != m.cfg.Self || !m.allAgree() || m.undecided() {
		return
	}
	if len(a) == 1 {
		if !m.settled && (m.disputed || len(m.proc) == 1 && m.reason != ReasonStart) {
			return // let the dispute spread first, or somebody answer
		}
		m.installAlone()
		return
	}
	m.createCommit(a)
}

// allAgree reports whether all of proc without fail have the same sets.
func (m *Machine) allAgree() bool {
	for _, x := range m.proc {
		if !m.failed(x.ID) && !has(m.consensus, x.ID) {
			return false
		}
	}
	return true
}

// undecided reports that this member knows of a dead edge to somebody it would
// be in a ring with. It then does not agree before the settle timer ended:
// otherwise the others, who cannot see that edge, would make the same ring again
// at once, for this member to break again.
func (m *Machine) undecided() bool {
	if m.settled || m.state != Gather {
		return false
	}
	for _, x := range m.proc {
		if q := m.peer(x.ID); q != nil && !m.failed(x.ID) && q.silent() {
			return true
		}
	}
	return false
}

// consensusDue fails those that stayed silent (ordering 2.14).
func (m *Machine) consensusDue() {
	m.timeouts++
	for _, x := range m.agreed() {
		if !has(m.consensus, x.ID) {
			m.deny(x)
			m.markFailed(x.ID, ReasonConsensusTimeout)
		}
	}
	if m.timeouts == 3 {
		m.trace(TraceEvent{Kind: TraceCannotForm, Text: "three consensus timeouts in a row: is a firewall, another key or a one-way link in the way?"})
	}
	m.reason = ReasonConsensusTimeout
	m.consensus = []NodeID{m.cfg.Self}
	m.sendJoin()
	m.armJoin()
	m.arm(timerConsensus, m.now+m.t.Consensus)
	m.tryCommit()
}

// deny ends the belief in an incarnation that is known from hearsay alone: over
// a whole consensus time the earlier one went on speaking and the later one did
// not. Else members tell each other of a start that never was, in every gather
// anew, and that node stays out for ever.
func (m *Machine) deny(x wire.Member) {
	if q := m.peer(x.ID); q != nil && q.inc != 0 && q.inc < x.Inc && m.heard(q) {
		q.denied = max(q.denied, x.Inc)
	}
}

// excludeSelf tells the others that this node cannot receive, and goes on alone
// (ordering 2.10).
func (m *Machine) excludeSelf() {
	m.fail = []NodeID{m.cfg.Self}
	m.sendJoin()
	m.goAlone()
}

// goAlone fails all others.
func (m *Machine) goAlone() {
	m.fail = nil
	for _, x := range m.proc {
		if x.ID != m.cfg.Self {
			m.fail = append(m.fail, x.ID)
		}
	}
	m.tryCommit()
}
