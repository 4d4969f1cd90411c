package seal

import (
	"bytes"
	"crypto/cipher"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/wire"
)

// The scenarios of ordering 5.6 as far as they concern the session layer. Each
// returns what went wrong, so that the mutants can demand that something does.
var scenarios = map[string]func(testing.TB) error{
	"22-wrong-key-flood":    wrongKeyFlood,
	"23-yesterday":          yesterday,
	"59-lost-identity":      lostIdentity,
	"64-key-reuse":          keyReuse,
	"64-snapshot-gone":      func(t testing.TB) error { return snapshot(t, false) },
	"64-snapshot-alive":     func(t testing.TB) error { return snapshot(t, true) },
	"65-live-replay":        liveReplay,
	"72-same-incarnation":   sameIncarnation,
	"73-second-link-window": secondLinkWindow,
	"74-rotation-restart":   rotationRestart,
}

func TestScenarios(t *testing.T) {
	for name, scenario := range scenarios {
		t.Run(name, func(t *testing.T) {
			if err := scenario(t); err != nil {
				t.Error(err)
			}
		})
	}
}

// wrongKeyFlood: a node with another key calls itself node 2 and floods node 1,
// from its own address and from node 2's, and replays what it recorded.
func wrongKeyFlood(t testing.TB) error {
	l := newLab(t, 22)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	h[0].frame(2, false, "a")
	h[1].frame(1, false, "b")
	l.run(proto.Second)
	intruder := l.host(9, 1)
	c := l.config(2, 2, 1)
	c.Key = bytes.Repeat([]byte{8}, 32)
	c.Inc = 1 << 40
	recorded := slices.Clone(l.record)
	derived, frames := h[0].core.count.derivations, len(h[0].frames)
	intruder.start(c)
	for range 1000 {
		l.run(ms)
		intruder.frame(1, false, "evil")
		f := l.record[len(l.record)-1]
		f.from = h[1].source(0, true)
		l.launch(f)
		forged := recorded[l.rng.IntN(len(recorded))]
		forged.d.Data = bytes.Clone(forged.d.Data)
		forged.d.Data[l.rng.IntN(len(forged.d.Data))] ^= 1
		l.launch(forged)
	}
	l.replay(recorded)
	l.run(proto.Second)
	switch {
	case h[0].count(EventMismatch) != 2:
		return fmt.Errorf("%d mismatch events at node 1, want one for each of two sources", h[0].count(EventMismatch))
	case h[0].count(EventSession) != 1 || h[0].count(EventLinkDown) != 0:
		return fmt.Errorf("the flood moved sessions or links: %v", h[0].events)
	case len(h[0].frames) != frames:
		return fmt.Errorf("the flood brought frames: %v", h[0].bodies())
	case h[0].core.count.derivations > derived+30:
		return fmt.Errorf("%d keys were derived for forged datagrams in 2s", h[0].core.count.derivations-derived)
	}
	h[1].frame(1, false, "c")
	l.run(ms)
	return wantf(slices.Equal(h[0].bodies(), []string{"b", "c"}), "frames %q", h[0].bodies())
}

// yesterday: a freshly booted receiver gets all packets of an earlier
// incarnation, while that node is down and while it runs again.
func yesterday(t testing.TB) error {
	l := newLab(t, 23)
	h := l.cluster(2, 2)
	for range 20 {
		l.run(100 * ms)
		h[1].frame(1, false, "old")
		h[1].frameOn(1, true, "old", 0, 1)
	}
	recorded := slices.Clone(l.record)
	h[0].stop()
	h[1].stop()
	l.run(proto.Second)
	c := l.config(1, 2, 2)
	c.Inc = 200
	h[0].start(c)
	l.replay(recorded)
	l.run(3 * proto.Second)
	if n := h[0].count(EventSession) + h[0].count(EventLinkUp) + h[0].count(EventHeard); n != 0 {
		return fmt.Errorf("a node that is down was heard: %v", h[0].events)
	}
	c = l.config(2, 2, 2)
	c.Inc = 200
	h[1].start(c)
	l.replay(recorded)
	l.run(proto.Second)
	l.replay(recorded)
	if len(h[0].frames) != 0 {
		return fmt.Errorf("recorded frames came through: %q", h[0].bodies())
	}
	return wantf(h[0].hasSession(h[1]) && h[1].hasSession(h[0]), "no session after the replay")
}

// lostIdentity: node 2 starts again with a clock that is behind. It is told
// once, and a recorded notice does nothing.
func lostIdentity(t testing.TB) error {
	l := newLab(t, 59)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	h[0].core.SetCommitted(44)
	restart := func(inc uint64) {
		h[1].stop()
		c := l.config(2, 2, 1)
		c.Inc = inc
		h[1].start(c)
	}
	restart(5)
	l.run(2500 * ms)
	told := h[1].count(EventStale)
	e, _ := h[1].last(EventStale)
	switch {
	case told != 1:
		return fmt.Errorf("node 2 was told %d times that it is stale, want once", told)
	case e.Inc != 100 || e.Value != 44:
		return fmt.Errorf("told incarnation %d and ring seq %d, want 100 and 44", e.Inc, e.Value)
	case h[0].core.count.noticesOut > 3:
		return fmt.Errorf("%d notices in 2.5s, want one a second", h[0].core.count.noticesOut)
	case h[0].count(EventSession) != 1:
		return fmt.Errorf("the stale start got a session")
	}
	recorded := slices.Clone(l.record)
	restart(e.Inc + 1)
	l.run(50 * ms)
	if !h[0].hasSession(h[1]) || !h[1].hasSession(h[0]) {
		return fmt.Errorf("no session 50ms after the start with incarnation %d", e.Inc+1)
	}
	l.replay(recorded)
	l.run(proto.Second)
	return wantf(h[1].count(EventStale) == 0, "a recorded notice was believed")
}

// keyReuse: starts with a clock that stands still and no disk never use a pair
// of key and nonce twice.
func keyReuse(t testing.TB) error {
	used := make(map[string]bool)
	var double string
	rng := rand.New(rand.NewPCG(64, 1))
	for range 5000 {
		l := &lab{t: t, rng: rng}
		c := l.config(1, 3, 1)
		c.AEAD = func(key []byte) (cipher.AEAD, error) {
			a, err := newGCM(key)
			return spy{a, func(nonce []byte) {
				pair := string(key) + string(nonce)
				if used[pair] {
					double = fmt.Sprintf("%x", pair)
				}
				used[pair] = true
			}}, err
		}
		core, err := New(0, c)
		if err != nil {
			return err
		}
		core.Advance(0)
		core.SealFrame(0, false, 0, []byte("x"), nil)
	}
	return wantf(double == "", "key and nonce %s were used twice", double)
}

// spy sees the nonces that are sealed with.
type spy struct {
	cipher.AEAD
	sealed func(nonce []byte)
}

func (s spy) Seal(dst, nonce, text, clear []byte) []byte {
	s.sealed(nonce)
	return s.AEAD.Seal(dst, nonce, text, clear)
}

// snapshot: a memory image of node 2 is restored 10s later, in place of the
// original or beside it. Two labs with one seed make the image. The original
// sent more than a window of data meanwhile: of fewer, those that went to
// others would leave holes for the copy, until a ping stops it.
func snapshot(t testing.TB, alive bool) error {
	begin := func() (*lab, []*host) {
		l := newLab(t, 64)
		h := l.cluster(3, 1)
		l.run(2 * proto.Second)
		return l, h
	}
	_, before := begin()
	l, h := begin()
	image := before[1].core
	for range 100 {
		l.run(100 * ms)
		for range dataWindow / 80 {
			h[1].frame(1, false, "original")
		}
		h[1].frame(1, true, "original")
	}
	frames := len(h[0].frames)
	place := h[1]
	if alive {
		place = l.host(9, 1)
		place.id = 2
	}
	place.core, place.events = image, nil
	image.Advance(l.now)
	place.flush()
	for range 20 {
		place.frame(1, false, "copy")
		place.frame(1, true, "copy")
		l.run(50 * ms)
	}
	for _, f := range h[0].frames[frames:] {
		if f.body == "copy" {
			return fmt.Errorf("a frame of the copy was delivered")
		}
	}
	e, told := place.last(EventSnapshot)
	if alive {
		return wantf(h[0].hasSession(h[1]) && h[0].count(EventLinkDown) == 0, "the original lost its session")
	}
	return wantf(told && e.Self && e.At-l.now < 600*ms, "the copy does not know what it is: %v", place.events)
}

// liveReplay: node 1 restarts; everything of node 2, which never stopped, is
// replayed before, during and after the new session.
func liveReplay(t testing.TB) error {
	l := newLab(t, 65)
	h := l.cluster(2, 1)
	for i := range 50 {
		l.run(20 * ms)
		h[1].frame(1, i%2 == 0, fmt.Sprint("old ", i))
	}
	h[0].stop()
	recorded := slices.Clone(l.record)
	l.run(10 * ms)
	c := l.config(1, 2, 1)
	c.Inc = 101
	h[0].start(c)
	for range 10 {
		l.replay(recorded)
		l.run(50 * proto.Microsecond)
	}
	if !h[0].hasSession(h[1]) {
		return fmt.Errorf("no session")
	}
	h[1].frame(1, false, "new data")
	h[1].frame(1, true, "new control")
	l.run(ms)
	l.replay(recorded)
	l.replay(l.record)
	return wantf(slices.Equal(h[0].bodies(), []string{"new data", "new control"}), "frames after the restart: %q", h[0].bodies())
}

// sameIncarnation: node 2 starts again with the same incarnation, at once and
// after 10s.
func sameIncarnation(t testing.TB) error {
	for _, wait := range []Tick{0, 10 * proto.Second} {
		l := newLab(t, 72)
		h := l.cluster(2, 1)
		l.run(proto.Second)
		recorded := slices.Clone(l.record)
		h[1].stop()
		l.run(wait)
		h[1].start(l.config(2, 2, 1))
		l.run(300 * ms)
		l.replay(recorded)
		h[1].frame(1, false, "from the second start")
		l.run(300 * ms)
		e, _ := h[1].last(EventStale)
		switch {
		case h[0].hasSession(h[1]):
			return fmt.Errorf("after %v: the second start got the session of the first", wait)
		case h[1].count(EventStale) != 1 || e.Inc != 100:
			return fmt.Errorf("after %v: told %d times, incarnation %d", wait, h[1].count(EventStale), e.Inc)
		case len(h[0].frames) != 0:
			return fmt.Errorf("after %v: frames %q", wait, h[0].bodies())
		}
		h[1].stop()
		c := l.config(2, 2, 1)
		c.Inc = e.Inc + 1
		h[1].start(c)
		l.run(50 * ms)
		if !h[0].hasSession(h[1]) {
			return fmt.Errorf("after %v: no session one above", wait)
		}
	}
	return nil
}

// secondLinkWindow: a pong that was kept back comes on link 1 after the session
// was made on link 0; then what lies between is replayed; then link 1 flaps.
func secondLinkWindow(t testing.TB) error {
	l := newLab(t, 73)
	var kept []flight
	open := l.now + 300*ms
	l.pass = func(f *flight) bool {
		if f.src.id == 2 && f.d.Link == 1 {
			kept = append(kept, *f)
		}
		return f.src.id == 1 || f.d.Link == 0 && l.now >= open
	}
	h := l.cluster(2, 2)
	l.run(600 * ms)
	if !h[0].hasSession(h[1]) || len(kept) == 0 {
		return fmt.Errorf("the scenario does not reach its start: %d kept", len(kept))
	}
	var between []flight
	for i := range 10 {
		h[1].frameOn(1, i%2 == 0, fmt.Sprint(i), 0)
		between = append(between, l.record[len(l.record)-1])
	}
	l.run(ms)
	want := len(h[0].frames)
	for _, f := range kept {
		l.deliver(f)
		l.replay(between)
	}
	l.pass = nil
	l.run(proto.Second)
	l.replay(between)
	l.pass = func(f *flight) bool { return f.d.Link != 1 }
	l.run(proto.Second)
	l.pass = nil
	l.run(2 * proto.Second)
	l.replay(between)
	if h[0].count(EventLinkDown) == 0 {
		return fmt.Errorf("link 1 did not go down")
	}
	return wantf(want == 10 && len(h[0].frames) == want, "%d frames, then %d after replays", want, len(h[0].frames))
}

// rotationRestart: node 1 restarts while both epochs are loaded; everything node
// 2 ever sealed with the earlier one is replayed.
func rotationRestart(t testing.TB) error {
	second := bytes.Repeat([]byte{9}, 64)
	l := newLab(t, 74)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	for i := range 10 {
		h[1].frame(1, i%2 == 0, "epoch 0")
	}
	for _, n := range h {
		if err := n.core.LoadKey(1, second); err != nil {
			return err
		}
	}
	for _, n := range h {
		if err := n.core.UseEpoch(1); err != nil {
			return err
		}
	}
	h[1].frame(1, false, "epoch 1")
	l.run(ms)
	if got := len(h[0].frames); got != 11 {
		return fmt.Errorf("%d frames over the rotation, want 11", got)
	}
	recorded := slices.Clone(l.record)
	c := l.config(1, 2, 1)
	c.Inc, c.Epoch, c.Key = 101, 1, second
	h[0].stop()
	h[0].start(c)
	if err := h[0].core.LoadKey(0, bytes.Repeat([]byte{7}, 32)); err != nil {
		return err
	}
	l.replay(recorded)
	l.run(50 * ms)
	if !h[0].hasSession(h[1]) {
		return fmt.Errorf("no session after the restart")
	}
	h[1].frame(1, false, "now")
	l.run(ms)
	l.replay(recorded)
	if got := h[0].bodies(); !slices.Equal(got, []string{"now"}) {
		return fmt.Errorf("frames after the restart: %q", got)
	}
	for _, n := range h {
		if err := n.core.DropKey(0); err != nil {
			return err
		}
	}
	l.replay(recorded)
	h[0].frame(2, false, "after")
	l.run(ms)
	return wantf(slices.Equal(h[1].bodies(), []string{"after"}), "frames after the drop: %q", h[1].bodies())
}

// The rest of this file are rules with two or three nodes that have no number.

func TestRestart_SameAddressAtOnce(t *testing.T) {
	l := newLab(t, 3)
	h := l.cluster(2, 2)
	l.run(proto.Second)
	h[1].stop()
	c := l.config(2, 2, 2)
	c.Inc = 101
	h[1].start(c)
	at := l.now
	l.run(50 * ms)
	e, _ := h[0].last(EventSession)
	if !h[0].hasSession(h[1]) || e.Inc != 101 || e.At-at > 5*ms {
		t.Errorf("session with the restarted node: %+v, %v after its start", e, e.At-at)
	}
	for i := range 2 {
		if !h[0].link(2, i).up {
			t.Errorf("link %d is down after the restart", i)
		}
	}
}

func TestClone_SecondMachineStops(t *testing.T) {
	l := newLab(t, 36)
	h := l.cluster(3, 1)
	l.run(proto.Second)
	clone := l.host(9, 1)
	c := l.config(2, 3, 1)
	c.Inc = 500
	clone.start(c)
	l.run(5 * proto.Second)
	for _, n := range []*host{h[0], h[2]} {
		if !n.hasSession(h[1]) || n.count(EventLinkDown) != 0 {
			t.Errorf("node %d let go of the known machine", n.id)
		}
		e, ok := n.last(EventConflict)
		if !ok || e.Self || e.Addr != h[1].source(0, true) || e.Addr2 != clone.source(0, true) {
			t.Errorf("node %d reports %+v", n.id, e)
		}
	}
	e, ok := clone.last(EventConflict)
	if !ok || !e.Self || e.Addr != h[1].source(0, true) || e.Addr2 != clone.source(0, true) {
		t.Errorf("the clone is told %+v", e)
	}
	if h[1].count(EventConflict) != 0 {
		t.Errorf("the known machine is told %v", h[1].events)
	}
}

// Datagrams of a start that is dead, sent by somebody else from elsewhere, are no
// second machine: not its pings, and not its answers to pings of this boot.
func TestClone_RecordedStartIsNone(t *testing.T) {
	for name, inc := range map[string]uint64{"later start": 101, "earlier start, by a lost record": 99} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 90)
			h := l.cluster(2, 1)
			l.run(proto.Second)
			var recorded []flight
			eve := l.host(9, 1)
			for _, f := range l.record {
				if f.src == h[1] && f.d.Control && f.d.Addr == h[0].source(0, true) {
					f.from = eve.source(0, true)
					recorded = append(recorded, f)
				}
			}
			h[1].stop()
			l.run(2 * proto.Second)
			if inc < 100 { // node 1 forgot too
				h[0].core.byID[2].life, h[0].core.byID[2].candidates = nil, nil
			}
			c := l.config(2, 2, 1)
			c.Inc = inc
			h[1].start(c)
			l.run(2 * proto.Second)
			if !h[0].hasSession(h[1]) {
				t.Fatal("no session")
			}
			sent := len(l.record)
			for range 50 {
				for _, f := range recorded {
					l.deliver(f)
				}
				l.run(10 * ms)
			}
			if n := h[0].count(EventConflict); n != 0 || !h[0].hasSession(h[1]) {
				t.Errorf("%d conflicts: %v", n, h[0].events)
			}
			n := 0
			for _, f := range l.record[sent:] {
				if f.d.Addr == eve.source(0, true) {
					n++
				}
			}
			if n > 1 {
				t.Errorf("%d datagrams in half a second to whoever replays", n)
			}
		})
	}
}

func TestClone_EarlierStartStopsToo(t *testing.T) {
	l := newLab(t, 92)
	h := l.cluster(3, 1)
	l.run(proto.Second)
	clone := l.host(9, 1)
	c := l.config(2, 3, 1)
	c.Inc = 50
	clone.start(c)
	l.run(2 * proto.Second)
	for _, n := range []*host{h[0], h[2]} {
		if e, ok := n.last(EventConflict); !ok || e.Self || e.Inc != 50 || e.Addr2 != clone.source(0, true) || n.count(EventConflict) != 1 {
			t.Errorf("node %d reports %+v", n.id, e)
		}
	}
	if e, ok := clone.last(EventConflict); !ok || !e.Self {
		t.Errorf("the clone is told %+v", e)
	}
}

func TestRestart_OtherAddressAfterSilence(t *testing.T) {
	l := newLab(t, 37)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	h[1].stop()
	l.run(700 * ms)
	moved := l.host(9, 1)
	c := l.config(2, 2, 1)
	c.Inc = 101
	moved.start(c)
	l.run(50 * ms)
	if !h[0].hasSession(moved) {
		t.Errorf("no session with the machine that took over")
	}
}

func TestTwins_AloneBothStop(t *testing.T) {
	l := newLab(t, 38)
	a, b := l.host(1, 1), l.host(2, 1)
	ca := l.config(1, 1, 1)
	ca.Peers = []Peer{{ID: 7, Addrs: b.addrs}}
	cb := l.config(1, 1, 1)
	cb.Inc = 90
	cb.Peers = []Peer{{ID: 7, Addrs: a.addrs}}
	a.start(ca)
	b.start(cb)
	l.run(proto.Second)
	for _, h := range []*host{a, b} {
		if e, ok := h.last(EventConflict); !ok || !e.Self {
			t.Errorf("the twin at %v goes on: %+v", h.addrs[0], e)
		}
	}
}

func TestOwnDatagramsComeBack(t *testing.T) {
	l := newLab(t, 39)
	h := l.cluster(2, 1)
	h[0].frame(2, false, "x")
	l.run(proto.Second)
	for _, f := range l.record {
		if f.src == h[0] {
			h[0].open(Datagram{Control: f.d.Control, Addr: f.from, Data: bytes.Clone(f.d.Data)})
		}
	}
	if len(h[0].frames) != 0 || h[0].count(EventConflict) != 0 {
		t.Errorf("own datagrams had an effect: %v %v", h[0].bodies(), h[0].events)
	}
	if h[0].core.Dropped(DropOwn) == 0 {
		t.Errorf("own datagrams were not counted")
	}
}

// mismatch cases: both sides must name the cause.
func TestMismatch_NamedAtBothSides(t *testing.T) {
	cases := []struct {
		name    string
		change  func(*Config)
		text    string
		session bool
	}{
		{"cluster", func(c *Config) { c.Cluster = "other" }, "another cluster than", false},
		{"key", func(c *Config) { c.Key = bytes.Repeat([]byte{1}, 40) }, "another key", false},
		{"no key", func(c *Config) { c.Key = nil }, "another key", false},
		{"epoch", func(c *Config) { c.Epoch = 3 }, "key epoch", false},
		{"version", func(c *Config) { c.MinVer, c.MaxVer = 7, 9 }, "protocol versions", false},
		{"table", func(c *Config) { c.Table = 2 }, "node list", true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, 4)
			a, b := l.host(1, 1), l.host(2, 1)
			c := l.config(2, 2, 1)
			tc.change(&c)
			a.start(l.config(1, 2, 1))
			b.start(c)
			l.run(10 * proto.Second)
			for _, h := range []*host{a, b} {
				e, _ := h.last(EventMismatch)
				if !strings.Contains(e.Text, tc.text) {
					t.Errorf("node %d says %q", h.id, e.Text)
				}
				if n := h.count(EventMismatch); n != 1 {
					t.Errorf("node %d says it %d times in 10s", h.id, n)
				}
			}
			if got := a.hasSession(b) && b.hasSession(a); got != tc.session {
				t.Errorf("session %v, want %v", got, tc.session)
			}
		})
	}
}

func TestMismatch_NodeNotInTable(t *testing.T) {
	l := newLab(t, 5)
	a, b := l.host(1, 1), l.host(2, 1)
	c := l.config(1, 1, 1)
	a.start(c)
	b.start(l.config(2, 2, 1))
	l.run(2 * proto.Second)
	if e, _ := a.last(EventMismatch); !strings.Contains(e.Text, "not in the node list") || e.Node != 2 {
		t.Errorf("node 1 says %+v", e)
	}
	if e, _ := b.last(EventPeerRefused); !strings.Contains(e.Text, "not in the node list") || e.Value != uint64(wire.NoticeConfigMismatch) {
		t.Errorf("node 2 says %+v", e)
	}
	if len(a.events) != 1 || a.core.Dropped(DropUnknownNode) == 0 {
		t.Errorf("node 1: %v", a.events)
	}
}

func TestMismatch_CrossedLinks(t *testing.T) {
	l := newLab(t, 6)
	a, b := l.host(1, 2), l.host(2, 2)
	c := l.config(1, 2, 2)
	slices.Reverse(c.Peers[0].Addrs)
	a.start(c)
	b.start(l.config(2, 2, 2))
	l.run(2 * proto.Second)
	if e, _ := b.last(EventMismatch); !strings.Contains(e.Text, "swapped") {
		t.Errorf("node 2 says %+v", e)
	}
}

func TestNotice_ImpossibleIncarnation(t *testing.T) {
	l := newLab(t, 7)
	a, b := l.host(1, 1), l.host(2, 1)
	c := l.config(2, 2, 1)
	c.Inc = 1 << 63
	b.start(c)
	a.start(l.config(1, 2, 1))
	l.run(proto.Second)
	if e, _ := a.last(EventMismatch); a.hasSession(b) || !strings.Contains(e.Text, "cannot be") {
		t.Errorf("node 1 has a session with start 2^63 or says %+v", e)
	}
	b.stop()
	b.start(l.config(2, 2, 1))
	l.run(proto.Second)
	if !a.hasSession(b) {
		t.Error("node 2 cannot come back")
	}
	// A peer that believed it tells of it.
	b.stop()
	a.core.byID[2].life.inc = 1 << 63
	b.start(l.config(2, 2, 1))
	l.run(proto.Second)
	if b.count(EventStale) != 0 || b.core.Dropped(DropNotice) == 0 {
		t.Errorf("node 2 believed in a start number of 2^63: %v", b.events)
	}
	if e, _ := b.last(EventMismatch); !strings.Contains(e.Text, "cannot be") {
		t.Errorf("node 2 says %+v", e)
	}
}

func TestDerivationBudget(t *testing.T) {
	l := newLab(t, 8)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	before := h[0].core.count.derivations
	f := l.record[0]
	for _, f = range l.record {
		if f.src == h[1] {
			break
		}
	}
	for range 1000 {
		d := bytes.Clone(f.d.Data)
		for i := range 8 {
			d[8+i] = byte(l.rng.Uint32()) // incarnation
		}
		d[15] &= 0x7f
		h[0].open(Datagram{Control: true, Addr: f.from, Data: d})
	}
	if n := h[0].core.count.derivations - before; n > derivationsPerSecond {
		t.Errorf("%d derivations for one source within a second", n)
	}
	if h[0].core.Dropped(DropBudget) == 0 {
		t.Errorf("the budget was not used up")
	}
}

func TestKeyGeneration_ChangesWithoutLoss(t *testing.T) {
	l := newLab(t, 9)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	h[1].core.tx.counter = 1<<generationBits - 20
	for range 40 {
		h[1].frame(1, false, "x")
	}
	l.run(ms)
	if got := len(h[0].frames); got != 40 {
		t.Errorf("%d of 40 frames passed the change", got)
	}
	// Far ahead, as after an hour in another partition.
	h[1].core.tx.counter += 5 << generationBits
	l.run(proto.Second)
	h[1].frame(1, false, "far")
	l.run(ms)
	if got := h[0].bodies(); got[len(got)-1] != "far" {
		t.Errorf("nothing is heard after a jump of generations: %v", h[0].core.Counters())
	}
	if h[0].count(EventLinkDown) != 0 {
		t.Errorf("the link went down: %v", h[0].events)
	}
}

func TestRemovedPeer_ComesBackWithItsWindows(t *testing.T) {
	l := newLab(t, 10)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	h[1].frame(1, false, "x")
	l.run(ms)
	recorded := slices.Clone(l.record)
	peers := h[0].core.cfg.Peers
	if err := h[0].core.SetPeers(l.now, nil, 2); err != nil {
		t.Fatal(err)
	}
	h[0].flush()
	if e, _ := h[0].last(EventLinkDown); e.Up || !strings.Contains(e.Text, "taken out") {
		t.Errorf("removal is told as %+v", e)
	}
	l.run(proto.Second)
	if r := h[0].core.Route(2, false); r != nil {
		t.Errorf("a removed node has the route %v", r)
	}
	if err := h[0].core.SetPeers(l.now, peers, 1); err != nil {
		t.Fatal(err)
	}
	l.replay(recorded)
	l.run(proto.Second)
	l.replay(recorded)
	if got := len(h[0].frames); got != 1 {
		t.Errorf("%d frames after the node came back, want the first one only", got)
	}
	if !h[0].link(2, 0).up {
		t.Errorf("the link is not up again")
	}
}
