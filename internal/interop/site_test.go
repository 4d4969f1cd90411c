package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/internal/tracefile"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service/remote"
)

// patience bounds what takes a second on a machine with time to spare.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(remote.FDEnv) != "" {
		remote.Main(argProbe())
		return
	}
	if conf := os.Getenv(probesEnv); conf != "" {
		if err := probesInside(conf); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if socket := os.Getenv(holderEnv); socket != "" {
		if err := runHolder(socket); err != nil {
			fmt.Println(err)
		}
		return
	}
	if conf := os.Getenv(aClientEnv); conf != "" {
		runClient(strings.Split(conf, "\n"))
		return
	}
	if conf := os.Getenv(embeddedEnv); conf != "" {
		os.Exit(embedded(conf))
	}
	if os.Getenv(dropInEnv) != "" {
		gatherReport()
	}
	testenv.Main(m)
}

// needPrograms skips a test where programs cannot be compiled against Corosync's
// libraries. It is called before the stage is built, so that the skip is seen.
func needPrograms(t *testing.T) {
	t.Helper()
	if why := noPrograms(); why != nil {
		leaveOut(t, "needs a C compiler, libcpg-dev and libquorum-dev: %v", why)
	}
}

func noPrograms() error {
	if _, err := exec.LookPath("gcc"); err != nil {
		return err
	}
	for _, header := range []string{"cpg.h", "quorum.h"} {
		if _, err := os.Stat("/usr/include/corosync/" + header); err != nil {
			return err
		}
	}
	return nil
}

// needTool skips a test where a tool is not installed.
func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		leaveOut(t, "needs %s: %v", name, err)
	}
}

// needHeader skips a test where programs of one more library cannot be compiled.
func needHeader(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat("/usr/include/corosync/" + name); err != nil {
		leaveOut(t, "needs a header of Corosync: %v", err)
	}
}

// leaveOut skips a test and has the report of the run say why.
func leaveOut(t *testing.T, format string, args ...any) {
	t.Helper()
	why := fmt.Sprintf(format, args...)
	reportLine("%-8s %s: %s", "left out", t.Name(), why)
	t.Skip(why)
}

// compile compiles a program of a testdata/c directory onto the stage, with
// libcpg, libquorum and more libraries.
func compile(t *testing.T, s *bench.Stage, source string, libs ...string) string {
	t.Helper()
	bin := filepath.Join(s.Dir, strings.TrimSuffix(filepath.Base(source), ".c"))
	args := append([]string{"-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", bin, source, "-lcpg", "-lquorum"}, libs...)
	out, err := exec.Command("gcc", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// site is agents on a stage: machines on one network.
type site struct {
	t      *testing.T
	stage  *bench.Stage
	binary string
	conf   string
	agents []*agent
	rules  check.Options // for the traces
	silent bool          // no traces
}

// agent is one machine's agent, if it runs.
type agent struct {
	s          *site
	id         config.NodeID
	node       *bench.Node
	state, run string
	trace      string
	process    *testenv.Process
}

// newSite writes the configuration, with more lines for the totem section, the
// quorum section and the whole.
func newSite(t *testing.T, stage *bench.Stage, totem, quorum, more string) *site {
	t.Helper()
	s := &site{t: t, stage: stage, binary: testenv.Binary(t), conf: filepath.Join(stage.Dir, "corosync.conf")}
	key := filepath.Join(stage.Dir, "key")
	secret := make([]byte, 256)
	rand.Read(secret)
	if err := os.WriteFile(key, secret, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.conf, []byte(configuration(stage, key, totem, quorum, more)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, n := range stage.Nodes {
		s.agents = append(s.agents, &agent{s: s, id: config.NodeID(n.ID), node: n,
			state: filepath.Join(n.Dir, "state"), run: filepath.Join(n.Dir, "run"), trace: filepath.Join(n.Dir, "trace")})
	}
	t.Cleanup(s.judge) // the agents are killed before
	return s
}

// judge has the simulator's checker judge what the agents did in the test.
func (s *site) judge() {
	var files []string
	for _, a := range s.agents {
		if _, err := os.Stat(a.trace); err == nil {
			files = append(files, a.trace)
		}
	}
	j := tracefile.NewJudge(s.rules)
	if err := tracefile.Merge(files, j.Add); err != nil {
		s.t.Error(err)
	}
	totals, findings := j.End(false)
	for _, f := range findings {
		s.t.Error(f)
	}
	if totals.Lines > 0 {
		s.t.Logf("traces: %+v", totals)
	}
}

func configuration(stage *bench.Stage, key, totem, quorum, more string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "totem {\nversion: 2\ncluster_name: interop\nkeyfile: %s\ncrypto_cipher: aes256\ncrypto_hash: sha256\n%s\n}\n", key, totem)
	fmt.Fprintf(&b, "logging {\nto_syslog: no\n}\nquorum {\nprovider: corosync_votequorum\n%s\n}\n%s\nnodelist {\n", quorum, more)
	for _, n := range stage.Nodes {
		fmt.Fprintf(&b, "node {\nnodeid: %d\nname: %s\nring0_addr: %s\n}\n", n.ID, n.Name, n.Addr)
	}
	b.WriteString("}\n")
	return b.String()
}

func (a *agent) command(args ...string) *exec.Cmd {
	args = append([]string{"agent", "-f", "-c", a.s.conf, "--state", a.state, "--run", a.run}, args...)
	if !a.s.silent {
		args = append(args, "--trace", a.trace)
	}
	return a.node.Command(a.s.binary, args...)
}

func (a *agent) start(args ...string) {
	a.s.t.Helper()
	a.process = testenv.Start(a.s.t, a.command(args...))
}

// kill ends the agent as a power cut would.
func (a *agent) kill() {
	a.s.t.Helper()
	a.process.Signal(syscall.SIGKILL)
	a.process.Wait(patience)
}

func (s *site) startAll() {
	s.t.Helper()
	ids := []config.NodeID{}
	for _, a := range s.agents {
		a.start()
		ids = append(ids, a.id)
	}
	s.formed(ids...)
}

func (a *agent) status() (node.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return admin.New(a.run).Status(ctx)
}

// formed waits until the nodes are a ring of their own and have decided on
// quorum.
func (s *site) formed(ids ...config.NodeID) node.Status {
	s.t.Helper()
	var first node.Status
	testenv.Eventually(s.t, patience, fmt.Sprintf("a ring of %v", ids), func() (bool, any) {
		st, why := s.ring(ids)
		first = st
		return why == "", why
	})
	return first
}

// ring asks whether the nodes are in one ring, and says why not.
func (s *site) ring(ids []config.NodeID) (first node.Status, why string) {
	for i, id := range ids {
		st, err := s.agents[id-1].status()
		if err != nil {
			return first, err.Error()
		}
		if i == 0 {
			first = st
		}
		switch {
		case st.State != "operational" || st.Ring == nil:
			return first, fmt.Sprintf("node %d: %s", id, st.State)
		case !slices.Equal(st.Ring.Members, ids) || st.Ring.ID != first.Ring.ID:
			return first, fmt.Sprintf("node %d: ring %+v, node %d: %+v", id, st.Ring, ids[0], first.Ring)
		case st.Quorum.Currency != "current" || st.Quorum.DecidedInRingSeq != st.Ring.Seq:
			return first, fmt.Sprintf("node %d: %+v", id, st.Quorum)
		}
	}
	return first, ""
}

// output runs a command on a node to its end.
func (a *agent) output(name string, args ...string) string {
	a.s.t.Helper()
	out, err := a.node.Command(name, args...).CombinedOutput()
	if err != nil {
		a.s.t.Fatalf("%s %v on node %d: %v\n%s", filepath.Base(name), args, a.id, err, out)
	}
	return string(out)
}

// program is a running program that takes orders and answers in lines.
type program struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	done chan struct{} // closed when it has ended and all lines are read

	stderr bytes.Buffer // complete after done; empty if the command has its own

	mu    sync.Mutex // guards lines
	lines []string
}

// program starts a program on a node. It is killed at the end of the test.
func (a *agent) program(bin string, args ...string) *program {
	a.s.t.Helper()
	p, err := startProgram(a.s.t, fmt.Sprintf("%s on node %d", filepath.Base(bin), a.id), a.node.Command(bin, args...))
	if err != nil {
		a.s.t.Fatal(err)
	}
	a.s.t.Cleanup(p.kill)
	return p
}

func startProgram(t *testing.T, name string, cmd *exec.Cmd) (*program, error) {
	p := &program{t: t, name: name, cmd: cmd, done: make(chan struct{})}
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.stderr
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go p.read(out)
	return p, nil
}

// read collects whole lines: what a killed program did not finish is left out.
func (p *program) read(out io.Reader) {
	defer close(p.done)
	buf := make([]byte, 1<<16)
	var rest []byte
	for {
		n, err := out.Read(buf)
		rest = append(rest, buf[:n]...)
		if i := bytes.LastIndexByte(rest, '\n'); i >= 0 {
			lines := strings.Split(string(rest[:i]), "\n")
			rest = append(rest[:0], rest[i+1:]...)
			p.mu.Lock()
			p.lines = append(p.lines, lines...)
			p.mu.Unlock()
		}
		if err != nil {
			p.cmd.Wait()
			return
		}
	}
}

// said returns all lines up to now. They are not to be changed.
func (p *program) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[:len(p.lines):len(p.lines)]
}

// order gives the program a command.
func (p *program) order(format string, args ...any) {
	fmt.Fprintf(p.in, format+"\n", args...) // a program that ended is found out by what it does not say
}

// until waits for a line that starts so, behind the first skip lines, and
// returns the number of lines up to it.
func (p *program) until(skip int, prefix string) (line string, upTo int) {
	p.t.Helper()
	testenv.Eventually(p.t, patience, fmt.Sprintf("%s: a line %q", p.name, prefix), func() (bool, any) {
		lines := p.said()
		for i, l := range lines[min(skip, len(lines)):] {
			if strings.HasPrefix(l, prefix) {
				line, upTo = l, skip+i+1
				return true, nil
			}
		}
		return false, lines[max(0, len(lines)-8):]
	})
	return line, upTo
}

// pid waits for the program's own.
func (p *program) pid() string {
	p.t.Helper()
	line, _ := p.until(0, "pid ")
	return strings.TrimPrefix(line, "pid ")
}

// kill ends the program and waits until all its lines are read.
func (p *program) kill() {
	p.cmd.Process.Kill()
	p.in.Close()
	<-p.done
}

// exit waits for the end and returns the exit status.
func (p *program) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s still runs; its last lines: %q", p.name, p.said()[max(0, len(p.said())-8):])
	}
	return p.cmd.ProcessState.ExitCode()
}
