package node

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/store/topics"
	"github.com/moothall/moothall/service"
)

// Root and the agent's user administer, everybody watches and publishes.
func TestMayUseTopics(t *testing.T) {
	self, stranger := service.Cred{UID: uint32(os.Geteuid())}, service.Cred{UID: 3_999_999_999}
	for _, do := range []events.Action{events.Watch, events.Publish, events.Administer} {
		if !mayUseTopics(service.Cred{}, do, "t") || !mayUseTopics(self, do, "t") {
			t.Errorf("root or the own user may not do %d", do)
		}
		if got := mayUseTopics(stranger, do, "t"); got != (do != events.Administer) {
			t.Errorf("a stranger may do %d: %v", do, got)
		}
	}
}

// topicCalls makes calls of the event service, one after the other.
func topicCalls(t *testing.T, n *Node, calls ...func(service.ClientConn) error) {
	t.Helper()
	conn, err := n.Open(t.Context(), events.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, call := range calls {
		err := call(conn)
		for errors.Is(err, service.ErrAgain) {
			err = call(conn)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A durable topic is there when all members were away.
func TestDurableTopics(t *testing.T) {
	c, err := StartCluster(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	file := func(id config.NodeID) string { return filepath.Join(c.dir, string('0'+rune(id)), topics.File) }
	topicCalls(t, c.Node(1), func(conn service.ClientConn) error {
		_, err := conn.Call(t.Context(), events.CallCreate, events.CreateRequest{Name: []byte("t"), Options: events.Options{Keep: 2, Durable: true}}.AppendTo(nil))
		return err
	}, func(conn service.ClientConn) error {
		_, err := conn.Call(t.Context(), events.CallPublish, events.PublishRequest{Topic: []byte("t"), Content: events.Content{Data: []byte("x")}}.AppendTo(nil))
		return err
	})
	for id := range config.NodeID(2) {
		c.Kill(id + 1)
	}
	for id := range config.NodeID(2) {
		if _, err := c.Start(t.Context(), id+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Formed(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes() {
		topicCalls(t, n, func(conn service.ClientConn) error {
			b, err := conn.Call(t.Context(), events.CallDescribe, events.NameRequest{Name: []byte("t")}.AppendTo(nil))
			if errors.Is(err, service.ErrNotExist) { // the commit of the ring is still on its way
				err = service.ErrAgain
			}
			if err != nil {
				return err
			}
			d, err := events.ParseDescription(b)
			if d.Seq != 1 || d.Kept != 1 || !d.Options.Durable {
				t.Errorf("%+v", d)
			}
			return err
		})
	}
	if t.Failed() {
		return
	}

	// A damaged file keeps one member from starting, and says what to do.
	c.Kill(2)
	if err := os.WriteFile(file(2), slices.Repeat([]byte{0xff}, 1<<15), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = c.Start(t.Context(), 2)
	if e, ok := errors.AsType[*StartError](err); !ok || e.Part != PartState {
		t.Errorf("with a damaged file: %v", err)
	}
	if err := os.Remove(file(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(t.Context(), 2); err != nil {
		t.Errorf("without it: %v", err)
	}
}

// A member whose disk does not take what its topics need does not start, and says so.
func TestDurableTopics_DiskRefuses(t *testing.T) {
	c, err := StartCluster(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.Kill(1)
	file := filepath.Join(c.dir, "1", topics.File)
	if err := errors.Join(os.Remove(file), os.Symlink(filepath.Join(c.dir, "not mounted", "file"), file)); err != nil {
		t.Fatal(err)
	}
	_, err = c.Start(t.Context(), 1)
	if e, ok := errors.AsType[*StartError](err); !ok || !strings.Contains(e.Error(), topics.File) {
		t.Errorf("it starts: %v", err)
	}
}
