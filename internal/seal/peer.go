package seal

import (
	"crypto/cipher"
	"net/netip"
	"slices"

	"github.com/moothall/moothall/internal/proto"
)

const (
	dataWindow    = 8192
	controlWindow = 1024
)

// peer is a configured node, whatever life it is in.
type peer struct {
	id      NodeID
	removed bool // not configured any more
	links   []link
	all     []uint8 // configured links, ascending
	best    []uint8 // the one Route takes

	// life is the one a session stands with. It is kept as long as this process
	// runs or until a later one replaces it: its windows hold what came.
	life       *life
	candidates []*life // later lives that have not echoed the nonce yet, last heard last
	parts      assembly

	lastEvent    Event // state as last reported, for changes
	lastHeard    Tick  // EventHeard
	lastStale    Tick  // notice stale-incarnation; the other stamps likewise
	lastConflict Tick
	doubt        doubt
	lastVersion  Tick
	lastTable    Tick
	lastTold     Tick // EventPeerRefused
}

const maxCandidates = 4

// doubt is the question whether another machine with a peer's id is alive.
type doubt struct {
	life  *life
	asked Tick // send time of the ping, which only an answer to it repeats; zero: none is out
}

// life is one start of a peer, named by incarnation and boot salt. There are
// ciphers and windows for each epoch it was heard in.
type life struct {
	inc, salt uint64
	nonce     [16]byte // it echoes ours, we echo this one
	top       uint64   // highest counter that was authentic
	session   bool
	floor     uint8 // epoch of the pong that made the session; earlier ones are closed
	rx        [2]*receiver

	minVer, maxVer uint8
	features       uint64
	table          uint32
}

// receiver opens what a life sealed in one epoch.
type receiver struct {
	epoch      uint8
	generation uint64
	aead       [3]cipher.AEAD // by generation mod 3: the present one and its neighbours
	data       window
	control    window
	session    []window // by link; see the package comment
}

func newReceiver(epoch uint8, generation uint64, aead cipher.AEAD, links int) *receiver {
	r := &receiver{
		epoch:      epoch,
		generation: generation,
		data:       newWindow(dataWindow),
		control:    newWindow(controlWindow),
		session:    make([]window, links),
	}
	r.aead[generation%3] = aead
	for i := range r.session {
		r.session[i] = newWindow(controlWindow)
	}
	return r
}

// startAt takes everything up to counter as seen, in all windows.
func (r *receiver) startAt(counter uint64) {
	r.data.start(counter)
	r.control.start(counter)
	r.startLinks(counter)
}

func (r *receiver) startLinks(counter uint64) {
	for i := range r.session {
		r.session[i].start(counter)
	}
}

func (r *receiver) window(e *envelope, link uint8) *window {
	switch {
	case e.flags&flagSession != 0:
		return &r.session[link]
	case e.flags&flagControl != 0:
		return &r.control
	}
	return &r.data
}

// advance notes that a datagram of a later generation was authentic.
func (r *receiver) advance(generation uint64, aead cipher.AEAD) {
	if generation <= r.generation {
		return
	}
	last, before := r.aead[r.generation%3], r.generation
	r.aead, r.generation = [3]cipher.AEAD{}, generation
	r.aead[generation%3] = aead
	if before+1 == generation {
		r.aead[before%3] = last
	}
}

func (l *life) receiver(epoch uint8) *receiver {
	for _, r := range l.rx {
		if r != nil && r.epoch == epoch {
			return r
		}
	}
	return nil
}

// add keeps r; with both places taken that of the earlier epoch goes, which the
// key schedule has forgotten.
func (l *life) add(r *receiver) {
	for i, old := range l.rx {
		if old == nil {
			l.rx[i] = r
			return
		}
	}
	i := 0
	if earlier(l.rx[1].epoch, l.rx[0].epoch) {
		i = 1
	}
	l.rx[i] = r
}

// is reports whether l is the life that e names.
func (l *life) is(e *envelope) bool { return l != nil && l.inc == e.inc && l.salt == e.salt }

func (p *peer) find(e *envelope) *life {
	if p.life.is(e) {
		return p.life
	}
	for _, l := range p.candidates {
		if l.is(e) {
			return l
		}
	}
	return nil
}

// remember keeps an authentic later life; the one that was silent longest gives way.
func (p *peer) remember(l *life) {
	if i := slices.Index(p.candidates, l); i >= 0 {
		p.candidates = slices.Delete(p.candidates, i, i+1)
	} else if len(p.candidates) == maxCandidates {
		p.candidates = slices.Delete(p.candidates, 0, 1)
	}
	p.candidates = append(p.candidates, l)
}

// latest is the life that pings to the node are meant for.
func (p *peer) latest() *life {
	if n := len(p.candidates); n > 0 {
		return p.candidates[n-1]
	}
	return p.life
}

// forgetEpoch drops ciphers and windows of an epoch. An epoch that is over stays
// closed, should its key ever be loaded again.
func (p *peer) forgetEpoch(epoch uint8, over bool) {
	for _, l := range append([]*life{p.life}, p.candidates...) {
		if l == nil {
			continue
		}
		for i, r := range l.rx {
			if r != nil && r.epoch == epoch {
				l.rx[i] = nil
			}
		}
		if over && l.session && l.floor == epoch {
			l.floor++
		}
	}
}

// configure sets the addresses of a peer and starts pinging new ones.
func (c *Core) configure(p *peer, addrs []netip.AddrPort) {
	p.removed = false
	p.all = p.all[:0]
	for i := range p.links {
		ln := &p.links[i]
		var addr netip.AddrPort
		if i < len(addrs) && addrs[i].IsValid() {
			addr = unmap(addrs[i])
			p.all = append(p.all, uint8(i))
		}
		if addr != ln.addr {
			c.linkDown(p, ln, uint8(i), DownConfigured, "its address was changed in the configuration")
			*ln = link{addr: addr, next: c.now}
		}
	}
	c.route(p)
}

// remove takes a node out of the configuration. Its windows stay: were it
// configured again, what was recorded of it before must not pass.
func (c *Core) remove(p *peer) {
	if p.removed {
		return
	}
	for i := range p.links {
		c.linkDown(p, &p.links[i], uint8(i), DownConfigured, "the node was taken out of the configuration")
		p.links[i] = link{}
	}
	p.removed, p.candidates = true, nil
	p.parts.clear(c)
}

// route chooses the link that Route gives.
func (c *Core) route(p *peer) {
	best, rank := -1, 0
	for _, i := range p.all {
		ln, r := &p.links[i], 1
		if ln.up {
			r = 2
		}
		if ln.up && !ln.half {
			r = 3
		}
		if r > rank {
			best, rank = int(i), r
		}
	}
	p.best = p.best[:0]
	if best >= 0 {
		p.best = append(p.best, uint8(best))
	}
}

// mtu is the largest datagram payload that both sides of a link take and that
// gets through.
func (c *Core) mtu(p *peer, i uint8) int {
	mtu := c.announced(p, i)
	if path := p.links[i].path; path != 0 {
		return min(mtu, path)
	}
	return mtu
}

// announced is the largest datagram payload that both sides of a link take.
func (c *Core) announced(p *peer, i uint8) int {
	if ln := &p.links[i]; ln.mtu != 0 {
		return min(ln.mtu, c.ownMTU[i])
	}
	return c.ownMTU[i]
}

func (c *Core) setMTU() {
	copy(c.linkMTU, c.ownMTU)
	for _, p := range c.peers {
		for _, i := range p.all {
			if p.links[i].up {
				c.linkMTU[i] = min(c.linkMTU[i], c.mtu(p, i))
			}
		}
	}
}

// source bounds what an address can make this node do.
type source struct {
	since    Tick // start of the second that made counts
	made     int
	mismatch Tick // last EventMismatch
	misfit   Drop // and why
	forged   Tick // last EventForged
}

const derivationsPerSecond = 8

// mayDerive takes one key derivation from the budget of a source.
func (s *source) mayDerive(now Tick) bool {
	if now-s.since >= proto.Second || s.made == 0 {
		s.since, s.made = now, 0
	}
	if s.made >= derivationsPerSecond {
		return false
	}
	s.made++
	return true
}

func (c *Core) source(a netip.AddrPort) *source {
	if s := c.sources[a]; s != nil {
		return s
	}
	return &c.stranger
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// due reports whether something that happens at most once an interval may happen
// now, and notes it. The stamp is one more than the time, so zero is never.
func due(stamp *Tick, now, interval Tick) bool {
	if *stamp != 0 && now-(*stamp-1) < interval {
		return false
	}
	*stamp = now + 1
	return true
}
