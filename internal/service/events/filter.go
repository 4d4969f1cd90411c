package events

import (
	"bytes"

	"github.com/moothall/moothall/internal/bug"
)

// matches reports whether every filter likes the pattern at its place. Patterns
// beyond the filters do not count, missing ones count as empty, and without
// filters everything matches (openais-executive 7.4).
func matches(filters []Filter, patterns [][]byte) bool {
	for i, f := range filters {
		var p []byte
		if i < len(patterns) {
			p = patterns[i]
		} else if bug.Planted("events-surplus-filters") {
			return true
		}
		if !f.likes(p) {
			return false
		}
	}
	return true
}

// likes compares bytes, not strings.
func (f *Filter) likes(p []byte) bool {
	switch f.Type {
	case Prefix:
		return bytes.HasPrefix(p, f.Pattern)
	case Suffix:
		return bytes.HasSuffix(p, f.Pattern)
	case Exact:
		return bytes.Equal(p, f.Pattern)
	}
	return true
}
