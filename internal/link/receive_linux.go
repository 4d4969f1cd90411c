//go:build linux && !portable

package link

import (
	"encoding/binary"
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
	zoned      string // own zone, of link-local peers too
	receiveBuf int
	sendBuf    int

	// Of the receiver.
	merges  bool   // the kernel merges datagrams of one sender (UDP_GRO)
	batch   *Batch // being read into
	got     int
	readErr syscall.Errno
	read    func(fd uintptr) bool // readOnce, made once
	kernel  uint32                // drop counter of the kernel as last seen

	errors errorQueue
	sender sender
}

func (s *socket) init(c *Config) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	s.raw, s.v6, s.zoned = raw, s.local.Addr().Is6(), s.local.Addr().Zone()
	s.read = s.readOnce
	s.errors.init()
	s.sender.init(s)
	return raw.Control(func(fd uintptr) {
		// The kernel doubles what is asked for, to have room for its own records.
		r, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		w, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		s.receiveBuf, s.sendBuf = r/2, w/2
		if !c.NoOffload {
			_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
			s.sender.segments = err == nil
			s.merges = !s.control && unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) == nil
		}
	})
}

// shape is the number of buffers of a batch and the size of each. Merged
// datagrams need large ones, and a quarter as many.
func (s *socket) shape(c *Config) (room, size int) {
	if s.merges {
		return max(c.Batch/4, 1), groSize
	}
	return c.Batch, bufferSize(c.MTU)
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
