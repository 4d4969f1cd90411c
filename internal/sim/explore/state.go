package explore

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

const maxNodes = 3

const down = -1 // local of a node that does not run

// nodeState is one node in one cluster state.
type nodeState struct {
	at   int32  // local state, or down
	rec  int32  // what it showed
	disk uint32 // ring seq bound that is durable
	deaf uint8  // bit i: it was told that the link to node i is down
	vows uint8  // ring seqs it promised in all its lives
	join int32  // the last Join it sent in this life
}

// flight is a frame on its way.
type flight struct {
	to    uint8
	frame int32
}

// budget numbers what may still happen.
type budget uint8

const (
	budCrash budget = iota
	budRestart
	budCut
	budAgreed
	budSafe
	budLarge
	budToken     // token-loss timers
	budConsensus // consensus timers
	budMerge     // probe and merge timers
	budResend    // hop timers
	budJoin      // join timers that say nothing new
	numBudgets
)

// state is one state of the cluster.
type state struct {
	nodes [maxNodes]nodeState
	left  [numBudgets]uint8
	cut   uint8 // bit i: node i is on the second side; zero: no partition
	net   []flight
}

func (s *state) clone() state {
	c := *s
	c.net = append(make([]flight, 0, len(s.net)+4), s.net...)
	return c
}

func (s *state) add(f flight) {
	i, found := slices.BinarySearchFunc(s.net, f, flight.compare)
	if !found {
		s.net = slices.Insert(s.net, i, f)
	}
}

func (s *state) remove(f flight) {
	if i, found := slices.BinarySearchFunc(s.net, f, flight.compare); found {
		s.net = slices.Delete(s.net, i, i+1)
	}
}

func (f flight) compare(g flight) int {
	if f.to != g.to {
		return int(f.to) - int(g.to)
	}
	return int(f.frame) - int(g.frame)
}

// reach reports whether two nodes are on one side.
func (s *state) reach(a, b uint8) bool { return s.cut>>a&1 == s.cut>>b&1 }

// encode writes a state to keep; decode reads it.
func (s *state) encode(b []byte, nodes int) []byte {
	for i := range nodes {
		n := &s.nodes[i]
		b = binary.LittleEndian.AppendUint32(b, uint32(n.at))
		b = binary.LittleEndian.AppendUint32(b, uint32(n.rec))
		b = binary.LittleEndian.AppendUint32(b, n.disk)
		b = binary.LittleEndian.AppendUint32(append(b, n.deaf, n.vows), uint32(n.join))
	}
	b = append(append(b, s.left[:]...), s.cut)
	for _, f := range s.net {
		b = binary.LittleEndian.AppendUint32(b, uint32(f.frame)<<2|uint32(f.to))
	}
	return b
}

func (s *state) decode(b []byte, nodes int) {
	*s = state{net: s.net[:0]}
	for i := range nodes {
		n := &s.nodes[i]
		n.at, n.rec = int32(binary.LittleEndian.Uint32(b)), int32(binary.LittleEndian.Uint32(b[4:]))
		n.disk, n.deaf, n.vows, n.join = binary.LittleEndian.Uint32(b[8:]), b[12], b[13], int32(binary.LittleEndian.Uint32(b[14:]))
		b = b[18:]
	}
	b = b[copy(s.left[:], b):]
	s.cut = b[0]
	for b = b[1:]; len(b) > 0; b = b[4:] {
		v := binary.LittleEndian.Uint32(b)
		s.net = append(s.net, flight{uint8(v & 3), int32(v >> 2)})
	}
}

// hash identifies a state. Token numbers count from the highest one that a node
// of the ring knows, so states that differ by whole rotations are one.
func (x *explorer) hash(s *state) uint64 {
	h := uint64(len(s.net))
	for i := range x.nodes {
		n := &s.nodes[i]
		v := mix(uint64(uint32(n.rec))<<32|uint64(n.disk), uint64(uint32(n.join))<<32|uint64(i)<<16|uint64(n.deaf)<<8|uint64(n.vows))
		if n.at != down {
			l := &x.locals[n.at]
			v = mix(v^uint64(l.form+1), x.highest(s, ringOf(l))-l.facts.TokenSeq)
		}
		h = mix(h, v)
	}
	h = mix(h, uint64(s.cut))
	left := uint64(0)
	for _, v := range s.left {
		left = left<<5 | uint64(v) // budgets are below 32
	}
	h = mix(h, left)
	sum := uint64(0) // the order of the set does not count
	for _, f := range s.net {
		fr := &x.frames[f.frame]
		seq := uint64(0)
		if fr.seq != 0 {
			seq = x.highest(s, fr.ring) - fr.seq
		}
		sum += mix(uint64(uint32(fr.form))<<8|uint64(f.to), seq)
	}
	return mix(h, sum)
}

// ringOf is the ring whose tokens a local state counts.
func ringOf(l *local) RingID {
	if !l.facts.Ring.IsZero() {
		return l.facts.Ring
	}
	return l.facts.Next
}

// highest is the number that token numbers of a ring count from.
func (x *explorer) highest(s *state, r RingID) uint64 {
	top := uint64(0)
	for i := range x.nodes {
		if at := s.nodes[i].at; at != down {
			if l := &x.locals[at]; ringOf(l) == r {
				top = max(top, l.facts.TokenSeq)
			}
		}
	}
	if top > 0 {
		return top
	}
	for _, f := range s.net {
		if fr := &x.frames[f.frame]; fr.ring == r {
			top = max(top, fr.seq)
		}
	}
	return top
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9E3779B97F4A7C15, b^0xD6E8FEB86659FD93)
	return bits.RotateLeft64(a, 31) ^ bits.RotateLeft64(b, 17)*0xFF51AFD7ED558CCD ^ hi ^ lo
}

// visits is the highest number of visits that a token made to a ring.
func (x *explorer) visits(s *state) int {
	top := uint64(0)
	for i := range x.nodes {
		if at := s.nodes[i].at; at != down {
			top = max(top, x.locals[at].facts.TokenSeq)
		}
	}
	return int(top) / x.nodes
}

// prune takes frames away that do nothing now and never will.
func (x *explorer) prune(s *state) {
	s.net = slices.DeleteFunc(s.net, func(f flight) bool { return x.dead(s, f) })
}

// dead reports a frame without any effect from here on: the engine ignores it in
// this state, and what it was for is over. That an engine never goes back to a
// ring it left is presumed only for frames that it ignores already.
func (x *explorer) dead(s *state, f flight) bool {
	n := &s.nodes[f.to]
	if n.at == down {
		return true // no session leads to the next life yet
	}
	if !x.mute(s, f) {
		return false
	}
	l, fr := &x.locals[n.at], &x.frames[f.frame]
	if l.machine.KnownInc(id(fr.from)) > fr.inc {
		return true
	}
	switch past := l.facts.Committed > fr.ring.Seq && l.facts.Ring != fr.ring && l.facts.Old != fr.ring; fr.kind {
	case wire.TypeTokenAck:
		return true // it answers a token that is not waited for
	case wire.TypeToken:
		return past || l.facts.Ring == fr.ring && l.facts.TokenSeq >= fr.seq
	case wire.TypeCommit:
		return past || ringOf(l) == fr.ring && l.facts.TokenSeq >= fr.seq
	case wire.TypeNotice:
		return l.facts.Committed >= fr.ring.Seq
	case wire.TypeData:
		return past || l.facts.Ring == fr.ring
	}
	return false
}

// mute reports whether a frame changes nothing now, and is answered by nothing
// but acknowledgements that nobody waits for.
func (x *explorer) mute(s *state, f flight) bool {
	mv := x.deliver(s, f)
	if mv.noop {
		return true
	}
	if mv.to != s.nodes[f.to].at || len(mv.events) > 0 || mv.fault != "" {
		return false
	}
	for _, o := range mv.outs {
		if x.frames[o.frame].kind != wire.TypeTokenAck || s.nodes[o.to].at != down && !x.deliver(s, o).noop {
			return false
		}
	}
	return true
}

// deliver is the outcome of a frame's arrival.
func (x *explorer) deliver(s *state, f flight) *move {
	return x.input(s, f.to, input{inFrame, f.frame})
}

func (x *explorer) input(s *state, node uint8, in input) *move {
	return x.move(node, x.inc(s, node), s.nodes[node].at, in)
}

// inc is the incarnation of the last life of a node.
func (x *explorer) inc(s *state, node uint8) uint64 {
	ls := x.records.list[s.nodes[node].rec].lives
	return ls[len(ls)-1].inc
}
