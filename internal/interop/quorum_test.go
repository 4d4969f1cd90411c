package interop

import (
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// Items 25 to 27 with several nodes: each change of the ring gives trackers one
// node list, then one decision of the same ring.
func TestQuorum_Item26_Trackers(t *testing.T) {
	needPrograms(t)
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, cutOff.String(), "", "")
		tracker := compile(t, stage, "testdata/c/tracker.c")
		s.startAll()
		var v0, v1 []*program
		for _, a := range s.agents {
			v0, v1 = append(v0, a.program(tracker, "0")), append(v1, a.program(tracker, "1"))
		}
		seen0, seen1 := make([]int, 3), make([]int, 3)
		// next is the ring that a node's trackers are told of next.
		next := func(node int, quorate, members, joined, left string) (ring string) {
			t.Helper()
			i := node - 1
			from := seen1[i]
			line, to := v1[i].until(from, "quorum ")
			seen1[i] = to
			got := v1[i].said()[from:to]
			ring = strings.Fields(line)[1]
			want := []string{"nodes " + ring + members + " joined" + joined + " left" + left, "quorum " + ring + " " + quorate + members}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("node %d was told %q, want %q", node, got, want)
			}
			_, seq, _ := strings.Cut(ring, "/")
			from = seen0[i]
			line, seen0[i] = v0[i].until(from, "quorum ")
			if want := "quorum " + quorate + " " + seq + members; line != want {
				t.Errorf("node %d was told %q, want %q", node, line, want)
			}
			return ring
		}
		same := func(rings ...string) {
			t.Helper()
			for _, r := range rings {
				if r != rings[0] {
					t.Errorf("different rings: %v", rings)
				}
			}
		}
		all := " 1 2 3"
		same(next(1, "1", all, "", ""), next(2, "1", all, "", ""), next(3, "1", all, "", ""))

		cut := func(up bool) {
			t.Helper()
			if err := stage.Nodes[2].SetLink(up); err != nil {
				t.Fatal(err)
			}
		}
		cut(false)
		same(next(1, "1", " 1 2", "", " 3"), next(2, "1", " 1 2", "", " 3"))
		next(3, "0", " 3", "", " 1 2")
		v1[2].order("?")
		_, seen1[2] = v1[2].until(seen1[2], "quorate 0")
		cut(true)
		same(next(1, "1", all, " 3", ""), next(2, "1", all, " 3", ""), next(3, "1", all, " 1 2", ""))
		v1[2].order("?")
		_, seen1[2] = v1[2].until(seen1[2], "quorate 1")

		s.agents[2].process.Signal(syscall.SIGTERM)
		if code := s.agents[2].process.Wait(patience); code != 0 {
			t.Errorf("exit status %d", code)
		}
		for _, p := range []*program{v0[2], v1[2]} {
			if code := p.exit(); code != 3 || p.said()[len(p.said())-1] != "lost dispatch 2" {
				t.Errorf("%s: exit status %d, last line %q", p.name, code, p.said()[len(p.said())-1])
			}
		}
		same(next(1, "1", " 1 2", "", " 3"), next(2, "1", " 1 2", "", " 3"))
		s.agents[1].kill()
		next(1, "0", " 1", "", " 2")
		s.agents[1].start()
		next(1, "1", " 1 2", " 2", "")
		s.agents[2].start()
		next(1, "1", all, " 3", "")
	})
}

// Item 46.
func TestQuorum_Item46_TwoNodes(t *testing.T) {
	testenv.OnStage(t, 2, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, killed.String(), "two_node: 1", "")
		a, b := s.agents[0], s.agents[1]
		quorate := func(g *agent, want bool) {
			t.Helper()
			if st := s.formed(g.id); st.Quorum.Quorate != want {
				t.Errorf("node %d alone: quorate %v, %s", g.id, st.Quorum.Quorate, st.Quorum.Reason)
			}
		}
		both := func() {
			t.Helper()
			if st := s.formed(1, 2); !st.Quorum.Quorate {
				t.Errorf("both: not quorate: %s", st.Quorum.Reason)
			}
		}
		a.start()
		quorate(a, false) // never saw the other one
		b.start()
		both()
		b.kill()
		quorate(a, true)
		b.start()
		both()
		a.kill()
		quorate(b, true)
		a.start()
		both()
		for _, dead := range []*agent{a, b} {
			dead.kill()
		}
		b.start()
		quorate(b, false) // a new start has to see all again
		a.start()
		both()
		for i, g := range s.agents {
			g.process.Signal(syscall.SIGTERM)
			if code := g.process.Wait(patience); code != 0 {
				t.Errorf("exit status %d", code)
			}
			if i == 0 {
				quorate(b, true)
			}
		}
	})
}
