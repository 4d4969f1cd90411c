package totem

import "github.com/moothall/moothall/internal/wire"

// build makes up to k frames after seq and keeps them in m.sent, the last m.post
// of them to follow the token. They are in the own window before any of them is
// sent (2.6 step 7).
func (m *Machine) build(seq Slot, k int) {
	r := m.ring
	m.sent, m.post = m.sent[:0], 0
	if m.state == Recovery {
		m.wrapFrames(seq, k)
	} else {
		m.packFrames(seq, k)
		if !m.cfg.NoAcceleration && len(r.ids) > 1 {
			m.post = min(len(m.sent), 32)
		}
	}
	for i, f := range m.sent {
		flags := m.sentFlags
		round := r.rounds
		if i >= len(m.sent)-m.post {
			flags |= wire.FlagPostToken
			round++
		}
		if i == len(m.sent)-1 {
			flags |= wire.FlagLastOfVisit
		}
		wire.SetFlags(f, flags)
		wire.SetRound(f, round)
		m.store(r, wire.Data{Slot: seq + 1 + Slot(i), Origin: m.cfg.Self}, f)
	}
	m.stats.Sent += uint64(len(m.sent))
}

// packFrames fills up to k frames from the queues: whatever waits is packed, no
// timer delays it (ordering 2.21). Classes go strictly before each other, but
// every tenth frame begins with the lowest class that waits. The control class
// may use eight frames more.
func (m *Machine) packFrames(seq Slot, k int) {
	const reserve = 8
	m.sentFlags = 0
	limit := k
	if !m.queues[Control].empty() {
		limit = k + reserve
		if !planted("control-reserve-unclamped") {
			limit = min(limit, int(m.ring.win.released+m.ring.win.size()-seq))
		}
	}
	for i := range limit {
		order := classOrder
		if i%10 == 9 {
			order = classReverse
		}
		if i >= k {
			order = classOrder[:1]
		}
		f := m.packFrame(seq+Slot(len(m.sent))+1, order)
		if f == nil {
			return
		}
		m.sent = append(m.sent, f)
	}
}

var (
	classOrder   = []Class{Control, Urgent, Normal, Bulk}
	classReverse = []Class{Bulk, Normal, Urgent, Control}
)

const minPiece = 32 // a smaller rest of a frame is not worth a piece of a larger message

// packFrame fills one frame, nil if nothing waits.
func (m *Machine) packFrame(s Slot, order []Class) []byte {
	var f []byte
	r := m.ring
	count := uint16(0)
	for _, c := range order {
		q := &m.queues[c]
		if m.held && c != Control {
			continue
		}
		for !q.empty() {
			x := q.front()
			if f == nil {
				f = wire.AppendDataHead(m.pool.get(r.mtu), m.header(r.id),
					wire.Data{Slot: s, Origin: m.cfg.Self, OriginInc: uint32(m.cfg.Inc)})
			}
			rest := len(x.body) - x.off
			room := r.mtu - len(f) - wire.PieceSize(x.k, x.piece, rest) + rest
			if room < rest && room < minPiece && count > 0 || count == 1<<16-1 {
				break
			}
			n := min(rest, room)
			f = wire.AppendPiece(f, m.piece(x, c, n))
			count++
			m.tracePiece(r, s, c, x, n == rest)
			q.bytes -= n
			x.off += n
			x.piece++
			if n < rest {
				break
			}
			q.pop()
		}
		if f != nil && r.mtu-len(f) < minPiece {
			break
		}
	}
	if f != nil {
		wire.PatchDataCount(f, count)
	}
	return f
}

func (m *Machine) piece(x *queued, c Class, n int) wire.Piece {
	p := wire.Piece{K: x.k, No: x.piece, Flags: uint8(c) << 4, Body: x.body[x.off : x.off+n]}
	if x.off+n == len(x.body) {
		p.Flags |= wire.PieceLast
	}
	if x.safe {
		p.Flags |= wire.PieceSafe
	}
	if x.engine {
		p.Flags |= wire.PieceEngine
	}
	return p
}

func (m *Machine) tracePiece(r *ring, s Slot, c Class, x *queued, last bool) {
	if m.cfg.Trace && !x.engine {
		m.trace(TraceEvent{Kind: TraceOrig, Ring: r.id, Slot: s, Node: m.cfg.Self, Class: c,
			K: x.k, No: x.piece, Last: last, Safe: x.safe})
	}
}

// backlog counts the frames that wait to be originated.
func (m *Machine) backlog() int {
	n := 0
	room := m.ring.mtu - wire.HeaderLen - wire.DataHeadLen
	for c := range m.queues {
		if m.held && Class(c) != Control {
			continue
		}
		n += m.queues[c].frames(room)
	}
	return n
}

func (m *Machine) backlogFor(s State) int {
	if s == Recovery {
		return len(m.att.queue)
	}
	return m.backlog()
}

// orderAlone orders and delivers at once what a ring of one member submitted.
func (m *Machine) orderAlone() {
	r := m.ring
	for range 1 << 16 {
		k := int(r.win.size()) - int(r.win.high-r.win.released)
		if m.backlog() == 0 || k <= 0 {
			return
		}
		before := r.win.high
		m.build(r.win.high, min(k, 256))
		m.sent = m.sent[:0]
		r.tok.Seq, r.tok.Aru, r.tok.Stable = r.win.high, r.win.aru, r.win.aru
		r.stable = r.win.aru
		m.deliver()
		if r.win.high == before || m.state != Operational {
			return
		}
	}
}
