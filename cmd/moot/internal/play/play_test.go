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
	for _, want := range []string{
		"6. The split heals", "anna, bert and cora: quorate: 3 votes are here of 3 expected", "anna: not quorate",
		"Checked. 5200 deliveries", "because no link to anna works any more",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tour does not tell %q:\n%s", want, out.String())
		}
	}
}

// A person breaks the cluster in every way there is and makes some mistakes.
func TestShell(t *testing.T) {
	in, typed := io.Pipe()
	var out output
	done := make(chan error, 1)
	go func() { done <- Shell(t.Context(), in, &out, false, Options{Nodes: 3}) }()
	for _, step := range []struct{ typed, want string }{
		{"", "anna, bert and cora: together in ring"},
		{"help", "partition 1,2/3"},
		{"send hello", `anna, bert and cora: anna says "hello"`},
		{"send bert: good morning", `anna, bert and cora: bert says "good morning"`},
		{"status", `2 bert  ring \S+ with anna, bert and cora, quorate, \d+ messages in it`},
		{"partition 1,2/3", "cora: alone in ring"},
		{"", "cora: not quorate"},
		{"heal", "(?s)heal the network.*anna, bert and cora: together"},
		{"kill 2", "(?s)kill bert.*anna and cora: together"},
		{"kill 2", "bert does not run"},
		{"send 2: anybody?", "does not run"},
		{"start bert", "(?s)start bert.*anna, bert and cora: together"},
		{"pause 3", "(?s)pause cora.*anna and bert: together"},
		{"pause 3", "cora is stopped already"},
		{"status", "3 cora  paused"},
		{"resume 3", "(?s)resume cora.*anna, bert and cora: together"},
		{"cut 1 2", "cut between anna and bert"},
		{"heal", "heal the network"},
		{"leave 3", "(?s)leave cora.*anna and bert: together|(?s)anna and bert: together.*leave cora"},
		{"fly", `no command "fly"`},
		{"kill", "kill takes one node"},
		{"kill 9", `no node "9"`},
		{"cut 1 1", "cannot be cut off from itself"},
		{"partition 1", "at least two parts"},
		{"partition 1/1", "named twice"},
		{"burst x", "say how many"},
		{"send", "send what"},
	} {
		before := len(out.String())
		if step.typed != "" {
			io.WriteString(typed, step.typed+"\n")
		}
		want := regexp.MustCompile(step.want)
		testenv.Eventually(t, 30*time.Second, "after "+step.typed+": "+step.want, func() (bool, any) {
			text := out.String()
			if step.typed == "" {
				before = 0
			}
			return want.MatchString(text[before:]), text
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
