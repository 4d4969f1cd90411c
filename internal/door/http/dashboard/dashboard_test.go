package dashboard

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func source(t *testing.T, name string) string {
	t.Helper()
	b, err := files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var names = []string{"index.html", "dashboard.css", "dashboard.js"}

func TestRoutes(t *testing.T) {
	mux := http.NewServeMux()
	for pattern, f := range Routes() {
		mux.HandleFunc(pattern, f)
	}
	for path, want := range map[string]struct{ kind, file string }{
		"/":              {"text/html; charset=utf-8", "index.html"},
		"/dashboard.css": {"text/css; charset=utf-8", "dashboard.css"},
		"/dashboard.js":  {"text/javascript; charset=utf-8", "dashboard.js"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			h := w.Header()
			if w.Code != 200 || h.Get("Content-Type") != want.kind || w.Body.String() != source(t, want.file) {
				t.Errorf("%s %s: %d, %s, %d bytes", method, path, w.Code, h.Get("Content-Type"), w.Body.Len())
			}
			for _, rule := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
				if !strings.Contains(h.Get("Content-Security-Policy"), rule) {
					t.Errorf("%s: the policy lacks %s", path, rule)
				}
			}
			if h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
				t.Errorf("%s: %v", path, h)
			}
		}
	}
	for _, path := range []string{"/index.html", "/dashboard.go", "/x"} {
		w := httptest.NewRecorder()
		if mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// The page works where there is no other network, and weighs little.
func TestFilesAreAllThereIs(t *testing.T) {
	const most = 40 << 10
	size := 0
	for _, name := range names {
		text := source(t, name)
		size += len(text)
		for _, bad := range []string{"://", `"//`, "url(", "@import", "import(", "import "} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %q: it may need nothing from elsewhere", name, bad)
			}
		}
	}
	if size > most {
		t.Errorf("the page has %d bytes, more than %d", size, most)
	}
	page := source(t, "index.html")
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(m[1], "/") && m[1] != "data:," {
			t.Errorf("index.html refers to %s", m[1])
		}
	}
}

// Nothing that documents say can become markup or a script.
func TestTextStaysText(t *testing.T) {
	script := source(t, "dashboard.js")
	for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval", "Function(", "DOMParser", "createContextualFragment", "srcdoc", ".style", ".href", ".src"} {
		if strings.Contains(script, bad) {
			t.Errorf("dashboard.js has %s", bad)
		}
	}
	page := source(t, "index.html")
	for _, bad := range []string{`<style`, `<script>`, `<iframe`, `<form`} {
		if strings.Contains(page, bad) {
			t.Errorf("index.html has %s", bad)
		}
	}
	if m := regexp.MustCompile(`\s(on\w+|style)=`).FindString(page); m != "" {
		t.Errorf("index.html has%s, which the policy forbids", m)
	}
}

// The script and the page know the same places.
func TestPlacesExist(t *testing.T) {
	page, script := source(t, "index.html"), source(t, "dashboard.js")
	want := []string{}
	for _, m := range regexp.MustCompile(`byId\("([^"]+)"\)`).FindAllStringSubmatch(script, -1) {
		want = append(want, m[1])
	}
	for _, m := range regexp.MustCompile(`read\("[^"]+", "([^"]+)"`).FindAllStringSubmatch(script, -1) {
		want = append(want, m[1]+"-note")
	}
	if len(want) < 10 {
		t.Fatalf("found only %q", want)
	}
	ids := map[string]int{}
	for _, m := range regexp.MustCompile(`\sid="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		ids[m[1]]++
	}
	for _, id := range want {
		if ids[id] != 1 {
			t.Errorf("index.html has %d elements with the id %s", ids[id], id)
		}
	}
	for _, m := range regexp.MustCompile(`aria-labelledby="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if ids[m[1]] != 1 {
			t.Errorf("nothing has the id %s, which labels a panel", m[1])
		}
	}
}

// A browser hands out only those events of a stream whose types it was told.
func TestAllTypesOfEventsAreRead(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../../../../admin/documents.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Event") {
			text, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			want = append(want, text)
		}
		return true
	})
	_, rest, _ := strings.Cut(source(t, "dashboard.js"), "const concerned = {")
	body, _, _ := strings.Cut(rest, "};")
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^  (\w+):`).FindAllStringSubmatch(body, -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(want, got) {
		t.Errorf("the script reads events %q, there are %q", got, want)
	}
}
