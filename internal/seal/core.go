package seal

import (
	"cmp"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/wire"
)

// Limits of a core.
const (
	MaxLinks    = 8
	DefaultMTU  = 1472 // UDP payload of an Ethernet frame over IPv4
	MinMTU      = 576  // smallest datagram payload that is cut for
	MaxMTU      = 65507
	DefaultPing = 200 * proto.Millisecond
)

const minute = 60 * proto.Second

// Core is the session layer of one node in one of its lives.
type Core struct {
	cfg   Config
	now   Tick
	sched *schedule
	tx    sender
	nonce [16]byte // of this boot; who echoes it is alive now

	peers    []*peer // ascending by id; removed ones stay, their windows must not be forgotten
	byID     map[NodeID]*peer
	sources  map[netip.AddrPort]*source // by configured control address; only ever looked up
	stranger source                     // all other addresses together

	twin      *life // a process elsewhere that uses this node id
	twinAsked Tick
	twinTold  Tick

	committed uint64
	told      staleness // what EventStale reported last
	snapshot  bool
	ownMTU    []int // by link, datagram payload this side takes
	linkMTU   []int // by link, what all receivers there take

	sealed  [2]arena // SealFrame: in use and before the last Reset
	turn    int
	pending [2]pending // Output: growing and handed out
	side    int

	fragmentID uint32
	wake       Tick
	grace      Tick // silence before this moment says nothing, for this process slept

	count tally
	iv    [nonceLen]byte
	head  [pingLen]byte
	zeros []byte // padding
}

// sender is the own key in use and its counter, the nonce of all datagrams. The
// counter goes on over generations and epochs, so it names a datagram for good.
type sender struct {
	key        *epochKey
	epoch      uint8
	generation uint64
	aead       cipher.AEAD
	counter    uint64
	data       []uint64 // datagrams of data sealed by link
}

// pending is what the next Take hands out, and the memory behind it.
type pending struct {
	out Output
	mem arena
}

type staleness struct{ inc, committed uint64 }

// New makes the core of one start. Pings to all peers are due at once.
func New(now Tick, c Config) (*Core, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	core := &Core{
		cfg:     c,
		now:     now,
		sched:   newSchedule(c.Cluster, c.AEAD),
		byID:    make(map[NodeID]*peer, len(c.Peers)),
		ownMTU:  slices.Repeat([]int{c.MTU}, c.Links),
		linkMTU: make([]int, c.Links),
	}
	core.tx.data = make([]uint64, c.Links)
	binary.LittleEndian.PutUint64(core.nonce[:], c.Rand.Uint64())
	binary.LittleEndian.PutUint64(core.nonce[8:], c.Rand.Uint64())
	if err := core.sched.load(c.Epoch, c.Key); err != nil {
		return nil, err
	}
	if err := core.UseEpoch(c.Epoch); err != nil {
		return nil, err
	}
	return core, core.SetPeers(now, c.Peers, c.Table)
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Self == 0 || c.Self == 1<<32-1 {
		errs = append(errs, fmt.Errorf("seal: node id %d is out of range", c.Self))
	}
	if c.Links < 1 || c.Links > MaxLinks {
		errs = append(errs, fmt.Errorf("seal: %d links, 1 to %d are possible", c.Links, MaxLinks))
	}
	if c.Rand == nil {
		errs = append(errs, errors.New("seal: no random source"))
	}
	c.Ping = cmp.Or(c.Ping, DefaultPing)
	if c.Ping < proto.Millisecond {
		errs = append(errs, fmt.Errorf("seal: ping interval %v is below a millisecond", c.Ping))
	}
	c.MTU = cmp.Or(c.MTU, DefaultMTU)
	if c.MTU < MinMTU || c.MTU > MaxMTU {
		errs = append(errs, fmt.Errorf("seal: datagrams of %d bytes, %d to %d are possible", c.MTU, MinMTU, MaxMTU))
	}
	c.MinVer = cmp.Or(c.MinVer, wire.Version)
	c.MaxVer = cmp.Or(c.MaxVer, wire.Version)
	if c.MinVer > c.MaxVer {
		errs = append(errs, fmt.Errorf("seal: protocol versions %d to %d are no range", c.MinVer, c.MaxVer))
	}
	return c, errors.Join(errs...)
}

// SetPeers replaces the configured nodes and the version of their table. What
// is known of a node that stays, or comes back, is kept.
func (c *Core) SetPeers(now Tick, peers []Peer, table uint32) error {
	c.tick(now)
	sorted := slices.SortedFunc(slices.Values(peers), func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	for i, p := range sorted {
		if p.ID == 0 || p.ID == 1<<32-1 || p.ID == c.cfg.Self {
			return fmt.Errorf("seal: node id %d cannot be a peer's", p.ID)
		}
		if i > 0 && sorted[i-1].ID == p.ID {
			return fmt.Errorf("seal: node id %d is configured twice", p.ID)
		}
		if len(p.Addrs) > c.cfg.Links {
			return fmt.Errorf("seal: node %d has %d addresses for %d links", p.ID, len(p.Addrs), c.cfg.Links)
		}
		for _, a := range p.Addrs {
			if a.IsValid() && (a.Port() == 0 || a.Port() == 1<<16-1) {
				return fmt.Errorf("seal: node %d: %v leaves no port for the control socket, which is the next one", p.ID, a)
			}
		}
	}
	c.cfg.Table = table
	for _, p := range c.peers {
		if !slices.ContainsFunc(sorted, func(s Peer) bool { return s.ID == p.id }) {
			c.remove(p)
		}
	}
	before := c.sources
	c.sources = make(map[netip.AddrPort]*source, len(sorted)*c.cfg.Links)
	for _, s := range sorted {
		p := c.byID[s.ID]
		if p == nil {
			p = &peer{id: s.ID, links: make([]link, c.cfg.Links)}
			c.byID[s.ID] = p
			c.peers = append(c.peers, p)
		}
		c.configure(p, s.Addrs)
		for i := range p.links {
			if a := p.links[i].control(); a.IsValid() {
				c.sources[a] = cmp.Or(before[a], &source{})
			}
		}
	}
	slices.SortFunc(c.peers, func(a, b *peer) int { return cmp.Compare(a.id, b.id) })
	c.setMTU()
	c.wake = now
	return nil
}

// SetMTU tells the largest datagram payload that a link takes from now on, when
// its interface says so or the kernel refused a larger one. Peers learn it from
// the next ping. Values outside MinMTU and Config.MTU are brought inside.
func (c *Core) SetMTU(now Tick, link uint8, mtu int) {
	c.tick(now)
	mtu = min(max(mtu, MinMTU), c.cfg.MTU)
	if int(link) >= c.cfg.Links || c.ownMTU[link] == mtu {
		return
	}
	c.ownMTU[link] = mtu
	c.setMTU()
	for _, p := range c.peers {
		if p.links[link].up {
			c.linkEvent(EventLinkState, p, link, "")
		}
	}
}

// SetPing changes the interval of pings, zero: the usual one; too short ones are
// made longer.
func (c *Core) SetPing(now Tick, interval Tick) {
	c.tick(now)
	if interval = max(cmp.Or(interval, DefaultPing), proto.Millisecond); interval == c.cfg.Ping {
		return
	}
	c.cfg.Ping = interval
	c.grace, c.wake = c.now, c.now // nobody knew so far how soon it would be missed
	for _, p := range c.peers {
		for i := range p.links {
			p.links[i].next = min(p.links[i].next, c.now+interval)
		}
	}
}

// LoadKey makes a further key epoch usable for opening (ordering 3.7, rotation
// step 1). At most two are loaded at a time.
func (c *Core) LoadKey(epoch uint8, file []byte) error {
	if epoch == c.tx.epoch {
		return fmt.Errorf("seal: the key of epoch %d is in use, a new key needs a new epoch", epoch)
	}
	return c.sched.load(epoch, file)
}

// UseEpoch seals with the key of a loaded epoch from now on (step 2).
func (c *Core) UseEpoch(epoch uint8) error {
	k := c.sched.find(epoch)
	if k == nil {
		return fmt.Errorf("seal: the key of epoch %d is not loaded", epoch)
	}
	aead, err := c.sched.sender(k, c.cfg.Self, c.cfg.Inc, c.cfg.Salt, c.tx.generation)
	if err != nil {
		return fmt.Errorf("seal: make the sender key: %w", err)
	}
	if aead.Overhead() != tagLen || aead.NonceSize() != nonceLen {
		return fmt.Errorf("seal: a cipher with a tag of %d and a nonce of %d bytes does not fit the envelope, %d and %d do",
			aead.Overhead(), aead.NonceSize(), tagLen, nonceLen)
	}
	c.tx.key, c.tx.epoch, c.tx.aead = k, epoch, aead
	return nil
}

// DropKey forgets an epoch that is not sealed with any more (step 3).
func (c *Core) DropKey(epoch uint8) error {
	k := c.sched.find(epoch)
	switch {
	case k == nil:
		return fmt.Errorf("seal: the key of epoch %d is not loaded", epoch)
	case epoch == c.tx.epoch:
		return fmt.Errorf("seal: epoch %d is in use for sending", epoch)
	}
	*k = epochKey{}
	for _, p := range c.peers {
		p.forgetEpoch(epoch, earlier(epoch, c.tx.epoch))
	}
	return nil
}

// SetCommitted tells the ring seq that stale-incarnation notices carry.
func (c *Core) SetCommitted(seq uint64) { c.committed = seq }

// SealFrame appends the datagrams that carry one frame on one link to dst: one,
// or several fragments when it is larger than the link takes (or than max bytes
// a datagram, if max is not zero). A frame that goes out on several links is
// sealed once, for AnyLink: then the replay window of the receiver drops the
// copies. All receivers get the same bytes. The buffers belong to the core and
// are valid until the Reset after next. A frame above wire.MaxFrame is counted
// and gives nothing.
func (c *Core) SealFrame(link uint8, control bool, max int, frame []byte, dst [][]byte) [][]byte {
	if len(frame) > wire.MaxFrame || int(link) >= c.cfg.Links && link != AnyLink {
		c.count.drops[DropSendTooLarge]++
		return dst
	}
	var flags uint8
	if control {
		flags = flagControl
	}
	c.count.framesOut++
	if link != AnyLink && !control {
		c.tx.data[link]++
	}
	limit := c.payload(link)
	if max > 0 {
		limit = min(limit, max)
	}
	if Overhead+len(frame) <= limit {
		c.head[0] = byte(kindFrame)
		return append(dst, c.seal(&c.sealed[c.turn], link, flags, c.head[:1], frame))
	}
	return c.sealFragments(link, flags, limit, frame, dst)
}

// payload is the largest datagram for a link as its receivers announce it.
func (c *Core) payload(link uint8) int {
	if link != AnyLink {
		return c.linkMTU[link]
	}
	return slices.Min(c.linkMTU)
}

// Reset gives back the buffers of SealFrame: those of the round that ends stay
// valid until the next Reset.
func (c *Core) Reset() {
	c.turn ^= 1
	c.sealed[c.turn].reset()
}

// seal writes one datagram: envelope, hint if it is of the session, head and
// body encrypted.
func (c *Core) seal(mem *arena, link, flags uint8, head, body []byte) []byte {
	e := envelope{
		epoch: c.tx.epoch, flags: flags, link: link,
		node: c.cfg.Self, inc: c.cfg.Inc, salt: c.cfg.Salt, counter: c.nextCounter(),
	}
	clear := e.clear()
	b := mem.take(clear + len(head) + len(body) + tagLen)
	e.put(b)
	if flags&flagSession != 0 {
		c.tx.key.hint.put(b[envelopeLen:])
	}
	n := clear + copy(b[clear:], head)
	n += copy(b[n:], body)
	binary.LittleEndian.PutUint64(c.iv[nonceLen-8:], e.counter)
	c.tx.aead.Seal(b[clear:clear], c.iv[:], b[clear:n], b[:clear])
	c.count.packetsOut++
	c.count.bytesOut += uint64(len(b))
	return b
}

// nextCounter never gives a number twice, and changes the key in time.
func (c *Core) nextCounter() uint64 {
	c.tx.counter++
	e := envelope{counter: c.tx.counter}
	if g := e.generation(); g != c.tx.generation {
		// The cipher was made from the same kind of key before, so this works.
		if aead, err := c.sched.sender(c.tx.key, c.cfg.Self, c.cfg.Inc, c.cfg.Salt, g); err == nil {
			c.tx.generation, c.tx.aead = g, aead
		}
	}
	return c.tx.counter
}

// Route says over which links a frame to a node goes now: the best usable one,
// or every configured one. The lowest link that is up and answers is the best;
// with no such link it is the lowest that is up, else the first configured. The
// slice is not to be changed and is valid until the next input.
func (c *Core) Route(to NodeID, every bool) []uint8 {
	p := c.byID[to]
	if p == nil || p.removed {
		return nil
	}
	if every {
		return p.all
	}
	return p.best
}

// Addr is where datagrams for a node go on a link, invalid if it is not on it.
func (c *Core) Addr(to NodeID, link uint8, control bool) netip.AddrPort {
	p := c.byID[to]
	if p == nil || p.removed || int(link) >= len(p.links) {
		return netip.AddrPort{}
	}
	if control {
		return p.links[link].control()
	}
	return p.links[link].addr
}

// Lookup finds who is configured at the address of a data or control socket.
func (c *Core) Lookup(a netip.AddrPort) (node NodeID, link uint8, ok bool) {
	a = unmap(a)
	for _, p := range c.peers {
		for i := range p.links {
			if ln := &p.links[i]; !p.removed && (ln.addr == a || ln.control() == a) {
				return p.id, uint8(i), true
			}
		}
	}
	return 0, 0, false
}

// Take hands over what accumulated since the last call.
func (c *Core) Take() Output {
	p := &c.pending[c.side]
	p.out.Wake = c.wake
	c.side ^= 1
	next := &c.pending[c.side]
	clear(next.out.Events)
	next.out.Send, next.out.Events = next.out.Send[:0], next.out.Events[:0]
	next.mem.reset()
	return p.out
}

func (c *Core) event(e Event) {
	e.At = c.now
	out := &c.pending[c.side].out
	out.Events = append(out.Events, e)
}

func (c *Core) send(d Datagram) {
	out := &c.pending[c.side].out
	out.Send = append(out.Send, d)
}

// tick keeps time from going back.
func (c *Core) tick(now Tick) { c.now = max(c.now, now) }
