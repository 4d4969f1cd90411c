package quorum

import (
	"slices"

	"github.com/moothall/moothall/internal/vote"
)

// ReloadRefused says why the votes of a reloaded configuration cannot take effect
// now; empty: they can. At one place of the order it is the same at all members.
func (s *Service) ReloadRefused(n vote.Settings, step vote.Step) string {
	switch {
	case !s.cfg.Provider:
		return ""
	case s.table == nil:
		return "quorum is not decided yet: try again"
	}
	return vote.ReloadRefused(s.shown.members, s.table, n, step)
}

// Reload puts the votes of a reloaded configuration into force, at the same place
// of the order at all members.
func (s *Service) Reload(n vote.Settings) {
	c := &s.cfg.Vote
	c.Expected, c.Device, c.TwoNode, c.WaitForAll = n.Expected, n.Device, n.TwoNode, n.WaitForAll
	for _, x := range n.Nodes {
		if x.Node == s.self {
			c.Votes = x.Votes
		}
	}
	if !s.cfg.Provider || s.table == nil {
		return
	}
	s.past = slices.DeleteFunc(s.past, func(f vote.Info) bool {
		return !slices.ContainsFunc(n.Nodes, func(x vote.Share) bool { return x.Node == f.Node })
	})
	for i := range s.past {
		for _, x := range n.Nodes {
			if x.Node == s.past[i].Node {
				s.past[i].Votes = x.Votes
			}
		}
	}
	d := vote.Reload(*c, s.shown.ring, s.shown.members, s.table, s.state, n)
	s.adopt(&d, !n.WaitForAll)
}
