package executive

import (
	"testing"

	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
)

// Other nodes and times reach the parts in the next flush, and are those of a
// life that begins later.
func TestReconfigure(t *testing.T) {
	r := newRig(t)
	r.alone(4)
	r.Reconfigure(Reconfig{Peers: []seal.Peer{{ID: 2}, {ID: 4}}, Totem: totem.Reconfig{Table: 9,
		Nodes: []totem.Node{{ID: 1, Votes: 3}, {ID: 2}, {ID: 4}}, Timers: totem.Timers{Token: 7}}})
	if len(r.engine.reconfigs) != 0 {
		t.Error("the engine was told in the middle of an input")
	}
	r.flush()
	r.flush()
	if n := len(r.engine.reconfigs); n != 1 || r.engine.reconfigs[0].Table != 9 || len(r.sessions.peers) != 2 {
		t.Fatalf("told %d times: %+v, peers %v", n, r.engine.reconfigs, r.sessions.peers)
	}
	if c := r.cfg; c.votes() != 3 || c.Totem.Timers.Token != 7 || len(c.Seal.Peers) != 2 || c.Seal.Table != 9 {
		t.Errorf("a new life would begin with %+v", c)
	}
	if ids := (*directory)(r.Core).Configured(); len(ids) != 3 || ids[2] != 4 {
		t.Errorf("services see the nodes %v", ids)
	}
}
