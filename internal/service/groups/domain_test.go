package groups

import (
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// The numbers of protocols go on rising when all nodes were stopped and forgot the
// domain: clients fence with them.
func TestProtocolNumbersRiseOverLives(t *testing.T) {
	var last uint64
	for _, ring := range []uint64{4, 8, 1 << 20} {
		d := &domain{out: New(Config{})}
		d.form(proto.RingID{Rep: 1, Seq: ring}, []proto.NodeID{1})
		for range 1000 {
			d.seq++
			if d.seq <= last {
				t.Fatalf("protocol %d after %d", d.seq, last)
			}
			last = d.seq
		}
	}
}
