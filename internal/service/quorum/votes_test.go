package quorum

import (
	"testing"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// withDevice is a cluster of n nodes and a device of so many votes.
func withDevice(nodes int, votes uint32) Config {
	c := provider(nodes)
	c.Vote.Expected += votes
	c.Vote.Device = votes
	return c
}

func (c cluster) connect(node servicetest.NodeID) *watcher {
	return &watcher{Conn: c.Node(node).Open(ID), c: c}
}

// ask makes a call and runs the cluster until it is at rest.
func (w *watcher) ask(fn uint16, q interface{ AppendTo([]byte) []byte }, code service.Code) {
	w.c.t.Helper()
	a := w.Call(fn, q.AppendTo(nil))
	w.c.Run()
	w.want(a, code)
}

func (w *watcher) trackVotes() {
	w.c.t.Helper()
	w.ask(CallVotesStart, TrackRequest{TrackChangesOnly}, service.OK)
	w.seen = len(w.Events)
}

func (w *watcher) node(n proto.NodeID) NodeInfo {
	w.c.t.Helper()
	p, err := ParseNodeInfo(w.Call(CallNodeInfo, NodeRequest{n}.AppendTo(nil)).Body)
	if err != nil {
		w.c.t.Fatalf("info of node %d: %v", n, err)
	}
	return p
}

// poll is the word of the device about the ring of the last list.
func (w *watcher) poll(cast bool, code service.Code) {
	w.c.t.Helper()
	s := w.Node().Service(ID).(*Service)
	w.ask(CallPoll, PollRequest{"dev", cast, proto.RingID{Rep: s.list.Ring.Rep, Seq: s.list.Ring.Seq}}, code)
}

func (w *watcher) register() {
	w.c.t.Helper()
	w.ask(CallRegister, DeviceRequest{Name: "dev"}, service.OK)
}

func TestVotes_Tracking(t *testing.T) {
	c := start(t, 2, provider(2))
	w := c.connect(1)
	w.ask(CallVotesStop, NodeRequest{}, service.ErrNotExist)
	w.ask(CallVotesStart, TrackRequest{TrackChanges}, service.OK)
	state := []string{"nodes [1] joined [] left []", "votes quorate false [{1 1}] device 0"}
	w.expect(state...)
	w.ask(CallVotesStart, TrackRequest{TrackCurrent}, service.ErrExist)
	w.expect(state...)
	c.form(ids(1, 2))
	w.expect("nodes [1 2] joined [2] left []", "votes quorate true [{1 1} {2 1}] device 0")
	c.Crash(2)
	c.form(ids(1))
	w.expect("nodes [1] joined [] left [2]", "votes quorate false [{1 1} {2 2}] device 0")
	w.ask(CallVotesStop, NodeRequest{}, service.OK)
	c.form(ids(1))
	w.expect()
}

func TestVotes_NodeInfo(t *testing.T) {
	cfg := provider(4)
	cfg.Vote.WaitForAll, cfg.Vote.LastMan, cfg.Vote.Tie = true, true, vote.Tie{Rule: vote.TieHighest}
	c := start(t, 4, cfg)
	c.form(ids(1, 2, 3, 4))
	c.form(ids(1, 2, 3), ids(4))
	w := c.connect(1)
	want := NodeInfo{Node: 1, State: NodeMember, Votes: 1, Expected: 4, Highest: 4, Total: 3, Quorum: 3,
		Flags: FlagQuorate | FlagWaitForAll | FlagLastManStanding | FlagTieBreaker}
	if got := w.node(0); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := w.node(4); got.State != NodeDead || got.Votes != 1 {
		t.Errorf("a dead node: %+v", got)
	}
	w.want(w.Call(CallNodeInfo, NodeRequest{9}.AppendTo(nil)), service.ErrNotExist)
	alone := c.connect(4)
	alone.want(alone.Call(CallNodeInfo, NodeRequest{2}.AppendTo(nil)), service.OK)
}

func TestVotes_Operator(t *testing.T) {
	c := start(t, 3, provider(5))
	w, far := c.connect(1), c.connect(3)
	c.form(ids(1, 2, 3))
	w.trackVotes()
	quorum := c.watch(3, TrackChangesOnly)
	quorum.seen = len(quorum.Events)
	for _, bad := range []uint32{0, 2, 6} { // too few, or too many to go on
		w.ask(CallSetExpected, NumberRequest{Value: bad}, service.ErrInvalidParam)
	}
	w.ask(CallSetExpected, NumberRequest{Value: 4}, service.OK)
	w.expect("expected 4")
	if p := far.node(2); p.Highest != 4 || p.Quorum != 3 {
		t.Errorf("at another node: %+v", p)
	}
	w.ask(CallSetVotes, NumberRequest{Node: 9, Value: 1}, service.ErrNameNotFound)
	w.ask(CallSetVotes, NumberRequest{Node: 2, Value: 3}, service.OK)
	w.expect("expected 5")
	w.ask(CallSetVotes, NumberRequest{Value: 2}, service.OK)
	if p := far.node(1); p.Votes != 2 || p.Total != 6 {
		t.Errorf("after more votes: %+v", p)
	}
	w.expect("expected 6")
	quorum.expect() // it did not go the other way
	c.form(ids(1, 2, 3))
	if p := far.node(1); p.Votes != 2 || p.Total != 6 {
		t.Errorf("in the next ring: %+v", p)
	}
	far.ask(CallSetExpected, NumberRequest{Value: 9}, service.OK)
	c.form(ids(1), ids(2, 3))
	lone := c.connect(1)
	lone.ask(CallSetExpected, NumberRequest{Value: 2}, service.OK)
	if !c.status(1).Quorate || !c.status(1).Fencing {
		t.Errorf("alone, expecting nobody else: %+v", c.status(1))
	}
}

// A change that comes while a ring is made is decided when the ring is there.
func TestVotes_OperatorWaitsForTheRound(t *testing.T) {
	c := start(t, 3, withDevice(3, 2))
	c.form(ids(1, 2, 3))
	w := c.connect(1)
	w.register()
	w.poll(true, service.OK)
	c.Split(ids(1, 2, 3))
	c.Run() // as far as it goes: node 1 waits for its device
	a := w.Call(CallSetExpected, NumberRequest{Value: 5}.AppendTo(nil))
	c.Run()
	if a.Done {
		t.Fatalf("answered %d within the round", a.Code)
	}
	w.poll(true, service.OK)
	w.want(a, service.OK)
	full := c.Node(1)
	full.Full = true
	w.want(w.Call(CallSetExpected, NumberRequest{Value: 5}.AppendTo(nil)), service.ErrNoResources)
}

func TestVotes_AllSeen(t *testing.T) {
	cfg := provider(3)
	cfg.Vote.WaitForAll = true
	c := start(t, 2, cfg)
	c.form(ids(1, 2))
	w := c.watch(2, TrackChangesOnly)
	w.seen = len(w.Events)
	if !c.status(1).Waiting {
		t.Fatal("does not wait")
	}
	c.connect(1).ask(CallAllSeen, NodeRequest{}, service.OK)
	w.expect("quorate true by majority in [1 2]")
	if c.status(1).Waiting || c.status(2).Waiting {
		t.Error("still waits")
	}
}

func TestVotes_LastMan(t *testing.T) {
	cfg := provider(6)
	cfg.Vote.LastMan, cfg.Vote.WaitForAll = true, true
	c := start(t, 6, cfg)
	up := ids(1, 2, 3, 4, 5, 6)
	c.form(up)
	w := c.connect(1)
	w.trackVotes()
	for n := 5; n >= 2; n-- { // one after another, each after the window
		up = up[:n]
		c.form(up)
		c.Advance(cfg.Window + 9*time.Second)
		c.Run()
		if p := w.node(1); p.Highest != uint32(n+1) {
			t.Fatalf("%d nodes, before the end of the window: %+v", n, p)
		}
		c.Advance(2 * time.Second)
		c.Run()
		c.Check()
		if p := w.node(1); p.Highest != uint32(n) || p.Flags&FlagQuorate == 0 || !c.status(1).Fencing {
			t.Fatalf("%d nodes, after the window: %+v", n, p)
		}
	}
	c.form(ids(1, 2, 3))
	if p := w.node(3); p.Highest != 3 || p.Flags&FlagQuorate == 0 {
		t.Errorf("one is back: %+v", p)
	}
}

// The lowest member is new and saw nobody leave: the next one speaks.
func TestVotes_LastManBehindANewcomer(t *testing.T) {
	cfg := provider(5)
	cfg.Vote.LastMan = true
	c := start(t, 5, cfg)
	c.form(ids(2, 3, 4, 5))
	c.form(ids(1, 2, 3))
	c.Advance(10 * time.Second)
	c.Run()
	c.Advance(2 * time.Second)
	c.Run()
	if p := c.connect(2).node(1); p.Highest != 3 {
		t.Errorf("after the window: %+v", p)
	}
}

func TestVotes_Downscale(t *testing.T) {
	cfg := provider(4)
	cfg.Vote.Downscale, cfg.Vote.Tracking = true, true
	c := start(t, 4, cfg)
	c.form(ids(1, 2, 3, 4))
	w := c.connect(1)
	w.ask(CallSetExpected, NumberRequest{Value: 4}, service.OK)
	w.trackVotes()
	c.Node(4).Service(ID).(service.Leaver).Leaving()
	c.Run()
	w.expect("expected 3", "votes quorate true [{1 1} {2 1} {3 1} {4 3}] device 0")
	if p := w.node(4); p.State != NodeLeaving || p.Total != 3 || p.Quorum != 3 || c.status(1).Fencing { // the barrier is four
		t.Errorf("while it leaves: %+v", p)
	}
	c.Crash(4)
	c.form(ids(1, 2, 3))
	w.expect("nodes [1 2 3] joined [] left [4]", "votes quorate true [{1 1} {2 1} {3 1} {4 2}] device 0")
}

func TestVotes_TrackedOverRestart(t *testing.T) {
	cfg := provider(2)
	cfg.Vote.Tracking = true
	c := start(t, 3, cfg)
	c.form(ids(1, 2, 3)) // more than configured
	c.Crash(1)
	c.Restart(1)
	c.Run()
	if p := c.connect(1).node(1); p.Highest != 3 || c.Node(1).Record().Tracked != 3 || c.status(1).Tracked != 3 {
		t.Errorf("after a restart: %+v, record %+v", p, c.Node(1).Record())
	}
}

// A tie is decided by the record, and the record is stored first.
func TestVotes_Tie(t *testing.T) {
	cfg := provider(4)
	cfg.Vote.Tie = vote.Tie{Rule: vote.TieLowest}
	c := start(t, 4, cfg)
	c.form(ids(1, 2), ids(3, 4))
	if c.status(1).Quorate || c.status(3).Quorate {
		t.Fatal("nobody was ever quorate, and a tie is won")
	}
	c.form(ids(1, 2, 3, 4))
	c.form(ids(1, 2), ids(3, 4))
	if p := c.status(1); !p.Quorate || vote.Row(p.Row) != vote.RowTie || p.Lowest != 1 || p.Highest != 2 {
		t.Fatalf("with the lowest: %+v", p)
	}
	if p := c.status(3); p.Quorate || vote.Row(p.Row) != vote.RowTieLost {
		t.Fatalf("without the lowest: %+v", p)
	}
	c.form(ids(1), ids(2, 3, 4))
	c.form(ids(1, 3), ids(2, 4))
	if c.status(1).Quorate || !c.status(2).Quorate {
		t.Fatal("node 1 was not in the last quorate ring")
	}
	c.Crash(2)
	c.Crash(4)
	c.Restart(2)
	c.Restart(4)
	c.form(ids(2, 4), ids(1, 3))
	if !c.status(2).Quorate || c.status(1).Quorate {
		t.Error("the record did not survive a restart")
	}
}

func TestDevice_Calls(t *testing.T) {
	c := start(t, 2, withDevice(2, 1))
	c.form(ids(1, 2))
	w, far := c.connect(1), c.connect(2)
	w.trackVotes()
	dev := DeviceRequest{Name: "dev"}
	w.poll(true, service.ErrNotExist)
	w.ask(CallUnregister, dev, service.ErrNotExist)
	w.ask(CallMaster, dev, service.ErrNotExist)
	w.ask(CallRename, dev, service.ErrNotExist)
	w.register()
	w.register() // again
	w.ask(CallRegister, DeviceRequest{Name: "other"}, service.ErrExist)
	far.ask(CallRegister, DeviceRequest{Name: "other"}, service.ErrExist)
	w.expect("votes quorate true [{1 1} {2 1}] device 2")
	w.ask(CallPoll, PollRequest{"dev", true, proto.RingID{Rep: 1, Seq: 1}}, service.ErrMessageError)
	ring := c.Node(1).Ring()
	w.ask(CallPoll, PollRequest{"other", true, ring}, service.ErrInvalidParam)
	w.ask(CallUnregister, DeviceRequest{Name: "other"}, service.ErrInvalidParam)
	w.poll(true, service.OK)
	w.expect("votes quorate true [{1 1} {2 1}] device 1")
	if p := far.node(1); p.Flags != FlagQuorate|FlagDeviceRegistered|FlagDeviceAlive|FlagDeviceCast || p.Total != 3 {
		t.Errorf("node 1 from afar: %+v", p)
	}
	if p := w.node(2); p.Total != 2 || p.DeviceName != "dev" || p.DeviceVotes != 1 {
		t.Errorf("node 2 as node 1 knows it: %+v", p)
	}
	w.ask(CallMaster, DeviceRequest{Name: "dev", Allow: true}, service.OK)
	w.ask(CallRename, DeviceRequest{Name: "dev", Other: "dev2"}, service.OK)
	if p := far.node(1); p.Flags&FlagDeviceMaster == 0 {
		t.Errorf("master: %+v", p)
	}
	far.ask(CallRegister, DeviceRequest{Name: "dev2"}, service.OK)
	w.ask(CallUnregister, DeviceRequest{Name: "dev2"}, service.OK)
	if p := far.node(1); p.Flags != FlagQuorate || p.Total != 2 {
		t.Errorf("unregistered: %+v", p)
	}
	if p := w.node(1); p.DeviceName != "dev2" {
		t.Errorf("the name goes on while another member has a device: %+v", p)
	}
	far.ask(CallUnregister, DeviceRequest{Name: "dev2"}, service.OK)
	if p := w.node(1); p.DeviceName != "" {
		t.Errorf("a name without a device: %+v", p)
	}
	for _, change := range []func(*vote.Config){func(c *vote.Config) { c.TwoNode = true }, func(c *vote.Config) { c.Tie.Rule = vote.TieLowest },
		func(c *vote.Config) { c.LastMan = true }, func(c *vote.Config) { c.Downscale = true }} {
		cfg := provider(2)
		change(&cfg.Vote)
		w := start(t, 1, cfg).connect(1)
		w.ask(CallRegister, dev, service.ErrAccess)
		w.poll(true, service.ErrAccess)
		w.ask(CallMaster, dev, service.ErrAccess)
	}
}

// Two nodes register by different names at the same time: the order decides.
func TestDevice_TwoNames(t *testing.T) {
	c := start(t, 2, withDevice(2, 1))
	c.form(ids(1, 2))
	a, b := c.connect(1), c.connect(2)
	first := a.Call(CallRegister, DeviceRequest{Name: "a"}.AppendTo(nil))
	a.want(a.Call(CallRegister, DeviceRequest{Name: "a"}.AppendTo(nil)), service.ErrAgain)
	second := b.Call(CallRegister, DeviceRequest{Name: "b"}.AppendTo(nil))
	c.Run()
	c.Check()
	if codes := [2]service.Code{first.Code, second.Code}; codes != [2]service.Code{service.OK, service.ErrExist} && codes != [2]service.Code{service.ErrExist, service.OK} {
		t.Errorf("answered %v", codes)
	}
}

// The vote of the device ends when it does not poll any more.
func TestDevice_Timeout(t *testing.T) {
	cfg := withDevice(2, 1)
	cfg.Device.Timeout = 7 * time.Second
	c := start(t, 2, cfg)
	c.form(ids(1))
	w := c.connect(1)
	quorum := c.watch(1, TrackChangesOnly)
	quorum.seen = len(quorum.Events)
	w.register()
	w.poll(true, service.OK)
	quorum.expect("quorate true by majority in [1]")
	if p := c.status(1); p.Votes != (Votes{Expected: 3, Total: 2, Quorum: 2, Device: 1}) || p.Device != (DeviceStatus{Allowed: true, Votes: 1, Name: "dev", Alive: true, Cast: true}) {
		t.Errorf("with its vote: %+v", p)
	}
	c.Advance(6 * time.Second)
	w.poll(true, service.OK)
	c.Advance(6 * time.Second)
	c.Run()
	quorum.expect()
	c.Advance(time.Second)
	c.Run()
	quorum.expect("quorate false by minority in [1]")
	if p := w.node(1); p.Flags != FlagDeviceRegistered {
		t.Errorf("after the timeout: %+v", p)
	}
}

// A round waits for the word of a device that was there, and for no other.
func TestDevice_RoundWaits(t *testing.T) {
	c := start(t, 3, withDevice(3, 2))
	c.form(ids(1, 2, 3))
	w := c.connect(1)
	w.register()
	c.form(ids(1, 2, 3)) // registered and silent: nobody waits
	w.poll(true, service.OK)
	w.trackVotes()
	c.Crash(2)
	c.Crash(3)
	c.Split(ids(1))
	c.Run()
	w.expect("nodes [1] joined [] left [2 3]")
	if !c.status(1).Device.Awaited {
		t.Error("nobody waits for the device")
	}
	old := proto.RingID{Rep: 1, Seq: c.Node(1).Ring().Seq - 4}
	w.ask(CallPoll, PollRequest{"dev", true, old}, service.ErrMessageError)
	c.Advance(25 * time.Second) // longer than a poll counts, shorter than a round waits
	c.Run()
	w.expect()
	w.poll(true, service.OK)
	w.expect("votes quorate true [{1 1} {2 2} {3 2}] device 1")
	c.Split(ids(1))
	c.Run()
	c.Advance(30 * time.Second)
	c.Run()
	w.expect("nodes [1] joined [] left []", "votes quorate false [{1 1} {2 2} {3 2}] device 2")
	w.poll(true, service.OK)
	w.expect("votes quorate true [{1 1} {2 2} {3 2}] device 1")
	c.Split(ids(1))
	c.Run()
	w.expect("nodes [1] joined [] left []")
	w.ask(CallUnregister, DeviceRequest{Name: "dev"}, service.OK)
	w.expect("votes quorate false [{1 1} {2 2} {3 2}] device 0")
}

// listener counts how often others asked for patience.
type listener struct {
	*Service
	asked int
}

func (l *listener) Deliver(m service.Message) {
	if m.Class == service.Sync && m.Func == msgWait {
		l.asked++
	}
	l.Service.Deliver(m)
}

// A member that waits for its device says so, or the others would give the ring
// up (ordering 4.1, timeout).
func TestDevice_WaitingMemberAsksForPatience(t *testing.T) {
	cfg := withDevice(2, 1)
	cfg.Device.SyncTimeout, cfg.Device.Timeout = time.Minute, time.Hour
	c := cluster{servicetest.New(t, 2, func(servicetest.NodeID) []service.Service { return []service.Service{&listener{Service: New(cfg)}} }), t}
	c.Run()
	c.form(ids(1, 2))
	w := c.connect(1)
	w.register()
	w.ask(CallPoll, PollRequest{"dev", true, c.Node(1).Ring()}, service.OK)
	c.Split(ids(1, 2))
	for range 5 {
		c.Run()
		c.Advance(10 * time.Second)
	}
	c.Run()
	if l := c.Node(2).Service(ID).(*listener); l.asked != 5 {
		t.Errorf("asked for patience %d times in 50 s", l.asked)
	}
	c.Advance(10 * time.Second)
	c.Run()
	c.Check()
}

// What the device said in the old ring is not taken for the new one, even if it
// comes out of the order there.
func TestDevice_OldWordsAreVoid(t *testing.T) {
	c := start(t, 3, withDevice(3, 2))
	c.form(ids(1, 2, 3))
	w := c.connect(1)
	w.register()
	w.poll(false, service.OK)
	ring := c.Node(1).Ring()
	w.want(w.Call(CallPoll, PollRequest{"dev", true, ring}.AppendTo(nil)), service.OK) // not ordered yet
	c.Split(ids(1))
	c.Run()
	w.poll(false, service.OK)
	if p := w.node(1); p.Total != 1 || c.status(1).Quorate {
		t.Errorf("an old vote counts: %+v", p)
	}
}

func TestVotes_NotWithoutAProvider(t *testing.T) {
	c := start(t, 1, Config{})
	w := c.connect(1)
	for fn := CallVotesStart; fn < numCalls; fn++ {
		w.ask(fn, DeviceRequest{Name: "dev"}, service.ErrNotSupported)
	}
}

// Ordering 5.6, 46: nodes leave faster than the window lasts, and what is needed
// does not fall.
func TestScenario_46_LastManInAHurry(t *testing.T) {
	cfg := provider(8)
	cfg.Vote.LastMan, cfg.Vote.WaitForAll = true, true
	c := start(t, 8, cfg)
	up := ids(1, 2, 3, 4, 5, 6, 7, 8)
	c.form(up)
	w := c.connect(1)
	for n := 7; n >= 2; n-- {
		up = up[:n]
		c.form(up)
		if p := w.node(1); p.Highest != 8 || p.Quorum != 5 || (p.Flags&FlagQuorate != 0) != (n >= 5) {
			t.Fatalf("%d nodes: %+v", n, p)
		}
		c.Advance(9 * time.Second)
		c.Run()
	}
	c.Advance(time.Minute)
	c.Run()
	if p := w.node(1); p.Highest != 8 || p.Flags&FlagQuorate != 0 {
		t.Errorf("long after quorum was lost: %+v", p)
	}
}

// Ordering 5.6, 61: a tie is not won by what one node remembers.
func TestScenario_61_TieMemory(t *testing.T) {
	five := provider(5)
	five.Vote.Tie, five.Vote.WaitForAll = vote.Tie{Rule: vote.TieLowest}, true
	c := start(t, 5, five)
	c.form(ids(1, 2, 3, 4, 5))
	c.form(ids(1), ids(2), ids(3, 4, 5))
	c.form(ids(1, 3), ids(2, 4, 5))
	if c.status(1).Quorate || !c.status(2).Quorate {
		t.Error("five nodes: {1,3} quorate, or {2,4,5} not")
	}
	for _, restart := range []bool{false, true} {
		four := provider(4)
		four.Vote.Tie = vote.Tie{Rule: vote.TieLowest}
		c := start(t, 4, four)
		c.form(ids(1, 2, 3, 4))
		c.form(ids(1), ids(2, 3, 4))
		if restart {
			c.Crash(3)
			c.Restart(3)
		}
		c.form(ids(1, 3), ids(2, 4))
		if c.status(1).Quorate || !c.status(2).Quorate {
			t.Errorf("four nodes, restart %v: {1,3} quorate, or {2,4} not", restart)
		}
	}
}
