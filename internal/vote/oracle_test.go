package vote

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/proto"
)

// naive decides a second time, from the text of ordering 4.2 and 4.3, with its
// own helpers and in another order.
func naive(members []NodeID, infos []Info) (quorate bool, e, v, q uint64) {
	voters := map[NodeID]Info{}
	for _, f := range infos {
		if slices.Contains(members, f.Node) {
			voters[f.Node] = f
		}
	}
	anyQuorate, proof, anyWaits, allTwo := false, false, false, len(voters) > 0
	for _, f := range voters {
		anyQuorate = anyQuorate || f.Quorate
		proof = proof || f.Quorate && !f.Waiting
		anyWaits = anyWaits || f.WaitForAll && f.Waiting
		allTwo = allTwo && f.TwoNode
		v += uint64(f.Votes)
	}
	old := uint64(0)
	for _, f := range voters {
		if f.Quorate == anyQuorate {
			e = max(e, uint64(f.Expected))
			old = max(old, uint64(f.Quorum))
		}
	}
	if v > e {
		e = v
	}
	for q = 1; 2*q <= e || 2*q <= v || q < old; q++ { // smallest q that is more than half of both
	}
	if allTwo && len(voters) < 3 && e < 3 {
		q = 1
	}
	if v < q || anyWaits && !proof && v < e {
		return false, e, v, q
	}
	return true, e, v, q
}

func drawInfo(t *rapid.T, node NodeID) Info {
	return Info{
		Node: node, Votes: rapid.Uint32Range(0, 4).Draw(t, "votes"), Expected: rapid.Uint32Range(0, 12).Draw(t, "expected"),
		Quorum: rapid.Uint32Range(0, 7).Draw(t, "quorum"), TwoNode: rapid.Bool().Draw(t, "two"),
		WaitForAll: rapid.Bool().Draw(t, "wfa"), Waiting: rapid.Bool().Draw(t, "waiting"), Quorate: rapid.Bool().Draw(t, "quorate"),
		Primary: proto.Primary{Epoch: Epoch(rapid.Uint64Range(0, 9).Draw(t, "epoch")), Members: []NodeID{node}},
	}
}

func checkOracle(t *rapid.T) {
	n := rapid.IntRange(1, 7).Draw(t, "nodes")
	var members []NodeID
	var infos []Info
	for i := range n {
		id := NodeID(i + 1)
		if rapid.IntRange(0, 9).Draw(t, "member") > 0 {
			members = append(members, id)
		}
		if rapid.IntRange(0, 9).Draw(t, "told") > 0 {
			infos = append(infos, drawInfo(t, id))
		}
	}
	infos = rapid.Permutation(infos).Draw(t, "order")
	d := Decide(Config{}, RingID{Seq: 10}, members, infos, State{})
	ok, e, v, q := naive(members, infos)
	if d.Quorate != ok || uint64(d.Votes.Expected) != e || uint64(d.Votes.Total) != v || uint64(d.Votes.Quorum) != q {
		t.Fatalf("quorate %v with %+v, the oracle says %v with E=%d V=%d Q=%d", d.Quorate, d.Votes, ok, e, v, q)
	}
	other := Decide(Config{Votes: 9, Expected: 99, WaitForAll: true}, RingID{Seq: 10}, members, infos, State{Waiting: true, Expected: 77})
	if d.Quorate != other.Quorate || d.Votes != other.Votes || d.Row != other.Row {
		t.Fatalf("two members of one ring differ: %+v and %+v", d, other)
	}
}

func TestDecide_AgreesWithOracle(t *testing.T) { rapid.Check(t, checkOracle) }

// A superset of a quorate set is quorate, and two disjoint sets never both are.
func TestDecide_MonotonicAndExclusive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 7).Draw(t, "nodes")
		sum := uint32(0)
		weights := rapid.SliceOfN(rapid.Uint32Range(0, 5), n, n).Draw(t, "votes")
		for _, w := range weights {
			sum += w
		}
		decide := func(mask int) bool {
			var members []NodeID
			var infos []Info
			for i, w := range weights {
				if mask>>i&1 == 1 {
					c := Config{Votes: w, Expected: sum}
					members = append(members, NodeID(i+1))
					infos = append(infos, c.Announce(NodeID(i+1), c.Start(proto.Primary{})))
				}
			}
			return Decide(Config{}, RingID{Seq: 1}, members, infos, State{}).Quorate
		}
		mask := rapid.IntRange(1, 1<<n-1).Draw(t, "set")
		more := rapid.IntRange(0, 1<<n-1).Draw(t, "more")
		if decide(mask) && !decide(mask|more) {
			t.Fatalf("%b is quorate and %b is not", mask, mask|more)
		}
		if decide(mask) && decide(^mask&(1<<n-1)) {
			t.Fatalf("%b and the rest are both quorate", mask)
		}
	})
}

// What comes out shares no memory with what went in.
func TestDecide_SharesNothing(t *testing.T) {
	c := Config{Votes: 1, Expected: 1}
	s := c.Start(proto.Primary{Epoch: 1, Members: []NodeID{1}, Attempts: []proto.Attempt{{Epoch: 2, Holder: 1}}})
	members := []NodeID{1}
	infos := []Info{c.Announce(1, s)}
	d := Decide(c, RingID{Seq: 3}, members, infos, s)
	before := fmt.Sprintf("%+v", d)
	members[0], s.Primary.Members[0], s.Primary.Attempts[0].Epoch = 9, 9, 9
	infos[0].Primary.Members[0], infos[0].Primary.Attempts[0].Epoch = 9, 9
	if after := fmt.Sprintf("%+v", d); !reflect.DeepEqual(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}
