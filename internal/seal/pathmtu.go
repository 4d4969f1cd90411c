package seal

import "fmt"

// Datagrams above some size can vanish on the way without a word: a tunnel, a
// switch port, a firewall that eats the kernel's messages. Small pings are
// answered then, and the link is up. So every link is tried now and then with a
// ping of full size next to a small one. When the small ones are answered and
// four full ones are not, the size that gets through is searched, and frames go
// in fragments of it until full ones are answered again (ordering 3.4).

const (
	trialEvery  = 25      // pings, from one trial to the next
	trialRounds = 12      // of one size, at most
	trialLost   = 4       // full ones without an answer while the small one had one
	trialStep   = 8       // bytes that the search leaves open
	trialFloor  = 1200    // used while the search goes on (ordering 2.22)
	trialPing   = 1 << 31 // in the number of a padded ping: it is none of those that loss is counted by
)

// plainPing is a ping's datagram without padding.
const plainPing = envelopeLen + hintLen + pingLen + tagLen

// trial is the search for the size that gets through on one link.
type trial struct {
	size     int // tried now; zero: nothing is
	good     int // largest that got through in this search
	bad      int // smallest that did not; zero: none
	next     Tick
	due      Tick   // the answers of a round should be here
	number   uint32 // of padded pings
	small    uint32 // of the small ping of the round
	rounds   int
	lost     int
	told     int  // path as last reported
	sure     bool // a full one was tried again at the end of the search
	isBack   bool // the padded ping of the round was answered
	smallWas bool // the small one was
}

// answered notes the answer to a ping.
func (t *trial) answered(number uint32) {
	switch {
	case t.size == 0:
	case number == t.number|trialPing:
		t.isBack = true
	case number == t.small:
		t.smallWas = true
	}
}

// watchSize goes on with the trial of a link and says when to look again.
func (c *Core) watchSize(p *peer, ln *link, i uint8) Tick {
	t := &ln.trial
	never := c.now + trialEvery*c.cfg.Ping
	full := c.announced(p, i)
	if !ln.up || full <= MinMTU {
		t.size, t.next = 0, 0
		return never
	}
	switch {
	case t.next == 0: // just up: let the session settle
		t.next = c.now + c.cfg.Ping
	case t.size == 0 && c.now >= t.next:
		t.good, t.bad, t.sure = 0, 0, false
		c.try(p, ln, i, full)
	case t.size != 0 && (t.isBack || c.now >= t.due):
		c.judgeSize(p, ln, i, full)
	}
	if t.size != 0 {
		return t.due
	}
	return t.next
}

// try begins with a size.
func (c *Core) try(p *peer, ln *link, i uint8, size int) {
	ln.trial.size, ln.trial.rounds, ln.trial.lost = size, 0, 0
	c.tryOnce(p, ln, i)
}

// tryOnce asks with a padded and a small ping at once.
func (c *Core) tryOnce(p *peer, ln *link, i uint8) {
	t := &ln.trial
	t.rounds++
	t.number = (t.number + 1) &^ trialPing
	t.isBack, t.smallWas = false, false
	t.due = c.now + c.cfg.Ping/4 + 2*ln.rtt + 4*ln.jitter
	c.ping(p, i, ln.control()) // first: behind a larger one the kernel would take both for one packet
	t.small = ln.pingNo
	m := c.message(p.latest(), ln, i)
	m.number = t.number | trialPing
	c.count.pingsOut++
	c.sendSession(p.id, i, ln.control(), kindPing, &m, t.size)
}

// judgeSize ends a round.
func (c *Core) judgeSize(p *peer, ln *link, i uint8, full int) {
	t := &ln.trial
	switch {
	case t.isBack:
		t.good = max(t.good, t.size)
	case t.smallWas:
		t.lost++
	}
	switch {
	case !t.isBack && t.lost < trialLost && t.rounds < trialRounds:
		c.tryOnce(p, ln, i)
		return
	case !t.isBack && t.lost < trialLost: // the link as a whole is bad: nothing is known of the size
		c.endTrial(ln)
		return
	case !t.isBack:
		if t.bad == 0 || t.size < t.bad {
			t.bad = t.size
		}
		if t.size == full && ln.path == 0 && full > trialFloor {
			ln.path = trialFloor
			c.setMTU()
		}
	}
	switch {
	case t.good == full:
		c.setPath(p, ln, i, full, 0)
	case t.good != 0 && t.good == t.told: // as before
		c.setPath(p, ln, i, full, t.told)
	case t.good == 0 && t.told != 0 && t.told < t.bad:
		c.try(p, ln, i, t.told)
		return
	case t.bad-max(t.good, MinMTU) <= trialStep && !t.sure: // was it loss of every size?
		t.sure = true
		c.try(p, ln, i, full)
		return
	case t.bad-max(t.good, MinMTU) <= trialStep:
		c.setPath(p, ln, i, full, max(t.good, MinMTU))
	default:
		c.try(p, ln, i, (max(t.good, MinMTU)+t.bad)/2)
		return
	}
	c.endTrial(ln)
}

func (c *Core) endTrial(ln *link) {
	ln.trial.size, ln.trial.next = 0, c.now+trialEvery*c.cfg.Ping
}

// setPath notes what gets through; zero: everything.
func (c *Core) setPath(p *peer, ln *link, i uint8, full, path int) {
	known := ln.trial.told == path
	ln.path, ln.trial.told = path, path
	c.setMTU()
	if known {
		return
	}
	text := fmt.Sprintf("packets of %d bytes get through again", full)
	if path == 0 {
		path = full
	} else {
		text = fmt.Sprintf("packets above %d bytes do not get through, %d were tried: frames go in pieces", path, full)
	}
	c.linkEventWith(EventPathMTU, p, i, text, uint64(full)<<32|uint64(path))
}

// padding is n zero bytes.
func (c *Core) padding(n int) []byte {
	if len(c.zeros) < n {
		c.zeros = make([]byte, n)
	}
	return c.zeros[:n]
}
