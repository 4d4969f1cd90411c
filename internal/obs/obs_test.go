package obs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/obs"
)

func TestHistogram(t *testing.T) {
	var h obs.Histogram
	for _, d := range []time.Duration{-1, 0, 1024, 1025, 2048, time.Millisecond, time.Hour} {
		h.Observe(d)
	}
	var p obs.Page
	p.Histogram("x_seconds", "X.", &h)
	got := string(p.Bytes())
	for _, want := range []string{
		"# HELP moothall_x_seconds X.\n# TYPE moothall_x_seconds histogram\n",
		`moothall_x_seconds_bucket{le="1.024e-06"} 3` + "\n",
		`moothall_x_seconds_bucket{le="2.048e-06"} 5` + "\n",
		`moothall_x_seconds_bucket{le="0.001048576"} 6` + "\n",
		`moothall_x_seconds_bucket{le="17.179869184"} 6` + "\n",
		`moothall_x_seconds_bucket{le="+Inf"} 7` + "\n",
		"moothall_x_seconds_count 7\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if h.Count() != 7 {
		t.Errorf("count %d", h.Count())
	}
}

func TestPage(t *testing.T) {
	var p obs.Page
	p.Family(obs.Gauge, "up", "Back\\slash and\nline.")
	p.Sample(1.5, "name", "a \"b\"\\\n\xff", "x", "y")
	p.Process(obs.Counter, "process_x_total", "X.")
	p.Count(1 << 40)
	want := `# HELP moothall_up Back\\slash and\nline.
# TYPE moothall_up gauge
moothall_up{name="a \"b\"\\\n?",x="y"} 1.5
# HELP process_x_total X.
# TYPE process_x_total counter
process_x_total 1.099511627776e+12
`
	if got := string(p.Bytes()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	var h obs.Histogram
	if n := testing.AllocsPerRun(1000, func() { h.Observe(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h obs.Histogram
	for b.Loop() {
		h.Observe(123456)
	}
}
