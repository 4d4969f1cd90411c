package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/moothall/moothall/cpg"
)

// locks is the machine: by name, who holds the lock and then who waits.
type locks struct {
	self     cpg.MemberID
	majority bool
	lines    map[string][]cpg.MemberID
	mine     map[string]bool // as it was told last
	out      io.Writer
}

// report tells what became this program's, or is not any more. Without a majority
// nothing is.
func (l *locks) report() {
	mine := map[string]bool{}
	for name, line := range l.lines {
		mine[name] = l.majority && line[0] == l.self
		if mine[name] && !l.mine[name] {
			fmt.Fprintf(l.out, "%s is yours\n", name)
		}
	}
	for name := range l.mine {
		if l.mine[name] && !mine[name] {
			fmt.Fprintf(l.out, "%s is not yours any more\n", name)
		}
	}
	l.mine = mine
}

// Apply takes "lock NAME" and "unlock NAME".
func (l *locks) Apply(m cpg.Message) {
	verb, name, _ := strings.Cut(string(m.Body), " ")
	line := l.lines[name]
	switch {
	case verb == "lock" && !slices.Contains(line, m.From):
		l.lines[name] = append(line, m.From)
	case verb == "unlock":
		l.remove(m.From, name)
	}
	l.report()
}

func (l *locks) remove(id cpg.MemberID, name string) {
	l.lines[name] = slices.DeleteFunc(l.lines[name], func(m cpg.MemberID) bool { return m == id })
	if len(l.lines[name]) == 0 {
		delete(l.lines, name)
	}
}

// SetView frees what those held who went.
func (l *locks) SetView(v cpg.View) {
	l.majority = v.Majority
	for _, gone := range v.Left {
		for name := range l.lines {
			l.remove(gone.ID, name)
		}
	}
	l.report()
}

// Snapshot gives all lines.
func (l *locks) Snapshot() (io.ReadCloser, error) { return cpg.JSON(l.lines) }

// Restore takes those of the others; this program's own may be lost.
func (l *locks) Restore(r io.Reader) error {
	l.lines = map[string][]cpg.MemberID{}
	err := cpg.FromJSON(r, &l.lines)
	l.report()
	return err
}
