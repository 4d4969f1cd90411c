package sim

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/moothall/moothall/internal/sim/check"
)

// Liveness is how long a healed cluster took.
type Liveness struct {
	Formed  Tick // heal until all are in one ring (L1)
	Settled Tick // last submit until everything is delivered
	Rings   int  // installed since heal by one node, at most (L3)
	Parts   int  // components at heal
}

const (
	poll       = 20 * ms  // between two looks at the cluster
	stayFormed = 3 * sec  // one ring has to last
	progress   = 10 * sec // for the messages of L2
	drainLimit = 60 * sec
	protocols  = 120 * sec // until those of Group Services ended, which have to wait for time limits and for one another
	quietTime  = 1500 * ms
	idleTime   = 2 * sec // over which L4 counts packets
)

// nextPhase looks whether the present phase is over.
func (w *world) nextPhase() {
	if w.plan.NoHeal {
		w.finishRun(false)
		return
	}
	switch w.phase {
	case phaseChaos:
		w.heal()
	case phaseLiveness:
		w.awaitRing()
	case phaseProgress:
		w.awaitProgress()
	case phaseDrain:
		w.awaitQuiet()
	case phaseFinal:
		w.idle()
		return
	}
	if !w.done {
		w.queue.push(event{at: w.now + poll, kind: evPhase})
	}
}

func (w *world) enter(p phase) {
	w.phase, w.phaseAt = p, w.now
	w.record(check.Event{Kind: check.KindPhase, Text: p.String()})
}

// heal takes all faults away.
func (w *world) heal() {
	w.enter(phaseLiveness)
	for len(w.active) > 0 {
		w.finish(w.active[len(w.active)-1])
	}
	w.armed, w.replays = nil, false
	w.net.clear()
	calm := condition{copies: 1}
	for i := range w.net.conds {
		w.net.conds[i] = calm
	}
	w.net.purge(w.now + 10*w.plan.Net.Delay + 5*ms)
	for _, m := range w.nodes {
		m.slow, m.deaf, m.lies, m.client = 0, 0, 0, true
		m.disk.delay, m.disk.failing = 0, false
		m.pause(false)
		if m.proc == nil && m.plan.As == 0 && (w.plan.Restart || m.starts == 0) {
			m.restart, m.clockIs = "", ""
			m.start()
		}
	}
	w.liveness.Parts = w.parts()
	w.seeQuarantine()
	for _, m := range w.nodes {
		m.installs = 0
	}
}

// live returns the members that run.
func (w *world) live() []*member {
	var l []*member
	for _, m := range w.nodes {
		if m.proc != nil {
			l = append(l, m)
		}
	}
	return l
}

// parts counts the rings that live members are in.
func (w *world) parts() int {
	var rings []RingID
	for _, m := range w.live() {
		if !slices.Contains(rings, m.ring) {
			rings = append(rings, m.ring)
		}
	}
	return len(rings)
}

// formedRing reports whether all live members are in one ring of just them.
func (w *world) formedRing() bool {
	l := w.live()
	for _, m := range l {
		if m.ring != l[0].ring || len(m.members) != len(l) || !m.proc.settled() {
			return false
		}
	}
	return true
}

// bound is the time of L1 without Z: token, consensus, four commits and the
// recovery, for each false gather that ordering 1.5 allows.
func (w *world) bound() Tick {
	n := len(w.nodes)
	token := w.token()
	recovery := 500 * ms
	return (6*token + token/5 + recovery) * Tick(1+2*bits.Len(uint(n))+2)
}

func (w *world) token() Tick {
	return cmp.Or(w.plan.Engine.Token, 1000*ms+10*ms*Tick(max(0, len(w.nodes)-2)))
}

// seeQuarantine notes Z of L1, the longest time for which a live node is still kept
// out, and how many are: each comes back by a merge. Lists without effect count:
// two sides that may keep nobody out can form a ring that may.
func (w *world) seeQuarantine() {
	var out []NodeID
	for _, m := range w.live() {
		for _, k := range m.proc.keptOut() {
			if i, ok := w.index[k.Node]; ok && w.nodes[i].proc != nil {
				w.shut = max(w.shut, w.now-w.phaseAt+k.Left)
				if !slices.Contains(out, k.Node) {
					out = append(out, k.Node)
				}
			}
		}
	}
	w.kept = max(w.kept, len(out))
}

// majority reports whether nodes have more than half of all votes.
func (w *world) majority(ids []NodeID) bool {
	all, here := uint32(0), uint32(0)
	for _, n := range w.plan.Nodes {
		if n.As == 0 {
			all += max(1, n.Votes)
			if slices.Contains(ids, n.ID) {
				here += max(1, n.Votes)
			}
		}
	}
	return 2*here > all
}

func (w *world) awaitRing() {
	if !w.formedRing() {
		w.formed = 0
		after := w.now - w.phaseAt
		if after <= 3*w.token() { // the heal may find a gather that still judges by what was before
			w.seeQuarantine()
		}
		if after > w.bound()+w.shut {
			w.fail("L1", fmt.Sprintf("no ring of all live nodes within %v, %v of that for quarantines: %s", w.bound()+w.shut, w.shut, w.describe()))
		}
		return
	}
	if w.formed == 0 {
		w.formed = w.now
	}
	if w.now-w.formed < stayFormed {
		return
	}
	w.liveness.Formed = w.formed - w.phaseAt
	for _, m := range w.live() {
		w.liveness.Rings = max(w.liveness.Rings, m.installs)
		if limit := 3*max(1, w.liveness.Parts-1+w.kept) + 3; m.installs > limit {
			w.fail("L3", fmt.Sprintf("node %d installed %d rings until %d parts were one and %d kept out came back, at most %d are in order", m.id, m.installs, w.liveness.Parts, w.kept, limit))
			return
		}
	}
	w.enter(phaseProgress)
	for _, m := range w.live() {
		for i := range 6 {
			w.client(m, 100*i+1, 2, i%2 == 0)
		}
	}
	w.progressEnd = w.now + progress + w.backlogTime()
	if w.plan.domains() || w.plan.news() {
		w.progressEnd += protocols
	}
}

// lost says that the ring of a healed cluster did not last.
func (w *world) lost() bool {
	if w.formedRing() {
		return false
	}
	w.fail("L1", "the ring of a healed cluster broke: "+w.describe())
	return true
}

func (w *world) openMessages() int {
	n := 0
	for _, m := range w.live() {
		messages, _ := m.proc.waiting()
		n += messages
	}
	return n
}

func (w *world) awaitProgress() {
	if w.lost() {
		return
	}
	if w.openMessages() > 0 {
		if w.now > w.progressEnd {
			w.fail("L2", fmt.Sprintf("%d accepted messages are not delivered: %s", w.openMessages(), w.describe()))
		}
		return
	}
	w.liveness.Settled = w.now - w.phaseAt
	w.enter(phaseDrain)
}

// backlogTime is what the messages that wait may need where a rotation carries
// little: one frame each rotation.
func (w *world) backlogTime() Tick {
	n := 0
	for _, m := range w.live() {
		messages, bytes := m.proc.waiting()
		n += messages + bytes/1200
	}
	return Tick(n) * Tick(len(w.nodes)) * 4 * w.plan.Net.Delay
}

func (w *world) awaitQuiet() {
	if w.lost() {
		return
	}
	if w.openMessages() > 0 {
		if w.now-w.phaseAt > drainLimit {
			w.fail("L2", "the cluster does not drain: "+w.describe())
		}
		w.formed = w.now
		return
	}
	w.formed = max(w.formed, w.phaseAt)
	if w.now-w.formed >= w.quiet() {
		w.enter(phaseFinal)
		w.idleFrom = w.net.counts.Packets - w.net.counts.Pings
		w.queue.push(event{at: w.now + idleTime, kind: evPhase})
	}
}

// quiet is how long nothing may be open until a cluster counts as idle. The
// window of last_man_standing ends with a message, and so does the time for which
// an event is kept.
func (w *world) quiet() Tick {
	if w.plan.news() {
		return quietTime + longestRetention + w.pause()
	}
	return quietTime + w.pause()
}

func (w *world) pause() Tick {
	if !w.plan.Quorum.LastMan {
		return 0
	}
	return cmp.Or(w.plan.Quorum.Window, 10*sec) + 3*sec
}

// idle checks L4 and ends the run.
func (w *world) idle() {
	if w.now-w.phaseAt < idleTime {
		return
	}
	if w.lost() {
		return
	}
	n := len(w.live())
	token := w.plan.Engine.Token
	if token == 0 {
		token = sec
	}
	hold := w.plan.Engine.Hold
	if hold == 0 {
		hold = min(token/5, 500*ms)
	}
	got := w.net.counts.Packets - w.net.counts.Pings - w.idleFrom
	probes := uint64(len(w.nodes)-n) * uint64(n) * 4
	limit := uint64(3*n)*uint64(idleTime/hold+2) + probes + uint64(4*n)
	if got > limit {
		w.fail("L4", fmt.Sprintf("an idle ring of %d sent %d packets in %v, at most %d are in order", n, got, idleTime, limit))
	}
	w.finishRun(true)
}

func (w *world) finishRun(drained bool) {
	w.check.End(w.now, drained)
	w.findings = append(w.findings, w.check.Findings()...)
	if w.groups != nil {
		w.groups.End(w.now, drained)
		w.findings = append(w.findings, w.groups.Findings()...)
	}
	if w.domain != nil {
		w.domain.End(w.now, drained)
		w.findings = append(w.findings, w.domain.Findings()...)
	}
	if w.news != nil {
		w.news.End(w.now, drained)
		w.findings = append(w.findings, w.news.Findings()...)
	}
	w.done = true
}

// describe tells where each node stands.
func (w *world) describe() string {
	s := ""
	for _, m := range w.nodes {
		if s != "" {
			s += "; "
		}
		if m.proc == nil {
			s += fmt.Sprintf("%d down", m.id)
			continue
		}
		open, _ := m.proc.waiting()
		s += fmt.Sprintf("%d in ring %v %v %s, %d open", m.id, m.ring, m.members, m.proc.describe(), open)
	}
	return s
}
