package executive

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// wire connects the Loops of one test: a channel per receiver, which one
// goroutine empties into it as a socket's reader does.
type wire struct {
	mu    sync.Mutex // guards loops
	loops map[NodeID]*Loop
	queue map[NodeID]chan seal.Datagram
	w     *world
}

// startLoops runs n members. The world only lends its configuration.
func startLoops(t *testing.T, n int) *wire {
	x := &wire{loops: map[NodeID]*Loop{}, queue: map[NodeID]chan seal.Datagram{}, w: newWorld(t, n)}
	for _, id := range x.w.order {
		x.queue[id] = make(chan seal.Datagram, 4096)
	}
	for _, id := range x.w.order {
		x.start(t, id)
	}
	return x
}

func (x *wire) start(t *testing.T, id NodeID) {
	m := x.w.nodes[id]
	m.disk.Node = id
	m.disk.Inc += 1000
	l, err := NewLoop(LoopConfig{
		Core: m.config(),
		Send: func(batch []seal.Datagram) { x.send(id, batch) },
		Save: func(r store.Record, done func(error)) {
			time.AfterFunc(time.Millisecond, func() { done(nil) })
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	x.mu.Lock()
	x.loops[id] = l
	x.mu.Unlock()
	go func() {
		for {
			select {
			case d := <-x.queue[id]:
				time.Sleep(50 * time.Microsecond)
				b := &Batch{Datagrams: []seal.Datagram{d}, Done: func(*Batch) {}}
				if !l.Receive(d.Control, b) {
					return
				}
			case <-l.Done():
				return
			}
		}
	}()
}

func (x *wire) send(from NodeID, batch []seal.Datagram) {
	for _, d := range batch {
		port := uint16(5405)
		if d.Control {
			port++
		}
		in := seal.Datagram{Link: d.Link, Control: d.Control, Addr: netip.AddrPortFrom(address(from).Addr(), port), Data: slices.Clone(d.Data)}
		select {
		case x.queue[d.Node] <- in:
		default: // a full socket buffer
		}
	}
}

// ask runs f on the member's goroutine and waits for it.
func (l *Loop) ask(f func(*Core)) {
	done := make(chan struct{})
	if l.Do(func(c *Core) { f(c); close(done) }) {
		<-done
	}
}

// until waits for a condition on the fake clock.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for range 60_000 {
		if cond() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("waited in vain for: %s", what)
}

func (x *wire) together(ids ...NodeID) bool {
	for _, id := range ids {
		s, err := x.loops[id].Status()
		if err != nil || !s.Ready || !slices.Equal(s.Members, ids) {
			return false
		}
	}
	return true
}

func TestLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startLoops(t, 3)
		until(t, "one ring", func() bool { return x.together(1, 2, 3) })
		const each = 200
		var answers sync.WaitGroup
		for _, id := range x.w.order {
			answers.Add(each)
			x.loops[id].ask(func(c *Core) {
				k := x.w.nodes[id].open(c)
				var calls []func(*Core)
				for i := range each {
					calls = append(calls, func(*Core) {
						err := k.h.Call(0, uint64(i), fmt.Appendf(nil, "n%d-%d", id, i), func(code service.Code, _ []byte) {
							if code != service.OK {
								t.Errorf("call: %v", code)
							}
							answers.Done()
						})
						if err != nil {
							t.Errorf("call: %v", err)
							answers.Done()
						}
					})
				}
				for _, call := range calls {
					x.loops[id].Run(call)
				}
			})
		}
		answers.Wait()
		until(t, "the same log everywhere", func() bool {
			var logs [][]string
			for _, id := range x.w.order {
				x.loops[id].ask(func(*Core) { logs = append(logs, slices.Clone(x.w.nodes[id].service().log)) })
			}
			return len(logs[0]) == 3*each && slices.Equal(logs[0], logs[1]) && slices.Equal(logs[0], logs[2])
		})
		x.loops[3].Halt()
		until(t, "a ring of two", func() bool { return x.together(1, 2) })
		x.loops[2].Leave()
		<-x.loops[2].Done()
		if got := x.loops[2].Reason(); got != totem.StopLeft {
			t.Errorf("stopped because %v", got)
		}
		if x.loops[2].Do(func(*Core) {}) {
			t.Error("Do after the end")
		}
		until(t, "a ring of one", func() bool { return x.together(1) })
		x.loops[1].Halt()
		if _, err := x.loops[1].Status(); err == nil {
			t.Error("status of a member that ended")
		}
	})
}

func TestReceiveWaitsForRoomAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startLoops(t, 1)
		l := x.loops[1]
		until(t, "one ring", func() bool { return x.together(1) })
		hold := make(chan struct{})
		l.Do(func(*Core) { <-hold })
		synctest.Wait()
		var back int
		taken := 0
		go func() {
			for range l.cfg.Batches + 10 {
				b := &Batch{Done: func(*Batch) { back++ }}
				if !l.Receive(false, b) {
					return
				}
				taken++
			}
		}()
		synctest.Wait()
		if taken != l.cfg.Batches {
			t.Errorf("%d batches taken while the owner is busy, want %d", taken, l.cfg.Batches)
		}
		close(hold)
		synctest.Wait()
		if taken != l.cfg.Batches+10 || back != taken {
			t.Errorf("%d taken, %d given back", taken, back)
		}
		l.Halt()
		if l.Receive(true, &Batch{}) {
			t.Error("taken after the end")
		}
	})
}

func TestDiskErrorEndsTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newWorld(t, 1).nodes[1]
		m.disk = store.Record{Node: 1, Inc: 5}
		l, err := NewLoop(LoopConfig{Core: m.config(), Send: func([]seal.Datagram) {},
			Save: func(_ store.Record, done func(error)) { go done(fmt.Errorf("disk full")) }})
		if err != nil {
			t.Fatal(err)
		}
		<-l.Done()
		if l.Reason() != totem.StopPersistFailed {
			t.Errorf("stopped because %v", l.Reason())
		}
	})
}

func TestWatchdogSeesPausesAndLongRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		m := w.nodes[1]
		m.disk.Node = 1
		m.disk.Inc += 1000
		var shift atomic.Int64
		start := time.Now()
		l, err := NewLoop(LoopConfig{
			Core:  m.config(),
			Send:  func([]seal.Datagram) {},
			Save:  func(_ store.Record, done func(error)) { time.AfterFunc(time.Millisecond, func() { done(nil) }) },
			Clock: func() proto.Tick { return proto.Tick(time.Since(start)) + proto.Tick(shift.Load()) },
			Gap:   100 * proto.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		gaps := func() Gaps {
			synctest.Wait()
			return l.watch.gaps()
		}
		time.Sleep(time.Second)
		if g := gaps(); g.Count != 0 {
			t.Errorf("gaps in a quiet second: %+v", g)
		}
		shift.Store(int64(3 * proto.Second)) // the process was stopped
		time.Sleep(time.Second)
		if g := gaps(); g.Count != 1 || g.Max < 2500*proto.Millisecond || g.Recent[0].Owner {
			t.Errorf("after a pause: %+v", g)
		}
		l.ask(func(*Core) { time.Sleep(time.Second) })
		if g := gaps(); g.Count < 2 || !g.Recent[1].Owner || g.Recent[1].Dur < 900*proto.Millisecond {
			t.Errorf("after a long round: %+v", g)
		}
		l.Halt()
	})
}

// What is to be done before tokens is done by the owner, while there are any.
func TestBeforeToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startLoops(t, 2)
		until(t, "together", func() bool { return x.together(1, 2) })
		l, pulls := x.loops[1], 0
		l.BeforeToken(func() { pulls++ })
		until(t, "a token", func() bool {
			n := 0
			l.ask(func(*Core) { n = pulls })
			return n > 3
		})
		x.loops[2].Halt()
		l.Halt()
		time.Sleep(time.Millisecond) // for readers with a datagram in hand
	})
}
