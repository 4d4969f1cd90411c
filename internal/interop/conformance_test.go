package interop

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

// Tests carry the numbers of their scenarios in their names, as in
// TestScenario_25_26_27_Filters or TestX14_07_ForgedPackets, or in those of their
// subtests. The documents below are made of these names.

// where is how a test looks at a scenario.
type where int

const (
	inMemory where = iota // services of all nodes in one process, or members of one process
	onAgents              // real agents, a process each
	throughC              // and programs in C
	numWhere
)

// scenario is one of a specification's, in a few words.
type scenario struct {
	number string
	title  string
	wants  [numWhere]bool
}

// list has the scenarios of a document, where the tests are, and where it is.
type list struct {
	file      string
	scenarios []scenario
	packages  map[string]where // directories; tests of agents in them are found by agentsIn
	skip      string           // names that are of another list
	// unnumbered are tests without numbers in their names, by scenario.
	unnumbered map[string][]found
}

// found is a test.
type found struct {
	where where
	name  string // with its directory
}

// bits say where there must be a test.
const (
	memoryBit = 1 << inMemory
	agentsBit = 1 << onAgents
	cBit      = 1 << throughC
)

// rows makes scenarios of lines "number title", which are wanted as the bits say.
func rows(wants int, lines string) (list []scenario) {
	for l := range strings.Lines(lines) {
		number, title, ok := strings.Cut(strings.TrimSpace(l), " ")
		if !ok {
			continue
		}
		s := scenario{number: number, title: title}
		for w := range numWhere {
			s.wants[w] = wants&(1<<w) != 0
		}
		list = append(list, s)
	}
	return list
}

var aisList = list{
	file: "conformance-ais.md",
	scenarios: slices.Concat(rows(agentsBit, `
		1 three nodes multicast at once, one order
		2 multicast from within a delivery comes later
		3 messages of up to 1 MiB whole, none above
		4 a queue that is full
		5 a sender is killed
		6 partition and merge
		7 flipped bit, other key, replay`),
		rows(agentsBit|cBit, `8 a client with the wrong group`),
		rows(agentsBit, `9 an unknown message id`),
		rows(agentsBit|cBit, `10 a client is killed with all that it holds`),
		rows(agentsBit, `
		11 dump by signal
		12 order of the hooks of synchronisation
		13 a node dies in a round
		14 calls in a round`),
		rows(agentsBit|cBit, `15 a node outside of the primary component`),
		rows(memoryBit|agentsBit, `15a a round is held up`),
		rows(agentsBit, `15b equal states are not sent`),
		rows(memoryBit|agentsBit, `16 a thousand random steps`),
		rows(agentsBit|cBit, `17 CLM: track the current members`),
		rows(cBit, `18 CLM: an array that is too small`),
		rows(agentsBit|cBit, `
		19 CLM: a node leaves
		20 CLM: a node joins, and one that was cut off
		21 CLM: flags
		22 CLM: NodeGet`),
		rows(memoryBit|cBit, `23 CLM and EVT: versions`),
		rows(agentsBit|cBit, `
		24 EVT: open
		25 EVT: prefix filters
		26 EVT: filters without a pattern
		27 EVT: patterns are bytes
		28 EVT: two opens, two subscriptions each
		29 EVT: priorities
		30 EVT: a queue overflows
		31 EVT: a higher priority meanwhile
		32 EVT: retention
		33 EVT: retention is cleared
		34 EVT: a node joins while an event is kept
		35 EVT: unlink
		36 EVT: access and limits
		37 EVT: subscription ids
		38 EVT: buffers of data
		39 EVT: event ids after a restart
		40 EVT: event ids are all different`)),
	packages: map[string]where{
		"internal/executive": inMemory, "internal/seal": inMemory, "service/remote": inMemory, "service/servicetest": inMemory,
		"ais/clm": inMemory, "ais/evt": inMemory, "internal/interop": onAgents, "capi": throughC,
	},
	skip: `OneOfTwoLinksFlaps|^TestEvents?\d*_|^TestEvent|Item`,
	unnumbered: map[string][]found{
		"15a": {{inMemory, "internal/resync TestStallNamesWhoHoldsTheBarrier"}},
		"16":  {{inMemory, "internal/sim TestSeeds"}, {inMemory, "node TestServiceInProcesses_UnderFaults"}},
	},
}

var eventsList = list{
	file: "conformance-events.md",
	scenarios: slices.Concat(rows(memoryBit|cBit, `
		1 alone
		2 two form, a third comes
		3 one leaves and comes again
		4 who registers later
		5 all see the same`),
		rows(memoryBit|cBit, `6 a record that is not done yet`),
		rows(cBit, `7 event_done twice, and of nothing`),
		rows(memoryBit|cBit, `
		8 a split, and the side without quorum
		9 the other side is evicted
		10 nobody went on: restored
		11 some of them go on
		12 a formation that fails
		13 two join together
		14 what register refuses`),
		rows(memoryBit|cBit, `
		15 unregister within the callback
		16 unregister and handle what is not there`),
		rows(cBit, `
		17 macros of classes and events
		18 is_my_nodeid
		19 a signal tells`),
		rows(memoryBit|cBit, `
		20 a group: joins and casts in one order
		21 the executive stops, or is killed`),
		rows(cBit, `22 sizes of records`),
		rows(memoryBit|cBit, `
		23 a topic without a callback
		24 publish
		25 references of replies
		26 an unknown topic`),
		rows(cBit, `
		27 a function and pulling do not mix
		28 unsubscribe within the callback`),
		rows(memoryBit|cBit, `29 a subscriber that keeps 64 messages`),
		rows(cBit, `
		30 memberships as messages
		31 an event after its subscription`),
		rows(memoryBit|cBit, `
		32 three publish at once
		32a publish in limbo
		32b a topic is deleted`),
		rows(cBit, `
		33 shipped face: register and activate
		34 shipped face: the first membership`),
		rows(memoryBit|cBit, `35 shipped face: quorum is lost, with and without special`),
		rows(cBit, `
		36 shipped face: restored
		37 shipped face: three changes pending
		38 shipped face: the executive dies
		39 shipped face: is_my_nodeid
		40 shipped face: bare names, loaded at run time
		41 two drafts in one process
		42 the symbol of draft 0.2`)),
	packages: map[string]where{"internal/service/events": inMemory, "events": inMemory, "capi": throughC},
	skip:     `^TestEvt|^TestClm|^TestAis`,
	unnumbered: map[string][]found{
		"33": {{throughC, "capi TestEvents_NoAgent/Scenario_33"}},
	},
}

var (
	numbers14  = regexp.MustCompile(`(?:^Test|_|/)(?:\w*Scenario|X14)_(\d\d[ab]?(?:_(?:to_)?\d\d[ab]?)*)(?:[_/"]|$)`)
	evtNumbers = regexp.MustCompile(`(?m)^\t\{(\d+), "([^"]+)", func`)
)

// numbersOf are the scenarios that a name names, as the specification writes them.
func numbersOf(name string) (list []string) {
	g := numbers14.FindStringSubmatch(name)
	if g == nil {
		return nil
	}
	to := false
	for _, part := range strings.Split(g[1], "_") {
		switch {
		case part == "to":
			to = true
			continue
		case to:
			first, _ := strconv.Atoi(list[len(list)-1])
			last, _ := strconv.Atoi(part)
			for n := first + 1; n < last; n++ {
				list = append(list, fmt.Sprint(n))
			}
			to = false
		}
		list = append(list, strings.TrimPrefix(part, "0"))
	}
	return list
}

// tests finds the tests of a list by the numbers in their names.
func (l *list) tests(t *testing.T) map[string][]found {
	t.Helper()
	have := map[string][]found{}
	skip := regexp.MustCompile(l.skip)
	for _, dir := range sortedKeys(l.packages) {
		files, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || skip.MatchString(f.Name.Name) {
					continue
				}
				body := text[f.Pos()-1 : f.End()-1]
				add := func(name string, numbers []string) {
					for _, w := range l.look(dir, body) {
						for _, n := range numbers {
							if e := (found{w, dir + " " + name}); !slices.Contains(have[n], e) {
								have[n] = append(have[n], e)
							}
						}
					}
				}
				add(f.Name.Name, numbersOf(f.Name.Name))
				ast.Inspect(f, func(n ast.Node) bool {
					if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING && strings.HasPrefix(s.Value, `"Scenario_`) {
						sub := strings.Trim(s.Value, `"`)
						add(f.Name.Name+"/"+strings.TrimSuffix(sub, "/"), numbersOf("_"+sub))
					}
					return true
				})
				if f.Name.Name == "TestEvt" { // a table of subtests
					for _, g := range evtNumbers.FindAllSubmatch(text, -1) {
						n, _ := strconv.Atoi(string(g[1]))
						add(fmt.Sprintf("TestEvt/Scenario_%02d_%s", n, strings.ReplaceAll(string(g[2]), " ", "_")), []string{fmt.Sprint(n)})
					}
				}
			}
		}
	}
	return have
}

// look is how a test looks at its scenarios: some do so in memory and on agents.
func (l *list) look(dir string, body []byte) []where {
	w := l.packages[dir]
	if w != inMemory || !bytes.Contains(body, []byte("gents")) && !bytes.Contains(body, []byte(" all(t,")) && !bytes.Contains(body, []byte("\tall(t,")) {
		return []where{w}
	}
	if bytes.Contains(body, []byte("all(t,")) {
		return []where{inMemory, onAgents}
	}
	return []where{onAgents}
}

// table is what the document says.
func (l *list) table(t *testing.T) string {
	have := l.tests(t)
	for n, extra := range l.unnumbered {
		for _, e := range extra {
			dir, name, _ := strings.Cut(e.name, " ")
			name, _, _ = strings.Cut(name, "/")
			if !exists(t, dir, name) {
				t.Errorf("scenario %s: there is no %s", n, e.name)
			}
			have[n] = append(have[n], e)
		}
	}
	var b strings.Builder
	b.WriteString("\n| scenario | | in memory, or members of one process | real agents | through C |\n|---|---|---|---|---|\n")
	missing := []string{}
	for _, s := range l.scenarios {
		fmt.Fprintf(&b, "| %s | %s |", s.number, s.title)
		for w := range numWhere {
			var names []string
			for _, f := range have[s.number] {
				if f.where == w {
					names = append(names, cellOf(f.name))
				}
			}
			slices.Sort(names)
			if len(names) == 0 && s.wants[w] {
				names = []string{"**missing**"}
				missing = append(missing, s.number)
			}
			b.WriteString(" " + strings.Join(names, "<br>") + " |")
		}
		b.WriteString("\n")
	}
	missing = slices.Compact(missing)
	if len(missing) > 0 {
		fmt.Fprintf(&b, "\nMissing are tests of %s.\n", strings.Join(missing, ", "))
	}
	return b.String()
}

// cellOf writes a test as "directory: name".
func cellOf(name string) string {
	dir, test, _ := strings.Cut(name, " ")
	return fmt.Sprintf("`%s` (%s)", test, dir)
}

// exists reports whether a package has a test.
func exists(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && bytes.Contains(text, []byte("\nfunc "+name+"("))
	})
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// The documents name the tests of each scenario, and -update writes them anew.
func TestConformanceTables(t *testing.T) {
	for _, l := range []list{aisList, eventsList} {
		path := filepath.Join("..", "..", "docs", l.file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, table, ok := bytes.Cut(text, []byte("\n| scenario |"))
		if !ok {
			t.Fatalf("%s has no table", path)
		}
		want := l.table(t)
		if testenv.Updating() {
			if err := os.WriteFile(path, append(slices.Clone(head), want...), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if why := untrue("\n| scenario |"+string(table), want); why != "" {
			t.Errorf("%s is not true any more, run go test ./internal/interop -run TestConformanceTables -update: %s", path, why)
		}
	}
}

var quoted = regexp.MustCompile("`[^`]+` \\([^)]+\\)")

// untrue finds what a table says and is not so. That it could name another test
// besides is no fault.
func untrue(says, is string) string {
	a, b := strings.Split(says, "\n"), strings.Split(is, "\n")
	if len(a) != len(b) {
		return fmt.Sprintf("it has %d lines, want %d", len(a), len(b))
	}
	for i := range a {
		said, found := strings.Split(a[i], "|"), strings.Split(b[i], "|")
		if len(said) != len(found) {
			return fmt.Sprintf("%q", a[i])
		}
		for k := range said {
			names, there := quoted.FindAllString(said[k], -1), quoted.FindAllString(found[k], -1)
			if len(names) == 0 && said[k] != found[k] {
				return fmt.Sprintf("%q", a[i])
			}
			for _, n := range names {
				if !slices.Contains(there, n) {
					return "there is no " + n
				}
			}
		}
	}
	return ""
}

func TestUntrue(t *testing.T) {
	const is = "| 1 | x | `A` (p)<br>`B` (p) |  |"
	for says, want := range map[string]bool{
		is: false, "| 1 | x | `A` (p) |  |": false, "| 1 | x | `C` (p) |  |": true, "| 1 | x | **missing** |  |": true, "| 1 | y | `A` (p) |  |": true,
		"| 1 | x | `A` (p) | **missing** |": true, "": true,
	} {
		if got := untrue(says, is); (got != "") != want {
			t.Errorf("%q: %q", says, got)
		}
	}
}
