package totem

import (
	"testing"
)

// FuzzStep gives a machine in each of its states frames that an authenticated
// peer may have made up. It must neither panic nor break its invariants, and go
// on afterwards: order and liveness hold for the honest members once the rings
// are made anew.
func FuzzStep(f *testing.F) {
	l := newLab(f, 3, nil)
	var seeds [][]byte
	l.drop = func(from, to NodeID, o Outgoing) bool {
		if len(seeds) < 200 {
			seeds = append(seeds, append([]byte(nil), o.Frame...))
		}
		return false
	}
	l.until(2*sec, "formed", l.formed(1, 2, 3))
	l.submit(1, "a", true)
	l.submit(2, "b", false)
	l.run(100 * ms)
	for i, s := range seeds {
		f.Add(uint16(i), s)
	}
	f.Fuzz(func(t *testing.T, when uint16, frame []byte) {
		l := newLab(t, 3, nil)
		l.run(Tick(when%400) * ms) // linger, gather, commit, recovery, operational
		for range when % 5 {
			if len(l.queue) > 0 {
				l.run(l.queue[0].at - l.now)
			}
		}
		x := l.node(NodeID(when%3 + 1))
		from := x.id%3 + 1
		_ = x.Step(l.now, Packet{From: from, Inc: 1000, Frame: frame}) // an error is fine
		l.flush(x)
		l.until(20*sec, "formed again", l.formed(1, 2, 3))
		l.submit(1, "after", true)
		l.run(2 * sec)
		l.until(20*sec, "formed at the end", l.formed(1, 2, 3))
	})
}
