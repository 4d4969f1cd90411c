package native

import (
	"slices"
	"time"
)

// A client that sends as fast as it can makes its socket readable again and
// again, although nothing can be sent before the token is here. While the token
// goes round quickly, such a client is not watched: the owner reads its socket
// before each visit of the token.

const (
	// wakesToPull is how often the poller was woken for a client between two pulls
	// before it is left to them.
	wakesToPull = 2
	// emptyPulls in a row end it.
	emptyPulls = 4
	// pullGap is the longest time between pulls, beyond which nobody is left to them.
	pullGap = time.Millisecond
	// roundBytes bounds one pull: the token waits.
	roundBytes = 4 * turnBytes
)

// puller is what the owner keeps of clients that are not watched.
type puller struct {
	clients []*client
	count   uint64
	last    time.Time
	guard   *time.Timer // fires after the last of pulls that do not come any more
}

// pulls is the part of a client.
type pulls struct {
	at    uint64 // puller.count at the last wake
	wakes int    // since then
	empty int    // pulls in a row that found nothing
}

// Pull serves the clients that are not watched. The owner calls it before it
// handles a token; never calling it is correct too.
func (d *Door) Pull() {
	p := &d.puller
	p.count++
	p.last = time.Now()
	const most = roundBytes / turnBytes
	kept, n := p.clients[:0], 0
	for served := 0; n < len(p.clients) && served < most; n++ {
		c := p.clients[n]
		c.pull.empty++
		c.read()
		if c.pull.empty == 0 {
			served++
		}
		if c.pull.empty >= emptyPulls || c.dead || c.eof {
			c.cool()
			continue
		}
		kept = append(kept, c)
	}
	if n < len(p.clients) { // the others come first next time
		p.clients = append(slices.Clone(p.clients[n:]), kept...)
		return
	}
	clear(p.clients[len(kept):])
	p.clients = kept
}

// woken counts a turn that the poller caused, and leaves the client to pulls if
// there were too many.
func (c *client) woken() {
	p := &c.d.puller
	if c.pull.at != p.count {
		c.pull.at, c.pull.wakes = p.count, 0
	}
	if c.pull.wakes++; c.hot || c.eof || c.pull.wakes < wakesToPull || time.Since(p.last) > pullGap {
		return
	}
	c.pull.empty = 0
	c.hot = true
	p.clients = append(p.clients, c)
	if len(p.clients) == 1 {
		c.d.guardPulls()
	}
}

// cool has the client watched again. What is in its socket wakes the poller at
// once.
func (c *client) cool() {
	c.hot = false
	c.pull.wakes = 0
	c.arm()
}

// guardPulls sees to it that no client waits for pulls that do not come.
func (d *Door) guardPulls() {
	if d.puller.guard == nil {
		d.puller.guard = time.AfterFunc(2*pullGap, func() { d.cfg.Backend.Do(d.checkPulls) })
		return
	}
	d.puller.guard.Reset(2 * pullGap)
}

func (d *Door) checkPulls() {
	p := &d.puller
	if time.Since(p.last) > pullGap {
		for _, c := range p.clients {
			c.cool()
		}
		clear(p.clients)
		p.clients = p.clients[:0]
	}
	if len(p.clients) > 0 && !d.closed {
		d.guardPulls()
	}
}

func (p *puller) stop() {
	if p.guard != nil {
		p.guard.Stop()
	}
}
