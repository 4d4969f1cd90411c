package hags

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/service/groups/groupstest"
	"github.com/moothall/moothall/internal/testenv"
)

// those are the scenarios of the table of which ok is true.
func those(ok func(groupstest.Scenario) bool) []groupstest.Scenario {
	return slices.DeleteFunc(groupstest.Scenarios(), func(s groupstest.Scenario) bool { return !ok(s) })
}

// TestC is the scenarios that leave the agents alone, on three of them.
func TestC(t *testing.T) {
	c := newCluster(t, 3)
	for _, s := range those(func(s groupstest.Scenario) bool { return s.Needs&(groupstest.Crashes|groupstest.Splits) == 0 }) {
		t.Run(s.Title(), func(t *testing.T) {
			t.Parallel()
			groupstest.Run(t, newWorld(t, c), s)
		})
	}
	for _, s := range slices.Concat(ofLibrary, ofAgent) {
		t.Run(s.title(), func(t *testing.T) {
			t.Parallel()
			s.run(t, newWorld(t, c))
		})
	}
}

// TestC_Crashes is those in which agents die, one after the other.
func TestC_Crashes(t *testing.T) {
	t.Parallel()
	var c *cluster
	next := func(size int, fresh bool) *cluster {
		if c == nil || fresh || len(c.agents) != size {
			c = newCluster(t, size)
		} else {
			c.whole(t)
		}
		return c
	}
	for _, s := range those(func(s groupstest.Scenario) bool { return s.Needs&groupstest.Crashes != 0 }) {
		c := next(s.Size(), s.Needs&groupstest.Fresh != 0)
		t.Run(s.Title(), func(t *testing.T) { groupstest.Run(t, newWorld(t, c), s) })
	}
	for _, s := range ofDeath {
		c := next(s.nodes, false)
		t.Run(s.title(), func(t *testing.T) { s.run(t, newWorld(t, c)) })
	}
}

// TestC_Splits is those in which networks fail.
func TestC_Splits(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skipf("needs nftables: %v", err)
	}
	drive(t)
	testenv.OnStage(t, 5, func(t *testing.T, stage *bench.Stage) {
		c := onStage(t, stage)
		for _, s := range those(func(s groupstest.Scenario) bool { return s.Needs&groupstest.Splits != 0 }) {
			t.Run(s.Title(), func(t *testing.T) {
				groupstest.Run(t, newWorld(t, c), s)
				if s.Number == 81 {
					c.logged(t, "GS_DOM_MERGE_ER", 4, 5)
				}
			})
			c.whole(t)
		}
	})
}
