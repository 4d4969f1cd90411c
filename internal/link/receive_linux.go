//go:build linux && !portable

package link

import (
	"encoding/binary"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
)

const (
	oobLen  = 96      // a time stamp, a drop counter and a segment size
	groSize = 1 << 16 // what one message can hold when the kernel merges datagrams
)

// sysBatch is the arrays of recvmmsg, which point into the batch for good.
type sysBatch struct {
	msgs  []unix.Mmsghdr
	iovs  []unix.Iovec
	names []unix.RawSockaddrInet6 // large enough for both families
	oob   [][oobLen]byte
	read  proto.Tick // when it was filled
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
	// Outside of the runtime's poller, which would ask for writability too and be
	// woken by every datagram that left. Open until no goroutine uses it.
	fd         int
	v6         bool
	zoned      string // own zone, of link-local peers too
	receiveBuf int
	sendBuf    int

	// Of the receiver.
	merges   bool          // the kernel merges datagrams of one sender (UDP_GRO)
	kernel   uint32        // drop counter of the kernel as last seen
	upTo     proto.Tick    // all that arrived before was read
	failing  bool          // not watched until the timer puts it back
	patience time.Duration // the next one
	starved  atomic.Bool   // not watched until a batch is released

	errors errorQueue
	sender sender
}

// init takes the socket out of conn, which it closes.
func (s *socket) init(conn *net.UDPConn, c *Config) error {
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var dupErr error
	if err := raw.Control(func(fd uintptr) { s.fd, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return err
	}
	if dupErr != nil {
		return os.NewSyscallError("fcntl", dupErr)
	}
	s.v6, s.zoned = s.local.Addr().Is6(), s.local.Addr().Zone()
	s.patience = leastPatience
	s.errors.init()
	s.sender.init()
	// The kernel doubles what is asked for, to have room for its own records.
	r, _ := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	w, _ := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	s.receiveBuf, s.sendBuf = r/2, w/2
	if !c.NoOffload {
		_, err := unix.GetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_SEGMENT)
		s.sender.segments = err == nil
		s.merges = !s.control && unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	}
	return nil
}

// close is for a socket that nobody receives from any more.
func (s *socket) close() {
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	s.sender.closed = true
	unix.Close(s.fd)
}

// shape is the number of buffers of a batch and the size of each. Merged
// datagrams need large ones, and a quarter as many.
func (s *socket) shape(c *Config) (room, size int) {
	if s.merges {
		return max(c.Batch/4, 1), groSize
	}
	return c.Batch, bufferSize(c.MTU)
}

// fill reads what is there, up to the size of b, and never waits.
func (s *socket) fill(b *Batch) (messages int, errno syscall.Errno) {
	b.Datagrams, b.Dropped = b.Datagrams[:0], 0
	for i := range b.msgs {
		h := &b.msgs[i].Hdr
		h.Namelen, h.Flags = unix.SizeofSockaddrInet6, 0
		h.SetControllen(oobLen)
	}
	// What cannot block need not be announced to the scheduler, which would wake a
	// thread to watch over it.
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd),
		uintptr(unsafe.Pointer(&b.msgs[0])), uintptr(len(b.msgs)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	s.count.reads.Add(1)
	s.take(b, int(n))
	return int(n), 0
}

// waiting reports whether there is something to read.
func (s *socket) waiting() bool {
	for range 16 {
		var b [1]byte
		_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd),
			uintptr(unsafe.Pointer(&b[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return true
		case unix.EAGAIN:
			return false
		}
		s.drainErrors()
	}
	return true // an error that stays, for read to deal with
}

// take makes datagrams of what recvmmsg wrote.
func (s *socket) take(b *Batch, messages int) {
	now, wall := s.owner.cfg.Now(), time.Now().UnixNano()
	b.read = now
	bytes := 0
	for i := range messages {
		m := &b.msgs[i]
		if m.Hdr.Flags&unix.MSG_TRUNC != 0 {
			s.count.truncated.Add(1)
			continue
		}
		x := parseOOB(b.oob[i][:min(int(m.Hdr.Controllen), oobLen)])
		if x.counted {
			b.Dropped += x.drops - s.kernel
			s.kernel = x.drops
		}
		from, at := addrPort(&b.names[i], s.zoned), arrived(now, wall, x.stamp)
		for rest := b.buffer(i)[:m.Len]; len(rest) > 0; {
			n := len(rest)
			if x.segment > 0 {
				n = min(n, x.segment)
			}
			part := rest[:n:n]
			rest = rest[n:]
			if n > s.owner.cfg.MTU {
				s.count.truncated.Add(1)
				continue
			}
			bytes += n
			b.Datagrams = append(b.Datagrams, seal.Datagram{Link: b.Link, Control: b.Control, Addr: from, Arrived: at, Data: part})
		}
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

// extra is what the kernel says beside a message.
type extra struct {
	stamp   int64 // wall clock, zero: none
	drops   uint32
	counted bool // drops is set
	segment int  // size of the datagrams in it, zero: it is one
}

func parseOOB(b []byte) (x extra) {
	for h, data := range controlMessages(b) {
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			x.drops, x.counted = binary.NativeEndian.Uint32(data), true
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			x.stamp = (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
		case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			x.segment = int(binary.NativeEndian.Uint32(data))
		}
	}
	return x
}
