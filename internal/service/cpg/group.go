package cpg

import (
	"cmp"
	"slices"
	"strings"

	"github.com/moothall/moothall/internal/proto"
)

// group is one process group as this node sees it.
type group struct {
	name  string
	procs []Process // replicated; ascending by node, then pid; Reason is ReasonNone
	local []*client // connections that get its events; replaced on change, never changed
}

func compareProcess(a, b Process) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.PID, b.PID))
}

// find gives the place of a process and whether it is there.
func (g *group) find(node proto.NodeID, pid uint32) (int, bool) {
	return slices.BinarySearchFunc(g.procs, Process{Node: node, PID: pid}, compareProcess)
}

// add puts a process into the list; it reports false if it was there.
func (g *group) add(p Process) bool {
	i, found := g.find(p.Node, p.PID)
	if !found {
		p.Reason = ReasonNone
		g.procs = slices.Insert(g.procs, i, p)
	}
	return !found
}

// remove takes a process off the list; it reports false if it was not there.
func (g *group) remove(node proto.NodeID, pid uint32) bool {
	i, found := g.find(node, pid)
	if found {
		g.procs = slices.Delete(g.procs, i, i+1)
	}
	return found
}

// of lists the processes of one node, a view.
func (g *group) of(node proto.NodeID) []Process {
	from, _ := g.find(node, 0)
	to := from
	for to < len(g.procs) && g.procs[to].Node == node {
		to++
	}
	return g.procs[from:to]
}

// has reports whether the node has a process in the group.
func (g *group) has(node proto.NodeID) bool {
	i, _ := g.find(node, 0)
	return i < len(g.procs) && g.procs[i].Node == node
}

// takeOut removes the processes that a function picks and returns them, with a
// reason.
func (g *group) takeOut(reason Reason, pick func(Process) bool) (out []Process) {
	g.procs = slices.DeleteFunc(g.procs, func(p Process) bool {
		if !pick(p) {
			return false
		}
		p.Reason = reason
		out = append(out, p)
		return true
	})
	return out
}

// attach and detach change who gets the group's events. A list that is being
// walked stays what it was.
func (g *group) attach(c *client) {
	g.local = append(slices.Clone(g.local), c)
}

func (g *group) detach(c *client) {
	g.local = slices.DeleteFunc(slices.Clone(g.local), func(o *client) bool { return o == c })
}

// lookup finds a group that exists.
func (s *Service) lookup(name []byte) *group { return s.groups[string(name)] }

// intern finds a group, or makes it.
func (s *Service) intern(name []byte) *group {
	g := s.groups[string(name)]
	if g == nil {
		g = &group{name: string(name)}
		s.groups[g.name] = g
	}
	return g
}

// drop forgets a group that has nobody left.
func (s *Service) drop(g *group) {
	if len(g.procs) == 0 && len(g.local) == 0 {
		delete(s.groups, g.name)
	}
}

// sorted lists all groups by name.
func (s *Service) sorted() []*group {
	list := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *group) int { return strings.Compare(a.name, b.name) })
	return list
}
