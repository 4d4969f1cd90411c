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
	for range 3 * maxOutcomes {
		n.voted(m)
	}
	if got := len(n.protocols.recent); got > maxOutcomes || got < maxOutcomes/2 {
		t.Errorf("%d are remembered", got)
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
