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
