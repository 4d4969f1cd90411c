package store

import (
	"errors"
	"fmt"

	"github.com/moothall/moothall/internal/proto"
)

// seqBlock is how many ring numbers a node reserves at a time (ordering 2.15),
// so the older of two records is at most that far behind.
const seqBlock = 64

// Found is what a node remembers of its earlier starts.
type Found struct {
	Record Record
	First  bool   // nothing was there: a first start
	Note   string // what was repaired, as a clause; empty if nothing

	generation uint64
	next       int // slot that the next write goes to
}

// NextInc is the incarnation of the start that found this, given the wall clock
// in nanoseconds (ordering 2.2).
func (f Found) NextInc(unixNanos uint64) uint64 {
	if f.First {
		return unixNanos
	}
	return max(f.Record.Inc+1, unixNanos)
}

// ErrUnreadable says that files are there but hold no usable record.
var ErrUnreadable = errors.New("the ring record is unreadable")

// ErrNewer says that a later version of the program wrote the record.
var ErrNewer = errors.New("the ring record has a format that this version does not read")

// Recover decides what two slots say (the table of ordering 2.2). With one slot
// damaged the other may be the older one, so it skips what the newer one could
// have promised.
func Recover(slots [2][]byte) (Found, error) {
	var gen [2]uint64
	var rec [2]Record
	var bad [2]error
	for i, s := range slots {
		gen[i], rec[i], bad[i] = ParseSlot(s)
		if errors.Is(bad[i], errFormat) {
			return Found{}, fmt.Errorf("%w: %w", ErrNewer, bad[i])
		}
	}
	switch {
	case bad[0] != nil && bad[1] != nil:
		return Found{}, fmt.Errorf("%w (first slot: %w; second slot: %w)", ErrUnreadable, bad[0], bad[1])
	case bad[0] != nil:
		return skipped(rec[1], gen[1], 0, bad[0]), nil
	case bad[1] != nil:
		return skipped(rec[0], gen[0], 1, bad[1]), nil
	case gen[1] > gen[0]:
		return Found{Record: rec[1], generation: gen[1], next: 0}, nil
	}
	return Found{Record: rec[0], generation: gen[0], next: 1}, nil
}

func skipped(r Record, generation uint64, bad int, cause error) Found {
	r.SeqBound += seqBlock
	r.Inc++
	if !errors.Is(cause, errEmpty) {
		r.Primary = proto.Primary{} // an older one must not decide a tie
	}
	return Found{Record: r, generation: generation + 1, next: bad,
		Note: fmt.Sprintf("slot %d of the ring record is damaged (%v): took the other one and skipped a block of %d ring numbers", bad+1, cause, seqBlock)}
}
