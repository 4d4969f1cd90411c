package seal

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// TestRandom runs three nodes on two links with loss, copies, delays, restarts,
// key rotations and replays of anything that was ever sent. A life of a receiver
// gets no frame twice, and none that was sealed before that life began.
func TestRandom(t *testing.T) {
	for seed := range uint64(40) {
		if err := randomRun(t, seed); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

func randomRun(t testing.TB, seed uint64) error {
	l := newLab(t, 1000+seed)
	loss, copies, slow := l.rng.IntN(30), l.rng.IntN(20), l.rng.IntN(30)
	l.pass = func(f *flight) bool {
		l.latency = Tick(1+l.rng.IntN(300)) * proto.Microsecond
		if l.rng.IntN(100) < slow {
			l.latency *= 200
		}
		if l.rng.IntN(100) < copies {
			l.launch(*f)
		}
		return l.rng.IntN(100) >= loss
	}
	const nodes, links = 3, 2
	hosts := l.cluster(nodes, links)
	started := make(map[*host]Tick)
	inc, epoch := uint64(100), uint8(0)
	key := func(e uint8) []byte { return bytes.Repeat([]byte{e + 7}, 32) }
	sealed := make(map[string]Tick)
	number, delivered := 0, 0
	check := func(h *host) error {
		got := make(map[string]bool)
		for _, f := range h.frames {
			if got[f.body] {
				return fmt.Errorf("node %d got %q twice", h.id, f.body)
			}
			got[f.body] = true
			if sealed[f.body] < started[h] {
				return fmt.Errorf("node %d, started at %v, got %q of %v", h.id, started[h], f.body, sealed[f.body])
			}
		}
		delivered += len(h.frames)
		return nil
	}
	for range 2000 {
		l.run(Tick(l.rng.IntN(4000)) * proto.Microsecond)
		h := hosts[l.rng.IntN(nodes)]
		to := NodeID(1 + (int(h.id)+l.rng.IntN(nodes-1))%nodes)
		number++
		body := fmt.Sprintf("%d:%d", h.id, number)
		sealed[body] = l.now
		h.frameOn(to, l.rng.IntN(2) == 0, body, h.core.Route(to, l.rng.IntN(3) == 0)...)
		switch l.rng.IntN(100) {
		case 0: // restart, now and then the key too
			if err := check(h); err != nil {
				return err
			}
			inc++
			c := l.config(h.id, nodes, links)
			c.Inc, c.Epoch, c.Key = inc, epoch, key(epoch)
			h.stop()
			started[h] = l.now
			h.start(c)
			if epoch > 0 {
				if err := h.core.LoadKey(epoch-1, key(epoch-1)); err != nil {
					return err
				}
			}
		case 1:
			if l.rng.IntN(4) == 0 && epoch < 200 {
				for _, h := range hosts {
					if epoch > 0 {
						if err := h.core.DropKey(epoch - 1); err != nil {
							return err
						}
					}
					if err := h.core.LoadKey(epoch+1, key(epoch+1)); err != nil {
						return err
					}
				}
				epoch++
				for _, h := range hosts {
					if err := h.core.UseEpoch(epoch); err != nil {
						return err
					}
				}
			}
		}
		for range l.rng.IntN(8) {
			l.launch(l.record[l.rng.IntN(len(l.record))])
		}
	}
	for _, h := range hosts {
		if err := check(h); err != nil {
			return err
		}
	}
	// Quiet again: everybody finds everybody.
	l.pass, l.latency = nil, 100*proto.Microsecond
	l.run(proto.Second)
	for _, a := range hosts {
		for _, b := range hosts {
			if a != b && !a.hasSession(b) {
				return fmt.Errorf("node %d has no session with %d after a quiet second", a.id, b.id)
			}
		}
	}
	return wantf(delivered > number/10, "only %d of %d frames came through", delivered, number)
}
