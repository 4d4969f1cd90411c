package vote

import (
	"fmt"
	"slices"
)

// Share is how many votes a node has.
type Share struct {
	Node  NodeID
	Votes uint32
}

// Settings are what a reloaded configuration says of votes, the same at all
// members.
type Settings struct {
	Nodes      []Share // all configured nodes, ascending
	Expected   uint32  // a quorum device included
	Device     uint32
	TwoNode    bool
	WaitForAll bool
}

func (n Settings) share(id NodeID) (votes uint32, ok bool) {
	if i := slices.IndexFunc(n.Nodes, func(s Share) bool { return s.Node == id }); i >= 0 {
		return n.Nodes[i].Votes, true
	}
	return 0, false
}

// Equal reports whether two settings are the same.
func (n Settings) Equal(o Settings) bool {
	return n.Expected == o.Expected && n.Device == o.Device && n.TwoNode == o.TwoNode && n.WaitForAll == o.WaitForAll &&
		slices.Equal(n.Nodes, o.Nodes)
}

// Step is how two settings differ in what their nodes hold together.
type Step struct {
	Expected uint32 // by the earlier settings
	Before   uint32 // votes of all nodes and the device in the earlier settings
	Most     uint32 // the same, each with the larger one of its two numbers
}

// StepTo compares with later settings.
func (n Settings) StepTo(later Settings) Step {
	s := Step{Expected: n.Expected, Before: n.Device, Most: max(n.Device, later.Device)}
	for _, x := range n.Nodes {
		now, _ := later.share(x.Node)
		s.Before = addVotes(s.Before, x.Votes)
		s.Most = addVotes(s.Most, max(x.Votes, now))
	}
	for _, x := range later.Nodes {
		if _, was := n.share(x.Node); !was {
			s.Most = addVotes(s.Most, x.Votes)
		}
	}
	return s
}

// Join is a step with all that can go wrong in either of two.
func (s Step) Join(o Step) Step {
	return Step{Expected: min(s.Expected, o.Expected), Before: min(s.Before, o.Before), Most: max(s.Most, o.Most)}
}

// Reload is what settings make of the decision of a ring, as Apply is for a
// change; c has the settings already.
func Reload(c Config, ring RingID, members []NodeID, infos []Info, s State, n Settings) Decision {
	table := make([]Info, len(infos))
	change := recount{decrease: true, expected: n.Expected}
	for i, f := range infos {
		f = n.info(f)
		if f.Tracking {
			change.expected = max(change.expected, f.Tracked)
		}
		table[i] = f
	}
	if votes, ok := n.share(c.Self); ok {
		s.Votes = votes
	}
	s.Barrier = n.Expected
	return decide(c, ring, members, table, s, &change)
}

// info is the row of a node once the settings are in force.
func (n Settings) info(f Info) Info {
	f = f.clone()
	if votes, ok := n.share(f.Node); ok {
		f.Votes = votes
	}
	f.Barrier, f.DeviceVotes, f.TwoNode, f.WaitForAll = n.Expected, n.Device, n.TwoNode, n.WaitForAll
	return f
}

// TooLarge begins the sentence that refuses a step which could give two sides
// quorum.
const TooLarge = "too large a step"

// ReloadRefused says why settings cannot be put into force in a ring; empty: they
// can. A part of the ring that does not hear of it goes on with the earlier ones,
// so whoever is enough by these must have a node in common with whoever is
// enough by the new ones, and only a ring that is enough may take such a step
// (decision 45).
func ReloadRefused(members []NodeID, infos []Info, n Settings, step Step) string {
	here := staying(members, infos)
	before := tally{here: here}
	before.count(nil)
	if _, quorate := before.shared(); !quorate {
		return "votes can change only where there is quorum: start the missing nodes; if they are dead for sure, say how many votes are left with corosync-quorumtool -e, then reload"
	}
	after := tally{here: make([]Info, len(here))}
	for i, f := range here {
		after.here[i] = n.info(f)
	}
	after.count(&recount{decrease: true, expected: n.Expected})
	if v, _ := after.shared(); v < after.votes.Quorum {
		return fmt.Sprintf("quorum would be lost: %d would be needed and %s here; start the missing nodes first", after.votes.Quorum, are(Votes{Total: v}))
	}
	tie := slices.ContainsFunc(here, func(f Info) bool { return f.Tie.Rule != TieNone })
	old, now := before.votes.Expected, n.Expected
	onlyLess := step.Most == step.Before && now >= old
	old = min(old, step.Expected) // nodes elsewhere may go by their file
	if onlyLess || uint64(enough(old, tie))+uint64(enough(now, tie)) > uint64(step.Most) {
		return ""
	}
	if tie {
		return fmt.Sprintf("with auto_tie_breaker half of the votes can be enough: %d of %d now and %d of %d then could be different nodes; stop all agents, change the file everywhere, start them",
			enough(old, tie), old, enough(now, tie), now)
	}
	return fmt.Sprintf(TooLarge+": %d of %d votes are enough now, %d of %d would be then, and these could be different nodes; change the file in steps, one node or one vote at a time",
		enough(old, tie), old, enough(now, tie), now)
}

// enough is how few votes can be quorate, two_node and devices that win by
// themselves left out, which rely on fencing anyway.
func enough(expected uint32, tie bool) uint32 {
	if tie && expected%2 == 0 {
		return expected / 2
	}
	return majority(expected)
}
