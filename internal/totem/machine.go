package totem

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

// Errors that callers branch on.
var (
	ErrBusy    = errors.New("totem: queue full")
	ErrTooBig  = errors.New("totem: message larger than the largest allowed")
	ErrStopped = errors.New("totem: stopped")
	ErrForeign = errors.New("totem: frame is not for this machine")
)

// Machine is one member's ordering engine. See the package comment for how to
// drive it.
type Machine struct {
	cfg   Config
	t     Timers
	lim   Limits
	table wire.Table
	sets  wire.Table // that sets of nodes are written with: the same, or none
	peers []peer     // all configured nodes but self, ascending; index order is id order
	all   []NodeID   // ids of peers

	earlier []wire.Table // of before a Reconfig, newest last
	removed bool         // some peers are gone from the configuration

	now      Tick
	lastTick Tick // last stamp of the pause detection
	pauseEnd Tick // membership packets that arrived before are stale
	timers   [numTimers]Tick

	state   State
	stopped StopReason
	started bool // the first singleton is installed

	// Promises (ordering 2.2).
	committedSeq uint64
	seqBound     uint64
	maxSeen      uint64
	tag          Tag    // of the newest record asked for
	durable      Tag    // highest answered
	durableBound uint64 // seq bound that is on disk
	persist      *Persist
	waiting      func(*Machine) // runs when tag waitTag is durable; nil: nothing waits
	waitTag      Tag

	ring *ring    // operational or in recovery
	old  *ring    // the ring left last, from gather until the next one is installed
	att  *attempt // in commit and recovery

	gatherState
	mergeState
	quarantineState

	queues  [numClasses]queue
	tags    [numClasses]tags
	nextK   uint64
	engineK uint64
	held    bool // classes below Control wait for Release
	level   Level

	undelivered int // Cost of what was delivered and not consumed
	leaves      int // Leave frames sent

	// One visit.
	scratch       wire.Token // where the next token is decoded
	sent          [][]byte   // own new frames
	sentFlags     uint16
	post          int    // how many of them follow the token
	deaf          NodeID // found by watchAru
	requested     int    // slots asked for in this visit
	answeredFirst bool   // the slot after the token's aru was sent again in this visit

	tracedRing   RingID
	tracedStable Slot

	asked     []uint64 // seq bounds of the records without an answer
	spare     *window  // of the ring before the last
	bodies    [][]byte // free large buffers for reassembly
	bodyBytes int      // their capacity
	pool      pool
	out       output // what the next Take hands over
	prev      output // what the last one did
	stats     Stats
}

// output collects what the next Take hands over.
type output struct {
	send       []Outgoing
	events     []Event
	trace      []TraceEvent
	deliveries []Delivery
	bodies     [][]byte // reassembled bodies to recycle
}

// peer is a configured node other than self.
type peer struct {
	id     NodeID
	votes  uint32
	gone   bool   // not configured any more, but still a member
	inc    uint64 // of its present session; zero: none yet
	heard  Tick   // last authenticated datagram; zero: never
	denied uint64 // no higher incarnation than inc that others told of and that never spoke; zero: none
	link   LinkState
	linked bool // link is known
	downAt Tick // when link was reported down
	hopRTT Tick // smoothed time from token to acknowledgement
	join   joinInfo
	probes int  // unanswered
	probed Tick // last probe to it

	faults    [flapTimes]Tick // when rings were left on its account, oldest first
	torn      Tick            // last probe that said that it does not reach all members; zero: the last one did not
	told      Tick            // until when it takes itself to be kept out
	shutUntil Tick            // until when it keeps this node out, as it said
	shutSeq   uint64          // of its ring then
	shutWhy   Reason
}

// New starts a machine. Its first Take asks to store the record that covers the
// first ring; nothing is sent and no configuration shown before that is durable
// (ordering 2.2, 2.3).
func New(now Tick, c Config) (*Machine, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Machine{cfg: c, t: c.Timers, lim: c.Limits, now: now, lastTick: now, state: Idle}
	m.setNodes()
	m.pool.size = max(c.MTU, 2048)
	m.committedSeq, m.seqBound, m.maxSeen = c.SeqBound, c.SeqBound, c.SeqBound
	m.arm(timerPause, now+m.t.Token/5)
	m.reserve(c.SeqBound+1, (*Machine).installFirst)
	return m, nil
}

func (c Config) withDefaults() (Config, error) {
	c.Nodes = slices.Clone(c.Nodes)
	slices.SortFunc(c.Nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	n := len(c.Nodes)
	self := false
	for i, x := range c.Nodes {
		if x.ID == 0 || x.ID == ^NodeID(0) {
			return c, fmt.Errorf("totem: node id %d is reserved", x.ID)
		}
		if i > 0 && x.ID == c.Nodes[i-1].ID {
			return c, fmt.Errorf("totem: node id %d is configured twice", x.ID)
		}
		self = self || x.ID == c.Self
	}
	switch {
	case !self:
		return c, fmt.Errorf("totem: own node id %d is not configured", c.Self)
	case n > wire.MaxNodes:
		return c, fmt.Errorf("totem: %d nodes, at most %d", n, wire.MaxNodes)
	case c.Inc == 0:
		return c, errors.New("totem: incarnation is zero")
	case c.Rand == nil:
		return c, errors.New("totem: no random source")
	}
	c.Timers = c.Timers.withDefaults(n)
	var err error
	if c.Limits, err = c.Limits.withDefaults(n); err != nil {
		return c, err
	}
	c.MTU = cmp.Or(c.MTU, 1423)
	if c.MTU < wire.FloorMTU-80 {
		return c, fmt.Errorf("totem: frame size %d is below the floor", c.MTU)
	}
	return c, nil
}

// DefaultTimers are the constants of ordering 2.23 for n configured nodes.
func DefaultTimers(n int) Timers { return Timers{}.withDefaults(n) }

func (t Timers) withDefaults(n int) Timers {
	t.Token = cmp.Or(t.Token, 1000*ms+10*ms*Tick(max(0, n-2)))
	t.Consensus = cmp.Or(t.Consensus, t.Token+t.Token/5)
	t.Join = cmp.Or(t.Join, 50*ms*max(1, Tick(n)/32))
	t.Settle = cmp.Or(t.Settle, max(150*ms, 4*t.Join))
	t.SuspectGrace = cmp.Or(t.SuspectGrace, 50*ms)
	t.Merge = cmp.Or(t.Merge, 1000*ms)
	t.Hold = min(cmp.Or(t.Hold, min(t.Token/5, 500*ms)), t.Token*2/5) // ordering 2.12: below half of token
	t.Linger = cmp.Or(t.Linger, min(500*ms, t.Consensus/4))
	t.FailToReceive = cmp.Or(t.FailToReceive, max(2*t.Token, 2000*ms))
	t.HopMin = cmp.Or(t.HopMin, 2*ms)
	t.SlowNodeWarn = cmp.Or(t.SlowNodeWarn, 2000*ms)
	return t
}

func (l Limits) withDefaults(n int) (Limits, error) {
	l.Window = cmp.Or(l.Window, 16384)
	l.WndMax = cmp.Or(l.WndMax, min(2048, l.Window/8))
	l.QueueBytes = cmp.Or(l.QueueBytes, 16<<20)
	l.QueueCount = cmp.Or(l.QueueCount, 65536)
	l.Undelivered = cmp.Or(l.Undelivered, 16<<20)
	l.MaxMessage = cmp.Or(l.MaxMessage, 1<<20)
	l.RingBytes = cmp.Or(l.RingBytes, 64<<20)
	l.HopTries = cmp.Or(l.HopTries, 6)
	if l.Window&(l.Window-1) != 0 || l.Window < 16*n {
		return l, fmt.Errorf("totem: window of %d slots; it must be a power of two and at least 16 times the %d nodes", l.Window, n)
	}
	if l.WndMax > l.Window/8 {
		return l, fmt.Errorf("totem: %d frames per rotation; at most an eighth of the window of %d slots", l.WndMax, l.Window)
	}
	return l, nil
}

const (
	ms  = Tick(1_000_000)
	sec = 1000 * ms
)

// begin takes the time of an input and finds out whether this process was not
// running for a while (ordering 2.19 H1).
func (m *Machine) begin(now Tick) {
	m.now = max(m.now, now)
	gap := m.now - m.lastTick
	m.lastTick = m.now
	if gap <= m.t.Token/2 {
		return
	}
	m.pauseEnd = m.now
	if m.stopped != Running || m.leaves > 0 {
		return
	}
	if m.state == Gather { // what was said meanwhile is stale: nobody was silent
		m.armSettle()
		m.arm(timerConsensus, m.now+m.t.Consensus)
	}
	if gap <= m.t.Token {
		return
	}
	m.trace(TraceEvent{Kind: TraceStaleView, Value: int64(gap)})
	switch {
	case m.state == Operational && len(m.ring.ids) > 1:
		m.gather(ReasonPause, 0)
	case m.state == Commit || m.state == Recovery:
		m.abandon(ReasonPause, 0)
	}
}

// Step consumes one frame. It never blocks, does not allocate in the steady
// state, and reports only malformed or foreign input; protocol trouble shows up
// in Output.
func (m *Machine) Step(now Tick, p Packet) error {
	m.begin(now)
	if m.stopped != Running {
		return ErrStopped
	}
	if p.Arrived == 0 {
		p.Arrived = now
	}
	h, body, err := wire.ParseHeader(p.Frame)
	if err != nil {
		return err
	}
	if h.Cluster != m.cfg.Cluster {
		m.stats.Foreign++
		return fmt.Errorf("cluster tag %08x: %w", h.Cluster, ErrForeign)
	}
	q := m.peer(p.From)
	if q == nil || q.gone {
		m.stats.Foreign++
		return fmt.Errorf("node %d is not configured: %w", p.From, ErrForeign)
	}
	if !m.hear(q, p.Inc) {
		m.stats.DeadIncarnation++
		return nil
	}
	if !m.started || m.leaves > 0 {
		return nil
	}
	switch h.Type {
	case wire.TypeData:
		return m.onData(p, h, body)
	case wire.TypeToken:
		return m.onToken(p, h, body)
	case wire.TypeTokenAck:
		return m.onTokenAck(p, h, body)
	case wire.TypeJoin:
		return m.onJoin(p, q, h, body)
	case wire.TypeCommit:
		return m.onCommit(p, h, body)
	case wire.TypeProbe:
		return m.onProbe(p, h, body)
	case wire.TypeWake:
		return m.onWake(p, h, body)
	case wire.TypeNotice:
		return m.onNotice(p, h, body)
	}
	return fmt.Errorf("frame type %d: %w", h.Type, ErrForeign)
}

// peer finds a configured node, nil if it is none or self.
func (m *Machine) peer(id NodeID) *peer {
	i, ok := slices.BinarySearch(m.all, id)
	if !ok {
		return nil
	}
	return &m.peers[i]
}

// hear notes a sign of life and finds restarts. It reports false for an
// incarnation that is known to be dead.
func (m *Machine) hear(q *peer, inc uint64) bool {
	if inc < q.inc && !planted("dead-incarnation-heard") {
		return false
	}
	if inc > q.inc {
		q.inc = inc
		q.join = joinInfo{}
		q.faults, q.torn, q.told, q.shutUntil = [flapTimes]Tick{}, 0, 0, 0
	}
	q.heard = m.now
	m.restarted(q)
	return true
}

// Heard says that an authenticated datagram of any kind came from the node's
// present session.
func (m *Machine) Heard(now Tick, n NodeID, inc uint64) {
	m.begin(now)
	if q := m.peer(n); q != nil && !q.gone && m.stopped == Running {
		m.hear(q, inc)
	}
}

// restarted acts on a higher incarnation of a member: the one in the ring, or in
// the ring that is being made, is dead (ordering 2.18).
func (m *Machine) restarted(q *peer) {
	if m.leaves > 0 {
		return
	}
	switch m.state {
	case Operational:
		if inc, ok := m.ring.incOf(q.id); ok && inc < q.inc {
			m.gather(ReasonRestart, q.id)
		}
	case Commit, Recovery:
		if inc, ok := m.att.incOf(q.id); ok && inc < q.inc && !planted("row-6-blind-to-restart") {
			m.abandon(ReasonRestart, q.id)
		}
	case Gather:
		if i, ok := find(m.proc, q.id); ok && m.proc[i].Inc < q.inc {
			m.adopt(wire.Member{ID: q.id, Inc: q.inc})
			m.changed()
		}
	}
}

// LinkState reports a change of the way to a node.
func (m *Machine) LinkState(now Tick, s LinkState) {
	m.begin(now)
	q := m.peer(s.Node)
	if q == nil || m.stopped != Running {
		return
	}
	was, half := q.linked && q.link.Up, q.linked && q.link.Half
	q.link, q.linked = s, true
	switch {
	case m.leaves > 0:
	case was && !s.Up:
		q.downAt = m.now
		m.linkDown(q)
	case s.Up && (!was || half && !s.Half):
		m.linkUp(q)
	}
}

// Submit queues one message. With one member it is ordered by the next Take.
// ErrBusy and ErrTooBig leave nothing behind; tag comes back with the own
// delivery. The body is copied.
func (m *Machine) Submit(now Tick, body []byte, class Class, safe bool, tag uint64) (k uint64, err error) {
	m.begin(now)
	switch {
	case m.stopped != Running || m.leaves > 0:
		return 0, ErrStopped
	case len(body) > m.lim.MaxMessage:
		return 0, fmt.Errorf("%d of %d bytes: %w", len(body), m.lim.MaxMessage, ErrTooBig)
	}
	q := &m.queues[class]
	if q.count >= m.lim.QueueCount || q.bytes+len(body) > m.lim.QueueBytes && q.count > 0 {
		return 0, ErrBusy
	}
	m.nextK++
	q.push(queued{k: m.nextK, safe: safe}, body)
	if tag != 0 {
		m.tags[class].push(tagged{m.nextK, tag})
	}
	return m.nextK, nil
}

// Release lets classes below Control be originated again. After each regular
// configuration they wait until the services are synchronised (ordering 2.16,
// last paragraph). A ring that is not the present one is ignored.
func (m *Machine) Release(now Tick, id RingID) {
	m.begin(now)
	if m.state == Operational && m.ring.id == id {
		m.held = false
	}
}

// Consumed says that the clients took deliveries of that Cost.
func (m *Machine) Consumed(now Tick, cost int) {
	m.begin(now)
	m.undelivered = max(0, m.undelivered-cost)
	if m.state == Operational {
		m.deliver()
	}
}

// Dropped says that the kernel threw packets away on receive.
func (m *Machine) Dropped(now Tick, packets int) {
	m.begin(now)
	m.stats.KernelDrops += uint64(packets)
}

// Conflict stops the machine: the session layer found a clone, a later start or
// a restored memory image of this node.
func (m *Machine) Conflict(now Tick, r StopReason) {
	m.begin(now)
	m.stop(r)
}

func (m *Machine) stop(r StopReason) {
	if m.stopped != Running {
		return
	}
	m.setState(Idle, ReasonStopped, 0)
	m.stopped = r
	m.timers = [numTimers]Tick{}
	m.waiting = nil
}

// reserve makes sure that the ring seq is covered by a durable record, and then
// runs f. What waited before is forgotten: a machine waits for one thing at a
// time (ordering 2.15).
func (m *Machine) reserve(seq uint64, f func(*Machine)) {
	if seq > m.seqBound || m.tag == 0 {
		m.askPersist(seq)
	}
	if m.covered(seq) {
		f(m)
		return
	}
	m.waiting, m.waitTag = f, m.tag
}

// covered reports whether the ring seq may be promised.
func (m *Machine) covered(seq uint64) bool {
	return m.tag != 0 && m.durable != 0 && seq <= m.durableBound || planted("forget-to-persist")
}

const seqBlock = 64 // ring seqs reserved at once (ordering 2.15)

func (m *Machine) askPersist(seq uint64) {
	m.seqBound = seq + seqBlock
	m.tag++
	m.persist = &Persist{Tag: m.tag, Record: Record{Inc: m.cfg.Inc, SeqBound: m.seqBound}}
	m.asked = append(m.asked, m.seqBound)
}

// Persisted answers Output.Persist. After an error the machine stops.
func (m *Machine) Persisted(now Tick, tag Tag, err error) {
	m.begin(now)
	if m.stopped != Running {
		return
	}
	if err != nil {
		m.stop(StopPersistFailed)
		return
	}
	for m.durable < tag && len(m.asked) > 0 {
		m.durable++
		m.durableBound = m.asked[0]
		m.asked = m.asked[1:]
	}
	if f := m.waiting; f != nil && m.durable >= m.waitTag {
		m.waiting = nil
		f(m)
	}
}

// Take hands over what accumulated since the last call. Call it after each
// round of inputs: messages submitted since the last one are packed together.
func (m *Machine) Take() Output {
	if m.stopped == Running {
		if m.removed {
			m.forgetRemoved()
		}
		m.work()
	}
	m.pool.turn()
	m.out, m.prev = m.prev, m.out
	for _, b := range m.out.bodies {
		m.freeBody(b)
	}
	o := &m.out
	clear(o.events)
	o.send, o.events, o.trace, o.deliveries, o.bodies = o.send[:0], o.events[:0], o.trace[:0], o.deliveries[:0], o.bodies[:0]
	t := Output{Persist: m.persist, Send: m.prev.send, Events: m.prev.events, Trace: m.prev.trace,
		Room: m.room(), Stop: m.stopped}
	m.persist = nil
	if m.state == Operational || m.state == Recovery {
		t.TokenFirst = m.ring.tokenFirst
	}
	_, t.Wake = m.next()
	return t
}

// work does what a batch of submits started.
func (m *Machine) work() {
	if m.state != Operational {
		return
	}
	switch r := m.ring; {
	case len(r.ids) == 1:
		m.orderAlone()
	case r.kept && (m.backlog() > 0 || r.woken):
		m.releaseToken(false)
	case r.me != 0 && m.backlog() > 0 && r.takenForHeld() && m.timers[timerWake] == 0:
		m.sendWake(0)
	}
}

// room is the level of the fullest submit queue, with hysteresis.
func (m *Machine) room() Level {
	full := 0
	for i := range m.queues {
		q := &m.queues[i]
		full = max(full, 100*q.bytes/m.lim.QueueBytes, 100*q.count/m.lim.QueueCount)
	}
	up := [...]int{0, 40, 60, 75}
	down := [...]int{0, 30, 50, 70}
	for m.level < RoomCritical && full >= up[m.level+1] {
		m.level++
	}
	for m.level > RoomLow && full < down[m.level] {
		m.level--
	}
	return m.level
}

// setState is the only place where the state changes.
func (m *Machine) setState(s State, why Reason, who NodeID) {
	id := m.ringID()
	if m.att != nil && (s == Commit || s == Recovery) {
		id = m.att.id
	}
	m.trace(TraceEvent{Kind: TraceState, From: m.state, To: s, Reason: why, Node: who, Ring: id})
	m.stats.Reasons[why]++
	m.state = s
}

func (m *Machine) trace(e TraceEvent) {
	e.At = m.now
	m.out.trace = append(m.out.trace, e)
}

// ringID is the ring that the header of a membership frame names: the last
// operational one.
func (m *Machine) ringID() RingID {
	switch {
	case m.old != nil:
		return m.old.id
	case m.ring != nil:
		return m.ring.id
	}
	return RingID{}
}

func (m *Machine) header(r RingID) wire.Header { return wire.Header{Cluster: m.cfg.Cluster, Ring: r} }

func (m *Machine) send(to Dest, kind Traffic, frame []byte) {
	m.out.send = append(m.out.send, Outgoing{To: to, Kind: kind, Frame: frame})
}

// sendOnce sends a frame that nobody keeps; its buffer is pooled.
func (m *Machine) sendOnce(to Dest, kind Traffic, frame []byte) {
	m.send(to, kind, frame)
	m.pool.put(frame)
}

func toNode(n NodeID) Dest { return Dest{Scope: ToNode, Node: n} }
