package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// documents are what an agent might answer, each field set somewhere.
func documents() (admin.Status, admin.Nodes, admin.Groups, []admin.Event) {
	members := []admin.Member{
		{ID: 1, Name: "anna", Self: true, InRing: true, Votes: 1, Links: []admin.Link{}},
		{ID: 2, Name: "bert", InRing: true, Votes: 1, Links: []admin.Link{
			{Number: 0, Addr: "192.0.2.2:5405", State: "up", RTTMicros: 142, JitterMicros: 12, MTU: 1472},
			{Number: 1, Addr: "198.51.100.2:5407", State: "half", RTTMicros: 1142, Loss: 0.125, Flaps: 3, MTU: 1472},
		}},
		{ID: 3, Name: "cora", Votes: 1, Links: []admin.Link{{Number: 0, Addr: "192.0.2.3:5405", State: "down", Loss: 1}}},
	}
	ring := &admin.Ring{ID: "1/42", Seq: 42, Rep: 1, Members: []admin.NodeID{1, 2}, Since: noon.Add(-90 * time.Second)}
	view := admin.Decision{No: 7, Time: noon.Add(-90 * time.Second), Kind: "view", Ring: "1/42", Node: 3, Reason: "token-lost",
		Text: "cora left the ring: it did not pass the token on.", Evidence: []string{"link 0 to cora went down"},
		View: &admin.View{Ring: "1/42", Previous: "1/38", Members: []admin.NodeID{1, 2}, Left: []admin.NodeID{3}}}
	st := admin.Status{
		Version: "v1.2.3", Time: noon, Cluster: "hall", State: "operational", Ring: ring, Members: members, Authentication: "key",
		Node:   admin.Self{ID: 1, Name: "anna", Incarnation: 5, Started: noon.Add(-26 * time.Hour), PID: 4711},
		Quorum: admin.Quorum{Provider: true, Quorate: true, Currency: "current", Expected: 3, Votes: 2, Needed: 2, Epoch: 42, Row: "majority", Reason: "2 of 3 votes, 2 are needed", DecidedInRingSeq: 42},
		Sync:   admin.Sync{State: "working", Service: "cpg", Missing: []admin.NodeID{2}}, Token: admin.Token{TimeoutMS: 1010, Source: "default"},
		Services: serviceList(),
		Queues:   []admin.Queue{{Name: "client.events", Used: 512, Bound: 67108864, Unit: "bytes", BlockedBy: "client 7 of cpg (process 815)"}},
		Disk:     admin.Disk{StateDir: "/var/lib/moothall/hall", Saves: 12, LastMS: 0.8, SlowestMS: 14.2}, Watchdog: admin.Watchdog{Gaps: 1, LongestMS: 340},
		Doors: []string{"corosync", "/run/moothall/admin.sock"}, Counters: []admin.Counter{{Name: "delivered", Value: 1234}, {Name: "gathers"}},
		Decisions: []admin.Decision{view}, BlockedBy: 2,
		Warnings: []string{`/etc/moothall/moot.toml:31:1: events.topic.name "audit": the topic is not there: the cluster has 4096 topics and groups, and no more are possible; remove some`},
	}
	groups := admin.Groups{Groups: []admin.Group{
		{Name: "db", Members: []admin.Process{
			{Node: 1, NodeName: "anna", PID: 815, Instance: 9, Meta: []byte("leader"), Stateful: true, HasState: true},
			{Node: 1, NodeName: "anna", PID: 816}, {Node: 2, NodeName: "bert", PID: 99, Instance: 3, Stateful: true}}},
		{Name: "?\x01", Bytes: []byte("\xff\x01"), Members: []admin.Process{{Node: 2, NodeName: "bert", PID: 7}}},
	}}
	events := []admin.Event{
		{Time: noon, Type: admin.EventHello, Text: "Events of node 1 of hall.", Hello: &admin.Hello{Life: 5, Cluster: "hall", Node: 1, Oldest: 3, Newest: 9}},
		{Time: noon, Type: admin.EventGap, Text: "2 events are not kept any more, 1 to 2.", Gap: &admin.Gap{From: 1, To: 2}},
		{No: 3, Time: view.Time, Type: admin.EventView, Text: view.Text, Decision: &view},
		{No: 4, Time: noon, Type: admin.EventGroup, Text: "Group db: process 815 of anna joined; it has 1 member.",
			Group: &admin.GroupChange{Name: "db", Size: 1, Joined: []admin.Process{{Node: 1, NodeName: "anna", PID: 815, Reason: "join"}}}},
		{No: 9, Time: noon, Type: admin.EventService, Service: "locks", Text: "Service locks: its process ended: exit status 3; it is started again in 100ms."},
	}
	return st, admin.Nodes{Ring: ring, Nodes: members}, groups, events
}

// serviceList is built in, as it should be, and in each kind of trouble.
func serviceList() []admin.Service {
	list := []admin.Service{{Name: "quorum", ID: 0, Active: true, Epoch: 42}, {Name: "cpg", ID: 2, Epoch: 38, Clients: 4}}
	for i, p := range []admin.ServiceProcess{
		{State: "running", PID: 4801, Since: noon.Add(-25 * time.Hour)},
		{State: "running", PID: 4802, Since: noon.Add(-time.Hour), Restarts: 1, LastExit: "exit status 3"},
		{State: "running", PID: 4803, Since: noon.Add(-5 * time.Second), Restarts: 12, LastExit: "exit status 3"},
		{State: "starting", PID: 4804, Since: noon.Add(-20 * time.Second), Restarts: 2, LastExit: "signal: killed", Reason: "it did not register for 30s"},
		{State: "waiting", Since: noon.Add(-4 * time.Second), LeftMS: 21000, Restarts: 9, LastExit: "fork/exec /usr/libexec/locks: no such file or directory"},
		{State: "starting", Since: noon.Add(-time.Second)},
	} {
		p.Command = []string{"/usr/libexec/locks", "-v"}
		list = append(list, admin.Service{Name: fmt.Sprint("locks", i), ID: uint16(40 + i), Active: true, Epoch: 42, Clients: i, Process: &p})
	}
	return list
}

// What commands print, as text and as JSON, changes only on purpose.
func TestPrinted(t *testing.T) {
	st, nodes, groups, events := documents()
	fresh := admin.Status{Time: noon, Cluster: "hall", State: "gather", Node: admin.Self{ID: 9, Started: noon}, Authentication: "none",
		Quorum: admin.Quorum{Currency: "unknown"}}
	for name, write := range map[string]func(w io.Writer) error{
		"status.txt":       func(w io.Writer) error { return writeStatus(newTable(w), st, false) },
		"status-all.txt":   func(w io.Writer) error { return writeStatus(newTable(w), st, true) },
		"status-first.txt": func(w io.Writer) error { return writeStatus(newTable(w), fresh, false) },
		"status-colour.txt": func(w io.Writer) error {
			return writeStatus(&table{w: w, colour: true}, st, false)
		},
		"status.json": func(w io.Writer) error { return writeJSON(w, st) },
		"nodes.txt":   func(w io.Writer) error { return writeNodes(newTable(w), nodes) },
		"nodes.json":  func(w io.Writer) error { return writeJSON(w, nodes) },
		"services.txt": func(w io.Writer) error {
			return writeServices(newTable(w), admin.Services{Time: noon, Services: serviceList()})
		},
		"services.json": func(w io.Writer) error { return writeJSON(w, admin.Services{Time: noon, Services: serviceList()}) },
		"groups.txt":    func(w io.Writer) error { return writeGroups(newTable(w), groups) },
		"groups.json":   func(w io.Writer) error { return writeJSON(w, groups) },
		"members.txt":   func(w io.Writer) error { return writeMembers(newTable(w), groups.Groups[0]) },
		"members.json":  func(w io.Writer) error { return writeJSON(w, groups.Groups[0]) },
		"events.txt":    func(w io.Writer) error { return showAll(w, false, events) },
		"events.json":   func(w io.Writer) error { return showAll(w, true, events) },
		"topics.txt":    func(w io.Writer) error { return writeTopics(newTable(w), topicDocuments()) },
		"topics.json":   func(w io.Writer) error { return writeJSON(w, topicDocuments()) },
		"topic.txt":     func(w io.Writer) error { return writeTopic(newTable(w), topicDocuments()[1], topicHere()) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, filepath.Join("printed", name), b.Bytes())
	}
}

func showAll(w io.Writer, asJSON bool, events []admin.Event) error {
	show := eventPrinter(w, asJSON)
	for _, e := range events {
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}

// moot runs one command line.
func moot(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return code, out.String(), err.String()
}

// one is a cluster of one node, with a process in a group.
func one(t *testing.T) (runDir string, n *node.Node) {
	t.Helper()
	c := config.New("hall", config.Node{ID: 1, Name: "anna", Addrs: []string{"127.0.0.1"}})
	c.Totem.Interfaces = []config.Interface{{Port: uint16(freePort(t))}}
	runDir = t.TempDir()
	n, err := node.Start(t.Context(), node.Config{Cluster: c, Self: 1, RunDir: runDir, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Halt)
	agent := admin.New(runDir)
	testenv.Eventually(t, patience, "quorum", func() (bool, any) {
		st, err := agent.Status(t.Context())
		return err == nil && st.Quorum.Quorate && st.Sync.Ready, st.State
	})
	conn, err := n.Open(t.Context(), cpg.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Call(t.Context(), cpg.CallJoin, cpg.JoinRequest{Group: []byte("db"), PID: 815}.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "the group", func() (bool, any) {
		g, err := agent.Groups(t.Context())
		return len(g.Groups) == 1, err
	})
	return runDir, n
}

func TestAskingCommands(t *testing.T) {
	runDir, n := one(t)
	for _, tc := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"status"}, 0, `anna (node 1) of cluster "hall"`, ""},
		{[]string{"status", "--check", "--all"}, 0, "SERVICE", ""},
		{[]string{"nodes"}, 0, "this node", ""},
		{[]string{"nodes", "anna", "1"}, 0, "this node", ""},
		{[]string{"nodes", "bert"}, exitNotFound, "", `no node "bert" is configured`},
		{[]string{"__complete", "nodes", ""}, 0, "anna\tnode 1\n", ""},
		{[]string{"services"}, 0, "cpg ", ""},
		{[]string{"groups"}, 0, "db     1        1", ""},
		{[]string{"members", "db"}, 0, "815", ""},
		{[]string{"members", "none"}, exitNotFound, "", `no process is in a group "none"`},
		{[]string{"members"}, exitUsage, "", "arguments are missing: moot members GROUP"},
		{[]string{"events"}, 0, "Group db: process 815 of anna joined; it has 1 member.", ""},
		{[]string{"events", "--since", "soon"}, 1, "", "since: write the number"},
		{[]string{"events", "--since", "now"}, 0, "", ""},
		{[]string{"events", "--since", "99999"}, exitNotFound, "", "there is no event 99999 yet; the newest is"},
		{[]string{"why"}, 0, "quorate: 1 vote is here of 1 expected", ""},
		{[]string{"why", "anna"}, 0, "anna is here now", ""},
		{[]string{"why", "9/x"}, 1, "", "\"9/x\" is no ring"},
		{[]string{"why", "bert"}, exitNotFound, "", `no node "bert" is configured`},
		{[]string{"why", "9/9"}, exitNotFound, "", "no change that led to ring 9/9 is on record"},
		{[]string{"whatif", "stop", "anna"}, exitNotQuorate, "nobody stays", "nobody would be quorate"},
		{[]string{"whatif", "votes", "anna=3"}, 0, "anna: quorate: 3 votes are here of 3 expected", ""},
		{[]string{"whatif", "expected", "9"}, exitNotQuorate, "With 9 votes expected 5 would be needed, and 1 is here", "would be refused"},
		{[]string{"whatif", "cut", "anna", "bert"}, exitNotFound, "", `no node "bert" is configured`},
		{[]string{"__complete", "members", ""}, 0, "db\t1 member\n", ""},
	} {
		code, stdout, stderr := moot(t, insert(tc.args, "--run="+runDir)...)
		if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) {
			t.Errorf("moot %v: %d\n%s%s\nwant %d with %q and %q", tc.args, code, stdout, stderr, tc.code, tc.stdout, tc.stderr)
		}
	}
	for _, args := range [][]string{{"status"}, {"nodes"}, {"services"}, {"groups"}, {"members", "db"}, {"why"}} {
		_, stdout, _ := moot(t, insert(args, "--run="+runDir, "--json")...)
		if !json.Valid([]byte(stdout)) {
			t.Errorf("%v: %s", args, stdout)
		}
	}
	_, stdout, _ := moot(t, "events", "--run", runDir, "--json")
	for line := range strings.Lines(stdout) {
		var e admin.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}

	r, w := io.Pipe()
	codes := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		codes <- run([]string{"events", "--follow", "--since", "0", "--run", runDir}, w, &stderr)
		w.Close()
	}()
	seen := make([]byte, 1)
	r.Read(seen) // it follows
	n.Halt()
	rest, _ := io.ReadAll(r)
	if code := <-codes; code != 1 || !strings.Contains(stderr.String(), "the agent ended") || !strings.Contains(string(rest), "This member stopped") {
		t.Errorf("followed to the end: %d\n%s%s", code, rest, stderr.String())
	}
	if code, _, stderr := moot(t, "nodes", "--run", runDir); code != 1 || !strings.Contains(stderr, "no agent runs here") {
		t.Errorf("without an agent: %d %s", code, stderr)
	}
}

// insert puts flags behind the command's name.
func insert(args []string, flags ...string) []string {
	at := 1
	if args[0] == "__complete" {
		at = 2
	}
	return append(append(append([]string{}, args[:at]...), flags...), args[at:]...)
}

// An agent that everybody could ask does not start.
func TestAgentOnTCP(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "corosync.conf")
	text := fmt.Sprintf("totem {\nversion: 2\ncluster_name: hall\ninterface {\nmcastport: %d\n}\n}\nnodelist {\nnode {\nnodeid: 1\nname: anna\nring0_addr: 127.0.0.1\n}\n}\n", freePort(t))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"agent", "-c", conf, "--node", "1", "--state", t.TempDir(), "--run", t.TempDir(), "--no-corosync-door"}
	if code, _, stderr := moot(t, append(args, "--http", "0.0.0.0:5480")...); code != exitBadConfig || !strings.Contains(stderr, "can be reached from other machines") {
		t.Errorf("open to everybody: %d %s", code, stderr)
	}
	if code, _, stderr := moot(t, append(args, "--http-cert", "x.pem")...); code != exitBadConfig || !strings.Contains(stderr, "three files") {
		t.Errorf("one file of three: %d %s", code, stderr)
	}
}
