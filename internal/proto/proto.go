// Package proto holds the named types that every room of the house shares.
// Public packages alias them. They have no behaviour but comparison and the
// text that logs and documents use.
package proto

import (
	"cmp"
	"strconv"
)

// NodeID names a configured node, 1 to 2^32-2. Zero is no node.
type NodeID uint32

// Slot is a position in the total order of one ring, rising from 1. It never
// wraps; a slot above 2^63 is refused wherever it comes from.
type Slot uint64

// Tick is monotonic time in nanoseconds from an arbitrary origin. Durations in
// the pure cores are Ticks too.
type Tick int64

// Units of Tick.
const (
	Microsecond Tick = 1000
	Millisecond Tick = 1000 * Microsecond
	Second      Tick = 1000 * Millisecond
)

// Epoch is the sequence number of a quorate regular configuration: the primary
// epoch of a node and the state epoch of a service (ordering 4.1, 4.3). Zero is
// "none since the start".
type Epoch uint64

// RingID names one regular configuration. Two rings are the same only if all
// three parts are equal, so no two rings ever share an id, not even over a
// restart of the representative.
type RingID struct {
	Seq uint64 // rises at every node over all its incarnations
	Rep NodeID // the representative: lowest node id in the ring
	Inc uint32 // low 32 bits of the representative's incarnation
}

// IsZero reports whether r names no ring.
func (r RingID) IsZero() bool { return r == RingID{} }

// Compare orders ring ids by sequence, then representative, then incarnation.
func (r RingID) Compare(o RingID) int {
	return cmp.Or(cmp.Compare(r.Seq, o.Seq), cmp.Compare(r.Rep, o.Rep), cmp.Compare(r.Inc, o.Inc))
}

// String prints representative and sequence, as in "1/42", the form of all logs.
func (r RingID) String() string {
	b := strconv.AppendUint(nil, uint64(r.Rep), 10)
	b = append(b, '/')
	return string(strconv.AppendUint(b, r.Seq, 10))
}

// MarshalText makes logs and JSON documents print a ring as String does.
func (r RingID) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String prints the duration in milliseconds with microseconds, as in "12.345ms".
func (t Tick) String() string {
	return strconv.FormatFloat(float64(t)/float64(Millisecond), 'f', 3, 64) + "ms"
}
