package totem

import (
	"math/bits"

	"github.com/moothall/moothall/internal/wire"
)

const answerAgain = 3 // answers to one slot before it is sent in small pieces (2.10)

// answer sends what others ask for and this member holds, within half of the
// window, and takes it off the list (2.6 step 6, 2.9).
func (m *Machine) answer(t *wire.Token) int {
	r := m.ring
	budget := max(1, min(int(t.Wnd), m.lim.WndMax)/2)
	n := 0
	kept := t.Rtr[:0]
	for _, it := range t.Rtr {
		for rest := it.Miss; rest != 0; rest &= rest - 1 {
			i := bits.TrailingZeros64(rest)
			s := it.Base + Slot(i)
			switch {
			case s <= r.stable || s > t.Seq:
				it.Miss &^= 1 << i // nobody may ask for it
				m.stats.BadRequests++
			case it.Requester == m.cfg.Self && r.win.held(s):
				it.Miss &^= 1 << i // it came meanwhile
			case r.win.held(s) && n < budget:
				if m.resend(s, it.Requester) {
					n++
					m.answeredFirst = m.answeredFirst || s == t.Aru+1
				}
				it.Miss &^= 1 << i
			}
		}
		if it.Miss != 0 {
			kept = append(kept, it)
		}
	}
	t.Rtr = kept
	return n
}

// resend sends one held frame again, verbatim but for the header's flags. It
// reports false when it was sent so recently that the first copy may be on its
// way still.
func (m *Machine) resend(s Slot, to NodeID) bool {
	r := m.ring
	e := r.win.at(s)
	if e.answered != 0 && m.now-e.answered < m.rtt(r.next) {
		return false
	}
	e.answered = m.now
	e.answers = min(e.answers+1, 100)
	frame := append(m.pool.get(len(e.frame)), e.frame...)
	flags := wire.FlagRetransmit
	if h, _, err := wire.ParseHeader(frame); err == nil {
		flags |= h.Flags &^ wire.FlagPostToken
	}
	wire.SetFlags(frame, flags)
	dest := Dest{Scope: ToRing, Nodes: r.others}
	if to != 0 {
		dest = toNode(to)
	}
	m.out.send = append(m.out.send, Outgoing{To: dest, Kind: TrafficRetransmit, Try: e.answers - 1, Frame: frame, Small: e.answers > answerAgain})
	m.pool.put(frame)
	m.stats.Resent++
	m.trace(TraceEvent{Kind: TraceResend, Ring: r.id, Slot: s, Node: to})
	return true
}

// request adds what this member misses, lowest first, up to the seq of the
// token it sent in its visit before: what lies above may still be on the wire or
// not sent at all (2.8 A3).
func (m *Machine) request(t *wire.Token) {
	r := m.ring
	limit := min(r.sentSeq, r.win.released+r.win.size())
	if planted("request-without-limit") {
		limit = min(t.Seq, r.win.released+r.win.size())
	}
	made := 0
	for s := r.win.aru + 1; s <= limit; s++ {
		if r.win.held(s) {
			continue
		}
		it := m.rtrItem(t, s)
		if it == nil {
			break
		}
		m.requested++ // also what it asked for before: nobody may have it
		bit := uint64(1) << (s & 63)
		if it.Miss&bit == 0 {
			made++
		}
		it.Miss |= bit
		if it.Requester != m.cfg.Self {
			it.Requester = 0
		}
	}
	if made == 0 {
		return
	}
	t.RtrMade += uint32(made)
	m.stats.Requested += uint64(made)
	m.trace(TraceEvent{Kind: TraceRequest, Ring: r.id, Slot: r.win.aru + 1, Value: int64(made)})
	if made > int(t.Wnd)/4 {
		t.Wnd = uint32(max(m.wndFloor(), int(t.Wnd)*3/4)) // overrun
	}
}

// rtrItem finds or makes the item for a slot; nil if the list is full.
func (m *Machine) rtrItem(t *wire.Token, s Slot) *wire.RtrItem {
	base := s &^ 63
	for i := range t.Rtr {
		if t.Rtr[i].Base == base {
			return &t.Rtr[i]
		}
	}
	if len(t.Rtr) == wire.MaxRtr {
		return nil
	}
	t.Rtr = append(t.Rtr, wire.RtrItem{Base: base, Requester: m.cfg.Self})
	return &t.Rtr[len(t.Rtr)-1]
}

// startHop sends a token or commit token and keeps it until it is acknowledged.
func (m *Machine) startHop(to NodeID, id RingID, seq uint64, frame []byte) {
	h := m.hopState()
	if h.frame != nil {
		m.pool.put(h.frame)
	}
	rto := min(max(4*m.rtt(to)+m.t.HopMin, m.t.HopMin), m.t.Token/8)
	*h = hop{frame: frame, to: to, ring: id, seq: seq, tries: 1, sent: m.now, rto: rto}
	m.send(toNode(to), TrafficToken, frame)
	m.arm(timerHop, m.now+rto)
}

func (m *Machine) hopState() *hop {
	if m.ring != nil {
		return &m.ring.hop
	}
	return &m.att.hop
}

// resendHop sends it again, with the same number: a copy is never a second
// token (2.13).
func (m *Machine) resendHop() {
	if m.ring == nil && m.att == nil {
		return
	}
	h := m.hopState()
	if h.frame == nil {
		return
	}
	h.tries++
	h.rto = min(2*h.rto, m.t.Token/8)
	m.stats.HopResends++
	if h.tries == m.lim.HopTries {
		m.stats.HopSilent++
	}
	m.out.send = append(m.out.send, Outgoing{To: toNode(h.to), Kind: TrafficToken, Try: uint8(min(h.tries-1, 255)), Frame: h.frame})
	m.arm(timerHop, m.now+h.rto)
}

// acknowledged ends the resending. The frame stays out of the pool until Take,
// for it may stand in this round's output.
func (m *Machine) acknowledged() {
	h := m.hopState()
	if q := m.peer(h.to); h.tries == 1 {
		q.hopRTT += (m.now - h.sent - q.hopRTT) / 8
	}
	m.pool.put(h.frame)
	h.frame = nil
	m.disarm(timerHop)
}

func (m *Machine) sendAck(to NodeID, id RingID, seq uint64, aru Slot) {
	frame := wire.AppendTokenAck(m.pool.get(64), m.header(id), wire.TokenAck{TokenSeq: seq, Aru: aru})
	m.sendOnce(toNode(to), TrafficToken, frame)
}

// onTokenAck counts only for exactly the token that is being resent.
func (m *Machine) onTokenAck(p Packet, h wire.Header, body []byte) error {
	a, err := wire.ParseTokenAck(body)
	if err != nil {
		return err
	}
	if m.ring == nil && m.att == nil {
		return nil
	}
	hp := m.hopState()
	if hp.frame == nil || hp.to != p.From || hp.seq != a.TokenSeq || hp.ring != h.Ring {
		m.stats.LateAcks++
		return nil
	}
	if planted("ack-is-progress") && m.ring != nil {
		m.ring.passed = true
	}
	m.acknowledged()
	return nil
}
