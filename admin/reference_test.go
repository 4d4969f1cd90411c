package admin_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const reference = "../docs/json.md"

// docs/json.md describes each field of each document, in the words of the
// source. -update writes it anew.
func TestReferenceIsComplete(t *testing.T) {
	old, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := bytes.Cut(old, []byte("\n## Status\n"))
	if !ok {
		t.Fatalf("%s has no section Status", reference)
	}
	got := append(append(head, '\n'), describe(t)...)
	if testenv.Updating() {
		if err := os.WriteFile(reference, got, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(old, got) {
		t.Errorf("%s does not say what documents.go, explanations.go, groupservices.go and topics.go say; run go test ./admin -update and read the diff", reference)
	}
}

// describe makes a table of each struct.
func describe(t *testing.T) []byte {
	t.Helper()
	var decls []ast.Decl
	for _, file := range []string{"documents.go", "explanations.go", "groupservices.go", "topics.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		decls = append(decls, f.Decls...)
	}
	var b bytes.Buffer
	for _, decl := range decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.TYPE {
			continue
		}
		spec := d.Specs[0].(*ast.TypeSpec)
		s, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "## %s\n\n%s\n\n| field | type | meaning |\n|---|---|---|\n", spec.Name.Name, sentence(spec.Name.Name, d.Doc.Text()))
		for _, field := range s.Fields.List {
			name, options, _ := strings.Cut(reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("json"), ",")
			if options == "omitempty" {
				name += "?"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, typeName(field.Type), strings.TrimSpace(field.Comment.Text()))
		}
		b.WriteByte('\n')
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// sentence is the doc comment of a type without its name.
func sentence(name, doc string) string {
	text := strings.TrimPrefix(strings.Join(strings.Fields(doc), " "), name+" ")
	text = strings.TrimPrefix(text, "is ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// typeName is a type in the words of JSON.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.SelectorExpr: // time.Time
		return "time"
	case *ast.ArrayType:
		if id, ok := e.Elt.(*ast.Ident); ok && id.Name == "byte" {
			return "base64"
		}
		return "list of " + typeName(e.Elt)
	case *ast.Ident:
		switch {
		case e.Name == "string":
			return "text"
		case e.Name == "bool":
			return "true or false"
		case e.Name == "NodeID" || strings.Contains(e.Name, "int") || strings.Contains(e.Name, "float"):
			return "number"
		}
		return fmt.Sprintf("[%s](#%s)", e.Name, strings.ToLower(e.Name))
	}
	return "?"
}
