package sim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/sim/check"
)

// TestGroups_SwarmReaches holds that plans about Group Services come to what their
// checker is there for: each protocol approved and rejected, with one phase and
// more, votes by default, scripts, merges that dissolve groups, refusals.
func TestGroups_SwarmReaches(t *testing.T) {
	got := map[string]int{}
	look := Options{Fast: true, Trace: func(l *Line) {
		if l.Domain == nil {
			return
		}
		switch e := l.Domain; e.Kind {
		case check.DomainNotice:
			reached(got, e.Notice)
		case check.DomainScript:
			got["script "+e.Script.Why]++
		}
	}}
	for s := range uint64(40) {
		if r := Run(DrawGroups(s), look); r.Failed() {
			t.Fatalf("seed %d: %v", s, r.Findings[0])
		}
	}
	want := []string{"late", "late for all", "failed", "later phase", "adopted state", "adopted message", "script bits", "dissolved", "no response", "responds",
		"seen", "seen end", "refused join", "collision", "script expel", "script failure", "cast-out approved"}
	for _, k := range []groups.Kind{groups.Join, groups.FailureLeave, groups.Leave, groups.Expel, groups.StateValueChange, groups.ProviderMessage,
		groups.SourceStateReflection, groups.AttributeChange} {
		want = append(want, fmt.Sprint(k, " approved"), fmt.Sprint(k, " rejected"))
	}
	for _, w := range want {
		if got[w] == 0 {
			t.Errorf("no run reaches %q", w)
		}
	}
	t.Log(got)
}

// TestGroups_Diagram holds that a drawing shows what clients of Group Services do.
func TestGroups_Diagram(t *testing.T) {
	var b strings.Builder
	p := DrawGroups(3)
	p.NoHeal = true
	if err := WriteDiagram(&b, p, Options{}, 20000); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"wants state", "votes approve", "join a", "<join approved", "groups turn", "takes form"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the drawing lacks %q", want)
		}
	}
}

// reached notes what a notice shows.
func reached(got map[string]int, n *check.Notice) {
	note := func(name string, is bool) {
		if is {
			got[name]++
		}
	}
	switch n.Kind {
	case check.NoticePhase:
		note("later phase", n.Phase > 1)
		note("adopted state", n.Phase > 1 && n.Proposed.Has)
		note("adopted message", n.Phase > 1 && n.Message.Has)
	case check.NoticeApproved, check.NoticeRejected:
		note(fmt.Sprint(groups.Kind(n.Protocol), " ", n.Kind), true)
		note("late", n.Summary&groups.TimeLimitExceeded != 0)
		note("failed", n.Summary&groups.ProviderFailed != 0)
		note("script bits", n.Summary&groups.DeactivateTimeLimitExceeded != 0)
	case check.NoticeAnnounced:
		note("late for all", n.Summary == groups.TimeLimitExceeded)
		note("dissolved", n.Summary == groups.GroupDissolved)
		note("no response", n.Summary == groups.NoResponse)
		note("responds", n.Summary == groups.Responds)
	case check.NoticeSeen:
		note("seen", !n.Ends)
		note("seen end", n.Ends)
	case check.NoticeError:
		note("collision", n.Code == uint16(groups.Collide))
		note("refused join", n.Protocol == uint8(groups.Join))
	}
}
