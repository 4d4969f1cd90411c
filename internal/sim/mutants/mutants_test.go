//go:build mutants

package mutants

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/bug"
)

const defaultSeeds = 400

var (
	only    = flag.String("only", "", "names of mutants, with commas; empty: all")
	workers = flag.Int("workers", runtime.NumCPU(), "mutants at a time, each in a process of its own")
	most    = flag.Uint64("most", 0, "seeds of each finder, instead of those in the table")
	clean   = flag.Uint64("clean", 100, "seeds of each finder that have to pass without a fault first")
	doc     = flag.String("doc", "", "write the table to this file")
	child   = flag.String("child", "", "run this job and print its outcome; used by the test itself")
)

var invariant = regexp.MustCompile(`\bI[0-9]+\b`)

// job is what one process does: look for a fault, or see that plans pass without
// one.
type job struct {
	Name    string   `json:"name"` // of the mutant; empty: nothing is planted
	With    []string `json:"with"`
	Finders []string `json:"finders"`
	From    uint64   `json:"from"`
	Seeds   uint64   `json:"seeds"`
}

// outcome is what it says in the end.
type outcome struct {
	Finder   string        `json:"finder"` // empty: nothing was found
	Property string        `json:"property"`
	Seed     uint64        `json:"seed"`
	Text     string        `json:"text"`
	Tried    uint64        `json:"tried"`
	Took     time.Duration `json:"took"`
	Error    string        `json:"error,omitempty"`
}

func (j job) run() (o outcome) {
	start := time.Now()
	defer func() { o.Took = time.Since(start) }()
	bug.Plant(append([]string{j.Name}, j.With...)...)
	for _, f := range j.Finders {
		for s := j.From; s < j.From+j.Seeds; s++ {
			o.Tried++
			x, err := run(f, s)
			if err != nil {
				o.Error = err.Error()
				return o
			}
			if x != nil {
				o.Finder, o.Property, o.Seed, o.Text = f, x.Property, s, x.Text
				if n := invariant.FindString(x.Text); x.Property == "I" && n != "" {
					o.Property = n
				}
				return o
			}
		}
	}
	return o
}

// start runs a job in another process: what is planted is a variable of the
// process, and two processes use two processors.
func (j job) start(t *testing.T) outcome {
	t.Helper()
	arg, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	c := exec.Command(os.Args[0], "-test.run=^TestMutants$", "-child", string(arg))
	c.Stdout, c.Stderr = &out, &errs
	err = c.Run()
	var o outcome
	line, _, _ := strings.Cut(out.String(), "\n")
	if e := json.Unmarshal([]byte(line), &o); e != nil {
		o.Error = fmt.Sprintf("the process said nothing of use: %v, %v, %.300s", err, e, errs.String())
	}
	return o
}

// TestMutants plants every fault of the table.
func TestMutants(t *testing.T) {
	if *child != "" {
		var j job
		if err := json.Unmarshal([]byte(*child), &j); err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(j.run()); err != nil {
			t.Fatal(err)
		}
		return
	}
	list := chosen(t)
	passClean(t, list)
	found := make([]outcome, len(list))
	each(list, func(i int, m Mutant) {
		found[i] = find(t, m)
		fmt.Println(line(m, found[i]))
	})
	passWithout(t, list, found)
	judge(t, list, found)
	if *doc != "" {
		if err := os.WriteFile(*doc, page(list, found), 0o644); err != nil {
			t.Error(err)
		}
	}
}

func chosen(t *testing.T) []Mutant {
	if *only == "" {
		return table
	}
	var list []Mutant
	for _, name := range strings.Split(*only, ",") {
		i := slices.IndexFunc(table, func(m Mutant) bool { return m.Name == name })
		if i < 0 {
			t.Fatalf("no mutant %q", name)
		}
		list = append(list, table[i])
	}
	return list
}

// each calls f for every element, workers at a time.
func each[T any](list []T, f func(int, T)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range max(1, *workers) {
		wg.Go(func() {
			for i := range next {
				f(i, list[i])
			}
		})
	}
	for i := range list {
		next <- i
	}
	close(next)
	wg.Wait()
}

// passClean demands that what looks for faults finds none where none is.
func passClean(t *testing.T, list []Mutant) {
	var jobs []job
	for _, m := range list {
		for _, f := range m.By {
			if f != byTest && !slices.ContainsFunc(jobs, func(j job) bool { return j.Finders[0] == f }) {
				jobs = append(jobs, job{Finders: []string{f}, Seeds: *clean})
			}
		}
	}
	each(jobs, func(_ int, j job) {
		if o := j.start(t); o.Finder != "" || o.Error != "" {
			t.Errorf("%s seed %d finds something without a fault: %s %s%s", j.Finders[0], o.Seed, o.Property, o.Text, o.Error)
		}
	})
}

// passWithout runs each plan that found a fault once more, without it.
func passWithout(t *testing.T, list []Mutant, found []outcome) {
	each(list, func(i int, m Mutant) {
		o := found[i]
		if o.Finder == "" || o.Finder == byTest {
			return
		}
		j := job{Finders: []string{o.Finder}, From: o.Seed, Seeds: 1}
		if c := j.start(t); c.Finder != "" || c.Error != "" {
			t.Errorf("%s: %s seed %d does not pass without the fault either: %s %s%s", m.Name, o.Finder, o.Seed, c.Property, c.Text, c.Error)
		}
	})
}

func find(t *testing.T, m Mutant) outcome {
	by := slices.DeleteFunc(slices.Clone(m.By), func(f string) bool { return f == byTest })
	seeds := m.Seeds
	if seeds == 0 {
		seeds = defaultSeeds
	}
	if *most != 0 {
		seeds = *most
	}
	var o outcome
	if len(by) > 0 {
		o = job{Name: m.Name, With: m.With, Finders: by, Seeds: seeds}.start(t)
	}
	if len(by) < len(m.By) && o.Finder == "" && o.Error == "" {
		p := packageTest(m)
		p.Tried += o.Tried
		p.Took += o.Took
		return p
	}
	return o
}

func judge(t *testing.T, list []Mutant, found []outcome) {
	n, survived := 0, 0
	for i, m := range list {
		o := found[i]
		switch {
		case o.Error != "":
			t.Errorf("%s: %s", m.Name, o.Error)
		case m.Survives != "" && o.Finder != "":
			t.Errorf("%s is expected to survive; %s seed %d finds it: %s %s", m.Name, o.Finder, o.Seed, o.Property, o.Text)
		case m.Survives != "":
			survived++
		case o.Finder == "":
			t.Errorf("%s is not found by %d runs of %v", m.Name, o.Tried, m.By)
		default:
			n++
		}
	}
	fmt.Printf("%d mutants: %d found, %d survive as expected, %d missed; median of the runs until the simulator finds one: %d\n",
		len(list), n, survived, len(list)-n-survived, median(found))
}

// median is the number of runs that the simulator needed for a fault that it
// found.
func median(found []outcome) uint64 {
	var runs []uint64
	for _, o := range found {
		if o.Finder != "" && o.Finder != byTest {
			runs = append(runs, o.Tried)
		}
	}
	slices.Sort(runs)
	if len(runs) == 0 {
		return 0
	}
	return runs[len(runs)/2]
}

func line(m Mutant, o outcome) string {
	seed := fmt.Sprint(o.Seed)
	switch {
	case o.Error != "":
		return fmt.Sprintf("%-32s | %s", m.Name, o.Error)
	case o.Finder == "" && m.Survives != "":
		return fmt.Sprintf("%-32s | survives %d runs, as expected | %v", m.Name, o.Tried, o.Took.Round(100*time.Millisecond))
	case o.Finder == "":
		return fmt.Sprintf("%-32s | NOT FOUND by %d runs | %v", m.Name, o.Tried, o.Took.Round(100*time.Millisecond))
	case o.Finder == byTest:
		seed = "-"
	}
	return fmt.Sprintf("%-32s | %-5s | %s seed %s | %d tried | %v | %.150s", m.Name, o.Property, o.Finder, seed, o.Tried,
		o.Took.Round(100*time.Millisecond), o.Text)
}

// packageTest runs the mutation tests of the fault's own package, once for all
// of its faults.
func packageTest(m Mutant) outcome {
	packages.Lock()
	defer packages.Unlock()
	r, ok := packages.results[m.In]
	if !ok {
		start := time.Now()
		c := exec.Command("go", "test", "-tags", "mutants", "-count=1", "-v", "-run", "Mutants", "../../"+filepath.FromSlash(m.In))
		out, err := c.CombinedOutput()
		r = result{string(out), err, time.Since(start)}
		packages.results[m.In] = r
	}
	o := outcome{Took: r.took}
	text, named := said(r.out, m.Name)
	switch {
	case r.err != nil:
		o.Error = fmt.Sprintf("the tests of internal/%s fail: %v\n%s", m.In, r.err, r.out)
	case named:
		o.Finder, o.Property, o.Text, o.Tried = byTest, "test", text, 1
	}
	return o
}

type result struct {
	out  string
	err  error
	took time.Duration
}

var packages = struct {
	sync.Mutex
	results map[string]result
}{results: make(map[string]result)}

// said finds what a test logged about a fault: behind its name in a line, or in
// the line after the subtest of that name began.
func said(out, name string) (string, bool) {
	lines := strings.Split(out, "\n")
	for i, l := range lines {
		if !strings.Contains(l, name) {
			continue
		}
		if strings.HasPrefix(l, "=== RUN") && i+1 < len(lines) {
			l = lines[i+1]
		}
		_, text, _ := strings.Cut(l, ".go:")
		_, text, _ = strings.Cut(text, ": ")
		return strings.TrimPrefix(text, name+": "), true
	}
	return "", false
}

// page is the table as a document.
func page(list []Mutant, found []outcome) []byte {
	var b bytes.Buffer
	b.WriteString(`# Planted faults

What make mutants found, and how. The run writes this page.

Each fault is a line or two in the code, compiled in only with the build tag mutants. "Found by" is the property that
noticed it: a letter and number of ordering 1.3, I for an invariant (1.4), L for a bound (1.5), G for the order of a
process group, GS for Group Services, EV for cluster events (docs/simulator.md). None of them was written for the fault. "Plan" is the kind of plan and its seed: drawn plans of engines,
of whole nodes, about quorum, Group Services or cluster events (apart: with every ring primary), plans that aim at one part of the protocol (internal/sim), situations of ordering 5.6 with time bounds
(internal/sim/timing), or, for what shows only inside, the tests of the package itself. The same plan passes without
the fault. Some faults stand beside another correct variant of the code, without which they cannot do harm.

`)
	fmt.Fprintf(&b, "The median of the runs until the simulator finds a fault is %d. The explorer (internal/sim/explore) finds some of them\n"+
		"again, in its own way.\n\n", median(found))
	b.WriteString(`| fault | package | rule that it breaks | found by | plan |
| --- | --- | --- | --- | --- |
`)
	for i, m := range list {
		if o := found[i]; o.Finder != "" {
			where := fmt.Sprintf("%s, seed %d", o.Finder, o.Seed)
			if o.Finder == byTest {
				where = "its own tests"
			}
			name := m.Name
			if len(m.With) > 0 {
				name += " (with " + strings.Join(m.With, ", ") + ")"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, m.In, m.Breaks, o.Property, where)
		}
	}
	b.WriteString(`
## Second walls

These faults survive, as they should: other rules hold what the missing one would.

| fault | rule that it breaks | why nothing notices | runs |
| --- | --- | --- | --- |
`)
	for i, m := range list {
		if m.Survives != "" && found[i].Finder == "" {
			fmt.Fprintf(&b, "| %s | %s | %s | %d |\n", m.Name, m.Breaks, m.Survives, found[i].Tried)
		}
	}
	return b.Bytes()
}
