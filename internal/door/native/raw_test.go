package native_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/door/native"
	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/service"
)

// raw is a client that sends what it likes.
type raw struct {
	t    *testing.T
	sock net.Conn
}

func dialRaw(t *testing.T, socket string) raw {
	t.Helper()
	sock, err := net.Dial("unixpacket", socket)
	if err != nil {
		t.Fatal(err)
	}
	sock.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { sock.Close() })
	return raw{t, sock}
}

func (r raw) send(packet []byte) {
	if _, err := r.sock.Write(packet); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		r.t.Fatal(err)
	}
}

// packet is the next one; nil: the end.
func (r raw) packet() []byte {
	r.t.Helper()
	b := make([]byte, frame.MaxPacket)
	n, err := r.sock.Read(b)
	if errors.Is(err, syscall.ECONNRESET) {
		n, err = r.sock.Read(b)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return b[:n]
}

func (r raw) greet() {
	r.t.Helper()
	r.send(frame.Hello{Min: 1, Max: 1, Packet: frame.MaxPacket, Message: frame.MaxMessage}.AppendTo(nil))
	if _, err := frame.ParseWelcome(r.packet()); err != nil {
		r.t.Fatal(err)
	}
}

// last reads to the end and gives the socket's last word.
func (r raw) last() frame.Closed {
	r.t.Helper()
	var end frame.Closed
	var d frame.Decoder
	for p := r.packet(); p != nil; p = r.packet() {
		for len(p) > 0 {
			m, rest, err := d.Next(p)
			if err != nil {
				break // a greeting
			}
			if p = rest; m.Kind == frame.KindClosed && m.Conn == 0 {
				if end, err = frame.ParseClosed(m); err != nil {
					r.t.Fatal(err)
				}
			}
		}
	}
	return end
}

// logged collects a log.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

func message(k frame.Kind, conn uint16, body ...byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(frame.HeaderLen+len(body)))
	b = binary.LittleEndian.AppendUint16(b, uint16(k))
	b = binary.LittleEndian.AppendUint16(b, conn)
	return append(b, body...)
}

func open(conn, id uint16, window uint32) []byte {
	return frame.Open{Service: id, Window: window}.AppendTo(nil, conn)
}

// Each of these ends its socket, with a reason, and no other one.
func TestBadClients(t *testing.T) {
	var log logged
	socket := startDoor(t, func(c *native.Config) {
		c.Window = 2000
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	good := join(t, dialSocket(t, socket), "g", 1)
	casts := frame.NewPacker(frame.MaxPacket)
	for range 100 {
		casts.Cast(1, frame.Cast{Func: cpg.CallLocal, Body: make([]byte, 100)})
	}
	hello := frame.Hello{Min: 1, Max: 1, Packet: frame.MaxPacket, Message: frame.MaxMessage}
	for name, test := range map[string]struct {
		packets [][]byte // behind a greeting, or in its place
		first   bool
		code    service.Code
		text    string
	}{
		"no greeting":       {packets: [][]byte{open(1, cpg.ID, 100)}, first: true, code: service.ErrMessageError, text: "hello"},
		"later versions":    {packets: [][]byte{frame.Hello{Min: 2, Max: 9, Packet: 1 << 20, Message: 4 << 20}.AppendTo(nil)}, first: true, code: service.ErrVersion, text: "update the older one"},
		"tiny packets":      {packets: [][]byte{frame.Hello{Min: 1, Max: 1, Packet: 10, Message: 4 << 20}.AppendTo(nil)}, first: true, code: service.ErrMessageError, text: "limits"},
		"two greetings":     {packets: [][]byte{hello.AppendTo(nil)}, code: service.ErrMessageError, text: "hello"},
		"half a message":    {packets: [][]byte{open(1, cpg.ID, 100)[:12]}, code: service.ErrMessageError, text: "16 bytes, 12 are left"},
		"garbage":           {packets: [][]byte{bytes.Repeat([]byte{0xa5}, 5000)}, code: service.ErrMessageError, text: "are left"},
		"huge packet":       {packets: [][]byte{make([]byte, frame.MaxPacket+10)}, code: service.ErrMessageError, text: "a packet of more than"},
		"agent's message":   {packets: [][]byte{message(frame.KindEvent, 1, 0, 0, 0, 0)}, code: service.ErrMessageError, text: "event from a client"},
		"opened twice":      {packets: [][]byte{open(1, cpg.ID, 100), open(1, cpg.ID, 100)}, code: service.ErrMessageError, text: "open already"},
		"no window":         {packets: [][]byte{open(1, cpg.ID, 0)}, code: service.ErrMessageError, text: "window"},
		"huge window":       {packets: [][]byte{open(1, cpg.ID, frame.MaxWindow+1)}, code: service.ErrMessageError, text: "window"},
		"connection zero":   {packets: [][]byte{open(0, cpg.ID, 100)}, code: service.ErrMessageError, text: "without a connection"},
		"false credit":      {packets: [][]byte{open(1, cpg.ID, 100), frame.Credit{Bytes: 1}.AppendTo(nil, 1)}, code: service.ErrMessageError, text: "credit for"},
		"events not sent":   {packets: [][]byte{open(1, cpg.ID, 100), frame.Credit{Count: 1}.AppendTo(nil, 1)}, code: service.ErrMessageError, text: "credit for"},
		"call cut short":    {packets: [][]byte{open(1, cpg.ID, 100), message(frame.KindCall, 1, 1, 2, 3)}, code: service.ErrMessageError, text: "call of"},
		"tag too large":     {packets: [][]byte{open(1, cpg.ID, 100), message(frame.KindCast, 1, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0)}, code: service.ErrMessageError, text: "tag"},
		"part out of place": {packets: [][]byte{message(frame.KindPart, 0, 100, 0, 0, 0, 5, 0, 0, 0, 1)}, code: service.ErrMessageError, text: "part at"},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, socket)
			if !test.first {
				r.greet()
			}
			for _, p := range test.packets {
				r.send(p)
			}
			if end := r.last(); end.Code != test.code || !strings.Contains(end.Text, test.text) {
				t.Errorf("got %v: %s", end.Code, end.Text)
			}
		})
	}
	if n := log.count("cut off"); n < 5 || n > 10 {
		t.Errorf("%d lines in the log", n)
	}
	if _, err := good.Call(soon(t), cpg.CallLocal, nil); err != nil {
		t.Error(err)
	}
}

// A thousand clients come and go and leave nothing behind.
func TestClientsLeaveNothing(t *testing.T) {
	socket := startDoor(t, func(*native.Config) {})
	visit := func() {
		c, err := client.Dial(soon(t), client.Config{Socket: socket})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := c.Open(soon(t), cpg.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Call(soon(t), cpg.CallLocal, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		visit()
	}
	goroutines, files, heap := runtime.NumGoroutine(), openFiles(t), heapInUse()
	for range 1000 {
		visit()
	}
	testenv.Eventually(t, patience, "no goroutine and no file is left", func() (bool, any) {
		n, f := runtime.NumGoroutine(), openFiles(t)
		return n <= goroutines && f <= files, []int{n, goroutines, f, files}
	})
	if now := heapInUse(); now > heap+4<<20 {
		t.Errorf("%d bytes in use, %d before", now, heap)
	}
}

func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc to count open files in")
	}
	return len(list)
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// More clients than the door takes are told so.
func TestTooManyClients(t *testing.T) {
	socket := startDoor(t, func(c *native.Config) { c.MaxClients = 2 })
	dialSocket(t, socket)
	dialSocket(t, socket)
	_, err := client.Dial(soon(t), client.Config{Socket: socket})
	if !errors.Is(err, service.ErrNoResources) {
		t.Errorf("got %v", err)
	}
}
