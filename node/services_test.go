package node_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

// sum is a service of other people: a number that clients add to.
type sum struct {
	info  service.Info
	x     service.Executive
	value uint32
}

func newSum(name string, id uint16) func() service.Service {
	return func() service.Service {
		return &sum{info: service.Info{Name: name, ID: id, RunsWithoutQuorum: true, Calls: []service.Call{{Name: "add", Flow: true}}}}
	}
}

func (s *sum) Info() service.Info                          { return s.info }
func (s *sum) Start(x service.Executive) error             { s.x = x; return nil }
func (s *sum) Stop()                                       {}
func (s *sum) ConfigChange(service.ConfigChange)           {}
func (s *sum) Open(c service.Conn) (service.Client, error) { return &summer{s, c}, nil }

func (s *sum) Deliver(m service.Message) {
	s.value += binary.LittleEndian.Uint32(m.Body)
	if c, ok := s.x.Local(m.Src); ok {
		_ = c.Push(uint16(m.Src.Tag), binary.LittleEndian.AppendUint32(nil, s.value))
	}
}

func (s *sum) Dump(w io.Writer) { fmt.Fprintf(w, "the sum is %d\n", s.value) }

type summer struct {
	s *sum
	c service.Conn
}

func (u *summer) Closed() {}

func (u *summer) Call(r service.Request) {
	if len(r.Body) != 4 {
		r.Reply(service.ErrInvalidParam, nil)
		return
	}
	src := service.Source{Node: u.s.x.Self(), Conn: u.c.ID(), Tag: r.Tag}
	r.Reply(service.CodeOf(u.s.x.Multicast(0, service.Normal, service.Agreed, src, r.Body)), nil)
}

// add adds and waits for what came of it.
func add(t *testing.T, ctx context.Context, c service.ClientConn, n uint32) uint32 {
	t.Helper()
	if err := c.Cast(ctx, 0, 7, binary.LittleEndian.AppendUint32(nil, n)); err != nil {
		t.Fatal(err)
	}
	var ev [1]service.Event
	if _, err := c.Recv(ctx, ev[:]); err != nil || ev[0].Kind != 7 {
		t.Fatal(ev, err)
	}
	return binary.LittleEndian.Uint32(ev[0].Body)
}

// One program speaks with services of other people in its own process, another
// through the agent's door, by number or by name.
func TestServicesOfOthers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cluster, err := node.StartCluster(ctx, 2, newSum("sum", 40), newSum("other", 63))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	agent, err := client.Dial(ctx, client.Config{Socket: cluster.RunDir(2) + "/" + node.AgentSocket})
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close()

	var sessions = []service.NamedSession{cluster.Node(1), agent}
	for i, s := range sessions {
		c, err := s.OpenNamed(ctx, "sum")
		if err != nil {
			t.Fatal(err)
		}
		if got := add(t, ctx, c, 5); got != uint32(5*(2*i+1)) {
			t.Errorf("session %d: %d", i, got)
		}
		if _, err := c.Call(ctx, 0, nil); !errors.Is(err, service.ErrInvalidParam) {
			t.Errorf("session %d: %v", i, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Call(ctx, 0, nil); !errors.Is(err, service.ErrClosed) {
			t.Errorf("session %d: %v after the end", i, err)
		}
		if c, err = s.Open(ctx, 40); err != nil {
			t.Fatal(err)
		}
		if got := add(t, ctx, c, 5); got != uint32(5*(2*i+2)) {
			t.Errorf("session %d: %d", i, got)
		}
		if _, err := s.OpenNamed(ctx, "nobody"); !errors.Is(err, service.ErrNotExist) || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("session %d: %v", i, err)
		}
		if _, err := s.OpenNamed(ctx, "no.body"); !errors.Is(err, service.ErrInvalidParam) {
			t.Errorf("session %d: %v", i, err)
		}
		if _, err := s.Open(ctx, 41); !errors.Is(err, service.ErrNotExist) {
			t.Errorf("session %d: %v", i, err)
		}
	}
}

// What services hold can be looked at while they run.
func TestDump(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cluster, err := node.StartCluster(ctx, 1, newSum("sum", 40))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	c, err := cluster.Node(1).OpenNamed(ctx, "sum")
	if err != nil {
		t.Fatal(err)
	}
	add(t, ctx, c, 5)
	var b strings.Builder
	if err := cluster.Node(1).Dump(ctx, &b); err != nil || !strings.Contains(b.String(), "service sum (40):\nthe sum is 5\n") || !strings.Contains(b.String(), "service cpg") {
		t.Errorf("%v\n%s", err, b.String())
	}
	add(t, ctx, c, 5)
}

func TestServicesThatClash(t *testing.T) {
	for _, c := range []struct {
		services []func() service.Service
		want     string
	}{
		{[]func() service.Service{newSum("a", 40), newSum("b", 40)}, "services a and b have the same id 40"},
		{[]func() service.Service{newSum("a", 40), newSum("a", 41)}, "services 40 and 41 have the same name a"},
		{[]func() service.Service{newSum("a", 8)}, "id 8, services that are not built in have 32 to 63 (a)"},
		{[]func() service.Service{newSum("a", 64)}, "id 64"},
		{[]func() service.Service{newSum("cpg", 40)}, "is a built-in service's"},
		{[]func() service.Service{newSum("My Service", 40)}, "all lower case"},
	} {
		_, err := node.StartCluster(t.Context(), 1, c.services...)
		start, _ := errors.AsType[*node.StartError](err)
		if start == nil || start.Part != node.PartService || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
