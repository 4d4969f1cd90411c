package link

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
)

// Endpoint is the own address of one link.
type Endpoint struct {
	Data    netip.AddrPort // port zero: two free adjacent ports are found
	Control netip.AddrPort // zero: the port after Data's
}

// Config is what a Link needs. Links, Now and Handler must be set.
type Config struct {
	Links   []Endpoint
	Now     func() proto.Tick // monotonic clock for arrival times
	Handler func(*Batch)

	// Refused reports that the port of a destination is closed, TooBig that a
	// datagram was larger than mtu, the largest IP packet of the own interface or
	// zero if that is not known. Nil: not reported. See the package comment.
	Refused func(link uint8, to netip.AddrPort)
	TooBig  func(link uint8, to netip.AddrPort, mtu int)

	MTU         int // largest datagram payload, zero: 2048
	Batch       int // datagrams read at once, zero: 64; where they are merged a quarter of that in messages of 64 KiB
	Batches     int // of a socket, zero: 4
	ReceiveBuf  int // bytes in the kernel, zero: 8 MiB; what is allowed is taken
	SendBuf     int // zero: 4 MiB
	ControlDSCP int // of the control socket, zero: 48 (CS6); negative: unmarked
	DataDSCP    int // zero: unmarked

	// NoOffload sends and receives each datagram by itself. Else the kernel cuts
	// and merges runs of equal ones where it can (UDP_SEGMENT, UDP_GRO), which
	// costs it a fraction. A network card that does this wrong loses or corrupts
	// datagrams under load.
	NoOffload bool

	Log *slog.Logger // nil discards
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if len(c.Links) == 0 || len(c.Links) > seal.MaxLinks {
		errs = append(errs, fmt.Errorf("link: %d links, 1 to %d are possible", len(c.Links), seal.MaxLinks))
	}
	if c.Now == nil || c.Handler == nil {
		errs = append(errs, errors.New("link: Config needs Now and Handler"))
	}
	c.MTU = cmp.Or(c.MTU, 2048)
	c.Batch = cmp.Or(c.Batch, 64)
	c.Batches = cmp.Or(c.Batches, 4)
	c.ReceiveBuf = cmp.Or(c.ReceiveBuf, 8<<20)
	c.SendBuf = cmp.Or(c.SendBuf, 4<<20)
	c.ControlDSCP = cmp.Or(c.ControlDSCP, 48)
	if c.MTU < 0 || c.MTU > seal.MaxMTU || c.Batch < 1 || c.Batch > maxBatch || c.Batches < 1 {
		errs = append(errs, fmt.Errorf("link: MTU %d, batch %d or batches %d is out of range", c.MTU, c.Batch, c.Batches))
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

const maxBatch = 1024

// Link is the open sockets of one node.
type Link struct {
	cfg     Config
	sockets []*socket // data and control of link 0, of link 1, ...
	once    sync.Once
	wg      sync.WaitGroup
	noLink  atomic.Uint64 // datagrams for links that are not here

	sysLink
}

// socket is one of the two of a link.
type socket struct {
	owner   *Link
	link    uint8
	control bool
	local   netip.AddrPort
	free    chan *Batch
	count   count
	warned  [numCauses]atomic.Int64 // Tick of the last log line

	sysSocket
}

// Open binds all sockets and starts to receive.
func Open(c Config) (*Link, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Link{cfg: c}
	for i, e := range c.Links {
		data, control, err := l.bindPair(uint8(i), e)
		if err != nil {
			l.Close()
			return nil, err
		}
		l.sockets = append(l.sockets, data, control)
	}
	if err := l.startReceiving(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// bindPair opens both sockets of a link. Without a port it tries free ones until
// the next one is free too.
func (l *Link) bindPair(link uint8, e Endpoint) (data, control *socket, err error) {
	for range 64 {
		if data, err = l.bind(link, false, e.Data); err != nil {
			return nil, nil, err
		}
		at := e.Control
		if !at.IsValid() {
			at = netip.AddrPortFrom(data.local.Addr(), data.local.Port()+1)
		}
		if control, err = l.bind(link, true, at); err == nil {
			return data, control, nil
		}
		data.close()
		if e.Data.Port() != 0 {
			break
		}
	}
	return nil, nil, err
}

func (l *Link) bind(link uint8, control bool, at netip.AddrPort) (*socket, error) {
	s := &socket{owner: l, link: link, control: control}
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if !at.IsValid() {
		return nil, fmt.Errorf("link %d: no address for the %s socket", link, s.name())
	}
	conn, err := listen(&l.cfg, at, control, false)
	if err != nil && notLocal(err) {
		conn, err = listen(&l.cfg, at, control, true)
		if err == nil {
			l.cfg.Log.Warn("link address is not on this machine yet, waiting for it", "link", link, "addr", at.Addr())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("link %d: bind the %s socket to %v: %w%s", link, s.name(), at, err, advice(err))
	}
	s.local = conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s.local = netip.AddrPortFrom(s.local.Addr().Unmap().WithZone(at.Addr().Zone()), s.local.Port())
	if err := s.init(conn, &l.cfg); err != nil {
		return nil, fmt.Errorf("link %d: set up the %s socket: %w", link, s.name(), err)
	}
	s.free = make(chan *Batch, l.cfg.Batches)
	for range l.cfg.Batches {
		s.free <- newBatch(s, &l.cfg)
	}
	s.logBuffers()
	return s, nil
}

func (s *socket) name() string {
	if s.control {
		return "control"
	}
	return "data"
}

// logBuffers tells when the kernel gave less than was asked for.
func (s *socket) logBuffers() {
	c := &s.owner.cfg
	if r := s.receiveBuf; r < c.ReceiveBuf {
		c.Log.Warn("receive buffer is smaller than asked for: bursts may be lost, raise net.core.rmem_max",
			"link", s.link, "socket", s.name(), "bytes", r, "wanted", c.ReceiveBuf)
	}
}

// Close ends receiving and waits until the last call of the handler returned. It
// must not be called from the handler. Closing twice is fine.
func (l *Link) Close() error {
	l.once.Do(l.stop) // a second caller waits for the first
	return nil
}

// Addr is the bound address of a socket; the port is the real one when zero was
// asked for.
func (l *Link) Addr(link uint8, control bool) netip.AddrPort {
	if s := l.socket(link, control); s != nil {
		return s.local
	}
	return netip.AddrPort{}
}

// Buffers is what the kernel gave for a socket, in bytes.
func (l *Link) Buffers(link uint8, control bool) (receive, send int) {
	if s := l.socket(link, control); s != nil {
		return s.receiveBuf, s.sendBuf
	}
	return 0, 0
}

func (l *Link) socket(link uint8, control bool) *socket {
	i := 2 * int(link)
	if control {
		i++
	}
	if i >= len(l.sockets) {
		return nil
	}
	return l.sockets[i]
}

// Send sends datagrams to their Addr from the socket that Link and Control name.
// See the package comment.
func (l *Link) Send(batch []seal.Datagram) {
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && batch[n].Link == batch[0].Link && batch[n].Control == batch[0].Control {
			n++
		}
		if s := l.socket(batch[0].Link, batch[0].Control); s != nil {
			s.transmit(batch[:n])
		} else {
			l.noLink.Add(uint64(n))
		}
		batch = batch[n:]
	}
}

// The pauses between tries of a socket that cannot be read.
const leastPatience, mostPatience = time.Millisecond, time.Second

// fails counts and logs an error of receiving.
func (s *socket) fails(err error) {
	s.count.receiveErrors.Add(1)
	s.warn(causeOther, "receiving fails", err)
}

// warn logs failures of one kind at most once a minute; all are counted.
func (s *socket) warn(c cause, what string, err error) {
	cfg := &s.owner.cfg
	now := int64(cfg.Now())
	last := s.warned[c].Load()
	if last != 0 && now-last < int64(60*proto.Second) || !s.warned[c].CompareAndSwap(last, max(now, 1)) {
		return
	}
	cfg.Log.Warn(what, "link", s.link, "socket", s.name(), "cause", c, "err", err)
}
