package hags

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/moothall/moothall/internal/service/groups/groupstest"
	"github.com/moothall/moothall/internal/testenv"
)

// scenario is one of appendix A that is about the library, or the connection.
type scenario struct {
	number int
	nodes  int
	name   string
	run    func(t *testing.T, w *world)
}

func (s scenario) title() string { return groupstest.Scenario{Number: s.number, Name: s.name}.Title() }

// ofLibrary are those that any agent will do for, also one in this process.
var ofLibrary = []scenario{
	{1, 3, "begin", func(t *testing.T, w *world) {
		a := w.open("A", 1)
		a.does(t, "init", "OK")
		a.does(t, "pollable", "OK 0")
		a.does(t, "init", "EXISTS")
		a.does(t, "node", "OK 1")
		a.does(t, "quit", "OK")
		a.does(t, "node", "NO_INIT")
		a.does(t, "init", "OK")
	}},
	{3, 3, "nobody begun, and no agent", func(t *testing.T, w *world) {
		cmd := w.c.command(1, w.c.drive)
		cmd.Env = append(os.Environ(), "MOOTHALL_SOCKET="+filepath.Join(t.TempDir(), "none"))
		a := startWith(t, cmd)
		for _, c := range []string{"node", "join g", "subscribe g state", "leave #0", "goodbye #0", "expel #0 1/2", "state #0 x", "message #0 m",
			"attributes #0 G1", "vote #0 approve", "unsubscribe #0", "dispatch"} {
			a.does(t, c, "NO_INIT")
		}
		a.does(t, "init", "CONNECT_FAILED")
		a.does(t, "node", "NO_INIT")
		a.does(t, "quit", "OK")
	}},
	{4, 3, "wrong arguments of init", func(t *testing.T, w *world) {
		a := w.open("A", 1)
		for _, args := range []string{"options=0", "options=2", "options=3", "nodelayed", "script=s.sh", "check=ping nocheck", "check=ping interval=0",
			"check=ping limit=0"} {
			a.does(t, "init "+args, "BAD_PARAMETER")
		}
		a.does(t, "init", "OK")
	}},
	{78, 3, "counter", func(t *testing.T, w *world) {
		a, b, clock := w.open("A", 1), w.open("B", 2), w.open("A2", 1)
		a.does(t, "counter run", "OK")
		a.does(t, "init check=counter interval=1 limit=1", "OK")
		b.does(t, "init", "OK")
		for _, p := range []*process{a, b} {
			p.does(t, "join g", "OK 0")
			p.saw(t, "AP join")
		}
		a.saw(t, "AP join")
		clock.does(t, "init check=ping interval=1 limit=1", "OK")
		clock.checked(t, 3)
		a.does(t, "checks", "OK 0")
		a.does(t, "counter stop", "OK")
		a.checked(t, 2)
		w.Settle()
		a.saw(t, "")
		b.saw(t, "")
		a.does(t, "answers bad", "OK")
		b.saw(t, "AN NR [1/1]")
		a.does(t, "counter run", "OK")
		b.saw(t, "AN RS [1/1]")
	}},
	{82, 3, "two threads", func(t *testing.T, w *world) {
		a, b := w.open("A", 1), w.open("B", 2)
		a.does(t, "threads 2", "OK")
		for _, p := range []*process{a, b} {
			p.does(t, "init", "OK")
			for i, g := range []string{"g", "h"} {
				p.does(t, "join "+g, fmt.Sprint("OK ", i))
				p.saw(t, "AP join")
			}
		}
		a.saw(t, "AP join")
		a.saw(t, "AP join")
		a.does(t, "slow g on", "OK")
		say := func(group string, n int) {
			b.does(t, fmt.Sprintf("message %s %s%d", group, group, n), "OK")
			b.saw(t, "AP message")
		}
		for i := range 3 {
			say("g", i)
		}
		for i := range 3 {
			say("h", i)
			a.saw(t, fmt.Sprintf(`AP message 1 EA UPM cur=1/1,1/2 msg="h%d" by=1/2`, i))
		}
		a.does(t, "slow g off", "OK")
		for i := range 3 {
			a.saw(t, fmt.Sprintf(`AP message 1 EA UPM cur=1/1,1/2 msg="g%d" by=1/2`, i))
		}
		a.does(t, "quit", "OK")
		a.saw(t, "dispatch OK")
		a.saw(t, "dispatch OK")
	}},
}

// ofAgent are those that an agent has to be asked for.
var ofAgent = []scenario{
	{2, 3, "not in hagsuser", func(t *testing.T, w *world) {
		if os.Geteuid() != 0 {
			t.Skip("needs root, to be somebody else")
		}
		cmd := w.c.command(1, w.c.drive)
		cmd.Env = append(os.Environ(), "MOOTHALL_SOCKET="+filepath.Join(w.c.run(1), "agent.sock"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		startWith(t, cmd).does(t, "init", "CONNECT_FAILED")
		w.c.logged(t, "GS_AUTH_DENIED_ST", 1)
	}},
	{22, 3, "warning at join", func(t *testing.T, w *world) {
		a := w.open("A", 1)
		a.does(t, "init", "OK")
		a.does(t, "join g null=nphase", "OK 0")
		testenv.Eventually(t, patience, "a warning", func() (bool, any) {
			warning := a.Output()
			return strings.Count(warning, "\n") == 1 && strings.Contains(warning, "g"+w.suffix) && strings.Contains(warning, "n-phase"), warning
		})
	}},
	{45, 3, "two proposals at once, whoever is first", func(t *testing.T, w *world) {
		two := []*process{w.open("A", 1), w.open("B", 2)}
		for _, p := range two {
			p.does(t, "init", "OK")
			p.does(t, "join g", "OK 0")
			two[0].saw(t, "AP join")
		}
		two[1].saw(t, "AP join")
		for round := range 20 {
			race(t, w, two, round)
		}
	}},
	{57, 3, "whose vote is missing", func(t *testing.T, w *world) {
		a, b := w.open("A", 1), w.open("B", 2)
		for _, p := range []*process{a, b} {
			p.does(t, "init", "OK")
			p.does(t, "join g", "OK 0")
			p.saw(t, "AP join")
		}
		b.does(t, "quiet on", "OK")
		a.does(t, "state g x n", "OK")
		b.saw(t, "NP state")
		w.Settle()
		for id := range 2 { // each node knows of all votes
			out, err := w.c.command(id+1, w.c.binary, "gs", "votes", "g"+w.suffix, "--run", w.c.run(id+1)).CombinedOutput()
			missing := regexp.MustCompile(`(?m)^ *1/2 .* awaited$`)
			given := regexp.MustCompile(`(?m)^ *1/1 .* approve$`)
			if err != nil || !missing.Match(out) || !given.Match(out) {
				t.Errorf("node %d: %v\n%s", id+1, err, out)
			}
		}
		b.does(t, "vote g approve", "OK")
		b.saw(t, "AP state")
	}},
}

// race has two providers propose at the same moment. Either one of the proposals
// collides, with its request intact, or both are made, one after the other.
func race(t *testing.T, w *world, two []*process, round int) {
	t.Helper()
	var together sync.WaitGroup
	var answers [2]string
	for i, p := range two {
		together.Go(func() { answers[i] = p.Do(fmt.Sprintf("state g %d-%d", round, i)) })
	}
	together.Wait()
	w.Settle()
	var done []string // what both were told
	collided := 0
	for i, p := range two {
		var mine []string
		for _, l := range p.Told(0)[p.seen:] {
			p.seen++
			switch {
			case strings.HasPrefix(l, "AP state"):
				mine = append(mine, l)
			case l == "DE state 16":
				collided++
			default:
				t.Fatalf("%s was told %q", p.name, l)
			}
		}
		if answers[i] == "COLLIDE" {
			collided++
		} else if answers[i] != "OK" {
			t.Fatalf("%s: answer %s", p.name, answers[i])
		}
		if i == 0 {
			done = mine
		} else if !slices.Equal(done, mine) {
			t.Fatalf("one was told %q, the other %q", done, mine)
		}
	}
	if len(done)+collided != 2 || len(done) == 0 {
		t.Fatalf("%d were made, %d collided", len(done), collided)
	}
}

// ofDeath are those in which agents die.
var ofDeath = []scenario{
	{79, 3, "the agent of a provider dies", func(t *testing.T, w *world) {
		a, b := w.open("A", 1), w.open("B", 2)
		for _, p := range []*process{a, b} {
			p.does(t, "init", "OK")
			p.does(t, "join g", "OK 0")
			p.saw(t, "AP join")
		}
		a.saw(t, "AP join")
		a.does(t, "join h", "OK 1")
		a.saw(t, "AP join")
		a.does(t, "subscribe g membership as=s", "OK 2")
		a.saw(t, "SU M full=1/1,1/2")
		w.c.kill(t, 1)
		a.saw(t, "AN died")
		a.saw(t, "AN died")
		a.saw(t, "SU DIED")
		a.saw(t, "dispatch NOT_OK")
		for _, c := range []string{"state g x", "vote h approve", "goodbye h", "unsubscribe s", "join k", "subscribe k state"} {
			a.does(t, c, "NOT_OK")
		}
		b.saw(t, "AP failure-leave 1 EA UM cur=1/2 chg=1/1 host")
		w.Restart(1)
		a.does(t, "init", "OK")
		a.does(t, "join g", "OK 0")
		a.saw(t, "AP join 1 EA UM cur=1/2,1/1 chg=1/1")
		b.saw(t, "AP join 1 EA UM cur=1/2,1/1 chg=1/1")
	}},
	{84, 5, "random", random},
}

// TestInProcess is the scenarios that are the library's, with agents in this
// process: what tells about them is not in the agents.
func TestInProcess(t *testing.T) {
	c := newInside(t, 2)
	for _, s := range ofLibrary {
		t.Run(s.title(), func(t *testing.T) {
			t.Parallel()
			s.run(t, newWorld(t, c))
		})
	}
}

// A process that forks is two, and the child begins from nothing (group services 3).
func TestC_Fork(t *testing.T) {
	a := newWorld(t, newInside(t, 1)).open("A", 1)
	a.does(t, "init", "OK")
	a.does(t, "fork", "OK NO_INIT OK OK")
	a.does(t, "node", "OK 1")
	a.does(t, "join g", "OK 0")
	a.saw(t, "AP join")
}

// Neither begins nor dispatches anybody in a callback (group services 16.4).
func TestC_CallsInCallbacks(t *testing.T) {
	a := newWorld(t, newInside(t, 1)).open("A", 1)
	a.does(t, "init", "OK")
	a.does(t, "on AP dispatch", "OK")
	a.does(t, "join g", "OK 0")
	a.saw(t, "AP join")
	a.saw(t, "then NOT_OK")
	a.does(t, "on AP goodbye g", "OK")
	a.does(t, "message g m", "OK")
	a.saw(t, "AP message")
	a.does(t, "state g x", "BAD_MEMBER_TOKEN")
	a.does(t, "join g", "OK 0")
	a.saw(t, "AP join")
	a.does(t, "on AP quit", "OK")
	a.does(t, "message g m", "OK")
	a.saw(t, "AP message")
	a.does(t, "node", "NO_INIT")
	a.does(t, "init", "OK")
}

// does demands an answer.
func (p *process) does(t *testing.T, command, want string) {
	t.Helper()
	if got := p.Do(command); got != want {
		t.Fatalf("%s: %s: answer %s, want %s", p.name, command, got, want)
	}
}

// saw demands that the next line begins so; nothing: that there is none.
func (p *process) saw(t *testing.T, want string) {
	t.Helper()
	n := p.seen + 1
	if want == "" {
		n = 0
	}
	lines := p.Told(n)[p.seen:]
	if want == "" && len(lines) > 0 || want != "" && (len(lines) == 0 || !strings.HasPrefix(lines[0], want)) {
		t.Fatalf("%s was told\n\t%s\nwant %q", p.name, strings.Join(lines, "\n\t"), want)
	}
	if want != "" {
		p.seen++
	}
}

// checked waits until the program was asked n times more whether it works.
func (p *process) checked(t *testing.T, n int) {
	t.Helper()
	first := p.checks(t)
	testenv.Eventually(t, patience, fmt.Sprint(n, " checks of ", p.name), func() (bool, any) {
		now := p.checks(t)
		return now >= first+n, now
	})
}

func (p *process) checks(t *testing.T) (n int) {
	t.Helper()
	if answer := p.Do("checks"); len(answer) < 3 {
		t.Fatal(answer)
	} else {
		fmt.Sscan(answer[3:], &n)
	}
	return n
}
