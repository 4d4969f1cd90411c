package httpdoor

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// limited is a listener with a bound on its connections. Further ones wait in
// the system's queue.
type limited struct {
	net.Listener
	places chan struct{}
	done   chan struct{}
	once   sync.Once
}

func limit(l net.Listener) net.Listener {
	return &limited{Listener: l, places: make(chan struct{}, maxConnections), done: make(chan struct{})}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placed{Conn: c, l: l}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// placed is a connection that gives its place back.
type placed struct {
	net.Conn
	l    *limited
	once sync.Once
}

func (c *placed) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.l.places })
	return err
}

var errNoSystem = errors.New("not a connection of the system")

// SyscallConn lets the system be asked who connected.
func (c *placed) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errNoSystem
}
