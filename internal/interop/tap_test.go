package interop

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/bench"
)

// tapped is somebody on the wire of a node: each UDP packet of it to another one is
// sent again as it was, and once more with one flipped bit.
type tapped struct {
	fd   int
	n    atomic.Int64
	once sync.Once
	done chan struct{}
}

// tap begins, and ends with the test.
func tap(t *testing.T, from, to *bench.Node) *tapped {
	t.Helper()
	w := &tapped{done: make(chan struct{})}
	err := from.Inside(func() (err error) {
		const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all&0xffff); err != nil {
			return err
		}
		dev, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		if err := unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: all & 0xffff, Ifindex: dev.Index}); err != nil {
			return err
		}
		return unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000})
	})
	if err != nil {
		t.Fatal(err)
	}
	go w.work(from.Addr.AsSlice(), to.Addr.AsSlice())
	t.Cleanup(w.stop)
	return w
}

// stop ends it.
func (w *tapped) stop() {
	w.once.Do(func() {
		w.n.Store(-1 << 40)
		<-w.done
		_ = unix.Close(w.fd)
	})
}

func (w *tapped) sent() int64 { return w.n.Load() }

func (w *tapped) work(from, to []byte) {
	defer close(w.done)
	const ethernet, udp = 14, 20 + 8
	const counter = 24 // of the envelope that seals a frame
	b := make([]byte, 1<<16)
	var last []byte
	for flip := 0; w.n.Load() >= 0; {
		n, _, err := unix.Recvfrom(w.fd, b, 0)
		if err != nil || n < ethernet+udp+60 {
			continue
		}
		p := b[:n]
		ip := p[ethernet:]
		if ip[0] != 0x45 || ip[9] != unix.IPPROTO_UDP || !bytes.Equal(ip[12:16], from) || !bytes.Equal(ip[16:20], to) || bytes.Equal(p, last) {
			continue
		}
		ip[26], ip[27] = 0, 0 // no checksum: the driver had still to make it
		last = bytes.Clone(p)
		again := bytes.Clone(p)
		if _, err := unix.Write(w.fd, again); err != nil {
			continue
		}
		flip++
		// A packet that came before is dropped for its counter; so that others are looked
		// at more closely, every second flip makes one that did not come yet.
		at := counter + flip%2
		if flip%4 < 2 {
			at = counter + flip%(n-ethernet-udp-counter)
		}
		again[ethernet+udp+at] ^= 1 << (flip / 4 % 8)
		_, _ = unix.Write(w.fd, again)
		w.n.Add(1)
	}
}
