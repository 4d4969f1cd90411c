package link

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/testenv"
)

var start = time.Now()

func now() proto.Tick { return proto.Tick(time.Since(start)) + 1 }

// node is a Link whose datagrams are kept.
type node struct {
	*Link
	mu      sync.Mutex // guards the rest
	got     []seal.Datagram
	dropped uint32
	refused []netip.AddrPort
	tooBig  map[netip.AddrPort]int
}

func (n *node) take(b *Batch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range b.Datagrams {
		d.Data = bytes.Clone(d.Data)
		n.got = append(n.got, d)
	}
	n.dropped += b.Dropped
	b.Release()
}

// wait waits for count datagrams in all and returns them.
func (n *node) wait(t testing.TB, count int) []seal.Datagram {
	t.Helper()
	testenv.Eventually(t, 10*time.Second, fmt.Sprint(count, " datagrams"), func() (bool, any) {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.got) >= count, len(n.got)
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got)
}

func open(t testing.TB, change func(*Config), addrs ...string) *node {
	t.Helper()
	n := &node{tooBig: make(map[netip.AddrPort]int)}
	c := Config{
		Now: now, Handler: n.take,
		Refused: func(_ uint8, to netip.AddrPort) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.refused = append(n.refused, to)
		},
		TooBig: func(_ uint8, to netip.AddrPort, mtu int) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.tooBig[to] = mtu
		},
	}
	for _, a := range addrs {
		c.Links = append(c.Links, Endpoint{Data: netip.MustParseAddrPort(a)})
	}
	if change != nil {
		change(&c)
	}
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	n.Link = l
	return n
}

func (l *Link) counter(name, cause string) (sum uint64) {
	for _, c := range l.Counters() {
		if c.Name == name && c.Cause == cause {
			sum += c.Value
		}
	}
	return sum
}

func to(l *Link, link uint8, control bool, body string) seal.Datagram {
	return seal.Datagram{Link: link, Control: control, Addr: l.Addr(link, control), Data: []byte(body)}
}

func TestSendAndReceive(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		a, b := open(t, nil, host, host), open(t, nil, host, host)
		var batch []seal.Datagram
		for link := range uint8(2) {
			for _, control := range []bool{false, true} {
				for i := range 200 {
					batch = append(batch, to(b.Link, link, control, fmt.Sprint(link, control, i)))
				}
			}
		}
		before := now()
		a.Send(batch)
		next := make(map[string]int)
		for _, d := range b.wait(t, len(batch)) {
			key := fmt.Sprint(d.Link, d.Control)
			if want := fmt.Sprint(d.Link, d.Control, next[key]); string(d.Data) != want {
				t.Fatalf("%s: got %q, want %q", host, d.Data, want)
			}
			next[key]++
			if d.Addr != a.Addr(d.Link, d.Control) {
				t.Fatalf("source %v, want %v", d.Addr, a.Addr(d.Link, d.Control))
			}
			if d.Arrived < before-10*proto.Millisecond || d.Arrived > now() {
				t.Fatalf("arrived at %v, sent at %v", d.Arrived, before)
			}
		}
		if d, c := b.Addr(0, false), b.Addr(0, true); c.Port() != d.Port()+1 {
			t.Errorf("data at %v, control at %v", d, c)
		}
	}
}

func TestSend_OneBufferToSeveral(t *testing.T) {
	a := open(t, nil, "127.0.0.1:0")
	body := []byte("the same bytes")
	var batch []seal.Datagram
	var others []*node
	for range 5 {
		n := open(t, nil, "127.0.0.1:0")
		others = append(others, n)
		batch = append(batch, seal.Datagram{Addr: n.Addr(0, false), Data: body})
	}
	a.Send(batch)
	for _, n := range others {
		if got := n.wait(t, 1); !bytes.Equal(got[0].Data, body) {
			t.Errorf("got %q", got[0].Data)
		}
	}
}

func TestSend_ImpossibleDestinations(t *testing.T) {
	a := open(t, nil, "127.0.0.1:0")
	a.Send([]seal.Datagram{
		{Addr: netip.MustParseAddrPort("[::1]:9"), Data: []byte("x")},
		{Data: []byte("x")},
		{Link: 3, Addr: netip.MustParseAddrPort("127.0.0.1:9"), Data: []byte("x")},
	})
	if n := a.counter("link_unsent_datagrams_total", "address-family"); n != 2 {
		t.Errorf("%d datagrams of another family, want 2", n)
	}
	if n := a.counter("link_unsent_datagrams_total", "no-such-link"); n != 1 {
		t.Errorf("%d datagrams for links that are not here, want 1", n)
	}
}

func TestReceive_LongDatagramIsDropped(t *testing.T) {
	a, b := open(t, nil, "127.0.0.1:0"), open(t, func(c *Config) { c.MTU = 1472 }, "127.0.0.1:0")
	a.Send([]seal.Datagram{
		to(b.Link, 0, false, strings.Repeat("x", 5000)),
		to(b.Link, 0, false, strings.Repeat("y", 1472)),
	})
	if got := b.wait(t, 1); got[0].Data[0] != 'y' || len(got[0].Data) != 1472 {
		t.Errorf("got %d bytes of %q", len(got[0].Data), got[0].Data[:1])
	}
	if n := b.counter("link_truncated_datagrams_total", ""); n != 1 {
		t.Errorf("%d truncated, want 1", n)
	}
}

func TestReceive_BatchesOutMeansWait(t *testing.T) {
	held := make(chan *Batch, 16)
	a := open(t, nil, "127.0.0.1:0")
	b := open(t, func(c *Config) {
		c.Handler = func(b *Batch) { held <- b }
		c.Batches, c.Batch, c.NoOffload = 2, 1, true
	}, "127.0.0.1:0")
	for i := range 5 {
		a.Send([]seal.Datagram{to(b.Link, 0, false, fmt.Sprint(i))})
	}
	first, second := <-held, <-held
	if string(first.Datagrams[0].Data) != "0" || string(second.Datagrams[0].Data) != "1" {
		t.Errorf("got %q and %q", first.Datagrams[0].Data, second.Datagrams[0].Data)
	}
	if len(held) != 0 {
		t.Errorf("a third batch came while both are out")
	}
	first.Release()
	second.Release()
	for i := 2; i < 5; i++ {
		x := <-held
		if string(x.Datagrams[0].Data) != fmt.Sprint(i) {
			t.Errorf("got %q, want %d", x.Datagrams[0].Data, i)
		}
		x.Release()
	}
	// Close returns although the reader may wait for batches.
	a.Send([]seal.Datagram{to(b.Link, 0, false, "x"), to(b.Link, 0, false, "y"), to(b.Link, 0, false, "z")})
	<-held
	<-held
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	a, b := open(t, nil, "127.0.0.1:0"), open(t, nil, "127.0.0.1:0")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { a.Close() })
		wg.Go(func() { a.Send([]seal.Datagram{to(b.Link, 0, false, "x")}) })
	}
	wg.Wait()
	a.Send([]seal.Datagram{to(b.Link, 0, true, "x")})
	if a.counter("link_unsent_datagrams_total", "closed") == 0 {
		t.Errorf("a datagram sent after Close is not counted: %v", a.Counters())
	}
}

func TestOpen_PortInUse(t *testing.T) {
	a := open(t, nil, "127.0.0.1:0")
	_, err := Open(Config{Now: now, Handler: func(*Batch) {}, Links: []Endpoint{{Data: a.Addr(0, false)}}})
	if err == nil || !strings.Contains(err.Error(), "link 0: bind the data socket") {
		t.Errorf("error %v", err)
	}
	_, err = Open(Config{Now: now, Handler: func(*Batch) {}})
	if err == nil {
		t.Errorf("no links, no error")
	}
}
