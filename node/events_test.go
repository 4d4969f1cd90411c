package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

// Members serve cluster events: one record of the membership, one order of a topic.
func TestEvents(t *testing.T) {
	c := cluster(t, 2, 1)
	a, b := start(t, node.Config{Cluster: c, Self: 1}), start(t, node.Config{Cluster: c, Self: 2})
	formed(t, a, b)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	call := func(conn session.Conn, fn uint16, b []byte) error {
		_, err := conn.Call(ctx, fn, b)
		return err
	}
	var conns []session.Conn
	for _, n := range []*node.Node{a, b} {
		conn, err := n.Open(ctx, events.ID)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		if err := call(conn, events.CallOpen, events.OpenRequest{Window: 64}.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, patience, "the topic is created", func() (bool, any) { // not before there is a membership
		err := call(conns[0], events.CallCreate, events.CreateRequest{Name: []byte("t"), Options: events.Options{Keep: 9}}.AppendTo(nil))
		return err == nil, err
	})
	for _, conn := range conns {
		if err := call(conn, events.CallRegister, events.RegisterRequest{Sub: 1, Class: events.Memb}.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, patience, "the topic is known", func() (bool, any) {
			err := call(conn, events.CallSubscribe, events.SubscribeRequest{Sub: 2, Topic: []byte("t"), Start: events.StartFirst}.AppendTo(nil))
			return err == nil, err
		})
		if err := call(conn, events.CallPublish, events.PublishRequest{Topic: []byte("t"), Content: events.Content{Data: []byte("hello")}}.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range conns {
		var members []config.NodeID
		var ids []uint64
		batch := make([]session.Event, 4)
		for len(ids) < 2 || len(members) < 2 {
			n, err := conn.Recv(ctx, batch)
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range batch[:n] {
				if f, err := events.ParseMember(ev.Body); ev.Kind == events.EventFact && err == nil {
					members = nil
					for _, m := range f.Fact.Members {
						members = append(members, m.ID)
					}
				}
				if m, err := events.ParseMessage(ev.Body); ev.Kind == events.EventMessage && err == nil {
					ids = append(ids, m.ID>>32<<32|m.Seq)
				}
			}
		}
		if ids[0] != 1<<32|1 || ids[1] != 2<<32|2 {
			t.Errorf("told %x", ids)
		}
	}
	var dump strings.Builder // logs are not for what programs say to each other
	if err := a.Dump(ctx, &dump); err != nil || !strings.Contains(dump.String(), "  keeps 2 events of 10 bytes, from seq 1 to 2, with sum ") || strings.Contains(dump.String(), "hello") {
		t.Errorf("%v\n%s", err, dump.String())
	}
}

// A node says of its event service what there is, what waits for whom, and what ended,
// as a document and in metrics.
func TestTopicsDocument(t *testing.T) {
	run, err := os.MkdirTemp("", "run") // names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	c := cluster(t, 1, 1)
	n := start(t, node.Config{Cluster: c, Self: 1, RunDir: run})
	formed(t, n)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := n.Open(ctx, events.ID)
	if err != nil {
		t.Fatal(err)
	}
	call := func(fn uint16, b []byte) {
		t.Helper()
		if _, err := conn.Call(ctx, fn, b); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, patience, "the topic is created", func() (bool, any) {
		_, err := conn.Call(ctx, events.CallCreate, events.CreateRequest{Name: []byte("t"), Options: events.Options{Keep: 2, Durable: true}}.AppendTo(nil))
		return err == nil, err
	})
	call(events.CallOpen, events.OpenRequest{}.AppendTo(nil)) // it takes nothing
	call(events.CallSubscribe, events.SubscribeRequest{Sub: 1, Topic: []byte("t")}.AppendTo(nil))
	call(events.CallRegister, events.RegisterRequest{Sub: 2, Class: events.Group, Group: []byte("g")}.AppendTo(nil))
	publish := events.PublishRequest{Topic: []byte("t"), Content: events.Content{Data: make([]byte, 1000), Retention: 1 << 60}}.AppendTo(nil)
	for range events.DefaultMessages + 5 {
		call(events.CallPublish, publish)
	}
	if _, err := conn.Call(ctx, events.CallPublish, events.PublishRequest{Topic: []byte("never")}.AppendTo(nil)); !errors.Is(err, service.ErrNotExist) {
		t.Error(err)
	}
	call(events.CallCreate, events.CreateRequest{Name: []byte("short")}.AppendTo(nil))
	call(events.CallSubscribe, events.SubscribeRequest{Sub: 3, Topic: []byte("short")}.AppendTo(nil))
	call(events.CallDelete, events.NameRequest{Name: []byte("short")}.AppendTo(nil))

	doc, err := n.Topics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if doc.State != "primary" || doc.Refusing != "" || doc.Published != events.DefaultMessages+5 || doc.Missed != 5 || doc.Told != 0 || doc.Refused["not-exist"] != 1 || doc.StoreBytes == 0 {
		t.Errorf("%+v", doc)
	}
	if len(doc.Topics) != 2 || doc.Topics[1].Name != "t" || doc.Topics[1].Kept != events.DefaultMessages+5 || doc.Topics[1].Timed != doc.Topics[1].Kept || doc.Topics[1].KeptBytes < 1000*doc.Topics[1].Kept {
		t.Errorf("%+v", doc.Topics)
	}
	if len(doc.Subscribers) != 2 || !doc.Subscribers[0].Full || doc.Subscribers[0].Waiting != events.DefaultMessages || doc.Subscribers[0].Missed != 5 || doc.Subscribers[1].Kind != "group" {
		t.Errorf("%+v", doc.Subscribers)
	}
	if len(doc.Ended) != 1 || doc.Ended[0].Reason != "deleted" || doc.Ended[0].Topic != "short" {
		t.Errorf("%+v", doc.Ended)
	}
	if one, err := n.Topic(ctx, "short"); err != nil || len(one.Why) != 2 {
		t.Errorf("%+v %v", one, err)
	}
	page := scrape(t, admin.New(run)).text
	for _, want := range []string{"moothall_events_topics 2", `moothall_events_waiting{kind="topic"} 1024`, "moothall_events_missed_total 5", "moothall_events_published_total 1029",
		`moothall_events_ended_total{reason="deleted"} 1`, `moothall_events_refused_total{reason="not-exist"} 1`, `moothall_events_subscribers{kind="group"} 1`} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("no %q", want)
		}
	}
}

// A topic of the configuration that the cluster has no room for is in the log, with its
// place and what helps, and in the status.
func TestTopicsOfConfiguration_TooMany(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "moot.toml")
	text := fmt.Sprintf("[totem]\ncluster_name = \"hall\"\n[[totem.interface]]\nmcastport = %d\n[[nodelist.node]]\nnodeid = 1\nname = \"anna\"\nring0_addr = \"127.0.0.1\"\n", freePort(t))
	for i := range events.MaxTopics + 1 {
		text += fmt.Sprintf("[[events.topic]]\nname = \"t%04d\"\n", i)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems := config.Load(file)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	log := &lockedLog{}
	n := start(t, node.Config{Cluster: c, Self: 1, Key: make([]byte, 32), Log: slog.New(slog.NewTextHandler(log, nil))})
	const place, want = ":8202:1: ", `events.topic.name "t4096": the topic is not there: the cluster has 4096 topics and groups, and no more are possible; remove some with moot topic delete`
	testenv.Eventually(t, 2*patience, "the warning", func() (bool, any) {
		w := n.Status().Warnings
		return len(w) == 1 && strings.HasPrefix(w[0], file+place+want), w
	})
	if !strings.Contains(log.String(), strings.ReplaceAll(want, `"`, `\"`)) {
		t.Error(log)
	}
}
