package native_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/door"
	"github.com/moothall/moothall/internal/door/native"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// slowAfter is the executive's patience in these tests.
const slowAfter = 2 * time.Second

// backend is a member without disk and network, with narrow limits.
type backend struct {
	loop *executive.Loop
	core *executive.Core
}

func (b *backend) Do(f func()) bool {
	return b.loop.Run(func(c *executive.Core) {
		b.core = c
		f()
	})
}

func (b *backend) Done() <-chan struct{} { return b.loop.Done() }

func (b *backend) Incarnation() uint64 { return b.core.Incarnation() }

func (b *backend) Open(id uint16, cred service.Cred, sink door.Sink) (native.Handle, service.Code) {
	h, code := b.core.Open(id, cred, sink)
	if code != service.OK {
		return nil, code
	}
	return h, code
}

// startDoor opens a door to such a member and gives the socket.
func startDoor(t testing.TB, change func(*native.Config)) string {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	record := store.Record{Node: 1, Inc: 1}
	loop, err := executive.NewLoop(executive.LoopConfig{
		Send: func([]seal.Datagram) {},
		Save: func(_ store.Record, done func(error)) { go done(nil) },
		Core: executive.Config{
			Seal: seal.Config{Self: 1, Inc: 1, Salt: 1, Cluster: "test", Links: 1, Rand: random},
			Totem: totem.Config{Self: 1, Inc: 1, Cluster: 7, Rand: random, Nodes: []totem.Node{{ID: 1, Votes: 1}},
				Limits: totem.Limits{Undelivered: 2 << 20}},
			Record: record, NewSalt: random.Uint64, Wall: time.Now(),
			Services: []func() service.Service{func() service.Service { return cpg.New() }, func() service.Service { return groups.New(groups.Config{}) }},
			Limits:   executive.Limits{SlowClient: proto.Tick(slowAfter)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := native.Config{Backend: &backend{loop: loop}, Path: filepath.Join(t.TempDir(), "agent.sock"), Node: 1}
	change(&c)
	d, err := native.Bind(c)
	if err != nil {
		t.Fatal(err)
	}
	loop.BeforeToken(d.Pull)
	d.Serve()
	t.Cleanup(func() {
		d.Close()
		loop.Halt()
	})
	return c.Path
}

func dialSocket(t testing.TB, socket string) *client.Client {
	t.Helper()
	c, err := client.Dial(soon(t), client.Config{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A reader that takes nothing stops who sends, as long as the executive has
// patience; then it is cut off, with a reason, and the others go on.
func TestFlow_SlowReader(t *testing.T) {
	socket := startDoor(t, func(*native.Config) {})
	slow := join(t, dialSocket(t, socket), "g", 1)
	fast := join(t, dialSocket(t, socket), "g", 2)
	body := cpg.McastRequest{Message: make([]byte, 10_000)}.AppendTo(nil)

	var received atomic.Int64
	go func() {
		dst := make([]session.Event, 64)
		for {
			n, err := fast.Recv(context.Background(), dst)
			for _, ev := range dst[:n] {
				if ev.Kind == cpg.EventDeliver {
					received.Add(1)
				}
			}
			if err != nil {
				return
			}
		}
	}()
	const most = 100 << 20 // of what windows, queues and budgets of a member take
	sent, full := 0, false
	for !full && sent*len(body) < most {
		switch err := fast.TryCast(cpg.CallMcast, 0, body); {
		case err == nil:
			sent++
		case errors.Is(err, service.ErrTryAgain):
			short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			if err = fast.Cast(short, cpg.CallMcast, 0, body); err == nil {
				sent++
			}
			full = errors.Is(err, context.DeadlineExceeded)
			cancel()
		default:
			t.Fatal(err)
		}
	}
	if !full {
		t.Errorf("%d messages found room", sent)
	}
	for { // until the slow one is cut off
		if _, err := slow.Call(soon(t), cpg.CallLocal, nil); err != nil {
			break
		}
		for range 10 {
			if err := fast.Cast(soon(t), cpg.CallMcast, 0, body); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	dst := make([]session.Event, 64)
	got := 0
	for {
		n, err := slow.Recv(soon(t), dst)
		got += n
		if err == nil {
			continue
		}
		evicted, ok := errors.AsType[*client.EvictedError](err)
		if !ok || evicted.Reason == "" || !errors.Is(err, session.ErrClosed) || !errors.Is(err, service.ErrOverflow) {
			t.Errorf("got %v", err)
		}
		break
	}
	if got == 0 {
		t.Error("nothing of what came before was given")
	}
	testenv.Eventually(t, patience, "all is delivered", func() (bool, any) {
		return received.Load() == int64(sent), []int64{received.Load(), int64(sent)}
	})
}

// A connection whose user takes nothing does not hold up others of its socket.
func TestFlow_ConnectionsOfOneSocket(t *testing.T) {
	socket := startDoor(t, func(*native.Config) {})
	c := dialSocket(t, socket)
	join(t, c, "g", 1) // takes nothing any more
	sender := join(t, c, "g", 2)
	body := cpg.McastRequest{Message: make([]byte, 1000)}.AppendTo(nil)
	for range 300 {
		if err := sender.Cast(soon(t), cpg.CallMcast, 0, body); err != nil {
			t.Fatal(err)
		}
		next(t, sender, cpg.EventDeliver)
	}
}

// Small windows only make everything slower.
func TestFlow_SmallWindows(t *testing.T) {
	socket := startDoor(t, func(c *native.Config) { c.Window = 3000 })
	c, err := client.Dial(soon(t), client.Config{Socket: socket, Window: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := join(t, c, "g", 1)
	go func() {
		for i := range 500 {
			if err := conn.Cast(soon(t), cpg.CallMcast, uint64(i), cpg.McastRequest{Message: make([]byte, 50*i)}.AppendTo(nil)); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range 500 {
		d, err := cpg.ParseDeliver(next(t, conn, cpg.EventDeliver))
		if err != nil || d.Tag != uint64(i) || len(d.Message) != 50*i {
			t.Fatalf("message %d: tag %d, %d bytes, %v", i, d.Tag, len(d.Message), err)
		}
	}
}

// Contexts end what waits.
func TestFlow_Contexts(t *testing.T) {
	socket := startDoor(t, func(*native.Config) {})
	conn := join(t, dialSocket(t, socket), "g", 1)
	short, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := conn.Recv(short, make([]session.Event, 1))
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("recv: %v", err)
	}
	if _, err := conn.Call(short, cpg.CallLocal, nil); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("call: %v", err)
	}
	if _, err := conn.Call(soon(t), cpg.CallLocal, nil); err != nil {
		t.Errorf("a call after one that was given up: %v", err)
	}
}
