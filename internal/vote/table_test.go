package vote

import (
	"fmt"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// row is one line of the truth table of ordering 4.3: plain nodes with one vote
// each, of which the lowest are members.
type row struct {
	name     string
	later    string // the feature that the line needs and that is not built yet
	expected uint32
	up       int
	config   Config // Votes and Expected are filled in
	waiting  bool
	quorate  bool // before, at all members
	want     Votes
	ok       bool
	row      Row
}

var truth = []row{
	{name: "one of two", expected: 2, up: 1, want: Votes{2, 1, 2}, row: RowMinority},
	{name: "one of two, two_node", expected: 2, up: 1, config: Config{TwoNode: true}, want: Votes{2, 1, 1}, ok: true, row: RowTwoNode},
	{name: "one of two after boot, two_node", expected: 2, up: 1, config: Config{TwoNode: true, WaitForAll: true}, waiting: true, want: Votes{2, 1, 1}, row: RowWaiting},
	{name: "both, two_node, waiting", expected: 2, up: 2, config: Config{TwoNode: true, WaitForAll: true}, waiting: true, want: Votes{2, 2, 1}, ok: true, row: RowAllSeen},
	{name: "both, two_node, clear", expected: 2, up: 2, config: Config{TwoNode: true, WaitForAll: true}, want: Votes{2, 2, 1}, ok: true, row: RowMajority},
	{name: "three with two_node by mistake", expected: 3, up: 3, config: Config{TwoNode: true}, want: Votes{3, 3, 2}, ok: true, row: RowMajority},
	{name: "half of four, tie, holder here", later: "auto_tie_breaker", expected: 4, up: 2, want: Votes{4, 2, 3}, ok: true},
	{name: "half of four, tie, holder elsewhere", later: "auto_tie_breaker", expected: 4, up: 2, want: Votes{4, 2, 3}},
	{name: "half of four, tie, newer holder elsewhere", later: "auto_tie_breaker", expected: 4, up: 2, want: Votes{4, 2, 3}},
	{name: "one of four, tie breaker on", later: "auto_tie_breaker", expected: 4, up: 1, want: Votes{4, 1, 3}},
	{name: "two of five, tie breaker on", later: "auto_tie_breaker", expected: 5, up: 2, want: Votes{5, 2, 3}},
	{name: "three of five", expected: 5, up: 3, want: Votes{5, 3, 3}, ok: true, row: RowMajority},
	{name: "one of two, device votes", later: "qdevice", expected: 3, up: 1, want: Votes{3, 2, 2}, ok: true},
	{name: "one of two, device does not vote", later: "qdevice", expected: 3, up: 1, want: Votes{3, 1, 2}},
	{name: "last man with device of three", later: "qdevice", expected: 7, up: 1, want: Votes{7, 4, 4}, ok: true},
	{name: "three of four, device of three does not vote", later: "qdevice", expected: 7, up: 3, want: Votes{7, 3, 4}},
	{name: "six down to two, one by one", later: "last_man_standing", expected: 6, up: 2, want: Votes{2, 2, 2}, ok: true},
	{name: "six to three at once", later: "last_man_standing", expected: 6, up: 3, want: Votes{6, 3, 4}},
	{name: "clean leave", later: "allow_downscale", expected: 6, up: 3, want: Votes{3, 3, 2}, ok: true},

	// Cases of 4.2 and of wait_for_all that the table leaves to the text.
	{name: "half of four", expected: 4, up: 2, want: Votes{4, 2, 3}, row: RowMinority},
	{name: "more votes than expected", expected: 3, up: 5, want: Votes{5, 5, 3}, ok: true, row: RowMajority},
	{name: "three of five, waiting", expected: 5, up: 3, config: Config{WaitForAll: true}, waiting: true, want: Votes{5, 3, 3}, row: RowWaiting},
	{name: "three of five, were all seen", expected: 5, up: 3, config: Config{WaitForAll: true}, quorate: true, want: Votes{5, 3, 3}, ok: true, row: RowMajority},
	{name: "two of three with two_node by mistake", expected: 3, up: 2, config: Config{TwoNode: true}, want: Votes{3, 2, 2}, ok: true, row: RowMajority},
	{name: "one of three with two_node by mistake", expected: 3, up: 1, config: Config{TwoNode: true}, want: Votes{3, 1, 2}, row: RowMinority},
	{name: "nothing expected, nobody votes", expected: 0, up: 1, config: Config{Votes: noVotes}, want: Votes{0, 0, 1}, row: RowMinority},
}

const noVotes = 1<<32 - 1 // stands for zero in Config.Votes of a row

func (r row) decide() Decision {
	c := r.config
	c.Expected = r.expected
	switch c.Votes {
	case 0:
		c.Votes = 1
	case noVotes:
		c.Votes = 0
	}
	s := c.Start(proto.Primary{})
	s.Waiting, s.Quorate = r.waiting, r.quorate
	members := make([]NodeID, r.up)
	infos := make([]Info, r.up)
	for i := range members {
		members[i] = NodeID(i + 1)
		infos[i] = c.Announce(members[i], s)
	}
	return Decide(c, RingID{Seq: 4, Rep: 1}, members, infos, s)
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

// TestDecide_TruthTable walks the table of ordering 4.3 as far as it is built.
func TestDecide_TruthTable(t *testing.T) {
	left := 0
	for _, r := range truth {
		if r.later != "" {
			left++
			continue
		}
		if err := r.check(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of %d rows checked, %d left out: they need features that are not built yet", len(truth)-left, len(truth), left)
}

func TestDecide_HugeVotesDoNotWrap(t *testing.T) {
	c := Config{Votes: 1<<32 - 2, Expected: 3}
	s := c.Start(proto.Primary{})
	d := Decide(c, RingID{Seq: 1}, []NodeID{1, 2}, []Info{c.Announce(1, s), c.Announce(2, s)}, s)
	if want := (Votes{1<<32 - 1, 1<<32 - 1, 1 << 31}); d.Votes != want {
		t.Errorf("got %+v, want %+v", d.Votes, want)
	}
}

func TestDecide_QuorateMembersLendTheirNumbers(t *testing.T) {
	low := Config{Votes: 1, Expected: 3}
	high := Config{Votes: 1, Expected: 9, WaitForAll: true}
	quorate := low.Start(proto.Primary{})
	quorate.Quorate = true
	infos := []Info{low.Announce(1, quorate), low.Announce(2, quorate), high.Announce(3, high.Start(proto.Primary{}))}
	d := Decide(high, RingID{Seq: 9}, []NodeID{1, 2, 3}, infos, high.Start(proto.Primary{}))
	if !d.Quorate || d.Votes.Expected != 3 || d.Shown.Expected != 3 || d.Shown.Waiting {
		t.Errorf("a newcomer does not follow the quorate members: %+v", d)
	}
}

func TestDecide_StrangersAndMissingInfos(t *testing.T) {
	c := Config{Votes: 1, Expected: 5}
	s := c.Start(proto.Primary{})
	infos := []Info{c.Announce(1, s), c.Announce(3, s), c.Announce(4, s)}
	d := Decide(c, RingID{Seq: 1}, []NodeID{1, 2, 3}, infos, s)
	if d.Quorate || d.Votes.Total != 2 {
		t.Errorf("got %d votes, want 2: member 2 told nothing and 4 is no member", d.Votes.Total)
	}
}

func TestDecide_PrimaryRecord(t *testing.T) {
	c := Config{Votes: 1, Expected: 3}
	s := c.Start(proto.Primary{Epoch: 10, Members: []NodeID{1, 2}, Attempts: []proto.Attempt{{Epoch: 12, Holder: 2}}})
	other := c.Start(proto.Primary{Epoch: 14, Members: []NodeID{3, 4}, Attempts: []proto.Attempt{{Epoch: 16, Holder: 2}, {Epoch: 9, Holder: 5}}})
	infos := []Info{c.Announce(2, s), c.Announce(3, other)}

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
		text := r.Why(Votes{5, 1, 3})
		if seen[text] || seen[r.String()] {
			t.Errorf("row %d says what another says: %q", r, text)
		}
		seen[text], seen[r.String()] = true, true
	}
	if got, want := RowMinority.Why(Votes{5, 1, 3}), "not quorate: 1 vote is here of 5 expected, 3 needed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
