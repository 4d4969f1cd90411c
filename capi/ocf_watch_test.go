package capi_test

import (
	"cmp"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// watcher is a program that prints what it is told, line by line.
type watcher struct {
	*testenv.Process
	t     testing.TB
	node  int
	stdin io.WriteCloser
	seen  int // lines
}

// onStage runs a test with agents that have networks of their own, none of them
// started. Libraries are built before, so that they are the same on all stages.
func onStage(t *testing.T, n int, body func(t *testing.T, h *hall)) {
	t.Helper()
	build(t, memory)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skipf("needs nftables for partitions: %v", err)
	}
	testenv.OnStage(t, n, func(t *testing.T, s *bench.Stage) { body(t, emptyStage(t, s)) })
}

// watch starts a program beside the agent of a node and waits for its first line.
func (h *hall) watch(node int, binary string, args ...string) *watcher {
	h.t.Helper()
	p, stdin := h.client(node, binary, args...)
	w := &watcher{Process: p, t: h.t, node: node, stdin: stdin}
	w.lines(1)
	w.seen = 1
	return w
}

func (w *watcher) say(format string, args ...any) {
	w.t.Helper()
	if _, err := fmt.Fprintf(w.stdin, format+"\n", args...); err != nil {
		w.t.Fatal(err)
	}
}

// lines waits until there are so many that were not seen.
func (w *watcher) lines(n int) []string {
	w.t.Helper()
	var list []string
	testenv.Eventually(w.t, patience, fmt.Sprintf("%d more lines on node %d", n, w.node), func() (bool, any) {
		list = strings.Split(w.Output(), "\n")
		list = list[w.seen : len(list)-1]
		return len(list) >= n, list
	})
	return list
}

// next waits for lines, and wants these.
func (w *watcher) next(want ...string) {
	w.t.Helper()
	if got := w.lines(len(want))[:len(want)]; !slices.Equal(got, want) {
		w.t.Fatalf("node %d: got\n%s\nwant\n%s", w.node, strings.Join(w.lines(0), "\n"), strings.Join(want, "\n"))
	}
	w.seen += len(want)
}

// until skips lines up to one that ends so.
func (w *watcher) until(end string) string {
	w.t.Helper()
	for {
		line := w.lines(1)[0]
		w.seen++
		if strings.HasSuffix(line, end) {
			return line
		}
	}
}

// none wants that nothing more was told.
func (w *watcher) none() {
	w.t.Helper()
	if more := w.lines(0); len(more) > 0 {
		w.t.Fatalf("node %d: got\n%s\nand want nothing", w.node, strings.Join(more, "\n"))
	}
}

// end closes the program's input, and wants that it ends in order and said nothing
// more.
func (w *watcher) end() {
	w.t.Helper()
	w.stdin.Close()
	if code := w.Wait(patience); code != 0 {
		w.t.Fatalf("node %d: exit %d", w.node, code)
	}
	if more := w.lines(0); len(more) > 0 && !slices.Equal(more, []string{"all right"}) {
		w.t.Fatalf("node %d: got %q, and want nothing", w.node, more)
	}
}

// each does something with all programs.
func each(list []*watcher, do func(w *watcher)) {
	for _, w := range list {
		w.t.Helper()
		do(w)
	}
}

// record is a membership as programs of draft 0.3 print it.
type record struct {
	seq  int
	born map[int]int // of the members
}

// parseRecord reads the line of a membership.
func parseRecord(t testing.TB, line string) record {
	t.Helper()
	r := record{born: map[int]int{}}
	var kind, members string
	if _, err := fmt.Sscanf(line, "%s %d %s", &kind, &r.seq, &members); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	for _, m := range strings.Split(members, ",") {
		var id, born int
		if _, err := fmt.Sscanf(m, "%d@%d", &id, &born); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		r.born[id] = born
	}
	return r
}

// list is a list of the record, of which all were members or are now, by when they came.
func (r record) list(ids ...int) string {
	ids = slices.SortedFunc(slices.Values(ids), func(a, b int) int { return cmp.Or(cmp.Compare(r.born[a], r.born[b]), cmp.Compare(a, b)) })
	var words []string
	for _, id := range ids {
		words = append(words, fmt.Sprintf("%d@%d", id, r.born[id]))
	}
	if words == nil {
		return "-"
	}
	return strings.Join(words, ",")
}

// then is the line of the membership that comes behind this one, and what it says.
func (r record) then(members, in, out []int) (string, record) {
	now := record{seq: r.seq + 1, born: map[int]int{}}
	for _, id := range members {
		now.born[id] = r.born[id]
		if slices.Contains(in, id) {
			now.born[id] = now.seq
		}
	}
	return fmt.Sprintf("NM %d %s %s %s", now.seq, now.list(members...), now.list(in...), r.list(out...)), now
}

// all starts the agents at once and gives what programs on each of them are told, when
// they have come together, and the last record.
func (h *hall) all(binary string, args ...string) (list []*watcher, line string) {
	h.t.Helper()
	h.Begin()
	for i := range h.Size() {
		w := h.watch(i+1, binary, args...)
		for line = w.until(""); len(parseRecord(h.t, line).born) < h.Size(); line = w.until("") {
		}
		list = append(list, w)
	}
	for _, w := range list { // the same record everywhere, whoever got it first or late
		if !strings.Contains(w.Output(), line+"\n") {
			h.t.Fatalf("node %d lacks %q:\n%s", w.node, line, w.Output())
		}
	}
	return list, line
}
