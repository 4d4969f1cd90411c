package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/obs"
	"github.com/moothall/moothall/internal/proto"
	groupservices "github.com/moothall/moothall/internal/service/groups"
)

// protocols is what became of the protocols of Group Services, as far as this node
// knows. It belongs to the member's goroutine.
type protocols struct {
	made    uint64               // numbers outcomes
	notable []outcome            // oldest first: what changed a group, or did not end as it was wanted
	routine []outcome            // all others, of which there may be thousands a second
	counts  map[[2]string]uint64 // by kind and outcome
	late    uint64               // default votes for voters that did not vote in time
	scripts map[string]uint64    // by result

	// What the decision log takes of it: as many entries as there is room for.
	room     float64
	refilled proto.Tick
	skipped  int
}

// outcome is a protocol that is over.
type outcome struct {
	groupservices.Minutes
	at time.Time
	no uint64
}

// Bounds: protocols of each sort that are remembered, and entries of the decision log, which
// belongs to the ring in the first place.
const (
	maxOutcomes = 256
	logBurst    = 64
	logRate     = 1.0 // a second
)

// voted takes the minutes of a protocol.
func (n *Node) voted(m groupservices.Minutes) {
	v := &n.protocols
	v.count(&m)
	v.made++
	list := &v.routine
	if notable(&m) {
		list = &v.notable
	}
	if len(*list) == maxOutcomes {
		*list = slices.Delete(*list, 0, maxOutcomes/8)
	}
	*list = append(*list, outcome{m, time.Now(), v.made})
	if list == &v.notable {
		n.noteVote(executive.Decision{Kind: executive.DecisionVote, Reason: m.Outcome(), Text: m.Text(n.name)})
	}
}

func (v *protocols) count(m *groupservices.Minutes) {
	if v.counts == nil {
		v.counts, v.scripts, v.room = map[[2]string]uint64{}, map[string]uint64{}, logBurst
	}
	v.counts[[2]string{m.Kind.String(), m.Outcome()}]++
	for _, c := range m.Casts {
		if c.Cause == groupservices.TimeLimitExceeded {
			v.late++
		}
	}
}

// notable reports whether a protocol changed who is in the group, or did not end
// as it was proposed and voted.
func notable(m *groupservices.Minutes) bool {
	switch m.Kind {
	case groupservices.Join, groupservices.Leave, groupservices.FailureLeave, groupservices.Expel, groupservices.CastOut:
		return true
	}
	return m.Outcome() != "approved"
}

// noteVote puts an entry into the decision log. Groups may vote thousands of times
// a second, and the log keeps a thousand entries in all.
func (n *Node) noteVote(d executive.Decision) {
	v, now := &n.protocols, n.clock()
	v.room = min(v.room+logRate*time.Duration(now-v.refilled).Seconds(), logBurst)
	v.refilled = now
	if v.room < 1 {
		v.skipped++
		return
	}
	v.room--
	if v.skipped > 0 {
		d.Text += fmt.Sprintf(" (Before it %d others had no room here; moot gs why tells them.)", v.skipped)
		v.skipped = 0
	}
	n.core.Note(d)
}

// groupsMerged is told that the groups of this side are no more.
func (n *Node) groupsMerged(names []string, survivors []config.NodeID) {
	const most = 8
	var list []string
	for i, name := range names {
		if i == most {
			list = append(list, fmt.Sprintf("%d more", len(names)-most))
			break
		}
		text, _ := groupName(name)
		list = append(list, text)
	}
	var nodes []string
	for _, id := range survivors {
		nodes = append(nodes, n.name(id))
	}
	n.noteVote(executive.Decision{Kind: executive.DecisionVote, Reason: "dissolved",
		Text: fmt.Sprintf("The groups of this side were dissolved in a merge, because those of %s go on: %s. Their programs may join again.",
			strings.Join(nodes, ", "), strings.Join(list, ", "))})
}

// scriptEnded tells how a deactivate script ended: nobody may wait for it.
func (n *Node) scriptEnded(s *groupservices.Script, ok, late bool) {
	result, text := "done", "is done"
	switch {
	case late:
		result, text = "late", fmt.Sprintf("did not end within %v and was killed", s.Limit)
	case !ok:
		result, text = "failed", "failed"
	}
	if n.protocols.scripts != nil {
		n.protocols.scripts[result]++
	}
	name, _ := groupName(s.Group)
	n.noteVote(executive.Decision{Kind: executive.DecisionVote, Reason: "script-" + result, Node: n.self.ID,
		Text: fmt.Sprintf("Group %s: the deactivate script for provider %d/%d, process %d, %s (%s, %s).", name, s.Instance, n.self.ID, s.PID, text, s.Path, s.Reason)})
}

// voteCounts are the numbers of Group Services, a copy.
type voteCounts struct {
	groups, providers, working int
	ended                      []labelledPair
	late                       uint64
	scripts                    []labelled
}

// voteCounts are those of now, on the member's goroutine.
func (n *Node) voteCounts() voteCounts {
	c := voteCounts{ended: sortedPairs(n.protocols.counts), late: n.protocols.late, scripts: sorted(n.protocols.scripts)}
	c.groups, c.providers, c.working = n.keys.providers.Count()
	return c
}

func (c *voteCounts) metrics(p *obs.Page) {
	p.One(obs.Gauge, "groupservices_groups", "Groups of Group Services.", float64(c.groups))
	p.One(obs.Gauge, "groupservices_providers", "Providers of all of them.", float64(c.providers))
	p.One(obs.Gauge, "groupservices_protocols_working", "Protocols in work.", float64(c.working))
	p.Family(obs.Counter, "groupservices_protocols_total", "Protocols of groups that came to their end, by kind and outcome.")
	for _, e := range c.ended {
		p.Count(e.value, "kind", e.labels[0], "outcome", e.labels[1])
	}
	p.One(obs.Counter, "groupservices_late_total", "Default votes for providers that did not vote in time.", float64(c.late))
	p.Family(obs.Counter, "groupservices_scripts_total", "Deactivate scripts run here, by result.")
	for _, s := range c.scripts {
		p.Count(s.value, "result", s.label)
	}
}

// labelledPair is a counter with two labels.
type labelledPair struct {
	labels [2]string
	value  uint64
}

func sortedPairs(m map[[2]string]uint64) []labelledPair {
	out := make([]labelledPair, 0, len(m))
	for l, v := range m {
		out = append(out, labelledPair{l, v})
	}
	slices.SortFunc(out, func(a, b labelledPair) int { return slices.Compare(a.labels[:], b.labels[:]) })
	return out
}
