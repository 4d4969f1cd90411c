package interop

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

// plugs are agents with probes: each in a process of its own beside an agent, or
// all inside of a program with a member.
type plugs struct {
	*site
	kinds  []probeKind
	inside bool
}

// three probes, and one that needs quorum.
var (
	first   = probeKind{name: "first", id: 40}
	second  = probeKind{name: "second", id: 41}
	third   = probeKind{name: "third", id: 42}
	quorate = probeKind{name: "quorate", id: 43, quorate: true}
)

// loss is how a test loses nodes: how long the token and a ping may take, in
// milliseconds. A busy machine may hold an agent up for a second.
type loss struct{ token, ping int }

var (
	killed = loss{10_000, 2000} // with their processes only, of which the kernel tells
	cutOff = loss{3000, 600}    // by the network, too: three pings are lost then
)

// String is a part of the totem section of corosync.conf.
func (l loss) String() string {
	return fmt.Sprintf("token: %d\ninterface {\nlinknumber: 0\nknet_ping_interval: %d\n}", l.token, l.ping)
}

// toml is the same with a key, in moot.toml.
func (l loss) toml(key string) string {
	return fmt.Sprintf("token = %d\nkeyfile = %q\n[[totem.interface]]\nlinknumber = 0\nknet_ping_interval = %d", l.token, key, l.ping)
}

// plugged runs a test on agents with probes, once with processes and once with
// programs that embed a member.
func plugged(t *testing.T, nodes int, by loss, kinds []probeKind, body func(t *testing.T, s *plugs)) {
	t.Parallel() // they wait more than they work
	t.Run("processes", func(t *testing.T) { onePlugged(t, nodes, by, kinds, false, body) })
	t.Run("embedded", func(t *testing.T) { onePlugged(t, nodes, by, kinds, true, body) })
}

func onePlugged(t *testing.T, nodes int, by loss, kinds []probeKind, inside bool, body func(t *testing.T, s *plugs)) {
	t.Helper()
	testenv.OnStage(t, nodes, func(t *testing.T, stage *bench.Stage) {
		s := &plugs{newSite(t, stage, "", "", ""), kinds, inside}
		s.silent = true
		s.toml(by.toml(filepath.Join(stage.Dir, "key")))
		var ids []service.NodeID
		for _, a := range s.agents {
			s.start(a)
			ids = append(ids, a.id)
		}
		s.formed(ids...)
		s.together(ids...)
		body(t, s)
	})
}

// toml writes the configuration as moot.toml, with the services.
func (s *plugs) toml(totem string) {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "[totem]\ncluster_name = \"plugs\"\n%s\n[logging]\nto_syslog = false\n[quorum]\nprovider = \"corosync_votequorum\"\n[uidgid]\ngid = 2345\n", totem)
	for _, n := range s.stage.Nodes {
		fmt.Fprintf(&b, "[[nodelist.node]]\nnodeid = %d\nname = %q\nring0_addr = %q\n", n.ID, n.Name, n.Addr)
	}
	for _, k := range s.kinds {
		args := k.args()
		fmt.Fprintf(&b, "[[service]]\nname = %q\nid = %d\ncommand = [%q, %q, %q, %q]\n", k.name, k.id, self(s.t), args[1], args[2], args[3])
	}
	s.conf = filepath.Join(s.stage.Dir, "moot.toml")
	if err := os.WriteFile(s.conf, []byte(b.String()), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func self(t *testing.T) string {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// start starts a node.
func (s *plugs) start(a *agent) {
	s.t.Helper()
	if !s.inside {
		a.start()
		return
	}
	conf := []string{s.conf, fmt.Sprint(a.id), a.state, a.run}
	for _, k := range s.kinds {
		conf = append(conf, strings.Join(k.args()[1:], " "))
	}
	cmd := a.node.Command(self(s.t))
	cmd.Env = append(os.Environ(), probesEnv+"="+strings.Join(conf, "\n"))
	a.process = testenv.Start(s.t, cmd)
}

// dial connects to the agent.
func (a *agent) dial(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{Socket: filepath.Join(a.run, node.AgentSocket)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// numbers is the body of a probe's call.
func numbers(list ...int) (b []byte) {
	for _, n := range list {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// reach connects to a probe for as long as do runs.
func (s *plugs) reach(ctx context.Context, a *agent, k probeKind, do func(service.ClientConn) error) error {
	c, err := client.Dial(ctx, client.Config{Socket: filepath.Join(a.run, node.AgentSocket)})
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := c.OpenNamed(ctx, k.name)
	if err != nil {
		return err
	}
	defer p.Close()
	return do(p)
}

// try makes one call to a probe.
func (s *plugs) try(ctx context.Context, a *agent, k probeKind, fn uint16, args ...int) (answer []byte, err error) {
	err = s.reach(ctx, a, k, func(p service.ClientConn) (err error) {
		answer, err = p.Call(ctx, fn, numbers(args...))
		return err
	})
	return answer, err
}

// ask is try with an answer.
func (s *plugs) ask(a *agent, k probeKind, fn uint16, args ...int) []byte {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	b, err := s.try(ctx, a, k, fn, args...)
	if err != nil {
		s.t.Fatalf("call %d of %s on node %d: %v", fn, k.name, a.id, err)
	}
	return b
}

// entry is a line of a journal.
type entry struct {
	at        int64
	who, what string
}

func (e entry) String() string { return e.who + " " + e.what }

// journal is what a node's probes wrote down: of one probe, or of all where they
// are inside of one program. A journal ends with its process.
func (s *plugs) journal(a *agent, k probeKind) []entry {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	list, err := s.tryJournal(ctx, a, k)
	if err != nil {
		s.t.Fatalf("journal of %s on node %d: %v", k.name, a.id, err)
	}
	return list
}

// tryJournal reads on one connection: the end of each is an entry, too.
func (s *plugs) tryJournal(ctx context.Context, a *agent, k probeKind) (list []entry, err error) {
	err = s.reach(ctx, a, k, func(p service.ClientConn) error {
		for {
			b, err := p.Call(ctx, probeJournal, numbers(len(list)))
			if err != nil || len(b) == 0 {
				return err
			}
			for l := range strings.Lines(string(b)) {
				at, rest, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
				who, what, _ := strings.Cut(rest, " ")
				n, err := strconv.ParseInt(at, 10, 64)
				if err != nil {
					return fmt.Errorf("%q", l)
				}
				list = append(list, entry{n, who, what})
			}
		}
	})
	return list, err
}

// of are the journal's entries of one probe, without those that tests themselves
// bring about.
func of(list []entry, k probeKind) (lines []string) {
	for _, e := range list {
		if e.who == k.name && !strings.HasPrefix(e.what, "closed") {
			lines = append(lines, e.what)
		}
	}
	return lines
}

// lines is what one probe wrote down.
func (s *plugs) lines(a *agent, k probeKind) []string {
	s.t.Helper()
	return of(s.journal(a, k), k)
}

// since are the lines behind the last one that has a text in front, with it.
func since(lines []string, prefix string) []string {
	for i, l := range slices.Backward(lines) {
		if strings.HasPrefix(l, prefix) {
			return lines[i:]
		}
	}
	return nil
}

func ids(list []service.NodeID) string { return nodes(list) }

// together waits until all probes of the nodes are through a round of these
// members.
func (s *plugs) together(members ...service.NodeID) {
	s.t.Helper()
	for _, id := range members {
		for _, k := range s.kinds {
			s.until(s.agents[id-1], k, fmt.Sprintf("a round of%s", ids(members)), func(lines []string) bool {
				last := since(lines, "regular")
				return len(last) > 0 && strings.HasPrefix(last[0], "regular"+ids(members)+" joined") &&
					slices.ContainsFunc(last, func(l string) bool { return strings.HasPrefix(l, "activate") })
			})
		}
	}
}

// until waits for what a probe writes down.
func (s *plugs) until(a *agent, k probeKind, what string, ok func(lines []string) bool) (lines []string) {
	s.t.Helper()
	testenv.Eventually(s.t, patience, fmt.Sprintf("%s on node %d: %s", k.name, a.id, what), func() (bool, any) {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		list, err := s.tryJournal(ctx, a, k)
		if err != nil { // its process may have to come first
			return false, err
		}
		lines = of(list, k)
		return ok(lines), lines[max(0, len(lines)-12):]
	})
	return lines
}

// with counts the lines that begin so.
func beginning(lines []string, prefix string) (n int) {
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// messages are the lines about messages.
func messages(lines []string) (list []string) {
	for _, l := range lines {
		if strings.HasPrefix(l, "message ") {
			list = append(list, l)
		}
	}
	return list
}

// link takes a node off the network, or puts it there again.
func (s *plugs) link(a *agent, up bool) {
	s.t.Helper()
	if err := a.node.SetLink(up); err != nil {
		s.t.Fatal(err)
	}
}

// clean demands that a probe found nothing wrong.
func clean(t *testing.T, a *agent, lines []string) {
	t.Helper()
	for _, l := range lines {
		if strings.HasPrefix(l, "corrupt") || strings.HasPrefix(l, "delivered from") {
			t.Errorf("node %d: %s", a.id, l)
		}
	}
}
