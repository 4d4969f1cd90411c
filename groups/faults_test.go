package groups_test

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/moothall/moothall/groups"
	"github.com/moothall/moothall/internal/testenv"
)

// Splits and merges at random: no fence has two leaders, and in the end all see the
// same one. MOOT_GROUPS_FAULTS=n makes n of them.
func TestLeader_Faults(t *testing.T) {
	ctx := soon(t)
	faults, err := strconv.Atoi(os.Getenv("MOOT_GROUPS_FAULTS"))
	if err != nil {
		faults = 2
	} else {
		ctx = context.WithoutCancel(ctx)
	}
	c, clients := within(t, 3)
	var mu sync.Mutex
	leaders := map[uint64]groups.ProviderID{}
	var all sync.WaitGroup
	var candidates []*groups.Leader
	for _, client := range clients {
		l, err := client.Lead(ctx, "boss")
		must(t, err)
		candidates = append(candidates, l)
		all.Go(func() {
			for term, err := range l.All(ctx) {
				if err != nil || term.Fence == 0 {
					continue
				}
				mu.Lock()
				if was, known := leaders[term.Fence]; known && was != term.Leader {
					t.Errorf("fence %d of %v and of %v", term.Fence, was, term.Leader)
				}
				leaders[term.Fence] = term.Leader
				mu.Unlock()
			}
		})
	}
	ids := []groups.NodeID{1, 2, 3}
	for range faults {
		rand.Shuffle(3, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		c.Split(ids[:2], ids[2:])
		if rand.IntN(2) == 0 { // else it is over before anybody has noticed, maybe
			must(t, c.Node(ids[2]).AwaitRing(ctx, ids[2:]))
			must(t, c.Node(ids[0]).AwaitRing(ctx, slices.Sorted(slices.Values(ids[:2]))))
		}
		c.Heal()
		must(t, c.Formed(ctx))
	}
	testenv.Eventually(t, patience, "one leader", func() (bool, any) {
		a, b, c := candidates[0].Now(), candidates[1].Now(), candidates[2].Now()
		nobody := groups.ProviderID{}
		return a.Leader != nobody && a.Leader == b.Leader && b.Leader == c.Leader && len(a.Members) == 3, []groups.Term{a, b, c}
	})
	for _, l := range candidates {
		must(t, l.Resign(ctx))
	}
	all.Wait()
}
