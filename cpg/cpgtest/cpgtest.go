// Package cpgtest is the conformance suite of package cpg: whatever carries a
// program to its member, the same must happen.
//
//	func TestConformance(t *testing.T) { cpgtest.Run(t, newCluster) }
package cpgtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moothall/moothall/cpg"
)

// Cluster is three members, with ids 1 to 3, that form one ring when a test
// begins.
type Cluster struct {
	// Clients lead to the members, one to each, in the order of their ids.
	Clients []*cpg.Client
	// Split cuts the members into sides that do not hear each other, and waits
	// until each side is a ring. Nil: such tests are left out.
	Split func(sides ...[]cpg.NodeID)
	// Heal ends all cuts and waits for the ring of all.
	Heal func()
	// Kill ends a member as a crash does. Nil: such tests are left out.
	Kill func(cpg.NodeID)
	// Libcpg: programs reach their members as those of libcpg do, who send messages
	// and learn who is in the group, and cannot say more. Tests of the rest are left
	// out, and of views and messages only what there is is looked at.
	Libcpg bool
}

// Factory makes a cluster for one test, which ends with it.
type Factory func(t *testing.T) *Cluster

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

// Run runs all tests, each on a cluster of its own.
func Run(t *testing.T, newCluster Factory) {
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"Order", order}, {"Views", views}, {"SendTo", sendTo}, {"Post", post}, {"SendSafe", sendSafe}, {"TrySend", trySend}, {"Batch", batches},
		{"Names", names}, {"LargestMessage", largest}, {"LeaveAndJoinAnew", leave}, {"Groups", groups}, {"ContextEnds", contexts},
		{"NewcomerGetsState", newcomer}, {"StateUnread", unread}, {"Split", split}, {"MergeTakesState", merge}, {"EqualStateIsKept", kept},
		{"LastGiverLeaves", lastGiverLeaves}, {"GiverDies", giverDies}, {"MemberDies", memberDies},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			test.run(&suite{T: t, c: newCluster(t), ctx: ctx})
		})
	}
}

type suite struct {
	*testing.T
	c   *Cluster
	ctx context.Context
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// join joins through the member with an id.
func (s *suite) join(node int, group string, cfg cpg.JoinConfig) *cpg.Member {
	s.Helper()
	if cfg.Stateful {
		s.beyondLibcpg("the transfer of state")
	}
	m, err := s.c.Clients[node-1].Join(s.ctx, group, cfg)
	s.must(err)
	s.Cleanup(func() { m.Leave(context.WithoutCancel(s.ctx)) })
	return m
}

// recv receives one event.
func (s *suite) recv(m *cpg.Member) cpg.Event {
	s.Helper()
	ev, err := m.Recv(s.ctx)
	s.must(err)
	return ev
}

// message receives up to the next message.
func (s *suite) message(m *cpg.Member) cpg.Message {
	s.Helper()
	for {
		if msg, ok := s.recv(m).(cpg.Message); ok {
			msg.Body = bytes.Clone(msg.Body)
			return msg
		}
	}
}

// view receives up to a view that is right.
func (s *suite) view(m *cpg.Member, right func(cpg.View) bool) cpg.View {
	s.Helper()
	for {
		if v, ok := s.recv(m).(cpg.View); ok && right(v) {
			return v
		}
	}
}

// having is a view with so many members.
func having(members int) func(cpg.View) bool {
	return func(v cpg.View) bool { return len(v.Members) == members }
}

func (s *suite) send(m *cpg.Member, text string) uint64 {
	s.Helper()
	seq, err := m.Send(s.ctx, []byte(text))
	s.must(err)
	return seq
}

func order(s *suite) {
	const each = 500
	var members []*cpg.Member
	for node := 1; node <= 3; node++ {
		members = append(members, s.join(node, "g", cpg.JoinConfig{}))
	}
	for _, m := range members {
		s.view(m, having(3))
	}
	var senders sync.WaitGroup
	for _, m := range members {
		senders.Go(func() {
			for k := range each {
				if _, err := m.Send(s.ctx, fmt.Appendf(nil, "%v %d", m.ID(), k)); err != nil {
					s.Error(err)
				}
			}
		})
	}
	var seen [][]string
	for _, m := range members {
		var list []string
		next := uint64(1)
		for len(list) < 3*each {
			msg := s.message(m)
			if msg.Own && !s.c.Libcpg {
				if msg.Seq != next {
					s.Fatalf("own message %d, want %d", msg.Seq, next)
				}
				next++
			}
			list = append(list, string(msg.Body))
		}
		seen = append(seen, list)
	}
	senders.Wait()
	for i := range seen {
		if !slices.Equal(seen[i], seen[0]) {
			s.Errorf("member %d got another order than member 0", i)
		}
	}
}

func views(s *suite) {
	var cfg cpg.JoinConfig
	if !s.c.Libcpg {
		cfg = cpg.JoinConfig{Meta: []byte("first"), Rank: 4}
	}
	a := s.join(1, "g", cfg)
	v, ok := s.recv(a).(cpg.View)
	if !ok || len(v.Members) != 1 || v.Members[0].ID != a.ID() || !bytes.Equal(v.Members[0].Meta, cfg.Meta) || v.Members[0].Rank != cfg.Rank {
		s.Fatalf("the first event is %+v", v)
	}
	if len(v.Joined) != 1 || v.Joined[0] != (cpg.Change{ID: a.ID(), Reason: cpg.ReasonJoin}) {
		s.Errorf("the first view is %+v", v)
	}
	if !s.c.Libcpg && (!v.Quorate || v.Majority || v.Votes != 3 || v.Expected != 3 || v.GroupVotes != 1) {
		s.Errorf("the numbers of the first view: %+v", v)
	}
	if !s.c.Libcpg && (!slices.Equal(v.Nodes, []cpg.NodeID{1, 2, 3}) || v.Ring.IsZero()) {
		s.Errorf("ring %v of %v", v.Ring, v.Nodes)
	}
	b := s.join(2, "g", cpg.JoinConfig{})
	if v := s.view(a, having(2)); !s.c.Libcpg && (!v.Majority || v.GroupVotes != 2) {
		s.Errorf("with two members %+v", v)
	}
	twin := s.join(2, "g", cpg.JoinConfig{})
	if v := s.view(a, having(3)); !s.c.Libcpg && v.GroupVotes != 2 || twin.ID() == b.ID() {
		s.Errorf("with a second member of one node %+v", v)
	}
	s.must(b.Leave(s.ctx))
	v = s.view(a, having(2))
	if len(v.Left) != 1 || v.Left[0] != (cpg.Change{ID: b.ID(), Reason: cpg.ReasonLeave}) {
		s.Errorf("after a leave %+v", v)
	}
	if _, there := v.Member(twin.ID()); !there {
		s.Errorf("%v is not in %+v", twin.ID(), v)
	}
}

func sendTo(s *suite) {
	s.beyondLibcpg("messages for one member")
	a, b := s.join(1, "g", cpg.JoinConfig{}), s.join(2, "g", cpg.JoinConfig{})
	s.view(a, having(2))
	seq, err := a.SendTo(s.ctx, b.ID(), []byte("for b"))
	s.must(err)
	s.send(a, "for all")
	if m := s.message(b); string(m.Body) != "for b" || !m.Direct || m.Seq != seq || m.From != a.ID() {
		s.Errorf("b got %+v", m)
	}
	if m := s.message(a); string(m.Body) != "for all" || m.Direct || !m.Own {
		s.Errorf("a got %+v", m)
	}
}

func post(s *suite) {
	s.beyondLibcpg("messages from outside")
	a := s.join(1, "g", cpg.JoinConfig{})
	s.must(s.c.Clients[2].Post(s.ctx, "g", []byte("hello")))
	if m := s.message(a); string(m.Body) != "hello" || !m.Outside || m.From.Node != 3 || m.Own {
		s.Errorf("got %+v", m)
	}
}

func sendSafe(s *suite) {
	s.beyondLibcpg("safe messages")
	a, b := s.join(1, "g", cpg.JoinConfig{}), s.join(2, "g", cpg.JoinConfig{})
	where, err := a.SendSafe(s.ctx, []byte("safe"))
	s.must(err)
	if where.Transitional || !slices.Equal(where.Members, []cpg.NodeID{1, 2, 3}) || where.Ring.IsZero() {
		s.Errorf("safe in %+v", where)
	}
	for _, m := range []*cpg.Member{a, b} {
		if msg := s.message(m); string(msg.Body) != "safe" || !msg.Safe || msg.Seq != 0 || msg.Own != (m == a) {
			s.Errorf("got %+v", msg)
		}
	}
}

func trySend(s *suite) {
	a := s.join(1, "g", cpg.JoinConfig{})
	body := make([]byte, 64<<10)
	for sent := 1; ; sent++ {
		_, err := a.TrySend(body)
		if errors.Is(err, cpg.ErrTryAgain) {
			break
		}
		s.must(err)
		if sent > 100_000 {
			s.Fatal("6 GiB were accepted and nobody receives")
		}
	}
	s.message(a) // it goes on when somebody does
}

func batches(s *suite) {
	a := s.join(1, "g", cpg.JoinConfig{})
	const count = 1000
	for k := range count {
		s.send(a, fmt.Sprint(k))
	}
	batch := make([]cpg.Event, 33)
	for next := 0; next < count; {
		n, err := a.RecvBatch(s.ctx, batch)
		s.must(err)
		for _, ev := range batch[:n] {
			if m, ok := ev.(cpg.Message); ok {
				if string(m.Body) != fmt.Sprint(next) {
					s.Fatalf("message %d is %q", next, m.Body)
				}
				next++
			}
		}
	}
}

func names(s *suite) {
	c := s.c.Clients[0]
	for name, join := range map[string]func() error{
		"empty name": func() error { _, err := c.Join(s.ctx, "", cpg.JoinConfig{}); return err },
		"long name": func() error {
			_, err := c.Join(s.ctx, strings.Repeat("x", cpg.MaxGroup+1), cpg.JoinConfig{})
			return err
		},
		"much meta data": func() error {
			_, err := c.Join(s.ctx, "g", cpg.JoinConfig{Meta: make([]byte, cpg.MaxMeta+1)})
			return err
		},
		"post to empty name": func() error { return c.Post(s.ctx, "", nil) },
	} {
		if err := join(); err == nil {
			s.Errorf("%s: no error", name)
		}
	}
	var cfg cpg.JoinConfig
	if !s.c.Libcpg {
		cfg.Meta = make([]byte, cpg.MaxMeta)
	}
	long := s.join(1, strings.Repeat("\xff", cpg.MaxGroup), cfg)
	if v := s.recv(long).(cpg.View); len(v.Members) != 1 || len(v.Members[0].Meta) != len(cfg.Meta) {
		s.Errorf("%+v", v)
	}
}

func largest(s *suite) {
	a, b := s.join(1, "g", cpg.JoinConfig{}), s.join(3, "g", cpg.JoinConfig{})
	body := bytes.Repeat([]byte("x"), cpg.MaxMessage)
	if _, err := a.Send(s.ctx, append(body, 'y')); !errors.Is(err, cpg.ErrTooBig) {
		s.Errorf("one byte too many: %v", err)
	}
	_, err := a.Send(s.ctx, body)
	s.must(err)
	s.send(a, "")
	if m := s.message(b); !bytes.Equal(m.Body, body) {
		s.Errorf("got %d bytes", len(m.Body))
	}
	if m := s.message(b); len(m.Body) != 0 {
		s.Errorf("got %q", m.Body)
	}
}

func leave(s *suite) {
	a, b := s.join(1, "g", cpg.JoinConfig{}), s.join(2, "g", cpg.JoinConfig{})
	s.view(a, having(2))
	s.must(b.Leave(s.ctx))
	if _, err := b.Send(s.ctx, nil); err == nil {
		s.Error("send after leave: no error")
	}
	for {
		_, err := b.Recv(s.ctx)
		if err == nil {
			continue // what came before the leave
		}
		if !errors.Is(err, cpg.ErrClosed) {
			s.Errorf("receive after leave: %v", err)
		}
		break
	}
	again := s.join(2, "g", cpg.JoinConfig{})
	s.view(a, having(1))
	v := s.view(a, having(2))
	if len(v.Joined) != 1 || v.Joined[0].ID != again.ID() {
		s.Errorf("after joining anew %+v", v)
	}
}

func groups(s *suite) {
	s.beyondLibcpg("meta data in lists of groups")
	s.join(1, "one", cpg.JoinConfig{Meta: []byte("m")})
	b := s.join(2, "two", cpg.JoinConfig{})
	s.join(2, "one", cpg.JoinConfig{})
	_, err := b.SendSafe(s.ctx, nil) // all joins are behind it
	s.must(err)
	list, err := s.c.Clients[2].Groups(s.ctx)
	s.must(err)
	if len(list) != 2 || list[0].Name != "one" || len(list[0].Members) != 2 || string(list[0].Members[0].Meta) != "m" || list[1].Members[0].ID != b.ID() {
		s.Errorf("%+v", list)
	}
}

func contexts(s *suite) {
	a := s.join(1, "g", cpg.JoinConfig{})
	s.recv(a)
	ctx, cancel := context.WithTimeout(s.ctx, time.Millisecond)
	defer cancel()
	if _, err := a.Recv(ctx); !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("receive: %v", err)
	}
	s.send(a, "still here")
	if m := s.message(a); string(m.Body) != "still here" {
		s.Errorf("got %q", m.Body)
	}
	for ev, err := range a.All(ctx) {
		if !errors.Is(err, context.DeadlineExceeded) {
			s.Errorf("%v, %v", ev, err)
		}
	}
}

// ledger is a machine whose state is all messages that it applied.
type ledger struct {
	mu       sync.Mutex
	lines    []string
	restored int
	blocks   chan struct{} // if not nil, its state is readable when this is closed
	digests  bool
	views    []cpg.View
	changed  chan struct{}
}

func (l *ledger) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	if l.changed != nil {
		close(l.changed)
	}
	l.changed = make(chan struct{})
}

func (l *ledger) Apply(m cpg.Message) { l.note(func() { l.lines = append(l.lines, string(m.Body)) }) }
func (l *ledger) SetView(v cpg.View)  { l.note(func() { l.views = append(l.views, v) }) }
func (l *ledger) Digest() []byte {
	if !l.digests {
		return nil
	}
	sum := sha256.Sum256([]byte(l.text()))
	return sum[:]
}

func (l *ledger) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

func (l *ledger) Snapshot() (io.ReadCloser, error) {
	r := io.Reader(strings.NewReader(l.text()))
	if l.blocks != nil {
		r = io.MultiReader(blocker(l.blocks), r)
	}
	return io.NopCloser(r), nil
}

type blocker chan struct{}

func (b blocker) Read([]byte) (int, error) {
	<-b
	return 0, io.EOF
}

func (l *ledger) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l.note(func() {
		l.restored++
		l.lines = nil
		if len(b) > 0 {
			l.lines = strings.Split(string(b), "\n")
		}
	})
	return nil
}

// run has a member run a ledger.
func (s *suite) run(m *cpg.Member, l *ledger) *ledger {
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.Run(ctx, l); !errors.Is(err, context.Canceled) && !errors.Is(err, cpg.ErrClosed) {
			s.Errorf("run: %v", err)
		}
	}()
	s.Cleanup(func() { cancel(); <-done })
	return l
}

// until waits for a ledger.
func (s *suite) until(l *ledger, what string, right func(*ledger) bool) {
	s.Helper()
	for {
		l.note(func() {})
		l.mu.Lock()
		ok, changed := right(l), l.changed
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			s.Fatalf("%s: not within %v; the ledger has %q, restored %d times", what, patience, l.text(), l.restored)
		}
	}
}

// certain reports whether all members of the last view have the state.
func certain(l *ledger) bool {
	if len(l.views) == 0 {
		return false
	}
	v := l.views[len(l.views)-1]
	return v.Majority && !slices.ContainsFunc(v.Members, func(p cpg.Peer) bool { return !p.HasState })
}

func lines(n int) func(*ledger) bool { return func(l *ledger) bool { return len(l.lines) == n } }

var stateful = cpg.JoinConfig{Stateful: true}

func newcomer(s *suite) {
	am := s.join(1, "g", stateful)
	a := s.run(am, &ledger{})
	for k := range 100 {
		s.send(am, fmt.Sprint("a line that fills the state ", k, strings.Repeat(".", 3000)))
	}
	bm := s.join(2, "g", stateful)
	b := s.run(bm, &ledger{})
	for k := range 100 {
		s.send(am, fmt.Sprint("another line ", k))
	}
	s.until(a, "all lines at a", lines(200))
	s.until(b, "all lines at b", lines(200))
	if a.text() != b.text() || b.restored != 1 || a.restored != 0 {
		s.Errorf("equal: %v, restored %d and %d times", a.text() == b.text(), a.restored, b.restored)
	}
	s.until(a, "a view in which b has the state", func(l *ledger) bool {
		p, ok := l.views[len(l.views)-1].Member(bm.ID())
		return ok && p.HasState
	})
}

func unread(s *suite) {
	s.run(s.join(1, "g", stateful), &ledger{lines: []string{"x"}})
	b := s.join(2, "g", stateful)
	for {
		ev, err := b.Recv(s.ctx)
		s.must(err)
		if _, ok := ev.(*cpg.State); ok {
			break
		}
	}
	if _, err := b.Recv(s.ctx); !errors.Is(err, cpg.ErrStateUnread) {
		s.Errorf("the next event without reading the state: %v", err)
	}
}

func lastGiverLeaves(s *suite) {
	s.beyondLibcpg("the transfer of state")
	am := s.join(1, "g", stateful)
	a := s.run(am, &ledger{blocks: make(chan struct{})})
	defer close(a.blocks)
	b := s.join(2, "g", stateful)
	state := func() *cpg.State {
		for {
			if st, ok := s.recv(b).(*cpg.State); ok {
				return st
			}
		}
	}
	half := state()
	s.must(am.Leave(s.ctx))
	if _, err := io.ReadAll(half); !errors.Is(err, cpg.ErrStateAnew) {
		s.Fatalf("the state of a giver that left: %v", err)
	}
	if lost := state(); !lost.Lost {
		s.Fatalf("got a state of %v", lost.From)
	} else if _, err := io.ReadAll(lost); err != nil {
		s.Fatal(err)
	}
	s.send(b, "goes on")
	if m := s.message(b); string(m.Body) != "goes on" {
		s.Errorf("got %q", m.Body)
	}
}

// needsFaults leaves a test out where the cluster has no such fault.
func (s *suite) needsFaults(there bool) {
	if !there {
		s.Skip("this cluster has no such fault")
	}
}

// beyondLibcpg leaves a test out where programs reach their members as those of
// libcpg do.
func (s *suite) beyondLibcpg(what string) {
	s.Helper()
	if s.c.Libcpg {
		s.Skip("libcpg does not have " + what)
	}
}

func split(s *suite) {
	s.needsFaults(s.c.Split != nil)
	a, b, c := s.join(1, "g", cpg.JoinConfig{}), s.join(2, "g", cpg.JoinConfig{}), s.join(3, "g", cpg.JoinConfig{})
	for _, m := range []*cpg.Member{a, b, c} {
		s.view(m, having(3))
	}
	s.c.Split([]cpg.NodeID{1, 2}, []cpg.NodeID{3})
	v := s.view(a, having(2))
	if len(v.Left) != 1 || v.Left[0] != (cpg.Change{ID: c.ID(), Reason: cpg.ReasonNodeDown}) {
		s.Errorf("the larger side: %+v", v)
	}
	if !s.c.Libcpg && (!v.Quorate || !v.Majority || v.Votes != 2 || !slices.Equal(v.Came, []cpg.NodeID{1, 2})) {
		s.Errorf("the numbers of the larger side: %+v", v)
	}
	if v := s.view(c, having(1)); !s.c.Libcpg && (v.Quorate || v.Majority || len(v.Nodes) != 1) {
		s.Errorf("the smaller side: %+v", v)
	}
	s.c.Heal()
	v = s.view(a, having(3))
	if len(v.Joined) != 1 || v.Joined[0] != (cpg.Change{ID: c.ID(), Reason: cpg.ReasonNodeUp}) {
		s.Errorf("after the cut: %+v", v)
	}
	if !s.c.Libcpg && (!slices.Equal(v.Came, []cpg.NodeID{1, 2}) || !v.Quorate) {
		s.Errorf("the numbers after the cut: %+v", v)
	}
	if v := s.view(c, having(3)); len(v.Joined) != 2 || !s.c.Libcpg && !slices.Equal(v.Came, []cpg.NodeID{3}) {
		s.Errorf("after the cut: %+v", v)
	}
}

func merge(s *suite) {
	s.needsFaults(s.c.Split != nil)
	am, bm, cm := s.join(1, "g", stateful), s.join(2, "g", stateful), s.join(3, "g", stateful)
	a, b, c := s.run(am, &ledger{}), s.run(bm, &ledger{}), s.run(cm, &ledger{})
	s.send(am, "before")
	for _, l := range []*ledger{a, b, c} {
		s.until(l, "the first line, and a state that a majority is certain of", func(l *ledger) bool { return lines(1)(l) && certain(l) })
	}
	s.c.Split([]cpg.NodeID{2, 3}, []cpg.NodeID{1})
	s.send(am, "lost with the smaller side")
	s.send(bm, "kept")
	s.until(a, "the own line", lines(2))
	s.until(c, "the line of the larger side", lines(2))
	s.c.Heal()
	s.send(am, "after")
	for _, l := range []*ledger{a, b, c} {
		s.until(l, "one state", func(l *ledger) bool { return strings.Join(l.lines, ",") == "before,kept,after" })
	}
}

func kept(s *suite) {
	s.needsFaults(s.c.Split != nil)
	am, bm := s.join(1, "g", stateful), s.join(3, "g", stateful)
	a, b := s.run(am, &ledger{digests: true}), s.run(bm, &ledger{digests: true})
	s.send(am, "before")
	s.until(a, "the first line", lines(1))
	s.until(b, "the first line", lines(1))
	before := b.restored
	s.c.Split([]cpg.NodeID{1, 2}, []cpg.NodeID{3})
	s.c.Heal()
	s.send(am, "after")
	s.until(b, "the line after the cut", lines(2))
	if b.restored != before {
		s.Errorf("the state was sent though both had the same")
	}
}

func giverDies(s *suite) {
	s.needsFaults(s.c.Kill != nil)
	bm := s.join(2, "g", stateful)
	b := s.run(bm, &ledger{})
	s.send(bm, "x")
	am := s.join(1, "g", stateful) // the lowest member gives
	a := s.run(am, &ledger{blocks: make(chan struct{})})
	s.until(a, "the state at a", lines(1))
	defer close(a.blocks)
	s.until(b, "a view in which a has the state", func(l *ledger) bool {
		p, ok := l.views[len(l.views)-1].Member(am.ID())
		return ok && p.HasState
	})
	c := s.run(s.join(3, "g", stateful), &ledger{})
	s.c.Kill(1)
	s.until(c, "the state from another giver", lines(1))
	s.send(bm, "y")
	s.until(c, "the next line", lines(2))
	s.until(b, "the next line", lines(2))
}

func memberDies(s *suite) {
	s.needsFaults(s.c.Kill != nil)
	a, b := s.join(1, "g", cpg.JoinConfig{}), s.join(3, "g", cpg.JoinConfig{})
	s.view(a, having(2))
	s.c.Kill(3)
	if v := s.view(a, having(1)); v.Left[0].Reason != cpg.ReasonNodeDown || !s.c.Libcpg && !v.Quorate {
		s.Errorf("%+v", v)
	}
	for {
		if _, err := b.Recv(s.ctx); err != nil {
			if !errors.Is(err, cpg.ErrClosed) {
				s.Errorf("the stream of a dead member ends with %v", err)
			}
			break
		}
	}
}
