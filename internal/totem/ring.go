package totem

import (
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

// ring is one ring that this member takes or took part in.
type ring struct {
	id      RingID
	members []wire.Member // ascending
	ids     []NodeID      // of members
	others  []NodeID      // ids without self
	me      int           // index of self
	prev    NodeID
	next    NodeID
	mtu     int // largest data frame
	win     *window
	since   Tick   // when it was made
	reason  Reason // why it was left, once it is an old ring
	suspect NodeID

	// Order.
	delivered Slot
	stable    Slot
	asm       []assembly // by member and class

	// Token.
	tok          wire.Token // as it last stood here
	tokenSeq     uint64     // highest token_seq seen or sent
	sentSeq      Slot       // seq of the token that I sent last
	prevAru      Slot       // aru of the token that last left me
	lastSent     int        // frames in my last visit
	lastBacklog  int
	rounds       uint32 // tokens passed on
	received     uint32 // tokens received
	visits       uint32
	unchanged    int // visits without new slots
	tokenFirst   bool
	kept         bool // rep only: the token stands still here
	held         bool // the token carried flag hold
	woken        bool // a Wake came while the token was not kept
	passed       bool // proof that next passed on the token I sent last
	hop          hop
	tokenAt      Tick     // last new token
	wndRest      int      // rotations until wnd may be lowered again
	wrapped      Slot     // encapsulated frames are the slots up to here
	dset         []NodeID // old ring: D of ordering 2.16, ascending
	stuckAru     Slot
	stuckOwner   NodeID
	stuckSince   Tick
	stuckVisits  int
	reached      Slot // in recovery: own aru and stable, summed up
	reachedAt    Tick // when that last rose
	blockedSince Tick
	warned       bool
	quorate      bool // a member brought a quorate decision along
}

// hop is the token or commit token that waits for its acknowledgement.
type hop struct {
	frame []byte
	to    NodeID
	ring  RingID
	seq   uint64
	tries int
	sent  Tick
	rto   Tick
}

// assembly collects the pieces of one message.
type assembly struct {
	k    uint64
	next uint64 // number of the piece that is due; zero: none begun
	body []byte
}

func (m *Machine) newRing(id RingID, members []wire.Member, mtu int) *ring {
	r := &ring{id: id, members: members, mtu: mtu, ids: memberIDs(members)}
	r.me, _ = slices.BinarySearch(r.ids, m.cfg.Self)
	n := len(r.ids)
	r.prev, r.next = r.ids[(r.me+n-1)%n], r.ids[(r.me+1)%n]
	for _, id := range r.ids {
		if id != m.cfg.Self {
			r.others = append(r.others, id)
		}
	}
	base := m.cfg.FirstSlot
	if m.spare != nil {
		r.win, m.spare = m.spare, nil
		r.win.reset(base)
	} else {
		r.win = newWindow(m.lim.Window, base)
	}
	r.delivered, r.stable = base, base
	r.sentSeq, r.prevAru, r.stuckAru = base, base, base
	r.asm = make([]assembly, n*int(numClasses))
	r.dset = []NodeID{m.cfg.Self}
	r.tokenAt, r.since = m.now, m.now
	return r
}

// dropRing lets all memory of a ring go.
func (m *Machine) dropRing(r *ring) {
	if r == nil {
		return
	}
	r.win.clear(m.pool.put)
	m.spare, r.win = r.win, nil
}

func memberIDs(ms []wire.Member) []NodeID {
	ids := make([]NodeID, len(ms))
	for i, x := range ms {
		ids[i] = x.ID
	}
	return ids
}

func find(ms []wire.Member, id NodeID) (int, bool) {
	return slices.BinarySearchFunc(ms, id, func(x wire.Member, id NodeID) int {
		switch {
		case x.ID < id:
			return -1
		case x.ID > id:
			return 1
		}
		return 0
	})
}

func (r *ring) incOf(id NodeID) (uint64, bool) {
	if i, ok := find(r.members, id); ok {
		return r.members[i].Inc, true
	}
	return 0, false
}

// member reports whether that node is in the ring in that incarnation.
func (r *ring) member(id NodeID, inc uint64) bool {
	have, ok := r.incOf(id)
	return ok && have == inc
}

func (r *ring) rep() NodeID { return r.ids[0] }

// takenForHeld says whether the token is taken to stand still at the
// representative (ordering 2.12).
func (r *ring) takenForHeld() bool { return r.held || r.unchanged >= 2 }

// insert puts id into an ascending list.
func insert(list []NodeID, id NodeID) []NodeID {
	i, ok := slices.BinarySearch(list, id)
	if ok {
		return list
	}
	return slices.Insert(list, i, id)
}

func has(list []NodeID, id NodeID) bool {
	_, ok := slices.BinarySearch(list, id)
	return ok
}

func subset(a, b []NodeID) bool {
	for _, id := range a {
		if !has(b, id) {
			return false
		}
	}
	return true
}

func union(a, b []NodeID) []NodeID {
	for _, id := range b {
		a = insert(a, id)
	}
	return a
}
