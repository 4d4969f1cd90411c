package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/store/diskfault"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

const patience = 60 * time.Second

// cluster is a configuration of n nodes with so many links, on free ports.
func cluster(t *testing.T, n, links int) *config.Config {
	t.Helper()
	var nodes []config.Node
	for id := range n {
		node := config.Node{ID: config.NodeID(id + 1), Name: fmt.Sprint("n", id+1)}
		for l := range links {
			node.Addrs = append(node.Addrs, fmt.Sprintf("127.0.%d.%d", l, id+1))
		}
		nodes = append(nodes, node)
	}
	c := config.New("test", nodes...)
	for l := range links {
		c.Totem.Interfaces = append(c.Totem.Interfaces, config.Interface{Link: uint8(l), Port: freePort(t)})
	}
	return c
}

var ports atomic.Uint32 // keeps tests of this process apart

func freePort(t *testing.T) uint16 {
	t.Helper()
	for range 200 {
		port := uint16(20000 + (uint32(os.Getpid())*64+ports.Add(1)*2)%12000) // below those the kernel gives
		free := true
		for _, p := range []uint16{port, port + 1} {
			s, err := net.ListenPacket("udp", fmt.Sprintf("0.0.0.0:%d", p))
			if free = free && err == nil; err == nil {
				s.Close()
			}
		}
		if free {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

func start(t *testing.T, c node.Config) *node.Node {
	t.Helper()
	if c.StateDir == "" {
		c.StateDir = t.TempDir()
	}
	n, err := node.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Halt)
	return n
}

func formed(t *testing.T, nodes ...*node.Node) {
	t.Helper()
	var want []config.NodeID
	for _, n := range nodes {
		want = append(want, n.Self().ID)
	}
	testenv.Eventually(t, patience, fmt.Sprintf("a ring of %v", want), func() (bool, any) {
		var ring string
		for i, n := range nodes {
			st := n.Status()
			if i == 0 && st.Ring != nil {
				ring = st.Ring.ID
			}
			if st.State != "operational" || st.Ring == nil || st.Ring.ID != ring || !slices.Equal(st.Ring.Members, want) || st.Quorum.DecidedInRingSeq != st.Ring.Seq {
				return false, fmt.Sprintf("%s %+v", st.State, st.Ring)
			}
		}
		return true, nil
	})
}

func TestRingOverTwoLinks(t *testing.T) {
	c := cluster(t, 3, 2)
	var nodes []*node.Node
	for id := range config.NodeID(3) {
		nodes = append(nodes, start(t, node.Config{Cluster: c, Self: id + 1, Key: make([]byte, 32)}))
	}
	formed(t, nodes...)
	testenv.Eventually(t, patience, "all links up", func() (bool, any) {
		st := nodes[0].Status()
		up := 0
		for _, m := range st.Members {
			for _, l := range m.Links {
				if l.State == "up" {
					up++
				}
			}
		}
		return up == 4, st.Members
	})
	st := nodes[0].Status()
	if !st.Quorum.Quorate || st.Quorum.Expected != 3 || st.Authentication != "key" || st.Node.Name != "n1" || st.Ring.Since.IsZero() {
		t.Errorf("status %+v", st)
	}
	if _, err := json.Marshal(st); err != nil {
		t.Error(err)
	}
	if err := nodes[2].Leave(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case <-nodes[2].Done():
	default:
		t.Error("not done after Leave")
	}
	formed(t, nodes[:2]...)
}

func TestWithoutKeyItSaysSo(t *testing.T) {
	n := start(t, node.Config{Cluster: cluster(t, 1, 1), Self: 1})
	if a := n.Status().Authentication; a != "none" {
		t.Errorf("authentication %q", a)
	}
}

// A program in the same process joins a group and hears itself.
func TestSession(t *testing.T) {
	n := start(t, node.Config{Cluster: cluster(t, 1, 1), Self: 1})
	if _, err := n.Open(t.Context(), 63); !errors.Is(err, service.ErrNotExist) {
		t.Errorf("open of a service that is not there: %v", err)
	}
	c, err := n.Open(t.Context(), cpg.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), cpg.CallMcast, cpg.McastRequest{}.AppendTo(nil)); !errors.Is(err, service.ErrNotExist) {
		t.Errorf("multicast before the join: %v", err)
	}
	if _, err := c.Call(t.Context(), cpg.CallJoin, cpg.JoinRequest{Group: []byte("g")}.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	const count = 500
	sent := make(chan error, 1)
	go func() {
		for i := range count {
			body := cpg.McastRequest{Message: fmt.Append(nil, i)}.AppendTo(nil)
			if _, err := c.Call(t.Context(), cpg.CallMcast, body); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	batch := make([]session.Event, 7)
	for got := 0; got < count; {
		k, err := c.Recv(ctx, batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range batch[:k] {
			if ev.Kind != cpg.EventDeliver {
				continue
			}
			d, err := cpg.ParseDeliver(ev.Body)
			if err != nil || string(d.Message) != fmt.Sprint(got) {
				t.Fatalf("message %d is %q (%v)", got, d.Message, err)
			}
			got++
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if q := n.Status().Queues; len(q) == 0 {
		t.Error("no queues in the status")
	}
	c.Close()
	c.Close()
	if _, err := c.Recv(t.Context(), batch); !errors.Is(err, session.ErrClosed) {
		t.Errorf("receive after close: %v", err)
	}
	if _, err := c.Call(t.Context(), cpg.CallLocal, nil); err == nil {
		t.Error("call after close")
	}
}

// Calls that wait, for an answer or for room, end with their connection.
func TestCallsOfAClosedConnection(t *testing.T) {
	n := start(t, node.Config{Cluster: cluster(t, 1, 1), Self: 1})
	formed(t, n)
	c, err := n.Open(t.Context(), cpg.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), cpg.CallJoin, cpg.JoinRequest{Group: []byte("g")}.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	const calls = 200
	body := cpg.McastRequest{Message: make([]byte, 512<<10)}.AppendTo(nil)
	ended := make(chan error, calls)
	for range calls {
		go func() {
			_, err := c.Call(context.Background(), cpg.CallMcast, body)
			ended <- err
		}()
	}
	testenv.Eventually(t, patience, "no room for more calls, as nobody takes the events", func() (bool, any) {
		queues := n.Status().Queues
		i := slices.IndexFunc(queues, func(q node.Queue) bool { return q.Name == "client.calls" })
		return queues[i].Used == queues[i].Bound && len(ended)+queues[i].Bound < calls, queues
	})
	c.Close()
	late := time.After(patience)
	for i := range calls {
		select {
		case err := <-ended:
			if err != nil && !errors.Is(err, session.ErrClosed) {
				t.Errorf("call: %v", err)
			}
		case <-late:
			t.Fatalf("%d calls still wait", calls-i)
		}
	}
}

func TestCallsOfAnEndedMember(t *testing.T) {
	n := start(t, node.Config{Cluster: cluster(t, 1, 1), Self: 1})
	c, err := n.Open(t.Context(), quorum.ID)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := c.Recv(context.Background(), make([]session.Event, 1))
		waiting <- err
	}()
	n.Halt()
	n.Halt()
	if err := <-waiting; !errors.Is(err, session.ErrClosed) {
		t.Errorf("receive: %v", err)
	}
	if _, err := c.Call(t.Context(), quorum.CallStatus, nil); err == nil {
		t.Error("call")
	}
	if _, err := n.Open(t.Context(), quorum.ID); err == nil {
		t.Error("open")
	}
	if err := n.Leave(t.Context()); err != nil {
		t.Errorf("leave: %v", err)
	}
	if st := n.Status(); st.State == "operational" {
		t.Errorf("status %+v", st)
	}
	if n.Alive() {
		t.Error("alive")
	}
}

// A member that does not run is not alive and does not block those who ask.
func TestFrozenMember(t *testing.T) {
	n := start(t, node.Config{Cluster: cluster(t, 1, 1), Self: 1})
	formed(t, n)
	resume := make(chan struct{})
	n.Freeze(resume)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := n.Open(ctx, cpg.ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open: %v", err)
	}
	if n.Alive() {
		t.Error("alive")
	}
	close(resume)
	testenv.Eventually(t, patience, "alive", func() (bool, any) { return n.Alive(), nil })
	formed(t, n)
}

func TestDiskFailureEndsTheMember(t *testing.T) {
	var fault atomic.Pointer[diskfault.Fault]
	fault.Store(&diskfault.Fault{})
	c := cluster(t, 2, 1)
	n := start(t, node.Config{Cluster: c, Self: 1, Disk: diskfault.FS{FS: store.OS{}, Now: func() diskfault.Fault { return *fault.Load() }}})
	formed(t, n)
	fault.Store(&diskfault.Fault{Sync: unix.EIO})
	start(t, node.Config{Cluster: c, Self: 2}) // a new ring brings a record
	select {
	case <-n.Done():
	case <-time.After(patience):
		t.Fatal("it goes on without its disk")
	}
	stop, ok := errors.AsType[*node.StopError](n.Err())
	if !ok || !errors.Is(stop, unix.EIO) || !strings.Contains(stop.Error(), "could not be stored") {
		t.Errorf("error %v", n.Err())
	}
}

// A disk that hangs keeps nobody from leaving.
func TestLeaveWhileTheDiskHangs(t *testing.T) {
	var gate atomic.Pointer[chan struct{}]
	open, hang := make(chan struct{}), make(chan struct{})
	close(open)
	gate.Store(&open)
	disk := diskfault.FS{FS: store.OS{}, Now: func() diskfault.Fault {
		<-*gate.Load()
		return diskfault.Fault{}
	}}
	c := cluster(t, 2, 1)
	n := start(t, node.Config{Cluster: c, Self: 1, Disk: disk})
	t.Cleanup(func() { close(hang) })
	formed(t, n)
	gate.Store(&hang)
	start(t, node.Config{Cluster: c, Self: 2}) // a new ring brings a record
	testenv.Eventually(t, patience, "a record that waits for the disk", func() (bool, any) {
		d := n.Status().Disk
		return d.Waiting > 0, d
	})
	left := make(chan error, 1)
	go func() { left <- n.Leave(context.Background()) }()
	select {
	case err := <-left:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it waits for the disk")
	}
}

func TestStartErrors(t *testing.T) {
	good := cluster(t, 1, 1)
	n := start(t, node.Config{Cluster: good, Self: 1, RunDir: filepath.Join(t.TempDir(), "run")})
	_ = n
	twice := *good
	twice.Nodes = append(slices.Clone(good.Nodes), good.Nodes[0])
	nowhere := cluster(t, 1, 1)
	nowhere.Nodes[0].Addrs = []string{"no.such.host.invalid"}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		c    node.Config
		part node.Part
		text string
	}{
		"no cluster":       {node.Config{Self: 1}, node.PartConfig, "no cluster"},
		"not in the list":  {node.Config{Cluster: good, Self: 7}, node.PartConfig, "node 7"},
		"an id used twice": {node.Config{Cluster: &twice, Self: 1}, node.PartConfig, "twice"},
		"a short key":      {node.Config{Cluster: good, Self: 1, Key: []byte("short")}, node.PartConfig, "5 bytes"},
		"an unknown name":  {node.Config{Cluster: nowhere, Self: 1}, node.PartConfig, "no.such.host.invalid"},
		"a file as state":  {node.Config{Cluster: good, Self: 1, StateDir: file}, node.PartState, "--state"},
		"a port in use":    {node.Config{Cluster: good, Self: 1}, node.PartLinks, "in use"},
		"a file as run":    {node.Config{Cluster: good, Self: 1, RunDir: file}, node.PartRunDir, "--run"},
		"a long run":       {node.Config{Cluster: good, Self: 1, RunDir: filepath.Join(t.TempDir(), strings.Repeat("x", 110))}, node.PartRunDir, "the system permits"},
		"no such trace":    {node.Config{Cluster: good, Self: 1, Trace: filepath.Join(file, "trace")}, node.PartTrace, "trace"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.c.StateDir == "" {
				c.c.StateDir = t.TempDir()
			}
			n, err := node.Start(t.Context(), c.c)
			if err == nil {
				n.Halt()
				t.Fatal("it starts")
			}
			part, ok := errors.AsType[*node.StartError](err)
			if !ok || part.Part != c.part || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want part %d and %q", err, c.part, c.text)
			}
		})
	}
}

func TestAskStatus(t *testing.T) {
	run := t.TempDir()
	if _, err := admin.New(run).Status(t.Context()); err == nil {
		t.Error("an answer from nobody")
	}
	left, err := net.Listen("unix", filepath.Join(run, admin.Socket)) // by a process that died
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	n := start(t, node.Config{Cluster: cluster(t, 1, 1), Self: 1, RunDir: run})
	formed(t, n)
	st, err := admin.New(run).Status(t.Context())
	if err != nil || st.Node.ID != 1 || len(st.Decisions) == 0 || len(st.Counters) == 0 {
		t.Errorf("%+v, %v", st, err)
	}
}

// Casts keep their order, among calls too, and a refused one ends the
// connection.
func TestCast(t *testing.T) {
	n := start(t, node.Config{Cluster: cluster(t, 1, 1), Self: 1})
	formed(t, n)
	c, err := n.Open(t.Context(), cpg.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Call(t.Context(), cpg.CallJoin, cpg.JoinRequest{Group: []byte("g"), PID: 7}.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	const casts = 50_000
	go func() {
		for k := range uint64(casts) {
			if err := c.Cast(t.Context(), cpg.CallMcast, k, cpg.McastRequest{Message: []byte("sixteen bytes...")}.AppendTo(nil)); err != nil {
				t.Error(err)
			}
		}
	}()
	batch := make([]session.Event, 64)
	for next := uint64(0); next < casts; {
		k, err := c.Recv(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range batch[:k] {
			if ev.Kind != cpg.EventDeliver {
				continue
			}
			d, err := cpg.ParseDeliver(ev.Body)
			if err != nil || d.Tag != next {
				t.Fatalf("tag %d, want %d (%v)", d.Tag, next, err)
			}
			next++
		}
	}
	if err := c.Cast(t.Context(), cpg.CallMcast, 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Recv(t.Context(), batch); !errors.Is(err, service.ErrInvalidParam) {
		t.Errorf("after a cast that cannot be: %v", err)
	}
}

// A frozen member that is killed says nothing more.
func TestHaltOfAFrozenMember(t *testing.T) {
	c := cluster(t, 1, 1)
	var sent atomic.Int64
	n := start(t, node.Config{Cluster: c, Self: 1, Key: make([]byte, 32)})
	formed(t, n)
	conn, err := n.Open(t.Context(), cpg.ID)
	if err != nil {
		t.Fatal(err)
	}
	n.Freeze(make(chan struct{}))
	go func() {
		if _, err := conn.Call(t.Context(), cpg.CallJoin, cpg.JoinRequest{Group: []byte("late"), PID: 1}.AppendTo(nil)); err == nil {
			sent.Add(1)
		}
	}()
	n.Halt()
	if sent.Load() != 0 || n.Err() != nil {
		t.Errorf("a join was answered after the end, error %v", n.Err())
	}
}
