package dashboard

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/moothall/moothall/admin"
)

// documents are the names of variables that hold documents, or parts of them.
var documents = map[string]reflect.Type{
	"status": of[admin.Status](), "quorum": of[admin.Quorum](), "sync": of[admin.Sync](), "ring": of[admin.Ring](),
	"member": of[admin.Member](), "missing": of[[]admin.Member](), "link": of[admin.Link](),
	"keptOut": of[admin.KeptOut](), "service": of[admin.Service](), "life": of[admin.ServiceProcess](), "queue": of[admin.Queue](), "decision": of[admin.Decision](),
	"why": of[admin.Why](), "part": of[admin.WhyNode](), "evidence": of[admin.WhyEvidence](),
	"groups": of[admin.Groups](), "group": of[admin.Group](), "process": of[admin.Process](),
	"gs": of[admin.GroupServices](), "program": of[admin.GroupServicesClient](),
	"gsGroup": of[admin.VotingGroup](), "theirs": of[[]admin.VotingGroup](), "own": of[[]admin.VotingGroup](), "working": of[[]admin.VotingGroup](),
	"provider": of[admin.VotingProvider](), "providers": of[[]admin.VotingProvider](),
	"protocol": of[admin.VotingProtocol](), "vote": of[admin.VotingVote](), "awaited": of[[]admin.VotingVote](), "outcome": of[admin.VotingOutcome](),
	"topics": of[admin.Topics](), "topic": of[admin.Topic](), "subscriber": of[admin.TopicSubscriber](), "slow": of[[]admin.TopicSubscriber](), "end": of[admin.TopicEnd](),
	"event": of[admin.Event](), "failure": of[admin.Failure](),
}

// routes are the documents that the script may ask for.
var routes = map[string]reflect.Type{
	"/v1/status": of[admin.Status](), "/v1/why": of[admin.Why](), "/v1/groups": of[admin.Groups](), "/v1/groupservices": of[admin.GroupServices](),
	"/v1/topics": of[admin.Topics](),
}

// given are functions that take what came from the agent as it came.
var given = []string{"happened", "failureText"}

// browser are the properties that are not fields of documents.
var browser = strings.Fields(`abs max round floor padStart charCodeAt includes startsWith endsWith toFixed toString join repeat
	map filter flat slice reverse forEach length from keys get set add clear has size
	getElementById createElement querySelectorAll childNodes nodeName nodeType TEXT_NODE data textContent className classList toggle body hidden title
	append remove replaceWith isEqualNode getAttribute setAttribute hasAttribute removeAttribute getAttributeNames
	getContext fillStyle fillRect arc fill toDataURL
	now parse toISOString toLocaleString toLocaleTimeString decode ok json timeout
	onopen onerror addEventListener close lastEventId`)

func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

func plain(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// isDocument reports whether t has fields that documents have, or entries that do.
func isDocument(t reflect.Type) bool {
	if t != nil && t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t != nil && t.Kind() == reflect.Struct && t.Name() != "Time"
}

func field(t reflect.Type, name string) (reflect.Type, bool) {
	for f := range t.Fields() {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return plain(f.Type), true
		}
	}
	return nil, false
}

// lexeme is a word, a literal ("" before its text) or a sign of the script.
type lexeme struct {
	text string
	line int
}

func (t lexeme) word() bool {
	return t.text != "" && (unicode.IsLetter(rune(t.text[0])) || t.text[0] == '_')
}

// scan makes tokens of a script. What is in ${} becomes tokens in parentheses. It
// knows no regular expressions.
func scan(src string) []lexeme {
	s := scanner{src: src, line: 1}
	s.until("")
	return s.out
}

type scanner struct {
	src  string
	i    int
	line int
	out  []lexeme
}

func (s *scanner) emit(text string) { s.out = append(s.out, lexeme{text, s.line}) }

// until reads up to a closing brace of a template, or to the end.
func (s *scanner) until(end string) {
	signs := []string{"...", "===", "!==", "=>", "?.", "??", "&&", "||", ">=", "<="}
	for depth := 0; s.i < len(s.src); {
		rest := s.src[s.i:]
		c := rest[0]
		switch {
		case end != "" && depth == 0 && c == '}':
			return
		case strings.HasPrefix(rest, "//"):
			s.i += max(strings.IndexByte(rest, '\n'), 0)
		case c == '"':
			n := strings.IndexByte(rest[1:], '"')
			s.emit(rest[:n+2])
			s.i += n + 2
		case c == '`':
			s.template()
		case unicode.IsLetter(rune(c)) || c == '_' || unicode.IsDigit(rune(c)):
			n := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' })
			s.emit(rest[:n])
			s.i += n
		case c == '\n':
			s.line++
			s.i++
		case unicode.IsSpace(rune(c)):
			s.i++
		default:
			sign := string(c)
			for _, long := range signs {
				if strings.HasPrefix(rest, long) {
					sign = long
					break
				}
			}
			switch c {
			case '{':
				depth++
			case '}':
				depth--
			}
			s.emit(sign)
			s.i += len(sign)
		}
	}
}

func (s *scanner) template() {
	s.i++
	s.emit(`""`)
	for s.src[s.i] != '`' {
		switch {
		case strings.HasPrefix(s.src[s.i:], "${"):
			s.emit("+")
			s.emit("(")
			s.i += 2
			s.until("}")
			s.i++
			s.emit(")")
		default:
			s.i++
		}
	}
	s.i++
}

// reader follows documents through the script.
type reader struct {
	tokens   []lexeme
	params   map[string][]string // of the script's functions
	problems []string
	seen     map[string]bool // Type.field that is read
}

func check(src string) *reader {
	r := &reader{tokens: scan(src), params: map[string][]string{}, seen: map[string]bool{}}
	for i := range r.tokens {
		r.function(i)
	}
	for i := range r.tokens {
		r.property(i)
		r.binding(i)
		r.call(i)
	}
	return r
}

func (r *reader) at(i int) lexeme {
	if i < 0 || i >= len(r.tokens) {
		return lexeme{}
	}
	return r.tokens[i]
}

func (r *reader) is(i int, texts ...string) bool {
	for k, text := range texts {
		if r.at(i+k).text != text {
			return false
		}
	}
	return true
}

func (r *reader) complain(i int, format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf("dashboard.js:%d: ", r.at(i).line)+fmt.Sprintf(format, args...))
}

// close is where the bracket that opens at i ends.
func (r *reader) close(i int) int {
	depth := 0
	for ; i < len(r.tokens); i++ {
		switch r.tokens[i].text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return i
}

// arguments are where those of a call begin whose parenthesis opens at i.
func (r *reader) arguments(i int) (starts []int) {
	end := r.close(i)
	if end == i+1 {
		return nil
	}
	starts = []int{i + 1}
	for k := i + 1; k < end; k++ {
		switch r.at(k).text {
		case "(", "[", "{":
			k = r.close(k)
		case ",":
			starts = append(starts, k+1)
		}
	}
	return starts
}

// function notes the parameters of a function with a name.
func (r *reader) function(i int) {
	name, open := "", 0
	switch {
	case r.is(i, "function"):
		name, open = r.at(i+1).text, i+2
	case r.is(i, "const") && r.is(i+2, "=", "(") && r.is(r.close(i+3)+1, "=>"):
		name, open = r.at(i+1).text, i+3
	default:
		return
	}
	r.params[name] = []string{}
	for _, k := range r.arguments(open) {
		r.params[name] = append(r.params[name], r.at(k).text)
	}
}

// typeOf is what is known of an expression, and where the part ends that tells it.
func (r *reader) typeOf(i int) (t reflect.Type, end int) {
	switch {
	case r.is(i, "("):
		t, end = r.typeOf(i + 1)
		if r.is(end, "??", "[", "]") {
			end += 3
		}
		if end != r.close(i) {
			return nil, end
		}
		end++
	case (r.is(i, "pick") || r.is(i, "newest")) && r.is(i+1, "("):
		t, end = r.typeOf(i + 2)
		if !r.is(end, ",") {
			return nil, end
		}
		return t, r.close(i+1) + 1
	default:
		t, end = documents[r.at(i).text], i+1
	}
	for r.is(end, ".") || r.is(end, "?.") {
		name := r.at(end + 1).text
		switch {
		case t != nil && t.Kind() == reflect.Struct:
			t, _ = field(t, name)
			end += 2
		case name == "slice":
			end = r.close(end+2) + 1
		default:
			return nil, end
		}
	}
	return t, end
}

// whole is the type of an expression that is nothing else.
func (r *reader) whole(i int) reflect.Type {
	t, end := r.typeOf(i)
	if r.is(end, ",") || r.is(end, ")") || r.is(end, ";") || r.is(end, "}") {
		return t
	}
	return nil
}

// property holds what follows a point to be a field, or one of the browser's.
func (r *reader) property(i int) {
	if !r.at(i).word() || !r.is(i-1, ".") && !r.is(i-1, "?.") {
		return
	}
	start := i - 1
	for r.at(start-1).word() && (r.is(start-2, ".") || r.is(start-2, "?.")) {
		start -= 2
	}
	var t reflect.Type
	if r.at(start - 1).word() {
		t = documents[r.at(start-1).text]
		for k := start; k < i-1 && t != nil && t.Kind() == reflect.Struct; k += 2 {
			t, _ = field(t, r.at(k+1).text)
		}
	}
	name := r.at(i).text
	if t != nil && t.Kind() == reflect.Struct {
		if _, ok := field(t, name); !ok {
			r.complain(i, "%s has no field %s", t, name)
		}
		r.seen[t.Name()+"."+name] = true
		return
	}
	if !slices.Contains(browser, name) {
		r.complain(i, "%s is read of something that is not known to be a document: give it the name of its type", name)
	}
}

// same holds a name to what it is made of.
func (r *reader) same(i int, name string, t reflect.Type) {
	want, named := documents[name]
	switch {
	case named && t == nil:
		r.complain(i, "%s is the name of a %s, and nothing shows that this is one", name, want)
	case named && t != want:
		r.complain(i, "%s is the name of a %s, and this is a %s", name, want, t)
	case !named && isDocument(t):
		r.complain(i, "%s holds a %s: give it a name of that type", name, t)
	}
}

func elem(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Slice {
		return t.Elem()
	}
	return nil
}

// binding looks at variables.
func (r *reader) binding(i int) {
	if !r.is(i, "const") && !r.is(i, "let") {
		return
	}
	switch name := r.at(i + 1).text; {
	case r.is(i+2, "of"):
		r.same(i, name, elem(r.whole(i+3)))
	case r.is(i+2, "="):
		r.same(i, name, r.whole(i+3))
	default:
		r.same(i, name, nil)
	}
}

// call looks at what functions of the script are given.
func (r *reader) call(i int) {
	name := r.at(i).text
	params, ours := r.params[name]
	if !ours || !r.is(i+1, "(") || r.is(i-1, "function") || r.is(i-1, ".") || slices.Contains(given, name) {
		return
	}
	args := r.arguments(i + 1)
	switch {
	case name == "read":
		r.route(args)
	case name == "each" || name == "pick":
		r.entries(i, args)
	default:
		for k, start := range args {
			if k < len(params) && name != "show" && name != "make" {
				r.pass(start, name, params[k])
			}
		}
	}
}

// pass looks at one argument. A function that is for lists of any kind may take one.
func (r *reader) pass(start int, function, param string) {
	t := r.whole(start)
	if _, named := documents[param]; !named && (function == "newest" || function == "more") {
		return
	}
	if _, end := r.typeOf(start); t == nil && r.is(end, "??") {
		return
	}
	r.same(start, param, t)
}

// entries looks at the function that is called for each entry of a list.
func (r *reader) entries(i int, args []int) {
	if len(args) != 2 {
		return
	}
	t, _ := r.typeOf(args[0])
	param := r.at(args[1] + 1).text // of (param) => ...
	if !r.is(args[1], "(") {
		param = ""
		if list := r.params[r.at(args[1]).text]; len(list) > 0 {
			param = list[0]
		}
	}
	r.same(i, param, elem(t))
}

// route looks at which document comes from where.
func (r *reader) route(args []int) {
	if len(args) != 3 {
		return
	}
	path, param := strings.Trim(r.at(args[0]).text, `"`), r.at(args[2]+1).text
	t, ok := routes[path]
	if !ok {
		r.complain(args[0], "%s is no document that this may ask for", path)
		return
	}
	r.same(args[2], param, t)
}

// Every field that the script reads is one of a document.
func TestFieldsExist(t *testing.T) {
	r := check(source(t, "dashboard.js"))
	for _, p := range r.problems {
		t.Error(p)
	}
	for _, must := range []string{"Status.quorum", "Quorum.reason", "Member.links", "Link.state", "WhyNode.evidence", "Process.pid",
		"VotingProtocol.left_ms", "VotingVote.vote", "Topic.name", "VotingOutcome.text", "Event.type", "Failure.error"} {
		if !r.seen[must] {
			t.Errorf("the script is not seen to read %s", must)
		}
	}
	t.Logf("%d fields of documents are read", len(r.seen))
}

// What would be wrong is noticed.
func TestWrongFieldsAreNoticed(t *testing.T) {
	const functions = "const each = (list, shown) => 0; const pick = (list, wanted) => 0; const read = (route, place, shown) => 0; function f(link) {} "
	for _, tc := range []struct{ script, want string }{
		{"status.quorum.reason;", ""},
		{"status.quorum.raeson;", "no field raeson"},
		{"`a ${status.nodes} b`;", "no field nodes"},
		{"status.ring?.idd;", "no field idd"},
		{"x.reason;", "not known to be a document"},
		{"x()[0].reason;", "not known to be a document"},
		{"const q = status.quorum;", "give it a name of that type"},
		{"const ring = status.quorum;", "this is a admin.Quorum"},
		{"const quorum = status.quorum;", ""},
		{"const quorum = 7;", "nothing shows"},
		{"let ring;", "nothing shows"},
		{"for (const member of status.members) member.id;", ""},
		{"for (const link of status.members) link.addr;", "this is a admin.Member"},
		{"each(member.links, (link) => link.addr);", ""},
		{"each(member.links, (member) => member.id);", "this is a admin.Link"},
		{"each(pick(status.members, (member) => member.self), (link) => 1);", "this is a admin.Member"},
		{"each((protocol.scripts ?? []).slice(0, 3), (vote) => 1);", "this is a admin.VotingProvider"},
		{"each(member.links, f);", ""},
		{"each(status.members, f);", "this is a admin.Member"},
		{"each(something, (vote) => 1);", "nothing shows"},
		{"f(status.quorum);", "this is a admin.Quorum"},
		{`read("/v1/why", "why", (why) => 1);`, ""},
		{`read("/v1/why", "why", (status) => 1);`, "this is a admin.Why"},
		{`read("/v1/secrets", "why", (why) => 1);`, "no document"},
	} {
		problems := strings.Join(check(functions+tc.script).problems, "\n")
		if tc.want == "" && problems != "" || !strings.Contains(problems, tc.want) {
			t.Errorf("%s: %q, want %q", tc.script, problems, tc.want)
		}
	}
}
