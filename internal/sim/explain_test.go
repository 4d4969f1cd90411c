package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/explain"
)

// What members say of why others came and went is true of the plan, and those
// that are together in the end say the same of how they came together.
func TestExplanationsAreTrue(t *testing.T) {
	said := map[string]int{}
	for s := range uint64(80) {
		judgeExplanations(t, fmt.Sprintf("quorum seed %d", s), DrawQuorum(s), said)
	}
	for s := range uint64(6) {
		judgeExplanations(t, fmt.Sprintf("whole seed %d", s), Draw(s), said)
	}
	t.Log(said)
}

func judgeExplanations(t *testing.T, name string, p *Plan, said map[string]int) {
	t.Helper()
	w := newWorld(p, Options{})
	w.run()
	for _, m := range w.nodes {
		f, ok := m.proc.(*full)
		if !ok || m.paused {
			continue
		}
		for _, e := range f.core.Explanations().List() {
			for _, x := range e.Parts {
				said[x.Reason.String()]++
				if why := p.contradicts(x, m.id); why != "" {
					t.Errorf("%s: node %d says of ring %v %q: %s", name, m.id, e.Ring, e.Text, why)
				}
			}
		}
		for _, d := range f.core.Decisions(0) {
			if why := p.contradictsWords(d.Text, m.id); why != "" {
				t.Errorf("%s: node %d decided %q: %s", name, m.id, d.Text, why)
			}
		}
		last := f.core.Explanations().Of(m.ringNow().String())
		for _, o := range w.nodes {
			g, ok := o.proc.(*full)
			if !ok || o.id <= m.id || o.ringNow() != m.ringNow() || last == nil {
				continue
			}
			other := g.core.Explanations().Of(m.ringNow().String())
			if other == nil || last.Complete() != other.Complete() || last.Complete() && (other.Text != last.Text || other.Reason != last.Reason) {
				t.Errorf("%s: of ring %v node %d says %+v\nnode %d says %+v", name, m.ringNow(), m.id, last, o.id, other)
			}
		}
	}
}

// ringNow is the ring that a whole node is in.
func (m *member) ringNow() RingID {
	if f, ok := m.proc.(*full); ok && f.core != nil {
		return f.core.Status().Ring
	}
	return RingID{}
}

// contradictsWords says what the plan has against a sentence of the decision
// log of node teller. Nodes are called by their ids there.
func (p *Plan) contradictsWords(text string, teller NodeID) string {
	for _, c := range []struct {
		after string // the node's name
		kinds []Do
		why   string
	}{
		{" left in order", []Do{DoLeave}, "it never left"},
		{" said farewell", []Do{DoLeave}, "it never left"},
		{" was restarted", []Do{DoLeave, DoCrash, DoDiskErr}, "it never ended"},
		{" process was not running", []Do{DoPause, DoSlow}, "it always ran"},
	} {
		before, _, found := strings.Cut(text, c.after)
		if !found {
			continue
		}
		who := teller
		if i := strings.LastIndex(before, "node "); i >= 0 && !strings.HasSuffix(before, "this") {
			fmt.Sscan(before[i+len("node "):], &who)
		}
		if !p.did(who, c.kinds...) {
			return c.why
		}
	}
	if strings.Contains(text, "became one") {
		return "nobody knows that when a ring is left"
	}
	return ""
}

// did reports whether something is done to a node, zero for any.
func (p *Plan) did(n NodeID, kinds ...Do) bool {
	return slices.ContainsFunc(p.Actions, func(a Action) bool {
		return (a.A == n || a.A == 0 || n == 0) && (slices.Contains(kinds, a.Do) || a.Do == DoTrigger && slices.Contains(kinds, a.Then))
	})
}

// contradicts says what the plan has against an explanation by node teller.
func (p *Plan) contradicts(x explain.Part, teller NodeID) string {
	switch x.Reason {
	case explain.Left:
		if !p.did(x.Node, DoLeave) {
			return "it never left"
		}
	case explain.ProcessGone, explain.Restarted:
		if !p.did(x.Node, DoLeave, DoCrash, DoDiskErr) {
			return "it never ended"
		}
	case explain.Paused, explain.Starved:
		who := x.Node
		if _, name, found := strings.Cut(x.Text, "the process of node "); found { // the teller's, or that of who told the teller
			fmt.Sscan(name, &who)
		}
		if !p.did(who, DoPause, DoSlow) && !p.did(teller, DoPause, DoSlow) {
			return "it always ran"
		}
	case explain.MTU:
		if !p.did(0, DoHole) {
			return "no size is lost"
		}
	case explain.IDConflict:
		if !slices.ContainsFunc(p.Nodes, func(n NodePlan) bool { return n.As == x.Node }) {
			return "its id is its own"
		}
	case explain.WrongKey, explain.WrongCluster, explain.WrongVersion, explain.WrongNodes:
		if !p.did(x.Node, DoCorrupt) { // of a damaged datagram nobody can tell what it was sealed with
			return "all have one configuration"
		}
	}
	return ""
}
