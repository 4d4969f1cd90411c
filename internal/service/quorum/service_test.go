package quorum

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

type cluster struct {
	*servicetest.Cluster
	t servicetest.T
}

func provider(nodes int) Config {
	return Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: uint32(nodes)}}
}

// start runs n nodes, each alone in its ring.
func start(t servicetest.T, n int, cfg Config) cluster {
	c := cluster{servicetest.New(t, n, func(servicetest.NodeID) []service.Service { return []service.Service{New(cfg)} }), t}
	c.Run()
	return c
}

// form gives the nodes rings and runs their rounds.
func (c cluster) form(blocks ...[]servicetest.NodeID) {
	c.Split(blocks...)
	c.Run()
	c.Check()
}

func ids(n ...servicetest.NodeID) []servicetest.NodeID { return n }

// watcher is a client.
type watcher struct {
	*servicetest.Conn
	c    cluster
	seen int
}

func (c cluster) watch(node servicetest.NodeID, flags uint32) *watcher {
	w := &watcher{Conn: c.Node(node).Open(ID), c: c}
	w.want(w.track(flags), service.OK)
	return w
}

func (w *watcher) track(flags uint32) *servicetest.Answer {
	return w.Call(CallTrackStart, TrackRequest{flags}.AppendTo(nil))
}

func (w *watcher) want(a *servicetest.Answer, code service.Code) {
	w.c.t.Helper()
	if !a.Done || a.Code != code {
		w.c.t.Fatalf("answered %v with code %d, want %d", a.Done, a.Code, code)
	}
}

func (w *watcher) expect(lines ...string) {
	w.c.t.Helper()
	var got []string
	for _, e := range w.Events[w.seen:] {
		got = append(got, line(e))
	}
	w.seen = len(w.Events)
	if g, want := strings.Join(got, "\n"), strings.Join(lines, "\n"); g != want {
		w.c.t.Fatalf("got\n%s\nwant\n%s", g, want)
	}
}

func line(e servicetest.Event) string {
	switch e.Kind {
	case EventNodelist:
		l, err := ParseNodelist(e.Body)
		return fmt.Sprintf("nodes %v joined %v left %v%s", l.Members, l.Joined, l.Left, broken(err))
	case EventQuorum:
		q, err := ParseQuorum(e.Body)
		return fmt.Sprintf("quorate %v by %v in %v%s", q.Quorate, vote.Row(q.Row), q.Members, broken(err))
	case EventExpected:
		x, err := ParseExpected(e.Body)
		return fmt.Sprintf("expected %d%s", x.Votes, broken(err))
	case EventVotes:
		v, err := ParseVotes(e.Body)
		return fmt.Sprintf("votes quorate %v %v device %d%s", v.Quorate, v.Nodes, v.Device, broken(err))
	case EventCurrency:
		c, err := ParseCurrency(e.Body)
		return fmt.Sprintf("%v%s", c.Currency, broken(err))
	}
	return fmt.Sprintf("unknown event %d", e.Kind)
}

func broken(err error) string {
	if err != nil {
		return " " + err.Error()
	}
	return ""
}

func (c cluster) status(node servicetest.NodeID) Status {
	c.t.Helper()
	conn := c.Node(node).Open(ID)
	defer conn.Leave()
	p, err := ParseStatus(conn.Call(CallStatus, nil).Body)
	if err != nil {
		c.t.Fatalf("status: %v", err)
	}
	return p
}

// TestTrack_RingChanges is the story of vector 22: a node comes, and crashes
// with the quorum.
func TestTrack_RingChanges(t *testing.T) {
	c := start(t, 2, provider(2))
	w := c.watch(1, TrackCurrent|TrackChanges)
	w.expect("nodes [1] joined [] left []", "quorate false by minority in [1]")
	c.form(ids(1, 2))
	w.expect("nodes [1 2] joined [2] left []", "quorate true by majority in [1 2]")
	c.Crash(2)
	c.form(ids(1))
	w.expect("nodes [1] joined [] left [2]", "quorate false by minority in [1]")
	c.Restart(2)
	c.form(ids(1, 2))
	w.expect("nodes [1 2] joined [2] left []", "quorate true by majority in [1 2]")
	c.Crash(2)
	c.Restart(2)
	c.form(ids(1, 2))
	w.expect("nodes [1 2] joined [2] left [2]", "quorate true by majority in [1 2]")

	q, err := ParseQuorum(w.Events[len(w.Events)-1].Body)
	if want := (Votes{Expected: 2, Total: 2, Quorum: 2}); err != nil || q.Ring != c.Node(1).Ring() || q.Votes != want {
		t.Errorf("event %+v, %v; want ring %v and %+v", q, err, c.Node(1).Ring(), want)
	}
}

// TestTrack_OrderWithinTheRound looks between the two events: the list comes
// when the members are known, the decision when all have noted it.
func TestTrack_OrderWithinTheRound(t *testing.T) {
	c := start(t, 3, provider(3))
	w := c.watch(1, TrackChanges)
	w.seen = len(w.Events)
	c.Split(ids(1, 2, 3))
	pick := rand.New(rand.NewPCG(1, 1)).IntN
	for len(w.Events) == w.seen {
		c.Step(pick)
	}
	w.expect("nodes [1 2 3] joined [2 3] left []")
	if c.status(1).Quorate || c.Node(1).Quorum().Quorate {
		t.Error("quorate is shown before the round is complete")
	}
	c.Run()
	w.expect("quorate true by majority in [1 2 3]")
	if q := c.Node(1).Quorum(); !q.Quorate || q.Row != "majority" || q.Epoch != proto.Epoch(q.Ring.Seq) ||
		q.Text != "quorate: 3 votes are here of 3 expected, 2 needed" {
		t.Errorf("told the executive %+v", q)
	}
}

func TestTrack_Flags(t *testing.T) {
	c := start(t, 1, provider(1))
	state := []string{"nodes [1] joined [] left []", "quorate true by majority in [1]"}
	w := c.watch(1, TrackCurrent)
	w.expect(state...)
	c.form(ids(1))
	w.expect() // CURRENT alone does not track
	w.want(w.track(TrackChangesOnly), service.OK)
	w.expect()
	w.want(w.track(TrackCurrent), service.ErrExist)
	w.expect(state...) // sent even so
	c.form(ids(1))
	w.expect(state...)
	w.want(w.Call(CallTrackStop, nil), service.OK)
	w.want(w.Call(CallTrackStop, nil), service.OK)
	c.form(ids(1))
	w.expect()
	w.want(w.track(0), service.OK)
	w.want(w.Call(CallTrackStart, nil), service.ErrInvalidParam)
	w.expect()
}

func TestCalls_TypeAndQuorate(t *testing.T) {
	for _, test := range []struct {
		cfg     Config
		kind    Type
		quorate bool
	}{{provider(3), TypeSet, false}, {Config{}, TypeFree, true}} {
		c := start(t, 1, test.cfg)
		w := c.watch(1, 0)
		for model := range uint32(2) {
			a := w.Call(CallGetType, TypeRequest{model}.AppendTo(nil))
			if r, err := ParseType(a.Body); err != nil || r.Type != test.kind {
				t.Errorf("type %d, %v; want %d", r.Type, err, test.kind)
			}
		}
		w.want(w.Call(CallGetType, TypeRequest{2}.AppendTo(nil)), service.ErrInvalidParam)
		if r, err := ParseQuorate(w.Call(CallGetQuorate, nil).Body); err != nil || r.Quorate != test.quorate {
			t.Errorf("quorate %v, %v; want %v", r.Quorate, err, test.quorate)
		}
	}
}

func TestNoProvider(t *testing.T) {
	c := start(t, 2, Config{})
	w := c.watch(1, TrackCurrent|TrackChanges)
	w.expect("nodes [1] joined [] left []", "quorate true by no-provider in []")
	c.form(ids(1, 2))
	w.expect("nodes [1 2] joined [2] left []") // no quorum event follows
	if q := c.Node(2).Quorum(); !q.Quorate || q.Row != "no-provider" || q.Ring != c.Node(2).Ring() {
		t.Errorf("told the executive %+v", q)
	}
	if q, _ := ParseQuorum(w.Events[1].Body); !q.Ring.IsZero() {
		t.Errorf("ring %v, want none", q.Ring)
	}
}

// TestProviders_Differ has one node without a provider: nobody waits for ever.
func TestProviders_Differ(t *testing.T) {
	c := cluster{servicetest.New(t, 2, func(n servicetest.NodeID) []service.Service {
		cfg := provider(1)
		cfg.Provider = n == 1
		return []service.Service{New(cfg)}
	}), t}
	c.Split(ids(1, 2))
	c.Run()
	if a, b := c.Node(1).Quorum(), c.Node(2).Quorum(); a.Row != "majority" || b.Row != "no-provider" {
		t.Errorf("decided by %q and %q", a.Row, b.Row)
	}
}

func TestTwoNode_WaitForAll(t *testing.T) {
	cfg := provider(2)
	cfg.Vote.TwoNode, cfg.Vote.WaitForAll = true, true
	c := start(t, 2, cfg)
	if p := c.status(1); p.Quorate || !p.Waiting || p.Why != "not quorate: wait_for_all holds until all 2 votes were here at once; 1 vote is here now" {
		t.Errorf("after the start: %+v", p)
	}
	c.form(ids(1, 2))
	if p := c.status(2); !p.Quorate || p.Waiting || vote.Row(p.Row) != vote.RowAllSeen {
		t.Errorf("both: %+v", p)
	}
	c.Crash(1)
	c.form(ids(2))
	if p := c.status(2); !p.Quorate || !p.Fencing || vote.Row(p.Row) != vote.RowTwoNode {
		t.Errorf("the survivor: %+v", p)
	}
	c.Restart(1)
	c.Run()
	if p := c.status(1); p.Quorate {
		t.Errorf("back and alone: %+v", p)
	}
	c.form(ids(1, 2))
	if p := c.status(1); !p.Quorate || p.Waiting {
		t.Errorf("both again: %+v", p)
	}
}

func TestStatus_Nodes(t *testing.T) {
	c := start(t, 3, provider(3))
	c.form(ids(1, 2), ids(3))
	p := c.status(1)
	want := []NodeStatus{{1, true, 1, 3}, {2, true, 1, 3}, {3, false, 0, 0}}
	if fmt.Sprint(p.Nodes) != fmt.Sprint(want) || !p.Quorate || p.Epoch != proto.Epoch(c.Node(1).Ring().Seq) {
		t.Errorf("got %+v, want nodes %v", p, want)
	}
}

func TestCurrency(t *testing.T) {
	c := start(t, 1, provider(1))
	w := c.watch(1, TrackChanges)
	w.seen = len(w.Events)
	s := c.Node(1).Service(ID).(*Service)

	s.Current(service.CurrencyReconfiguring)
	w.expect("reconfiguring") // what was shown stays
	if p := c.status(1); !p.Quorate || p.Currency != service.CurrencyReconfiguring {
		t.Errorf("reconfiguring: %+v", p)
	}
	s.Current(service.CurrencyUnknown)
	w.expect("unknown", "quorate false by majority in [1]")
	if p := c.status(1); p.Quorate {
		t.Errorf("after a pause: %+v", p)
	}
	late := c.watch(1, TrackCurrent)
	late.expect("nodes [1] joined [] left []", "quorate false by majority in [1]", "unknown")
	s.Current(service.CurrencyNow)
	w.expect("current", "quorate true by majority in [1]")
	s.Current(service.CurrencyUnknown)
	w.seen = len(w.Events)
	c.form(ids(1))
	w.expect("nodes [1] joined [] left []", "current", "quorate true by majority in [1]")
}

func TestCurrency_NoProvider(t *testing.T) {
	c := start(t, 1, Config{})
	w := c.watch(1, TrackChanges)
	w.seen = len(w.Events)
	c.Node(1).Service(ID).(*Service).Current(service.CurrencyUnknown)
	c.form(ids(1))
	var quorate []bool
	for _, e := range w.Events[w.seen:] {
		if e.Kind == EventQuorum {
			q, err := ParseQuorum(e.Body)
			if err != nil {
				t.Fatal(err)
			}
			quorate = append(quorate, q.Quorate)
		}
	}
	if !slices.Equal(quorate, []bool{false, true}) {
		t.Errorf("after a pause and another ring clients were told %v", quorate)
	}
}

func TestRecord_KeptOverRestart(t *testing.T) {
	c := start(t, 3, provider(3))
	c.form(ids(1, 2, 3))
	r := c.Node(1).Record()
	if want := fmt.Sprintf("{%d [1 2 3] []}", c.Node(1).Ring().Seq); fmt.Sprint(r.Primary) != want {
		t.Errorf("record %v, want %v", r.Primary, want)
	}
	c.Crash(1)
	c.Restart(1)
	c.Run()
	if p := c.status(1); p.Quorate || p.Epoch != r.Primary.Epoch {
		t.Errorf("after a restart: %+v, want epoch %d", p, r.Primary.Epoch)
	}
}

func TestOverflow_EndsTheConnection(t *testing.T) {
	c := start(t, 1, provider(1))
	a, b := c.watch(1, TrackChanges), c.watch(1, TrackChanges)
	a.Overflow = true
	b.seen = len(b.Events)
	c.form(ids(1))
	if a.Closed() != service.ErrOverflow {
		t.Errorf("closed with %v", a.Closed())
	}
	b.expect("nodes [1] joined [] left []", "quorate true by majority in [1]")
}

// TestRandom cuts rounds off anywhere, over crashes and restarts.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runRandom(t, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
	})
}

// options are what a random run may have on.
type options struct {
	tie     bool // a tie is decided by the record
	device  bool // an arbiter votes for one ring at a time
	dynamic bool // quorum may be lowered: nothing is promised without fencing
}

func randomConfig(n int, pick func(int) int) (cfg Config, o options) {
	cfg = provider(n)
	cfg.Vote.WaitForAll = pick(2) == 1
	switch pick(5) {
	case 0:
		o.tie = true
		cfg.Vote.Tie = vote.Tie{Rule: vote.TieLowest + vote.TieRule(pick(3)), List: ids(3, 1, 2)}
	case 1:
		o.device = true
		cfg.Vote.Device = uint32(1 + pick(n-1))
		cfg.Vote.Expected += cfg.Vote.Device
		cfg.Device.MasterWins = pick(4) == 0
	case 2:
		o.dynamic = true
		cfg.Vote.LastMan, cfg.Vote.Downscale, cfg.Vote.Tracking = pick(2) == 0, pick(2) == 0, pick(2) == 0
	}
	return cfg, o
}

// arbiter is a quorum device that votes for the members of one ring, and for
// another one when that is over.
type arbiter struct{ ring service.RingID }

func (a *arbiter) act(c cluster, pick func(int) int) {
	over := true
	for _, n := range c.Nodes() {
		if n.Ring() != a.ring {
			continue
		}
		over = false
		for _, id := range n.Members() {
			o := c.Node(id)
			over = over || !o.Up() || o.Ring() != a.ring
		}
	}
	if nodes := c.Nodes(); over && len(nodes) > 0 {
		a.ring = nodes[pick(len(nodes))].Ring()
	}
	for _, n := range c.Nodes() {
		s := n.Service(ID).(*Service)
		if pick(3) == 0 || s.list.Ring != n.Ring() {
			continue
		}
		conn := n.Open(ID)
		conn.Call(CallRegister, DeviceRequest{Name: "dev"}.AppendTo(nil))
		conn.Call(CallPoll, PollRequest{"dev", n.Ring() == a.ring, s.list.Ring}.AppendTo(nil))
		if pick(4) == 0 { // it does not know yet that the ring is another one
			conn.Call(CallPoll, PollRequest{"dev", true, a.ring}.AppendTo(nil))
		}
		conn.Leave()
	}
}

// operator does what people do to a node.
func operator(c cluster, pick func(int) int) {
	nodes := c.Nodes()
	n := nodes[pick(len(nodes))]
	conn := n.Open(ID)
	switch pick(4) {
	case 0:
		conn.Call(CallSetExpected, NumberRequest{Value: uint32(pick(c.Size() + 3))}.AppendTo(nil))
	case 1:
		conn.Call(CallSetVotes, NumberRequest{Node: servicetest.NodeID(pick(c.Size() + 1)), Value: uint32(pick(3))}.AppendTo(nil))
	case 2:
		conn.Call(CallAllSeen, nil)
	case 3:
		n.Service(ID).(*Service).Leaving()
	}
	conn.Leave()
}

func runRandom(t servicetest.T, pick func(int) int) {
	n := 3 + pick(3)
	cfg, o := randomConfig(n, pick)
	c := start(t, n, cfg)
	c.Cut = pick
	var device arbiter
	for range 5 + pick(20) {
		switch up := c.All(); pick(6) {
		case 0:
			if len(up) > 1 {
				c.Crash(up[pick(len(up))])
			}
		case 1:
			for id := range servicetest.NodeID(c.Size()) {
				if !c.Node(id + 1).Up() {
					c.Restart(id + 1)
					break
				}
			}
		default:
			blocks := make([][]servicetest.NodeID, 1+pick(3))
			for _, id := range up {
				i := pick(len(blocks))
				blocks[i] = append(blocks[i], id)
			}
			c.Split(blocks...)
		}
		for range pick(250) {
			c.Step(pick)
			c.checkShown(o)
			if o.device && pick(15) == 0 {
				device.act(c, pick)
			}
		}
		if o.dynamic && pick(2) == 0 {
			operator(c, pick)
		}
		if pick(4) == 0 {
			c.Advance(time.Duration(1+pick(40)) * time.Second)
		}
	}
	c.Split(c.All())
	for range 3 { // until nobody waits for a device or for time
		c.Run()
		c.Advance(40 * time.Second)
	}
	c.Run()
	c.Check()
	c.checkShown(o)
}

// checkShown demands of every moment that at most one ring is shown as quorate
// by all its members, and that nobody shows a decision which a member of the
// ring has not noted (ordering 4.3).
func (c cluster) checkShown(o options) {
	c.t.Helper()
	if o.dynamic {
		return
	}
	var primary service.RingID
	for _, n := range c.Nodes() {
		if q := n.Quorum(); !q.Quorate || q.Ring != n.Ring() {
			continue
		}
		all := true
		for _, id := range n.Members() {
			m := c.Node(id)
			if !m.Up() || m.Ring() != n.Ring() {
				all = false
				continue
			}
			q := m.Quorum()
			all = all && q.Ring == n.Ring() && q.Quorate
			record := m.Kept()
			if o.tie {
				record = m.Record() // what it forgets in a crash could win a tie
			}
			if !o.device && !noted(record.Primary, n.Ring()) {
				c.t.Fatalf("node %d shows ring %v, node %d has not noted it: %v", n.ID(), n.Ring(), id, record.Primary)
			}
		}
		if !all {
			continue
		}
		if !primary.IsZero() && primary != n.Ring() {
			c.t.Fatalf("rings %v and %v are quorate at once", primary, n.Ring())
		}
		primary = n.Ring()
	}
}

func noted(p proto.Primary, ring service.RingID) bool {
	for _, a := range p.Attempts {
		if a.Epoch == proto.Epoch(ring.Seq) {
			return true
		}
	}
	return p.Epoch == proto.Epoch(ring.Seq)
}

func FuzzParseInfo(f *testing.F) {
	f.Add(appendInfo(nil, vote.Info{Votes: 1, Expected: 3, TwoNode: true, Waiting: true,
		Primary: proto.Primary{Epoch: 4, Members: []proto.NodeID{1, 2}, Attempts: []proto.Attempt{{Epoch: 8, Holder: 1}}}}, word{}))
	f.Add(appendInfo(nil, vote.Info{Votes: 1, Expected: 3, DeviceVotes: 2, Device: vote.Device{Registered: true, Cast: true},
		Tie: vote.Tie{Rule: vote.TieList, List: []proto.NodeID{3, 1}}}, word{"dev", 7}))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, w, err := parseInfo(3, b)
		if err != nil {
			return
		}
		if got := appendInfo(nil, info, w); string(got) != string(b) {
			t.Fatalf("%x became %x", b, got)
		}
	})
}

// FuzzMessages feeds the other messages, from any member, to a node in a ring.
func FuzzMessages(f *testing.F) {
	f.Add(msgChange, uint32(2), appendChange(nil, vote.Change{Kind: vote.SetVotes, Node: 2, Value: 3}))
	f.Add(msgRegister, uint32(2), appendRegister(nil, "dev", true))
	f.Add(msgDevice, uint32(1), appendDevice(nil, vote.Device{Registered: true, Cast: true}, word{"dev", 9}))
	f.Add(msgLastMan, uint32(1), body.AppendRing(nil, testRing))
	f.Add(msgLeave, uint32(3), []byte(nil))
	f.Fuzz(func(t *testing.T, fn uint16, from uint32, b []byte) {
		c := start(t, 2, provider(2))
		c.form(ids(1, 2))
		c.Node(1).Service(ID).Deliver(service.Message{From: proto.NodeID(from), Func: fn, Body: b})
		c.status(1)
		c.Split(ids(1), ids(2))
		c.Run()
	})
}

// TestInfo_Malformed counts as no votes, and the round ends.
func TestInfo_Malformed(t *testing.T) {
	c := start(t, 1, provider(1))
	s := c.Node(1).Service(ID).(*Service)
	s.SyncInit(service.Round{Ring: c.Node(1).Ring(), Members: ids(1), Peers: []service.Peer{{Node: 1, Has: true}}})
	s.Deliver(service.Message{From: 1, Func: msgInfo, Class: service.Sync, Body: []byte("?")})
	s.SyncActivate()
	if p := c.status(1); p.Quorate || p.Votes.Total != 0 {
		t.Errorf("got %+v", p)
	}
}
