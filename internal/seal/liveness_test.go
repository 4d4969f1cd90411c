package seal

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

func TestLink_SilenceTakesItDown(t *testing.T) {
	l := newLab(t, 11)
	h := l.cluster(3, 1)
	l.run(proto.Second)
	h[1].stop()
	at := l.now
	l.run(2 * proto.Second)
	e, ok := h[0].last(EventLinkDown)
	if !ok || e.Node != 2 || e.Up || !strings.Contains(e.Text, "nothing was heard for") {
		t.Fatalf("down is told as %+v", e)
	}
	// link_dead counts from the last datagram, at most a ping and its jitter before.
	if d := e.At - at; d < 370*ms || d > 601*ms {
		t.Errorf("down %v after the stop", d)
	}
	if !h[0].link(3, 0).up {
		t.Errorf("the other link is down too")
	}
}

func TestLink_RefusedPortIsFast(t *testing.T) {
	l := newLab(t, 12)
	l.refuse = true
	h := l.cluster(2, 1)
	l.run(proto.Second)
	h[1].stop()
	at := l.now
	h[0].frame(2, false, "x")
	l.run(proto.Second)
	e, ok := h[0].last(EventLinkDown)
	if !ok || !strings.Contains(e.Text, "port is closed") {
		t.Fatalf("down is told as %+v", e)
	}
	if d := e.At - at; d > 35*ms {
		t.Errorf("down %v after the datagram that was refused", d)
	}
}

// The kernel answers the first six datagrams of a loaded link, all within a
// millisecond, and none of the extra pings: the clock judges.
func TestLink_BurstOfRefusalsIsFast(t *testing.T) {
	for _, c := range []struct {
		reports int
		latency Tick
		down    Tick // zero: not by refusals
	}{
		{reports: 2, latency: 100 * proto.Microsecond},
		{reports: 3, latency: 100 * proto.Microsecond, down: 20 * ms},
		{reports: 6, latency: 100 * proto.Microsecond, down: 20 * ms},
		{reports: 6, latency: 10 * ms, down: 60 * ms},
	} {
		l := newLab(t, 12)
		l.latency = c.latency
		h := l.cluster(2, 1)
		l.run(proto.Second)
		h[1].stop()
		l.run(2*c.latency + ms) // what it sent is read
		at := l.now
		for range c.reports {
			h[0].core.Unreachable(l.now, 2, 0)
			h[0].flush()
		}
		l.run(300 * ms)
		e, ok := h[0].last(EventLinkDown)
		switch {
		case c.down == 0 && ok && strings.Contains(e.Text, "port is closed"):
			t.Errorf("%+v: down %v after two reports", c, e.At-at)
		case c.down != 0 && !ok:
			t.Errorf("%+v: not down", c)
		case c.down != 0 && (e.At-at < c.down || e.At-at > c.down+c.down/4):
			t.Errorf("%+v: down after %v", c, e.At-at)
		}
	}
}

// A process that did not run has not asked yet, and its peer not yet answered.
func TestLink_RefusalsThenPauseAsksFirst(t *testing.T) {
	for _, pause := range []Tick{15 * ms, 60 * ms, 500 * ms} {
		l := newLab(t, 12)
		h := l.cluster(2, 1)
		l.run(proto.Second)
		for range 6 {
			h[0].core.Unreachable(l.now, 2, 0)
		}
		h[0].flush()
		l.now += pause
		h[0].core.Advance(l.now)
		h[0].flush()
		l.run(proto.Second)
		if e, ok := h[0].last(EventLinkDown); ok {
			t.Errorf("pause %v: %s", pause, e.Text)
		}
	}
}

func TestLink_ForgedRefusalsDoNothing(t *testing.T) {
	for _, latency := range []Tick{100 * proto.Microsecond, 40 * ms} {
		for _, burst := range []int{1, 10} {
			l := newLab(t, 13)
			l.latency = latency
			h := l.cluster(2, 1)
			l.run(proto.Second)
			for range 2000 {
				for range burst {
					h[0].core.Unreachable(l.now, 2, 0)
				}
				h[0].flush()
				l.run(ms)
			}
			if h[0].count(EventLinkDown) != 0 {
				t.Errorf("latency %v: %d reports a millisecond took down a link that answers", latency, burst)
			}
		}
	}
}

func TestLink_FlapsNeedMorePongs(t *testing.T) {
	l := newLab(t, 14)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	cut := func(d Tick) {
		l.pass = func(*flight) bool { return false }
		l.run(d)
		l.pass = nil
	}
	var took []Tick
	for range 4 {
		cut(proto.Second)
		at := l.now
		l.run(10 * proto.Second)
		e, _ := h[0].last(EventLinkUp)
		took = append(took, e.At-at)
	}
	// 3, 6, 12 and 24 answers, one every 200ms.
	for i, want := range []Tick{3, 6, 12, 24} {
		if got := took[i]; got < (want-1)*180*ms || got > want*220*ms+ms {
			t.Errorf("return %d took %v, want about %d pings", i, got, want)
		}
	}
	l.run(2 * minute)
	cut(proto.Second)
	at := l.now
	l.run(3 * proto.Second)
	if e, _ := h[0].last(EventLinkUp); e.At-at > 700*ms {
		t.Errorf("after two quiet minutes the return took %v", e.At-at)
	}
}

func TestLink_OneWay(t *testing.T) {
	l := newLab(t, 15)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	l.pass = func(f *flight) bool { return f.src == h[1] } // node 1 is not heard
	at := l.now
	l.run(1500 * ms)
	e, _ := h[0].last(EventLinkState)
	if !e.Half || !e.Up || e.At-at > 1100*ms {
		t.Errorf("node 1, which nobody hears, reports %+v after %v", e, e.At-at)
	}
	if e, _ := h[1].last(EventLinkDown); e.Up || e.Node != 1 {
		t.Errorf("node 2, which hears nothing, reports %+v", e)
	}
	l.pass = nil
	l.run(2 * proto.Second)
	if e, _ := h[0].last(EventLinkState); e.Half {
		t.Errorf("node 1 is still half after the link is whole: %+v", e)
	}
}

func TestLink_OneWayFromTheStart(t *testing.T) {
	l := newLab(t, 16)
	l.pass = func(f *flight) bool { return f.src.id == 2 }
	h := l.cluster(2, 1)
	l.run(2 * proto.Second)
	if e, ok := h[0].last(EventLinkState); !ok || !e.Half || e.Up || e.Node != 2 {
		t.Errorf("node 1 reports %+v", e)
	}
	if n := h[0].count(EventSession) + h[1].count(EventSession); n != 0 {
		t.Errorf("%d sessions over a one-way link", n)
	}
}

func TestRoute_TakesTheBestLink(t *testing.T) {
	l := newLab(t, 17)
	h := l.cluster(2, 2)
	l.run(proto.Second)
	route := func(want ...uint8) {
		t.Helper()
		if got := h[0].core.Route(2, false); !slices.Equal(got, want) {
			t.Errorf("route %v, want %v", got, want)
		}
	}
	route(0)
	if got := h[0].core.Route(2, true); !slices.Equal(got, []uint8{0, 1}) {
		t.Errorf("all routes: %v", got)
	}
	l.pass = func(f *flight) bool { return f.d.Link != 0 }
	l.run(proto.Second)
	route(1)
	l.pass = func(f *flight) bool { return false }
	l.run(2 * proto.Second)
	route(0) // nothing is up: the first configured one
	l.pass = nil
	l.run(5 * proto.Second)
	route(0)
	l.pass = func(f *flight) bool { return f.src == h[1] || f.d.Link != 0 }
	l.run(2 * proto.Second)
	route(1) // link 0 is half
}

func TestRedundantFrames_ArriveOnce(t *testing.T) {
	l := newLab(t, 18)
	h := l.cluster(2, 3)
	l.run(proto.Second)
	for range 10 {
		h[0].frameOn(2, true, "token", h[0].core.Route(2, true)...)
	}
	l.run(ms)
	if got := len(h[1].frames); got != 10 {
		t.Errorf("%d frames of 10 sent on three links each", got)
	}
	if got := h[1].core.Dropped(DropReplay); got != 20 {
		t.Errorf("%d duplicates, want 20", got)
	}
}

func TestPing_SuppressedByTraffic(t *testing.T) {
	l := newLab(t, 19)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	before := h[0].core.count.pingsOut
	l.run(10 * proto.Second)
	idle := h[0].core.count.pingsOut - before
	if idle < 45 || idle > 55 {
		t.Errorf("%d pings in 10 idle seconds, want one every 200ms", idle)
	}
	before = h[0].core.count.pingsOut
	for range 200 {
		h[0].frame(2, false, "x")
		h[1].frame(1, false, "x")
		l.run(50 * ms)
	}
	if busy := h[0].core.count.pingsOut - before; busy < 9 || busy > 13 {
		t.Errorf("%d pings in 10 busy seconds, want one a second", busy)
	}
}

func TestSlowSecondLink_StaysUp(t *testing.T) {
	l := newLab(t, 20)
	h := l.cluster(2, 2)
	// Link 1 is 60ms slower, while link 0 carries more than a control window of
	// datagrams in that time.
	l.pass = func(f *flight) bool {
		if f.d.Link == 1 {
			l.latency = 60 * ms
			l.launch(*f)
			l.latency = 100 * proto.Microsecond
			return false
		}
		return true
	}
	for range 100 {
		for range 300 {
			h[0].frame(2, true, "x")
		}
		l.run(10 * ms)
	}
	l.run(proto.Second)
	if h[0].count(EventLinkDown)+h[1].count(EventLinkDown) != 0 || !h[1].link(1, 1).up {
		t.Errorf("the slow link went down")
	}
}

func TestPause_GivesLinksTime(t *testing.T) {
	l := newLab(t, 21)
	h := l.cluster(2, 1)
	l.run(proto.Second)
	// Node 1 sleeps. What node 2 sent waits in the socket.
	asleep := h[0].core
	h[0].core = nil
	var waiting []flight
	l.pass = func(f *flight) bool {
		waiting = append(waiting, *f)
		return false
	}
	l.run(10 * proto.Second)
	h[0].core, l.pass = asleep, nil
	asleep.Advance(l.now)
	h[0].flush()
	if h[0].count(EventLinkDown) != 0 {
		t.Errorf("the link is down before the sockets were read")
	}
	for _, f := range waiting {
		l.deliver(f)
	}
	l.run(proto.Second)
	if h[0].count(EventLinkDown) != 0 {
		t.Errorf("the link went down though node 2 lives")
	}
	h[0].core = nil
	l.run(10 * proto.Second)
	h[1].stop()
	h[0].core = asleep
	l.run(proto.Second)
	if h[0].count(EventLinkDown) != 1 {
		t.Errorf("after a pause a dead peer is not noticed")
	}
}

func TestRTT(t *testing.T) {
	l := newLab(t, 22)
	l.latency = 5 * ms
	h := l.cluster(2, 1)
	l.run(5 * proto.Second)
	s := h[0].core.Status()
	if len(s) != 1 || s[0].RTT < 10*ms || s[0].RTT > 11*ms || s[0].Loss != 0 || !s[0].Up || s[0].Inc != 100 {
		t.Errorf("status %+v", s)
	}
	l.latency = 20 * ms
	l.run(20 * proto.Second)
	if e, _ := h[0].last(EventLinkState); e.RTT < 30*ms {
		t.Errorf("the longer round trip is told as %+v", e)
	}
}

func TestMTU_IsTheSmallerOfBoth(t *testing.T) {
	l := newLab(t, 23)
	a, b := l.host(1, 1), l.host(2, 1)
	c := l.config(1, 2, 1)
	c.MTU = 9000
	a.start(c)
	b.start(l.config(2, 2, 1))
	l.run(proto.Second)
	if e, _ := a.last(EventLinkUp); e.MTU != DefaultMTU-Overhead {
		t.Errorf("frame size %d, want %d: %+v", e.MTU, DefaultMTU-Overhead, a.events)
	}
	for _, d := range a.core.SealFrame(0, false, 0, make([]byte, 8000), nil) {
		if len(d) > DefaultMTU {
			t.Errorf("a datagram of %d bytes", len(d))
		}
	}
	b.core.SetMTU(l.now, 0, 1280)
	l.run(proto.Second)
	if e, _ := a.last(EventLinkState); e.MTU != 1280-Overhead {
		t.Errorf("frame size %d after the peer's link shrank: %+v", e.MTU, a.events)
	}
	if n, i, ok := a.core.Lookup(b.source(0, true)); !ok || n != 2 || i != 0 {
		t.Errorf("lookup finds node %d link %d %v", n, i, ok)
	}
}

func TestLoss_IsCounted(t *testing.T) {
	l := newLab(t, 24)
	h := l.cluster(2, 1)
	l.pass = func(f *flight) bool { return f.src != h[1] || l.rng.IntN(5) != 0 }
	l.run(60 * proto.Second)
	if got := h[0].core.Status()[0].Loss; got < 0.05 || got > 0.45 {
		t.Errorf("loss %v, want about 0.2", got)
	}
}

// A peer that was stopped answers the pings that waited in its socket. That they
// waited is no property of the link.
func TestLink_DeadAfterPauseAsBefore(t *testing.T) {
	l := newLab(t, 91)
	h := l.cluster(2, 1)
	l.run(2 * proto.Second)
	ln := h[0].link(2, 0)
	dead := h[0].core.dead(ln)
	core := h[1].core
	var waiting []flight
	l.pass = func(f *flight) bool {
		if f.src == h[0] {
			waiting = append(waiting, *f)
		}
		return f.src != h[0]
	}
	h[1].core = nil
	l.run(9 * proto.Second)
	h[1].core, l.pass = core, nil
	for _, f := range waiting {
		l.launch(f)
	}
	l.run(1500 * ms)
	if got := h[0].core.dead(ln); !ln.up || got > dead+200*ms {
		t.Errorf("link_dead was %v, is %v after a pause of 9 s; up %v", dead, got, ln.up)
	}
	h[1].stop()
	at := l.now
	for ln.up && l.now < at+10*proto.Second {
		l.run(10 * ms)
	}
	if took := l.now - at; took > dead+200*ms {
		t.Errorf("a crash after a pause is seen after %v", took)
	}
}

// Openais-executive X14.7: what does not fit its seal is told once a minute,
// however much of it comes, and gives no frame; nor does what came before.
func TestX14_07_ForgedDatagramsAreTold(t *testing.T) {
	l, a, b := pair(t)
	for _, again := range []int{0, 1} {
		before := a.core.Dropped(DropAuth)
		for range 100 {
			d := clones(b.core.SealFrame(0, false, 0, body(50), nil))[0]
			whole := bytes.Clone(d)
			d[len(d)-1] ^= 1
			if _, ok := a.openFrom(b, d); ok {
				t.Fatal("a damaged datagram gave a frame")
			}
			if _, ok := a.openFrom(b, bytes.Clone(whole)); !ok {
				t.Fatal("the whole one gave none")
			}
			if _, ok := a.openFrom(b, whole); ok {
				t.Fatal("it gave two")
			}
		}
		a.flush()
		e, _ := a.last(EventForged)
		if n := a.count(EventForged); n != 1+again || e.Node != 2 || e.Text == "" || a.core.Dropped(DropAuth)-before != 100 {
			t.Errorf("told %d times, %d dropped: %+v", n, a.core.Dropped(DropAuth)-before, e)
		}
		l.run(minute)
	}
}
