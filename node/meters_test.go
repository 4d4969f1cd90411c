package node

import (
	"testing"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/totem"
)

// BenchmarkMeters measures what the meters take of one own message.
func BenchmarkMeters(b *testing.B) {
	o := executive.Observer{Packet: func(totem.Packet) {}, Decision: func(*executive.Decision) {}}
	var m meters
	m.watch(&o, 1)
	o.Start(0, 1)
	d := totem.Delivery{From: 1, Inc: 1}
	body := make([]byte, 64)
	b.ReportAllocs()
	for k := uint64(1); b.Loop(); k++ {
		o.Submit(proto.Tick(k), k, totem.Normal, false, body)
		d.K = k
		o.Deliver(proto.Tick(k)+1000, &d)
	}
}
