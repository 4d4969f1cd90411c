package executive

import "github.com/moothall/moothall/service"

// budget follows the bytes that the engine delivered and that clients have not
// taken yet. What the client that owes most has not taken is what the engine is
// left to believe; the rest is consumed.
type budget struct {
	unconsumed int    // delivered, and not reported as consumed
	deliveries uint64 // number of the one in work
	size       int    // its bytes
	debtors    int    // handles that owe something
	wake       Tick   // next look at slow clients
}

// debt is what one client's door has not taken.
type debt struct {
	bytes   int    // of events
	owed    int    // of deliveries that led to them
	pushed  uint64 // events, ever
	taken   uint64
	last    uint64 // delivery that is counted already
	batches []debtBatch
	since   Tick // it holds half of the budget since then, zero: it does not
	settled int  // of owed, since then
}

// debtBatch is a stretch of events whose bytes are settled together.
type debtBatch struct {
	end   uint64 // number of the event behind the last one
	bytes int
	owed  int
}

// A batch is closed at this size: small enough to be a fine measure, large
// enough to cost nothing.
const (
	batchEvents = 64
	batchBytes  = 16 << 10
)

// begin starts the accounting of a delivery.
func (b *budget) begin(size int) {
	b.deliveries++
	b.size = size
	b.unconsumed += size
}

// end ends it: what is pushed from here on was not caused by it.
func (b *budget) end() { b.size = 0 }

// push counts one event. Outside of a delivery it counts against the client
// alone.
func (b *budget) push(d *debt, size int) {
	owed := 0
	if b.size > 0 && d.last != b.deliveries {
		d.last, owed = b.deliveries, b.size
	}
	if len(d.batches) == 0 || d.batches[len(d.batches)-1].bytes >= batchBytes ||
		d.batches[len(d.batches)-1].end-d.start() >= batchEvents {
		d.batches = append(d.batches, debtBatch{end: d.pushed})
	}
	k := &d.batches[len(d.batches)-1]
	d.pushed++
	k.end = d.pushed
	k.bytes += size
	k.owed += owed
	d.bytes += size
	if d.owed == 0 && owed > 0 {
		b.debtors++
	}
	d.owed += owed
}

// start is the number of the first event of the last batch.
func (d *debt) start() uint64 {
	if n := len(d.batches); n > 1 {
		return d.batches[n-2].end
	}
	return d.taken
}

// take settles events, in their order.
func (b *budget) take(d *debt, events int) {
	d.taken = min(d.taken+uint64(events), d.pushed)
	owed := d.owed
	n := 0
	for n < len(d.batches) && d.batches[n].end <= d.taken {
		d.bytes -= d.batches[n].bytes
		d.owed -= d.batches[n].owed
		n++
	}
	d.batches = append(d.batches[:0], d.batches[n:]...)
	d.settled += owed - d.owed
	if owed > 0 && d.owed == 0 {
		b.debtors--
	}
}

// forgive settles everything, for the client is gone.
func (b *budget) forgive(d *debt) {
	if d.owed > 0 {
		b.debtors--
	}
	*d = debt{}
}

// owing reports whether something delivered is not consumed.
func (b *budget) owing() bool { return b.unconsumed > 0 }

// consumable is what no client owes.
func (c *Core) consumable() int {
	if c.budget.debtors == 0 {
		return c.budget.unconsumed
	}
	worst := 0
	for _, h := range c.clients {
		worst = max(worst, h.debt.owed)
	}
	return max(0, c.budget.unconsumed-worst)
}

// consume tells the engine what was taken.
func (c *Core) consume() {
	if !c.budget.owing() {
		return
	}
	if n := c.consumable(); n > 0 {
		c.budget.unconsumed -= n
		c.engine.Consumed(c.now, n)
	}
}

// Taken says that the client, or the socket to it, has taken so many events.
func (h *Handle) Taken(events int) {
	if h.closed {
		return
	}
	h.core.budget.take(&h.debt, events)
}

// dropSlowClients disconnects clients that hold half of the delivery budget for
// too long: the ring must not wait for one of them (ordering 2.20). One that
// takes that much meanwhile is no such client: it is only slower than the others,
// who would use the budget up.
func (c *Core) dropSlowClients() {
	limit := c.cfg.Totem.Limits.Undelivered / 2
	c.budget.wake = 0
	for i := 0; i < len(c.clients); {
		h := c.clients[i]
		i++
		switch {
		case h.debt.owed < limit:
			h.debt.since = 0
			continue
		case h.debt.since == 0 || h.debt.settled >= limit:
			h.debt.since, h.debt.settled = due(c.now), 0
		case c.now-h.debt.since >= c.cfg.Limits.SlowClient:
			c.clientTooSlow(h)
			h.disconnect(service.ErrOverflow)
			i--
			continue
		}
		c.budget.wake = earliest(c.budget.wake, h.debt.since+c.cfg.Limits.SlowClient)
	}
}
