package totem

import "slices"

// Stats are counters since the start.
type Stats struct {
	Sent            uint64 // own new frames
	Delivered       uint64 // messages
	Resent          uint64 // frames sent again on request
	Requested       uint64 // slots asked for again
	Duplicates      uint64 // data frames held already
	DupTokens       uint64
	BadToken        uint64
	BadData         uint64
	BadJoins        uint64
	BadCommits      uint64
	BadRequests     uint64 // requests for slots that everybody has
	StaleJoins      uint64 // arrived before the end of a pause
	RefusedCommits  uint64
	DiscardedTokens uint64 // between leaving a ring and recovery
	LateAcks        uint64
	HopResends      uint64
	HopSilent       uint64 // tokens that needed all hop tries
	Joins           uint64 // sent
	Foreign         uint64 // frames of other rings or clusters
	DeadIncarnation uint64 // frames of an earlier life
	KernelDrops     uint64 // packets the kernel threw away on receive
	Quarantines     uint64 // begun
	Refused         uint64 // Joins and probes of nodes that are kept out
	Reasons         [numReasons]uint64
}

// QueueLevel is one bounded queue and how full it is.
type QueueLevel struct {
	Name  string
	Used  int
	Bound int
	Unit  string
}

// Status is a copy of what people and programs may want to know.
type Status struct {
	State        State
	Ring         RingID
	Members      []NodeID
	Rep          NodeID
	Held         bool // the token stands still
	TokenSeq     uint64
	Seq          Slot
	Aru          Slot
	Stable       Slot
	Delivered    Slot
	Wnd          uint32
	CommittedSeq uint64
	SeqBound     uint64
	LastToken    Tick      // when the token was here last
	BlockedBy    NodeID    // who holds the ring up, zero: nobody
	KeptOut      []KeptOut // nodes that this member does not let in now, ascending
	KeptBy       []KeptOut // representatives whose rings do not let this node in
	Queues       []QueueLevel
	Stats        Stats
	TokenTimeout Tick
	Stop         StopReason
}

// Status is a copy of what people and programs may want to know.
func (m *Machine) Status() Status {
	s := Status{State: m.state, CommittedSeq: m.committedSeq, SeqBound: m.seqBound, Stats: m.stats,
		TokenTimeout: m.t.Token, Stop: m.stopped,
		KeptOut: m.keptStatus(), KeptBy: m.keptBy()}
	r := m.ring
	if r == nil {
		r = m.old
	}
	if r != nil {
		s.Ring, s.Members, s.Rep, s.Held = r.id, slices.Clone(r.ids), r.rep(), r.kept || r.held
		s.TokenSeq, s.Seq, s.Aru, s.Stable, s.Delivered = r.tokenSeq, max(r.tok.Seq, r.win.high), r.win.aru, r.stable, r.delivered
		s.Wnd, s.LastToken = r.tok.Wnd, r.tokenAt
		if r.blockedSince != 0 {
			s.BlockedBy = m.blockedBy(r)
		}
		s.Queues = append(s.Queues, QueueLevel{"ring.slots", int(r.win.high - r.win.released), m.lim.Window, "slots"},
			QueueLevel{"ring.bytes", r.win.bytes, m.lim.RingBytes, "bytes"})
	}
	for c := range m.queues {
		s.Queues = append(s.Queues, QueueLevel{"submit." + Class(c).String(), m.queues[c].bytes, m.lim.QueueBytes, "bytes"})
	}
	s.Queues = append(s.Queues, QueueLevel{"delivered", m.undelivered, m.lim.Undelivered, "bytes"})
	return s
}

// CommittedSeq is the highest ring seq that was promised or installed.
func (m *Machine) CommittedSeq() uint64 { return m.committedSeq }

// TokenFirst is Output.TokenFirst as of now: a driver that works a batch of data
// off asks between two datagrams.
func (m *Machine) TokenFirst() bool {
	return (m.state == Operational || m.state == Recovery) && m.ring.tokenFirst
}

// Durable is the seq bound that is known to be on disk; checkers use it (M1).
func (m *Machine) Durable() uint64 { return m.durableBound }

// Held says up to which slot of a ring this member holds or has released
// everything. known is false when it is neither the present ring nor the old one
// that is being recovered. It serves checkers (S4).
func (m *Machine) Held(id RingID) (aru Slot, known bool) {
	for _, r := range []*ring{m.ring, m.old} {
		if r != nil && r.id == id {
			return r.win.aru, true
		}
	}
	return 0, false
}
