//go:build linux && !portable

package link

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/testenv"
)

// TestReceive_DataBeforeControl: what arrived while the receiver was busy is
// handed over with all data first, however many batches that takes.
func TestReceive_DataBeforeControl(t *testing.T) {
	for _, noOffload := range []bool{true, false} {
		enter, leave := make(chan bool, 2), make(chan bool)
		var got []string
		b := open(t, func(c *Config) {
			c.NoOffload, c.Batch, c.Batches = noOffload, 4, 2
			c.Handler = func(b *Batch) {
				for _, d := range b.Datagrams {
					got = append(got, string(d.Data[:7]))
				}
				b.Release()
				if len(got) == 1 || strings.HasSuffix(got[len(got)-1], "last") {
					enter <- true
					<-leave
				}
			}
		}, "127.0.0.1:0", "127.0.0.1:0")
		a := open(t, nil, "127.0.0.1:0", "127.0.0.1:0")
		t.Cleanup(func() { close(leave) })
		a.Send([]seal.Datagram{to(b.Link, 0, false, "0 start")})
		<-enter
		const each = 100
		// Sockets and sizes change, so that nothing merges by chance.
		for i := range each {
			for link := range uint8(2) {
				a.Send([]seal.Datagram{to(b.Link, link, false, fmt.Sprintf("%d d%04d%s", link, i, strings.Repeat("x", i%50)))})
			}
		}
		a.Send([]seal.Datagram{to(b.Link, 0, true, "0 token"), to(b.Link, 0, true, "0  last")})
		leave <- true
		<-enter
		if n := len(got); n != 1+2*each+2 || got[n-2] != "0 token" {
			t.Fatalf("control is not behind %d data but: %d, %v", 2*each, n, got[max(0, n-5):])
		}
		next := [2]int{}
		for _, g := range got[1 : 1+2*each] {
			link, i := 0, 0
			if _, err := fmt.Sscanf(g, "%d d%d", &link, &i); err != nil || i != next[link] {
				t.Fatalf("data %q, want number %d of its link", g, next[link])
			}
			next[link]++
		}
	}
}

// hold makes a node whose handler keeps the batches.
func hold(t *testing.T) (*node, chan *Batch) {
	held := make(chan *Batch, 64)
	n := open(t, func(c *Config) {
		c.Handler = func(b *Batch) { held <- b }
		c.Batches, c.Batch, c.NoOffload = 2, 1, true
	}, "127.0.0.1:0", "127.0.0.1:0")
	return n, held
}

// TestReceive_OtherSocketsGoOn: while all batches of a socket are out the others
// are read, without turning in circles, and control waits for data that is there.
func TestReceive_OtherSocketsGoOn(t *testing.T) {
	a := open(t, nil, "127.0.0.1:0", "127.0.0.1:0")
	b, held := hold(t)
	send := func(link uint8, control bool, body string) {
		a.Send([]seal.Datagram{to(b.Link, link, control, body)})
	}
	next := func(want string) *Batch {
		t.Helper()
		select {
		case x := <-held:
			if got := string(x.Datagrams[0].Data); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
			return x
		case <-time.After(10 * time.Second):
			t.Fatalf("%q does not come", want)
			return nil
		}
	}
	send(0, false, "a")
	send(0, false, "b")
	first, second := next("a"), next("b")
	send(0, true, "nothing waits")
	next("nothing waits").Release()

	send(0, false, "c")
	send(0, true, "token")
	send(1, true, "other token")
	send(1, false, "other data")
	next("other data").Release()
	testenv.Eventually(t, 5*time.Second, "rest", func() (bool, any) {
		var events [4]unix.EpollEvent
		n, err := unix.EpollWait(b.receiver.fd, events[:], 0)
		return n == 0 && b.sockets[0].starved.Load(), err
	})
	if len(held) != 0 {
		t.Errorf("%q overtook data", (<-held).Datagrams[0].Data)
	}
	first.Release()
	next("c").Release()
	tokens := map[string]bool{}
	for range 2 {
		x := <-held
		tokens[string(x.Datagrams[0].Data)] = true
		x.Release()
	}
	if !tokens["token"] || !tokens["other token"] {
		t.Errorf("control %v", tokens)
	}
	second.Release()
	send(0, false, "d")
	next("d").Release()
}

// TestReceive_PatienceAfterErrors: a socket that cannot be read is tried again and
// again with pauses, and keeps nothing else from being read.
func TestReceive_PatienceAfterErrors(t *testing.T) {
	a, b := open(t, nil, "127.0.0.1:0", "127.0.0.1:0"), open(t, nil, "127.0.0.1:0", "127.0.0.1:0")
	// The end of a pipe without a writer is always ready, and is no socket.
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.Close(pipe[1])
	s := b.sockets[0]
	saved, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.receiver.ignore(s, false)
	if err := unix.Dup3(pipe[0], s.fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.Close(pipe[0])
	b.receiver.resume(s)
	began := time.Now()
	testenv.Eventually(t, 10*time.Second, "errors", func() (bool, any) {
		n := b.counter("link_receive_errors_total", "")
		return n >= 5, n
	})
	// The pauses are 1, 2, 4 and 8 ms.
	if d := time.Since(began); d < 15*time.Millisecond {
		t.Errorf("five tries in %v", d)
	}
	a.Send([]seal.Datagram{to(b.Link, 0, true, "token"), to(b.Link, 1, false, "x")})
	b.wait(t, 2)

	if err := unix.Dup3(saved, s.fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.Close(saved)
	testenv.Eventually(t, 10*time.Second, "data after the error", func() (bool, any) {
		b.receiver.resume(s) // its number may have been watched as the pipe
		a.Send([]seal.Datagram{to(b.Link, 0, false, "y")})
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.got) > 2, len(b.got)
	})
}
