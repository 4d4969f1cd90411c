package hags

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/netip"
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
	"github.com/moothall/moothall/internal/link"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// patience bounds what takes less than a second on a machine with time to spare,
// beside the seconds that scenarios are made of.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("GOMAXPROCS") == "" {
		flag.Set("test.parallel", "12") // they wait for time to pass
	}
	testenv.Main(m)
}

// driveEnv has the path of capi/drive when it is built.
const driveEnv = "MOOT_HAGS_DRIVE"

var program struct {
	once sync.Once
	path string
	err  error
}

// drive builds capi/drive with the library, once. Without a C compiler the test
// is skipped.
func drive(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"cc", "make"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs a C compiler and make: %v", err)
		}
	}
	program.once.Do(func() {
		if program.path = os.Getenv(driveEnv); program.path == "" { // on a stage this is a child
			program.path, program.err = buildDrive()
			os.Setenv(driveEnv, program.path)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

func buildDrive() (string, error) {
	dir, err := os.MkdirTemp("", "moot-drive-")
	if err != nil {
		return "", err
	}
	testenv.AtExit(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // for who is not root
		return "", err
	}
	capi, err := filepath.Abs(filepath.Join("..", "..", "..", "capi"))
	if err != nil {
		return "", err
	}
	sanitize := "address,undefined"
	probe := filepath.Join(dir, "probe")
	if exec.Command("sh", "-c", "echo 'int main(void){return 0;}' | cc -xc -fsanitize="+sanitize+" - -o "+probe+" && "+probe).Run() != nil {
		sanitize = ""
	}
	steps := [][]string{{"make", "-s", "-j2", "-C", capi, "OUT=" + dir, "SANITIZE=" + sanitize, "CFLAGS=-O1 -g"}}
	sources, err := filepath.Glob(filepath.Join(capi, "drive", "*.c"))
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "drive")
	cc := append([]string{"cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-I" + filepath.Join(capi, "include"), "-o", path}, sources...)
	if sanitize != "" {
		cc = append(cc, "-fsanitize="+sanitize)
	}
	steps = append(steps, append(cc, "-L"+dir, "-Wl,-rpath,"+dir, "-lha_gs", "-pthread"))
	for _, step := range steps {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(step, " "), err, out)
		}
	}
	return path, nil
}

// cluster is real agents, on loopback or on a stage, that scenarios share.
type cluster struct {
	t        *testing.T
	dir      string
	drive    string
	binary   string
	machines []*bench.Node // nil: loopback
	agents   []*testenv.Process
	inside   *node.Cluster // agents in this process, in place of the others
	domain   string
	worlds   int // that there were, for the names of their groups
	mu       sync.Mutex
}

// newInside has n agents in this process.
func newInside(t *testing.T, n int) *cluster {
	t.Helper()
	agents, err := node.StartCluster(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agents.Close(); err != nil {
			t.Error(err)
		}
	})
	return &cluster{t: t, drive: drive(t), inside: agents, domain: "test", agents: make([]*testenv.Process, n)}
}

// newCluster starts n agents on loopback addresses.
func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "moot-hags-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) // a script that an agent left behind may still write
	c := &cluster{t: t, dir: dir, drive: drive(t), binary: testenv.Binary(t), agents: make([]*testenv.Process, n), domain: "hags"}
	if err := os.Chmod(dir, 0o755); err != nil { // for who is not root
		t.Fatal(err)
	}
	var addrs []netip.Addr
	for id := range n {
		addrs = append(addrs, netip.AddrFrom4([4]byte{127, 0, 7, byte(id + 1)}))
	}
	c.begin(addrs)
	return c
}

// onStage starts agents on the machines of a stage.
func onStage(t *testing.T, s *bench.Stage) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: filepath.Join(s.Dir, "hags"), drive: drive(t), binary: testenv.Binary(t), machines: s.Nodes,
		agents: make([]*testenv.Process, len(s.Nodes)), domain: "hags"}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var addrs []netip.Addr
	for _, m := range s.Nodes {
		addrs = append(addrs, m.Addr)
	}
	c.begin(addrs)
	return c
}

func (c *cluster) begin(addrs []netip.Addr) {
	c.t.Helper()
	port := uint16(5405)
	var err error
	if c.machines == nil {
		port, err = link.FreePorts(addrs)
	}
	secret := make([]byte, 256)
	rand.Read(secret)
	key := filepath.Join(c.dir, "key")
	if err := errors.Join(err, os.WriteFile(key, secret, 0o400)); err != nil {
		c.t.Fatal(err)
	}
	var b strings.Builder
	token, ping := 10_000, 2000 // nothing is lost but with its process, however busy the machine is
	if c.machines != nil {
		token, ping = 3000, 600
	}
	fmt.Fprintf(&b, "totem {\nversion: 2\ncluster_name: %s\nkeyfile: %s\ntoken: %d\ninterface {\nlinknumber: 0\nmcastport: %d\nknet_ping_interval: %d\n}\n}\n", c.domain, key, token, port, ping)
	b.WriteString("logging {\nto_syslog: no\n}\nquorum {\nprovider: corosync_votequorum\n}\nnodelist {\n")
	for i, a := range addrs {
		fmt.Fprintf(&b, "node {\nnodeid: %d\nname: n%d\nring0_addr: %v\n}\n", i+1, i+1, a)
	}
	b.WriteString("}\n")
	if err := os.WriteFile(filepath.Join(c.dir, "corosync.conf"), []byte(b.String()), 0o644); err != nil {
		c.t.Fatal(err)
	}
	for i := range addrs {
		c.start(i + 1)
	}
	c.formed(c.t, c.all()...)
}

func (c *cluster) all() (ids []int) {
	for i := range c.agents {
		ids = append(ids, i+1)
	}
	return ids
}

func (c *cluster) run(id int) string {
	if c.inside != nil {
		return c.inside.RunDir(config.NodeID(id))
	}
	return filepath.Join(c.dir, fmt.Sprint("run", id))
}

// command is a command on the machine of a node.
func (c *cluster) command(id int, name string, args ...string) *exec.Cmd {
	if c.machines == nil {
		return exec.Command(name, args...)
	}
	return c.machines[id-1].Command(name, args...)
}

func (c *cluster) start(id int) {
	c.t.Helper()
	c.agents[id-1] = testenv.Start(c.t, c.command(id, c.binary, "agent", "-c", filepath.Join(c.dir, "corosync.conf"), "--node", fmt.Sprint(id),
		"--state", filepath.Join(c.dir, fmt.Sprint("state", id)), "--run", c.run(id), "--no-corosync-door"))
}

// kill ends the agent of a node.
func (c *cluster) kill(t *testing.T, id int) {
	t.Helper()
	c.agents[id-1].Signal(syscall.SIGKILL)
	testenv.Eventually(t, patience, "the end of an agent", func() (bool, any) { return !c.agents[id-1].Running(), nil })
}

// logged waits until the agents of nodes have written something.
func (c *cluster) logged(t *testing.T, text string, ids ...int) {
	t.Helper()
	for _, id := range ids {
		testenv.Eventually(t, patience, fmt.Sprintf("%s in the log of node %d", text, id), func() (bool, any) {
			out := c.agents[id-1].Output()
			return strings.Contains(out, text), out
		})
	}
}

// formed waits until nodes are a ring of their own.
func (c *cluster) formed(t *testing.T, ids ...int) {
	t.Helper()
	var want []config.NodeID
	for _, id := range ids {
		want = append(want, config.NodeID(id))
	}
	testenv.Eventually(t, patience, fmt.Sprintf("a ring of %v", ids), func() (bool, any) {
		for _, id := range ids {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			st, err := admin.New(c.run(id)).Status(ctx)
			cancel()
			if err != nil {
				return false, err
			}
			if st.State != "operational" || st.Ring == nil || !slices.Equal(st.Ring.Members, want) || st.Quorum.DecidedInRingSeq != st.Ring.Seq {
				return false, fmt.Sprintf("node %d: %s %+v", id, st.State, st.Ring)
			}
		}
		return true, nil
	})
}

// whole has all agents run together again.
func (c *cluster) whole(t *testing.T) {
	t.Helper()
	for i, a := range c.agents {
		if !a.Running() {
			c.start(i + 1)
		}
	}
	if c.machines != nil {
		c.split(t, [][]int{c.all()})
	}
	c.formed(t, c.all()...)
}

// split has nodes reach each other within a block only.
func (c *cluster) split(t *testing.T, blocks [][]int) {
	t.Helper()
	side := map[int]int{}
	for i, b := range blocks {
		for _, id := range b {
			side[id] = i
		}
	}
	for i, m := range c.machines {
		var rules []string
		for k, other := range c.machines {
			if side[i+1] != side[k+1] {
				rules = append(rules, fmt.Sprintf("ip saddr %v drop", other.Addr))
			}
		}
		if err := testenv.Filter(m, rules); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range blocks {
		c.formed(t, b...)
	}
}
