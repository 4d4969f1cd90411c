package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is one line of go test -json, see go doc test2json.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of a build line
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// name is a test within its package; an empty test stands for the package.
type name struct{ pkg, test string }

func (n name) String() string {
	if n.test == "" {
		return strings.TrimPrefix(n.pkg, module)
	}
	return strings.TrimPrefix(n.pkg, module) + "." + n.test
}

// report turns the stream of events into what people read.
type report struct {
	w                       io.Writer
	output                  map[name][]string // of what has not ended
	parents                 map[name]bool     // tests with subtests
	broken                  map[name]bool     // with a failure inside that was counted
	builds                  map[string][]string
	skips                   []string
	passed, failed, skipped int
	seen                    int // failures before the current go test
}

func newReport(w io.Writer) *report {
	return &report{w: w, output: map[name][]string{}, parents: map[name]bool{}, broken: map[name]bool{}, builds: map[string][]string{}}
}

// line takes one line of go test -json.
func (r *report) line(b []byte) {
	var e event
	if err := json.Unmarshal(b, &e); err != nil {
		fmt.Fprintf(r.w, "%s", b) // the go command itself has something to say
		return
	}
	n := name{e.Package, e.Test}
	switch e.Action {
	case "run":
		r.output[n] = nil
		if parent, ok := n.parent(); ok && parent.test != "" {
			r.parents[parent] = true
		}
	case "output":
		r.output[n] = append(r.output[n], e.Output)
	case "build-output":
		r.builds[e.ImportPath] = append(r.builds[e.ImportPath], e.Output)
	case "pass":
		r.end(n, e, r.pass)
	case "skip":
		r.end(n, e, r.skip)
	case "fail":
		r.end(n, e, r.fail)
	}
}

// parent is the test that n is a subtest of, or its package.
func (n name) parent() (name, bool) {
	if n.test == "" {
		return name{}, false
	}
	i := strings.LastIndexByte(n.test, '/')
	return name{n.pkg, n.test[:max(0, i)]}, true
}

func (r *report) end(n name, e event, how func(name, event)) {
	how(n, e)
	delete(r.output, n)
}

func (r *report) pass(n name, e event) {
	switch {
	case n.test == "":
		fmt.Fprintf(r.w, "ok      %-40s %7.1fs\n", n, e.Elapsed)
	case !r.parents[n]:
		r.passed++
	}
}

func (r *report) skip(n name, _ event) {
	if n.test == "" {
		return // a package without tests in this build
	}
	r.skipped++
	r.skips = append(r.skips, fmt.Sprintf("%v: %s", n, reason(r.output[n])))
}

func (r *report) fail(n name, e event) {
	if n.test == "" {
		r.failPackage(n, e)
		return
	}
	fmt.Fprintf(r.w, "\n%s", strings.Join(r.output[n], ""))
	if !r.broken[n] {
		r.failed++
	}
	for up, ok := n.parent(); ok; up, ok = up.parent() {
		r.broken[up] = true
	}
}

// failPackage counts what no test of the package has accounted for: it does not
// build, it crashed, or TestMain failed.
func (r *report) failPackage(n name, e event) {
	fmt.Fprint(r.w, strings.Join(r.builds[e.FailedBuild], ""))
	for _, open := range r.open(n.pkg) {
		fmt.Fprintf(r.w, "\n%s--- no end: %v\n", strings.Join(r.output[open], ""), open)
		delete(r.output, open)
	}
	if !r.broken[n] {
		r.failed++
	}
	fmt.Fprintf(r.w, "%sFAIL    %-40s %7.1fs\n", strings.Join(r.output[n], ""), n, e.Elapsed)
}

// open lists the tests of a package that have not ended.
func (r *report) open(pkg string) []name {
	tests := slices.DeleteFunc(slices.Collect(maps.Keys(r.output)), func(n name) bool { return n.pkg != pkg || n.test == "" })
	slices.SortFunc(tests, func(a, b name) int { return strings.Compare(a.test, b.test) })
	return tests
}

// finish ends one go test. If it failed without a word about a test or package,
// that is one failure.
func (r *report) finish(failed bool) {
	if failed && r.failed == r.seen {
		fmt.Fprintln(r.w, "FAIL    go test ended with an error")
		r.failed++
	}
	r.seen = r.failed
	clear(r.output)
}

// close prints what was left out and the counts.
func (r *report) close() {
	if len(r.skips) > 0 {
		fmt.Fprintln(r.w, "\nleft out:")
		slices.Sort(r.skips)
		for _, s := range r.skips {
			fmt.Fprintln(r.w, "  "+s)
		}
	}
	fmt.Fprintf(r.w, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}

// reason finds what a test said when it skipped: its own lines, without the
// frame that go test puts around them.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		said = append(said, line)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}
