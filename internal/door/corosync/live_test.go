package corosync_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/door/corosync"
	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// The door of a whole member, alone in its cluster.

func TestMain(m *testing.M) { qbtest.Main(func() { testenv.Main(m) }) }

const patience = 60 * time.Second

func startMember(t testing.TB) *node.Node {
	t.Helper()
	return startMemberWith(t, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
}

func startMemberWith(t testing.TB, log *slog.Logger) *node.Node {
	t.Helper()
	return startMemberOf(t, log, func(*config.Config) {})
}

func startMemberOf(t testing.TB, log *slog.Logger, change func(*config.Config)) *node.Node {
	t.Helper()
	qbtest.Private(t)
	lo := netip.MustParseAddr("127.0.0.1")
	cluster := config.New("door", config.Node{ID: 1, Name: "one", Votes: 1, Addrs: []string{lo.String()}, Links: []netip.Addr{lo}})
	change(cluster)
	n, err := node.Start(context.Background(), node.Config{
		Cluster:  cluster,
		Self:     1,
		StateDir: t.TempDir(), CorosyncDoor: true,
		Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Halt)
	ready(t)
	return n
}

// TestMember_Votequorum has a device of one vote configured, which makes two
// expected.
func TestMember_Votequorum(t *testing.T) {
	bin := corosync.BuildC(t, "votequorum_basic")
	startMemberOf(t, slog.New(slog.DiscardHandler), func(c *config.Config) {
		c.Quorum.ExpectedVotes, c.Quorum.Device = 2, &config.QuorumDevice{Model: "net", Votes: 1}
	})
	if out := corosync.OutputC(t, bin); out != "passed\n" {
		t.Error(out)
	}
}

// ready waits until clients are let in.
func ready(t testing.TB) {
	t.Helper()
	testenv.Eventually(t, patience, "the member is ready", func() (bool, any) {
		c, err := qbtest.Dial("cpg", 1<<20)
		if err == nil {
			c.Close()
		}
		return err == nil, err
	})
}

func TestMember_Libraries(t *testing.T) {
	cpg, quorum := corosync.BuildC(t, "cpg_basic"), corosync.BuildC(t, "quorum_basic")
	startMember(t)
	for _, bin := range []string{cpg, quorum} {
		if out := corosync.OutputC(t, bin); out != "passed\n" {
			t.Error(out)
		}
	}
}

// corosync-ipc 6, items 10, 13 and 20: 200 MB to a receiver that does not
// dispatch before it has sent them all would need more memory than it may have,
// so it sends as fast as it may.
func TestMember_Item13_Flood(t *testing.T) {
	bin := corosync.BuildC(t, "cpg_flow")
	startMember(t)
	if out := corosync.OutputC(t, bin, "2000"); !strings.HasPrefix(out, "passed") {
		t.Error(out)
	}
	if out := corosync.OutputC(t, bin, "400", "flood"); !strings.HasPrefix(out, "passed") {
		t.Error(out)
	}
}

// A client that sleeps under many small messages slows the others down; it is
// not cut off, and finds all of them (corosync-ipc 6, item 13).
func TestMember_Item13_SmallMessages(t *testing.T) {
	startMember(t)
	join := func(pid uint32) *qbtest.Client {
		c, err := qbtest.Dial("cpg", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		if resp, err := c.Call(corosync.JoinRequest("g", pid)); err != nil || binary.LittleEndian.Uint32(resp[16:]) != 1 {
			t.Fatalf("join: %x, %v", resp, err)
		}
		return c
	}
	sleeper, sender := join(1), join(2)
	const n = 370_000 // more than the backlog of one connection takes
	msg := corosync.McastRequest([]byte("x"))
	var sent atomic.Int64
	still := make(chan struct{})
	stands := sync.OnceFunc(func() { close(still) })
	done := make(chan struct{})
	defer func() { <-done }()
	go func() { // it takes its own messages as it sends
		defer close(done)
		for refused, taken := 0, 0; taken < n && !t.Failed(); {
			if sent.Load() < n && sender.Send(msg, 2) == nil {
				sent.Add(1)
				refused = 0
				continue
			}
			if ev, err := sender.Dispatch(time.Millisecond); err != nil {
				if refused++; refused == 200 {
					stands()
				}
			} else if binary.LittleEndian.Uint32(ev) == 5 {
				taken++
				refused = 0
			}
		}
	}()
	select {
	case <-still:
	case <-time.After(2 * patience):
		t.Fatalf("%d messages were taken of the sender, and nobody waits for the sleeper", sent.Load())
	}
	for got := 0; got < n; {
		ev, err := sleeper.Dispatch(patience)
		if err != nil {
			t.Fatalf("after %d messages of %d: %v", got, sent.Load(), err)
		}
		if binary.LittleEndian.Uint32(ev) == 5 {
			got++
		}
	}
}

// Item 9: after kill -9 of the daemon every call fails, the descriptor is
// readable, and the client's library removes the files; what it leaves, the
// next daemon removes.
func TestMember_Item9_KilledDaemon(t *testing.T) {
	bin := corosync.BuildC(t, "cpg_member")
	qbtest.Private(t)
	moot := testenv.Binary(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "corosync.conf")
	err := os.WriteFile(conf, []byte("totem {\nversion: 2\ncluster_name: door\n}\n"+
		"nodelist {\nnode {\nname: one\nnodeid: 1\nring0_addr: 127.0.0.1\n}\n}\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	start := func() *testenv.Process {
		p := testenv.Start(t, exec.Command(moot, "agent", "-c", conf, "--state", filepath.Join(dir, "state"), "--run", filepath.Join(dir, "run")))
		ready(t)
		return p
	}
	first := start()
	program := exec.Command(bin)
	if _, err := program.StdinPipe(); err != nil { // it lives as long as its input
		t.Fatal(err)
	}
	client := testenv.Start(t, program)
	client.WaitOutput(patience, "change members")
	silent, err := qbtest.Dial("cpg", 1<<20) // does not clean up as the library does
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	first.Signal(syscall.SIGKILL)
	first.Wait(patience)
	if status := client.Wait(patience); status != 3 {
		t.Errorf("client ended with status %d", status)
	}
	client.WaitOutput(patience, "dispatch 2")
	files := filepath.Join("/dev/shm", fmt.Sprintf("qb-%d-*", first.PID()))
	if left, _ := filepath.Glob(files); len(left) > 2 {
		t.Errorf("left: %v", left)
	}
	second := start()
	if left, _ := filepath.Glob(files); len(left) != 0 {
		t.Errorf("left by the next daemon: %v", left)
	}
	second.Signal(syscall.SIGTERM)
	if status := second.Wait(patience); status != 0 {
		t.Errorf("the next daemon ended with status %d", status)
	}
	if left, _ := filepath.Glob(filepath.Join("/dev/shm", fmt.Sprintf("qb-%d-*", second.PID()))); len(left) != 0 {
		t.Errorf("left by the next daemon of its own: %v", left)
	}
}

func BenchmarkMember(b *testing.B) {
	bin := corosync.BuildC(b, "cpg_rate")
	startMember(b)
	for b.Loop() {
		b.Log(corosync.OutputC(b, bin, "30000", "300000"))
	}
}
