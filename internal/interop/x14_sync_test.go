package interop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/ais/clm"
	"github.com/moothall/moothall/ais/evt"
	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/service"
)

// The scenarios of openais-executive 14 on synchronisation. Services of one member
// are synchronised one after the other, so what is about their order has the probes
// inside of programs with a member: processes have rounds of their own.

var threeKinds = []probeKind{first, second, third}

// lastRound are the entries behind the last regular configuration with so many
// members, of all probes.
func lastRound(list []entry) []entry {
	for i, e := range slices.Backward(list) {
		if e.who == first.name && strings.HasPrefix(e.what, "regular") {
			return list[i:]
		}
	}
	return nil
}

// steps are what the probes did in a round, without the details.
func steps(list []entry) (out []string) {
	for _, e := range list {
		word, _, _ := strings.Cut(e.what, " ")
		switch word {
		case "regular", "init", "processed", "activate", "abort":
			out = append(out, e.who+" "+word)
		}
	}
	return out
}

// when finds an entry's time.
func when(list []entry, k probeKind, prefix string) int64 {
	for _, e := range list {
		if e.who == k.name && strings.HasPrefix(e.what, prefix) {
			return e.at
		}
	}
	return 0
}

// inTurn is the whole of a round in which everybody had something to say.
var inTurn = []string{"first regular", "second regular", "third regular", "first init", "second init", "third init",
	"first processed", "first activate", "second processed", "second activate", "third processed", "third activate"}

// different makes node 3's states others than those of nodes 1 and 2, by a
// partition, and leaves it cut off.
func (s *plugs) different() {
	s.t.Helper()
	s.link(s.agents[2], false)
	s.together(1, 2)
	s.together(3)
	for _, k := range s.kinds {
		s.ask(s.agents[0], k, probeSend, 3, 10)
		s.ask(s.agents[2], k, probeSend, 2, 10)
	}
	for _, k := range s.kinds {
		for i, n := range []int{3, 3, 2} {
			s.until(s.agents[i], k, "messages", func(lines []string) bool { return beginning(lines, "message") == n })
		}
	}
}

func TestX14_12_OrderOfSyncHooks(t *testing.T) {
	t.Parallel()
	onePlugged(t, 3, cutOff, threeKinds, true, func(t *testing.T, s *plugs) {
		s.different()
		s.link(s.agents[2], true)
		s.together(1, 2, 3)
		var rounds [][]entry
		for _, a := range s.agents {
			round := lastRound(s.journal(a, first))
			if got := steps(round); !slices.Equal(got, inTurn) {
				t.Errorf("node %d: %q", a.id, got)
			}
			rounds = append(rounds, round)
		}
		for _, k := range threeKinds {
			var processed, activated []int64
			for _, r := range rounds {
				processed, activated = append(processed, when(r, k, "processed")), append(activated, when(r, k, "activate"))
			}
			if slices.Max(processed) >= slices.Min(activated) {
				t.Errorf("%s was activated before all were done", k.name)
			}
		}
		// The state of the two is everybody's, and the other node knows it.
		want := since(s.lines(s.agents[0], third), "activate")[0]
		if got := since(s.lines(s.agents[2], third), "activate")[0]; got != want || !strings.HasPrefix(got, "activate 3 ") {
			t.Errorf("%q and %q", want, got)
		}
	})
}

// stick has rounds of a probe get stuck at a node, or go on.
func (s *plugs) stick(a *agent, k probeKind, on int) {
	s.t.Helper()
	s.ask(a, k, probeStick, on)
}

// waiting waits until the round of the members is at a probe's process phase.
func (s *plugs) waiting(a *agent, k probeKind) {
	s.t.Helper()
	s.until(a, k, "a round that waits", func(lines []string) bool { return slices.Contains(since(lines, "regular"), "process waits") })
}

func TestX14_13_NodeDiesInARound(t *testing.T) {
	t.Parallel()
	onePlugged(t, 3, cutOff, threeKinds, true, func(t *testing.T, s *plugs) {
		a, b, c := s.agents[0], s.agents[1], s.agents[2]
		s.different()
		before := map[*agent]string{a: s.stateOf(a, second), c: s.stateOf(c, second)}
		s.stick(b, second, 1)
		s.link(c, true)
		s.waiting(b, second)
		for _, a := range []*agent{a, c} {
			s.until(a, second, "its own part is over", func(lines []string) bool { return slices.Contains(since(lines, "regular 1 2 3"), "processed") })
		}
		b.kill()
		s.together(1, 3)
		for _, a := range []*agent{a, c} {
			list := s.journal(a, first)
			got := steps(list)
			// The first service was through, so its states are equal now; the second and the
			// third begin again.
			want := append(slices.Clone(inTurn[:9]), "second abort", "third abort")
			want = append(append(want, inTurn[:6]...), inTurn[7:]...)
			if len(got) < len(want) || !slices.Equal(got[len(got)-len(want):], want) {
				t.Errorf("node %d: %q, want %q", a.id, got[max(0, len(got)-len(want)):], want)
			}
			abort := since(of(list, second), "abort")[0]
			if abort != "abort "+before[a] {
				t.Errorf("node %d: %q, the state was %q", a.id, abort, before[a])
			}
		}
		if x, y := s.stateOf(a, second), s.stateOf(c, second); x != y || x != before[a] {
			t.Errorf("states %q and %q, want %q", x, y, before[a])
		}
	})
}

// stateOf is what a probe holds.
func (s *plugs) stateOf(a *agent, k probeKind) string {
	s.t.Helper()
	return string(s.ask(a, k, probeTally))
}

func TestX14_14_CallsInARound(t *testing.T) {
	t.Parallel()
	onePlugged(t, 3, cutOff, threeKinds, true, func(t *testing.T, s *plugs) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		a, b := s.agents[0], s.agents[1]
		s.different()
		p, err := b.dial(t).OpenNamed(ctx, third.name)
		if err != nil {
			t.Fatal(err)
		}
		s.stick(a, second, 1)
		s.link(s.agents[2], true)
		s.waiting(a, second)

		// One that needs room waits, and whoever would rather not is told to try again.
		later := make(chan error)
		q, err := b.dial(t).OpenNamed(ctx, third.name)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := q.Call(ctx, probeSend, numbers(1, 10))
			later <- err
		}()
		accepted, large := 0, append(numbers(1, 10), make([]byte, 64<<10)...)
		testenv.Eventually(t, patience, "a refusal", func() (bool, any) {
			err := p.TryCast(probeSend, 1, large)
			if err == nil {
				accepted++
			}
			return errors.Is(err, service.ErrTryAgain), err
		})
		// One that needs none is answered.
		if got := s.lines(b, third); since(got, "regular")[0] == "" || slices.ContainsFunc(since(got, "regular"), func(l string) bool { return strings.HasPrefix(l, "message") }) {
			t.Errorf("%q", got)
		}
		select {
		case err := <-later:
			t.Errorf("a call that needs room was answered amid the round: %v", err)
		default:
		}
		s.stick(a, second, 0)
		s.together(1, 2, 3)
		if err := <-later; err != nil {
			t.Error(err)
		}
		if err := p.Cast(ctx, probeSend, 2, numbers(1, 10)); err != nil {
			t.Error(err)
		}
		s.until(b, third, "messages behind the round", func(lines []string) bool {
			last := since(lines, "regular")
			return beginning(last, "message 2/") == accepted+2 && slices.IndexFunc(last, func(l string) bool { return strings.HasPrefix(l, "activate") }) <
				slices.IndexFunc(last, func(l string) bool { return strings.HasPrefix(l, "message") })
		})
	})
}

func TestX14_15_NotPrimary(t *testing.T) {
	plugged(t, 3, cutOff, []probeKind{first, quorate}, func(t *testing.T, s *plugs) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c := s.agents[2]
		members, err := clm.Initialize(ctx, c.dial(t), clm.Version)
		if err != nil {
			t.Fatal(err)
		}
		defer members.Finalize()
		if err := members.Track(ctx, clm.Changes); err != nil {
			t.Fatal(err)
		}
		h, err := evt.Initialize(ctx, c.dial(t), evt.Version)
		if err != nil {
			t.Fatal(err)
		}
		s.ask(c, quorate, probeSend, 1, 10)

		s.link(c, false)
		s.formed(3)
		s.until(c, quorate, "it is passed by", func(lines []string) bool { return slices.Contains(since(lines, "regular"), "passed by") })
		again := func(what string, err error, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		_, err = s.try(ctx, c, quorate, probeSend, 1, 10)
		again("a call of a service that needs quorum", err, service.ErrAgain)
		_, err = s.try(ctx, c, quorate, probeJournal) // local
		again("a local call", err, nil)
		_, err = s.try(ctx, c, first, probeSend, 1, 10)
		again("a call of one that needs none", err, nil)
		_, err = members.NodeGet(ctx, 3)
		again("CLM NodeGet", err, ais.ErrTryAgain)
		again("CLM TrackStop", members.TrackStop(ctx), nil)
		_, err = h.Open(ctx, "x", evt.Create|evt.Publisher)
		again("EVT ChannelOpen", err, ais.ErrTryAgain)
		again("EVT Finalize", h.Finalize(), nil)
		_, err = evt.Initialize(ctx, c.dial(t), evt.Version)
		again("EVT Initialize", err, ais.ErrTryAgain)
		m, err := cpg.New(c.dial(t)).Join(ctx, "apart", cpg.JoinConfig{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Send(ctx, []byte("x"))
		again("a message of a process group", err, nil)
		if n := beginning(since(s.lines(c, quorate), "regular"), "message"); n != 0 {
			t.Errorf("%d messages without quorum", n)
		}

		s.link(c, true)
		s.together(1, 2, 3)
		s.ask(c, quorate, probeSend, 1, 10)
		testenv.Eventually(t, patience, "CLM goes on", func() (bool, any) { // its round is another one than that of the probes
			_, err := members.NodeGet(ctx, 3)
			return !errors.Is(err, ais.ErrTryAgain), err
		})
		if _, err := members.NodeGet(ctx, 3); err != nil {
			t.Error(err)
		}
		for _, a := range s.agents {
			s.until(a, quorate, "a message", func(lines []string) bool { return beginning(since(lines, "regular"), "message") == 1 })
		}
	})
}

// The time of 30 s passes in fact here: who is named is a matter of agents.
func TestX14_15a_RoundHeldUp(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute; the times pass in memory in TestStallNamesWhoHoldsTheBarrier (internal/resync)")
	}
	t.Parallel()
	onePlugged(t, 3, cutOff, threeKinds, true, func(t *testing.T, s *plugs) {
		a := s.agents[0]
		s.different()
		s.stick(a, second, 1)
		s.link(s.agents[2], true)
		s.waiting(a, second)
		began := time.Now()
		ring := s.formed(1, 2, 3).Ring.ID
		warning := regexp.MustCompile(`synchronisation stalled.*service=second missing=\[1\]`)
		for _, a := range s.agents {
			testenv.Eventually(t, patience, fmt.Sprintf("the warning of node %d", a.id), func() (bool, any) {
				out := a.process.Output()
				return warning.MatchString(out), out
			})
		}
		if d := time.Since(began); d < 25*time.Second {
			t.Errorf("warned after %v", d)
		}
		testenv.Eventually(t, patience, "five seconds more", func() (bool, any) { return time.Since(began) > 35*time.Second, nil })
		for _, a := range s.agents {
			round := steps(lastRound(s.journal(a, first)))
			if slices.Contains(round, "second activate") || slices.Contains(round, "second abort") {
				t.Errorf("node %d went on: %q", a.id, round)
			}
			if n := len(warning.FindAllString(a.process.Output(), -1)); n != 1 {
				t.Errorf("node %d warned %d times", a.id, n)
			}
		}
		s.stick(a, second, 0)
		s.together(1, 2, 3)
		if now := s.formed(1, 2, 3).Ring.ID; now != ring {
			t.Errorf("ring %v became %v", ring, now)
		}
		for _, a := range s.agents {
			if got := steps(lastRound(s.journal(a, first))); !slices.Equal(got, inTurn) {
				t.Errorf("node %d: %q", a.id, got)
			}
		}
	})
}

func TestX14_15a_SyncKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		s := &plugs{newSite(t, stage, "", "", ""), threeKinds, true}
		s.toml("sync_kill = true\nkeyfile = \"" + filepath.Join(stage.Dir, "key") + "\"")
		for _, a := range s.agents {
			s.start(a)
		}
		s.formed(1, 2, 3)
		s.together(1, 2, 3)
		a := s.agents[0]
		s.different()
		s.stick(a, second, 1)
		s.link(s.agents[2], true)
		s.waiting(a, second)
		if code := a.process.Wait(2 * patience); code == 0 {
			t.Error("the node that held the others up ended as if it had been told to")
		}
		s.together(2, 3)
		for _, a := range s.agents[1:] {
			got := steps(s.journal(a, first))
			if !slices.Contains(got, "second abort") || !slices.Equal(got[len(got)-11:], append(slices.Clone(inTurn[:6]), inTurn[7:]...)) {
				t.Errorf("node %d: %q", a.id, got[max(0, len(got)-24):])
			}
		}
	})
}

func TestX14_15b_EqualStates(t *testing.T) {
	plugged(t, 3, cutOff, threeKinds, func(t *testing.T, s *plugs) {
		for _, k := range threeKinds {
			s.ask(s.agents[0], k, probeSend, 5, 10)
			for _, a := range s.agents {
				s.until(a, k, "messages", func(lines []string) bool { return beginning(lines, "message") == 5 })
			}
		}
		s.link(s.agents[2], false)
		s.together(1, 2)
		s.together(3)
		s.link(s.agents[2], true)
		s.together(1, 2, 3)
		for _, a := range s.agents {
			for _, k := range threeKinds {
				last := since(s.lines(a, k), "regular")
				if len(last) != 3 || !strings.HasPrefix(last[1], "init members 1 2 3 came") || !strings.HasSuffix(last[1], "same true") || !strings.HasPrefix(last[2], "activate 5 ") {
					t.Errorf("node %d, %s: %q", a.id, k.name, last)
				}
			}
		}
	})
}

// The thousand steps of scenario 16 are made in memory; these are some with agents:
// nodes are cut off, processes end, agents crash, and whenever all is quiet the
// states of all members are equal.
func TestX14_16_RandomStepsOfAgents(t *testing.T) {
	plugged(t, 3, cutOff, []probeKind{first, second}, func(t *testing.T, s *plugs) {
		rng := rand.New(rand.NewPCG(14, 16))
		started := regexp.MustCompile(`The process of a service started \(service=second process=(\d+)\)`)
		for range 3 {
			for range 8 {
				a := s.agents[rng.IntN(3)]
				switch rng.IntN(6) {
				case 0:
					s.link(a, false)
				case 1:
					s.link(a, true)
				case 2:
					if all := started.FindAllStringSubmatch(a.process.Output(), -1); len(all) > 0 {
						pid, _ := strconv.Atoi(all[len(all)-1][1])
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				case 3:
					a.kill()
					s.start(a)
				default:
					for _, k := range s.kinds {
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						_, _ = s.try(ctx, a, k, probeSend, 1+rng.IntN(50), 100) // there may be no process just now
						cancel()
					}
				}
			}
			for _, a := range s.agents {
				s.link(a, true)
			}
			s.formed(1, 2, 3)
			for _, k := range s.kinds {
				testenv.Eventually(t, patience, "equal states of "+k.name, func() (bool, any) {
					var states []string
					for _, a := range s.agents {
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						b, err := s.try(ctx, a, k, probeTally)
						cancel()
						if err != nil {
							return false, err
						}
						states = append(states, string(b))
					}
					return states[0] == states[1] && states[1] == states[2], states
				})
			}
		}
	})
}
