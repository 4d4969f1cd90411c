package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/testenv"
)

// notServed lists commands that differ on our agents because a part of them is
// missing, by the start of "GOLDEN FILE: COMMAND". What is listed here and
// differs is printed; what is listed and does not differ any more is an error.
var notServed = []struct{ prefix, missing string }{}

// differences are answers in which our agents differ for good. What matches is
// replaced in the original's answer and in ours before they are compared.
var differences = []struct {
	prefix string // as in notServed
	state  string // of the cluster; empty: any
	from   *regexp.Regexp
	to     string
	why    string
}{
	{"cfgtool: corosync-cmapctl config.", "", regexp.MustCompile(`(config\.totemconfig_reload_in_progress \(u8\)) = [01]`), "$1 = 0",
		"the original leaves it at 1 after a file with errors"},
	{"cfgtool: corosync-cmapctl config.", "", regexp.MustCompile(`(config\.reload_status \(i32\)) = \d`), "$1 = RESULT",
		"the original keeps the result before after a file with errors"},
	{"links: corosync-cfgtool -n", "", mtu, "mtu: N", "the largest datagram of our links has another size"},
	{"cmapctl: corosync-cmapctl", "", regexp.MustCompile(`(?m)^resources\..*\n`), "",
		"our agents have no service that watches load and memory"},
	{"cfgtool: corosync-cfgtool -n", "", mtu, "mtu: N",
		"the largest datagram of our links has another size"},
	{"quorum-auto_tie_breaker: ", "one started again", regexp.MustCompile(`(?s).*`), "",
		"a node that holds the tie knows it from its record: decision 6"},
	{"cfgtool: the daemon after corosync-cfgtool -k", "", regexp.MustCompile(`status (255|15)`), "status NOT ZERO",
		"our agents end with 15, the status of a fatal error of the ring"},
}

var mtu = regexp.MustCompile(`mtu: \d+`)

// recorder compares what commands print with a golden file: one section for each
// command in each state of the cluster, as the original prints it. With -update
// the original's answers are written.
type recorder struct {
	c     *cluster
	name  string
	state string
	want  map[string]string
	got   []string            // sections in order
	rules []rule              // for this test alone
	sort  func(string) string // brings lines without an order into one
	late  map[string]int      // by entry of notServed
	fine  map[string]int      // the same, and without an entry
	slow  bool                // something did not settle in this state
}

// rule replaces what differs between two runs of the same daemon.
type rule struct {
	from *regexp.Regexp
	to   string
}

// everyRun are rules for all commands.
var everyRun = []rule{
	{regexp.MustCompile(`(?m)^Date: .*$`), "Date: DATE"},
	{regexp.MustCompile(`(?m)^(Ring ID: +[0-9a-f]+)\.[0-9a-f]+`), "$1.SEQ"},
}

func (c *cluster) recorder(t *testing.T, name string, rules ...rule) *recorder {
	t.Helper()
	r := &recorder{c: c, name: name, want: map[string]string{}, rules: rules, late: map[string]int{}, fine: map[string]int{}}
	if testenv.Updating() {
		t.Cleanup(r.write)
		return r
	}
	text, err := os.ReadFile(r.file())
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range strings.Split("\n"+strings.TrimSuffix(string(text), "\n"), "\n"+mark)[1:] {
		title, body, _ := strings.Cut(section, "\n")
		r.want[title] = body
	}
	t.Cleanup(r.report)
	return r
}

const mark = "== "

func (r *recorder) file() string { return filepath.Join("testdata", r.name+".golden") }

func (r *recorder) write() {
	if r.c.t.Failed() {
		return
	}
	if err := os.WriteFile(r.file(), []byte(strings.Join(r.got, "\n")+"\n"), 0o644); err != nil {
		r.c.t.Error(err)
	}
}

// in names the state that the next commands find.
func (r *recorder) in(state string) { r.state, r.slow = state, false }

// show compares what a command prints once it settles: daemons tell each other
// things for a moment after a change.
func (r *recorder) show(m *machine, args ...string) {
	r.c.t.Helper()
	ask := func() string {
		out, status := m.run(args...)
		return r.clean(out, status)
	}
	got := ask()
	if testenv.Updating() {
		for same := 0; same < 3; {
			time.Sleep(200 * time.Millisecond) // the original says nothing when it has settled
			next := ask()
			if next == got {
				same++
			} else {
				got, same = next, 0
			}
		}
	} else {
		want := r.alike(args, r.want[r.title(m, args)])
		deadline := time.Now().Add(patience / 4)
		for r.alike(args, got) != want && time.Now().Before(deadline) && r.missing(args) == "" && !r.slow {
			time.Sleep(100 * time.Millisecond)
			got = ask()
		}
		r.slow = r.slow || r.alike(args, got) != want
	}
	r.compare(m, args, got)
}

// do compares what a command that changes something prints.
func (r *recorder) do(m *machine, args ...string) {
	r.c.t.Helper()
	out, status := m.run(args...)
	r.compare(m, args, r.clean(out, status))
}

func (r *recorder) clean(out string, status int) string {
	out = strings.ReplaceAll(out, r.c.stage.Dir, "DIR")
	for _, rule := range append(slices.Clone(everyRun), r.rules...) {
		out = rule.from.ReplaceAllString(out, rule.to)
	}
	if r.sort != nil && status == 0 {
		out = r.sort(out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, mark) {
			r.c.t.Errorf("an output has a line that starts with %q", mark)
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("status %d\n%s", status, out), "\n")
}

func (r *recorder) title(m *machine, args []string) string {
	command := strings.ReplaceAll(strings.Join(args, " "), r.c.stage.Dir, "DIR")
	return fmt.Sprintf("%s, node %d: %q", r.state, m.id, command)
}

// compare compares a text that came from a command or another source.
func (r *recorder) compare(m *machine, args []string, got string) {
	r.c.t.Helper()
	title := r.title(m, args)
	if slices.ContainsFunc(r.got, func(s string) bool { return strings.HasPrefix(s, mark+title+"\n") }) {
		r.c.t.Fatalf("two sections %q", title)
	}
	r.got = append(r.got, mark+title+"\n"+got)
	if testenv.Updating() {
		return
	}
	want, known := r.want[title]
	want, got = r.alike(args, want), r.alike(args, got)
	entry := r.missing(args)
	if entry != "" && got != want {
		r.c.t.Logf("not served yet: %s differs from %s:\n%s", title, r.file(), lineDiff(want, got))
	}
	switch {
	case !known:
		r.c.t.Errorf("%s has no section %q; record it with -update", r.file(), title)
	case got == want:
		r.fine[entry]++
	case entry != "":
		r.late[entry]++
	default:
		r.c.t.Errorf("%s differs from %s:\n%s", title, r.file(), lineDiff(want, got))
	}
}

// alike takes away what may differ.
func (r *recorder) alike(args []string, text string) string {
	if r.c.daemon == theirs {
		return text
	}
	for _, d := range differences {
		if strings.HasPrefix(r.name+": "+strings.Join(args, " "), d.prefix) && (d.state == "" || d.state == r.state) {
			text = d.from.ReplaceAllString(text, d.to)
		}
	}
	return text
}

// missing is the entry of notServed for a command on our agents.
func (r *recorder) missing(args []string) string {
	if r.c.daemon == theirs {
		return ""
	}
	for _, e := range notServed {
		if strings.HasPrefix(r.name+": "+strings.Join(args, " "), e.prefix) {
			return e.prefix
		}
	}
	return ""
}

// report tells what was left out.
func (r *recorder) report() {
	for _, e := range notServed {
		switch late, fine := r.late[e.prefix], r.fine[e.prefix]; {
		case late > 0:
			r.c.report("NOT SERVED YET: %d of %d of %q differ: %s", late, late+fine, e.prefix, e.missing)
		case fine > 0:
			r.c.t.Errorf("%q is served now: take it from the list notServed", e.prefix)
		}
	}
	r.c.report("%s: %d answers as recorded", r.name, r.fine[""])
}

// lineDiff shows the lines that differ, with what is the same left out.
func lineDiff(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	// Longest common subsequence; the texts are some hundred lines at most.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&out, "  original: %s\n", a[i])
			i++
		default:
			fmt.Fprintf(&out, "  ours:     %s\n", b[j])
			j++
		}
	}
	return out.String()
}
