package seal

import (
	"fmt"
	"net/netip"

	"github.com/moothall/moothall/internal/proto"
)

const (
	pongsForUp    = 3
	pongsForUpMax = 100
	flapWindow    = minute
	urgentPing    = 10 * proto.Millisecond // after a refused port, and in answer to a new life
	refusedForOut = 3                      // reports of a refused port
	refusedPings  = 2                      // without an answer, see Unreachable
)

// link is the way to one peer over one link.
type link struct {
	addr netip.AddrPort // data socket, as configured
	from netip.AddrPort // last source of a control datagram of the session

	up    bool
	half  bool
	ever  bool    // it was up in this session
	sign  Tick    // last authentic datagram of the session; link_dead counts from here
	frame Tick    // last frame or fragment of the session
	heard Tick    // last authentic datagram of any life that has or may get a session
	pongs int     // answers on the way up
	flaps [8]Tick // when it went down, newest last

	refused      int  // reports of a refused port since anything authentic came, see Unreachable
	refusedSince Tick // the first of them
	extraPings   int  // sent since then
	judge        Tick // when there was time enough to answer those; zero: not all are sent

	next       Tick // next look at whether a ping is needed
	pinged     Tick // last ping sent
	pingNo     uint32
	unanswered int
	askedSince Tick // first of the unanswered pings

	rtt    Tick // smoothed
	jitter Tick
	peerNo uint32 // last ping number of the peer
	loss   uint32 // of its pings, in 1/65536
	mtu    int    // largest datagram payload that the peer announced, zero: none yet
	path   int    // largest one that gets through, zero: all that are tried do
	trial  trial
}

// control is the address of the control socket, the port after the data socket's.
func (ln *link) control() netip.AddrPort {
	if !ln.addr.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ln.addr.Addr(), ln.addr.Port()+1)
}

// dead is how long a link may be silent (ordering 3.2).
func (c *Core) dead(ln *link) Tick { return 3*c.cfg.Ping + 2*ln.rtt }

// alive reports whether the known life of a node was heard lately on any link.
func (c *Core) alive(p *peer) bool {
	if p.life == nil {
		return false
	}
	for i := range p.links {
		if ln := &p.links[i]; ln.sign != 0 && c.now-ln.sign < c.dead(ln) {
			return true
		}
	}
	return false
}

// Advance moves the clock: pings that are due are sent and silent links declared
// down. Call it no later than Output.Wake.
func (c *Core) Advance(now Tick) {
	c.tick(now)
	if now < c.wake {
		return
	}
	if late := now - c.wake; late > c.cfg.Ping {
		// This process slept; what came meanwhile may still wait to be read.
		c.grace = now
	}
	c.wake = now + c.cfg.Ping
	for _, p := range c.peers {
		if p.removed {
			continue
		}
		p.parts.expire(c)
		for _, i := range p.all {
			c.wake = min(c.wake, c.watch(p, i))
		}
	}
}

// watch does what is due on one link and says when to look again.
func (c *Core) watch(p *peer, i uint8) Tick {
	ln := &p.links[i]
	wake := c.now + c.cfg.Ping
	if ln.up {
		last := max(ln.sign, c.grace)
		if c.now-last >= c.dead(ln) {
			c.linkDown(p, ln, i, DownSilent, fmt.Sprintf("nothing was heard for %v", c.now-ln.sign))
		} else {
			wake = last + c.dead(ln)
		}
	} else if ln.pongs > 0 && c.now-ln.sign >= c.dead(ln) {
		ln.pongs = 0
	}
	c.judgeRefused(p, ln, i)
	c.judgeHalf(p, ln, i)
	if c.now >= ln.next {
		from := c.now
		if c.needsPing(ln) {
			c.ping(p, i, ln.control())
			ln.countExtra(c.now)
		} else {
			from = ln.frame // be silent no longer than an interval after the last one
		}
		ln.next = max(from+c.interval(ln), c.now+min(urgentPing, c.cfg.Ping/10))
	}
	if ln.refused > 0 && ln.judge > c.now {
		wake = min(wake, ln.judge)
	}
	return min(wake, ln.next, c.watchSize(p, ln, i))
}

// needsPing is false while frames come and the last ping, at most five intervals
// ago, was answered. Pings of the peer do not count as frames: else the two sides
// keep each other silent, and one lost datagram is most of link_dead.
func (c *Core) needsPing(ln *link) bool {
	return !ln.up || ln.unanswered > 0 || ln.refused > 0 ||
		ln.frame == 0 || c.now-ln.frame >= c.cfg.Ping || c.now-ln.pinged >= 5*c.cfg.Ping-c.cfg.Ping/2
}

// interval is the time to the next ping: as configured and ±10 %, so that nodes
// started together do not stay in step.
func (c *Core) interval(ln *link) Tick {
	if ln.refused > 0 && c.now-ln.refusedSince < c.cfg.Ping {
		return urgentPing
	}
	spread := c.cfg.Ping / 5
	return c.cfg.Ping - spread/2 + Tick(c.cfg.Rand.Uint64()%uint64(spread+1))
}

// judgeHalf notices that a node is heard and does not answer (ordering 3.2).
func (c *Core) judgeHalf(p *peer, ln *link, i uint8) {
	half := ln.unanswered >= 3 && c.now-ln.askedSince >= c.dead(ln) &&
		ln.heard != 0 && c.now-ln.heard < c.dead(ln)
	if half != ln.half {
		ln.half = half
		c.route(p)
		c.linkEvent(EventLinkState, p, i, "")
	}
}

// Unreachable says that the kernel reported a refused port for a datagram to a
// node. The link is down when at least three reports came, nothing authentic came
// since the first of them, and extra pings had time to be answered: two, 10 ms
// apart, and two round trips after the second. A living peer answers one, so that
// forged reports do nothing, however many they are.
//
// All reports count, also those of one burst: Linux answers a burst of six
// datagrams to a closed port and then one a second (net.ipv4.icmp_ratelimit). On
// a loaded link these six are gone before the first extra ping, which is why the
// clock judges too, and not only a further report.
func (c *Core) Unreachable(now Tick, to NodeID, link uint8) {
	c.tick(now)
	p := c.byID[to]
	if p == nil || p.removed || int(link) >= len(p.links) {
		return
	}
	ln := &p.links[link]
	if !ln.up {
		return
	}
	if ln.refused == 0 {
		ln.refusedSince, ln.extraPings, ln.judge = c.now, 0, 0
		ln.next = c.now + urgentPing
		c.wake = min(c.wake, ln.next)
	}
	ln.refused++
	c.judgeRefused(p, ln, link)
}

// countExtra notes a ping that was sent because of a refused port.
func (ln *link) countExtra(now Tick) {
	if ln.refused == 0 {
		return
	}
	if ln.extraPings++; ln.extraPings == refusedPings {
		ln.judge = now + 2*ln.rtt
	}
}

// judgeRefused takes a link down whose port is closed.
func (c *Core) judgeRefused(p *peer, ln *link, i uint8) {
	if ln.up && ln.refused >= refusedForOut && ln.judge != 0 && c.now >= ln.judge {
		c.linkDown(p, ln, i, DownRefused, "its port is closed: the program there has ended")
	}
}

// answered notes that a pong to one of our pings came, rtt after it. A pong that
// is much later than the round trip waited for a program that did not run, at
// either end: it says nothing of the link, and must not make link_dead longer.
func (c *Core) answered(p *peer, i uint8, rtt Tick) {
	ln := &p.links[i]
	ln.unanswered = 0
	if rtt >= 0 && rtt <= 2*c.cfg.Ping+4*ln.rtt {
		ln.sample(rtt)
	}
	if ln.half {
		ln.half = false
		c.route(p)
		c.linkEvent(EventLinkState, p, i, "")
	}
	if ln.up {
		c.rttEvent(p, i)
		return
	}
	if rtt > 2*c.cfg.Ping {
		return
	}
	if ln.pongs++; ln.pongs >= c.pongsNeeded(ln) {
		c.linkUp(p, ln, i)
	}
}

// sample smooths round trip times as TCP does.
func (ln *link) sample(rtt Tick) {
	rtt = max(rtt, 1)
	if ln.rtt == 0 {
		ln.rtt, ln.jitter = rtt, rtt/2
		return
	}
	diff := rtt - ln.rtt
	ln.rtt += diff / 8
	ln.jitter += (max(diff, -diff) - ln.jitter) / 4
}

// pongsNeeded is one at the first contact of a session, where the pong has just
// proved both directions, and 3·2^k after k flaps in a minute: the return from
// the first outage is not one yet.
func (c *Core) pongsNeeded(ln *link) int {
	if !ln.ever {
		return 1
	}
	return min(pongsForUp<<max(c.flaps(ln)-1, 0), pongsForUpMax)
}

// flaps counts how often the link went down in the last minute.
func (c *Core) flaps(ln *link) int {
	n := 0
	for _, t := range ln.flaps {
		if t != 0 && c.now-t < flapWindow {
			n++
		}
	}
	return n
}

func (c *Core) linkUp(p *peer, ln *link, i uint8) {
	ln.up, ln.ever, ln.pongs, ln.refused = true, true, 0, 0
	c.setMTU()
	c.route(p)
	c.linkEvent(EventLinkUp, p, i, "")
	c.wake = min(c.wake, c.now+c.dead(ln))
}

func (c *Core) linkDown(p *peer, ln *link, i uint8, cause uint64, why string) {
	if !ln.up {
		return
	}
	c.count.linkDowns++
	copy(ln.flaps[:], ln.flaps[1:])
	ln.flaps[len(ln.flaps)-1] = c.now
	ln.up, ln.half, ln.pongs, ln.refused = false, false, 0, 0
	c.setMTU()
	c.route(p)
	c.linkEventWith(EventLinkDown, p, i, why, cause)
}

// linkEvent reports the node's state with what changed on one link.
func (c *Core) linkEvent(k EventKind, p *peer, i uint8, text string) {
	c.linkEventWith(k, p, i, text, 0)
}

func (c *Core) linkEventWith(k EventKind, p *peer, i uint8, text string, value uint64) {
	e := Event{Kind: k, Node: p.id, Link: i, Text: text, Value: value}
	if p.life != nil {
		e.Inc = p.life.inc
	}
	mtu := c.cfg.MTU
	usable, half := false, false
	for j := range p.links {
		ln := &p.links[j]
		e.Up = e.Up || ln.up
		usable = usable || ln.up && !ln.half
		half = half || ln.half
		if ln.up {
			mtu = min(mtu, c.mtu(p, uint8(j)))
		}
	}
	e.Half = half && !usable
	if len(p.best) > 0 {
		e.RTT = p.links[p.best[0]].rtt
	}
	e.MTU = mtu - Overhead
	e.Addr = p.links[i].addr
	p.lastEvent = e
	c.event(e)
}

// rttEvent reports a round trip time that moved by a quarter and 100µs.
func (c *Core) rttEvent(p *peer, i uint8) {
	if len(p.best) == 0 || p.best[0] != i {
		return
	}
	was, is := p.lastEvent.RTT, p.links[i].rtt
	if d := max(is-was, was-is); d > was/4 && d > 100*proto.Microsecond {
		c.linkEvent(EventLinkState, p, i, "")
	}
}

// Status describes all configured links, nodes ascending.
func (c *Core) Status() []LinkStatus {
	var out []LinkStatus
	for _, p := range c.peers {
		if p.removed {
			continue
		}
		for _, i := range p.all {
			ln := &p.links[i]
			s := LinkStatus{
				Node: p.id, Link: i, Addr: ln.addr, From: ln.from,
				Up: ln.up, Half: ln.half, RTT: ln.rtt, Jitter: ln.jitter,
				Loss: float64(ln.loss) / 65536, MTU: c.mtu(p, i), Flaps: c.flaps(ln), Heard: ln.sign,
			}
			if l := p.life; l != nil {
				s.Inc, s.Feature, s.MinVer, s.MaxVer, s.Table = l.inc, l.features, l.minVer, l.maxVer, l.table
			}
			out = append(out, s)
		}
	}
	return out
}
