package corosync

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

const patience = 60 * time.Second

// fake is a Backend: node 1 of a cluster in memory, with the real services. The
// loop's goroutine owns the cluster; after each function the cluster runs until
// it is at rest, and node 1's clients get what came out.
type fake struct {
	cluster *servicetest.Cluster
	ready   bool
	handles []*fakeHandle
	keys    cmap.Map // of node 1
	stats   cmap.Map
	host    *fakeHost

	mu   sync.Mutex
	more *sync.Cond
	todo []func()
	stop bool
	done chan struct{}
}

// byVotes has a provider of quorum, which is content with one vote.
var byVotes = quorum.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: 1}}

func newFake(t testing.TB, nodes int, votes quorum.Config) *fake {
	f := &fake{ready: true, done: make(chan struct{}), host: &fakeHost{}}
	f.more = sync.NewCond(&f.mu)
	f.cluster = servicetest.New(loud{}, nodes, func(proto.NodeID) []service.Service {
		members := cfg.New(f.host)
		return []service.Service{quorum.New(votes), cmap.New(cmap.Config{Default: &f.keys, Stats: &f.stats}),
			members, cpg.New(), members.Groups(groups.Config{})}
	})
	f.cluster.Run()
	go f.run()
	t.Cleanup(f.halt)
	return f
}

// loud ends the process if the cluster finds a fault: that happens on the loop's
// goroutine, where a test can not be ended.
type loud struct{}

func (loud) Helper()                           {}
func (loud) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (f *fake) run() {
	defer close(f.done)
	for {
		f.mu.Lock()
		for len(f.todo) == 0 && !f.stop {
			f.more.Wait()
		}
		todo := f.todo
		f.todo = nil
		f.mu.Unlock()
		if len(todo) == 0 {
			return
		}
		for _, do := range todo {
			do()
			f.settle()
		}
	}
}

func (f *fake) halt() {
	f.mu.Lock()
	f.stop = true
	f.more.Signal()
	f.mu.Unlock()
	<-f.done
}

func (f *fake) Do(do func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop {
		return false
	}
	f.todo = append(f.todo, do)
	f.more.Signal()
	return true
}

// sync runs do on the loop and waits until its consequences are with the door.
func (f *fake) sync(do func()) {
	done := make(chan struct{})
	f.Do(do)
	f.Do(func() { close(done) })
	<-done
}

func (f *fake) settle() {
	f.cluster.Run()
	for _, h := range slices.Clone(f.handles) {
		h.pump()
	}
}

func (f *fake) Ready() bool { return f.ready }

func (f *fake) Open(id uint16, _ service.Cred, s Sink) (Handle, service.Code) {
	h := &fakeHandle{f: f, conn: f.cluster.Node(1).Open(id), sink: s}
	f.handles = append(f.handles, h)
	return h, service.OK
}

// full makes node 1 refuse multicasts, or take them again.
func (f *fake) full(on bool) {
	f.cluster.Node(1).Full = on
	for _, h := range f.handles {
		h.sink.Flow(on)
	}
}

type fakeHandle struct {
	f      *fake
	conn   *servicetest.Conn
	sink   Sink
	calls  []pendingCall
	pushed int
	taken  int
}

type pendingCall struct {
	answer *servicetest.Answer
	reply  func(service.Code, []byte)
}

func (h *fakeHandle) Call(fn uint16, _ uint64, body []byte, reply func(service.Code, []byte)) error {
	if len(h.calls) > 8 {
		return service.ErrTryAgain
	}
	h.calls = append(h.calls, pendingCall{h.conn.Call(fn, body), reply})
	h.pump()
	return nil
}

// pump passes on what the service did.
func (h *fakeHandle) pump() {
	for _, e := range h.conn.Events {
		h.pushed++
		h.sink.Push(e.Kind, e.Body)
	}
	h.conn.Events = nil
	for len(h.calls) > 0 && h.calls[0].answer.Done {
		c := h.calls[0]
		h.calls = h.calls[1:]
		c.reply(c.answer.Code, c.answer.Body)
	}
	if err := h.conn.Closed(); err != nil {
		h.sink.Closed(err)
	}
}

func (h *fakeHandle) Taken(events int) { h.taken += events }

func (h *fakeHandle) Close() {
	h.f.handles = slices.DeleteFunc(h.f.handles, func(o *fakeHandle) bool { return o == h })
	h.conn.Leave()
}

// addrs is the node list of the tests.
type addrs map[proto.NodeID][]netip.Addr

func (a addrs) NodeAddrs(id proto.NodeID) []netip.Addr { return a[id] }

var testAddrs = addrs{
	1: {netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("fd00::1")},
	2: {netip.MustParseAddr("10.77.0.2")},
	3: {netip.MustParseAddr("fd00::3"), netip.MustParseAddr("fd01::3")},
}

// stage is an open door with a cluster behind it.
type stage struct {
	*fake
	door *Door
	shm  string
}

func openDoor(t testing.TB, nodes int, change func(*Config)) *stage {
	t.Helper()
	return openDoorOf(t, newFake(t, nodes, byVotes), change)
}

func openDoorOf(t testing.TB, f *fake, change func(*Config)) *stage {
	t.Helper()
	qbtest.Private(t)
	s := &stage{fake: f, shm: qbtest.Shm(t)}
	cfg := Config{Backend: s.fake, Self: 1, Votequorum: true, Addrs: testAddrs, Shm: s.shm, ForceFile: filepath.Join(s.shm, "force")}
	if change != nil {
		change(&cfg)
	}
	var err error
	if s.door, err = Listen(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.door.Close)
	return s
}

func dial(t testing.TB, name string) *qbtest.Client {
	t.Helper()
	c, err := qbtest.Dial(name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// merge puts all nodes into one ring.
func (s *stage) merge() { s.sync(func() { s.cluster.Split(s.cluster.All()) }) }

// remote is a process on another node.
type remote struct {
	s    *stage
	conn *servicetest.Conn
}

func (s *stage) join(node proto.NodeID, group string, pid uint32) *remote {
	r := &remote{s: s}
	s.sync(func() {
		r.conn = s.cluster.Node(node).Open(cpg.ID)
		r.conn.Call(cpg.CallJoin, cpg.JoinRequest{Group: []byte(group), PID: pid}.AppendTo(nil))
	})
	return r
}

func (r *remote) call(fn uint16, body []byte) {
	r.s.sync(func() { r.conn.Call(fn, body) })
}

func (r *remote) die() { r.s.sync(r.conn.Leave) }

// eventually waits until ok answers true; state is what it saw last.
func eventually(t testing.TB, what string, ok func() (done bool, state any)) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		done, state := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: last seen %v", what, state)
		}
	}
}
