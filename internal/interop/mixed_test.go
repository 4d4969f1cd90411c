package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// Programs on libcpg, in Go through the agent, and in Go with their node inside
// are in one group. All send, among them messages in fragments and safe ones, while
// members join, leave and die and a node is cut off: who was there got the same
// messages and the same changes in one order.
func TestMixed_OneSequence(t *testing.T) {
	needPrograms(t)
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, cutOff.String(), "", "")
		member := compile(t, stage, "testdata/c/member.c")
		first, second, third := s.agents[0], s.agents[1], s.agents[2]
		first.start()
		second.start()
		inside := third.embeddedProgram("mixed")
		s.formed(1, 2, 3)

		c1, c2 := first.program(member, "mixed"), second.program(member, "mixed")
		programs := []speaker{onNode{c1, 1}, onNode{c2, 2}, onNode{inside, 3}, first.goMember("mixed"), second.goMember("mixed")}
		whole := func(members int) {
			t.Helper()
			for _, p := range programs {
				testenv.Eventually(t, patience, fmt.Sprintf("%d members", members), func() (bool, any) {
					now, line := membersNow(p.said())
					return len(now) == members, line
				})
			}
		}
		whole(5)
		begin := beginnings(t, programs)

		for i, p := range programs {
			p.order("send %d %d", 200, 100+1000*i)
		}
		c2.order("send 3 2500000") // in fragments
		guest := first.program(member, "mixed")
		guest.order("rate 200")
		whole(6)
		guest.cmd.Process.Signal(syscall.SIGKILL)
		guest.exit()
		whole(5)
		c2.order("leave")
		whole(4)
		for _, p := range programs {
			p.order("send 50 2000")
		}
		c2.order("join")
		whole(5)
		for _, p := range programs {
			p.order("send 50 3000")
		}
		for _, p := range programs { // what is on its way when a ring breaks may get to one side alone
			testenv.Eventually(t, patience, "messages of all", func() (bool, any) {
				n := 0
				for _, line := range p.said() {
					if strings.HasPrefix(line, "message ") && strings.HasSuffix(line, " 3000") {
						n++
					}
				}
				return n == 50*len(programs), n
			})
		}

		// The ring breaks and comes together. What the one who was cut off sees in
		// between is its own.
		if err := third.node.SetLink(false); err != nil {
			t.Fatal(err)
		}
		s.formed(1, 2)
		for _, p := range programs {
			p.order("send 20 500")
		}
		if err := third.node.SetLink(true); err != nil {
			t.Fatal(err)
		}
		s.formed(1, 2, 3)
		whole(5)
		for _, p := range programs {
			p.order("finish %d", len(programs))
		}
		var all [][]string
		for i, p := range programs {
			testenv.Eventually(t, patience, "the last messages", func() (bool, any) {
				lines := p.said()
				return slices.Contains(lines, "done"), lines[max(0, len(lines)-3):]
			})
			all = append(all, seen(p.said()[begin[i]:]))
		}
		same(t, "both programs of libcpg but while one was not there", withoutTheAbsence(all[0], all[1]), all[1])
		same(t, "libcpg and Go through the agent, on one node", all[0], all[3])
		same(t, "Go through two agents", all[3], all[4])
		same(t, "Go with its node inside and libcpg, up to the cut", upToCut(all[2]), upToCut(all[0]))
		same(t, "Go with its node inside and libcpg, after the cut", afterLastChange(all[2]), afterLastChange(all[0]))
		messages := with(all[0], "message ")
		for _, i := range []int{0, 3, 4} { // who was never cut off and never left
			accepted := with(programs[i].said(), "accepted ")
			if own := with(all[0], "message "+programs[i].self()+" "); own != accepted || own < 200 {
				t.Errorf("%d messages of %s were accepted, %d delivered", accepted, programs[i].self(), own)
			}
		}
		t.Logf("%d members saw the same %d messages and %d changes", len(programs), messages, len(all[0])-messages)
	})
}

// speaker is a member that takes the orders of member.c and answers its lines.
type speaker interface {
	order(format string, args ...any)
	said() []string
	self() string // NODE/PID
}

// onNode is a program with the node that it is on.
type onNode struct {
	*program
	node config.NodeID
}

func (p onNode) self() string { return fmt.Sprintf("%d/%s", p.node, p.pid()) }

// with counts the lines that begin so.
func with(lines []string, prefix string) (n int) {
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// embeddedProgram starts this node inside of a program.
func (a *agent) embeddedProgram(group string) *program {
	a.s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		a.s.t.Fatal(err)
	}
	cmd := a.node.Command(self)
	cmd.Env = append(os.Environ(), embeddedEnv+"="+embeddedConfig(a.s.conf, a.id, a.state, a.run, a.trace, group))
	p, err := startProgram(a.s.t, fmt.Sprintf("program with node %d inside", a.id), cmd)
	if err != nil {
		a.s.t.Fatal(err)
	}
	a.s.t.Cleanup(p.kill)
	return p
}

// goMember is a program on package cpg, in the test's own process.
type goMember struct {
	m      *cpg.Member
	orders chan func() error

	mu    sync.Mutex // guards lines
	lines []string
}

func (a *agent) goMember(group string) *goMember {
	t := a.s.t
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	agent, err := client.Dial(ctx, client.Config{Socket: filepath.Join(a.run, node.AgentSocket)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := cpg.New(agent).Join(ctx, group, cpg.JoinConfig{})
	if err != nil {
		t.Fatal(err)
	}
	g := &goMember{m: m, orders: make(chan func() error, 100)}
	var work sync.WaitGroup
	work.Go(func() { g.check(t, ctx, g.receive(ctx)) })
	work.Go(func() { g.check(t, ctx, g.send(ctx)) })
	t.Cleanup(func() {
		cancel()
		work.Wait()
		agent.Close()
	})
	return g
}

// check tells what ended a member before it was told to.
func (g *goMember) check(t *testing.T, ctx context.Context, err error) {
	if ctx.Err() == nil {
		t.Errorf("%v: %v", g.m.ID(), err)
	}
}

func (g *goMember) self() string { return fmt.Sprintf("%d/%d", g.m.ID().Node, g.m.ID().PID) }

func (g *goMember) said() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lines[:len(g.lines):len(g.lines)]
}

func (g *goMember) say(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, fmt.Sprintf(format, args...))
}

func (g *goMember) order(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	var count, size int
	last := false
	if _, err := fmt.Sscanf(text, "send %d %d", &count, &size); err != nil {
		count, size, last = 1, headSize, true // finish
	}
	g.orders <- func() error { return g.sendMany(count, size, last) }
}

func (g *goMember) send(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-g.orders:
			if err := f(); err != nil {
				return err
			}
		}
	}
}

// sendMany sends messages numbered as member.c numbers them.
func (g *goMember) sendMany(count, size int, last bool) error {
	for range count {
		h := head{kindNormal, 1, size}
		if last {
			h.kind = kindLast
		}
		h.number = g.next()
		if _, err := g.m.Send(context.Background(), h.fill()); err != nil {
			return err
		}
		g.say("accepted %d %d", h.number, h.size)
	}
	return nil
}

// next is the number after those that were sent.
func (g *goMember) next() uint64 {
	return uint64(with(g.said(), "accepted ")) + 1
}

// receive writes down what comes, as member.c does.
func (g *goMember) receive(ctx context.Context) error {
	lasts := 0
	for ev, err := range g.m.All(ctx) {
		if err != nil {
			return err
		}
		switch ev := ev.(type) {
		case cpg.View:
			if len(ev.Joined)+len(ev.Left) == 0 {
				continue // of the ring or of quorum alone: libcpg has no word for it
			}
			line := "change members"
			for _, p := range ev.Members {
				line += fmt.Sprintf(" %d/%d:0", p.ID.Node, p.ID.PID)
			}
			g.say("%s left%s joined%s", line, changed(ev.Left), changed(ev.Joined))
		case cpg.Message:
			h, ok := parseHead(ev.Body)
			if !ok || !bytes.Equal(h.fill(), ev.Body) {
				return errors.New("a message is damaged")
			}
			g.say("message %d/%d %d %d", ev.From.Node, ev.From.PID, h.number, h.size)
			if h.kind == kindLast {
				if lasts++; lasts == 5 {
					g.say("done")
				}
			}
		}
	}
	return nil
}

func changed(list []cpg.Change) (text string) {
	for _, c := range list {
		text += fmt.Sprintf(" %d/%d:%d", c.ID.Node, c.ID.PID, c.Reason)
	}
	return text
}

// seen leaves out what is not of the group's sequence.
func seen(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		return !strings.HasPrefix(l, "message ") && !strings.HasPrefix(l, "change ")
	})
}

// membersNow is the last change that somebody saw.
func membersNow(lines []string) (members []string, line string) {
	for _, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "change ") {
			members, _, _, _ = parseChange(line)
			return members, line
		}
	}
	return nil, ""
}

// beginnings are how many lines everybody said up to the change that made the
// group whole.
func beginnings(t *testing.T, programs []speaker) (list []int) {
	t.Helper()
	for _, p := range programs {
		lines := p.said()
		list = append(list, slices.IndexFunc(lines, func(l string) bool {
			now, _ := membersNow([]string{l})
			return len(now) == len(programs)
		})+1)
	}
	return list
}

func same(t *testing.T, who string, a, b []string) {
	t.Helper()
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("%s: after %d equal events %q and %q", who, i, x, y)
			return
		}
	}
}

// upToCut is what came before a node went away.
func upToCut(lines []string) []string {
	if i := slices.IndexFunc(lines, func(l string) bool {
		_, left, _ := strings.Cut(l, " left ")
		left, _, _ = strings.Cut(left, " joined")
		return strings.Contains(left, ":3")
	}); i >= 0 {
		return lines[:i]
	}
	return lines
}

// afterLastChange is what came in the last view, with its members.
func afterLastChange(lines []string) []string {
	for i, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "change ") {
			members, _, _ := strings.Cut(line, " left")
			return append([]string{members}, lines[i+1:]...)
		}
	}
	return nil
}

// withoutTheAbsence takes from one sequence what another member did not see
// because it had left and joined again.
func withoutTheAbsence(lines, other []string) []string {
	for i, line := range other {
		if !strings.HasPrefix(line, "change ") {
			continue
		}
		if _, left, _, _ := parseChange(line); len(left) != 1 || !strings.Contains(line, ":2 joined") || i+1 == len(other) {
			continue
		}
		from := slices.Index(lines, line)
		to := slices.Index(lines, other[i+1])
		if from >= 0 && to > from {
			return slices.Concat(lines[:from+1], lines[to:])
		}
	}
	return lines
}
