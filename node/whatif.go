package node

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/vote"
)

// WhatIf tells what would become of quorum and groups, by the same arithmetic
// that decides, from the decision that stands. Nothing is done. The question has
// one of the keys of admin.Client.WhatIf.
func (n *Node) WhatIf(ctx context.Context, question url.Values) (admin.WhatIf, error) {
	out := admin.WhatIf{Cluster: n.Cluster(), Asked: n.self.ID, Allowed: true, Notes: []string{}, Sides: []admin.WhatIfSide{}}
	var groups []groupNodes
	var scene vote.Scene
	var ok, device bool
	err := n.ask(ctx, func(*executive.Core) {
		if scene, ok = n.keys.quorum.Scene(); ok {
			scene.Members, scene.Infos = slices.Clone(scene.Members), slices.Clone(scene.Infos)
		}
		groups = n.groupNodes()
	})
	if err != nil {
		return out, err
	}
	if !ok {
		return out, noSuch("there is no decision to start from: no quorum provider is configured, or nothing was decided yet")
	}
	for _, f := range scene.Infos {
		device = device || f.Device.Registered
	}
	out.Ring = scene.Ring.String()
	w := whatif{n: n, scene: scene, out: &out}
	out.Now = w.side(scene.Now())
	if err := w.answer(question); err != nil {
		return out, err
	}
	if device {
		out.Notes = append(out.Notes, "A quorum device decides by itself: it is taken to say what it says now.")
	}
	for i := range out.Sides {
		out.Sides[i].Groups = losses(groups, out.Sides[i].Members)
	}
	return out, nil
}

// whatif is one question in work.
type whatif struct {
	n     *Node
	scene vote.Scene
	out   *admin.WhatIf
}

// answer finds out what is asked.
func (w *whatif) answer(q url.Values) error {
	switch {
	case len(q["stop"]) > 0:
		return w.stop(q["stop"])
	case len(q["cut"]) == 2:
		return w.cut(q["cut"][0], q["cut"][1])
	case len(q["votes"]) > 0:
		return w.votes(q["votes"])
	case q.Get("expected") != "":
		n, err := strconv.ParseUint(q.Get("expected"), 10, 32)
		if err != nil || n == 0 {
			return badly("%q is no number of votes", q.Get("expected"))
		}
		w.out.Question = fmt.Sprintf("%d votes are expected", n)
		w.changed(vote.Change{Kind: vote.SetExpected, Value: uint32(n)})
		return nil
	}
	return badly("ask for stop, cut with two sides, votes or expected")
}

// member finds a node that is a member.
func (w *whatif) member(word string) (admin.NodeID, error) {
	id, err := w.n.nodeNamed(word)
	if err == nil && (id == 0 || !slices.Contains(w.scene.Members, id)) {
		err = noSuch("node %s is no member now", word)
	}
	return id, err
}

func (w *whatif) members(words []string) ([]admin.NodeID, error) {
	var ids []admin.NodeID
	for _, word := range words {
		id, err := w.member(word)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (w *whatif) stop(words []string) error {
	ids, err := w.members(words)
	if err != nil {
		return err
	}
	verb := "stops"
	if len(ids) > 1 {
		verb = "stop, one after the other"
	}
	w.out.Question = w.names(ids) + " " + verb
	if s := w.scene.Stop(ids...); len(s.Members) > 0 {
		w.out.Sides = append(w.out.Sides, w.side(s))
	}
	return nil
}

// cut breaks the network between two sets of members.
func (w *whatif) cut(one, other string) error {
	a, err := w.members(strings.Split(one, ","))
	if err != nil {
		return err
	}
	b, err := w.members(strings.Split(other, ","))
	if err != nil {
		return err
	}
	for _, id := range a {
		if slices.Contains(b, id) {
			return badly("node %d is on both sides", id)
		}
	}
	w.out.Question = fmt.Sprintf("the network breaks between %s and %s", w.names(a), w.names(b))
	if len(a)+len(b) < len(w.scene.Members) {
		w.out.Notes = append(w.out.Notes, "Members that hear both sides go on with the larger one, of equal ones with that of more votes, then of the lower ids.")
	}
	apart := func(x, y admin.NodeID) bool {
		return slices.Contains(a, x) && slices.Contains(b, y) || slices.Contains(b, x) && slices.Contains(a, y)
	}
	for _, s := range w.scene.Cut(cliques(w.scene, apart)...) {
		w.out.Sides = append(w.out.Sides, w.side(s))
	}
	return nil
}

// cliques are the rings that form when some nodes do not hear each other: those
// with the fewest good ways are left out until the rest hear each other, and form
// rings among themselves (ordering 2.14.2).
func cliques(s vote.Scene, apart func(a, b admin.NodeID) bool) [][]admin.NodeID {
	votes := func(n admin.NodeID) uint32 { f, _ := vote.Find(s.Infos, n); return f.Votes }
	var out [][]admin.NodeID
	for rest := slices.Clone(s.Members); len(rest) > 0; {
		keep, removed := slices.Clone(rest), []admin.NodeID{}
		for {
			worst, least := -1, len(keep)
			for i, x := range keep {
				good := 0
				for _, y := range keep {
					if x != y && !apart(x, y) {
						good++
					}
				}
				dearer := worst >= 0 && (votes(keep[worst]) > votes(x) || votes(keep[worst]) == votes(x) && keep[worst] < x)
				if good < len(keep)-1 && (good < least || good == least && dearer) {
					worst, least = i, good
				}
			}
			if worst < 0 {
				break
			}
			removed = append(removed, keep[worst])
			keep = slices.Delete(keep, worst, worst+1)
		}
		slices.Sort(removed)
		out, rest = append(out, keep), removed
	}
	return out
}

func (w *whatif) votes(words []string) error {
	var changes []vote.Change
	var said []string
	for _, word := range words {
		name, number, _ := strings.Cut(word, "=")
		id, err := w.member(name)
		if err != nil {
			return err
		}
		v, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return badly("%q is no number of votes: write NODE=N", number)
		}
		changes = append(changes, vote.Change{Kind: vote.SetVotes, Node: id, Value: uint32(v)})
		said = append(said, fmt.Sprintf("%s has %d votes", w.n.name(id), v))
	}
	w.out.Question = strings.Join(said, ", ")
	w.changed(changes...)
	return nil
}

// changed answers for a change of numbers.
func (w *whatif) changed(changes ...vote.Change) {
	s, ok := w.scene.Change(changes...)
	if w.out.Allowed = ok; ok {
		w.out.Sides = append(w.out.Sides, w.side(s))
	} else if why := w.scene.Refusal(changes...); why != "" {
		w.out.Notes = append(w.out.Notes, why)
	}
}

func (w *whatif) names(ids []admin.NodeID) string {
	var words []string
	for _, id := range ids {
		words = append(words, w.n.name(id))
	}
	return strings.Join(words, ", ")
}

// side writes a side down.
func (w *whatif) side(s vote.Side) admin.WhatIfSide {
	out := admin.WhatIfSide{Members: append([]admin.NodeID{}, s.Members...), Names: []string{}, Quorate: s.Quorate, Votes: s.Votes.Total,
		Expected: s.Votes.Expected, Needed: s.Votes.Quorum, Row: s.Row.String(), Text: s.Row.Why(s.Votes),
		Fencing: s.Row.RelyOnFencing(), Groups: []admin.WhatIfGroup{}}
	for _, m := range s.Members {
		out.Names = append(out.Names, w.n.name(m))
	}
	if s.Later != nil {
		out.Later = s.Later.Row.Why(s.Later.Votes)
	}
	return out
}

// groupNodes is a process group and the nodes that have processes in it.
type groupNodes struct {
	name  string
	nodes []admin.NodeID
}

// groupNodes lists all groups, on the member's goroutine.
func (n *Node) groupNodes() (out []groupNodes) {
	n.keys.processes.Groups(func(name string, members []cpg.ViewMember) {
		g := groupNodes{}
		g.name, _ = groupName(name)
		for _, m := range members {
			if !slices.Contains(g.nodes, m.Node) {
				g.nodes = append(g.nodes, m.Node)
			}
		}
		out = append(out, g)
	})
	return out
}

// losses are the groups that would lose their last member or their majority.
func losses(groups []groupNodes, members []admin.NodeID) []admin.WhatIfGroup {
	out := []admin.WhatIfGroup{}
	for _, g := range groups {
		stay := 0
		for _, id := range g.nodes {
			if slices.Contains(members, id) {
				stay++
			}
		}
		x := admin.WhatIfGroup{Name: g.name, Nodes: len(g.nodes), Stay: stay}
		switch {
		case stay == 0:
			x.Loses = "last-member"
		case 2*stay <= len(g.nodes):
			x.Loses = "majority"
		default:
			continue
		}
		out = append(out, x)
	}
	return out
}
