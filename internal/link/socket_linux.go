//go:build linux && !portable

package link

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// listen opens a socket with all its options. With anywhere set the address need
// not be on this machine: it works as soon as it is.
func listen(c *Config, at netip.AddrPort, control, anywhere bool) (*net.UDPConn, error) {
	network := "udp4"
	if at.Addr().Is6() {
		network = "udp6"
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if cerr := raw.Control(func(fd uintptr) { err = setOptions(int(fd), c, at.Addr().Is6(), control, anywhere) }); cerr != nil {
			return cerr
		}
		return err
	}}
	conn, err := lc.ListenPacket(context.Background(), network, at.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

func setOptions(fd int, c *Config, v6, control, anywhere bool) error {
	// SO_RCVBUFFORCE needs CAP_NET_ADMIN and ignores rmem_max.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, c.ReceiveBuf) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, c.ReceiveBuf)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, c.SendBuf) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, c.SendBuf)
	}
	// Niceties: without them there are no kernel drop counts, no arrival times and
	// no precedence for the token. Priority 6 is the highest without privilege.
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	level, tos, dscp := unix.IPPROTO_IP, unix.IP_TOS, c.DataDSCP
	recverr, discover, probe, freebind := unix.IP_RECVERR, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE, unix.IP_FREEBIND
	if v6 {
		level, tos = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
		recverr, discover, probe, freebind = unix.IPV6_RECVERR, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE, unix.IPV6_FREEBIND
	}
	if control {
		dscp = c.ControlDSCP
	}
	if dscp > 0 {
		unix.SetsockoptInt(fd, level, tos, dscp<<2)
	}
	if control {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 6) // after IP_TOS, which sets it too
	}
	// An unconnected socket reports refused ports with their destination only on
	// its error queue (ordering 3.2). Datagrams are never cut by IP (ordering 3.4).
	if err := unix.SetsockoptInt(fd, level, recverr, 1); err != nil {
		return os.NewSyscallError("setsockopt IP_RECVERR", err)
	}
	if err := unix.SetsockoptInt(fd, level, discover, probe); err != nil {
		return os.NewSyscallError("setsockopt IP_MTU_DISCOVER", err)
	}
	if anywhere {
		if err := unix.SetsockoptInt(fd, level, freebind, 1); err != nil {
			return os.NewSyscallError("setsockopt IP_FREEBIND", err)
		}
	}
	return nil
}

// notLocal reports whether a bind failed for want of the address.
func notLocal(err error) bool { return errors.Is(err, unix.EADDRNOTAVAIL) }

// advice says what to do about a bind that failed.
func advice(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return ": another cluster agent runs on this address, stop it or set another port"
	case errors.Is(err, unix.EACCES):
		return ": ports below 1024 need privilege, set another port"
	}
	return ""
}

// causeOf sorts the errors of sending.
func causeOf(errno syscall.Errno) cause {
	switch errno {
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		return causeFull
	case unix.EMSGSIZE:
		return causeTooBig
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EHOSTDOWN, unix.ENONET:
		return causeUnreachable
	case unix.EADDRNOTAVAIL, unix.EINVAL: // EINVAL: older kernels, when the bound address is gone
		return causeAddress
	case unix.ENODEV, unix.ENETDOWN, unix.ENXIO:
		return causeDevice
	case unix.EPERM, unix.EACCES:
		return causeForbidden
	case unix.EAFNOSUPPORT:
		return causeFamily
	case unix.EBADF:
		return causeClosed
	}
	return causeOther
}

// errorQueue is the arrays for reading the error queue. The receiver and the
// senders read it, whoever comes upon an error.
type errorQueue struct {
	mu    sync.Mutex // guards the rest
	msgs  [8]unix.Mmsghdr
	iovs  [8]unix.Iovec
	names [8]unix.RawSockaddrInet6
	oob   [8][128]byte // the error, and the address of who reported it
	waste [8]byte      // the datagram itself is of no use
	mtu   int          // of the interface, as reported last
}

func (q *errorQueue) init() {
	for i := range q.msgs {
		q.iovs[i].Base = &q.waste[i]
		q.iovs[i].SetLen(1)
		h := &q.msgs[i].Hdr
		h.Iov = &q.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&q.names[i]))
		h.Control = &q.oob[i][0]
	}
}

// drainErrors reads the error queue and reports what is in it. It returns how
// many reports of the network there were; the error of the next system call may
// stem from them and not from the call. mtu is what the interface takes, as the
// kernel said last when it refused a larger datagram, perhaps to the receiver
// which woke from that.
func (s *socket) drainErrors() (async, mtu int) {
	q := &s.errors
	q.mu.Lock()
	defer q.mu.Unlock()
	for range 64 {
		for i := range q.msgs {
			h := &q.msgs[i].Hdr
			h.Namelen, h.Flags = unix.SizeofSockaddrInet6, 0
			h.SetControllen(len(q.oob[i]))
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd),
			uintptr(unsafe.Pointer(&q.msgs[0])), uintptr(len(q.msgs)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			break
		}
		for i := range int(n) {
			h := &q.msgs[i].Hdr
			e, ok := extendedError(q.oob[i][:min(int(h.Controllen), len(q.oob[i]))])
			switch {
			case !ok:
			case e.Origin != unix.SO_EE_ORIGIN_LOCAL:
				async++
				s.report(syscall.Errno(e.Errno), q.destination(i, s.zoned))
			case syscall.Errno(e.Errno) == unix.EMSGSIZE:
				q.mtu = int(e.Info)
			}
		}
		if int(n) < len(q.msgs) {
			break
		}
	}
	return async, q.mtu
}

// genuine reports whether an error of a system call is its own and no report of
// the network about an earlier datagram. Without reports in the error queue it is
// believed the second time only, since another goroutine may have read them, and
// a refused port is never the error of a call.
func genuine(errno syscall.Errno, async, before int) bool {
	return async == 0 && before > 0 && errno != unix.ECONNREFUSED
}

// destination is where the datagram went that an error is about.
func (q *errorQueue) destination(i int, zone string) netip.AddrPort {
	if q.msgs[i].Hdr.Namelen == 0 {
		return netip.AddrPort{}
	}
	return addrPort(&q.names[i], zone)
}

// report hands on what the network said of a datagram.
func (s *socket) report(errno syscall.Errno, to netip.AddrPort) {
	if errno != unix.ECONNREFUSED {
		s.count.unsent[causeOf(errno)].Add(1)
		return
	}
	s.count.refused.Add(1)
	if refused := s.owner.cfg.Refused; refused != nil && to.IsValid() {
		refused(s.link, to)
	}
}

func extendedError(oob []byte) (e unix.SockExtendedErr, ok bool) {
	for h, data := range controlMessages(oob) {
		v4 := h.Level == unix.IPPROTO_IP && h.Type == unix.IP_RECVERR
		v6 := h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_RECVERR
		if (v4 || v6) && len(data) >= int(unsafe.Sizeof(e)) {
			return *(*unix.SockExtendedErr)(unsafe.Pointer(&data[0])), true
		}
	}
	return e, false
}

// controlMessages walks over what the kernel put beside a datagram.
func controlMessages(b []byte) iter.Seq2[*unix.Cmsghdr, []byte] {
	return func(yield func(*unix.Cmsghdr, []byte) bool) {
		for len(b) >= unix.SizeofCmsghdr {
			h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
			n := int(h.Len)
			if n < unix.CmsgLen(0) || n > len(b) || !yield(h, b[unix.CmsgLen(0):n]) {
				return
			}
			b = b[min(unix.CmsgSpace(n-unix.CmsgLen(0)), len(b)):]
		}
	}
}

// addrPort reads an address of either family; link-local ones get the zone.
func addrPort(n *unix.RawSockaddrInet6, zone string) netip.AddrPort {
	// Family and port are at the same place in both forms; the port is big endian.
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&n.Port))[:])
	if n.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(n)).Addr), port)
	}
	a := netip.AddrFrom16(n.Addr)
	if zone != "" && a.IsLinkLocalUnicast() {
		a = a.WithZone(zone)
	}
	return netip.AddrPortFrom(a.Unmap(), port)
}
