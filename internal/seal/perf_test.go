package seal

import (
	"fmt"
	"testing"
)

func TestZeroAllocations(t *testing.T) {
	_, a, b := pair(t)
	frame := body(1400)
	dst := make([][]byte, 0, 4)
	from := b.source(0, false)
	for _, control := range []bool{false, true} {
		round := func() {
			dst = b.core.SealFrame(0, control, 0, frame, dst[:0])
			if _, ok := a.core.Open(a.lab.now, Datagram{Control: control, Addr: from, Data: dst[0]}); !ok {
				t.Fatal("not opened")
			}
			b.core.Reset()
			a.core.Take()
			a.core.Advance(a.lab.now)
		}
		round()
		if n := testing.AllocsPerRun(1000, round); n != 0 {
			t.Errorf("control %v: %v allocations to seal and open a frame", control, n)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{100, 1400, 8900} {
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			l := newLab(b, 1)
			c := l.config(1, 2, 1)
			c.MTU = 9000
			core, _ := New(0, c)
			frame, dst := body(n), make([][]byte, 0, 64)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if dst = core.SealFrame(0, false, 0, frame, dst[:0]); core.tx.counter%32 == 0 {
					core.Reset()
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{100, 1400} {
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			_, h, p := pair(b)
			frame, from := body(n), p.source(0, false)
			var batch [][]byte
			i := 0
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if i == len(batch) {
					b.StopTimer()
					batch, i = batch[:0], 0
					p.core.Reset()
					for range 1024 {
						batch = p.core.SealFrame(0, false, 0, frame, batch)
					}
					h.core.Take()
					b.StartTimer()
				}
				if _, ok := h.core.Open(h.lab.now, Datagram{Addr: from, Data: batch[i]}); !ok {
					b.Fatal("not opened")
				}
				i++
			}
		})
	}
}
