package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moothall/moothall/internal/proto"
)

// The lines that monitoring greps, for the records that the member logs.
func TestCorosyncLines(t *testing.T) {
	var b strings.Builder
	o := &output{w: &b, stamp: func(time.Time) string { return "" }}
	log := slog.New(&corosyncLines{new(lineState), []func(slog.Record, []corosyncLine) error{linesTo(o)}})
	ids := func(list ...proto.NodeID) []proto.NodeID { return list }
	configuration := func(seq uint64, members, joined, left []proto.NodeID, why string) {
		log.Info("membership", "ring", proto.RingID{Rep: 1, Seq: seq}, "members", members, "joined", joined, "left", left, "why", why)
	}
	configuration(4, ids(1), nil, nil, "start")
	log.Info("not quorate", "votes", 1)
	configuration(0x2d, ids(1, 2, 3), ids(2, 3), nil, "join")
	log.Info("quorate", "votes", 3)
	log.Info("ready", "round", 1)
	log.Info("link up", "node", proto.NodeID(2), "link", uint8(0))
	log.Info("link up", "node", proto.NodeID(2), "link", uint8(1))
	log.Info("link down", "node", proto.NodeID(2), "link", uint8(0), "why", "no answer")
	log.Info("link down", "node", proto.NodeID(2), "link", uint8(1), "why", "no answer")
	configuration(0x31, ids(1, 3), nil, ids(2), "token-lost")
	configuration(0x35, ids(1), nil, ids(3), "leave")
	log.With("x", 1).WithGroup("y").Warn("not quorate")
	log.Info("something else")
	want := `notice  [TOTEM ] A new membership (1.4) was formed. Members joined: 1
notice  [QUORUM] Members[1]: 1
notice  [TOTEM ] A new membership (1.2d) was formed. Members joined: 2 3
notice  [QUORUM] This node is within the primary component and will provide service.
notice  [QUORUM] Members[3]: 1 2 3
notice  [MAIN  ] Completed service synchronization, ready to provide service.
info    [KNET  ] rx: host: 2 link: 0 is up
info    [KNET  ] rx: host: 2 link: 1 is up
info    [KNET  ] link: host: 2 link: 0 is down
info    [KNET  ] link: host: 2 link: 1 is down
warning [KNET  ] host: host: 2 has no active links
notice  [TOTEM ] A new membership (1.31) was formed. Members left: 2
notice  [TOTEM ] Failed to receive the leave message. failed: 2
notice  [TOTEM ] A new membership (1.35) was formed. Members left: 3
notice  [QUORUM] This node is within the non-primary component and will NOT provide any services.
notice  [QUORUM] Members[1]: 1
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}
