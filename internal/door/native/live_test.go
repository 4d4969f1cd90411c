package native_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/link"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

// The door of a whole member, alone in its cluster, and package client.

const (
	patience = 60 * time.Second
	actEnv   = "MOOT_TEST_NATIVE_ACT" // what this program is to do as a client of its own
	socket   = "MOOTHALL_SOCKET"
)

func TestMain(m *testing.M) {
	switch os.Getenv(actEnv) {
	case "":
		os.Exit(m.Run())
	case "dial":
		_, err := client.Dial(context.Background(), client.Config{})
		fmt.Println(err, errors.Is(err, service.ErrAccess))
	case "flood":
		flood()
	case "leave a child":
		leaveChild()
	}
}

// leaveChild opens a service, starts a process that has its socket as well, and
// waits to be killed.
func leaveChild() {
	sock, err := net.Dial("unixpacket", os.Getenv(socket))
	if err != nil {
		panic(err)
	}
	file, err := sock.(*net.UnixConn).File()
	if err != nil {
		panic(err)
	}
	for _, p := range [][]byte{frame.Hello{Min: 1, Max: 1, Packet: frame.MaxPacket, Message: frame.MaxMessage}.AppendTo(nil), open(1, groups.ID, 1<<20)} {
		if _, err := sock.Write(p); err != nil {
			panic(err)
		}
	}
	child := exec.Command("sleep", "600")
	child.ExtraFiles = []*os.File{file}
	if err := child.Start(); err != nil {
		panic(err)
	}
	fmt.Println("child", child.Process.Pid)
	select {}
}

// flood multicasts until it is killed.
func flood() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Config{})
	if err != nil {
		panic(err)
	}
	conn, err := c.Open(ctx, cpg.ID)
	if err != nil {
		panic(err)
	}
	join := cpg.JoinRequest{Group: []byte("g"), PID: uint32(os.Getpid())}
	if _, err := conn.Call(ctx, cpg.CallJoin, join.AppendTo(nil)); err != nil {
		panic(err)
	}
	go func() {
		for dst := make([]session.Event, 64); ; {
			if _, err := conn.Recv(ctx, dst); err != nil {
				panic(err)
			}
		}
	}()
	body := cpg.McastRequest{Message: make([]byte, 3000)}.AppendTo(nil)
	for {
		if err := conn.Cast(ctx, cpg.CallMcast, 0, body); err != nil {
			panic(err)
		}
	}
}

func startMember(t testing.TB, run string) *node.Node {
	t.Helper()
	lo := netip.MustParseAddr("127.0.0.1")
	cluster := config.New("door", config.Node{ID: 1, Name: "one", Votes: 1, Addrs: []string{lo.String()}, Links: []netip.Addr{lo}})
	port, err := link.FreePorts([]netip.Addr{lo})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Totem.Interfaces = []config.Interface{{Port: port}}
	n, err := node.Start(context.Background(), node.Config{
		Cluster: cluster, Self: 1, StateDir: t.TempDir(), RunDir: run, Version: "test",
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Halt)
	return n
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func dial(t testing.TB, run string, c client.Config) *client.Client {
	t.Helper()
	c.Socket = filepath.Join(run, node.AgentSocket)
	cl, err := client.Dial(soon(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cl.Close() })
	return cl
}

// join opens cpg and joins a group.
func join(t testing.TB, s session.Session, group string, pid uint32) session.Conn {
	t.Helper()
	conn, err := s.Open(soon(t), cpg.ID)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "the join is taken", func() (bool, any) {
		_, err := conn.Call(soon(t), cpg.CallJoin, cpg.JoinRequest{Group: []byte(group), PID: pid}.AppendTo(nil))
		return err == nil, err
	})
	next(t, conn, cpg.EventConfchg)
	return conn
}

// next gives the body of the next event of a kind.
func next(t testing.TB, conn session.Conn, kind uint16) []byte {
	t.Helper()
	dst := make([]session.Event, 1)
	for {
		n, err := conn.Recv(soon(t), dst)
		if err != nil || n != 1 {
			t.Fatalf("%d events, %v", n, err)
		}
		if dst[0].Kind == kind {
			return bytes.Clone(dst[0].Body)
		}
	}
}

func TestMember_Session(t *testing.T) {
	run := t.TempDir()
	n := startMember(t, run)
	c := dial(t, run, client.Config{})
	if c.Node() != 1 || c.Name() != "one" || c.ClusterName() != "door" || c.AgentVersion() != "test" || c.Incarnation() == 0 {
		t.Errorf("got node %d %q of %q, start %d, %q", c.Node(), c.Name(), c.ClusterName(), c.Incarnation(), c.AgentVersion())
	}
	if d := n.Status().Doors; !strings.HasSuffix(d[len(d)-1], node.AgentSocket) {
		t.Errorf("doors: %v", d)
	}
	conn := join(t, c, "g", 1)
	var last []byte
	for _, size := range []int{0, 1, 64, 1000, 100_000, 200_000, cpg.MaxAtomic, 5} {
		last = bytes.Repeat([]byte{byte(size)}, size)
		if err := conn.Cast(soon(t), cpg.CallMcast, 7, cpg.McastRequest{Message: last}.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		d, err := cpg.ParseDeliver(next(t, conn, cpg.EventDeliver))
		if err != nil || d.Tag != 7 || d.Conn != conn.(interface{ ID() uint64 }).ID() || !bytes.Equal(d.Message, last) {
			t.Fatalf("got %d bytes with tag %d of %d, %v, want %d", len(d.Message), d.Tag, d.Conn, err, size)
		}
	}
	if _, err := conn.Call(soon(t), cpg.CallJoin, cpg.JoinRequest{Group: []byte("h"), PID: 1}.AppendTo(nil)); !errors.Is(err, service.ErrExist) {
		t.Errorf("a second join: %v", err)
	}
	if err := conn.Cast(soon(t), cpg.CallMcast, 0, make([]byte, 5<<20)); !errors.Is(err, service.ErrTooBig) {
		t.Errorf("5 MiB: %v", err)
	}
	if _, err := c.Open(soon(t), 63); !errors.Is(err, service.ErrNotExist) {
		t.Errorf("a service that does not exist: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Recv(soon(t), make([]session.Event, 1)); !errors.Is(err, session.ErrClosed) {
		t.Errorf("recv after close: %v", err)
	}
}

// A refused cast ends its connection, with the code.
func TestMember_RefusedCast(t *testing.T) {
	run := t.TempDir()
	startMember(t, run)
	conn, err := dial(t, run, client.Config{}).Open(soon(t), cpg.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Cast(soon(t), cpg.CallMcast, 0, cpg.McastRequest{}.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; {
		_, err = conn.Recv(soon(t), make([]session.Event, 1))
	}
	if !errors.Is(err, session.ErrClosed) || !errors.Is(err, service.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// Many connections on some sockets, all busy: each gets all messages in one order.
func TestMember_ManyConnections(t *testing.T) {
	const sockets, each, messages = 5, 8, 40
	run := t.TempDir()
	startMember(t, run)
	orders := make([]string, sockets*each)
	var conns []session.Conn
	for i := range sockets {
		c := dial(t, run, client.Config{Window: 20_000})
		for k := range each {
			conns = append(conns, join(t, c, "g", uint32(i*each+k)))
		}
	}
	var wg sync.WaitGroup
	for i, conn := range conns {
		wg.Go(func() {
			for k := range messages {
				text := fmt.Sprintf("%d/%d ", i, k)
				body := cpg.McastRequest{Message: append([]byte(text), make([]byte, 100*k)...)}.AppendTo(nil)
				if err := conn.Cast(soon(t), cpg.CallMcast, 0, body); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			dst := make([]session.Event, 8)
			var order strings.Builder
			for got := 0; got < messages*len(conns); {
				n, err := conn.Recv(soon(t), dst)
				if err != nil {
					t.Error(err)
					return
				}
				for _, ev := range dst[:n] {
					if d, err := cpg.ParseDeliver(ev.Body); ev.Kind == cpg.EventDeliver && err == nil {
						text, _, _ := bytes.Cut(d.Message, []byte(" "))
						order.Write(append(text, ' '))
						got++
					}
				}
			}
			orders[i] = order.String()
		})
	}
	wg.Wait()
	for i := range orders {
		if orders[i] != orders[0] {
			t.Errorf("connection %d saw another order", i)
		}
	}
}

// When the agent goes, everything ends with a reason; with Reconnect a new
// connection waits for the next agent.
func TestMember_Gone(t *testing.T) {
	run := t.TempDir()
	n := startMember(t, run)
	once, again := dial(t, run, client.Config{}), dial(t, run, client.Config{Reconnect: true})
	a, b := join(t, once, "g", 1), join(t, again, "g", 2)
	inc := again.Incarnation()
	n.Halt()
	for _, conn := range []session.Conn{a, b} {
		var err error
		for err == nil {
			_, err = conn.Recv(soon(t), make([]session.Event, 4))
		}
		if !errors.Is(err, session.ErrClosed) {
			t.Errorf("recv: %v", err)
		}
		testenv.Eventually(t, patience, "casts fail", func() (bool, any) {
			err := conn.Cast(soon(t), cpg.CallMcast, 0, nil)
			return errors.Is(err, session.ErrClosed), err
		})
	}
	select {
	case <-once.Done():
	case <-soon(t).Done():
		t.Fatal("not done")
	}
	if err := once.Err(); !errors.Is(err, client.ErrGone) {
		t.Errorf("got %v", err)
	}
	if _, err := once.Open(soon(t), cpg.ID); !errors.Is(err, client.ErrGone) {
		t.Errorf("open: %v", err)
	}
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := again.Open(short, cpg.ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open without an agent: %v", err)
	}
	opened := make(chan session.Conn)
	go func() {
		conn, err := again.Open(soon(t), cpg.ID)
		if err != nil {
			t.Error(err)
		}
		opened <- conn
	}()
	startMember(t, run)
	if <-opened == nil {
		return
	}
	join(t, again, "g", 3)
	if again.Incarnation() == inc {
		t.Error("the new agent has the old incarnation")
	}
}

func TestMember_InUse(t *testing.T) {
	run := t.TempDir()
	startMember(t, run)
	lo := netip.MustParseAddr("127.0.0.1")
	cluster := config.New("door", config.Node{ID: 1, Name: "one", Votes: 1, Addrs: []string{lo.String()}, Links: []netip.Addr{lo}})
	_, err := node.Start(soon(t), node.Config{Cluster: cluster, Self: 1, StateDir: t.TempDir(), RunDir: run})
	if err == nil || !strings.Contains(err.Error(), "another agent serves "+run) {
		t.Errorf("got %v", err)
	}
}

func TestDial_NoAgent(t *testing.T) {
	_, err := client.Dial(soon(t), client.Config{Socket: filepath.Join(t.TempDir(), "agent.sock")})
	if err == nil || !strings.Contains(err.Error(), "start it, or name its socket with MOOTHALL_SOCKET") {
		t.Errorf("got %v", err)
	}
}

// act starts this program as a client process.
func act(t *testing.T, run, what string, change func(*exec.Cmd)) *testenv.Process {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), actEnv+"="+what, socket+"="+filepath.Join(run, node.AgentSocket))
	change(cmd)
	return testenv.Start(t, cmd)
}

func TestMember_AccessRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start programs of other users")
	}
	dir, err := os.MkdirTemp("", "native") // that of a test is its user's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "program")
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "run")
	startMember(t, run)
	p := act(t, run, "dial", func(cmd *exec.Cmd) {
		cmd.Path, cmd.Dir = copied, dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	})
	p.Wait(patience)
	if out := p.Output(); !strings.Contains(out, "user 65534 and group 65534 may not use this agent") || !strings.Contains(out, "true") {
		t.Errorf("got %s", out)
	}
}

// A child that has the socket does not keep a dead client alive.
func TestMember_ClientDiesBeforeItsChild(t *testing.T) {
	run := t.TempDir()
	n := startMember(t, run)
	clients := func() int {
		for _, s := range n.Status().Services {
			if s.Name == "groups" {
				return s.Clients
			}
		}
		return -1
	}
	p := act(t, run, "leave a child", func(*exec.Cmd) {})
	p.WaitOutput(patience, "child ")
	var child int
	if _, err := fmt.Sscanf(p.Output(), "child %d", &child); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(child, syscall.SIGKILL) })
	testenv.Eventually(t, patience, "a client", func() (bool, any) { return clients() == 1, clients() })
	p.Signal(syscall.SIGKILL)
	testenv.Eventually(t, patience, "its end", func() (bool, any) { return clients() == 0, clients() })
	if err := syscall.Kill(child, 0); err != nil {
		t.Errorf("the child has ended too: %v", err)
	}
}

// A client that is killed while it sends leaves its group, and nothing else.
func TestMember_ClientKilled(t *testing.T) {
	run := t.TempDir()
	startMember(t, run)
	conn := join(t, dial(t, run, client.Config{}), "g", 1)
	for range 3 {
		p := act(t, run, "flood", func(*exec.Cmd) {})
		dst := make([]session.Event, 64)
		for got, killed := 0, false; ; {
			n, err := conn.Recv(soon(t), dst)
			if err != nil {
				t.Fatal(err)
			}
			left := false
			for _, ev := range dst[:n] {
				if ev.Kind == cpg.EventDeliver {
					got++
				} else if c, err := cpg.ParseConfchg(ev.Body); err == nil && len(c.Left) == 1 {
					left = true
				}
			}
			if left {
				break
			}
			if got > 500 && !killed {
				killed = true
				p.Signal(syscall.SIGKILL)
			}
		}
	}
}
