//go:build linux && !portable

package link

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/testenv"
)

func TestRefusedPort(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		a, b := open(t, nil, host), open(t, nil, host)
		gone := b.Addr(0, true)
		b.Close()
		// The report comes to the socket and not to the call; nothing else is lost.
		c := open(t, nil, host)
		for i := range 20 {
			a.Send([]seal.Datagram{
				{Control: true, Addr: gone, Data: []byte("x")},
				to(c.Link, 0, true, fmt.Sprint(i)),
			})
		}
		got := c.wait(t, 20)
		for i := range got {
			if string(got[i].Data) != fmt.Sprint(i) {
				t.Errorf("datagram %d is %q", i, got[i].Data)
			}
		}
		testenv.Eventually(t, 5*time.Second, "report of a refused port", func() (bool, any) {
			a.mu.Lock()
			defer a.mu.Unlock()
			return len(a.refused) > 0 && a.refused[0] == gone, a.refused
		})
	}
}

func TestKernelDropsAreCounted(t *testing.T) {
	a := open(t, nil, "127.0.0.1:0")
	first := make(chan *Batch, 1000)
	b := open(t, func(c *Config) {
		c.ReceiveBuf, c.Batches, c.Batch = 4096, 1, 4
		c.Handler = func(b *Batch) { first <- b }
	}, "127.0.0.1:0")
	if r, _ := b.Buffers(0, false); r > 8192 {
		t.Errorf("receive buffer %d", r)
	}
	a.Send([]seal.Datagram{to(b.Link, 0, false, "x")})
	held := <-first
	for range 200 {
		a.Send([]seal.Datagram{to(b.Link, 0, false, strings.Repeat("x", 1000))})
	}
	held.Release()
	dropped := uint32(0)
	testenv.Eventually(t, 5*time.Second, "drops", func() (bool, any) {
		a.Send([]seal.Datagram{to(b.Link, 0, false, "y")})
		for len(first) > 0 {
			x := <-first
			dropped += x.Dropped
			x.Release()
		}
		return dropped > 100 && b.counter("link_kernel_dropped_datagrams_total", "") == uint64(dropped), dropped
	})
}

func TestSend_FewSystemCalls(t *testing.T) {
	a, b := open(t, nil, "127.0.0.1:0"), open(t, nil, "127.0.0.1:0")
	batch := make([]seal.Datagram, 4*sendBatch)
	for i := range batch {
		batch[i] = to(b.Link, 0, false, fmt.Sprint(i))
	}
	a.Send(batch)
	b.wait(t, len(batch))
	if calls := a.counter("link_send_calls_total", ""); calls > 4 {
		t.Errorf("%d system calls for %d datagrams", calls, len(batch))
	}
}

func TestZeroAllocations(t *testing.T) {
	done := make(chan int, 1024)
	a := open(t, nil, "127.0.0.1:0")
	b := open(t, func(c *Config) {
		c.Handler = func(b *Batch) {
			n := len(b.Datagrams)
			b.Release()
			done <- n
		}
	}, "127.0.0.1:0")
	batch := make([]seal.Datagram, 64)
	for i := range batch {
		batch[i] = to(b.Link, 0, i%2 == 0, strings.Repeat("x", 1400))
	}
	round := func() {
		a.Send(batch)
		for n := 0; n < len(batch); n += <-done {
		}
	}
	round()
	if n := testing.AllocsPerRun(200, round); n > 0 {
		t.Errorf("%v allocations to send and receive %d datagrams", n, len(batch))
	}
}

// TestArrange: messages hold equal datagrams of one address in their order, the
// last one may be shorter, and none is lost.
func TestArrange(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := open(t, nil, "127.0.0.1:0").sockets[0]
	if !s.sender.segments {
		t.Skip("the kernel does not cut datagrams")
	}
	for range 2000 {
		var run []seal.Datagram
		want := make(map[netip.AddrPort][]byte)
		nodes, sizes := 1+rng.IntN(6), []int{1400, 1400, 1400, 1 + rng.IntN(1500)}
		for i := range 1 + rng.IntN(sendBatch) {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i%nodes)}), 9)
			body := make([]byte, sizes[rng.IntN(1+rng.IntN(len(sizes)))])
			body[0] = byte(i)
			run = append(run, seal.Datagram{Addr: addr, Data: body})
			want[addr] = append(want[addr], byte(i))
		}
		s.arrange(run)
		l, got := &s.sender.whole, make(map[netip.AddrPort][]byte)
		for m := range l.fill {
			addr, total := addrPort(&l.names[m], ""), 0
			vecs := s.sender.iovs[l.first[m] : l.first[m]+l.count(m)]
			for i, v := range vecs {
				total += int(v.Len)
				got[addr] = append(got[addr], *v.Base)
				if v.Len != vecs[0].Len && (i < len(vecs)-1 || v.Len > vecs[0].Len) {
					t.Fatalf("part %d of %d has %d bytes, the first %d", i, len(vecs), v.Len, vecs[0].Len)
				}
			}
			if len(vecs) > sendSegments || total > sendBytes {
				t.Fatalf("a message of %d datagrams, %d bytes", len(vecs), total)
			}
		}
		for addr, w := range want {
			if !bytes.Equal(got[addr], w) {
				t.Fatalf("to %v go %v, want %v", addr, got[addr], w)
			}
		}
	}
}

// TestNetwork runs in a network namespace of its own, where it may break things.
func TestNetwork(t *testing.T) {
	inside, status, err := bench.Enter(t.Context(), "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	switch {
	case err != nil:
		t.Skipf("no namespaces here: %v", err)
	case !inside:
		if status != 0 {
			t.Errorf("failed in the namespace, exit status %d: see above", status)
		}
		return
	}
	run(t, "ip link set lo up")
	run(t, "ip link add d0 type veth peer name d1")
	run(t, "ip link set d1 mtu 1500 up")
	run(t, "ip link set d0 mtu 1500 up")
	t.Run("address", addressGoesAndComes)
	t.Run("late", lateAddress)
	t.Run("route", routeGoesAndComes)
	t.Run("size", largerThanInterface)
	t.Run("firewall", firewall)
}

func run(t *testing.T, command string) {
	t.Helper()
	words := strings.Fields(command)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Skipf("%s: %v: %s", command, err, out)
	}
}

// until sends until the receiver got something more.
func until(t *testing.T, from, at *node) {
	t.Helper()
	at.mu.Lock()
	had := len(at.got)
	at.mu.Unlock()
	testenv.Eventually(t, 5*time.Second, "a datagram", func() (bool, any) {
		from.Send([]seal.Datagram{to(at.Link, 0, false, "x"), to(at.Link, 0, true, "x")})
		at.mu.Lock()
		defer at.mu.Unlock()
		return len(at.got) > had, from.Counters()
	})
}

func unsent(t *testing.T, from *node, to netip.AddrPort, size int, cause string) {
	t.Helper()
	before := from.counter("link_unsent_datagrams_total", cause)
	from.Send([]seal.Datagram{{Addr: to, Data: make([]byte, size)}})
	if from.counter("link_unsent_datagrams_total", cause) == before {
		t.Errorf("cause %q was not counted: %v", cause, from.Counters())
	}
}

func addressGoesAndComes(t *testing.T) {
	for _, c := range []struct{ a, b, bits string }{{"10.9.0.1", "10.9.0.2", "32"}, {"fd00::1", "fd00::2", "128"}} {
		suffix := ""
		if c.bits == "128" {
			suffix = " nodad"
		}
		run(t, "ip addr add "+c.a+"/"+c.bits+" dev d0"+suffix)
		run(t, "ip addr add "+c.b+"/"+c.bits+" dev d0"+suffix)
		a := open(t, nil, netip.AddrPortFrom(netip.MustParseAddr(c.a), 6405).String())
		b := open(t, nil, netip.AddrPortFrom(netip.MustParseAddr(c.b), 6405).String())
		until(t, a, b)
		run(t, "ip addr del "+c.a+"/"+c.bits+" dev d0")
		before := a.counter("link_sent_datagrams_total", "")
		for range 10 {
			a.Send([]seal.Datagram{to(b.Link, 0, false, "x")})
		}
		if n := a.counter("link_sent_datagrams_total", "") - before; n != 0 && c.bits == "32" {
			t.Errorf("%d datagrams left without an address", n)
		}
		run(t, "ip addr add "+c.a+"/"+c.bits+" dev d0"+suffix)
		until(t, a, b)
		until(t, b, a)
		run(t, "ip link set d0 down")
		a.Send([]seal.Datagram{to(b.Link, 0, false, "x")})
		run(t, "ip link set d0 up")
		if c.bits == "128" { // IPv6 addresses do not survive
			for _, addr := range []string{c.a, c.b} {
				exec.Command("ip", "addr", "add", addr+"/128", "dev", "d0", "nodad").Run()
			}
		}
		until(t, a, b)
		until(t, b, a)
	}
}

func lateAddress(t *testing.T) {
	run(t, "ip addr add 10.9.1.2/24 dev d0")
	var log bytes.Buffer
	a := open(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }, "10.9.1.1:6405")
	if !strings.Contains(log.String(), "waiting for it") {
		t.Errorf("log: %s", log.String())
	}
	b := open(t, nil, "10.9.1.2:6405")
	unsent(t, a, b.Addr(0, false), 10, "unreachable")
	run(t, "ip addr add 10.9.1.1/24 dev d0")
	until(t, a, b)
	until(t, b, a)
}

func routeGoesAndComes(t *testing.T) {
	run(t, "ip addr add 10.9.2.1/24 dev d0")
	a := open(t, nil, "10.9.2.1:6405")
	unsent(t, a, netip.MustParseAddrPort("10.77.0.1:6405"), 10, "unreachable")
	run(t, "ip route add 10.77.0.0/24 dev d0")
	before := a.counter("link_sent_datagrams_total", "")
	a.Send([]seal.Datagram{{Addr: netip.MustParseAddrPort("10.77.0.1:6405"), Data: []byte("x")}})
	if a.counter("link_sent_datagrams_total", "") != before+1 {
		t.Errorf("not sent over the new route: %v", a.Counters())
	}
}

func largerThanInterface(t *testing.T) {
	run(t, "ip addr add 10.9.3.1/24 dev d0")
	a := open(t, nil, "10.9.3.1:6405")
	far := netip.MustParseAddrPort("10.9.3.200:6405")
	unsent(t, a, far, 1473, "too-big")
	a.mu.Lock()
	if a.tooBig[far] != 1500 {
		t.Errorf("reported sizes %v", a.tooBig)
	}
	a.mu.Unlock()
	before := a.counter("link_sent_datagrams_total", "")
	a.Send([]seal.Datagram{
		{Addr: far, Data: make([]byte, 1472)}, {Addr: far, Data: make([]byte, 1473)}, {Addr: far, Data: make([]byte, 10)},
	})
	if n := a.counter("link_sent_datagrams_total", "") - before; n != 2 {
		t.Errorf("%d of the two datagrams that fit were sent", n)
	}
	// A run that would be cut: each datagram has its own fate.
	tooBig := a.counter("link_unsent_datagrams_total", "too-big")
	a.Send([]seal.Datagram{
		{Addr: far, Data: make([]byte, 1600)}, {Addr: far, Data: make([]byte, 1600)}, {Addr: far, Data: make([]byte, 800)},
	})
	if n := a.counter("link_unsent_datagrams_total", "too-big") - tooBig; n != 2 {
		t.Errorf("%d of the two datagrams that do not fit were counted: %v", n, a.Counters())
	}
	if a.sockets[0].sender.segments == false {
		t.Errorf("datagrams that are too large ended the cutting")
	}
}

func firewall(t *testing.T) {
	run(t, "ip addr add 10.9.4.1/24 dev d0")
	run(t, "ip addr add 10.9.4.2/24 dev d0")
	a, b := open(t, nil, "10.9.4.1:6405"), open(t, nil, "10.9.4.2:6405")
	until(t, a, b)
	run(t, "nft add table ip moot")
	run(t, "nft add chain ip moot out { type filter hook output priority 0 ; }")
	run(t, "nft add rule ip moot out ip saddr 10.9.4.1 drop")
	unsent(t, a, b.Addr(0, false), 10, "forbidden")
	run(t, "nft delete table ip moot")
	until(t, a, b)
}

func BenchmarkLoopback(b *testing.B) {
	for _, offload := range []bool{false, true} {
		for _, batch := range []int{1, 8, 64} {
			const size = 1400
			b.Run(fmt.Sprintf("bytes=%d/offload=%v/batch=%d", size, offload, batch), func(b *testing.B) {
				got := make(chan int, 4096)
				from := open(b, func(c *Config) { c.NoOffload = !offload }, "127.0.0.1:0")
				at := open(b, func(c *Config) {
					c.NoOffload = !offload
					c.Handler = func(b *Batch) {
						n := len(b.Datagrams)
						b.Release()
						got <- n
					}
				}, "127.0.0.1:0")
				out := make([]seal.Datagram, batch)
				for i := range out {
					out[i] = to(at.Link, 0, false, strings.Repeat("x", size))
				}
				b.ReportAllocs()
				b.SetBytes(int64(size * batch))
				// At most 1000 datagrams are on their way, so none is dropped.
				away := 0
				for b.Loop() {
					from.Send(out)
					for away += batch; away > 1000; {
						away -= <-got
					}
				}
				for away > 0 {
					away -= <-got
				}
				b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "datagrams/s")
				c := at.counter("link_receive_calls_total", "")
				b.ReportMetric(float64(b.N*batch)/float64(c), "datagrams/read")
			})
		}
	}
}
