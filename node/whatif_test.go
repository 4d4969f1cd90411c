package node

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/internal/vote"
)

// five is a cluster of five members with a group on nodes 4 and 5.
func five(t *testing.T) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := StartCluster(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, id := range []config.NodeID{4, 5} {
		conn, err := c.Node(id).Open(t.Context(), cpg.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Call(t.Context(), cpg.CallJoin, cpg.JoinRequest{Group: []byte("db"), PID: 815}.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.Nodes() {
		testenv.Eventually(t, time.Minute, "the group of two nodes, and quorum", func() (bool, any) {
			x, err := n.WhatIf(t.Context(), url.Values{"cut": {"1,2,3", "4,5"}})
			return err == nil && len(x.Sides) == 2 && x.Now.Votes == 5 && len(x.Sides[0].Groups) == 1 && x.Sides[0].Groups[0].Nodes == 2, x
		})
	}
	return c
}

func TestWhatIf(t *testing.T) {
	c := five(t)
	for _, tc := range []struct {
		question url.Values
		want     string
	}{
		{url.Values{"stop": {"n5"}}, "1-4 yes 4/5 needs 3, db majority"},
		{url.Values{"stop": {"5", "4"}}, "1-3 yes 3/5 needs 3, db last-member"},
		{url.Values{"stop": {"5", "4", "3"}}, "1-2 no 2/5 needs 3, db last-member"},
		{url.Values{"stop": {"1", "2", "3", "4", "5"}}, ""},
		{url.Values{"cut": {"1,2,3", "n4,n5"}}, "1-3 yes 3/5 needs 3, db last-member; 4-5 no 2/5 needs 3"},
		{url.Values{"cut": {"1", "5"}}, "1-4 yes 4/5 needs 3, db majority; 5-5 no 1/5 needs 3, db majority"},
		{url.Values{"votes": {"n1=3"}}, "1-5 yes 7/7 needs 4"},
		{url.Values{"expected": {"6"}}, "1-5 yes 5/6 needs 4"},
		{url.Values{"expected": {"2"}}, "refused"},
		{url.Values{"stop": {"n6"}}, "404"},
		{url.Values{"cut": {"1,2", "2,3"}}, "400"},
		{url.Values{"votes": {"1=many"}}, "400"},
		{url.Values{}, "400"},
	} {
		for id := range config.NodeID(5) {
			x, err := c.Node(id+1).WhatIf(t.Context(), tc.question)
			if got := short(x, err); got != tc.want {
				t.Errorf("node %d, %v: %q, want %q", id+1, tc.question, got, tc.want)
			}
		}
	}
}

// Who is refused is told the rule.
func TestWhatIfRefusals(t *testing.T) {
	s := vote.Scene{Members: []admin.NodeID{1, 2, 3}}
	for _, n := range s.Members {
		s.Infos = append(s.Infos, vote.Info{Node: n, Votes: 1, Expected: 3, Quorate: true})
	}
	for value, want := range map[uint32]string{
		2: "The votes that are expected cannot be fewer than those of the members, and 3 are here.",
		7: "With 7 votes expected 4 would be needed, and 3 are here: who is quorate may not lose quorum by it.",
		5: "",
	} {
		if got := s.Refusal(vote.Change{Kind: vote.SetExpected, Value: value}); got != want {
			t.Errorf("%d: %q, want %q", value, got, want)
		}
	}
}

func short(x admin.WhatIf, err error) string {
	if q, ok := err.(*questionError); ok {
		return fmt.Sprint(q.code)
	}
	if err != nil {
		return err.Error()
	}
	if !x.Allowed {
		return "refused"
	}
	var parts []string
	for _, s := range x.Sides {
		word := "no"
		if s.Quorate {
			word = "yes"
		}
		text := fmt.Sprintf("%d-%d %s %d/%d needs %d", s.Members[0], s.Members[len(s.Members)-1], word, s.Votes, s.Expected, s.Needed)
		for _, g := range s.Groups {
			text += ", " + g.Name + " " + g.Loses
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// What was foretold of a stop and of a cut comes true.
func TestWhatIfComesTrue(t *testing.T) {
	c := five(t)
	foretold, err := c.Node(1).WhatIf(t.Context(), url.Values{"cut": {"1", "5"}})
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.cuts[[2]config.NodeID{1, 5}], c.cuts[[2]config.NodeID{5, 1}] = true, true
	c.mu.Unlock()
	comesTrue(t, c, foretold)
	c.Heal()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Formed(ctx); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "the decision of five", func() (bool, any) {
		x, err := c.Node(3).WhatIf(t.Context(), url.Values{"stop": {"1", "2"}})
		foretold = x
		return err == nil && x.Now.Votes == 5, err
	})
	for _, id := range []config.NodeID{1, 2} {
		if err := c.Node(id).Leave(ctx); err != nil {
			t.Fatal(err)
		}
	}
	comesTrue(t, c, foretold)
}

func comesTrue(t *testing.T, c *Cluster, foretold admin.WhatIf) {
	t.Helper()
	for _, s := range foretold.Sides {
		for _, id := range s.Members {
			testenv.Eventually(t, time.Minute, fmt.Sprintf("node %d as foretold: %s", id, s.Text), func() (bool, any) {
				st := c.Node(id).Status()
				q := st.Quorum
				return st.Ring != nil && slices.Equal(st.Ring.Members, s.Members) && q.DecidedInRingSeq == st.Ring.Seq && q.Quorate == s.Quorate &&
					q.Votes == s.Votes && q.Expected == s.Expected && q.Needed == s.Needed && q.Row == s.Row, fmt.Sprintf("%+v", q)
			})
		}
	}
}

// Nodes that do not all hear each other form the rings that the engine forms.
func TestCliques(t *testing.T) {
	s := vote.Scene{Members: []admin.NodeID{1, 2, 3, 4}}
	for _, n := range s.Members {
		s.Infos = append(s.Infos, vote.Info{Node: n, Votes: 1})
	}
	for cut, want := range map[[2]admin.NodeID]string{{1, 4}: "[[1 2 3] [4]]", {2, 3}: "[[1 2 4] [3]]"} {
		apart := func(a, b admin.NodeID) bool { return a == cut[0] && b == cut[1] || b == cut[0] && a == cut[1] }
		if got := fmt.Sprint(cliques(s, apart)); got != want {
			t.Errorf("%v: %s, want %s", cut, got, want)
		}
	}
}
