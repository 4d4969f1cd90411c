package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/resync"
)

// watchRings wakes up who waits for a ring.
func (n *Node) watchRings(o *executive.Observer) {
	before := o.Round
	o.Round = func(x resync.Note) {
		if before != nil {
			before(x)
		}
		if x.Kind == resync.NoteReady {
			n.settled()
		}
	}
}

func (n *Node) settled() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.rings)
	n.rings = make(chan struct{})
}

// AwaitRing waits until the member is in a ring of exactly these nodes, in any
// order, that serves clients.
func (n *Node) AwaitRing(ctx context.Context, nodes []config.NodeID) error {
	want := slices.Sorted(slices.Values(nodes))
	for {
		n.mu.Lock()
		changed := n.rings
		n.mu.Unlock()
		there := false
		if err := n.do(ctx, func(c *executive.Core) { there = slices.Equal(c.Settled(), want) }); err != nil || there {
			return err
		}
		select {
		case <-changed:
		case <-n.loop.Done():
			return n.gone()
		case <-ctx.Done():
			return fmt.Errorf("node %d waits for a ring of %v: %w", n.self.ID, want, ctx.Err())
		}
	}
}
