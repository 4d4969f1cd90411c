package seal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// paths lists what a host was told of the sizes that get through.
func (h *host) paths() (out []string) {
	for _, e := range h.events {
		if e.Kind == EventPathMTU {
			out = append(out, fmt.Sprintf("node %d link %d: %d of %d", e.Node, e.Link, uint32(e.Value), e.Value>>32))
		}
	}
	return out
}

// Large datagrams vanish, small ones do not: the size is found, frames go in
// pieces of it, and whole again when large ones get through again.
func TestPathMTU(t *testing.T) {
	for _, limit := range []int{1172, 700, 1471} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			l := newLab(t, 1)
			hosts := l.cluster(2, 1)
			a, b := hosts[0], hosts[1]
			l.run(10 * proto.Second)
			if p := a.paths(); len(p) != 0 {
				t.Fatalf("on a sound network: %q", p)
			}
			l.pass = func(f *flight) bool { return f.src != a || len(f.d.Data) <= limit }
			l.run(10 * proto.Second)
			got := a.core.Status()[0].MTU
			if got > limit || got < limit-trialStep || len(a.paths()) != 1 || len(b.paths()) != 0 {
				t.Errorf("%d gets through, found %d; told %q and %q", limit, got, a.paths(), b.paths())
			}
			body := strings.Repeat("x", 4000)
			a.frame(2, false, body)
			l.run(proto.Second)
			if n := len(b.frames); n != 1 || b.frames[0].body != body {
				t.Errorf("%d frames came", n)
			}
			l.run(60 * proto.Second) // the same is not told twice
			if p := a.paths(); len(p) != 1 || a.core.Status()[0].MTU != got {
				t.Errorf("told %q, now %d", p, a.core.Status()[0].MTU)
			}
			l.pass = nil
			l.run(10 * proto.Second)
			if got := a.core.Status()[0].MTU; got != DefaultMTU || len(a.paths()) != 2 {
				t.Errorf("large ones get through again, found %d; told %q", got, a.paths())
			}
		})
	}
}

// Loss that has nothing to do with sizes is not taken for it, or at least
// forgotten again.
func TestPathMTU_Loss(t *testing.T) {
	l := newLab(t, 2)
	a := l.cluster(2, 1)[0]
	l.run(proto.Second)
	l.pass = func(*flight) bool { return l.rng.Uint64()%5 != 0 }
	l.run(120 * proto.Second)
	l.pass = nil
	l.run(20 * proto.Second)
	if got := a.core.Status()[0].MTU; got != DefaultMTU {
		t.Errorf("datagrams of up to %d bytes are sent after loss; told %q", got, a.paths())
	}
}
