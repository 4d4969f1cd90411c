package groups

import (
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// The numbers of protocols go on rising in later rings, and when all nodes were
// stopped and forgot the domain: clients fence with them.
func TestProtocolNumbersRise(t *testing.T) {
	nodes := []proto.NodeID{1}
	var last uint64
	count := func(d *domain) {
		t.Helper()
		for range 1000 {
			d.seq++
			if d.seq <= last {
				t.Fatalf("protocol %d after %d", d.seq, last)
			}
			last = d.seq
		}
	}
	for ring := uint64(4); ring < 1<<20; ring *= 16 {
		d := &domain{out: New(Config{})}
		d.form(proto.RingID{Rep: 1, Seq: ring}, nodes)
		old := *d // as a node has it that does not see what follows
		count(d)
		d.viewChange(proto.RingID{Rep: 1, Seq: ring + 4}, nodes, nodes)
		count(d)
		old.viewChange(proto.RingID{Rep: 1, Seq: ring + 8}, nodes, nodes)
		count(&old)
	}
}

// A node that cannot read the surviving state does not go on with another one.
func TestStateThatCannotBeRead(t *testing.T) {
	w := start(t, 2)
	w.joined(1, "g", 1, g1)
	s := w.Node(2).Service(ID).(*Service)
	peers := []service.Peer{{Node: 1, Has: true, Epoch: 2, Trans: []proto.NodeID{1}, Digest: s.SyncDigest()},
		{Node: 2, Has: true, Epoch: 1, Trans: []proto.NodeID{2}, Digest: notFormed}}
	defer func(r *round) { s.round = r }(s.round)
	for _, broken := range [][]byte{{1, 7}, {1}, append([]byte{1}, s.d.appendTo(nil)[1:]...)} {
		s.SyncInit(service.Round{Peers: peers})
		if done, err := s.SyncProcess(1); done || err != nil {
			t.Fatalf("done without a state: %v %v", done, err)
		}
		if err := s.deliver(&service.Message{From: 1, Func: msgState, Class: service.Sync, Body: broken}); err == nil {
			t.Errorf("%x: read", broken)
		}
		if _, err := s.SyncProcess(1); err == nil || !strings.Contains(err.Error(), "groups of node 1 can not be read") {
			t.Errorf("%x: %v", broken, err)
		}
	}
}
