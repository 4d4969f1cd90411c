package capi_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

// Programs of all drafts, built as their first lines say from what is installed, run on
// three nodes that come and go: numbers have no gaps, lists are the same everywhere.
func TestEventsExamples(t *testing.T) {
	compiler(t)
	prefix := t.TempDir()
	run(t, exec.Command("make", "-s", "install", "OUT="+build(t, ""), "CFLAGS=-O1 -g", "PREFIX="+prefix, "DESTDIR=/"))
	bin := t.TempDir()
	compile := func(name string, args ...string) string {
		t.Helper()
		binary := filepath.Join(bin, name)
		args = append([]string{"-Wall", "-Wextra", "-Werror", "-o", binary, filepath.Join("../examples/events-c", name+".c"), "-L", prefix + "/lib"}, args...)
		run(t, exec.Command("cc", args...))
		return binary
	}
	draft03 := compile("draft03", "-I", prefix+"/include", "-l_oc_event")
	draft04 := compile("draft04", "-I", prefix+"/include", "-l_oc_event", "-pthread")
	shipped := compile("shipped", "-I", prefix+"/include/ccm", "-I", prefix+"/include", "-lccmclient")
	loaded := compile("loaded", "-I", prefix+"/include/ccm", "-I", prefix+"/include", "-ldl")
	t.Setenv("LD_LIBRARY_PATH", prefix+"/lib")
	post := watch04(t)

	h := agents(t, 3)
	h.topic(t, 0, "create", "news")
	var all []*example
	begin := func(node int) {
		for _, args := range [][]string{{draft03, "friends"}, {draft04, "news"}, {shipped}, {loaded}} {
			p, _ := h.client(node, args[0], args[1:]...)
			all = append(all, &example{p, t, filepath.Base(args[0]), node})
		}
	}
	for node := 1; node <= 3; node++ {
		begin(node)
	}
	each := func(do func(e *example)) {
		t.Helper()
		for _, e := range all {
			do(e)
		}
	}
	each((*example).complete)
	lines := all[0].lines("membership")
	seq := number(t, lines[len(lines)-1])
	changed := func() {
		t.Helper()
		seq++
		for _, e := range all[:2] { // on the node that stays
			e.WaitOutput(patience, fmt.Sprintf("membership %d |", seq))
		}
		h.program(1, post, "post", "news").publish(0, "behind a change")
	}
	for round := range 3 {
		for _, node := range []int{3, 2} {
			if (round+node)%2 == 0 {
				h.Stop(node)
			} else {
				h.Kill(node)
			}
			each(func(e *example) {
				if e.node == node {
					e.Wait(patience) // it ends with its agent
				}
			})
			changed()
			h.Start(node)
			changed()
			h.Formed()
			begin(node)
		}
	}
	each((*example).complete)
	h.program(1, post, "post", "news").publish(0, "the end")
	each(func(e *example) {
		if e.Running() && e.kind == "draft04" {
			e.WaitOutput(patience, ": the end\n")
		}
	})
	h.Kill(3)
	h.Kill(2)
	h.Kill(1)
	each(func(e *example) {
		e.WaitOutput(patience, "the service has ended\n")
		if code := e.Wait(patience); code != 0 || strings.Contains(e.Output(), "unknown") || strings.Contains(e.Output(), "missed") {
			t.Errorf("%s on node %d: exit %d", e.kind, e.node, code)
		}
	})
	compare(t, all)
}

// example is one of the programs.
type example struct {
	*testenv.Process
	t    *testing.T
	kind string
	node int
}

// lines are those that begin so, up to the end of the agents.
func (e *example) lines(begin string) (list []string) {
	for line := range strings.Lines(e.Output()) {
		if strings.HasPrefix(line, begin) && strings.HasSuffix(line, "\n") {
			list = append(list, strings.TrimSuffix(line, "\n"))
		}
	}
	return list
}

// complete waits until a program that still runs knows three members.
func (e *example) complete() {
	e.t.Helper()
	if !e.Running() {
		return
	}
	testenv.Eventually(e.t, patience, "three members", func() (bool, any) {
		list := slices.Concat(e.lines("membership"), e.lines("instance"))
		return len(list) > 0 && len(members(list[len(list)-1])) == 3, e.Output()
	})
}

// members are those of a line, in its words.
func members(line string) []string { return strings.Fields(strings.Split(line, " | ")[1])[1:] }

// number is that of a line, its second word.
func number(t *testing.T, line string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(strings.TrimSuffix(strings.Fields(line)[1], ":"), &n); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return n
}

// compare checks what all programs said, node by node and among them.
func compare(t *testing.T, all []*example) {
	t.Helper()
	said := map[string]string{} // by the beginning of a line
	same := func(key, text string) {
		t.Helper()
		if before, ok := said[key]; ok && before != text {
			t.Errorf("%s: %q and %q", key, before, text)
		}
		said[key] = text
	}
	order := all[0].lines("group") // from when the node that stays was in it
	for _, e := range all {
		for _, topic := range []string{"membership", "news"} {
			last := 0
			for _, line := range e.lines(topic) {
				if strings.HasSuffix(line, "is not certain") { // the agents of the others have ended
					continue
				}
				n := number(t, line)
				if last != 0 && n != last+1 {
					t.Errorf("%s on node %d: %q behind %d", e.kind, e.node, line, last)
				}
				last = n
				same(fmt.Sprint(topic, " ", n), line)
			}
		}
		last := 0
		for _, line := range e.lines("instance") {
			n := number(t, line)
			if n <= last && !strings.HasSuffix(line, "not certain") {
				t.Errorf("%s on node %d: %q behind %d", e.kind, e.node, line, last)
			}
			last = n
			var names []string
			for _, m := range members(line) {
				name, _, _ := strings.Cut(m, "=")
				names = append(names, name)
			}
			if strings.HasSuffix(line, "| quorum") {
				same(fmt.Sprint("instance ", n), strings.Join(names, " "))
			}
		}
		group := e.lines("group")
		from := slices.IndexFunc(group, func(line string) bool { return slices.Contains(order, line) })
		if e.kind != "draft03" {
			continue
		}
		if from < 0 {
			t.Errorf("node %d saw nothing of %q", e.node, order)
		} else if rest := order[slices.Index(order, group[from]):]; len(group)-from > len(rest) || !slices.Equal(group[from:], rest[:len(group)-from]) {
			t.Errorf("node %d saw\n%s\nwhich is no part of\n%s", e.node, strings.Join(group[from:], "\n"), strings.Join(order, "\n"))
		}
	}
	if len(said) < 3*12 {
		t.Errorf("only %d things happened", len(said))
	}
}
