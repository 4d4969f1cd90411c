package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/totem"
)

var (
	seed    = flag.Uint64("seed", 0, "first seed of TestSeeds")
	seeds   = flag.Int("seeds", 4, "number of seeds of TestSeeds, each bare and whole, and twenty of quorum and of groups, five of events")
	bareRun = flag.Bool("bare", false, "TestSeeds runs engines only")
	show    = flag.Bool("show", false, "print the traces of TestSeeds and of scenarios")
)

// runSeed runs one plan and reports its findings.
func runSeed(t *testing.T, p *Plan, name string) *Result {
	t.Helper()
	o := Options{}
	if *show {
		o.Trace = func(l *Line) { fmt.Println(l) }
	}
	r := Run(p, o)
	t.Logf("%s: %d nodes, %v virtual, %d events, %+v, %+v", name, len(p.Nodes), r.Time, r.Events, r.Counts, r.Liveness)
	for _, f := range r.Findings {
		t.Errorf("%s: %v\n%s", name, f, r.Stack)
	}
	return r
}

func TestSeeds(t *testing.T) {
	for s := *seed; s < *seed+uint64(*seeds); s++ {
		runSeed(t, DrawBare(s), fmt.Sprintf("bare seed %d", s))
		if !*bareRun {
			runSeed(t, Draw(s), fmt.Sprintf("whole seed %d", s))
			for i := range uint64(20) {
				runSeed(t, DrawQuorum(20*s+i), fmt.Sprintf("quorum seed %d", 20*s+i))
			}
			for i := range uint64(20) {
				runSeed(t, DrawGroups(20*s+i), fmt.Sprintf("groups seed %d", 20*s+i))
				if i < 5 {
					runSeed(t, DrawEvents(5*s+i), fmt.Sprintf("events seed %d", 5*s+i))
				}
			}
			for i := range uint64(5) {
				runSeed(t, DrawReload(5*s+i), fmt.Sprintf("reload seed %d", 5*s+i))
			}
		}
	}
}

// TestRegressions runs the seeds of testdata/seeds.txt and the schedules of
// testdata/schedules.
func TestRegressions(t *testing.T) {
	f, err := os.Open("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		var kind string
		var s uint64
		if strings.HasPrefix(in.Text(), "#") {
			continue
		}
		if _, err := fmt.Sscan(in.Text(), &kind, &s); err != nil {
			t.Fatalf("%q: %v", in.Text(), err)
		}
		draw := map[string]func(uint64) *Plan{"bare": DrawBare, "whole": Draw, "quorum": DrawQuorum, "reload": DrawReload, "groups": DrawGroups, "events": DrawEvents}[kind]
		if draw == nil {
			t.Fatalf("no kind %q", kind)
		}
		runSeed(t, draw(s), fmt.Sprintf("%s seed %d", kind, s))
	}
	files, _ := filepath.Glob("testdata/schedules/*.json")
	for _, name := range files {
		p, err := ReadPlan(name)
		if err != nil {
			t.Fatal(err)
		}
		runSeed(t, p, filepath.Base(name))
	}
}

// The engine offers its invariants (ordering 1.4) under the name that is asked
// for.
var _ inspector = (*totem.Machine)(nil)

// TestSamePlanSameTrace is the promise that a seed reproduces a run.
func TestSamePlanSameTrace(t *testing.T) {
	for _, draw := range []func(uint64) *Plan{Draw, DrawBare, DrawQuorum, DrawReload, DrawGroups} {
		for s := uint64(20); s < 23; s++ {
			first := Run(draw(s), Options{})
			n := 0
			again := Run(draw(s), Options{Trace: func(*Line) { n++ }})
			if first.Hash != again.Hash || first.Events != again.Events {
				t.Errorf("seed %d: trace %x of %d events, then %x of %d", s, first.Hash, first.Events, again.Hash, again.Events)
			}
			if n == 0 {
				t.Errorf("seed %d: no line was traced", s)
			}
		}
	}
}

// TestPlanSize holds what ordering 5.3 and the swarm are to give: time, nodes,
// messages.
func TestPlanSize(t *testing.T) {
	var messages []uint64
	for s := range uint64(20) {
		p := DrawBare(s)
		if len(p.Nodes) < 3 {
			t.Errorf("seed %d has %d nodes", s, len(p.Nodes))
		}
		r := Run(p, Options{Fast: true})
		if r.Time < 25*sec {
			t.Errorf("seed %d ran %v", s, r.Time)
		}
		messages = append(messages, r.Counts.Submitted)
	}
	slices.Sort(messages)
	if messages[2] < 500 {
		t.Errorf("few messages: %v", messages)
	}
}

func TestPlanFile(t *testing.T) {
	for s := range uint64(5) {
		p := Draw(s)
		name := filepath.Join(t.TempDir(), "plan.json")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Write(f); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		q, err := ReadPlan(name)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := Run(p, Options{Fast: true}).Hash, Run(q, Options{Fast: true}).Hash; a != b {
			t.Errorf("seed %d: the plan gives %x, its file %x", s, a, b)
		}
	}
}

func TestPlanFileIsRefused(t *testing.T) {
	cases := []struct{ name, text, want string }{
		{"not JSON", `{`, "unexpected EOF"},
		{"unknown key", `{"nods": []}`, "unknown field"},
		{"no nodes", `{"nodes": []}`, "0 nodes"},
		{"ids fall", `{"nodes": [{"id": 2}, {"id": 1}]}`, "ids rise"},
		{"unknown node", `{"nodes": [{"id": 1}], "actions": [{"at": 1, "do": "crash", "a": 9}]}`, "node 9"},
		{"unknown action", `{"nodes": [{"id": 1}], "actions": [{"at": 1, "do": "explode"}]}`, "not an action"},
		{"unknown call", `{"nodes": [{"id": 1}], "actions": [{"at": 1, "do": "ask", "call": "dance"}]}`, "dance"},
		{"bad group", `{"nodes": [{"id": 1}], "domain": {"groups": [{"name": "a", "phases": 3, "default": 1}]}}`, "phases"},
		{"unknown type", `{"nodes": [{"id": 1}], "actions": [{"at": 1, "do": "drop", "types": ["jion"]}]}`, "jion"},
		{"negative time", `{"nodes": [{"id": 1}], "actions": [{"at": -1, "do": "crash"}]}`, "out of range"},
		{"drop of nobody", `{"nodes": [{"id": 1}], "drops": [{"from": 1, "to": 2, "n": 1}]}`, "drop 0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "plan.json")
			if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := ReadPlan(name); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want the file and %q", err, c.want)
			}
		})
	}
}

func FuzzReadPlan(f *testing.F) {
	f.Add([]byte(`{"seed": 1, "nodes": [{"id": 1, "disk": 1}], "heal": 5, "actions": [{"at": 1, "do": "crash", "a": 1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Plan
		if json.Unmarshal(b, &p) == nil {
			_ = p.validate()
		}
	})
}

// wrong wraps a machine and hides deliveries: each tenth one is swallowed.
type wrong struct {
	*totem.Machine
	n int
}

func (e *wrong) Take() totem.Output {
	o := e.Machine.Take()
	for i := 0; i < len(o.Events); i++ {
		if _, ok := o.Events[i].(*totem.Delivery); ok {
			if e.n++; e.n%40 == 0 {
				o.Events = slices.Delete(o.Events, i, i+1)
				i--
			}
		}
	}
	return o
}

func newWrong(now Tick, c totem.Config) (engine, error) {
	m, err := totem.New(now, c)
	return &wrong{Machine: m}, err
}

func TestShrink(t *testing.T) {
	p := DrawBare(3)
	o := Options{Engine: newWrong}
	first := Run(p, o)
	if !first.Failed() {
		t.Fatal("an engine that swallows messages passes")
	}
	small, r := Shrink(p, o, 400, nil)
	if !r.Failed() || r.Findings[0].Property != first.Findings[0].Property {
		t.Fatalf("the small plan gives %v, the large one %v", r.Findings, first.Findings)
	}
	if len(small.Actions) >= len(p.Actions) || len(small.Actions) > 3 {
		t.Errorf("%d of %d actions are left", len(small.Actions), len(p.Actions))
	}
	var b bytes.Buffer
	if err := WriteDiagram(&b, small, o, 50); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); !strings.Contains(s, "node ") || !strings.Contains(s, first.Findings[0].Property) || strings.Count(s, "\n") > 60 {
		t.Errorf("the drawing is:\n%s", s)
	}
}

// TestTraceLines holds that every line of a trace is JSON and prints.
func TestTraceLines(t *testing.T) {
	kinds := map[string]bool{}
	var b []byte
	look := Options{Trace: func(l *Line) {
		b = l.AppendJSON(b[:0])
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		for _, k := range []string{"ev", "packet", "group", "groups", "note"} {
			if _, ok := m[k]; ok {
				kinds[k] = true
			}
		}
		if l.String() == "" {
			t.Fatalf("%s prints as nothing", b)
		}
	}}
	Run(Draw(1), look)
	Run(DrawGroups(1), look)
	if len(kinds) != 5 {
		t.Errorf("kinds of lines: %v", kinds)
	}
}

func TestSoak(t *testing.T) {
	s := Soak{From: 99, Seeds: 2, Workers: 2, Plan: DrawBare, Opt: Options{Fast: true}}
	total := s.Run(nil)
	if total.Seeds != 2 || len(total.Violations) > 0 || total.Messages == 0 {
		t.Errorf("totals: %+v", total)
	}
	done := make(chan struct{})
	close(done)
	if total := s.Run(done); total.Seeds != 0 {
		t.Errorf("a soak that was ended ran %d seeds", total.Seeds)
	}
}
