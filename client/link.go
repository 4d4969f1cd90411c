package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// link is one socket to the agent. One goroutine reads it; another writes what
// was collected while its last write was under way. The first request after a packet
// came is written by who makes it: answers then need no second goroutine, and those
// who send on and on are still gathered.
type link struct {
	sock    *socket
	welcome frame.Welcome
	gone    func(error)
	wg      sync.WaitGroup
	wake    chan struct{} // capacity 1: the writer has something to do
	heard   atomic.Bool   // a packet came since a request was written by who made it

	mu      sync.Mutex   // guards what follows
	out     frame.Packer // to be written
	idle    bool         // the writer waits for wake
	closing bool         // the writer ends when out is empty
	conns   map[uint16]*conn
	last    uint16 // number of a connection
	calls   uint32 // names calls
	err     error  // why it ended
}

const (
	// buffers is what the kernel may hold of packets in one direction.
	buffers = 4 * frame.MaxPacket
	// lastWords is how long Close may take to send what was cast.
	lastWords = time.Second
)

// dialLink connects and greets. The link does nothing before start.
func dialLink(ctx context.Context, cfg Config, gone func(error)) (*link, error) {
	sock, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	l := &link{gone: gone, wake: make(chan struct{}, 1), conns: map[uint16]*conn{}}
	stop := context.AfterFunc(ctx, func() { _ = sock.SetDeadline(time.Unix(1, 0)) })
	l.welcome, err = greet(sock)
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = sock.Close()
		return nil, err
	}
	_ = sock.SetWriteBuffer(buffers) // a smaller one only makes it slower
	l.out = frame.NewPacker(l.welcome.Packet)
	l.sock, err = newSocket(sock)
	return l, err
}

// connect opens the socket, unless there is one.
func connect(ctx context.Context, cfg Config) (*net.UnixConn, error) {
	if cfg.Conn != nil {
		return cfg.Conn, nil
	}
	sock, err := new(net.Dialer).DialContext(ctx, "unixpacket", cfg.Socket)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return nil, err
	}
	return sock.(*net.UnixConn), nil
}

func greet(sock *net.UnixConn) (frame.Welcome, error) {
	hello := frame.Hello{Min: frame.MinVersion, Max: frame.Version, Packet: frame.MaxPacket, Message: frame.MaxMessage}
	_, werr := sock.Write(hello.AppendTo(nil)) // a refusal that is there already counts more
	buf := make([]byte, frame.MaxPacket)
	n, err := readPacket(sock.Read, buf)
	if err == nil {
		return frame.ParseWelcome(buf[:n])
	}
	if werr != nil {
		err = werr
	}
	return frame.Welcome{}, fmt.Errorf("no answer to the greeting: %w", err)
}

// readPacket reads one packet. A peer that closed without reading all makes the
// kernel report that first, before what it has sent.
func readPacket(read func([]byte) (int, error), buf []byte) (int, error) {
	n, err := read(buf)
	if errors.Is(err, syscall.ECONNRESET) {
		n, err = read(buf)
	}
	return n, err
}

func (l *link) start() {
	l.wg.Go(l.receive)
	l.wg.Go(l.write)
}

// failure is why the link ended; nil: it has not.
func (l *link) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// close ends the link when all that waits is sent.
func (l *link) close() {
	l.sock.setWriteDeadline(time.Now().Add(lastWords))
	l.mu.Lock()
	l.closing = true
	l.poke()
	l.mu.Unlock()
	l.wg.Wait()
}

// fail ends the link and all its connections.
func (l *link) fail(err error) {
	defer l.sock.close() // last: others see why it is closed
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	l.closing = true
	conns := l.conns
	l.conns = nil
	for _, c := range conns {
		c.fail(err)
	}
	l.poke()
	l.mu.Unlock()
	l.gone(err)
}

// poke lets the writer look; with mu held.
func (l *link) poke() {
	if l.idle {
		l.idle = false
		l.wake <- struct{}{}
	}
}

// send has what is in out written: here, if this is the first request since a packet
// came, else by the writer; with mu held.
func (l *link) send() {
	if !l.idle || !l.heard.Load() {
		l.poke()
		return
	}
	l.heard.Store(false)
	for l.out.Len() > 0 {
		if !l.sock.tryWrite(l.out.Next()) { // no room, or an error, which the writer meets again
			l.poke()
			return
		}
		l.out.Sent()
	}
}

// write is the writer's goroutine.
func (l *link) write() {
	mine := frame.NewPacker(l.welcome.Packet)
	for l.collect(&mine) {
		for mine.Len() > 0 {
			if err := l.sock.write(mine.Next()); err != nil {
				l.lost(err)
				return
			}
			mine.Sent()
		}
	}
	l.fail(fmt.Errorf("client: %w", session.ErrClosed))
}

// collect swaps what is to be written for an empty Packer, and waits until there
// is something. False: the link is to end.
func (l *link) collect(mine *frame.Packer) bool {
	for {
		l.mu.Lock()
		if l.out.Len() > 0 && l.err == nil {
			l.out, *mine = *mine, l.out
			l.mu.Unlock()
			return true
		}
		if l.closing {
			l.mu.Unlock()
			return false
		}
		l.idle = true
		l.mu.Unlock()
		<-l.wake
	}
}

// lost ends the link because nothing can be written; why the agent has gone the
// reader may know better.
func (l *link) lost(err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		l.fail(fmt.Errorf("client: %w", session.ErrClosed))
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
	default:
		l.fail(goneError(err.Error()))
	}
}

// receive is the reader's goroutine.
func (l *link) receive() {
	buf := make([]byte, frame.MaxPacket)
	var d dispatcher
	d.link = l
	for {
		n, err := readPacket(l.sock.read, buf)
		switch {
		case errors.Is(err, io.EOF):
			l.fail(goneError("it closed the connection"))
			return
		case err != nil:
			l.fail(goneError(err.Error()))
			return
		}
		l.heard.Store(true)
		if err := d.packet(buf[:n]); err != nil {
			l.fail(err)
			return
		}
	}
}

func goneError(why string) error {
	return fmt.Errorf("client: %w: %w: %s", session.ErrClosed, ErrGone, why)
}

// dispatcher gives messages to connections; the reader's.
type dispatcher struct {
	link *link
	dec  frame.Decoder
	conn *conn // its events are being added, its mu is held
}

func (d *dispatcher) packet(packet []byte) error {
	defer d.settle()
	for len(packet) > 0 {
		m, rest, err := d.dec.Next(packet)
		if err == nil && m.Kind != 0 {
			err = d.message(m)
		}
		if err != nil {
			if errors.Is(err, frame.ErrMalformed) {
				err = fmt.Errorf("client: the agent's bytes make no sense: %w: %w", session.ErrClosed, err)
			}
			return err
		}
		packet = rest
	}
	return nil
}

// settle lets the receiver see the events that were added.
func (d *dispatcher) settle() {
	if d.conn != nil {
		d.conn.mu.Unlock()
		wake(d.conn.ready)
		d.conn = nil
	}
}

func (d *dispatcher) message(m frame.Message) error {
	if m.Kind == frame.KindEvent {
		if d.conn == nil || d.conn.id != m.Conn {
			d.settle()
			c := d.link.conn(m.Conn)
			if c == nil {
				return nil // closed by this side
			}
			c.mu.Lock()
			d.conn = c
		}
		e, err := frame.ParseEvent(m)
		if err != nil {
			return err
		}
		return d.conn.push(e, m.Size())
	}
	d.settle()
	return d.link.message(m)
}

func (l *link) conn(id uint16) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns[id]
}

// message takes what is no event.
func (l *link) message(m frame.Message) error {
	if m.Kind == frame.KindClosed && m.Conn == 0 {
		k, err := frame.ParseClosed(m)
		if err != nil {
			return err
		}
		if k.Code == service.ErrLibrary {
			return goneError(k.Text)
		}
		return fmt.Errorf("client: %w: %w: the agent ended the connection: %s: %w", session.ErrClosed, ErrGone, k.Text, k.Code)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.conns[m.Conn]
	if c == nil {
		if l.err != nil {
			return l.err
		}
		return fmt.Errorf("%w: %v of connection %d, which is not open", frame.ErrMalformed, m.Kind, m.Conn)
	}
	switch m.Kind {
	case frame.KindOpened:
		o, err := frame.ParseOpened(m)
		if err != nil {
			return err
		}
		return c.opened(o)
	case frame.KindAnswer:
		a, err := frame.ParseAnswer(m)
		if err != nil {
			return err
		}
		return c.answered(a)
	case frame.KindCredit:
		k, err := frame.ParseCredit(m)
		if err != nil {
			return err
		}
		return c.granted(k)
	case frame.KindClosed:
		k, err := frame.ParseClosed(m)
		if err != nil {
			return err
		}
		delete(l.conns, m.Conn)
		c.fail(closedError(k))
		return nil
	}
	return fmt.Errorf("%w: %v from an agent", frame.ErrMalformed, m.Kind)
}

// closedError is the error of a connection that the agent ended.
func closedError(k frame.Closed) error {
	switch k.Code {
	case service.ErrQueueFull:
		return &EvictedError{Reason: k.Text}
	case service.OK:
		return session.ErrClosed
	}
	return fmt.Errorf("client: %w: %s: %w", session.ErrClosed, k.Text, k.Code)
}

// open connects to a service.
func (l *link) open(ctx context.Context, id uint16, window int) (*conn, error) {
	c := newConn(l, window)
	l.mu.Lock()
	if l.err != nil || l.closing {
		l.mu.Unlock()
		return nil, session.ErrClosed
	}
	if len(l.conns) >= frame.MaxConns {
		l.mu.Unlock()
		return nil, fmt.Errorf("client: %d connections are open already: %w", frame.MaxConns, service.ErrNoResources)
	}
	for l.last++; l.last == 0 || l.conns[l.last] != nil; l.last++ {
	}
	c.id = l.last
	l.conns[c.id] = c
	l.out.Open(c.id, frame.Open{Service: id, Window: uint32(window)})
	l.poke()
	l.mu.Unlock()
	select {
	case <-c.isOpen:
		return c, nil
	case <-c.ended:
		return nil, c.failure()
	case <-ctx.Done():
		c.Close()
		return nil, ctx.Err()
	}
}
