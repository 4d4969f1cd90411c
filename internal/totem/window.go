package totem

// entry is one slot of a window.
type entry struct {
	frame    []byte // verbatim; nil: not held
	from     NodeID // originator
	safe     tri    // a safe message ends here; found out when asked
	answers  uint8  // how often this member sent it again
	answered Tick   // when it did so last
}

type tri uint8

const (
	unknown tri = iota
	no
	yes
)

// window holds the frames of one ring between released and released+size.
type window struct {
	base     Slot // the first slot of the ring is base+1
	released Slot // all up to here are gone: everybody has them and they are delivered
	high     Slot // highest slot held
	aru      Slot // all up to here are held or were released
	entries  []entry
	bytes    int
}

func newWindow(size int, base Slot) *window {
	return &window{base: base, released: base, high: base, aru: base, entries: make([]entry, size)}
}

func (w *window) size() Slot { return Slot(len(w.entries)) }

// inside reports whether the slot has a place now (invariant I3).
func (w *window) inside(s Slot) bool { return s > w.released && s <= w.released+w.size() }

func (w *window) at(s Slot) *entry { return &w.entries[s&(w.size()-1)] }

func (w *window) held(s Slot) bool { return w.inside(s) && w.at(s).frame != nil }

// put stores a frame in a free place inside the window.
func (w *window) put(s Slot, from NodeID, frame []byte) {
	*w.at(s) = entry{frame: frame, from: from}
	w.bytes += len(frame)
	w.high = max(w.high, s)
	if s == w.aru+1 {
		w.advance()
	}
}

func (w *window) advance() {
	for w.aru < w.high && (w.at(w.aru+1).frame != nil || planted("aru-over-holes")) {
		w.aru++
	}
}

// release lets all slots up to s go and hands their frames to free.
func (w *window) release(s Slot, free func([]byte)) {
	for w.released < s {
		w.released++
		e := w.at(w.released)
		if e.frame != nil {
			w.bytes -= len(e.frame)
			free(e.frame)
		}
		*e = entry{}
	}
}

// clear drops everything.
func (w *window) clear(free func([]byte)) {
	for s := w.released + 1; s <= w.high; s++ {
		if e := w.at(s); e.frame != nil {
			free(e.frame)
			*e = entry{}
		}
	}
	w.bytes = 0
}

// reset makes the window ready for another ring.
func (w *window) reset(base Slot) {
	w.base, w.released, w.high, w.aru, w.bytes = base, base, base, base, 0
}

func (w *window) clone() *window {
	c := *w
	c.entries = append([]entry(nil), w.entries...)
	return &c
}

// pool keeps frame buffers. A buffer that is let go may still stand in the
// output of this round and of the one that follows, so it rests for two Takes
// before it is used again.
type pool struct {
	off      bool // clones share frames: nothing is used again
	size     int  // capacity of pooled buffers
	ready    [][]byte
	resting  [][]byte
	released [][]byte
}

// get returns an empty buffer with at least n bytes of room.
func (p *pool) get(n int) []byte {
	if n > p.size {
		return make([]byte, 0, n)
	}
	if l := len(p.ready); l > 0 {
		b := p.ready[l-1]
		p.ready = p.ready[:l-1]
		return b
	}
	return make([]byte, 0, p.size)
}

func (p *pool) put(b []byte) {
	if cap(b) == p.size && len(p.released) < 1<<15 && !p.off {
		p.released = append(p.released, b[:0])
	}
}

// turn is called by each Take.
func (p *pool) turn() {
	if len(p.ready) < 1<<15 && !p.off {
		p.ready = append(p.ready, p.resting...)
	}
	p.resting, p.released = p.released, p.resting[:0]
}
