package totem

import (
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

// attempt is a ring that is being made, from the promise until it is
// operational or given up.
type attempt struct {
	id      RingID
	members []wire.Member
	prev    NodeID
	next    NodeID
	token   wire.Commit // as this member last saw or sent it
	hop     hop
	plan
}

func (a *attempt) incOf(id NodeID) (uint64, bool) {
	if i, ok := find(a.members, id); ok {
		return a.members[i].Inc, true
	}
	return 0, false
}

func (m *Machine) newAttempt(id RingID, members []wire.Member) *attempt {
	a := &attempt{id: id, members: members}
	i, _ := find(members, m.cfg.Self)
	n := len(members)
	a.prev, a.next = members[(i+n-1)%n].ID, members[(i+1)%n].ID
	return a
}

// createCommit starts the first rotation of the commit token (ordering 2.15).
func (m *Machine) createCommit(members []wire.Member) {
	m.tellSets()
	seq := m.maxSeen + 4
	if planted("ring-seq-from-own-promise") {
		seq = m.committedSeq + 4
	}
	m.promise(seq)
	a := m.newAttempt(RingID{Seq: seq, Rep: m.cfg.Self, Inc: uint32(m.cfg.Inc)}, members)
	a.token = wire.Commit{TokenSeq: 1, Phase: 1, Entries: make([]wire.CommitEntry, len(members))}
	for i, x := range members {
		a.token.Entries[i].Member = x
	}
	m.enterCommit(a, ReasonConsensus)
}

func (m *Machine) promise(seq uint64) {
	m.committedSeq = seq
	m.maxSeen = max(m.maxSeen, seq)
	if seq >= 1<<32 {
		m.trace(TraceEvent{Kind: TraceSeqLarge, Value: int64(seq)})
	}
}

// enterCommit promises the ring: the state changes at once, the token goes on
// when the promise is durable. Given up meanwhile, nothing is sent.
func (m *Machine) enterCommit(a *attempt, why Reason) {
	m.att = a
	m.lingering = false
	m.setState(Commit, why, a.id.Rep)
	m.disarm(timerJoin, timerSettle, timerConsensus, timerLinger)
	m.arm(timerToken, m.now+m.t.Token)
	m.fillEntry(a)
	m.reserve(a.id.Seq, (*Machine).passCommit)
}

// fillEntry tells what this member brings. From here on late frames of the old
// ring are holes (ordering 2.16 R0).
func (m *Machine) fillEntry(a *attempt) {
	i, _ := find(a.members, m.cfg.Self)
	old := m.old
	a.token.Entries[i] = wire.CommitEntry{Member: a.members[i], Filled: true, OldRing: old.id, Aru: old.win.aru,
		High: old.win.high, Stable: old.stable, Deliver: old.dset, Have: haveRuns(old.win),
		MTU: uint16(min(m.cfg.MTU, 65535)), Features: m.cfg.Features,
		Quorate: m.quorate, Quarantine: m.ownList(a.members)}
}

// haveRuns lists the held slots above the aru, completely.
func haveRuns(w *window) []wire.Run {
	var runs []wire.Run
	if planted("have-set-left-out") {
		return nil
	}
	for s := w.aru + 1; s <= w.high; s++ {
		if !w.held(s) {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].First+Slot(runs[n-1].Len) == s {
			runs[n-1].Len++
		} else {
			runs = append(runs, wire.Run{First: s, Len: 1})
		}
	}
	return runs
}

// passCommit sends the commit token on.
func (m *Machine) passCommit() {
	a := m.att
	frame := wire.AppendCommit(nil, m.header(a.id), a.token, m.sets)
	m.startHop(a.next, a.id, a.token.TokenSeq, frame)
	if m.peer(a.next).silent() {
		m.arm(timerSuspect, m.now+m.t.SuspectGrace)
	}
}

// onCommit handles the commit token in all states.
func (m *Machine) onCommit(p Packet, h wire.Header, body []byte) error {
	c, err := readSets(m, wire.ParseCommit, body)
	if err != nil {
		return err
	}
	if m.stale(p) {
		return nil
	}
	switch {
	case m.att != nil && m.att.id == h.Ring:
		if p.From != m.att.prev || !sameMembers(c.Entries, m.att.members) {
			m.stats.BadCommits++
			return nil
		}
		m.sendAck(p.From, h.Ring, c.TokenSeq, 0)
		m.commitAgain(c)
	case m.ring != nil && m.ring.id == h.Ring:
		m.sendAck(p.From, h.Ring, c.TokenSeq, 0) // a late copy
	case m.state == Gather && m.acceptable(p, h.Ring, c):
		m.sendAck(p.From, h.Ring, c.TokenSeq, 0)
		m.acceptCommit(h.Ring, c)
	default:
		m.refuse(p, h.Ring, c.TokenSeq)
	}
	return nil
}

func sameMembers(entries []wire.CommitEntry, members []wire.Member) bool {
	return slices.EqualFunc(entries, members, func(e wire.CommitEntry, x wire.Member) bool { return e.Member == x })
}

// acceptable reports whether a first-rotation token names exactly whom this
// member agreed on, with a ring seq it has not promised yet.
func (m *Machine) acceptable(p Packet, id RingID, c wire.Commit) bool {
	agreed := m.agreed()
	i, ok := find(agreed, m.cfg.Self)
	if !ok || i == 0 || c.Phase != 1 || !sameMembers(c.Entries, agreed) && !planted("accept-any-members") {
		return false
	}
	if i, ok = find(membersOf(c.Entries), m.cfg.Self); !ok || i == 0 {
		return false
	}
	first := c.Entries[0].Member
	if id.Rep != first.ID || id.Inc != uint32(first.Inc) || p.From != c.Entries[i-1].Member.ID {
		return false
	}
	for k, e := range c.Entries {
		if e.Filled != (k < i) {
			return false
		}
	}
	return id.Seq > m.committedSeq && id.Seq <= m.highestSeq() || planted("accept-old-commit")
}

func membersOf(entries []wire.CommitEntry) []wire.Member {
	ms := make([]wire.Member, len(entries))
	for i, e := range entries {
		ms[i] = e.Member
	}
	return ms
}

func (m *Machine) acceptCommit(id RingID, c wire.Commit) {
	m.tellSets()
	m.promise(id.Seq)
	a := m.newAttempt(id, membersOf(c.Entries))
	c.TokenSeq++
	a.token = c
	m.enterCommit(a, ReasonPromised)
}

// refuse answers a commit token that this member does not take part in, so that
// its maker need not wait for a timer.
func (m *Machine) refuse(p Packet, id RingID, seq uint64) {
	m.stats.RefusedCommits++
	m.sendAck(p.From, id, seq, 0)
	if m.peer(id.Rep) != nil {
		m.notify(id.Rep, wire.Notice{Code: wire.NoticeRefused, Values: []uint64{id.Seq}})
	}
}

// commitAgain handles a token of the attempt that this member is in.
func (m *Machine) commitAgain(c wire.Commit) {
	a := m.att
	if c.TokenSeq <= a.token.TokenSeq {
		return // a resend
	}
	if m.waiting != nil {
		return // made up: this member has not passed the token on, its promise is not on disk yet
	}
	for _, e := range c.Entries {
		if !e.Filled {
			return
		}
	}
	rep := a.id.Rep == m.cfg.Self
	switch {
	case m.state == Commit && rep && c.Phase == 1:
		c.Phase = 2
	case m.state == Commit && !rep && c.Phase == 2:
	case m.state == Recovery && rep && c.Phase == 2:
		a.token.TokenSeq = c.TokenSeq
		m.firstToken(c.TokenSeq)
		return
	default:
		return
	}
	c.TokenSeq++
	a.token = c
	m.enterRecovery()
}

// notify tells one node something about membership.
func (m *Machine) notify(to NodeID, n wire.Notice) {
	frame := wire.AppendNotice(m.pool.get(64+len(n.Text)), m.header(m.ringID()), n)
	m.sendOnce(toNode(to), TrafficControl, frame)
}

func (m *Machine) onNotice(p Packet, h wire.Header, body []byte) error {
	n, err := wire.ParseNotice(body)
	if err != nil {
		return err
	}
	if n.Code == wire.NoticeRefused && m.state == Commit && len(n.Values) == 1 &&
		n.Values[0] == m.att.id.Seq && m.att.id.Rep == m.cfg.Self {
		m.abandon(ReasonRefused, p.From)
	}
	if n.Code == wire.NoticeQuarantine {
		m.onKeptNotice(m.peer(p.From), h.Ring, n.Values)
	}
	return nil
}
