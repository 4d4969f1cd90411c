package capi_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

// The numbers of scenarios are those of cluster events 8. These are about topics on
// several nodes, as programs of draft 0.4 are told of them.

func watch04(t *testing.T) string { return eventProgram(t, memory, "_oc_event", "testdata/watch04.c") }

// What is published on one node comes to others with the same numbers.
func TestEvents04_Scenario_24_25_Publish(t *testing.T) {
	binary := watch04(t)
	h := agents(t, 3)
	h.topic(t, 0, "create", "t")
	var all []*watcher
	for i, how := range []string{"pull", "call", "pull"} {
		all = append(all, h.watch(i+1, binary, how, "t"))
	}
	first := all[1].publish(0, "hello")
	second := all[2].publish(first, "world")
	want := []string{fmt.Sprintf("MSG 1 %d 0 hello", first), fmt.Sprintf("MSG 2 %d %d world", second, first)}
	for _, w := range all {
		testenv.Eventually(t, patience, "both messages", func() (bool, any) {
			return slices.Equal(w.messages(), want), w.Output()
		})
	}
}

// publish has a program publish, and gives the number of the event.
func (w *watcher) publish(re int, text string) (id int) {
	w.t.Helper()
	before := strings.Count(w.Output(), "published ")
	w.say("publish %d %s", re, text)
	testenv.Eventually(w.t, patience, "published", func() (bool, any) {
		out := w.Output()
		if strings.Count(out, "published ") == before || !strings.Contains(out[strings.LastIndex(out, "published "):], "\n") {
			return false, out
		}
		_, err := fmt.Sscanf(out[strings.LastIndex(out, "published "):], "published %d", &id)
		return err == nil, out
	})
	return id
}

// messages are the events that were told so far.
func (w *watcher) messages() (list []string) {
	for line := range strings.Lines(w.Output()) {
		if strings.HasPrefix(line, "MSG ") && strings.HasSuffix(line, "\n") {
			list = append(list, strings.TrimSuffix(line, "\n"))
		}
	}
	return list
}

// Who does nothing with what it fetched gets 64 events, then what was queued, then a
// gap; others get all.
func TestEvents04_Scenario_29_Slow(t *testing.T) {
	binary := watch04(t)
	slow := eventProgram(t, memory, "_oc_event", "testdata/slow04.c")
	h := agents(t, 3)
	h.topic(t, 0, "create", "t")
	s, quick, far, p := h.watch(1, slow, "t"), h.watch(1, binary, "pull", "t"), h.watch(3, binary, "pull", "t"), h.program(2, binary, "post", "t")
	for n := 500; n <= 10000; n += 500 { // no more than queue for who is quick
		p.say("flood 500 x")
		for _, w := range []*watcher{quick, far} {
			testenv.Eventually(t, patience, "all messages", func() (bool, any) { return len(w.messages()) >= n, len(w.messages()) })
		}
	}
	s.next("full")
	for _, w := range []*watcher{quick, far} {
		for i, m := range w.messages() {
			if !strings.HasPrefix(m, fmt.Sprintf("MSG %d ", i+1)) {
				t.Fatalf("message %d is %q", i+1, m)
			}
		}
	}
	s.say("")
	s.next("going on") // so something was taken, and there is room for one more
	p.publish(0, "end")
	s.say("")
	s.next("gap of 8912 after 1024", "1025 more, up to 10001")
}

// program starts a program of which nothing is expected yet.
func (h *hall) program(node int, binary string, args ...string) *watcher {
	h.t.Helper()
	p, stdin := h.client(node, binary, args...)
	return &watcher{Process: p, t: h.t, node: node, stdin: stdin}
}

// Programs are told of memberships as a topic.
func TestEvents04_Scenario_30_Membership(t *testing.T) {
	binary := watch04(t)
	h := agents(t, 3)
	var seq int
	all := []*watcher{h.watch(1, binary, "pull", membClass), h.watch(2, binary, "call", membClass)}
	each(all, func(w *watcher) {
		if _, err := fmt.Sscanf(w.until("3 members"), "00800001 %d", &seq); err != nil {
			t.Fatal(err)
		}
	})
	h.Stop(3)
	each(all, func(w *watcher) { w.next(fmt.Sprintf("00800001 %d 2 members", seq+1)) })
	h.Start(3)
	each(all, func(w *watcher) { w.next(fmt.Sprintf("00800001 %d 3 members", seq+2)) })
}

// Three publish at once; all are told the same, in one order without gaps.
func TestEvents04_Scenario_32_ManyPublishers(t *testing.T) {
	for _, sanitizer := range []string{memory, races} {
		t.Run(sanitizer, func(t *testing.T) {
			manyPublishers(t, eventProgram(t, sanitizer, "_oc_event", "testdata/watch04.c"))
		})
	}
}

func manyPublishers(t *testing.T, binary string) {
	h := agents(t, 3)
	h.topic(t, 0, "create", "t")
	var subscribers, publishers []*watcher
	for node := 1; node <= 3; node++ {
		subscribers = append(subscribers, h.watch(node, binary, "pull", "t"))
		publishers = append(publishers, h.program(node, binary, "post", "t"))
	}
	for n := 750; n <= 3000; n += 750 { // no more than queue for who is quick
		for _, p := range publishers {
			p.say("flood 250 from %d", p.node)
		}
		for _, w := range subscribers {
			testenv.Eventually(t, patience, "all messages", func() (bool, any) { return len(w.messages()) >= n, len(w.messages()) })
		}
	}
	var first []string
	for _, w := range subscribers {
		got := w.messages()
		if first == nil {
			first = got
		}
		if !slices.Equal(got, first) {
			t.Errorf("node %d was told something else", w.node)
		}
	}
	from, ids := map[string]int{}, map[int]bool{}
	for i, m := range first {
		var seq, id, re int
		if _, err := fmt.Sscanf(m, "MSG %d %d %d", &seq, &id, &re); err != nil || seq != i+1 || id <= 0 || ids[id] {
			t.Fatalf("message %d is %q", i+1, m)
		}
		ids[id] = true
		from[m[strings.Index(m, "from"):]]++
	}
	for node := 1; node <= 3; node++ {
		if n := from[fmt.Sprint("from ", node)]; n != 1000 {
			t.Errorf("%d messages from node %d", n, node)
		}
	}
}

// Nothing is published while nobody may go on, and afterwards numbers go on.
func TestEvents04_Scenario_32a_Limbo(t *testing.T) {
	binary, member := watch04(t), watch03(t)
	onStage(t, 3, func(t *testing.T, h *hall) {
		members, line := h.all(member, "watch", membClass)
		h.topic(t, 0, "create", "t")
		var all []*watcher
		for node := 1; node <= 3; node++ {
			all = append(all, h.watch(node, binary, "pull", "t"))
		}
		want := []string{fmt.Sprintf("MSG 1 %d 0 before", all[0].publish(0, "before"))}
		h.Cut([]int{1}, []int{2}, []int{3})
		each(members, func(w *watcher) { w.next(notPrimary(line)) })
		each(all, func(w *watcher) { w.say("publish 0 nothing") })
		each(all, func(w *watcher) { w.until("again") })
		h.topic(t, 1, "create", "u")
		h.Cut()
		each(members, func(w *watcher) { w.next("RESTORED" + strings.TrimPrefix(line, "NM")) })
		for i, w := range all {
			text := fmt.Sprint("after ", w.node)
			want = append(want, fmt.Sprintf("MSG %d %d 0 %s", i+2, w.publish(0, text), text))
		}
		each(all, func(w *watcher) {
			testenv.Eventually(t, patience, "all messages", func() (bool, any) { return slices.Equal(w.messages(), want), w.Output() })
		})
		each(append(all, members...), func(w *watcher) {
			w.stdin.Close()
			if code := w.Wait(patience); code != 0 {
				t.Errorf("node %d: exit %d", w.node, code)
			}
		})
	})
}

// A topic that is deleted tells what was queued, and ends.
func TestEvents04_Scenario_32b_Delete(t *testing.T) {
	binary := watch04(t)
	h := agents(t, 3)
	h.topic(t, 0, "create", "t")
	h.topic(t, 3, "create", "t")
	pulled, called, far := h.watch(1, binary, "pull", "t"), h.watch(2, binary, "call", "t"), h.watch(3, binary, "pull", "t")
	all := []*watcher{pulled, called, far}
	each(all, func(w *watcher) { w.Stop() }) // so that messages queue
	p := h.program(2, binary, "post", "t")
	one, two := p.publish(0, "one"), p.publish(0, "two")
	h.topic(t, 0, "delete", "t")
	each(all, func(w *watcher) { w.Continue() })
	each(all, func(w *watcher) {
		w.next(fmt.Sprintf("MSG 1 %d 0 one", one), fmt.Sprintf("MSG 2 %d 0 two", two), "shut down")
	})
	each(all, func(w *watcher) {
		if code := w.Wait(patience); code != 0 {
			t.Errorf("exit %d", code)
		}
	})
	h.topic(t, 3, "delete", "t")
	p.seen = 2
	p.say("publish 0 three")
	p.next("invalid")
	h.program(3, binary, "pull", "t").next("invalid")
}

// What is near is told as it changes: interfaces and connections of this node, and, on
// all nodes in the order of memberships, which nodes there may be.
func TestEvents03_Connectivity(t *testing.T) {
	binary := watch03(t)
	onStage(t, 3, func(t *testing.T, h *hall) {
		all, line := h.all(binary, "watch", membClass)
		var near []*watcher
		for node := 1; node <= 3; node++ {
			near = append(near, h.watch(node, binary, "watch", connClass))
		}
		if err := h.Stage().Nodes[2].SetLink(false); err != nil {
			t.Fatal(err)
		}
		next, _ := parseRecord(t, line).then(ids(ordered(line), 3), nil, []int{3})
		each(all[:2], func(w *watcher) { w.next(next) })
		all[2].next(notPrimary(line))
		each(near[:2], func(w *watcher) { w.next("CONNECT down 3 10.77.0.3") })
		near[2].told("INTERFACE down 0 10.77.0.3", "CONNECT down 1 10.77.0.1", "CONNECT down 2 10.77.0.2")
		if err := h.Stage().Nodes[2].SetLink(true); err != nil {
			t.Fatal(err)
		}
		all[2].next("EVICTED", "shut down")
		each(near[:2], func(w *watcher) { w.next("CONNECT up 3 10.77.0.3") })

		conf, err := os.ReadFile(h.Config())
		if err != nil {
			t.Fatal(err)
		}
		more := strings.TrimSuffix(string(conf), "}\n") + "node {\nnodeid: 4\nring0_addr: 10.77.0.4\n}\n}\n"
		for _, text := range []string{more, string(conf)} {
			if err := os.WriteFile(h.Config(), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := h.Command(1, testenv.Binary(t), "reload", "--run", h.Run(1))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want := "ELIGIBLE up 4 -"
			if text != more {
				want = "ELIGIBLE down 4 -"
			}
			each(near[:2], func(w *watcher) { w.until(want) })
		}
	})
}

// ids are those of a list but one.
func ids(list string, but int) (members []int) {
	for _, word := range strings.Split(list, ",") {
		if id := int(word[0] - '0'); id != but {
			members = append(members, id)
		}
	}
	return members
}

// told waits for lines in any order.
func (w *watcher) told(want ...string) {
	w.t.Helper()
	got := slices.Sorted(slices.Values(w.lines(len(want))[:len(want)]))
	if !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		w.t.Fatalf("node %d: got %q, want %q", w.node, got, want)
	}
	w.seen += len(want)
}
