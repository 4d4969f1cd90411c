package play

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/testenv"
)

type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func TestTour(t *testing.T) {
	var out output
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := Tour(ctx, &out, false, Options{}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"6. The split heals", "explains: Ring", "Checked. 5200 deliveries"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tour does not tell %q:\n%s", want, out.String())
		}
	}
	if !told(out.String(), []string{"anna"}, "^not quorate") || !told(out.String(), []string{"bert", "cora"}, "^quorate: 2 votes") {
		t.Errorf("the tour does not tell who may act in a split:\n%s", out.String())
	}
}

// A person breaks the cluster in every way there is and makes some mistakes.
func TestShell(t *testing.T) {
	in, typed := io.Pipe()
	var out output
	done := make(chan error, 1)
	go func() { done <- Shell(t.Context(), in, &out, false, Options{Nodes: 3}) }()
	all, both := []string{"anna", "bert", "cora"}, []string{"anna", "bert"}
	for _, step := range []struct {
		typed string
		who   []string // each of them is told; on a busy machine not in one line
		want  string
	}{
		{"", all, "together in ring"},
		{"help", nil, "partition 1,2/3"},
		{"send hello", all, `anna says "hello"`},
		{"send bert: good morning", all, `bert says "good morning"`},
		{"status", nil, `2 bert  ring \S+ with anna, bert and cora, quorate, \d+ messages in it`},
		{"partition 1,2/3", []string{"cora"}, "alone in ring"},
		{"", []string{"cora"}, "not quorate"},
		{"heal", all, "together in ring"},
		{"kill 2", []string{"anna", "cora"}, "together in ring"},
		{"kill 2", nil, "bert does not run"},
		{"send 2: anybody?", nil, "does not run"},
		{"start bert", all, "together in ring"},
		{"pause 3", both, "together in ring"},
		{"pause 3", nil, "cora is stopped already"},
		{"status", nil, "3 cora  paused"},
		{"leave 3", nil, "cora is stopped and cannot say farewell"},
		{"resume 3", all, "together in ring"},
		{"pause 1", []string{"bert", "cora"}, "together in ring"},
		{"kill 1", nil, "kill anna"},
		{"resume 1", nil, "anna is not stopped"},
		{"start 1", all, "together in ring"},
		{"cut 1 2", nil, "cut between anna and bert"},
		{"heal", nil, "heal the network"},
		{"leave 3", both, "together in ring"},
		{"fly", nil, `no command "fly"`},
		{"kill", nil, "kill takes one node"},
		{"kill 9", nil, `no node "9"`},
		{"cut 1 1", nil, "cannot be cut off from itself"},
		{"partition 1", nil, "at least two parts"},
		{"partition 1/1", nil, "named twice"},
		{"burst x", nil, "say how many"},
		{"send", nil, "send what"},
	} {
		before := len(out.String())
		if step.typed == "" {
			before = 0
		} else {
			io.WriteString(typed, step.typed+"\n")
		}
		testenv.Eventually(t, 30*time.Second, "after "+step.typed+": "+step.want, func() (bool, any) {
			text := out.String()
			return told(text[before:], step.who, step.want), text
		})
	}
	io.WriteString(typed, "burst 50\ncheck\nquit\n")
	if err := <-done; err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "Checked.") {
		t.Errorf("nothing was checked:\n%s", out.String())
	}
}

// told reports whether there is a line with the text about each of the nodes, or
// any line if no node is named.
func told(out string, who []string, text string) bool {
	want := regexp.MustCompile(text)
	if who == nil {
		return want.MatchString(out)
	}
	missing := map[string]bool{}
	for _, name := range who {
		missing[name] = true
	}
	for line := range strings.Lines(out) {
		if names, what, ok := strings.Cut(line, ": "); ok && want.MatchString(what) {
			for _, name := range who {
				if strings.Contains(names, name) {
					delete(missing, name)
				}
			}
		}
	}
	return len(missing) == 0
}
