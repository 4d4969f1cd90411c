package sim

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/store"
)

// record is what a node keeps on its disk.
type record struct {
	store.Record
	found bool // false: a first start, or all is lost
	skip  bool // one of two slots was bad: the good one may be the older
}

// disk is a node's virtual disk: all records that became durable, and the
// writes under way.
type disk struct {
	done    []record
	under   []write
	next    uint64
	delay   Tick // of writes; zero: the plan's
	failing bool
}

type write struct {
	n   uint64
	rec record
}

// store makes a record durable at once.
func (d *disk) store(r record) {
	r.found, r.skip = true, false
	d.done = append(d.done, r)
	if len(d.done) > 64 {
		d.done = append(d.done[:0], d.done[32:]...)
	}
}

// last is the newest durable record.
func (d *disk) last() record { return d.done[len(d.done)-1] }

// begin starts a write and returns its number.
func (d *disk) begin(r record) uint64 {
	d.next++
	d.under = append(d.under, write{d.next, r})
	return d.next
}

// finish ends write n and returns its record. Writes end in their order.
func (d *disk) finish(n uint64) (record, bool) {
	for i, w := range d.under {
		if w.n == n {
			d.under = append(d.under[:0], d.under[i+1:]...)
			d.store(w.rec)
			return w.rec, true
		}
	}
	return record{}, false
}

// abort ends write n without effect.
func (d *disk) abort(n uint64) {
	for i, w := range d.under {
		if w.n == n {
			d.under = append(d.under[:i], d.under[i+1:]...)
			return
		}
	}
}

// crash ends the writes under way: each was done or was not, in their order.
func (d *disk) crash(r *stream) {
	for _, w := range d.under {
		if !r.chance(0.5) {
			break
		}
		d.store(w.rec)
	}
	d.under = d.under[:0]
}

// load returns what a start finds.
func (d *disk) load(mode string) record {
	n := len(d.done)
	switch {
	case n == 0 || mode == "lost":
		d.done = d.done[:0]
		return record{}
	case mode == "torn" && n > 1:
		r := d.done[n-2]
		r.skip, r.Primary = true, proto.Primary{}
		return r
	case mode == "torn":
		d.done = d.done[:0]
		return record{}
	case mode == "old":
		return d.done[max(0, n-6)]
	}
	return d.done[n-1]
}
