package servicetest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moothall/moothall/service"
)

// notes is a service that keeps every line it gets; what is not synchronised
// differs after a merge.
type notes struct {
	x      service.Executive
	lines  []string
	own    bool // keep the own name too: a fault
	staged []string
	sent   bool
	round  service.Round
}

func (s *notes) Info() service.Info {
	return service.Info{Name: "notes", ID: 9, RunsWithoutQuorum: true, Calls: []service.Call{{Name: "note", Flow: true}}}
}
func (s *notes) Start(x service.Executive) error             { s.x = x; return nil }
func (s *notes) Stop()                                       {}
func (s *notes) ConfigChange(service.ConfigChange)           {}
func (s *notes) Open(c service.Conn) (service.Client, error) { return &noter{s, c}, nil }
func (s *notes) Dump(w io.Writer)                            { fmt.Fprint(w, s.lines) }

func (s *notes) Deliver(m service.Message) {
	if m.Class == service.Sync {
		s.staged = append(s.staged, string(m.Body))
		return
	}
	line := string(m.Body)
	if s.own {
		line += fmt.Sprint(s.x.Self())
	}
	s.lines = append(s.lines, line)
}

func (s *notes) SyncDigest() service.Digest { return service.Digest{} }
func (s *notes) SyncInit(r service.Round)   { s.staged, s.sent, s.round = nil, false, r }
func (s *notes) SyncAbort(error)            { s.staged = nil }
func (s *notes) SyncActivate()              { s.lines = s.staged }
func (s *notes) SyncProcess(budget int) (bool, error) {
	if s.round.Sender != s.x.Self() {
		return true, nil
	}
	for _, l := range s.lines {
		if err := s.x.Multicast(0, service.Sync, service.Agreed, service.Source{}, []byte(l)); err != nil {
			return false, err
		}
	}
	return true, nil
}

type noter struct {
	s *notes
	c service.Conn
}

func (n *noter) Closed() {}
func (n *noter) Call(req service.Request) {
	level := service.Agreed
	if strings.HasPrefix(string(req.Body), "safe") {
		level = service.Safe
	}
	if err := n.s.x.Multicast(0, service.Normal, level, service.Source{Node: n.s.x.Self(), Conn: n.c.ID(), Tag: req.Tag}, req.Body); err != nil {
		req.Reply(service.ErrAgain, nil)
		return
	}
	req.Reply(service.OK, nil)
}

type failed struct{ text string }

func (f *failed) Helper()                           {}
func (f *failed) Fatalf(format string, args ...any) { f.text = fmt.Sprintf(format, args...) }

func cluster(t T, faulty bool) *Cluster {
	return New(t, 3, func(id NodeID) []service.Service { return []service.Service{&notes{own: faulty && id == 2}} })
}

func TestCheck_EqualAfterMergesAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := cluster(t, false)
	c.Cut = rng.IntN
	for i := range 200 {
		c.Split([]NodeID{1, 2, 3}[:1+rng.IntN(3)])
		c.Node(NodeID(1+rng.IntN(3))).Open(9).Call(0, fmt.Append(nil, i))
		for range rng.IntN(30) {
			c.Step(rng.IntN)
		}
	}
	c.Split(c.All())
	c.Run()
	c.Check()
	if len(c.Node(1).Service(9).(*notes).lines) == 0 {
		t.Error("nothing was delivered")
	}
}

func TestCheck_FindsADifference(t *testing.T) {
	f := &failed{}
	c := cluster(f, true)
	c.Split(c.All())
	c.Run()
	c.Check()
	if f.text != "" {
		t.Fatalf("too early: %s", f.text)
	}
	c.Node(1).Open(9).Call(0, []byte("x"))
	c.Run()
	c.Check()
	if !strings.Contains(f.text, `service "notes"`) {
		t.Errorf("found %q", f.text)
	}
}

func TestCall_WaitsForTheRound(t *testing.T) {
	c := cluster(t, false)
	c.Split(c.All())
	conn := c.Node(1).Open(9)
	a := conn.Call(0, []byte("x"))
	if a.Done || !conn.Waiting() {
		t.Error("a call that needs flow control was made during a round")
	}
	c.Run()
	if !a.Done || a.Code != service.OK {
		t.Errorf("afterwards: %+v", a)
	}
}

// A safe message that one node was given comes to all, also to those that go
// another way; an agreed one does not.
func TestSplit_SafeMessages(t *testing.T) {
	for _, text := range []string{"safe", "agreed"} {
		c := New(t, 3, func(NodeID) []service.Service { return []service.Service{&notes{}} })
		c.Split(c.All())
		c.Run()
		c.Cut = func(int) int { return 0 }
		c.Node(1).Open(9).Call(0, []byte(text))
		c.Node(1).order()
		c.Node(1).deliver()
		c.Split()
		for _, n := range c.Nodes() {
			got := len(n.Service(9).(*notes).lines)
			if want := map[bool]int{true: 1, false: 0}[text == "safe" || n.ID() == 1]; got != want {
				t.Errorf("%s: node %d has %d", text, n.ID(), got)
			}
		}
	}
}
