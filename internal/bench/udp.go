package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	frameBytes    = 1472 // UDP payload at MTU 1500
	udpPort       = 5499
	batchFrames   = 64
	segmentFrames = 40  // frames in one segmented send, below 64 KiB
	udpAhead      = 512 // frames that a sender may be ahead of its slowest receiver
	udpBuffer     = 4 << 20
)

// Ceiling is a raw UDP rate between the nodes: each frame goes from its sender
// to both other nodes, as a ring without multicast must do it, with nothing
// around it but a count that keeps senders from overrunning receivers.
type Ceiling struct {
	How          string  `json:"how"`
	Senders      string  `json:"senders"`
	FramesPerSec float64 `json:"frames_per_s"` // frames that a node has afterwards, own ones included
	BytesPerSec  float64 `json:"bytes_per_s"`
	CPU          float64 `json:"cpu_cores"`
}

// MeasureCeiling measures for the given time each: system calls for batches of
// datagrams, and with segmentation and coalescing in the kernel on top (GSO and
// GRO); one sender and all.
func MeasureCeiling(ctx context.Context, stage *Stage, span time.Duration) ([]Ceiling, error) {
	var list []Ceiling
	for _, segmented := range []bool{false, true} {
		for _, all := range []bool{false, true} {
			c, err := measureUDP(ctx, stage, segmented, all, span)
			if err != nil {
				return nil, err
			}
			list = append(list, c)
		}
	}
	return list, nil
}

// udpNode is one node of the raw run.
type udpNode struct {
	conn *ipv4.PacketConn
	raw  *net.UDPConn
	addr netip.AddrPort
	// got counts frames received from each node.
	got [nodes]atomic.Int64
	// moved tells a waiting sender that a receiver got something from it.
	moved chan struct{}
}

func measureUDP(ctx context.Context, stage *Stage, segmented, all bool, span time.Duration) (c Ceiling, err error) {
	c = Ceiling{How: "sendmmsg", Senders: "one"}
	if segmented {
		c.How = "GSO and GRO"
	}
	if all {
		c.Senders = "all"
	}
	var peers []*udpNode
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	defer func() {
		for _, p := range peers {
			p.raw.Close()
		}
		wg.Wait()
		if e := failed.Load(); e != nil && err == nil {
			err = *e
		}
	}()
	for _, n := range stage.Nodes {
		conn, err := listenIn(n, udpPort)
		if err != nil {
			return c, err
		}
		if segmented {
			if err := coalesce(conn); err != nil {
				return c, err
			}
		}
		peers = append(peers, &udpNode{conn: ipv4.NewPacketConn(conn), raw: conn, addr: netip.AddrPortFrom(n.Addr, udpPort), moved: make(chan struct{}, 1)})
	}
	stop := make(chan struct{})
	defer close(stop)
	for i, p := range peers {
		wg.Go(func() { p.receive(peers) })
		if all || i == len(peers)-1 {
			wg.Go(func() {
				if err := p.send(i, peers, segmented, stop); err != nil && !errors.Is(err, net.ErrClosed) {
					failed.Store(&err)
				}
			})
		}
	}
	count := func() (frames int64) { // the mean over the nodes that receive, and what they would have of their own
		var sum int64
		for _, p := range peers {
			for i := range p.got {
				sum += p.got[i].Load()
			}
		}
		return sum / (nodes - 1)
	}
	if err := sleep(ctx, span/4); err != nil {
		return c, err
	}
	at, cpu, frames := monotonic(), ownCPU(), count()
	if err := sleep(ctx, span); err != nil {
		return c, err
	}
	seconds := (monotonic() - at).Seconds()
	c.FramesPerSec = float64(count()-frames) / seconds
	c.BytesPerSec = c.FramesPerSec * frameBytes
	c.CPU = (ownCPU() - cpu).Seconds() / seconds
	return c, nil
}

func (p *udpNode) receive(peers []*udpNode) {
	msgs := make([]ipv4.Message, batchFrames)
	for i := range msgs {
		msgs[i].Buffers = [][]byte{make([]byte, 64<<10)}
	}
	for {
		n, err := p.conn.ReadBatch(msgs, 0)
		if err != nil {
			return // closed
		}
		for _, m := range msgs[:n] {
			if from := int(m.Buffers[0][0]); from < nodes {
				p.got[from].Add(int64(m.N / frameBytes))
			}
		}
		for _, q := range peers {
			select {
			case q.moved <- struct{}{}:
			default:
			}
		}
	}
}

func (p *udpNode) send(self int, peers []*udpNode, segmented bool, stop <-chan struct{}) error {
	frames, oob := 1, []byte(nil)
	if segmented {
		frames = segmentFrames
		oob = segmentControl(frameBytes)
	}
	body := make([]byte, frames*frameBytes)
	for i := range frames {
		body[i*frameBytes] = byte(self)
	}
	var msgs []ipv4.Message
	for range max(1, batchFrames/frames) {
		for i, q := range peers {
			if i != self {
				msgs = append(msgs, ipv4.Message{Buffers: [][]byte{body}, OOB: oob, Addr: net.UDPAddrFromAddrPort(q.addr)})
			}
		}
	}
	var sent int64
	for {
		slowest := sent
		for i, q := range peers {
			if i != self {
				slowest = min(slowest, q.got[self].Load())
			}
		}
		if sent-slowest > udpAhead {
			select {
			case <-p.moved:
				continue
			case <-stop:
				return nil
			}
		}
		for done := 0; done < len(msgs); {
			n, err := p.conn.WriteBatch(msgs[done:], 0)
			if err != nil {
				return fmt.Errorf("send: %w", err)
			}
			done += n
		}
		sent += int64(len(msgs) / (len(peers) - 1) * frames)
	}
}

// coalesce lets the kernel join datagrams of one sender on receive.
func coalesce(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) })
	return errors.Join(err, failed)
}

// segmentControl asks the kernel to cut a send into datagrams of size bytes.
func segmentControl(size uint16) []byte {
	b := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], size)
	return b
}

// listenIn opens a socket inside the network namespace of a node.
func listenIn(n *Node, port uint16) (conn *net.UDPConn, err error) {
	err = n.Inside(func() (err error) {
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.Addr, port)))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(conn.SetReadBuffer(udpBuffer), conn.SetWriteBuffer(udpBuffer)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func ownCPU() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
