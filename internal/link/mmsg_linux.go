//go:build linux && !portable

package link

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
)

const (
	sendBatch = 128 // messages in one sendmmsg
	oobLen    = 64  // a time stamp and a drop counter
)

// sysBatch is the arrays of recvmmsg, which point into the batch for good.
type sysBatch struct {
	msgs  []unix.Mmsghdr
	iovs  []unix.Iovec
	names []unix.RawSockaddrInet6 // large enough for both families
	oob   [][oobLen]byte
}

func (b *Batch) init() {
	b.msgs = make([]unix.Mmsghdr, b.room)
	b.iovs = make([]unix.Iovec, b.room)
	b.names = make([]unix.RawSockaddrInet6, b.room)
	b.oob = make([][oobLen]byte, b.room)
	for i := range b.msgs {
		b.iovs[i].Base = &b.buffer(i)[0]
		b.iovs[i].SetLen(b.size)
		h := &b.msgs[i].Hdr
		h.Iov = &b.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Control = &b.oob[i][0]
	}
}

// sysSocket is what one socket needs for system calls without allocation.
type sysSocket struct {
	raw        syscall.RawConn
	v6         bool
	receiveBuf int
	sendBuf    int

	batch   *Batch // being read into
	got     int
	readErr syscall.Errno
	read    func(fd uintptr) bool // readOnce, made once
	kernel  uint32                // drop counter of the kernel as last seen
	zoned   string                // own zone, of link-local peers too
	errors  errorQueue

	mu     sync.Mutex // guards what follows
	msgs   []unix.Mmsghdr
	iovs   []unix.Iovec
	names  []unix.RawSockaddrInet6
	fill   int                   // messages filled in
	write  func(fd uintptr) bool // writeAll, made once
	zone   string                // of the last link-local destination
	zoneID uint32
}

func (s *socket) init(c *Config) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	s.raw, s.v6 = raw, s.local.Addr().Is6()
	s.zoned = s.local.Addr().Zone()
	s.read, s.write = s.readOnce, s.writeAll
	s.errors.init()
	s.msgs = make([]unix.Mmsghdr, sendBatch)
	s.iovs = make([]unix.Iovec, sendBatch)
	s.names = make([]unix.RawSockaddrInet6, sendBatch)
	for i := range s.msgs {
		h := &s.msgs[i].Hdr
		h.Iov = &s.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&s.names[i]))
	}
	return raw.Control(func(fd uintptr) {
		// The kernel doubles what is asked for, to have room for its own records.
		r, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		w, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		s.receiveBuf, s.sendBuf = r/2, w/2
	})
}

// receive waits for datagrams and fills b with all that are there, up to its size.
func (s *socket) receive(b *Batch) error {
	b.Datagrams, b.Dropped = b.Datagrams[:0], 0
	for i := range b.msgs {
		h := &b.msgs[i].Hdr
		h.Namelen, h.Flags = unix.SizeofSockaddrInet6, 0
		h.SetControllen(oobLen)
	}
	s.batch = b
	if err := s.raw.Read(s.read); err != nil {
		return err
	}
	if s.readErr != 0 {
		return s.readErr
	}
	s.count.reads.Add(1)
	s.take(b)
	return nil
}

// readOnce is one try of recvmmsg; false waits until there is something.
func (s *socket) readOnce(fd uintptr) bool {
	for range 16 {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&s.batch.msgs[0])), uintptr(len(s.batch.msgs)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			s.got, s.readErr = int(n), 0
			return true
		case unix.EAGAIN:
			// A sender may have met the error that a report of the network raised,
			// and the report is still there.
			s.drainErrors(fd)
			return false
		case unix.EINTR:
			continue
		}
		s.got, s.readErr = 0, errno
		if async, _ := s.drainErrors(fd); async == 0 {
			return true
		}
	}
	s.readErr = 0 // reports of the network without end; have a look at done
	return true
}

// take makes datagrams of what recvmmsg wrote.
func (s *socket) take(b *Batch) {
	now, wall := s.owner.cfg.Now(), time.Now().UnixNano()
	bytes := 0
	for i := range s.got {
		m := &b.msgs[i]
		if m.Hdr.Flags&unix.MSG_TRUNC != 0 {
			s.count.truncated.Add(1)
			continue
		}
		stamp, drops, counted := parseOOB(b.oob[i][:min(int(m.Hdr.Controllen), oobLen)])
		if counted {
			b.Dropped += drops - s.kernel
			s.kernel = drops
		}
		bytes += int(m.Len)
		b.Datagrams = append(b.Datagrams, seal.Datagram{
			Link: b.Link, Control: b.Control, Addr: addrPort(&b.names[i], s.zoned),
			Arrived: arrived(now, wall, stamp), Data: b.buffer(i)[:m.Len],
		})
	}
	s.count.in.Add(uint64(len(b.Datagrams)))
	s.count.bytesIn.Add(uint64(bytes))
	s.count.kernelDrops.Add(uint64(b.Dropped))
}

// arrived brings the kernel's wall clock stamp to the own monotonic clock.
func arrived(now proto.Tick, wall, stamp int64) proto.Tick {
	if age := proto.Tick(wall - stamp); stamp != 0 && age > 0 {
		return max(now-age, 1)
	}
	return now
}

// parseOOB reads the control messages that were asked for.
func parseOOB(b []byte) (stamp int64, drops uint32, counted bool) {
	for h, data := range controlMessages(b) {
		switch {
		case h.Level != unix.SOL_SOCKET:
		case h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			drops, counted = binary.NativeEndian.Uint32(data), true
		case h.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			stamp = (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
		}
	}
	return stamp, drops, counted
}

// transmit sends datagrams of this socket.
func (s *socket) transmit(run []seal.Datagram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(run) > 0 {
		n := min(len(run), sendBatch)
		s.fill = 0
		for i := range run[:n] {
			s.put(&run[i])
		}
		run = run[n:]
		if s.fill == 0 {
			continue
		}
		if err := s.raw.Write(s.write); err != nil {
			s.count.unsent[causeClosed].Add(uint64(s.fill))
		}
	}
}

// put fills in one message.
func (s *socket) put(d *seal.Datagram) {
	name := &s.names[s.fill]
	h := &s.msgs[s.fill].Hdr
	port := (*[2]byte)(unsafe.Pointer(&name.Port))
	a := d.Addr.Addr()
	switch {
	case len(d.Data) == 0:
		return
	case !s.v6 && (a.Is4() || a.Is4In6()):
		name.Family = unix.AF_INET
		(*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr = a.As4()
		h.Namelen = unix.SizeofSockaddrInet4
	case s.v6 && a.Is6() && !a.Is4In6():
		name.Family, name.Flowinfo, name.Addr = unix.AF_INET6, 0, a.As16()
		name.Scope_id = s.scope(a)
		h.Namelen = unix.SizeofSockaddrInet6
	default:
		s.count.unsent[causeFamily].Add(1)
		return
	}
	binary.BigEndian.PutUint16(port[:], d.Addr.Port())
	s.iovs[s.fill].Base = &d.Data[0]
	s.iovs[s.fill].SetLen(len(d.Data))
	s.fill++
}

// scope is the interface of a link-local destination, the own one if it has none.
func (s *socket) scope(a netip.Addr) uint32 {
	if !a.IsLinkLocalUnicast() {
		return 0
	}
	zone := a.Zone()
	if zone == "" {
		zone = s.local.Addr().Zone()
	}
	if zone != s.zone || s.zoneID == 0 {
		s.zone, s.zoneID = zone, 0
		if ifc, err := net.InterfaceByName(zone); err == nil {
			s.zoneID = uint32(ifc.Index)
		} else if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			s.zoneID = uint32(n)
		}
	}
	return s.zoneID
}

// writeAll sends what is filled in. It never asks to wait.
func (s *socket) writeAll(fd uintptr) bool {
	at, again := 0, 0
	for at < s.fill {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd,
			uintptr(unsafe.Pointer(&s.msgs[at])), uintptr(s.fill-at), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			s.sent(at, int(n))
			at, again = at+int(n), 0
			continue
		}
		if errno == unix.EINTR {
			continue
		}
		// A report about an earlier datagram comes as the error of the next call:
		// then this one was not tried yet.
		async, mtu := s.drainErrors(fd)
		if async > 0 && again < 8 {
			again++
			continue
		}
		c := causeOf(errno)
		if tooBig := s.owner.cfg.TooBig; c == causeTooBig && tooBig != nil {
			tooBig(s.link, addrPort(&s.names[at], s.zoned), mtu)
		}
		s.warn(c, "sending fails", errno)
		if c == causeFull {
			// Neither will the rest find room, and waiting is not for us.
			s.count.unsent[c].Add(uint64(s.fill - at))
			return true
		}
		s.count.unsent[c].Add(1)
		at, again = at+1, 0
	}
	return true
}

func (s *socket) sent(at, n int) {
	bytes := 0
	for i := range s.msgs[at : at+n] {
		bytes += int(s.msgs[at+i].Len)
	}
	s.count.writes.Add(1)
	s.count.out.Add(uint64(n))
	s.count.bytesOut.Add(uint64(bytes))
}
