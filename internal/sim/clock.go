package sim

// clock is a node's monotonic clock: it has an offset and runs a little fast or
// slow (ordering 5.2).
type clock struct {
	offset Tick
	ppm    int64 // ten thousand is one per cent
}

// local is the node's reading at a moment of virtual time.
func (c clock) local(t Tick) Tick {
	return c.offset + t + t/1_000_000*Tick(c.ppm) + t%1_000_000*Tick(c.ppm)/1_000_000
}

// global is the first moment at which the node reads at least l.
func (c clock) global(l Tick) Tick {
	l -= c.offset
	t := l/(1_000_000+Tick(c.ppm))*1_000_000 + l%(1_000_000+Tick(c.ppm))*1_000_000/(1_000_000+Tick(c.ppm))
	for c.local(t)-c.offset < l {
		t++
	}
	return t
}
