package cpg

import (
	"cmp"
	"slices"
	"strings"

	"github.com/moothall/moothall/internal/proto"
)

// group is one process group as this node sees it.
type group struct {
	name      string
	procs     []entry     // replicated; ascending by process; Reason is ReasonNone
	transfers []*transfer // replicated; in the order in which they began
	begun     uint64      // transfers in this ring
	certain   bool        // the state in this ring is the newest one
	majority  bool        // as programs here were shown last
	local     []*client   // libcpg connections that get its events; replaced on change, never changed
	programs  []*client   // those of our own programs, likewise
}

// entry is a process of a group with what it said about itself.
type entry struct {
	Process
	meta     []byte // not changed once it is here
	rank     uint64
	stateful bool
	has      bool // it has the group's state, of this ring
	waited   bool // it was promised a state and did not get it; known at its own node

	// What it knows of states that were certain, see certain.go.
	firm  bool
	epoch uint64 // number of the last ring in which its state was certain
}

func compareProcess(a, b Process) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Instance, b.Instance))
}

func compareEntry(a, b entry) int { return compareProcess(a.Process, b.Process) }

// find gives the place of a process and whether it is there.
func (g *group) find(p Process) (int, bool) {
	return slices.BinarySearchFunc(g.procs, p, func(e entry, p Process) int { return compareProcess(e.Process, p) })
}

// member finds a process; nil: it is not in the group.
func (g *group) member(p Process) *entry {
	if i, found := g.find(p); found {
		return &g.procs[i]
	}
	return nil
}

// add puts a process into the list; it reports false if it was there.
func (g *group) add(e entry) bool {
	i, found := g.find(e.Process)
	if !found {
		e.Reason = ReasonNone
		g.procs = slices.Insert(g.procs, i, e)
	}
	return !found
}

// remove takes a process off the list; it reports false if it was not there.
func (g *group) remove(p Process) bool {
	i, found := g.find(p)
	if found {
		g.procs = slices.Delete(g.procs, i, i+1)
	}
	return found
}

// of lists the processes of one node, a view.
func (g *group) of(node proto.NodeID) []entry {
	from, _ := g.find(Process{Node: node})
	to := from
	for to < len(g.procs) && g.procs[to].Node == node {
		to++
	}
	return g.procs[from:to]
}

// has reports whether the node has a process in the group.
func (g *group) has(node proto.NodeID) bool {
	i, _ := g.find(Process{Node: node})
	return i < len(g.procs) && g.procs[i].Node == node
}

// takeOut removes the processes that a function picks and returns them, with a
// reason.
func (g *group) takeOut(reason Reason, pick func(Process) bool) (out []Process) {
	g.procs = slices.DeleteFunc(g.procs, func(e entry) bool {
		if !pick(e.Process) {
			return false
		}
		e.Reason = reason
		out = append(out, e.Process)
		return true
	})
	return out
}

// listed is the list as libcpg knows processes, without instances.
func (g *group) listed() []Process {
	list := make([]Process, 0, len(g.procs))
	for _, e := range g.procs {
		list = append(list, e.Process)
	}
	return withoutInstances(list)
}

// withoutInstances names each process of an ascending list once.
func withoutInstances(list []Process) []Process {
	for i := range list {
		list[i].Instance = 0
	}
	return slices.Compact(list)
}

// instances counts the members that a process has in the group.
func (g *group) instances(p Process) int {
	n := 0
	for _, e := range g.of(p.Node) {
		if e.PID == p.PID {
			n++
		}
	}
	return n
}

// came counts the members of a process in a list.
func came(list []Process, p Process) int {
	n := 0
	for _, o := range list {
		if o.Node == p.Node && o.PID == p.PID {
			n++
		}
	}
	return n
}

// stateful reports whether the group has a state.
func (g *group) stateful() bool {
	return slices.ContainsFunc(g.procs, func(e entry) bool { return e.stateful })
}

// watched reports whether anybody here wants to know what happens in the group.
func (g *group) watched() bool { return len(g.local)+len(g.programs) > 0 }

// watchers is the list that a connection belongs to.
func (g *group) watchers(c *client) *[]*client {
	if c.instance != 0 {
		return &g.programs
	}
	return &g.local
}

// attach and detach change who gets the group's events. A list that is being
// walked stays what it was.
func (g *group) attach(c *client) {
	list := g.watchers(c)
	*list = append(slices.Clone(*list), c)
}

func (g *group) detach(c *client) {
	list := g.watchers(c)
	*list = slices.DeleteFunc(slices.Clone(*list), func(o *client) bool { return o == c })
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
	if len(g.procs) == 0 && !g.watched() {
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
