package config

import (
	"bytes"
	"fmt"
	"strings"
)

// Bounds of a file (corosync-ipc 4.2).
const (
	MaxFile  = 1 << 20
	maxLine  = 510
	maxDepth = 16
	maxName  = 254 // of a dotted key
)

// A section is what stands between two braces; the file itself is one.
type section struct {
	name     string
	pos      Pos
	settings []setting
	subs     []*section
}

// A setting is one line "key: value".
type setting struct {
	key, value string
	pos        Pos // of the key
	valuePos   Pos
}

// parser reads the line based syntax. It stops at the first error: what comes
// after a stray brace would only be reported wrongly.
type parser struct {
	file string
	open []*section // the file first, the innermost last
}

func parse(file string, data []byte) (*section, *Problem) {
	p := parser{file: file, open: []*section{{pos: Pos{File: file}}}}
	if len(data) > MaxFile {
		return nil, p.problem(0, 0, fmt.Sprintf("%d bytes, at most %d are read", len(data), MaxFile), "is this the right file?")
	}
	no := 0
	for raw := range bytes.Lines(data) {
		no++
		if err := p.line(no, string(raw)); err != nil {
			return nil, err
		}
	}
	if s := p.top(); len(p.open) > 1 {
		return nil, &Problem{Pos: s.pos, Severity: Error, What: fmt.Sprintf("section %s is not closed", s.name), Fix: `write a line with "}" at its end`}
	}
	return p.open[0], nil
}

func (p *parser) top() *section { return p.open[len(p.open)-1] }

func (p *parser) problem(line, col int, what, fix string) *Problem {
	return &Problem{Pos: Pos{p.file, line, col}, Severity: Error, What: what, Fix: fix}
}

const blanks = " \t"

func (p *parser) line(no int, raw string) *Problem {
	raw = strings.TrimSuffix(strings.TrimSuffix(raw, "\n"), "\r")
	if len(raw) > maxLine {
		return p.problem(no, maxLine+1, fmt.Sprintf("line of %d characters, at most %d are allowed", len(raw), maxLine), "shorten the value")
	}
	text := strings.Trim(raw, blanks)
	col := 1 + len(raw) - len(strings.TrimLeft(raw, blanks))
	if text == "" || text[0] == '#' {
		return nil
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return p.problem(no, col+i, "a NUL byte", "this is not a text file")
	}
	if name, rest, ok := strings.Cut(text, "{"); ok {
		return p.openSection(no, col, strings.TrimRight(name, blanks), rest)
	}
	if key, value, ok := strings.Cut(text, ":"); ok {
		return p.setting(no, col, key, value)
	}
	if strings.Contains(text, "}") {
		return p.closeSection(no, col, text)
	}
	return p.problem(no, col, fmt.Sprintf("%q is neither a section, a setting nor a closing brace", text),
		`write "name {", "key: value" or "}" on a line of its own`)
}

func (p *parser) openSection(no, col int, name, rest string) *Problem {
	switch {
	case name == "":
		return p.problem(no, col, "a section without a name", `write "name {"`)
	case strings.Trim(rest, blanks) != "":
		return p.problem(no, col, fmt.Sprintf("text after the opening brace of %s", name), "put what is inside the section on lines of their own")
	case len(p.open) > maxDepth:
		return p.problem(no, col, fmt.Sprintf("section %s is nested more than %d deep", name, maxDepth), "is a closing brace missing above?")
	}
	s := &section{name: name, pos: Pos{p.file, no, col}}
	p.top().subs = append(p.top().subs, s)
	p.open = append(p.open, s)
	return nil
}

func (p *parser) closeSection(no, col int, text string) *Problem {
	if text != "}" {
		return p.problem(no, col, "text around a closing brace", `write "}" on a line of its own`)
	}
	if len(p.open) == 1 {
		return p.problem(no, col, "a closing brace without a section", "remove it, or look for the opening brace that is missing above")
	}
	p.open = p.open[:len(p.open)-1]
	return nil
}

func (p *parser) setting(no, col int, key, value string) *Problem {
	trimmed := strings.Trim(value, blanks)
	valueCol := col + len(key) + 1 + len(value) - len(strings.TrimLeft(value, blanks))
	key = strings.TrimRight(key, blanks)
	if key == "" {
		return p.problem(no, col, "a value without a key", `write "key: value"`)
	}
	p.top().settings = append(p.top().settings, setting{
		key: key, value: trimmed, pos: Pos{p.file, no, col}, valuePos: Pos{p.file, no, valueCol}})
	return nil
}
