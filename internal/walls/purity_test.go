package walls

import (
	"go/ast"
	"strings"
	"testing"
)

var cores = []string{"internal/totem", "internal/vote", "internal/resync", "internal/seal", "internal/explain"}

// foundations are what cores stand on; the rules for cores hold for them too.
var foundations = []string{"internal/proto", "internal/wire"}

// allowed is what a core may import of ours besides cores. internal/bug is no
// foundation: in the product its one function is a constant, in mutation tests it
// may ask the environment what to plant.
var allowed = append([]string{"internal/bug"}, foundations...)

// forbidden says why a package may not be imported; what lies below it is
// forbidden too.
type forbidden map[string]string

var inCores = forbidden{
	"context":     "a core never blocks, so it has nothing to cancel",
	"crypto/rand": "random numbers come in with Config",
	"io/fs":       "files belong to internal/store",
	"log":         "a core appends trace events; the executive logs",
	"math/rand":   "random numbers come in with Config",
	"net":         "sockets belong to internal/link",
	"os":          "files belong to internal/store",
	"runtime":     "a core does not care what runs it",
	"sync":        "a core has one owner",
	"syscall":     "the system belongs to internal/link and internal/store",
	"time":        "a core counts ticks; internal/executive owns the clock",
	"unsafe":      "a core reads outside bytes, it does so with bounds",
}

// A service gets time and log from its host, and uses neither to decide.
var inServices = forbidden{
	"context":     "service code runs on the executive's goroutine and never blocks",
	"crypto/rand": "nodes would differ; random numbers travel in messages",
	"io/fs":       "files belong to internal/store",
	"math/rand":   "nodes would differ; random numbers travel in messages",
	"net":         "doors know how a client is connected",
	"os":          "files belong to internal/store",
	"sync":        "the executive's goroutine runs all service code",
	"syscall":     "the system belongs to internal/link and internal/store",
	"unsafe":      "a service reads outside bytes, it does so with bounds",
}

// net/netip is a value type and opens nothing.
func (f forbidden) reason(imp string) (string, bool) {
	if imp == "net/netip" {
		return "", false
	}
	for bad, why := range f {
		if imp == bad || strings.HasPrefix(imp, bad+"/") {
			return why, true
		}
	}
	return "", false
}

func TestCoresStayPure(t *testing.T) {
	p := load(t)
	for _, s := range p.sources {
		switch {
		case under(s.dir, cores...):
			p.checkImports(t, s, inCores)
			p.checkSequential(t, s)
			for _, imp := range s.imports {
				if dir, ok := ours(imp); ok && !under(dir, allowed...) && !under(dir, cores...) {
					t.Errorf("%s imports %s: a core stands on %s alone", s.name, dir, strings.Join(allowed, ", "))
				}
			}
		case under(s.dir, foundations...):
			p.checkImports(t, s, inCores)
			p.checkSequential(t, s)
		}
	}
}

func TestServicesStayDeterministic(t *testing.T) {
	p := load(t)
	for _, s := range p.sources {
		if under(s.dir, "internal/service") {
			p.checkImports(t, s, inServices)
			p.checkSequential(t, s)
			p.checkClock(t, s)
		}
	}
}

// reporter is what the checks need of a *testing.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

func (p *parsed) checkImports(t reporter, s source, bad forbidden) {
	t.Helper()
	for _, imp := range s.imports {
		if why, no := bad.reason(imp); no {
			t.Errorf("%s imports %s: %s", s.name, imp, why)
		}
		if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") {
			if _, our := ours(imp); !our {
				t.Errorf("%s imports %s: this floor stands on the standard library alone", s.name, imp)
			}
		}
	}
}

// checkSequential refuses everything that is for several goroutines.
func (p *parsed) checkSequential(t reporter, s source) {
	t.Helper()
	ast.Inspect(s.file, func(n ast.Node) bool {
		what := ""
		switch n.(type) {
		case *ast.GoStmt:
			what = "starts a goroutine"
		case *ast.ChanType:
			what = "has a channel"
		case *ast.SelectStmt:
			what = "selects"
		}
		if what != "" {
			t.Errorf("%s %s: one owner runs this code, step by step", p.at(s, n.Pos()), what)
		}
		return true
	})
}

// checkClock refuses to read the clock or to wait for it; durations and the
// host's timers are fine.
func (p *parsed) checkClock(t reporter, s source) {
	t.Helper()
	clock := map[string]bool{
		"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true,
		"AfterFunc": true, "NewTimer": true, "NewTicker": true, "Tick": true,
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && clock[sel.Sel.Name] {
			t.Errorf("%s uses time.%s: nodes would differ; the host hands out timers", p.at(s, n.Pos()), sel.Sel.Name)
		}
		return true
	})
}
