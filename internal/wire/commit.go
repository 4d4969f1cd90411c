package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/moothall/moothall/internal/proto"
)

// Flags of a commit entry.
const (
	entryFilled uint8 = 1 << iota
	entryQuorate
)

const (
	quarantinedLen = 10
	// minEntryLen is an entry with an empty deliver set, an empty range of slots
	// and no quarantine.
	minEntryLen = 4 + 8 + 1 + ringLen + 3*8 + setHeadLen + 1 + 2 + 8 + 2
)

// AppendCommit writes a commit token; h.Ring is the new ring. t is the sender's
// node table.
func AppendCommit(b []byte, h Header, c Commit, t Table) []byte {
	b = h.with(TypeCommit).Append(b)
	b = binary.LittleEndian.AppendUint64(b, c.TokenSeq)
	b = append(b, c.Phase)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(c.Entries)))
	for i := range c.Entries {
		b = appendEntry(b, &c.Entries[i], t)
	}
	return b
}

// ParseCommit reads the body of a commit token. t is the receiver's node table.
func ParseCommit(body []byte, t Table) (Commit, error) {
	r := reader{b: body}
	c := Commit{TokenSeq: r.u64("commit: token_seq"), Phase: r.u8("commit: phase")}
	if r.err == nil && c.Phase != 1 && c.Phase != 2 {
		r.fail(fmt.Errorf("commit: phase %d of 1 and 2: %w", c.Phase, ErrBadValue))
	}
	n := r.count(MaxNodes, minEntryLen, "commit: entries")
	if n > 0 && r.err == nil {
		c.Entries = make([]CommitEntry, 0, n)
	}
	for i := 0; i < n && r.err == nil; i++ {
		c.Entries = append(c.Entries, r.entry(t))
		if i > 0 && c.Entries[i].Member.ID <= c.Entries[i-1].Member.ID {
			r.fail(fmt.Errorf("commit: node %d after %d: %w",
				c.Entries[i].Member.ID, c.Entries[i-1].Member.ID, ErrBadOrder))
		}
	}
	if err := r.end("commit"); err != nil {
		return Commit{}, err
	}
	return c, nil
}

func appendEntry(b []byte, e *CommitEntry, t Table) []byte {
	var flags uint8
	if e.Filled {
		flags |= entryFilled
	}
	if e.Quorate {
		flags |= entryQuorate
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(e.Member.ID))
	b = binary.LittleEndian.AppendUint64(b, e.Member.Inc)
	b = append(b, flags)
	b = appendRing(b, e.OldRing)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Aru))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.High))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Stable))
	b = appendSet(b, e.Deliver, t)
	b = appendHave(b, e.Have, e.Aru, e.High)
	b = binary.LittleEndian.AppendUint16(b, e.MTU)
	b = binary.LittleEndian.AppendUint64(b, e.Features)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.Quarantine)))
	for _, q := range e.Quarantine {
		b = binary.LittleEndian.AppendUint32(b, uint32(q.Node))
		b = append(b, q.K)
		b = binary.LittleEndian.AppendUint32(b, q.RemainingMS)
		b = append(b, q.Reason)
	}
	return b
}

func (r *reader) entry(t Table) CommitEntry {
	e := CommitEntry{Member: Member{ID: r.node("commit: node"), Inc: r.u64("commit: incarnation")}}
	flags := r.flags8(entryFilled|entryQuorate, "commit: entry flags")
	e.Filled = flags&entryFilled != 0
	e.Quorate = flags&entryQuorate != 0
	e.OldRing = r.ring("commit: old ring")
	e.Aru = r.slot("commit: aru")
	e.High = r.slot("commit: high")
	e.Stable = r.slot("commit: stable")
	e.Deliver = r.set(t, "commit: deliver set")
	e.Have = r.have(e.Aru, e.High)
	e.MTU = r.u16("commit: mtu")
	e.Features = r.u64("commit: features")
	e.Quarantine = r.quarantined()
	return e
}

func (r *reader) quarantined() []Quarantined {
	n := r.count(MaxNodes, quarantinedLen, "commit: quarantine")
	if n == 0 {
		return nil
	}
	list := make([]Quarantined, n)
	for i := range list {
		list[i] = Quarantined{
			Node:        r.node("commit: quarantined node"),
			K:           r.u8("commit: quarantine k"),
			RemainingMS: r.u32("commit: quarantine remaining"),
			Reason:      r.u8("commit: quarantine reason"),
		}
		if i > 0 && list[i].Node <= list[i-1].Node {
			r.fail(fmt.Errorf("commit: quarantine: node %d after %d: %w", list[i].Node, list[i-1].Node, ErrBadOrder))
		}
	}
	return list
}

// Forms of a have set.
const (
	haveRuns   = 0 // count u16, then {first u64, length u32} each
	haveBitmap = 1 // one bit for each slot of (aru, high]
)

const runLen = 12

// appendHave writes the smaller of the two forms.
func appendHave(b []byte, runs []Run, aru, high proto.Slot) []byte {
	if len(runs) > 1<<16-1 || spanBytes(aru, high) < uint64(2+runLen*len(runs)) {
		return appendHaveBitmap(append(b, haveBitmap), runs, aru, high)
	}
	b = append(b, haveRuns)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(runs)))
	for _, run := range runs {
		b = binary.LittleEndian.AppendUint64(b, uint64(run.First))
		b = binary.LittleEndian.AppendUint32(b, run.Len)
	}
	return b
}

func appendHaveBitmap(b []byte, runs []Run, aru, high proto.Slot) []byte {
	at := len(b)
	b = append(b, make([]byte, spanBytes(aru, high))...)
	for _, run := range runs {
		for i := range uint64(run.Len) {
			pos := uint64(run.First-aru-1) + i
			b[at+int(pos/8)] |= 1 << (pos % 8)
		}
	}
	return b
}

// spanBytes is the size of a bitmap over (aru, high].
func spanBytes(aru, high proto.Slot) uint64 { return (uint64(high-aru) + 7) / 8 }

// have reads a have set: ascending runs that do not touch, nil if empty.
func (r *reader) have(aru, high proto.Slot) []Run {
	form := r.u8("commit: have set")
	if r.err != nil {
		return nil
	}
	if high < aru {
		r.fail(fmt.Errorf("commit: high %d below aru %d: %w", high, aru, ErrBadRun))
		return nil
	}
	switch form {
	case haveRuns:
		return r.haveRuns(aru, high)
	case haveBitmap:
		return r.haveBitmap(aru, high)
	default:
		r.fail(fmt.Errorf("commit: have set: form %d of %d and %d: %w", form, haveRuns, haveBitmap, ErrBadValue))
		return nil
	}
}

func (r *reader) haveRuns(aru, high proto.Slot) []Run {
	n := r.count(MaxRuns, runLen, "commit: runs")
	if n == 0 {
		return nil
	}
	runs := make([]Run, n)
	next := aru + 1 // lowest slot where the coming run may start
	for i := range runs {
		run := Run{First: r.slot("commit: run"), Len: r.u32("commit: run length")}
		last := run.First + proto.Slot(run.Len) - 1 // below 2^64: First is at most 2^63
		if run.Len == 0 || run.First < next || last > high {
			r.fail(fmt.Errorf("commit: run of %d from %d, room from %d to %d: %w", run.Len, run.First, next, high, ErrBadRun))
			return nil
		}
		runs[i] = run
		next = last + 2 // a run that touched the one before would be part of it
	}
	return runs
}

func (r *reader) haveBitmap(aru, high proto.Slot) []Run {
	span := uint64(high - aru)
	if span > 8*MaxFrame {
		r.fail(fmt.Errorf("commit: have set of %d slots, at most %d: %w", span, 8*MaxFrame, ErrTooMany))
		return nil
	}
	data := r.take(bitmapLen(int(span)), "commit: have bitmap")
	if r.err != nil || r.popcount(data, int(span), "commit: have bitmap") == 0 {
		return nil
	}
	n := countRuns(data)
	if n > MaxRuns {
		r.fail(fmt.Errorf("commit: %d runs, at most %d: %w", n, MaxRuns, ErrTooMany))
		return nil
	}
	runs := make([]Run, 0, n)
	held := false
	for pos := range span {
		bit := data[pos/8]>>(pos%8)&1 != 0
		switch {
		case bit && held:
			runs[len(runs)-1].Len++
		case bit:
			runs = append(runs, Run{First: aru + 1 + proto.Slot(pos), Len: 1})
		}
		held = bit
	}
	return runs
}

// countRuns counts the stretches of set bits: each starts where a set bit
// follows a clear one.
func countRuns(data []byte) int {
	n, before := 0, byte(0)
	for _, c := range data {
		starts := c &^ (c<<1 | before)
		for ; starts != 0; starts &= starts - 1 {
			n++
		}
		before = c >> 7
	}
	return n
}
