package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/events"
	"github.com/moothall/moothall/node"
)

// Topics are created and deleted once (cluster events 8, 32b), and their
// subscribers get what was queued.
func TestTopicCommands(t *testing.T) {
	c, err := node.StartCluster(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	topic := func(status int, want string, args ...string) {
		t.Helper()
		code, out, problems := moot(t, append(append([]string{"topic"}, args...), "--run", c.RunDir(1))...)
		if text := out + problems; code != status || !strings.Contains(text, want) {
			t.Errorf("moot topic %s: %d %s", strings.Join(args, " "), code, text)
		}
		if code == 0 && args[len(args)-1] == "--json" && !json.Valid([]byte(out)) {
			t.Errorf("moot topic %s: %s", strings.Join(args, " "), out)
		}
	}
	topic(0, "There are no topics.", "list")
	topic(0, "[]", "list", "--json")
	topic(0, "Topic t is created.", "create", "t", "--keep", "2")
	topic(3, `there is a topic "t" already`, "create", "t")
	topic(0, `"created": "u"`, "create", "u", "--json")
	topic(2, "reserved", "create", "__t")
	topic(2, "keeps nothing; say how many", "create", "v", "--durable")
	topic(0, "0 of 2", "list")
	topic(0, `"keep": 2`, "describe", "t", "--json")
	topic(4, `there is no topic "v"`, "describe", "v")
	topic(2, "always there", "delete", events.MembershipClass)

	client := events.New(c.Node(1))
	s, err := client.Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := client.Publish(t.Context(), "t", 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	topic(0, "2, from 1 on", "describe", "t")
	topic(0, "Topic t is deleted.", "delete", "t")
	topic(3, `there is no topic "t"`, "delete", "t")
	n := 0
	for _, err := range s.All(t.Context()) {
		if err == nil {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d messages", n)
	}
	topic(2, "arguments are missing", "describe")
	topic(2, "moot topic describe tells which there are\n", "listen", "u", "--from", "7")
	topic(1, "--file: open", "publish", "u", "--file", t.TempDir()+"/none")
	if code, _, problems := moot(t, "topic"); code != exitUsage || !strings.Contains(problems, "say what to do") {
		t.Errorf("%d %s", code, problems)
	}
}

// Who waited for quorum in vain hears that nothing was done, and not that it may be.
func TestTopicProblems(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{events.ErrAgain, "nothing was done"},
		{fmt.Errorf("%w: %w", events.ErrAgain, context.DeadlineExceeded), "nothing was done"},
		{context.DeadlineExceeded, "may be"},
	} {
		for _, got := range []error{topicsProblem(c.err), topicProblem("t", c.err)} {
			if !strings.Contains(got.Error(), c.want) {
				t.Errorf("%v: %v, want %q", c.err, got, c.want)
			}
		}
	}
}

// topicHere is what an agent says of a topic at its node.
func topicHere() admin.Topic {
	return admin.Topic{Name: "audit", Subscribers: []admin.TopicSubscriber{
		{PID: 4711, Kind: "topic", Topic: "audit", Waiting: 1024, WaitingBytes: 70000, Told: 64, Missed: 3, Full: true},
		{PID: 4712, Kind: "topic", Topic: "audit", Told: 1091},
	}, Why: []string{"Process 4711 misses events, 3 until now: it does not take those that wait, 1024 of them."}}
}

func topicDocuments() []topicDocument {
	return []topicDocument{
		{Name: "audit", Created: true, Keep: 1000, Durable: true, Last: 5012, First: 4013, Kept: 1000, Members: []topicsProcess{}},
		{Name: "chat", Last: 3, Members: []topicsProcess{{1, 4711}, {2, 815}}},
		{Name: "orders", Created: true, Members: []topicsProcess{}, Opens: 2},
	}
}
