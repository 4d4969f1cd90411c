package sim

import (
	"errors"
	"slices"

	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/totem"
)

// Life numbers the starts of a run.
type Life = check.Life

// proc is the software of one life of a node.
type proc interface {
	receive(p *packet)
	advance()
	diskDone(write uint64, err error)
	tick()
	consume()
	release()
	submit(body []byte, class uint8, safe bool) (accepted, retry bool)
	leave()
	lie(peer int, on bool)
	dropped(packets int)
	wake() Tick       // local; zero: nothing due
	tokenFirst() bool // read the control socket first
	describe() string
	settled() bool                  // nothing of a configuration change is left to do
	waiting() (messages, bytes int) // accepted and not yet delivered to their sender
	processes(a *Action)            // what an action does to client processes
	keptOut() []totem.KeptOut       // whom its engine does not let in
}

// member is one configured node: what outlives its processes, and the process
// that runs now.
type member struct {
	w         *world
	i         int
	id        NodeID
	plan      NodePlan
	clock     clock
	disk      disk
	vault     vault
	rnd       stream
	proc      proc // nil: down
	life      Life
	inc       uint64
	starts    int
	installed uint64 // highest ring seq of all lives
	installs  int    // since healing
	promised  RingID // of the newest frame that commits to a ring
	knows     uint64 // highest ring seq that the present life said it knows of

	paused  bool
	slow    Tick // cost of each input
	busy    Tick // working until then
	resume  Tick // of the pending evResume, zero: none
	wakeEv  Tick // of the pending evWake, zero: none
	sockets [2]socket
	lost    int // overflowed packets that the process was not told of

	deaf     float64
	deafMask uint16
	client   bool // clients take what is delivered
	lies     uint64
	restart  string   // disk mode of the next start
	file     []NodeID // the nodes of its configuration, in plans with reloads
	list     []NodeID // the same, as the process has it
	clockIs  string

	// what the outside sees of the present life
	ring      RingID
	members   []NodeID
	open      int // accepted and not yet delivered here
	openBytes int
}

// socket is a receive buffer of the kernel.
type socket struct {
	q     []*packet
	head  int
	bytes int
}

const socketBytes = 4 << 20

func (s *socket) empty() bool { return s.head == len(s.q) }

func (s *socket) push(p *packet) bool {
	if s.bytes+p.size() > socketBytes {
		return false
	}
	s.q = append(s.q, p)
	s.bytes += p.size()
	return true
}

func (s *socket) pop() *packet {
	p := s.q[s.head]
	s.q[s.head] = nil
	s.head++
	s.bytes -= p.size()
	if s.head == len(s.q) {
		s.q, s.head = s.q[:0], 0
	}
	return p
}

const wallBase = 1_800_000_000 * sec // unix time of the start of a run

// unixNano is the wall clock, which a node reads once, at its start.
func (m *member) unixNano() uint64 {
	year := 365 * 86400 * sec
	t := Tick(wallBase) + m.w.now
	switch m.clockIs {
	case "behind":
		t -= year
	case "ahead":
		t += year
	case "still":
		t = wallBase
	}
	return uint64(t)
}

// now is the node's clock.
func (m *member) now() Tick { return m.clock.local(m.w.now) }

// start begins a life with what the disk holds (ordering 2.2).
func (m *member) start() {
	if m.proc != nil || m.w.plan.reloads() && !slices.Contains(m.file, m.id) {
		return
	}
	m.list = m.file
	rec := m.disk.load(m.restart)
	if m.vault.start(m.restart) {
		m.w.news.Forgets()
	}
	rec.Node = m.id
	if rec.skip {
		rec.Inc++
		rec.SeqBound += 64
	}
	rec.Inc = max(rec.Inc+1, m.unixNano())
	m.begin(rec)
}

// begin starts the software with a record, which holds the incarnation of this
// start.
func (m *member) begin(rec record) {
	m.starts++
	m.disk.store(rec)
	m.live(rec.Inc, rec.SeqBound)
	m.paused, m.busy, m.resume, m.wakeEv, m.lost = false, 0, 0, 0, 0
	m.promised = RingID{}
	p := m.w.software(m, rec)
	if m.w.ended(m.life) {
		return
	}
	m.proc = p
	m.w.queue.push(event{at: m.w.now, kind: evPing, a: int32(m.i), b: int32(m.starts)})
	m.sleep()
}

// live begins a life.
func (m *member) live(inc, bound uint64) {
	m.inc = inc
	m.life = m.w.newLife(m, bound)
	m.ring, m.members, m.open, m.openBytes, m.knows = RingID{}, nil, 0, 0, 0
}

// end ends the present life.
func (m *member) end(kind check.Kind) {
	if m.life == 0 || m.w.ended(m.life) {
		return
	}
	m.w.record(check.Event{Kind: kind, Life: m.life})
	m.w.over[m.life-1] = true
	if f, ok := m.proc.(*full); ok && f.programs != nil {
		f.programs.end()
	}
	m.proc = nil
	m.disk.crash(&m.rnd)
	m.vault.crash(&m.rnd)
	for i := range m.sockets {
		for !m.sockets[i].empty() {
			m.w.net.release(m.sockets[i].pop())
		}
	}
}

// arrive takes one packet from the wire.
func (m *member) arrive(p *packet) {
	f := fateSent
	switch {
	case m.proc == nil:
		f = fateDead
	case m.deaf > 0 && m.deafMask>>(p.kind&15)&1 != 0 && m.rnd.chance(m.deaf):
		f = fateDeaf
		m.lost++
	}
	if f != fateSent {
		m.drop(p, f)
		return
	}
	p.arrived = m.now()
	s := &m.sockets[0]
	if p.control {
		s = &m.sockets[1]
	}
	if !s.push(p) {
		m.lost++
		m.drop(p, fateOverflow)
		return
	}
	m.run()
}

func (m *member) drop(p *packet, f fate) {
	m.w.net.counts.Lost++
	m.w.tracePacket(p, f)
	m.w.net.release(p)
}

// run works on inputs until there are none or the processor is busy.
func (m *member) run() {
	for m.proc != nil && !m.paused {
		if m.w.now < m.busy {
			if m.resume == 0 || m.resume > m.busy {
				m.resume = m.busy
				m.w.queue.push(event{at: m.busy, kind: evResume, a: int32(m.i), b: int32(m.starts)})
			}
			return
		}
		if !m.step() {
			break
		}
		if m.slow > 0 {
			m.busy = m.w.now + m.slow
		}
	}
	m.sleep()
}

// step works on one input; it reports false if there is none.
func (m *member) step() bool {
	if m.lost > 0 {
		n := m.lost
		m.lost = 0
		m.proc.dropped(n)
		return true
	}
	if at := m.proc.wake(); at != 0 && at <= m.now() {
		m.proc.advance()
		return true
	}
	first, second := &m.sockets[0], &m.sockets[1]
	if m.proc.tokenFirst() {
		first, second = second, first
	}
	if first.empty() {
		first = second
	}
	if first.empty() {
		return false
	}
	p := first.pop()
	m.w.net.counts.Steps++
	m.proc.receive(p)
	m.w.net.release(p)
	return true
}

// sleep makes sure that there is an event when the next timer is due.
func (m *member) sleep() {
	if m.proc == nil || m.paused {
		return
	}
	at := m.proc.wake()
	if at == 0 {
		return
	}
	g := max(m.w.now, m.clock.global(at))
	if m.wakeEv != 0 && m.wakeEv <= g {
		return
	}
	m.wakeEv = g
	m.w.queue.push(event{at: g, kind: evWake, a: int32(m.i), b: int32(m.starts), x: uint64(g)})
}

// appetite is how long it takes until clients take what was delivered, or are
// asked again.
func (m *member) appetite() Tick {
	switch {
	case !m.client:
		return 50 * ms
	case m.w.phase != phaseChaos:
		return min(m.plan.Consume, ms)
	}
	return m.plan.Consume
}

func (m *member) pause(on bool) {
	if m.paused == on || m.proc == nil {
		return
	}
	m.paused = on
	if !on {
		m.wakeEv = 0
		m.run()
	}
}

var errDisk = errors.New("sim: disk error")
