package interop

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/internal/tracefile"
)

// TestSoakReal breaks five real members under load for MOOT_SOAK_SECONDS (25
// unless set): processes are killed, stopped, told to leave, and lose their
// records; packets are lost, links cut on one or both sides, interfaces taken
// down. Then it heals, demands one ring and that everything arrives, and judges
// the traces of all members with the simulator's checker, and what the programs
// saw besides. MOOT_SOAK_SEED repeats a plan of faults; what comes of it depends
// on the machine.
//
// Three members are agents with a program of libcpg each, two are embedded in a
// program that sends safe messages too. Without a C compiler the programs beside
// agents are left out.
func TestSoakReal(t *testing.T) {
	seconds, err := strconv.Atoi(env("MOOT_SOAK_SECONDS", "25"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(env("MOOT_SOAK_SEED", strconv.FormatUint(rand.Uint64N(1e6), 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	needTool(t, "nft")
	testenv.OnStage(t, 5, func(t *testing.T, stage *bench.Stage) {
		t.Logf("the same faults come with MOOT_SOAK_SEED=%d", seed)
		x := newSoak(t, stage, seed)
		x.run(time.Duration(seconds) * time.Second)
		x.heal()
		x.judge()
	})
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// soak is the one who breaks things. It runs in one goroutine.
type soak struct {
	*site
	rnd     *rand.Rand
	dir     string // of traces and logs, kept if the test fails
	notes   *os.File
	program string // of libcpg, empty: none
	netem   bool
	members []*soaked
	due     []todo
	counts  map[string]int
	trouble []string // what must not happen
	formed  time.Duration
}

// todo is what is to be done at a time.
type todo struct {
	at time.Time
	do func()
}

// soaked is one of the members.
type soaked struct {
	*agent
	embedded bool
	state    memberState
	process  *running
	client   *program // nil: none now
	beside   *running // what client was started beside
	older    []byte   // an earlier record
	drops    []string // nft expressions of what is dropped on the way in
	down     bool     // the interface

	histories []*program // of all programs, the present one last
	lives     int
}

type memberState int

const (
	gone memberState = iota
	up
	paused
	leaving
)

// running is a process of a member.
type running struct {
	cmd  *exec.Cmd
	done <-chan struct{}
}

func newSoak(t *testing.T, stage *bench.Stage, seed uint64) *soak {
	x := &soak{site: newSite(t, stage, "token: 1000", "", ""), rnd: rand.New(rand.NewPCG(seed, 0)), counts: map[string]int{}}
	tags := []string{"faults"}
	if os.Getenv("MOOT_PLANT") != "" { // a planted fault, with go test -tags mutants
		tags = append(tags, "mutants")
	}
	x.binary, x.silent = testenv.Binary(t, tags...), true // it has traces of its own
	var err error
	if x.dir, err = os.MkdirTemp("", "moot-soak-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("traces and logs are in %s", x.dir)
			return
		}
		os.RemoveAll(x.dir)
	})
	if x.notes, err = os.Create(filepath.Join(x.dir, "faults.trace")); err != nil {
		t.Fatal(err)
	}
	if why := noPrograms(); why != nil {
		t.Logf("without programs of libcpg: %v", why)
	} else {
		x.program = compile(t, stage, "testdata/c/member.c")
	}
	x.netem = stage.Nodes[0].Command("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "0ms").Run() == nil
	for i, a := range x.agents {
		x.members = append(x.members, &soaked{agent: a, embedded: i >= 3})
	}
	return x
}

// note writes a line of the trace.
func (x *soak) note(m *soaked, e *check.Event, format string, args ...any) {
	l := tracefile.Line{At: tracefile.Now(), Event: e, Text: fmt.Sprintf(format, args...)}
	if m != nil {
		l.Node = m.id
	}
	if _, err := x.notes.Write(append(l.AppendJSON(nil), '\n')); err != nil {
		x.t.Fatal(err)
	}
}

func (x *soak) bad(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	x.trouble = append(x.trouble, text)
	x.note(nil, nil, "%s", text)
}

func (x *soak) after(d time.Duration, f func()) {
	x.due = append(x.due, todo{time.Now().Add(d), f})
}

// between draws a duration, short ones more often.
func (x *soak) between(low, high time.Duration) time.Duration {
	f := x.rnd.Float64()
	return low + time.Duration(f*f*float64(high-low))
}

func (x *soak) run(d time.Duration) {
	for _, m := range x.members {
		x.start(m)
	}
	x.one()
	end := time.Now().Add(d)
	next := time.Now()
	for time.Now().Before(end) {
		if !time.Now().Before(next) {
			x.fault()
			next = time.Now().Add(x.between(50*time.Millisecond, 3*time.Second))
		}
		x.watch()
		x.work(next)
	}
}

// work does what is due, for a moment.
func (x *soak) work(next time.Time) {
	wake := time.Now().Add(50 * time.Millisecond)
	if next.Before(wake) {
		wake = next
	}
	for i := 0; i < len(x.due); i++ {
		if d := x.due[i]; !time.Now().Before(d.at) {
			x.due = slices.Delete(x.due, i, i+1)
			i--
			d.do()
		} else if d.at.Before(wake) {
			wake = d.at
		}
	}
	time.Sleep(time.Until(wake)) // the pace of the faults, nothing waits for it
}

// watch finds out what ended by itself, and starts programs anew.
func (x *soak) watch() {
	for _, m := range x.members {
		if m.process != nil && m.state != gone && ended(m.process.done) {
			code := m.process.cmd.ProcessState.ExitCode()
			switch {
			case m.state == leaving && code == 0:
			case m.state == leaving:
				x.bad("node %d was told to leave and ended with status %d", m.id, code)
			default:
				x.bad("node %d ended by itself with status %d", m.id, code)
			}
			x.over(m)
			x.after(x.between(0, 3*time.Second), func() { x.start(m) })
		}
		if m.client != nil && ended(m.client.done) {
			if m.process == m.beside && m.state != gone && !ended(m.process.done) && m.state != leaving {
				lines := m.client.said()
				x.bad("%s ended although its agent is there: %q %s", m.client.name, lines[max(0, len(lines)-3):], &m.client.stderr)
			}
			m.client = nil
		}
		if m.client == nil && !m.embedded && m.state == up && x.program != "" {
			x.join(m)
		}
	}
}

func ended(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

const (
	groupName = "soak"
	loadRate  = 25 // messages a second and program
)

// start starts a member, and its program with it.
func (x *soak) start(m *soaked) {
	if m.state != gone {
		return
	}
	if b, err := os.ReadFile(filepath.Join(m.agent.state, "ring")); err == nil && x.rnd.IntN(3) == 0 {
		m.older = b
	}
	m.lives++
	x.note(m, nil, "start %d", m.lives)
	trace := filepath.Join(x.dir, fmt.Sprintf("node%d.trace", m.id))
	log, err := os.OpenFile(x.log(m), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		x.t.Fatal(err)
	}
	defer log.Close()
	if m.embedded {
		self, err := os.Executable()
		if err != nil {
			x.t.Fatal(err)
		}
		cmd := m.node.Command(self)
		cmd.Stderr = log
		cmd.Env = append(os.Environ(), embeddedEnv+"="+embeddedConfig(x.conf, m.id, m.agent.state, m.agent.run, trace, groupName))
		p, err := startProgram(x.t, fmt.Sprintf("life %d of node %d", m.lives, m.id), cmd)
		if err != nil {
			x.t.Fatal(err)
		}
		p.order("rate %d", loadRate)
		m.client, m.process = p, &running{cmd, p.done}
		m.histories = append(m.histories, p)
	} else {
		cmd := m.node.Command(x.binary, "agent", "-c", x.conf, "--state", m.agent.state, "--run", m.agent.run, "--trace", trace)
		cmd.Env = append(os.Environ(), "MOOTHALL_TEST_DISK="+x.disk(m))
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			x.t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			cmd.Wait()
			close(done)
		}()
		m.process = &running{cmd, done}
	}
	m.state = up
}

func (x *soak) disk(m *soaked) string { return filepath.Join(m.node.Dir, "fault") }

// join starts a program beside an agent.
func (x *soak) join(m *soaked) {
	p, err := startProgram(x.t, fmt.Sprintf("program %d of node %d", len(m.histories)+1, m.id), m.node.Command(x.program, groupName))
	if err != nil {
		x.t.Fatal(err)
	}
	p.order("rate %d", loadRate)
	m.client, m.beside = p, m.process
	m.histories = append(m.histories, p)
}

// over notes the end of a process.
func (x *soak) over(m *soaked) {
	x.note(m, &check.Event{Kind: check.KindCrash}, "")
	m.state = gone
	if m.embedded {
		m.client = nil
	}
}

// kill ends a member at once.
func (x *soak) kill(m *soaked) {
	m.process.cmd.Process.Kill()
	<-m.process.done
	x.over(m)
}

// faults are what may happen, with their weight. Each is given a member that is
// up, and reports whether it was possible.
var faults = []struct {
	name   string
	weight int
	do     func(x *soak, m *soaked) bool
}{
	{"kill", 10, func(x *soak, m *soaked) bool {
		x.kill(m)
		x.again(m)
		return true
	}},
	{"kill, record lost", 2, func(x *soak, m *soaked) bool {
		x.kill(m)
		if err := os.RemoveAll(m.agent.state); err != nil {
			x.t.Fatal(err)
		}
		m.older = nil
		x.note(m, nil, tracefile.RecordTampered)
		x.again(m)
		return true
	}},
	{"kill, older record", 2, func(x *soak, m *soaked) bool {
		if m.older == nil {
			return false
		}
		x.kill(m)
		if err := os.WriteFile(filepath.Join(m.agent.state, "ring"), m.older, 0o600); err != nil {
			x.t.Fatal(err)
		}
		x.note(m, nil, tracefile.RecordTampered)
		x.again(m)
		return true
	}},
	{"stop", 10, func(x *soak, m *soaked) bool {
		testenv.Stop(x.t, m.process.cmd.Process)
		m.state = paused
		p := m.process
		x.after(x.between(50*time.Millisecond, 10*time.Second), func() {
			if m.process == p && m.state == paused {
				x.note(m, nil, "continued")
				testenv.Continue(x.t, p.cmd.Process)
				m.state = up
			}
		})
		return true
	}},
	{"leave", 5, func(x *soak, m *soaked) bool {
		m.process.cmd.Process.Signal(syscall.SIGTERM)
		m.state = leaving
		return true
	}},
	{"split", 8, func(x *soak, m *soaked) bool {
		var here, there []*soaked
		for _, o := range x.members {
			if x.rnd.IntN(2) == 0 {
				here = append(here, o)
			} else {
				there = append(there, o)
			}
		}
		x.cut(x.between(200*time.Millisecond, 8*time.Second), append(pairs(here, there), pairs(there, here)...))
		return len(here) > 0 && len(there) > 0
	}},
	{"one way cut", 8, func(x *soak, m *soaked) bool {
		o := x.members[x.rnd.IntN(len(x.members))]
		x.cut(x.between(100*time.Millisecond, 6*time.Second), []pair{{o, m, "drop"}})
		return o != m
	}},
	{"deaf", 4, func(x *soak, m *soaked) bool {
		x.cut(x.between(100*time.Millisecond, 5*time.Second), pairs(x.members, []*soaked{m}))
		return true
	}},
	{"loss", 8, func(x *soak, m *soaked) bool {
		p := pairs(x.members, []*soaked{m})
		verdict := fmt.Sprintf("numgen random mod 100 < %d drop", 2+x.rnd.IntN(50))
		for i := range p {
			p[i].verdict = verdict
		}
		x.cut(x.between(500*time.Millisecond, 6*time.Second), p)
		return true
	}},
	{"rough network", 4, func(x *soak, m *soaked) bool {
		return x.netem && x.rough(m)
	}},
	{"interface down", 6, func(x *soak, m *soaked) bool {
		if m.down {
			return false
		}
		x.link(m, false)
		x.after(x.between(100*time.Millisecond, 5*time.Second), func() { x.link(m, true) })
		return true
	}},
	{"slow disk", 4, func(x *soak, m *soaked) bool {
		if m.embedded {
			return false
		}
		slow := x.between(50*time.Millisecond, 3*time.Second).Round(time.Millisecond)
		if err := os.WriteFile(x.disk(m), []byte("slow="+slow.String()), 0o600); err != nil {
			x.t.Fatal(err)
		}
		x.after(x.between(500*time.Millisecond, 8*time.Second), func() { os.Remove(x.disk(m)) })
		return true
	}},
	{"kill program", 4, func(x *soak, m *soaked) bool {
		if m.embedded || m.client == nil {
			return false
		}
		m.client.kill()
		m.client = nil
		return true
	}},
	{"burst", 8, func(x *soak, m *soaked) bool {
		if m.client == nil {
			return false
		}
		m.client.order("send %d %d", 50+x.rnd.IntN(200), 30+x.rnd.IntN(3000))
		return true
	}},
}

// again starts a killed member some time.
func (x *soak) again(m *soaked) {
	x.after(x.between(0, 4*time.Second), func() { x.start(m) })
}

// fault does one thing at random.
func (x *soak) fault() {
	var able []*soaked
	for _, m := range x.members {
		if m.state == up {
			able = append(able, m)
		}
	}
	if len(able) == 0 {
		return
	}
	m := able[x.rnd.IntN(len(able))]
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	n := x.rnd.IntN(total)
	for _, f := range faults {
		if n -= f.weight; n < 0 {
			x.note(m, nil, "fault: %s", f.name)
			if f.do(x, m) {
				x.counts[f.name]++
			}
			return
		}
	}
}

// pair is a way that is not open, and what happens on it.
type pair struct {
	from, to *soaked
	verdict  string
}

func pairs(from, to []*soaked) []pair {
	var out []pair
	for _, a := range from {
		for _, b := range to {
			if a != b {
				out = append(out, pair{a, b, "drop"})
			}
		}
	}
	return out
}

// cut loses packets where they arrive, for a while.
func (x *soak) cut(d time.Duration, ways []pair) {
	undo := make([]func(), 0, len(ways))
	touched := map[*soaked]bool{}
	for _, w := range ways {
		if w.from == w.to {
			continue
		}
		touched[w.to] = true
		rule := fmt.Sprintf("ip saddr %v %s", w.from.node.Addr, w.verdict)
		w.to.drops = append(w.to.drops, rule)
		undo = append(undo, func() {
			if i := slices.Index(w.to.drops, rule); i >= 0 {
				w.to.drops = slices.Delete(w.to.drops, i, i+1)
			}
		})
	}
	apply := func() {
		for _, m := range x.members {
			if touched[m] {
				x.filter(m)
			}
		}
	}
	apply()
	x.after(d, func() {
		for _, f := range undo {
			f()
		}
		apply()
	})
}

// filter makes the packet filter of a node what it should be.
func (x *soak) filter(m *soaked) {
	if err := testenv.Filter(m.node, m.drops); err != nil {
		x.t.Fatal(err)
	}
	x.note(m, nil, "lost on the way in: %q", m.drops)
}

// rough delays, doubles and reorders what a node sends.
func (x *soak) rough(m *soaked) bool {
	set := func(args ...string) bool {
		return m.node.Command("tc", append([]string{"qdisc", "replace", "dev", "eth0", "root", "netem"}, args...)...).Run() == nil
	}
	ok := set("delay", fmt.Sprint(1+x.rnd.IntN(40), "ms"), "20ms", "loss", fmt.Sprint(x.rnd.IntN(15), "%"), "duplicate", "5%", "reorder", "20%")
	x.after(x.between(500*time.Millisecond, 5*time.Second), func() { set("delay", "0ms") })
	return ok
}

func (x *soak) link(m *soaked, on bool) {
	if m.down == !on {
		return
	}
	m.down = !on
	x.note(m, nil, "interface up: %v", on)
	if err := m.node.SetLink(on); err != nil {
		x.t.Fatal(err)
	}
}

// one waits until all members are in one ring, and lets programs come back.
func (x *soak) one() {
	ids := make([]config.NodeID, 0, len(x.members))
	for _, m := range x.members {
		ids = append(ids, m.id)
	}
	began := time.Now()
	testenv.Eventually(x.t, 2*patience, "one ring of all", func() (bool, any) {
		x.watch()
		x.work(time.Now().Add(time.Hour))
		for _, m := range x.members {
			if m.state != up || m.client == nil && x.program != "" {
				return false, fmt.Sprintf("node %d is not up", m.id)
			}
		}
		_, why := x.ring(ids)
		return why == "", why
	})
	x.formed = time.Since(began)
}

// heal takes all faults back, and waits until all messages have arrived.
func (x *soak) heal() {
	x.note(nil, &check.Event{Kind: check.KindPhase, Text: "heal"}, "")
	for len(x.due) > 0 {
		x.due[0].at = time.Now()
		x.work(time.Now())
	}
	for _, m := range x.members {
		if m.state == gone {
			x.start(m)
		}
	}
	x.one()
	x.note(nil, &check.Event{Kind: check.KindPhase, Text: "drain"}, "")
	var programs []*soaked
	for _, m := range x.members {
		if m.client != nil {
			programs = append(programs, m)
		}
	}
	for _, m := range programs { // all in the group before the last messages are sent
		testenv.Eventually(x.t, patience, fmt.Sprintf("%s: all programs in the group", m.client.name), func() (bool, any) {
			x.watch()
			lines := m.client.said()
			for _, l := range slices.Backward(lines) {
				if strings.HasPrefix(l, "change ") {
					members, _, _, _ := parseChange(l)
					return len(members) == len(programs), l
				}
			}
			return false, "no change yet"
		})
	}
	for _, m := range programs {
		m.client.order("finish %d", len(programs))
	}
	for _, m := range programs {
		m.client.until(0, "done")
	}
	// Killed, not told to leave: then they live to the end of the trace.
	for _, m := range x.members {
		m.process.cmd.Process.Kill()
		<-m.process.done
		if m.client != nil {
			m.client.kill()
		}
	}
}

// keep writes down what the programs said.
func (x *soak) keep() {
	for _, m := range x.members {
		for _, p := range m.histories {
			name := filepath.Join(x.dir, strings.ReplaceAll(p.name, " ", "-")+".txt")
			if err := os.WriteFile(name, []byte(strings.Join(p.said(), "\n")+"\n"), 0o644); err != nil {
				x.t.Error(err)
			}
		}
	}
}

// readLogs looks for what must not stand in the logs.
func (x *soak) readLogs() {
	for _, m := range x.members {
		b, err := os.ReadFile(x.log(m))
		if err != nil {
			x.t.Error(err)
		}
		for _, word := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if i := bytes.Index(b, []byte(word)); i >= 0 {
				x.bad("log of node %d: %s", m.id, b[i:min(len(b), i+2000)])
			}
		}
	}
}

func (x *soak) log(m *soaked) string { return filepath.Join(x.dir, fmt.Sprintf("node%d.log", m.id)) }

// judge tells what happened and whether it was right.
func (x *soak) judge() {
	files := []string{x.notes.Name()}
	for _, m := range x.members {
		files = append(files, filepath.Join(x.dir, fmt.Sprintf("node%d.trace", m.id)))
	}
	j := tracefile.NewJudge(check.Options{Max: 5})
	w := ways{}
	err := tracefile.Merge(files, func(l *tracefile.Line) error {
		w.add(l)
		return j.Add(l)
	})
	if err != nil {
		x.t.Error(err)
	}
	totals, findings := j.End(true)
	for _, f := range findings {
		x.t.Error(f)
	}
	x.readLogs()
	for _, text := range x.trouble {
		x.t.Error(text)
	}
	var histories []*history
	for _, m := range x.members {
		for i, p := range m.histories {
			h := readHistory(p.name, m.id, p.said())
			histories = append(histories, h)
			if i == len(m.histories)-1 {
				if err := h.cameBack(); err != nil {
					x.t.Error(err)
				}
			}
		}
	}
	compared := judgeHistories(x.t, histories, w)
	if x.t.Failed() {
		x.keep()
	}
	var told []string
	for _, f := range faults {
		if n := x.counts[f.name]; n > 0 {
			told = append(told, fmt.Sprintf("%s %d", f.name, n))
		}
	}
	x.t.Logf("faults: %s", strings.Join(told, ", "))
	x.t.Logf("trace: %d lines, %d lives, %d rings, %d messages (%d safe), %d deliveries; %d violations",
		totals.Lines, totals.Lives, totals.Rings, totals.Submitted, totals.Safe, totals.Delivered, len(findings)+len(x.trouble))
	x.t.Logf("programs: %d, their ways from ring to ring were compared %d times; one ring of all %v after the heal",
		len(histories), compared, x.formed.Round(time.Millisecond))
}
