package executive

import (
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/explain"
	"github.com/moothall/moothall/internal/proto"
)

// What watchdog and engine both saw counts once, what is long ago does not.
func TestGapsSince(t *testing.T) {
	sec := proto.Second
	c := &Core{now: 100 * sec}
	c.witnessed.pauses = []Gap{{At: 50 * sec, Dur: 10 * sec}, {At: 20 * sec, Dur: sec}}
	c.gaps = func() Gaps {
		return Gaps{Recent: []Gap{{At: 50*sec + 1, Dur: 9 * sec}, {At: 51 * sec, Dur: 800 * proto.Millisecond, Owner: true}, {At: 60 * sec, Dur: sec}}}
	}
	c.cfg.Totem.Self = 3
	f, ok := c.gapsSince(30 * sec)
	if want := (explain.Fact{Subject: 3, Kind: explain.Gaps, A: 3, B: 10_000, C: 11_800, D: 70_000}); !ok || f != want {
		t.Errorf("%+v, want %+v", f, want)
	}
	if f, ok := c.gapsSince(70 * sec); ok {
		t.Errorf("%+v after the last one", f)
	}
}

// One wrong address in a file is told by all, with the file and the address.
func TestWrongAddress(t *testing.T) {
	w := newWorld(t, 3)
	w.wrong = func(at, of NodeID) bool { return at == 3 && of == 2 }
	w.start()
	named := false
	w.until("the wrong file is named", func() bool {
		for _, id := range []NodeID{1, 2, 3} {
			for _, e := range w.nodes[id].core.Explanations().List() {
				if e.Reason == explain.ProcessGone.String() {
					t.Fatal(e.Text)
				}
				named = named || e.Reason == explain.WrongNodes.String() && strings.Contains(e.Text, "file of node 3 has another address for node 2 than 10.0.0.2")
			}
		}
		return named
	})
}

// Real cores give one explanation at all members: for silence, for a way back,
// and for a farewell.
func TestMembersAgreeOnWhy(t *testing.T) {
	w := newWorld(t, 3).start()
	w.until("one ring", func() bool { return w.together(1, 2, 3) })
	says := func(reason explain.Code, words string, ids ...NodeID) {
		t.Helper()
		w.until("the same answer: "+reason.String(), func() bool {
			var first *explain.Explanation
			for _, id := range ids {
				e := w.nodes[id].core.Explanations().About(3)
				if e == nil || !e.Complete() || e.Reason != reason.String() || !strings.Contains(e.Text, words) {
					return false
				}
				if first == nil {
					first = e
				}
				if e.Text != first.Text {
					return false
				}
			}
			return true
		})
	}
	w.split([]NodeID{1, 2}, []NodeID{3})
	w.until("a ring of two", func() bool { return w.together(1, 2) && w.together(3) })
	says(explain.Silent, "node 3 left", 1, 2)
	w.run(5 * proto.Second)
	w.heal()
	w.until("one ring again", func() bool { return w.together(1, 2, 3) })
	says(explain.CutOff, "node 3 came back after", 1, 2, 3)
	w.nodes[3].crash()
	w.until("without node 3", func() bool { return w.together(1, 2) })
	says(explain.Silent, "node 3 left", 1, 2)
	w.nodes[3].start()
	w.until("with its next life", func() bool { return w.together(1, 2, 3) })
	says(explain.Started, "(restarted)", 1, 2, 3)
	w.nodes[3].core.Leave(w.now)
	w.nodes[3].core.Flush(w.now)
	w.until("without node 3 again", func() bool { return w.together(1, 2) })
	says(explain.Left, "said farewell", 1, 2)
	if ds := w.nodes[2].core.Decisions(0); !slices.ContainsFunc(ds, func(d Decision) bool { return d.Kind == DecisionWhy && d.Reason == "left" }) {
		t.Error("the decision log does not tell")
	}
}
