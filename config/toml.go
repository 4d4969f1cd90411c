package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// This file reads moot.toml: the same sections and keys as corosync.conf, with
// typed values. It is turned into the sections that a corosync.conf would have,
// so that both are understood and checked by the same code.
//
//	[totem]                      text is "quoted", numbers and true/false are not,
//	cluster_name = "hall"        durations are "650ms", "3s" or a number of ms
//	[[nodelist.node]]            what may be there repeatedly has double brackets
//	[keys]                       keys for programs, by their full cmap name
//
// totem.version may be left out. Unknown keys are errors; a key that only
// programs read goes to [keys] or to a section with free names.

// Bounds of a moot.toml besides MaxFile. What is short in corosync.conf may be
// longer here by escapes.
const (
	maxTomlLine  = 8 * maxLine
	maxTomlDepth = 8  // of brackets in a value
	maxTomlDots  = 32 // in a key or header
)

const tomlFix = `a line is [section], [[section]], key = "text", key = 5 or key = true`

// parseTOML reads the sections of a moot.toml.
func parseTOML(file string, data []byte) (*section, Problems) {
	exprs, problem := expressions(file, data)
	if problem != nil {
		return nil, Problems{problem}
	}
	if err := toml.Unmarshal(data, new(map[string]any)); err != nil {
		return nil, Problems{tomlProblem(file, Pos{File: file, Line: 1, Col: 1}, err)}
	}
	t := tomlTree{root: &section{pos: Pos{File: file}}}
	t.here = t.root
	for _, e := range exprs {
		t.expression(e)
	}
	t.version()
	return t.root, t.problems
}

// tomlProblem is a problem of the syntax.
func tomlProblem(file string, at Pos, err error) *Problem {
	p := &Problem{Pos: at, Severity: Error, What: err.Error(), Fix: tomlFix}
	if e, ok := err.(toml.ParseError); ok {
		p.What = e.Message
		p.Pos = Pos{File: file, Line: e.Position.Line, Col: max(e.Position.Col, 1)}
	}
	p.What = strings.TrimSuffix(strings.TrimPrefix(p.What, "toml: "), ".")
	return p
}

// An expression is one header or one key with its value.
type expression struct {
	text  string
	pos   Pos
	value Pos
}

// expressions cuts a file at the line ends that are outside of strings and
// brackets, so that each piece has a place. It also holds the bounds that keep
// the parser's work small.
func expressions(file string, data []byte) ([]expression, *Problem) {
	if len(data) > MaxFile {
		return nil, &Problem{Pos: Pos{File: file}, Severity: Error, What: fmt.Sprintf("%d bytes, at most %d are read", len(data), MaxFile), Fix: "is this the right file?"}
	}
	s := splitter{file: file, text: string(data), line: 1}
	for s.at < len(s.text) {
		if problem := s.step(); problem != nil {
			return nil, problem
		}
	}
	s.end()
	return s.out, nil
}

// splitter is the state of expressions. An expression is open while start is
// not negative.
type splitter struct {
	file string
	text string
	at   int
	line int // the number of the line
	head int // where the line starts

	open   bool
	cur    expression
	start  int
	depth  int
	dots   int
	equals bool // the key is over

	out []expression
}

func (s *splitter) pos(at int) Pos { return Pos{s.file, s.line, at - s.head + 1} }

func (s *splitter) fail(what, fix string) *Problem {
	return &Problem{Pos: s.pos(s.at), Severity: Error, What: what, Fix: fix}
}

// step goes over one character, comment or string.
func (s *splitter) step() *Problem {
	c := s.text[s.at]
	if s.at-s.head > maxTomlLine {
		return s.fail(fmt.Sprintf("a line of more than %d characters", maxTomlLine), "shorten the value")
	}
	switch {
	case c == '\n':
		if s.depth == 0 {
			s.end()
		}
		s.at++
		s.line, s.head = s.line+1, s.at
		return nil
	case c == ' ' || c == '\t' || c == '\r':
		s.at++
		return nil
	case c == '#':
		if i := strings.IndexByte(s.text[s.at:], '\n'); i >= 0 {
			s.at += i
		} else {
			s.at = len(s.text)
		}
		return nil
	}
	s.begin()
	switch c {
	case '"', '\'':
		return s.quoted(c)
	case '=':
		s.equals = true
	case '.':
		if s.dots++; !s.equals && s.dots > maxTomlDots {
			return s.fail("a key of too many parts", "write the section in a line [section] of its own")
		}
	case '[', '{':
		if s.depth++; s.depth > maxTomlDepth {
			return s.fail(fmt.Sprintf("brackets nested more than %d deep", maxTomlDepth), "write sections as [section]")
		}
	case ']', '}':
		s.depth = max(s.depth-1, 0)
	}
	s.at++
	return nil
}

// begin opens an expression, and finds the place of its value.
func (s *splitter) begin() {
	if !s.open {
		s.open, s.start, s.depth, s.dots, s.equals = true, s.at, 0, 0, false
		s.cur = expression{pos: s.pos(s.at)}
	}
	if s.equals && s.cur.value.Line == 0 {
		s.cur.value = s.pos(s.at)
	}
}

func (s *splitter) end() {
	if s.open {
		s.cur.text = s.text[s.start:s.at]
		s.out = append(s.out, s.cur)
	}
	s.open, s.depth = false, 0
}

// quoted goes over a string: of one line, or of several with three quotes.
func (s *splitter) quoted(q byte) *Problem {
	triple := strings.Repeat(string(q), 3)
	if !strings.HasPrefix(s.text[s.at:], triple) {
		for s.at++; s.at < len(s.text) && s.text[s.at] != '\n'; s.at++ {
			switch {
			case s.text[s.at] == '\\' && q == '"' && s.at+1 < len(s.text) && s.text[s.at+1] != '\n':
				s.at++
			case s.text[s.at] == q:
				s.at++
				return nil
			}
		}
		return nil // not closed: the parser says so
	}
	return s.fail("text of several lines", `write it in one line, with \n where a line ends`)
}

// tomlTree turns expressions into sections.
type tomlTree struct {
	root, here *section
	path       []string // of here
	problems   Problems
}

func (t *tomlTree) expression(e expression) {
	tables := map[string]any{}
	meta, err := toml.Decode(e.text, &tables)
	keys := meta.Keys()
	if err != nil || len(keys) == 0 {
		t.problems.errorf(e.pos, tomlFix, "this line makes no sense")
		return
	}
	key := keys[0]
	if strings.HasPrefix(e.text, "[") {
		t.here, t.path = t.root, nil
		t.enter(key[:len(key)-1], e.pos)
		t.open(key[len(key)-1], e.pos, strings.HasPrefix(e.text, "[["))
		return
	}
	here, path := t.here, t.path
	t.enter(key[:len(key)-1], e.pos)
	var value any = tables
	for _, part := range key {
		value = value.(map[string]any)[part]
	}
	t.setting(key[len(key)-1], value, e)
	t.here, t.path = here, path
}

// enter goes to a section below here; the last one of its name counts.
func (t *tomlTree) enter(path []string, at Pos) {
	for _, name := range path {
		t.open(name, at, false)
	}
}

func (t *tomlTree) open(name string, at Pos, another bool) {
	i := -1
	if !another {
		for j, s := range t.here.subs {
			if s.name == name {
				i = j
			}
		}
	}
	if i < 0 {
		i = len(t.here.subs)
		t.here.subs = append(t.here.subs, &section{name: name, pos: at})
	}
	t.here = t.here.subs[i]
	t.path = append(slices.Clone(t.path), name)
}

// setting writes a value as corosync.conf would have it.
func (t *tomlTree) setting(key string, value any, e expression) {
	path := strings.Join(t.path, ".")
	list, isList := value.([]any)
	if !isList || path != "uidgid" && (path != "service" || key != "command") {
		list = []any{value}
	}
	for _, v := range list {
		text, fix := tomlText(path, key, v)
		if fix != "" {
			t.problems.errorf(e.value, fix, "%s.%s is %s", path, key, tomlWord(v))
			continue
		}
		t.here.settings = append(t.here.settings, setting{key: key, value: text, pos: e.pos, valuePos: e.value})
	}
}

// tomlText is the text of a value in corosync.conf; else fix says what to write.
func tomlText(path, key string, v any) (text, fix string) {
	k, known := asText, false
	if place, ok := places[path]; ok {
		_, k, _, known = place.find(key)
	}
	switch k {
	case asNumber:
		n, ok := v.(int64)
		return strconv.FormatInt(n, 10), unless(ok, "write a number without quotes")
	case asMillis:
		return tomlMillis(v)
	case asFlag, asYesNo, asOnOff:
		on, ok := v.(bool)
		return words[k][on], unless(ok, "write true or false")
	}
	if !known && !hasFreeNames(path) {
		return fmt.Sprint(v), "" // an error of its own
	}
	switch v := v.(type) {
	case string:
		return v, unless(!strings.ContainsAny(v, "\n\r\x00"), "write it in one line")
	case int64:
		return strconv.FormatInt(v, 10), unless(!known, "write it in quotes")
	}
	return "", `write text in quotes`
}

// hasFreeNames reports whether keys that are not known may stand in a section.
func hasFreeNames(path string) bool {
	top, _, _ := strings.Cut(path, ".")
	return slices.Contains([]string{"keys", "resources", "nozzle"}, top) || path == "nodelist.node" || strings.HasPrefix(path, "quorum.device.")
}

// words are what true and false are in corosync.conf.
var words = map[kind]map[bool]string{
	asFlag:  {true: "1", false: "0"},
	asYesNo: {true: "yes", false: "no"},
	asOnOff: {true: "on", false: "off"},
}

func unless(ok bool, fix string) string {
	if ok {
		return ""
	}
	return fix
}

func tomlMillis(v any) (text, fix string) {
	const units = `write a duration with its unit, as "650ms" or "3s", or a number of milliseconds`
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10), ""
	case string:
		d, err := time.ParseDuration(v)
		if err != nil {
			return "", units
		}
		return strconv.FormatInt(d.Milliseconds(), 10), unless(d%time.Millisecond == 0, "write whole milliseconds")
	}
	return "", units
}

// tomlWord names a value of the wrong type.
func tomlWord(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case map[string]any:
		return "a table"
	case []any:
		return "a list"
	}
	return fmt.Sprint(v)
}

// version writes totem.version where it is left out.
func (t *tomlTree) version() {
	t.here, t.path = t.root, nil
	t.open("totem", Pos{File: t.root.pos.File}, false)
	if !slices.ContainsFunc(t.here.settings, func(s setting) bool { return s.key == "version" }) {
		at := Pos{File: t.root.pos.File}
		t.here.settings = append(t.here.settings, setting{key: "version", value: "2", pos: at, valuePos: at})
	}
}

// programKeys keeps the keys of the section [keys] of a moot.toml.
func (w *walker) programKeys(s *section) {
	for _, set := range s.settings {
		path, key := cutLast(set.key)
		if place, ok := places[generic(path)]; ok {
			if _, _, _, known := place.find(key); known {
				w.problems.errorf(set.pos, fmt.Sprintf("write it in the section %s", generic(path)), "%s among the keys for programs", set.key)
				continue
			}
		}
		w.keep(set.key, freeType(path, key), set)
	}
	for _, sub := range s.subs {
		w.problems.errorf(sub.pos, `write the whole name in quotes: "section.key" = "text"`, "a section below keys")
	}
}

var settingInWords = regexp.MustCompile(`\b([a-z0-9_]+): ([A-Za-z0-9_/]+)`)

// fixInTOML writes the settings in a remedy as moot.toml has them.
func fixInTOML(fix string) string {
	return settingInWords.ReplaceAllStringFunc(fix, func(text string) string {
		key, value, _ := strings.Cut(text, ": ")
		if _, isAddr := ringAddr(key); isAddr {
			return fmt.Sprintf("%s = %q", key, value)
		}
		for _, place := range slices.Sorted(maps.Keys(places)) {
			if _, k, _, known := places[place].find(key); known {
				return key + " = " + tomlValue(k, value)
			}
		}
		return text
	})
}

// tomlQuote writes a string of UTF-8 as TOML does.
func tomlQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// tomlKey writes a key, in quotes where it has to.
func tomlKey(key string) string {
	bare := key != ""
	for _, c := range []byte(key) {
		bare = bare && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
	}
	if bare {
		return key
	}
	return tomlQuote(key)
}
