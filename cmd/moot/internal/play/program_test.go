package play

import (
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/session"
)

// A program hears of configurations before its own join is ordered. What was
// multicast in them before the join is not for it, so they do not count.
func TestViewsBeforeTheJoinDoNotCount(t *testing.T) {
	me := &member{id: 1, name: "anna"}
	p := &program{c: &Cluster{tell: newNarrator(t.Output(), style{})}, member: me, life: &life{node: 1, no: 1}}
	both := []proto.NodeID{1, 2}
	joined := cpg.Confchg{Members: []cpg.Process{{Node: 1, PID: 1}, {Node: 2, PID: 1}}}
	for _, ev := range []session.Event{
		{Kind: cpg.EventTotem, Body: cpg.TotemConf{Ring: ring(4), Members: both}.AppendTo(nil)},
		{Kind: cpg.EventTotem, Body: cpg.TotemConf{Ring: ring(8), Members: both}.AppendTo(nil)},
		{Kind: cpg.EventConfchg, Body: joined.AppendTo(nil)},
		{Kind: cpg.EventTotem, Body: cpg.TotemConf{Ring: ring(8), Members: both}.AppendTo(nil)},
		{Kind: cpg.EventDeliver, Body: cpg.Deliver{Node: 2, PID: 1, Slot: 7, Message: appendMessage(nil, 5, "")}.AppendTo(nil)},
		{Kind: cpg.EventConfchg, Body: joined.AppendTo(nil)},
		{Kind: cpg.EventTotem, Body: cpg.TotemConf{Ring: ring(12), Members: both}.AppendTo(nil)},
	} {
		if err := p.groupEvent(ev); err != nil {
			t.Fatal(err)
		}
	}
	p.c.tell.flush()
	if v := p.life.views; len(v) != 2 || v[0].ring != ring(8) || len(v[0].got) != 1 || v[1].ring != ring(12) {
		t.Errorf("views %+v, want ring 8 with one message, then ring 12", v)
	}
}
