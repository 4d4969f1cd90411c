package groups

import "testing"

// Nodes that nobody uses yet join the domain of the others, however many and
// whichever they are: they have no groups that could go on in the place of others.
func TestScenario_23_UnusedNodesJoin(t *testing.T) {
	w := cold(t, 5) // no side is quorate
	w.Split(nodes{1, 2}, nodes{4})
	w.Run()
	p := w.joined(4, "g", 1, g1)
	w.Split(nodes{1, 2, 4})
	w.settle()
	p.saw()
	if got := w.Node(1).Service(ID).(*Service).d.live("g"); got == nil || len(got.members) != 1 {
		t.Errorf("after the merge node 1 has %+v", got)
	}
	q := w.joined(1, "g", 1, g1)
	q.subscribe(1, HostMembership, WantMembership)
	q.saw("SU M full=0/4,0/1,0/2")
}
