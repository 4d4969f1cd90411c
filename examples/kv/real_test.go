package kv_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/moothall/moothall/examples/kv"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/sim"
	"github.com/moothall/moothall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	patience      = 60 * time.Second // for what takes a second on a machine with time to spare
	clientsOfNode = 3
	atOnce        = 2 // faults besides kills; with more there is hardly ever a majority to ask
)

// Five agents with a kvd beside each are one register for each key while, for
// MOOT_SOAK_SECONDS (10 unless set), processes are killed and stopped and nodes cut
// off. At most two nodes are without their memory at a time: the next processes
// are killed when those before have the state again. MOOT_SOAK_SEED repeats a
// plan of faults; what comes of it depends on the machine.
func TestSoakLinearizable(t *testing.T) {
	seconds, err := strconv.Atoi(env("MOOT_SOAK_SECONDS", "10"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(env("MOOT_SOAK_SEED", strconv.FormatUint(rand.Uint64N(1e6), 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skipf("needs nftables: %v", err)
	}
	testenv.OnStage(t, 5, func(t *testing.T, stage *bench.Stage) {
		t.Logf("the same faults come with MOOT_SOAK_SEED=%d", seed)
		s := newSoak(t, stage, seed)
		s.run(time.Duration(seconds) * time.Second)
		s.heal()
		s.judge()
	})
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// soak breaks things in the goroutine of the test, while clients work in theirs.
type soak struct {
	t        *testing.T
	stage    *bench.Stage
	rnd      *rand.Rand
	agent    bench.Daemon
	kvd      string
	machines []*machine
	due      []todo
	counts   map[string]int
	began    time.Time

	clients sync.WaitGroup
	cancel  context.CancelFunc

	mu         sync.Mutex // guards what follows
	operations []porcupine.Operation
	refused    int
}

// todo is what is to be done at a time.
type todo struct {
	at time.Time
	do func()
}

// machine is a node with an agent and a kvd.
type machine struct {
	*bench.Node
	agent, kvd *testenv.Process
	beside     *testenv.Process // the agent that kvd was started beside
	drops      []string         // rules of what is lost on the way in
	life       atomic.Int64     // of the state in memory
	ready      atomic.Int64     // the last life that had the state
	answers    atomic.Int64     // that clients got
}

func newSoak(t *testing.T, stage *bench.Stage, seed uint64) *soak {
	s := &soak{t: t, stage: stage, rnd: rand.New(rand.NewPCG(seed, 0)), counts: map[string]int{}, began: time.Now(),
		agent: bench.NewMoot(testenv.Binary(t), false), kvd: filepath.Join(stage.Dir, "kvd")}
	if out, err := exec.Command("go", "build", "-o", s.kvd, "./kvd").CombinedOutput(); err != nil {
		t.Fatalf("build kvd: %v\n%s", err, out)
	}
	for _, n := range stage.Nodes {
		s.machines = append(s.machines, &machine{Node: n})
	}
	// The clients are a sixth machine, which is never cut off.
	if out, err := exec.Command("ip", "addr", "add", "10.77.0.250/24", "dev", "moot0").CombinedOutput(); err != nil {
		t.Fatalf("an address for clients: %v\n%s", err, out)
	}
	return s
}

func (s *soak) run(d time.Duration) {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.cancel = cancel
	s.t.Cleanup(func() { cancel(); s.clients.Wait() })
	for i, m := range s.machines {
		m.life.Store(1)
		s.startAgent(m)
		s.startKvd(m)
		for c := range clientsOfNode {
			s.clients.Go(func() { s.client(ctx, m, i*clientsOfNode+c) })
		}
	}
	s.until("the state on all nodes", func() (bool, any) { return s.allReady(), s.lives() })
	next := time.Now()
	for end := time.Now().Add(d); time.Now().Before(end); s.work() {
		if time.Now().After(next) && len(s.due) < atOnce {
			s.fault()
			next = time.Now().Add(s.between(100*time.Millisecond, 3*time.Second))
		}
	}
}

// work does what is due and has processes that ended come back, as a service
// manager would.
func (s *soak) work() {
	now := time.Now()
	var ready []todo
	s.due = slices.DeleteFunc(s.due, func(d todo) bool {
		if d.at.After(now) {
			return false
		}
		ready = append(ready, d)
		return true
	})
	for _, d := range ready {
		d.do()
	}
	for _, m := range s.machines {
		if !m.agent.Running() {
			s.t.Fatalf("the agent of %s ended by itself", m.Name)
		}
		if !m.kvd.Running() {
			if m.beside == m.agent && m.ready.Load() == m.life.Load() {
				s.t.Fatalf("kvd of %s ended by itself", m.Name)
			}
			s.startKvd(m)
		}
	}
	time.Sleep(20 * time.Millisecond) // the pace of the faults, nothing waits for it
}

func (s *soak) until(what string, ok func() (bool, any)) {
	s.t.Helper()
	testenv.Eventually(s.t, patience, what, func() (bool, any) {
		s.work()
		return ok()
	})
}

func (s *soak) startAgent(m *machine) {
	cmd, err := s.agent.Command(s.stage, m.Node)
	if err != nil {
		s.t.Fatal(err)
	}
	m.agent = testenv.Start(s.t, cmd)
}

func (s *soak) startKvd(m *machine) {
	m.kvd, m.beside = testenv.Start(s.t, m.Command(s.kvd, "-listen", fmt.Sprintf("%v:8080", m.Addr))), m.agent
}

func (s *soak) allReady() bool {
	return !slices.ContainsFunc(s.machines, func(m *machine) bool { return m.ready.Load() != m.life.Load() })
}

func (s *soak) lives() any {
	var lines []string
	for _, m := range s.machines {
		lines = append(lines, fmt.Sprintf("%s: life %d, had the state in life %d", m.Name, m.life.Load(), m.ready.Load()))
	}
	return lines
}

// between draws a duration, short ones more often.
func (s *soak) between(low, high time.Duration) time.Duration {
	f := s.rnd.Float64()
	return low + time.Duration(f*f*float64(high-low))
}

func (s *soak) after(d time.Duration, f func()) {
	s.due = append(s.due, todo{time.Now().Add(d), f})
}

// fault does one of the faults.
func (s *soak) fault() {
	m := s.machines[s.rnd.IntN(len(s.machines))]
	switch s.rnd.IntN(8) {
	case 0, 1:
		if s.allReady() { // nobody is without memory: up to two may be
			for _, i := range s.rnd.Perm(len(s.machines))[:1+s.rnd.IntN(2)] {
				s.kill(s.machines[i], s.rnd.IntN(2) == 0)
			}
		}
	case 2:
		s.stop("stop of an agent", m.agent)
	case 3:
		s.stop("stop of a kvd", m.kvd)
	case 4, 5:
		var sides [2][]*machine
		for _, o := range s.machines {
			side := s.rnd.IntN(2)
			sides[side] = append(sides[side], o)
		}
		if len(sides[0]) > 0 && len(sides[1]) > 0 {
			s.counts["partition"]++
			s.cut(sides[0], sides[1], true)
		}
	case 6:
		s.counts["cut of one node"]++
		s.cut([]*machine{m}, s.machines, true)
	case 7:
		s.counts["cut in one direction"]++
		s.cut([]*machine{m}, s.machines[:1+s.rnd.IntN(len(s.machines))], false)
	}
}

// kill takes a node's memory: that of the kvd, which ends with its agent too.
func (s *soak) kill(m *machine, agent bool) {
	defer m.life.Add(1) // what still answered was the old one
	if !agent {
		s.counts["kill of a kvd"]++
		m.kvd.Signal(syscall.SIGKILL)
		m.kvd.Wait(patience)
		return
	}
	s.counts["kill of an agent"]++
	m.agent.Signal(syscall.SIGKILL)
	m.agent.Wait(patience)
	s.startAgent(m)
}

func (s *soak) stop(name string, p *testenv.Process) {
	s.counts[name]++
	p.Stop()
	s.after(s.between(200*time.Millisecond, 5*time.Second), p.Continue)
}

// cut loses what some nodes send to others, for a while.
func (s *soak) cut(from, to []*machine, bothWays bool) {
	var undo []func()
	lose := func(from, to *machine) {
		rule := fmt.Sprintf("ip saddr %v drop", from.Addr)
		to.drops = append(to.drops, rule)
		undo = append(undo, func() {
			i := slices.Index(to.drops, rule)
			to.drops = slices.Delete(to.drops, i, i+1)
		})
	}
	for _, a := range from {
		for _, b := range to {
			if a == b {
				continue
			}
			lose(a, b)
			if bothWays {
				lose(b, a)
			}
		}
	}
	s.filter()
	s.after(s.between(200*time.Millisecond, 6*time.Second), func() {
		for _, f := range undo {
			f()
		}
		s.filter()
	})
}

func (s *soak) filter() {
	for _, m := range s.machines {
		if err := testenv.Filter(m.Node, m.drops); err != nil {
			s.t.Fatal(err)
		}
	}
}

// heal takes all faults back and waits until every node answers.
func (s *soak) heal() {
	for i := range s.due {
		s.due[i].at = time.Now()
	}
	s.work()
	before := map[*machine]int64{}
	for _, m := range s.machines {
		before[m] = m.answers.Load()
	}
	s.until("answers of all nodes when all faults are over", func() (bool, any) {
		for m, n := range before {
			if m.answers.Load() <= n {
				return false, s.lives()
			}
		}
		return s.allReady(), s.lives()
	})
	s.cancel()
	s.clients.Wait()
}

// client does one operation after the other at one node.
func (s *soak) client(ctx context.Context, m *machine, number int) {
	rnd := rand.New(rand.NewPCG(uint64(number), 1))
	web := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	last := map[string]string{} // the value that was seen
	inRow, life := 0, int64(0)
	for k := 0; ctx.Err() == nil; k++ {
		key := fmt.Sprint("/always", rnd.IntN(3))
		if rnd.IntN(10) > 0 { // short histories are judged quickly
			key = fmt.Sprintf("/%d-%d", time.Since(s.began)/(2*time.Second), rnd.IntN(3))
		}
		op := kv.Op{Key: key}
		if rnd.IntN(2) == 0 {
			op.Put, op.Value = true, fmt.Sprintf("%d.%d", number, k)
			if op.If = rnd.IntN(3) == 0; op.If {
				op.Old = last[key]
			}
		}
		if now := m.life.Load(); now != life {
			inRow, life = 0, now
		}
		call := time.Since(s.began)
		found, err := do(ctx, web, m.Addr.String(), op)
		switch s.note(porcupine.Operation{Input: input{op, sim.NodeID(m.ID)}, Output: found, Call: int64(call), Return: int64(time.Since(s.began))}, err); {
		case err != nil:
			inRow = 0
		default:
			last[key] = found.Value
			if found.Done {
				last[key] = op.Value
			}
			m.answers.Add(1)
			// What says that the state is here goes out behind the first answer at the
			// latest, so it is in order before the second.
			if inRow++; inRow == 2 {
				m.ready.Store(life)
			}
		}
		time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond) // the pace of the load
	}
}

// note writes an operation down. An output of nil is not known.
func (s *soak) note(o porcupine.Operation, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, kv.ErrMinority):
		s.refused++
		return
	case err != nil && !o.Input.(input).Put:
		return
	case err != nil:
		o.Output, o.Return = nil, math.MaxInt64
	}
	o.ClientId = len(s.operations)
	s.operations = append(s.operations, o)
}

// do asks a kvd. The error is kv.ErrMinority if nothing happened.
func do(ctx context.Context, web *http.Client, addr string, op kv.Op) (kv.Result, error) {
	method := http.MethodGet
	if op.Put {
		method = http.MethodPut
	}
	q, err := http.NewRequestWithContext(ctx, method, "http://"+net.JoinHostPort(addr, "8080")+op.Key, strings.NewReader(op.Value))
	if err != nil {
		return kv.Result{}, err
	}
	if op.If {
		q.Header.Set("If-Match", op.Old)
	}
	a, err := web.Do(q)
	if err != nil {
		if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
			return kv.Result{}, kv.ErrMinority // it never heard of it
		}
		return kv.Result{}, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	switch {
	case err != nil:
		return kv.Result{}, err
	case a.StatusCode == http.StatusServiceUnavailable:
		return kv.Result{}, kv.ErrMinority
	case a.StatusCode == http.StatusPreconditionFailed:
		return kv.Result{Value: strings.TrimSuffix(string(body), "\n")}, nil
	case a.StatusCode == http.StatusOK:
		return kv.Result{Value: string(body), Done: op.Put}, nil
	}
	return kv.Result{}, fmt.Errorf("%s: %s", a.Status, body)
}

// judge tells what happened and whether one register for each key could have
// done it.
func (s *soak) judge() {
	h := history{operations: withoutGhosts(s.operations)}
	unknown := 0
	for _, o := range s.operations {
		if o.Output == nil {
			unknown++
		}
	}
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(s.counts)) {
		faults = append(faults, fmt.Sprintf("%s %d", name, s.counts[name]))
	}
	s.t.Logf("faults: %s", strings.Join(faults, ", "))
	verdict := "linearizable"
	if !h.linearizable(s.t) {
		verdict = "NOT linearizable"
		s.t.Errorf("not linearizable; the history is in %s", s.visualize(h.operations))
	}
	s.t.Logf("porcupine: %s: %d operations, the outcome of %d puts is not known; %d were refused", verdict, len(s.operations), unknown, s.refused)
}

// withoutGhosts leaves out puts whose outcome is not known and whose value nobody
// ever saw: with them a history is linearizable exactly if it is without them.
func withoutGhosts(all []porcupine.Operation) []porcupine.Operation {
	seen := map[string]bool{}
	for _, o := range all {
		seen[o.Input.(input).Old] = true
		if r, known := o.Output.(kv.Result); known {
			seen[r.Value] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(o porcupine.Operation) bool {
		return o.Output == nil && !seen[o.Input.(input).Value]
	})
}

// visualize draws the histories of the keys that are not linearizable.
func (s *soak) visualize(all []porcupine.Operation) string {
	var bad []porcupine.Operation
	for _, part := range register.Partition(all) {
		if !porcupine.CheckOperations(register, part) {
			bad = append(bad, part...)
		}
	}
	file, err := os.CreateTemp("", "moot-kv-*.html")
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	_, info := porcupine.CheckOperationsVerbose(register, bad, time.Minute)
	if err := porcupine.Visualize(register, info, file); err != nil {
		s.t.Error(err)
	}
	return file.Name()
}
