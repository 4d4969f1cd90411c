package totem

import (
	"errors"
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

// quarantineState is the list of nodes that are kept out for a while, because
// the ring broke or could not form on their account (ordering 2.14.4). The list
// is the same at all members of a ring: it goes round in the commit token and
// changes in a running ring only by ordered messages. An entry outlives its time,
// so that the next one of the same node is longer.
type quarantineState struct {
	kept    []keptOut // ascending by node
	blamed  []blame   // whom evidence put into fail in this gather
	quorate bool      // the last decision shown in this life
	decided RingID    // what it was about
}

// keptOut is one entry of the list.
type keptOut struct {
	node    NodeID
	k       uint8 // its time is 2^k seconds
	reason  Reason
	until   Tick
	back    Tick // since when it is in the ring; zero: it is not
	reach   Tick // since when its probes show that it reaches all members; zero: they do not
	shown   Tick // its last probe that showed so
	told    Tick // the last Notice to it
	ordered bool // its release is on its way
}

type blame struct {
	node   NodeID
	reason Reason
}

const (
	maxQuarantine  = 6             // k at most: 64 s
	reachTime      = 2 * sec       // of proof that a node reaches all members, for an early end
	goodConduct    = 600 * sec     // in the ring, after which earlier entries are forgotten
	flapWindow     = 60 * sec      // in which ring changes on one node's account are counted
	flapTimes      = 3             // so many of them are too many
	noticePace     = sec           // between two Notices to one node
	tornMemory     = 2 * probeRare // for which a node's word that it does not reach all counts
	noticeEntryLen = 3             // values of a Notice: remaining milliseconds, k, reason
)

// ErrNotKept is returned for the release of a node that is not quarantined.
var ErrNotKept = errors.New("totem: node is not quarantined")

// quarantineLength is the time of an entry.
func quarantineLength(k uint8) Tick { return sec << min(k, maxQuarantine) }

// keepsList reports whether nodes are ever quarantined in this cluster. With two
// nodes, or where quorum follows the membership down, a side that refuses another
// one might be the only quorate one no more.
func (m *Machine) keepsList() bool { return len(m.cfg.Nodes) > 2 && !m.cfg.QuorumFollows }

// lastOperational is the ring in place, or the one that was left last.
func (m *Machine) lastOperational() *ring {
	if m.old != nil {
		return m.old
	}
	return m.ring
}

// refuses reports whether the list has any effect: only in a ring that is quorate
// and has most of all votes, so that no other side can be quorate without it.
// Until the vote for a new ring, what its members brought along counts; else the
// Joins of a node just left out would break each ring before it could vote.
func (m *Machine) refuses() bool {
	r := m.lastOperational()
	if r == nil || !m.keepsList() {
		return false
	}
	quorate := r.quorate && !planted("quarantine-idle-until-the-vote")
	if m.decided == r.id {
		quorate = m.quorate
	}
	return quorate && m.majority(r) || planted("quarantine-in-any-ring")
}

// majority reports whether the ring has more than half of all configured votes.
func (m *Machine) majority(r *ring) bool {
	all, here := uint64(0), uint64(0)
	for _, n := range m.cfg.Nodes {
		all += uint64(n.Votes)
		if has(r.ids, n.ID) {
			here += uint64(n.Votes)
		}
	}
	return 2*here > all
}

// entry finds a node's entry, nil if there is none.
func (m *Machine) entry(id NodeID) *keptOut {
	if i, ok := m.entryAt(id); ok {
		return &m.kept[i]
	}
	return nil
}

func (m *Machine) entryAt(id NodeID) (int, bool) {
	return slices.BinarySearchFunc(m.kept, id, func(e keptOut, id NodeID) int { return int(e.node) - int(id) })
}

// keepsOut reports whether that node is not let in now.
func (m *Machine) keepsOut(id NodeID) bool {
	e := m.entry(id)
	return e != nil && e.until > m.now && m.refuses()
}

// quarantined lists whom Joins name as kept out.
func (m *Machine) quarantined() []NodeID {
	var ids []NodeID
	for i := range m.kept {
		if id := m.kept[i].node; m.keepsOut(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// torn reports a node, kept out for its links and due to come back, that says
// itself that it still does not reach all members. A ring with it could not last.
func (m *Machine) torn(id NodeID) bool {
	e, q := m.entry(id), m.peer(id)
	return e != nil && q != nil && e.reason == ReasonHalfLink && q.torn != 0 && m.now-q.torn < tornMemory && m.refuses()
}

// blameFor notes that evidence against a node put it into fail.
func (m *Machine) blameFor(id NodeID, why Reason) {
	if m.keepsList() && !slices.ContainsFunc(m.blamed, func(b blame) bool { return b.node == id }) {
		m.blamed = append(m.blamed, blame{id, why})
	}
}

// nextLength is the k of the next entry of a node.
func (m *Machine) nextLength(id NodeID) uint8 {
	if e := m.entry(id); e != nil && !m.forgiven(e) {
		return min(e.k+1, maxQuarantine)
	}
	return 1
}

// forgiven reports an entry whose node was in the ring for long since.
func (m *Machine) forgiven(e *keptOut) bool { return e.back != 0 && m.now-e.back >= goodConduct }

// ownList is what this member brings into a new ring: its list and whom it
// blames.
func (m *Machine) ownList(members []wire.Member) []wire.Quarantined {
	var list []wire.Quarantined
	for i := range m.kept {
		e := &m.kept[i]
		if m.forgiven(e) {
			continue
		}
		left := max(0, e.until-m.now)
		if planted("quarantine-begins-anew") && left > 0 {
			left = quarantineLength(e.k)
		}
		list = append(list, wire.Quarantined{Node: e.node, K: e.k, RemainingMS: uint32((left + ms - 1) / ms), Reason: uint8(e.reason)})
	}
	for _, b := range m.blamed {
		if _, in := find(members, b.node); in {
			continue
		}
		k := m.nextLength(b.node)
		x := wire.Quarantined{Node: b.node, K: k, RemainingMS: uint32(quarantineLength(k) / ms), Reason: uint8(b.reason)}
		i, ok := slices.BinarySearchFunc(list, b.node, func(q wire.Quarantined, id NodeID) int { return int(q.Node) - int(id) })
		if ok {
			list[i] = x
		} else {
			list = slices.Insert(list, i, x)
		}
	}
	return list
}

// takeLists makes the union of all members' lists the list of the ring, which is
// in place by now; a ring of one has only the own list.
func (m *Machine) takeLists(entries []wire.CommitEntry) {
	r, before := m.ring, m.kept
	m.kept = nil
	r.quorate = m.quorate
	for i := range entries {
		r.quorate = r.quorate || entries[i].Quorate
	}
	if m.keepsList() {
		for i := range entries {
			if planted("quarantine-not-united") && entries[i].Member.ID != m.cfg.Self {
				continue
			}
			for _, x := range entries[i].Quarantine {
				m.unite(x)
			}
		}
	}
	for i := range m.kept {
		e := &m.kept[i]
		var was keptOut
		if j, ok := slices.BinarySearchFunc(before, e.node, func(e keptOut, id NodeID) int { return int(e.node) - int(id) }); ok {
			was = before[j]
		}
		switch {
		case has(r.ids, e.node):
			e.until = m.now
			if e.back = was.back; e.back == 0 {
				e.back = m.now
			}
		case e.k == was.k && was.until > m.now:
			e.told = was.told
		case e.until > m.now:
			m.quarantineBegins(e)
		}
	}
	m.blamed = nil
}

// unite takes one entry of a member's list: the longer time and the higher count.
// Nothing in it is believed beyond what the rules can lead to.
func (m *Machine) unite(x wire.Quarantined) {
	if x.K == 0 || x.K > maxQuarantine || x.Node != m.cfg.Self && m.peer(x.Node) == nil || Reason(x.Reason) >= numReasons {
		return
	}
	n := keptOut{node: x.Node, k: x.K, reason: Reason(x.Reason), until: m.now + min(Tick(x.RemainingMS)*ms, quarantineLength(x.K))}
	i, ok := m.entryAt(x.Node)
	if !ok {
		m.kept = slices.Insert(m.kept, i, n)
		return
	}
	e := &m.kept[i]
	if n.until > e.until || n.until == e.until && n.reason < e.reason {
		e.until, e.reason = n.until, n.reason
	}
	e.k = max(e.k, n.k)
}

func (m *Machine) quarantineBegins(e *keptOut) {
	m.stats.Quarantines++
	m.trace(TraceEvent{Kind: TraceQuarantine, Node: e.node, Reason: e.reason, Ring: m.ringID(), Value: int64(e.until - m.now)})
}

// QuorumState is a decision of the quorum service about one ring.
type QuorumState struct {
	Ring    RingID
	Quorate bool
}

// Quorum tells what was decided. It never counts for the order of messages or for
// who is a member, only for whether the ring may keep nodes out for a while.
func (m *Machine) Quorum(now Tick, s QuorumState) {
	m.begin(now)
	m.decided, m.quorate = s.Ring, s.Quorate
}

// Readmit ends the quarantine of a node before its time, for an operator. All
// members forget what was held against it.
func (m *Machine) Readmit(now Tick, id NodeID) error {
	m.begin(now)
	switch {
	case m.stopped != Running || m.leaves > 0:
		return ErrStopped
	case m.state != Operational:
		return ErrBusy
	case m.entry(id) == nil:
		return ErrNotKept
	}
	m.orderRelease(id, ReasonOperator)
	return nil
}

func (m *Machine) orderRelease(id NodeID, why Reason) {
	m.order(orderRelease, func(b []byte) []byte { return append(appendNode(b, id), byte(why)) })
}

// quarantineOrdered acts on quarantine(x, k, reason) at its slot.
func (m *Machine) quarantineOrdered(values []byte) {
	id, rest := takeNode(values)
	if len(rest) != 2 || m.peer(id) == nil && id != m.cfg.Self || rest[0] == 0 || rest[0] > maxQuarantine ||
		Reason(rest[1]) >= numReasons || !m.keepsList() {
		m.stats.BadData++
		return
	}
	i, ok := m.entryAt(id)
	if !ok {
		m.kept = slices.Insert(m.kept, i, keptOut{})
	}
	m.kept[i] = keptOut{node: id, k: rest[0], reason: Reason(rest[1]), until: m.now + quarantineLength(rest[0])}
	m.quarantineBegins(&m.kept[i])
}

// releaseOrdered acts on release(x) at its slot. Who shows that its links are
// good again is let in; that they were not is remembered.
func (m *Machine) releaseOrdered(values []byte) {
	id, rest := takeNode(values)
	i, ok := m.entryAt(id)
	if len(rest) != 1 || !ok || planted("quarantine-release-ignored") {
		return
	}
	why := ReasonOperator
	if Reason(rest[0]) == ReasonHalfLink {
		why = ReasonHalfLink
	}
	m.trace(TraceEvent{Kind: TraceRelease, Node: id, Reason: why, Ring: m.ring.id, Value: int64(max(0, m.kept[i].until-m.now))})
	if why == ReasonOperator {
		m.kept = slices.Delete(m.kept, i, i+1)
	} else {
		m.kept[i].until, m.kept[i].reach, m.kept[i].ordered = m.now, 0, false
	}
	q := m.peer(id)
	if q == nil {
		return
	}
	q.torn, q.faults, q.probes = 0, [flapTimes]Tick{}, 0
	switch {
	case m.ring.me != 0 || has(m.ring.ids, id):
	case why == ReasonHalfLink: // it just said that it is there
		m.merging = insert(m.merging, id)
		m.arm(timerMergeHold, max(m.now+1, m.notBefore))
	default:
		m.arm(timerMerge, m.now+1)
	}
}

// countFaults notes on whose account the ring before was left: who fell out of it,
// but for a start anew or a leave, and who was tried and did not come in. The old
// ring is not given up yet.
func (m *Machine) countFaults(trans []NodeID) {
	if !m.keepsList() {
		return
	}
	for i := range m.peers {
		q := &m.peers[i]
		inc, was := m.old.incOf(q.id)
		_, tried := find(m.proc, q.id)
		switch {
		case was && inc == q.inc && !has(trans, q.id) && !q.join.leaving,
			!was && tried && !has(m.ring.ids, q.id) && !m.keepsOut(q.id) && !q.join.leaving:
			copy(q.faults[:], q.faults[1:])
			q.faults[flapTimes-1] = m.now
		}
	}
}

// dampFlaps lets the representative keep nodes out that broke the ring too often.
func (m *Machine) dampFlaps() {
	if m.ring.me != 0 || !m.refuses() || planted("quarantine-never-for-flaps") {
		return
	}
	for i := range m.peers {
		q := &m.peers[i]
		first := q.faults[0]
		if e := m.entry(q.id); first == 0 || m.now-first > flapWindow || has(m.ring.ids, q.id) || e != nil && e.until > m.now {
			continue
		}
		k := m.nextLength(q.id)
		m.order(orderQuarantine, func(b []byte) []byte { return append(appendNode(b, q.id), k, byte(ReasonFlapping)) })
	}
}

// probedBy weighs what a probe says about its sender, at the representative: if it
// is kept out, it is told so, and let in early when its links are good again.
func (m *Machine) probedBy(q *peer, pr *wire.Probe) {
	whole := subset(m.ring.ids, pr.Reach) && q.bidirectional()
	q.torn = 0
	if !whole && (len(pr.Members) == 1 || pr.Flags&wire.ProbeKept != 0) {
		q.torn = max(m.now, 1)
	}
	e := m.entry(q.id)
	if e == nil || !m.refuses() {
		return
	}
	switch {
	case !whole:
		e.reach = 0
	case e.reach == 0 || m.now-e.shown > reachTime:
		e.reach, e.shown = m.now, m.now
	default:
		e.shown = m.now
	}
	if e.until <= m.now && !m.torn(q.id) {
		return
	}
	m.releaseEarly()
	m.tellKept(e)
}

// releaseEarly lets those in together that show good links for long enough. It
// waits a little for others that begin to, since each release costs a ring.
func (m *Machine) releaseEarly() {
	var ready []*keptOut
	soon, late := false, false
	for i := range m.kept {
		e := &m.kept[i]
		if e.reason != ReasonHalfLink || e.reach == 0 || e.ordered || e.until <= m.now || m.now-e.shown > reachTime {
			continue
		}
		if m.now-e.reach < reachTime {
			soon = true
			continue
		}
		ready = append(ready, e)
		late = late || m.now-e.reach >= 2*reachTime
	}
	if soon && !late {
		return
	}
	for _, e := range ready {
		e.ordered = true
		m.orderRelease(e.node, ReasonHalfLink)
	}
}

// tellMembers tells the members of a ring that sent a probe which of them are
// kept out, so that each speaks for its own links.
func (m *Machine) tellMembers(pr *wire.Probe) {
	for _, id := range pr.Members {
		if e := m.entry(id); e != nil && !has(m.ring.ids, id) && m.keepsOut(id) {
			m.tellKept(e)
		}
	}
}

// probeKept tells those that keep this node out, which is not the representative
// of its ring, whom it reaches.
func (m *Machine) probeKept() {
	var to []NodeID
	for i := range m.peers {
		if q := &m.peers[i]; q.shutUntil > m.now && !has(m.ring.ids, q.id) {
			to = append(to, q.id)
		}
	}
	if len(to) == 0 {
		return
	}
	frame := wire.AppendProbe(m.pool.get(256), m.header(m.ring.id),
		wire.Probe{Members: m.ring.ids, Reach: m.reaches(), Flags: wire.ProbeKept}, m.sets)
	m.sendOnce(Dest{Scope: ToConfigured, Nodes: to}, TrafficControl, frame)
	m.arm(timerMerge, m.now+m.t.Merge+m.jitter(m.t.Merge/5))
}

// tellKept tells a node that it is kept out, for how long and why.
func (m *Machine) tellKept(e *keptOut) {
	m.stats.Refused++
	if e.told != 0 && m.now-e.told < noticePace || m.ring == nil || m.ring.me != 0 {
		return
	}
	e.told = max(m.now, 1)
	if q := m.peer(e.node); q != nil {
		q.told = e.until
		m.notify(e.node, wire.Notice{Code: wire.NoticeQuarantine,
			Values: []uint64{uint64(max(0, e.until-m.now) / ms), uint64(e.k), uint64(e.reason)}})
	}
}

// unsay takes back what a node was told, since it is asked to come.
func (m *Machine) unsay(q *peer) {
	if q.told > m.now {
		m.notify(q.id, wire.Notice{Code: wire.NoticeQuarantine, Values: []uint64{0, 0, 0}})
	}
}

// onKeptNotice takes the word of a representative that this node is kept out.
func (m *Machine) onKeptNotice(q *peer, ring RingID, values []uint64) {
	if len(values) != noticeEntryLen || m.state != Operational || has(m.ring.ids, q.id) {
		return
	}
	left := Tick(min(values[0], uint64(quarantineLength(maxQuarantine)/ms))) * ms
	why := ReasonNone
	if values[2] < uint64(numReasons) {
		why = Reason(values[2])
	}
	if end := m.now + left; left > 0 && (q.shutUntil <= m.now || end > q.shutUntil+2*noticePace) {
		m.trace(TraceEvent{Kind: TraceKeptOut, Node: q.id, Reason: why, Value: int64(left)})
	}
	q.shutUntil, q.shutSeq, q.shutWhy = m.now+left, ring.Seq, why
	q.probes = 0 // it answers
	if m.ring.me != 0 && left > 0 && m.timers[timerMerge] == 0 {
		m.arm(timerMerge, m.now+m.t.Merge+m.jitter(m.t.Merge/5))
	}
}

// unwanted reports a node in whose eyes this one is kept out, so that a gather
// with it would only cost a ring.
func (m *Machine) unwanted(q *peer) bool {
	return q.shutUntil > m.now && !planted("quarantine-notice-ignored")
}

// bidirectional reports a node with which packets are exchanged both ways, as far
// as the links know.
func (q *peer) bidirectional() bool { return q.linked && q.link.Up && !q.link.Half }

// reaches lists whom this node reaches in both directions.
func (m *Machine) reaches() []NodeID {
	var ids []NodeID
	for i := range m.peers {
		if q := &m.peers[i]; q.bidirectional() {
			ids = append(ids, q.id)
		}
	}
	return ids
}

// KeptOut is one node that is not let in for a while.
type KeptOut struct {
	Node   NodeID
	Left   Tick // zero: its time is over, and it says itself that it does not reach all members
	K      int  // how many times in a row: its time is 2^K seconds
	Reason Reason
	Void   bool // without effect now: this ring may not refuse anybody
}

// keptStatus lists whom this member keeps out.
func (m *Machine) keptStatus() []KeptOut {
	var list []KeptOut
	void := !m.refuses()
	for i := range m.kept {
		e := &m.kept[i]
		if left := max(0, e.until-m.now); left > 0 || m.torn(e.node) {
			list = append(list, KeptOut{Node: e.node, Left: left, K: int(e.k), Reason: e.reason, Void: void})
		}
	}
	return list
}

// keptBy lists whose rings keep this node out, as they said.
func (m *Machine) keptBy() []KeptOut {
	var list []KeptOut
	for i := range m.peers {
		if q := &m.peers[i]; q.shutUntil > m.now && m.ring != nil && !has(m.ring.ids, q.id) {
			list = append(list, KeptOut{Node: q.id, Left: q.shutUntil - m.now, Reason: q.shutWhy})
		}
	}
	return list
}
