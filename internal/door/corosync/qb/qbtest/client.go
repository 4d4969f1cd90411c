// Package qbtest is a client of libqb's shared memory transport for tests. It
// does what the C library does (corosync-ipc 1.3 and 1.4), from the same
// description but with no code shared with the server, and lets tests do what
// the library never would.
package qbtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Errors that the C library maps to values of cs_error_t.
var (
	ErrAgain  = errors.New("qbtest: no room or held by flow control")
	ErrClosed = errors.New("qbtest: server hung up")
)

// RefusedError is an answer of the handshake other than zero.
type RefusedError struct{ Errno syscall.Errno }

func (e *RefusedError) Error() string { return "qbtest: connection refused: " + e.Errno.Error() }

// Ring is one mapped ring with everything in it open to the test.
type Ring struct {
	Path string // without -header and -data
	Head []byte
	Data []byte
}

// Offsets in Ring.Head.
const (
	WritePt  = 0
	ReadPt   = 4
	Words    = 8
	Refs     = 8204
	Sem      = 8208
	FlowWord = 8240
)

// Field is a word of the header.
func (r *Ring) Field(off int) *uint32 { return (*uint32)(unsafe.Pointer(&r.Head[off])) }

// Word is a word of the data.
func (r *Ring) Word(i uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.Data[4*i])) }

func (r *Ring) sem() *uint64 { return (*uint64)(unsafe.Pointer(&r.Head[Sem])) }

// Client is one connection.
type Client struct {
	FD                       int
	Size                     int
	Answer                   []byte // of the handshake
	Request, Response, Event Ring
}

// AuthRequest is the first message of a client that wants the given size.
func AuthRequest(size uint32) []byte {
	b := make([]byte, 24)
	binary.LittleEndian.PutUint32(b, 0xffffffff)
	binary.LittleEndian.PutUint32(b[8:], 24)
	binary.LittleEndian.PutUint32(b[16:], size)
	return b
}

// Connect opens the setup socket: an abstract one, padded, or a file if the
// name has a slash. It sends nothing.
func Connect(name string) (int, error) {
	if !strings.Contains(name, "/") {
		name = "@" + name + strings.Repeat("\x00", 107-len(name))
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: name}); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

// Dial connects and opens the rings.
func Dial(name string, size uint32) (*Client, error) { return DialIn("", name, size) }

// DialIn is Dial for a server whose files are below root, because it has another
// file system. The calling thread is in the server's network namespace.
func DialIn(root, name string, size uint32) (*Client, error) {
	fd, err := Connect(name)
	if err != nil {
		return nil, err
	}
	c := &Client{FD: fd}
	if _, err := unix.Write(fd, AuthRequest(size)); err != nil {
		c.Close()
		return nil, err
	}
	if c.Answer, err = ReadAnswer(fd); err != nil {
		c.Close()
		return nil, err
	}
	if no := int32(binary.LittleEndian.Uint32(c.Answer[16:])); no != 0 {
		c.Close()
		return nil, &RefusedError{syscall.Errno(-no)}
	}
	c.Size = int(binary.LittleEndian.Uint32(c.Answer[28:]))
	for i, r := range []*Ring{&c.Request, &c.Response, &c.Event} {
		name, _, _ := bytes.Cut(c.Answer[40+4096*i:40+4096*(i+1)], []byte{0})
		if err := r.open(root, string(name), c.Size, i == 0); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// ReadAnswer reads the server's side of the handshake.
func ReadAnswer(fd int) ([]byte, error) {
	b := make([]byte, 12328)
	for n := 0; n < len(b); {
		m, err := unix.Read(fd, b[n:])
		if err != nil || m == 0 {
			return nil, fmt.Errorf("handshake ended after %d bytes: %w", n, errors.Join(err, ErrClosed))
		}
		n += m
	}
	return b, nil
}

func (r *Ring) open(root, path string, size int, request bool) (err error) {
	r.Path = root + path
	headLen, page := 8248, os.Getpagesize()
	if request {
		headLen = 8252
	}
	if r.Head, err = mapFile(r.Path+"-header", headLen); err != nil {
		return err
	}
	name, _, _ := bytes.Cut(r.Head[4108:8204], []byte{0})
	if r.Data, err = mapFile(root+string(name), (size+13+page-1)/page*page); err != nil {
		return err
	}
	if *r.Field(Words) != uint32(len(r.Data)/4) {
		return fmt.Errorf("%s: %d words in %d bytes", path, *r.Field(Words), len(r.Data))
	}
	atomic.AddUint32(r.Field(Refs), 1)
	return nil
}

func mapFile(path string, size int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// Close hangs up and unmaps, without any message.
func (c *Client) Close() {
	if c.FD >= 0 {
		_ = unix.Close(c.FD)
		c.FD = -1
	}
	for _, r := range []*Ring{&c.Request, &c.Response, &c.Event} {
		if r.Head != nil {
			_ = unix.Munmap(r.Head)
		}
		if r.Data != nil {
			_ = unix.Munmap(r.Data)
		}
		r.Head, r.Data = nil, nil
	}
}

// Flow is the flow-control word.
func (c *Client) Flow() uint32 { return atomic.LoadUint32(c.Request.Field(FlowWord)) }

// Send puts one request into the ring and sends its byte. limit is the largest
// value of the flow-control word that blocks: 1, or 2 for a multicast.
func (c *Client) Send(msg []byte, limit uint32) error {
	if refs := atomic.LoadUint32(c.Request.Field(Refs)); refs != 2 {
		return fmt.Errorf("%w: reference count %d", ErrClosed, refs)
	}
	if f := c.Flow(); f > 0 && f <= limit {
		return ErrAgain
	}
	if err := c.Request.Write(msg); err != nil {
		return err
	}
	return c.Notify()
}

// Notify sends one byte.
func (c *Client) Notify() error {
	_, err := unix.Write(c.FD, []byte{1})
	return err
}

// Write appends one complete chunk.
func (r *Ring) Write(msg []byte) error {
	n := uint32(len(r.Data) / 4)
	w, rd := *r.Field(WritePt), atomic.LoadUint32(r.Field(ReadPt))
	free := n
	if w > rd {
		free = rd - w + n - 1
	} else if w < rd {
		free = rd - w - 1
	} else if uint32(atomic.LoadUint64(r.sem())) > 0 {
		free = 0
	}
	if 4*int(free) < len(msg)+12 {
		return ErrAgain
	}
	*r.Word(w) = 0
	*r.Word((w + 1) % n) = 0xA110CED0
	for i := range msg {
		r.Data[(int(w+2)*4+i)%len(r.Data)] = msg[i]
	}
	*r.Word(w) = uint32(len(msg))
	*r.Field(WritePt) = (w + 2 + uint32(len(msg)+3)/4) % n
	atomic.StoreUint32(r.Word((w+1)%n), 0xA1A1A1A1)
	atomic.AddUint64(r.sem(), 1)
	return nil
}

// read takes the chunk at the read position, the unit being taken already.
func (r *Ring) read() ([]byte, error) {
	n := uint32(len(r.Data) / 4)
	rd := *r.Field(ReadPt)
	if m := atomic.LoadUint32(r.Word((rd + 1) % n)); m != 0xA1A1A1A1 {
		return nil, fmt.Errorf("chunk at %d has magic %#x", rd, m)
	}
	msg := make([]byte, *r.Word(rd))
	for i := range msg {
		msg[i] = r.Data[(int(rd+2)*4+i)%len(r.Data)]
	}
	*r.Word(rd) = 0
	*r.Word((rd + 1) % n) = 0xD0D0D0D0
	atomic.StoreUint32(r.Field(ReadPt), (rd+2+uint32(len(msg)+3)/4)%n)
	return msg, nil
}

// take takes one unit if there is one.
func (r *Ring) take() bool {
	for {
		v := atomic.LoadUint64(r.sem())
		if uint32(v) == 0 {
			return false
		}
		if atomic.CompareAndSwapUint64(r.sem(), v, v-1) {
			return true
		}
	}
}

// wait takes one unit, sleeping as sem_timedwait does.
func (r *Ring) wait(d time.Duration) bool {
	deadline := time.Now().Add(d)
	for !r.take() {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		atomic.AddUint64(r.sem(), 1<<32)
		ts := unix.NsecToTimespec(int64(left))
		_, _, _ = syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(r.sem())), 0, 0, uintptr(unsafe.Pointer(&ts)), 0, 0)
		atomic.AddUint64(r.sem(), ^uint64(1<<32-1))
	}
	return true
}

// Receive waits for one response.
func (c *Client) Receive(d time.Duration) ([]byte, error) {
	if !c.Response.wait(d) {
		if c.WaitHangUp(0) {
			return nil, ErrClosed
		}
		return nil, fmt.Errorf("no response within %v", d)
	}
	return c.Response.read()
}

// Call sends a request and waits for its response.
func (c *Client) Call(msg []byte) ([]byte, error) {
	if err := c.Send(msg, 1); err != nil {
		return nil, err
	}
	return c.Receive(10 * time.Second)
}

// Readable reports whether the socket becomes readable within d: an event
// waits, or the server hung up.
func (c *Client) Readable(d time.Duration) bool { return poll(c.FD, unix.POLLIN, d) }

// WaitHangUp reports whether the server hangs up within d.
func (c *Client) WaitHangUp(d time.Duration) bool { return poll(c.FD, unix.POLLRDHUP, d) }

func poll(fd int, events int16, d time.Duration) bool {
	for deadline := time.Now().Add(d); ; {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(fds, int(max(0, time.Until(deadline)).Milliseconds()))
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// Dispatch takes one event as the library does: readable socket, chunk, byte.
func (c *Client) Dispatch(d time.Duration) ([]byte, error) {
	if !c.Readable(d) {
		return nil, fmt.Errorf("no event within %v", d)
	}
	if !c.Event.take() {
		return nil, ErrClosed
	}
	msg, err := c.Event.read()
	if err != nil {
		return nil, err
	}
	var b [1]byte
	if n, err := unix.Read(c.FD, b[:]); n != 1 {
		return nil, errors.Join(err, ErrClosed)
	}
	return msg, nil
}

// Files lists the six shared files.
func (c *Client) Files() []string {
	var names []string
	for _, r := range []*Ring{&c.Request, &c.Response, &c.Event} {
		names = append(names, r.Path+"-header", r.Path+"-data")
	}
	return names
}

// Header builds a request's 16-byte header, Message a request with a body.
func Header(id int32, size int) []byte {
	b := make([]byte, 16)
	binary.LittleEndian.PutUint32(b, uint32(id))
	binary.LittleEndian.PutUint32(b[8:], uint32(size))
	return b
}

// Message is a request with a body behind its header.
func Message(id int32, body []byte) []byte {
	return append(Header(id, 16+len(body)), body...)
}
