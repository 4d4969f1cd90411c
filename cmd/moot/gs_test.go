package main

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	gs "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/testenv"
)

// votingDocument is what an agent might answer, each field set somewhere.
func votingDocument() admin.GroupServices {
	provider := func(instance int, node admin.NodeID, name string) admin.VotingProvider {
		return admin.VotingProvider{Instance: instance, Node: node, NodeName: name}
	}
	anna, bert, cora := provider(1, 1, "anna"), provider(1, 2, "bert"), provider(7, 3, "cora")
	anna.Local, anna.PID, bert.State = true, 815, "failed"
	left, since := int64(3200), int64(83_000)
	outcome := admin.VotingOutcome{Time: noon, Group: "demo.elect", Number: "42.16", Kind: "join", Outcome: "default-approved", Phase: 1,
		Text:  "Group demo.elect, protocol 42.16: provider 1/2 of bert wanted to join; approved in phase 1, with the default vote for provider 1/1 of anna, which did not vote within 5 s; the group has 2 providers now.",
		Votes: []admin.VotingVote{{Provider: anna, Vote: "approve", Default: "late", Phase: 1}, {Provider: bert, Vote: "approve", Phase: 1}}}
	return admin.GroupServices{Time: noon, Version: "v1.2.3", Node: admin.Self{ID: 1, Name: "anna", Incarnation: 5, Started: noon.Add(-26 * time.Hour), PID: 4711},
		Domain: "hall", State: "established", ID: "42.3", Nameserver: 3, Unsent: 2,
		Nodes:   []admin.GroupServicesNode{{Node: 3, Name: "cora", Instance: "0.3"}, {Node: 1, Name: "anna", Instance: "38.1"}},
		Clients: []admin.GroupServicesClient{{PID: 815, Providers: 1, Script: "/usr/lib/demo/stop"}, {PID: 816, UID: 1000, Subscribers: 1, Silent: true}},
		Groups: []admin.VotingGroup{
			{Name: "demo.elect", Leader: 1, Providers: []admin.VotingProvider{anna, bert}, Waiting: []admin.VotingProvider{cora}, StateValue: []byte("leader=1"),
				Attributes: &admin.VotingAttributes{Version: 3, BatchJoins: true, DeactivateOnFailure: true, Phases: "n", DefaultVote: "approve", LimitS: 5, Source: "demo.base", ReflectionPhases: "one"},
				Protocol: &admin.VotingProtocol{Number: "42.17", Kind: "failure-leave", Phase: 2, LimitS: 5, LeftMS: &left, DefaultVote: "reject",
					Leaving: []admin.VotingProvider{bert}, Scripts: []admin.VotingProvider{bert}, Votes: []admin.VotingVote{{Provider: anna}, {Provider: cora, Vote: "continue"}}},
				Recent: []admin.VotingOutcome{outcome}},
			{Name: "quiet", Leader: 3, Providers: []admin.VotingProvider{cora}, Waiting: []admin.VotingProvider{}, StateValue: []byte("\x00\xffbinary, and longer than a list has room for"),
				Attributes: &admin.VotingAttributes{Phases: "one", DefaultVote: "reject"},
				Protocol: &admin.VotingProtocol{Number: "42.18", Kind: "state", Phase: 1, ForMS: &since, DefaultVote: "reject", StateValue: []byte("two\nlines"),
					Votes: []admin.VotingVote{{Provider: cora}}}},
			{Name: "HostMembership", System: true, Providers: []admin.VotingProvider{provider(0, 3, "cora"), provider(0, 1, "anna")}, Waiting: []admin.VotingProvider{}, StateValue: []byte{}, Subscribers: 1},
			{Name: "enMembership", System: true, Providers: []admin.VotingProvider{provider(0, 3, "cora")}, Waiting: []admin.VotingProvider{}, StateValue: []byte{}},
		},
		Recent: []admin.VotingOutcome{outcome}}
}

func TestPrinted_GroupServices(t *testing.T) {
	doc := votingDocument()
	fresh := admin.GroupServices{State: "not established", Time: noon, Node: admin.Self{PID: 1, Started: noon}}
	for name, write := range map[string]func(w io.Writer) error{
		"gs-status.txt":           func(w io.Writer) error { return writeGSStatus(w, doc) },
		"gs-status-first.txt":     func(w io.Writer) error { return writeGSStatus(w, fresh) },
		"gs-status.json":          func(w io.Writer) error { return writeJSON(w, doc) },
		"gs-groups.txt":           func(w io.Writer) error { return writeGSGroups(w, doc) },
		"gs-groups-first.txt":     func(w io.Writer) error { return writeGSGroups(w, fresh) },
		"gs-group.txt":            func(w io.Writer) error { return writeGSGroup(w, doc.Groups[0]) },
		"gs-votes.txt":            func(w io.Writer) error { return writeGSVotes(w, doc) },
		"gs-nameserver.txt":       func(w io.Writer) error { return writeGSNameserver(w, doc) },
		"gs-nameserver-first.txt": func(w io.Writer) error { return writeGSNameserver(w, fresh) },
		"gs-why.txt":              func(w io.Writer) error { return writeGSWhy(w, doc.Recent, "no protocol") },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, filepath.Join("printed", name), b.Bytes())
	}
}

// stalled has a group on the agent of one node, in which a vote is awaited.
func stalled(t *testing.T, c session.Conn) {
	t.Helper()
	call := func(fn uint16, body []byte) {
		if _, err := c.Call(t.Context(), fn, body); err != nil {
			t.Fatal(err)
		}
	}
	call(gs.CallHello, gs.HelloRequest{Level: gs.Level}.AppendTo(nil))
	call(gs.CallJoin, gs.JoinRequest{Group: []byte("board"), Attrs: gs.Attributes{Phases: gs.OnePhase, DefaultVote: gs.Approve}, Instance: 4}.AppendTo(nil))
	dst := make([]session.Event, 1)
	for joined := false; !joined; joined = dst[0].Kind == gs.EventApproved {
		if _, err := c.Recv(t.Context(), dst); err != nil {
			t.Fatal(err)
		}
	}
	call(gs.CallState, gs.Proposal{Phases: gs.NPhase, Limit: 600, Data: []byte("open")}.AppendTo(nil))
}

func TestGroupServicesCommands(t *testing.T) {
	runDir, n := one(t)
	if code, stdout, stderr := moot(t, "gs", "status", "--run", runDir); code != 0 || !strings.Contains(stdout, "Domain not established.") {
		t.Errorf("before anybody uses it: %d\n%s%s", code, stdout, stderr)
	}
	if code, _, stderr := moot(t, "gs", "why", "--run", runDir); code != exitNotFound || !strings.Contains(stderr, "no protocol has ended") {
		t.Errorf("why, before anybody uses it: %d %s", code, stderr)
	}
	c, err := n.Open(t.Context(), gs.ID)
	if err != nil {
		t.Fatal(err)
	}
	stalled(t, c)
	agent := admin.New(runDir)
	testenv.Eventually(t, patience, "the protocol", func() (bool, any) {
		g, err := agent.VotingGroup(t.Context(), "board")
		return err == nil && g.Protocol != nil, err
	})
	for _, tc := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"gs"}, exitUsage, "", "say what to look at"},
		{[]string{"gs", "status"}, 0, "Domain established by node 1.", ""},
		{[]string{"gs", "status", "board"}, exitUsage, "", "takes no arguments"},
		{[]string{"gs", "groups"}, 0, "board           1          1       state, phase 1", ""},
		{[]string{"gs", "groups", "board"}, 0, "4/1       anna", ""},
		{[]string{"gs", "groups", "none"}, exitNotFound, "", `no group "none" has providers`},
		{[]string{"gs", "groups", ""}, exitNotFound, "", `no group "" has providers`},
		{[]string{"gs", "votes"}, 0, "Number of groups: 1", ""},
		{[]string{"gs", "votes", "board"}, 0, "GL in phase [1] of n-phase protocol of type [State].", ""},
		{[]string{"gs", "votes", "board"}, 0, "awaited", ""},
		{[]string{"gs", "votes", "board"}, 0, "of 10m0s left", ""},
		{[]string{"gs", "nameserver"}, 0, "NS established", ""},
		{[]string{"gs", "why"}, 0, "provider 4/1 of anna wanted to join; with one phase there is no vote", ""},
		{[]string{"gs", "why", "board"}, 0, "the group has 1 provider now.", ""},
		{[]string{"gs", "why", "--last=-1"}, exitUsage, "", `invalid argument "-1" for "--last" flag: a whole number is wanted, 0 or more`},
		{[]string{"gs", "why", "HostMembership"}, exitNotFound, "", `no protocol of group "HostMembership" has ended`},
		{[]string{"__complete", "gs", "votes", ""}, 0, "board\t1 provider\n", ""},
	} {
		args := tc.args
		if len(args) > 1 {
			at := 2
			if args[0] == "__complete" {
				at = 3
			}
			args = append(append(append([]string{}, args[:at]...), "--run="+runDir), args[at:]...)
		}
		code, stdout, stderr := moot(t, args...)
		if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) {
			t.Errorf("moot %v: %d\n%s%s\nwant %d with %q and %q", args, code, stdout, stderr, tc.code, tc.stdout, tc.stderr)
		}
	}
	for _, args := range [][]string{{"status"}, {"groups"}, {"groups", "board"}, {"votes"}, {"votes", "board"}, {"nameserver"}, {"why"}, {"why", "board"}} {
		if _, stdout, _ := moot(t, append(append([]string{"gs"}, args...), "--run="+runDir, "--json")...); !json.Valid([]byte(stdout)) {
			t.Errorf("%v: %s", args, stdout)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "the end of the group", func() (bool, any) {
		g, err := agent.VotingGroup(t.Context(), "board")
		return err == nil && len(g.Providers) == 0, err
	})
	for _, what := range []string{"groups", "votes"} {
		if code, stdout, stderr := moot(t, "gs", what, "board", "--run", runDir); code != exitNotFound || !strings.Contains(stderr, "moot gs why") {
			t.Errorf("gs %s of a group that has ended: %d\n%s%s", what, code, stdout, stderr)
		}
	}
	if code, stdout, stderr := moot(t, "gs", "why", "board", "--run", runDir); code != 0 || !strings.Contains(stdout, "the group has no provider now") {
		t.Errorf("gs why of a group that has ended: %d\n%s%s", code, stdout, stderr)
	}
	if _, stdout, _ := moot(t, "events", "--run", runDir); !strings.Contains(stdout, "Group board, protocol") {
		t.Errorf("the events do not tell of the join:\n%s", stdout)
	}
}

func TestKindTitle(t *testing.T) {
	for kind, want := range map[string]string{"join": "Join", "failure-leave": "Failure Leave", "": ""} {
		if got := kindTitle(kind); got != want {
			t.Errorf("%q is %q, want %q", kind, got, want)
		}
	}
}
