package seal

import (
	"math/rand/v2"
	"testing"
)

// TestWindow compares with a set of everything that came.
func TestWindow(t *testing.T) {
	for _, size := range []uint64{64, 128, controlWindow} {
		rng := rand.New(rand.NewPCG(size, 2))
		w := newWindow(size)
		seen := make(map[uint64]bool)
		start := uint64(rng.IntN(300))
		w.start(start)
		top := start
		for range 200_000 {
			var n uint64
			switch rng.IntN(20) {
			case 0:
				n = top + rng.Uint64N(3*size) // a jump
			case 1:
				n = rng.Uint64N(top + 2) // anything old
			default:
				n = top + 4 - min(top+4, rng.Uint64N(size+8))
			}
			var want Drop
			switch {
			case n > top:
			case n == 0 || top-n >= size:
				want = DropOld
			case n <= start || seen[n]:
				want = DropReplay
			}
			if got := w.check(n); got != want {
				t.Fatalf("size %d: counter %d at top %d, start %d: %v, want %v", size, n, top, start, got, want)
			}
			if want == 0 {
				w.mark(n)
				seen[n] = true
				top = max(top, n)
			}
		}
	}
}

func TestWindow_StartNeverOpensWhatWasClosed(t *testing.T) {
	w := newWindow(64)
	for _, start := range []uint64{0, 1, 63, 64, 65, 127, 1000} {
		w.start(start)
		for n := range start + 1 {
			if w.check(n) == 0 {
				t.Errorf("start %d lets %d pass", start, n)
			}
		}
		for n := start + 1; n < start+200; n++ {
			if w.check(n) != 0 {
				t.Errorf("start %d refuses %d", start, n)
			}
			w.mark(n)
		}
	}
}
