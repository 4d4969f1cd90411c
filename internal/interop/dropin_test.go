package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// The tests of a drop-in run what Debian has on top of Corosync on clusters of
// Debian's corosync and on clusters of our agents, from the same code. They take
// minutes and are for make interop, which sets this.
const dropInEnv = "MOOT_INTEROP"

// A daemon is what a cluster is made of.
type daemon string

const (
	theirs daemon = "corosync"
	ours   daemon = "moot"
)

// onEach runs a test on a cluster of each daemon, none of them started yet.
func onEach(t *testing.T, nodes int, conf settings, body func(t *testing.T, c *cluster)) {
	needDropIn(t)
	for _, d := range []daemon{theirs, ours} {
		t.Run(string(d), func(t *testing.T) {
			if testenv.Updating() && d != theirs {
				t.Skip("golden files are what the original says")
			}
			onStage := false
			defer func() {
				if !onStage {
					verdict, why := "ok", ""
					if t.Failed() {
						verdict = "FAILED"
					} else if t.Skipped() {
						verdict, why = "left out", ": this machine gives no namespaces, see above"
					}
					reportLine("%-8s %s%s", verdict, t.Name(), why)
				}
			}()
			testenv.OnStage(t, nodes, func(t *testing.T, stage *bench.Stage) {
				onStage = true
				body(t, newCluster(t, stage, d, conf))
			})
		})
	}
}

// reportEnv names a file that collects what all tests have to say, to be read at
// the end of a run.
const reportEnv = "MOOT_INTEROP_REPORT"

// gatherReport has the report of this run printed at its end. A test's child
// process adds to the report of its parent.
func gatherReport() {
	if os.Getenv(reportEnv) != "" {
		return
	}
	f, err := os.CreateTemp("", "moot-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "no report of this run:", err)
		return
	}
	f.Close()
	os.Setenv(reportEnv, f.Name())
	testenv.AtExit(func() {
		text, _ := os.ReadFile(f.Name())
		fmt.Printf("\nwhat ran on clusters of Debian's corosync and of our agents:\n%s", text)
		os.Remove(f.Name())
	})
}

func reportLine(format string, args ...any) {
	f, err := os.OpenFile(os.Getenv(reportEnv), os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return // said by gatherReport
	}
	defer f.Close()
	fmt.Fprintf(f, format+"\n", args...)
}

// report adds a line to the log of the test and to the report of the run.
func (c *cluster) report(format string, args ...any) {
	c.t.Helper()
	line := fmt.Sprintf(format, args...)
	c.t.Log(line)
	reportLine("  %-8s %s", c.daemon, line)
}

func needDropIn(t *testing.T) {
	t.Helper()
	if os.Getenv(dropInEnv) == "" {
		t.Skip("part of make interop")
	}
	if os.Geteuid() != 0 {
		leaveOut(t, "needs root: the daemons of Debian change their users")
	}
	needPrograms(t)
	needTool(t, string(theirs))
	if out, err := exec.Command(string(theirs), "-v").CombinedOutput(); !strings.Contains(string(out), "'"+recorded+"'") {
		first, _, _ := strings.Cut(string(out), "\n")
		leaveOut(t, "needs Corosync %s, whose answers were recorded; here it says %q, %v", recorded, first, err)
	}
	needTool(t, "nft")
	if out, err := exec.Command("nft", "list", "tables").CombinedOutput(); err != nil {
		leaveOut(t, "needs a kernel with nftables: %v: %s", err, bytes.TrimSpace(out))
	}
}

// recorded is the version of Corosync that the golden files are from.
const recorded = "3.1.7"

// settings are lines of corosync.conf beyond what every cluster has.
type settings struct {
	totem, quorum, more string
	spare               int  // machines at the end that are in no cluster
	second              bool // a second link, over 10.78.0.0/24
}

// cluster is machines with a daemon each.
type cluster struct {
	t        *testing.T
	daemon   daemon
	stage    *bench.Stage
	conf     string
	key      string
	settings settings
	argv     []string // of the daemon
	tracker  string   // program
	machines []*machine
	spare    []*machine // without a daemon
}

// machine is one of them.
type machine struct {
	c       *cluster
	id      int
	node    *bench.Node
	process *testenv.Process // the daemon, once started
	tracker *program         // of quorum
	deaf    []string         // what its packet filter drops
}

func newCluster(t *testing.T, stage *bench.Stage, d daemon, conf settings) *cluster {
	t.Helper()
	c := &cluster{t: t, daemon: d, stage: stage, settings: conf,
		conf: filepath.Join(stage.Dir, "corosync.conf"), key: filepath.Join(stage.Dir, "key")}
	if err := os.Chmod(stage.Dir, 0o755); err != nil { // Pacemaker's user has to come through
		t.Fatal(err)
	}
	secret := make([]byte, 256)
	rand.Read(secret)
	if err := os.WriteFile(c.key, secret, 0o400); err != nil {
		t.Fatal(err)
	}
	switch d {
	case theirs:
		c.argv = []string{"corosync", "-f", "-c", c.conf}
	case ours:
		c.argv = []string{testenv.Binary(t), "agent", "-f", "-c", c.conf}
	}
	c.tracker = compile(t, stage, "testdata/c/tracker.c")
	for i, n := range stage.Nodes {
		m := &machine{c: c, id: n.ID, node: n}
		if i < len(stage.Nodes)-conf.spare {
			c.machines = append(c.machines, m)
		} else {
			c.spare = append(c.spare, m)
		}
	}
	if conf.second {
		for _, m := range c.machines {
			m.must("ip", "addr", "add", fmt.Sprintf("10.78.0.%d/24", m.id), "dev", "eth0")
		}
	}
	c.configure(conf)
	t.Cleanup(c.end)
	return c
}

// configure writes corosync.conf anew, the same for all.
func (c *cluster) configure(conf settings) {
	c.t.Helper()
	more := "system {\nmove_to_root_cgroup: no\nsched_rr: no\n}\n" + conf.more
	members := &bench.Stage{Nodes: c.stage.Nodes[:len(c.machines)]}
	text := configuration(members, c.key, "token: 1000\n"+conf.totem, conf.quorum, more)
	if conf.second {
		text = firstAddress.ReplaceAllString(text, "$0\nring1_addr: 10.78.0.$1")
	}
	if err := os.WriteFile(c.conf, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

var firstAddress = regexp.MustCompile(`ring0_addr: 10\.77\.0\.(\d)`)

// end ends what still runs in the namespaces of the cluster: some programs leave
// children behind.
func (c *cluster) end() {
	for _, m := range append(c.machines, c.spare...) {
		m.silence()
	}
}

// silence ends all processes on a machine but the one that holds its namespaces.
func (m *machine) silence() {
	ns, err := m.node.NetNS()
	if err != nil {
		return // gone already
	}
	defer ns.Close()
	mine := identity(ns.Name())
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if comm, _ := os.ReadFile(dir + "/comm"); string(comm) == "cat\n" {
			continue
		}
		if identity(dir+"/ns/net") == mine {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// identity names a namespace.
func identity(file string) string {
	name, err := os.Readlink(file)
	if err != nil {
		return file // has ended
	}
	return name
}

// start starts the daemon of a machine.
func (m *machine) start() {
	m.c.t.Helper()
	m.process = testenv.Start(m.c.t, m.node.Command(m.c.argv[0], m.c.argv[1:]...))
	m.tracker = m.program(m.c.tracker, "1")
}

// program starts a program on a machine, which ends with the test.
func (m *machine) program(bin string, args ...string) *program {
	m.c.t.Helper()
	p, err := startProgram(m.c.t, fmt.Sprintf("%s on node %d", filepath.Base(bin), m.id), m.node.Command(bin, args...))
	if err != nil {
		m.c.t.Fatal(err)
	}
	m.c.t.Cleanup(p.kill)
	return p
}

// startAll starts all daemons and waits until they are one.
func (c *cluster) startAll() {
	c.t.Helper()
	for _, m := range c.machines {
		m.start()
	}
	c.formed(true, c.ids()...)
}

func (c *cluster) ids() []int {
	var ids []int
	for _, m := range c.machines {
		ids = append(ids, m.id)
	}
	return ids
}

// machine returns one by its node id.
func (c *cluster) machine(id int) *machine { return c.machines[id-1] }

// kill ends a daemon as a power cut would.
func (m *machine) kill() {
	m.c.t.Helper()
	m.process.Signal(syscall.SIGKILL)
	m.process.Wait(patience)
}

// formed waits until the trackers of the nodes say that they are one ring of
// their own, and whether that is quorate.
func (c *cluster) formed(quorate bool, ids ...int) {
	c.t.Helper()
	want := "0"
	if quorate {
		want = "1"
	}
	c.told(want, ids)
}

// together is formed with or without quorum.
func (c *cluster) together(ids ...int) {
	c.t.Helper()
	c.told("", ids)
}

func (c *cluster) told(quorate string, ids []int) {
	c.t.Helper()
	var members []string
	for _, id := range ids {
		members = append(members, strconv.Itoa(id))
	}
	testenv.Eventually(c.t, patience, fmt.Sprintf("a ring of %v, quorate %q", ids, quorate), func() (bool, any) {
		first := ""
		for _, id := range ids {
			// quorum RING QUORATE NODE ...
			view := c.machine(id).view()
			words := strings.Fields(view)
			if first == "" {
				first = view
			}
			if view != first || len(words) < 3 || quorate != "" && words[2] != quorate || !slices.Equal(words[3:], members) {
				return false, fmt.Sprintf("node %d: %q", id, view)
			}
		}
		return true, nil
	})
}

// view is the last line about quorum that the tracker of a machine printed.
func (m *machine) view() string {
	lines := m.tracker.said()
	for _, l := range slices.Backward(lines) {
		if strings.HasPrefix(l, "quorum ") {
			return l
		}
	}
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// cut makes the side lose what comes from the others, and the other way round;
// oneWay leaves out the latter.
func (c *cluster) cut(oneWay bool, side ...int) {
	c.t.Helper()
	for _, m := range c.machines {
		here := slices.Contains(side, m.id)
		if !here && oneWay {
			continue
		}
		for _, o := range c.machines {
			if slices.Contains(side, o.id) != here {
				m.deaf = append(m.deaf, fmt.Sprintf("ip saddr %v drop", o.node.Addr))
			}
		}
		m.filter()
	}
}

// lossy makes all lose so many of a hundred packets.
func (c *cluster) lossy(percent int) {
	c.t.Helper()
	for _, m := range c.machines {
		m.deaf = append(m.deaf, fmt.Sprintf("meta iifname eth0 numgen random mod 100 < %d drop", percent))
		m.filter()
	}
}

// heal ends cuts and losses.
func (c *cluster) heal() {
	c.t.Helper()
	for _, m := range c.machines {
		m.deaf = nil
		m.filter()
	}
}

func (m *machine) filter() {
	m.c.t.Helper()
	if err := testenv.Filter(m.node, m.deaf); err != nil {
		m.c.t.Fatal(err)
	}
}

// hangs is the exit status of what did not end in time.
const hangs = -2

// run runs a command on a machine and returns what it printed and its exit
// status, -1 for a signal.
func (m *machine) run(args ...string) (output string, status int) {
	m.c.t.Helper()
	ctx, cancel := context.WithTimeout(m.c.t.Context(), 15*time.Second)
	defer cancel()
	cmd := m.node.Command(args[0], args[1:]...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		m.c.t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !stop() {
		return out.String(), hangs
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), exit.ExitCode()
	}
	if err != nil {
		m.c.t.Fatal(err)
	}
	return out.String(), 0
}

// must runs a command that has to succeed.
func (m *machine) must(args ...string) string {
	m.c.t.Helper()
	out, status := m.run(args...)
	if status != 0 {
		m.c.t.Fatalf("%s on node %d ended with status %d\n%s", strings.Join(args, " "), m.id, status, out)
	}
	return out
}
