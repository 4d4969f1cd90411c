package interop

import (
	"strings"
	"testing"

	"github.com/moothall/moothall/config"
)

// What the comparison of programs finds, and what it must not take for a fault.
func TestJudgeHistories(t *testing.T) {
	const (
		ab   = "ring 1/8 1 2"
		then = "ring 1/12 1 2"
	)
	start := func(pid string) []string {
		return []string{"pid " + pid, "change members 1/1:0 2/2:0 left joined 1/1:1 2/2:1", ab, ab}
	}
	m := func(lines ...string) []string { return lines }
	same := ways{1: {ab, then}, 2: {ab, then}}
	for name, c := range map[string]struct {
		ways ways
		a, b []string
		want string // part of the finding
	}{
		"same":             {same, m("message 1/1 1 50", "message 2/2 1 50", then), m("message 1/1 1 50", "message 2/2 1 50", then), ""},
		"one lacks one":    {same, m("message 1/1 1 50", "message 2/2 1 50", then), m("message 1/1 1 50", then), "differ"},
		"other order":      {same, m("message 1/1 1 50", "message 2/2 1 50", then), m("message 2/2 1 50", "message 1/1 1 50", then), "differ"},
		"another way":      {ways{1: {ab, then}, 2: {ab, "ring 2/10 2", then}}, m("message 1/1 1 50", then), m(then), ""},
		"order at an end":  {same, m("message 1/1 1 50", "message 2/2 1 50", then), m("message 2/2 1 50", "message 1/1 1 50"), "other way round"},
		"an end":           {same, m("message 1/1 1 50", "message 2/2 1 50", then), m("message 1/1 1 50"), ""},
		"twice":            {same, m("message 1/1 1 50", then), m("message 1/1 1 50", "message 1/1 1 50", then), "after message 1"},
		"a hole in own":    {same, m("message 1/1 1 50", "message 1/1 3 50", then), m(then), "after message 1"},
		"a stranger":       {same, m("message 3/3 1 50", then), m("message 3/3 1 50", then), "the members are"},
		"a wrong change":   {same, m("change members 1/1:0 left joined", then), m(then), "members were"},
		"a wrong reason":   {same, m("change members 1/1:0 left 2/2:4 joined", then), m("change members 1/1:0 left 2/2:4 joined", then), "reason"},
		"what nobody sent": {same, m("corrupt 1/1 50", then), m(then), "corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			var histories []*history
			for i, lines := range [][]string{c.a, c.b} {
				node := config.NodeID(i + 1)
				histories = append(histories, readHistory([]string{"A", "B"}[i], node, append(start([]string{"1", "2"}[i]), lines...)))
			}
			_, problems := compare(histories, c.ways)
			if got := strings.Join(problems, "; "); (got != "") != (c.want != "") || !strings.Contains(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// A program that is told of rings while its join is on its way was in none of
// them.
func TestStretches_BeforeTheJoin(t *testing.T) {
	h := readHistory("A", 1, []string{"pid 1", "ring 1/8 1 2", "ring 1/12 1 2", "change members 1/1:0 left joined 1/1:1", "ring 1/12 1 2", "message 1/1 1 50"})
	for _, s := range h.stretches() {
		if s.from != "" {
			t.Errorf("a stretch from %q to %q", s.from, s.to)
		}
	}
}
