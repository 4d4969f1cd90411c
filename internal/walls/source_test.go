package walls

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/moothall/moothall"

// source is one Go file of the module that is not a test.
type source struct {
	dir     string // package directory from the root of the module, with slashes
	name    string // of the file, from the root of the module
	file    *ast.File
	imports []string
}

// parsed are all sources, read once.
type parsed struct {
	fset    *token.FileSet
	sources []source
}

// at names a position as an editor understands it.
func (p *parsed) at(s source, pos token.Pos) string {
	return s.name + ":" + strconv.Itoa(p.fset.Position(pos).Line)
}

// load reads the module whatever the build tags say: a wall stands in every build.
func load(t *testing.T) *parsed {
	t.Helper()
	root := filepath.Join("..", "..")
	p := &parsed{fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return enter(root, rel)
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		return p.add(file, filepath.ToSlash(rel))
	})
	if err != nil {
		t.Fatalf("read the sources: %v", err)
	}
	return p
}

// enter keeps out what the go command keeps out, and nested modules.
func enter(root, rel string) error {
	base := filepath.Base(rel)
	if rel == "." {
		return nil
	}
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(root, rel, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func (p *parsed) add(file, rel string) error {
	f, err := parser.ParseFile(p.fset, file, nil, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil {
		return err
	}
	s := source{dir: path.Dir(rel), name: rel, file: f}
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		s.imports = append(s.imports, imp)
	}
	p.sources = append(p.sources, s)
	return nil
}

// under reports whether dir is one of the roots or lies below one.
func under(dir string, roots ...string) bool {
	for _, root := range roots {
		if dir == root || strings.HasPrefix(dir, root+"/") {
			return true
		}
	}
	return false
}

// ours returns the directory of a package of this module.
func ours(imp string) (dir string, ok bool) {
	return strings.CutPrefix(imp, module+"/")
}
