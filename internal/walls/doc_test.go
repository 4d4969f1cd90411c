package walls

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// public reports whether programs outside of the module may import a package.
func public(dir string) bool {
	return !under(dir, "cmd", "tools", "examples") && !strings.Contains("/"+dir+"/", "/internal/")
}

// What is exported is described, everywhere: programs, and whoever works on the
// next floor, read it before the code.
func TestExportedIsDescribed(t *testing.T) {
	p := load(t)
	packages := map[string]bool{}
	for _, s := range p.sources {
		p.checkDocs(t, s)
		packages[s.dir] = packages[s.dir] || s.file.Doc != nil
	}
	for dir, described := range packages {
		if !described {
			t.Errorf("%s: the package has no comment", dir)
		}
	}
}

// plain are methods whose meaning the language gives.
var plain = map[string]bool{"Error": true, "Unwrap": true, "Is": true}

// checkDocs finds exported declarations without a comment.
func (p *parsed) checkDocs(t reporter, s source) {
	t.Helper()
	missing := func(n ast.Node, name string) {
		t.Errorf("%s: %s is exported and not described", p.at(s, n.Pos()), name)
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && ast.IsExported(d.Name.Name) && (d.Recv == nil || ofExported(d) && !plain[d.Name.Name]) {
				missing(d, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if d.Doc == nil && spec.Doc == nil && spec.Comment == nil && ast.IsExported(spec.Name.Name) {
						missing(spec, spec.Name.Name)
					}
					if i, ok := spec.Type.(*ast.InterfaceType); ok && public(s.dir) && len(i.Methods.List) > 1 { // of one method the type tells
						for _, m := range i.Methods.List {
							if m.Doc == nil && m.Comment == nil && len(m.Names) > 0 && ast.IsExported(m.Names[0].Name) {
								missing(m, spec.Name.Name+"."+m.Names[0].Name)
							}
						}
					}
				case *ast.ValueSpec: // a list may have one comment for all
					if d.Doc == nil && spec.Doc == nil && spec.Comment == nil && ast.IsExported(spec.Names[0].Name) && public(s.dir) {
						missing(spec, spec.Names[0].Name)
					}
				}
			}
		}
	}
}

// ofExported reports whether a method belongs to an exported type.
func ofExported(d *ast.FuncDecl) bool {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return ast.IsExported(x.Name)
		default:
			return false
		}
	}
}

// Every public package shows in an example how it is used.
func TestPublicPackagesHaveExamples(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range load(t).sources {
		if !public(s.dir) || seen[s.dir] || strings.HasSuffix(s.dir, "test") { // those are called by tests, as their comments show
			continue
		}
		seen[s.dir] = true
		tests, err := filepath.Glob(filepath.Join("..", "..", s.dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, name := range tests {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				found = found || ok && strings.HasPrefix(fn.Name.Name, "Example")
			}
		}
		if !found {
			t.Errorf("%s: the package has no example in its tests", s.dir)
		}
	}
}
