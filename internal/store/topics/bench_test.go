package topics

import (
	"encoding/binary"
	"testing"

	"github.com/moothall/moothall/internal/service/events"
)

// BenchmarkWrite stores events of 256 bytes of a topic that keeps 1000, 64 at a time.
func BenchmarkWrite(b *testing.B) {
	s, err := Open(b.TempDir(), func(err error) { b.Error(err) })
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	key := func(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'e'}, n) }
	seq := uint64(0)
	for b.Loop() {
		var batch []events.Write
		for range 64 {
			seq++
			batch = append(batch, events.Write{Key: key(seq), Value: make([]byte, 320)}, events.Write{Key: []byte("c"), Value: make([]byte, 4)})
			if seq > 1000 {
				batch = append(batch, events.Write{Key: key(seq - 1000)})
			}
		}
		done := make(chan bool)
		s.Write(batch, func() { close(done) })
		<-done
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(seq), "ns/event")
}
