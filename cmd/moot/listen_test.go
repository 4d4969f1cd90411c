package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/internal/testenv"
)

// What one terminal sends, another one hears, in order and with the views.
func TestSendAndListen(t *testing.T) {
	runDir, _ := one(t)
	out := make(chan string, 1)
	go func() {
		code, stdout, stderr := moot(t, "listen", "chat", "--run", runDir, "--count", "5", "--json")
		if code != 0 {
			t.Errorf("listen: %d %s", code, stderr)
		}
		out <- stdout
	}()
	agent := admin.New(runDir)
	testenv.Eventually(t, patience, "the listener", func() (bool, any) {
		g, err := agent.Group(t.Context(), "chat")
		return len(g.Members) == 1 && string(g.Members[0].Meta) == "moot listen", err
	})
	if code, _, stderr := moot(t, "send", "chat", "hello", "--run", runDir); code != 0 {
		t.Fatalf("send: %d %s", code, stderr)
	}
	root := newRootCommand()
	root.SetArgs([]string{"send", "chat", "-", "--run", runDir})
	root.SetIn(strings.NewReader("two\nlines\n\xff\n"))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := moot(t, "send", "chat", "sure", "--safe", "--run", runDir)
	if code != 0 || !strings.Contains(stdout, "safe at 1 in ring 1/") {
		t.Errorf("send --safe: %d %s%s", code, stdout, stderr)
	}
	var texts, views []string
	for line := range strings.Lines(<-out) {
		var h heard
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if h.Message != nil {
			texts = append(texts, h.Message.Text)
			if h.Message.From.NodeName != "anna" || h.Message.Outside != (h.Message.Text != "sure") {
				t.Errorf("%+v", h.Message)
			}
		} else {
			views = append(views, viewText(h.View, false))
		}
	}
	if got := strings.Join(texts, " "); got != "hello two lines ? sure" {
		t.Errorf("heard %q", got)
	}
	if len(views) < 2 || !strings.Contains(views[0], "1 member") || !strings.Contains(views[1], "2 members") {
		t.Errorf("views %q", views)
	}
	if code, _, stderr := moot(t, "send", "nobody", "x", "--run", runDir); code != exitNotFound || !strings.Contains(stderr, "nobody would get the message") {
		t.Errorf("to nobody: %d %s", code, stderr)
	}
	for _, args := range [][]string{{"listen", "x"}, {"send", "x", "y"}} {
		if code, _, stderr := moot(t, append(args, "--run", t.TempDir())...); code != 1 || !strings.Contains(stderr, "no agent") {
			t.Errorf("%v without an agent: %d %s", args, code, stderr)
		}
	}
}

// The end of the agent ends the listener, and so does its own.
func TestListenEnds(t *testing.T) {
	runDir, n := one(t)
	d := &dialling{asking{run: runDir}}
	if err := listenUntil(t, d, func(cancel context.CancelFunc) { cancel() }); err != nil {
		t.Errorf("interrupted: %v", err)
	}
	if err := listenUntil(t, d, func(context.CancelFunc) { n.Halt() }); err == nil || !strings.Contains(err.Error(), "the agent ended the connection") {
		t.Errorf("the agent ended: %v", err)
	}
}

func listenUntil(t *testing.T, d *dialling, end func(context.CancelFunc)) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- listen(ctx, d, "chat", 0, w)
		w.Close()
	}()
	r.Read(make([]byte, 1)) // the first view
	go io.Copy(io.Discard, r)
	end(cancel)
	return <-ended
}

func TestHeardPrinted(t *testing.T) {
	l := listener{names: map[cpg.NodeID]string{1: "anna"}}
	anna, bert := cpg.MemberID{Node: 1, PID: 815, Instance: 9}, cpg.MemberID{Node: 2, PID: 99}
	for _, asJSON := range []bool{false, true} {
		var b bytes.Buffer
		show := heardPrinter(newTable(&b), asJSON)
		for _, ev := range []cpg.Event{
			cpg.View{Ring: cpg.RingID{Seq: 42, Rep: 1}, Members: []cpg.Peer{{ID: anna, Meta: []byte("leader")}, {ID: bert}}, Quorate: true, Majority: true,
				Joined: []cpg.Change{{ID: bert, Reason: cpg.ReasonJoin}}},
			cpg.Message{From: anna, Body: []byte("hello"), Safe: true},
			cpg.Message{From: bert, Body: []byte("\x1b[31mred\xff"), Transitional: true},
			cpg.View{Ring: cpg.RingID{Seq: 46, Rep: 1}, Members: []cpg.Peer{{ID: anna}}, Left: []cpg.Change{{ID: bert, Reason: cpg.ReasonNodeDown}}},
		} {
			h, ok := l.document(ev)
			if !ok {
				t.Fatal(ev)
			}
			h.Time = noon
			if err := show(h); err != nil {
				t.Fatal(err)
			}
		}
		testenv.Golden(t, filepath.Join("printed", map[bool]string{false: "listen.txt", true: "listen.json"}[asJSON]), b.Bytes())
	}
}
