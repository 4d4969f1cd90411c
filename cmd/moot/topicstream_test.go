package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/events"
	"github.com/moothall/moothall/internal/testenv"
)

// What is published in each of the ways is heard from each of the starts, and what is
// not kept any more is told as missed.
func TestTopicPublishAndListen(t *testing.T) {
	runDir, n := one(t)
	topic := func(status int, want string, args ...string) string {
		t.Helper()
		code, out, problems := moot(t, append(append([]string{"topic"}, args...), "--run", runDir)...)
		if text := out + problems; code != status || !strings.Contains(text, want) {
			t.Errorf("moot topic %s: %d %s", strings.Join(args, " "), code, text)
		}
		return out
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("two\nlines\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	topic(0, "", "create", "t", "--keep", "3")
	topic(0, "Event 1 of t is published.\n", "publish", "t", "one")
	topic(0, `{"offset":2,"topic":"t"}`, "publish", "t", "--file", file, "--json")
	topic(0, "Event 3 of t is published.", "publish", "t", "kept", "--retain", "1h", "--pattern", "a", "--pattern", "b c", "--priority", "0")
	root := newRootCommand()
	var out bytes.Buffer
	root.SetArgs([]string{"topic", "publish", "t", "--run", runDir})
	root.SetIn(strings.NewReader("four\nfive\n"))
	root.SetOut(&out)
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "Event 5 of t") {
		t.Errorf("%v %s", err, out.String())
	}

	heard := func(args ...string) string {
		t.Helper()
		var words []string
		for line := range strings.Lines(topic(0, "", append([]string{"listen", "t", "--json"}, args...)...)) {
			var l topicLine
			switch err := json.Unmarshal([]byte(line), &l); {
			case err != nil:
				t.Fatalf("%v: %s", err, line)
			case l.Event == nil:
				words = append(words, "missed "+string(rune('0'+l.Missed)))
			case l.Event.From.NodeName != "anna" || l.Event.From.PID == 0:
				t.Error(line)
			default:
				words = append(words, l.Event.Text+strings.Join(l.Event.Patterns, "/"))
			}
		}
		return strings.Join(words, ", ")
	}
	for _, tc := range []struct{ from, count, want string }{
		{"beginning", "3", "kepta/b c, four, five"},
		{"1", "1", "missed 2, kepta/b c"},
		{"4", "2", "four, five"},
		{"retained", "1", "kepta/b c"},
	} {
		if got := heard("--from", tc.from, "--count", tc.count); got != tc.want {
			t.Errorf("from %s: %q, want %q", tc.from, got, tc.want)
		}
	}

	agent := admin.New(runDir)
	listeners := func(want int) {
		t.Helper()
		testenv.Eventually(t, patience, "listeners", func() (bool, any) {
			doc, err := agent.Topic(t.Context(), "t")
			return len(doc.Subscribers) == want, err
		})
	}
	listeners(0)
	ended := make(chan string, 1)
	go func() {
		code, stdout, stderr := moot(t, "topic", "listen", "t", "--run", runDir)
		if code != exitNotFound || !strings.Contains(stderr, `the topic "t" was deleted`) {
			t.Errorf("listen to the end: %d %s", code, stderr)
		}
		ended <- stdout
	}()
	listeners(1)
	topic(0, "Event 6", "publish", "t", "six")
	topic(0, "", "delete", "t")
	if text := <-ended; !strings.Contains(text, "    6  anna/") || !strings.Contains(text, " six\n") {
		t.Errorf("%q", text)
	}

	topic(4, `there is no topic "t"; moot topic list`, "publish", "t", "x")
	topic(4, `there is no topic "t"; moot topic list`, "listen", "t")
	topic(0, "", "create", "t")
	topic(2, "event 9 is neither published nor the next one", "listen", "t", "--from", "9")
	topic(2, `not "soon"`, "listen", "t", "--from", "soon")
	topic(2, "reserved", "publish", "__t", "x")
	topic(2, "priority 4", "publish", "t", "x", "--priority", "4")
	topic(2, "not both", "publish", "t", "x", "--file", file)
	topic(1, "no such file", "publish", "t", "--file", file+".none")
	topic(1, "it is too big", "publish", "t", strings.Repeat("x", 1<<17))
	n.Halt()
	topic(1, "no agent", "publish", "t", "x")
	topic(1, "no agent", "listen", "t")
}

func TestTopicLinesPrinted(t *testing.T) {
	names := map[events.NodeID]string{1: "anna"}
	for _, asJSON := range []bool{false, true} {
		var b bytes.Buffer
		show := topicPrinter(newTable(&b), asJSON)
		lines := []topicLine{
			newTopicLine(&events.Message{Offset: 4013, From: events.Process{Node: 1, PID: 815}, Data: []byte("three pears"), Re: 12}, names),
			{Missed: 7},
			newTopicLine(&events.Message{Offset: 4021, From: events.Process{Node: 2, PID: 99}, Data: []byte("\x1b[31mred\xff"), Patterns: [][]byte{[]byte("fruit"), []byte("\xff\x1b")}}, names),
		}
		for _, l := range lines {
			l.Time = noon
			if err := show(l); err != nil {
				t.Fatal(err)
			}
		}
		testenv.Golden(t, filepath.Join("printed", map[bool]string{false: "topic-listen.txt", true: "topic-listen.json"}[asJSON]), b.Bytes())
	}
}
