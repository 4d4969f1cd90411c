//go:build !linux || portable

package link

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/moothall/moothall/internal/seal"
)

// This file serves systems without recvmmsg: one datagram a call, no arrival
// times, no drop counts, no reports of refused ports.

type sysBatch struct{}

func (b *Batch) init() {}

type sysLink struct {
	done chan struct{} // closed: receiving ends
}

type sysSocket struct {
	conn       *net.UDPConn
	mu         sync.Mutex // guards sending
	receiveBuf int
	sendBuf    int
}

func listen(c *Config, at netip.AddrPort, control, anywhere bool) (*net.UDPConn, error) {
	network := "udp4"
	if at.Addr().Is6() {
		network = "udp6"
	}
	return net.ListenUDP(network, net.UDPAddrFromAddrPort(at))
}

func (s *socket) init(conn *net.UDPConn, c *Config) error {
	s.conn = conn
	s.receiveBuf, s.sendBuf = c.ReceiveBuf, c.SendBuf
	// Half as much until the system agrees.
	for s.receiveBuf > 4096 && s.conn.SetReadBuffer(s.receiveBuf) != nil {
		s.receiveBuf /= 2
	}
	for s.sendBuf > 4096 && s.conn.SetWriteBuffer(s.sendBuf) != nil {
		s.sendBuf /= 2
	}
	return nil
}

func (s *socket) close() { s.conn.Close() }

func (s *socket) released() {}

func (s *socket) shape(c *Config) (room, size int) { return 1, bufferSize(c.MTU) }

func notLocal(error) bool { return false }

func advice(error) string { return "" }

// startReceiving starts a goroutine for each socket.
func (l *Link) startReceiving() error {
	l.done = make(chan struct{})
	for _, s := range l.sockets {
		l.wg.Go(s.receiveLoop)
	}
	return nil
}

// stop ends what startReceiving began, if it did.
func (l *Link) stop() {
	if l.done != nil {
		close(l.done)
	}
	for _, s := range l.sockets {
		s.close()
	}
	l.wg.Wait()
}

// receiveLoop reads until the socket is closed. Errors that stay are met with
// growing patience.
func (s *socket) receiveLoop() {
	wait := leastPatience
	for {
		var b *Batch
		select {
		case b = <-s.free:
		case <-s.owner.done:
			return
		}
		err := s.receive(b)
		switch {
		case err == nil && len(b.Datagrams) > 0:
			wait = leastPatience
			s.owner.cfg.Handler(b)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		s.free <- b
		if err == nil {
			continue
		}
		s.fails(err)
		select {
		case <-time.After(wait):
			wait = min(2*wait, mostPatience)
		case <-s.owner.done:
			return
		}
	}
}

func (s *socket) receive(b *Batch) error {
	b.Datagrams, b.Dropped = b.Datagrams[:0], 0
	n, from, err := s.conn.ReadFromUDPAddrPort(b.buffer(0))
	if err != nil {
		return err
	}
	s.count.reads.Add(1)
	if n == b.size {
		s.count.truncated.Add(1) // perhaps only just fitting; buffers are larger than that
		return nil
	}
	s.count.in.Add(1)
	s.count.bytesIn.Add(uint64(n))
	b.Datagrams = append(b.Datagrams, seal.Datagram{
		Link: b.Link, Control: b.Control, Arrived: s.owner.cfg.Now(), Data: b.buffer(0)[:n],
		Addr: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()),
	})
	return nil
}

func (s *socket) transmit(run []seal.Datagram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range run {
		d := &run[i]
		if !d.Addr.IsValid() || d.Addr.Addr().Unmap().Is4() != s.local.Addr().Is4() {
			s.count.unsent[causeFamily].Add(1)
			continue
		}
		n, err := s.conn.WriteToUDPAddrPort(d.Data, netip.AddrPortFrom(d.Addr.Addr().Unmap(), d.Addr.Port()))
		switch {
		case err == nil:
			s.count.writes.Add(1)
			s.count.out.Add(1)
			s.count.bytesOut.Add(uint64(n))
		case errors.Is(err, net.ErrClosed):
			s.count.unsent[causeClosed].Add(1)
		default:
			s.count.unsent[causeOther].Add(1)
			s.warn(causeOther, "sending fails", err)
		}
	}
}
