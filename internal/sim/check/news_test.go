package check

import "testing"

// paper is one node that is a membership by itself, with one client that takes all.
func paper() *News {
	n := NewNews(0, 0, 10)
	ring := RingID{Seq: 1, Rep: 1}
	n.Follow(&Event{Kind: KindStart, Life: 1, Node: 1, Inc: 1})
	n.Follow(&Event{Kind: KindConf, Life: 1, Node: 1, Ring: ring, Members: []NodeID{1}, Incs: []uint64{1}})
	for _, e := range []NewsEvent{
		{Kind: NewsConf, Ring: ring}, {Kind: NewsInit, Ring: ring}, {Kind: NewsTurning, Ring: ring, Nodes: []NodeID{1}}, {Kind: NewsCommit, Ring: ring}, {Kind: NewsApplied},
		{Kind: NewsOpened, Client: 1, PID: 7}, {Kind: NewsCalled, Client: 1, Call: &NewsCall{Want: WantMore, More: 100}},
		{Kind: NewsCalled, Client: 1, Call: &NewsCall{Want: WantTopic, Sub: 1, Name: "t", Fixed: true}},
		{Kind: NewsCalled, Client: 1, Call: &NewsCall{Want: WantMembership, Sub: 2}},
		{Kind: NewsCalled, Client: 1, Call: &NewsCall{Want: WantGroup, Sub: 3, Name: "g"}},
	} {
		e.Life = 1
		n.Add(&e)
	}
	return n
}

func TestNews(t *testing.T) {
	say := func(id, seq uint64, text string) *NewsItem {
		return &NewsItem{Kind: ItemMessage, Sub: 1, Topic: "t", ID: id, Seq: seq, Text: text}
	}
	one := []NewsMember{{1, 1}}
	record := &NewsItem{Kind: ItemFact, Sub: 2, Fact: factNew, Seq: 1, Trans: 1, Members: one, In: one}
	for _, c := range []struct {
		name, property string
		items          []*NewsItem
	}{
		{"all is well", "", []*NewsItem{record, say(1, 1, "a"), say(2, 2, "b"), {Kind: ItemEntry, Sub: 3, Joined: true, Node: 1, PID: 7}}},
		{"a gap", "EV5", []*NewsItem{say(1, 1, "a"), say(2, 3, "b")}},
		{"twice", "EV4", []*NewsItem{say(1, 1, "a"), say(1, 2, "a")}},
		{"two of one number", "EV4", []*NewsItem{say(1, 1, "a"), say(2, 1, "b")}},
		{"a wrong list", "EV2", []*NewsItem{{Kind: ItemFact, Sub: 2, Fact: factNew, Seq: 1, Trans: 1, Members: one}}},
		{"thrown out for nothing", "EV3", []*NewsItem{record, {Kind: ItemFact, Sub: 2, Fact: factEvicted}}},
		{"somebody else first", "EV8", []*NewsItem{{Kind: ItemEntry, Sub: 3, Node: 2, PID: 9}}},
		{"after the end", "EV9", []*NewsItem{{Kind: ItemEnd, Sub: 1, Why: endDeleted}, say(1, 1, "a")}},
		{"nobody asked", "EV9", []*NewsItem{{Kind: ItemEnd, Sub: 9, Why: endDeleted}}},
	} {
		n := paper()
		for _, i := range c.items {
			n.Add(&NewsEvent{Life: 1, Kind: NewsPush, Client: 1, Item: i})
		}
		got := ""
		if f := n.Findings(); len(f) > 0 {
			got = f[0].Property
		}
		if got != c.property {
			t.Errorf("%s: %q is found, want %q: %v", c.name, got, c.property, n.Findings())
		}
	}
}

// Who takes everything misses nothing but what another part of the cluster numbered and
// nobody has any more: here 1 and 2 of topic t.
func TestNews_BroughtNumbers(t *testing.T) {
	for missed, want := range map[uint64]int{2: 0, 1: 1, 3: 2} {
		n := paper()
		b := n.lives[1].board
		b.members[1], b.since[1] = 1, 1
		number := b.add("t", 1<<32|1001).number
		brought := NewsPosting{ID: 2<<32 | 1009, Seq: 3, Text: "brought"}
		for _, e := range []NewsEvent{
			{Kind: NewsCalled, Client: 1, Call: &NewsCall{Want: WantTopic, Sub: 1, Name: "t"}},
			{Kind: NewsOrdered, Op: &NewsOp{Do: "bring", From: 1, Since: 1, Name: "t", Number: number, ID: brought.ID, Life: 1001, Event: &brought}},
			{Kind: NewsPush, Client: 1, Item: &NewsItem{Kind: ItemMessage, Sub: 1, Topic: "t", ID: brought.ID, Seq: 3, Text: "brought", Missed: missed}},
		} {
			e.Life = 1
			n.Add(&e)
		}
		if len(n.Findings()) != want {
			t.Errorf("%d missed: %v", missed, n.Findings())
		}
	}
}

// What another topic of that name was numbered means nothing.
func TestNews_BroughtOfAnotherTopic(t *testing.T) {
	b := newBoard(func(uint64) {})
	b.members[1] = 1
	u := b.add("t", 1<<32|1001)
	b.bring(&NewsOp{Name: "t", Number: 7, ID: 2<<32 | 1009, Life: 1001, Event: &NewsPosting{ID: 2<<32 | 1009, Seq: 3}}, audience{NewNews(0, 0, 1), &newsNode{at: &epoch{posted: make(map[uint64]uint64)}}})
	if e := u.kept; u.seq != 1 || len(e) != 0 {
		t.Errorf("topic is at %d", u.seq)
	}
}
