package qb_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/door/corosync/qb"
	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/service"
)

func TestMain(m *testing.M) { qbtest.Main(func() { os.Exit(m.Run()) }) }

const patience = 60 * time.Second

// loop is an owner goroutine.
type loop struct {
	mu   sync.Mutex
	more sync.Cond
	todo []func()
	stop bool
	done chan struct{}
}

func newLoop(t testing.TB) *loop {
	l := &loop{done: make(chan struct{})}
	l.more.L = &l.mu
	go l.run()
	t.Cleanup(l.halt)
	return l
}

func (l *loop) run() {
	defer close(l.done)
	for {
		l.mu.Lock()
		for len(l.todo) == 0 && !l.stop {
			l.more.Wait()
		}
		todo := l.todo
		l.todo = nil
		l.mu.Unlock()
		if len(todo) == 0 {
			return
		}
		for _, f := range todo {
			f()
		}
	}
}

func (l *loop) Do(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop {
		return false
	}
	l.todo = append(l.todo, f)
	l.more.Signal()
	return true
}

// sync runs f on the loop and waits.
func (l *loop) sync(f func()) {
	done := make(chan struct{})
	l.Do(func() { f(); close(done) })
	<-done
}

func (l *loop) halt() {
	l.mu.Lock()
	l.stop = true
	l.more.Signal()
	l.mu.Unlock()
	<-l.done
}

// The requests that peer understands.
const (
	reqEcho   = 1 // answers its body
	reqEvents = 2 // body: count, size; sends that many events, then answers
	reqPlain  = 3 // counted, no answer
	reqHold   = 4 // not taken while peer.hold is set; answers
)

// peer is the handler of one connection.
type peer struct {
	c        *qb.Conn
	hold     atomic.Bool
	plain    atomic.Int64
	consumed atomic.Int64
	refused  atomic.Int64
	closed   chan error
}

func (p *peer) Request(id int32, msg []byte) bool {
	body := msg[qb.RequestHeader:]
	answer := func(b []byte) { _ = p.c.Respond(qb.AppendHeader(nil, id, qb.ResponseHeader+len(b), 1), b) }
	switch id {
	case reqEcho:
		answer(body)
	case reqEvents:
		size := int(binary.LittleEndian.Uint32(body[4:]))
		for i := range binary.LittleEndian.Uint32(body) {
			_ = p.c.Event(qb.AppendHeader(nil, int32(i), size, 1), make([]byte, size-qb.ResponseHeader), 1)
		}
		answer(nil)
	case reqPlain:
		p.plain.Add(1)
	case reqHold:
		if p.hold.Load() {
			p.refused.Add(1)
			return false
		}
		answer(nil)
	}
	return true
}

func (p *peer) Consumed(n int)   { p.consumed.Add(int64(n)) }
func (p *peer) Closed(err error) { p.closed <- err; close(p.closed) }

// bench is a server with a loop, and the handlers it opened.
type bench struct {
	*qb.Server
	loop  *loop
	shm   string
	peers chan *peer
}

func serve(t testing.TB, change func(*qb.Config)) *bench {
	t.Helper()
	qbtest.Private(t)
	b := &bench{loop: newLoop(t), shm: qbtest.Shm(t), peers: make(chan *peer, 100)}
	cfg := qb.Config{
		Services:  []string{"cpg", "cfg"},
		Do:        b.loop.Do,
		Shm:       b.shm,
		ForceFile: filepath.Join(b.shm, "force"),
		SocketDir: b.shm,
		Open: func(c *qb.Conn) (qb.Handler, error) {
			p := &peer{c: c, closed: make(chan error, 1)}
			b.peers <- p
			return p, nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if b.Server, err = qb.Listen(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func (b *bench) dial(t testing.TB) (*qbtest.Client, *peer) {
	t.Helper()
	c, err := qbtest.Dial("cpg", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, <-b.peers
}

// closed waits for the end of a connection on the server's side.
func (p *peer) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-p.closed:
		return err
	case <-time.After(patience):
		t.Fatal("connection did not end")
		return nil
	}
}

// gone waits until a file does not exist.
func gone(t testing.TB, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", path)
		}
		unix.Poll(nil, 1)
	}
}

func events(count, size uint32) []byte {
	return qbtest.Message(reqEvents, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, count), size))
}

// corosync-ipc 6, item 1.
func TestListen_Item1_PaddedAbstractNames(t *testing.T) {
	serve(t, nil)
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cpg", "cfg"} {
		padded := " @" + name + strings.Repeat("@", 107-len(name)) // the kernel shows NUL as @
		if !strings.Contains(string(table), padded) {
			t.Errorf("no padded name %q in /proc/net/unix:\n%s", name, table)
		}
	}
}

// Items 2 and 3.
func TestHandshake_Item2_Files(t *testing.T) {
	b := serve(t, nil)
	c, _ := b.dial(t)
	if c.Size != 1<<20 {
		t.Errorf("size %d, want 1048576", c.Size)
	}
	if kind := binary.LittleEndian.Uint32(c.Answer[24:]); kind != 1 {
		t.Errorf("connection type %d, want 1 (shared memory)", kind)
	}
	dir := filepath.Dir(c.Request.Path)
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o770 {
		t.Errorf("directory: %v, %v", st.Mode(), err)
	}
	if !strings.HasPrefix(filepath.Base(dir), fmt.Sprintf("qb-%d-%d-", os.Getpid(), os.Getpid())) {
		t.Errorf("directory is called %s", dir)
	}
	sizes := []int64{8252, 1052672, 8248, 1052672, 8248, 1052672} // as the client left them
	for i, name := range c.Files() {
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() != sizes[i] || st.Mode().Perm() != 0o600 || st.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) {
			t.Errorf("%s: %d bytes, %v", name, st.Size(), st.Mode())
		}
	}
	c.Close()
	gone(t, dir)
}

func TestHandshake_Item3_Sizes(t *testing.T) {
	serve(t, nil)
	for _, tt := range []struct {
		want uint32
		got  int
		no   syscall.Errno
	}{{12328, 12328, 0}, {4 << 20, 4 << 20, 0}, {100, 12328, 0}, {16<<20 + 1, 0, syscall.EINVAL}, {^uint32(0), 0, syscall.EINVAL}} {
		c, err := qbtest.Dial("cpg", tt.want)
		var refused *qbtest.RefusedError
		switch {
		case tt.no != 0:
			if !errors.As(err, &refused) || refused.Errno != tt.no {
				t.Errorf("asked %d: %v, want refusal %v", tt.want, err, tt.no)
			}
		case err != nil || c.Size != tt.got:
			t.Errorf("asked %d: got %v, %v, want %d", tt.want, c, err, tt.got)
		default:
			resp, err := c.Call(qbtest.Message(reqEcho, make([]byte, c.Size-qb.ResponseHeader)))
			if err != nil || len(resp) != c.Size {
				t.Errorf("asked %d: response of %d bytes, %v", tt.want, len(resp), err)
			}
			c.Close()
		}
	}
}

// Item 5, the transport's part of it.
func TestHandshake_Item5_Refusals(t *testing.T) {
	var no atomic.Int64
	serve(t, func(c *qb.Config) {
		c.Admit = func(string, service.Cred) error {
			if no.Load() == int64(syscall.EACCES) {
				return syscall.EACCES
			}
			return nil
		}
		open := c.Open
		c.Open = func(c *qb.Conn) (qb.Handler, error) {
			if n := no.Load(); n != 0 {
				return nil, fmt.Errorf("not now: %w", syscall.Errno(n))
			}
			return open(c)
		}
	})
	for _, want := range []syscall.Errno{syscall.EACCES, syscall.EAGAIN, syscall.ENOSYS} {
		no.Store(int64(want))
		_, err := qbtest.Dial("cpg", 1<<20)
		var refused *qbtest.RefusedError
		if !errors.As(err, &refused) || refused.Errno != want {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	no.Store(0)
	c, err := qbtest.Dial("cpg", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestHandshake_NotAuthenticated(t *testing.T) {
	b := serve(t, nil)
	for name, first := range map[string][]byte{
		"wrong id":  append([]byte{7}, make([]byte, 23)...),
		"short":     {1, 2, 3},
		"nothing":   nil,
		"unpadded":  []byte(strings.Repeat("x", 24)),
		"long junk": make([]byte, 5000),
	} {
		fd, err := qbtest.Connect("cpg")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fd, first); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = unix.Shutdown(fd, unix.SHUT_WR)
		if n, err := unix.Read(fd, make([]byte, 1)); n > 0 {
			t.Errorf("%s: answered with %d bytes, %v", name, n, err)
		}
		_ = unix.Close(fd)
	}
	c, _ := b.dial(t)
	if _, err := c.Call(qbtest.Message(reqEcho, nil)); err != nil {
		t.Error(err)
	}
}

func TestHandshake_TooManyConnections(t *testing.T) {
	b := serve(t, func(c *qb.Config) { c.MaxConns = 2 })
	b.dial(t)
	b.dial(t)
	_, err := qbtest.Dial("cpg", 1<<20)
	var refused *qbtest.RefusedError
	if !errors.As(err, &refused) || refused.Errno != syscall.EMFILE {
		t.Errorf("got %v, want EMFILE", err)
	}
}

func TestListen_InUseNamesTheHolder(t *testing.T) {
	b := serve(t, nil)
	_, err := qb.Listen(qb.Config{Services: []string{"votequorum", "cpg"}, Do: b.loop.Do, Shm: b.shm})
	var used *qb.InUseError
	if !errors.As(err, &used) || used.PID != int32(os.Getpid()) || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
	// The name it could have is free again.
	s, err := qb.Listen(qb.Config{Services: []string{"votequorum"}, Do: b.loop.Do, Shm: b.shm})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestListen_FileSystemSockets(t *testing.T) {
	dir := qbtest.Shm(t)
	force := filepath.Join(dir, "force")
	if err := os.WriteFile(force, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	// A file that an earlier run left.
	stale, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(stale, &unix.SockaddrUnix{Name: filepath.Join(dir, "cpg")}); err != nil {
		t.Fatal(err)
	}
	unix.Close(stale)

	b := serve(t, func(c *qb.Config) { c.ForceFile, c.SocketDir = force, dir })
	if st, err := os.Stat(filepath.Join(dir, "cpg")); err != nil || st.Mode().Perm() != 0o777 {
		t.Errorf("socket file: %v, %v", st, err)
	}
	c, err := qbtest.Dial(filepath.Join(dir, "cpg"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(qbtest.Message(reqEcho, nil)); err != nil {
		t.Error(err)
	}
	c.Close()
	_, err = qb.Listen(qb.Config{Services: []string{"cpg"}, Do: b.loop.Do, Shm: b.shm, ForceFile: force, SocketDir: dir})
	var used *qb.InUseError
	if !errors.As(err, &used) || used.PID != int32(os.Getpid()) {
		t.Errorf("second server: %v", err)
	}
	b.Close()
	gone(t, filepath.Join(dir, "cpg"))
}

func TestListen_RemovesWhatDeadServersLeft(t *testing.T) {
	shm := qbtest.Shm(t)
	const dead = 1 << 22 // above every pid
	make := func(name string, files ...string) string {
		dir := filepath.Join(shm, name)
		if err := os.Mkdir(dir, 0o770); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	mine := make(fmt.Sprintf("qb-%d-1-2-abcdef", dead), "qb-request-cpg-header", "qb-event-cpg-data")
	own := make(fmt.Sprintf("qb-%d-1-2-abcdef", os.Getpid()), "qb-request-cfg-header")
	empty := make(fmt.Sprintf("qb-%d-1-4-abcdef", dead))
	other := make(fmt.Sprintf("qb-%d-1-3-abcdef", dead), "qb-request-cib_rw-header")
	alive := make("qb-1-1-3-abcdef", "qb-request-cpg-header")
	serve(t, func(c *qb.Config) { c.Shm = shm })
	for _, dir := range []string{mine, own, empty} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s was not removed", dir)
		}
	}
	for _, dir := range []string{other, alive} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("%s was removed", dir)
		}
	}
}

func TestRequests_EchoOfAllSizes(t *testing.T) {
	b := serve(t, nil)
	c, _ := b.dial(t)
	for _, n := range []int{0, 1, 3, 4, 5, 63, 64, 1000, 4095, 9224, 100000, 1<<20 - 24} {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(i * 7)
		}
		for range 12 { // around the ring
			resp, err := c.Call(qbtest.Message(reqEcho, body))
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if string(resp[qb.ResponseHeader:]) != string(body) {
				t.Fatalf("%d bytes came back changed", n)
			}
		}
	}
}

// Item 7 without the C library.
func TestRequests_Item7_ManyRoundTrips(t *testing.T) {
	b := serve(t, nil)
	c, _ := b.dial(t)
	const n = 20000
	msg := qbtest.Message(reqEcho, []byte("12345678"))
	start := time.Now()
	for range n {
		if _, err := c.Call(msg); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%v per round trip", time.Since(start)/n)
}

func TestRequests_WithoutAnswersInOrderAndCounted(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	const n = 50000
	msg := qbtest.Message(reqPlain, make([]byte, 64))
	for range n {
		for {
			err := c.Send(msg, 1)
			if err == nil {
				break
			}
			if !errors.Is(err, qbtest.ErrAgain) {
				t.Fatal(err)
			}
		}
	}
	if _, err := c.Call(qbtest.Message(reqEcho, nil)); err != nil {
		t.Fatal(err)
	}
	if got := p.plain.Load(); got != n {
		t.Errorf("%d requests arrived, want %d", got, n)
	}
	if sem := binary.LittleEndian.Uint64(c.Request.Head[qbtest.Sem:]); sem != 0 {
		t.Errorf("semaphore %#x after all requests were taken", sem)
	}
}

// Item 10.
func TestEvents_Item10_NeverDispatching(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	for range 1000 {
		if _, err := c.Call(events(1, 4096)); err != nil {
			t.Fatal(err)
		}
	}
	var backlog int
	b.loop.sync(func() { backlog = p.c.Backlog() })
	if backlog == 0 {
		t.Error("4 MB of events and no backlog")
	}
	for i := range 1000 {
		if ev, err := c.Dispatch(patience); err != nil || len(ev) != 4096 {
			t.Fatalf("event %d: %d bytes, %v", i, len(ev), err)
		}
	}
	if c.Readable(0) {
		t.Error("descriptor readable after the last event")
	}
	for deadline := time.Now().Add(patience); p.consumed.Load() != 1000; unix.Poll(nil, 1) {
		if time.Now().After(deadline) {
			t.Fatalf("weight of %d consumed, want 1000", p.consumed.Load())
		}
	}
}

func TestEvents_OrderThroughRingAndBacklog(t *testing.T) {
	for _, size := range []uint32{24, 100, 5000, 100000, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := serve(t, nil)
			c, _ := b.dial(t)
			n := min(20000, 32<<20/size)
			if _, err := c.Call(events(n, size)); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				ev, err := c.Dispatch(patience)
				if err != nil {
					t.Fatalf("event %d: %v", i, err)
				}
				if id := binary.LittleEndian.Uint32(ev); id != i || len(ev) != int(size) {
					t.Fatalf("event %d has number %d and %d bytes", i, id, len(ev))
				}
			}
			if c.Readable(0) {
				t.Error("descriptor readable after the last event")
			}
		})
	}
}

func TestEvents_FullBacklogEndsTheConnection(t *testing.T) {
	b := serve(t, func(c *qb.Config) { c.Backlog = 1 << 20 })
	c, p := b.dial(t)
	if err := c.Send(events(100, 100000), 1); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t); !errors.Is(err, qb.ErrOverflow) {
		t.Errorf("ended with %v", err)
	}
	if !c.WaitHangUp(patience) {
		t.Error("client was not told")
	}
}

// Flow control (corosync-ipc 1.4.8).
func TestFlow_RequestsWaitInTheRing(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	b.loop.sync(func() { p.c.SetFlow(qb.FlowMcast) })
	if got := c.Flow(); got != 2 {
		t.Fatalf("flow word %d, want 2", got)
	}
	if err := c.Send(qbtest.Message(reqPlain, nil), 2); !errors.Is(err, qbtest.ErrAgain) {
		t.Errorf("multicast: %v", err)
	}
	for range 3 {
		if err := c.Send(qbtest.Message(reqPlain, nil), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Send(qbtest.Message(reqEcho, nil), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(50 * time.Millisecond); err == nil || p.plain.Load() != 0 {
		t.Error("request handled while flow control is on")
	}
	b.loop.sync(func() { p.c.SetFlow(qb.FlowFree) })
	if _, err := c.Receive(patience); err != nil {
		t.Fatal(err)
	}
	if c.Flow() != 0 || p.plain.Load() != 3 {
		t.Errorf("flow %d, %d requests", c.Flow(), p.plain.Load())
	}
}

func TestRequests_OneNotTakenComesAgainInOrder(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	p.hold.Store(true)
	for _, id := range []int32{reqPlain, reqHold, reqPlain, reqEcho} {
		if err := c.Send(qbtest.Message(id, nil), 1); err != nil {
			t.Fatal(err)
		}
	}
	for p.refused.Load() == 0 {
		unix.Poll(nil, 1)
	}
	b.loop.sync(func() {})
	if p.plain.Load() != 1 {
		t.Errorf("%d requests", p.plain.Load())
	}
	p.hold.Store(false)
	b.loop.sync(func() { p.c.Resume() })
	for _, want := range []uint32{reqHold, reqEcho} {
		resp, err := c.Receive(patience)
		if err != nil || binary.LittleEndian.Uint32(resp) != want {
			t.Fatalf("response %v, %v, want to request %d", resp, err, want)
		}
	}
	if p.refused.Load() != 1 || p.plain.Load() != 2 {
		t.Errorf("refused %d times, %d requests", p.refused.Load(), p.plain.Load())
	}
}

func TestClose_RequestsSentBeforeTheHangUpCount(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	for range 1000 {
		if err := c.Request.Write(qbtest.Message(reqPlain, nil)); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	if err := p.wait(t); err == nil {
		t.Error("ended without a reason")
	}
	if got := p.plain.Load(); got != 1000 {
		t.Errorf("%d requests handled, want 1000", got)
	}
}

// One that goes on writing after it hung up keeps the owner from nothing: only
// what was there counts, and others have their turns in between.
func TestClose_WritesAfterTheHangUp(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	msg := qbtest.Message(reqPlain, nil)
	stop := make(chan struct{})
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for {
			select {
			case <-stop:
				return
			default:
				_ = c.Request.Write(msg)
			}
		}
	}()
	if err := unix.Shutdown(c.FD, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t); err == nil {
		t.Error("ended without a reason")
	}
	close(stop)
	<-wrote
}

// Many busy clients leave gaps in which the owner does other work.
func TestRequests_RoundsAreBounded(t *testing.T) {
	const clients, each = 20, 1000
	var peers []*peer
	total := func() (n int64) {
		for _, p := range peers {
			n += p.plain.Load()
		}
		return n
	}
	var most int64 // of the owner
	b := serve(t, func(c *qb.Config) {
		do := c.Do
		c.Do = func(f func()) bool {
			return do(func() {
				before := total()
				f()
				most = max(most, total()-before)
			})
		}
	})
	var conns []*qbtest.Client
	for range clients {
		c, p := b.dial(t)
		conns = append(conns, c)
		b.loop.sync(func() { peers = append(peers, p) })
	}
	b.loop.sync(func() { // the owner is busy while all write
		for _, c := range conns {
			for range each {
				if err := c.Request.Write(qbtest.Message(reqPlain, nil)); err != nil {
					t.Error(err)
				}
			}
			if err := c.Notify(); err != nil {
				t.Error(err)
			}
		}
	})
	for done := false; !done; {
		b.loop.sync(func() {
			done = total() == clients*each
			if done && most > 4096+512 {
				t.Errorf("%d requests were served without a break", most)
			}
		})
	}
}

func TestClose_ServerHangsUpAndRemovesFiles(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	b.Close()
	if !c.WaitHangUp(patience) {
		t.Error("client was not told")
	}
	_ = p.wait(t)
	if left, _ := filepath.Glob(filepath.Join(b.shm, "qb-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestClose_OwnerHasStopped(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	b.loop.halt()
	c.Close()
	_ = p.wait(t)
	b.Close()
}

// The owner may stop with work in its hands.
func TestClose_OwnerForgets(t *testing.T) {
	const running, forgetting, stopped = 0, 1, 2
	var state, forgotten atomic.Int64
	b := serve(t, func(c *qb.Config) {
		do := c.Do
		c.Do = func(f func()) bool {
			switch state.Load() {
			case running:
				return do(f)
			case forgetting:
				forgotten.Add(1)
			}
			return state.Load() != stopped
		}
	})
	c, p := b.dial(t)
	state.Store(forgetting)
	c.Close()
	for deadline := time.Now().Add(patience); forgotten.Load() == 0; unix.Poll(nil, 1) {
		if time.Now().After(deadline) {
			t.Fatal("the end of the connection was not given to the owner")
		}
	}
	state.Store(stopped)
	b.Close()
	_ = p.wait(t)
}

func TestClose_DisconnectRequest(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	if err := c.Send(qbtest.Header(-3, 16), 1); err != nil {
		t.Fatal(err)
	}
	_ = p.wait(t)
}

// Item 11: each of these ends its own connection and nothing else.
func TestHostile_Item11(t *testing.T) {
	b := serve(t, nil)
	good, _ := b.dial(t)
	send := func(t *testing.T, c *qbtest.Client, msg []byte) {
		if err := c.Request.Write(msg); err != nil {
			t.Fatal(err)
		}
		if err := c.Notify(); err != nil {
			t.Fatal(err)
		}
	}
	echo := qbtest.Message(reqEcho, make([]byte, 100))
	for name, attack := range map[string]func(t *testing.T, c *qbtest.Client){
		"bad magic": func(t *testing.T, c *qbtest.Client) {
			if err := c.Request.Write(echo); err != nil {
				t.Fatal(err)
			}
			*c.Request.Word(1) = 0x12345678
			_ = c.Notify()
		},
		"chunk longer than agreed": func(t *testing.T, c *qbtest.Client) {
			if err := c.Request.Write(echo); err != nil {
				t.Fatal(err)
			}
			*c.Request.Word(0) = 0xffffffff
			_ = c.Notify()
		},
		"chunk shorter than a header": func(t *testing.T, c *qbtest.Client) { send(t, c, make([]byte, 15)) },
		"size beyond the chunk": func(t *testing.T, c *qbtest.Client) {
			send(t, c, append(qbtest.Header(reqEcho, 200), 1, 2, 3))
		},
		"negative size": func(t *testing.T, c *qbtest.Client) { send(t, c, qbtest.Header(reqEcho, -5)) },
		"semaphore too high": func(t *testing.T, c *qbtest.Client) {
			*c.Request.Field(qbtest.Sem) = 0xffffffff
			_ = c.Notify()
		},
		"response position beyond the ring": func(t *testing.T, c *qbtest.Client) {
			*c.Response.Field(qbtest.ReadPt) = 0xffffffff
			flood(c)
		},
		"event position beyond the ring": func(t *testing.T, c *qbtest.Client) {
			*c.Event.Field(qbtest.ReadPt) = 1 << 30
			send(t, c, events(30, 100000))
		},
		"responses never read": func(t *testing.T, c *qbtest.Client) {
			flood(c)
		},
		"request data truncated": func(t *testing.T, c *qbtest.Client) {
			if err := os.Truncate(c.Request.Path+"-data", 0); err != nil {
				t.Fatal(err)
			}
			*c.Request.Field(qbtest.Sem) = 1
			_ = c.Notify()
		},
		"request header truncated": func(t *testing.T, c *qbtest.Client) {
			if err := os.Truncate(c.Request.Path+"-header", 0); err != nil {
				t.Fatal(err)
			}
			_ = c.Notify()
		},
		"event data truncated": func(t *testing.T, c *qbtest.Client) {
			if err := os.Truncate(c.Event.Path+"-data", 4096); err != nil {
				t.Fatal(err)
			}
			send(t, c, events(3, 100000))
		},
		"event data truncated with a backlog": func(t *testing.T, c *qbtest.Client) {
			send(t, c, events(30, 100000))
			for range 3 {
				if _, err := c.Dispatch(patience); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Truncate(c.Event.Path+"-header", 0); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100) // the bytes tell the poller that the client reads
			for n := 1; n > 0; {
				n, _ = unix.Read(c.FD, b)
			}
		},
		"response header truncated": func(t *testing.T, c *qbtest.Client) {
			if err := os.Truncate(c.Response.Path+"-header", 0); err != nil {
				t.Fatal(err)
			}
			send(t, c, echo)
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			c, p := b.dial(t)
			attack(t, c)
			err := p.wait(t)
			if !errors.Is(err, qb.ErrProtocol) {
				t.Errorf("ended with %v", err)
			}
			if _, err := good.Call(echo); err != nil {
				t.Errorf("another connection: %v", err)
			}
		})
	}
}

// flood sends requests without reading responses until the server hangs up.
func flood(c *qbtest.Client) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if c.Request.Write(qbtest.Message(reqEcho, make([]byte, 100000))) == nil && c.Notify() != nil {
			return
		}
		if c.WaitHangUp(0) {
			return
		}
	}
}

// Garbage in everything the client can write, at once and again.
func TestHostile_Item11_Garbage(t *testing.T) {
	b := serve(t, nil)
	good, _ := b.dial(t)
	seed := uint64(1)
	for range 50 {
		c, p := b.dial(t)
		for _, r := range []*qbtest.Ring{&c.Request, &c.Response, &c.Event} {
			for i := 0; i < 8240; i += 8 {
				if i < 12 || i >= 8200 {
					seed = seed*6364136223846793005 + 1442695040888963407
					binary.LittleEndian.PutUint64(r.Head[i:], seed)
				}
			}
			for i := range r.Data[:8192] {
				seed = seed*6364136223846793005 + 1442695040888963407
				r.Data[i] = byte(seed >> 40)
			}
		}
		_ = c.Notify()
		_ = p.wait(t)
		c.Close()
	}
	if _, err := good.Call(qbtest.Message(reqEcho, nil)); err != nil {
		t.Error(err)
	}
}

func TestHostile_BytesWithoutRequests(t *testing.T) {
	b := serve(t, nil)
	c, _ := b.dial(t)
	for range 1000 {
		if _, err := unix.Write(c.FD, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Call(qbtest.Message(reqEcho, nil)); err != nil {
		t.Error(err)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	s := serve(b, nil)
	c, _ := s.dial(b)
	msg := qbtest.Message(reqEcho, nil)
	for b.Loop() {
		if _, err := c.Call(msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRequests(b *testing.B) {
	s := serve(b, nil)
	c, _ := s.dial(b)
	msg := qbtest.Message(reqPlain, make([]byte, 64))
	for b.Loop() {
		for c.Send(msg, 1) != nil {
		}
	}
	if _, err := c.Call(qbtest.Message(reqEcho, nil)); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkEvent(b *testing.B) {
	s := serve(b, nil)
	c, p := s.dial(b)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			ev, err := c.Dispatch(patience)
			if err != nil || len(ev) == qb.ResponseHeader {
				return
			}
		}
	}()
	head, body := qb.AppendHeader(nil, 1, 248, 1), make([]byte, 224)
	b.ReportAllocs()
	for b.Loop() {
		s.loop.sync(func() {
			for range 64 {
				_ = p.c.Event(head, body, 1)
			}
		})
		for p.c.Backlog() > 1<<20 {
		}
	}
	s.loop.sync(func() { _ = p.c.Event(qb.AppendHeader(nil, 1, 24, 1), nil, 1) })
	<-done
}
