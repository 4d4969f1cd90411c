package totem

import (
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

// plan is what a full commit token says about the exchange of old frames; it is
// equal at all members that come from the same old ring (ordering 2.16).
type plan struct {
	trans []NodeID // T
	d     []NodeID // whose messages are delivered behind a hole
	high  Slot
	hd    Slot
	last  Slot   // encapsulated frames are the slots up to here: base+K
	queue []Slot // old slots that this member wraps and sends
	need  []Slot // old slots that this member lacks
}

const (
	maxWrapped = 1<<16 + wire.WrapLen // largest frame of any ring, wrapped

	maxSpan = 1 << 17 // slots between the lowest aru and the highest slot of an old ring

	// A token that leads to no plan, or to one that does not come to its end, was
	// made up, or somebody lied about the old ring before, and what its members have
	// left of it cannot be brought together any more. So a member goes on alone
	// after a few of them.
	maxBadPlans = 3
)

// enterRecovery installs the new ring for the exchange of old frames.
func (m *Machine) enterRecovery() {
	a := m.att
	p, ok := m.makePlan(a.token.Entries)
	if !ok {
		m.stats.BadCommits++
		m.planFailed(ReasonAbandoned, a.id.Rep)
		return
	}
	a.plan = p
	mtu := m.cfg.MTU
	for _, e := range a.token.Entries {
		mtu = min(mtu, int(e.MTU))
	}
	m.disarm(timerHop, timerSuspect)
	m.dropHop(&a.hop)
	m.ring = m.newRing(a.id, a.members, max(mtu, wire.FloorMTU-80)-wire.WrapLen)
	a.last += m.ring.win.base
	m.ring.wrapped = a.last
	m.setState(Recovery, ReasonCommitFull, a.id.Rep)
	m.ring.tokenSeq = a.token.TokenSeq
	m.makeRoom()
	m.completed()
	m.arm(timerToken, m.now+m.t.Token)
	m.passCommit()
}

// planFailed gives up an attempt that did not fail by accident.
func (m *Machine) planFailed(why Reason, who NodeID) {
	m.badPlans++
	m.abandon(why, who)
	if m.badPlans >= maxBadPlans && m.state == Gather {
		m.goAlone()
	}
}

// makePlan works out who sends what. It refuses a token that no honest members
// can have filled.
func (m *Machine) makePlan(entries []wire.CommitEntry) (plan, bool) {
	var p plan
	done := make([]bool, len(entries))
	for i := range entries {
		if done[i] {
			continue
		}
		var group []*wire.CommitEntry
		for j := i; j < len(entries); j++ {
			if entries[j].OldRing == entries[i].OldRing ||
				planted("t-by-id-only") && has(m.old.ids, entries[i].Member.ID) && has(m.old.ids, entries[j].Member.ID) {
				done[j] = true
				group = append(group, &entries[j])
			}
		}
		k, ok := m.planGroup(group, &p)
		if !ok {
			return p, false
		}
		p.last += Slot(k)
	}
	if len(p.trans) == 0 {
		return p, false // the own entry was changed on the way
	}
	return p, true
}

// planGroup counts the slots of one old ring that some but not all of its T
// hold; for the own old ring it fills the plan.
func (m *Machine) planGroup(group []*wire.CommitEntry, p *plan) (k int, ok bool) {
	low, high, hd := group[0].Aru, group[0].High, Slot(0)
	var t, d []NodeID
	for _, e := range group {
		if e.OldRing == m.old.id && !m.old.member(e.Member.ID, e.Member.Inc) {
			return 0, false // nobody comes from a ring that he was not in
		}
		low, high, hd = min(low, e.Aru), max(high, e.High), max(hd, e.Stable)
		t = insert(t, e.Member.ID)
		d = union(d, e.Deliver)
	}
	if high < low || high-low > maxSpan {
		return 0, false
	}
	if planted("d-replaced-by-t") {
		d = nil
	}
	if planted("own-stable-in-recovery") {
		hd = m.old.stable
	}
	mine := slices.Contains(t, m.cfg.Self)
	if mine && high > low && hd > low {
		return 0, false
	}
	cursors := make([]int, len(group))
	var holders []NodeID
	for s := low + 1; s <= high; s++ {
		holders = holders[:0]
		for i, e := range group {
			if holds(e, s, &cursors[i]) {
				holders = append(holders, e.Member.ID)
			}
		}
		if len(holders) == 0 || len(holders) == len(group) {
			continue
		}
		k++
		if !mine {
			continue
		}
		if holders[int(s%Slot(len(holders)))] == m.cfg.Self || planted("every-holder-sends") && slices.Contains(holders, m.cfg.Self) {
			p.queue = append(p.queue, s)
		}
		if !m.old.win.held(s) && s > m.old.win.released {
			p.need = append(p.need, s)
		}
	}
	if mine {
		p.trans, p.d, p.high, p.hd = t, union(d, t), high, hd
	}
	return k, true
}

// holds reports whether an entry shows the slot; slots come ascending.
func holds(e *wire.CommitEntry, s Slot, cursor *int) bool {
	if s <= e.Aru {
		return true
	}
	for *cursor < len(e.Have) {
		r := e.Have[*cursor]
		if s < r.First {
			return false
		}
		if s < r.First+Slot(r.Len) {
			return true
		}
		*cursor++
	}
	return false
}

// makeRoom delivers what is certain to be delivered in the old regular
// configuration, whatever the clients owe, so that the old window can hold all
// frames of the exchange (ordering 2.16 R6, 2.20).
func (m *Machine) makeRoom() {
	old, a := m.old, m.att
	old.stable = max(old.stable, a.hd)
	for s := old.delivered + 1; s <= old.win.aru; s++ {
		if s > old.stable && m.slotSafe(old, s) {
			break
		}
		old.delivered = s
		m.deliverSlot(old, s, false)
	}
	old.win.release(min(old.stable, old.delivered), m.pool.put)
}

// wrapFrames sends up to k old frames as slots of the new ring.
func (m *Machine) wrapFrames(seq Slot, k int) {
	a := m.att
	m.sentFlags = wire.FlagEncapsulated
	for range min(k, len(a.queue)) {
		s := a.queue[0]
		if !m.old.win.held(s) {
			a.queue = a.queue[1:] // cannot be: the plan says that it is held
			m.stats.BadCommits++
			continue
		}
		inner := m.old.win.at(s).frame
		f := wire.AppendDataHead(m.pool.get(len(inner)+wire.WrapLen), m.header(m.ring.id),
			wire.Data{Slot: seq + Slot(len(m.sent)) + 1, Origin: m.cfg.Self, OriginInc: uint32(m.cfg.Inc)})
		f = append(f, inner...)
		wire.PatchDataCount(f, 1)
		a.queue = a.queue[1:]
		m.sent = append(m.sent, f)
	}
}

// unwrap takes the old frame out of an encapsulated one (R4).
func (m *Machine) unwrap(h wire.Header, d wire.Data) {
	if h.Flags&wire.FlagEncapsulated == 0 || m.state != Recovery {
		return
	}
	ih, body, err := wire.ParseHeader(d.Pieces)
	if err != nil || ih.Type != wire.TypeData || ih.Ring != m.old.id {
		return
	}
	inner, err := wire.ParseData(body)
	if err != nil {
		m.stats.BadData++
		return
	}
	m.takeOld(d.Pieces, inner)
	m.completed()
}

// takeOld stores a frame of the old ring.
func (m *Machine) takeOld(frame []byte, d wire.Data) {
	old := m.old
	inc, ok := old.incOf(d.Origin)
	if !ok || uint32(inc) != d.OriginInc || !old.win.inside(d.Slot) || old.win.held(d.Slot) {
		return
	}
	m.store(old, d, append(m.pool.get(len(frame)), frame...))
}

// completed keeps D and the stability of this attempt once all frames of the
// exchange are held, also if the attempt fails later: somebody may have
// delivered by them.
func (m *Machine) completed() {
	a := m.att
	a.need = slices.DeleteFunc(a.need, m.old.win.held)
	if len(a.need) == 0 && !planted("d-forgotten") {
		m.old.dset = a.d
	}
}

// firstToken makes the regular token of the new ring, once (ordering 2.15).
func (m *Machine) firstToken(seq uint64) {
	r := m.ring
	if r.visits > 0 {
		return
	}
	base := r.win.base
	if planted("token-seq-restarted") {
		seq, r.tokenSeq = 0, 0
	}
	r.tok = wire.Token{TokenSeq: seq, Seq: base, Aru: base, Stable: base, Wnd: m.startWnd(len(r.ids)), Flags: wire.TokenRecovery}
	m.dropHop(&r.hop)
	m.visit(m.now)
}

// recovered reports whether every member is known to hold all old frames, and
// this is at least the second visit (R5).
func (m *Machine) recovered() bool {
	r := m.ring
	last := m.att.last
	if planted("install-limit-from-token-seq") {
		last = r.tok.Seq
	}
	if planted("done-before-k") {
		last = min(r.tok.Seq, last)
	}
	return r.stable >= last && r.visits >= 2
}

// stuckInRecovery reports that the token goes round and round without progress:
// what the plan waits for does not come.
func (m *Machine) stuckInRecovery() bool {
	r := m.ring
	if now := m.aru() + r.stable; now != r.reached || r.visits == 1 {
		r.reached, r.reachedAt = now, m.now
	}
	return m.now-r.reachedAt >= m.t.FailToReceive
}

// install goes from the old ring to the new one in one step (R6 to R10).
func (m *Machine) install() {
	a := m.att
	p := a.plan
	m.att = nil
	m.countFaults(p.trans)
	m.finish(&p, ReasonRecovered)
	m.takeLists(a.token.Entries)
	m.merged()
	r := m.ring
	r.delivered = p.last
	if planted("deliver-encapsulated") {
		r.delivered = r.win.base
	}
	m.armRing()
	m.dampFlaps()
	m.topUp()
	m.deliver()
}

// finish delivers the rest of the old ring with the configurations in their
// places, and makes m.ring operational.
func (m *Machine) finish(p *plan, why Reason) {
	old, r := m.old, m.ring
	limit := max(p.hd, old.stable)
	s := old.delivered + 1
	for ; s <= p.high && old.win.held(s); s++ { // R7
		if s > limit && m.slotSafe(old, s) && !planted("safe-in-the-old-regular") {
			break
		}
		m.deliverSlot(old, s, false)
	}
	m.configure(Transitional, r, old, p.trans) // R8
	hole := false
	for ; s <= p.high; s++ { // R9
		if planted("stop-at-the-hole") && !old.win.held(s) {
			break
		}
		switch {
		case !old.win.held(s):
			hole = true
		case !hole || has(p.d, old.win.at(s).from) || planted("deliver-behind-holes"):
			m.deliverSlot(old, s, false)
		}
	}
	m.configure(Regular, r, old, p.trans) // R10
	m.old, m.badPlans = nil, 0
	m.dropRing(old)
	m.setState(Operational, why, 0)
	m.held = !planted("client-before-release")
	for c := range m.queues {
		if !planted("half-message-not-restarted") {
			m.queues[c].restart()
		}
	}
}

// configure appends a configuration event.
func (m *Machine) configure(kind ConfKind, r, old *ring, trans []NodeID) {
	c := &Configuration{Kind: kind, Ring: r.id, Trans: slices.Clone(trans)}
	if old != nil {
		c.Prev, c.Reason, c.Suspect = old.id, old.reason, old.suspect
	}
	members := r.members
	for _, x := range members {
		if kind == Regular || has(trans, x.ID) {
			c.Members = append(c.Members, x.ID)
			c.Incs = append(c.Incs, x.Inc)
		}
	}
	m.out.events = append(m.out.events, c)
}

// armRing starts the timers of an operational ring.
func (m *Machine) armRing() {
	r := m.ring
	if r.me == 0 && len(m.all) > len(r.others) {
		m.arm(timerMerge, m.now+m.t.Merge+m.jitter(m.t.Merge/5))
	}
}

// topUp reserves ring seqs ahead, so that the next ring need not wait for the
// disk (ordering 2.15).
func (m *Machine) topUp() {
	if m.committedSeq+seqBlock/2 > m.seqBound {
		m.askPersist(m.committedSeq)
	}
}

// installFirst shows the first configuration of this start, the member alone,
// and begins to look for others (ordering 2.3).
func (m *Machine) installFirst() {
	seq := m.cfg.SeqBound + 1
	m.promise(seq)
	r := m.soloRing(seq)
	m.started = true
	m.configure(Regular, r, nil, nil)
	m.old = r
	m.held = true
	m.proc = slices.Clone(r.members)
	if len(m.all) > 0 {
		m.lingering = !planted("no-linger")
		m.lingerEnd = m.now + 3*sec
		m.arm(timerLinger, m.now+m.t.Linger)
	}
	m.startGather(ReasonStart, 0)
}

func (m *Machine) soloRing(seq uint64) *ring {
	id := RingID{Seq: seq, Rep: m.cfg.Self, Inc: uint32(m.cfg.Inc)}
	return m.newRing(id, []wire.Member{{ID: m.cfg.Self, Inc: m.cfg.Inc}}, m.cfg.MTU-wire.WrapLen)
}

// installAlone makes a ring of this member alone.
func (m *Machine) installAlone() {
	m.reserve(m.maxSeen+1, (*Machine).finishAlone)
}

func (m *Machine) finishAlone() {
	if m.state != Gather {
		return
	}
	seq := m.maxSeen + 1
	if planted("alone-below-what-was-heard") {
		seq = m.committedSeq + 1
	}
	if !m.covered(seq) {
		m.installAlone()
		return
	}
	m.promise(seq)
	m.lingering = false
	m.disarm(timerJoin, timerSettle, timerConsensus, timerLinger)
	m.ring = m.soloRing(seq)
	old := m.old
	p := plan{trans: []NodeID{m.cfg.Self}, d: union([]NodeID{m.cfg.Self}, old.dset), high: old.win.high, hd: old.stable}
	own := wire.CommitEntry{Member: m.ring.members[0], Quarantine: m.ownList(m.ring.members)}
	m.countFaults(p.trans)
	m.finish(&p, ReasonAlone)
	m.takeLists([]wire.CommitEntry{own})
	m.armRing()
	m.dampFlaps()
	m.topUp()
}
