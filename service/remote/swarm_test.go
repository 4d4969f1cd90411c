package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/service/outside"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// book is a list of lines that all replicas agree on: who tells all in a round
// sends its list, and the others take it.
type book struct {
	x       service.Executive
	lines   []string
	staged  []string
	round   service.Round
	sent    int
	quorate bool

	seen   []string // what it was shown, configurations included: the trace
	synced bool
	early  int // messages before the first round
	dupl   map[string]int

	ring    service.RingID
	members []service.NodeID
	views   []view
	foreign int // messages of nodes that are not in the configuration

	places map[place]service.NodeID // of all books
	twice  int                      // messages at a place that another one had
}

// view is a regular configuration that a process saw.
type view struct {
	ring, before    service.RingID
	members, joined []service.NodeID
}

type place struct {
	ring service.RingID
	slot service.Slot
}

const bookID = 40

func (k *book) Info() service.Info {
	return service.Info{Name: "book", ID: bookID, Versions: service.Range{Min: 1, Max: 2}, RunsWithoutQuorum: !k.quorate,
		Calls: []service.Call{{Name: "write", Flow: true}}}
}
func (k *book) Start(x service.Executive) error { k.x, k.dupl = x, map[string]int{}; return nil }
func (k *book) Stop()                           {}
func (k *book) ConfigChange(c service.ConfigChange) {
	if c.Kind == service.Regular {
		k.views = append(k.views, view{ring: c.Ring, before: k.ring, members: slices.Clone(c.Members), joined: slices.Clone(c.Joined)})
		k.ring = c.Ring
	}
	k.members = slices.Clone(c.Members)
	k.seen = append(k.seen, fmt.Sprintf("%d %v members %v left %v joined %v", c.Kind, c.Ring, c.Members, c.Left, c.Joined))
}

func (k *book) Deliver(m service.Message) {
	if m.Class == service.Sync {
		k.staged = append(k.staged, string(m.Body))
		return
	}
	if !k.synced {
		k.early++
	}
	if !slices.Contains(k.members, m.From) {
		k.foreign++
	}
	line := string(m.Body)
	k.dupl[line]++
	k.lines = append(k.lines, line)
	k.seen = append(k.seen, line)
	if from, ok := k.places[place{m.Ring, m.Slot}]; ok && from != m.From { // several messages of one node may share a slot
		k.twice++
	}
	k.places[place{m.Ring, m.Slot}] = m.From
	if c, ok := k.x.Local(m.Src); ok {
		_ = c.Push(1, m.Body)
	}
}

func (k *book) SyncDigest() service.Digest {
	return sha256.Sum256(fmt.Append(nil, "lines", k.lines))
}
func (k *book) SyncInit(r service.Round) { k.staged, k.sent, k.round = nil, 0, r }
func (k *book) SyncAbort(error)          { k.staged = nil }
func (k *book) SyncActivate() {
	k.synced = true
	if !k.round.Same {
		k.lines = k.staged
	}
	k.staged = nil
}

func (k *book) SyncProcess(budget int) (bool, error) {
	if k.round.Sender != k.x.Self() {
		return true, nil
	}
	for ; k.sent < len(k.lines) && budget > 0; budget-- {
		if k.x.Multicast(0, service.Sync, service.Agreed, service.Source{}, []byte(k.lines[k.sent])) != nil {
			return false, nil
		}
		k.sent++
	}
	return k.sent == len(k.lines), nil
}

func (k *book) Dump(w io.Writer) { fmt.Fprint(w, k.lines) }

func (k *book) Open(c service.Conn) (service.Client, error) { return &writer{k, c}, nil }

type writer struct {
	k *book
	c service.Conn
}

func (w *writer) Closed() {}
func (w *writer) Call(r service.Request) {
	src := service.Source{Node: w.k.x.Self(), Conn: w.c.ID(), Tag: r.Tag}
	r.Reply(service.CodeOf(w.k.x.Multicast(0, service.Normal, service.Agreed, src, r.Body)), nil)
}

// line is the connection of a process in the kit: what it casts arrives at once,
// what it is told lies in Events.
type line struct {
	c    *servicetest.Conn
	read int
}

var _ session.Conn = (*line)(nil)

func (l *line) Call(_ context.Context, fn uint16, body []byte) ([]byte, error) {
	a := l.c.Call(fn, body)
	if !a.Done {
		return nil, errors.New("no answer")
	}
	if a.Code != service.OK {
		return nil, a.Code
	}
	return a.Body, nil
}

func (l *line) Cast(_ context.Context, fn uint16, _ uint64, body []byte) error {
	if !l.c.Open() {
		return session.ErrClosed
	}
	l.c.Call(fn, body)
	return nil
}

func (l *line) TryCast(fn uint16, tag uint64, body []byte) error {
	return l.Cast(context.Background(), fn, tag, body)
}
func (l *line) Recv(context.Context, []session.Event) (int, error) {
	panic("the test hands over events")
}
func (l *line) Close() error { l.c.Leave(); return nil }

// kept is a service that keeps a book.
type kept interface {
	service.Service
	kept() *book
}

func (k *book) kept() *book { return k }

// proc is a process, step by step.
type proc struct {
	node *servicetest.Node
	line *line
	host *host
	book *book
}

// spawn starts a process at a node.
func spawn(t *testing.T, n *servicetest.Node, k kept) *proc {
	t.Helper()
	c := n.Open(bookID)
	n.Service(bookID).(*outside.Service).Expect(int32(c.ID()))
	p := &proc{node: n, line: &line{c: c}, book: k.kept()}
	info := k.Info()
	w, err := register(t.Context(), p.line, &info)
	if err != nil {
		t.Fatal(err)
	}
	if p.host, err = newHost(t.Context(), p.line, k, info, w, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return p
}

// step hands over one event and reports whether there was something to do.
func (p *proc) step(t *testing.T) bool {
	t.Helper()
	if !p.alive() {
		return false
	}
	moved := p.host.sync.Busy()
	if p.line.read < len(p.line.c.Events) {
		e := p.line.c.Events[p.line.read]
		p.line.c.Events[p.line.read].Body = nil
		p.line.read++
		moved = true
		ev := session.Event{Kind: e.Kind, Body: e.Body}
		if err := p.host.event(&ev); err != nil {
			t.Fatal(err)
		}
		for i := range e.Body {
			e.Body[i] = 0xdb
		}
	}
	before := p.host.sent + p.host.taken
	if err := p.host.settle(); err != nil {
		t.Fatal(err)
	}
	return moved || before != p.host.sent+p.host.taken
}

func (p *proc) alive() bool { return p != nil && p.line.c.Open() && p.node.Up() }

// swarm is a cluster with processes.
type swarm struct {
	t     *testing.T
	c     *servicetest.Cluster
	procs map[service.NodeID]*proc
	all   []*proc
	next  int
	need  bool

	places map[place]service.NodeID
}

func newSwarm(t *testing.T, nodes int, quorate bool) *swarm {
	w := &swarm{t: t, need: quorate, procs: map[service.NodeID]*proc{}, places: map[place]service.NodeID{}}
	w.c = servicetest.New(t, nodes, func(service.NodeID) []service.Service {
		list := []service.Service{outside.New(outside.Config{ID: bookID, Name: "book"})}
		if quorate {
			list = append(list, quorum.New(quorum.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: uint32(nodes)}}))
		}
		return list
	})
	return w
}

func (w *swarm) spawn(id service.NodeID) {
	if n := w.c.Node(id); n.Up() && !w.procs[id].alive() {
		w.procs[id] = spawn(w.t, n, &book{quorate: w.need, places: w.places})
		w.all = append(w.all, w.procs[id])
	}
}

func (w *swarm) kill(id service.NodeID) {
	if p := w.procs[id]; p.alive() {
		p.line.c.Leave()
	}
}

// retry is time enough for what found no room.
const retry = 10 * time.Millisecond

// run works until nothing moves.
func (w *swarm) run() {
	w.t.Helper()
	for _, n := range w.c.Nodes() {
		n.Full = false
	}
	for range 100_000 {
		w.c.Advance(retry)
		w.c.Run()
		moved := false
		for id := range w.c.Size() {
			for w.procs[service.NodeID(id+1)].step2(w.t) {
				moved = true
			}
		}
		if !moved {
			return
		}
	}
	w.t.Fatal("the processes do not come to rest")
}

func (p *proc) step2(t *testing.T) bool { return p.alive() && p.step(t) }

// write has a client of a node write a line; the node need not run.
func (w *swarm) write(id service.NodeID) {
	if n := w.c.Node(id); n.Up() {
		w.next++
		n.Open(bookID).Call(0, binary.LittleEndian.AppendUint32(fmt.Appendf(nil, "%d:", id), uint32(w.next)))
	}
}

// check compares the processes of each ring.
func (w *swarm) check() {
	w.t.Helper()
	for _, n := range w.c.Nodes() {
		p := w.procs[n.ID()]
		if !p.alive() {
			continue
		}
		if w.need && p.host.active() != n.Quorum().Quorate {
			w.t.Fatalf("node %d is active: %v, quorate: %v", n.ID(), p.host.active(), n.Quorum().Quorate)
		}
		if !p.host.active() {
			continue // it waits for quorum, and has the state that it had
		}
		if !p.host.flowing {
			w.t.Fatalf("the process of node %d waits: member %+v of %v: %+v", n.ID(), n.Members(), p.host.ring, p.host.sync.Status())
		}
		for _, o := range n.Members() {
			q := w.procs[o]
			if q.alive() && dump(q.book) != dump(p.book) {
				w.t.Fatalf("nodes %d and %d differ\n%s\n%s", n.ID(), o, dump(p.book), dump(q.book))
			}
			if q.alive() && q.host.ring != p.host.ring {
				w.t.Fatalf("nodes %d and %d are in %v and %v", n.ID(), o, p.host.ring, q.host.ring)
			}
		}
	}
	w.views()
	for _, p := range w.all {
		if p.book.foreign > 0 {
			w.t.Fatalf("node %d was given messages from outside of its configuration", p.node.ID())
		}
		if p.book.twice > 0 {
			w.t.Fatalf("node %d was given other messages at the places of the order", p.node.ID())
		}
		if p.book.early > 0 {
			w.t.Fatalf("node %d acted on a state that nobody gave it", p.node.ID())
		}
		for line, n := range p.book.dupl {
			if n > 1 {
				w.t.Fatalf("node %d saw %q %d times", p.node.ID(), line, n)
			}
		}
	}
}

// views compares what the processes of all times were told: each configuration has
// a number of its own, and who came along with somebody comes from the same one.
func (w *swarm) views() {
	w.t.Helper()
	type seat struct {
		ring service.RingID
		node service.NodeID
	}
	seen := map[seat]view{}
	for _, p := range w.all {
		for _, v := range p.book.views {
			s := seat{v.ring, p.node.ID()}
			if _, twice := seen[s]; twice {
				w.t.Fatalf("node %d saw two configurations %v", s.node, s.ring)
			}
			seen[s] = v
		}
	}
	for s, v := range seen {
		for _, other := range v.members {
			o, ok := seen[seat{s.ring, other}]
			if ok && !slices.Equal(o.members, v.members) {
				w.t.Fatalf("configuration %v has members %v at node %d and %v at node %d", s.ring, v.members, s.node, o.members, other)
			}
			if ok && !slices.Contains(v.joined, other) && (o.before != v.before || v.before == service.RingID{}) {
				w.t.Fatalf("node %d came to %v from %v, and was told that node %d came along, which was in %v", s.node, s.ring, v.before, other, o.before)
			}
		}
	}
}

func dump(k *book) string {
	var b bytes.Buffer
	k.Dump(&b)
	return b.String()
}

func TestProcessesComeAndGo(t *testing.T) {
	w := newSwarm(t, 3, false)
	w.c.Split([]service.NodeID{1, 2, 3})
	w.run()
	w.spawn(1)
	w.write(1)
	w.run()
	w.check()
	if got := w.procs[1].book.lines; len(got) != 1 {
		t.Fatalf("alone: %q", got)
	}
	w.spawn(2)
	w.spawn(3)
	w.run()
	w.check()
	if got := w.procs[3].book.lines; len(got) != 1 {
		t.Fatalf("a process that came later has %q", got)
	}
	w.write(2)
	w.run()
	w.kill(2)
	w.write(3)
	w.run()
	w.check()
	first := w.procs[1].book
	if want := "1 " + first.seen[len(first.seen)-3][2:]; !slices.ContainsFunc(first.seen, func(s string) bool { return s == want }) {
		t.Errorf("%q in %q", want, first.seen)
	}
	w.write(2) // waits for a process
	w.run()
	if len(first.lines) != 3 {
		t.Errorf("%q", first.lines)
	}
	w.spawn(2)
	w.run()
	w.check()
	if len(w.procs[2].book.lines) != 4 {
		t.Errorf("%q", w.procs[2].book.lines)
	}
	for _, s := range first.seen {
		t.Log(s)
	}
}

func TestReplicasNeverDiverge(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 50
	}
	lines := 0
	for seed := range seeds {
		lines += plan(t, uint64(seed), 60)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d lines in the books of %d plans", lines, seeds)
}

// Openais-executive X14.16: a thousand random partitions, merges, and ends and starts of
// processes and nodes; the states are equal whenever all is quiet.
func TestX14_16_RandomStepsOfProcesses(t *testing.T) {
	for seed := range uint64(3) {
		plan(t, seed, 1000)
	}
}

// plan is one random run.
func plan(t *testing.T, seed uint64, steps int) int {
	rng := rand.New(rand.NewPCG(seed, 40))
	w := newSwarm(t, 2+rng.IntN(3), seed%3 == 0)
	w.c.Cut = rng.IntN
	size := w.c.Size()
	pick := func() service.NodeID { return service.NodeID(1 + rng.IntN(size)) }
	for range steps {
		switch rng.IntN(14) {
		case 0, 1:
			var a, b []service.NodeID
			for _, id := range w.c.All() {
				if rng.IntN(2) == 0 {
					a = append(a, id)
				} else {
					b = append(b, id)
				}
			}
			w.c.Split(a, b)
		case 2:
			w.c.Split(w.c.All())
		case 3:
			w.kill(pick())
		case 4:
			if id := pick(); w.c.Node(id).Up() && rng.IntN(3) == 0 && len(w.c.All()) > 1 {
				w.c.Crash(id)
				w.c.Split(w.c.All())
			} else if !w.c.Node(id).Up() {
				w.c.Restart(id)
			}
		case 5, 6:
			w.spawn(pick())
		case 7:
			w.run()
			w.check()
		case 8:
			if n := w.c.Node(pick()); n.Up() {
				n.Full = !n.Full
			}
		case 9: // a process that has not answered the last ping is ended
			w.c.Advance(time.Duration(rng.IntN(20)) * time.Second)
		default:
			w.write(pick())
		}
		for range rng.IntN(60) {
			if rng.IntN(3) == 0 {
				w.procs[pick()].step2(t)
			} else {
				w.c.Step(rng.IntN)
			}
		}
	}
	w.run()
	w.check()
	n := 0
	for id := range size {
		if p := w.procs[service.NodeID(id+1)]; p.alive() {
			n += len(p.book.lines)
		}
	}
	return n
}
