package node

import (
	"log/slog"
	"testing"

	groupservices "github.com/moothall/moothall/internal/service/groups"
)

// What is remembered of protocols, and what the decision log takes of them, has
// bounds.
func TestProtocols_Bounds(t *testing.T) {
	n := &Node{log: slog.New(slog.DiscardHandler)}
	m := groupservices.Minutes{Group: "g", Kind: groupservices.ProviderMessage, Phases: groupservices.OnePhase, Approved: true}
	n.protocols.skipped, n.protocols.room, n.protocols.refilled = 0, 0, n.clock()
	n.protocols.counts, n.protocols.scripts = map[[2]string]uint64{}, map[string]uint64{} // without room in the log
	join := groupservices.Minutes{Group: "g", Kind: groupservices.Join, Phases: groupservices.OnePhase, Approved: true}
	n.voted(join)
	for range 3 * maxOutcomes {
		n.voted(m)
	}
	if got := len(n.protocols.routine); got > maxOutcomes || got < maxOutcomes/2 {
		t.Errorf("%d are remembered", got)
	}
	if list := n.outcomes("g"); len(list) != maxRecent+1 || list[0].Kind != groupservices.Join || list[1].no >= list[2].no || len(n.outcomes("h")) != 0 {
		t.Errorf("%d are told, the first is %+v", len(list), list[0])
	}
	if n.protocols.skipped != 1 {
		t.Errorf("%d had no room in the log", n.protocols.skipped)
	}
	if got := n.protocols.counts[[2]string{"message", "approved"}]; got != 3*maxOutcomes {
		t.Errorf("%d are counted", got)
	}
	for _, c := range []struct {
		groupservices.Minutes
		want bool
	}{
		{m, false},
		{groupservices.Minutes{Kind: groupservices.Join, Approved: true}, true},
		{groupservices.Minutes{Kind: groupservices.StateValueChange, Approved: true}, false},
		{groupservices.Minutes{Kind: groupservices.StateValueChange}, true},
		{groupservices.Minutes{Kind: groupservices.StateValueChange, Approved: true, Summary: groupservices.DefaultApprove}, true},
	} {
		if notable(&c.Minutes) != c.want {
			t.Errorf("%+v is notable: %v", c.Minutes, !c.want)
		}
	}
}
