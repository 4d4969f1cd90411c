package node_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// pair is two nodes with doors, and a process of the first in a group.
func pair(t *testing.T) (*admin.Client, *node.Node, session.Conn) {
	t.Helper()
	c, run := cluster(t, 2, 1), t.TempDir()
	a := start(t, node.Config{Cluster: c, Self: 1, RunDir: run, Key: make([]byte, 32), Version: "v1"})
	b := start(t, node.Config{Cluster: c, Self: 2, Key: make([]byte, 32)})
	formed(t, a, b)
	conn, err := a.Open(t.Context(), cpg.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Call(t.Context(), cpg.CallJoin, cpg.JoinRequest{Group: []byte("g"), PID: 7}.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	return admin.New(run), b, conn
}

// What happens to ring, quorum and groups is told in one numbered stream.
func TestDoorTellsWhatHappens(t *testing.T) {
	c, b, _ := pair(t)
	var groups admin.Groups
	testenv.Eventually(t, patience, "the group", func() (bool, any) {
		var err error
		groups, err = c.Groups(t.Context())
		return err == nil && len(groups.Groups) == 1, err
	})
	if g := groups.Groups[0]; g.Name != "g" || len(g.Members) != 1 || g.Members[0].Node != 1 || g.Members[0].NodeName != "n1" || g.Members[0].PID != 7 {
		t.Errorf("group %+v", g)
	}
	nodes, err := c.Nodes(t.Context())
	if err != nil || nodes.Ring == nil || len(nodes.Nodes) != 2 || nodes.Nodes[1].Name != "n2" || !nodes.Nodes[1].InRing {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
	d, err := c.Decisions(t.Context(), 0, 0)
	if err != nil || len(d.Decisions) == 0 || d.Decisions[0].No != 1 || d.Missing != 0 || d.Next != d.Decisions[len(d.Decisions)-1].No {
		t.Errorf("decisions %+v, %v", d, err)
	}
	resp, err := c.HTTP.Get(c.Base + "/readyz?quorum=1")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("readyz: %+v, %v", resp, err)
	}
	resp.Body.Close()

	b.Halt()
	types, last := map[string]bool{}, uint64(0)
	for e, err := range c.Follow(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != admin.EventHello && e.No != last+1 {
			t.Fatalf("event %d after %d", e.No, last)
		}
		last = e.No
		types[e.Type] = true
		if e.Text == "" {
			t.Errorf("without words: %+v", e)
		}
		if e.Group != nil && (e.Group.Name != "g" || e.Group.Size != 1 || e.Text != "Group g: process 7 of n1 joined; it has 1 member.") {
			t.Errorf("group: %q %+v", e.Text, e.Group)
		}
		if e.Decision != nil && e.Decision.View != nil && slices.Contains(e.Decision.View.Left, 2) {
			break
		}
	}
	for _, want := range []string{admin.EventHello, admin.EventView, admin.EventQuorum, admin.EventGroup} {
		if !types[want] {
			t.Errorf("no event of type %s: %v", want, types)
		}
	}
}

// The page, what it needs, what it asks for and where it leads are all there.
func TestDashboardFindsWhatItAsksFor(t *testing.T) {
	c, _, _ := pair(t)
	get := func(path string) string {
		resp, err := c.HTTP.Get(c.Base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %.200s, %v", path, resp.StatusCode, body, err)
		}
		return string(body)
	}
	paths := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?:href|src)="(/[^"]*)"`).FindAllStringSubmatch(get("/"), -1) {
		paths[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`read\("([^"]*)"`).FindAllStringSubmatch(get("/dashboard.js"), -1) {
		paths[m[1]] = true
	}
	for _, want := range []string{"/dashboard.css", "/dashboard.js", "/v1/status", "/v1/why", "/v1/groups", "/v1/groupservices", "/v1/topics"} {
		if !paths[want] {
			t.Errorf("the page does not ask for %s", want)
		}
	}
	for path := range paths {
		get(path)
	}
}

func TestMetrics(t *testing.T) {
	c, _, conn := pair(t)
	for range 64 {
		if _, err := conn.Call(t.Context(), cpg.CallMcast, cpg.McastRequest{Message: []byte("m")}.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
	}
	events := make([]session.Event, 64)
	for got := 0; got < 64; {
		n, err := conn.Recv(t.Context(), events)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	var page *exposition
	testenv.Eventually(t, patience, "measurements", func() (bool, any) {
		page = scrape(t, c)
		return page.value("moothall_link_rtt_seconds") > 0 && page.value("moothall_ring_token_rotation_seconds_count") > 0, page.text
	})
	for name, least := range map[string]float64{
		"moothall_node_answering": 1, "moothall_ring_members": 2, "moothall_quorum_quorate": 1, "moothall_messages_submitted_total": 64,
		"moothall_message_latency_seconds_count": 3, "moothall_sync_seconds_count": 1, "moothall_disk_save_seconds_count": 1,
		"moothall_ring_changes_total": 1, "moothall_decisions_total": 1, "moothall_link_sent_bytes_total": 1, "moothall_link_up": 1,
		"moothall_clients": 1, "moothall_sync_rounds_total": 1, "moothall_queue_bound": 1, "process_start_time_seconds": float64(time.Now().Add(-time.Hour).Unix()),
	} {
		if got := page.value(name); got < least {
			t.Errorf("%s is %v, want at least %v", name, got, least)
		}
	}
	for _, p := range page.lint() {
		t.Error(p)
	}
	docs, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range page.kind {
		short := strings.TrimPrefix(name, "moothall")
		if !bytes.Contains(docs, []byte(short)) && !strings.HasPrefix(short, "_link_") && !strings.HasPrefix(short, "_seal_") {
			t.Errorf("docs/http.md does not tell of %s", name)
		}
	}
}

// A page that breaks the rules is found out.
func TestMetricsLint(t *testing.T) {
	good := "# HELP moothall_a_total A.\n# TYPE moothall_a_total counter\nmoothall_a_total{x=\"1\"} 1\n"
	if p := parse(good).lint(); len(p) != 0 {
		t.Errorf("%v", p)
	}
	for text, want := range map[string]string{
		"moothall_a 1\n": "no TYPE",
		"# HELP moothall_a A.\n# TYPE moothall_a counter\nmoothall_a 1\n":        "ends in _total",
		"# HELP moothall_a_total A.\n# TYPE moothall_a_total gauge\n":            "ends in _total",
		"# HELP moothall_a_ms A.\n# TYPE moothall_a_ms gauge\nmoothall_a_ms 1\n": "base unit",
		"# HELP moothall_a\n# TYPE moothall_a gauge\n":                           "no HELP",
		"# HELP moothall_a A\n# TYPE moothall_a gauge\n":                         "no HELP",
		"# HELP other_a A.\n# TYPE other_a gauge\n":                              "prefix",
		good + good:                              "twice",
		good + "moothall_a_total{x=\"1\"} 2\n":   "twice",
		good + "moothall_a_total{X-y=\"1\"} 2\n": "cannot be read",
		good + "moothall_a_total nothing\n":      "cannot be read",
		"# HELP moothall_h_seconds H.\n# TYPE moothall_h_seconds histogram\nmoothall_h_seconds_bucket{le=\"1\"} 2\nmoothall_h_seconds_bucket{le=\"+Inf\"} 1\n": "falls",
		"# HELP moothall_h_seconds H.\n# TYPE moothall_h_seconds histogram\nmoothall_h_seconds_bucket{le=\"+Inf\"} 1\nmoothall_h_seconds_count 2\n":            "_count",
	} {
		if p := parse(text).lint(); !strings.Contains(strings.Join(p, "\n"), want) {
			t.Errorf("%q passes with %q, want %q", text, p, want)
		}
	}
}

// exposition is a page of metrics, read as strictly as its format allows.
type exposition struct {
	text     string
	help     map[string]string
	kind     map[string]string
	samples  []metric
	problems []string
}

type metric struct {
	family, name, labels string
	value                float64
}

func scrape(t *testing.T, c *admin.Client) *exposition {
	t.Helper()
	resp, err := c.HTTP.Get(c.Base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%v %v %v", resp.Status, resp.Header, err)
	}
	return parse(string(b))
}

var (
	sampleLine = regexp.MustCompile(`^([a-z_][a-z0-9_]*)(\{[a-z_][a-z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_][a-z0-9_]*="(?:[^"\\\n]|\\["\\n])*")*\})? (\S+)$`)
	metricName = regexp.MustCompile(`^(moothall|process|go)_[a-z0-9_]+$`)
	badUnits   = regexp.MustCompile(`_(ms|milliseconds|us|microseconds|ns|minutes|kilobytes|percent)(_|$)`)
)

func parse(text string) *exposition {
	e := &exposition{text: text, help: map[string]string{}, kind: map[string]string{}}
	family := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			e.help[name] = help
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if e.kind[name] != "" {
				e.problem("%s comes twice", name)
			}
			e.kind[name], family = kind, name
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		var value float64
		err := fmt.Errorf("no sample")
		if m != nil {
			value, err = strconv.ParseFloat(m[3], 64)
		}
		if err != nil {
			e.problem("cannot be read: %q", line)
			continue
		}
		e.samples = append(e.samples, metric{family, m[1], m[2], value})
	}
	return e
}

func (e *exposition) problem(format string, args ...any) {
	e.problems = append(e.problems, fmt.Sprintf(format, args...))
}

// value is the largest sample with a name.
func (e *exposition) value(name string) float64 {
	most := -1.0
	for _, s := range e.samples {
		if s.name == name {
			most = max(most, s.value)
		}
	}
	return most
}

// lint holds a page to the conventions of the field.
func (e *exposition) lint() []string {
	for name, kind := range e.kind {
		switch {
		case !metricName.MatchString(name):
			e.problem("%s has another prefix", name)
		case !strings.HasSuffix(e.help[name], "."):
			e.problem("%s: no HELP that is a sentence: %q", name, e.help[name])
		case (kind == "counter") != strings.HasSuffix(name, "_total"):
			e.problem("%s is a %s: a counter and nothing else ends in _total", name, kind)
		case badUnits.MatchString(name):
			e.problem("%s is in no base unit", name)
		case kind == "histogram" && !strings.HasSuffix(name, "_seconds"):
			e.problem("%s: a histogram without its unit", name)
		}
	}
	seen := map[string]bool{}
	buckets := map[string]float64{}
	for _, s := range e.samples {
		if seen[s.name+s.labels] {
			e.problem("%s%s comes twice", s.name, s.labels)
		}
		seen[s.name+s.labels] = true
		base := s.name
		if e.kind[s.family] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
		}
		if e.kind[base] == "" || base != s.family {
			e.problem("%s has no TYPE right before it", s.name)
		}
		if strings.HasSuffix(s.name, "_bucket") {
			if s.value < buckets[base] {
				e.problem("%s%s falls", s.name, s.labels)
			}
			buckets[base] = s.value
		}
		if e.kind[base] == "histogram" && strings.HasSuffix(s.name, "_count") && s.value != buckets[base] {
			e.problem("%s is not the last bucket's", s.name)
		}
	}
	return e.problems
}
