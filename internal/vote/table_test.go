package vote

import (
	"errors"
	"fmt"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// row is one line of the truth table of ordering 4.3: plain nodes with one vote
// each, of which the lowest are members.
type row struct {
	name     string
	expected uint32
	up       int
	config   Config // Votes and Expected are filled in
	waiting  bool
	quorate  bool // before, at all members
	primary  proto.Primary
	device   Device                                      // of all members
	change   func(infos []Info)                          // before the decision
	then     func(d Decision, members []NodeID) []Change // after it
	want     Votes
	ok       bool
	row      Row
}

var truth = []row{
	{name: "one of two", expected: 2, up: 1, want: Votes{2, 1, 2, 0}, row: RowMinority},
	{name: "one of two, two_node", expected: 2, up: 1, config: Config{TwoNode: true}, want: Votes{2, 1, 1, 0}, ok: true, row: RowTwoNode},
	{name: "one of two after boot, two_node", expected: 2, up: 1, config: Config{TwoNode: true, WaitForAll: true}, waiting: true, want: Votes{2, 1, 1, 0}, row: RowWaiting},
	{name: "both, two_node, waiting", expected: 2, up: 2, config: Config{TwoNode: true, WaitForAll: true}, waiting: true, want: Votes{2, 2, 1, 0}, ok: true, row: RowAllSeen},
	{name: "both, two_node, clear", expected: 2, up: 2, config: Config{TwoNode: true, WaitForAll: true}, want: Votes{2, 2, 1, 0}, ok: true, row: RowMajority},
	{name: "three with two_node by mistake", expected: 3, up: 3, config: Config{TwoNode: true}, want: Votes{3, 3, 2, 0}, ok: true, row: RowMajority},
	{name: "half of four, tie, holder here", expected: 4, up: 2, config: tied, primary: four, want: Votes{4, 2, 3, 0}, ok: true, row: RowTie},
	{name: "half of four, tie, holder elsewhere", expected: 4, up: 2, config: Config{Tie: Tie{Rule: TieHighest}}, primary: four, want: Votes{4, 2, 3, 0}, row: RowTieLost},
	{name: "half of four, tie, newer holder elsewhere", expected: 4, up: 2, config: tied, primary: four, want: Votes{4, 2, 3, 0}, row: RowTieLost,
		change: func(f []Info) { f[1].Primary = proto.Primary{Epoch: 9, Members: []NodeID{0xFFFF}} }},
	{name: "half of four, tie, newer attempt elsewhere", expected: 4, up: 2, config: tied, primary: four, want: Votes{4, 2, 3, 0}, row: RowTieLost,
		change: func(f []Info) { f[1].Primary.Attempts = []proto.Attempt{{Epoch: 9, Holder: 3}} }},
	{name: "half of four, tie, older attempt elsewhere", expected: 4, up: 2, config: tied, primary: four, want: Votes{4, 2, 3, 0}, ok: true, row: RowTie,
		change: func(f []Info) { f[1].Primary.Attempts = []proto.Attempt{{Epoch: 7, Holder: 3}} }},
	{name: "half of four, tie, one without a record", expected: 4, up: 2, config: tied, primary: four, want: Votes{4, 2, 3, 0}, row: RowTieLost,
		change: func(f []Info) { f[1].Primary = proto.Primary{} }},
	{name: "half of four, tie, two rules", expected: 4, up: 2, config: tied, primary: four, want: Votes{4, 2, 3, 0}, row: RowTieLost,
		change: func(f []Info) { f[1].Tie.Rule = TieHighest }},
	{name: "half of four, tie by list", expected: 4, up: 2, config: Config{Tie: Tie{TieList, []NodeID{9, 2, 4}}}, primary: four, want: Votes{4, 2, 3, 0}, ok: true, row: RowTie},
	{name: "half of four, tie by list, holder elsewhere", expected: 4, up: 2, config: Config{Tie: Tie{TieList, []NodeID{9, 4, 2}}}, primary: four, want: Votes{4, 2, 3, 0}, row: RowTieLost},
	{name: "half of four, tie by list, nobody of it was there", expected: 4, up: 2, config: Config{Tie: Tie{TieList, []NodeID{9}}}, primary: four, want: Votes{4, 2, 3, 0}, row: RowTieLost},
	{name: "one of four, tie breaker on", expected: 4, up: 1, config: tied, primary: four, want: Votes{4, 1, 3, 0}, row: RowMinority},
	{name: "two of five, tie breaker on", expected: 5, up: 2, config: tied, primary: four, want: Votes{5, 2, 3, 0}, row: RowMinority},
	{name: "half of four, tie, waiting", expected: 4, up: 2, config: Config{Tie: tied.Tie, WaitForAll: true}, waiting: true, primary: four, want: Votes{4, 2, 3, 0}, row: RowWaiting},
	{name: "three of five", expected: 5, up: 3, want: Votes{5, 3, 3, 0}, ok: true, row: RowMajority},
	{name: "one of two, device votes", expected: 3, up: 1, config: Config{Device: 1}, device: casts, want: Votes{3, 2, 2, 1}, ok: true, row: RowMajority},
	{name: "one of two, device does not vote", expected: 3, up: 1, config: Config{Device: 1}, device: Device{Registered: true, Alive: true}, want: Votes{3, 1, 2, 0}, row: RowMinority},
	{name: "last man with device of three", expected: 7, up: 1, config: Config{Device: 3}, device: casts, want: Votes{7, 4, 4, 3}, ok: true, row: RowMajority},
	{name: "three of four, device of three does not vote", expected: 7, up: 3, config: Config{Device: 3}, want: Votes{7, 3, 4, 0}, row: RowMinority},
	{name: "six down to two, one by one", expected: 6, up: 4, config: Config{LastMan: true}, quorate: true, want: Votes{2, 2, 2, 0}, ok: true, row: RowMajority,
		then: func(d Decision, m []NodeID) []Change {
			if !d.WindowNeeded(true) || d.WindowNeeded(false) {
				return nil
			}
			return []Change{{Kind: LastMan}, {}, {Kind: LastMan}, {}, {Kind: LastMan}}
		}},
	{name: "six to three at once", expected: 6, up: 3, config: Config{LastMan: true}, quorate: true, want: Votes{6, 3, 4, 0}, row: RowMinority,
		then: func(d Decision, m []NodeID) []Change {
			if d.WindowNeeded(true) {
				return []Change{{Kind: LastMan}}
			}
			return nil
		}},
	{name: "two of four won the tie, last man", expected: 4, up: 2, config: Config{Tie: tied.Tie, LastMan: true}, primary: four, want: Votes{2, 2, 2, 0}, ok: true, row: RowMajority,
		then: func(d Decision, m []NodeID) []Change {
			if !d.WindowNeeded(false) {
				return nil
			}
			return []Change{{Kind: LastMan}}
		}},
	{name: "last man with unequal votes", expected: 6, up: 4, config: Config{LastMan: true}, quorate: true, want: Votes{6, 5, 4, 0}, ok: true, row: RowMajority,
		change: func(f []Info) { f[1].Votes = 2 }, then: func(Decision, []NodeID) []Change { return []Change{{Kind: LastMan}} }},
	{name: "clean leaves", expected: 6, up: 6, config: Config{Downscale: true}, quorate: true, want: Votes{3, 3, 2, 0}, ok: true, row: RowMajority,
		change: func(f []Info) {
			for i := range f {
				f[i].Barrier = 3
			}
		},
		then: func(Decision, []NodeID) []Change {
			return []Change{{Kind: Leave, Node: 6}, {Kind: Leave, Node: 5}, {Kind: Leave, Node: 4}}
		}},
	{name: "clean leaves end at the barrier", expected: 6, up: 6, config: Config{Downscale: true}, quorate: true, want: Votes{3, 3, 4, 0}, row: RowMinority,
		then: func(Decision, []NodeID) []Change {
			return []Change{{Kind: Leave, Node: 6}, {Kind: Leave, Node: 5}, {Kind: Leave, Node: 4}}
		}},
	{name: "no tie against votes that left", expected: 4, up: 4, config: Config{Downscale: true, Tie: tied.Tie}, primary: four, quorate: true, want: Votes{2, 1, 3, 0}, row: RowMinority,
		then: func(Decision, []NodeID) []Change {
			return []Change{{Kind: Leave, Node: 4}, {}, {Kind: Leave, Node: 3}, {}, {}}
		}},
	{name: "no tie against an odd one that left", expected: 5, up: 5, config: Config{Downscale: true, Tie: tied.Tie, WaitForAll: true}, primary: four, quorate: true, want: Votes{4, 2, 3, 0}, row: RowTieLost,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: Leave, Node: 5}, {}, {}, {}} }},
	{name: "clean leaves of three down to two, two_node by mistake", expected: 3, up: 3, config: Config{Downscale: true, TwoNode: true}, quorate: true, want: Votes{2, 1, 2, 0}, row: RowMinority,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: Leave, Node: 3}, {}, {}} }},
	{name: "clean leave without downscale", expected: 3, up: 3, quorate: true, want: Votes{3, 2, 2, 0}, ok: true, row: RowMajority,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: Leave, Node: 3}} }},

	// Cases of 4.2, 4.4 and 4.5 that the table leaves to the text.
	{name: "the device's master wins", expected: 9, up: 1, config: Config{Device: 3}, device: Device{true, true, true, true}, want: Votes{9, 4, 5, 3}, ok: true, row: RowMasterWins},
	{name: "the device's master without its vote", expected: 9, up: 1, config: Config{Device: 3}, device: Device{true, true, false, true}, want: Votes{9, 1, 5, 0}, row: RowMinority},
	{name: "another member is the device's master", expected: 9, up: 2, config: Config{Device: 3}, want: Votes{9, 2, 5, 0}, ok: true, row: RowMasterWins,
		change: func(f []Info) { f[1].Device = Device{true, true, true, true} }},
	{name: "the device votes for another member", expected: 3, up: 1, config: Config{Device: 1}, want: Votes{3, 1, 2, 0}, row: RowMinority},
	{name: "more votes than expected, with the device's", expected: 2, up: 2, config: Config{Device: 1}, want: Votes{3, 2, 2, 0}, ok: true, row: RowMajority},
	{name: "two_node beside a device", expected: 2, up: 1, config: Config{TwoNode: true}, device: Device{Registered: true}, want: Votes{2, 1, 2, 0}, row: RowMinority},
	{name: "operator expects fewer", expected: 5, up: 2, quorate: true, want: Votes{3, 2, 2, 0}, ok: true, row: RowMajority,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: SetExpected, Value: 3}} }},
	{name: "operator expects fewer than there are", expected: 3, up: 2, quorate: true, want: Votes{3, 2, 2, 0}, ok: true, row: RowMajority,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: SetExpected, Value: 1}} }},
	{name: "operator would lose quorum", expected: 3, up: 2, quorate: true, want: Votes{3, 2, 2, 0}, ok: true, row: RowMajority,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: SetExpected, Value: 9}} }},
	{name: "operator expects more without quorum", expected: 3, up: 1, want: Votes{9, 1, 5, 0}, row: RowMinority,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: SetExpected, Value: 9}} }},
	{name: "operator expects fewer than tracked", expected: 5, up: 2, config: Config{Tracking: true}, want: Votes{5, 2, 3, 0}, row: RowMinority,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: SetExpected, Value: 3}} }},
	{name: "operator gives a node votes", expected: 3, up: 2, quorate: true, want: Votes{4, 4, 3, 0}, ok: true, row: RowMajority,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: SetVotes, Node: 2, Value: 3}} }},
	{name: "operator takes too many votes", expected: 3, up: 2, quorate: true, want: Votes{3, 2, 2, 0}, ok: true, row: RowMajority,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: SetVotes, Node: 2, Value: 0}} }},
	{name: "operator ends the wait for all", expected: 3, up: 2, config: Config{WaitForAll: true}, waiting: true, want: Votes{3, 2, 2, 0}, ok: true, row: RowMajority,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: AllSeen}} }},
	{name: "operator makes a tie without a round", expected: 5, up: 2, config: tied, primary: four, want: Votes{4, 2, 3, 0}, row: RowTieLost,
		then: func(Decision, []NodeID) []Change { return []Change{{Kind: SetExpected, Value: 4}} }},
	{name: "half of four", expected: 4, up: 2, want: Votes{4, 2, 3, 0}, row: RowMinority},
	{name: "more votes than expected", expected: 3, up: 5, want: Votes{5, 5, 3, 0}, ok: true, row: RowMajority},
	{name: "three of five, waiting", expected: 5, up: 3, config: Config{WaitForAll: true}, waiting: true, want: Votes{5, 3, 3, 0}, row: RowWaiting},
	{name: "three of five, were all seen", expected: 5, up: 3, config: Config{WaitForAll: true}, quorate: true, want: Votes{5, 3, 3, 0}, ok: true, row: RowMajority},
	{name: "two of three with two_node by mistake", expected: 3, up: 2, config: Config{TwoNode: true}, want: Votes{3, 2, 2, 0}, ok: true, row: RowMajority},
	{name: "one of three with two_node by mistake", expected: 3, up: 1, config: Config{TwoNode: true}, want: Votes{3, 1, 2, 0}, row: RowMinority},
	{name: "nothing expected, nobody votes", expected: 0, up: 1, config: Config{Votes: noVotes}, want: Votes{0, 0, 1, 0}, row: RowMinority},
}

const noVotes = 1<<32 - 1 // stands for zero in Config.Votes of a row

var (
	tied  = Config{Tie: Tie{Rule: TieLowest}}
	four  = proto.Primary{Epoch: 8, Members: []NodeID{1, 2, 3, 4}}
	casts = Device{Registered: true, Alive: true, Cast: true}
)

// announce is the info of a node with that config.
func announce(c Config, n NodeID, s State) Info {
	c.Self = n
	return c.Announce(s)
}

func (r row) decide() Decision {
	c := r.config
	c.Self, c.Expected = 1, r.expected
	switch c.Votes {
	case 0:
		c.Votes = 1
	case noVotes:
		c.Votes = 0
	}
	s := c.Start(r.primary, 0)
	s.Waiting, s.Quorate = r.waiting, r.quorate
	members := make([]NodeID, r.up)
	infos := make([]Info, r.up)
	for i := range members {
		members[i] = NodeID(i + 1)
		infos[i] = announce(c, members[i], s)
		infos[i].Device = r.device
	}
	if r.quorate {
		for i := range infos {
			infos[i].Quorum = majority(r.expected)
		}
	}
	if r.change != nil {
		r.change(infos)
	}
	ring := RingID{Seq: 10, Rep: 1}
	d := Decide(c, ring, members, infos, s)
	if r.then == nil {
		return d
	}
	for _, x := range r.then(d, members) {
		if x.Kind == 0 { // the highest member is gone, and a round without it is over
			members = members[:len(members)-1]
			ring.Seq += 4
			d = Decide(c, ring, members, d.Infos, d.Shown)
			continue
		}
		if next, ok := Apply(c, ring, members, d.Infos, d.Shown, x); ok {
			d = next
		}
	}
	return d
}

func (r row) check() error {
	d := r.decide()
	if d.Quorate != r.ok || d.Votes != r.want || d.Row != r.row {
		return fmt.Errorf("%s: quorate %v by %v with %+v, want %v by %v with %+v", r.name, d.Quorate, d.Row, d.Votes, r.ok, r.row, r.want)
	}
	if d.Shown.Waiting != (r.config.WaitForAll && !r.ok) {
		return fmt.Errorf("%s: waiting %v afterwards with quorate %v", r.name, d.Shown.Waiting, d.Quorate)
	}
	return nil
}

// checkTruth names all rows that do not hold.
func checkTruth() error {
	var errs []error
	for _, r := range truth {
		errs = append(errs, r.check())
	}
	return errors.Join(errs...)
}

// TestDecide_TruthTable walks the table of ordering 4.3.
func TestDecide_TruthTable(t *testing.T) {
	if err := checkTruth(); err != nil {
		t.Error(err)
	}
}

func TestDecide_HugeVotesDoNotWrap(t *testing.T) {
	c := Config{Votes: 1<<32 - 2, Expected: 3}
	s := c.Start(proto.Primary{}, 0)
	d := Decide(c, RingID{Seq: 1}, []NodeID{1, 2}, []Info{announce(c, 1, s), announce(c, 2, s)}, s)
	if want := (Votes{1<<32 - 1, 1<<32 - 1, 1 << 31, 0}); d.Votes != want {
		t.Errorf("got %+v, want %+v", d.Votes, want)
	}
}

func TestDecide_QuorateMembersLendTheirNumbers(t *testing.T) {
	low := Config{Votes: 1, Expected: 3}
	high := Config{Votes: 1, Expected: 9, WaitForAll: true}
	quorate := low.Start(proto.Primary{}, 0)
	quorate.Quorate = true
	infos := []Info{announce(low, 1, quorate), announce(low, 2, quorate), announce(high, 3, high.Start(proto.Primary{}, 0))}
	d := Decide(high, RingID{Seq: 9}, []NodeID{1, 2, 3}, infos, high.Start(proto.Primary{}, 0))
	if !d.Quorate || d.Votes.Expected != 3 || d.Shown.Expected != 3 || d.Shown.Waiting {
		t.Errorf("a newcomer does not follow the quorate members: %+v", d)
	}
}

func TestDecide_StrangersAndMissingInfos(t *testing.T) {
	c := Config{Votes: 1, Expected: 5}
	s := c.Start(proto.Primary{}, 0)
	infos := []Info{announce(c, 1, s), announce(c, 3, s), announce(c, 4, s)}
	d := Decide(c, RingID{Seq: 1}, []NodeID{1, 2, 3}, infos, s)
	if d.Quorate || d.Votes.Total != 2 {
		t.Errorf("got %d votes, want 2: member 2 told nothing and 4 is no member", d.Votes.Total)
	}
}

func TestDecide_PrimaryRecord(t *testing.T) {
	c := Config{Votes: 1, Expected: 3}
	s := c.Start(proto.Primary{Epoch: 10, Members: []NodeID{1, 2}, Attempts: []proto.Attempt{{Epoch: 12, Holder: 2}}}, 0)
	other := c.Start(proto.Primary{Epoch: 14, Members: []NodeID{3, 4}, Attempts: []proto.Attempt{{Epoch: 16, Holder: 2}, {Epoch: 9, Holder: 5}}}, 0)
	infos := []Info{announce(c, 2, s), announce(c, 3, other)}

	d := Decide(c, RingID{Seq: 20}, []NodeID{2, 3}, infos, s)
	want := "{10 [1 2] [{20 2} {14 3}]}"
	if got := fmt.Sprint(d.Noted.Primary); got != want {
		t.Errorf("noted %v, want %v", got, want)
	}
	if got, want := fmt.Sprint(d.Shown.Primary), "{20 [2 3] []}"; got != want {
		t.Errorf("shown %v, want %v", got, want)
	}

	d = Decide(c, RingID{Seq: 21}, []NodeID{2}, infos[:1], s)
	if got, want := fmt.Sprint(d.Noted.Primary, d.Shown.Primary), "{10 [1 2] [{12 2}]} {10 [1 2] [{12 2}]}"; got != want {
		t.Errorf("a minority changed its record: %v, want %v", got, want)
	}
}

func TestRow_Sentences(t *testing.T) {
	seen := map[string]bool{}
	for r := range numRows {
		text := r.Why(Votes{5, 1, 3, 0})
		if seen[text] || seen[r.String()] {
			t.Errorf("row %d says what another says: %q", r, text)
		}
		seen[text], seen[r.String()] = true, true
	}
	if got, want := RowMinority.Why(Votes{5, 1, 3, 0}), "not quorate: 1 vote is here of 5 expected, 3 needed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
