package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// feed gives a report what go test -json prints and returns what people read.
func feed(exitFailed bool, lines ...string) string {
	var out strings.Builder
	r := newReport(&out)
	for _, l := range lines {
		r.line([]byte(l + "\n"))
	}
	r.finish(exitFailed)
	r.close()
	return out.String()
}

const pkg = `"Package":"github.com/moothall/moothall/a"`

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name  string
		exit  bool
		lines []string
		want  string
	}{
		{
			name: "subtests count, their parent does not",
			lines: []string{
				`{"Action":"run",` + pkg + `,"Test":"TestA"}`,
				`{"Action":"run",` + pkg + `,"Test":"TestA/x"}`,
				`{"Action":"run",` + pkg + `,"Test":"TestA/y"}`,
				`{"Action":"pass",` + pkg + `,"Test":"TestA/x"}`,
				`{"Action":"pass",` + pkg + `,"Test":"TestA/y"}`,
				`{"Action":"pass",` + pkg + `,"Test":"TestA"}`,
				`{"Action":"pass",` + pkg + `,"Elapsed":1.25}`,
			},
			want: "ok      a                                            1.2s\n\n2 passed, 0 failed, 0 skipped\n",
		},
		{
			name: "a skip gives its reason",
			lines: []string{
				`{"Action":"run",` + pkg + `,"Test":"TestA"}`,
				`{"Action":"output",` + pkg + `,"Test":"TestA","Output":"=== RUN   TestA\n"}`,
				`{"Action":"output",` + pkg + `,"Test":"TestA","Output":"    a_test.go:7: needs root\n"}`,
				`{"Action":"output",` + pkg + `,"Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}`,
				`{"Action":"skip",` + pkg + `,"Test":"TestA"}`,
			},
			want: "\nleft out:\n  a.TestA: a_test.go:7: needs root\n\n0 passed, 0 failed, 1 skipped\n",
		},
		{
			name: "a failed subtest counts once and shows its output",
			exit: true,
			lines: []string{
				`{"Action":"run",` + pkg + `,"Test":"TestA"}`,
				`{"Action":"run",` + pkg + `,"Test":"TestA/x"}`,
				`{"Action":"output",` + pkg + `,"Test":"TestA/x","Output":"    a_test.go:7: got 1, want 2\n"}`,
				`{"Action":"fail",` + pkg + `,"Test":"TestA/x"}`,
				`{"Action":"fail",` + pkg + `,"Test":"TestA"}`,
				`{"Action":"fail",` + pkg + `,"Elapsed":0.5}`,
			},
			want: "\n    a_test.go:7: got 1, want 2\n\nFAIL    a                                            0.5s\n\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "a package that does not build",
			exit: true,
			lines: []string{
				`{"Action":"build-output","ImportPath":"m/a [m/a.test]","Output":"a.go:1: undefined: x\n"}`,
				`{"Action":"fail",` + pkg + `,"Elapsed":0,"FailedBuild":"m/a [m/a.test]"}`,
			},
			want: "a.go:1: undefined: x\nFAIL    a                                            0.0s\n\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name: "a test that never ended",
			exit: true,
			lines: []string{
				`{"Action":"run",` + pkg + `,"Test":"TestA"}`,
				`{"Action":"output",` + pkg + `,"Test":"TestA","Output":"half a story\n"}`,
				`{"Action":"output",` + pkg + `,"Output":"exit status 3\n"}`,
				`{"Action":"fail",` + pkg + `,"Elapsed":0}`,
			},
			want: "\nhalf a story\n--- no end: a.TestA\nexit status 3\nFAIL    a                                            0.0s\n\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name:  "an error of the go command",
			exit:  true,
			lines: []string{"go: cannot find main module"},
			want:  "go: cannot find main module\nFAIL    go test ended with an error\n\n0 passed, 1 failed, 0 skipped\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, feed(c.exit, c.lines...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	plain, concurrent := split([]string{module + "internal/sim/check", module + "internal/link", module + "service", module + "servicex"})
	if want := []string{module + "internal/sim/check", module + "service"}; !slices.Equal(plain, want) {
		t.Errorf("sequential: got %v, want %v", plain, want)
	}
	if want := []string{module + "internal/link", module + "servicex"}; !slices.Equal(concurrent, want) {
		t.Errorf("concurrent: got %v, want %v", concurrent, want)
	}
}
