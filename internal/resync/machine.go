package resync

import (
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
)

// State is where the round is. Which service it is about says Status.
type State uint8

const (
	Idle       State = iota // no round: finished, aborted, or none yet
	Collecting              // Hellos come in
	Processing              // this member still has something to say
	Waiting                 // for the Barriers of others
	Failed                  // a service of this member cannot go on
)

// String is the word used in logs and documents.
func (s State) String() string {
	return [...]string{"idle", "collecting", "processing", "waiting", "failed"}[s]
}

// Config is what a Machine needs to know.
type Config struct {
	Self     NodeID
	Services []Service // ascending by ID; the quorum service, if any, first
	Stall    Tick      // silence that is worth a note, zero: 30 s
}

// Machine runs the rounds of one node.
type Machine struct {
	self  NodeID
	host  Host
	stall Tick
	local []local

	ring      RingID
	members   []NodeID
	round     uint32
	partial   bool   // only services that need quorum take part
	said      uint32 // number after the newest round that our Hello is out for
	state     State
	trans     []NodeID // came along since the last complete round
	hellos    []*Hello // by member, nil: not in
	parts     []part
	current   int // index in parts of the service that is activated next
	unsent    [][]byte
	moved     Tick // last progress
	worked    Tick // the same, or the last word of a member that is still at work
	warned    bool
	stuck     bool // said so in this round
	hopeless  int  // rounds in a row that were aborted after a warning
	completed bool // the round before this one was complete
}

// local is what a service of this node is outside of rounds.
type local struct {
	Service
	epoch  Epoch
	trans  []NodeID // came along since it was activated
	active bool     // in the newest round
	told   bool     // services that need quorum: the decision this member went by in it
}

// phase is how far a service is in the round at this member.
type phase uint8

const (
	pending phase = iota // not begun
	processing
	waiting // our Barrier is out
	done    // activated or passed by, at all members
)

// part is one service of the round, at all members.
type part struct {
	id         uint16
	local      int // index in Machine.local, -1: not run here
	round      Round
	overridden bool
	phase      phase
	inited     bool // Init without Activate or Abort
	excluded   bool // no common version
	barriers   []bool
	passed     bool // by some member that is not in the primary component
}

// New returns a Machine that waits for the first configuration.
func New(c Config, h Host) (*Machine, error) {
	m := &Machine{self: c.Self, host: h, stall: c.Stall, trans: []NodeID{c.Self}}
	if m.stall == 0 {
		m.stall = 30 * proto.Second
	}
	for i, s := range c.Services {
		switch {
		case s.ID >= MaxServices:
			return nil, fmt.Errorf("resync: service %s has id %d, at most %d", s.Name, s.ID, MaxServices-1)
		case i > 0 && c.Services[i-1].ID >= s.ID:
			return nil, fmt.Errorf("resync: services %s and %s are not in the order of their ids", c.Services[i-1].Name, s.Name)
		case s.Versions.Min > s.Versions.Max:
			return nil, fmt.Errorf("resync: service %s speaks versions %d to %d", s.Name, s.Versions.Min, s.Versions.Max)
		case s.Quorum && i > 0:
			return nil, fmt.Errorf("resync: quorum service %s is not the first", s.Name)
		}
		m.local = append(m.local, local{Service: s, trans: []NodeID{c.Self}})
	}
	return m, nil
}

// Transitional takes the transitional configuration: the members that come
// along to the next ring, ascending. A round in work is aborted.
func (m *Machine) Transitional(now Tick, members []NodeID) {
	m.abort(now, ErrReconfigured)
	for i := range m.local {
		s := &m.local[i]
		if s.active {
			s.trans = slices.Clone(members)
		} else {
			s.trans = intersect(s.trans, members)
		}
	}
	if m.completed {
		m.trans = slices.Clone(members)
	} else {
		m.trans = intersect(m.trans, members)
	}
	m.completed = false
	m.members = nil
}

// Regular takes the regular configuration and begins its round. The services
// know of it already: their digests are of the state after the change.
func (m *Machine) Regular(now Tick, ring RingID, members []NodeID) {
	m.abort(now, ErrReconfigured)
	m.completed = false
	m.ring, m.members, m.round, m.said = ring, slices.Clone(members), 0, 0
	for i := range m.local {
		m.local[i].active = false
	}
	m.begin(now, 0)
	m.hello(now, 0)
}

// Renew begins a round in the same ring for the services that need quorum, if
// one of them went by another decision than Host.Primary tells now. It does
// nothing while a round is in work, the caller tries again at its end.
func (m *Machine) Renew(now Tick) {
	if m.state != Idle || !m.completed || m.said > m.round+1 {
		return
	}
	for i := range m.local {
		if s := &m.local[i]; s.NeedsQuorum && s.told != m.host.Primary() {
			m.hello(now, m.round+1)
			return
		}
	}
}

// begin starts to collect.
func (m *Machine) begin(now Tick, round uint32) {
	m.round, m.partial = round, round > 0
	m.hellos = make([]*Hello, len(m.members))
	m.parts, m.current = nil, 0
	m.setState(Collecting)
	m.progress(now)
}

// hello tells what this node brings into a round.
func (m *Machine) hello(now Tick, round uint32) {
	h := Hello{Ring: m.ring, Round: round, Weight: m.host.Weight(), Trans: m.trans}
	for i := range m.local {
		s := &m.local[i]
		if round > 0 && !s.NeedsQuorum {
			continue
		}
		e := Entry{ID: s.ID, Versions: s.Versions, Epoch: s.epoch, Digest: m.host.Digest(s.ID)}
		if !slices.Equal(s.trans, m.trans) {
			e.Trans = s.trans
		}
		h.Services = append(h.Services, e)
	}
	m.said = round + 1
	m.note(now, Note{Kind: NoteStarted, Round: round, Service: NoService})
	m.send(h.AppendTo(nil))
}

// Deliver takes one message of the Machine out of the order of ring. Messages
// that do not belong to the round in work are ignored; the error tells of
// malformed ones only.
func (m *Machine) Deliver(now Tick, from NodeID, ring RingID, body []byte) error {
	kind, err := KindOf(body)
	if err != nil {
		return err
	}
	if kind == KindHello {
		h, err := ParseHello(body)
		if err == nil && ring == m.ring && h.Ring == m.ring {
			m.heardHello(now, from, &h)
		}
		return err
	}
	b, err := ParseBarrier(body)
	if err == nil && (ring == m.ring && b.Ring == m.ring && b.Round == m.round || bug.Planted("sync-accept-late-barrier")) {
		m.heardBarrier(now, from, b)
	}
	return err
}

func (m *Machine) heardHello(now Tick, from NodeID, h *Hello) {
	i, ok := slices.BinarySearch(m.members, from)
	if !ok {
		return
	}
	if h.Round == m.round+1 && m.state != Failed {
		m.renewed(now, h.Round)
	}
	if m.state != Collecting || h.Round != m.round || m.hellos[i] != nil {
		return
	}
	m.hellos[i] = h
	m.progress(now)
	if !slices.Contains(m.hellos, nil) {
		m.agree(now)
		m.step(now, 0)
	}
}

// renewed begins a further round at the place of its first Hello.
func (m *Machine) renewed(now Tick, round uint32) {
	m.abort(now, ErrRenewed)
	for i := range m.local {
		s := &m.local[i]
		if !s.NeedsQuorum {
			continue
		}
		if s.active {
			s.trans = slices.Clone(m.members)
		}
		s.active = false
	}
	m.begin(now, round)
	if m.said <= round {
		m.hello(now, round)
	}
}

func (m *Machine) heardBarrier(now Tick, from NodeID, b Barrier) {
	i, ok := slices.BinarySearch(m.members, from)
	if ok && b.Service == NoService {
		m.worked = now
	}
	k, known := m.find(b.Service)
	if !ok || !known {
		return
	}
	p := &m.parts[k]
	if p.phase == done || p.barriers[i] {
		return
	}
	p.barriers[i] = true
	p.passed = p.passed || b.Passed
	m.progress(now)
	m.step(now, 0)
}

func (m *Machine) find(service uint16) (int, bool) {
	return slices.BinarySearchFunc(m.parts, service, func(p part, id uint16) int { return int(p.id) - int(id) })
}

// agree draws the same conclusions from the Hellos at all members.
func (m *Machine) agree(now Tick) {
	var ids []uint16
	for _, h := range m.hellos {
		for _, e := range h.Services {
			if k, ok := slices.BinarySearch(ids, e.ID); !ok {
				ids = slices.Insert(ids, k, e.ID)
			}
		}
	}
	for _, id := range ids {
		m.parts = append(m.parts, m.newPart(now, id))
	}
	m.setState(Processing)
	m.note(now, Note{Kind: NoteAgreed, Service: NoService})
}

func (m *Machine) newPart(now Tick, id uint16) part {
	p := part{id: id, barriers: make([]bool, len(m.members))}
	p.local = slices.IndexFunc(m.local, func(s local) bool { return s.ID == id })
	p.round = Round{Ring: m.ring, Members: m.members}
	for i, h := range m.hellos {
		p.round.Peers = append(p.round.Peers, peerOf(m.members[i], h, id))
	}
	version, ok := common(p.round.Peers)
	if !ok {
		p.excluded = true
		m.note(now, Note{Kind: NotePassed, Service: id, Text: "no common version: " + ranges(p.round.Peers)})
	}
	p.round.Version = version
	p.round.Sender = choose(p.round.Peers)
	if p.local < 0 {
		return p
	}
	s := &m.local[p.local]
	p.round.Trans = slices.Clone(s.trans)
	p.round.Same = !s.Quorum && same(p.round.Peers)
	if own := m.host.Choose(id, &p.round); own != p.round.Sender && has(m.members, own) {
		p.round.Sender, p.overridden = own, true
	}
	return p
}

func peerOf(node NodeID, h *Hello, id uint16) Peer {
	k, ok := slices.BinarySearchFunc(h.Services, id, func(e Entry, id uint16) int { return int(e.ID) - int(id) })
	if !ok {
		return Peer{Node: node}
	}
	e := h.Services[k]
	p := Peer{Node: node, Has: true, Versions: e.Versions, Digest: e.Digest, Epoch: e.Epoch, Weight: h.Weight, Trans: h.Trans}
	if e.Trans != nil {
		p.Trans = e.Trans
	}
	return p
}

func ranges(peers []Peer) string {
	var b []byte
	for _, p := range peers {
		if p.Has {
			b = fmt.Appendf(b, "node %d speaks %d to %d, ", p.Node, p.Versions.Min, p.Versions.Max)
		}
	}
	return string(b[:max(0, len(b)-2)])
}

// Work lets services that have something to say say it, up to budget messages
// each, and repeats what found no room. It reports whether it wants to be called
// again.
func (m *Machine) Work(now Tick, budget int) (again bool) {
	for len(m.unsent) > 0 {
		if m.host.Send(m.unsent[0]) != nil {
			return true
		}
		m.unsent = m.unsent[1:]
	}
	m.step(now, budget)
	return m.Busy()
}

// Busy reports whether a call of Work would do something.
func (m *Machine) Busy() bool {
	if len(m.unsent) > 0 {
		return true
	}
	return slices.ContainsFunc(m.parts, func(p part) bool { return p.phase == processing })
}

// step goes on as far as it can. Services process only with a budget; what
// needs no messages of theirs happens at once.
func (m *Machine) step(now Tick, budget int) {
	if m.state == Idle || m.state == Collecting || m.state == Failed {
		return
	}
	for {
		m.enter(now)
		if !m.process(now, budget) {
			return
		}
		budget = 0
		if m.current == len(m.parts) {
			m.finish(now)
			return
		}
		p := &m.parts[m.current]
		if p.phase != waiting || slices.Contains(p.barriers, false) {
			break
		}
		m.complete(now, p)
	}
	m.setState(m.position())
}

// position is the state in the words of ordering 4.1.
func (m *Machine) position() State {
	if m.parts[m.current].phase == processing {
		return Processing
	}
	return Waiting
}

// open reports whether the quorum service, if this node runs one, has decided.
func (m *Machine) open() bool {
	return m.partial || len(m.local) == 0 || !m.local[0].Quorum ||
		!slices.ContainsFunc(m.parts, func(p part) bool { return p.local == 0 && p.phase != done })
}

// enter initialises what may be and starts what is at its turn.
func (m *Machine) enter(now Tick) {
	open := m.open()
	primary := open && m.host.Primary()
	for i := range m.parts {
		p := &m.parts[i]
		if p.phase != pending {
			continue
		}
		if p.local >= 0 && open {
			m.local[p.local].told = primary
		}
		if p.local < 0 || p.excluded {
			if i == m.current {
				m.barrier(p, false)
			}
			continue
		}
		s := &m.local[p.local]
		if s.NeedsQuorum && !primary {
			if open && (i == m.current || s.Independent) {
				m.note(now, Note{Kind: NotePassed, Service: p.id, Text: "not in the primary component"})
				m.barrier(p, true)
			}
			continue
		}
		if !p.inited {
			p.inited = true
			m.host.Init(p.id, &p.round)
		}
		if i == m.current || s.Independent && open {
			p.phase = processing
			if p.round.Same {
				m.barrier(p, false)
			}
		}
	}
}

// process gives each service in its process phase a turn; false: one failed.
func (m *Machine) process(now Tick, budget int) bool {
	if budget == 0 {
		return true
	}
	for i := range m.parts {
		p := &m.parts[i]
		if p.phase != processing {
			continue
		}
		ready, err := m.host.Process(p.id, budget)
		if err != nil {
			m.setState(Failed)
			m.note(now, Note{Kind: NoteFailed, Service: p.id, Text: err.Error()})
			return false
		}
		if ready {
			m.progress(now)
			m.barrier(p, false)
		}
	}
	return true
}

// barrier ends this member's part of a service.
func (m *Machine) barrier(p *part, passed bool) {
	p.phase = waiting
	m.send(Barrier{Ring: m.ring, Round: m.round, Service: p.id, Passed: passed}.AppendTo(nil))
}

// complete handles a service for which all Barriers are in.
func (m *Machine) complete(now Tick, p *part) {
	p.phase = done
	m.current++
	m.progress(now)
	switch {
	case p.local < 0 || p.excluded:
	case p.passed:
		if p.inited {
			p.inited = false
			m.host.Abort(p.id, ErrNotPrimary)
		}
	default:
		m.activate(now, p)
	}
}

func (m *Machine) activate(now Tick, p *part) {
	s := &m.local[p.local]
	p.inited, s.active = false, true
	m.host.Activate(p.id)
	epoch := Epoch(m.ring.Seq)
	if !m.host.Primary() {
		epoch = taken(&p.round, p.round.Sender, p.overridden)
		if bug.Planted("state-epoch-from-own-quorate") {
			epoch = s.epoch
		}
	}
	s.epoch = epoch
	if bug.Planted("one-state-epoch") {
		for i := range m.local {
			m.local[i].epoch = epoch
		}
	}
	m.note(now, Note{Kind: NoteActivated, Service: p.id})
}

func (m *Machine) finish(now Tick) {
	m.setState(Idle)
	m.completed, m.hopeless = true, 0
	m.hellos, m.parts, m.current = nil, nil, 0
	m.note(now, Note{Kind: NoteReady, Service: NoService})
}

// abort ends the round in work.
func (m *Machine) abort(now Tick, cause error) {
	m.unsent = nil
	if m.state == Idle {
		return
	}
	if m.warned { // counted here, because one member's note ends it for all
		m.hopeless = min(m.hopeless+1, maxHopeless)
	}
	service := uint16(NoService)
	if m.current < len(m.parts) {
		service = m.parts[m.current].id
	}
	if !bug.Planted("sync-no-abort-in-waiting") || m.state != Waiting {
		for i := range m.parts {
			if p := &m.parts[i]; p.inited {
				p.inited = false
				m.host.Abort(p.id, cause)
			}
		}
	}
	m.setState(Idle)
	m.hellos, m.parts, m.current = nil, nil, 0
	m.note(now, Note{Kind: NoteAborted, Service: service, Text: cause.Error()})
}

// send multicasts a message of the Machine, later if it must.
func (m *Machine) send(b []byte) {
	if len(m.unsent) > 0 || m.host.Send(b) != nil {
		m.unsent = append(m.unsent, b)
	}
}

func (m *Machine) setState(s State) { m.state = s }

func (m *Machine) progress(now Tick) {
	m.moved, m.worked, m.warned, m.stuck = now, now, false, false
}

// Moved says that a message of a service in the round in work was delivered.
func (m *Machine) Moved(now Tick) {
	if m.state != Idle {
		m.progress(now)
	}
}

func (m *Machine) note(now Tick, n Note) {
	n.At, n.Ring = now, m.ring
	if n.Kind != NoteStarted {
		n.Round = m.round
	}
	m.host.Note(n)
}

// Advance notes a round that makes no progress, first for people; it ends none. A
// member with a service that holds it up by itself says from then on that it is
// still at work, and nobody gives the ring up for it (ordering 4.1, timeout). All
// else that a round waits for comes out of the order, so one that waits much longer
// will wait for ever: somebody was delivered something else. The waits for that note
// double, for what this reasoning forgets.
func (m *Machine) Advance(now Tick) {
	if w := m.Wake(); w == 0 || now < w {
		return
	}
	s := m.Status()
	n := Note{Kind: NoteStalled, Service: s.Service, Missing: s.Missing, Text: fmt.Sprintf("%s for %v", s.State, now-m.moved)}
	if m.working() {
		m.worked = now
		if len(m.unsent) == 0 {
			m.send(Barrier{Ring: m.ring, Round: m.round, Service: NoService}.AppendTo(nil))
		}
		if m.warned {
			return
		}
	} else if m.warned {
		n.Kind, m.stuck = NoteStuck, true
	}
	m.warned = true
	m.note(now, n)
}

const maxHopeless = 5

// Wake is when Advance has something to do, zero: not at all.
func (m *Machine) Wake() Tick {
	switch {
	case m.state == Idle || m.stuck:
		return 0
	case !m.warned:
		return m.moved + m.stall
	case m.working():
		return m.worked + m.stall
	}
	return m.worked + (m.stall+m.stall/3)<<m.hopeless
}

// working reports whether a service of this member holds the round up by itself.
// The quorum service does not count: it ends with the last info of the members, and
// when it waits for its disk or a device it says so in messages of its own.
func (m *Machine) working() bool {
	return slices.ContainsFunc(m.parts, func(p part) bool { return p.phase == processing && !m.local[p.local].Quorum })
}

// Status is a copy of what people may want to know.
type Status struct {
	State   State
	Ring    RingID
	Round   uint32
	Service uint16   // in work, or NoService
	Missing []NodeID // members whose Hello or Barrier is not in
	Since   Tick     // last progress
}

// Status tells where the round is.
func (m *Machine) Status() Status {
	s := Status{State: m.state, Ring: m.ring, Round: m.round, Service: NoService, Since: m.moved}
	switch {
	case m.state == Collecting:
		for i, h := range m.hellos {
			if h == nil {
				s.Missing = append(s.Missing, m.members[i])
			}
		}
	case m.current < len(m.parts):
		p := &m.parts[m.current]
		s.Service = p.id
		for i, in := range p.barriers {
			if !in {
				s.Missing = append(s.Missing, m.members[i])
			}
		}
	}
	return s
}

// Active reports whether the service was activated in the present ring.
func (m *Machine) Active(service uint16) bool {
	for i := range m.local {
		if m.local[i].ID == service {
			return m.local[i].active
		}
	}
	return false
}

// InRound reports whether messages of the service belong to the round in work:
// the service was initialised and is not yet activated.
func (m *Machine) InRound(service uint16) bool {
	k, ok := m.find(service)
	return ok && m.parts[k].inited
}

// Epoch is the state epoch of a service.
func (m *Machine) Epoch(service uint16) Epoch {
	for i := range m.local {
		if m.local[i].ID == service {
			return m.local[i].epoch
		}
	}
	return 0
}

// Round names the round in work or the last one: messages of services carry it.
func (m *Machine) Round() (RingID, uint32) { return m.ring, m.round }
