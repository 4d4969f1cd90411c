package seal

import (
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

func TestSessionAndFrames(t *testing.T) {
	l := newLab(t, 1)
	h := l.cluster(3, 1)
	l.run(5 * ms)
	for _, a := range h {
		for _, b := range h {
			if a != b && !a.hasSession(b) {
				t.Errorf("node %d has no session with %d after 5ms", a.id, b.id)
			}
		}
		if got := a.count(EventSession); got != 2 {
			t.Errorf("node %d: %d sessions, want 2", a.id, got)
		}
		if got := a.count(EventLinkUp); got != 2 {
			t.Errorf("node %d: %d links up, want 2", a.id, got)
		}
	}
	h[0].frame(2, false, "data")
	h[0].frame(2, true, "token")
	h[2].frame(2, false, strings.Repeat("x", 5000))
	l.run(ms)
	want := []string{"data", "token", strings.Repeat("x", 5000)}
	if got := h[1].bodies(); !slices.Equal(got, want) {
		t.Errorf("frames: %d of %d, %q", len(got), len(want), got)
	}
	if f := h[1].frames[0]; f.from != 1 || f.inc != 100 || f.link != 0 {
		t.Errorf("frame came as %+v", f)
	}
}

func TestIdleClusterStaysUp(t *testing.T) {
	l := newLab(t, 2)
	h := l.cluster(3, 2)
	l.run(60 * proto.Second)
	for _, a := range h {
		if n := a.count(EventLinkDown); n != 0 {
			t.Errorf("node %d: %d links went down", a.id, n)
		}
		if n := a.count(EventLinkUp); n != 4 {
			t.Errorf("node %d: %d links up, want 4", a.id, n)
		}
	}
}
