package client

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

const patience = 60 * time.Second

var welcome = frame.Welcome{Version: 1, Packet: frame.MaxPacket, Message: frame.MaxMessage, Node: 1, Inc: 2, Agent: "fake", Name: "one", Cluster: "c"}

// fakeAgent takes clients one after the other: it reads the greeting and leaves
// the rest to serve.
func fakeAgent(t testing.TB, serve func(*net.UnixConn)) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.Listen("unixpacket", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1000))
			serve(c.(*net.UnixConn))
			c.Close()
		}
	}()
	return socket
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// An agent whose first packet makes no sense, or that refuses, is not dialled.
func TestDial_Refused(t *testing.T) {
	later := welcome
	later.Version = 9
	for name, test := range map[string]struct {
		packet []byte
		is     error
		text   string
	}{
		"no access":     {frame.Closed{Code: service.ErrAccess, Text: "not you"}.AppendTo(nil, 0), service.ErrAccess, "not you"},
		"other version": {frame.Closed{Code: service.ErrVersion, Text: "too new"}.AppendTo(nil, 0), service.ErrVersion, "too new"},
		"a later one":   {later.AppendTo(nil), frame.ErrMalformed, "version 9"},
		"garbage":       {[]byte("SSH-2.0-OpenSSH_9.2p1 Debian-2 and some more text to read"), frame.ErrMalformed, ""},
		"nothing":       {nil, nil, "no answer to the greeting"},
	} {
		t.Run(name, func(t *testing.T) {
			socket := fakeAgent(t, func(c *net.UnixConn) {
				if test.packet != nil {
					_, _ = c.Write(test.packet)
				}
			})
			_, err := Dial(soon(t), Config{Socket: socket})
			if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An agent that says nothing is waited for as long as the context says.
func TestDial_Silent(t *testing.T) {
	ended := make(chan struct{})
	defer close(ended)
	socket := fakeAgent(t, func(*net.UnixConn) { <-ended })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, Config{Socket: socket}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// connected opens a service at an agent that goes on with packets.
func connected(t testing.TB, packets ...[]byte) (*Client, session.Conn) {
	t.Helper()
	socket := fakeAgent(t, func(c *net.UnixConn) {
		_, _ = c.Write(welcome.AppendTo(nil))
		_, _ = c.Read(make([]byte, 1000)) // open
		_, _ = c.Write(frame.Opened{ID: 1, Inc: 2, Window: 1000}.AppendTo(nil, 1))
		for _, p := range packets {
			_, _ = c.Write(p)
		}
	})
	c, err := Dial(soon(t), Config{Socket: socket, Window: 300})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	conn, err := c.Open(soon(t), 8)
	if err != nil {
		t.Skip("the connection ended before it was open:", err) // a matter of luck
	}
	return c, conn
}

// received reads to the end.
func received(t testing.TB, conn session.Conn) (n int, err error) {
	dst := make([]session.Event, 4)
	for {
		k, err := conn.Recv(soon(t), dst)
		n += k
		if err != nil {
			return n, err
		}
	}
}

// What came before the end is given before the error, whatever the end is.
func TestAgent_Ends(t *testing.T) {
	event := frame.Event{Kind: 1, Body: make([]byte, 88)}.AppendTo(nil, 1)
	for name, test := range map[string]struct {
		packets [][]byte
		is      []error
		text    string
	}{
		"vanishes":            {nil, []error{ErrGone}, ""},
		"stops":               {[][]byte{frame.Closed{Code: service.ErrLibrary, Text: "the agent stops"}.AppendTo(nil, 0)}, []error{ErrGone}, "the agent stops"},
		"cuts the client off": {[][]byte{frame.Closed{Code: service.ErrMessageError, Text: "bad client"}.AppendTo(nil, 0)}, []error{ErrGone, service.ErrMessageError}, "bad client"},
		"evicts":              {[][]byte{frame.Closed{Code: service.ErrQueueFull, Text: "slow"}.AppendTo(nil, 1)}, []error{service.ErrOverflow}, "slow"},
		"closes":              {[][]byte{frame.Closed{Code: service.ErrNotExist, Text: "why"}.AppendTo(nil, 1)}, []error{service.ErrNotExist}, "why"},
		"garbage":             {[][]byte{[]byte("what is this?")}, []error{frame.ErrMalformed}, ""},
		"too many events":     {[][]byte{bytes.Repeat(event, 4)}, []error{frame.ErrMalformed}, "without credit"}, // at once: more than the whole window
		"opened twice":        {[][]byte{frame.Opened{Window: 1}.AppendTo(nil, 1)}, []error{frame.ErrMalformed}, "opened twice"},
		"a client's message":  {[][]byte{frame.Open{Service: 1, Window: 1}.AppendTo(nil, 1)}, []error{frame.ErrMalformed}, "open from an agent"},
		"unknown connection":  {[][]byte{frame.Opened{Window: 1}.AppendTo(nil, 7)}, []error{frame.ErrMalformed}, "connection 7"},
		"false credit":        {[][]byte{frame.Credit{Bytes: 1}.AppendTo(nil, 1)}, []error{frame.ErrMalformed}, "credit"},
	} {
		t.Run(name, func(t *testing.T) {
			packets := append([][]byte{append(append(append([]byte(nil), event...), event...), event...)}, test.packets...)
			_, conn := connected(t, packets...)
			n, err := received(t, conn)
			if want := 3; n < want {
				t.Errorf("%d events, want %d", n, want)
			}
			for _, is := range append(test.is, session.ErrClosed) {
				if !errors.Is(err, is) {
					t.Errorf("got %v, which is not %v", err, is)
				}
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v", err)
			}
			if _, ok := errors.AsType[*EvictedError](err); ok != (name == "evicts") {
				t.Errorf("evicted: %v", ok)
			}
		})
	}
}

// echo answers each cast with an event and gives credit back when that is taken.
// All casts have the same size.
func echo(c *net.UnixConn) {
	_, _ = c.Write(welcome.AppendTo(nil))
	out := frame.NewPacker(frame.MaxPacket)
	buf := make([]byte, frame.MaxPacket)
	var dec frame.Decoder
	size := 0
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		for p := buf[:n]; len(p) > 0; {
			m, rest, err := dec.Next(p)
			if err != nil {
				return
			}
			switch p = rest; m.Kind {
			case frame.KindOpen:
				out.Opened(m.Conn, frame.Opened{ID: 1, Window: 1 << 20})
			case frame.KindCast:
				k, _ := frame.ParseCast(m)
				out.Event(m.Conn, frame.Event{Kind: k.Func, Body: k.Body})
				size = m.Size()
			case frame.KindCredit:
				k, _ := frame.ParseCredit(m)
				out.Credit(m.Conn, frame.Credit{Bytes: k.Count * uint32(size)})
			}
		}
		for ; out.Len() > 0; out.Sent() {
			if _, err := c.Write(out.Next()); err != nil {
				return
			}
		}
	}
}

// Casts and events take no memory in the long run.
func TestConn_AllocatesNothing(t *testing.T) {
	c, err := Dial(soon(t), Config{Socket: fakeAgent(t, echo)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := soon(t)
	conn, err := c.Open(ctx, 8)
	if err != nil {
		t.Fatal(err)
	}
	body, dst := make([]byte, 64), make([]session.Event, 64)
	const messages = 2000
	turn := func() {
		for range messages {
			if err := conn.Cast(ctx, 1, 2, body); err != nil {
				t.Fatal(err)
			}
		}
		for got := 0; got < messages; {
			n, err := conn.Recv(ctx, dst)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}
	for range 10 {
		turn()
	}
	if n := testing.AllocsPerRun(20, turn); n > messages/100 {
		t.Errorf("%v allocations for %d messages", n, messages)
	}
}

// What cannot be written ends the Client: nobody waits for answers to it.
func TestClient_CannotWrite(t *testing.T) {
	c, err := Dial(soon(t), Config{Socket: fakeAgent(t, echo)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.link.lost(syscall.EMSGSIZE)
	<-c.Done()
	if err := c.Err(); !errors.Is(err, ErrGone) {
		t.Errorf("got %v", err)
	}
}

// A client with a large window tells what it took before the agent takes it for
// one that takes nothing.
func TestConn_LargeWindow(t *testing.T) {
	credited := make(chan frame.Kind, 1)
	socket := fakeAgent(t, func(c *net.UnixConn) {
		_, _ = c.Write(welcome.AppendTo(nil))
		buf := make([]byte, frame.MaxPacket)
		_, _ = c.Read(buf) // open
		_, _ = c.Write(frame.Opened{ID: 1, Inc: 2, Window: 1000}.AppendTo(nil, 1))
		event := frame.Event{Kind: 1, Body: make([]byte, 100_000)}.AppendTo(nil, 1)
		for range 4 {
			_, _ = c.Write(event)
		}
		if n, err := c.Read(buf); err == nil && n >= frame.HeaderLen {
			credited <- frame.Parse(buf[:n]).Kind
		}
	})
	c, err := Dial(soon(t), Config{Socket: socket, Window: frame.MaxWindow})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := soon(t)
	conn, err := c.Open(ctx, 8)
	if err != nil {
		t.Fatal(err)
	}
	go received(t, conn) // until the agent has gone
	select {
	case k := <-credited:
		if k != frame.KindCredit {
			t.Errorf("got %v", k)
		}
	case <-ctx.Done():
		t.Error("the agent was not told of 400 kB that were taken")
	}
}

// FuzzAgent gives a client packets that no agent would send.
func FuzzAgent(f *testing.F) {
	f.Add(frame.Event{Kind: 1, Body: []byte("x")}.AppendTo(nil, 1))
	f.Add(frame.Credit{Bytes: 10}.AppendTo(nil, 1))
	f.Add(frame.Closed{Code: service.ErrQueueFull}.AppendTo(nil, 1))
	f.Fuzz(func(t *testing.T, packets []byte) {
		var list [][]byte
		for len(packets) > 0 {
			n := min(1+len(packets)/2, len(packets))
			list = append(list, packets[:n])
			packets = packets[n:]
		}
		_, conn := connected(t, list...)
		n, err := received(t, conn)
		if !errors.Is(err, session.ErrClosed) || n > 300 {
			t.Errorf("%d events, %v", n, err)
		}
	})
}

// BenchmarkCast is one message to an agent that sends it back.
func BenchmarkCast(b *testing.B) {
	c, err := Dial(soon(b), Config{Socket: fakeAgent(b, echo)})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	conn, err := c.Open(ctx, 8)
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error)
	go func() {
		dst := make([]session.Event, 256)
		for got := 0; got < b.N; {
			n, err := conn.Recv(ctx, dst)
			if err != nil {
				done <- err
				return
			}
			got += n
		}
		done <- nil
	}()
	body := make([]byte, 64)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := conn.Cast(ctx, 1, 2, body); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
