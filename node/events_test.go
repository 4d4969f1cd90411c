package node_test

import (
	"context"
	"testing"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
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
}
