package seal

// window remembers which counters came, as a bitmap behind the highest one
// (ordering 3.7). The bitmap is twice the size that counts, so that a jump ahead
// clears whole words and never one that is still looked at.
type window struct {
	top   uint64
	size  uint64
	words []uint64
}

// newWindow has room for size counters, a power of two and at least 64.
func newWindow(size uint64) window {
	return window{size: size, words: make([]uint64, 2*size/64)}
}

// start takes everything up to top as seen.
func (w *window) start(top uint64) {
	w.top = top
	fill := ^uint64(0)
	if top == 0 {
		fill = 0
	}
	for i := range w.words {
		w.words[i] = fill
	}
	if top != 0 {
		// Above top within its word nothing was seen.
		*w.word(top) = 1<<(top%64) | (1<<(top%64) - 1)
	}
}

func (w *window) word(n uint64) *uint64 {
	return &w.words[n/64&uint64(len(w.words)-1)]
}

// check says why counter n must not pass, or zero.
func (w *window) check(n uint64) Drop {
	if n > w.top {
		return 0
	}
	if n == 0 || w.top-n >= w.size {
		return DropOld
	}
	if *w.word(n)>>(n%64)&1 != 0 {
		return DropReplay
	}
	return 0
}

// mark notes n, which check has passed.
func (w *window) mark(n uint64) {
	if n > w.top {
		steps := n/64 - w.top/64
		for i := uint64(1); i <= min(steps, uint64(len(w.words))); i++ {
			*w.word(w.top + 64*i) = 0
		}
		w.top = n
	}
	*w.word(n) |= 1 << (n % 64)
}
