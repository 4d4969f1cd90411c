package vote

import (
	"cmp"
	"math"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
)

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Epoch  = proto.Epoch
)

// Config is a node's part of the quorum configuration, settled: what one option
// implies for another was worked out when it was read.
type Config struct {
	Votes      uint32 // of this node
	Expected   uint32 // of the whole cluster, as configured
	TwoNode    bool   // one of two nodes may go on alone; relies on fencing
	WaitForAll bool   // after the start, and after a loss of quorum, all must be seen at once
}

// State is what a node carries from one decision to the next.
type State struct {
	Expected uint32 // E as it stands; never falls by itself
	Quorum   uint32 // Q as it stands
	Waiting  bool   // wait_for_all: not all were seen at once yet
	Quorate  bool   // the last decision that was shown
	Primary  proto.Primary
}

// Start is the state of a node that starts with the given primary record.
func (c Config) Start(p proto.Primary) State {
	return State{Expected: c.Expected, Waiting: c.WaitForAll, Primary: clonePrimary(p)}
}

// Info is what a member tells the others in a round.
type Info struct {
	Node       NodeID
	Votes      uint32
	Expected   uint32
	Quorum     uint32
	TwoNode    bool
	WaitForAll bool
	Waiting    bool
	Quorate    bool
	Primary    proto.Primary
}

// Announce is the info of a node in a given state.
func (c Config) Announce(self NodeID, s State) Info {
	return Info{
		Node: self, Votes: c.Votes, Expected: s.Expected, Quorum: s.Quorum,
		TwoNode: c.TwoNode, WaitForAll: c.WaitForAll, Waiting: c.WaitForAll && s.Waiting, Quorate: s.Quorate,
		Primary: clonePrimary(s.Primary),
	}
}

// Votes are the numbers behind a decision.
type Votes struct {
	Expected uint32 // E, votes that are expected in the whole cluster
	Total    uint32 // V, votes of the members
	Quorum   uint32 // Q, votes that are needed
}

// Decision is the outcome of Decide.
type Decision struct {
	Quorate bool
	Votes   Votes
	Row     Row   // which rule decided
	Noted   State // from the decision on, before the own barrier
	Shown   State // from the activation on
}

// Decide tells whether the members of ring may act. Infos are taken by node; a
// member without one holds no votes, and one of a node that is no member is
// ignored. Members ascend.
func Decide(c Config, ring RingID, members []NodeID, infos []Info, s State) Decision {
	here := present(members, infos)
	d := Decision{Votes: count(here)}
	d.Votes.Quorum = quorum(d.Votes, here, carried(here))
	waiting := waitingForAll(here)
	d.Quorate, d.Row = judge(d.Votes, here, waiting)

	d.Noted = s
	d.Noted.Primary = clonePrimary(s.Primary)
	if d.Quorate {
		d.Noted.Primary.Attempts = attempts(s.Primary, ring, members, here)
	}
	d.Shown = State{
		Expected: d.Votes.Expected,
		Quorum:   d.Votes.Quorum,
		Waiting:  c.WaitForAll && !d.Quorate, // step 5: armed again whenever quorum is lost
		Quorate:  d.Quorate,
		Primary:  clonePrimary(s.Primary),
	}
	if d.Quorate {
		d.Shown.Primary = proto.Primary{Epoch: Epoch(ring.Seq), Members: slices.Clone(members)}
	}
	return d
}

// present picks the infos of members, in the order of members.
func present(members []NodeID, infos []Info) []Info {
	here := make([]Info, 0, len(members))
	for _, m := range members {
		if i := slices.IndexFunc(infos, func(f Info) bool { return f.Node == m }); i >= 0 {
			here = append(here, infos[i])
		}
	}
	return here
}

// authority is whose numbers count: those of the quorate members if there are
// any, which lets the others come down to them, else everybody's.
func authority(here []Info) []Info {
	var quorate []Info
	for _, f := range here {
		if f.Quorate {
			quorate = append(quorate, f)
		}
	}
	if len(quorate) > 0 {
		return quorate
	}
	return here
}

// count gives E and V (ordering 4.2). Votes that exceed what was expected raise
// the expectation.
func count(here []Info) (v Votes) {
	for _, f := range here {
		v.Total = addVotes(v.Total, f.Votes)
	}
	v.Expected = v.Total
	for _, f := range authority(here) {
		v.Expected = max(v.Expected, f.Expected)
	}
	return v
}

// addVotes adds without wrapping: nobody gets a small sum out of huge votes.
func addVotes(a, b uint32) uint32 {
	if a > math.MaxUint32-b {
		return math.MaxUint32
	}
	return a + b
}

// carried is the quorum that may not be fallen below.
func carried(here []Info) (q uint32) {
	for _, f := range authority(here) {
		q = max(q, f.Quorum)
	}
	return q
}

// quorum gives Q (ordering 4.2).
func quorum(v Votes, here []Info, old uint32) uint32 {
	q := max(majority(v.Expected), majority(v.Total), old)
	if twoNode(v, here) {
		q = 1
	}
	return q
}

// majority is the smallest number of votes that two disjoint sets can not both
// have.
func majority(votes uint32) uint32 {
	if bug.Planted("vote-majority-off-by-one") {
		return votes / 2
	}
	return votes/2 + 1
}

// twoNode reports whether two_node is in effect: on at all voters, at most two of
// them, and no more than two votes expected. Counting the voters that are here
// alone would let one node of three act against the other two.
func twoNode(v Votes, here []Info) bool {
	if bug.Planted("vote-two-node-always") {
		return slices.ContainsFunc(here, func(f Info) bool { return f.TwoNode })
	}
	return v.Expected <= 2 && len(here) > 0 && len(here) <= 2 && !slices.ContainsFunc(here, func(f Info) bool { return !f.TwoNode })
}

// waitingForAll reports whether wait_for_all still holds the members back. A
// quorate member that does not wait tells that all were seen before.
func waitingForAll(here []Info) bool {
	waiting := false
	for _, f := range here {
		if f.Quorate && !f.Waiting {
			return false
		}
		waiting = waiting || f.WaitForAll && f.Waiting
	}
	return waiting
}

// judge walks the steps of ordering 4.3.
func judge(v Votes, here []Info, waiting bool) (quorate bool, row Row) {
	if waiting && v.Total != v.Expected && !bug.Planted("vote-wfa-ignored") {
		return false, RowWaiting
	}
	switch {
	case v.Total < v.Quorum:
		return false, RowMinority
	case twoNode(v, here) && v.Total < majority(v.Expected):
		return true, RowTwoNode
	case waiting:
		return true, RowAllSeen
	}
	return true, RowMajority
}

// attempts is the list of a node's primary record after it noted that ring may
// become quorate: per holder the newest configuration that may have been shown
// somewhere, as far as any member knows, and that is newer than the one which
// this node confirmed. What another member confirmed and this one did not is an
// attempt here: it forbids, and does not grant.
func attempts(own proto.Primary, ring RingID, members []NodeID, here []Info) []proto.Attempt {
	newest := map[NodeID]Epoch{}
	note := func(e Epoch, holder NodeID) {
		if e > own.Epoch {
			newest[holder] = max(newest[holder], e)
		}
	}
	for _, f := range here {
		note(f.Primary.Epoch, tieHolder(f.Primary.Members))
		for _, a := range f.Primary.Attempts {
			note(a.Epoch, a.Holder)
		}
	}
	for _, a := range own.Attempts {
		note(a.Epoch, a.Holder)
	}
	note(Epoch(ring.Seq), tieHolder(members))

	list := make([]proto.Attempt, 0, len(newest))
	for holder, e := range newest {
		list = append(list, proto.Attempt{Epoch: e, Holder: holder})
	}
	slices.SortFunc(list, func(a, b proto.Attempt) int { return cmp.Compare(a.Holder, b.Holder) })
	return list
}

// tieHolder is the member that a tie would be decided by; zero: nobody. The
// default rule of the tie breaker, the lowest id, is recorded while none is
// configured.
func tieHolder(members []NodeID) NodeID {
	if len(members) == 0 {
		return 0
	}
	return slices.Min(members)
}

func clonePrimary(p proto.Primary) proto.Primary {
	p.Members = slices.Clone(p.Members)
	p.Attempts = slices.Clone(p.Attempts)
	return p
}
