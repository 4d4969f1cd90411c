package cmap

import (
	"slices"
	"strings"
)

// Kind is a set of changes, and in a tracker what it is told of; the bits are
// libcmap's.
type Kind uint8

const (
	Delete Kind = 1 << iota
	Modify
	Add
	Prefix // of a tracker: all keys that begin like that

	kinds = Delete | Modify | Add | Prefix
)

// Change is one change of a map. Kind is one of Delete, Modify and Add. Old is
// zero for an added key, New for a deleted one.
type Change struct {
	Key      string
	Kind     Kind
	Old, New Value
}

// Tracker is told of changes until it is stopped.
type Tracker struct {
	m     *Map
	key   string
	kinds Kind
	tell  func(Change)
	no    uint64
	done  bool
}

// Track has tell called for changes of a key, or with Prefix of all keys that
// begin with it. tell may change the map.
func (m *Map) Track(key string, k Kind, tell func(Change)) *Tracker {
	m.told++
	t := &Tracker{m: m, key: key, kinds: k, tell: tell, no: m.told}
	at, _ := slices.BinarySearchFunc(m.trackers, t, inOrder)
	m.trackers = slices.Insert(slices.Clone(m.trackers), at, t) // who tells now goes on with the old slice
	return t
}

// inOrder puts the longest keys first and of equal ones the newest.
func inOrder(a, b *Tracker) int {
	if d := len(b.key) - len(a.key); d != 0 {
		return d
	}
	if a.no > b.no {
		return -1
	}
	return 1
}

// Stop ends the tracker, for changes too that are not yet told.
func (t *Tracker) Stop() {
	if t.done {
		return
	}
	t.done = true
	t.m.trackers = slices.DeleteFunc(slices.Clone(t.m.trackers), func(o *Tracker) bool { return o == t })
}

func (t *Tracker) wants(c *Change) bool {
	if t.done || t.kinds&c.Kind == 0 {
		return false
	}
	return t.key == c.Key || t.kinds&Prefix != 0 && strings.HasPrefix(c.Key, t.key)
}

// tell tells a change to all who want it, behind those that are being told.
func (m *Map) tell(c Change) {
	m.changes = append(m.changes, c)
	if m.telling {
		return
	}
	m.telling = true
	for len(m.changes) > 0 {
		c := m.changes[0]
		m.changes = m.changes[1:]
		for _, t := range m.trackers {
			if t.wants(&c) {
				t.tell(c)
			}
		}
	}
	m.changes, m.telling = nil, false
}
