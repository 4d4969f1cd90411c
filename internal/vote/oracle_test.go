package vote

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/proto"
)

// naive decides a second time, from the text of ordering 4.2 to 4.5, with its
// own helpers and in another order.
func naive(self NodeID, members []NodeID, infos []Info) (quorate bool, e, v, q uint64) {
	voters := map[NodeID]Info{}
	for _, f := range infos {
		if slices.Contains(members, f.Node) && !f.Leaving {
			voters[f.Node] = f
		}
	}
	anyQuorate, proof, anyWaits, allTwo, master := false, false, false, len(voters) > 0, false
	meant := uint64(0) // expected by configuration or operator, where clean leaves count
	for _, f := range voters {
		anyQuorate = anyQuorate || f.Quorate
		proof = proof || f.Quorate && !f.Waiting
		anyWaits = anyWaits || f.WaitForAll && f.Waiting
		allTwo = allTwo && f.TwoNode && !f.Device.Registered && f.Barrier < 3
		if f.Downscale {
			meant = max(meant, uint64(f.Barrier))
		}
		master = master || f.Device.Cast && f.Device.Master
		v += uint64(f.Votes)
	}
	old, device := uint64(0), uint64(0)
	for _, f := range voters {
		if f.Quorate == anyQuorate {
			e = max(e, uint64(f.Expected))
			old = max(old, uint64(f.Quorum))
			device = max(device, uint64(f.DeviceVotes))
		}
	}
	if v+device > e {
		e = v + device
	}
	for q = 1; 2*q <= e || 2*q <= v || q < old; q++ { // smallest q that is more than half of both
	}
	if allTwo && len(voters) < 3 && e < 3 {
		q = 1
	}
	if voters[self].Device.Cast {
		v += device
	}
	if anyWaits && !proof && v != e {
		return false, e, v, q
	}
	if v >= q || master {
		return true, e, v, q
	}
	return len(voters) > 0 && 2*v == e && q == v+1 && meant <= e && naiveTie(voters), e, v, q
}

// naiveTie asks of each quorate configuration that anybody knows, and that may
// be the newest one, whether its holder is here.
func naiveTie(voters map[NodeID]Info) bool {
	type may struct {
		at     Epoch
		holder NodeID
	}
	var known []may
	confirmed := Epoch(0)
	for _, f := range voters {
		for _, g := range voters {
			if f.Tie.Rule == TieNone || fmt.Sprint(f.Tie) != fmt.Sprint(g.Tie) {
				return false
			}
		}
		if f.Primary.Epoch == 0 {
			return false
		}
		confirmed = max(confirmed, f.Primary.Epoch)
		members := slices.Sorted(slices.Values(f.Primary.Members))
		holder := NodeID(0)
		switch {
		case len(members) == 0:
		case f.Tie.Rule == TieLowest:
			holder = members[0]
		case f.Tie.Rule == TieHighest:
			holder = members[len(members)-1]
		default:
			for _, n := range slices.Backward(f.Tie.List) {
				if slices.Contains(members, n) {
					holder = n
				}
			}
		}
		known = append(known, may{f.Primary.Epoch, holder})
		for _, a := range f.Primary.Attempts {
			known = append(known, may{a.Epoch, a.Holder})
		}
	}
	for _, k := range known {
		over := k.at < confirmed || k.at == confirmed && !confirmedBy(voters, k.at, k.holder)
		if _, here := voters[k.holder]; !here && !over {
			return false
		}
	}
	return true
}

// confirmedBy reports whether somebody confirmed a configuration of that epoch
// with that holder; else it is an attempt.
func confirmedBy(voters map[NodeID]Info, at Epoch, holder NodeID) bool {
	for _, f := range voters {
		if f.Primary.Epoch == at && f.Tie.Holder(f.Primary.Members) == holder {
			return true
		}
	}
	return false
}

func drawInfo(t *rapid.T, node NodeID, rule Tie, large bool) Info {
	n := uint32(4)
	if !large {
		n = 1
	}
	nodes := rapid.SliceOfNDistinct(rapid.Uint32Range(1, 7), 1, 4, rapid.ID[uint32])
	f := Info{
		Node: node, Votes: rapid.Uint32Range(0, n).Draw(t, "votes"), Expected: rapid.Uint32Range(0, 3*n).Draw(t, "expected"),
		Quorum: rapid.Uint32Range(0, 7).Draw(t, "quorum"), TwoNode: rapid.Bool().Draw(t, "two"),
		WaitForAll: rapid.Bool().Draw(t, "wfa"), Waiting: rapid.Bool().Draw(t, "waiting"), Quorate: rapid.Bool().Draw(t, "quorate"),
		Leaving: rapid.IntRange(0, 9).Draw(t, "leaving") == 0, Tie: rule,
		Primary: proto.Primary{Epoch: Epoch(rapid.Uint64Range(0, 3).Draw(t, "epoch"))},
	}
	if rapid.IntRange(0, 3).Draw(t, "leaves") == 0 {
		f.Downscale, f.Barrier = rapid.Bool().Draw(t, "downscale"), rapid.Uint32Range(0, 5).Draw(t, "barrier")
	}
	if !large { // a tie is likely
		f.Votes, f.Expected, f.Quorum, f.Waiting = 1, 4, rapid.Uint32Range(0, 3).Draw(t, "q"), false
		f.Primary.Epoch += Epoch(rapid.IntRange(0, 2).Draw(t, "more"))
	}
	for _, m := range nodes.Draw(t, "record") {
		f.Primary.Members = append(f.Primary.Members, NodeID(m))
	}
	slices.Sort(f.Primary.Members)
	for range rapid.IntRange(0, 1).Draw(t, "attempts") {
		f.Primary.Attempts = append(f.Primary.Attempts, proto.Attempt{Epoch: Epoch(rapid.Uint64Range(1, 6).Draw(t, "at")), Holder: NodeID(rapid.Uint32Range(0, 5).Draw(t, "holder"))})
	}
	if rapid.IntRange(0, 2).Draw(t, "device") == 0 {
		f.DeviceVotes = rapid.Uint32Range(0, 3).Draw(t, "device votes")
		f.Device = Device{rapid.Bool().Draw(t, "registered"), rapid.Bool().Draw(t, "alive"), rapid.Bool().Draw(t, "cast"), rapid.Bool().Draw(t, "master")}
	}
	if rapid.IntRange(0, 19).Draw(t, "own rule") == 0 {
		f.Tie.Rule = TieRule(rapid.IntRange(0, 3).Draw(t, "rule"))
	}
	return f
}

func checkOracle(t *rapid.T) {
	n := rapid.IntRange(1, 7).Draw(t, "nodes")
	rule := Tie{Rule: TieRule(rapid.IntRange(0, 3).Draw(t, "rule")), List: []NodeID{3, 1, 5}}
	large := rapid.Bool().Draw(t, "large")
	var members []NodeID
	var infos []Info
	for i := range n {
		id := NodeID(i + 1)
		if rapid.IntRange(0, 9).Draw(t, "member") > 0 {
			members = append(members, id)
		}
		if rapid.IntRange(0, 9).Draw(t, "told") > 0 {
			infos = append(infos, drawInfo(t, id, rule, large))
		}
	}
	infos = rapid.Permutation(infos).Draw(t, "order")
	for _, self := range []NodeID{1, 2} {
		d := Decide(Config{Self: self}, RingID{Seq: 10}, members, infos, State{})
		ok, e, v, q := naive(self, members, infos)
		if d.Quorate != ok || uint64(d.Votes.Expected) != e || uint64(d.Votes.Total) != v || uint64(d.Votes.Quorum) != q {
			t.Fatalf("node %d: quorate %v with %+v, the oracle says %v with E=%d V=%d Q=%d", self, d.Quorate, d.Votes, ok, e, v, q)
		}
		other := Decide(Config{Self: self, Votes: 9, Expected: 99, WaitForAll: true}, RingID{Seq: 10}, members, infos, State{Waiting: true, Expected: 77})
		if d.Quorate != other.Quorate || d.Votes != other.Votes || d.Row != other.Row || !reflect.DeepEqual(d.Infos, other.Infos) {
			t.Fatalf("two members of one ring differ: %+v and %+v", d, other)
		}
		for _, f := range d.Infos { // the table tells what each member sees
			at := Decide(Config{Self: f.Node}, RingID{Seq: 10}, members, infos, State{})
			if f.Quorate != at.Quorate && !f.Leaving || f.Expected != at.Votes.Expected || f.Quorum != at.Votes.Quorum {
				t.Fatalf("the table has %+v, the node itself decides %+v", f, at)
			}
		}
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
					infos = append(infos, announce(c, NodeID(i+1), c.Start(proto.Primary{}, 0)))
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
	s := c.Start(proto.Primary{Epoch: 1, Members: []NodeID{1}, Attempts: []proto.Attempt{{Epoch: 2, Holder: 1}}}, 0)
	members := []NodeID{1}
	infos := []Info{announce(c, 1, s)}
	d := Decide(c, RingID{Seq: 3}, members, infos, s)
	before := fmt.Sprintf("%+v", d)
	members[0], s.Primary.Members[0], s.Primary.Attempts[0].Epoch = 9, 9, 9
	infos[0].Primary.Members[0], infos[0].Primary.Attempts[0].Epoch = 9, 9
	if after := fmt.Sprintf("%+v", d); !reflect.DeepEqual(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}
