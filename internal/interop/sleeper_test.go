package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// What docs/corosync.md says about a client that takes nothing.
const (
	slowClient  = 30 * time.Second // how long it may hold the ring back
	sleeperCost = 192 << 20        // by how much it may make its agent grow, in bytes
)

// A program is stopped while others multicast. What its agent can keep for it
// costs the others nothing; then the ring waits for it, until it is cut off.
// The agent stays small. All saw the same order, the stopped one a part of it.
func TestSleeper(t *testing.T) {
	needPrograms(t)
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, "token: 1000", "", "")
		s.silent = true // the traces would fill the disk
		bin := compile(t, stage, "testdata/c/flood.c")
		s.startAll()
		var awake []*program
		for _, a := range s.agents {
			awake = append(awake, a.program(bin, "sleeper"))
		}
		host := s.agents[2]
		sleeper := host.program(bin, "sleeper")
		for _, p := range append(awake, sleeper) {
			p.until(0, "members 4")
		}
		watch := awake[0]
		_, joined := watch.until(0, "members 4")
		all := func(order string) {
			for _, p := range awake {
				p.order("%s", order)
			}
		}
		const stretch = 3 * time.Second

		// Beside little traffic nobody notices.
		all("send 200 200")
		start := watch.counted(stretch).at
		testenv.Stop(t, sleeper.cmd.Process)
		asleep := watch.counted(0).at
		woken := watch.counted(stretch).at
		testenv.Continue(t, sleeper.cmd.Process)
		calm := [2]float64{watch.rate(start-stretch/2, start), watch.rate(asleep, woken)}
		if calm[1] < calm[0]/4 { // a machine may have other work
			t.Errorf("%.0f messages a second while a program is stopped, %.0f before", calm[1], calm[0])
		}

		// Beside all that the others may send, they wait in the end.
		all("send 1000")
		start = watch.counted(stretch).at
		small := bench.PeakMemory(host.process.PID())
		testenv.Stop(t, sleeper.cmd.Process)
		asleep = watch.counted(0).at
		watch.until(joined, "members 3") // it is cut off
		cut := watch.counted(0).at
		end := watch.counted(stretch).at
		all("send 0")
		still, pause := watch.pause(asleep)
		before, during, after := watch.rate(start-stretch/2, start), watch.rate(asleep, still), watch.rate(cut, end)
		large := bench.PeakMemory(host.process.PID())
		if took := cut - asleep; took < slowClient || took > slowClient+patience/4 {
			t.Errorf("cut off %v after it was stopped, want about %v", took, slowClient)
		}
		if !strings.Contains(host.process.Output(), "does not take its events") {
			t.Error("the agent does not tell why it cut the program off")
		}
		if pause > slowClient+patience/4 {
			t.Errorf("nothing was delivered for %v", pause)
		}
		if after < before/20 {
			t.Errorf("%.0f messages a second after the cut, %.0f before", after, before)
		}
		if large-small > sleeperCost {
			t.Errorf("the agent grew from %d to %d MiB", small>>20, large>>20)
		}

		testenv.Eventually(t, patience, "the same messages in the same order", func() (bool, any) {
			a, b, c := watch.counted(0), awake[1].counted(0), awake[2].counted(0)
			return a.order == b.order && a.order == c.order, []count{a, b, c}
		})
		testenv.Continue(t, sleeper.cmd.Process)
		if code := sleeper.exit(); code != 3 {
			t.Errorf("the stopped program ended with %d, it should have lost its agent", code)
		}
		seen := map[string]bool{}
		for _, l := range watch.saying("order ") {
			seen[l] = true
		}
		partly := sleeper.saying("order ")
		for _, l := range partly {
			if !seen[l] {
				t.Errorf("the stopped program saw %q, the others did not", l)
				break
			}
		}
		t.Logf("200 bytes, 3 programs of 200 a second: %.0f messages a second before, %.0f while a fourth is stopped", calm[0], calm[1])
		t.Logf("1000 bytes, 3 programs at full speed: %.0f messages a second before; %.0f for %v while a fourth is stopped; nothing for %v; cut off after %v; %.0f after",
			before, during, round(still-asleep), round(pause), round(cut-asleep), after)
		t.Logf("resident memory of its agent: at most %d MiB before, %d MiB to the end; it had seen %d thousand of %d messages",
			small>>20, large>>20, len(partly), watch.counted(0).got)
	})
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// count is what testdata/c/flood.c says of itself, again and again.
type count struct {
	at        time.Duration // of the machine's clock
	sent, got uint64
	order     string // of all that it got
}

// saying gives the lines that start so, up to now.
func (p *program) saying(prefix string) (out []string) {
	for _, l := range p.said() {
		if strings.HasPrefix(l, prefix) {
			out = append(out, l)
		}
	}
	return out
}

func (p *program) counts() (out []count) {
	for _, l := range p.saying("count ") {
		var c count
		var ms int64
		if _, err := fmt.Sscanf(l, "count %d %d %d %s", &ms, &c.sent, &c.got, &c.order); err != nil {
			p.t.Fatalf("%s said %q: %v", p.name, l, err)
		}
		c.at = time.Duration(ms) * time.Millisecond
		out = append(out, c)
	}
	return out
}

// counted waits for a count that is so much later than now.
func (p *program) counted(later time.Duration) (last count) {
	p.t.Helper()
	var first time.Duration
	testenv.Eventually(p.t, later+patience, p.name+" counts", func() (bool, any) {
		all := p.counts()
		if len(all) == 0 {
			return false, nil
		}
		last = all[len(all)-1]
		if first == 0 {
			first = last.at
		}
		return last.at > first+later, last
	})
	return last
}

// rate is how many messages a second it got in a stretch of time.
func (p *program) rate(from, to time.Duration) float64 {
	var in []count
	for _, c := range p.counts() {
		if c.at >= from && c.at <= to {
			in = append(in, c)
		}
	}
	if len(in) < 2 {
		return 0
	}
	first, last := in[0], in[len(in)-1]
	return float64(last.got-first.got) / (last.at - first.at).Seconds()
}

// pause is the longest stretch from then on in which it got nothing, and when
// that began.
func (p *program) pause(from time.Duration) (began, longest time.Duration) {
	var since count
	for _, c := range p.counts() {
		switch {
		case c.at < from:
		case since.at == 0 || c.got != since.got:
			since = c
		case c.at-since.at > longest:
			began, longest = since.at, c.at-since.at
		}
	}
	return began, longest
}
