//go:build !linux

package client

import (
	"net"
	"time"
)

// socket is the agent's socket.
type socket struct{ conn *net.UnixConn }

func newSocket(conn *net.UnixConn) (*socket, error) { return &socket{conn}, nil }

func (s *socket) close() { _ = s.conn.Close() }

func (s *socket) read(b []byte) (int, error) { return s.conn.Read(b) }

// tryWrite leaves all to write.
func (s *socket) tryWrite([]byte) bool { return false }

func (s *socket) write(b []byte) error {
	_, err := s.conn.Write(b)
	return err
}

func (s *socket) setWriteDeadline(t time.Time) { _ = s.conn.SetWriteDeadline(t) }
