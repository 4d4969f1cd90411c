package client

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a socket and the other end of it.
func pair(t *testing.T) (*socket, *net.UnixConn) {
	t.Helper()
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixpacket"}
	l, err := net.ListenUnix("unixpacket", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.DialUnix("unixpacket", nil, addr)
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSocket(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(); other.Close() })
	return s, other
}

// full fills the socket, and says how many packets are in it.
func full(s *socket, packet []byte) (n int) {
	for s.tryWrite(packet) {
		n++
	}
	return n
}

// Neither direction allocates for a packet.
func TestSocket_AllocatesNothing(t *testing.T) {
	s, other := pair(t)
	raw, err := other.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	packet, buf := make([]byte, 64), make([]byte, 64)
	echo := func(fd uintptr) bool {
		n, err := unix.Read(int(fd), buf)
		if err == nil {
			_, err = unix.Write(int(fd), buf[:n])
		}
		return !errors.Is(err, unix.EAGAIN)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := s.write(packet); err != nil {
			t.Fatal(err)
		}
		if err := raw.Read(echo); err != nil {
			t.Fatal(err)
		}
		if n, err := s.read(packet); n != len(packet) || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a packet in each direction", n)
	}
}

// What does not fit is written when the other end has read; packets stay whole and
// in order.
func TestSocket_Full(t *testing.T) {
	s, other := pair(t)
	packet := make([]byte, 4096)
	n := full(s, packet)
	if n == 0 {
		t.Fatal("nothing fits")
	}
	written := make(chan error, 1)
	go func() { written <- s.write([]byte("last")) }()
	buf := make([]byte, 8192)
	for range n {
		if got, err := other.Read(buf); err != nil || got != len(packet) {
			t.Fatalf("read %d bytes, %v", got, err)
		}
	}
	got, err := other.Read(buf)
	if err != nil || string(buf[:got]) != "last" {
		t.Errorf("read %q, %v", buf[:got], err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if !s.tryWrite([]byte("more")) {
		t.Error("an empty socket takes nothing")
	}
}

// Who waits is woken by what comes, by the other's end and by the own one.
func TestSocket_Ends(t *testing.T) {
	s, other := pair(t)
	buf := make([]byte, 16)
	type result struct {
		text string
		err  error
	}
	results := make(chan result)
	go func() {
		for range 3 {
			n, err := s.read(buf)
			results <- result{string(buf[:n]), err}
		}
	}()
	for _, text := range []string{"one", "two"} {
		if _, err := other.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if r := <-results; r.text != text || r.err != nil {
			t.Errorf("read %q, %v", r.text, r.err)
		}
	}
	other.Close()
	if r := <-results; r.err != io.EOF {
		t.Errorf("after the end: %v", r.err)
	}
	if err := s.write([]byte("x")); err == nil {
		t.Error("written to nobody")
	}
}

func TestSocket_Close(t *testing.T) {
	s, _ := pair(t)
	full(s, make([]byte, 4096))
	ended := make(chan error)
	go func() { _, err := s.read(make([]byte, 16)); ended <- err }()
	go func() { ended <- s.write([]byte("x")) }()
	s.close()
	for range 2 {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
}

// A deadline ends a write that waits.
func TestSocket_Deadline(t *testing.T) {
	s, _ := pair(t)
	full(s, make([]byte, 4096))
	ended := make(chan error)
	go func() { ended <- s.write([]byte("x")) }()
	s.setWriteDeadline(time.Now())
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
