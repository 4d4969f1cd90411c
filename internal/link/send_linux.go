//go:build linux && !portable

package link

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/seal"
)

const (
	sendBatch    = 128   // datagrams in one sendmmsg
	sendSegments = 64    // in one message, as older kernels bound it
	sendBytes    = 64000 // the same in bytes; also what one destination gets before the next (ordering 3.6)
)

// sender puts datagrams into messages: one each, or a run of equal size to one
// address, which the kernel or the card cuts (UDP_SEGMENT). All its memory is
// made once.
type sender struct {
	mu       sync.Mutex // guards the rest
	closed   bool
	segments bool // the kernel cuts
	iovs     []unix.Iovec
	groups   []group
	of       []int // group by datagram, -1: it cannot be sent
	whole    lane
	parts    lane   // of a message that did not go in one
	zone     string // of the last link-local destination
	zoneID   uint32
}

// group is the datagrams of one message.
type group struct {
	addr   netip.AddrPort
	size   int // of all but the last
	bytes  int
	count  int
	first  int // its place in iovs
	filled int
	closed bool // nothing may follow
}

// lane is an array for sendmmsg.
type lane struct {
	msgs  []unix.Mmsghdr
	names []unix.RawSockaddrInet6
	oob   [][24]byte // a control message with the segment size
	first []int      // place in iovs by message
	fill  int
}

func (l *lane) init(n int) {
	l.msgs = make([]unix.Mmsghdr, n)
	l.names = make([]unix.RawSockaddrInet6, n)
	l.oob = make([][24]byte, n)
	l.first = make([]int, n)
	for i := range l.msgs {
		l.msgs[i].Hdr.Name = (*byte)(unsafe.Pointer(&l.names[i]))
		h := (*unix.Cmsghdr)(unsafe.Pointer(&l.oob[i][0]))
		h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
	}
}

// count is the number of datagrams in message i.
func (l *lane) count(i int) int { return int(l.msgs[i].Hdr.Iovlen) }

func (n *sender) init() {
	n.iovs = make([]unix.Iovec, sendBatch)
	n.groups = make([]group, 0, sendBatch)
	n.of = make([]int, sendBatch)
	n.whole.init(sendBatch)
	n.parts.init(sendSegments)
}

// transmit sends datagrams of this socket.
func (s *socket) transmit(run []seal.Datagram) {
	n := &s.sender
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(run) > 0 {
		k := min(len(run), sendBatch)
		s.arrange(run[:k])
		run = run[k:]
		if !n.closed {
			s.push(&n.whole)
			continue
		}
		for i := range n.whole.fill {
			s.count.unsent[causeClosed].Add(uint64(n.whole.count(i)))
		}
	}
}

// arrange makes messages of datagrams. Those to one address keep their order.
func (s *socket) arrange(run []seal.Datagram) {
	n := &s.sender
	n.groups = n.groups[:0]
	next := 0
	for i := range run {
		d := &run[i]
		if a := d.Addr.Addr(); len(d.Data) == 0 || !a.IsValid() || s.v6 == a.Unmap().Is4() {
			s.count.unsent[causeFamily].Add(1)
			n.of[i] = -1
			continue
		}
		next = n.join(d, next)
		n.of[i] = next
		next++
	}
	at := 0
	for i := range n.groups {
		n.groups[i].first = at
		at += n.groups[i].count
	}
	for i := range run {
		if n.of[i] < 0 {
			continue
		}
		g := &n.groups[n.of[i]]
		v := &n.iovs[g.first+g.filled]
		v.Base = &run[i].Data[0]
		v.SetLen(len(run[i].Data))
		g.filled++
	}
	n.whole.fill = 0
	for i := range n.groups {
		g := &n.groups[i]
		s.address(&n.whole, g.addr)
		n.whole.add(n.iovs, g.first, g.count, g.size)
	}
}

// join finds the group of a datagram or begins one. Bursts go to each receiver in
// turn, so the group after the last one is tried first.
func (n *sender) join(d *seal.Datagram, guess int) int {
	if !n.segments {
		guess = len(n.groups)
	} else if guess >= len(n.groups) || n.groups[guess].closed || n.groups[guess].addr != d.Addr {
		for guess = range n.groups {
			if g := &n.groups[guess]; !g.closed && g.addr == d.Addr {
				break
			}
		}
	}
	size := len(d.Data)
	if guess < len(n.groups) {
		g := &n.groups[guess]
		if !g.closed && g.addr == d.Addr && size <= g.size && g.count < sendSegments && g.bytes+size <= sendBytes {
			g.count++
			g.bytes += size
			g.closed = size < g.size
			return guess
		}
		if g.addr == d.Addr {
			g.closed = true
		}
	}
	n.groups = append(n.groups, group{addr: d.Addr, size: size, bytes: size, count: 1})
	return len(n.groups) - 1
}

// address fills in the destination of the next message.
func (s *socket) address(l *lane, to netip.AddrPort) {
	name, h := &l.names[l.fill], &l.msgs[l.fill].Hdr
	a := to.Addr()
	if s.v6 {
		name.Family, name.Flowinfo, name.Addr = unix.AF_INET6, 0, a.As16()
		name.Scope_id = s.scope(a)
		h.Namelen = unix.SizeofSockaddrInet6
	} else {
		name.Family = unix.AF_INET
		(*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr = a.As4()
		h.Namelen = unix.SizeofSockaddrInet4
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
}

// add makes the next message of count datagrams from iovs.
func (l *lane) add(iovs []unix.Iovec, first, count, size int) {
	h := &l.msgs[l.fill].Hdr
	h.Iov = &iovs[first]
	h.SetIovlen(count)
	h.Control = nil
	h.SetControllen(0)
	if count > 1 {
		h.Control = &l.oob[l.fill][0]
		h.SetControllen(unix.CmsgSpace(2))
		binary.NativeEndian.PutUint16(l.oob[l.fill][unix.CmsgLen(0):], uint16(size))
	}
	l.first[l.fill] = first
	l.fill++
}

// scope is the interface of a link-local destination, the own one if it has none.
func (s *socket) scope(a netip.Addr) uint32 {
	if !a.IsLinkLocalUnicast() {
		return 0
	}
	n, zone := &s.sender, a.Zone()
	if zone == "" {
		zone = s.zoned
	}
	if zone != n.zone || n.zoneID == 0 {
		n.zone, n.zoneID = zone, 0
		if ifc, err := net.InterfaceByName(zone); err == nil {
			n.zoneID = uint32(ifc.Index)
		} else if id, err := strconv.ParseUint(zone, 10, 32); err == nil {
			n.zoneID = uint32(id)
		}
	}
	return n.zoneID
}

// push sends the messages of a lane. It never waits.
func (s *socket) push(l *lane) {
	at, again := 0, 0
	for at < l.fill {
		k, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd),
			uintptr(unsafe.Pointer(&l.msgs[at])), uintptr(l.fill-at), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			s.sent(l, at, int(k))
			at, again = at+int(k), 0
			continue
		}
		if errno == unix.EINTR {
			continue
		}
		if causeOf(errno) == causeFull {
			// Neither will the rest find room, and waiting is not for us.
			for ; at < l.fill; at++ {
				s.unsent(errno, l.count(at))
			}
			return
		}
		// A report about an earlier datagram comes as the error of the next call:
		// then this one was not tried yet.
		async, mtu := s.drainErrors()
		if again < 8 && !genuine(errno, async, again) {
			again++
			continue
		}
		if l.count(at) > 1 {
			s.split(l, at, errno)
		} else {
			s.unsent(errno, 1)
			if tooBig := s.owner.cfg.TooBig; errno == unix.EMSGSIZE && tooBig != nil {
				tooBig(s.link, addrPort(&l.names[at], s.zoned), mtu)
			}
		}
		at, again = at+1, 0
	}
}

// split sends the datagrams of a message that did not go in one, so that each
// has its own fate. If that was for want of the means, it is not tried again:
// EIO says that the interface cannot make checksums, EINVAL may say the like.
func (s *socket) split(l *lane, at int, errno syscall.Errno) {
	n, count, before := &s.sender, l.count(at), s.count.out.Load()
	n.parts.fill = 0
	for i := range count {
		n.parts.names[i] = l.names[at]
		n.parts.msgs[i].Hdr.Namelen = l.msgs[at].Hdr.Namelen
		n.parts.add(n.iovs, l.first[at]+i, 1, 0)
	}
	s.push(&n.parts)
	if errno == unix.EIO || errno == unix.EINVAL && s.count.out.Load()-before == uint64(count) {
		n.segments = false
		s.owner.cfg.Log.Info("interface does not cut datagrams, they are sent one by one", "link", s.link, "err", errno)
	}
}

func (s *socket) unsent(errno syscall.Errno, datagrams int) {
	c := causeOf(errno)
	s.count.unsent[c].Add(uint64(datagrams))
	s.warn(c, "sending fails", errno)
}

func (s *socket) sent(l *lane, at, k int) {
	bytes, datagrams := 0, 0
	for i := at; i < at+k; i++ {
		bytes += int(l.msgs[i].Len)
		datagrams += l.count(i)
	}
	s.count.writes.Add(1)
	s.count.out.Add(uint64(datagrams))
	s.count.bytesOut.Add(uint64(bytes))
}
