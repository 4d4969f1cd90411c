package config

import (
	"errors"
	"fmt"
	"strings"
)

// Pos is a place in a file; Line and Col count from 1, zero is the whole file.
type Pos struct {
	File string
	Line int
	Col  int
}

// String prints file:line:col, as editors and compilers do.
func (p Pos) String() string {
	switch {
	case p.Line != 0:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
	case p.File != "":
		return p.File
	}
	return "configuration"
}

// Severity says what a problem means for the start.
type Severity uint8

// Severities of a Problem.
const (
	Note    Severity = iota // taken, without effect here
	Warning                 // starts, but hardly as intended
	Error                   // does not start
)

// String is the word that is printed before the text.
func (s Severity) String() string { return [...]string{"note", "warning", "error"}[s] }

// Problem is one thing that is wrong with a configuration. It is an error value.
type Problem struct {
	Pos
	Severity Severity
	Unknown  bool   // of an unknown name: Strict makes an error of it
	Suspect  bool   // of a value that starts, but so unlike what it says that Strict makes an error of it
	Logging  bool   // in the logging section, for which Corosync has an exit status of its own
	What     string // what is wrong
	Fix      string // what to write instead; may be empty
}

// Error prints the place, what is wrong and what to write.
func (p *Problem) Error() string {
	return fmt.Sprintf("%v: %s", p.Pos, p.text())
}

func (p *Problem) text() string {
	if p.Fix == "" {
		return p.What
	}
	return p.What + "; " + p.Fix
}

// Problems are all that was found, in the order of the file as far as possible.
type Problems []*Problem

// maxProblems bounds a report for each severity: who wrote fifty errors reads
// the first ones, and no number of notes hides one.
const maxProblems = 50

// Err joins the errors among the problems; nil if there is none.
func (ps Problems) Err() error {
	var errs []error
	for _, p := range ps {
		if p.Severity == Error {
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}

// Strict returns the problems with unknown names and suspect values as errors.
func (ps Problems) Strict() Problems {
	return ps.asErrors(func(p *Problem) bool { return p.Unknown || p.Suspect })
}

// asErrors returns the problems with those that are chosen as errors.
func (ps Problems) asErrors(chosen func(*Problem) bool) Problems {
	var out Problems
	for _, p := range ps {
		if chosen(p) {
			q := *p
			q.Severity = Error
			p = &q
		}
		out = append(out, p)
	}
	return out
}

// String prints one line a problem, with its severity, in the form that editors
// know from compilers.
func (ps Problems) String() string {
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintf(&b, "%v: %v: %s\n", p.Pos, p.Severity, p.text())
	}
	return b.String()
}

func (ps *Problems) add(s Severity, at Pos, what, fix string) *Problem {
	p := &Problem{Pos: at, Severity: s, What: what, Fix: fix}
	same := 0
	for _, other := range *ps {
		if other.Severity == s {
			same++
		}
	}
	if same < maxProblems {
		*ps = append(*ps, p)
	}
	return p
}

func (ps *Problems) errorf(at Pos, fix, format string, args ...any) {
	ps.add(Error, at, fmt.Sprintf(format, args...), fix)
}

// ProblemsOf takes apart what Err and Resolve joined; an error of another kind
// becomes one Problem without a place.
func ProblemsOf(err error) Problems {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out Problems
		for _, e := range many.Unwrap() {
			out = append(out, ProblemsOf(e)...)
		}
		return out
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return Problems{p}
	}
	return Problems{{Severity: Error, What: err.Error()}}
}
