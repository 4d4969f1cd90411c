package resync

import (
	"cmp"
	"slices"

	"github.com/moothall/moothall/internal/bug"
)

// candidate is one transitional set: those members whose Hellos name the same
// companions.
type candidate struct {
	trans  []NodeID
	epoch  Epoch  // newest of its members' states
	weight uint64 // of its members
	lowest NodeID // member with that epoch
}

// choose applies the general rule of ordering 4.1, "who sends": the set with
// the newest state, then the heaviest, then the one with the lowest id; of it
// the lowest id that has that state. It sees nothing but the Hellos.
func choose(peers []Peer) NodeID {
	var sets []candidate
	for _, p := range peers {
		if !p.Has {
			continue
		}
		i := slices.IndexFunc(sets, func(c candidate) bool { return slices.Equal(c.trans, p.Trans) })
		if i < 0 {
			sets = append(sets, candidate{trans: p.Trans, epoch: p.Epoch, lowest: p.Node})
			i = len(sets) - 1
		}
		c := &sets[i]
		c.weight += uint64(p.Weight)
		if p.Epoch > c.epoch { // peers ascend, so the first with an epoch is the lowest
			c.epoch, c.lowest = p.Epoch, p.Node
		}
	}
	if len(sets) == 0 {
		return 0
	}
	best := slices.MaxFunc(sets, func(a, b candidate) int {
		if bug.Planted("state-by-weight") {
			return cmp.Or(cmp.Compare(a.weight, b.weight), cmp.Compare(b.lowest, a.lowest))
		}
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.weight, b.weight), -cmp.Compare(a.lowest, b.lowest))
	})
	return best.lowest
}

// taken is the state epoch that a member has after it took the state of the
// round in a ring that is not quorate.
func taken(r *Round, sender NodeID, overridden bool) Epoch {
	var newest Epoch
	for _, p := range r.Peers {
		if overridden && p.Node == sender {
			return p.Epoch
		}
		newest = max(newest, p.Epoch)
	}
	return newest
}

// common is the highest version that all members with the service speak.
func common(peers []Peer) (uint16, bool) {
	lo, hi := uint16(0), ^uint16(0)
	for _, p := range peers {
		if p.Has {
			lo, hi = max(lo, p.Versions.Min), min(hi, p.Versions.Max)
		}
	}
	return hi, lo <= hi
}

// same reports whether all members with the service have one known state.
func same(peers []Peer) bool {
	var first Digest
	for _, p := range peers {
		if !p.Has {
			continue
		}
		if p.Digest == (Digest{}) || first != (Digest{}) && first != p.Digest {
			return false
		}
		first = p.Digest
	}
	return true
}
