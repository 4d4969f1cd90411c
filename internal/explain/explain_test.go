package explain

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

const second = proto.Second

func name(n NodeID) string { return fmt.Sprint("n", n) }

func ringOf(rep NodeID, seq uint64) RingID { return RingID{Seq: seq, Rep: rep} }

// bench is members that testify; what one says all of its ring hear, each in the
// same order.
type bench struct {
	t       *testing.T
	now     Tick
	ledgers map[NodeID]*Ledger
	rings   map[NodeID]RingID
	members map[NodeID][]NodeID
	seq     uint64
	lives   map[NodeID]int
	knew    map[[2]NodeID]int // life of the second when in a ring with the first
}

func newBench(t *testing.T, n int) *bench {
	b := &bench{t: t, ledgers: map[NodeID]*Ledger{}, rings: map[NodeID]RingID{}, members: map[NodeID][]NodeID{},
		lives: map[NodeID]int{}, knew: map[[2]NodeID]int{}}
	for i := range n {
		b.ledgers[NodeID(i+1)] = NewLedger(NodeID(i+1), name, 32)
	}
	for i := range n {
		b.form(nil, NodeID(i+1))
	}
	return b
}

// form installs a ring of the members, which come from whatever rings they are
// in; say is what they add to their testimonies.
func (b *bench) form(say map[NodeID][]Fact, members ...NodeID) RingID {
	b.t.Helper()
	b.seq += 4
	b.now += second
	ring := ringOf(members[0], b.seq)
	bodies := map[NodeID][]byte{}
	for _, m := range members {
		l := b.ledgers[m]
		var with []NodeID
		for _, o := range members {
			if b.rings[o] == b.rings[m] && !b.rings[m].IsZero() && slices.Contains(b.members[m], o) {
				with = append(with, o)
			}
		}
		lost, met, since := l.Installed(b.now, ring, members, with)
		t := Testimony{Ring: ring, Prev: b.rings[m], Was: b.members[m], With: with, Facts: slices.Clone(say[m])}
		if len(met) > 0 && since < 0 || b.rings[m].IsZero() {
			t.Facts = append(t.Facts, Fact{Subject: m, Kind: Fresh, A: 5})
		}
		for _, o := range members {
			if was, ok := b.knew[[2]NodeID{m, o}]; ok && was < b.lives[o] {
				t.Facts = append(t.Facts, Fact{Subject: o, Kind: NewStart})
			}
			b.knew[[2]NodeID{m, o}] = b.lives[o]
		}
		t.Facts = append(t.Facts, l.Absences(b.now, lost)...)
		bodies[m] = t.Append(nil)
		l.Open(b.now, t, members)
	}
	for _, m := range members {
		b.rings[m], b.members[m] = ring, slices.Clone(members)
	}
	b.order(bodies, members)
	return ring
}

// order delivers messages to all members.
func (b *bench) order(bodies map[NodeID][]byte, members []NodeID) {
	b.t.Helper()
	for _, from := range slices.Backward(members) {
		if bodies[from] == nil {
			continue
		}
		for _, to := range members {
			if _, err := b.ledgers[to].Deliver(b.now, from, bodies[from]); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// late has a member tell what it learnt.
func (b *bench) late(from NodeID, facts ...Fact) {
	b.t.Helper()
	t := Testimony{Late: true, Ring: b.rings[from], Facts: facts}
	b.order(map[NodeID][]byte{from: t.Append(nil)}, b.members[from])
}

// restart is a new life of a node.
func (b *bench) restart(n NodeID) {
	b.ledgers[n] = NewLedger(n, name, 32)
	b.rings[n], b.members[n] = RingID{}, nil
	b.lives[n]++
	for o := range NodeID(10) {
		delete(b.knew, [2]NodeID{n, o})
	}
	b.form(nil, n)
}

// about asks members about a node; their answers must be equal.
func (b *bench) about(n NodeID, at ...NodeID) *Explanation {
	b.t.Helper()
	return b.same(func(l *Ledger) *Explanation { return l.About(n) }, at)
}

func (b *bench) same(ask func(*Ledger) *Explanation, at []NodeID) *Explanation {
	b.t.Helper()
	var first *Explanation
	for i, m := range at {
		e := ask(b.ledgers[m])
		if e == nil {
			b.t.Fatalf("node %d knows nothing", m)
		}
		if i == 0 {
			first = e
		}
		if e.Reason != first.Reason || e.Text != first.Text || !e.Complete() {
			b.t.Fatalf("node %d: %s %q, node %d: %s %q, awaited %v", m, e.Reason, e.Text, at[0], first.Reason, first.Text, e.Awaited)
		}
	}
	return first
}

func (b *bench) want(e *Explanation, reason Code, words ...string) {
	b.t.Helper()
	if e.Reason != reason.String() {
		b.t.Errorf("reason %s, want %s: %q", e.Reason, reason, e.Text)
	}
	for _, w := range words {
		if !strings.Contains(e.Text, w) {
			b.t.Errorf("%q does not say %q", e.Text, w)
		}
	}
}

func silent(n NodeID, ms uint32) Fact { return Fact{Subject: n, Kind: Silence, A: ms, B: 600} }

// Node 3 leaves nodes 1 and 2 in all the ways that its going can look like.
func TestLeaving(t *testing.T) {
	f := func(k Kind, a ...uint32) Fact {
		x := Fact{Subject: 3, Kind: k}
		for i, p := range []*uint32{&x.A, &x.B, &x.C, &x.D} {
			if i < len(a) {
				*p = a[i]
			}
		}
		return x
	}
	for _, c := range []struct {
		name     string
		one, two []Fact
		reason   Code
		words    string
	}{
		{"farewell", []Fact{f(Farewell), f(Heard, 3)}, []Fact{f(LeftOut)}, Left, "said farewell"},
		{"port refused at one", []Fact{f(Refused, 700)}, []Fact{silent(3, 700)}, ProcessGone, "as n1 saw"},
		{"port refused, and heard just before", []Fact{f(Refused, 60, 25)}, []Fact{f(Heard, 40)}, ProcessGone, "as n1 saw"},
		{"port refused at one, heard by the other", []Fact{f(Refused, 900, 800)}, []Fact{f(Heard, 40)}, Network, "packets from n1 to it are refused"},
		{"another address in one file", []Fact{f(Refused, 30, 10), From(3, 0, netip.MustParseAddr("127.0.0.2"))}, []Fact{f(Heard, 40)}, WrongNodes, "the file of n1 has another address for n3 than 127.0.0.2"},
		{"gone, and another address in one file", []Fact{f(Refused, 30, 10), From(3, 0, netip.MustParseAddr("127.0.0.2"))}, []Fact{f(Refused, 40, 5)}, ProcessGone, "as n2 saw"},
		{"silent, and another address in one file", []Fact{silent(3, 700), From(3, 0, netip.MustParseAddr("::2"))}, []Fact{silent(3, 700)}, Silent, ""},
		{"silence", []Fact{silent(3, 700)}, []Fact{silent(3, 750)}, Silent, "nothing tells"},
		{"silence for one", []Fact{silent(3, 700)}, []Fact{f(Heard, 10)}, Network, "n1 heard nothing, n2 did"},
		{"one way", []Fact{f(Deafness, 20)}, []Fact{silent(3, 750)}, OneWay, "n1 heard n3"},
		{"large packets", []Fact{f(SmallOnly, 1164, 1472), f(Heard, 5)}, []Fact{f(NotTaking)}, MTU, "above 1164 bytes"},
		{"small packets neither", []Fact{f(SmallOnly, 1164, 1472), silent(3, 700)}, []Fact{silent(3, 700)}, Silent, ""},
		{"does not take", []Fact{f(NotTaking, 2100), f(Heard, 5)}, nil, Deaf, ""},
		{"later start", []Fact{f(NewStart)}, nil, Restarted, ""},
		{"another key", []Fact{f(Mismatch, uint32(OtherKey))}, []Fact{silent(3, 800)}, WrongKey, ""},
		{"heard", []Fact{f(Heard, 5)}, []Fact{f(Heard, 5)}, Unknown, "nothing tells why"},
		{"nothing", nil, nil, Unknown, "nobody saw why"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, 3)
			b.form(nil, 1, 2, 3)
			ring := b.form(map[NodeID][]Fact{1: c.one, 2: c.two}, 1, 2)
			e := b.about(3, 1, 2)
			b.want(e, c.reason, "n3 left", c.words)
			if e.Ring != ring || !slices.Equal(e.Left, []NodeID{3}) || len(e.Joined) != 0 || b.ledgers[1].Last() != b.ledgers[1].Of(ring.String()) {
				t.Errorf("%+v", e)
			}
		})
	}
}

// What only node 3 can know of its absence it tells when it is back.
func TestComingBack(t *testing.T) {
	own := func(k Kind, a, b, c uint32) Fact { return Fact{Subject: 3, Kind: k, A: a, B: b, C: c} }
	for _, c := range []struct {
		name   string
		say    []Fact
		alone  []Fact // in a ring of its own
		reason Code
	}{
		{"stopped", []Fact{own(Gaps, 1, 10_000, 10_000)}, nil, Paused},
		{"stopped twice", []Fact{own(Gaps, 2, 9_000, 10_000)}, nil, Paused},
		{"starved", []Fact{own(Gaps, 5, 800, 4_000)}, nil, Starved},
		{"a short gap explains nothing", []Fact{own(Gaps, 1, 150, 150), own(NobodyIn, 5_000, 0, 0)}, nil, CutOff},
		{"interface down", []Fact{own(NetError, uint32(NoDevice), 12, 0), own(NobodyIn, 5_000, 0, 0)}, nil, CutOff},
		{"heard the others", nil, []Fact{{Subject: 1, Kind: Deafness, A: 3}, {Subject: 2, Kind: Deafness, A: 3}}, OneWay},
		{"heard nobody, and does not say since when", nil, []Fact{silent(1, 700), silent(2, 700)}, Network},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, 3)
			b.form(nil, 1, 2, 3)
			ring := b.form(map[NodeID][]Fact{1: {silent(3, 700)}, 2: {silent(3, 800)}}, 1, 2)
			b.want(b.about(3, 1, 2), Silent)
			b.form(map[NodeID][]Fact{3: c.alone}, 3)
			b.form(map[NodeID][]Fact{3: c.say}, 1, 2, 3)
			b.want(b.about(3, 1, 2, 3), c.reason, "n3 came back after")
			b.want(b.same(func(l *Ledger) *Explanation { return l.Of(ring.String()) }, []NodeID{1, 2}), c.reason, "n3 left")
		})
	}
}

// A node that was started anew says so, and why it had been away stays known,
// also to a member that was not there.
func TestStartedAnew(t *testing.T) {
	b := newBench(t, 4)
	b.form(nil, 1, 2, 3, 4)
	ring := b.form(map[NodeID][]Fact{1: {{Subject: 3, Kind: Refused, A: 100}}}, 1, 2, 4)
	b.form(map[NodeID][]Fact{1: {{Subject: 2, Kind: Farewell}}}, 1, 4)
	b.restart(2)
	b.form(nil, 1, 2, 4)
	b.want(b.about(2, 1, 2, 4), Started, "n2 was started and joined after", "(left)")
	if e := b.ledgers[2].About(3); e == nil || e.Reason != ProcessGone.String() {
		t.Errorf("the one that was away at that time says %+v", e)
	}
	b.restart(3)
	b.form(nil, 1, 2, 3, 4)
	b.want(b.about(3, 1, 2, 3, 4), Started, "(process-gone)")
	b.want(b.same(func(l *Ledger) *Explanation { return l.Of(ring.String()) }, []NodeID{1, 4}), ProcessGone)
}

// News of a node that is away, of one that never was there, and of one in
// trouble; the last one counts.
func TestNews(t *testing.T) {
	b := newBench(t, 4)
	b.form(nil, 1, 2, 3)
	b.form(map[NodeID][]Fact{1: {{Subject: 3, Kind: Farewell}}}, 1, 2)
	b.late(2, Fact{Subject: 3, Kind: Mismatch, A: uint32(OtherKey)})
	b.late(1, Fact{Subject: 4, Kind: Mismatch, A: uint32(OtherCluster)})
	b.late(1, Fact{Subject: 3, Kind: Mismatch, A: uint32(OtherKey)})
	e := b.about(3, 1, 2)
	b.want(e, WrongKey, "n3 is not here")
	if !slices.Equal(e.Told, []NodeID{1, 2}) {
		t.Errorf("told by %v", e.Told)
	}
	b.want(b.about(4, 1, 2), WrongCluster)
	b.late(1, Fact{Subject: 2, Kind: SmallOnly, A: 1172, B: 1472})
	b.want(b.about(2, 1, 2), MTU, "n2 is in trouble", "above 1172 bytes")
	b.late(1, Fact{Subject: 2, Kind: SmallOnly, A: 1472, B: 1472})
	b.want(b.about(2, 1, 2), MTU, "n2 was in trouble, which is over", "above 1172 bytes")
	b.late(1, Fact{Subject: 2, Kind: SmallOnly, A: 900, B: 1472})
	b.want(b.about(2, 1, 2), MTU, "n2 is in trouble", "above 900 bytes")
	b.late(2, Fact{Subject: 2, Kind: Gaps, A: 6, B: 300, C: 1500})
	b.want(b.about(2, 1, 2), Starved)
	if l := b.ledgers[1].Last(); l == nil || l.Reason != Left.String() {
		t.Errorf("the last change is %+v", l)
	}
}

// What is seen of a node that is away now wins over what was seen before, also on
// record when it comes.
func TestNewestEvidenceWins(t *testing.T) {
	b := newBench(t, 3)
	b.form(nil, 1, 2, 3)
	b.form(map[NodeID][]Fact{1: {{Subject: 3, Kind: Farewell}}}, 1, 2)
	other := func(m Misfit) Fact { return Fact{Subject: 3, Kind: Mismatch, A: uint32(m)} }
	b.late(1, other(OtherKey))
	b.late(2, other(OtherKey))
	b.want(b.about(3, 1, 2), WrongKey, "were sealed with another key")
	b.late(2, other(OtherCluster))
	e := b.about(3, 1, 2)
	b.want(e, WrongCluster, "belonged to another cluster name")
	past := 0
	for _, ev := range e.Parts[0].Evidence {
		if ev.Past {
			past++
		}
		if ev.At != b.now {
			t.Errorf("%+v has no time", ev)
		}
	}
	if past != 2 || len(e.Parts[0].Evidence) != 3 {
		t.Errorf("%+v", e.Parts[0].Evidence)
	}
	b.late(2, other(OtherKey))
	b.want(b.about(3, 1, 2), WrongKey)
	b.late(1, other(OtherCluster))
	b.restart(3)
	b.form(nil, 1, 2, 3)
	b.want(b.about(3, 1, 2, 3), Started, "(wrong-cluster)")
}

// A cause that comes to light later completes a silence, and nothing else.
func TestLateCause(t *testing.T) {
	b := newBench(t, 3)
	b.form(nil, 1, 2, 3)
	ring := b.form(map[NodeID][]Fact{1: {silent(3, 700)}}, 1, 2)
	b.late(2, Fact{Subject: 3, Kind: Refused, A: 3000})
	b.want(b.about(3, 1, 2), ProcessGone, "n3 left")
	b.late(2, Fact{Subject: 3, Kind: Deafness, A: 10})
	if e := b.about(3, 1, 2); e.Reason != ProcessGone.String() || e.Ring != ring {
		t.Errorf("%+v", e)
	}
}

// A half link that the ring gave up on is named once its ends know which way fails.
func TestLateDirection(t *testing.T) {
	b := newBench(t, 3)
	b.form(nil, 1, 2, 3)
	half := []Fact{{Subject: 3, Kind: Heard, A: 15}, {Subject: 3, Kind: KeptOut, A: 2000, B: uint32(FenceHalf)}}
	b.form(map[NodeID][]Fact{1: half, 2: half}, 1, 2)
	b.want(b.about(3, 1, 2), Network, "both ways")
	b.late(1, Fact{Subject: 3, Kind: Deafness, A: 15})
	b.want(b.about(3, 1, 2), OneWay, "n1 heard n3")
	b.late(2, Fact{Subject: 3, Kind: Deafness, A: 15})
	b.want(b.about(3, 1, 2), OneWay, "n1 and n2 heard n3")
	b.late(2, Fact{Subject: 3, Kind: Silence, A: 900})
	b.want(b.about(3, 1, 2), OneWay, "n1 and n2 heard n3")
}

// Who is heard after it was missed did not end, whatever port was refused.
func TestHeardAfterwards(t *testing.T) {
	b := newBench(t, 3)
	b.form(nil, 1, 2, 3)
	b.form(map[NodeID][]Fact{1: {{Subject: 3, Kind: Refused, A: 30, B: 10}}, 2: {{Subject: 3, Kind: Heard, A: 40}}}, 1, 2)
	b.want(b.about(3, 1, 2), ProcessGone)
	if _, gone := b.ledgers[2].Gone(3); !gone {
		t.Error("not known as gone")
	}
	b.late(2, Fact{Subject: 3, Kind: Alive, A: 400})
	b.want(b.about(3, 1, 2), Network, "refused although it runs")
	if _, gone := b.ledgers[2].Gone(3); gone {
		t.Error("still gone")
	}
}

// A member whose file has another address for a member tells it.
func TestAnotherAddress(t *testing.T) {
	b := newBench(t, 3)
	b.form(nil, 1, 2, 3)
	b.late(3, From(2, 0, netip.MustParseAddr("127.0.0.2")))
	b.want(b.about(2, 1, 2, 3), WrongNodes, "n2 is in trouble", "the file of n3 has another address for n2 than 127.0.0.2")
}

// The side of one node that lost the others explains it by what it knows of
// itself.
func TestLonelySide(t *testing.T) {
	b := newBench(t, 3)
	b.form(nil, 1, 2, 3)
	b.form(map[NodeID][]Fact{3: {silent(1, 700), silent(2, 700), {Subject: 3, Kind: NetError, A: uint32(NoRoute), B: 5}}}, 3)
	b.want(b.about(1, 3), CutOff, "n1 and n2 left: n3 itself is cut off")
}

// Decisions of quorum belong to the change they came with, later ones stand for
// themselves.
func TestQuorumDecisions(t *testing.T) {
	b := newBench(t, 2)
	ring := b.form(nil, 1, 2)
	l := b.ledgers[1]
	l.Decided(b.now, ring, Verdict{Quorate: true, Row: "majority", Text: "quorate: 2 votes"})
	if e := l.Last(); e.Sort != Change || e.Quorum == nil || !e.Changed {
		t.Errorf("%+v", e)
	}
	l.Decided(b.now, ring, Verdict{Row: "minority", Text: "not quorate"})
	if e := l.Last(); e.Sort != Quorum || e.Reason != "minority" || !e.Changed || e.Text != "not quorate." {
		t.Errorf("%+v", e)
	}
}

// The same members in a new ring are no news while there are others.
func TestSameMembers(t *testing.T) {
	b := newBench(t, 2)
	ring := b.form(nil, 1, 2)
	again := b.form(map[NodeID][]Fact{2: {{Kind: TokenLost, A: 1000}}}, 1, 2)
	e := b.same(func(l *Ledger) *Explanation { return l.Of(again.String()) }, []NodeID{1, 2})
	b.want(e, SameMembers, "not come back in time to n2")
	if l := b.ledgers[1].Last(); l.Ring != ring {
		t.Errorf("last is %v", l.Ring)
	}
}

// In whatever order testimonies come, all members end with the same words.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		members, was := []NodeID{1, 2, 3}, []NodeID{1, 2, 3, 4, 5}
		ring, prev := ringOf(1, 9), ringOf(1, 5)
		var tests []Testimony
		for _, m := range members {
			t := Testimony{From: m, Ring: ring, Prev: prev, Was: was, With: members}
			for range rng.IntN(8) {
				t.Facts = append(t.Facts, Fact{Subject: NodeID(rng.IntN(6)), Kind: Kind(1 + rng.IntN(int(numKinds)-1)), A: rng.Uint32N(30), B: rng.Uint32N(2000), C: rng.Uint32N(4000)})
			}
			tests = append(tests, t)
		}
		var texts []string
		for _, self := range members {
			l := NewLedger(self, name, 8)
			l.Open(0, Testimony{From: self, Ring: prev}, was)
			l.Open(1, tests[self-1], members)
			for _, i := range rng.Perm(len(tests)) {
				if _, err := l.Deliver(1, tests[i].From, tests[i].Append(nil)); err != nil {
					t.Fatal(err)
				}
			}
			e := l.Of(ring.String())
			texts = append(texts, fmt.Sprintf("%s %s %+v", e.Reason, e.Text, e.Parts))
		}
		if texts[0] != texts[1] || texts[1] != texts[2] {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(texts, "\n"))
		}
	}
}

func TestTestimonyCodec(t *testing.T) {
	x := Testimony{From: 2, Late: true, Ring: RingID{Seq: 9, Rep: 1, Inc: 7}, Prev: ringOf(1, 5), Was: []NodeID{1, 2, 3}, With: []NodeID{1, 2},
		Facts: []Fact{{Subject: 3, Kind: Silence, Link: 1, A: 1, B: 2, C: 3, D: 4}}}
	b := x.Append(nil)
	got, err := Parse(2, b)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(x) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range b {
		if _, err := Parse(2, b[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken", n, len(b))
		}
	}
	x.Facts = slices.Repeat(x.Facts, 2*MaxFacts)
	if got, err := Parse(2, x.Append(nil)); err != nil || len(got.Facts) != MaxFacts {
		t.Errorf("%d facts, %v", len(got.Facts), err)
	}
}

// Whatever members say, there is an explanation and no harm.
func FuzzDeliver(f *testing.F) {
	x := Testimony{Ring: ringOf(1, 9), Prev: ringOf(1, 5), Was: []NodeID{1, 2, 3}, With: []NodeID{1, 2}, Facts: []Fact{silent(3, 700)}}
	f.Add(byte(2), x.Append(nil))
	x.Late = true
	f.Add(byte(1), x.Append(nil))
	f.Fuzz(func(t *testing.T, from byte, b []byte) {
		l := NewLedger(1, name, 8)
		l.Open(0, Testimony{Ring: ringOf(1, 5)}, []NodeID{1, 2, 3})
		l.Open(1, Testimony{Ring: ringOf(1, 9), Prev: ringOf(1, 5), Was: []NodeID{1, 2, 3}, With: []NodeID{1, 2}}, []NodeID{1, 2})
		for range 3 {
			if x, err := Parse(NodeID(from), b); err == nil {
				if again, err := Parse(NodeID(from), x.Append(nil)); err != nil || len(again.Facts) != len(x.Facts) {
					t.Fatalf("not the same again: %v", err)
				}
			}
			_, _ = l.Deliver(2, NodeID(from), b)
		}
		for n := range NodeID(5) {
			_ = l.About(n)
		}
		_ = l.Last()
	})
}
