package cfg

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

// host is a node that writes down what it is asked for.
type host struct {
	id   proto.NodeID
	did  []string
	file string // empty: good
	slow bool   // checks do not end by themselves

	facts string // of the file
	done  func(File, error)

	checks, ends int
	versions     map[proto.NodeID]uint64
}

func (h *host) note(format string, args ...any) { h.did = append(h.did, fmt.Sprintf(format, args...)) }

func (h *host) Nodes() (all []NodeStatus) {
	for id := proto.NodeID(1); id <= 3; id++ {
		all = append(all, NodeStatus{Node: id, Reachable: id != 3, Links: []Link{{Number: 0, Connected: id != 3, MTU: 1446,
			Source: fmt.Sprint("192.0.2.", h.id), Dest: fmt.Sprint("192.0.2.", id)}}})
	}
	return all
}

func (h *host) Plain() bool                             { return false }
func (h *host) Reopen() error                           { h.note("reopen"); return nil }
func (h *host) Leave()                                  { h.note("leave") }
func (h *host) Kill(by proto.NodeID, reason string)     { h.note("killed by %d: %s", by, reason) }
func (h *host) ShutdownTime() time.Duration             { return 5 * time.Second }
func (h *host) Version() uint64                         { return 100 + uint64(h.id) }
func (h *host) MemberVersion(id proto.NodeID, v uint64) { h.versions[id] = v }

func (h *host) ReloadOrdered(proto.NodeID) {}

func (h *host) Check(done func(File, error)) {
	if h.checks != h.ends {
		panic("a check while another one is in work")
	}
	h.checks++
	h.done = done
	if !h.slow {
		h.finish()
	}
}

func (h *host) finish() {
	if h.file != "" {
		h.done(File{}, errors.New(h.file))
		return
	}
	h.done(File{Version: 1, Facts: []byte(h.facts)}, nil)
}

// Agree holds all facts against those of who asked.
func (h *host) Agree(origin proto.NodeID, facts []Facts) (refused []string) {
	i := slices.IndexFunc(facts, func(f Facts) bool { return f.Node == origin })
	for _, f := range facts {
		if string(f.Facts) != string(facts[i].Facts) {
			refused = append(refused, fmt.Sprintf("%d: another file than that of %d", f.Node, origin))
		}
	}
	return refused
}

func (h *host) Apply() {
	h.ends++
	h.note("apply")
}

func (h *host) Drop(code service.Code) {
	h.ends++
	h.note("drop %s", code.String())
}

// took returns what the node did since the last call.
func (h *host) took() []string {
	d := h.did
	h.did = nil
	return d
}

// stage is a cluster of nodes in one ring.
type stage struct {
	t     servicetest.T
	c     *servicetest.Cluster
	hosts []*host
}

func newStage(t servicetest.T, n int) *stage {
	s := &stage{t: t}
	s.c = servicetest.New(t, n, func(id servicetest.NodeID) []service.Service {
		h := &host{id: id, versions: map[proto.NodeID]uint64{}}
		for len(s.hosts) < int(id) {
			s.hosts = append(s.hosts, nil)
		}
		s.hosts[id-1] = h
		members := New(h)
		return []service.Service{members, members.Groups(groups.Config{})}
	})
	s.c.Run()
	s.merge()
	return s
}

func (s *stage) merge() {
	s.c.Split(s.c.All())
	s.c.Run()
}

func (s *stage) open(id servicetest.NodeID) *servicetest.Conn { return s.c.Node(id).Open(ID) }

func (s *stage) want(a *servicetest.Answer, code service.Code) {
	s.t.Helper()
	if !a.Done || a.Code != code {
		s.t.Fatalf("answered %v with %v, want %v", a.Done, a.Code, code)
	}
}

// all checks what the nodes did.
func (s *stage) all(want ...string) {
	s.t.Helper()
	for _, h := range s.hosts {
		if got := h.took(); !slices.Equal(got, want) {
			s.t.Fatalf("node %d did %q, want %q", h.id, got, want)
		}
	}
}

func TestKill(t *testing.T) {
	s := newStage(t, 2)
	c := s.open(1)
	s.want(c.Call(CallKill, KillRequest{9, "x"}.AppendTo(nil)), service.ErrNotExist)
	s.want(c.Call(CallKill, KillRequest{0, "x"}.AppendTo(nil)), service.ErrNotExist)
	s.want(c.Call(CallKill, KillRequest{2, "because"}.AppendTo(nil)), service.OK)
	s.c.Run()
	if got := s.hosts[0].took(); got != nil {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"killed by 1: because"}, s.hosts[1].took()); diff != "" {
		t.Error(diff)
	}
	s.want(c.Call(CallKill, KillRequest{1, "myself"}.AppendTo(nil)), service.OK)
	s.c.Run()
	if diff := cmp.Diff([]string{"killed by 1: myself"}, s.hosts[0].took()); diff != "" {
		t.Error(diff)
	}
}

func TestStatus(t *testing.T) {
	s := newStage(t, 3)
	c := s.open(1)
	a := c.Call(CallRings, nil)
	got, err := ParseRings(a.Body)
	if diff := cmp.Diff(Rings{[]Ring{{0, "192.0.2.1", "n31"}}}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for node, want := range map[proto.NodeID]proto.NodeID{0: 1, 2: 2} {
		st, err := ParseNode(c.Call(CallNode, NodeRequest{node}.AppendTo(nil)).Body)
		if err != nil || st.Node != want || len(st.Links) != 1 {
			t.Errorf("%+v, %v", st, err)
		}
	}
	s.want(c.Call(CallNode, NodeRequest{9}.AppendTo(nil)), service.ErrFailedOp)
	s.want(c.Call(CallReopen, nil), service.OK)
	for fn := range numCalls {
		s.want(c.Call(fn, []byte{1, 2, 3}), map[uint16]service.Code{CallRings: service.OK, CallReopen: service.OK,
			CallTrackStart: service.OK, CallTrackStop: service.OK, CallReload: 0}[fn]+map[bool]service.Code{true: service.ErrInvalidParam}[takesBody(fn)])
		s.c.Run()
		if fn == CallTryShutdown {
			break // reload is answered later
		}
	}
	for _, h := range s.hosts {
		if v := h.versions; v[1] != 101 || v[2] != 102 || v[3] != 103 {
			t.Errorf("node %d knows %v", h.id, v)
		}
	}
}

func takesBody(fn uint16) bool {
	return slices.Contains([]uint16{CallNode, CallKill, CallTryShutdown, CallVote}, fn)
}

// asked are the questions that a client got since the last call.
func asked(t *testing.T, c *servicetest.Conn) (out []Shutdown) {
	t.Helper()
	for _, e := range c.Events {
		q, err := ParseShutdown(e.Body)
		if err != nil || e.Kind != EventShutdown {
			t.Fatalf("event %d %x: %v", e.Kind, e.Body, err)
		}
		out = append(out, q)
	}
	c.Events = nil
	return out
}

// Every way through a shutdown (corosync-ipc 2.5).
func TestShutdown(t *testing.T) {
	yes, no := VoteRequest{true}.AppendTo(nil), VoteRequest{false}.AppendTo(nil)
	for _, tt := range []struct {
		name   string
		flags  uint32
		play   func(s *stage, a, b *servicetest.Conn, by *servicetest.Conn)
		code   service.Code // zero: no answer
		leaves bool
	}{
		{"all say yes", Ask, func(s *stage, a, b, _ *servicetest.Conn) { a.Call(CallVote, yes); b.Call(CallVote, yes) }, service.OK, true},
		{"one says no", Ask, func(s *stage, a, b, _ *servicetest.Conn) { a.Call(CallVote, no); b.Call(CallVote, yes) }, service.ErrBusyCode, false},
		{"one says no, regardless", Regardless, func(s *stage, a, b, _ *servicetest.Conn) { a.Call(CallVote, no); b.Call(CallVote, yes) }, service.OK, true},
		{"one does not answer yet", Ask, func(s *stage, a, b, _ *servicetest.Conn) { a.Call(CallVote, yes) }, 0, false},
		{"an answer counts once", Ask, func(s *stage, a, b, _ *servicetest.Conn) { a.Call(CallVote, yes); a.Call(CallVote, yes) }, 0, false},
		{"one says no and others are waited for", Ask, func(s *stage, a, b, _ *servicetest.Conn) { a.Call(CallVote, no) }, 0, false},
		{"one never answers", Ask, func(s *stage, a, b, _ *servicetest.Conn) { a.Call(CallVote, yes); s.c.Advance(5 * time.Second) }, service.ErrBusyCode, false},
		{"one never answers, regardless", Regardless, func(s *stage, a, b, _ *servicetest.Conn) { s.c.Advance(5 * time.Second) }, service.OK, true},
		{"one stops tracking", Ask, func(s *stage, a, b, _ *servicetest.Conn) { a.Call(CallVote, yes); b.Call(CallTrackStop, nil) }, service.OK, true},
		{"one ends", Ask, func(s *stage, a, b, _ *servicetest.Conn) { a.Call(CallVote, yes); b.Leave() }, service.OK, true},
		{"who asked ends", Ask, func(s *stage, a, b, by *servicetest.Conn) { a.Call(CallVote, yes); by.Leave(); b.Call(CallVote, yes) }, 0, false},
		{"who asked tracks too", Ask, func(s *stage, a, b, by *servicetest.Conn) {
			by.Call(CallTrackStart, nil)
			a.Call(CallVote, yes)
			b.Call(CallVote, yes)
		}, service.OK, true},
		{"one comes late", Ask, func(s *stage, a, b, _ *servicetest.Conn) {
			late := s.open(1)
			late.Call(CallTrackStart, nil)
			a.Call(CallVote, yes)
			b.Call(CallVote, yes)
		}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, 2)
			a, b, by := s.open(1), s.open(1), s.open(1)
			a.Call(CallTrackStart, nil)
			a.Call(CallTrackStart, nil)
			b.Call(CallTrackStart, nil)
			answer := by.Call(CallTryShutdown, ShutdownRequest{tt.flags}.AppendTo(nil))
			s.c.Run()
			for _, c := range []*servicetest.Conn{a, b} {
				if diff := cmp.Diff([]Shutdown{{tt.flags, false}}, asked(t, c)); diff != "" {
					t.Error(diff)
				}
			}
			s.want(s.open(1).Call(CallTryShutdown, ShutdownRequest{Ask}.AppendTo(nil)), service.ErrExist)
			tt.play(s, a, b, by)
			s.c.Run()
			if answer.Done != (tt.code != 0) || answer.Code != tt.code {
				t.Errorf("answered %v with %v", answer.Done, answer.Code)
			}
			left := slices.Contains(s.hosts[0].took(), "leave")
			if left != tt.leaves || len(s.hosts[1].took()) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestShutdown_WithoutTrackers(t *testing.T) {
	s := newStage(t, 2)
	c := s.open(2)
	s.want(c.Call(CallVote, VoteRequest{true}.AppendTo(nil)), service.ErrAccess)
	s.want(c.Call(CallTryShutdown, ShutdownRequest{3}.AppendTo(nil)), service.ErrInvalidParam)
	s.want(c.Call(CallTryShutdown, ShutdownRequest{Ask}.AppendTo(nil)), service.OK)
	s.c.Run()
	if diff := cmp.Diff([]string{"leave"}, s.hosts[1].took()); diff != "" {
		t.Error(diff)
	}
	tracker := s.open(1)
	tracker.Call(CallTrackStart, nil)
	s.want(s.open(1).Call(CallTryShutdown, ShutdownRequest{Immediate}.AppendTo(nil)), service.OK)
	s.c.Run()
	if diff := cmp.Diff([]string{"leave"}, s.hosts[0].took()); diff != "" {
		t.Error(diff)
	}
	if got := asked(t, tracker); got != nil {
		t.Error("asked although it is immediate")
	}
}

func TestShutdown_TimeoutIsTold(t *testing.T) {
	s := newStage(t, 1)
	a, by := s.open(1), s.open(1)
	a.Call(CallTrackStart, nil)
	answer := by.Call(CallTryShutdown, ShutdownRequest{Ask}.AppendTo(nil))
	s.c.Advance(5 * time.Second)
	s.want(answer, service.ErrBusyCode)
	if diff := cmp.Diff([]Shutdown{{Ask, false}, {Ask, true}}, asked(t, a)); diff != "" {
		t.Error(diff)
	}
	s.want(a.Call(CallVote, VoteRequest{true}.AppendTo(nil)), service.ErrAccess)
}

func TestReload_AllAgree(t *testing.T) {
	s := newStage(t, 3)
	answer := s.open(2).Call(CallReload, nil)
	s.c.Run()
	s.want(answer, service.OK)
	s.all("apply")
}

func TestReload_FilesDisagree(t *testing.T) {
	s := newStage(t, 3)
	s.hosts[0].facts, s.hosts[2].facts = "four nodes", "four nodes"
	answer := s.open(1).Call(CallReload, nil)
	s.c.Run()
	s.want(answer, service.ErrInvalidParam)
	if got := string(answer.Body); got != "2: another file than that of 1" {
		t.Errorf("refused by %q", got)
	}
	s.all("drop invalid-param")
}

func TestReload_OneRefuses(t *testing.T) {
	s := newStage(t, 3)
	s.hosts[2].file = "corosync.conf:3:1: unknown transport"
	answer := s.open(1).Call(CallReload, nil)
	s.c.Run()
	s.want(answer, service.ErrInvalidParam)
	if got := string(answer.Body); got != "node3: corosync.conf:3:1: unknown transport" {
		t.Errorf("%q", got)
	}
	s.all("drop invalid-param")
}

// A change of the ring ends the attempt; the member that was asked tries anew.
func TestReload_RingChanges(t *testing.T) {
	s := newStage(t, 3)
	s.hosts[2].slow = true
	answer := s.open(1).Call(CallReload, nil)
	s.c.Run()
	late := s.hosts[2].done
	s.want(s.open(1).Call(CallReload, nil), service.ErrBusyCode)
	s.c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	s.c.Run()
	s.want(answer, service.OK)
	for i, want := range []string{"drop interrupt apply", "drop interrupt apply", "drop interrupt"} {
		if got := strings.Join(s.hosts[i].took(), " "); got != want {
			t.Errorf("node %d: %s", i+1, got)
		}
	}
	late(File{}, nil) // nobody waits for it any more
	s.merge()
	s.all()
}

func TestReload_EndlessCheck(t *testing.T) {
	s := newStage(t, 2)
	s.hosts[1].slow = true
	answer := s.open(1).Call(CallReload, nil)
	s.c.Run()
	s.c.Advance(reloadTime)
	s.c.Run()
	s.want(answer, service.ErrTimeout)
	s.all("drop timeout")
	s.hosts[1].slow = false
	answer = s.open(1).Call(CallReload, nil)
	s.c.Run()
	s.want(answer, service.OK)
	s.all("apply")
}

func TestReload_RingThatKeepsChanging(t *testing.T) {
	s := newStage(t, 2)
	s.hosts[1].slow = true
	answer := s.open(1).Call(CallReload, nil)
	for range maxTries {
		s.c.Run()
		s.c.Split([]servicetest.NodeID{1}, []servicetest.NodeID{2})
		s.merge()
		if answer.Done {
			break
		}
	}
	s.c.Run()
	if !answer.Done {
		t.Fatal("no answer")
	}
}

// Who asks while another attempt is in work, here or there, learns that; of
// attempts that cross one counts.
func TestReload_Crossing(t *testing.T) {
	s := newStage(t, 2)
	a := s.open(1).Call(CallReload, nil)
	b := s.open(2).Call(CallReload, nil)
	s.c.Run()
	if codes := []service.Code{a.Code, b.Code}; !a.Done || !b.Done || !slices.Contains(codes, service.OK) {
		t.Errorf("%v %v", a, b)
	}
	for _, h := range s.hosts {
		if got := h.took(); !slices.Contains(got, "apply") || len(got) > 2 {
			t.Errorf("node %d: %q", h.id, got)
		}
	}
}

func TestReload_WithoutRoom(t *testing.T) {
	s := newStage(t, 2)
	answer := s.open(1).Call(CallReload, nil)
	s.hosts[1].slow = true
	s.c.Run()
	s.c.Node(2).Full = true
	s.hosts[1].finish()
	s.c.Run()
	s.all()
	s.c.Node(2).Full = false
	s.c.Advance(retryTime)
	s.c.Run()
	s.want(answer, service.OK)
	s.all("apply")
}

// Whatever happens in between: members that go together do the same, each
// attempt ends, and every client gets its answer once rings stay.
func TestReload_Random(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const nodes = 4
		s := newStage(t, nodes)
		var answers []*servicetest.Answer
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				answers = append(answers, s.open(servicetest.NodeID(rapid.IntRange(1, nodes).Draw(t, "node"))).Call(CallReload, nil))
			case 1:
				h := s.hosts[rapid.IntRange(0, nodes-1).Draw(t, "slow")]
				h.slow = !h.slow
			case 2:
				h := s.hosts[rapid.IntRange(0, nodes-1).Draw(t, "bad")]
				h.file = rapid.SampledFrom([]string{"", "bad"}).Draw(t, "file")
				h.facts = rapid.SampledFrom([]string{"", "", "others"}).Draw(t, "facts")
			case 3:
				cut := rapid.IntRange(1, nodes-1).Draw(t, "cut")
				all := s.c.All()
				s.c.Split(all[:cut], all[cut:])
			case 4:
				for range rapid.IntRange(1, 30).Draw(t, "work") {
					s.c.Step(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "next") })
				}
			}
		}
		for _, h := range s.hosts {
			h.slow = false
		}
		s.merge()
		s.c.Advance(reloadTime)
		s.c.Run()
		s.c.Advance(reloadTime)
		s.c.Run()
		for _, a := range answers {
			if !a.Done {
				t.Fatal("a client has no answer")
			}
		}
		for _, h := range s.hosts {
			if h.checks != h.ends {
				t.Fatalf("node %d: %d checks, %d ends", h.id, h.checks, h.ends)
			}
		}
		// In a ring that stays all do the same.
		for _, h := range s.hosts {
			h.took()
		}
		s.open(1).Call(CallReload, nil)
		s.c.Run()
		first := s.hosts[0].took()
		for _, h := range s.hosts[1:] {
			if got := h.took(); !slices.Equal(got, first) {
				t.Fatalf("node 1 did %q, node %d %q", first, h.id, got)
			}
		}
	})
}

// Whatever members say, no node falls over.
func FuzzDeliver(f *testing.F) {
	for fn, m := range [][]byte{KillRequest{1, "x"}.AppendTo(nil), nil, {1, 0, 0, 0, 0, 0, 0, 0}} {
		f.Add(uint16(fn), uint32(1), m)
	}
	f.Fuzz(func(t *testing.T, fn uint16, from uint32, body []byte) {
		s := newStage(t, 2)
		svc := s.c.Node(1).Service(ID).(*Service)
		svc.Deliver(service.Message{From: proto.NodeID(from), Func: fn % 4, Body: body})
		s.c.Run()
	})
}
