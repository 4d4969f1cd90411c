package groupstest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// T is what is needed of a test.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// World is a cluster on which a scenario runs. What cannot be done fails the test.
type World interface {
	// Open starts a process of that name on a node; it has not begun yet.
	Open(name string, node int) Client
	// Settle returns when nothing moves any more, and only time will tell.
	Settle()
	// Later lets seconds pass; where time passes by itself it may do nothing.
	Later(seconds int)
	// Crash powers a node off, with all that runs there; its clients are over.
	Crash(node int)
	// Restart powers a node on again, with no process there.
	Restart(node int)
	// Split has nodes reach each other only within a block.
	Split(blocks [][]int)
	// Scripts says what deactivate scripts do from here on: work, fail or hang.
	Scripts(mode string)
	// Ran describes the run of script number n, from 0, as in B expel "flag" 3. One
	// that is wanted is waited for; else it is empty if there is none.
	Ran(n int, wanted bool) string
}

// Client is a process with a library.
type Client interface {
	// Do has the process do a command and returns the answer, as in OK 0.
	Do(command string) string
	// Told returns what the process was told from the start, n lines at least if
	// they come in time.
	Told(n int) []string
	// Kill ends the process without a word.
	Kill()
}

// Needs is what a scenario asks of its world beside clients.
type Needs uint

// The needs of scenarios.
const (
	Crashes Needs = 1 << iota // Crash and Restart
	Splits                    // Split
	Scripts                   // Scripts and Ran
	Fresh                     // a cluster in which no node was lost before
)

// Scenario is one of appendix A, or a variant of one.
type Scenario struct {
	Number int
	Name   string
	Nodes  int // 0: three
	Needs  Needs
	Script string
}

// Title is the name of the scenario's test.
func (s Scenario) Title() string { return fmt.Sprintf("%02d %s", s.Number, s.Name) }

// Size is how many nodes it needs.
func (s Scenario) Size() int {
	if s.Nodes == 0 {
		return 3
	}
	return s.Nodes
}

// player runs one script.
type player struct {
	t     T
	w     World
	cast  map[string]*actor
	names []string // of cast, as they came
	attrs string
	ran   int // scripts looked at
	line  string
}

// actor is one process of a script.
type actor struct {
	Client
	seen  int // lines looked at
	begun bool
	over  bool
}

// Run runs a scenario.
func Run(t T, w World, s Scenario) {
	t.Helper()
	p := &player{t: t, w: w, cast: map[string]*actor{}, attrs: "G1"}
	for line := range strings.Lines(s.Script) {
		if p.line = strings.TrimSpace(line); p.line != "" && p.line[0] != '#' {
			p.step(p.line)
		}
	}
	p.line = "the end"
	p.w.Settle()
	for _, name := range p.names {
		p.nothing(name)
	}
}

func (p *player) fail(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s: %s", p.line, fmt.Sprintf(format, args...))
}

// step does one line.
func (p *player) step(line string) {
	p.t.Helper()
	first, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch first {
	case "with":
		p.attrs = rest
	case "settle":
		p.w.Settle()
	case "later":
		p.w.Later(p.number(rest))
	case "crash":
		p.crash(p.number(rest))
	case "restart":
		p.w.Restart(p.number(rest))
	case "split":
		p.split(rest)
	case "scripts":
		p.w.Scripts(rest)
	case "ran":
		if got := p.w.Ran(p.ran, rest != ""); got != rest {
			p.fail("ran %q", got)
		}
		if rest != "" {
			p.ran++
		}
	default:
		for name := range strings.SplitSeq(first, ",") {
			p.act(name, rest)
		}
	}
}

func (p *player) number(s string) int {
	p.t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		p.fail("%v", err)
	}
	return n
}

func (p *player) split(text string) {
	p.t.Helper()
	var blocks [][]int
	for block := range strings.SplitSeq(text, "/") {
		var ids []int
		for id := range strings.SplitSeq(strings.TrimSpace(block), ",") {
			ids = append(ids, p.number(id))
		}
		blocks = append(blocks, ids)
	}
	p.w.Split(blocks)
}

func (p *player) crash(node int) {
	p.w.Crash(node)
	for _, name := range p.names {
		if nodeOf(name) == node {
			p.cast[name].over = true
		}
	}
}

// nodeOf tells where a process runs.
func nodeOf(name string) int {
	if name[0] != 'S' {
		return int(name[0]-'A') + 1
	}
	if len(name) == 1 {
		return 3
	}
	return int(name[1] - '0')
}

func (p *player) actor(name string) *actor {
	a := p.cast[name]
	if a == nil {
		a = &actor{Client: p.w.Open(name, nodeOf(name))}
		p.cast[name] = a
		p.names = append(p.names, name)
	}
	return a
}

// act does what a line says for one process.
func (p *player) act(name, rest string) {
	p.t.Helper()
	a := p.actor(name)
	verb, args, _ := strings.Cut(rest, " ")
	switch verb {
	case "<":
		p.sees(name, strings.TrimSpace(args))
	case "nothing":
		p.w.Settle()
		p.nothing(name)
	case "forget":
		p.w.Settle()
		a.seen = len(a.Told(0))
	case "kill":
		a.Kill()
		a.over = true
	case "joined":
		p.joined(name, args)
	default:
		p.command(name, rest)
	}
}

func (p *player) joined(name, args string) {
	p.t.Helper()
	a := p.actor(name)
	if !a.begun {
		p.command(name, "init")
	}
	p.command(name, "join "+args)
	for { // phases, and then the end
		got := a.Told(a.seen + 1)
		if len(got) == a.seen || !strings.HasPrefix(got[a.seen], "NP join") && !strings.HasPrefix(got[a.seen], "AP join") {
			p.fail("%s did not join: told %q", name, got[a.seen:])
		}
		a.seen++
		if got[a.seen-1][0] == 'A' {
			break
		}
	}
	p.w.Settle()
	for _, a := range p.cast {
		if !a.over {
			a.seen = len(a.Told(0))
		}
	}
}

// sees compares the next line.
func (p *player) sees(name, want string) {
	p.t.Helper()
	a := p.cast[name]
	got := a.Told(a.seen + 1)
	if len(got) <= a.seen {
		p.fail("%s was told nothing; before that:\n\t%s", name, strings.Join(tail(got), "\n\t"))
	}
	if got[a.seen] != want {
		p.fail("%s was told\n\t%s\nafter\n\t%s", name, strings.Join(got[a.seen:], "\n\t"), strings.Join(tail(got[:a.seen]), "\n\t"))
	}
	a.seen++
}

func tail(lines []string) []string { return lines[max(0, len(lines)-5):] }

func (p *player) nothing(name string) {
	p.t.Helper()
	a := p.cast[name]
	if a.over {
		return
	}
	if got := a.Told(0); len(got) > a.seen {
		p.fail("%s was told\n\t%s", name, strings.Join(got[a.seen:], "\n\t"))
	}
}

// command does a command and compares the answer.
func (p *player) command(name, text string) {
	p.t.Helper()
	text, want, equal := strings.Cut(text, " = ")
	text, either, other := strings.Cut(text, " ~ ")
	if !equal {
		want = "OK"
	}
	words := strings.Fields(text)
	if words[0] == "join" || words[0] == "attributes" {
		words = slices.Insert(words, 2, strings.Fields(p.attrs)...)
	}
	a := p.cast[name]
	a.begun = a.begun || words[0] == "init"
	got := a.Do(strings.Join(words, " "))
	if !other {
		p.want(name, got, want)
		return
	}
	code, event, _ := strings.Cut(either, " / ")
	if got == code {
		return
	}
	p.want(name, got, "OK")
	p.sees(name, event)
}

func (p *player) want(name, got, want string) {
	p.t.Helper()
	if !strings.Contains(want, " ") {
		got, _, _ = strings.Cut(got, " ")
	}
	if got != want {
		p.fail("%s: answer %s, want %s", name, got, want)
	}
}

// Scenarios are all that have a script, by number.
func Scenarios() []Scenario { return slices.Concat(joining, leaving, voting, watching) }
