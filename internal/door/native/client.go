package native

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/service"
)

// client is one socket.
type client struct {
	d    *Door
	fd   int
	id   uint64
	cred service.Cred

	guest   bool   // may open only what a rule allows
	pidfd   int    // of the process, -1: it is not watched
	process uint64 // under which the poller knows it

	greeted bool
	largest int // message that it takes
	dec     frame.Decoder
	out     frame.Packer
	conns   map[uint16]*conn
	recent  *conn   // the one of the last message
	clogged []*conn // serve nothing until the client has read answers

	armed  uint32 // what the poller waits for
	full   bool   // the socket takes no more
	dirty  bool   // in Door.dirty
	repost bool   // goOn is on its way
	hot    bool   // read by pulls
	pull   pulls
	eof    bool // it has gone; what it sent before is still served
	dead   bool // closed
	goOn   func()
}

// Budget of one client's turn, in which the owner does nothing else.
const turnBytes = 256 << 10

// maxOut is how much may wait for a client that does not read, beyond which
// nothing is read of it, and nothing served that it sent.
const maxOut = 4 << 20

func newClient(d *Door, fd int, id uint64, cred service.Cred) *client {
	c := &client{d: d, fd: fd, id: id, cred: cred, pidfd: -1, conns: map[uint16]*conn{}, out: frame.NewPacker(frame.MaxPacket)}
	c.goOn = func() {
		c.repost = false
		c.serve()
	}
	return c
}

// interest is what the poller should wait for.
func (c *client) interest() uint32 {
	events := uint32(unix.EPOLLONESHOT)
	if !c.hot && !c.repost && !c.choked() {
		events |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if c.full {
		events |= unix.EPOLLOUT
	}
	return events
}

// choked reports whether nothing is read because the client does not read.
func (c *client) choked() bool { return c.full && c.out.Len() > maxOut }

// arm has the poller wait for what is of interest now: nothing, when the client
// has gone, or the poller would say so again and again.
func (c *client) arm() {
	if events := c.interest(); !c.dead && !c.eof && events != c.armed {
		c.armed = events
		c.d.poller.Modify(c.fd, c.id, events)
	}
}

// ready is called for each event of the poller.
func (c *client) ready(events uint32) {
	c.armed = 0 // it reports once
	if events&unix.EPOLLOUT != 0 {
		c.full = false
		c.write()
	}
	if events&^unix.EPOLLOUT != 0 {
		c.woken()
		c.serve()
		return
	}
	c.arm()
}

// serve reads what there is, within a budget.
func (c *client) serve() {
	if !c.dead && c.read() {
		c.d.again(c)
	}
	c.arm()
}

// read serves packets and reports whether there may be more.
func (c *client) read() (more bool) {
	buf := c.d.packet
	for spent := 0; spent < turnBytes; {
		if c.dead || c.eof || c.choked() {
			return false
		}
		n, err := recvPacket(c.fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECONNRESET):
			continue // it closed without reading all; the kernel says so once, before what it sent
		case err != nil || n == 0:
			c.hungUp()
			return false
		case n > frame.MaxPacket:
			c.misbehaved(fmt.Errorf("%w: a packet of more than %d bytes", frame.ErrMalformed, frame.MaxPacket))
			return false
		}
		c.pull.empty = 0
		spent += n
		if err := c.take(buf[:n]); err != nil {
			c.misbehaved(err)
			return false
		}
	}
	return true
}

// take serves one packet.
func (c *client) take(packet []byte) error {
	if !c.greeted {
		return c.greet(packet)
	}
	for len(packet) > 0 && !c.dead {
		m, rest, err := c.dec.Next(packet)
		if err != nil {
			return err
		}
		packet = rest
		if m.Kind == 0 {
			return nil
		}
		if err := c.message(m); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) greet(packet []byte) error {
	h, err := frame.ParseHello(packet)
	if err != nil {
		return err
	}
	version, err := h.Choose()
	if err != nil {
		return err
	}
	c.greeted = true
	c.largest = int(min(h.Message, frame.MaxMessage))
	c.out = frame.NewPacker(h.Packet)
	cfg := &c.d.cfg
	c.out.Welcome(frame.Welcome{
		Version: version, Packet: frame.MaxPacket, Message: frame.MaxMessage, Node: cfg.Node, Inc: cfg.Backend.Incarnation(),
		Agent: cfg.Version, Name: cfg.Name, Cluster: cfg.Cluster,
	})
	c.d.markDirty(c)
	return nil
}

// message serves one message.
func (c *client) message(m frame.Message) error {
	if m.Kind == frame.KindOpen {
		return c.open(m)
	}
	x := c.recent
	if x == nil || x.id != m.Conn {
		if x = c.conns[m.Conn]; x == nil {
			// Requests may be on their way while the connection ends.
			if m.Kind == frame.KindCall || m.Kind == frame.KindCast || m.Kind == frame.KindCredit || m.Kind == frame.KindClose {
				return nil
			}
			return unexpected(m)
		}
		c.recent = x
	}
	switch m.Kind {
	case frame.KindCall, frame.KindCast, frame.KindClose:
		return x.request(m)
	case frame.KindCredit:
		return x.credited(m)
	}
	return unexpected(m)
}

func unexpected(m frame.Message) error {
	return fmt.Errorf("%w: %v from a client", frame.ErrMalformed, m.Kind)
}

// open connects the client to a service.
func (c *client) open(m frame.Message) error {
	o, err := frame.ParseOpen(m)
	if err != nil {
		return err
	}
	if c.conns[m.Conn] != nil {
		return fmt.Errorf("%w: connection %d is open already", frame.ErrMalformed, m.Conn)
	}
	if len(c.conns) >= frame.MaxConns {
		return fmt.Errorf("%w: more than %d connections on one socket", frame.ErrMalformed, frame.MaxConns)
	}
	x := newConn(c, m.Conn, int(o.Window))
	c.conns[m.Conn] = x
	rule := c.d.cfg.Rules[o.Service]
	if c.guest && (rule.Guests == nil || !rule.Guests(c.cred)) {
		x.closed(service.ErrAccess, refusal(c.cred, "service", cmp.Or(rule.Remedy, defaultRemedy)))
		return nil
	}
	if rule.WithProcess {
		c.watchProcess()
	}
	// Events of the opening belong behind the answer, which has the handle's number.
	x.opening = true
	h, code := c.d.cfg.Backend.Open(o.Service, c.cred, x)
	x.opening = false
	switch {
	case code == service.ErrAccess && rule.Remedy != "":
		x.closed(code, refusal(c.cred, "service", rule.Remedy))
		return nil
	case code != service.OK:
		x.closed(code, fmt.Sprintf("open service %d: %v", o.Service, code))
		return nil
	case x.ended:
		h.Close()
		return nil
	}
	x.handle = h
	c.out.Opened(x.id, frame.Opened{ID: h.ID(), Inc: c.d.cfg.Backend.Incarnation(), Window: uint32(c.d.cfg.Window)})
	c.d.markDirty(c)
	x.drain()
	return nil
}

// room reports whether answers may be added to what waits for the client; if not,
// x serves on when it has read some.
func (c *client) room(x *conn) bool {
	if c.out.Len() > maxOut {
		c.write()
	}
	if c.eof {
		c.out.Reset() // nobody reads it
	}
	if c.out.Len() <= maxOut {
		return true
	}
	if !slices.Contains(c.clogged, x) {
		c.clogged = append(c.clogged, x)
	}
	return false
}

// unclog has requests served that waited for room.
func (c *client) unclog() {
	for _, x := range c.clogged {
		x.resume()
	}
	c.clogged = nil
}

// write sends what waits, as far as the socket takes it.
func (c *client) write() {
	c.send()
	if c.out.Len() <= maxOut {
		c.unclog()
	}
}

func (c *client) send() {
	for !c.dead && !c.full && c.out.Len() > 0 {
		switch err := sendPacket(c.fd, c.out.Next()); {
		case err == nil:
			c.out.Sent()
		case errors.Is(err, unix.EAGAIN):
			c.full = true
			c.arm()
		case errors.Is(err, unix.EINTR):
		default:
			c.hungUp()
			return
		}
	}
}

// hungUp is the client's end. Requests that wait for room are served first: it
// was told that they have a place.
func (c *client) hungUp() {
	if c.eof || c.dead {
		return
	}
	c.eof = true
	for _, x := range c.conns {
		x.left()
	}
	c.unclog()
	c.bury()
}

// watchProcess has the client end with its process. A kernel that cannot do it
// reports only the end of the socket.
func (c *client) watchProcess() {
	if c.pidfd >= 0 {
		return
	}
	fd, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if errors.Is(err, unix.ENOPROTOOPT) { // before Linux 6.5
		fd, err = unix.PidfdOpen(int(c.cred.PID), 0)
	}
	if errors.Is(err, unix.ESRCH) {
		c.d.cfg.Backend.Do(c.processEnded)
	}
	if err != nil {
		return
	}
	c.d.last++
	if err := c.d.poller.Add(fd, c.d.last, unix.EPOLLIN|unix.EPOLLONESHOT); err != nil {
		_ = unix.Close(fd)
		return
	}
	c.pidfd, c.process = fd, c.d.last
	c.d.watched[c.process] = c
}

// processEnded is the client's end, whoever has its socket. What it sent before
// is served: no more of that is there than the kernel holds.
func (c *client) processEnded() {
	for n := 0; n <= buffers && !c.dead && c.read(); n += turnBytes {
	}
	if !c.dead {
		c.hungUp()
	}
}

// bury closes the socket of a client that has gone when nothing waits any more.
func (c *client) bury() {
	if c.eof && len(c.conns) == 0 {
		c.close()
	}
}

// misbehaved ends the socket of a client that broke the protocol.
func (c *client) misbehaved(err error) {
	code := service.CodeOf(err)
	if errors.Is(err, frame.ErrMalformed) {
		code = service.ErrMessageError
	}
	if c.d.bad.may(time.Now()) {
		c.d.cfg.Log.Warn("client of the native door cut off", "pid", c.cred.PID, "uid", c.cred.UID, "err", err)
	}
	c.fail(code, err.Error())
}

// fail ends the socket from this side.
func (c *client) fail(code service.Code, text string) {
	if c.dead {
		return
	}
	for _, x := range c.conns {
		x.end()
	}
	c.refuse(code, text)
}

// refuse sends the last word and closes.
func (c *client) refuse(code service.Code, text string) {
	c.out.Closed(0, code, text)
	c.full = false
	c.write()
	c.close()
}

func (c *client) close() {
	if c.dead {
		return
	}
	c.dead = true
	c.d.poller.Remove(c.fd)
	_ = unix.Close(c.fd)
	delete(c.d.clients, c.id)
	if c.pidfd >= 0 {
		c.d.poller.Remove(c.pidfd)
		_ = unix.Close(c.pidfd)
		delete(c.d.watched, c.process)
	}
}

// sendPacket and recvPacket never block and never raise a signal.
func sendPacket(fd int, b []byte) error {
	_, _, no := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if no != 0 {
		return no
	}
	return nil
}

func recvPacket(fd int, b []byte) (int, error) {
	n, _, no := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT, 0, 0)
	if no != 0 {
		return 0, no
	}
	return int(n), nil
}
