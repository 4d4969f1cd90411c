package remote

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/service/outside"
	"github.com/moothall/moothall/service"
)

// whole is a book with every optional interface that a process can have.
type whole struct {
	book
	calls   []string // of the optional methods
	holding bool
	passed  []string // calls of clients
}

var (
	_ service.Syncer         = (*whole)(nil)
	_ service.Chooser        = (*whole)(nil)
	_ service.Bystander      = (*whole)(nil)
	_ service.QuorumListener = (*whole)(nil)
	_ service.Leaver         = (*whole)(nil)
	_ service.Dumper         = (*whole)(nil)
	_ service.Holder         = (*reader)(nil)
)

func (k *whole) Info() service.Info {
	i := k.book.Info()
	i.Calls = append(i.Calls, service.Call{Name: "read", Local: true})
	return i
}

func (k *whole) note(format string, args ...any) {
	k.calls = append(k.calls, fmt.Sprintf(format, args...))
}

func (k *whole) PassedBy() { k.note("passed by") }

func (k *whole) QuorumChanged() {
	s, c := k.x.(service.QuorumViewer).Quorum()
	k.note("quorum %v %v %d of %d", s.Quorate, c, s.Votes, s.Expected)
}

func (k *whole) SyncInit(r service.Round) {
	s, _ := k.x.(service.QuorumViewer).Quorum()
	k.note("init quorate %v", s.Quorate)
	k.book.SyncInit(r)
}

// SyncSender has the highest node tell all.
func (k *whole) SyncSender(r service.Round) service.NodeID { return r.Members[len(r.Members)-1] }

func (k *whole) Leaving()         { k.note("leaving") }
func (k *whole) Dump(w io.Writer) { k.note("dump"); k.book.Dump(w) }
func (k *whole) Open(c service.Conn) (service.Client, error) {
	return &reader{k}, nil
}

type reader struct{ k *whole }

func (r *reader) Holding() bool { return r.k.holding }
func (r *reader) Closed()       {}
func (r *reader) Call(q service.Request) {
	r.k.passed = append(r.k.passed, fmt.Sprintf("%d %s", q.Func, q.Body))
	q.Reply(service.OK, nil)
}

func (k *whole) took() []string {
	c := k.calls
	k.calls = nil
	return c
}

// trio are three nodes with quorum and a process each.
func trio(t *testing.T) (*swarm, map[service.NodeID]*whole) {
	t.Helper()
	w := newSwarm(t, 3, true)
	w.c.Split(w.c.All())
	w.run()
	all := map[service.NodeID]*whole{}
	for _, id := range w.c.All() {
		k := &whole{book: book{quorate: true, places: w.places}}
		all[id] = k
		w.procs[id] = spawn(t, w.c.Node(id), k)
	}
	w.run()
	return w, all
}

// A service that needs quorum hears that a round ended without it, what was
// decided, and that it counts again.
func TestOptional_QuorumAndBystander(t *testing.T) {
	w, all := trio(t)
	if got := all[3].took(); !slices.Contains(got, "init quorate true") || slices.Contains(got, "passed by") {
		t.Errorf("in the beginning: %q", got)
	}
	all[1].took()
	w.c.Split([]service.NodeID{1, 2}, []service.NodeID{3})
	w.run()
	if got := all[3].took(); !slices.Equal(got, []string{"passed by"}) {
		t.Errorf("alone: %q", got)
	}
	if s, c := w.procs[3].host.Quorum(); s.Quorate || c != service.CurrencyNow || s.Ring != w.c.Node(3).Ring() || s.Votes != 1 || s.Expected != 3 || len(s.Shares) != 1 {
		t.Errorf("alone: %+v, %v", s, c)
	}
	if got := all[1].took(); slices.Contains(got, "passed by") || !slices.Contains(got, "init quorate true") {
		t.Errorf("the majority: %q", got)
	}
	w.c.Split(w.c.All())
	w.run()
	if got := all[3].took(); len(got) == 0 || got[len(got)-1] != "init quorate true" {
		t.Errorf("back: %q", got)
	}

	// A decision within the ring.
	p := w.procs[1]
	q := p.host.quorum
	q.State.Votes = 9
	p.host.quorumChanged(q)
	if got := all[1].took(); len(got) == 0 || got[len(got)-1] != "quorum true current 9 of 3" {
		t.Errorf("within the ring: %q", got)
	}
}

// The sender of a round is the service's own choice.
func TestOptional_Chooser(t *testing.T) {
	w, all := trio(t)
	w.c.Split([]service.NodeID{1, 2}, []service.NodeID{3})
	w.run()
	for _, id := range w.c.All() {
		all[id].lines = []string{fmt.Sprint("of ", id)}
	}
	w.c.Split(w.c.All())
	w.run()
	for id, k := range all {
		if k.round.Sender != 3 || !slices.Equal(k.lines, []string{"of 3"}) {
			t.Errorf("node %d: sender %d, %q", id, k.round.Sender, k.lines)
		}
	}
}

func TestOptional_LeaverAndDumper(t *testing.T) {
	w, all := trio(t)
	all[2].took()
	agent := w.c.Node(2).Service(bookID).(*outside.Service)
	agent.AskDump()
	agent.Leaving()
	w.run()
	if got := all[2].took(); !slices.Equal(got, []string{"dump", "leaving"}) {
		t.Errorf("%q", got)
	}
}

// Calls with Flow wait while the service holds them, others pass, and a client that
// goes on asking is stopped at the agent.
func TestOptional_Holder(t *testing.T) {
	w, all := trio(t)
	k := all[1]
	c, other := w.c.Node(1).Open(bookID), w.c.Node(1).Open(bookID)
	k.holding = true
	first := c.Call(0, []byte("a"))
	read := c.Call(1, []byte("b"))
	w.run()
	if first.Done || !read.Done || !slices.Equal(k.passed, []string{"1 b"}) {
		t.Errorf("flow %v, local %v, passed %q", first.Done, read.Done, k.passed)
	}
	for i := range maxHeld - 1 {
		c.Call(0, fmt.Append(nil, i))
	}
	w.run()
	if c.Waiting() {
		t.Error("the client waits at the agent too early")
	}
	c.Call(1, nil) // behind those that are held by now
	w.run()
	if !c.Waiting() || other.Waiting() {
		t.Errorf("at the agent: the client waits %v, another %v", c.Waiting(), other.Waiting())
	}
	gone := other.Call(0, []byte("never"))
	w.run()
	other.Leave()
	w.run()
	k.passed, k.holding = nil, false
	w.run() // the agent hears of it at the end
	w.run()
	if len(k.passed) != maxHeld+1 || k.passed[0] != "0 a" || k.passed[1] != "0 0" || k.passed[maxHeld] != "1 " || c.Waiting() || gone.Done {
		t.Errorf("passed %q, waiting %v", k.passed, c.Waiting())
	}
}
