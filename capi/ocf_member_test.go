package capi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

// The numbers of scenarios are those of cluster events 8: nodes 1 to 5 are A to E.
// These are about memberships, as programs of drafts 0.3 and 0.2 are told of them.

const membClass, connClass = "__OC_EV_MEMB_CLASS", "__OC_EV_CONN_CLASS"

func watch03(t *testing.T) string { return eventProgram(t, memory, "_oc_event", "testdata/watch03.c") }

// Two of three form, the third comes, one goes and comes back; a program that holds an
// event back is told of the next one when it is done.
func TestEvents03_Scenario_02_to_06_ComeAndGo(t *testing.T) {
	binary := watch03(t)
	h := emptyHall(t, 3)
	h.Start(1)
	h.Start(2)
	h.Ring(1, 2)
	a, a2, b := h.watch(1, binary, "watch", membClass), h.watch(1, binary, "watch", membClass), h.watch(2, binary, "watch", membClass)
	held := h.watch(1, binary, "hold", membClass)
	all := []*watcher{a, a2, b, held}
	each(all, func(w *watcher) { w.next("NM 1 1@1,2@1 1@1,2@1 -") })
	held.say("done")
	h.Start(3)
	h.Ring(1, 2, 3)
	c := h.watch(3, binary, "watch", membClass)
	each(append(all, c), func(w *watcher) { w.next("NM 2 1@1,2@1,3@2 3@2 -") })
	late := h.watch(1, binary, "watch", membClass)
	late.next("NM 2 1@1,2@1,3@2 3@2 -")
	held.say("done")

	h.Stop(2)
	b.next("EVICTED", "shut down")
	all = []*watcher{a, a2, c, late}
	each(append(all, held), func(w *watcher) { w.next("NM 3 1@1,3@2 - 2@1") })
	h.Start(2)
	each(all, func(w *watcher) { w.next("NM 4 1@1,3@2,2@4 2@4 -") })
	held.say("try")
	held.next("held back")
	held.say("done")
	held.next("NM 4 1@1,3@2,2@4 2@4 -")
	each(append(all, held), (*watcher).end)
}

// Without a membership there is nothing to tell of, until there is one.
func TestEvents03_NoMembershipYet(t *testing.T) {
	binary := watch03(t)
	h := emptyHall(t, 3)
	h.Start(1)
	h.Ring(1)
	early := h.watch(1, binary, "watch", membClass)
	early.none()
	h.Start(2)
	early.next("NM 1 1@1,2@1 1@1,2@1 -")
	early.end()
}

// The larger part goes on; the smaller one is told that it does not know, and later
// that it was thrown out. Its nodes are members again, for who registers anew.
func TestEvents03_Scenario_08_09_Evicted(t *testing.T) {
	binary := watch03(t)
	plain := eventProgram(t, memory, "_oc_event", "-DOC_EVENT_API=20", "testdata/watch02.c")
	onStage(t, 5, func(t *testing.T, h *hall) {
		all, line := h.all(binary, "watch", membClass)
		was := parseRecord(t, line)
		old := h.watch(5, plain, "plain")
		old.until(" -")
		h.Cut([]int{1, 2, 3}, []int{4, 5})
		line2, now := was.then([]int{1, 2, 3}, nil, []int{4, 5})
		each(all[:3], func(w *watcher) { w.next(line2) })
		each(all[3:], func(w *watcher) { w.next(notPrimary(line)) })
		limbo := h.watch(4, binary, "watch", membClass)
		limbo.next(line, notPrimary(line))
		each(append(all, limbo), (*watcher).none)

		h.Cut()
		each(append(all[3:], limbo), func(w *watcher) { w.next("EVICTED", "shut down") })
		line3, _ := now.then([]int{1, 2, 3, 4, 5}, []int{4, 5}, nil)
		each(all[:3], func(w *watcher) { w.next(line3) })
		anew := h.watch(4, binary, "watch", membClass)
		anew.next(line3)
		old.until("EVICTED") // a token stays, and has no record to compare with
		old.next("NM " + ordered(line3) + " " + ordered(line3) + " -")
		old.end()
		each(append(all[:3:3], anew), (*watcher).end)
		each(append(all[3:], limbo), (*watcher).end)
	})
}

// notPrimary is the line that has the record of another one.
func notPrimary(line string) string { return "NOT_PRIMARY" + strings.TrimPrefix(line, "NM") }

// Nobody goes on while all are apart; then all is as it was, for programs of draft 0.3,
// and those of draft 0.2 have a new instance of it.
func TestEvents_Scenario_10_36_Restored(t *testing.T) {
	binary := watch03(t)
	plain := eventProgram(t, memory, "_oc_event", "-DOC_EVENT_API=20", "testdata/watch02.c")
	shipped := eventProgram(t, memory, "ccmclient", "-Iinclude/ccm", "testdata/watch02.c")
	onStage(t, 5, func(t *testing.T, h *hall) {
		all, line := h.all(binary, "watch", membClass)
		old := []*watcher{h.watch(1, plain, "plain"), h.watch(5, shipped, "plain")}
		special := h.watch(3, plain, "special")
		order := func(prefix, rest string) string { // oldest first, whoever that is
			return prefix + ordered(line) + rest
		}
		each(append(old, special), func(w *watcher) { w.next(order("NM ", " "+ordered(line)+" -")) })

		h.Cut([]int{1, 2}, []int{3, 4}, []int{5})
		each(all, func(w *watcher) { w.next(notPrimary(line)) })
		each(old, func(w *watcher) {
			if got := w.until(""); !strings.HasPrefix(got, order("NOT_PRIMARY ", " ")) {
				t.Errorf("got %q", got)
			}
		})
		special.until(" - 1,2,5")
		each(append(all, old...), (*watcher).none)
		h.Cut()
		each(all, func(w *watcher) { w.next("RESTORED" + strings.TrimPrefix(line, "NM")) })
		each(old, func(w *watcher) { w.next(order("RESTORED ", " - -")) })
		special.until(order("NM ", " "+"1,2,5 -"))
		each(append(all, old...), (*watcher).end)
	})
}

// ordered is the list of members of a line, without births.
func ordered(line string) string {
	var ids []string
	for _, m := range strings.Split(strings.Fields(line)[2], ",") {
		id, _, _ := strings.Cut(m, "@")
		ids = append(ids, id)
	}
	return strings.Join(ids, ",")
}

// Who was in limbo goes on without who stays away.
func TestEvents03_Scenario_11_WithoutOne(t *testing.T) {
	binary := watch03(t)
	onStage(t, 5, func(t *testing.T, h *hall) {
		all, line := h.all(binary, "watch", membClass)
		h.Cut([]int{1, 2}, []int{3, 4}, []int{5})
		each(all, func(w *watcher) { w.next(notPrimary(line)) })
		h.Cut([]int{1, 2, 3, 4}, []int{5})
		rest := without(parseRecord(t, line), line, 5)
		each(all[:4], func(w *watcher) { w.next(rest) })
		each(all, (*watcher).end)
	})
}

// without is the line that follows when a node is lost.
func without(r record, line string, lost int) string {
	var members []int
	for _, id := range strings.Split(ordered(line), ",") {
		var n int
		fmt.Sscan(id, &n)
		if n != lost {
			members = append(members, n)
		}
	}
	next, _ := r.then(members, nil, []int{lost})
	return next
}

// A node dies while the others propose a membership with it: nobody is told.
func TestEvents03_Scenario_12_FailedFormation(t *testing.T) {
	binary := watch03(t)
	h := emptyHall(t, 3)
	h.Start(1)
	h.Start(2)
	h.Ring(1, 2)
	all := []*watcher{h.watch(1, binary, "watch", membClass), h.watch(2, binary, "watch", membClass)}
	seq := 1
	each(all, func(w *watcher) { w.next("NM 1 1@1,2@1 1@1,2@1 -") })
	for failed := false; !failed; {
		h.Ring(1, 2)
		before := h.ringID(1)
		h.Start(3)
		testenv.Eventually(t, patience, "a proposal", func() (bool, any) {
			st, err := h.Status(1)
			return err == nil && st.State != "operational", err
		})
		h.Kill(3)
		h.Ring(1, 2)
		// It may have been in a ring, and still not in a membership: a program that comes
		// now knows.
		now := parseRecord(t, h.watch(1, binary, "watch", membClass).until(""))
		if failed = now.seq == seq; !failed { // too late: it was a member
			seq += 2
			each(all, func(w *watcher) { w.until(fmt.Sprint(" - 3@", seq-1)) })
		} else if h.ringID(1) == before {
			t.Error("there was no other ring")
		}
	}
	each(all, (*watcher).none)
	h.Start(3)
	each(all, func(w *watcher) { w.next(fmt.Sprintf("NM %d 1@1,2@1,3@%[1]d 3@%[1]d -", seq+1)) })
	each(all, (*watcher).end)
}

// ringID is the present ring of a node.
func (h *hall) ringID(node int) string {
	h.t.Helper()
	st, err := h.Status(node)
	if err != nil || st.Ring == nil {
		h.t.Fatalf("node %d: no ring, %v", node, err)
	}
	return fmt.Sprint(st.Ring.ID)
}

// Two nodes that come with one change are born in it, in one order everywhere.
func TestEvents03_Scenario_13_Together(t *testing.T) {
	binary := watch03(t)
	onStage(t, 5, func(t *testing.T, h *hall) {
		h.Cut([]int{1, 2, 3}, []int{4, 5})
		for node := 1; node <= 5; node++ {
			h.Start(node)
		}
		h.Ring(1, 2, 3)
		h.Ring(4, 5)
		var all []*watcher
		for node := 1; node <= 3; node++ {
			all = append(all, h.watch(node, binary, "watch", membClass))
		}
		all[0].until(" -")
		line := all[0].Output()[strings.LastIndex(all[0].Output(), "NM"):]
		was := parseRecord(t, line)
		if len(was.born) != 3 {
			t.Fatalf("got %q", line)
		}
		h.Cut()
		var members []int
		for _, id := range strings.Split(ordered(line), ",") {
			members = append(members, int(id[0]-'0'))
		}
		both, _ := was.then(slices.Concat(members, []int{4, 5}), []int{4, 5}, nil)
		all[0].next(both)
		each(all[1:], func(w *watcher) { w.until(both) })
		joiners := []*watcher{h.watch(4, binary, "watch", membClass), h.watch(5, binary, "watch", membClass)}
		each(joiners, func(w *watcher) { w.next(both) })
		each(append(all, joiners...), (*watcher).end)
	})
}

// A signal tells of a membership.
func TestEvents03_Scenario_19_Signal(t *testing.T) {
	binary := watch03(t)
	h := agents(t, 3)
	w := h.watch(1, binary, "signal", membClass)
	was := parseRecord(t, w.until(" -"))
	h.Stop(3)
	line, _ := was.then([]int{1, 2}, nil, []int{3})
	w.until("signal")
	w.next(line)
	h.Kill(1)
	w.until("signal")
	w.until("shut down")
}

// What is cast to a group, and who comes and goes, has one order.
func TestEvents03_Scenario_20_Group(t *testing.T) {
	binary := watch03(t)
	h := agents(t, 3)
	a := h.watch(1, binary, "watch", "g")
	a.next("JOIN 1 ")
	b := h.watch(2, binary, "watch", "g")
	b.next("JOIN 2 ")
	a.next("JOIN 2 ")
	var c *watcher
	for i := range 3 {
		b.say("publish 0 cast %d", i)
		if i == 0 {
			c = h.watch(3, binary, "watch", "g")
		}
	}
	c.next("JOIN 3 ")
	b.say("publish 7 answer")
	each([]*watcher{a, b, c}, func(w *watcher) { w.lines(1) })
	got := a.lines(5)[:5]
	b.next(got...)
	a.next(got...)
	sorted := slices.Sorted(slices.Values(got))
	if want := []string{"CAST 2 cast 0", "CAST 2 cast 1", "CAST 2 cast 2", "JOIN 3 ", "REPLY 2 to 7 answer"}; !slices.Equal(sorted, want) {
		t.Errorf("got %q", got)
	}
	c.until("REPLY 2 to 7 answer")
	b.end()
	each([]*watcher{a, c}, func(w *watcher) { w.next("LEAVE 2 ") })
	h.Kill(3)
	a.next("LEAVE 3 ")
	a.end()
}

// The end of the agent is told to all, and to those of the membership as an eviction
// if it ends in order.
func TestEvents_Scenario_21_38_Shutdown(t *testing.T) {
	for _, sanitizer := range []string{memory, races} {
		t.Run(sanitizer, func(t *testing.T) { shutdown(t, sanitizer) })
	}
}

func shutdown(t *testing.T, sanitizer string) {
	binary := eventProgram(t, sanitizer, "_oc_event", "testdata/watch03.c")
	topics := eventProgram(t, sanitizer, "_oc_event", "testdata/watch04.c")
	old := eventProgram(t, sanitizer, "_oc_event", "-DOC_EVENT_API=20", "testdata/watch02.c")
	h := agents(t, 3)
	for _, killed := range []bool{false, true} {
		member := h.watch(3, binary, "watch", membClass)
		member.until(" -")
		group := h.watch(3, binary, "watch", "g")
		group.next("JOIN 3 ")
		rest := []*watcher{group, h.watch(3, binary, "watch", connClass), h.watch(3, topics, "pull", "g"), h.watch(3, topics, "call", "g")}
		pulled, called := h.watch(3, topics, "pull", membClass), h.watch(3, topics, "call", membClass)
		each([]*watcher{pulled, called}, func(w *watcher) { w.until("3 members") })
		token := h.watch(3, old, "plain")
		token.until(" -")
		if killed {
			h.Kill(3)
			each(append(rest, member, pulled, called), func(w *watcher) { w.next("shut down") })
			token.next("gone", "all right")
		} else {
			h.Stop(3)
			each(rest, func(w *watcher) { w.next("shut down") })
			member.next("EVICTED", "shut down")
			each([]*watcher{pulled, called}, func(w *watcher) { w.next("00800004", "shut down") })
			token.next("EVICTED", "gone", "all right")
			h.Start(3)
			h.Formed()
		}
		each(append(rest, member, token, pulled, called), (*watcher).end)
	}
}

// Two of five are left, in the eyes of programs that want to know of that and of those
// that do not.
func TestEvents02_Scenario_35_NoQuorum(t *testing.T) {
	binary := eventProgram(t, memory, "_oc_event", "-DOC_EVENT_API=20", "testdata/watch02.c")
	shipped := eventProgram(t, memory, "ccmclient", "-Iinclude/ccm", "testdata/watch02.c")
	onStage(t, 5, func(t *testing.T, h *hall) {
		h.Begin()
		plain := []*watcher{h.watch(1, binary, "plain"), h.watch(2, shipped, "plain")}
		special := []*watcher{h.watch(1, shipped, "special"), h.watch(2, binary, "special")}
		members := strings.Fields(special[0].until(" -"))[1]
		each(append(plain, special[1]), func(w *watcher) { w.next(fmt.Sprintf("NM %s %[1]s -", members)) })
		h.Kill(3, 4, 5)
		lost := strings.Join(slices.DeleteFunc(strings.Split(members, ","), func(id string) bool { return id < "3" }), ",")
		left := strings.Join(slices.DeleteFunc(strings.Split(members, ","), func(id string) bool { return id >= "3" }), ",")
		each(special, func(w *watcher) { w.next("INVALID " + left + " - " + lost) })
		each(plain, func(w *watcher) { w.next(fmt.Sprintf("NOT_PRIMARY %s %[1]s -", members)) })
		h.Ring(1, 2)
		each(append(plain, special...), (*watcher).end)
	})
}

// Three changes wait, and one call tells them all.
func TestEvents02_Scenario_37_Pending(t *testing.T) {
	binary := eventProgram(t, memory, "_oc_event", "-DOC_EVENT_API=20", "testdata/watch02.c")
	member := watch03(t)
	h := agents(t, 3)
	w, other := h.watch(1, binary, "lazy"), h.watch(1, member, "watch", membClass)
	w.say("")
	w.until("at once")
	was := parseRecord(t, other.until(" -"))
	for _, in := range []bool{false, true, false} {
		if in {
			h.Start(3)
		} else {
			h.Stop(3)
		}
		was.seq++
		testenv.Eventually(t, patience, "a change", func() (bool, any) {
			return strings.Contains(other.Output(), fmt.Sprintf("\nNM %d ", was.seq)), other.Output()
		})
	}
	w.say("")
	w.next("NM 1,2 - 3", "NM 1,2,3 3 -", "NM 1,2 - 3", "3 at once")
	w.end()
}

// A program that loads the shipped library and asks for bare names.
func TestEvents02_Scenario_40_Loaded(t *testing.T) {
	dir := build(t, memory)
	loaded := eventProgram(t, memory, "", "-Iinclude/ccm", fmt.Sprintf("-DLOADED=%q", dir+"/libccmclient.so.1"), "testdata/watch02.c", "-ldl")
	linked := eventProgram(t, memory, "ccmclient", "-Iinclude/ccm", "testdata/watch02.c")
	h := agents(t, 3)
	all := []*watcher{h.watch(1, loaded, "special"), h.watch(1, linked, "special")}
	each(all, func(w *watcher) { w.until(" -") })
	h.Stop(3)
	each(all, func(w *watcher) { w.next("NM 1,2 - 3") })
	h.Kill(2)
	each(all, func(w *watcher) { w.next("INVALID 1 - 2") })
	h.Start(2)
	each(all, func(w *watcher) { w.next("NM 1,2 2 -") })
	h.Kill(1)
	each(all, func(w *watcher) { w.next("gone", "all right") })
	each(all, (*watcher).end)
}
