package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// three runs a test on three agents that are in one ring, with programs of
// libcpg to start. Traces are judged unless they would be long.
func three(t *testing.T, by loss, traced bool, body func(t *testing.T, s *site, member string)) {
	needPrograms(t)
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, by.String(), "", "")
		s.silent = !traced
		member := compile(t, stage, "testdata/c/member.c")
		s.startAll()
		body(t, s, member)
	})
}

// cell is a process as the programs print it.
func cell(node int, p *program, reason int) string {
	return fmt.Sprintf("%d/%s:%d", node, p.pid(), reason)
}

// change is the line of one change of the group.
func change(members, left, joined []string) string {
	part := func(name string, list []string) string {
		return " " + strings.Join(append([]string{name}, list...), " ")
	}
	return "change" + part("members", members) + part("left", left) + part("joined", joined)
}

// group starts one program on each agent and waits until all see all.
func (s *site) group(member, name string) (programs []*program, seen []int) {
	s.t.Helper()
	for i, a := range s.agents {
		p := a.program(member, name)
		p.until(0, "ring ") // behind its own join
		programs = append(programs, p)
		for _, o := range programs {
			o.until(0, "change members"+all(programs[:i+1]))
		}
	}
	for _, p := range programs {
		seen = append(seen, len(p.said()))
	}
	return programs, seen
}

// all lists programs, the first one on node 1, as members.
func all(programs []*program) string {
	var b strings.Builder
	for i, p := range programs {
		b.WriteString(" " + cell(i+1, p, 0))
	}
	return b.String()
}

// Items 8, 16, 19: joins, leaves and deaths of programs in the eyes of others.
func TestCpg_ReasonsOfProcesses(t *testing.T) {
	three(t, killed, true, func(t *testing.T, s *site, member string) {
		programs, seen := s.group(member, "reasons")
		a, b, c := programs[0], programs[1], programs[2]
		// The totem configuration follows the own join, once, with the same ring
		// everywhere.
		for i, p := range programs {
			lines := p.said()
			own := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, " joined "+cell(i+1, p, 1)) })
			if own < 0 || len(lines) <= own+1 || lines[own+1] != a.said()[slices.IndexFunc(a.said(), isRing)] || len(without(lines, notRing)) != 1 {
				t.Errorf("node %d: not one ring after the own join: %q", i+1, p.said())
			}
		}
		expect := func(line string) {
			t.Helper()
			for i, p := range programs {
				if ended(p.done) {
					continue
				}
				var got string
				if got, seen[i] = p.until(seen[i], "change"); got != line {
					t.Errorf("node %d got  %q\nwant %q", i+1, got, line)
				}
			}
		}
		c.order("leave")
		expect(change([]string{cell(1, a, 0), cell(2, b, 0)}, []string{cell(3, c, 2)}, nil))
		c.order("join")
		expect(change([]string{cell(1, a, 0), cell(2, b, 0), cell(3, c, 0)}, nil, []string{cell(3, c, 1)}))
		b.cmd.Process.Signal(syscall.SIGKILL)
		b.exit()
		expect(change([]string{cell(1, a, 0), cell(3, c, 0)}, []string{cell(2, b, 5)}, nil))
		c.order("quit") // without a leave
		if code := c.exit(); code != 0 {
			t.Errorf("exit status %d", code)
		}
		expect(change([]string{cell(1, a, 0)}, []string{cell(3, c, 5)}, nil))
	})
}

func without(lines []string, drop func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(lines), drop)
}

func isRing(l string) bool  { return strings.HasPrefix(l, "ring ") }
func notRing(l string) bool { return !isRing(l) }

// Item 18: a node that dies, one that is cut off and comes back, and one that
// leaves, in the eyes of programs.
func TestCpg_Item18_ReasonsOfNodes(t *testing.T) {
	three(t, cutOff, true, func(t *testing.T, s *site, member string) {
		programs, seen := s.group(member, "nodes")
		second := s.agents[2].program(member, "nodes")
		second.until(0, "ring ")
		a, b, c := programs[0], programs[1], programs[2]
		onThree := []*program{c, second}
		slices.SortFunc(onThree, func(x, y *program) int { return int(number(x.pid())) - int(number(y.pid())) })
		cells := func(reason int) []string {
			return []string{cell(3, onThree[0], reason), cell(3, onThree[1], reason)}
		}
		two := []string{cell(1, a, 0), cell(2, b, 0)}
		for i, p := range programs {
			_, seen[i] = p.until(seen[i], change(append(slices.Clone(two), cells(0)...), nil, []string{cell(3, second, 1)}))
		}
		// then is: the next change on nodes 1 and 2, and the same ring after it.
		then := func(line, members string) {
			t.Helper()
			var rings []string
			for i, p := range programs[:2] {
				from := seen[i]
				ring, to := p.until(from, "ring ")
				rings = append(rings, ring)
				if got := p.said()[from:to]; got[0] != line || len(got) != 2 || !strings.HasSuffix(ring, members) {
					t.Errorf("node %d got  %q\nwant %q and a ring of %s", i+1, got, line, members)
				}
				seen[i] = to
			}
			if rings[0] != rings[1] {
				t.Errorf("rings differ: %q", rings)
			}
		}
		cut := func(up bool) {
			t.Helper()
			if err := s.agents[2].node.SetLink(up); err != nil {
				t.Fatal(err)
			}
		}
		marks := []int{seen[2], len(second.said())}
		cut(false)
		then(change(two, cells(3), nil), " 1 2")
		for i, p := range []*program{c, second} { // alone with the ring of its own
			ring, to := p.until(marks[i], "ring 3/")
			if got, want := p.said()[marks[i]:to], change(cells(0), []string{cell(1, a, 3), cell(2, b, 3)}, nil); got[0] != want || !strings.HasSuffix(ring, " 3") {
				t.Errorf("cut off: %q, want %q", got, want)
			}
			marks[i] = to
		}
		s.formed(3)
		cut(true)
		then(change(append(slices.Clone(two), cells(0)...), nil, cells(4)), " 1 2 3")
		for i, p := range []*program{c, second} {
			ring, to := p.until(marks[i], "ring ")
			want := change(append(slices.Clone(two), cells(0)...), nil, []string{cell(1, a, 4), cell(2, b, 4)})
			if got := p.said()[marks[i]:to]; got[0] != want || ring != a.said()[seen[0]-1] {
				t.Errorf("back: %q, want %q and %q", got, want, a.said()[seen[0]-1])
			}
		}

		// Item 9: programs beside a killed daemon get the library's error at once.
		began := time.Now()
		s.agents[2].kill()
		for _, p := range onThree {
			if code := p.exit(); code != 3 || p.said()[len(p.said())-1] != "lost dispatch 2" {
				t.Errorf("exit status %d, last line %q", code, p.said()[len(p.said())-1])
			}
		}
		if d := time.Since(began); d > patience/8 { // no time limit of theirs is over
			t.Errorf("programs saw the end of their daemon after %v", d)
		}
		if left := s.agents[2].output("find", "/dev/shm", "-type", "f"); left != "" {
			t.Errorf("files left: %s", left)
		}
		then(change(two, cells(3), nil), " 1 2")

		// They can connect again to the next life of the agent.
		s.agents[2].start()
		s.formed(1, 2, 3)
		if left := s.agents[2].output("ls", "/dev/shm"); left != "" {
			t.Errorf("left by the dead agent: %s", left)
		}
		for i, p := range programs[:2] {
			_, seen[i] = p.until(seen[i], "ring ")
		}
		again := s.agents[2].program(member, "nodes")
		for i, p := range programs[:2] {
			_, seen[i] = p.until(seen[i], change(append(slices.Clone(two), cell(3, again, 0)), nil, []string{cell(3, again, 1)}))
		}

		// A node that leaves in order.
		s.agents[2].process.Signal(syscall.SIGTERM)
		if code := s.agents[2].process.Wait(patience); code != 0 {
			t.Errorf("exit status %d", code)
		}
		then(change(two, []string{cell(3, again, 3)}, nil), " 1 2")
	})
}

// Items 16 and 20: all speak at once while processes come and go, and everybody
// gets the same in the same order.
func TestCpg_Item16_OneOrder(t *testing.T) {
	three(t, killed, false, func(t *testing.T, s *site, member string) {
		programs, _ := s.group(member, "order")
		const each = 10000
		for _, p := range programs {
			p.order("send %d 100", each)
		}
		for range 5 { // changes between the messages
			p := s.agents[1].program(member, "order")
			p.until(0, "message ")
			p.order("send 50 2000")
			p.until(0, "accepted 50")
			p.order("quit")
			if code := p.exit(); code != 0 {
				t.Errorf("exit status %d: %q", code, p.said()[max(0, len(p.said())-3):])
			}
		}
		for _, p := range programs {
			p.until(0, fmt.Sprint("accepted ", each))
		}
		for _, p := range programs {
			p.order("finish %d", len(programs))
		}
		var histories []*history
		for i, p := range programs {
			p.until(0, "done")
			h := readHistory(p.name, s.agents[i].id, p.said())
			if err := h.cameBack(); err != nil {
				t.Error(err)
			}
			if h.problem != "" {
				t.Error(h.problem)
			}
			histories = append(histories, h)
		}
		// From the join of the last one on the whole stream is the same.
		tail := func(h *history) []string {
			i := slices.IndexFunc(h.events, func(e string) bool {
				return strings.HasPrefix(e, "change ") && strings.HasSuffix(e, " "+cell(3, programs[2], 1))
			})
			return without(h.events[i:], isRing)
		}
		first := tail(histories[0])
		for _, h := range histories[1:] {
			if i, a, b, same := differ(first, tail(h)); !same {
				t.Errorf("node 1 and %s differ at event %d: %q and %q", h.name, i, a, b)
			}
		}
		if len(first) < 3*each+250 {
			t.Errorf("%d events", len(first))
		}
	})
}

// Item 17: messages that need fragments, and a change in the middle of one.
func TestCpg_Item17_LargeMessages(t *testing.T) {
	three(t, killed, false, func(t *testing.T, s *site, member string) {
		programs, _ := s.group(member, "large")
		count := 0
		for _, size := range []int{1047552, 1047553, 1 << 20, 10 << 20} {
			for _, p := range programs {
				p.order("send 1 %d", size)
			}
			count++
			for i := range programs {
				for _, p := range programs {
					p.until(0, fmt.Sprintf("message %d/%s %d %d", i+1, programs[i].pid(), count, size))
				}
			}
		}
		// The sender is told to begin again when the group changes meanwhile.
		interrupted := func() bool {
			return slices.ContainsFunc(programs[0].said(), func(l string) bool { return strings.HasPrefix(l, "interrupted ") })
		}
		tries := 0
		for ; !interrupted() && tries < 50; tries++ {
			programs[0].order("send 1 %d", 10<<20)
			p := s.agents[1].program(member, "large")
			p.until(0, "change ")
			p.kill()
			count++
			programs[0].until(0, fmt.Sprint("accepted ", count))
		}
		if !interrupted() {
			t.Errorf("no message of %d was interrupted by a change", tries)
		}
		for _, p := range programs {
			p.until(0, fmt.Sprintf("message 1/%s %d ", programs[0].pid(), count))
			if slices.ContainsFunc(p.said(), func(l string) bool { return strings.HasPrefix(l, "corrupt") }) {
				t.Errorf("%s got a message that nobody sent", p.name)
			}
		}
		t.Logf("interrupted after %d tries", tries)
	})
}

// Item 22.
func TestTools_Item22_Cpgtool(t *testing.T) {
	needTool(t, "corosync-cpgtool")
	three(t, killed, true, func(t *testing.T, s *site, member string) {
		programs, _ := s.group(member, "seen")
		other := s.agents[1].program(member, "other")
		other.until(0, "ring ")
		for _, a := range s.agents {
			out := a.output("corosync-cpgtool")
			want := []string{"Group Name", "PID", "Node ID", "seen", "other", other.pid()}
			for i, p := range programs {
				want = append(want, p.pid(), fmt.Sprintf("%d (%s)", i+1, s.stage.Nodes[i].Addr))
			}
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("node %d: corosync-cpgtool does not show %q:\n%s", a.id, w, out)
				}
			}
			names := strings.Fields(a.output("corosync-cpgtool", "-n"))
			slices.Sort(names)
			if got := strings.Join(names, " "); !strings.Contains(got, "other") || !strings.Contains(got, "seen") || strings.Contains(got, "(") {
				t.Errorf("node %d: corosync-cpgtool -n: %q", a.id, got)
			}
			out = a.output("corosync-cpgtool", "-e")
			for _, p := range append(slices.Clone(programs), other) {
				if !strings.Contains(out, p.pid()) {
					t.Errorf("node %d: corosync-cpgtool -e does not show %s:\n%s", a.id, p.pid(), out)
				}
			}
		}
	})
}

// Items 4, 5 and 6 with a whole agent.
func TestConnect_Access(t *testing.T) {
	needPrograms(t)
	if os.Geteuid() != 0 {
		t.Skip("other users need root")
	}
	testenv.OnStage(t, 1, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, "", "", "uidgid {\nuid: 1234\ngid: 2345\n}")
		s.binary = testenv.Binary(t, "faults")
		connect := compile(t, stage, "../door/corosync/testdata/c/connect.c")
		if err := os.Chmod(stage.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		a := s.agents[0]

		// Item 4: the first ring waits for the disk, and clients are told to wait.
		control := filepath.Join(stage.Dir, "fault")
		if err := os.WriteFile(control, []byte("slow=600ms"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := a.command()
		cmd.Env = append(os.Environ(), "MOOTHALL_TEST_DISK="+control)
		a.process = testenv.Start(t, cmd)
		var answers []string
		testenv.Eventually(t, patience, "a connection", func() (bool, any) {
			out, _, _ := strings.Cut(a.output(connect), "\n")
			if len(answers) == 0 || answers[len(answers)-1] != out {
				answers = append(answers, out)
			}
			return out == "cpg_initialize 1", answers
		})
		if got := strings.Join(answers, ", "); got != "cpg_initialize 2, cpg_initialize 6, cpg_initialize 1" {
			t.Errorf("answers while the agent starts: %s", got)
		}

		// Items 5 and 6.
		me := fmt.Sprintf("cpg_initialize 1\ncpg %d 0 0\nquorum %[1]d 0 0\n", a.process.PID())
		for _, c := range []struct {
			name string
			args []string
			want string
		}{
			{"root", nil, me},
			{"a stranger", []string{"1", "1"}, "cpg_initialize 11\n"},
			{"a user of uidgid", []string{"1234", "1"}, me},
			{"a group of uidgid", []string{"1", "2345"}, me},
			{"a supplementary group alone", []string{"1", "1", "2345"}, "cpg_initialize 11\n"},
		} {
			if out := a.output(connect, c.args...); out != c.want {
				t.Errorf("%s: %q, want %q", c.name, out, c.want)
			}
		}
	})
}
