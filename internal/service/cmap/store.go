package cmap

import (
	"cmp"
	"slices"
	"strings"
)

// What clients cannot go beyond.
const (
	MaxKeys  = 1 << 15
	MaxBytes = 16 << 20

	minKey, MaxKey = 3, 255 // characters of a key
)

// Map is an ordered set of keys with their values. The zero Map is empty.
type Map struct {
	entries   []*entry // ascending by key
	bytes     int      // of keys and values
	trackers  []*Tracker
	told      uint64   // trackers ever made
	changes   []Change // not yet told
	telling   bool
	providers []provider
}

type entry struct {
	key   string
	value Value
}

func (e *entry) size() int { return len(e.key) + len(e.value.Data) }

// find is where a key stands, or would.
func (m *Map) find(key string) (i int, found bool) {
	return slices.BinarySearchFunc(m.entries, key, func(e *entry, key string) int { return cmp.Compare(e.key, key) })
}

// Get returns the value of a key.
func (m *Map) Get(key string) (v Value, found bool) {
	i, found := m.find(key)
	if !found {
		return Value{}, false
	}
	return m.entries[i].value, true
}

// Set stores a value, of whatever type the key had before. An equal value is no
// change. The caller answers for a valid key and value.
func (m *Map) Set(key string, v Value) {
	i, found := m.find(key)
	if !found {
		e := &entry{strings.Clone(key), v}
		m.entries = slices.Insert(m.entries, i, e)
		m.bytes += e.size()
		m.tell(Change{Key: e.key, Kind: Add, New: v})
		return
	}
	e := m.entries[i]
	if e.value == v {
		return
	}
	old := e.value
	e.value = v
	m.bytes += len(v.Data) - len(old.Data)
	m.tell(Change{Key: e.key, Kind: Modify, Old: old, New: v})
}

// Delete removes a key, if it is there.
func (m *Map) Delete(key string) (found bool) {
	i, found := m.find(key)
	if !found {
		return false
	}
	e := m.entries[i]
	m.entries = slices.Delete(m.entries, i, i+1)
	m.bytes -= e.size()
	m.tell(Change{Key: e.key, Kind: Delete, Old: e.value})
	return true
}

// Next returns the first key behind another one that begins with prefix. With
// an empty key it is the first of all of them.
func (m *Map) Next(prefix, after string) (key string, v Value, found bool) {
	from := max(prefix, after)
	i, exact := m.find(from)
	if exact && from == after {
		i++
	}
	if i == len(m.entries) || !strings.HasPrefix(m.entries[i].key, prefix) {
		return "", Value{}, false
	}
	return m.entries[i].key, m.entries[i].value, true
}

// Len is the number of keys.
func (m *Map) Len() int { return len(m.entries) }

// room reports whether a client may store this.
func (m *Map) room(key string, v Value) bool {
	old, found := m.Get(key)
	if found {
		return len(v.Data) <= len(old.Data) || m.bytes+len(v.Data)-len(old.Data) <= MaxBytes
	}
	return len(m.entries) < MaxKeys && m.bytes+len(key)+len(v.Data) <= MaxBytes
}

// validKey reports whether a client may create such a key.
func validKey(key string) bool {
	if len(key) < minKey || len(key) > MaxKey {
		return false
	}
	for i := range len(key) {
		c := key[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-', c == '/', c == ':':
		default:
			return false
		}
	}
	return true
}

// provider fills the keys below some prefixes.
type provider struct {
	prefixes []string
	fill     func(put func(key string, v Value))
}

// Provide has fill asked for all keys that begin with one of the prefixes,
// whenever somebody is about to look at the map. What it does not put is not
// there any more.
func (m *Map) Provide(fill func(put func(key string, v Value)), prefixes ...string) {
	m.providers = append(m.providers, provider{prefixes, fill})
}

// Refresh asks the providers.
func (m *Map) Refresh() {
	for _, p := range m.providers {
		m.ask(p)
	}
}

// Renew asks the provider of a prefix if somebody tracks the map: who looks
// would ask by himself.
func (m *Map) Renew(prefix string) {
	for _, p := range m.providers {
		if len(m.trackers) > 0 && slices.Contains(p.prefixes, prefix) {
			m.ask(p)
		}
	}
}

func (m *Map) ask(p provider) {
	present := map[string]bool{}
	p.fill(func(key string, v Value) {
		present[key] = true
		m.Set(key, v)
	})
	for _, prefix := range p.prefixes {
		for key, _, ok := m.Next(prefix, ""); ok; key, _, ok = m.Next(prefix, key) {
			if !present[key] {
				m.Delete(key)
			}
		}
	}
}
