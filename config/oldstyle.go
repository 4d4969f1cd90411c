package config

import "fmt"

// This file reads what came before the nodelist.

// membersAsNodes makes a nodelist of the member sections of a file that has
// none: the first members of all interfaces are one node, and so on. Their ids
// come from the addresses, as Corosync 2 made them.
func (w *walker) membersAsNodes() {
	if len(w.c.Nodes) > 0 {
		return
	}
	if _, ok := w.c.where["nodelist."]; ok {
		return
	}
	count, first := 0, -1
	for link, members := range w.members {
		if count = max(count, len(members)); len(members) > 0 && first < 0 {
			first = link
		}
	}
	if count == 0 {
		return
	}
	at := w.members[first][0].pos
	if count > MaxNodes {
		w.problems.errorf(at, "split the cluster", "more than %d nodes", MaxNodes)
		return
	}
	for i := range count {
		n := Node{Votes: w.quorum.votes}
		w.c.where[fmt.Sprintf("nodelist.node.%d.", i)] = at
		for link, members := range w.members {
			if i < len(members) {
				set := members[i]
				set.key = fmt.Sprintf("ring%d_addr", link)
				w.keep(fmt.Sprintf("nodelist.node.%d.%s", i, set.key), Str, set)
				w.address(&n, link, set)
			}
		}
		if n.Votes != 1 {
			w.keep(fmt.Sprintf("nodelist.node.%d.quorum_votes", i), U32, setting{key: "quorum_votes", value: fmt.Sprint(n.Votes), pos: at, valuePos: at})
		}
		w.c.Nodes = append(w.c.Nodes, n)
	}
	w.problems.add(Warning, at, fmt.Sprintf("the %d member addresses are taken as the nodelist, with ids made of them", count),
		"moot migrate writes that list; it can have names and other ids")
}
