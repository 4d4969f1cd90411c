package vote

import (
	"math"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
)

// Votes are the numbers behind a decision.
type Votes struct {
	Expected uint32 // E, votes that are expected in the whole cluster
	Total    uint32 // V, votes of the members, and of a quorum device that votes for this one
	Quorum   uint32 // Q, votes that are needed
	Device   uint32 // how many of Total are the device's
}

// Decision is the outcome of Decide and Apply, as one member sees it.
type Decision struct {
	Quorate bool
	Votes   Votes
	Row     Row    // which rule decided
	Noted   State  // from the decision on, before the own barrier
	Shown   State  // from the activation on
	Infos   []Info // the table of all members from the activation on
}

// Decide tells whether the members of ring may act. Infos are taken by node; a
// member without one holds no votes, and one of a node that is no member is
// ignored. Members ascend.
func Decide(c Config, ring RingID, members []NodeID, infos []Info, s State) Decision {
	return decide(c, ring, members, infos, s, nil)
}

// recount is what a change within a ring does to the numbers.
type recount struct {
	decrease bool   // Q may fall
	expected uint32 // E becomes this; zero: as it stands
	floor    uint32 // Q stays a majority of this
}

func decide(c Config, ring RingID, members []NodeID, infos []Info, s State, change *recount) Decision {
	all := present(members, infos)
	here := slices.DeleteFunc(slices.Clone(all), func(f Info) bool { return f.Leaving })
	t := tally{here: here, waiting: waitingForAll(here), tie: tieHere(here)}
	t.count(change)
	if change != nil {
		t.tie = t.tie && slices.ContainsFunc(here, func(f Info) bool { return f.Quorate }) // kept, not won
	}
	self, _ := Find(here, c.Self)
	d := Decision{Votes: t.votesAt(self)}
	d.Quorate, d.Row = t.judge(self)

	d.Noted = s
	d.Noted.Primary = clonePrimary(s.Primary)
	if d.Quorate {
		d.Noted.Primary.Attempts = attempts(c.Tie, s.Primary, ring, members, here)
	}
	d.Shown = State{
		Votes:    s.Votes,
		Expected: t.votes.Expected,
		Quorum:   t.votes.Quorum,
		Barrier:  s.Barrier,
		Tracked:  s.Tracked,
		Waiting:  c.WaitForAll && !d.Quorate, // step 5: armed again whenever quorum is lost
		Quorate:  d.Quorate,
		Primary:  clonePrimary(s.Primary),
	}
	if c.Tracking {
		d.Shown.Tracked = max(s.Tracked, t.votes.Expected)
	}
	confirmed := proto.Primary{Epoch: Epoch(ring.Seq), Members: members}
	if d.Quorate {
		d.Shown.Primary = clonePrimary(confirmed)
	}
	d.Infos = t.settle(all, confirmed)
	return d
}

// settle is the table once the decision is shown: every member as it is then.
func (t *tally) settle(all []Info, confirmed proto.Primary) []Info {
	table := make([]Info, len(all))
	for i, f := range all {
		f = f.clone()
		f.Expected, f.Quorum = t.votes.Expected, t.votes.Quorum
		f.Quorate, _ = t.judge(f)
		f.Waiting = f.WaitForAll && !f.Quorate
		if f.Tracking {
			f.Tracked = max(f.Tracked, f.Expected)
		}
		if f.Quorate {
			f.Primary = clonePrimary(confirmed)
		}
		table[i] = f
	}
	return table
}

// present picks the infos of members, in the order of members.
func present(members []NodeID, infos []Info) []Info {
	here := make([]Info, 0, len(members))
	for _, m := range members {
		if f, ok := Find(infos, m); ok {
			here = append(here, f)
		}
	}
	return here
}

// tally is what the members of a ring hold together.
type tally struct {
	here    []Info
	votes   Votes // without a device's
	device  uint32
	waiting bool
	tie     bool
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

// count gives E, V without a device, and Q (ordering 4.2). Votes that exceed
// what was expected raise the expectation.
func (t *tally) count(change *recount) {
	v, old := &t.votes, uint32(0)
	for _, f := range t.here {
		v.Total = addVotes(v.Total, f.Votes)
	}
	for _, f := range authority(t.here) {
		v.Expected = max(v.Expected, f.Expected)
		old = max(old, f.Quorum)
		t.device = max(t.device, f.DeviceVotes)
	}
	if change != nil && change.expected != 0 {
		v.Expected = change.expected
	}
	v.Expected = max(v.Expected, addVotes(v.Total, t.device))
	if change != nil && change.decrease {
		old = 0
		if change.floor > 0 {
			old = majority(change.floor)
		}
	}
	v.Quorum = max(majority(v.Expected), majority(v.Total), old)
	if t.twoNode() {
		v.Quorum = 1
	}
}

// addVotes adds without wrapping: nobody gets a small sum out of huge votes.
func addVotes(a, b uint32) uint32 {
	if a > math.MaxUint32-b {
		return math.MaxUint32
	}
	return a + b
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
// them and no device, and no more than two votes expected, by configuration or
// operator too. Counting the voters that are here alone would let one node of
// three act against the other two, and so would those that clean leaves left.
func (t *tally) twoNode() bool {
	if bug.Planted("vote-two-node-always") {
		return slices.ContainsFunc(t.here, func(f Info) bool { return f.TwoNode })
	}
	return t.votes.Expected <= 2 && len(t.here) > 0 && len(t.here) <= 2 &&
		!slices.ContainsFunc(t.here, func(f Info) bool { return !f.TwoNode || f.Device.Registered || f.Barrier > 2 })
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

// votesAt are the votes as a member sees them: a device's count where it votes
// for that member (ordering 4.5).
func (t *tally) votesAt(f Info) Votes {
	v := t.votes
	if f.Device.Cast {
		v.Device = t.device
		v.Total = addVotes(v.Total, t.device)
	}
	return v
}

// judge walks the steps of ordering 4.3 for one member.
func (t *tally) judge(f Info) (quorate bool, row Row) {
	v := t.votesAt(f)
	if t.waiting && v.Total != v.Expected && !bug.Planted("vote-wfa-ignored") {
		return false, RowWaiting
	}
	switch {
	case v.Total >= v.Quorum && t.twoNode() && v.Total < majority(v.Expected):
		return true, RowTwoNode
	case v.Total >= v.Quorum && t.waiting:
		return true, RowAllSeen
	case v.Total >= v.Quorum:
		return true, RowMajority
	case t.tie && v.tied() && !t.downscaled():
		return true, RowTie
	case t.master():
		return true, RowMasterWins
	case v.tied() && slices.ContainsFunc(t.here, func(f Info) bool { return f.Tie.Rule != TieNone }):
		return false, RowTieLost
	}
	return false, RowMinority
}

// tied reports whether the others have just as many votes: half of what is
// expected, and nobody expected more when the needed votes were found.
func (v Votes) tied() bool {
	return v.Total == v.Expected/2 && v.Expected-v.Total < v.Quorum && v.Quorum == majority(v.Expected)
}

// downscaled reports whether clean leaves brought down what is expected: those who
// left may come back and make the others more than half.
func (t *tally) downscaled() bool {
	if bug.Planted("vote-tie-after-leaves") {
		return false
	}
	return slices.ContainsFunc(t.here, func(f Info) bool { return f.Downscale && f.Barrier > t.votes.Expected })
}

// master reports whether a device that wins by itself votes for some member.
func (t *tally) master() bool {
	return slices.ContainsFunc(t.here, func(f Info) bool { return f.Device.Master && f.Device.Cast })
}
