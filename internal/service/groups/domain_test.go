package groups

import (
	"testing"

	"github.com/moothall/moothall/internal/proto"
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
