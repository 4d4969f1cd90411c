package groups

import (
	"slices"

	"github.com/moothall/moothall/internal/bug"
)

// provides reports whether the group has a provider on a node.
func (d *domain) provides(name string, node int16) bool {
	g := d.live(name)
	return g != nil && slices.ContainsFunc(g.members, func(m member) bool { return m.Node == node })
}

// cycle reports whether a group with that source would be a source of itself.
func (d *domain) cycle(name, source string) bool {
	for range MaxGroups {
		if source == name {
			return true
		}
		g := d.live(source)
		if g == nil {
			return false
		}
		source = g.attrs.Source
	}
	return source != ""
}

// targets are the groups whose source is g.
func (d *domain) targets(g *group) (list []*group) {
	for _, t := range d.groups {
		if t.alive && t.attrs.Source == g.name {
			list = append(list, t)
		}
	}
	return list
}

// waitsForSource reports whether the source group has still to complete its
// protocol for a failure of these members (group services 11, rule 3).
func (d *domain) waitsForSource(g *group, failed []member) bool {
	s := d.live(g.attrs.Source)
	if bug.Planted("groups-target-first") {
		return false
	}
	return s != nil && slices.ContainsFunc(s.members, func(m member) bool {
		return m.failed != 0 && slices.ContainsFunc(failed, func(f member) bool { return f.event == m.event })
	})
}

// follow tells the targets of a group about a protocol that ended: who lost the
// last source provider of its node is cast out, a new state value is reflected.
func (d *domain) follow(g *group, before []member, stated bool) {
	for _, t := range d.targets(g) {
		for i := range t.members {
			m := &t.members[i]
			had := slices.ContainsFunc(before, func(o member) bool { return o.Node == m.Node })
			if had && !d.provides(g.name, m.Node) {
				m.castOut = !bug.Planted("groups-source-lost-unnoticed")
			}
		}
		if stated && (t.reflect == nil || !bug.Planted("groups-first-reflected")) {
			t.reflect = notNil(g.state)
		}
		d.wake(t)
	}
}
