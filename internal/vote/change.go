package vote

import (
	"fmt"
	"slices"
)

// Kind says what a Change is.
type Kind uint8

const (
	SetExpected Kind = iota + 1 // an operator expects Value votes
	SetVotes                    // an operator gives Node Value votes
	SetDevice                   // what the quorum device is to Node
	LastMan                     // the window of last_man_standing is over
	Leave                       // Node says farewell
	AllSeen                     // an operator ends the wait for all
	numKinds
)

// Valid reports whether the kind is one of the above.
func (k Kind) Valid() bool { return k >= SetExpected && k < numKinds }

// Change is what an ordered message does to the table of a ring (ordering 4.2).
type Change struct {
	Kind   Kind
	Node   NodeID
	Value  uint32
	Device Device
}

// Apply is what a change makes of the decision of a ring; infos are its table.
// ok is false, and nothing changes, if the change is not allowed now. Members
// are those of the ring, ascending.
func Apply(c Config, ring RingID, members []NodeID, infos []Info, s State, x Change) (d Decision, ok bool) {
	table := make([]Info, len(infos))
	for i, f := range infos {
		table[i] = f.clone()
	}
	row := index(table, x.Node)
	n := recount{}
	switch x.Kind {
	case SetExpected:
		if !ExpectedAllowed(members, infos, x.Value) {
			return Decision{}, false
		}
		n = recount{decrease: true, expected: x.Value}
		s.Barrier = x.Value
		for i := range table {
			table[i].Barrier = x.Value
			if table[i].Tracking {
				n.expected = max(n.expected, table[i].Tracked)
			}
		}
	case SetVotes:
		if !VotesAllowed(members, infos, x.Node, x.Value) {
			return Decision{}, false
		}
		n.decrease = true
		if row >= 0 {
			table[row].Votes = x.Value
		}
		if x.Node == c.Self {
			s.Votes = x.Value
		}
	case SetDevice:
		if row < 0 {
			return Decision{}, false
		}
		table[row].Device = x.Device
	case LastMan:
		if !lastManAllowed(members, infos) {
			return Decision{}, false
		}
		n = recount{decrease: true, expected: uint32(len(staying(members, table)))}
	case Leave:
		if row < 0 {
			return Decision{}, false
		}
		table[row].Leaving = true
		n = downscale(members, table)
	case AllSeen:
		for i := range table {
			table[i].Waiting = false
		}
		s.Waiting = false
	default:
		return Decision{}, false
	}
	return decide(c, ring, members, table, s, &n), true
}

// staying are the rows of the members that did not say farewell.
func staying(members []NodeID, infos []Info) []Info {
	return slices.DeleteFunc(present(members, infos), func(f Info) bool { return f.Leaving })
}

// ExpectedAllowed reports whether an operator may expect that many votes: not
// fewer than there are, nor so many that quorum would be lost.
func ExpectedAllowed(members []NodeID, infos []Info, expected uint32) bool {
	t := tally{here: staying(members, infos)}
	t.count(&recount{decrease: true, expected: expected})
	v, quorate := t.shared()
	return expected != 0 && expected >= v && (!quorate || t.votes.Quorum <= v)
}

// whyExpected is the rule that forbids what ExpectedAllowed does not allow, with
// its numbers.
func whyExpected(members []NodeID, infos []Info, expected uint32) string {
	t := tally{here: staying(members, infos)}
	t.count(&recount{decrease: true, expected: expected})
	v, _ := t.shared()
	if expected < v {
		return fmt.Sprintf("The votes that are expected cannot be fewer than those of the members, and %s here.", areHere(v))
	}
	return fmt.Sprintf("With %d votes expected %d would be needed, and %s here: who is quorate may not lose quorum by it.", expected, t.votes.Quorum, areHere(v))
}

func areHere(votes uint32) string {
	if votes == 1 {
		return "1 is"
	}
	return fmt.Sprintf("%d are", votes)
}

// whyVotes is the rule that forbids what VotesAllowed does not allow.
func whyVotes(members []NodeID, infos []Info, node NodeID, votes uint32) string {
	here := staying(members, infos)
	if i := index(here, node); i >= 0 {
		here[i].Votes = votes
	}
	t := tally{here: here}
	t.count(&recount{decrease: true})
	v, _ := t.shared()
	return fmt.Sprintf("With these votes %d would be needed, and %s here: what is needed has to be within reach, and no less than half of them.", t.votes.Quorum, areHere(v))
}

// VotesAllowed reports whether an operator may give a node that many votes: the
// quorum that comes of it must be within reach, and no less than half.
func VotesAllowed(members []NodeID, infos []Info, node NodeID, votes uint32) bool {
	here := staying(members, infos)
	if i := index(here, node); i >= 0 {
		here[i].Votes = votes
	}
	t := tally{here: here}
	t.count(&recount{decrease: true})
	v, _ := t.shared()
	return v/2 <= t.votes.Quorum && t.votes.Quorum <= v
}

// shared is V, with the device's votes if it votes for anybody, and whether
// anybody is quorate: the same at all members.
func (t *tally) shared() (votes uint32, quorate bool) {
	votes = t.votes.Total
	if slices.ContainsFunc(t.here, func(f Info) bool { return f.Device.Cast }) {
		votes = addVotes(votes, t.device)
	}
	return votes, slices.ContainsFunc(t.here, func(f Info) bool { return f.Quorate })
}

// lastManAllowed reports whether those who stayed may count on themselves alone
// from now on: they are quorate, all want it, and all votes are one.
func lastManAllowed(members []NodeID, infos []Info) bool {
	here := staying(members, infos)
	return len(here) > 0 && !slices.ContainsFunc(here, func(f Info) bool { return !f.LastMan || !f.Quorate || f.Votes != 1 })
}

// downscale lowers what is expected to those who stay, as far as it was allowed.
// The votes that are needed stay a majority of the barrier.
func downscale(members []NodeID, infos []Info) recount {
	all := present(members, infos)
	if slices.ContainsFunc(all, func(f Info) bool { return !f.Downscale }) {
		return recount{}
	}
	n := recount{decrease: true, expected: uint32(len(staying(members, infos)))}
	for _, f := range all {
		n.floor = max(n.floor, f.Barrier)
	}
	return n
}

// WindowNeeded reports whether a decision begins the time after which
// last_man_standing expects no more members than there are (ordering 4.4): some
// left, and those who stay are enough, or won a tie.
func (d *Decision) WindowNeeded(left bool) bool {
	members, q := uint32(len(d.Infos)), d.Votes.Quorum
	lowers := d.Votes.Expected > members
	return lowers && (left && members >= q || members <= q && d.Row == RowTie)
}
