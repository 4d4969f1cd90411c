package totem

import (
	"encoding/binary"
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

// mergeState is what the representative knows of other rings (ordering 2.17).
type mergeState struct {
	merging   []NodeID // members of other rings that were found, ascending
	notBefore Tick     // next attempt to merge
	backoff   int      // attempts without success
	lastPeers []NodeID // of the last attempt
}

const (
	probePatience = 10      // unanswered probes before they become rare
	probeRare     = 5 * sec // between two of them then
)

// probe looks for other rings among the configured nodes that are not members.
func (m *Machine) probe() {
	if m.state != Operational {
		return
	}
	if m.ring.me != 0 {
		m.probeKept()
		return
	}
	var to []NodeID
	for i := range m.peers {
		q := &m.peers[i]
		if has(m.ring.ids, q.id) || m.keepsOut(q.id) || m.torn(q.id) || q.linked && !q.link.Up || q.probes >= probePatience && m.now-q.probed < probeRare {
			continue
		}
		q.probes++
		q.probed = m.now
		m.unsay(q)
		to = append(to, q.id)
	}
	if len(to) > 0 {
		frame := wire.AppendProbe(m.pool.get(256), m.header(m.ring.id), wire.Probe{Members: m.ring.ids, Reach: m.reaches()}, m.sets)
		m.sendOnce(Dest{Scope: ToConfigured, Nodes: to}, TrafficControl, frame)
	}
	m.arm(timerMerge, m.now+m.t.Merge+m.jitter(m.t.Merge/5))
}

// onProbe notes another ring. Only the representative acts; others pass the
// probe on to it once.
func (m *Machine) onProbe(p Packet, h wire.Header, body []byte) error {
	pr, err := readSets(m, wire.ParseProbe, body)
	if err != nil {
		return err
	}
	if m.state != Operational || m.stale(p) || h.Ring == m.ring.id || has(m.ring.ids, h.Ring.Rep) {
		return nil
	}
	if pr.Flags&wire.ProbeKept != 0 {
		if m.ring.me == 0 && !has(m.ring.ids, p.From) {
			m.probedBy(m.peer(p.From), &pr)
		}
		return nil
	}
	if m.ring.me != 0 {
		if pr.Flags&wire.ProbeForwarded == 0 {
			pr.Flags |= wire.ProbeForwarded
			frame := wire.AppendProbe(m.pool.get(256), h, pr, m.sets)
			m.sendOnce(toNode(m.ring.rep()), TrafficControl, frame)
		}
		return nil
	}
	m.sawSeq(h.Ring.Seq)
	if q := m.peer(h.Ring.Rep); q != nil {
		m.probedBy(q, &pr)
		m.tellMembers(&pr)
		if m.unwanted(q) {
			return nil
		}
	}
	for _, id := range pr.Members {
		if q := m.peer(id); q != nil && !has(m.ring.ids, id) && !m.keepsOut(id) && !m.torn(id) {
			m.merging = insert(m.merging, id)
			q.probes = 0
		}
	}
	if len(m.merging) > 0 && m.timers[timerMergeHold] == 0 {
		m.arm(timerMergeHold, max(m.now+2*m.t.Merge, m.notBefore))
	}
	return nil
}

// mayMerge limits how often rings are torn for the same peers: once in two
// token times, rarer while it does not succeed.
func (m *Machine) mayMerge(peers []NodeID) bool {
	if m.now < m.notBefore && subset(peers, m.lastPeers) {
		return false
	}
	m.tryingMerge(peers)
	return true
}

// tryingMerge begins the pause before the next attempt with the same peers,
// whoever began this one.
func (m *Machine) tryingMerge(peers []NodeID) {
	m.lastPeers = slices.Clone(peers)
	m.notBefore = m.now + min(2*m.t.Token<<max(0, m.backoff-1), 8*m.t.Token)
	m.backoff = min(m.backoff+1, 4)
}

// calm resets the damping when a ring that is left was a lasting one: it lasted
// longer than the longest pause and what comes after it.
func (m *Machine) calm(r *ring) {
	if m.now-r.since >= 16*m.t.Token+4*m.t.Merge {
		m.backoff = 0
	}
}

// merged ends the pauses when somebody came in.
func (m *Machine) merged() {
	if slices.ContainsFunc(m.lastPeers, func(id NodeID) bool { return has(m.ring.ids, id) }) {
		m.backoff, m.notBefore, m.lastPeers = 0, 0, nil
	}
}

// Codes of ordered control messages. All begin with the seq of their ring.
const (
	orderMerge      = 1 // of the representative: node ids
	orderQuarantine = 2 // of the representative: node id, k, reason
	orderRelease    = 3 // of any member: node id, reason
)

// order queues a control message; values appends what stands behind the ring seq.
func (m *Machine) order(code byte, values func([]byte) []byte) {
	body := binary.LittleEndian.AppendUint64([]byte{code, 0, 0}, m.ring.id.Seq)
	body = values(body)
	binary.LittleEndian.PutUint16(body[1:], uint16(len(body)-3))
	m.engineK++
	m.queues[Control].push(queued{k: m.engineK, safe: true, engine: true}, body)
}

func appendNode(b []byte, id NodeID) []byte { return binary.LittleEndian.AppendUint32(b, uint32(id)) }

// takeNode reads a node id, zero if there is none.
func takeNode(b []byte) (NodeID, []byte) {
	if len(b) < 4 {
		return 0, nil
	}
	return NodeID(binary.LittleEndian.Uint32(b)), b[4:]
}

// announceMerge orders the end of this ring, so that it closes at the same slot
// everywhere, and its members look for the union together.
func (m *Machine) announceMerge() {
	if m.state != Operational || m.ring.me != 0 || len(m.merging) == 0 {
		return
	}
	peers := slices.DeleteFunc(m.merging, func(id NodeID) bool { return m.keepsOut(id) || m.torn(id) })
	m.merging = nil
	if len(peers) == 0 {
		return
	}
	if !m.mayMerge(peers) {
		m.merging = peers
		m.arm(timerMergeHold, m.notBefore)
		return
	}
	if len(m.ring.ids) == 1 {
		m.gatherWith(ReasonMerge, peers[0], peers)
		return
	}
	m.order(orderMerge, func(b []byte) []byte {
		for _, id := range peers {
			b = appendNode(b, id)
		}
		return b
	})
}

// ordered acts on a control message at its slot.
func (m *Machine) ordered(r *ring, from NodeID, body []byte) {
	if len(body) < 3 || m.ring != r {
		return
	}
	code, values := body[0], body[3:]
	if int(binary.LittleEndian.Uint16(body[1:])) != len(values) || len(values) < 8 {
		m.stats.BadData++
		return
	}
	if binary.LittleEndian.Uint64(values) != r.id.Seq || code != orderRelease && from != r.rep() {
		return
	}
	switch values = values[8:]; code {
	case orderMerge:
		m.mergeOrdered(values)
	case orderQuarantine:
		m.quarantineOrdered(values)
	case orderRelease:
		m.releaseOrdered(values)
	}
}

func (m *Machine) mergeOrdered(values []byte) {
	var peers []NodeID
	for len(values) >= 4 && len(peers) < wire.MaxNodes {
		var id NodeID
		if id, values = takeNode(values); m.peer(id) != nil {
			peers = insert(peers, id)
		}
	}
	if len(peers) > 0 {
		m.gatherWith(ReasonMerge, peers[0], peers)
	}
}

// Distrust ends a ring whose members were not delivered the same, as the driver
// found out. They make another one, in which nothing of the old one counts.
func (m *Machine) Distrust(now Tick, id RingID) {
	m.begin(now)
	if m.stopped == Running && m.leaves == 0 && m.state == Operational && m.ring.id == id && len(m.ring.ids) > 1 {
		m.gather(ReasonDistrust, 0)
	}
}
