package node_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/remote"
)

// The tests' own binary is the program of the services, too.
func TestMain(m *testing.M) {
	if os.Getenv(remote.FDEnv) != "" {
		remote.Main(&ledger{quorate: len(os.Args) > 1 && os.Args[1] == "quorate"})
		return
	}
	os.Exit(m.Run())
}

// ledger is a service that keeps lines; what a member lacks it gets in a round.
type ledger struct {
	x      service.Executive
	lines  [][]byte
	staged [][]byte
	round  service.Round
	sent   int

	quorate bool // it needs quorum
}

const (
	ledgerID   = 44
	callWrite  = 0 // a line; the event comes when it is in the ledger
	callLedger = 1 // answers process, number of lines, and their hash
)

func (l *ledger) Info() service.Info {
	return service.Info{Name: "ledger", ID: ledgerID, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: !l.quorate,
		Calls: []service.Call{callWrite: {Name: "write", Flow: true}, callLedger: {Name: "ledger", Local: true}}}
}
func (l *ledger) Start(x service.Executive) error   { l.x = x; return nil }
func (l *ledger) Stop()                             {}
func (l *ledger) ConfigChange(service.ConfigChange) {}

func (l *ledger) Deliver(m service.Message) {
	line := append([]byte(nil), m.Body...)
	if m.Class == service.Sync {
		l.staged = append(l.staged, line)
		return
	}
	l.lines = append(l.lines, line)
	if c, ok := l.x.Local(m.Src); ok {
		_ = c.Push(0, line)
	}
}

func (l *ledger) Dump(w io.Writer) { fmt.Fprintf(w, "%d lines\n", len(l.lines)) }

func (l *ledger) hash() [32]byte { return sha256.Sum256(fmt.Appendf(nil, "%q", l.lines)) }

func (l *ledger) SyncDigest() service.Digest { return l.hash() }
func (l *ledger) SyncInit(r service.Round)   { l.round, l.staged, l.sent = r, nil, 0 }
func (l *ledger) SyncAbort(error)            { l.staged = nil }
func (l *ledger) SyncActivate() {
	if !l.round.Same {
		l.lines = l.staged
	}
	l.staged = nil
}

func (l *ledger) SyncProcess(budget int) (bool, error) {
	for ; l.round.Sender == l.x.Self() && l.sent < len(l.lines); l.sent++ {
		if budget--; budget < 0 || l.x.Multicast(0, service.Sync, service.Agreed, service.Source{}, l.lines[l.sent]) != nil {
			return false, nil
		}
	}
	return true, nil
}

func (l *ledger) Open(c service.Conn) (service.Client, error) { return &scribe{l, c}, nil }

type scribe struct {
	l *ledger
	c service.Conn
}

func (s *scribe) Closed() {}

func (s *scribe) Call(r service.Request) {
	if r.Func == callLedger {
		h := s.l.hash()
		b := binary.LittleEndian.AppendUint32(nil, uint32(os.Getpid()))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s.l.lines)))
		r.Reply(service.OK, append(b, h[:]...))
		return
	}
	src := service.Source{Node: s.l.x.Self(), Conn: s.c.ID(), Tag: r.Tag}
	r.Reply(service.CodeOf(s.l.x.Multicast(0, service.Normal, service.Agreed, src, r.Body)), nil)
}

// hall is a cluster of agents with a service in processes.
type hall struct {
	nodes   []*node.Node
	runDirs []string
	log     *lockedLog
	apart   atomic.Uint32 // the node that is cut off from the others; zero: none
}

type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHall(t *testing.T, nodes int, services ...config.Service) *hall {
	t.Helper()
	c := cluster(t, nodes, 1)
	c.Services = services
	h := &hall{log: &lockedLog{}}
	for id := range config.NodeID(nodes) {
		dir, err := os.MkdirTemp("", "moothall-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		n := start(t, node.Config{Cluster: c, Self: id + 1, Key: make([]byte, 32), RunDir: dir,
			Drop: func(to config.NodeID) bool {
				apart := config.NodeID(h.apart.Load())
				return apart != 0 && (apart == id+1) != (apart == to)
			},
			Log: slog.New(slog.NewTextHandler(h.log, nil)).With("node", id+1)})
		h.nodes, h.runDirs = append(h.nodes, n), append(h.runDirs, dir)
	}
	formed(t, h.nodes...)
	return h
}

// state is what a process says of its ledger.
type state struct {
	pid, lines int
	hash       [32]byte
}

// ask opens the service anew, as its process may be another one by now.
func (h *hall) ask(ctx context.Context, i int) (s state, err error) {
	c, err := h.nodes[i].OpenNamed(ctx, "ledger")
	if err != nil {
		return s, err
	}
	defer c.Close()
	b, err := c.Call(ctx, callLedger, nil)
	if err != nil || len(b) != 40 {
		return s, fmt.Errorf("answer of %d bytes: %w", len(b), err)
	}
	s.pid, s.lines = int(binary.LittleEndian.Uint32(b)), int(binary.LittleEndian.Uint32(b[4:]))
	copy(s.hash[:], b[8:])
	return s, nil
}

// agree waits until all processes have the same ledger of at least so many lines.
func (h *hall) agree(t *testing.T, least int) []state {
	t.Helper()
	var states []state
	testenv.Eventually(t, 2*patience, fmt.Sprintf("equal ledgers of %d lines", least), func() (bool, any) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		states = nil
		for i := range h.nodes {
			s, err := h.ask(ctx, i)
			if err != nil {
				return false, err
			}
			states = append(states, s)
			if s.lines < least || s.hash != states[0].hash {
				return false, fmt.Sprint(states)
			}
		}
		return true, nil
	})
	return states
}

// write writes lines and waits for the last one. The connection ends with the
// process; then it goes on with another.
func (h *hall) write(t *testing.T, i, lines int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	agent, err := client.Dial(ctx, client.Config{Socket: filepath.Join(h.runDirs[i], node.AgentSocket)})
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close()
	for seen := 0; seen < lines; {
		c, err := agent.OpenNamed(ctx, "ledger")
		if err != nil {
			t.Fatal(err)
		}
		for k := seen; k < lines && err == nil; k++ {
			err = c.Cast(ctx, callWrite, uint64(k), fmt.Appendf(nil, "%d of node %d", k, i+1))
		}
		events := make([]service.Event, 16)
		for n := 0; seen < lines && err == nil; seen += n {
			n, err = c.Recv(ctx, events)
		}
		if err != nil && ctx.Err() != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
}

func program(t *testing.T) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{exe}
}

// hangs is how long a process may be silent; on a busy machine others are, too.
const hangs = 3 * time.Second

// A process is killed, another is stopped in its tracks: the state comes from the
// others, replicas stay equal, and agents and their other services go on.
func TestServiceInProcesses(t *testing.T) {
	t.Parallel()
	h := newHall(t, 3, config.Service{Name: "ledger", ID: ledgerID, Command: program(t), Timeout: hangs})
	for i := range h.nodes {
		h.write(t, i, 100)
	}
	before := h.agree(t, 300)

	kill := func(pid int, s syscall.Signal) {
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
	}
	kill(before[1].pid, syscall.SIGKILL)
	h.write(t, 0, 100)
	after := h.agree(t, 400)
	if after[1].pid == before[1].pid {
		t.Errorf("processes %v, then %v", before, after)
	}

	// Node 3's process hangs. Groups of programs do not notice, and the service goes
	// on as soon as the process was found out.
	hung, err := os.FindProcess(after[2].pid)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Stop(t, hung)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := cpg.New(h.nodes[2]).Join(ctx, "others", cpg.JoinConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Send(ctx, []byte("x")); err != nil {
		t.Error(err)
	}
	h.write(t, 1, 100)
	last := h.agree(t, 500)
	if last[2].pid == after[2].pid {
		t.Errorf("the process that hung goes on: %v", last)
	}
	if !strings.Contains(h.log.String(), "it did not answer for "+hangs.String()) {
		t.Error(h.log.String())
	}

	// Each part says what it holds.
	var dump strings.Builder
	if err := h.nodes[0].Dump(ctx, &dump); err != nil || !strings.Contains(dump.String(), "processes on nodes [1 2 3]") {
		t.Errorf("%v\n%s", err, dump.String())
	}
	testenv.Eventually(t, patience, "the dump of the process", func() (bool, any) {
		return strings.Contains(h.log.String(), "It holds "), h.log
	})

	// Operators see what became of them; on a busy machine more did since.
	for i, want := range map[int]string{1: "signal: killed", 2: "signal: killed, as it did not answer for " + hangs.String()} {
		if p := h.process(t, i, "ledger"); p.Restarts == 0 || p.LastExit == "" {
			t.Errorf("node %d: %+v", i+1, p)
		}
		happened, err := admin.New(h.runDirs[i]).Events(ctx, "")
		ended := slices.IndexFunc(happened.Events, func(e admin.Event) bool {
			return e.Type == admin.EventService && e.Service == "ledger" && strings.Contains(e.Text, "its process ended: "+want)
		})
		if err != nil || ended < 0 || !slices.ContainsFunc(happened.Events[ended:], func(e admin.Event) bool { return strings.Contains(e.Text, " runs it.") }) {
			t.Errorf("node %d: %v %v", i+1, happened.Events, err)
		}
	}
	agent := admin.New(h.runDirs[2])
	if page := scrape(t, agent); page.value("moothall_service_up") < 0 || page.value("moothall_service_restarts_total") < 1 {
		t.Error(page.text)
	}

	// All processes end with their agents.
	for _, n := range h.nodes {
		n.Halt()
	}
	for _, s := range last {
		testenv.Eventually(t, patience, "the end of the process", func() (bool, any) {
			return errors.Is(syscall.Kill(s.pid, 0), syscall.ESRCH), s.pid
		})
	}
}

// A node that comes late, and a ring that changes.
func TestServiceInProcesses_RingsChange(t *testing.T) {
	h := newHall(t, 3, config.Service{Name: "ledger", ID: ledgerID, Command: program(t)})
	h.write(t, 0, 50)
	h.agree(t, 50)
	if err := h.nodes[2].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.nodes = h.nodes[:2]
	formed(t, h.nodes...)
	h.write(t, 1, 50)
	h.agree(t, 100)
}

// A service that needs quorum refuses without it, answers what is local, and goes
// on when it is back.
func TestServiceInProcesses_Quorum(t *testing.T) {
	h := newHall(t, 3, config.Service{Name: "ledger", ID: ledgerID, Command: append(program(t), "quorate")})
	h.write(t, 0, 10)
	h.agree(t, 10)
	for _, n := range h.nodes[1:] {
		if err := n.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h.nodes = h.nodes[:1]
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	testenv.Eventually(t, patience, "a refusal", func() (bool, any) {
		c, err := h.nodes[0].OpenNamed(ctx, "ledger")
		if err != nil {
			return false, err
		}
		defer c.Close()
		_, err = c.Call(ctx, callWrite, []byte("x"))
		return errors.Is(err, service.ErrAgain), err
	})
	if s, err := h.ask(ctx, 0); err != nil || s.lines < 10 {
		t.Errorf("%v %v", s, err)
	}
}

// The largest message passes through all doors; a larger one is refused.
func TestServiceInProcesses_LargestMessage(t *testing.T) {
	h := newHall(t, 2, config.Service{Name: "ledger", ID: ledgerID, Command: program(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	agent, err := client.Dial(ctx, client.Config{Socket: filepath.Join(h.runDirs[0], node.AgentSocket)})
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close()
	c, err := agent.OpenNamed(ctx, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for range 8 { // more than may be on the way at a time
		if _, err := c.Call(ctx, callWrite, body); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Call(ctx, callWrite, append(body, 'x')); !errors.Is(err, service.ErrTooBigCode) {
		t.Errorf("a byte more: %v", err)
	}
	events := make([]service.Event, 1)
	for range 8 {
		if _, err := c.Recv(ctx, events); err != nil || !bytes.Equal(events[0].Body, body) {
			t.Fatalf("%d bytes: %v", len(events[0].Body), err)
		}
	}
	h.agree(t, 8)
}

// Processes are killed and rings break while lines are written; in the end all
// ledgers are the same.
func TestServiceInProcesses_UnderFaults(t *testing.T) {
	t.Parallel()
	h := newHall(t, 3, config.Service{Name: "ledger", ID: ledgerID, Command: program(t)})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		h.write(t, rng.IntN(3), 20)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for range 2 {
			if s, err := h.ask(ctx, rng.IntN(3)); err == nil {
				_ = syscall.Kill(s.pid, syscall.SIGKILL)
			}
			h.apart.Store(uint32(rng.IntN(4)))
			h.write(t, rng.IntN(3), 5)
		}
		cancel()
		h.apart.Store(0)
	}
	formed(t, h.nodes...)
	h.agree(t, 1)
}

// A command that does not work is tried again and again, and harms nobody.
func TestServiceInProcesses_BadCommand(t *testing.T) {
	h := newHall(t, 1,
		config.Service{Name: "ledger", ID: ledgerID, Command: []string{"/no/such/program"}},
		config.Service{Name: "other", ID: ledgerID + 1, Command: append(program(t), "-test.run=^$")})
	testenv.Eventually(t, patience, "attempts in the log", func() (bool, any) {
		log := h.log.String()
		return strings.Count(log, "no such file") >= 2 && strings.Contains(log, "the agent does not expect service ledger with id 44"), log
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := h.nodes[0].OpenNamed(ctx, "ledger"); err != nil {
		t.Error(err)
	}
	testenv.Eventually(t, patience, "the wait for the next attempt", func() (bool, any) { // each is longer than the one before
		p := h.process(t, 0, "ledger")
		return p.State == "waiting" && p.PID == 0 && p.LeftMS > 0 && p.Restarts >= 2 && strings.Contains(p.LastExit, "no such file") && p.Reason == "", p
	})
	if up := scrape(t, admin.New(h.runDirs[0])).value("moothall_service_up"); up != 0 {
		t.Errorf("up: %v", up)
	}
}

// process is how a node says that the process of a service does.
func (h *hall) process(t *testing.T, i int, name string) admin.ServiceProcess {
	t.Helper()
	doc, err := admin.New(h.runDirs[i]).Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k := slices.IndexFunc(doc.Services, func(s admin.Service) bool { return s.Name == name })
	if k < 0 || doc.Services[k].Process == nil {
		t.Fatalf("no process of %s in %+v", name, doc)
	}
	return *doc.Services[k].Process
}

func TestServicesInProcesses_NoRunDir(t *testing.T) {
	c := cluster(t, 1, 1)
	c.Services = []config.Service{{Name: "ledger", ID: ledgerID, Command: program(t)}}
	_, err := node.Start(t.Context(), node.Config{Cluster: c, Self: 1, StateDir: t.TempDir()})
	start, _ := errors.AsType[*node.StartError](err)
	if start == nil || start.Part != node.PartService || !strings.Contains(err.Error(), "run directory") {
		t.Error(err)
	}
}
